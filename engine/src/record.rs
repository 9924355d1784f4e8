//! Storing what must survive us: after a write and after a flip, in one merged write an object, and never without a reason.

use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Pause;
use tidegate_calculator::time::{Now, Span};

use crate::core::{Context, WriteKind};
use crate::object::{Loaded, Object, Writing};
use crate::pass::memory;
use crate::protocol::{Command, Entry, JournalError};

/// How long a store may take.
pub const STORE_DEADLINE: Span = Span::seconds(10);

/// How much longer the engine waits than the driver.
const GRACE: Span = Span::seconds(2);

impl Object {
    /// Stores what must be stored, unless a write is about to change it once more.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) {
        let record = &self.record;
        let waits = record.queued || record.running.is_some() || record.retry.is_some_and(|at| at > cx.tick());
        if !record.dirty || waits || self.writing != Writing::Idle || memory(&self.memory).is_none() {
            return;
        }
        self.record.queued = true;
        if cx.enter_write(self.ticket, WriteKind::Store) {
            self.run_queued_store(cx);
        }
    }

    /// Stores now that there is room.
    pub(crate) fn run_queued_store(&mut self, cx: &mut Context<'_>) {
        let entry = self.entry(cx.now);
        let (true, Some(entry)) = (std::mem::take(&mut self.record.queued), entry) else {
            return cx.leave_write();
        };
        let call = self.call();
        self.record.dirty = false;
        self.record.stale = false;
        self.record.retry = None;
        self.record.running = Some((call.number, cx.tick() + STORE_DEADLINE + GRACE));
        cx.out.push(Command::Store(call, self.id.clone(), Box::new(entry)));
    }

    /// The answer to [`Command::Store`].
    pub(crate) fn stored(&mut self, number: u32, result: &Result<(), JournalError>, cx: &mut Context<'_>) {
        if self.record.running.is_none_or(|(awaited, _)| awaited != number) {
            return;
        }
        self.record.running = None;
        cx.leave_write();
        match result {
            Ok(()) => self.record.failures = 0,
            Err(JournalError::Unavailable(_)) => self.store_failed(cx),
        }
    }

    /// Gives up a store whose answer is lost: it goes again.
    pub(crate) fn store_on_time(&mut self, cx: &mut Context<'_>) {
        if self.record.running.is_some_and(|(_, expires)| expires <= cx.tick()) {
            self.record.running = None;
            cx.leave_write();
            self.store_failed(cx);
        }
    }

    fn store_failed(&mut self, cx: &mut Context<'_>) {
        // Doubling from 1 s to 64 s: a store that is down is not hammered, and one that is back is soon used.
        let pause = Span::seconds(1 << self.record.failures.min(6));
        self.record.failures = self.record.failures.saturating_add(1);
        self.record.dirty = true;
        self.record.retry = Some(cx.tick() + pause);
    }

    /// Gives up a store because the object itself changes; what it held is stored anew.
    pub(crate) fn drop_store(&mut self, cx: &mut Context<'_>) {
        if self.record.running.take().is_some() {
            cx.leave_write();
            self.record.dirty = true;
        }
        self.record.queued = false;
    }

    fn entry(&self, now: Now) -> Option<Entry> {
        let (Some(subject), Loaded::Ready(memory)) = (&self.subject, &self.memory) else {
            return None;
        };
        let policy = &subject.policy;
        let replicas = self.target_seen().map(|seen| seen.state.replicas).or(memory.replicas).unwrap_or(0);
        let decision = self.last.as_ref().map(|last| &*last.decision);
        Some(Entry {
            replicas,
            desired: decision.map_or(replicas, |decision| decision.desired),
            min: policy.min,
            max: policy.max,
            limited_by: decision.map_or(Limit::Metrics, |decision| decision.limited_by),
            last_change: self.last_change.clone(),
            active: self.record.shown.map(|(active, ..)| active),
            last_active: self.last_active(now),
            health: self.record.shown.map_or(Health::Good, |(_, health, _)| health),
            paused: policy.pause != Pause::No,
            checkpoint: Checkpoint::of(memory, now),
        })
    }
}
