//! The text of a policy with what it says: however many objects name it, it is read once.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::super::findings::Findings;
use super::super::fingerprint;
use super::{Written, read};

/// A policy. It is read when the first object asks what it says.
#[derive(Debug)]
pub struct Policy {
    text: Arc<Value>,
    said: OnceLock<Said>,
}

/// What a policy says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) written: Written,
    pub(super) findings: Findings,
    /// Its spec as its fingerprint takes it.
    pub(super) spec: String,
}

impl Policy {
    /// The policy with this text: whole, with its kind, its metadata and its spec.
    pub fn new(text: Arc<Value>) -> Self {
        Self { text, said: OnceLock::new() }
    }

    /// Its text.
    pub fn text(&self) -> &Value {
        &self.text
    }

    pub(super) fn said(&self) -> &Said {
        self.said.get_or_init(|| {
            let (written, findings) = read(&self.text);
            let spec = fingerprint::canonical(self.text.get("spec").unwrap_or(&Value::Null));
            Said { written, findings, spec }
        })
    }
}
