//! Random policies and histories, and what must hold for all of them.

use proptest::prelude::*;
use tidegate_calculator::behavior::{Behavior, GivenRules, RatePolicy, Select, Unit};
use tidegate_calculator::decision::{Decision, Health, Step};
use tidegate_calculator::observation::{Evidence, SETTLING};
use tidegate_calculator::policy::{Consent, Fallback, FallbackBehavior, Policy, Settings};
use tidegate_calculator::time::{Span, Tick};

use crate::world::World;

/// What happens before a pass.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    Reads {
        trigger: usize,
        total: i64,
        active: bool,
    },
    Fails {
        trigger: usize,
    },
    /// What it measures has just begun; that is a failure after so long.
    Settles {
        trigger: usize,
        limit: i64,
    },
    /// Somebody sets the target.
    Foreign(u32),
    /// So many pods are Ready and exist.
    Pods {
        existing: u32,
        ready: Option<u32>,
    },
    Nothing,
}

/// A pass: how long after the one before, what happened just then, and whether its write succeeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) gap: i64,
    pub(crate) happening: Happening,
    pub(crate) writes: bool,
}

pub(crate) fn moves(most: usize) -> impl Strategy<Value = Vec<Move>> {
    some_moves(most, 0)
}

/// Among the moves are triggers that settle.
pub(crate) fn settling_moves(most: usize) -> impl Strategy<Value = Vec<Move>> {
    some_moves(most, 3)
}

fn some_moves(most: usize, settling: u32) -> impl Strategy<Value = Vec<Move>> {
    let trigger = 0_usize..2;
    let total = prop_oneof![3 => Just(0_i64), 7 => 0_i64..200];
    let happening = prop_oneof![
        12 => (trigger.clone(), total, prop::bool::weighted(0.5))
            .prop_map(|(trigger, total, active)| Happening::Reads { trigger, total, active }),
        1 => trigger.clone().prop_map(|trigger| Happening::Fails { trigger }),
        settling => (trigger, prop_oneof![1 => 1_i64..60_000, 1 => Just(SETTLING.0)])
            .prop_map(|(trigger, limit)| Happening::Settles { trigger, limit }),
        1 => (0_u32..20).prop_map(Happening::Foreign),
        1 => (0_u32..12, prop::option::of(0_u32..12)).prop_map(|(existing, ready)| Happening::Pods { existing, ready }),
        4 => Just(Happening::Nothing),
    ];
    let one = (1_i64..15_000, happening, prop::bool::weighted(0.7));
    prop::collection::vec(one.prop_map(|(gap, happening, writes)| Move { gap, happening, writes }), 1..most)
}

fn given() -> impl Strategy<Value = GivenRules> {
    let policy = (prop::bool::ANY, 1_u32..9, 1_i64..40_000).prop_map(|(pods, value, period)| RatePolicy {
        unit: if pods { Unit::Pods } else { Unit::Percent },
        value: if pods { value } else { value * 20 },
        period: Span(period),
    });
    let select = prop_oneof![4 => Just(Select::Max), 3 => Just(Select::Min), 1 => Just(Select::Disabled)];
    let window = prop_oneof![1 => Just(0_i64), 3 => 0_i64..50_000];
    (window, select, prop::collection::vec(policy, 1..4)).prop_map(|(window, select, policies)| GivenRules {
        window: Some(Span(window)),
        select: Some(select),
        policies: Some(policies),
        tolerance: None,
    })
}

fn fallback() -> impl Strategy<Value = Fallback> {
    let behavior = prop_oneof![
        3 => Just(FallbackBehavior::Static),
        1 => Just(FallbackBehavior::CurrentReplicas),
        1 => Just(FallbackBehavior::CurrentReplicasIfHigher),
        1 => Just(FallbackBehavior::CurrentReplicasIfLower),
    ];
    (0_u32..3, 0_u32..15, behavior).prop_map(|(threshold, replicas, behavior)| Fallback {
        threshold,
        replicas,
        behavior,
    })
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let bounds = (0_u32..4, 1_u32..20, prop::option::weighted(0.3, 0_u32..3));
    let times = (0_i64..70_000, 0_i64..30_000, 0_i64..70_000, prop_oneof![Just(15_000_i64), 1_i64..20_000]);
    let flags =
        (prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.05), prop::bool::weighted(0.1));
    let behavior = prop::option::of((given(), given()));
    let failures = (prop::option::weighted(0.4, fallback()), 1_i64..20_000);
    (bounds, times, flags, behavior, failures, prop::bool::ANY).prop_map(
        |(bounds, times, flags, behavior, failures, tolerant)| {
            let (min, above, idle) = bounds;
            let settings = Settings {
                sync_period: Span(times.3),
                tolerance: if tolerant { 0.1 } else { 0.0 },
                downscale_window: Span(times.2),
                ..Settings::default()
            };
            Policy {
                min,
                max: min + above,
                idle: idle.filter(|idle| *idle < min || (*idle == 0 && min == 0)),
                cooldown: Span(times.0),
                initial_cooldown: Span(times.1),
                paused_scale_in: flags.0,
                paused_scale_out: flags.1,
                force_activation: flags.2,
                consent: if flags.3 { Consent::PolicyMissing } else { Consent::Full },
                behavior: behavior.map(|(up, down)| Behavior::filled(up, down, &settings)),
                settings,
                fallback: failures.0,
                polling_interval: Span(failures.1),
                ..Policy::with_defaults("redis")
            }
        },
    )
}

/// Two triggers, the second of them a Value metric or not.
pub(crate) fn world() -> impl Strategy<Value = World> {
    (policy(), 0_u32..12, prop::bool::ANY).prop_map(|(mut policy, replicas, value)| {
        let mut world = World::new(replicas, 10, &[0, 0]);
        if value {
            world.value_metric(1);
            world.reads(1, 0, Tick(0));
        }
        policy.triggers.clone_from(&world.policy.triggers);
        world.policy = policy;
        world
    })
}

/// Whether a trigger settles.
pub(crate) fn settles(decision: &Decision) -> bool {
    decision.steps.iter().any(|step| matches!(step, Step::Settling { .. }))
}

impl World {
    /// Lets something happen at `now`.
    pub(crate) fn happens(&mut self, happening: Happening, now: Tick) {
        match happening {
            Happening::Reads { trigger, total, active } => self.good(trigger, total, active, now, now),
            Happening::Fails { trigger } => self.fails_again(trigger, now),
            Happening::Settles { trigger, limit } => {
                self.settles(trigger, now);
                if let Evidence::Settling { since, until, .. } = &mut self.triggers[trigger] {
                    *until = (*until).min(*since + Span(limit));
                }
            }
            Happening::Foreign(replicas) if replicas != self.target.replicas => {
                self.replicas(replicas);
                self.memory.changed_by_others(replicas, now);
            }
            Happening::Pods { existing, ready } => {
                self.target.existing = existing;
                self.target.ready = ready;
            }
            Happening::Foreign(_) | Happening::Nothing => {}
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(1_000))]

    #[test]
    fn within_bounds_and_never_lowered_by_metrics_while_a_trigger_has_no_value(mut world in world(), moves in settling_moves(40)) {
        let mut now = Tick(0);
        for step in moves {
            now = now + Span(step.gap);
            world.happens(step.happening, now);
            let current = world.target.replicas;
            let decision = if step.writes { world.act(now) } else { world.pass(now) };
            let policy = &world.policy;
            prop_assert_eq!(decision.desired, decision.write.unwrap_or(current));
            prop_assert!(decision.write != Some(current));
            prop_assert!(decision.next.is_none_or(|next| next > now));
            if let Some(write) = decision.write {
                let rests = Some(write) == policy.resting();
                prop_assert!(rests || (policy.floor()..=policy.max).contains(&write), "{write} of {decision:?}");
                prop_assert!(write >= current || policy.consent == Consent::Full);
                prop_assert!(write >= current || !policy.paused_scale_in || current > policy.max);
                prop_assert_eq!(decision.lowers_by_metrics, write < current && (rests || current <= policy.max));
                if write < current && (decision.health != Health::Good || settles(&decision)) {
                    prop_assert!(current > policy.max && write == policy.max, "lowered on a failure: {decision:?}");
                }
            }
            prop_assert!(!decision.lowers_by_metrics || decision.write.is_some());
        }
    }
}
