//! The last replica of use: it ends raising, and does nothing else.

use proptest::prelude::*;
use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::explain;
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::time::{Now, Tick};

use crate::cases;
use crate::world::{World, at};

/// Six replicas of 2 slots for jobs that can use 11.
const SIX: Option<LastUseful> = Some(LastUseful { replicas: 6, slots: 11, slots_per: 2 });

fn world(replicas: u32, items: i64) -> World {
    let mut world = World::new(replicas, 5, &[items]);
    world.policy.settings.downscale_window = tidegate_calculator::time::Span::ZERO;
    world.useful = SIX;
    world
}

#[test]
fn raising_ends_at_the_last_replica_of_use() {
    // 100 items at 5 a replica want 20; twice the count is 8, and of these 6 are of use.
    let mut world = world(4, 100);
    let decision = world.act(at(1));
    assert_eq!((decision.write, decision.limited_by), (Some(6), Limit::MaxParallelism));
    assert!(decision.steps.contains(&Step::NoUse { wanted: 8, replicas: 6, useful: SIX.unwrap() }), "{decision:?}");
    assert_eq!(decision.effects.record, Some(20), "the history knows what the metrics want");
    assert_eq!(decision.limited_by.reason(), "MaxParallelismReached");
    let now = Now { tick: at(1), wall: world.wall(at(1)) };
    let lines = explain::lines(&world.policy, &world.triggers, &decision, now);
    assert!(
        lines.contains(&" max parallelism  11 slots of use, 2 a replica   -> 6     LIMITED HERE; wanted 8".to_owned()),
        "{lines:?}"
    );
    let why = explain::why(&world.policy, &world.triggers, &decision, now);
    assert!(why.ends_with("wants 20, limited to 6: the jobs can use 6 replicas at most"), "{why}");
    // At 6 nothing more happens, until more is of use.
    assert_eq!(world.outcome(at(20)), (6, Limit::MaxParallelism));
    world.useful = None;
    assert_eq!(world.outcome(at(20)).0, 12);
}

#[test]
fn nothing_is_lowered_because_of_it() {
    let above = world(8, 100);
    assert_eq!(above.outcome(at(1)), (8, Limit::MaxParallelism), "two are of no use, and stay");
    let mut less = world(8, 35);
    // The first pass holds what is there; the next one may lower.
    less.act(at(0));
    assert_eq!(less.outcome(at(1)), (7, Limit::Metrics), "what the metrics lower, they lower");
}

#[test]
fn bounds_and_pauses_ask_for_what_they_want() {
    let mut minimum = world(1, 5);
    (minimum.policy.min, minimum.policy.max) = (9, 20);
    assert_eq!(minimum.outcome(at(1)), (9, Limit::Minimum));
    minimum.replicas(9);
    minimum.reads(0, 100, at(1));
    assert_eq!(minimum.outcome(at(1)), (9, Limit::MaxParallelism), "but the metrics get no more");
    let mut paused = world(1, 5);
    paused.policy.pause = tidegate_calculator::policy::Pause::At(9);
    assert_eq!(paused.outcome(at(1)).0, 9);
}

#[test]
fn it_counts_on_leaving_zero_as_well() {
    let mut zero = world(0, 100);
    zero.policy.min = 0;
    assert_eq!(zero.outcome(at(1)), (6, Limit::MaxParallelism));
}

proptest! {
    #![proptest_config(cases(256))]
    /// It only ever takes from what is raised, down to the last replica of use or to what is there.
    #[test]
    fn it_only_caps_raising(
        (replicas, items, useful, min) in (0u32..20, 0i64..200, 1u32..20, 0u32..12), seconds in 0i64..400
    ) {
        let mut with = World::new(replicas, 5, &[items]);
        (with.policy.min, with.policy.max) = (min, 30);
        let mut without = with.clone();
        with.useful = Some(LastUseful { replicas: useful, slots: useful * 2, slots_per: 2 });
        let now = Tick(seconds * 1_000);
        let (capped, free) = (with.step(&[items], now), without.step(&[items], now));
        if free.desired <= replicas || free.desired <= useful.max(min).max(1) {
            prop_assert_eq!(&capped, &free);
        } else {
            prop_assert_eq!(capped.desired, useful.max(min).max(1).max(replicas));
            prop_assert_eq!(capped.limited_by, Limit::MaxParallelism);
        }
        prop_assert_eq!(capped.effects, free.effects);
    }
}
