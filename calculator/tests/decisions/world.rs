//! A world of one object: a policy, its memory, its triggers and a target that obeys at once.

use jiff::Timestamp;
use tidegate_calculator::behavior::{Behavior, GivenRules, RatePolicy, Select, Unit};
use tidegate_calculator::decide::decide;
use tidegate_calculator::decision::{Decision, Limit};
use tidegate_calculator::memory::Memory;
use tidegate_calculator::observation::{Evidence, Observation, TargetState};
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::policy::{Policy, TriggerPolicy};
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, ReadError, ReadErrorKind, Reading};
use tidegate_calculator::time::{Span, Tick};

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) memory: Memory,
    pub(crate) target: TargetState,
    pub(crate) specs: Vec<MetricSpec>,
    pub(crate) triggers: Vec<Evidence>,
    pub(crate) created: Tick,
    /// By how much the wall clock was set forward since the start.
    pub(crate) set_by: Span,
    /// Above how many replicas more are of no use.
    pub(crate) useful: Option<LastUseful>,
}

/// A moment in seconds.
pub(crate) const fn at(seconds: i64) -> Tick {
    Tick(seconds * 1000)
}

pub(crate) fn pods(value: u32, seconds: i64) -> RatePolicy {
    RatePolicy { unit: Unit::Pods, value, period: Span::seconds(seconds) }
}

pub(crate) fn percent(value: u32, seconds: i64) -> RatePolicy {
    RatePolicy { unit: Unit::Percent, value, period: Span::seconds(seconds) }
}

pub(crate) fn rules(window: i64, select: Select, policies: Vec<RatePolicy>) -> GivenRules {
    GivenRules { window: Some(Span::seconds(window)), select: Some(select), policies: Some(policies), tolerance: None }
}

/// A `behavior` of two directions, as a policy carries it.
#[expect(clippy::unnecessary_wraps, reason = "a policy carries an option")]
pub(crate) fn behavior(up: GivenRules, down: GivenRules) -> Option<Behavior> {
    Some(Behavior::filled(up, down, &Policy::with_defaults("redis").settings))
}

/// Rules that let everything through at once.
pub(crate) fn free() -> GivenRules {
    rules(0, Select::Max, vec![pods(1_000, 1), percent(100, 1)])
}

impl World {
    /// `replicas` that all exist and are Ready, and as many redis triggers of `target` items a replica as there are totals; every
    /// trigger has been read at 0 and is active above 0.
    pub(crate) fn new(replicas: u32, target: i64, totals: &[i64]) -> Self {
        let trigger = TriggerPolicy::new("redis");
        let spec = |index: usize| MetricSpec {
            name: format!("s{index}-redis-list{index}"),
            metric_type: MetricType::AverageValue,
            target: Milli::units(target),
            exact: false,
        };
        let mut policy = Policy::with_defaults("redis");
        policy.triggers = vec![trigger; totals.len()];
        let mut world = Self {
            policy,
            memory: Memory::default(),
            target: TargetState::default(),
            specs: (0..totals.len()).map(spec).collect(),
            triggers: vec![Evidence::Unread; totals.len()],
            created: at(0),
            set_by: Span::ZERO,
            useful: None,
        };
        world.replicas(replicas);
        for (trigger, total) in totals.iter().enumerate() {
            world.reads(trigger, *total, at(0));
        }
        world
    }

    /// Somebody sets the target; all pods are Ready at once.
    pub(crate) fn replicas(&mut self, replicas: u32) {
        self.target = TargetState { replicas, existing: replicas, ready: Some(replicas) };
    }

    /// A trigger reads this many items at this moment; it is active above 0.
    pub(crate) fn reads(&mut self, trigger: usize, total: i64, when: Tick) {
        self.good(trigger, total, total > 0, when, when);
    }

    pub(crate) fn good(&mut self, trigger: usize, total: i64, active: bool, begun: Tick, when: Tick) {
        let reading = Reading { value: Measured::Total(vec![Milli::units(total)]), active };
        let readings = vec![(self.specs[trigger].clone(), reading)];
        self.triggers[trigger] = Evidence::Good { readings, begun, at: when };
    }

    /// More items in what a trigger read last; activity and times stay.
    pub(crate) fn raise(&mut self, trigger: usize, more: i64) {
        if let Evidence::Good { readings, .. } = &mut self.triggers[trigger]
            && let Measured::Total(series) = &mut readings[0].1.value
        {
            series.push(Milli::units(more));
        }
    }

    pub(crate) fn fails(&mut self, trigger: usize, since: Tick) {
        let error = ReadError::endpoint(ReadErrorKind::Timeout, "redis:6379 did not answer within 3 s");
        self.triggers[trigger] = Evidence::Failed { error, since, good: None };
    }

    /// Fails as an engine tells it: a failure goes on, and the last good reading is known.
    pub(crate) fn fails_again(&mut self, trigger: usize, now: Tick) {
        let error = ReadError::endpoint(ReadErrorKind::Timeout, "redis:6379 did not answer within 3 s");
        self.triggers[trigger] = self.triggers[trigger].after(error, now);
    }

    /// What a trigger measures has just begun, as an engine tells it.
    pub(crate) fn settles(&mut self, trigger: usize, now: Tick) {
        let error = ReadError::query(ReadErrorKind::Settling, "a vertex has not run for 1 m");
        self.triggers[trigger] = self.triggers[trigger].after(error, now);
    }

    pub(crate) fn value_metric(&mut self, trigger: usize) {
        self.specs[trigger].metric_type = MetricType::Value;
        self.policy.triggers[trigger].metric_type = MetricType::Value;
    }

    /// The wall clock: tick 0 is the start of 2026, a Thursday, in UTC.
    pub(crate) fn wall(&self, now: Tick) -> Timestamp {
        Timestamp::from_millisecond(1_767_225_600_000 + self.set_by.0 + now.0).unwrap()
    }

    /// Decides without changing anything.
    pub(crate) fn look(&self, now: Tick) -> Decision {
        let (target, triggers, created) = (self.target, self.triggers.as_slice(), self.created);
        let observed = Observation { target, triggers, created, wall: self.wall(now), useful: self.useful };
        decide(&self.policy, &self.memory, &observed, now)
    }

    /// A pass that counts, but whose write does not happen.
    pub(crate) fn pass(&mut self, now: Tick) -> Decision {
        let decision = self.look(now);
        self.memory.take(&decision.effects, now);
        decision
    }

    /// A pass whose write happens at once.
    pub(crate) fn act(&mut self, now: Tick) -> Decision {
        let decision = self.pass(now);
        if let Some(replicas) = decision.write {
            let policy = self.policy.at(self.wall(now)).into_owned();
            self.memory.scaled(&policy, self.target.replicas, replicas, now);
            self.replicas(replicas);
        }
        decision
    }

    /// Reads everything anew with these totals and acts.
    pub(crate) fn step(&mut self, totals: &[i64], now: Tick) -> Decision {
        for (trigger, total) in totals.iter().enumerate() {
            self.reads(trigger, *total, now);
        }
        self.act(now)
    }

    /// The count that the next pass stands for, and what had the last word.
    pub(crate) fn outcome(&self, now: Tick) -> (u32, Limit) {
        let decision = self.look(now);
        assert_eq!(decision.desired, decision.write.unwrap_or(self.target.replicas));
        (decision.desired, decision.limited_by)
    }
}
