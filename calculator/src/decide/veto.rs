//! Stage 7: what forbids a change that the metrics want. It keeps the present count and never touches the history.

use super::direction;
use super::gates::Blocks;
use crate::decision::{Limit, Veto};
use crate::memory::rules::RuleMemory;
use crate::policy::{Consent, Policy};
use crate::time::Tick;

/// Everything that may forbid a change.
#[derive(Clone, Copy)]
pub(super) struct Vetoes<'a> {
    /// Pauses of one direction, missing policies and cooldowns.
    pub(super) policy: &'a Policy,
    /// When we wrote last in each direction; none without rules.
    pub(super) rules: Option<&'a RuleMemory>,
    /// What the gates forbid.
    pub(super) blocks: Blocks,
    /// A trigger without a value whose `onError` is `Hold`.
    pub(super) held_by: Option<u8>,
    /// Whether it is a fallback that wants most.
    pub(super) by_fallback: bool,
    /// The moment of the pass.
    pub(super) now: Tick,
}

impl Vetoes<'_> {
    /// What forbids going from `current` to `wanted`, at work or to rest, if anything does.
    pub(super) fn metrics(&self, current: u32, wanted: u32) -> Option<Veto> {
        self.paused(current, wanted)
            .or_else(|| self.missing(current, wanted))
            .or_else(|| self.on_error(current, wanted))
            .or_else(|| self.gate(current, wanted))
            .or_else(|| self.cooldown(current, wanted))
    }

    /// What forbids leaving zero or idle; no cooldown does.
    pub(super) fn leaving(&self, current: u32, wanted: u32) -> Option<Veto> {
        self.paused(current, wanted).or_else(|| self.on_error(current, wanted)).or_else(|| self.gate(current, wanted))
    }

    /// What forbids a jump into the bounds: the pauses of one direction do not, but while a policy is missing or invalid, or a gate forbids it,
    /// nothing is lowered.
    pub(super) fn bounds(&self, current: u32, wanted: u32) -> Option<Veto> {
        self.missing(current, wanted).or_else(|| self.gate(current, wanted).filter(|_| wanted < current))
    }

    fn paused(&self, current: u32, wanted: u32) -> Option<Veto> {
        if wanted > current {
            return self.policy.paused_scale_out.then_some(Veto::PausedScaleOut);
        }
        (wanted < current && self.policy.paused_scale_in).then_some(Veto::PausedScaleIn)
    }

    fn missing(&self, current: u32, wanted: u32) -> Option<Veto> {
        let veto = match self.policy.consent {
            Consent::Full => None,
            Consent::PolicyMissing => Some(Veto::PolicyMissing),
            Consent::PolicyInvalid => Some(Veto::PolicyInvalid),
        };
        veto.filter(|_| wanted < current)
    }

    fn on_error(&self, current: u32, wanted: u32) -> Option<Veto> {
        self.held_by.filter(|_| wanted != current).map(|trigger| Veto::OnError { trigger })
    }

    fn gate(&self, current: u32, wanted: u32) -> Option<Veto> {
        let gate = if wanted > current { self.blocks.up } else { self.blocks.down };
        gate.filter(|_| wanted != current).map(|gate| Veto::Gate { gate })
    }

    fn cooldown(&self, current: u32, wanted: u32) -> Option<Veto> {
        let rules = self.rules.filter(|_| !self.by_fallback)?;
        direction::waits(self.policy, rules, current, wanted, self.now).map(|until| Veto::DirectionCooldown { until })
    }
}

/// What a veto makes the last word.
pub(super) fn limit(veto: Veto) -> Limit {
    match veto {
        Veto::PausedScaleIn | Veto::PausedScaleOut => Limit::Paused,
        Veto::PolicyMissing => Limit::PolicyMissing,
        Veto::PolicyInvalid => Limit::PolicyInvalid,
        Veto::OnError { .. } => Limit::FailedTrigger,
        Veto::Gate { .. } => Limit::Gate,
        Veto::DirectionCooldown { .. } => Limit::DirectionCooldown,
    }
}
