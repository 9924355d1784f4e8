//! How far an operation is: everything that must outlive our own process.
//!
//! Times are spans since the operation began; [`super::stored`] says how they survive a restart.

use serde::{Deserialize, Serialize};

use super::bounds::{Bound, Shape, split};
use super::facts::JobFacts;
use super::ids::{Kind, OperationId};
use super::phase::{Direction, Phase, Stage, Strategy};
use super::refusal::Cause;
use super::spec::{Flink, HookSpec};
use crate::time::Span;

/// The durable part of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub struct State {
    /// Its id.
    pub id: OperationId,
    /// Its direction.
    pub direction: Direction,
    /// The replicas before.
    pub from: u32,
    /// The replicas that are wanted; may move until they are applied.
    pub to: u32,
    /// The replicas that bounds or a pause ask for, whatever is of use; 0 if they ask for none.
    #[serde(default, skip_serializing_if = "unset")]
    pub needed: u32,
    /// In growing, the most replicas that are of use or needed, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// The spec that it began with.
    pub spec: HookSpec,
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Span,
    /// The strategy, once it is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Why that one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The stages it goes through.
    pub plan: Vec<Stage>,
    /// The index of the present stage.
    pub at: usize,
    /// When the present stage was entered.
    pub entered: Span,
    /// Counted failures of the present stage's own calls.
    #[serde(default, skip_serializing_if = "unset")]
    pub failures: u32,
    /// Nothing is asked before this moment after such a failure.
    #[serde(default, skip_serializing_if = "unset")]
    pub resting: Span,
    /// What ends the present stage badly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Cause>,
    /// How often snapshots were taken again because they were too old.
    #[serde(default, skip_serializing_if = "unset")]
    pub rounds: u32,
    /// A write of the replicas (or of the deployment's state) may have been sent.
    #[serde(default, skip_serializing_if = "unset")]
    pub patching: bool,
    /// Requirements may have been changed.
    #[serde(default, skip_serializing_if = "unset")]
    pub put: bool,
    /// The alarm about its time-out was given.
    #[serde(default, skip_serializing_if = "unset")]
    pub alarmed: bool,
    /// Slots of a TaskManager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_per: Option<u32>,
    /// Parallelism follows the TaskManagers by itself.
    #[serde(default, skip_serializing_if = "unset")]
    pub reactive: bool,
    /// The pause after it that the cluster asks for.
    #[serde(default)]
    pub cooldown: Span,
    /// The jobs it looks after.
    pub jobs: Vec<Job>,
    /// The http and job items that take part: first those before, then those after.
    pub items: Vec<ItemProgress>,
    /// The FlinkStateSnapshot.
    #[serde(default, skip_serializing_if = "unset")]
    pub resource: Snapshot,
    /// The operator's upgrade savepoint before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_savepoint: Option<String>,
    /// What failed and was passed over, because the user wants to proceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proceeded: Option<Cause>,
    /// It ended because an operation to zero goes there in its place.
    #[serde(default, skip_serializing_if = "unset")]
    pub superseded: bool,
    /// Why it is on its way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Cause>,
    /// Why it ended as it did; before the end, what failed on the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl State {
    /// The present stage. A plan is never empty; a stored text that says otherwise has nothing left to do.
    pub fn stage(&self) -> Stage {
        self.plan.get(self.at).copied().unwrap_or(Stage::Post)
    }

    /// The replicas that are written next: back to `from` once it is on its way back.
    pub const fn goal(&self) -> u32 {
        if self.rolling.is_some() { self.from } else { self.to }
    }

    /// The replicas that are there until then.
    pub const fn source(&self) -> u32 {
        if self.rolling.is_some() { self.to } else { self.from }
    }

    /// Whether writing the goal takes TaskManagers away.
    pub const fn lowering(&self) -> bool {
        self.goal() < self.source()
    }

    /// Whether something may have changed that must be kept or taken back.
    pub fn changed(&self) -> bool {
        let touched = |job: &Job| job.stop.taken.is_some() || job.stop.pending() || job.lost();
        self.patching || self.put || self.jobs.iter().any(touched)
    }

    /// Whether a job is stopped, or about to be, and does not run again yet.
    pub fn in_danger(&self) -> bool {
        let stopping = |job: &Job| job.stop.taken.is_some() || job.stop.pending() || job.run.is_some();
        self.jobs.iter().any(|job| stopping(job) && !job.runs_again())
    }
}

/// Whether a field has its default, which is not written.
fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A job that an operation looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its id when the operation met it; empty for one that was never seen running.
    pub id: String,
    /// The listed name patterns that it matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Its part of the slots.
    pub share: u32,
    /// Vertices that may be raised although they were declared with 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raise: Vec<String>,
    /// The declared shape of its graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Its upper bounds before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounds_before: Vec<Bound>,
    /// Its parallelism before; 0 if not known.
    #[serde(skip_serializing_if = "unset")]
    pub parallelism_before: u32,
    /// How long a snapshot of it may take: its own time-out and 30 s.
    pub wait: Span,
    /// `numRestarts` before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// The id of what it was restored from before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// The checkpoint that protects it.
    #[serde(skip_serializing_if = "unset")]
    pub checkpoint: Snapshot,
    /// The plain savepoint.
    #[serde(skip_serializing_if = "unset")]
    pub backup: Snapshot,
    /// The stop.
    #[serde(skip_serializing_if = "unset")]
    pub stop: Snapshot,
    /// The checkpoint that releases a rescale.
    #[serde(skip_serializing_if = "unset")]
    pub release: Snapshot,
    /// The checkpoint that verifies.
    #[serde(skip_serializing_if = "unset")]
    pub verify: Snapshot,
    /// The stopped job was seen to have ended; without a taken stop: under our stop, and nobody knows where its state is.
    #[serde(skip_serializing_if = "unset")]
    pub ended: bool,
    /// It was stopped before this operation began.
    #[serde(skip_serializing_if = "unset")]
    pub parked: bool,
    /// What it must be run from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The present attempt to run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunProgress>,
    /// Attempts to run it that are behind it.
    #[serde(skip_serializing_if = "unset")]
    pub run_attempts: u32,
    /// It has ended by itself and needs nothing.
    #[serde(skip_serializing_if = "unset")]
    pub gone: bool,
}

impl Job {
    /// The part of ids that stands for this job.
    pub fn key(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }

    /// Whether the run of this operation is accepted and live.
    pub fn runs_again(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.live)
    }

    /// Whether it is stopped: by this operation or before it.
    pub const fn stopped(&self) -> bool {
        self.parked || self.ended || self.stop.taken.is_some()
    }

    /// Whether it has ended under our stop and nobody knows where its state is.
    pub const fn lost(&self) -> bool {
        self.ended && !self.parked && self.stop.taken.is_none()
    }

    /// The id under which it runs now; none while it is stopped or gone.
    pub fn live_id(&self) -> Option<&str> {
        match &self.run {
            Some(run) if run.live => Some(&run.id),
            _ if self.stopped() || self.gone => None,
            _ => Some(&self.id),
        }
    }

    /// Its snapshot of a kind.
    pub const fn snapshot(&self, kind: Kind) -> &Snapshot {
        match kind {
            Kind::Checkpoint | Kind::Resource => &self.checkpoint,
            Kind::Backup => &self.backup,
            Kind::Stop => &self.stop,
            Kind::Release => &self.release,
            Kind::Verify => &self.verify,
        }
    }

    /// Its snapshot of a kind, to be changed.
    pub(super) const fn snapshot_mut(&mut self, kind: Kind) -> &mut Snapshot {
        match kind {
            Kind::Checkpoint | Kind::Resource => &mut self.checkpoint,
            Kind::Backup => &mut self.backup,
            Kind::Stop => &mut self.stop,
            Kind::Release => &mut self.release,
            Kind::Verify => &mut self.verify,
        }
    }

    /// The job as it is met running, with what is remembered of graphs and what is listed about it.
    pub fn meet(facts: &JobFacts, flink: &Flink, shapes: &[Shape]) -> Self {
        let mut job = Self::met(facts, shapes.iter().find(|shape| shape.fits(facts)));
        if let Some(listed) = flink.listed(&facts.name, &facts.id, &facts.patterns) {
            job.share = listed.share.max(1);
            job.raise.clone_from(&listed.raise_vertices);
        }
        job
    }

    /// The part of `total` slots that each job gets, in the order of the jobs; those that have ended by themselves get none.
    pub fn slots(jobs: &[Self], total: u32) -> Vec<u32> {
        let shares: Vec<u32> = jobs.iter().filter(|job| !job.gone).map(|job| job.share).collect();
        let mut parts = split(total, &shares).into_iter();
        jobs.iter().map(|job| if job.gone { 0 } else { parts.next().unwrap_or(1) }).collect()
    }

    /// The parallelism of a run with this many slots: what its shape becomes, or all of them where nothing is known of it.
    pub fn parallelism(&self, slots: u32) -> u32 {
        self.shape.as_ref().map_or(slots, |shape| shape.parallelism(slots, &self.raise)).max(1)
    }

    /// The job as it is met running. `shape` is what is remembered of its graph.
    pub(super) fn met(facts: &JobFacts, shape: Option<&Shape>) -> Self {
        let wait = facts.checkpointing.map_or(Span::seconds(600), |checkpointing| checkpointing.timeout);
        let bounds = facts
            .vertices
            .iter()
            .filter_map(|vertex| vertex.upper.map(|upper| Bound { vertex: vertex.id.clone(), upper: upper.max(1) }));
        Self {
            name: facts.name.clone(),
            id: facts.id.clone(),
            patterns: facts.patterns.clone(),
            share: 1,
            shape: Some(Shape::met(facts, shape)),
            bounds_before: bounds.collect(),
            parallelism_before: facts.parallelism(),
            wait: Span(wait.0.saturating_add(30_000)),
            restarts: facts.restarts,
            restored: facts.restored.as_ref().map(|restored| restored.id),
            ..Self::default()
        }
    }
}

/// One snapshot on its way: the attempt says its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Snapshot {
    /// The present attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Failures that counted.
    #[serde(skip_serializing_if = "unset")]
    pub failures: u32,
    /// When the present attempt may be sent; absent while none is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Span>,
    /// What was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// Why it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Cause>,
}

impl Snapshot {
    /// Whether an attempt may be under way.
    pub const fn pending(&self) -> bool {
        self.since.is_some() && self.taken.is_none() && self.given_up.is_none()
    }

    /// Begins anew at `at` with an id that was never used.
    pub(super) fn begin(&mut self, at: Span) {
        *self = Self { attempt: self.attempt.saturating_add(1), since: Some(at), ..Self::default() };
    }

    /// Another attempt with a new id, not before `at`.
    pub(super) const fn again(&mut self, at: Span) {
        self.attempt = self.attempt.saturating_add(1);
        self.since = Some(at);
    }
}

/// A snapshot that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The checkpoint's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it completed; before the operation if negative.
    pub completed: Span,
}

/// One attempt to run a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunProgress {
    /// The attempt, from 1.
    pub attempt: u32,
    /// Its job id.
    pub id: String,
    /// Runs that ended FAILED, and starts that were rejected.
    #[serde(default, skip_serializing_if = "unset")]
    pub failures: u32,
    /// Its parallelism.
    pub parallelism: u32,
    /// Nothing is sent before this moment; once it is live, since when. A JobManager that lost its memory takes an id anew, so what was said
    /// of the id before is about another run.
    pub since: Span,
    /// It was seen live.
    pub live: bool,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Cause>,
}

/// An http or job item on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ItemProgress {
    /// Its name.
    pub name: String,
    /// Whether it comes after the change.
    pub post: bool,
    /// The present attempt, from 1.
    pub attempt: u32,
    /// When it began; absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Span>,
    /// Nothing is sent before this moment.
    pub since: Span,
    /// Whether it is over, well or not.
    pub over: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// A job that an operation stopped and that does not run: kept by the object's memory until an operation runs it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Parked {
    /// Its name.
    pub name: String,
    /// Its id when it was stopped.
    pub id: String,
    /// The listed name patterns that it matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// The path that it must be run from; absent if it could not be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its parallelism before the stop.
    pub parallelism: u32,
    /// The declared shape of its graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}
