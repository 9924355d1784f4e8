//! A Flink cluster as these tests model it: jobs that checkpoint, restart, stop and run, TaskManagers that come and go, all in virtual time.

use std::collections::BTreeMap;

use tidegate_calculator::operation::facts::{
    Checkpointing, ClusterFacts, JobFacts, JobState, Look, Restored, Scheduler, SnapshotFacts, TaskManager, Vertex,
};
use tidegate_calculator::operation::ids::Kind;
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_calculator::time::Span;

pub(crate) const SLOTS: u32 = 2;
/// Periodic checkpoints come every 10 s, and a checkpoint takes 1 s.
pub(crate) const INTERVAL: i64 = 10_000;
pub(crate) const DURATION: i64 = 1_000;
/// A restart takes 3 s.
pub(crate) const RESTART: i64 = 3_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snap {
    pub(crate) id: u64,
    pub(crate) path: String,
    pub(crate) triggered: i64,
    pub(crate) completed: i64,
    pub(crate) savepoint: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) kind: Kind,
    pub(crate) due: i64,
    pub(crate) snap: Snap,
    /// Why it will fail, if it will.
    pub(crate) fails: Option<Class>,
    pub(crate) settled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: JobState,
    pub(crate) parallelism: u32,
    pub(crate) upper: u32,
    pub(crate) max: u32,
    pub(crate) next_id: u64,
    pub(crate) checkpoints: Vec<Snap>,
    pub(crate) restored: Option<Restored>,
    pub(crate) restarts: u32,
    /// When a restart or a start is over.
    pub(crate) ready_at: i64,
    /// When it will fail, if it will.
    pub(crate) fails_at: Option<i64>,
    pub(crate) periodic_at: i64,
    pub(crate) triggers: BTreeMap<String, Trigger>,
    /// Until then the list of snapshots is the one of before.
    pub(crate) stale_until: i64,
    pub(crate) batch: bool,
    pub(crate) interval: Option<i64>,
    /// Until then its scheduler passes over checkpoints: its slots have not come, or it rests after another rescale.
    pub(crate) rests_until: i64,
    /// It restarts again and again after the next restart.
    pub(crate) loops: bool,
    pub(crate) failed_in_a_row: u32,
    pub(crate) p95: Option<i64>,
    slots: u32,
}

impl Job {
    pub(crate) fn new(id: &str, name: &str, parallelism: u32, now: i64) -> Self {
        let first = Snap {
            id: 1,
            path: format!("file:///ckpt/{id}/chk-1"),
            triggered: now - 60_000,
            completed: now - 59_000,
            savepoint: false,
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            state: JobState::Running,
            parallelism,
            upper: parallelism,
            max: 128,
            next_id: 2,
            checkpoints: vec![first],
            restored: None,
            restarts: 0,
            ready_at: now,
            fails_at: None,
            periodic_at: now + 1_000_000,
            triggers: BTreeMap::new(),
            stale_until: 0,
            batch: false,
            interval: Some(INTERVAL),
            rests_until: now,
            loops: false,
            failed_in_a_row: 0,
            p95: None,
            slots: parallelism,
        }
    }

    fn snap(&mut self, now: i64, savepoint: bool, directory: &str) -> Snap {
        let id = self.next_id;
        self.next_id += 1;
        Snap { id, path: format!("{directory}/{}-{id}", self.id), triggered: now, completed: now + DURATION, savepoint }
    }

    pub(crate) fn latest(&self, savepoint: bool) -> Option<&Snap> {
        self.checkpoints.iter().filter(|snap| snap.savepoint == savepoint).max_by_key(|snap| snap.id)
    }

    /// Restarts from the newest completed checkpoint, as Flink does: savepoints do not count.
    pub(crate) fn restart(&mut self, now: i64) {
        if !self.state.live() {
            return;
        }
        let newest = self.latest(false).cloned();
        self.restored = newest
            .map(|snap| Restored { id: snap.id, savepoint: false, path: Some(snap.path) })
            .or_else(|| self.restored.clone());
        self.restarts += 1;
        self.state = JobState::Restarting;
        self.ready_at = now + RESTART;
        for trigger in self.triggers.values_mut().filter(|trigger| !trigger.settled) {
            trigger.fails = Some(Class::Restarting);
            trigger.due = now;
        }
    }

    pub(crate) fn advance(&mut self, now: i64, slots: u32) {
        self.slots = slots;
        if self.fails_at.is_some_and(|at| at <= now) && self.state.live() {
            self.state = JobState::Failed;
            self.fails_at = None;
        }
        let due: Vec<String> = self
            .triggers
            .iter()
            .filter(|(_, trigger)| !trigger.settled && trigger.due <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.settle(&id, now);
        }
        if matches!(self.state, JobState::Restarting | JobState::Created) && self.ready_at <= now && slots > 0 {
            self.state = JobState::Running;
            self.parallelism = self.upper.min(slots).max(1);
            self.periodic_at = self.ready_at + INTERVAL;
            if self.loops {
                self.restart(now);
            }
        }
        while self.state == JobState::Running && self.interval.is_some() && self.periodic_at <= now && !self.loops {
            let at = self.periodic_at;
            let snap = self.snap(at - DURATION, false, "file:///ckpt");
            self.checkpoints.push(snap);
            self.periodic_at = at + INTERVAL;
            self.rescale(now);
        }
    }

    /// The adaptive scheduler rescales when a checkpoint has completed.
    fn rescale(&mut self, now: i64) {
        if now >= self.rests_until && self.parallelism != self.upper.min(self.slots).max(1) {
            self.restart(now);
        }
    }

    fn settle(&mut self, id: &str, now: i64) {
        let state = self.state;
        let Some(trigger) = self.triggers.get_mut(id) else { return };
        trigger.settled = true;
        if state != JobState::Running && trigger.fails.is_none() {
            trigger.fails = Some(if state.live() { Class::Restarting } else { Class::Gone });
        }
        let (kind, snap, fails) = (trigger.kind, trigger.snap.clone(), trigger.fails);
        match (kind, fails) {
            (_, None) => {
                self.checkpoints.push(snap);
                if kind == Kind::Stop {
                    self.state = JobState::Finished;
                } else if kind == Kind::Checkpoint {
                    self.rescale(now);
                }
            }
            (Kind::Stop, Some(Class::Stopping)) => {
                self.checkpoints.push(snap);
                self.restart(now);
            }
            // A stop that fails fails the job over.
            (Kind::Stop, Some(Class::Transient)) => self.restart(now),
            _ => {}
        }
    }

    pub(crate) fn trigger(&mut self, now: i64, id: &str, kind: Kind, directory: &str, fails: Option<Class>) {
        if self.triggers.contains_key(id) {
            return;
        }
        let savepoint = matches!(kind, Kind::Stop | Kind::Backup);
        let snap = self.snap(now, savepoint, directory);
        let other = self.triggers.values().any(|trigger| trigger.kind == Kind::Stop && !trigger.settled);
        let fails = if other && kind == Kind::Stop { Some(Class::Transient) } else { fails };
        let settled = other && kind == Kind::Stop;
        self.triggers.insert(id.to_owned(), Trigger { kind, due: now + DURATION, snap, fails, settled });
    }

    pub(crate) fn poll(&self, now: i64, id: &str) -> Outcome {
        match self.triggers.get(id) {
            None => Outcome::NotFound,
            Some(trigger) if !trigger.settled => Outcome::InProgress,
            Some(Trigger { fails: Some(class), snap, .. }) => {
                let path = (*class == Class::Stopping).then(|| snap.path.clone());
                Outcome::Failed(Failure { path, ..Failure::new(*class, "Caused by: a test") })
            }
            Some(trigger) => Outcome::Completed {
                id: (!trigger.snap.savepoint).then_some(trigger.snap.id),
                path: Some(trigger.snap.path.clone()),
                age: Span(now - trigger.snap.completed),
            },
        }
    }

    fn facts_of(snap: Option<&Snap>, now: i64) -> Option<SnapshotFacts> {
        snap.map(|snap| SnapshotFacts {
            id: Some(snap.id),
            path: Some(snap.path.clone()),
            triggered: Span(now - snap.triggered),
            completed: Span(now - snap.completed),
        })
    }

    pub(crate) fn look(&self, now: i64) -> Look {
        Look {
            state: Some(self.state),
            completed: Self::facts_of(self.latest(false), now),
            savepoint: Self::facts_of(self.latest(true).filter(|_| self.stale_until <= now), now),
        }
    }

    pub(crate) fn facts(&self, now: i64) -> JobFacts {
        let running = if self.state == JobState::Running { self.parallelism } else { 0 };
        let quiet = self.state != JobState::Running && self.state.live();
        let snapshot = |savepoint| if quiet { None } else { Self::facts_of(self.latest(savepoint), now) };
        JobFacts {
            id: self.id.clone(),
            name: self.name.clone(),
            patterns: Vec::new(),
            state: self.state,
            batch: self.batch,
            vertices: vec![Vertex {
                id: "v1".to_owned(),
                parallelism: self.parallelism,
                max_parallelism: self.max,
                running,
                group: "default".to_owned(),
                upper: Some(self.upper),
            }],
            checkpointing: Some(Checkpointing { interval: self.interval.map(Span), timeout: Span::seconds(60) }),
            completed: snapshot(false),
            savepoint: snapshot(true),
            restored: if quiet { None } else { self.restored.clone() },
            failed_in_a_row: self.failed_in_a_row,
            p95: self.p95.map(Span),
            restarts: Some(self.restarts),
        }
    }
}

/// The facts of a cluster without jobs.
pub(crate) fn cluster(scheduler: Scheduler, task_managers: Vec<TaskManager>) -> ClusterFacts {
    ClusterFacts {
        scheduler,
        web_submit: true,
        web_rescale: scheduler == Scheduler::Adaptive,
        submission_stabilization: Some(Span::seconds(1)),
        cooldown_after_rescaling: Some(Span::seconds(30)),
        jobs: Vec::new(),
        task_managers,
    }
}
