//! Metrics without a tolerance, metrics that are known only once they are read, and several metrics of one trigger.

use tidegate_calculator::behavior::GivenRules;
use tidegate_calculator::decision::{Limit, Progress, Step, Vote};
use tidegate_calculator::explain;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::rules::{Block, Change, Direction, Take, Window};
use tidegate_calculator::source::{Measured, MetricSpec, MetricType, Milli, Reading};
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now;
use crate::ruled::{above, below, gate, held, progress, rule};
use crate::world::{World, at, behavior, free};

/// Ten replicas and one metric of so many thousandths with a target of 1; windows are over at once.
fn ten(metric_type: MetricType, value: i64, exact: bool) -> World {
    let mut world = World::new(10, 1, &[10]);
    world.policy.min = 1;
    world.policy.settings.downscale_window = Span::ZERO;
    world.specs[0] = MetricSpec { metric_type, exact, ..world.specs[0].clone() };
    world.policy.triggers[0].metric_type = metric_type;
    // The first pass holds what is there.
    world.pass(at(0));
    let metric = world.specs[0].clone();
    says(&mut world, 0, &[(metric, value)], at(1));
    world
}

/// A trigger answers with these metrics and their thousandths, all of them active above 0.
fn says(world: &mut World, trigger: usize, metrics: &[(MetricSpec, i64)], when: Tick) {
    let reading = |value: i64| Reading { value: Measured::Total(vec![Milli(value)]), active: value > 0 };
    let readings = metrics.iter().map(|(spec, value)| (spec.clone(), reading(*value))).collect();
    world.triggers[trigger] = Evidence::Good { readings, begun: when, at: when };
}

fn spec(name: &str, target: i64) -> MetricSpec {
    MetricSpec {
        name: name.to_owned(),
        metric_type: MetricType::AverageValue,
        target: Milli::units(target),
        exact: false,
    }
}

#[test]
fn an_exact_metric_knows_no_tolerance() {
    // 10.5 / 10 and 9.5 / 10 are within 0.1: without `exact` nothing changes, with it ceil(10.5) = 11 and ceil(9.5) = 10, ceil(9) = 9.
    let cases =
        [(10_500, 10, 11), (9_500, 10, 10), (10_000, 10, 10), (9_000, 10, 9), (10_001, 10, 11), (12_000, 12, 12)];
    for (value, usual, exact) in cases {
        assert_eq!(ten(MetricType::AverageValue, value, false).outcome(at(1)).0, usual, "{value}");
        assert_eq!(ten(MetricType::AverageValue, value, true).outcome(at(1)).0, exact, "{value}");
    }
    // A ratio of 1.05 times 10 Ready pods; of exactly 1 it is the present count, also while only 8 are Ready.
    for (value, usual, exact) in [(1_050, 10, 11), (950, 10, 10), (900, 10, 9)] {
        assert_eq!(ten(MetricType::Value, value, false).outcome(at(20)).0, usual, "{value}");
        assert_eq!(ten(MetricType::Value, value, true).outcome(at(20)).0, exact, "{value}");
    }
    let mut unready = ten(MetricType::Value, 1_000, true);
    unready.target.ready = Some(8);
    assert_eq!(unready.outcome(at(20)), (10, Limit::Metrics));
}

#[test]
fn it_is_exact_for_itself_alone_and_whatever_the_tolerance_is() {
    let mut world = ten(MetricType::AverageValue, 10_500, true);
    world.policy.behavior =
        behavior(GivenRules { tolerance: Some(0.5), ..free() }, GivenRules { tolerance: Some(0.5), ..free() });
    assert_eq!(world.outcome(at(1)).0, 11);
    let (usual, exact) = (spec("s0-a", 1), MetricSpec { exact: true, ..spec("s0-b", 1) });
    world.policy.behavior = None;
    says(&mut world, 0, &[(usual.clone(), 10_900), (exact.clone(), 10_500)], at(1));
    assert_eq!(world.outcome(at(1)).0, 11, "10.9 is within the tolerance");
    says(&mut world, 0, &[(usual, 9_500), (exact, 8_500)], at(1));
    assert_eq!(world.outcome(at(1)).0, 10, "the other one says that 10 are right");
    // Inverse: 1 / 0.95 = 1.05, times 10.
    let mut inverse = ten(MetricType::AverageValue, 950, true);
    inverse.rules(0).direction = Direction::Inverse;
    assert_eq!(inverse.outcome(at(20)).0, 11);
    inverse.specs[0].exact = false;
    let metric = inverse.specs[0].clone();
    says(&mut inverse, 0, &[(metric, 950)], at(20));
    assert_eq!(inverse.outcome(at(20)).0, 10);
}

#[test]
fn the_explanation_says_so() {
    let mut world = ten(MetricType::AverageValue, 10_500, true);
    let line = |world: &World| {
        let decision = world.look(at(2));
        explain::lines(&world.policy, &world.triggers, &decision, now(at(2))).remove(0)
    };
    assert_eq!(line(&world), " redis list0  backlog 10.5 / 1 a replica   -> 11    read 1 s ago, no tolerance");
    let mut metric = world.specs[0].clone();
    says(&mut world, 0, &[(metric.clone(), 10_000)], at(1));
    assert!(line(&world).ends_with("-> 10    read 1 s ago, no tolerance"), "{}", line(&world));
    metric.exact = false;
    says(&mut world, 0, &[(metric, 10_500)], at(1));
    assert!(line(&world).ends_with("-> 10    read 1 s ago, within tolerance"), "{}", line(&world));
}

#[test]
fn what_a_reading_says_of_its_metrics_counts_from_one_read_to_the_next() {
    let mut world = ten(MetricType::AverageValue, 10_000, false);
    // 24 / 2 = 12, then the same 24 with a target of 1 = 24 under a limit of 2 * 12, then as a ratio 2 * 10 Ready.
    says(&mut world, 0, &[(spec("s0-lag", 2), 24_000)], at(15));
    assert_eq!(world.outcome(at(15)).0, 12);
    says(&mut world, 0, &[(spec("s0-lag", 1), 18_000)], at(15));
    assert_eq!(world.outcome(at(15)).0, 18);
    says(&mut world, 0, &[(MetricSpec { metric_type: MetricType::Value, ..spec("s0-lag", 9) }, 18_000)], at(15));
    assert_eq!(world.outcome(at(15)).0, 20);
}

#[test]
fn all_metrics_of_a_trigger_propose_and_any_of_them_makes_it_active() {
    let mut world = ten(MetricType::AverageValue, 10_000, false);
    says(&mut world, 0, &[(spec("s0-lag", 1), 3_000), (spec("s0-age", 10), 140_000)], at(15));
    let decision = world.look(at(15));
    assert_eq!(decision.write, Some(14));
    let proposals: Vec<(u8, u32)> = decision
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Proposal { metric, replicas, .. } => Some((*metric, *replicas)),
            _ => None,
        })
        .collect();
    assert_eq!(proposals, [(0, 3), (1, 14)]);
    let lines = explain::lines(&world.policy, &world.triggers, &decision, now(at(15)));
    assert!(lines[0].starts_with(" redis lag ") && lines[1].starts_with(" redis age "), "{lines:?}");
    assert!(explain::why(&world.policy, &world.triggers, &decision, now(at(15))).starts_with("redis age 140 / 10"));
    // One of them cannot be used: the others still raise, and nothing is lowered.
    let unusable = MetricSpec { metric_type: MetricType::Utilization, ..spec("s0-age", 10) };
    says(&mut world, 0, &[(spec("s0-lag", 1), 3_000), (unusable.clone(), 140_000)], at(15));
    assert_eq!(world.outcome(at(15)), (10, Limit::FailedTrigger));
    says(&mut world, 0, &[(spec("s0-lag", 1), 15_000), (unusable, 140_000)], at(15));
    assert_eq!(world.outcome(at(15)).0, 15);
    // From zero as well, and though the first is inactive.
    world.policy.min = 0;
    world.replicas(0);
    says(&mut world, 0, &[(spec("s0-lag", 1), 0), (spec("s0-age", 10), 35_000)], at(30));
    assert_eq!(world.outcome(at(30)), (4, Limit::Metrics));
}

#[test]
fn rules_begin_anew_when_the_first_metric_is_another_one() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 60)]]);
    let read = |world: &mut World, metric: &MetricSpec, second: i64| {
        says(world, 0, &[(metric.clone(), 10_000)], at(second));
        world.act(at(second))
    };
    let (lag, age) = (spec("s0-lag", 100), spec("s0-age", 100));
    for second in [0, 15, 30] {
        read(&mut world, &lag, second);
    }
    // Another target is the same value all the same, another metric is not.
    let same = read(&mut world, &spec("s0-lag", 7), 45);
    assert_eq!(progress(&same, 0, 0), Progress::Pending { held: Span::seconds(45), until: at(60) });
    let renamed = read(&mut world, &age, 59);
    assert_eq!(progress(&renamed, 0, 0), Progress::Pending { held: Span::ZERO, until: at(119) });
    for second in [75, 90, 105] {
        assert_eq!(read(&mut world, &age, second).write, None);
    }
    assert_eq!(read(&mut world, &age, 119).write, Some(4));
    let ratio = MetricSpec { metric_type: MetricType::Value, ..age };
    let measured = read(&mut world, &ratio, 135);
    assert_eq!(progress(&measured, 0, 0), Progress::Pending { held: Span::ZERO, until: at(195) });
}

#[test]
fn windows_and_gates_begin_anew_too() {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)];
    let mut world = World::ruled(5, &[&rules]);
    world.rules(0).window = Some(Window { take: Take::Min, over: Span::seconds(30) });
    world.policy.rules.gates = vec![gate(0, above(900), Block::ScaleDown)];
    for second in [0, 15, 30] {
        says(&mut world, 0, &[(spec("s0-lag", 100), 10_000)], at(second));
        world.pass(at(second));
    }
    assert_eq!(world.vote(0, at(30)), Vote::Lower(4));
    // 90 of another metric are not compared with the 10 of the one before, and the window has to fill again.
    says(&mut world, 0, &[(spec("s0-age", 100), 90_000)], at(45));
    assert_eq!(world.vote(0, at(45)), Vote::Raise(6));
    says(&mut world, 0, &[(spec("s0-age", 100), 10_000)], at(45));
    let decision = world.look(at(45));
    assert_eq!((progress(&decision, 0, 1), decision.write), (Progress::Filling, None));
}
