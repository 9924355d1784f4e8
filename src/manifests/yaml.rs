//! Builds trees of values with their places from YAML, within bounds.
//!
//! The parser's events are taken one by one, so that a key that stands twice is seen, and aliases cannot make a small
//! file large.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use serde_json::Value;

use super::document::Position;
use super::scalar;

/// The most values of one file, aliases counted as what they stand for.
const MAX_VALUES: usize = 500_000;
/// The deepest nesting; the deepest Kubernetes object needs about thirty.
const MAX_DEPTH: usize = 100;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One field of a map; `at` is the place of its key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: Position,
    pub(super) message: String,
    pub(super) too_large: bool,
}

/// Reads all documents of a text; empty ones are left out.
pub(super) fn read(text: &str) -> Result<Vec<Node>, Flaw> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| scan_flaw(&error))?;
        builder.take(event, position(span.start))?;
    }
    Ok(builder.documents)
}

fn position(mark: Marker) -> Position {
    Position { line: mark.line().max(1), column: mark.col() + 1 }
}

fn scan_flaw(error: &ScanError) -> Flaw {
    Flaw::malformed(position(*error.marker()), format!("is not YAML: {}", error.info()))
}

impl Flaw {
    pub(super) fn malformed(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), too_large: false }
    }

    fn too_large(at: Position, message: String) -> Self {
        Self { at, message, too_large: true }
    }
}

/// A list or a map whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    keys: HashMap<String, Position>,
    /// The key whose value comes next.
    key: Option<(String, Position)>,
    /// What `<<` brings in where the map itself has no such key.
    merged: Vec<Node>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    values: usize,
}

/// The key that brings the entries of other maps in.
const MERGE: &str = "<<";

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Flaw> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref(), at),
            Event::SequenceStart(anchor, _) => self.begin(anchor, Kind::List(Vec::new()), at),
            Event::MappingStart(anchor, _) => self.begin(anchor, Kind::Map(OpenMap::default()), at),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), Flaw> {
        let plain = style == ScalarStyle::Plain;
        if let Some(Open { kind: Kind::Map(map), .. }) = self.open.last_mut()
            && map.key.is_none()
        {
            return map.begin(&text, plain, at);
        }
        let node = Node { at, data: Data::Scalar(typed(text, plain, tag).map_err(|why| Flaw::malformed(at, why))?) };
        self.count(&node)?;
        self.place(node, anchor)
    }

    fn begin(&mut self, anchor: usize, kind: Kind, at: Position) -> Result<(), Flaw> {
        self.expects_value(at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Flaw::too_large(at, format!("is nested more than {MAX_DEPTH} deep")));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Flaw> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let data = match open.kind {
            Kind::List(items) => Data::List(items),
            Kind::Map(map) => Data::Map(map.finish()),
        };
        let node = Node { at: open.at, data };
        self.add(1, open.at)?;
        self.place(node, open.anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Flaw> {
        self.expects_value(at)?;
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Flaw::malformed(at, "is not YAML: an alias stands inside of what it names"));
        };
        self.count(&node)?;
        if self.open.len() + node.height() > MAX_DEPTH {
            return Err(Flaw::too_large(at, format!("is nested more than {MAX_DEPTH} deep")));
        }
        self.place(node, 0)
    }

    /// Puts a finished value where it belongs, and keeps it if an alias may ask for it.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Flaw> {
        if anchor != 0 {
            self.count(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map(map)) => return map.put(node),
            None if matches!(node.data, Data::Scalar(Value::Null)) => {}
            None => self.documents.push(node),
        }
        Ok(())
    }

    /// A list, a map or an alias may not stand where a key must.
    fn expects_value(&self, at: Position) -> Result<(), Flaw> {
        match self.open.last() {
            Some(Open { kind: Kind::Map(map), .. }) if map.key.is_none() => {
                let message =
                    "has a key that is not a text; a template must be rendered, and text with { or [ needs quotes";
                Err(Flaw::malformed(at, message))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, node: &Node) -> Result<(), Flaw> {
        self.add(node.weight(), node.at)
    }

    fn add(&mut self, values: usize, at: Position) -> Result<(), Flaw> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(Flaw::too_large(
                at,
                format!("has more than {MAX_VALUES} values, aliases counted as what they name"),
            ));
        }
        Ok(())
    }
}

impl OpenMap {
    fn begin(&mut self, text: &str, plain: bool, at: Position) -> Result<(), Flaw> {
        let key = if plain { key(text).map_err(|why| Flaw::malformed(at, why))? } else { text.to_owned() };
        if plain && key == MERGE {
            self.key = Some((key, at));
            return Ok(());
        }
        if let Some(first) = self.keys.insert(key.clone(), at) {
            return Err(Flaw::malformed(
                at,
                format!("has the key {key:?} twice; it stands in line {} already", first.line),
            ));
        }
        self.key = Some((key, at));
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Flaw> {
        match self.key.take() {
            Some((key, at)) if key == MERGE && !self.keys.contains_key(MERGE) => self.merge(node, at),
            Some((key, at)) => {
                self.entries.push(Entry { key, at, node });
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn merge(&mut self, node: Node, at: Position) -> Result<(), Flaw> {
        match node.data {
            Data::Map(_) => self.merged.push(node),
            Data::List(items) if items.iter().all(|item| matches!(item.data, Data::Map(_))) => {
                self.merged.extend(items);
            }
            _ => return Err(Flaw::malformed(at, "merges what is not a map: << takes a map or a list of maps")),
        }
        Ok(())
    }

    /// The entries of the map, then those that were merged in: the map's own win, then the first.
    fn finish(mut self) -> Vec<Entry> {
        for node in self.merged {
            let Data::Map(entries) = node.data else { continue };
            for entry in entries {
                if self.keys.insert(entry.key.clone(), entry.at).is_none() {
                    self.entries.push(entry);
                }
            }
        }
        self.entries
    }
}

impl Node {
    /// How many values this is.
    fn weight(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => items.iter().map(Self::weight).sum(),
            Data::Map(entries) => entries.iter().map(|entry| entry.node.weight()).sum(),
        }
    }

    /// How deep this nests; 0 for a scalar.
    fn height(&self) -> usize {
        match &self.data {
            Data::Scalar(_) => 0,
            Data::List(items) => 1 + items.iter().map(Self::height).max().unwrap_or(0),
            Data::Map(entries) => 1 + entries.iter().map(|entry| entry.node.height()).max().unwrap_or(0),
        }
    }
}

/// The text of a plain key: numbers and truth values become the text that `kubectl` makes of them.
fn key(text: &str) -> Result<String, String> {
    match scalar::plain(text)? {
        Value::String(text) => Ok(text),
        Value::Null => Err("has an empty key".to_owned()),
        other => Ok(other.to_string()),
    }
}

/// The value of a scalar: its tag decides, then its quotes.
fn typed(text: Cow<'_, str>, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let tagged = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match tagged {
        Some("int" | "float" | "bool" | "null") => scalar::plain(&text),
        None if plain && tag.is_none() => scalar::plain(&text),
        _ => Ok(Value::String(text.into_owned())),
    }
}
