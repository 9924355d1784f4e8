//! What outlives an operation: stopped jobs, shapes of graphs, savepoints, how the last ones ended, and what people are told.
//!
//! It is stored beside the checkpoint as a text of its own, because it may be larger and because a memory that is lost must not take the path
//! of a savepoint with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use tidegate_calculator::operation::bounds::Shape;
use tidegate_calculator::operation::cooldown::Ending;
use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::refusal::Reason;
use tidegate_calculator::operation::retention::Kept;
use tidegate_calculator::operation::sizing::Sizing;
use tidegate_calculator::operation::summary::Summary;
use tidegate_calculator::operation::{Direction, Note, Operation, Phase};
use tidegate_calculator::time::Now;

use crate::protocol::OperationCondition;

/// The version that is written.
const VERSION: u32 = 1;

/// Savepoints that are remembered: more than any rule keeps, few enough to be stored.
const SAVEPOINTS: usize = 64;

/// What outlives an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Aftermath {
    v: u32,
    /// How many operations the object has begun.
    pub(crate) sequence: u64,
    /// Jobs that are stopped by us.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parked: Vec<Parked>,
    /// Declared shapes of job graphs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) shapes: Vec<Shape>,
    /// Savepoints that were taken, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) savepoints: Vec<Kept>,
    /// How the last operation of each direction ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endings: Vec<Ended>,
    /// What operations say about the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) conditions: Vec<OperationCondition>,
    /// What decides how many TaskManagers are of use.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub(crate) sizing: Option<Sizing>,
    /// Since when stopped jobs should run, by their names, in milliseconds since 1970. One that rests at zero is none of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) overdue: BTreeMap<String, i64>,
    /// The operation that ended last.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    pub(crate) last: Option<Box<Summary>>,
}

/// What can be learned anew, or is only shown, is none if it cannot be read: it must not cost the path of a savepoint.
fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// An ending, and the text of the object at that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    #[serde(flatten)]
    ending: Ending,
    generation: u64,
}

/// What operations have left behind, for whoever only looks at a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left(Aftermath);

/// When the next operation may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// At this moment, in milliseconds since 1970.
    Until(i64),
    /// Once the object or a policy is another one.
    Changed,
}

/// A stored text that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AftermathError {
    /// Not of the expected form.
    #[error("what operations have left behind cannot be read: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("what operations have left behind has version {0}; versions up to 1 are known")]
    Version(u32),
}

impl AftermathError {
    /// The stable reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "AftermathMalformed",
            Self::Version(_) => "AftermathVersion",
        }
    }
}

impl Left {
    /// What a stored text holds.
    ///
    /// # Errors
    /// If it has another form, or was written by a newer version.
    pub fn read(text: &str) -> Result<Self, AftermathError> {
        Aftermath::read(text).map(Self)
    }

    /// The jobs that are stopped by us and do not run.
    pub fn parked(&self) -> &[Parked] {
        &self.0.parked
    }

    /// The declared shapes of job graphs.
    pub fn shapes(&self) -> &[Shape] {
        &self.0.shapes
    }

    /// The savepoints that were taken, the newest last.
    pub fn savepoints(&self) -> &[Kept] {
        &self.0.savepoints
    }

    /// What operations say about the object.
    pub fn conditions(&self) -> &[OperationCondition] {
        &self.0.conditions
    }

    /// What the next operation in this direction waits for, if it has to. `generation` is that of the object's present text.
    pub fn rest(&self, direction: Direction, generation: u64, now: Now) -> Option<Rest> {
        self.0.rest(direction, generation, now)
    }
}

impl Aftermath {
    /// What a text holds.
    pub(super) fn read(text: &str) -> Result<Self, AftermathError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
        }
        let malformed = |error: serde_json::Error| AftermathError::Malformed(error.to_string());
        match serde_json::from_str::<Versioned>(text).map_err(malformed)?.v {
            version if version > VERSION => Err(AftermathError::Version(version)),
            _ => serde_json::from_str(text).map_err(malformed),
        }
    }

    /// The stored form; none if there is nothing to store.
    pub(super) fn text(&self) -> Option<Arc<str>> {
        if *self == Self::default() {
            return None;
        }
        // Numbers, texts and lists always have a JSON form.
        serde_json::to_string(&Self { v: VERSION, ..self.clone() }).ok().map(Into::into)
    }

    /// Takes over what an operation that has ended leaves behind.
    pub(super) fn take(&mut self, operation: &Operation, generation: u64, now: Now) {
        let attempt = self.failures(operation.state().direction).saturating_add(1);
        self.last = Some(Box::new(operation.summary(attempt, now)));
        self.parked = operation.parked();
        self.shapes = operation.shapes();
        // One that ended before it looked at the jobs has learned nothing.
        if operation.state().strategy.is_some() {
            self.learn(operation.sizing());
        }
        self.keep_overdue(operation, now);
        for taken in operation.savepoints(now) {
            self.savepoints.retain(|kept| kept.path != taken.path);
            self.savepoints.push(taken);
        }
        let surplus = self.savepoints.len().saturating_sub(SAVEPOINTS);
        self.savepoints.drain(..surplus);
        let direction = operation.state().direction;
        let before = self.ending(direction).map(|ended| ended.ending.clone());
        if let Some(ending) = operation.ending(before.as_ref(), now) {
            self.endings.retain(|ended| ended.ending.direction != direction);
            self.endings.push(Ended { ending, generation });
        }
    }

    /// What is known of the jobs' sizes from now on. How many slots a TaskManager has is not forgotten while none is there.
    pub(super) fn learn(&mut self, sizing: Option<Sizing>) {
        let slots = self.sizing.as_ref().and_then(|before| before.slots_per);
        self.sizing = sizing.map(|sizing| Sizing { slots_per: sizing.slots_per.or(slots), ..sizing });
    }

    /// Since when stopped jobs should run: since the first operation that was to run them again, or since their stop. At zero none should.
    fn keep_overdue(&mut self, operation: &Operation, now: Now) {
        let state = operation.state();
        if (state.direction, state.phase) == (Direction::ToZero, Phase::Done) {
            return self.overdue.clear();
        }
        for job in operation.stopped_jobs() {
            self.overdue.entry(job.name).or_insert_with(|| now.wall_of(job.since).as_millisecond());
        }
        let parked = &self.parked;
        self.overdue.retain(|name, _| parked.iter().any(|job| job.name == *name));
    }

    /// An operation begins that is to run stopped jobs again.
    pub(super) fn begin_overdue(&mut self, now: Now) {
        let wall = now.wall.as_millisecond();
        for job in &self.parked {
            self.overdue.entry(job.name.clone()).or_insert(wall);
        }
    }

    fn ending(&self, direction: Direction) -> Option<&Ended> {
        self.endings.iter().find(|ended| ended.ending.direction == direction)
    }

    /// How often in a row a change in this direction was not made.
    pub(super) fn failures(&self, direction: Direction) -> u32 {
        self.ending(direction).map_or(0, |ended| ended.ending.failures)
    }

    /// What the next operation in this direction waits for, if it has to: the pause after the last one in its own direction, and the cooldown
    /// after a change of any direction. Leaving zero waits for its own pause alone: nothing runs that could need rest.
    pub(super) fn rest(&self, direction: Direction, generation: u64, now: Now) -> Option<Rest> {
        let counts = |ended: &&Ended| {
            ended.ending.direction == direction
                || (ended.ending.phase == Phase::Done && direction != Direction::FromZero)
        };
        let rest = |ended: &Ended| match ended.ending.next(ended.generation != generation) {
            Some(at) => Rest::Until(at),
            None => Rest::Changed,
        };
        let present = now.wall.as_millisecond();
        self.endings.iter().filter(counts).fold(None, |longest, ended| match (longest, rest(ended)) {
            (Some(Rest::Changed), _) | (_, Rest::Changed) => Some(Rest::Changed),
            (_, Rest::Until(at)) if at <= present => longest,
            (Some(Rest::Until(before)), Rest::Until(at)) => Some(Rest::Until(before.max(at))),
            (None, until) => Some(until),
        })
    }

    /// Keeps a note that people see for longer; true if something has changed.
    pub(super) fn note(&mut self, note: &Note, direction: Direction) -> bool {
        match note {
            Note::Announce { .. } => false,
            Note::Condition { name, holds, message } => {
                let condition =
                    OperationCondition { name: name.clone(), holds: *holds, message: message.clone(), direction };
                let same = self.conditions.contains(&condition);
                if !same {
                    self.conditions.retain(|known| known.name != condition.name);
                    self.conditions.push(condition);
                }
                !same
            }
            Note::Clear(direction) => {
                let before = self.conditions.len();
                // That no more is of use is over when more is, not with an operation.
                let stays = Reason::MaxParallelismReached.reason();
                self.conditions.retain(|known| known.direction != *direction || known.name == stays);
                self.conditions.len() != before
            }
        }
    }
}
