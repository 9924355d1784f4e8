//! How an object comes, changes, is refused and goes, without losing its memory or a write that is under way.

use std::sync::Arc;

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::Pause;
use tidegate_calculator::time::Tick;

use crate::core::Context;
use crate::object::{Loaded, Object, Record, Refresh, Standing, Trigger, Writing};
use crate::protocol::{Command, Event, Stored, Ticket};
use crate::subject::{Finding, Subject};

impl Object {
    /// Obeys a new text. Triggers that are as before keep their readings; the memory stays.
    pub(crate) fn set(&mut self, subject: Arc<Subject>, ticket: Ticket, cx: &mut Context<'_>) {
        let same = self.subject.as_deref() == Some(&*subject);
        if same && self.standing == Standing::Obeyed {
            return;
        }
        self.change_epoch(ticket, cx);
        let kept = self.subject.as_ref().is_some_and(|old| old.triggers == subject.triggers);
        let rested =
            self.standing != Standing::Obeyed || self.subject.as_ref().is_some_and(|old| old.policy.pause != Pause::No);
        if kept && rested {
            // What was read before a pause may be of yesterday.
            for (trigger, evidence) in self.triggers.iter_mut().zip(&mut self.evidence) {
                trigger.renames(evidence, None);
                trigger.failing = false;
                *evidence = Evidence::Unread;
            }
        }
        if !kept {
            // A source that is built anew may remember its polls: a read right after the last one is none.
            let polled = |index| self.triggers.get(index).and_then(|old: &Trigger| old.polled);
            let anew = |index| Trigger { polled: polled(index), ..Trigger::new() };
            self.triggers = (0..subject.triggers.len()).map(anew).collect();
            self.evidence = vec![Evidence::Unread; subject.triggers.len()];
            if let Loaded::Ready(memory) = &mut self.memory {
                memory.triggers_changed();
            }
        }
        if self.subject.as_ref().is_none_or(|old| old.created != subject.created) {
            self.created = cx.now.tick_of(subject.created);
        }
        // What a decision does not show, but people see: an edit of anything else is no reason to store.
        let threshold = |of: &Subject| of.policy.fallback.map(|fallback| fallback.threshold);
        let seen = |of: &Subject| (of.hold.clone(), of.faults.clone(), of.policy.min, of.policy.max, threshold(of));
        self.renewed |= self.standing != Standing::Obeyed
            || self.subject.as_deref().is_some_and(|old| !kept || seen(old) != seen(&subject));
        let before = self.subject.as_ref().map(|old| old.faults.as_slice()).unwrap_or_default();
        if *before != *subject.faults {
            cx.announce(&self.id, Event::Policies(subject.faults.clone()));
        }
        self.subject = Some(subject);
        self.standing = Standing::Obeyed;
        self.next_pass = cx.tick();
        if let Some(replicas) = self.target_seen().map(|seen| seen.state.replicas).filter(|_| cx.held) {
            self.load(replicas, cx);
            self.load_operation(cx);
        }
        self.resume_operation(cx);
        self.renew_hooks(cx);
        self.restrain(cx);
    }

    /// The wall clock was set: what goes by it is looked at anew. Everything else goes by ticks.
    pub(crate) fn clock_set(&mut self, cx: &mut Context<'_>) {
        let schedules = self.subject.as_ref().is_some_and(|subject| !subject.policy.rules.schedules.is_empty());
        if schedules && self.standing == Standing::Obeyed {
            self.next_pass = self.next_pass.min(cx.tick());
        }
    }

    /// What is stored of the object; after the memory was loaded it is only the echo of what this process stored.
    pub(crate) fn recall(&mut self, stored: Stored, cx: &mut Context<'_>) {
        self.recall_operation(&stored, cx);
        let Loaded::Waiting(checkpoint) = &mut self.memory else { return };
        self.record.begun |= !stored.checkpoint.0.is_empty();
        *checkpoint = stored.checkpoint;
        self.record.activity = stored.activity;
        self.record.shown = stored.shown;
        self.record.replicas = stored.replicas;
        self.record.desired = stored.desired;
        self.record.observed = stored.observed;
        for (trigger, metrics) in self.triggers.iter_mut().zip(stored.metrics) {
            trigger.metrics = metrics.into();
        }
        self.renewed &= stored.shown.is_none();
    }

    /// Refuses a text that cannot be obeyed: replicas and memory stay, and the text before does not go on acting.
    pub(crate) fn refuse(&mut self, findings: Vec<Finding>, ticket: Ticket, cx: &mut Context<'_>) {
        if self.standing == Standing::Refused(findings.clone()) {
            return;
        }
        self.change_epoch(ticket, cx);
        cx.announce(&self.id, Event::Refused(findings.clone()));
        self.standing = Standing::Refused(findings);
        self.record.dirty = true;
        if self.subject.is_none() {
            // Nobody needs its target, which it may not even name.
            self.refresh = Refresh::Idle;
        }
    }

    /// Answers to calls of the old epoch will be dropped, so nothing may wait for them.
    fn change_epoch(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        self.abandon(cx);
        // A source that is just being built counts as well.
        if !self.triggers.is_empty() {
            cx.out.push(Command::Close(self.ticket));
        }
        for trigger in &mut self.triggers {
            trigger.open = false;
        }
        self.ticket = ticket;
        if matches!(self.writing, Writing::Doubtful(_)) || matches!(self.refresh, Refresh::Running { .. }) {
            self.refresh_now(cx);
        }
    }

    /// Gives up everything that is on its way.
    pub(crate) fn abandon(&mut self, cx: &mut Context<'_>) {
        self.drop_reads(cx);
        self.drop_write(cx);
        self.drop_store(cx);
        self.pass = None;
        self.missed = false;
    }

    /// The object scales something else from now on: what was known of the old target says nothing about the new one.
    pub(crate) fn retarget(&mut self, checkpoint: Checkpoint, now: Tick) {
        let loaded = matches!(self.memory, Loaded::Ready(_));
        self.memory = Loaded::Waiting(if loaded { Checkpoint::default() } else { checkpoint });
        self.seen = None;
        self.refresh = Refresh::first(now);
        self.echo = None;
        self.doubt = None;
        self.last = None;
        self.last_change = None;
        self.told.apply_error = None;
        self.record = Record { queued: self.record.queued, running: self.record.running, ..Record::default() };
    }

    /// This process acts from now on, with the memory that was stored last.
    pub(crate) fn take_over(&mut self, cx: &mut Context<'_>) {
        // What was not told by a standby is told now.
        match (&self.standing, &self.seen) {
            (Standing::Refused(findings), _) => cx.announce(&self.id, Event::Refused(findings.clone())),
            (Standing::Quarantined(why), _) => cx.announce(&self.id, Event::Quarantined(why.clone())),
            (Standing::Obeyed, Some(Err(error))) => cx.announce(&self.id, Event::TargetFailed(error.clone())),
            (Standing::Obeyed, _) => {}
        }
        if let Some(subject) = self.subject.as_ref().filter(|subject| !subject.faults.is_empty()) {
            cx.announce(&self.id, Event::Policies(subject.faults.clone()));
        }
        self.next_pass = self.next_pass.min(cx.tick());
        if let Some(replicas) = self.target_seen().map(|seen| seen.state.replicas) {
            self.load(replicas, cx);
            self.load_operation(cx);
        }
    }

    /// Somebody else acts from now on: what waits to be written is not written any more.
    pub(crate) fn stand_by(&mut self) {
        self.pass = None;
        self.drop_operation();
        if matches!(self.writing, Writing::Withheld(_) | Writing::Queued(_) | Writing::Conflicted(_)) {
            self.writing = Writing::Idle;
        }
        self.record.queued = false;
    }

    /// The process ends: no pass goes on, and what may wait otherwise is stored now.
    pub(crate) fn drain(&mut self) {
        self.pass = None;
        self.record.dirty |= self.record.stale;
        self.record.retry = None;
    }

    /// Whether nothing is being written and nothing waits to be stored; a standby stores nothing (`stores`).
    pub(crate) fn is_settled(&self, stores: bool) -> bool {
        let unwritten = matches!(self.writing, Writing::Queued(_) | Writing::Running { .. });
        let unstored = self.record.running.is_some() || stores && (self.record.queued || self.record.dirty);
        !unwritten && !unstored
    }
}
