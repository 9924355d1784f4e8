//! The cluster of the scripted JobManager: TaskManagers that follow pods, jobs on their slots, and the laws that are looked after whatever
//! happens.

use std::collections::{BTreeMap, BTreeSet};

use super::scripted_job::{Job, Kind, Manners, State};

/// Slots of a TaskManager.
pub(crate) const SLOTS: u32 = 2;
/// How much older a checkpoint may be when a pod has left than when the replicas were written, in milliseconds.
const LEAVING: i64 = 15_000;

/// The cluster.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) manners: Manners,
    /// The name and the password that every request must show.
    pub(crate) user: Option<(String, String)>,
    /// How old a checkpoint may be when TaskManagers are taken away, in milliseconds.
    pub(crate) max_age: i64,
    /// Registered TaskManagers by their pods' names, with a number of each.
    pub(crate) managers: BTreeMap<String, u32>,
    pub(crate) jobs: Vec<Job>,
    /// What happened, by moment.
    pub(crate) log: Vec<(i64, String)>,
    /// What must never happen and did.
    pub(crate) violations: Vec<String>,
    /// Requests that were turned away.
    pub(crate) unauthorized: u32,
    savepoints: BTreeSet<String>,
    numbered: u32,
}

impl World {
    /// A cluster without TaskManagers.
    pub(crate) fn new(manners: Manners, max_age: i64) -> Self {
        Self {
            manners,
            user: None,
            max_age,
            managers: BTreeMap::new(),
            jobs: Vec::new(),
            log: Vec::new(),
            violations: Vec::new(),
            unauthorized: 0,
            savepoints: BTreeSet::new(),
            numbered: 0,
        }
    }

    /// Goes on to this moment.
    pub(crate) fn advance(&mut self, now: i64) {
        for index in 0..self.jobs.len() {
            let free = self.free();
            let manners = self.manners;
            let job = &mut self.jobs[index];
            let before = (job.state, job.restarts);
            job.advance(now, &free, &manners);
            let (name, id, state, parallelism) = (job.name.clone(), short(&job.id), job.state, job.parallelism);
            let taken = job.snaps.iter().filter(|snap| snap.savepoint).map(|snap| snap.path.clone());
            self.savepoints.extend(taken.collect::<Vec<_>>());
            if (state, self.jobs[index].restarts) != before {
                self.note(now, format!("{name} {id} is {} with {parallelism}", state.name()));
            }
        }
    }

    /// The slots that no job holds, by their TaskManagers.
    pub(crate) fn free(&self) -> Vec<String> {
        let mut free: Vec<String> =
            self.managers.keys().flat_map(|name| std::iter::repeat_n(name.clone(), SLOTS as usize)).collect();
        for slot in self.jobs.iter().flat_map(|job| &job.slots) {
            if let Some(index) = free.iter().position(|other| other == slot) {
                free.remove(index);
            }
        }
        free
    }

    /// These pods are there and ready; others are not.
    pub(crate) fn follow(&mut self, pods: &BTreeSet<String>, now: i64) {
        self.advance(now);
        let left: Vec<String> = self.managers.keys().filter(|name| !pods.contains(*name)).cloned().collect();
        for name in &left {
            self.managers.remove(name);
            self.note(now, format!("{name} leaves"));
        }
        for name in pods {
            if !self.managers.contains_key(name) {
                self.numbered += 1;
                self.managers.insert(name.clone(), self.numbered);
                self.note(now, format!("{name} registers"));
            }
        }
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            if !job.slots.iter().any(|slot| left.contains(slot)) {
                continue;
            }
            let age = job.age(now);
            if age.is_none_or(|age| age > self.max_age + LEAVING) {
                let text = format!("a TaskManager of {} left, and its newest checkpoint is {age:?} ms old", job.name);
                self.violate(now, text);
            }
            let manners = self.manners;
            self.jobs[index].restart(now, &manners);
            let job = &self.jobs[index];
            let from = job.restored.as_ref().map_or(0, |restored| restored.id);
            self.note(now, format!("{} {} restarts from {from}", job.name, short(&job.id)));
        }
        self.advance(now);
    }

    /// Replicas are about to become fewer: every live job must be protected.
    pub(crate) fn lowered(&mut self, to: i64, now: i64) {
        self.advance(now);
        let unprotected: Vec<String> = self
            .jobs
            .iter()
            .filter(|job| job.state.live() && job.age(now).is_none_or(|age| age > self.max_age))
            .map(|job| format!("{} ({:?} ms)", job.name, job.age(now)))
            .collect();
        if !unprotected.is_empty() {
            self.violate(now, format!("lowered to {to} without a young checkpoint of {}", unprotected.join(", ")));
        }
    }

    /// Triggers a snapshot of a job; false if the job is not known.
    pub(crate) fn trigger(&mut self, job: &str, id: &str, kind: Kind, directory: &str, now: i64) -> bool {
        let manners = self.manners;
        let Some(job) = self.jobs.iter_mut().find(|other| other.id == job) else { return false };
        let text = format!("{} {} under {}", kind.name(), job.name, short(id));
        job.trigger(id, kind, directory, &manners, now);
        self.note(now, text);
        true
    }

    /// Runs a job; false if its id was used before.
    pub(crate) fn run(&mut self, id: &str, name: &str, parallelism: u32, path: Option<&str>, now: i64) -> bool {
        self.advance(now);
        if self.jobs.iter().any(|job| job.id == id) {
            self.note(now, format!("run {name} {} is a duplicate", short(id)));
            return false;
        }
        if let Some(other) = self.jobs.iter().find(|job| job.name == name && job.state.live()) {
            let text = format!("a second job {name} was run while {} is {}", short(&other.id), other.state.name());
            self.violate(now, text);
        }
        let stopped = self.jobs.iter().rev().filter(|job| job.name == name).find_map(|job| job.newest(true));
        let right = stopped.map(|snap| snap.path.clone());
        if path.is_none() || path != right.as_deref() {
            self.violate(now, format!("{name} was run from {path:?}, and its savepoint is {right:?}"));
        }
        let job = Job::new(id, name, parallelism, path, now);
        let there = path.is_none_or(|path| self.savepoints.contains(path));
        self.jobs.push(if there { job } else { job.failing(now) });
        self.note(now, format!("run {name} {} with {parallelism} from {}", short(id), path.unwrap_or("nothing")));
        self.advance(now);
        true
    }

    /// A savepoint is deleted; false if it is not there.
    pub(crate) fn dispose(&mut self, path: &str, now: i64) -> bool {
        let live = |job: &Job| job.state.live();
        let needed = self.jobs.iter().filter(|job| job.newest(true).is_some_and(|snap| snap.path == path));
        let needed: Vec<&Job> =
            needed.filter(|job| !self.jobs.iter().any(|new| new.name == job.name && live(new))).collect();
        if let Some(job) = needed.first() {
            let text = format!("the savepoint of {}, which is stopped, was deleted", job.name);
            self.violate(now, text);
        }
        self.note(now, format!("dispose {path}"));
        self.savepoints.remove(path)
    }

    /// Ends a job; false if it is not known.
    pub(crate) fn cancel(&mut self, id: &str, now: i64) -> bool {
        self.advance(now);
        self.note(now, format!("cancel {}", short(id)));
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else { return false };
        if job.state.live() {
            job.end(State::Canceled);
        }
        true
    }

    /// Whether exactly one job of this name is live and runs with this parallelism.
    pub(crate) fn runs(&mut self, name: &str, parallelism: u32, now: i64) -> bool {
        self.advance(now);
        let mut live = self.jobs.iter().filter(|job| job.name == name && job.state.live());
        let first = live.next();
        first.is_some_and(|job| job.state == State::Running && job.parallelism == parallelism) && live.next().is_none()
    }

    pub(crate) fn note(&mut self, now: i64, text: String) {
        self.log.push((now, text));
    }

    fn violate(&mut self, now: i64, text: String) {
        self.note(now, format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    /// The log as people read it, in seconds since its beginning.
    pub(crate) fn story(&self) -> String {
        let begun = self.log.first().map_or(0, |(at, _)| *at);
        let line = |(at, text): &(i64, String)| {
            let millis = at - begun;
            format!("{:>4}.{:03} {text}", millis / 1000, millis % 1000)
        };
        self.log.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The beginning of an id.
fn short(id: &str) -> String {
    id.chars().take(6).collect()
}
