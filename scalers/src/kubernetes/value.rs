//! What a text says as a number: by itself, or at a place in JSON or YAML.
//!
//! A text is a number as a whole or not at all. KEDA takes the beginning of a text for it, so that `12abc` is 12 and `2k` is 2.

use crate::location::{Flaw, Format, Found, Location, quantity};

/// Where in the text the number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The text is the number.
    Whole,
    /// At a place in it.
    Inside(Location),
}

/// How the number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// A number; in JSON a text may also be a quantity.
    Float64,
    /// A number, of which the fraction is cut off.
    Int64,
    /// A quantity of Kubernetes such as `500m` or `2Gi`.
    Quantity,
}

impl ValueType {
    /// The type of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "float64" => Self::Float64,
            "int64" => Self::Int64,
            "quantity" => Self::Quantity,
            _ => return None,
        })
    }

    /// The number that a text stands for.
    fn of_text(self, text: &str, is_json: bool) -> Result<f64, Flaw> {
        match self {
            Self::Quantity => quantity(text),
            // A text of JSON is no integer, and otherwise a quantity, as in KEDA.
            Self::Int64 if is_json => Err(Flaw::NotANumber),
            Self::Float64 if is_json => quantity(text),
            Self::Int64 => plain(text).map(f64::trunc),
            Self::Float64 => plain(text),
        }
    }
}

impl Place {
    /// The place that `format` and `valueLocation` name; the error completes "the text ...".
    pub(super) fn parse(format: &str, location: &str) -> Result<Self, String> {
        match Format::named(format) {
            Some(format @ (Format::Json | Format::Yaml)) => Location::parse(format, location).map(Self::Inside),
            _ => Ok(Self::Whole),
        }
    }

    /// The number in a text, which is finite.
    pub(super) fn number(&self, text: &str, of: ValueType) -> Result<f64, Flaw> {
        let number = match self {
            Self::Whole => of.of_text(text, false),
            Self::Inside(Location::Json(path)) => match crate::location::look_json(path, text.as_bytes())? {
                Found::Number(number) if of == ValueType::Int64 => Ok(number.trunc()),
                Found::Number(number) => Ok(number),
                Found::Text(text) => of.of_text(&text, true),
            },
            Self::Inside(Location::Yaml(path)) => {
                of.of_text(&crate::location::look_yaml(path, text.as_bytes())?, false)
            }
            Self::Inside(_) => Err(Flaw::NotANumber),
        }?;
        if number.is_finite() { Ok(number) } else { Err(Flaw::NotANumber) }
    }
}

/// A decimal number and nothing else, but for space around it.
fn plain(text: &str) -> Result<f64, Flaw> {
    text.trim().parse().map_err(|_| Flaw::NotANumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, location: &str, of: &str, text: &str) -> Result<f64, Flaw> {
        Place::parse(format, location).unwrap().number(text, ValueType::named(of).unwrap())
    }

    #[test]
    fn a_text_is_a_number_as_a_whole() {
        let good = [
            ("float64", " 12\n", 12.0),
            ("float64", "-0.5", -0.5),
            ("float64", "1e3", 1000.0),
            ("float64", "+4", 4.0),
            ("int64", "7.9", 7.0),
            ("int64", "-7.9", -7.0),
            ("quantity", "500m", 0.5),
            ("quantity", "2Ki", 2048.0),
            ("quantity", "3", 3.0),
        ];
        for (of, text, value) in good {
            assert_eq!(read("number", "", of, text), Ok(value), "{of} {text}");
        }
        let bad = ["12abc", "12 3", "", " ", "NaN", "inf", "-Infinity", "1e999", "0x10", "1_000", "2k", "one", "1,5"];
        for text in bad {
            assert_eq!(read("number", "", "float64", text), Err(Flaw::NotANumber), "{text:?}");
        }
        assert_eq!(read("number", "", "quantity", "2 Ki"), Err(Flaw::NotANumber));
    }

    #[test]
    fn json_has_numbers_and_quantities() {
        let json = r#"{"a":{"n":7.9,"q":"1500m","t":"many","z":null},"l":[4,"2k"]}"#;
        let good = [
            ("float64", "a.n", 7.9),
            ("float64", "a.q", 1.5),
            ("float64", "l.1", 2000.0),
            ("int64", "a.n", 7.0),
            ("int64", "l.0", 4.0),
            ("quantity", "a.q", 1.5),
            ("quantity", "a.n", 7.9),
            ("float64", "l.#", 2.0),
        ];
        for (of, path, value) in good {
            assert_eq!(read("json", path, of, json), Ok(value), "{of} {path}");
        }
        for (of, path) in
            [("int64", "a.q"), ("float64", "a.t"), ("float64", "a.z"), ("quantity", "a.t"), ("float64", "a")]
        {
            assert_eq!(read("json", path, of, json), Err(Flaw::NotANumber), "{of} {path}");
        }
        assert_eq!(read("json", "a.x", "float64", json), Err(Flaw::Absent));
        assert_eq!(read("json", "a", "float64", "a: 5"), Err(Flaw::Unreadable("JSON")));
    }

    #[test]
    fn yaml_has_texts_that_may_be_numbers() {
        let yaml = "a:\n  n: 7.9\n  q: 1500m\n  s: '12'\n  odd: 12abc\n  none:\nl: [4, 5]\n";
        let good = [
            ("float64", "a.n", 7.9),
            ("int64", "a.n", 7.0),
            ("quantity", "a.q", 1.5),
            ("float64", "a.s", 12.0),
            ("float64", "l.1", 5.0),
        ];
        for (of, path, value) in good {
            assert_eq!(read("yaml", path, of, yaml), Ok(value), "{of} {path}");
        }
        for (of, path) in [("float64", "a.q"), ("float64", "a.odd"), ("float64", "a.none"), ("float64", "a")] {
            assert_eq!(read("yaml", path, of, yaml), Err(Flaw::NotANumber), "{of} {path}");
        }
        assert_eq!(read("yaml", "a.x", "float64", yaml), Err(Flaw::Absent));
    }
}
