//! Finds a value in JSON by a path in GJSON's notation, of which KEDA's users need this part.
//!
//! `a.b` is a field of a field, `a.0` the first of a list (or the field `0`), `a.#` how many a list has, and a backslash
//! takes the next character as it is. GJSON's queries, wildcards and modifiers are refused by name, and so is `#` before
//! other parts, which gives a list and never a number.

use serde_json::Value;

use super::{Flaw, Found, quantity};

/// A path, part by part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    /// Fields and indexes.
    names: Vec<String>,
    /// Whether the number is how many elements stand there: `#` at the end.
    counts: bool,
}

impl Path {
    /// Reads a path; the error completes "the text ...".
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut names, mut name, mut plain) = (Vec::new(), String::new(), true);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let first = name.is_empty() && plain;
            match character {
                '\\' => {
                    name.push(characters.next().ok_or("ends with a backslash")?);
                    plain = false;
                }
                '.' if name == "#" && plain => return Err("has # before other parts, which gives a list".to_owned()),
                '.' if name.is_empty() => return Err(EMPTY.to_owned()),
                '.' => {
                    names.push(std::mem::take(&mut name));
                    plain = true;
                }
                '*' | '?' => return Err(refused("wildcards (* and ?)")),
                '|' => return Err(refused("pipes (|)")),
                '@' | '!' if first => return Err(refused("modifiers and literals (@ and !)")),
                '{' | '[' if first => return Err(refused("multipaths ({ and [)")),
                '(' if name == "#" && plain => return Err(refused("queries (#(...))")),
                _ => name.push(character),
            }
        }
        match name.as_str() {
            "" => Err(EMPTY.to_owned()),
            "#" if plain => Ok(Self { names, counts: true }),
            _ => {
                names.push(name);
                Ok(Self { names, counts: false })
            }
        }
    }
}

const EMPTY: &str = "has an empty part between its dots";

fn refused(what: &str) -> String {
    format!("uses {what}, which are not supported; supported are fields, indexes, # and \\ (GJSON)")
}

/// The number at a path.
pub(crate) fn find(path: &Path, body: &[u8]) -> Result<f64, Flaw> {
    match look(path, body)? {
        Found::Number(number) => Ok(number),
        Found::Text(text) => quantity(&text),
    }
}

/// What stands at a path.
pub(crate) fn look(path: &Path, body: &[u8]) -> Result<Found, Flaw> {
    let document: Value = serde_json::from_slice(body).map_err(|_| Flaw::Unreadable("JSON"))?;
    let found = path.names.iter().try_fold(&document, |value, name| step(value, name)).ok_or(Flaw::Absent)?;
    match found {
        Value::Array(list) if path.counts => Ok(Found::Number(count(list.len()))),
        _ if path.counts => Err(Flaw::Absent),
        Value::Number(number) => number.as_f64().map(Found::Number).ok_or(Flaw::NotANumber),
        Value::String(text) => Ok(Found::Text(text.clone())),
        _ => Err(Flaw::NotANumber),
    }
}

/// A field of a map, or an element of a list.
pub(crate) fn step<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(list) if name.bytes().all(|byte| byte.is_ascii_digit()) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no answer is long enough")]
fn count(length: usize) -> f64 {
    length as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r##"{"a":{"b":5,"c.d":"1k","f":null,"t":true,"s":"many"},"list":[{"n":1.5},{"n":2},{"m":3}],
        "0":{"x":-4},"nested":[[1,2],[3]],"#":6,"e":[],"big":1e3}"##;

    fn at(path: &str) -> Result<f64, Flaw> {
        find(&Path::parse(path).unwrap(), BODY.as_bytes())
    }

    #[test]
    fn fields_indexes_counts_and_escapes_lead_to_a_number() {
        let cases = [
            ("a.b", 5.0),
            (r"a.c\.d", 1000.0),
            ("list.0.n", 1.5),
            ("list.#", 3.0),
            ("0.x", -4.0),
            ("nested.1.0", 3.0),
            ("e.#", 0.0),
            (r"\#", 6.0),
            ("big", 1000.0),
        ];
        for (path, value) in cases {
            assert_eq!(at(path), Ok(value), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_or_no_number_is_an_error_and_never_zero() {
        for path in ["x", "a.b.c", "list.3.n", "list.n", "a.#", "a.0", "list.-1"] {
            assert_eq!(at(path), Err(Flaw::Absent), "{path}");
        }
        for path in ["a", "a.f", "a.t", "a.s", "list", "e"] {
            assert_eq!(at(path), Err(Flaw::NotANumber), "{path}");
        }
        assert_eq!(find(&Path::parse("a").unwrap(), b"<html>"), Err(Flaw::Unreadable("JSON")));
    }

    #[test]
    fn the_rest_of_gjson_is_refused_by_name() {
        let cases = [
            ("a.*", "wildcards"),
            ("a?.b", "wildcards"),
            ("a|b", "pipes"),
            ("@this", "modifiers"),
            ("a.@reverse", "modifiers"),
            ("!5", "modifiers"),
            ("{a,b}", "multipaths"),
            ("[a,b]", "multipaths"),
            (r#"list.#(n=="1").m"#, "queries"),
        ];
        for (path, name) in cases {
            let error = Path::parse(path).unwrap_err();
            assert!(error.contains(name) && error.contains("not supported"), "{path}: {error}");
        }
        assert_eq!(Path::parse("list.#.n").unwrap_err(), "has # before other parts, which gives a list");
        for path in ["", ".", "a..b", "..", "a.", r"a\"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse(r"a\*b.x@y").is_ok(), "escaped, or not at the beginning of a part");
    }
}
