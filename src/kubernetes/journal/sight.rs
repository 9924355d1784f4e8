//! What is known to be in the API server while the watches lag behind our own writes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_crds::ScaleRecordStatus;
use tokio::time::Instant;

use crate::kubernetes::known::{ObjectFacts, RecordFacts, StatusView};
use crate::kubernetes::packed::Packed;

/// How long the watches may take to show a write; after that the object is read anew rather than believed.
const LAG: Duration = Duration::from_secs(30);

/// What was written of one object and is not seen yet.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The ScaledObject that it was written of.
    pub(super) uid: String,
    pub(super) status: Sight<StatusView>,
    pub(super) record: Sight<ScaleRecordStatus>,
}

/// Where to look for what is there now.
#[derive(Debug, Default)]
pub(super) enum Sight<T> {
    /// The watches have shown our last write, or there was none.
    #[default]
    Watched,
    /// The watches are behind this write.
    Written { version: String, held: Box<T>, at: Instant },
    /// A write may have landed or not.
    Unknown,
}

/// What is there now.
#[derive(Debug, PartialEq)]
pub(super) enum Before<T> {
    /// This; none if it does not exist.
    Known(Option<T>),
    /// It must be read anew.
    Unknown,
}

/// The version and the content of an object's record as last seen. One that an older object of the same name has left
/// says nothing about this one.
pub(super) fn of_record(facts: &ObjectFacts) -> Option<(&str, &Packed<ScaleRecordStatus>)> {
    let own = |record: &&RecordFacts| record.owner.as_ref().is_none_or(|owner| *owner == facts.uid);
    let record = facts.record.as_ref().filter(own)?;
    Some((&record.resource_version, &record.status))
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Sight<T> {
    /// A write that has just succeeded; without a version in the answer it must be read anew.
    pub(super) fn written(version: String, held: T) -> Self {
        if version.is_empty() {
            return Self::Unknown;
        }
        Self::Written { version, held: Box::new(held), at: Instant::now() }
    }

    /// What is there now, given what the watches show.
    pub(super) fn before(&mut self, shown: Option<(&str, &Packed<T>)>) -> Before<T> {
        self.compare(shown);
        match self {
            Self::Watched => Before::Known(shown.map(|(_, held)| held.open())),
            Self::Written { held, .. } => Before::Known(Some((**held).clone())),
            Self::Unknown => Before::Unknown,
        }
    }

    /// Compares with what the watches show.
    pub(super) fn compare(&mut self, shown: Option<(&str, &Packed<T>)>) {
        if let Self::Written { version, at, .. } = self {
            if shown.is_some_and(|(shown, _)| is_at_least(shown, version)) {
                *self = Self::Watched;
            } else if at.elapsed() > LAG {
                *self = Self::Unknown;
            }
        }
    }
}

impl Sent {
    /// Whether there is nothing to remember.
    pub(super) fn is_seen(&self) -> bool {
        matches!((&self.status, &self.record), (Sight::Watched, Sight::Watched))
    }

    /// Whether the watches should show something.
    pub(super) fn waits(&self) -> bool {
        matches!(self.status, Sight::Written { .. }) || matches!(self.record, Sight::Written { .. })
    }
}

/// Whether one resourceVersion is as new as another. They are numbers that grow; one that is not is only equal to itself.
fn is_at_least(shown: &str, written: &str) -> bool {
    match (shown.parse::<u64>(), written.parse::<u64>()) {
        (Ok(shown), Ok(written)) => shown >= written,
        _ => shown == written,
    }
}
