//! One rule of a trigger with steps: its condition, `for`, `every`, its change and what restarts it. Reads come every 15 s.

use tidegate_calculator::decision::{Limit, Progress, Step, Vote};
use tidegate_calculator::rules::{Change, StepRule};
use tidegate_calculator::source::MetricType;
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, held, per_replica, progress, rule};
use crate::world::{World, at};

#[test]
fn a_trigger_with_steps_votes_by_them_instead_of_by_its_ratio() {
    // 2000 / 100 would be 20 replicas; the rule asks for more than 5000.
    let mut world = World::ruled(3, &[&[rule(above(5_000), Change::Add(1))]]);
    assert_eq!(world.step(&[2_000], at(0)).desired, 3);
    assert_eq!(world.step(&[5_000], at(15)).desired, 3, "comparisons are strict");
    assert_eq!(world.step(&[5_001], at(30)).write, Some(4));
}

#[test]
fn activation_still_applies() {
    let mut world = World::ruled(0, &[&[rule(above(10), Change::Add(2))]]);
    world.policy.min = 0;
    world.good(0, 50, false, at(0), at(0));
    assert_eq!(world.outcome(at(1)), (0, Limit::Idle), "the condition holds, but the trigger is inactive");
    world.good(0, 50, true, at(15), at(15));
    // From rest a change starts from max(1, min): 1 + 2.
    assert_eq!(world.act(at(15)).write, Some(3));
    let mut quiet = World::ruled(0, &[&[rule(above(100), Change::Add(2))]]);
    quiet.policy.min = 0;
    assert_eq!(quiet.step(&[50], at(0)).write, Some(1), "active, and no rule wants more than the least");
}

#[test]
fn a_rule_is_asserted_once_its_condition_has_held_for_long_enough() {
    let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 300)]]);
    world.step(&[80], at(0));
    let first = world.step(&[90], at(15));
    assert_eq!(progress(&first, 0, 0), Progress::Pending { held: Span::ZERO, until: at(315) });
    assert_eq!(first.next, None, "the reading of 15 s counts for 60 s; a later one will tell");
    let late = world.run(&[90], 30, 300);
    assert_eq!(late.write, None);
    assert_eq!(progress(&late, 0, 0), Progress::Pending { held: Span::seconds(285), until: at(315) });
    assert_eq!(late.next, Some(at(315)), "15 + 300");
    assert_eq!(world.outcome(Tick(314_999)).0, 3);
    let decision = world.step(&[90], at(315));
    assert_eq!((decision.write, decision.limited_by), (Some(4), Limit::Metrics));
    assert_eq!(progress(&decision, 0, 0), Progress::Asserted { held: Span::seconds(300), replicas: 4 });
}

#[test]
fn the_assertion_ends_with_the_condition() {
    let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 60)]]);
    world.run(&[90], 0, 45);
    let ended = world.step(&[80], at(50));
    assert_eq!((progress(&ended, 0, 0), ended.write), (Progress::Off, None));
    // It begins anew at 60 s: 60 + 60.
    world.run(&[90], 60, 105);
    assert_eq!(world.outcome(Tick(119_999)).0, 3);
    assert_eq!(world.step(&[90], at(120)).write, Some(4));
    assert_eq!(world.step(&[10], at(135)).write, None);
}

#[test]
fn every_is_the_time_since_the_last_write_in_the_same_direction() {
    let spaced = |seconds: i64| StepRule { every: Some(Span::seconds(seconds)), ..held(above(80), Change::Add(1), 0) };
    let mut world = World::ruled(3, &[&[spaced(100)]]);
    assert_eq!(world.step(&[90], at(0)).write, Some(4));
    let waits = world.step(&[90], at(15));
    assert_eq!(progress(&waits, 0, 0), Progress::Spaced { held: Span::seconds(15), until: at(100) });
    assert_eq!((waits.write, waits.next), (None, Some(at(100))));
    world.run(&[90], 30, 90);
    assert_eq!(world.outcome(Tick(99_999)).0, 4);
    assert_eq!(world.step(&[90], at(100)).write, Some(5));
    // A write in the other direction does not count.
    let mut world = World::ruled(5, &[&[spaced(100), held(below(20), Change::Remove(1), 0)]]);
    assert_eq!(world.step(&[10], at(0)).write, Some(4));
    assert_eq!(world.step(&[90], at(15)).write, Some(5), "15 s after a write downward");
}

#[test]
fn every_is_at_least_for_and_at_least_a_minute_by_default() {
    let mut world = World::ruled(3, &[&[rule(above(80), Change::Add(1))]]);
    assert_eq!(world.step(&[90], at(0)).write, Some(4));
    assert_eq!(world.run(&[90], 15, 45).write, None);
    assert_eq!(world.step(&[90], at(60)).write, Some(5), "max(0, 60 s)");
    let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 90)]]);
    world.run(&[90], 0, 75);
    assert_eq!(world.step(&[90], at(90)).write, Some(4));
    world.run(&[90], 105, 165);
    assert_eq!(world.outcome(Tick(179_999)).0, 4);
    assert_eq!(world.step(&[90], at(180)).write, Some(5), "for began anew at 90 s, and max(90 s, 60 s) is over, too");
}

#[test]
fn for_of_a_lowering_rule_is_the_downscale_stabilization_and_of_a_raising_one_nothing() {
    let mut world = World::ruled(3, &[&[rule(below(20), Change::Remove(1)), rule(above(80), Change::Add(1))]]);
    assert_eq!(world.run(&[10], 0, 285).write, None);
    assert_eq!(world.step(&[10], at(300)).write, Some(2), "300 s");
    assert_eq!(world.step(&[90], at(315)).write, Some(3), "at once");
    world.policy.settings.downscale_window = Span::seconds(30);
    world.run(&[10], 330, 345);
    assert_eq!(world.outcome(Tick(359_999)).0, 3);
    assert_eq!(
        world.step(&[10], at(360)).write,
        Some(2),
        "30 s since 330 s, and max(30 s, 60 s) since the write of 300 s"
    );
}

#[test]
fn every_change_of_the_replicas_restarts_for_up_or_down_ours_or_not() {
    let rules = [held(above(80), Change::Add(1), 60)];
    for foreign in [2, 5] {
        let mut world = World::ruled(3, &[&rules]);
        world.run(&[90], 0, 45);
        world.replicas(foreign);
        world.memory.changed_by_others(foreign, at(50));
        let decision = world.look(at(55));
        assert_eq!(progress(&decision, 0, 0), Progress::Pending { held: Span::seconds(5), until: at(110) });
        world.run(&[90], 60, 105);
        assert_eq!(world.outcome(Tick(109_999)).0, foreign);
        assert_eq!(world.step(&[90], at(110)).write, Some(foreign + 1), "50 + 60");
    }
    // A write for another trigger restarts it as well.
    let mut world = World::ruled(3, &[&rules, &[rule(above(10), Change::Add(1))]]);
    world.run(&[90, 0], 0, 30);
    assert_eq!(world.step(&[90, 11], at(45)).write, Some(4));
    world.run(&[90, 0], 60, 90);
    assert_eq!(world.outcome(Tick(104_999)).0, 4);
    assert_eq!(world.step(&[90, 0], at(105)).write, Some(5), "45 + 60");
}

#[test]
fn a_reading_from_before_a_change_counts_from_the_change_on() {
    let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 30)]]);
    world.reads(0, 90, at(0));
    world.replicas(4);
    world.pass(at(1));
    world.memory.changed_by_others(4, at(20));
    world.pass(at(21));
    assert_eq!(progress(&world.look(at(40)), 0, 0), Progress::Pending { held: Span::seconds(20), until: at(50) });
}

#[test]
fn a_gap_with_the_condition_on_both_sides_counts_up_to_three_reads_or_a_minute() {
    let rules = [held(above(80), Change::Add(1), 120)];
    // 15 s reads: max(45 s, 60 s).
    for (gap, expected) in [(60, Some(4)), (61, None)] {
        let mut world = World::ruled(3, &[&rules]);
        world.step(&[90], at(0));
        world.step(&[90], at(gap));
        assert_eq!(world.step(&[90], at(120)).write, expected, "a gap of {gap} s");
    }
    // With useCachedMetrics it is read every 30 s: max(90 s, 60 s).
    for (gap, expected) in [(90, Some(4)), (91, None)] {
        let mut world = World::ruled(3, &[&rules]);
        world.policy.triggers[0].cached = true;
        world.step(&[90], at(0));
        world.step(&[90], at(gap));
        assert_eq!(world.step(&[90], at(120)).write, expected, "a gap of {gap} s");
    }
}

#[test]
fn a_failure_in_between_is_a_gap_too() {
    for (back, expected) in [(60, Some(4)), (75, None)] {
        let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 120)]]);
        world.step(&[90], at(0));
        world.fails(0, at(15));
        world.act(at(15));
        world.step(&[90], at(back));
        world.step(&[90], at(110));
        assert_eq!(world.step(&[90], at(120)).write, expected, "back at {back} s");
    }
}

#[test]
fn no_data_never_fires() {
    for change in [Change::Add(1), Change::Remove(1)] {
        let condition = if change == Change::Add(1) { above(80) } else { below(80) };
        let value = if change == Change::Add(1) { 90 } else { 10 };
        let mut world = World::ruled(3, &[&[held(condition, change, 60)]]);
        world.run(&[value], 0, 45);
        world.fails(0, at(50));
        let decision = world.act(at(60));
        assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
        assert_eq!(world.act(at(600)).write, None);
    }
    // Nor does one reading that nobody repeats: it counts for 60 s.
    let mut world = World::ruled(3, &[&[held(above(80), Change::Add(1), 61)]]);
    world.step(&[90], at(0));
    for second in [30, 61, 120, 600] {
        assert_eq!(world.act(at(second)).write, None, "at {second} s");
    }
}

#[test]
fn changes_are_added_set_and_taken_in_percent() {
    let raised = |current: u32, change: Change| {
        let mut world = World::ruled(current, &[&[held(above(80), change, 0)]]);
        world.step(&[90], at(0)).desired
    };
    assert_eq!((raised(5, Change::Add(3)), raised(5, Change::AddPercent(50)), raised(5, Change::Set(9))), (8, 8, 9));
    assert_eq!((raised(5, Change::Set(5)), raised(5, Change::Set(2))), (5, 2), "=5 is there already; =2 lowers");
    let lowered = |current: u32, change: Change| {
        let mut world = World::ruled(current, &[&[held(below(20), change, 0)]]);
        world.step(&[10], at(0)).desired
    };
    // 50 % of 5 is 2.5, toward zero 2; 10 % of 5 is 0.5, at least 1.
    assert_eq!((lowered(5, Change::Remove(2)), lowered(5, Change::RemovePercent(50))), (3, 3));
    assert_eq!((lowered(5, Change::RemovePercent(10)), lowered(5, Change::Set(4))), (4, 4));
}

#[test]
fn steps_never_go_below_the_minimum_nor_above_the_maximum() {
    for (min, expected) in [(0, 1), (1, 1), (2, 2)] {
        let mut world = World::ruled(3, &[&[held(below(20), Change::RemovePercent(100), 0)]]);
        world.policy.min = min;
        assert_eq!(world.step(&[10], at(0)).desired, expected);
        assert_eq!(world.step(&[10], at(60)).desired, expected);
    }
    let mut world = World::ruled(9, &[&[rule(above(80), Change::Add(5))]]);
    world.policy.max = 10;
    let decision = world.step(&[90], at(0));
    assert_eq!((decision.write, decision.limited_by), (Some(10), Limit::Maximum));
}

#[test]
fn set_compares_with_the_present_count_and_equal_is_hold() {
    let mut world =
        World::ruled(10, &[&[held(above(80), Change::Set(10), 0)], &[held(below(20), Change::Remove(1), 0)]]);
    world.step(&[90, 10], at(0));
    assert_eq!(world.vote(0, at(0)), Vote::Hold(10));
    assert_eq!(world.step(&[90, 10], at(15)).desired, 10, "one holds, so the other does not lower");
    // Without its condition it has nothing to say; above 10 it is a rule that lowers, so it holds.
    world.step(&[50, 10], at(30));
    assert_eq!(world.target.replicas, 9);
    world.replicas(12);
    world.memory.changed_by_others(12, at(40));
    world.step(&[50, 50], at(45));
    assert_eq!(world.vote(0, at(45)), Vote::Hold(12));
}

#[test]
fn per_replica_divides_the_total_by_the_replicas_wanted() {
    let mut world = World::ruled(4, &[&[per_replica(rule(above(1_000), Change::Add(2)))]]);
    assert_eq!(world.step(&[4_000], at(0)).write, None, "4000 / 4 = 1000, which is not above");
    let decision = world.step(&[4_001], at(15));
    assert_eq!(decision.write, Some(6), "1000.25 is");
    assert!(decision.steps.iter().any(|step| matches!(step, Step::Rule { value, .. } if value.0 == 1_000_250)));
    world.target.existing = 1;
    assert_eq!(world.step(&[6_001], at(75)).write, Some(8), "spec.replicas counts, whatever exists");
    let mut zero = World::ruled(0, &[&[per_replica(rule(above(1_000), Change::Add(2)))]]);
    zero.policy.min = 0;
    assert_eq!(zero.step(&[1_001], at(0)).write, Some(3), "divided by max(1, 0), and 1 + 2");
}

#[test]
fn ratio_is_the_formula_with_the_triggers_own_target() {
    let mut world = World::ruled(3, &[&[rule(above(500), Change::Ratio)]]);
    // 790 / 100 a replica: 8; by steps the limit of 6 does not count.
    assert_eq!(world.step(&[790], at(0)).write, Some(8));
    assert_eq!(world.step(&[2_000], at(10)).write, None, "for one sync period after a write it proposes what is there");
    assert_eq!(world.run(&[2_000], 15, 45).write, None, "every 60 s");
    assert_eq!(world.step(&[2_000], at(60)).write, Some(20));
    assert_eq!(world.step(&[400], at(120)).write, None, "its condition does not hold");
    let mut zero = World::ruled(0, &[&[rule(above(500), Change::Ratio)]]);
    zero.policy.min = 0;
    zero.memory.last_write = Some(at(0));
    assert_eq!(zero.step(&[790], at(5)).write, Some(8), "from zero there is nothing to wait for");
}

#[test]
fn ratio_of_a_value_without_ready_pods_is_a_failure() {
    let mut world = World::ruled(3, &[&[rule(above(500), Change::Ratio)]]);
    world.value_metric(0);
    world.reads(0, 700, at(0));
    world.target.ready = Some(0);
    let decision = world.look(at(0));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
    world.target.ready = Some(2);
    assert_eq!(world.specs[0].metric_type, MetricType::Value);
    assert_eq!(world.outcome(at(0)).0, 14, "700 / 100 * 2");
}

#[test]
fn a_ratio_that_cannot_be_told_does_not_keep_the_timer_of_a_condition_that_ended() {
    let mut world = World::ruled(10, &[&[held(below(20), Change::Ratio, 300)]]);
    world.value_metric(0);
    world.run(&[10], 0, 60);
    // For a minute no pod is Ready, so there is no ratio, and the condition ends in between.
    world.target.ready = Some(0);
    world.run(&[10], 75, 90);
    world.run(&[50], 105, 105);
    world.run(&[10], 120, 120);
    world.target.ready = Some(10);
    let decision = world.step(&[10], at(135));
    assert_eq!(progress(&decision, 0, 0), Progress::Pending { held: Span::seconds(15), until: at(420) }, "since 120 s");
    // One that holds all the time goes on.
    let mut world = World::ruled(10, &[&[held(below(20), Change::Ratio, 300)]]);
    world.value_metric(0);
    world.run(&[10], 0, 60);
    world.target.ready = Some(0);
    assert_eq!(world.run(&[10], 75, 120).limited_by, Limit::FailedTrigger, "it votes nothing");
    world.target.ready = Some(10);
    let decision = world.step(&[10], at(135));
    assert_eq!(progress(&decision, 0, 0), Progress::Pending { held: Span::seconds(135), until: at(300) });
}
