//! What holds for all rules, histories and failures.

use proptest::prelude::*;
use tidegate_calculator::decision::{Decision, Health, Limit, Step};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Consent;
use tidegate_calculator::rules::{
    Block, Change, Condition, Direction, DirectionCooldown, Gate, OnError, Release, Role, Rules, Schedule, StepRule,
    Take, TriggerRules, Window,
};
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now;
use crate::random::{Happening, Move, moves, settling_moves, world};
use crate::ruled::daily;
use crate::world::World;

fn condition() -> impl Strategy<Value = Condition> {
    (prop::bool::ANY, 0_i64..150).prop_map(|(above, limit)| {
        if above { Condition::Above(Milli::units(limit)) } else { Condition::Below(Milli::units(limit)) }
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (1_u32..4).prop_map(Change::Add),
        4 => (1_u32..4).prop_map(Change::Remove),
        1 => (1_u32..150).prop_map(Change::AddPercent),
        1 => (1_u32..101).prop_map(Change::RemovePercent),
        1 => (0_u32..12).prop_map(Change::Set),
        1 => Just(Change::Ratio),
    ]
}

fn step() -> impl Strategy<Value = StepRule> {
    let times = (prop::option::of(0_i64..100_000), prop::option::of(0_i64..60_000));
    (condition(), change(), prop::bool::weighted(0.2), times).prop_map(|(condition, change, per_replica, times)| {
        StepRule { condition, per_replica, held_for: times.0.map(Span), every: times.1.map(Span), change }
    })
}

fn of_trigger() -> impl Strategy<Value = TriggerRules> {
    let on_error = prop_oneof![
        3 => Just(OnError::RaiseOnly),
        1 => Just(OnError::Hold),
        1 => Just(OnError::Ignore),
        1 => (0_i64..60_000).prop_map(|span| OnError::LastKnown(Span(span))),
    ];
    let take = prop_oneof![Just(Take::Min), Just(Take::Max), Just(Take::Avg)];
    let window =
        prop::option::weighted(0.2, (take, 1_i64..60_000).prop_map(|(take, over)| Window { take, over: Span(over) }));
    let steps = prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(step(), 1..4)];
    let kind = (prop::bool::weighted(0.1), prop::option::of(prop::bool::ANY));
    (on_error, steps, window, kind).prop_map(|(on_error, steps, window, (inverse, spreads))| TriggerRules {
        role: Role::Scale,
        on_error,
        direction: if inverse { Direction::Inverse } else { Direction::Normal },
        steps,
        window,
        spreads,
        steps_lost: false,
    })
}

fn one_gate() -> impl Strategy<Value = Gate> {
    let block = prop_oneof![2 => Just(Block::ScaleDown), 1 => Just(Block::ScaleUp), 1 => Just(Block::Both)];
    let release = prop::option::of((1_i64..40, 0_i64..60_000));
    (0_u8..2, 40_i64..150, prop_oneof![Just(0_i64), 0..100_000_i64], release, block).prop_map(
        |(trigger, limit, held_for, release, block)| Gate {
            name: "gate".into(),
            trigger,
            closes: Condition::Above(Milli::units(limit)),
            held_for: Span(held_for),
            release: release.map(|(below, held_for)| Release {
                condition: Condition::Below(Milli::units(below)),
                held_for: Span(held_for),
            }),
            block,
        },
    )
}

/// A window that begins or ends within the first minutes: the world begins at midnight.
fn schedule() -> impl Strategy<Value = Schedule> {
    let bounds = (prop::option::of(0_u32..9), prop::option::of(1_u32..15));
    (prop::bool::ANY, 0_i64..6, bounds).prop_map(|(begins, minute, (min, max))| {
        use tidegate_calculator::calendar::Calendar;
        let edge = Calendar::new(&format!("{minute} 0 * * *"), "UTC").unwrap();
        let mut schedule = daily("schedule", 12, 18, min, max);
        *if begins { &mut schedule.start } else { &mut schedule.end } = edge;
        schedule
    })
}

/// A world with rules; no two of them can be told apart by name, so that positions count.
pub(crate) fn ruled() -> impl Strategy<Value = World> {
    let cooldown = (0_i64..60_000, 0_i64..60_000);
    let gates = prop::collection::vec(one_gate(), 0..3);
    let schedules = prop::collection::vec(schedule(), 0..3);
    let signal = prop::bool::weighted(0.2);
    (world(), [of_trigger(), of_trigger()], gates, schedules, cooldown, signal).prop_map(
        |(mut world, mut triggers, gates, schedules, cooldown, signal)| {
            if signal {
                triggers[1].role = Role::Signal;
            }
            let direction_cooldown =
                DirectionCooldown { down_after_up: Span(cooldown.0), up_after_down: Span(cooldown.1) };
            world.policy.rules = Rules { triggers: triggers.to_vec(), gates, direction_cooldown, schedules };
            world
        },
    )
}

fn act(world: &mut World, step: Move, now: Tick) -> Decision {
    world.happens(step.happening, now);
    if step.writes { world.act(now) } else { world.pass(now) }
}

/// Whether a Scale trigger has neither a value nor a substitute, and does not drop out. To rest a value need not propose anything.
fn lacks(world: &World, decision: &Decision, rests: bool) -> bool {
    decision.steps.iter().any(|step| match step {
        Step::Settling { .. } => true,
        Step::Failed { trigger, .. } if rests && world.triggers[usize::from(*trigger)].readings().is_some() => false,
        Step::Failed { trigger, .. } => {
            let on_error = world.policy.rules.of(usize::from(*trigger)).on_error;
            let known = decision.steps.iter().any(|other| {
                matches!(other, Step::OnError { trigger: of, on_error: OnError::LastKnown(_), .. } if of == trigger)
            });
            on_error != OnError::Ignore && !known
        }
        _ => false,
    })
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    #[test]
    fn bounds_and_consent_hold_and_nothing_is_lowered_on_missing_data(mut world in ruled(), moves in settling_moves(50)) {
        let mut now = Tick(0);
        for step in moves {
            now = now + Span(step.gap);
            world.happens(step.happening, now);
            let current = world.target.replicas;
            let policy = world.policy.at(world.wall(now)).into_owned();
            let decision = if step.writes { world.act(now) } else { world.pass(now) };
            prop_assert_eq!(decision.desired, decision.write.unwrap_or(current));
            prop_assert!(decision.write != Some(current) && decision.next.is_none_or(|next| next > now));
            let Some(write) = decision.write else { continue };
            let rests = Some(write) == policy.resting();
            let falls = write < current;
            // On the way down to a maximum that the clock has lowered a count is above it.
            let most = if falls { policy.max.max(current) } else { policy.max };
            prop_assert!(rests || (policy.floor()..=most).contains(&write), "{write} of {decision:?}");
            prop_assert!(!falls || policy.consent == Consent::Full);
            prop_assert!(!falls || !policy.paused_scale_in || current > policy.max);
            if falls && lacks(&world, &decision, rests) {
                prop_assert!(current > policy.max && write >= policy.max, "lowered on a failure: {decision:?}");
            }
            prop_assert!(!decision.lowers_by_metrics || falls);
        }
    }

    #[test]
    fn nothing_changes_before_next(
        mut world in ruled(), moves in settling_moves(30), probes in prop::collection::vec(1_i64..60_000, 6),
    ) {
        let result = |decision: &Decision| {
            let Decision { write, desired, limited_by, lowers_by_metrics, active, fresh_after, .. } = decision;
            (*write, *desired, *limited_by, *lowers_by_metrics, *active, *fresh_after)
        };
        let (mut now, mut steps, mut due) = (Tick(0), moves.into_iter(), None);
        loop {
            if let Some(next) = due.take() {
                now = next;
            } else {
                let Some(step) = steps.next() else { break };
                now = now + Span(step.gap);
                act(&mut world, step, now);
            }
            let decision = world.pass(now);
            let end = decision.next.map_or(now + Span(60_000), |next| (next - Span(1)).min(now + Span(60_000)));
            for probe in probes.iter().map(|probe| now + Span(*probe)).chain([now, now.next(), end]).filter(|at| *at <= end) {
                prop_assert_eq!(result(&world.look(probe)), result(&decision), "at {:?} after {:?}: {:?}", probe, now, decision);
            }
            due = decision.next.filter(|next| *next <= now + Span(15_000));
        }
    }

    /// One memory goes on, another is read back from what was stored. From then on both are fed the same: the one read back lowers
    /// only when the other one does, and no further.
    #[test]
    fn read_back_it_never_lowers_earlier(
        mut world in ruled(), before in moves(40), after in moves(60), gap in 0_i64..100_000,
    ) {
        world.policy.fallback = None;
        let (mut tick, mut text) = (Tick(0), Checkpoint::default());
        // Every memory is loaded once: of a count above a schedule's maximum nobody knows then who made it so.
        let policy = world.policy.at(world.wall(tick)).into_owned();
        world.memory = text.restore(&policy, world.target.replicas, now(tick)).unwrap();
        for step in before {
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Foreign(_)) {
                world.happens(step.happening, tick);
            }
            let flips = world.memory.flips(&world.look(tick).effects);
            let decision = if step.writes { world.act(tick) } else { world.pass(tick) };
            if flips || (step.writes && decision.write.is_some()) {
                text = Checkpoint::of(&world.memory, now(tick));
            }
        }
        tick = tick + Span(gap);
        let policy = world.policy.at(world.wall(tick)).into_owned();
        let mut back = text.restore(&policy, world.target.replicas, now(tick)).unwrap();
        for step in after {
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Foreign(_)) {
                world.happens(step.happening, tick);
            }
            let mut other = world.clone();
            other.memory = back;
            let (here, there) = (world.pass(tick), other.pass(tick));
            back = other.memory;
            let current = world.target.replicas;
            if here.health != Health::Good && here.limited_by == Limit::Stabilization {
                // Only the maximum of a schedule lowers while a trigger fails, and only its window holds that. Where failures kept one of
                // the two from recording anything for a minute it holds what is there, and the other may have recorded that before.
                continue;
            }
            prop_assert!(there.desired >= here.desired.min(current), "at {:?}: {:?}\nbut live {:?}", tick, there, here);
            if let Some(write) = here.write.filter(|_| step.writes) {
                let policy = world.policy.at(world.wall(tick)).into_owned();
                for memory in [&mut world.memory, &mut back] {
                    memory.scaled(&policy, current, write, tick);
                }
                world.replicas(write);
            }
        }
    }

    #[test]
    fn the_same_history_gives_the_same_decisions_and_rules_that_say_nothing_change_nothing(
        world in world(), moves in moves(40),
    ) {
        let run = |mut world: World| {
            let mut tick = Tick(0);
            let mut decisions = Vec::new();
            for step in &moves {
                tick = tick + Span(step.gap);
                let decision = act(&mut world, *step, tick);
                let steps: Vec<Step> =
                    decision.steps.into_iter().filter(|step| !matches!(step, Step::Voted { .. })).collect();
                decisions.push((decision.write, decision.limited_by, decision.next, decision.health, steps));
            }
            decisions
        };
        let mut said = world.clone();
        said.policy.rules.triggers = vec![TriggerRules::default(); 2];
        prop_assert_eq!(run(world), run(said));
    }

    /// A gate or a cooldown only ever keeps the count.
    #[test]
    fn gates_and_cooldowns_only_keep_what_is_there(mut world in ruled(), moves in moves(40)) {
        let mut tick = Tick(0);
        for step in moves {
            tick = tick + Span(step.gap);
            let decision = act(&mut world, step, tick);
            if matches!(decision.limited_by, Limit::Gate | Limit::DirectionCooldown) {
                prop_assert_eq!(decision.write, None);
            }
        }
    }
}
