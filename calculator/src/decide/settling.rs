//! What a trigger that settles does to the time of its rules: it stands still.
//!
//! Timers of rules and gates neither go on nor begin anew, and windows keep what is in them: for them the time in which a trigger settles does
//! not exist. The gap in its data is what is left without it.

use crate::memory::rules::Pace;
use crate::observation::Evidence;
use crate::time::Tick;

/// How the time of a trigger's rules goes at `now`.
pub(super) fn pace(evidence: &Evidence, now: Tick) -> Pace {
    match evidence {
        Evidence::Settling { since, until, .. } if *until > now => Pace::Still(*since),
        Evidence::Settling { until, .. } => Pace::Runs(*until),
        Evidence::Good { at, .. } => Pace::Runs(*at),
        Evidence::Failed { since, .. } => Pace::Runs(*since),
        Evidence::Unread => Pace::Unread,
    }
}
