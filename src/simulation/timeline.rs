//! What happened in a run, in order.

use tidegate_calculator::time::Tick;
use tidegate_engine::protocol::{Call, Entry, Event};
use tidegate_engine::subject::{ObjectId, TargetRef};

/// Everything that a run did to its world. Moments are ticks since the start of the run, whatever crashes came between.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Changes of replicas.
    pub changes: Vec<Change>,
    /// What was stored.
    pub stores: Vec<Stored>,
    /// What people were told.
    pub announces: Vec<Announced>,
    /// What was read.
    pub reads: Vec<Read>,
    /// When the process ended.
    pub crashes: Vec<Tick>,
    /// What each write of the engine rested on.
    pub grounds: Vec<Ground>,
}

/// What a write rested on when it was commanded. Ticks are those of the engine's own life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Which engine.
    pub life: u32,
    /// By which call.
    pub call: Call,
    /// When the decision was made.
    pub decided: Tick,
    /// When its pass was due.
    pub due: Tick,
    /// Whether it lowers because of what the triggers said.
    pub lowers_by_metrics: bool,
    /// When the oldest reading was begun; none if a trigger had no value.
    pub oldest: Option<Tick>,
}

/// The replicas of a target were changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Tick,
    /// Which target.
    pub target: TargetRef,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// Whose write it was.
    pub by: Writer,
    /// Why, as the engine told people; none if it was not told (yet), or is somebody else's.
    pub why: Option<String>,
}

/// Who wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The engine, for this object. `life` counts the engines of the run from 1, as each begins its calls anew.
    Engine {
        /// For which object.
        object: ObjectId,
        /// Which engine.
        life: u32,
        /// By which call.
        call: Call,
    },
    /// Somebody else.
    Foreign,
}

/// An entry that is durable from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// When.
    pub at: Tick,
    /// Of which object.
    pub object: ObjectId,
    /// What.
    pub entry: Entry,
}

/// Something that people were told.
#[derive(Clone, Debug, PartialEq)]
pub struct Announced {
    /// When.
    pub at: Tick,
    /// About which object.
    pub object: ObjectId,
    /// What.
    pub event: Event,
}

/// A read that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// When.
    pub at: Tick,
    /// For which object.
    pub object: ObjectId,
    /// Which of its triggers.
    pub trigger: u8,
}

impl Timeline {
    /// The engine's own changes, as `(milliseconds since the start, from, to)`.
    pub fn counts(&self) -> Vec<(i64, u32, u32)> {
        let own = self.changes.iter().filter(|change| change.by != Writer::Foreign);
        own.map(|change| (change.at.0, change.from, change.to)).collect()
    }

    /// Puts the reason that people were told to the change that it explains.
    pub(super) fn explain(&mut self, object: &ObjectId, event: &Event) {
        let Event::Scaled(told) = event else { return };
        let mine = |change: &&mut Change| matches!(&change.by, Writer::Engine { object: id, .. } if id == object);
        if let Some(change) = self.changes.iter_mut().rev().find(mine)
            && change.why.is_none()
            && change.to == told.to
        {
            change.why = Some(told.why.clone());
        }
    }
}
