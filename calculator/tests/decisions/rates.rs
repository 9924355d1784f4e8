//! Rate policies and the legacy limit: hpa-algorithm §8.1 and §8.3.

use tidegate_calculator::behavior::{GivenRules, Select};
use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::time::{Span, Tick};

use crate::world::{World, at, behavior, free, percent, pods, rules};

#[test]
fn four_pods_in_fifteen_seconds() {
    let mut world = World::new(3, 100, &[790]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(4, 15)]), free());
    let decision = world.act(at(31));
    // 3 + 4 = 7; once they are written, 15 s later 7 + 4 = 11 would do, 8 are wanted.
    let step = Step::Rate { policy: Some(pods(4, 15)), wanted: 8, replicas: 7, until: Some((at(46), 8)) };
    assert!(decision.steps.contains(&step), "{:?}", decision.steps);
    assert_eq!((decision.write, decision.limited_by, decision.next), (Some(7), Limit::ScaleUpRate, None));
    let waiting = world.look(at(32));
    assert_eq!((waiting.write, waiting.limited_by, waiting.next), (None, Limit::ScaleUpRate, Some(at(46))));
    assert_eq!(world.outcome(Tick(45_999)).0, 7);
    assert_eq!(world.outcome(at(46)), (8, Limit::Metrics));
}

#[test]
fn rows_31_and_32_more_than_the_policy_allows_already_happened() {
    let mut world = World::new(20, 100, &[3_000]);
    world.policy.behavior =
        behavior(rules(0, Select::Max, vec![pods(2, 60)]), rules(0, Select::Max, vec![pods(2, 60)]));
    world.memory.ups.push(at(0), 9);
    // 20 - 9 + 2 = 13 is below current: it stays.
    let up = world.look(at(1));
    assert_eq!((up.desired, up.limited_by, up.next), (20, Limit::ScaleUpRate, Some(at(60))));
    world.memory.ups.clear();
    world.memory.downs.push(at(0), 9);
    world.reads(0, 100, at(1));
    let down = world.look(at(1));
    assert_eq!((down.desired, down.limited_by, down.next), (20, Limit::ScaleDownRate, Some(at(60))), "20 + 9 - 2 = 27");
    assert_eq!(world.outcome(at(60)), (18, Limit::ScaleDownRate));
}

#[test]
fn each_event_that_leaves_its_period_gives_way() {
    let mut world = World::new(10, 100, &[3_000]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(5, 60)]), free());
    world.memory.ups.push(at(0), 2);
    world.memory.ups.push(at(10), 3);
    // 10 - 5 + 5 = 10. At 60 s: 10 - 3 + 5 = 12; at 70 s: 15.
    let decision = world.look(at(20));
    assert_eq!((decision.desired, decision.next), (10, Some(at(60))));
    let until = Some((at(60), 12));
    assert!(decision.steps.contains(&Step::Rate { policy: Some(pods(5, 60)), wanted: 30, replicas: 10, until }));
    let later = world.look(at(60));
    assert_eq!((later.desired, later.next), (12, Some(at(70))));
    assert_eq!(world.outcome(at(70)).0, 15);
}

#[test]
fn an_event_of_the_other_direction_that_leaves_shrinks_the_change() {
    let mut world = World::new(10, 100, &[1_400]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(2, 60)]), free());
    world.memory.downs.push(at(0), 3);
    // 10 + 3 + 2 = 15 lets 14 through; at 60 s only 12.
    let decision = world.look(at(1));
    assert_eq!((decision.desired, decision.limited_by, decision.next), (14, Limit::Metrics, Some(at(60))));
    assert_eq!(world.outcome(at(60)), (12, Limit::ScaleUpRate));
}

#[test]
fn expiries_that_change_nothing_are_passed_over() {
    let mut world = World::new(10, 100, &[1_100]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(5, 60)]), free());
    world.policy.settings.tolerance = 0.0;
    // 11 wanted; 10 - 7 + 5 = 8, so 10. At 60 s 10 - 6 + 5 = 9: still 10. At 65 s: 10 - 2 + 5 = 13.
    for (when, amount) in [(0, 1), (5, 4), (7, 2)] {
        world.memory.ups.push(at(when), amount);
    }
    assert_eq!((world.look(at(20)).desired, world.look(at(20)).next), (10, Some(at(65))));
    assert_eq!(world.outcome(at(60)).0, 10);
    assert_eq!(world.outcome(at(65)).0, 11);
}

#[test]
fn percent_and_select() {
    let limited = |select, total: i64| {
        let mut world = World::new(10, 100, &[total]);
        let policies = || vec![pods(4, 60), percent(100, 15)];
        world.policy.behavior =
            behavior(rules(0, select, policies()), rules(0, select, vec![pods(4, 60), percent(50, 15)]));
        let decision = world.look(at(1));
        let policy = decision.steps.iter().find_map(|step| match step {
            Step::Rate { policy, until, .. } => Some((*policy, until.map(|(at, _)| at))),
            _ => None,
        });
        (decision.desired, decision.limited_by, policy)
    };
    let (up, down) = (Limit::ScaleUpRate, Limit::ScaleDownRate);
    assert_eq!(limited(Select::Max, 5_000), (20, up, Some((Some(percent(100, 15)), Some(at(16))))));
    assert_eq!(limited(Select::Min, 5_000), (14, up, Some((Some(pods(4, 60)), Some(at(61))))));
    assert_eq!(limited(Select::Disabled, 5_000), (10, up, Some((None, None))));
    assert_eq!(limited(Select::Max, 100), (5, down, Some((Some(percent(50, 15)), Some(at(16))))));
    assert_eq!(limited(Select::Disabled, 100), (10, down, Some((None, None))));
}

#[test]
fn row_33_more_than_all_percent_leaves_it_to_the_minimum() {
    let mut world = World::new(10, 100, &[1]);
    world.policy.min = 2;
    world.policy.behavior = behavior(free(), rules(0, Select::Max, vec![percent(150, 60)]));
    assert_eq!(world.outcome(at(1)), (2, Limit::Minimum));
}

#[test]
fn row_35_a_limit_equal_to_a_bound_is_the_bound() {
    let mut world = World::new(10, 100, &[5_000]);
    world.policy.max = 14;
    world.policy.min = 6;
    world.policy.behavior =
        behavior(rules(0, Select::Max, vec![pods(4, 60)]), rules(0, Select::Max, vec![pods(4, 60)]));
    assert_eq!(world.outcome(at(1)), (14, Limit::Maximum));
    world.reads(0, 100, at(1));
    assert_eq!(world.outcome(at(1)), (6, Limit::Minimum));
}

#[test]
fn the_defaults_of_behavior_double_or_add_four() {
    let mut world = World::new(3, 100, &[5_000]);
    world.policy.behavior = behavior(GivenRules::default(), GivenRules::default());
    assert_eq!(world.act(at(0)).write, Some(7), "max(3 + 4, 2 * 3)");
    assert_eq!(world.act(Tick(14_999)).write, None);
    assert_eq!(world.act(at(15)).write, Some(14), "max(7 + 4, 2 * 7)");
}

#[test]
fn the_legacy_limit_doubles_the_lowest_count_of_the_last_sync_period() {
    let mut world = World::new(3, 100, &[5_000]);
    world.policy.settings.tolerance = 0.0;
    let first = world.act(at(0));
    assert_eq!((first.write, first.limited_by, first.next), (Some(6), Limit::ScaleUpRate, None));
    // Once 6 are written, 3 is the lowest for 15 s, then 6: 12.
    let step = Step::LegacyLimit { lowest: 3, wanted: 50, replicas: 6, until: Some((at(15), 12)) };
    assert!(first.steps.contains(&step), "{:?}", first.steps);
    let waiting = world.look(at(5));
    assert_eq!((waiting.desired, waiting.limited_by, waiting.next), (6, Limit::ScaleUpRate, Some(at(15))));
    assert!(waiting.steps.contains(&Step::LegacyLimit {
        lowest: 3,
        wanted: 50,
        replicas: 6,
        until: Some((at(15), 12))
    }));
    assert_eq!(world.outcome(Tick(14_999)).0, 6);
    assert_eq!(world.act(at(15)).write, Some(12));
    assert_eq!(world.act(at(30)).write, Some(24));
    assert_eq!(world.act(at(45)).write, Some(48));
    let last = world.act(at(60));
    assert_eq!((last.write, last.limited_by), (Some(50), Limit::Metrics));
}

#[test]
fn the_legacy_limit_allows_at_least_four() {
    let mut world = World::new(1, 100, &[5_000]);
    let decision = world.act(at(0));
    assert_eq!(decision.write, Some(4));
    // 1 is the lowest until 15 s, then 4: 8.
    assert_eq!((world.look(at(1)).desired, world.look(at(1)).next), (4, Some(at(15))));
    assert_eq!(world.outcome(at(15)).0, 8);
    assert_eq!(World::new(1, 100, &[400]).outcome(at(0)), (4, Limit::Metrics));
}

#[test]
fn rises_that_leave_the_limit_as_it_is_are_passed_over() {
    let mut world = World::new(1, 100, &[5_000]);
    world.policy.settings.sync_period = Span::seconds(15);
    let policy = world.policy.clone();
    for (when, from, to) in [(0, 1, 2), (5, 2, 4)] {
        world.memory.scaled(&policy, from, to, at(when));
    }
    world.replicas(4);
    // c = 1 until 15 s, then 2 until 20 s: both allow 4. Then 4: 8.
    let decision = world.look(at(6));
    assert_eq!((decision.desired, decision.next), (4, Some(at(20))));
    assert!(decision.steps.contains(&Step::LegacyLimit {
        lowest: 1,
        wanted: 50,
        replicas: 4,
        until: Some((at(20), 8))
    }));
    assert_eq!(world.outcome(Tick(19_999)).0, 4);
    assert_eq!(world.outcome(at(20)).0, 8);
}

#[test]
fn after_somebody_elses_change_doubling_starts_from_the_present_count() {
    let mut world = World::new(3, 100, &[5_000]);
    world.act(at(0));
    world.replicas(10);
    world.memory.changed_by_others(10, at(1));
    assert_eq!(world.outcome(at(2)).0, 20);
    assert_eq!(world.memory.replicas, Some(10));
}

#[test]
fn the_legacy_limit_is_never_below_the_present_count_and_gives_way_to_the_maximum() {
    let mut world = World::new(3, 100, &[5_000]);
    world.policy.max = 5;
    assert_eq!(world.outcome(at(0)), (5, Limit::Maximum));
    world.policy.max = 100;
    world.act(at(0));
    world.replicas(40);
    assert_eq!(world.outcome(at(1)).0, 40, "c = 3 allows 6, but 40 are there");
}

#[test]
fn lowering_knows_no_legacy_limit() {
    let mut world = World::new(40, 100, &[100]);
    world.policy.settings.downscale_window = Span::ZERO;
    world.pass(at(0));
    assert_eq!(world.outcome(at(1)), (1, Limit::Metrics));
}

#[test]
fn events_are_booked_by_direction() {
    let mut world = World::new(3, 100, &[500]);
    world.policy.behavior = behavior(free(), free());
    world.act(at(0));
    assert_eq!(
        (world.memory.ups.sum(Span::seconds(60), at(0)), world.memory.downs.sum(Span::seconds(60), at(0))),
        (2, 0)
    );
    world.step(&[100], at(1));
    assert_eq!(
        (world.memory.ups.sum(Span::seconds(60), at(1)), world.memory.downs.sum(Span::seconds(60), at(1))),
        (2, 4)
    );
    assert_eq!((world.memory.last_write, world.memory.replicas), (Some(at(1)), Some(1)));
}
