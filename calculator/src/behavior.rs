//! How fast an object may scale: the HPA's `behavior`, with every default filled in as the API server does.

use crate::memory::events::Events;
use crate::policy::Settings;
use crate::time::{Span, Tick};

/// Both directions, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// `behavior.scaleUp`.
    pub up: Rules,
    /// `behavior.scaleDown`.
    pub down: Rules,
    /// Whether the user gave a `stabilizationWindowSeconds` in any direction.
    pub windows_given: bool,
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `stabilizationWindowSeconds`.
    pub window: Span,
    /// `selectPolicy`.
    pub select: Select,
    /// `policies`, in the user's order.
    pub policies: Vec<RatePolicy>,
    /// `tolerance`; the process's setting if none.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the largest change.
    #[default]
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One entry of `policies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePolicy {
    /// Pods or percent.
    pub unit: Unit,
    /// How many of them; at least 1.
    pub value: u32,
    /// `periodSeconds`, 1 s to 1800 s.
    pub period: Span,
}

/// What a rate policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `Pods`.
    Pods,
    /// `Percent`, of the count at the start of the period.
    Percent,
}

/// The rules of one direction as the user wrote them; absent fields take the API's defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenRules {
    /// `stabilizationWindowSeconds`.
    pub window: Option<Span>,
    /// `selectPolicy`.
    pub select: Option<Select>,
    /// `policies`: a given list replaces the default list whole.
    pub policies: Option<Vec<RatePolicy>>,
    /// `tolerance`.
    pub tolerance: Option<f64>,
}

impl Behavior {
    /// Fills both directions field by field (hpa-algorithm §1), as the API server does; the window of a lowering that nobody gave is
    /// the process's.
    pub fn filled(up: GivenRules, down: GivenRules, settings: &Settings) -> Self {
        Self::complete(up, down, settings.downscale_window)
    }

    /// As [`Behavior::filled`], with the process's downscale window.
    pub fn complete(up: GivenRules, down: GivenRules, downscale_window: Span) -> Self {
        let windows_given = up.window.is_some() || down.window.is_some();
        let (up, down) = (up.defaults_up().rules(Span::ZERO), down.defaults_down().rules(downscale_window));
        Self { up, down, windows_given }
    }
}

/// The period of the default policies.
const PERIOD: Span = Span::seconds(15);
const FOUR_PODS: RatePolicy = RatePolicy { unit: Unit::Pods, value: 4, period: PERIOD };
const DOUBLE: RatePolicy = RatePolicy { unit: Unit::Percent, value: 100, period: PERIOD };

impl GivenRules {
    /// With what the API server fills in for `scaleUp`: no window, and the larger of 4 pods and 100 % per 15 s.
    pub fn defaults_up(self) -> Self {
        let window = self.window.or(Some(Span::ZERO));
        Self { window, ..self.defaults(vec![FOUR_PODS, DOUBLE]) }
    }

    /// With what the API server fills in for `scaleDown`: 100 % per 15 s. An absent window stays absent.
    pub fn defaults_down(self) -> Self {
        self.defaults(vec![DOUBLE])
    }

    fn defaults(self, policies: Vec<RatePolicy>) -> Self {
        Self { select: self.select.or(Some(Select::default())), policies: self.policies.or(Some(policies)), ..self }
    }

    fn rules(self, window: Span) -> Rules {
        Rules {
            window: self.window.unwrap_or(window),
            select: self.select.unwrap_or_default(),
            policies: self.policies.unwrap_or_default(),
            tolerance: self.tolerance,
        }
    }
}

impl Rules {
    /// The longest period of these policies: how long their events matter.
    pub fn longest_period(&self) -> Span {
        self.policies.iter().map(|policy| policy.period).max().unwrap_or(Span::ZERO)
    }

    /// The highest count that the up rules allow at `now` (hpa-algorithm §8.3), at least `current`, and the policy that set it.
    pub fn up_limit(&self, current: u32, ups: &Events, downs: &Events, now: Tick) -> (u32, Option<RatePolicy>) {
        self.up_from(current, |period| start_of_period(current, ups, downs, period, now))
    }

    /// The lowest count that the down rules allow at `now` (hpa-algorithm §8.3), at most `current`, and the policy that set it.
    pub fn down_limit(&self, current: u32, ups: &Events, downs: &Events, now: Tick) -> (u32, Option<RatePolicy>) {
        self.down_from(current, |period| start_of_period(current, ups, downs, period, now))
    }

    /// As [`Rules::up_limit`], with the count at the start of each period given.
    pub(crate) fn up_from(&self, current: u32, start: impl Fn(Span) -> f64) -> (u32, Option<RatePolicy>) {
        self.highest(start).map_or((current, None), |(limit, policy)| (whole(limit).max(current), Some(policy)))
    }

    /// As [`Rules::down_limit`], with the count at the start of each period given.
    pub(crate) fn down_from(&self, current: u32, start: impl Fn(Span) -> f64) -> (u32, Option<RatePolicy>) {
        self.lowest(start).map_or((current, None), |(limit, policy)| (whole(limit).min(current), Some(policy)))
    }

    /// The limit upward of the policy that counts, wherever the present count is; none if the direction is disabled.
    pub(crate) fn highest(&self, start: impl Fn(Span) -> f64) -> Option<(f64, RatePolicy)> {
        let allowed = self.policies.iter().map(|policy| {
            let limit = match policy.unit {
                Unit::Pods => start(policy.period) + f64::from(policy.value),
                Unit::Percent => (start(policy.period) * (1.0 + f64::from(policy.value) / 100.0)).ceil(),
            };
            (limit, *policy)
        });
        match self.select {
            Select::Disabled => None,
            Select::Max => allowed.reduce(|best, next| if next.0 > best.0 { next } else { best }),
            Select::Min => allowed.reduce(|best, next| if next.0 < best.0 { next } else { best }),
        }
    }

    /// The limit downward of the policy that counts, wherever the present count is; none if the direction is disabled.
    pub(crate) fn lowest(&self, start: impl Fn(Span) -> f64) -> Option<(f64, RatePolicy)> {
        let allowed = self.policies.iter().map(|policy| {
            let limit = match policy.unit {
                Unit::Pods => start(policy.period) - f64::from(policy.value),
                Unit::Percent => (start(policy.period) * (1.0 - f64::from(policy.value) / 100.0)).trunc(),
            };
            (limit, *policy)
        });
        match self.select {
            Select::Disabled => None,
            Select::Max => allowed.reduce(|best, next| if next.0 < best.0 { next } else { best }),
            Select::Min => allowed.reduce(|best, next| if next.0 > best.0 { next } else { best }),
        }
    }
}

/// The count at the start of the period: what is there now, without what the period's own changes did.
pub(crate) fn start_of_period(current: u32, ups: &Events, downs: &Events, period: Span, now: Tick) -> f64 {
    f64::from(current) - sum_as_f64(ups.sum(period, now)) + sum_as_f64(downs.sum(period, now))
}

#[expect(clippy::cast_precision_loss, reason = "sums of replica counts stay far below 2^52")]
fn sum_as_f64(sum: u64) -> f64 {
    sum as f64
}

/// A count from an f64 as the HPA rounds: saturating, negative and NaN as 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Rust's cast saturates and takes NaN as 0, which is wanted"
)]
pub(crate) fn whole(count: f64) -> u32 {
    count.clamp(0.0, f64::from(i32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(policies: Vec<RatePolicy>) -> Rules {
        GivenRules { policies: Some(policies), ..GivenRules::default() }.rules(Span::ZERO)
    }

    fn pods(value: u32, period: i64) -> RatePolicy {
        RatePolicy { unit: Unit::Pods, value, period: Span::seconds(period) }
    }

    fn percent(value: u32, period: i64) -> RatePolicy {
        RatePolicy { unit: Unit::Percent, value, period: Span::seconds(period) }
    }

    fn up(rules: &Rules, current: u32) -> u32 {
        rules.up_limit(current, &Events::default(), &Events::default(), Tick(0)).0
    }

    fn down(rules: &Rules, current: u32) -> u32 {
        rules.down_limit(current, &Events::default(), &Events::default(), Tick(0)).0
    }

    #[test]
    fn defaults_fill_field_by_field() {
        let settings = Settings::default();
        let only_tolerance = GivenRules { tolerance: Some(0.2), ..GivenRules::default() };
        let behavior = Behavior::filled(only_tolerance, GivenRules::default(), &settings);
        assert_eq!(behavior.up.window, Span::ZERO);
        assert_eq!(behavior.up.policies, [pods(4, 15), percent(100, 15)]);
        assert_eq!(behavior.up.tolerance, Some(0.2));
        assert_eq!((behavior.down.window, behavior.down.select), (Span::seconds(300), Select::Max));
        assert_eq!(behavior.down.policies, [percent(100, 15)]);
        assert_eq!(behavior.up.longest_period(), Span::seconds(15));
    }

    #[test]
    fn percent_keeps_the_artefacts_of_f64() {
        // 50 * 1.1 is 55.000000000000007 in f64, so the ceiling is 56; 100 * 1.1 gives 111; 10 - 80 % is 1.9999999999999996 and truncates to 1, 10 - 90 % is 0.9999999999999998 and truncates to 0.
        assert_eq!((up(&given(vec![percent(10, 60)]), 50), up(&given(vec![percent(10, 60)]), 100)), (56, 111));
        assert_eq!((down(&given(vec![percent(80, 60)]), 10), down(&given(vec![percent(90, 60)]), 10)), (1, 0));
    }

    #[test]
    fn select_chooses_among_policies() {
        let both = vec![pods(4, 15), percent(100, 15)];
        let mut rules = given(both);
        assert_eq!((up(&rules, 3), up(&rules, 10)), (7, 20), "Max: 3 + 4 = 7 beats 6; 10 * 2 = 20 beats 14");
        assert_eq!(down(&rules, 10), 0, "Max removes most: 10 - 100 % = 0");
        rules.select = Select::Min;
        assert_eq!((up(&rules, 3), down(&rules, 10)), (6, 6), "Min: 6 before 7; 10 - 4 = 6 before 0");
        rules.select = Select::Disabled;
        assert_eq!((up(&rules, 3), down(&rules, 10)), (3, 10));
    }

    #[test]
    fn of_equal_limits_the_first_policy_is_named() {
        let mut rules = given(vec![pods(4, 60), percent(100, 15)]);
        let none = Events::default();
        for select in [Select::Max, Select::Min] {
            rules.select = select;
            assert_eq!(rules.up_limit(4, &none, &none, Tick(0)), (8, Some(pods(4, 60))));
            assert_eq!(rules.down_limit(4, &none, &none, Tick(0)), (0, Some(pods(4, 60))));
        }
        assert_eq!(rules.longest_period(), Span::seconds(60));
    }

    #[test]
    fn events_of_the_period_shift_its_start() {
        let rules = given(vec![pods(4, 60)]);
        let mut ups = Events::default();
        ups.push(Tick(0), 3);
        let none = Events::default();
        // 5 now, 3 of them added in the period: start 2, limit 6. At 60 s the event is as old as the period and counts no more.
        assert_eq!(rules.up_limit(5, &ups, &none, Tick(59_999)).0, 6);
        assert_eq!(rules.up_limit(5, &ups, &none, Tick(60_000)).0, 9);
        // Removed in the period: start 5 + 3 = 8; no lower than 4.
        assert_eq!(rules.down_limit(5, &none, &ups, Tick(1)).0, 4);
        // More was added than the policy allows: the limit is never below current.
        ups.push(Tick(10), 9);
        assert_eq!(rules.up_limit(5, &ups, &none, Tick(20)).0, 5);
    }
}
