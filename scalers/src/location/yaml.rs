//! Finds a value in YAML by a path with dots, where a number is an index of a list.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use super::json::step;
use super::{Flaw, quantity};

/// The deepest nesting that is read.
const DEPTH: usize = 100;

/// The number at a path in the first document.
pub(crate) fn find(path: &[String], body: &[u8]) -> Result<f64, Flaw> {
    quantity(&look(path, body)?)
}

/// The text of the scalar at a path in the first document.
pub(crate) fn look(path: &[String], body: &[u8]) -> Result<String, Flaw> {
    let text = std::str::from_utf8(body).map_err(|_| Flaw::Unreadable("YAML"))?;
    let document = read(text)?;
    let found = path.iter().try_fold(&document, |value, name| step(value, name)).ok_or(Flaw::Absent)?;
    found.as_str().map(str::to_owned).ok_or(Flaw::NotANumber)
}

/// A list or a map whose end has not come yet.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// The first document; every scalar is kept as its text.
fn read(text: &str) -> Result<Value, Flaw> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|_| Flaw::Unreadable("YAML"))?;
        let whole = match event {
            Event::SequenceStart(..) => {
                begin(&mut open, Open::List(Vec::new()))?;
                continue;
            }
            Event::MappingStart(..) => {
                begin(&mut open, Open::Map(Map::new(), None))?;
                continue;
            }
            // An alias can make a small text large; no source of numbers needs one.
            Event::Alias(_) => return Err(Flaw::Refused("has aliases, which are not read")),
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Value::Array(list),
                Some(Open::Map(fields, _)) => Value::Object(fields),
                None => return Err(Flaw::Unreadable("YAML")),
            },
            _ => continue,
        };
        if let Some(document) = place(&mut open, whole)? {
            return Ok(document);
        }
    }
    Err(Flaw::Absent)
}

fn begin(open: &mut Vec<Open>, new: Open) -> Result<(), Flaw> {
    if open.len() >= DEPTH {
        return Err(Flaw::Refused("is nested more than 100 deep"));
    }
    open.push(new);
    Ok(())
}

/// Puts a value where it belongs; gives the document once it is whole.
fn place(open: &mut [Open], value: Value) -> Result<Option<Value>, Flaw> {
    match open.last_mut() {
        None => return Ok(Some(value)),
        Some(Open::List(list)) => list.push(value),
        Some(Open::Map(fields, key)) => match (key.take(), value) {
            (Some(key), value) => drop(fields.insert(key, value)),
            (None, Value::String(text)) => *key = Some(text),
            (None, _) => return Err(Flaw::Refused("has a key that is no text, which is not read")),
        },
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, body: &str) -> Result<f64, Flaw> {
        find(&path.split('.').map(str::to_owned).collect::<Vec<_>>(), body.as_bytes())
    }

    #[test]
    fn fields_and_indexes_lead_to_a_number() {
        let body = "a:\n  b: 42\n  list:\n  - x: 1.5\n  - {x: \"2k\"}\n  7: 8\n  n: ~\n  t: true\n---\nother: 1\n";
        assert_eq!((at("a.b", body), at("a.list.0.x", body)), (Ok(42.0), Ok(1.5)));
        assert_eq!((at("a.list.1.x", body), at("a.7", body)), (Ok(2000.0), Ok(8.0)));
        for path in ["a.c", "a.list.2.x", "other", "a.b.c"] {
            assert_eq!(at(path, body), Err(Flaw::Absent), "{path}");
        }
        for path in ["a", "a.n", "a.t", "a.list"] {
            assert_eq!(at(path, body), Err(Flaw::NotANumber), "{path}");
        }
    }

    #[test]
    fn what_could_grow_or_break_is_refused() {
        assert_eq!(at("a", "a: &x 1\nb: *x\n"), Err(Flaw::Refused("has aliases, which are not read")));
        assert_eq!(at("a", &"- ".repeat(200)), Err(Flaw::Refused("is nested more than 100 deep")));
        assert!(at("a", &"[".repeat(100_000)).is_err());
        assert_eq!(at("a", "a: [1\nb: }"), Err(Flaw::Unreadable("YAML")));
        assert_eq!(at("a", ""), Err(Flaw::Absent));
    }
}
