//! What bounds and rates make of a stabilized proposal (hpa-algorithm §8.1, §8.3).

use std::cmp::Ordering;

use crate::behavior::{Behavior, Rules};
use crate::hpa::history::{Scaled, sum};
use crate::hpa::ratio::as_f64;
use crate::hpa::words::Word;
use crate::time::{Span, Tick};

/// Which bound moved a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The lower one.
    Least,
    /// The upper one.
    Most,
}

/// `wanted` within the bounds, and which of them moved it. The lower one is looked at first.
pub fn clamp<Count: PartialOrd>(least: Count, most: Count, wanted: Count) -> (Count, Option<Bound>) {
    if wanted < least {
        (least, Some(Bound::Least))
    } else if wanted > most {
        (most, Some(Bound::Most))
    } else {
        (wanted, None)
    }
}

/// How far a raise may go in one sync period without `behavior`: so many times the count it starts from, but at least `least`.
pub fn legacy_ceiling(start: f64, factor: f64, least: f64) -> f64 {
    (start * factor).max(least)
}

/// What a count is limited by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits<'a> {
    /// `scale.spec.replicas`.
    pub current: i32,
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// The moment of the pass.
    pub now: Tick,
    /// Replicas added lately.
    pub ups: &'a [Scaled],
    /// Replicas removed lately.
    pub downs: &'a [Scaled],
}

impl Limits<'_> {
    /// Without `behavior`: the count, and what ScalingLimited says.
    pub fn legacy(&self, wanted: i32, factor: f64, least: f64) -> (i32, Word) {
        let up = truncated(legacy_ceiling(f64::from(self.current), factor, least));
        let (most, reason) = self.ceiling(up);
        match clamp(self.min, most, wanted) {
            (replicas, None) => (replicas, Word::DesiredWithinRange),
            (replicas, Some(Bound::Least)) => (replicas, Word::TooFewReplicas),
            (replicas, Some(Bound::Most)) => (replicas, reason),
        }
    }

    /// With `behavior`: the count, and what ScalingLimited says. Only the bound of the direction counts.
    pub fn by_rate(&self, wanted: i32, behavior: &Behavior) -> (i32, Word) {
        let (limit, reason) = match wanted.cmp(&self.current) {
            Ordering::Greater => self.ceiling(self.up(&behavior.up).max(self.current)),
            Ordering::Less => self.floor(self.down(&behavior.down).min(self.current)),
            Ordering::Equal => return (wanted, Word::DesiredWithinRange),
        };
        let beyond = if wanted > self.current { wanted > limit } else { wanted < limit };
        if beyond { (limit, reason) } else { (wanted, Word::DesiredWithinRange) }
    }

    /// The highest count that the up rules allow; it may lie below the present one.
    pub fn up(&self, rules: &Rules) -> i32 {
        rules.highest(|period| self.start(period)).map_or(self.current, |(limit, _)| truncated(limit))
    }

    /// The lowest count that the down rules allow; it may lie above the present one.
    pub fn down(&self, rules: &Rules) -> i32 {
        rules.lowest(|period| self.start(period)).map_or(self.current, |(limit, _)| truncated(limit))
    }

    fn start(&self, period: Span) -> f64 {
        f64::from(self.current) - as_f64(sum(self.ups, period, self.now)) + as_f64(sum(self.downs, period, self.now))
    }

    fn ceiling(&self, limit: i32) -> (i32, Word) {
        if self.max > limit { (limit, Word::ScaleUpLimit) } else { (self.max, Word::TooManyReplicas) }
    }

    fn floor(&self, limit: i32) -> (i32, Word) {
        if self.min < limit { (limit, Word::ScaleDownLimit) } else { (self.min, Word::TooFewReplicas) }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Rust's cast saturates, which is wanted")]
fn truncated(count: f64) -> i32 {
    count as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behavior::{GivenRules, RatePolicy, Unit};

    fn limited(current: i32, bounds: (i32, i32), wanted: i32) -> (i32, Word) {
        let four = RatePolicy { unit: Unit::Pods, value: 4, period: Span::seconds(60) };
        let rules = GivenRules { policies: Some(vec![four]), ..GivenRules::default() };
        let behavior = Behavior::complete(rules.clone(), rules, Span::ZERO);
        let (min, max) = bounds;
        Limits { current, min, max, now: Tick(0), ups: &[], downs: &[] }.by_rate(wanted, &behavior)
    }

    #[test]
    fn what_a_policy_just_allows_is_within_the_range() {
        let within = Word::DesiredWithinRange;
        assert_eq!(
            [13, 14, 15].map(|n| limited(10, (1, 100), n)),
            [(13, within), (14, within), (14, Word::ScaleUpLimit)]
        );
        assert_eq!([7, 6, 5].map(|n| limited(10, (1, 100), n)), [(7, within), (6, within), (6, Word::ScaleDownLimit)]);
        assert_eq!(limited(10, (20, 30), 10), (10, within), "staying is looked at by no limit");
    }

    #[test]
    fn of_a_policy_and_an_equal_bound_the_bound_speaks() {
        assert_eq!(limited(10, (6, 14), 20), (14, Word::TooManyReplicas));
        assert_eq!(limited(10, (6, 14), 1), (6, Word::TooFewReplicas));
        assert_eq!(limited(10, (5, 15), 20), (14, Word::ScaleUpLimit));
        assert_eq!(limited(10, (5, 15), 1), (6, Word::ScaleDownLimit));
    }

    #[test]
    fn without_behavior_too() {
        let limits = Limits { current: 3, min: 1, max: 6, now: Tick(0), ups: &[], downs: &[] };
        assert_eq!(limits.legacy(9, 2.0, 4.0), (6, Word::TooManyReplicas), "2 * 3 = 6");
        assert_eq!(Limits { max: 7, ..limits }.legacy(9, 2.0, 4.0), (6, Word::ScaleUpLimit));
        assert_eq!(limits.legacy(6, 2.0, 4.0), (6, Word::DesiredWithinRange));
    }
}
