//! `directionCooldown`: after a change of ours in one direction the other one waits.
//!
//! It counts our own successful writes. It forbids entering zero, but never leaving it, raising to the minimum, or what a fallback stands
//! for; and going to zero or idle does not start it.

use crate::memory::rules::RuleMemory;
use crate::policy::Policy;
use crate::time::Tick;

/// Until when a change from `current` to `wanted` must wait, if it must.
pub(super) fn waits(policy: &Policy, rules: &RuleMemory, current: u32, wanted: u32, now: Tick) -> Option<Tick> {
    let cooldown = policy.rules.direction_cooldown;
    let end = if wanted > current {
        rules.last_down.map(|at| at + cooldown.up_after_down)
    } else {
        rules.last_up.map(|at| at + cooldown.down_after_up)
    };
    end.filter(|end| *end > now && wanted != current)
}
