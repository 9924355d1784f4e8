//! What is stored of operations, in the order in which it was stored.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::fleet::NAME;
use crate::cluster::runtime;
use crate::cluster::space::Space;
use crate::harness::wait::eventually;

/// How long an operation may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// A watch of the ScaleRecord.
pub(super) struct Operations {
    stored: Arc<Mutex<Vec<Stored>>>,
    task: JoinHandle<()>,
}

/// One state of the record.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// When this test heard of it.
    pub(super) at: Timestamp,
    /// The operation that is under way; null without one.
    pub(super) operation: Value,
    /// What operations have left behind.
    pub(super) aftermath: Value,
    /// The conditions of the record.
    pub(super) conditions: Value,
}

/// An operation that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its states, in order.
    pub(super) course: Vec<Stored>,
    /// How it ended.
    pub(super) phase: String,
    /// When this test heard of it.
    pub(super) at: Timestamp,
}

impl Operations {
    pub(super) fn watch(space: &Space) -> Self {
        let api = space.api("scalerecords");
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let stored = Arc::new(Mutex::new(Vec::new()));
        let seen = stored.clone();
        let task = runtime().spawn(async move {
            let mut objects = watcher(api, config).default_backoff().applied_objects().boxed();
            while let Some(object) = objects.next().await {
                let Ok(object) = object else { continue };
                let part = |name: &str| {
                    let text = object.data["status"]["operation"][name].as_str().unwrap_or("null");
                    serde_json::from_str::<Value>(text).unwrap()
                };
                let (operation, aftermath) = (part("state")["o"].clone(), part("aftermath"));
                let conditions = object.data["status"]["conditions"].clone();
                let new = Stored { at: Timestamp::now(), operation, aftermath, conditions };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(new);
            }
        });
        Self { stored, task }
    }

    /// Forgets what was stored, because the record is another one from now on.
    pub(super) fn forget(&self) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All that was stored.
    pub(super) fn all(&self) -> Vec<Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something is stored of which this holds.
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Stored) -> bool) -> Stored {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(PATIENCE, what, || self.all().into_iter().find(&holds))
        }));
        found.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}; last stored: {:#?}", self.all().last()))
    }

    /// Waits for the end of the object's operation number `sequence`, counted from 1.
    pub(super) fn ended(&self, sequence: u64) -> Ended {
        let over = |stored: &Stored| sequence_of(stored) >= Some(sequence) && stored.operation.is_null();
        let last = self.until(&format!("the end of operation {sequence}"), over);
        let all = self.all();
        let course: Vec<Stored> =
            all.into_iter().filter(|one| sequence_of(one) == Some(sequence) && !one.operation.is_null()).collect();
        let endings = last.aftermath["endings"].as_array().cloned().unwrap_or_default();
        let ending = endings.into_iter().max_by_key(|ending| ending["at"].as_i64()).expect("an ending");
        Ended { course, phase: ending["phase"].as_str().unwrap().to_owned(), at: last.at }
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The number of the operation that was begun last.
fn sequence_of(stored: &Stored) -> Option<u64> {
    stored.aftermath["sequence"].as_u64()
}

impl Stored {
    /// The phase of the operation; empty without one.
    pub(super) fn phase(&self) -> &str {
        self.operation["phase"].as_str().unwrap_or_default()
    }

    /// The message of a condition that holds.
    pub(super) fn condition(&self, kind: &str) -> Option<&str> {
        let mut all = self.conditions.as_array().into_iter().flatten();
        let found = all.find(|one| one["type"] == kind && one["status"] == "True")?;
        found["message"].as_str()
    }
}

impl Ended {
    /// The last state that was stored before it was over.
    pub(super) fn last(&self) -> &Value {
        &self.course.last().expect("it was stored").operation
    }

    /// The checkpoint of its first job that protected the change.
    pub(super) fn checkpoint(&self) -> u64 {
        self.last()["jobs"][0]["checkpoint"]["taken"]["id"]
            .as_u64()
            .unwrap_or_else(|| panic!("none: {:#}", self.last()))
    }

    /// When it was first stored, and for how long it was in each phase, as this test heard of them.
    pub(super) fn phases(&self) -> Vec<(String, f64)> {
        let mut phases: Vec<(String, Timestamp)> = Vec::new();
        for one in &self.course {
            if phases.last().is_none_or(|(phase, _)| phase != one.phase()) {
                phases.push((one.phase().to_owned(), one.at));
            }
        }
        let ends: Vec<Timestamp> = phases.iter().skip(1).map(|(_, at)| *at).chain([self.at]).collect();
        phases.into_iter().zip(ends).map(|((phase, at), end)| (phase, end.duration_since(at).as_secs_f64())).collect()
    }
}
