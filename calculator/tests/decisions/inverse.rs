//! Inverse triggers: less of the metric wants more replicas.

use tidegate_calculator::decision::{Limit, Step};
use tidegate_calculator::policy::{Fallback, FallbackBehavior};
use tidegate_calculator::rules::{Change, Direction};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_calculator::time::Span;

use crate::ruled::{below, held};
use crate::world::{World, at};

/// Four replicas and a hit ratio that should be 80.
fn hits(value: i64) -> World {
    let mut world = World::new(4, 80, &[value]);
    world.policy.min = 1;
    world.policy.settings.downscale_window = Span::ZERO;
    world.rules(0).direction = Direction::Inverse;
    world.value_metric(0);
    world.reads(0, value, at(0));
    world
}

#[test]
fn the_ratio_is_target_over_value() {
    assert_eq!(hits(40).outcome(at(0)).0, 8, "80 / 40 * 4");
    let mut high = hits(160);
    high.pass(at(0));
    assert_eq!(high.outcome(at(1)).0, 2, "80 / 160 * 4");
    assert_eq!(hits(75).outcome(at(0)).0, 4, "80 / 75 = 1.07 is within the tolerance");
    let mut zero = hits(40);
    zero.policy.min = 0;
    zero.replicas(0);
    assert_eq!(zero.outcome(at(0)).0, 2, "from zero the ratio itself, rounded up");
}

#[test]
fn for_one_sync_period_after_a_write_it_proposes_the_present_count() {
    let mut world = hits(40);
    assert_eq!(world.act(at(0)).write, Some(8));
    world.reads(0, 40, at(10));
    assert_eq!((world.outcome(at(10)).0, world.look(at(10)).next), (8, Some(at(15))));
    assert_eq!(world.outcome(at(15)).0, 16);
}

#[test]
fn a_value_of_zero_is_that_triggers_read_error() {
    let world = hits(0);
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
    let failed = |step: &Step| matches!(step, Step::Failed { trigger: 0, kind: ReadErrorKind::Protocol, .. });
    assert!(decision.steps.iter().any(failed));
}

#[test]
fn a_fallback_counts_from_the_first_value_of_zero() {
    let mut world = hits(0);
    world.policy.fallback = Some(Fallback { threshold: 2, replicas: 9, behavior: FallbackBehavior::Static });
    for second in [0, 15, 30, 45] {
        world.reads(0, 0, at(second));
        assert_eq!(world.act(at(second)).write, None);
    }
    world.reads(0, 0, at(60));
    assert_eq!(world.act(at(60)).write, Some(8), "two polling intervals of 30 s after the first, limited to twice 4");
}

#[test]
fn its_rules_raise_on_below() {
    let mut world = World::ruled(4, &[&[held(below(50), Change::Add(2), 0)]]);
    world.rules(0).direction = Direction::Inverse;
    assert_eq!(world.step(&[40], at(0)).write, Some(6));
    let decision = world.step(&[0], at(60));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger), "0 is not below 50, it is no data");
    world.rules(0).steps = vec![held(below(50), Change::Ratio, 0)];
    world.reads(0, 40, at(120));
    // 100 / 40 * 6 = 15.
    assert_eq!(world.outcome(at(120)).0, 15);
}
