//! How long the next operation of a direction waits after one has ended.

use serde::{Deserialize, Serialize};

use super::Operation;
use super::phase::{Direction, Phase};
use super::refusal::Reason;
use crate::time::{Now, Span};

/// No pause grows beyond this by failures.
pub const LONGEST: Span = Span::seconds(30 * 60);

/// After a change that was not made the next one waits for so long at least, whatever the cooldown is: each try may restart a job.
pub const SHORTEST: Span = Span::seconds(10);

/// How an operation ended: kept by the object's memory, one for each direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// Its direction.
    pub direction: Direction,
    /// Its last phase.
    pub phase: Phase,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The pause that user and cluster ask for.
    pub cooldown: Span,
    /// How many in a row ended without the change; 0 after Done. One in whose place an operation to zero went is none of them.
    pub failures: u32,
    /// Only a change of the spec, the policy or a setting helps.
    pub config: bool,
}

impl Ending {
    /// From when on the next operation in this direction may begin, in milliseconds since 1970; none while only a new spec or policy
    /// helps. `changed`: spec or policy have changed since.
    ///
    /// After Done the cooldown; after anything else the cooldown, [`SHORTEST`] at least, doubled with every failure in a row, at most
    /// [`LONGEST`] unless the cooldown itself is longer.
    pub fn next(&self, changed: bool) -> Option<i64> {
        if self.config {
            return changed.then_some(self.at);
        }
        let doublings = self.failures.saturating_sub(1).min(20);
        let first = if self.failures > 0 { self.cooldown.max(SHORTEST) } else { self.cooldown };
        let grown = Span(first.0.saturating_mul(1 << doublings)).min(LONGEST).max(first);
        Some(self.at.saturating_add(grown.0))
    }
}

impl Operation {
    /// How it ended, if it has; `before` is the last ending in this direction. One that gave way to other hooks has not ended by itself: it
    /// changes nothing about the next one.
    pub fn ending(&self, before: Option<&Ending>, now: Now) -> Option<Ending> {
        let state = &self.state;
        let known = before.map_or(0, |ending| ending.failures);
        let failures = match state.phase {
            Phase::Done => 0,
            _ if state.superseded => known,
            _ => known.saturating_add(1),
        };
        let gave_way = state.cause.as_ref().is_some_and(|cause| cause.reason == Reason::HooksChanged);
        (state.phase.ended() && !gave_way).then(|| Ending {
            direction: state.direction,
            phase: state.phase,
            at: now.wall_of(self.origin + state.phase_since).as_millisecond(),
            cooldown: state.cooldown,
            failures,
            config: state.phase != Phase::Done && state.cause.as_ref().is_some_and(|cause| cause.config),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let ending = |failures, config| Ending {
            direction: Direction::ScaleDown,
            phase: Phase::Aborted,
            at: 0,
            cooldown: Span::seconds(120),
            failures,
            config,
        };
        // 2, 4, 8, 16 min, then 32 would be more than 30.
        let minutes: Vec<i64> = (1..=6).filter_map(|n| ending(n, false).next(false)).map(|ms| ms / 60_000).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 30, 30]);
        assert_eq!(ending(0, false).next(false), Some(120_000));
        // Without a cooldown a change that fails is not tried again at once, and again.
        let none = |failures| Ending { cooldown: Span::ZERO, ..ending(failures, false) }.next(false);
        assert_eq!([0, 1, 2, 3].map(none), [0, 10_000, 20_000, 40_000].map(Some));
        assert_eq!(ending(1, true).next(false), None, "a setting must change first");
        assert_eq!(ending(1, true).next(true), Some(0));
        let long = Ending { cooldown: Span::seconds(3600), ..ending(3, false) };
        assert_eq!(long.next(false), Some(3_600_000), "never shorter than the cooldown itself");
    }
}
