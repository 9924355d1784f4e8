//! Takes up a Deployment where an earlier run of this program left it: its replicas stay, and what runs is adopted.

use std::sync::Arc;
use std::time::Duration;

use tidegate_engine::subject::ObjectId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::identity::{self, Identity};
use super::super::process;
use super::super::replicas::{Phase, Replica};
use super::super::workload::MARK;
use super::record::Slot;
use super::{Deployment, Machine, Record};

/// Ends of processes that wait to be heard of; more of them wait in their own tasks.
const EXITS: usize = 64;

impl Deployment {
    /// A Deployment as `record` left it, or a new one.
    pub(in crate::local) fn new(cx: Arc<Machine>, id: ObjectId, record: Option<Record>) -> Self {
        let (report, exits) = mpsc::channel(EXITS);
        let known = record.is_some();
        let record = record.unwrap_or_else(|| Record::new(&id, &cx.boot));
        let mut deployment = Self {
            cx,
            id,
            record,
            known,
            workload: None,
            told: false,
            replicas: Vec::new(),
            exits,
            report,
            stopping: None,
            dirty: false,
        };
        deployment.adopt();
        deployment
    }

    fn adopt(&mut self) {
        let same_boot = self.record.boot == self.cx.boot;
        self.record.boot.clone_from(&self.cx.boot);
        let mut adopted = 0;
        for slot in std::mem::take(&mut self.record.processes) {
            let process = if same_boot { self.find(&slot) } else { None };
            adopted += u32::from(process.is_some());
            self.take_up(&slot, process);
        }
        if adopted > 0 {
            tracing::info!("{} goes on with {adopted} processes that run already", self.id);
        }
    }

    /// The process of a replica: the recorded one, or one that was started just before an end that left no time to record it.
    fn find(&self, slot: &Slot) -> Option<Identity> {
        let recorded = slot.process.filter(|process| process.runs() || process.group_runs());
        recorded.or_else(|| identity::find(MARK, &self.mark(slot.number)))
    }

    fn take_up(&mut self, slot: &Slot, process: Option<Identity>) {
        let now = Instant::now();
        let mut replica = Replica::new(slot.index, slot.number);
        replica.revision = slot.revision;
        replica.grace = Duration::from_secs(slot.grace_seconds);
        replica.kept = !slot.ending;
        let log = self.log(slot.index);
        self.cx.logs.follow(&log, &self.name(slot.index), Some(slot.printed));
        if let Some(identity) = process {
            let running = process::watch(identity, None, replica.grace, replica.number, self.report.clone());
            replica.phase = Phase::Running { running, since: now, ready: now };
            if slot.ending {
                replica.end(replica.grace, now);
            }
            self.replicas.push(replica);
        } else if replica.kept {
            self.replicas.push(replica);
        }
        self.dirty = true;
    }
}
