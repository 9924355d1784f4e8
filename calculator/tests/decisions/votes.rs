//! What the rules of a trigger vote, and what all votes come to.

use tidegate_calculator::behavior::{GivenRules, Select};
use tidegate_calculator::decision::{Limit, Step, Vote};
use tidegate_calculator::rules::Change;
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, held, per_replica, rule};
use crate::world::{World, at, behavior, free, percent, pods, rules};

/// Raises above 80 after 60 s, lowers below 20 after 60 s.
fn both() -> Vec<tidegate_calculator::rules::StepRule> {
    vec![held(above(80), Change::Add(1), 60), held(below(20), Change::Remove(1), 60)]
}

#[test]
fn raise_hold_lower_and_abstain() {
    let mut world = World::ruled(5, &[&both()]);
    world.run(&[90], 0, 45);
    assert_eq!(world.vote(0, at(45)), Vote::Hold(5), "its condition holds, but not for long enough");
    assert_eq!(world.look(at(60)).desired, 6);
    world.reads(0, 90, at(60));
    assert_eq!(world.vote(0, at(60)), Vote::Raise(6));
    let mut world = World::ruled(5, &[&both()]);
    world.run(&[50], 0, 15);
    assert_eq!(world.vote(0, at(15)), Vote::Hold(5), "it has a rule that lowers, and that is not asserted");
    world.run(&[10], 30, 75);
    assert_eq!(world.vote(0, at(75)), Vote::Hold(5));
    world.reads(0, 10, at(90));
    assert_eq!(world.vote(0, at(90)), Vote::Lower(4));
    let mut world = World::ruled(5, &[&both()[..1]]);
    world.step(&[50], at(0));
    assert_eq!(world.vote(0, at(0)), Vote::Abstain, "only a rule that raises, and nothing pending");
}

#[test]
fn a_raise_that_waits_for_every_holds() {
    let mut world = World::ruled(5, &[&[rule(above(80), Change::Add(1)), held(below(95), Change::Remove(1), 0)]]);
    assert_eq!(world.step(&[90], at(0)).write, Some(6), "up beats down");
    world.reads(0, 90, at(15));
    assert_eq!(world.vote(0, at(15)), Vote::Hold(6), "not asserted, for whatever reason");
}

#[test]
fn of_several_asserted_rules_up_beats_down_and_the_largest_by_size_wins() {
    let raise =
        [rule(above(80), Change::Add(1)), rule(above(90), Change::Add(5)), rule(above(85), Change::AddPercent(20))];
    let mut world = World::ruled(10, &[&raise]);
    assert_eq!(world.step(&[95], at(0)).write, Some(15), "+1, +5 and +20 % of 10");
    let lower = [held(below(20), Change::Remove(1), 0), held(below(10), Change::RemovePercent(50), 0)];
    let mut world = World::ruled(10, &[&lower]);
    assert_eq!(world.step(&[5], at(0)).write, Some(5), "-1 and -50 % of 10");
    let mixed = [held(below(20), Change::Remove(9), 0), rule(above(1), Change::Add(1))];
    let mut world = World::ruled(10, &[&mixed]);
    assert_eq!(world.step(&[5], at(0)).write, Some(11));
}

#[test]
fn the_largest_vote_wins_and_lowering_needs_one_for_it_and_nobody_against() {
    let lower = [held(below(20), Change::Remove(2), 0)];
    let raise = [rule(above(80), Change::Add(1))];
    let mut world = World::ruled(10, &[&lower, &raise]);
    assert_eq!(world.step(&[5, 90], at(0)).write, Some(11), "8 and 11");
    assert_eq!(world.step(&[5, 50], at(60)).write, Some(9), "9, and the other abstains");
    let mut world = World::ruled(10, &[&lower, &lower]);
    assert_eq!(world.step(&[5, 50], at(0)).write, None, "8, and the other holds");
    // A trigger with a ratio always votes its number: 850 / 100 = 9.
    let mut world = World::ruled(10, &[&lower, &[]]);
    world.policy.settings.downscale_window = Span::ZERO;
    world.step(&[50, 850], at(0));
    assert_eq!(world.step(&[5, 850], at(1)).write, Some(9), "8 and 9");
}

#[test]
fn if_all_abstain_the_present_count_stays() {
    let raise = [rule(above(80), Change::Add(1))];
    let mut world = World::ruled(10, &[&raise, &raise]);
    let decision = world.run(&[5, 5], 0, 900);
    assert_eq!((decision.desired, decision.effects.record, decision.limited_by), (10, Some(10), Limit::Metrics));
}

#[test]
fn an_abstention_beside_a_failed_trigger_records_nothing() {
    let raise = [rule(above(80), Change::Add(1))];
    let mut world = World::ruled(10, &[&raise, &raise]);
    world.step(&[5, 5], at(0));
    world.fails(1, at(10));
    let decision = world.act(at(15));
    assert_eq!((decision.write, decision.effects.record, decision.limited_by), (None, None, Limit::FailedTrigger));
    world.reads(0, 90, at(30));
    assert_eq!(world.act(at(30)).write, Some(11), "what has a value may raise");
}

#[test]
fn a_value_that_spreads_does_not_let_others_lower_to_where_it_would_raise_again() {
    let lower = [held(below(20), Change::Remove(2), 0)];
    let raise = [rule(above(80), Change::Add(1))];
    let mut world = World::ruled(5, &[&lower, &raise]);
    world.rules(1).spreads = Some(true);
    // 50 * 5 / 3 = 83.3, above 80.
    let decision = world.step(&[5, 50], at(0));
    assert_eq!(decision.write, None);
    assert!(decision.steps.contains(&Step::Bounces { trigger: 1, rule: 0, replicas: 3 }));
    // 48 * 5 / 3 = 80, which is not above.
    assert_eq!(world.step(&[5, 48], at(15)).write, Some(3));
    let mut world = World::ruled(5, &[&lower, &raise]);
    assert_eq!(world.step(&[5, 50], at(0)).write, Some(3), "a total of redis does not spread by itself");
}

#[test]
fn cpu_memory_and_per_replica_spread_unless_it_is_turned_off() {
    let lower = [held(below(20), Change::Remove(2), 0)];
    let raise = [rule(above(80), Change::Add(1))];
    for kind in ["cpu", "memory"] {
        let mut world = World::ruled(5, &[&lower, &raise]);
        world.policy.triggers[1].kind = kind.to_owned();
        world.reads(0, 5, at(0));
        world.reads(1, 50, at(0));
        assert_eq!(world.outcome(at(0)).0, 5, "{kind}");
        world.rules(1).spreads = Some(false);
        assert_eq!(world.outcome(at(0)).0, 3, "{kind}");
    }
    let each = [per_replica(rule(above(80), Change::Add(1)))];
    let mut world = World::ruled(5, &[&lower, &each]);
    // 250 / 3 = 83.3; 240 / 3 = 80.
    assert_eq!(world.step(&[5, 250], at(0)).write, None);
    assert_eq!(world.step(&[5, 240], at(15)).write, Some(3));
}

#[test]
fn without_behavior_a_vote_by_steps_happens_as_it_is_written() {
    let mut world = World::ruled(1, &[&[rule(above(80), Change::Set(10))]]);
    assert_eq!(world.step(&[90], at(0)).write, Some(10), "the older limit would be max(2 * 1, 4)");
    let mut world = World::ruled(4, &[&[rule(above(80), Change::Add(20))]]);
    assert_eq!(world.step(&[90], at(0)).write, Some(24));
    // A ratio beside it is still limited to max(2 * 1, 4), the vote of 3 is below that.
    let mut world = World::ruled(1, &[&[rule(above(80), Change::Add(2))], &[]]);
    let decision = world.step(&[90, 2_000], at(0));
    assert_eq!((decision.write, decision.limited_by), (Some(4), Limit::ScaleUpRate));
    let mut world = World::ruled(1, &[&[rule(above(80), Change::Set(9))], &[]]);
    assert_eq!(world.step(&[90, 2_000], at(0)).write, Some(9));
}

#[test]
fn with_behavior_votes_go_through_its_policies() {
    let mut world = World::ruled(1, &[&[rule(above(80), Change::Set(10))]]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(3, 60)]), free());
    let decision = world.step(&[90], at(0));
    assert_eq!((decision.write, decision.limited_by), (Some(4), Limit::ScaleUpRate), "1 + 3");
    let mut world = World::ruled(10, &[&[held(below(20), Change::Set(1), 0)]]);
    world.policy.behavior = behavior(free(), rules(0, Select::Max, vec![percent(20, 60)]));
    assert_eq!(world.step(&[5], at(0)).write, Some(8), "10 - 20 %");
}

#[test]
fn without_a_given_window_nothing_is_stabilized_if_all_vote_by_steps() {
    let lower = [held(below(20), Change::Remove(1), 60)];
    let mut world = World::ruled(5, &[&lower]);
    world.run(&[50], 0, 30);
    world.run(&[5], 45, 90);
    assert_eq!(world.step(&[5], at(105)).write, Some(4), "45 + 60, with 5 recommended 15 s ago");
    // A `behavior` that gives no window is no different.
    let mut world = World::ruled(5, &[&lower]);
    let given = GivenRules { policies: Some(vec![pods(100, 1)]), ..GivenRules::default() };
    world.policy.behavior = behavior(given.clone(), given);
    world.run(&[50], 0, 30);
    world.run(&[5], 45, 90);
    assert_eq!(world.step(&[5], at(105)).write, Some(4));
}

#[test]
fn with_a_given_window_for_comes_first_and_then_the_window() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 60)]]);
    world.policy.behavior = behavior(free(), rules(90, Select::Max, vec![pods(100, 1)]));
    // Asserted at 60 s; 5 was recommended last at 45 s, which leaves the window at 135 s.
    world.run(&[5], 0, 45);
    let held = world.step(&[5], at(60));
    assert_eq!((held.write, held.limited_by, held.next), (None, Limit::Stabilization, Some(at(135))));
    world.run(&[5], 75, 120);
    assert_eq!(world.outcome(Tick(134_999)).0, 5);
    assert_eq!(world.step(&[5], at(135)).write, Some(4));
}

#[test]
fn beside_a_ratio_the_usual_window_counts() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 60)], &[]]);
    world.run(&[5, 100], 0, 45);
    let held = world.step(&[5, 100], at(60));
    // 5 was recommended last at 45 s: until 345.001 s.
    assert_eq!((held.write, held.limited_by, held.next), (None, Limit::Stabilization, Some(Tick(345_001))));
}

#[test]
fn a_signal_beside_steps_does_not_bring_the_window_back() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 0)], &[]]);
    world.signal(1);
    assert_eq!(world.step(&[5, 900], at(0)).write, Some(4));
}
