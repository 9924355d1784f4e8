//! Stage 6: the rate policies of `behavior`: how much may change within a period (hpa-algorithm §8.3).

use crate::behavior::{Behavior, RatePolicy, Rules, Select, start_of_period};
use crate::memory::events::Events;
use crate::time::{Span, Tick};

/// How many expiries are tried for one that changes the limit; beyond it the last one is taken, which costs one pass.
const TRIES: usize = 2;

/// What the policies let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The count after the policies.
    pub(super) replicas: u32,
    /// The policy that set the limit; none if its direction is disabled, or nothing was limited.
    pub(super) policy: Option<RatePolicy>,
    /// When time alone changes the count.
    pub(super) changes: Option<Tick>,
    /// When, once this count is written, the limit gives way, and what it lets through then.
    pub(super) until: Option<(Tick, u32)>,
}

/// One question to the policies of one direction.
pub(super) struct Rate<'a> {
    rules: &'a Rules,
    ups: &'a Events,
    downs: &'a Events,
    current: u32,
    wanted: u32,
    now: Tick,
}

impl<'a> Rate<'a> {
    /// Asks for a change from `current` to `wanted`.
    pub(super) fn new(behavior: &'a Behavior, past: (&'a Events, &'a Events), counts: (u32, u32), now: Tick) -> Self {
        let (current, wanted) = counts;
        let rules = if wanted > current { &behavior.up } else { &behavior.down };
        Self { rules, ups: past.0, downs: past.1, current, wanted, now }
    }

    /// The answer. Staying is always allowed.
    pub(super) fn apply(&self) -> Allowed {
        if self.wanted == self.current {
            return Allowed { replicas: self.wanted, policy: None, changes: None, until: None };
        }
        let (replicas, policy) = self.at(self.now);
        let limited = replicas != self.wanted;
        let until = if limited { self.gives_way(replicas) } else { None };
        Allowed { replicas, policy: policy.filter(|_| limited), changes: self.changes(replicas), until }
    }

    /// What is let through at `at` if nothing is written until then.
    fn at(&self, at: Tick) -> (u32, Option<RatePolicy>) {
        self.through(|period| start_of_period(self.current, self.ups, self.downs, period, at), self.current)
    }

    /// What is let through at `at` if `written` is written now: within a period of now its start is what it was, later it is `written`.
    fn after_write(&self, written: u32, at: Tick) -> u32 {
        let start = |period: Span| {
            if self.now.age(at) < period {
                start_of_period(self.current, self.ups, self.downs, period, at)
            } else {
                f64::from(written)
            }
        };
        self.through(start, written).0
    }

    fn through(&self, start: impl Fn(Span) -> f64, current: u32) -> (u32, Option<RatePolicy>) {
        if self.wanted > self.current {
            let (limit, policy) = self.rules.up_from(current, start);
            (self.wanted.min(limit), policy)
        } else {
            let (limit, policy) = self.rules.down_from(current, start);
            (self.wanted.max(limit), policy)
        }
    }

    /// When the count changes because past changes leave a period; it can also shrink the change.
    fn changes(&self, replicas: u32) -> Option<Tick> {
        if self.rules.select == Select::Disabled {
            return None;
        }
        let mut at = self.now;
        for _ in 0..TRIES {
            at = self.expiry(at)?;
            if self.at(at).0 != replicas {
                break;
            }
        }
        Some(at)
    }

    fn gives_way(&self, replicas: u32) -> Option<(Tick, u32)> {
        let mut at = self.now;
        for _ in 0..TRIES {
            let own = self.rules.policies.iter().map(|policy| self.now + policy.period).filter(|end| *end > at);
            at = self.expiry(at).into_iter().chain(own).min()?;
            let then = self.after_write(replicas, at);
            if then.abs_diff(self.current) > replicas.abs_diff(self.current) {
                return Some((at, then));
            }
        }
        None
    }

    /// The first moment after `at` at which a past change leaves a policy's period.
    fn expiry(&self, at: Tick) -> Option<Tick> {
        let of = |policy: &RatePolicy| {
            let (up, down) = (self.ups.first_expiry(policy.period, at), self.downs.first_expiry(policy.period, at));
            up.into_iter().chain(down).min()
        };
        self.rules.policies.iter().filter_map(of).min()
    }
}
