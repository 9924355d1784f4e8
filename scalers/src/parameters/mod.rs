//! Declares what a trigger's parameters are called, where they come from and what they may be.
//!
//! One [`Parameter`] drives everything: [`Values::resolve`] finds and checks the values, [`crate::docs`] prints the
//! table and the JSON schema, and unknown metadata is recognised because it is not declared.

mod grammar;
mod resolve;
mod rest;
#[cfg(feature = "tls")]
// Triggers whose parameters have other names use a part of it.
#[cfg_attr(not(any(feature = "http", feature = "redis")), allow(dead_code))]
pub(crate) mod tls;
mod unknown;

#[cfg(any(feature = "external", feature = "kafka", feature = "redis"))]
pub(crate) use grammar::host_and_port;
#[cfg(any(feature = "mongodb", feature = "redis"))]
pub(crate) use grammar::port_number;
pub use resolve::{Known, Values};
pub(crate) use unknown::nearest;

/// The name of the parameter that stands for all metadata that no other one names; a type that declares it passes the
/// metadata on ([`Values::passed_on`]).
pub const REST: &str = "*";

/// A place a parameter's value may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `triggers[].metadata.<name>`.
    Metadata,
    /// The variable of the target's container that `triggers[].metadata.<name>FromEnv` names.
    Environment,
    /// What the trigger's `authenticationRef` provides under `<name>`.
    Authentication,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A 64-bit integer in JSON's notation, not below `min` and not above `max`.
    Integer {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
    /// A finite number in JSON's notation.
    Number,
    /// One of Go's spellings of a truth value.
    Bool,
    /// Exactly one of these words.
    Choice(&'static [&'static str]),
    /// Texts separated by commas, each trimmed.
    List,
    /// A Go duration such as `1m30s`, or a whole number of milliseconds.
    Duration,
    /// A quantity in Kubernetes' notation such as `500m` or `1Gi`, of at most 2^63 thousandths.
    Quantity,
}

/// How a parameter that has lost its use is treated when somebody still sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprecation {
    /// Setting it is an error; the text says what to use instead.
    Refused(&'static str),
    /// Setting it is a warning; the text says what to use instead.
    Announced(&'static str),
    /// This trigger type never reads it, so setting it is a warning; the text says who does.
    Unused(&'static str),
}

/// One parameter of a trigger type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its names; within one source the first that has a value wins.
    pub names: &'static [&'static str],
    /// Its sources; the first that has a value wins.
    pub sources: &'static [Source],
    /// What its value must look like.
    pub kind: Kind,
    /// The value when no source has one.
    pub default: Option<&'static str>,
    /// Whether the trigger cannot be built without it.
    pub required: bool,
    /// Whether it has lost its use.
    pub deprecated: Option<Deprecation>,
    /// Whether its text must never be printed, wherever it comes from.
    pub secret: bool,
    /// One sentence for the documentation.
    pub about: &'static str,
}

impl Parameter {
    /// An optional, public parameter without a default.
    pub const fn new(
        names: &'static [&'static str],
        sources: &'static [Source],
        kind: Kind,
        about: &'static str,
    ) -> Self {
        Self { names, sources, kind, default: None, required: false, deprecated: None, secret: false, about }
    }

    /// The same parameter, without which the trigger cannot be built.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same parameter with a value for when no source has one.
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// The same parameter, whose text is never printed.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same parameter, which has lost its use.
    pub const fn deprecated(mut self, how: Deprecation) -> Self {
        self.deprecated = Some(how);
        self
    }

    /// The name that documentation and messages use.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Whether it may come from this source.
    pub fn reads(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }
}

impl Kind {
    /// An integer of any sign.
    pub const fn integer() -> Self {
        Self::Integer { min: i64::MIN, max: i64::MAX }
    }

    /// An integer that is not below `min`.
    pub const fn at_least(min: i64) -> Self {
        Self::Integer { min, max: i64::MAX }
    }

    /// What a value must be, as it completes "is not ...".
    pub fn expected(&self) -> String {
        match *self {
            Self::Text => "a text".to_owned(),
            Self::Integer { min: i64::MIN, max: i64::MAX } => "an integer".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("an integer >= {min}"),
            Self::Integer { min: i64::MIN, max } => format!("an integer <= {max}"),
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Number => "a number".to_owned(),
            Self::Bool => "a truth value (true or false)".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List => "a list separated by commas".to_owned(),
            Self::Duration => "a duration >= 0 (such as 30s, or milliseconds)".to_owned(),
            Self::Quantity => "a quantity up to 9P (such as 5, 500m or 1Gi)".to_owned(),
        }
    }

    /// Whether `text`, already trimmed and not empty, is such a value.
    pub fn accepts(&self, text: &str) -> bool {
        match *self {
            Self::Text | Self::List => true,
            Self::Integer { min, max } => grammar::integer(text).is_some_and(|n| (min..=max).contains(&n)),
            Self::Number => grammar::number(text).is_some(),
            Self::Bool => grammar::truth(text).is_some(),
            Self::Choice(words) => words.contains(&text),
            Self::Duration => grammar::duration(text).is_some(),
            Self::Quantity => grammar::quantity(text).is_some(),
        }
    }
}
