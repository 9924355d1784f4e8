//! Turns a HorizontalPodAutoscaler into the ScaledObject that does the same.
//!
//! Nothing here reads a file or a cluster: a document goes in, an [`Outcome`] comes out. [`autoscaler`] reads the four versions of the
//! API (hpa-algorithm §1) into one form, with [`metrics`] and [`selector`] for their parts; [`manifest`] is what is written, and
//! [`differences`] says where the two do not mean the same. What would be lost with an effect on the replicas is refused by name.

mod autoscaler;
mod differences;
mod fields;
mod manifest;
mod metrics;
mod selector;

use serde_json::Value;
use tidegate_calculator::source::Problem;

use crate::manifests::Document;
use fields::Found;
pub use manifest::Manifest;

/// The kind that is converted.
const KIND: &str = "HorizontalPodAutoscaler";
/// How long the lines of comments are, in characters.
const COMMENT_WIDTH: usize = 110;

/// What became of one document.
#[derive(Debug)]
pub enum Outcome {
    /// It is an autoscaler, and this is its ScaledObject.
    Converted(Box<Converted>),
    /// It is none that should be converted; the sentence says why.
    PassedOver(String),
    /// It is an autoscaler that cannot be converted, with everything that stands in the way. Paths are those of the document.
    Refused(Vec<Problem>),
}

/// A ScaledObject, and what there is to say about it.
#[derive(Debug)]
pub struct Converted {
    /// What it was made of.
    pub origin: String,
    /// The object.
    pub manifest: Manifest,
    /// Sentences about what differs and what was left out.
    pub notes: Vec<String>,
}

/// Why a manifest could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the ScaledObject cannot be written as YAML: {0}")]
pub struct WriteError(#[from] serde_saphyr::ser::Error);

impl WriteError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        "NotYaml"
    }
}

/// Converts one document.
pub fn convert(document: &Document) -> Outcome {
    let name = format!("{}/{}", document.namespace(), document.name());
    if document.kind() != KIND {
        let kind = if document.kind().is_empty() { "A document without a kind" } else { document.kind() };
        return Outcome::PassedOver(format!("{kind} {name} is no {KIND} and is left out."));
    }
    if let Some(owner) = scaled_object(document) {
        return Outcome::PassedOver(format!("{KIND} {name} is made by KEDA of ScaledObject {owner}: apply that one."));
    }
    let mut found = Found::default();
    let read = autoscaler::read(document, &mut found);
    match read {
        Some(autoscaler) if found.problems.is_empty() => {
            let manifest = Manifest::of(&autoscaler, document);
            let mut notes = differences::of(&autoscaler, &manifest);
            notes.append(&mut found.notes);
            let origin = format!("{KIND} {name} ({})", document.api_version());
            Outcome::Converted(Box::new(Converted { origin, manifest, notes }))
        }
        _ => Outcome::Refused(found.problems),
    }
}

impl Converted {
    /// The object as YAML, below comments that say what it was made of and what differs.
    pub fn yaml(&self) -> Result<String, WriteError> {
        let Self { origin, manifest, notes } = self;
        let both = "as long as both are there, Tidegate leaves the replicas to the autoscaler";
        let mut text = comment(&format!("Made of {origin}. Apply it, then delete the autoscaler: {both}."));
        for note in notes {
            text.push_str(&comment(note));
        }
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        text.push_str(&serde_saphyr::to_string_with_options(manifest, options)?);
        Ok(text)
    }
}

/// A sentence as a comment of as many lines as it takes. Names of users may hold anything, also the end of a line.
pub fn comment(sentence: &str) -> String {
    let (mut text, mut width) = (String::from("#"), 1);
    for word in sentence.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if width + 1 + length > COMMENT_WIDTH && width > 1 {
            text.push_str("\n#  ");
            width = 4;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + length;
    }
    text.push('\n');
    text
}

/// The ScaledObject that owns an autoscaler, if one does.
fn scaled_object(document: &Document) -> Option<&str> {
    let owners = document.value.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner.get("kind").and_then(Value::as_str) == Some("ScaledObject"))?;
    owner.get("name")?.as_str()
}

#[cfg(test)]
mod tests;
