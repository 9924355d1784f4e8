//! One row of a table: a field and all that its definition says about it.

use serde_json::{Map, Value, json};

/// What a field holds. Lists and maps name what is in them.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Text,
    /// A text with the form of a duration.
    Duration,
    Time,
    Bool,
    Int32,
    Int64,
    /// A number or the text of a quantity.
    Quantity,
    /// A number or any text.
    NumberOrText,
    Object,
    /// An object of any form.
    Opaque,
    /// A type of Kubernetes that the tables do not look into.
    Borrowed,
    List(&'static Type),
    /// A list whose entries have a row of their own.
    Rows,
    /// From texts to this.
    Map(&'static Type),
}

/// A field of a definition.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) holds: Type,
    required: bool,
    default: Option<&'static str>,
    allowed: &'static [&'static str],
    min: Option<i64>,
    max: Option<i64>,
    min_items: Option<i64>,
    min_length: Option<i64>,
    max_length: Option<i64>,
    list: Option<&'static str>,
    keys: &'static [&'static str],
    atomic: bool,
    pattern: Option<&'static str>,
    max_items: Option<i64>,
    max_properties: Option<i64>,
    rules: &'static [(&'static str, &'static str)],
}

pub(crate) const fn row(path: &'static str, holds: Type) -> Row {
    Row {
        path,
        holds,
        required: false,
        default: None,
        allowed: &[],
        min: None,
        max: None,
        min_items: None,
        min_length: None,
        max_length: None,
        list: None,
        keys: &[],
        atomic: false,
        pattern: None,
        max_items: None,
        max_properties: None,
        rules: &[],
    }
}

impl Row {
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }
    pub(crate) const fn one_of(mut self, allowed: &'static [&'static str]) -> Self {
        self.allowed = allowed;
        self
    }
    pub(crate) const fn min(mut self, min: i64) -> Self {
        self.min = Some(min);
        self
    }
    pub(crate) const fn max(mut self, max: i64) -> Self {
        self.max = Some(max);
        self
    }
    pub(crate) const fn min_items(mut self, min: i64) -> Self {
        self.min_items = Some(min);
        self
    }
    pub(crate) const fn min_length(mut self, min: i64) -> Self {
        self.min_length = Some(min);
        self
    }
    pub(crate) const fn max_length(mut self, max: i64) -> Self {
        self.max_length = Some(max);
        self
    }
    pub(crate) const fn list(mut self, kind: &'static str, keys: &'static [&'static str]) -> Self {
        self.list = Some(kind);
        self.keys = keys;
        self
    }
    pub(crate) const fn atomic(mut self) -> Self {
        self.atomic = true;
        self
    }
    pub(crate) const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }
    pub(crate) const fn max_items(mut self, max: i64) -> Self {
        self.max_items = Some(max);
        self
    }
    pub(crate) const fn max_properties(mut self, max: i64) -> Self {
        self.max_properties = Some(max);
        self
    }
    /// Rules with their messages.
    pub(crate) const fn rules(mut self, rules: &'static [(&'static str, &'static str)]) -> Self {
        self.rules = rules;
        self
    }

    /// The keywords of the field, and of what is in it if it is a list or a map.
    pub(crate) fn facts(&self) -> Vec<(String, Map<String, Value>)> {
        let mut facts = self.holds.facts(self.path);
        let own = &mut facts[0].1;
        let mut say = |keyword: &str, value: Option<Value>| {
            if let Some(value) = value {
                own.insert(keyword.to_owned(), value);
            }
        };
        say("required", self.required.then(|| true.into()));
        say("default", self.default.map(Value::from));
        say("enum", (!self.allowed.is_empty()).then(|| json!(self.allowed)));
        say("minimum", self.min.map(Value::from));
        say("maximum", self.max.map(Value::from));
        say("minItems", self.min_items.map(Value::from));
        say("minLength", self.min_length.map(Value::from));
        say("maxLength", self.max_length.map(Value::from));
        say("x-kubernetes-list-type", self.list.map(Value::from));
        say("x-kubernetes-list-map-keys", (!self.keys.is_empty()).then(|| json!(self.keys)));
        say("x-kubernetes-map-type", self.atomic.then(|| "atomic".into()));
        say("pattern", self.pattern.map(Value::from));
        say("maxItems", self.max_items.map(Value::from));
        say("maxProperties", self.max_properties.map(Value::from));
        let rule = |(rule, message): &(&str, &str)| json!({ "rule": rule, "message": message });
        say("x-kubernetes-validations", (!self.rules.is_empty()).then(|| self.rules.iter().map(rule).collect()));
        facts
    }
}

impl Type {
    fn facts(self, path: &str) -> Vec<(String, Map<String, Value>)> {
        let (own, inner) = match self {
            Self::Text => (json!({ "type": "string" }), None),
            Self::Duration => {
                (json!({ "type": "string", "maxLength": 32, "pattern": r"^(0|([0-9]+(\.[0-9]+)?(h|m|s|ms))+)$" }), None)
            }
            Self::Time => (json!({ "type": "string", "format": "date-time" }), None),
            Self::Bool => (json!({ "type": "boolean" }), None),
            Self::Int32 => (json!({ "type": "integer", "format": "int32" }), None),
            Self::Int64 => (json!({ "type": "integer", "format": "int64" }), None),
            Self::Quantity => (
                json!({
                    "anyOf": [{ "type": "integer" }, { "type": "string" }],
                    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
                    "x-kubernetes-int-or-string": true,
                }),
                None,
            ),
            Self::Object | Self::Borrowed => (json!({ "type": "object" }), None),
            Self::Opaque => (json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }), None),
            Self::Rows => (json!({ "type": "array" }), None),
            Self::NumberOrText => (
                json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }], "x-kubernetes-int-or-string": true }),
                None,
            ),
            Self::List(inner) => (json!({ "type": "array" }), Some((format!("{path}[]"), inner))),
            Self::Map(inner) => (json!({ "type": "object" }), Some((format!("{path}{{}}"), inner))),
        };
        let Value::Object(own) = own else { unreachable!("all are objects") };
        let mut facts = vec![(path.to_owned(), own)];
        if let Some((path, inner)) = inner {
            facts.extend(inner.facts(&path));
        }
        facts
    }
}
