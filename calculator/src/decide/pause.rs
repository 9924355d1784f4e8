//! Stage 1: a pause annotation ends the decision before anything else is looked at.

use crate::decision::{Decision, Effects, Health, Limit, Step};
use crate::policy::Pause;

/// The decision of a paused object: `paused-replicas` sets its number, a plain pause writes nothing. Neither touches the memory.
pub(super) fn paused(pause: Pause, current: u32) -> Option<Decision> {
    let at = match pause {
        Pause::No => return None,
        Pause::Plain => None,
        Pause::At(replicas) => Some(replicas),
    };
    let write = at.filter(|replicas| *replicas != current);
    Some(Decision {
        write,
        desired: write.unwrap_or(current),
        limited_by: Limit::Paused,
        lowers_by_metrics: false,
        fresh_after: None,
        active: false,
        health: Health::Good,
        next: None,
        effects: Effects::default(),
        steps: vec![Step::Paused { at }],
    })
}
