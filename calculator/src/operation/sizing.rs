//! How many TaskManagers are of use: what is remembered of the jobs for it, and where a growth ends.
//!
//! Nothing is ever lowered because of it. What bounds and pauses ask for is theirs to ask for, of use or not.

use serde::{Deserialize, Serialize};

use super::Operation;
use super::bounds::{self, LastUseful, Part, Shape};
use super::facts::{ClusterFacts, Inspection, JobFacts, Scheduler};
use super::phase::{Direction, Strategy};
use super::progress::Job;
use super::refusal::{Cause, Reason};
use super::spec::{Flink, StrategyChoice};

/// What decides how many TaskManagers are of use, without what the spec says: that is looked at anew each time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sizing {
    /// The slots of one TaskManager as the TaskManagers say; absent if none has said it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_per: Option<u32>,
    /// The parallelism of every vertex follows the slots.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub following: bool,
    /// The jobs.
    pub jobs: Vec<SizedJob>,
}

/// A job as far as its size matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SizedJob {
    /// Its name.
    pub name: String,
    /// Its id when it was met.
    pub id: String,
    /// The listed name patterns that it matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// The declared shape of its graph.
    pub shape: Shape,
}

impl Sizing {
    /// The jobs that an inspection shows, with what is remembered of their graphs; none if it shows none that count.
    pub fn of(facts: &Inspection, flink: &Flink, known: &[Shape]) -> Option<Self> {
        let cluster = facts.cluster.as_ref().filter(|_| flink.strategy != StrategyChoice::None)?;
        if !is_known(cluster, flink) {
            return None;
        }
        let sized = |job: &JobFacts| SizedJob {
            name: job.name.clone(),
            id: job.id.clone(),
            patterns: job.patterns.clone(),
            shape: Shape::met(job, known.iter().find(|shape| shape.fits(job))),
        };
        let jobs: Vec<SizedJob> = cluster.jobs.iter().filter(|job| flink.looks_after(job)).map(sized).collect();
        let slots_per = cluster.slots_per();
        let following = cluster.scheduler == Scheduler::Reactive || facts.deployment.is_some();
        (!jobs.is_empty()).then_some(Self { slots_per, following, jobs })
    }

    /// The last TaskManager of use under this spec; none as long as that is not known.
    pub fn last_useful(&self, flink: &Flink) -> Option<LastUseful> {
        if flink.strategy == StrategyChoice::None {
            return None;
        }
        let part = |job: &SizedJob| {
            let listed = flink.listed(&job.name, &job.id, &job.patterns);
            Part {
                shape: job.shape.clone(),
                raise: listed.map(|listed| listed.raise_vertices.clone()).unwrap_or_default(),
                share: listed.map_or(1, |listed| listed.share),
            }
        };
        let parts: Vec<Part> = self.jobs.iter().map(part).collect();
        bounds::last_useful(&parts, flink.slots_per_task_manager.or(self.slots_per)?, self.following)
    }
}

/// Whether all that uses slots is known. A job that is not looked after may use any number of them, and one that has just begun says nothing
/// of its graph.
pub fn is_known(cluster: &ClusterFacts, flink: &Flink) -> bool {
    let mut live = cluster.jobs.iter().filter(|job| job.state.live());
    live.all(|job| flink.looks_after(job) && !job.vertices.is_empty())
}

impl LastUseful {
    /// What people are told when it is reached: the numbers and what helps.
    pub fn sentence(&self) -> String {
        let Self { replicas, slots, slots_per } = self;
        format!(
            "the jobs can use {slots} slots at most, {slots_per} a TaskManager, so more than {replicas} replicas are of no use: {}",
            Reason::MaxParallelismReached.fix()
        )
    }
}

impl Operation {
    /// What decides how many TaskManagers are of use, as far as this operation has met it; none without a job that counts.
    pub fn sizing(&self) -> Option<Sizing> {
        let following = match self.state.strategy? {
            Strategy::Checkpoint => self.state.reactive,
            Strategy::StopRestore => false,
            Strategy::FlinkDeployment => true,
            Strategy::None => return None,
        };
        // Inspections are no longer there once the operation was read back; what was known when it began counts then.
        let seen = self.flight.facts.as_ref().and_then(|(facts, _)| facts.cluster.as_ref());
        if seen.is_some_and(|cluster| !is_known(cluster, self.flink())) {
            return None;
        }
        let sized = |job: &Job| {
            let shape = job.shape.clone()?;
            Some(SizedJob { name: job.name.clone(), id: job.id.clone(), patterns: job.patterns.clone(), shape })
        };
        let jobs: Vec<SizedJob> = self.state.jobs.iter().filter(|job| !job.gone).filter_map(sized).collect();
        (!jobs.is_empty()).then_some(Sizing { slots_per: self.state.slots_per, following, jobs })
    }

    /// Ends a growth at the last TaskManager of use; the cause why nothing is left of it, if that is so.
    pub(super) fn cap(&mut self) -> Option<Cause> {
        if !matches!(self.state.direction, Direction::ScaleUp | Direction::FromZero) {
            return None;
        }
        // A job that was stopped runs again by the next change alone: that is of use, whatever its size.
        if self.state.jobs.iter().any(|job| job.parked && !job.gone) {
            return None;
        }
        let useful = self.sizing()?.last_useful(self.flink())?;
        let most = useful.replicas.max(self.state.needed);
        if most <= self.state.from {
            return Some(Cause::new(Reason::MaxParallelismReached, useful.sentence()));
        }
        self.state.most = Some(most);
        self.state.to = self.state.to.min(most);
        None
    }
}
