//! Stage 2: what is heard of each trigger: a value, a substitute for it, or nothing (keda-semantics §4.5).
//!
//! A fallback substitutes the reading of a trigger that has failed for long enough: it proposes a count of its own, and counts as active
//! if that is at least 1. The count joins the others by maximum, and windows, policies and bounds hold for it as for any other.
//!
//! A trigger that settles is neither: it proposes nothing, nothing is lowered meanwhile, and no fallback counts it, until it has lasted for
//! too long and is a failure.

use super::{inverse, onerror};
use crate::memory::Memory;
use crate::memory::failing::{Failing, First};
use crate::observation::{Evidence, Observation};
use crate::policy::{Fallback, Policy};
use crate::source::{MetricSpec, MetricType, ReadErrorKind, Reading};
use crate::time::Tick;

/// What is heard of one trigger.
pub(super) enum Heard<'a> {
    /// It gave readings.
    Value {
        /// All of its metrics.
        readings: &'a [(MetricSpec, Reading)],
        /// When the read was begun.
        begun: Tick,
        /// When the answer came.
        at: Tick,
    },
    /// It has failed, and its last good readings count for a while (`onError: LastKnown`).
    Known {
        /// All of its metrics.
        readings: &'a [(MetricSpec, Reading)],
        /// When the answer came.
        at: Tick,
        /// Until when they count.
        until: Tick,
        /// Why it has no newer ones.
        silence: Silence<'a>,
        /// When its fallback acts, if it has one and time alone is missing.
        fallback: Option<Tick>,
    },
    /// It has no value, because what it measures has just begun. That is no failure yet.
    Settling(Settling<'a>),
    /// It failed for longer than its fallback waits.
    Substituted(u32, Silence<'a>),
    /// It has no value.
    Silent {
        /// Why.
        silence: Silence<'a>,
        /// When its fallback acts, if it has one and time alone is missing.
        until: Option<Tick>,
    },
}

/// Why a trigger has no value.
#[derive(Clone, Copy)]
pub(super) struct Silence<'a> {
    /// The class of the failure.
    pub(super) kind: ReadErrorKind,
    /// What went wrong.
    pub(super) message: &'a str,
    /// Since when, as its fallback counts.
    pub(super) since: Tick,
}

/// Why a trigger that settles has no value.
#[derive(Clone, Copy)]
pub(super) struct Settling<'a> {
    /// What has just begun.
    pub(super) message: &'a str,
    /// Since when.
    pub(super) since: Tick,
    /// When it counts as failed.
    pub(super) until: Tick,
}

/// What hearing needs.
pub(super) struct Hearing<'a> {
    /// The fallback.
    pub(super) policy: &'a Policy,
    /// Since when triggers fail.
    pub(super) memory: &'a Memory,
    /// What they said.
    pub(super) observed: &'a Observation<'a>,
    /// The moment of the pass.
    pub(super) now: Tick,
}

impl<'a> Hearing<'a> {
    /// What is heard of this trigger.
    pub(super) fn of(&self, trigger: usize) -> Heard<'a> {
        let evidence = self.observed.evidence(trigger);
        let silence = match evidence {
            Evidence::Good { readings, at, .. } if inverse::lacks(self.policy, trigger, readings) => {
                Silence { kind: ReadErrorKind::Protocol, message: inverse::NO_DATA, since: *at }
            }
            Evidence::Good { readings, begun, at } if !readings.is_empty() => {
                return Heard::Value { readings, begun: *begun, at: *at };
            }
            Evidence::Good { at, .. } => {
                Silence { kind: ReadErrorKind::Protocol, message: "the answer holds no metric", since: *at }
            }
            Evidence::Unread => {
                Silence { kind: ReadErrorKind::Unavailable, message: "it has not been read yet", since: self.now }
            }
            Evidence::Settling { error, since, until, .. } if *until > self.now => {
                return Heard::Settling(Settling { message: &error.message, since: *since, until: *until });
            }
            Evidence::Failed { error, since, .. } | Evidence::Settling { error, until: since, .. } => {
                Silence { kind: error.kind, message: &error.message, since: *since }
            }
        };
        let Some((fallback, since)) = self.policy.fallback.as_ref().zip(self.failing_since(trigger)) else {
            return self.without_fallback(trigger, silence, None);
        };
        let silence = Silence { since, ..silence };
        let acts = since + fallback.patience(self.policy.polling_interval);
        if acts > self.now {
            return self.without_fallback(trigger, silence, Some(acts));
        }
        match self.substitute(trigger, fallback) {
            Some(replicas) => Heard::Substituted(replicas, silence),
            None => self.without_fallback(trigger, silence, None),
        }
    }

    /// What stands for a trigger without a value while no fallback does.
    fn without_fallback(&self, trigger: usize, silence: Silence<'a>, fallback: Option<Tick>) -> Heard<'a> {
        match onerror::known(self.policy, self.memory, trigger, self.now) {
            Some((known, until)) => Heard::Known { readings: &known.readings, at: known.at, until, silence, fallback },
            None => Heard::Silent { silence, until: fallback },
        }
    }

    /// The count that the fallback stands for. A Value metric is multiplied by the Ready pods: while there is none, it cannot stand for
    /// any count.
    fn substitute(&self, trigger: usize, fallback: &Fallback) -> Option<u32> {
        let target = self.observed.target;
        let by_pods = self.policy.triggers.get(trigger).is_some_and(|of| of.metric_type == MetricType::Value);
        let has_pods = target.ready.is_some_and(|ready| ready > 0) || self.policy.at_rest(target.replicas);
        (has_pods || !by_pods).then(|| fallback.replicas(target.replicas))
    }

    /// Since when a trigger has failed, as its fallback counts; none if it does not fail, or none counts for it.
    fn failing_since(&self, trigger: usize) -> Option<Tick> {
        if self.policy.triggers.get(trigger).is_none_or(|of| of.resource_like) || self.policy.rules.is_signal(trigger) {
            return None;
        }
        let known = u8::try_from(trigger).ok().and_then(|trigger| self.memory.failing.of(trigger));
        match self.observed.evidence(trigger) {
            Evidence::Settling { until, .. } if *until > self.now => None,
            Evidence::Failed { since, good, .. } | Evidence::Settling { until: since, good, .. } => {
                Some(known.map_or(*since, |first| first.counted(*since, *good)))
            }
            // Its reads succeed, so the moment of the last one says nothing about the first that held no data.
            Evidence::Good { readings, at, .. } if inverse::lacks(self.policy, trigger, readings) => {
                Some(known.map_or(*at, |first| first.since))
            }
            Evidence::Good { .. } | Evidence::Unread => None,
        }
    }

    /// What the memory must know of failing triggers, if that is new.
    pub(super) fn failing(&self) -> Option<Failing> {
        let known = &self.memory.failing;
        let Some(fallback) = &self.policy.fallback else {
            return (!known.is_empty()).then(Failing::default);
        };
        let mut failing = Failing::default();
        for (index, trigger) in
            self.policy.triggers.iter().enumerate().filter_map(|(index, _)| Some((index, u8::try_from(index).ok()?)))
        {
            let evidence = self.observed.evidence(index);
            // While it settles it neither fails nor is well: what was counted before stands still, as over time in which nobody looks.
            let settles = matches!(evidence, Evidence::Settling { until, .. } if *until > self.now);
            if settles || *evidence == Evidence::Unread {
                known.of(trigger).into_iter().for_each(|first| failing.push(*first));
            }
            if let Some(since) = self.failing_since(index) {
                let acting = since + fallback.patience(self.policy.polling_interval) <= self.now;
                failing.push(First { trigger, since, seen: self.now, acting });
            }
        }
        (failing != *known).then_some(failing)
    }
}
