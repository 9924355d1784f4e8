//! What happens to an operation: answers to its calls, the wish, the gates, time, and a restart of our own process.

use serde::{Deserialize, Serialize};

use super::facts::{Inspection, JobState, Look};
use crate::time::Span;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operation begins, or the time that [`super::action::Step::wake`] names has come.
    Woken,
    /// The revision is stored durably.
    Stored(u64),
    /// A call came to an end. Without any answer in its time: `Failed` with class Lost.
    Answered {
        /// The call's number.
        call: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// A pass has decided: the number after its vetoes.
    Wish {
        /// The replicas that are wanted.
        replicas: u32,
        /// Whether every Scale trigger had data read after the pass was due. Other wishes count for nothing.
        fresh: bool,
    },
    /// The object's hooks are not those that it began with any more.
    HooksChanged,
    /// What the gates say about the operation's direction: the name of one that is closed, or none.
    Gate(Option<String>),
    /// Our process began again: what was in flight is unknown. [`super::stored::read`] gives an operation for which this has happened.
    Restarted,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Performed, or accepted where results are polled.
    Done,
    /// Still under way.
    InProgress,
    /// The server knows no such id.
    NotFound,
    /// What was inspected.
    Inspected(Box<Inspection>),
    /// A snapshot is complete.
    Completed {
        /// The checkpoint's id.
        id: Option<u64>,
        /// Its path.
        path: Option<String>,
        /// How long ago it completed.
        age: Span,
    },
    /// What was found of a lost snapshot.
    Looked(Look),
    /// A job was started with this id.
    Started {
        /// Its id.
        job: String,
    },
    /// The state of a job.
    Status(JobState),
    /// It failed.
    Failed(Failure),
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What can be done about it.
    pub class: Class,
    /// The innermost cause in a few words; adapters cut it to [`Failure::LONGEST`] characters.
    pub text: String,
    /// The path of a savepoint that is complete although the call failed.
    pub path: Option<String>,
}

impl Failure {
    /// The longest text that is kept: Flink sends traces of 94 KB.
    pub const LONGEST: usize = 300;

    /// A failure without a path.
    pub fn new(class: Class, text: &str) -> Self {
        Self { class, text: text.chars().take(Self::LONGEST).collect(), path: None }
    }
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// A setting is wrong: it fails the same way again. Directories that cannot be created, unknown file systems, 401, 403, most 4xx.
    Config,
    /// It may work the next time: a checkpoint expired, a task failed.
    Transient,
    /// The job restarts; it works once the job is stable. "Checkpoint Coordinator is suspending", "not being executed at the moment".
    Restarting,
    /// The job is not there any more, or has ended.
    Gone,
    /// The server does not answer, answers 503 ("ongoing leader election") or 429. It says nothing about the job.
    Unavailable,
    /// The answer was lost: it may have worked.
    Lost,
    /// Somebody wrote in between, or the id is in use already.
    Conflict,
    /// Nothing was written, because somebody else's change must not be written over. It is over when they take it back.
    LeftAlone,
    /// A stop whose savepoint is complete while the job failed after it (`StopWithSavepointStoppingException`).
    Stopping,
}
