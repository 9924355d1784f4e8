//! Schedules: bounds by the wall clock, in UTC; the world begins at midnight.

use tidegate_calculator::calendar::Calendar;
use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Pause;
use tidegate_calculator::rules::{Change, Schedule};
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now;
use crate::ruled::{above, below, daily, held, hours, rule};
use crate::world::{World, at, behavior, free, pods, rules};

/// A ratio of 100 items a replica, 1 to 100 replicas, and these schedules.
fn timed(replicas: u32, schedules: Vec<Schedule>) -> World {
    let mut world = World::new(replicas, 100, &[100 * i64::from(replicas)]);
    (world.policy.min, world.policy.rules.schedules) = (1, schedules);
    world
}

/// The bounds that hold at this moment.
fn bounds(world: &World, now: Tick) -> (u32, u32) {
    let policy = world.policy.at(world.wall(now));
    (policy.min, policy.max)
}

#[test]
fn a_window_replaces_the_fields_that_it_sets() {
    let world = timed(5, vec![daily("day", 8, 20, Some(4), None), daily("night", 22, 6, None, Some(20))]);
    let at = |hour: i64| bounds(&world, hours(hour));
    assert_eq!([at(0), at(6), at(7), at(8), at(19)], [(1, 20), (1, 100), (1, 100), (4, 100), (4, 100)]);
    assert_eq!([at(20), at(21), at(22), at(23)], [(1, 100), (1, 100), (1, 20), (1, 20)]);
    let mut lower = timed(5, vec![daily("low", 8, 20, Some(0), Some(200))]);
    lower.policy.min = 3;
    assert_eq!(bounds(&lower, hours(9)), (0, 200), "also to less and to more than the object says");
}

#[test]
fn in_a_window_from_its_last_start_to_before_its_end() {
    let world = timed(5, vec![daily("day", 8, 20, Some(4), None)]);
    let end = |hour: i64| (bounds(&world, hours(hour) - Span(1)).0, bounds(&world, hours(hour)).0);
    assert_eq!((end(8), end(20)), ((1, 4), (4, 1)));
}

#[test]
fn of_several_windows_the_highest_minimum_and_the_lowest_maximum_hold_and_the_maximum_wins() {
    let all = |first: (Option<u32>, Option<u32>), second: (Option<u32>, Option<u32>)| {
        bounds(&timed(5, vec![daily("a", 0, 12, first.0, first.1), daily("b", 0, 6, second.0, second.1)]), hours(1))
    };
    assert_eq!(all((Some(3), Some(30)), (Some(7), Some(20))), (7, 20));
    assert_eq!(all((Some(30), None), (None, Some(20))), (20, 20), "they cross");
    let mut small = timed(5, vec![daily("a", 0, 12, Some(30), None)]);
    small.policy.max = 10;
    assert_eq!(bounds(&small, hours(1)), (10, 10), "also with the maximum of the object");
}

#[test]
fn a_window_raises_at_once_by_its_minimum() {
    let mut world = timed(2, vec![daily("day", 8, 20, Some(4), None)]);
    let before = world.act(hours(8) - Span(1));
    assert_eq!((before.write, before.next), (None, Some(hours(8))));
    let decision = world.act(hours(8));
    assert_eq!((decision.write, decision.limited_by, decision.lowers_by_metrics), (Some(4), Limit::Schedule, false));
    let day = Step::Schedule { name: "day".into(), min: Some(4), max: None, until: Some(hours(20)) };
    assert!(decision.steps.contains(&day));
    assert_eq!(world.look(hours(8)).next, Some(hours(20)));
    // Also from zero, though nothing is active.
    let mut zero = timed(0, vec![daily("day", 8, 20, Some(4), None)]);
    zero.policy.min = 0;
    assert_eq!(zero.outcome(hours(7)), (0, Limit::Idle));
    assert_eq!(zero.look(hours(7)).next, Some(hours(8)), "it wakes for it");
    assert_eq!(zero.outcome(hours(8)), (4, Limit::Schedule));
}

#[test]
fn a_lower_maximum_takes_its_window_and_never_jumps() {
    let mut world = timed(50, vec![daily("night", 22, 6, None, Some(20))]);
    // Midnight: the window holds already. The object was there before, so the clock did it.
    let start = hours(22);
    let before = world.step(&[5_000], start - Span::seconds(1));
    assert_eq!((before.write, before.next), (None, Some(start)));
    let decision = world.step(&[5_000], start);
    assert_eq!((decision.write, decision.limited_by), (None, Limit::Stabilization), "50 was recommended 1 s ago");
    assert!(decision.steps.contains(&Step::Capped { wanted: Some(50), max: 20 }));
    assert_eq!(decision.effects.record, Some(20), "capped before it is recorded");
    // 300 s after the last recommendation of 50, that age included.
    let end = start - Span::seconds(1) + Span(300_001);
    assert_eq!(decision.next, Some(end));
    let mut now = start;
    while now + Span::seconds(15) < end {
        now = now + Span::seconds(15);
        assert_eq!(world.step(&[5_000], now).write, None, "at {now:?}");
    }
    let decision = world.step(&[5_000], end);
    assert_eq!((decision.write, decision.limited_by), (Some(20), Limit::Schedule));
    assert!(!decision.lowers_by_metrics, "it needs no metrics");
    assert_eq!(world.step(&[5_000], end + Span::seconds(15)).write, None);
}

#[test]
fn a_lower_maximum_takes_300_seconds_also_if_all_vote_by_steps() {
    let mut world = World::ruled(50, &[&[rule(above(80), Change::Add(1))]]);
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(20))];
    let start = hours(22);
    world.step(&[50], start - Span::seconds(1));
    assert_eq!(world.step(&[50], start).limited_by, Limit::Stabilization, "an abstention is capped, too");
    for second in (15..=285).step_by(15) {
        assert_eq!(world.step(&[50], start + Span::seconds(second)).write, None);
    }
    assert_eq!(world.step(&[50], start + Span(299_001)).write, Some(20));
}

#[test]
fn a_lower_maximum_goes_through_the_policies() {
    let mut world = timed(50, vec![daily("night", 22, 6, None, Some(20))]);
    world.policy.behavior = behavior(free(), rules(0, tidegate_calculator::behavior::Select::Max, vec![pods(10, 60)]));
    let start = hours(22);
    world.step(&[5_000], start - Span::seconds(15));
    let counts = [0, 60, 120, 180].map(|second| world.step(&[5_000], start + Span::seconds(second)).desired);
    assert_eq!(counts, [40, 30, 20, 20]);
}

#[test]
fn the_end_of_a_higher_maximum_does_not_jump_either() {
    let mut world = timed(50, vec![daily("day", 8, 20, None, Some(60))]);
    world.policy.max = 20;
    world.step(&[5_000], hours(20) - Span::seconds(1));
    assert_eq!(world.step(&[5_000], hours(20)).write, None);
    let late = world.run(&[5_000], 20 * 3_600 + 15, 20 * 3_600 + 300);
    assert_eq!((late.write, late.limited_by), (Some(20), Limit::Maximum), "299.001 s later");
}

#[test]
fn an_edit_of_the_text_jumps() {
    let mut world = timed(50, vec![daily("night", 22, 6, None, Some(20))]);
    world.step(&[5_000], hours(10));
    world.policy.max = 30;
    let decision = world.step(&[5_000], hours(10) + Span::seconds(15));
    assert_eq!((decision.write, decision.limited_by), (Some(30), Limit::Maximum));
    // The same within a window: the schedule's own maximum is edited.
    let mut world = timed(50, vec![daily("day", 8, 20, None, Some(60))]);
    world.step(&[5_000], hours(10));
    world.policy.rules.schedules = vec![daily("day", 8, 20, None, Some(40))];
    let decision = world.step(&[5_000], hours(10) + Span::seconds(15));
    assert_eq!((decision.write, decision.limited_by), (Some(40), Limit::Schedule));
}

#[test]
fn the_first_schedule_of_an_object_is_an_edit_too() {
    // 23 o'clock is within the window: whoever attaches it wants 20 now, and no clock has moved.
    for has_rules in [false, true] {
        let mut world = timed(50, Vec::new());
        if has_rules {
            world.policy.rules.direction_cooldown.up_after_down = Span::seconds(1);
        }
        world.step(&[5_000], hours(23));
        world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(20))];
        let decision = world.step(&[5_000], hours(23) + Span::seconds(15));
        assert_eq!((decision.write, decision.limited_by), (Some(20), Limit::Schedule), "{has_rules}");
    }
    // What is above the maximum at load, of which nothing is stored, may be there since before the window.
    let mut world = timed(50, vec![daily("night", 22, 6, None, Some(20))]);
    world.memory = Checkpoint::default().restore(&world.policy, 50, now(hours(23))).unwrap();
    assert_eq!(world.step(&[5_000], hours(23)).limited_by, Limit::Stabilization);
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(10))];
    assert_eq!(
        world.step(&[5_000], hours(23) + Span::seconds(15)).limited_by,
        Limit::Stabilization,
        "nor is that known"
    );
}

#[test]
fn what_somebody_else_sets_above_the_maximum_jumps_back() {
    let mut world = timed(10, vec![daily("night", 0, 6, None, Some(20))]);
    world.step(&[1_000], hours(1));
    world.replicas(50);
    world.memory.changed_by_others(50, hours(1) + Span::seconds(5));
    assert_eq!(world.step(&[1_000], hours(1) + Span::seconds(15)).write, Some(20));
    // And what a pause has set.
    let mut world = timed(10, vec![daily("night", 0, 6, None, Some(20))]);
    world.step(&[1_000], hours(1));
    world.policy.pause = Pause::At(50);
    assert_eq!(world.act(hours(1) + Span::seconds(5)).write, Some(50));
    world.policy.pause = Pause::No;
    assert_eq!(world.step(&[1_000], hours(1) + Span::seconds(15)).write, Some(20));
}

#[test]
fn a_failed_trigger_does_not_keep_a_count_above_a_schedules_maximum() {
    let mut world = timed(50, vec![daily("night", 22, 6, None, Some(20))]);
    world.policy.settings.downscale_window = Span::ZERO;
    world.step(&[5_000], hours(22) - Span::seconds(1));
    world.fails(0, hours(22) - Span::seconds(1));
    let decision = world.act(hours(22) + Span::seconds(1));
    assert_eq!((decision.write, decision.limited_by), (Some(20), Limit::Schedule));
}

#[test]
fn a_maximum_in_force_caps_proposals_before_they_are_recorded() {
    let mut world = timed(20, vec![daily("night", 22, 6, None, Some(20))]);
    let decision = world.step(&[5_000], hours(23));
    assert_eq!((decision.desired, decision.limited_by, decision.effects.record), (20, Limit::Schedule, Some(20)));
    assert_eq!(world.step(&[5_000], hours(6)).write, Some(40), "when it ends, twice 20");
    let mut zero = timed(0, vec![daily("night", 22, 6, None, Some(20))]);
    zero.policy.min = 0;
    zero.reads(0, 5_000, hours(23));
    let decision = zero.look(hours(23));
    assert_eq!((decision.write, decision.effects.record), (Some(20), Some(20)));
}

#[test]
fn idle_is_ignored_while_the_minimum_is_not_above_it() {
    let mut world = timed(2, vec![daily("low", 8, 20, Some(2), None)]);
    (world.policy.min, world.policy.idle) = (5, Some(2));
    world.policy.cooldown = Span::seconds(10);
    world.memory.last_active = Some(at(0));
    world.good(0, 0, false, hours(7), hours(7));
    assert_eq!(world.outcome(hours(7)), (2, Limit::Idle), "it rests at idle");
    world.good(0, 0, false, hours(9), hours(9));
    assert_eq!(world.outcome(hours(9)).0, 2, "its minimum");
    assert_ne!(world.outcome(hours(9)).1, Limit::Idle);
    world.policy.rules.schedules = vec![daily("low", 8, 20, Some(0), None)];
    assert_eq!(world.outcome(hours(9)), (0, Limit::Idle), "with a minimum of 0 the rest is zero");
    world.policy.rules.schedules = vec![daily("high", 8, 20, Some(8), None)];
    assert_eq!(world.outcome(hours(9)), (2, Limit::Idle), "a minimum above idle leaves it");
}

#[test]
fn going_to_a_rest_that_only_a_schedule_allows_clears_the_history() {
    let mut world = timed(3, vec![daily("night", 0, 6, Some(0), None)]);
    world.policy.cooldown = Span::seconds(10);
    world.memory.last_active = Some(at(0));
    world.good(0, 0, false, at(30), at(30));
    assert_eq!(world.act(at(30)).write, Some(0));
    assert_eq!(world.memory.recommendations.newest(), None);
    assert_eq!(world.look(hours(1)).next, Some(hours(6)));
    assert_eq!(world.outcome(hours(6)).0, 1, "the minimum of the object is back");
}

#[test]
fn the_wall_clock_moves_schedules_and_nothing_else() {
    let mut world = World::ruled(5, &[&[held(above(80), Change::Add(1), 300), held(below(20), Change::Remove(1), 60)]]);
    world.policy.rules.schedules = vec![daily("day", 8, 20, Some(7), None)];
    world.run(&[90], 0, 150);
    let before = world.look(at(151));
    assert_eq!(before.next, None.or(before.next));
    world.set_by = Span::seconds(9 * 3_600);
    let decision = world.look(at(151));
    assert_eq!((decision.desired, decision.limited_by), (7, Limit::Schedule), "it is nine o'clock now");
    world.policy.rules.schedules = vec![daily("night", 22, 6, Some(7), None)];
    assert_eq!(world.outcome(at(151)).0, 5);
    world.set_by = Span::seconds(10 * 3_600);
    world.run(&[90], 165, 285);
    assert_eq!(world.outcome(Tick(299_999)).0, 5);
    assert_eq!(world.step(&[90], at(300)).write, Some(6), "for goes by ticks");
}

#[test]
fn a_boundary_within_a_millisecond_is_met_at_its_first_tick() {
    let mut world = timed(2, vec![daily("day", 8, 20, Some(4), None)]);
    world.set_by = Span(-1);
    let next = world.look(hours(7)).next.unwrap();
    assert_eq!(next, hours(8) + Span(1));
    assert_eq!((world.outcome(next - Span(1)).0, world.outcome(next).0), (2, 4));
}

#[test]
fn a_window_without_an_end_lasts_and_one_without_a_start_never_begins() {
    let never = || Calendar::new("0 0 31 2 *", "UTC").unwrap();
    let mut world = timed(2, vec![daily("day", 8, 20, Some(4), None)]);
    world.policy.rules.schedules[0].end = never();
    assert_eq!((bounds(&world, hours(1)).0, bounds(&world, hours(300)).0), (4, 4), "it began yesterday at eight");
    world.policy.rules.schedules[0].start = never();
    assert_eq!(bounds(&world, hours(9)).0, 1);
}

#[test]
fn a_start_inside_a_gap_of_daylight_saving_happens_at_its_end() {
    // In Berlin the clock goes from 2 to 3 o'clock on 29 March 2026, at 1 o'clock UTC.
    let calendar = |text: &str| Calendar::new(text, "Europe/Berlin").unwrap();
    let mut world = timed(2, vec![daily("day", 8, 20, Some(4), None)]);
    world.policy.rules.schedules[0].start = calendar("30 2 * * *");
    world.policy.rules.schedules[0].end = calendar("0 5 * * *");
    // Day 88 of the year begins 87 days after the start.
    let gap = hours(87 * 24 + 1);
    assert_eq!((bounds(&world, gap - Span(1)).0, bounds(&world, gap).0), (1, 4));
    assert_eq!(
        (bounds(&world, gap + Span::seconds(7_200) - Span(1)).0, bounds(&world, gap + Span::seconds(7_200)).0),
        (4, 1)
    );
}
