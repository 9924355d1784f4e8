//! Storing what must survive us: after a write and after a flip, in one merged write an object, and never without a reason.

use tidegate_calculator::decision::{Decision, Step};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::operation::Event;
use tidegate_calculator::policy::TriggerPolicy;
use tidegate_calculator::time::{Now, Span, Tick};

use crate::core::{Context, WriteKind};
use crate::object::{Loaded, Object, Trigger, Writing};
use crate::protocol::{Command, Entry, FailingTrigger, JournalError, Shown};

/// How long a store may take.
pub const STORE_DEADLINE: Span = Span::seconds(10);

/// How often at most something is stored only because a held object's decision stands for another count: nobody follows it, so it may
/// move with every reading.
const WISH_PAUSE: Span = Span::seconds(60);

/// How much longer the engine waits than the driver.
const GRACE: Span = Span::seconds(2);

impl Object {
    /// Stores what must be stored, unless a write is about to change it once more.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) {
        let record = &self.record;
        let waits = record.queued || record.running.is_some() || record.retry.is_some_and(|at| at > cx.tick());
        // What an operation is must be stored whatever becomes of its write.
        let writes = !matches!(self.writing, Writing::Idle | Writing::Withheld(_)) && self.running().is_none();
        if !record.dirty || !cx.held || waits || writes {
            return;
        }
        self.record.queued = true;
        if cx.enter_write(self.ticket, WriteKind::Store) {
            self.run_queued_store(cx);
        }
    }

    /// A decision of a held object stands for this count. No write will tell it, so it is stored for whoever compares.
    pub(crate) fn note_wish(&mut self, desired: u32, now: Tick) {
        let record = &mut self.record;
        let known = record.dirty || record.desired == Some(desired);
        if !known && record.wished.is_none_or(|at| at.age(now) >= WISH_PAUSE) {
            record.dirty = true;
            record.wished = Some(now);
        }
    }

    /// Stores now that there is room.
    pub(crate) fn run_queued_store(&mut self, cx: &mut Context<'_>) {
        if !std::mem::take(&mut self.record.queued) {
            return cx.leave_write();
        }
        let entry = self.entry(cx.now);
        let call = self.call();
        self.record.desired = entry.desired;
        self.record.revision = self.revision();
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
        self.begin_record(cx);
        if result.is_ok() && self.record.revision > 0 {
            self.operate(Event::Stored(self.record.revision), cx);
        }
    }

    /// The first store has been answered, well or not: a write that has waited for it begins. It may not wait for a store that does not
    /// work.
    fn begin_record(&mut self, cx: &mut Context<'_>) {
        self.record.begun = true;
        if let Writing::Withheld(write) = &self.writing {
            let write = write.clone();
            self.writing = Writing::Idle;
            if cx.acting {
                self.start_write(write, cx);
            }
        }
    }

    /// Gives up a store whose answer is lost: it goes again.
    pub(crate) fn store_on_time(&mut self, cx: &mut Context<'_>) {
        if self.record.running.is_some_and(|(_, expires)| expires <= cx.tick()) {
            self.record.running = None;
            cx.leave_write();
            self.store_failed(cx);
            self.begin_record(cx);
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

    /// The first trigger that fails, or else the first whose value this decision could not use; not one that only gates look at.
    pub(crate) fn failing(&self, decision: Option<&Decision>, now: Tick) -> Option<FailingTrigger> {
        let signal = |index: u8| self.subject.as_ref().is_some_and(|of| of.policy.rules.is_signal(index.into()));
        let mut evidence = self.evidence.iter().zip(0..).filter(|(_, index)| !signal(*index));
        let unread = evidence.find_map(|(evidence, index)| evidence.failure(now).map(|(error, _)| (index, error.kind)));
        let unusable = || {
            decision?.steps.iter().find_map(|step| match step {
                Step::Failed { trigger, kind, .. } => Some((*trigger, *kind)),
                _ => None,
            })
        };
        let (index, kind) = unread.or_else(unusable)?;
        let triggers = self.subject.as_ref().map(|subject| &subject.policy.triggers);
        let of = triggers.and_then(|triggers| triggers.get(usize::from(index))).map(|trigger| trigger.kind.clone());
        Some(FailingTrigger { index, kind, of: of.unwrap_or_default() })
    }

    /// How often triggers had failed at the last flip: the live number would be another one at every store.
    fn counts(&self, shown: Option<Shown>) -> Vec<Option<u32>> {
        let policy = self.subject.as_ref().map(|subject| &subject.policy);
        let (Some(shown), Some((policy, fallback))) = (shown, policy.and_then(|of| Some((of, of.fallback?)))) else {
            return Vec::new();
        };
        let count = |index: usize| match (has(shown.failures, index), has(shown.fallbacks, index)) {
            (_, true) => fallback.threshold.saturating_add(1),
            (true, false) => 1,
            (false, false) => 0,
        };
        let triggers = policy.triggers.iter().enumerate();
        let counted = |(index, trigger): (usize, &TriggerPolicy)| {
            (!trigger.resource_like && !policy.rules.is_signal(index)).then(|| count(index))
        };
        triggers.map(counted).collect()
    }

    /// What the external metrics are called, by trigger, as far as it has been read.
    fn metrics(&self) -> Vec<Vec<String>> {
        let policy = self.subject.as_ref().map(|subject| &subject.policy);
        let of_pods = |index: usize| {
            policy.and_then(|policy| policy.triggers.get(index)).is_none_or(|trigger| trigger.resource_like)
        };
        let names = |(index, (trigger, evidence)): (usize, (&Trigger, &Evidence))| match evidence.readings() {
            _ if of_pods(index) => Vec::new(),
            Some(readings) => readings.iter().map(|(metric, _)| metric.name.clone()).collect(),
            None => trigger.metrics.to_vec(),
        };
        self.triggers.iter().zip(&self.evidence).enumerate().map(names).collect()
    }

    fn entry(&self, now: Now) -> Entry {
        let memory = match &self.memory {
            Loaded::Ready(memory) => Some(memory),
            Loaded::Waiting(_) => None,
        };
        let decision = self.last.as_ref().map(|last| &*last.decision);
        let shown = self.record.shown;
        let is_active = |index: usize| shown.is_some_and(|shown| has(shown.triggers, index));
        let fallbacks = shown.map_or(0, |shown| shown.fallbacks);
        let mut entry = Entry {
            phase: self.phase(),
            replicas: self.target_seen().map(|seen| seen.state.replicas).or(memory.and_then(|memory| memory.replicas)),
            desired: decision.map(|decision| decision.desired),
            bounds: self.subject.as_ref().map(|subject| (subject.policy.min, subject.policy.max)),
            limited_by: decision.map(|decision| decision.limited_by),
            last_change: self.last_change.clone(),
            apply_error: self.told.apply_error.clone(),
            active: shown.map(|shown| shown.active),
            last_active: self.last_active(now),
            health: shown.map(|shown| shown.health),
            triggers: (0..self.triggers.len()).map(is_active).collect(),
            metrics: self.metrics(),
            failing: self.failing(decision, now.tick),
            failures: self.counts(shown),
            fallbacks: (0..=63).filter(|index| has(fallbacks, usize::from(*index))).collect(),
            faults: self.subject.as_ref().map(|subject| subject.faults.clone()).unwrap_or_default(),
            observed: self.record.observed,
            operation: None,
            aftermath: None,
            summary: None,
            last_operation: None,
            operation_conditions: Vec::new(),
            unreadable: None,
            holds_object: false,
            checkpoint: memory.map(|memory| Checkpoint::of(memory, now)),
        };
        self.enter_operation(&mut entry, now);
        entry
    }
}

/// Whether the bit of this trigger is set.
pub(crate) fn has(bits: u64, index: usize) -> bool {
    bits.checked_shr(u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 1
}
