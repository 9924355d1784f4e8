//! One object of a file, and where its fields stand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::path;
use super::yaml::{Data, Entry, Flaw, Node};

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// One Kubernetes object, as far as anybody can tell: a map.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file that it stands in.
    pub file: PathBuf,
    /// The object, always a map.
    pub value: Value,
    positions: HashMap<String, Position>,
}

impl Document {
    /// `apiVersion`; empty if there is none.
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// `kind`; empty if there is none.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.namespace`, or `default`.
    pub fn namespace(&self) -> &str {
        match self.text("/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        }
    }

    /// `metadata.name`; empty if there is none.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Where the field at `path` stands: its key, or the value of a list's entry. A field that is not there has the place
    /// of the nearest one that holds it; the empty path is the object.
    pub fn position(&self, path: &str) -> Option<Position> {
        let mut path = Some(path);
        while let Some(here) = path {
            if let Some(at) = self.positions.get(here) {
                return Some(*at);
            }
            path = path::parent(here);
        }
        None
    }

    /// Whether the field at `path` is there.
    pub fn has(&self, path: &str) -> bool {
        self.positions.contains_key(path)
    }

    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn new(file: &Path, node: Node) -> Self {
        let mut positions = HashMap::new();
        positions.insert(String::new(), node.at);
        let value = flatten(node, "", &mut positions);
        Self { file: file.to_owned(), value, positions }
    }
}

/// Makes documents of trees; a `List` is taken apart into its items.
pub(super) fn unfold(file: &Path, nodes: Vec<Node>) -> Result<Vec<Document>, Flaw> {
    let mut documents = Vec::new();
    for node in nodes {
        let at = node.at;
        match node.data {
            Data::Map(entries) => match items(entries) {
                Ok((list, items)) => unfold_list(file, &list, items, &mut documents)?,
                Err(entries) => documents.push(Document::new(file, Node { at, data: Data::Map(entries) })),
            },
            _ => return Err(no_object(at)),
        }
    }
    Ok(documents)
}

/// What a list says of its items: their apiVersion and kind, where the list is of one kind.
struct ListOf {
    api_version: Option<Entry>,
    kind: Option<Entry>,
}

/// The items of a map whose kind ends with `List`; else the map as it was.
fn items(mut entries: Vec<Entry>) -> Result<(ListOf, Vec<Node>), Vec<Entry>> {
    let text =
        |name: &str| entries.iter().find(|entry| entry.key == name && matches!(entry.node.data, Data::Scalar(_)));
    let kind = text("kind").and_then(|entry| match &entry.node.data {
        Data::Scalar(Value::String(kind)) => kind.strip_suffix("List").map(|of| (of.to_owned(), entry.clone())),
        _ => None,
    });
    let Some((of, mut kind)) = kind else { return Err(entries) };
    let api_version = text("apiVersion").cloned();
    let Some(index) = entries.iter().position(|entry| entry.key == "items") else { return Err(entries) };
    if !matches!(entries[index].node.data, Data::List(_)) {
        return Err(entries);
    }
    let Data::List(items) = entries.swap_remove(index).node.data else { return Err(entries) };
    let typed = !of.is_empty();
    kind.node.data = Data::Scalar(Value::String(of));
    Ok((ListOf { api_version: api_version.filter(|_| typed), kind: typed.then_some(kind) }, items))
}

fn unfold_list(file: &Path, list: &ListOf, items: Vec<Node>, documents: &mut Vec<Document>) -> Result<(), Flaw> {
    for item in items {
        let Data::Map(mut entries) = item.data else { return Err(no_object(item.at)) };
        for (name, given) in [("apiVersion", &list.api_version), ("kind", &list.kind)] {
            if let Some(entry) = given
                && !entries.iter().any(|entry| entry.key == name)
            {
                entries.push(entry.clone());
            }
        }
        documents.push(Document::new(file, Node { at: item.at, data: Data::Map(entries) }));
    }
    Ok(())
}

fn no_object(at: super::Position) -> Flaw {
    Flaw::malformed(at, "is not a Kubernetes object: a map with apiVersion and kind is needed")
}

fn flatten(node: Node, here: &str, positions: &mut HashMap<String, Position>) -> Value {
    match node.data {
        Data::Scalar(value) => value,
        Data::List(items) => {
            let item = |(index, item): (usize, Node)| {
                let path = path::item(here, index);
                positions.insert(path.clone(), item.at);
                flatten(item, &path, positions)
            };
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        Data::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                let path = path::child(here, &entry.key);
                positions.insert(path.clone(), entry.at);
                let value = flatten(entry.node, &path, positions);
                map.insert(entry.key, value);
            }
            Value::Object(map)
        }
    }
}
