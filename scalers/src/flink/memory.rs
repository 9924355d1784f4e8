//! What a trigger keeps between reads, so that it asks less and knows more.
//!
//! It belongs to a trigger of an object, not to a built trigger: when an object changes, its triggers are built anew, the new ones before the
//! old ones are dropped, and they find what the old ones remember.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidegate_calculator::source::{EndpointId, TriggerSpec};
use tokio::time::Instant;

use super::client::{JobId, VertexId};
use super::demand::History;
use super::find::Wanted;
use super::settling::Attempt;
use crate::endpoint::{Endpoints, identify, lock};

/// For how long a name stands for the job that was found by it: a second job of the name is noticed that late.
const NAME_HOLDS: Duration = Duration::from_secs(10);

/// What one trigger remembers.
#[derive(Default)]
pub(super) struct Memory {
    state: Mutex<State>,
    demand: Mutex<History>,
}

#[derive(Default)]
struct State {
    found: Option<(JobId, Instant)>,
    run: Option<Run>,
}

/// What was learned of one run of the job.
struct Run {
    attempt: Attempt,
    facts: Facts,
}

/// What holds as long as a job does not restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Since when all its tasks run, in milliseconds since 1970 by the JobManager's clock.
    pub(super) since: Option<i64>,
    /// The names of a vertex's metrics that are asked for.
    pub(super) names: BTreeMap<VertexId, Vec<String>>,
}

impl Memory {
    /// Joins the memory of this trigger, or begins one. `server` and `job` keep different jobs apart; credentials are left out, so that a new
    /// password forgets nothing.
    pub(super) fn open(endpoints: &Endpoints, spec: &TriggerSpec, server: &str, job: Option<&Wanted>) -> Arc<Self> {
        endpoints.join(identify("flink memory", &(&spec.owner, spec.index, server, job)), Self::default)
    }

    /// The job that was found by its name a moment ago.
    pub(super) fn job(&self) -> Option<JobId> {
        let state = lock(&self.state);
        state.found.as_ref().filter(|(_, at)| at.elapsed() < NAME_HOLDS).map(|(id, _)| id.clone())
    }

    /// The job has been found, or (none) is to be looked for again.
    pub(super) fn found(&self, job: Option<&JobId>) {
        lock(&self.state).found = job.map(|id| (id.clone(), Instant::now()));
    }

    /// What is known of this run.
    pub(super) fn facts(&self, attempt: &Attempt) -> Facts {
        let state = lock(&self.state);
        state.run.as_ref().filter(|run| run.attempt == *attempt).map(|run| run.facts.clone()).unwrap_or_default()
    }

    /// Something more is known of this run; of another one all is forgotten.
    pub(super) fn learn(&self, attempt: &Attempt, learn: impl FnOnce(&mut Facts)) {
        let mut state = lock(&self.state);
        let run = match &mut state.run {
            Some(run) if run.attempt == *attempt => run,
            other => other.insert(Run { attempt: attempt.clone(), facts: Facts::default() }),
        };
        learn(&mut run.facts);
    }

    /// What was seen of the job's demand.
    pub(super) fn demand(&self) -> MutexGuard<'_, History> {
        lock(&self.demand)
    }
}

/// For how long the settings of a JobManager are taken for known: a restarted one may have others.
const SETTINGS_HOLD: Duration = Duration::from_mins(10);

/// How fresh the metrics of a JobManager are, whoever asked: it answers with what it fetched for the question before.
#[derive(Default)]
pub(super) struct Pulse {
    asked: Mutex<Option<Instant>>,
    interval: Mutex<Option<(u64, Instant)>>,
}

impl Pulse {
    /// The pulse of what has this id.
    pub(super) fn open(endpoints: &Endpoints, id: EndpointId) -> Arc<Self> {
        endpoints.join(identify("flink pulse", &id), Self::default)
    }

    /// How often it fetches at most, in milliseconds, if that is known.
    pub(super) fn interval(&self) -> Option<u64> {
        let known = *lock(&self.interval);
        known.filter(|(_, at)| at.elapsed() < SETTINGS_HOLD).map(|(interval, _)| interval)
    }

    /// Its settings say how often it fetches.
    pub(super) fn learn(&self, interval: u64) {
        *lock(&self.interval) = Some((interval, Instant::now()));
    }

    /// Whether what it has may be older than `age`; whoever hears yes makes it fetch.
    pub(super) fn is_due(&self, age: Duration) -> bool {
        let mut asked = lock(&self.asked);
        let due = asked.is_none_or(|asked| asked.elapsed() >= age);
        if due {
            *asked = Some(Instant::now());
        }
        due
    }
}
