//! Reads numbers as Flink writes them: `"NaN"` in quotes, and extreme integers that stand for "nothing".

use serde::{Deserialize, Deserializer};

/// A number, or what Flink writes where it has none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
    Nothing(()),
}

/// A number; none for null, `"NaN"` and infinite ones.
pub(super) fn figure<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = match Written::deserialize(from)? {
        Written::Number(value) => Some(value),
        Written::Text(text) => match text.as_str() {
            "Infinity" | "-Infinity" => None,
            other => Some(other.parse().map_err(|_| serde::de::Error::custom("a text that is no number"))?),
        },
        Written::Nothing(()) => None,
    };
    Ok(value.filter(|value: &f64| value.is_finite()))
}

/// Milliseconds since 1970; none for null, 0 and -1, which stand for "not yet".
pub(super) fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<i64>::deserialize(from)?.filter(|millis| *millis > 0))
}

/// A span of milliseconds; none for null, for negative ones and for the greatest integer, all of which stand for "never".
pub(super) fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let millis = Option::<i64>::deserialize(from)?.filter(|millis| *millis != i64::MAX);
    Ok(millis.and_then(|millis| u64::try_from(millis).ok()))
}

/// A count; none for null and for negative ones, which stand for "not said".
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<i64>::deserialize(from)?.and_then(|count| u32::try_from(count).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Seen {
        #[serde(default, deserialize_with = "figure")]
        figure: Option<f64>,
        #[serde(default, deserialize_with = "moment")]
        moment: Option<i64>,
        #[serde(default, deserialize_with = "span")]
        span: Option<u64>,
        #[serde(default, deserialize_with = "count")]
        count: Option<u32>,
    }

    fn read(text: &str) -> Seen {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_told_apart_from_zero() {
        let nothing = Seen { figure: None, moment: None, span: None, count: None };
        assert_eq!(read("{}"), nothing);
        assert_eq!(read(r#"{"figure":"NaN","moment":-1,"span":9223372036854775807,"count":-1}"#), nothing);
        assert_eq!(read(r#"{"figure":null,"moment":0,"span":null,"count":null}"#), nothing);
        assert_eq!(read(r#"{"figure":"-Infinity","span":-1}"#), nothing);
        let zero = Seen { figure: Some(0.0), moment: Some(1), span: Some(0), count: Some(0) };
        assert_eq!(read(r#"{"figure":0,"moment":1,"span":0,"count":0}"#), zero);
        assert_eq!(read(r#"{"figure":"12.5"}"#).figure, Some(12.5));
        assert!(serde_json::from_str::<Seen>(r#"{"figure":"many"}"#).is_err());
    }
}
