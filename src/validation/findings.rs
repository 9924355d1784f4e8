//! Collects what there is to say about one object.

use serde_json::Value;
use tidegate_calculator::source::Problem;
use tidegate_engine::subject::{Finding, Severity};

/// The longest value that a finding shows, in characters.
const LONGEST: usize = 60;

/// The findings so far, and whether one of them is an object-level error.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) refused: bool,
}

impl Findings {
    /// An object-level error: the object cannot be obeyed.
    pub(super) fn refuse(&mut self, path: impl Into<String>, value: Option<String>, allowed: impl Into<String>) {
        self.refused = true;
        self.say(Severity::Error, Problem { path: path.into(), value, allowed: allowed.into() });
    }

    /// Something that is accepted, but probably not meant.
    pub(super) fn warn(&mut self, path: impl Into<String>, value: Option<String>, allowed: impl Into<String>) {
        self.say(Severity::Warning, Problem { path: path.into(), value, allowed: allowed.into() });
    }

    /// Something worth knowing.
    pub(super) fn tell(&mut self, path: impl Into<String>, value: Option<String>, allowed: impl Into<String>) {
        self.say(Severity::Info, Problem { path: path.into(), value, allowed: allowed.into() });
    }

    /// Any finding that leaves the object as it is.
    pub(super) fn say(&mut self, severity: Severity, problem: Problem) {
        self.list.push(Finding { problem, severity });
    }
}

/// A value as a finding shows it: short, on one line.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The known word that differs from the written one by as little as a slip of the finger; the closest of several.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance costs the product of both lengths, and nobody mistypes a word of a hundred letters.
    if written.len() > 100 {
        return None;
    }
    let written = written.to_lowercase();
    let near = known.into_iter().filter_map(|word| {
        let allowed = if word.len() <= 4 { 1 } else { 2 };
        let changes = strsim::osa_distance(&written, &word.to_lowercase());
        (changes <= allowed).then_some((changes, word))
    });
    near.min_by_key(|(changes, _)| *changes).map(|(_, word)| word)
}

/// `; did you mean X?`, or nothing.
pub(super) fn guess<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, known).map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}
