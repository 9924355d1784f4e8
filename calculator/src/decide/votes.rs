//! Stage 6: one count from what all triggers propose or vote: the largest wins, as in the HPA.

use super::draft::Draft;
use super::fallback::{Heard, Silence};
use crate::decision::{Step, Vote};
use crate::hpa::combine::combine;
use crate::rules::OnError;
use crate::time::Tick;

/// What the proposals and votes come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Votes {
    /// The largest one; none if nothing could propose.
    pub(super) best: Option<u32>,
    /// The largest one, but for metrics that only wait for the pods of our last write: what may be recorded.
    pub(super) firm: Option<u32>,
    /// The largest vote by steps: what the legacy limit does not slow.
    pub(super) by_steps: Option<u32>,
    /// The largest count that a fallback stands for.
    pub(super) by_fallback: Option<u32>,
    /// How many triggers or metrics have no proposal, so that nothing may be lowered.
    pub(super) failed: u8,
    /// How many triggers settle: nothing may be lowered either.
    pub(super) settling: u8,
    /// Whether a trigger has nothing to say.
    pub(super) abstained: bool,
    /// A trigger without a value that keeps the count as it is.
    pub(super) held_by: Option<u8>,
}

impl Votes {
    /// The count that all of it comes to; none if that is not known well enough to be recorded.
    pub(super) fn wish(&self, current: u32) -> Option<u32> {
        let silent = usize::from(self.failed) + usize::from(self.settling);
        if self.best.is_none() && silent == 0 && self.abstained {
            return Some(current);
        }
        combine(self.best, silent, current)
    }

    /// Whether nothing but triggers that settle keeps the count from being known.
    pub(super) fn only_settle(&self) -> bool {
        self.failed == 0 && self.settling > 0
    }

    /// Why nothing is lowered, where the count that all of it comes to is not known.
    pub(super) fn held(&self) -> Step {
        let (failed, settling, proposal) = (self.failed, self.settling, self.best);
        if self.only_settle() {
            Step::SettlingHold { settling, proposal }
        } else {
            Step::FailureHold { failed, proposal }
        }
    }

    /// Whether it is a fallback that wants most.
    pub(super) fn led_by_fallback(&self) -> bool {
        self.by_fallback.is_some() && self.by_fallback == self.best
    }

    /// A metric proposes a count.
    pub(super) fn propose(&mut self, replicas: u32) {
        self.best = self.best.max(Some(replicas));
        self.firm = self.firm.max(Some(replicas));
    }

    /// A metric proposes the present count, because the pods of our last write are not there yet.
    pub(super) fn wait(&mut self, replicas: u32) {
        self.best = self.best.max(Some(replicas));
    }

    /// Whether it is such a wait that wants most. A window that took it for a recommendation would hold the count once more for its
    /// whole length; the HPA, whose passes are further apart, never sees that moment.
    pub(super) fn only_waits(&self) -> bool {
        self.firm < self.best
    }

    /// A trigger votes by its rules.
    pub(super) fn vote(&mut self, vote: Vote) {
        self.abstained |= vote == Vote::Abstain;
        self.best = self.best.max(vote.replicas());
        self.firm = self.firm.max(vote.replicas());
        self.by_steps = self.by_steps.max(vote.replicas());
    }

    /// A trigger cannot say anything: what its `onError` makes of that.
    pub(super) fn lack(&mut self, trigger: u8, on_error: OnError, draft: &mut Draft) {
        match on_error {
            OnError::Ignore => {}
            OnError::Hold => {
                self.failed = self.failed.saturating_add(1);
                self.held_by = self.held_by.or(Some(trigger));
            }
            OnError::RaiseOnly | OnError::LastKnown(_) => self.failed = self.failed.saturating_add(1),
        }
        if matches!(on_error, OnError::Ignore | OnError::Hold) {
            draft.steps.push(Step::OnError { trigger, on_error, until: None });
        }
    }

    /// Takes a trigger without readings: its fallback's count, what is done instead, a failure, or that it settles.
    pub(super) fn unheard(&mut self, trigger: u8, heard: &Heard<'_>, on_error: OnError, draft: &mut Draft) {
        match heard {
            Heard::Value { .. } => {}
            Heard::Settling(settling) => {
                self.settling = self.settling.saturating_add(1);
                draft.wake(Some(settling.until));
                let (message, since, until) = (settling.message.to_owned(), settling.since, settling.until);
                draft.steps.push(Step::Settling { trigger, message, since, until });
            }
            Heard::Substituted(replicas, silence) => {
                let (replicas, kind, since) = (*replicas, silence.kind, silence.since);
                self.propose(replicas);
                self.by_fallback = self.by_fallback.max(Some(replicas));
                let message = silence.message.to_owned();
                draft.steps.push(Step::Substituted { trigger, replicas, kind, message, since });
            }
            Heard::Known { until, silence, fallback, .. } => {
                failed(trigger, *silence, *fallback, draft);
                draft.wake(Some(*until));
                draft.steps.push(Step::OnError { trigger, on_error, until: Some(*until) });
            }
            Heard::Silent { silence, until } => {
                failed(trigger, *silence, *until, draft);
                self.lack(trigger, on_error, draft);
            }
        }
    }
}

fn failed(trigger: u8, silence: Silence<'_>, until: Option<Tick>, draft: &mut Draft) {
    let (kind, message, since) = (silence.kind, silence.message.to_owned(), silence.since);
    draft.steps.push(Step::Failed { trigger, kind, message, since });
    draft.wake(until);
    draft.steps.extend(until.map(|until| Step::FallbackWaits { trigger, until }));
}
