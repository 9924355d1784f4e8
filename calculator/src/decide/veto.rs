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

/// What forbids a jump into the bounds: the pauses of one direction do not, but while a policy is missing nothing is lowered.
pub(super) fn bounds(policy: &Policy, current: u32, wanted: u32) -> Option<Veto> {
    (wanted < current && policy.consent == Consent::PolicyMissing).then_some(Veto::PolicyMissing)
}

/// What a veto makes the last word.
pub(super) fn limit(veto: Veto) -> Limit {
    match veto {
        Veto::PausedScaleIn | Veto::PausedScaleOut => Limit::Paused,
        Veto::PolicyMissing => Limit::PolicyMissing,
    }
}
