//! Stage 7: what forbids a change that the metrics want. It keeps the present count and never touches the history.

use crate::decision::{Limit, Veto};
use crate::policy::{Consent, Policy};

/// What forbids going from `current` to `wanted`, if anything does.
pub(super) fn metrics(policy: &Policy, current: u32, wanted: u32) -> Option<Veto> {
    if wanted > current {
        return policy.paused_scale_out.then_some(Veto::PausedScaleOut);
    }
    if wanted < current && policy.paused_scale_in {
        return Some(Veto::PausedScaleIn);
    }
    bounds(policy, current, wanted)
}

/// What forbids a jump into the bounds: the pauses of one direction do not, but while a policy is missing or invalid nothing is lowered.
pub(super) fn bounds(policy: &Policy, current: u32, wanted: u32) -> Option<Veto> {
    let veto = match policy.consent {
        Consent::Full => None,
        Consent::PolicyMissing => Some(Veto::PolicyMissing),
        Consent::PolicyInvalid => Some(Veto::PolicyInvalid),
    };
    veto.filter(|_| wanted < current)
}

/// What a veto makes the last word.
pub(super) fn limit(veto: Veto) -> Limit {
    match veto {
        Veto::PausedScaleIn | Veto::PausedScaleOut => Limit::Paused,
        Veto::PolicyMissing => Limit::PolicyMissing,
        Veto::PolicyInvalid => Limit::PolicyInvalid,
    }
}
