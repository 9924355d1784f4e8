//! The stored form of an operation: versioned JSON that a later process goes on with.
//!
//! Times inside an operation are spans since it began. The text holds how old the operation was when it was stored and the wall time of that
//! moment; what passed since counts as its time, too. A wall clock that was set back counts for nothing, so no span ever lies in the future.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::flight::Flight;
use super::progress::State;
use super::{Event, Operation};
use crate::time::{Now, Span};

/// The version that is written.
const VERSION: u32 = 1;

/// A stored operation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Not JSON of the expected form.
    #[error("the operation cannot be read: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("the operation has version {0}; versions up to 1 are known")]
    Version(u32),
}

impl StoredError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "OperationMalformed",
            Self::Version(_) => "OperationVersion",
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    /// The revision.
    r: u64,
    /// Wall time of the store, in milliseconds.
    w: i64,
    /// Age of the operation at that moment.
    e: Span,
    /// The operation.
    o: &'a State,
}

#[derive(Deserialize)]
struct Read {
    r: u64,
    w: i64,
    e: Span,
    o: State,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// The text of an operation at `now`. It holds the spec, so it may hold what users wrote there; no secrets, those are references.
pub fn text(operation: &Operation, now: Now) -> String {
    let written = Written {
        v: VERSION,
        r: operation.revision,
        w: now.wall.as_millisecond(),
        e: operation.at(now.tick),
        o: &operation.state,
    };
    // Numbers, texts and lists always have a JSON form.
    serde_json::to_string(&written).unwrap_or_default()
}

/// The operation that a text holds, as after [`Event::Restarted`]. Feed [`Event::Woken`] next.
pub fn read(text: &str, now: Now) -> Result<Operation, StoredError> {
    let malformed = |error: serde_json::Error| StoredError::Malformed(error.to_string());
    let version = serde_json::from_str::<Versioned>(text).map_err(malformed)?.v;
    if version > VERSION {
        return Err(StoredError::Version(version));
    }
    let read: Read = serde_json::from_str(text).map_err(malformed)?;
    let stored = Timestamp::from_millisecond(read.w).map_err(|error| StoredError::Malformed(error.to_string()))?;
    let down = now.tick - now.tick_of(stored);
    let origin = now.tick - Span(read.e.0.max(0).saturating_add(down.0.max(0)));
    let shapes = read.o.jobs.iter().filter_map(|job| job.shape.clone()).collect();
    let mut operation = Operation { origin, revision: read.r, state: read.o, shapes, flight: Flight::default() };
    operation.take_event(Event::Restarted, Span::ZERO);
    Ok(operation)
}
