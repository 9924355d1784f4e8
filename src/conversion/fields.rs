//! Reads the fields of an object and books what is wrong with them, and which of them nobody reads.

use serde_json::{Map, Value};
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::source::{Milli, Problem};

use crate::manifests::path;

/// What was found while reading.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What stands in the way.
    pub(super) problems: Vec<Problem>,
    /// Sentences about what is left out or taken for something else.
    pub(super) notes: Vec<String>,
}

/// A map and where it stands. Fields that are null count as absent, as for an API server.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl Found {
    /// Books that `value`, which stands at `path`, is not allowed.
    pub(super) fn refuse(&mut self, path: impl Into<String>, value: Option<&Value>, allowed: impl Into<String>) {
        let value = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        self.problems.push(Problem { path: path.into(), value, allowed: allowed.into() });
    }

    /// The map at `path`; anything else is a problem.
    pub(super) fn map<'a>(&mut self, value: &'a Value, path: String) -> Option<Fields<'a>> {
        let map = value.as_object();
        if map.is_none() {
            self.refuse(path.clone(), Some(value), "is not a map");
        }
        map.map(|map| Fields { map, path })
    }

    /// The maps of the list at `path`; anything else is a problem.
    pub(super) fn maps<'a>(&mut self, value: &'a Value, path: &str) -> Vec<Fields<'a>> {
        let Some(items) = value.as_array() else {
            self.refuse(path, Some(value), "is not a list");
            return Vec::new();
        };
        items.iter().enumerate().filter_map(|(index, item)| self.map(item, path::item(path, index))).collect()
    }
}

impl<'a> Fields<'a> {
    /// Where a field of the map stands.
    pub(super) fn at(&self, name: &str) -> String {
        path::child(&self.path, name)
    }

    /// Where the map stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The fields by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.map.iter().filter(|(_, value)| !value.is_null())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The map in a field.
    pub(super) fn child(&self, name: &str, found: &mut Found) -> Option<Fields<'a>> {
        found.map(self.get(name)?, self.at(name))
    }

    /// The map in a field that must be there.
    pub(super) fn required_child(&self, name: &str, found: &mut Found) -> Option<Fields<'a>> {
        self.require(name, found)?;
        self.child(name, found)
    }

    /// The maps of the list in a field.
    pub(super) fn children(&self, name: &str, found: &mut Found) -> Vec<Fields<'a>> {
        self.get(name).map(|value| found.maps(value, &self.at(name))).unwrap_or_default()
    }

    /// The text in a field; none if it is empty.
    pub(super) fn text(&self, name: &str, found: &mut Found) -> Option<String> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            found.refuse(self.at(name), Some(value), "is not a text; quote it");
        }
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The text in a field that must be there.
    pub(super) fn required_text(&self, name: &str, found: &mut Found) -> Option<String> {
        let text = self.text(name, found);
        if text.is_none() && self.get(name).is_none_or(Value::is_string) {
            found.refuse(self.at(name), None, "is required");
        }
        text
    }

    /// The integer in a field, from `least` to the largest of 32 bits.
    pub(super) fn integer(&self, name: &str, least: i64, found: &mut Found) -> Option<i64> {
        let value = self.get(name)?;
        let number = value.as_i64().filter(|number| (least..=i64::from(i32::MAX)).contains(number));
        if number.is_none() {
            found.refuse(self.at(name), Some(value), format!("is not an integer >= {least}"));
        }
        number
    }

    /// The quantity in a field as it is written; it must be above 0, as the API server demands.
    pub(super) fn quantity(&self, name: &str, found: &mut Found) -> Option<String> {
        let value = self.get(name)?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        if text.parse::<Quantity>().is_ok_and(|quantity| quantity.to_milli_saturating() > Milli(0)) {
            return Some(text);
        }
        found.refuse(self.at(name), Some(value), "is not a quantity > 0, such as 500m, 100 or 2Gi");
        None
    }

    /// Says that a field is required if it is not there.
    pub(super) fn require(&self, name: &str, found: &mut Found) -> Option<&'a Value> {
        let value = self.get(name);
        if value.is_none() {
            found.refuse(self.at(name), None, "is required");
        }
        value
    }

    /// Notes every field that is not one of these: it has no counterpart.
    pub(super) fn only(&self, known: &[&str], found: &mut Found) {
        for (name, _) in self.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            found.notes.push(format!("Left out: {}, which a ScaledObject cannot say.", self.at(name)));
        }
    }
}
