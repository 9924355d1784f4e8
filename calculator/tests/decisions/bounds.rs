//! Bounds jumps and bounds of proposals.

use tidegate_calculator::decision::{Limit, Step, Veto};
use tidegate_calculator::policy::Consent;
use tidegate_calculator::time::Span;

use crate::world::{World, at};

#[test]
fn above_the_maximum_jumps_down_without_metrics() {
    let mut world = World::new(20, 5, &[1_000]);
    world.policy.max = 10;
    world.policy.paused_scale_in = true;
    world.fails(0, at(0));
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by, decision.lowers_by_metrics), (Some(10), Limit::Maximum, false));
    assert!(decision.steps.contains(&Step::Bounds { min: 1, max: 10, replicas: 10, jump: true }));
    assert_eq!((decision.effects.record, decision.effects.hold), (None, None), "a jump records nothing");
    world.policy.consent = Consent::PolicyMissing;
    let missing = world.look(at(1));
    assert_eq!((missing.write, missing.desired, missing.limited_by), (None, 20, Limit::PolicyMissing));
    assert!(missing.steps.contains(&Step::Vetoed { by: Veto::PolicyMissing, wanted: 10 }));
}

#[test]
fn below_the_minimum_jumps_up_whatever_forbids_changes() {
    let mut world = World::new(2, 5, &[0]);
    world.policy.min = 5;
    world.policy.paused_scale_out = true;
    world.policy.consent = Consent::PolicyMissing;
    world.fails(0, at(0));
    assert_eq!(world.outcome(at(1)), (5, Limit::Minimum));
}

#[test]
fn the_edges_are_inside() {
    let mut world = World::new(10, 5, &[50]);
    world.policy.min = 10;
    world.policy.max = 10;
    assert_eq!(world.outcome(at(1)), (10, Limit::Metrics));
    world.reads(0, 500, at(1));
    assert_eq!(world.outcome(at(1)), (10, Limit::Maximum));
    world.policy.settings.downscale_window = Span::ZERO;
    world.reads(0, 5, at(1));
    world.pass(at(1));
    assert_eq!(world.outcome(at(2)), (10, Limit::Minimum), "the minimum had the last word, though nothing is written");
}

#[test]
fn proposals_outside_of_the_bounds_are_cut_but_recorded_raw() {
    let mut world = World::new(3, 5, &[25]);
    world.policy.max = 4;
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by, decision.effects.record), (Some(4), Limit::Maximum, Some(5)));
    assert!(decision.steps.contains(&Step::Bounds { min: 1, max: 4, replicas: 4, jump: false }));
}
