//! `onError`: what a trigger without a value does until its fallback acts.
//!
//! `RaiseOnly` is the HPA's rule: the others may raise, nothing is lowered. `Hold` changes nothing either way. With `Ignore` the trigger
//! drops out. With `LastKnown` its last good reading counts for a while, for ratios and activity; rules with thresholds hold meanwhile,
//! because no data never fires one, and zero is not entered on it.

use crate::memory::Memory;
use crate::memory::rules::{Known, trigger_id};
use crate::policy::Policy;
use crate::rules::OnError;
use crate::time::Tick;

/// The last good reading of a trigger that has failed, if it still counts, and until when.
pub(super) fn known<'a>(policy: &Policy, memory: &'a Memory, trigger: usize, now: Tick) -> Option<(&'a Known, Tick)> {
    let OnError::LastKnown(counts) = policy.rules.of(trigger).on_error else { return None };
    let known = memory.rules.as_deref()?.track(trigger_id(policy, trigger))?.known.as_ref()?;
    let until = (known.at + counts).next();
    (now < until).then_some((known, until))
}

/// Whether the last good reading of a trigger must be kept.
pub(super) fn keeps(policy: &Policy, trigger: usize) -> bool {
    matches!(policy.rules.of(trigger).on_error, OnError::LastKnown(_))
}
