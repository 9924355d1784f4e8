//! `directionCooldown`: one direction waits after a write of ours in the other one.

use tidegate_calculator::decision::{Limit, Step, Veto};
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Pause};
use tidegate_calculator::rules::{Change, DirectionCooldown};
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, held, rule};
use crate::world::{World, at};

/// +1 above 80 and -1 below 20 at once; down 5 m after up, up 10 m after down.
fn cooled(replicas: u32) -> World {
    let mut world =
        World::ruled(replicas, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)]]);
    world.policy.rules.direction_cooldown =
        DirectionCooldown { down_after_up: Span::seconds(300), up_after_down: Span::seconds(600) };
    world
}

#[test]
fn lowering_waits_for_a_raise_of_ours() {
    let mut world = cooled(5);
    assert_eq!(world.step(&[90], at(0)).write, Some(6));
    let decision = world.step(&[10], at(60));
    assert_eq!((decision.write, decision.limited_by, decision.next), (None, Limit::DirectionCooldown, Some(at(300))));
    let veto = Veto::DirectionCooldown { until: at(300) };
    assert!(decision.steps.contains(&Step::Vetoed { by: veto, wanted: 5 }));
    assert_eq!(decision.effects.record, Some(5), "the history knows what was wanted");
    assert_eq!(world.outcome(Tick(299_999)).0, 6);
    assert_eq!(world.outcome(at(300)).0, 5);
    assert_eq!(world.step(&[90], at(75)).write, Some(7), "its own direction does not wait");
}

#[test]
fn raising_waits_for_a_lowering_of_ours() {
    let mut world = cooled(5);
    assert_eq!(world.step(&[10], at(0)).write, Some(4));
    assert_eq!(world.step(&[90], at(599)).limited_by, Limit::DirectionCooldown);
    assert_eq!(world.step(&[90], at(600)).write, Some(5));
}

#[test]
fn only_our_own_successful_writes_count() {
    let mut world = cooled(5);
    world.reads(0, 90, at(0));
    world.pass(at(0));
    assert_eq!(world.step(&[10], at(15)).write, Some(4), "the raise was never written");
    let mut world = cooled(5);
    world.step(&[50], at(0));
    world.replicas(9);
    world.memory.changed_by_others(9, at(5));
    assert_eq!(world.step(&[10], at(15)).write, Some(8), "somebody else raised");
    // A number that a pause sets is a write of ours.
    let mut world = cooled(5);
    world.policy.pause = Pause::At(8);
    assert_eq!(world.act(at(0)).write, Some(8));
    world.policy.pause = Pause::No;
    assert_eq!(world.step(&[10], at(15)).limited_by, Limit::DirectionCooldown);
}

#[test]
fn it_forbids_entering_zero() {
    let mut world = cooled(5);
    (world.policy.min, world.policy.cooldown) = (0, Span::seconds(10));
    assert_eq!(world.step(&[90], at(0)).write, Some(6));
    world.good(0, 50, false, at(60), at(60));
    let decision = world.act(at(60));
    assert_eq!((decision.write, decision.next), (None, Some(at(300))));
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::DirectionCooldown { until: at(300) }, wanted: 0 }));
    world.good(0, 50, false, at(300), at(300));
    assert_eq!(world.act(at(300)).write, Some(0));
}

#[test]
fn it_never_forbids_leaving_zero_and_entering_zero_does_not_start_it() {
    let mut world = cooled(2);
    (world.policy.min, world.policy.cooldown) = (0, Span::seconds(10));
    world.good(0, 50, true, at(0), at(0));
    world.act(at(0));
    world.good(0, 50, false, at(60), at(60));
    assert_eq!(world.act(at(60)).write, Some(0));
    assert_eq!(world.step(&[90], at(75)).write, Some(2), "all of it in one write");
    assert_eq!(world.step(&[90], at(135)).write, Some(3), "2 to 0 was no lowering that raising waits for");
    // Leaving zero is a raise that lowering waits for.
    assert_eq!(world.step(&[10], at(150)).limited_by, Limit::DirectionCooldown);
    // Even right after a lowering.
    let mut world = cooled(2);
    world.policy.min = 0;
    assert_eq!(world.step(&[10], at(0)).write, Some(1));
    world.replicas(0);
    world.memory.changed_by_others(0, at(5));
    assert_eq!(world.step(&[90], at(15)).write, Some(2));
}

#[test]
fn it_never_forbids_raising_to_the_minimum() {
    let mut world = cooled(5);
    assert_eq!(world.step(&[10], at(0)).write, Some(4));
    world.policy.min = 6;
    assert_eq!(world.step(&[50], at(15)).write, Some(6));
}

#[test]
fn it_never_forbids_what_a_fallback_stands_for() {
    let mut world = cooled(5);
    world.policy.fallback = Some(Fallback { threshold: 1, replicas: 8, behavior: FallbackBehavior::Static });
    assert_eq!(world.step(&[10], at(0)).write, Some(4));
    world.fails(0, at(15));
    assert_eq!(world.act(at(15)).write, None);
    assert_eq!(
        world.act(at(45)).write,
        Some(8),
        "15 s + one polling interval of 30 s, while raising waits until 600 s"
    );
}

#[test]
fn no_cooldown_is_no_wait() {
    let mut world = cooled(5);
    world.policy.rules.direction_cooldown = DirectionCooldown::default();
    assert_eq!(world.step(&[90], at(0)).write, Some(6));
    assert_eq!(world.step(&[10], at(15)).write, Some(5));
}

#[test]
fn a_policy_that_comes_later_knows_the_last_writes_from_the_scale_events() {
    let mut world = cooled(5);
    let rules = std::mem::take(&mut world.policy.rules);
    assert_eq!(world.step(&[600], at(0)).write, Some(6), "by its ratio");
    world.policy.rules = rules;
    assert_eq!(world.step(&[10], at(60)).limited_by, Limit::DirectionCooldown);
    assert_eq!(world.step(&[10], at(300)).write, Some(5));
}
