//! Where in a text the number stands: `valueLocation` in the notation of the text's format, one file a format.

mod json;
mod text;
mod xml;
mod yaml;

use json::Path;
use text::Selector;

pub(crate) use json::look as look_json;
pub(crate) use yaml::look as look_yaml;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON; the path is GJSON's.
    Json,
    /// YAML; the path has dots.
    Yaml,
    /// XML; the path has dots.
    Xml,
    /// The text that Prometheus scrapes.
    Prometheus,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    Json(Path),
    Yaml(Vec<String>),
    Xml(Vec<String>),
    Prometheus(Selector),
}

impl Format {
    /// The format of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "xml" => Self::Xml,
            "prometheus" => Self::Prometheus,
            _ => return None,
        })
    }

    /// The media types that suit.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json, */*;q=0.5",
            Self::Yaml => "application/yaml, */*;q=0.5",
            Self::Xml => "application/xml, text/xml, */*;q=0.5",
            Self::Prometheus => "text/plain;version=0.0.4, */*;q=0.5",
        }
    }
}

impl Location {
    /// Reads a place; the error completes "the text ...".
    pub(crate) fn parse(format: Format, text: &str) -> Result<Self, String> {
        let dotted = || -> Result<Vec<String>, String> {
            let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
            let whole = parts.iter().all(|part| !part.is_empty());
            whole.then_some(parts).ok_or_else(|| "has an empty part between its dots".to_owned())
        };
        Ok(match format {
            Format::Json => Self::Json(Path::parse(text)?),
            Format::Yaml => Self::Yaml(dotted()?),
            Format::Xml => Self::Xml(dotted()?),
            Format::Prometheus => Self::Prometheus(Selector::parse(text)?),
        })
    }

    /// The number that stands there. The error completes "SERVER: ...".
    pub(crate) fn find(&self, body: &[u8]) -> Result<f64, Flaw> {
        let value = match self {
            Self::Json(path) => json::find(path, body)?,
            Self::Yaml(path) => yaml::find(path, body)?,
            Self::Xml(path) => xml::find(path, body)?,
            Self::Prometheus(selector) => text::find(selector, body)?,
        };
        if value.is_finite() { Ok(value) } else { Err(Flaw::NotANumber) }
    }
}

/// What stands at a place, before it is taken for a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A number of JSON.
    Number(f64),
    /// A text.
    Text(String),
}

/// Why an answer gives no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// The format is another.
    #[error("the answer is not {0}")]
    Unreadable(&'static str),
    /// Within the format, but beyond what is read.
    #[error("the answer {0}")]
    Refused(&'static str),
    /// There is nothing at the place.
    #[error("the answer has nothing at valueLocation")]
    Absent,
    /// Something else stands there.
    #[error("what stands at valueLocation is not a number")]
    NotANumber,
}

/// A number as a text: Kubernetes' quantities, of which plain numbers are some.
pub(crate) fn quantity(text: &str) -> Result<f64, Flaw> {
    let quantity: tidegate_calculator::hpa::quantity::Quantity = text.trim().parse().map_err(|_| Flaw::NotANumber)?;
    Ok(quantity.to_f64())
}
