//! Keeps a value that is seldom looked at as the text of its JSON form, which takes half of its room or less.
//!
//! The statuses of objects and records are such values: lists and maps of short texts, each of which costs far more than its letters. They
//! are compared with what comes later, and read when something is stored.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as text. Two of them are equal if their values have the same JSON form.
pub struct Packed<T> {
    /// Empty for the default.
    text: Box<str>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + Default> Packed<T> {
    /// Packs a value. It must be a plain struct of texts and numbers: such a one always has a JSON form.
    pub fn new(value: &T) -> Self {
        let text = serde_json::to_string(value).unwrap_or_default();
        Self { text: if text == "{}" { Box::default() } else { text.into() }, of: PhantomData }
    }

    /// The value. What its JSON form leaves out, such as parts of a second, is gone.
    pub fn open(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), of: PhantomData }
    }
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self { text: Box::default(), of: PhantomData }
    }
}

impl<T> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_crds::{ScaleRecordStatus, ScaledObjectStatus};

    use super::*;

    #[test]
    fn what_comes_out_is_what_was_put_in() {
        let record: ScaleRecordStatus = serde_json::from_value(json!({
            "target": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" },
            "replicas": 3,
            "lastChange": { "at": "2026-03-01T12:00:01Z", "from": 1, "to": 3, "why": "\"quoted\"" },
            "operation": { "summary": { "phase": "Snapshot" }, "ours": { "deep": [1, null] } },
            "checkpoint": "{\"v\":1}",
            "conditions": [{
                "type": "AbleToScale", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-03-01T12:00:01Z",
            }],
        }))
        .unwrap();
        assert_eq!(Packed::new(&record).open(), record);
        let object: ScaledObjectStatus = serde_json::from_value(json!({
            "scaleTargetGVKR": { "group": "apps", "version": "v1", "kind": "Deployment", "resource": "deployments" },
            "lastActiveTime": "2026-03-01T12:00:01Z",
            "conditions": [{ "type": "Ready", "status": "True" }],
            "triggersActivity": { "s0-redis-orders": { "isActive": true } },
        }))
        .unwrap();
        assert_eq!(Packed::new(&object).open(), object);
        assert_ne!(Packed::new(&object), Packed::default());
    }

    #[test]
    fn nothing_takes_no_room() {
        let nothing = Packed::new(&ScaledObjectStatus::default());
        assert_eq!((&*nothing.text, nothing.open()), ("", ScaledObjectStatus::default()));
        assert_eq!(nothing, Packed::default());
    }
}
