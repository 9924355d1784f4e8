//! One pass: read every trigger, decide once all have answered, and act on the decision.
//!
//! Lowering waits for the whole pass. Raising may come earlier: by a push, or once a slow neighbour has used up its patience.
//!
//! A trigger with `useCachedMetrics` is asked once a polling interval; in between, a pass takes what it said last, unless that would lower.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tidegate_calculator::decide::decide;
use tidegate_calculator::decision::{Decision, Effects, Limit, Step};
use tidegate_calculator::explain;
use tidegate_calculator::observation::{Evidence, Observation};
use tidegate_calculator::policy::Pause;
use tidegate_calculator::time::{Now, Span, Tick};

use crate::core::Context;
use crate::defect;
use crate::object::{Last, Loaded, Object, Pass, Refresh, Standing, Write, Writing};
use crate::phase;
use crate::protocol::{Event, Shown};
use crate::record::has;
use crate::subject::Subject;

/// How long a pass waits for its slowest trigger before what is there may raise.
const PATIENCE: Span = Span::seconds(1);

impl Object {
    /// Begins the pass that is due.
    pub(crate) fn begin_pass(&mut self, cx: &mut Context<'_>) {
        let due = self.next_pass;
        self.next_pass = self.grid(cx.tick());
        if self.target_seen().is_none() {
            if matches!(self.refresh, Refresh::Idle) {
                self.refresh = Refresh::At(cx.tick(), 0);
                self.refresh_on_time(cx);
            }
            return;
        }
        if !self.may_read() {
            self.evaluate(Some(due), cx);
            return;
        }
        self.pass = Some(Pass { due, patience: cx.tick() + PATIENCE, hurried: false });
        for index in 0..self.triggers.len() {
            let spared = self.is_spared(index, due);
            if let Some(trigger) = self.triggers.get_mut(index) {
                trigger.spared = spared;
            }
            if !spared {
                self.start_read(index, cx);
            }
        }
        if self.triggers.iter().all(|trigger| trigger.spared) {
            self.consider(cx);
        }
    }

    /// Whether a pass takes what this trigger said last instead of asking it. One that has no source, because its parameters have changed
    /// or are wrong, is asked by every pass.
    fn is_spared(&self, index: usize, due: Tick) -> bool {
        let (Some(subject), Some(trigger)) = (&self.subject, self.triggers.get(index)) else {
            return false;
        };
        let every = subject.policy.read_every(index, self.rests(subject));
        if self.is_asked() {
            return false;
        }
        let recent = trigger.polled.is_some_and(|last| due < last + every);
        let read = self.evidence.get(index).is_some_and(|evidence| *evidence != Evidence::Unread);
        every > self.interval(subject) && recent && trigger.open && read
    }

    /// Whether there is a reason to read: nobody reads for a paused object.
    pub(crate) fn may_read(&self) -> bool {
        self.standing == Standing::Obeyed
            && self.target_seen().is_some()
            && self.subject.as_ref().is_some_and(|subject| subject.policy.pause == Pause::No)
    }

    /// A trigger has answered: decides if that is enough to decide on.
    pub(crate) fn consider(&mut self, cx: &mut Context<'_>) {
        let Some(pass) = &self.pass else {
            return self.evaluate(None, cx);
        };
        let due = pass.due;
        if self.triggers.iter().all(|trigger| trigger.spared || trigger.answered.is_some_and(|begun| begun >= due)) {
            self.pass = None;
            self.evaluate(Some(due), cx);
        } else if pass.hurried {
            self.evaluate(None, cx);
        }
    }

    /// Decides. A whole pass has a due time, and all its triggers have answered since; anything less can only raise.
    pub(crate) fn evaluate(&mut self, pass: Option<Tick>, cx: &mut Context<'_>) {
        if self.standing != Standing::Obeyed {
            return;
        }
        if self.writing != Writing::Idle {
            // Nothing is decided on a state that our own write is about to change.
            self.missed = true;
            return;
        }
        let unread = self.evidence.contains(&Evidence::Unread);
        if unread && self.may_read() {
            return;
        }
        let Some(decision) = self.decide(cx.now) else { return };
        let decision = match decision {
            Ok(decision) => decision,
            Err(panic) => return self.quarantine(panic, cx),
        };
        match pass {
            Some(due) if self.needs_spared(&decision, cx) => self.ask_spared(due, cx),
            Some(due) => self.act(decision, Some(due), cx),
            None if decision.write.is_some() && !decision.lowers_by_metrics => self.act(decision, None, cx),
            None => self.note_activity(&decision, cx),
        }
    }

    /// Whether triggers that were not asked must be, because what they said before is too old: to lower by, or to end a cooldown.
    fn needs_spared(&self, decision: &Decision, cx: &Context<'_>) -> bool {
        let old = |answered: Option<Tick>| {
            decision.fresh_after.is_some_and(|end| end <= cx.tick() && answered.is_some_and(|begun| begun < end))
        };
        let held = self.subject.as_ref().is_some_and(|subject| subject.hold.is_some());
        let mut spared = self.triggers.iter().filter(|trigger| trigger.spared);
        cx.acting
            && !held
            && self.may_read()
            && spared.any(|trigger| decision.lowers_by_metrics || old(trigger.answered))
    }

    /// The pass goes on with the triggers that it had not asked.
    fn ask_spared(&mut self, due: Tick, cx: &mut Context<'_>) {
        self.pass = Some(Pass { due, patience: cx.tick() + PATIENCE, hurried: false });
        for index in 0..self.triggers.len() {
            if let Some(trigger) = self.triggers.get_mut(index)
                && std::mem::take(&mut trigger.spared)
            {
                self.start_read(index, cx);
            }
        }
    }

    /// The decision on what is known now, or the text of a panic; none if too little is known.
    fn decide(&self, now: Now) -> Option<Result<Decision, String>> {
        let (Some(subject), Loaded::Ready(memory), Some(seen)) = (&self.subject, &self.memory, self.target_seen())
        else {
            return None;
        };
        let (target, triggers, created) = (seen.state, self.evidence.as_slice(), self.created);
        let observed = Observation { target, triggers, created, wall: now.wall, useful: self.last_useful() };
        // A defect in deciding must cost one object, not the process: it is quarantined.
        let outcome = catch_unwind(AssertUnwindSafe(|| decide(&subject.policy, memory, &observed, now.tick)));
        Some(outcome.map_err(|panic| defect::text(&*panic)))
    }

    /// Acts on a decision of a pass that was due at this moment, or of less than a pass.
    fn act(&mut self, mut decision: Decision, pass: Option<Tick>, cx: &mut Context<'_>) {
        let due = pass.unwrap_or(cx.tick());
        self.take(&decision.effects, cx.tick());
        self.show(&decision, cx);
        let write = decision.write.zip(self.target_seen()).map(|(to, seen)| (seen.state.replicas, to));
        let why = match (write, &self.subject) {
            (Some(_), Some(subject)) => explain::why(&subject.policy, &self.evidence, &decision, cx.now),
            _ => String::new(),
        };
        let held = self.subject.as_ref().is_some_and(|subject| subject.hold.is_some());
        if held {
            self.note_wish(decision.desired, cx.tick());
        }
        let lag = due.age(cx.tick());
        // A pass that was under way when the cooldown ended has readings from before it: the next one begins at once.
        let ended = |end: &Tick| due < *end && *end <= cx.tick();
        let next = decision.fresh_after.filter(ended).map(|_| cx.tick().next()).or(decision.next);
        // It is kept until the next one, in a room that was made for any.
        decision.steps.shrink_to_fit();
        let decision = Arc::new(decision);
        self.last = Some(Last { decision: decision.clone(), at: cx.tick(), lag });
        self.plan(next, cx.tick());
        self.note_use(&decision, cx);
        if self.running().is_some() {
            // It is the write, and decisions are what it is told is wanted.
            return self.tell_operation(&decision, pass, cx);
        }
        if let Some(change) = write.filter(|_| cx.acting && !held) {
            self.change_replicas(change, why, cx);
        } else {
            self.want_no_operation();
            self.want_no_write();
        }
    }

    /// Makes a change: by an operation where hooks take part, else by a write.
    fn change_replicas(&mut self, (from, to): (u32, u32), why: String, cx: &mut Context<'_>) {
        if self.begin_operation((from, to), &why, cx) {
            return;
        }
        self.want_no_operation();
        let write = Write { from, to, tries: 0, why, patch: None };
        if self.record.begun {
            self.start_write(write, cx);
        } else {
            // What was there before our first write is stored before it: nobody could tell after a crash.
            self.record.dirty = true;
            self.writing = Writing::Withheld(write);
        }
    }

    /// A push that raises nothing may still have seen activity, which the cooldown counts from, and what rules count from.
    fn note_activity(&mut self, decision: &Decision, cx: &mut Context<'_>) {
        let active = decision.effects.active.filter(|active| *active);
        let rules = decision.effects.rules.clone();
        let watched = rules.is_some() || self.evidence.iter().any(|of| matches!(of, Evidence::Settling { .. }));
        let seen = Effects { active_at: decision.effects.active_at, active, rules, ..Effects::default() };
        self.take(&seen, cx.tick());
        // What a push has shown may have started a timer that runs out before the next pass, or a trigger may settle for too long.
        if let Some(next) = decision.next.filter(|_| watched) {
            self.next_pass = self.next_pass.min(next.max(cx.tick().next()));
        }
    }

    fn take(&mut self, effects: &Effects, now: Tick) {
        if let Loaded::Ready(memory) = &mut self.memory
            && *effects != Effects::default()
        {
            self.record.dirty |= memory.flips(effects);
            memory.take(effects, now);
            self.record.stale = true;
        }
    }

    /// What people see of a decision is stored and told when it flips.
    fn show(&mut self, decision: &Decision, cx: &mut Context<'_>) {
        let paused = self.subject.as_ref().is_some_and(|subject| subject.policy.pause != Pause::No);
        let shown = match self.record.shown {
            // A pause looks at no trigger, so it says nothing about them.
            Some(shown) if paused => Shown { paused, ..shown },
            _ => Shown {
                active: decision.active,
                health: decision.health,
                paused,
                triggers: self.activity(decision, cx.tick()),
                failing: self.failing(Some(decision), cx.tick()).map(|failing| failing.index),
                failures: self.failures(cx.tick()),
                fallbacks: bits(decision.fallbacks()),
            },
        };
        // Bounds, holds and a mended refusal show in what is stored, though not in a decision.
        let renewed = std::mem::take(&mut self.renewed);
        if Some(shown) == self.record.shown && !renewed {
            return;
        }
        if self.record.shown.map_or(paused, |before| before.paused != paused) {
            cx.announce(&self.id, Event::Paused(paused));
        }
        let falls_back = shown.fallbacks != 0;
        if self.record.shown.is_some_and(|before| before.fallbacks != 0) != falls_back {
            cx.announce(&self.id, Event::Fallback(falls_back));
        }
        self.record.shown = Some(shown);
        self.record.dirty = true;
    }

    /// One bit a trigger: whether it fails, and a fallback counts how often.
    fn failures(&self, now: Tick) -> u64 {
        let Some(policy) = self.subject.as_ref().map(|subject| &subject.policy).filter(|of| of.fallback.is_some())
        else {
            return 0;
        };
        let counted = policy.triggers.iter().zip(&self.evidence).zip(0..).filter_map(|((trigger, evidence), index)| {
            let counts = !trigger.resource_like && !policy.rules.is_signal(index.into());
            (counts && evidence.failure(now).is_some()).then_some(index)
        });
        bits(counted)
    }

    /// One bit a trigger: whether any of its metrics is active, or a fallback stands for at least one replica. What only gates look at
    /// counts for no activity.
    fn activity(&self, decision: &Decision, now: Tick) -> u64 {
        let before = self.record.shown.map_or(0, |shown| shown.triggers);
        let is_active = |evidence: &Evidence, index: u8| match evidence {
            Evidence::Good { readings, .. } => readings.iter().any(|(_, reading)| reading.active),
            // It stays what it was.
            Evidence::Settling { .. } if evidence.failure(now).is_none() => has(before, index.into()),
            Evidence::Settling { .. } | Evidence::Failed { .. } | Evidence::Unread => false,
        };
        let signal = |index: u8| self.subject.as_ref().is_some_and(|of| of.policy.rules.is_signal(index.into()));
        let each = self.evidence.iter().zip(0..=u8::MAX);
        let active = each.filter(|(evidence, index)| is_active(evidence, *index) && !signal(*index));
        let substituted = decision.steps.iter().filter_map(|step| match step {
            Step::Substituted { trigger, replicas, .. } => (*replicas >= 1).then_some(*trigger),
            _ => None,
        });
        bits(active.map(|(_, index)| index).chain(substituted))
    }

    pub(crate) fn quarantine(&mut self, panic: String, cx: &mut Context<'_>) {
        cx.announce(&self.id, Event::Quarantined(panic.clone()));
        self.drop_reads(cx);
        self.pass = None;
        self.standing = Standing::Quarantined(panic);
        self.record.dirty = true;
    }

    /// When to begin the next pass: on the grid, or earlier if time alone will change the decision before.
    pub(crate) fn plan(&mut self, next: Option<Tick>, now: Tick) {
        let grid = self.grid(now);
        self.next_pass = next.map_or(grid, |next| grid.min(next.max(now.next())));
    }

    /// After our own write the windows and limits stand differently: plans anew with what is known.
    pub(crate) fn plan_after_write(&mut self, cx: &mut Context<'_>) {
        let next = match self.decide(cx.now) {
            Some(Ok(decision)) => decision.next,
            _ => None,
        };
        self.plan(next, cx.tick());
        if std::mem::take(&mut self.missed) {
            self.next_pass = cx.tick();
        }
    }

    /// The next moment on the object's grid.
    fn grid(&self, now: Tick) -> Tick {
        let Some(subject) = &self.subject else {
            return now + Span::seconds(30);
        };
        let endpoint = self.triggers.first().and_then(|trigger| trigger.endpoint);
        let next = |period: Span| phase::next(endpoint, period, self.ticket.slot, now);
        let (interval, polls) = (self.interval(subject), subject.policy.polling_interval);
        // A trigger with `useCachedMetrics` has a grid of its own: the sync period need not divide its polling interval.
        let cached = polls > interval && subject.policy.triggers.iter().any(|trigger| trigger.cached);
        if cached { next(interval).min(next(polls)) } else { next(interval) }
    }

    /// A resting object is read every `pollingInterval`; any other at least every sync period, as the HPA would.
    fn interval(&self, subject: &Subject) -> Span {
        let policy = &subject.policy;
        let often = policy.polling_interval.min(policy.settings.sync_period);
        if self.rests(subject) { policy.polling_interval } else { often }
    }

    /// Whether the object is inactive at its resting count.
    fn rests(&self, subject: &Subject) -> bool {
        let decision = self.last.as_ref().map(|last| &last.decision);
        let replicas = self.target_seen().map(|seen| seen.state.replicas);
        if !subject.policy.rules.schedules.is_empty() {
            // What it rests at changes with the time of day.
            return decision.is_some_and(|of| of.limited_by == Limit::Idle && replicas == Some(of.desired));
        }
        let active = decision.is_some_and(|decision| decision.active);
        !active && replicas.is_some() && replicas == subject.policy.resting()
    }
}

/// One bit a trigger; those beyond the 64th have none.
fn bits(triggers: impl Iterator<Item = u8>) -> u64 {
    triggers.fold(0, |bits, trigger| bits | 1_u64.checked_shl(trigger.into()).unwrap_or(0))
}
