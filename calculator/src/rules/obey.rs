//! What rules come to: which rules a trigger has, and what a change makes of a count.

use super::{Change, DirectionCooldown, Role, Rules, TriggerRules};
use crate::policy::Policy;

/// What holds for a trigger of which no policy says anything.
static NOTHING: TriggerRules = TriggerRules {
    role: Role::Scale,
    on_error: super::OnError::RaiseOnly,
    direction: super::Direction::Normal,
    steps: Vec::new(),
    window: None,
    spreads: None,
    steps_lost: false,
};

impl Rules {
    /// Whether no policy says anything: then everything is as KEDA says.
    pub fn is_empty(&self) -> bool {
        let none = self.triggers.is_empty() && self.gates.is_empty() && self.schedules.is_empty();
        none && self.direction_cooldown == DirectionCooldown::default()
    }

    /// What is said of one trigger.
    pub fn of(&self, trigger: usize) -> &TriggerRules {
        self.triggers.get(trigger).unwrap_or(&NOTHING)
    }

    /// Whether a trigger is only read by gates and formulas.
    pub fn is_signal(&self, trigger: usize) -> bool {
        self.of(trigger).role == Role::Signal
    }
}

impl Policy {
    /// Whether every trigger that votes does so by steps: then no stabilization window counts that nobody gave.
    pub fn votes_by_steps_alone(&self) -> bool {
        let mut voting = (0..self.triggers.len()).filter(|index| !self.rules.is_signal(*index)).peekable();
        voting.peek().is_some() && voting.all(|index| !self.rules.of(index).steps.is_empty())
    }
}

impl Change {
    /// The count that this makes of `current`; none for `Ratio`, which needs a reading.
    ///
    /// `+N%` rounds up and `-N%` toward zero; both change by at least 1.
    pub fn of(self, current: u32) -> Option<u32> {
        let part = |percent: u32| u64::from(current) * u64::from(percent);
        let whole = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
        Some(match self {
            Self::Add(more) => current.saturating_add(more),
            Self::Remove(fewer) => current.saturating_sub(fewer),
            Self::AddPercent(percent) => current.saturating_add(whole(part(percent).div_ceil(100))),
            Self::RemovePercent(percent) => current.saturating_sub(whole(part(percent) / 100)),
            Self::Set(count) => count,
            Self::Ratio => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up_and_toward_zero_but_change_by_one_at_least() {
        let of = |change: Change, current: u32| change.of(current).unwrap_or(u32::MAX);
        // 50 % of 5 is 2.5: 3 more, 2 fewer. 10 % of 5 is 0.5: 1 more, and 1 fewer at least.
        assert_eq!((of(Change::AddPercent(50), 5), of(Change::RemovePercent(50), 5)), (8, 3));
        assert_eq!((of(Change::AddPercent(10), 5), of(Change::RemovePercent(10), 5)), (6, 4));
        assert_eq!((of(Change::AddPercent(50), 0), of(Change::RemovePercent(50), 0)), (1, 0));
        assert_eq!((of(Change::Add(2), u32::MAX), of(Change::Remove(9), 4)), (u32::MAX, 0));
        assert_eq!((of(Change::Set(7), 3), Change::Ratio.of(3)), (7, None));
    }

    #[test]
    fn a_trigger_without_an_entry_has_the_defaults() {
        let policy = Policy::with_defaults("redis");
        assert_eq!(policy.rules.of(7), &TriggerRules::default());
        assert!(policy.rules.is_empty() && !policy.rules.is_signal(0) && !policy.votes_by_steps_alone());
    }
}
