//! Roles and `onError`: what a trigger without a value does until its fallback acts.

use tidegate_calculator::decision::{Health, Limit, Step, Veto};
use tidegate_calculator::policy::{Fallback, FallbackBehavior};
use tidegate_calculator::rules::{Change, Direction, OnError};
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, held, rule};
use crate::world::{World, at, behavior, free};

/// Ten replicas, two triggers with a ratio of 100 a replica and no window.
fn two(first: i64, second: i64, on_error: OnError) -> World {
    let mut world = World::new(10, 100, &[first, second]);
    world.policy.min = 1;
    world.policy.settings.downscale_window = Span::ZERO;
    world.on_error(1, on_error);
    world.pass(at(0));
    world
}

#[test]
fn a_signal_proposes_nothing_and_counts_for_neither_activity_nor_errors() {
    let mut world = two(500, 9_000, OnError::RaiseOnly);
    world.signal(1);
    assert_eq!(world.outcome(at(1)).0, 5, "500 / 100, whatever the signal shows");
    world.fails(1, at(1));
    let decision = world.look(at(1));
    assert_eq!((decision.desired, decision.health), (5, Health::Good));
    world.reads(1, 9_000, at(400));
    world.good(0, 0, false, at(400), at(400));
    world.policy.min = 0;
    let decision = world.look(at(400));
    assert_eq!((decision.desired, decision.active), (0, false), "an active signal keeps nothing from zero");
    world.fails(1, at(300));
    assert_eq!(world.outcome(at(400)), (0, Limit::Idle), "nor does one that fails");
    world.replicas(0);
    world.reads(1, 9_000, at(400));
    assert_eq!(world.outcome(at(400)).0, 0, "nor does it wake anything");
}

#[test]
fn no_fallback_stands_for_a_signal() {
    let mut world = two(500, 0, OnError::RaiseOnly);
    world.signal(1);
    world.policy.fallback = Some(Fallback { threshold: 0, replicas: 50, behavior: FallbackBehavior::Static });
    world.fails(1, at(0));
    let decision = world.act(at(50));
    assert_eq!((decision.desired, decision.fallbacks().count()), (5, 0));
    assert!(world.memory.failing.is_empty());
}

#[test]
fn raise_only_is_the_rule_of_the_hpa() {
    let mut world = two(500, 0, OnError::RaiseOnly);
    world.fails(1, at(0));
    assert_eq!(world.outcome(at(1)), (10, Limit::FailedTrigger));
    world.reads(0, 1_500, at(1));
    assert_eq!(world.outcome(at(1)).0, 15);
}

#[test]
fn hold_changes_nothing_either_way() {
    let mut world = two(500, 0, OnError::Hold);
    world.fails(1, at(0));
    assert_eq!(world.outcome(at(1)), (10, Limit::FailedTrigger));
    world.reads(0, 1_500, at(1));
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::OnError { trigger: 1 }, wanted: 15 }));
    assert!(decision.steps.contains(&Step::OnError { trigger: 1, on_error: OnError::Hold, until: None }));
    assert_eq!(decision.effects.record, Some(15), "the history knows what was wanted");
    world.policy.max = 8;
    assert_eq!(world.outcome(at(1)), (8, Limit::Maximum), "bounds need no metrics");
    // It keeps zero, too.
    world.policy.max = 100;
    world.policy.min = 0;
    world.replicas(0);
    assert_eq!(world.outcome(at(1)), (0, Limit::FailedTrigger));
}

#[test]
fn ignore_drops_out_and_the_others_may_lower_and_rest() {
    let mut world = two(500, 0, OnError::Ignore);
    world.fails(1, at(0));
    let decision = world.look(at(1));
    assert_eq!(
        (decision.desired, decision.health),
        (5, Health::Partial),
        "lowered, and people know that something fails"
    );
    world.policy.min = 0;
    world.good(0, 0, false, at(400), at(400));
    assert_eq!(world.outcome(at(400)), (0, Limit::Idle));
}

#[test]
fn if_all_triggers_dropped_out_nothing_changes() {
    let mut world = two(500, 0, OnError::Ignore);
    world.on_error(0, OnError::Ignore);
    world.policy.min = 0;
    world.fails(0, at(0));
    world.fails(1, at(0));
    let decision = world.act(at(1_000));
    assert_eq!((decision.write, decision.limited_by, decision.effects.record), (None, Limit::FailedTrigger, None));
    assert_eq!(decision.health, Health::Failing);
}

#[test]
fn last_known_counts_for_so_long_and_then_as_raise_only() {
    let mut world = two(500, 700, OnError::LastKnown(Span::seconds(120)));
    assert_eq!(world.outcome(at(1)).0, 7);
    world.fails(1, at(15));
    world.reads(0, 500, at(15));
    let decision = world.look(at(15));
    assert_eq!((decision.desired, decision.health), (7, Health::Partial), "500 / 100, and 700 / 100 of before");
    // The reading came at 0 s; an age of 120 s still counts.
    let on_error = OnError::LastKnown(Span::seconds(120));
    assert!(decision.steps.contains(&Step::OnError { trigger: 1, on_error, until: Some(Tick(120_001)) }));
    assert_eq!(decision.next, Some(Tick(120_001)));
    world.pass(at(60));
    world.pass(at(105));
    world.reads(0, 500, at(120));
    assert_eq!(world.outcome(at(120)).0, 7);
    assert_eq!(world.outcome(Tick(120_001)), (10, Limit::FailedTrigger));
    world.reads(0, 1_500, at(120));
    assert_eq!(world.outcome(Tick(120_001)).0, 15);
}

#[test]
fn last_known_keeps_an_object_active_but_never_enters_zero() {
    let mut world = two(0, 700, OnError::LastKnown(Span::seconds(1_000)));
    (world.policy.min, world.policy.cooldown) = (0, Span::seconds(10));
    world.good(0, 0, false, at(0), at(0));
    world.pass(at(0));
    world.fails(1, at(15));
    assert!(world.look(at(15)).active, "its last reading was active");
    let mut quiet = two(0, 0, OnError::LastKnown(Span::seconds(1_000)));
    (quiet.policy.min, quiet.policy.cooldown) = (0, Span::seconds(10));
    quiet.pass(at(0));
    quiet.fails(1, at(15));
    quiet.good(0, 0, false, at(60), at(60));
    let decision = quiet.look(at(60));
    assert_eq!((decision.active, decision.desired), (false, 1), "down to the least");
    assert!(decision.steps.contains(&Step::Awaiting));
}

#[test]
fn without_a_last_reading_last_known_is_raise_only() {
    let mut world = two(500, 0, OnError::LastKnown(Span::seconds(1_000)));
    world.memory.rules = None;
    world.fails(1, at(0));
    assert_eq!(world.outcome(at(1)), (10, Limit::FailedTrigger));
}

#[test]
fn rules_hold_on_a_last_known_reading() {
    let mut world = World::ruled(5, &[&[rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)]]);
    world.on_error(0, OnError::LastKnown(Span::seconds(1_000)));
    for value in [90, 10] {
        world.reads(0, value, at(0));
        world.pass(at(0));
        world.fails(0, at(15));
        assert_eq!(world.outcome(at(61)).0, 5, "no data never fires a rule");
    }
}

#[test]
fn on_error_holds_until_the_fallback_acts() {
    let fallback = Fallback { threshold: 1, replicas: 20, behavior: FallbackBehavior::Static };
    for on_error in [OnError::RaiseOnly, OnError::Hold, OnError::Ignore, OnError::LastKnown(Span::seconds(1_000))] {
        let mut world = two(1_000, 1_000, on_error);
        world.policy.fallback = Some(fallback);
        world.fails(1, at(0));
        let before = world.act(Tick(29_999));
        assert_eq!(before.desired, 10, "{on_error:?}");
        assert!(before.steps.contains(&Step::FallbackWaits { trigger: 1, until: at(30) }), "{on_error:?}");
        assert_eq!(world.act(at(30)).write, Some(20), "{on_error:?}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_no_value() {
    for (on_error, expected) in [(OnError::RaiseOnly, 10), (OnError::Hold, 10), (OnError::Ignore, 5)] {
        let mut world = two(500, 500, on_error);
        world.value_metric(1);
        world.reads(1, 500, at(1));
        world.target.ready = Some(0);
        assert_eq!(world.outcome(at(1)).0, expected, "{on_error:?}");
    }
}

#[test]
fn a_last_known_ratio_multiplies_the_replicas_once() {
    // 20 of 10 doubles 4 replicas; 5 of 10 halves 64. An inverse trigger the other way round.
    for (inverse, value, from, to) in [(false, 20, 4, 8), (false, 5, 64, 32), (true, 5, 4, 8), (true, 20, 64, 32)] {
        let mut world = World::new(from, 10, &[value]);
        (world.policy.min, world.policy.behavior) = (1, behavior(free(), free()));
        world.value_metric(0);
        world.on_error(0, OnError::LastKnown(Span::seconds(120)));
        if inverse {
            world.rules(0).direction = Direction::Inverse;
        }
        world.reads(0, value, at(0));
        assert_eq!(world.act(at(0)).write, Some(to), "{value} of 10");
        for second in (15..=300).step_by(15) {
            world.fails_again(0, at(second));
            assert_eq!(world.act(at(second)).write, None, "{value} of 10 at {second} s");
        }
        world.reads(0, value, at(315));
        assert_ne!(world.act(at(315)).write, None, "a new reading is one of these replicas");
    }
}

#[test]
fn a_last_known_total_and_a_ratio_of_the_same_replicas_count_on() {
    // 40 items of 10 a replica are 4 of them, however many there are.
    let mut world = World::new(2, 10, &[40]);
    (world.policy.min, world.policy.behavior) = (1, behavior(free(), free()));
    world.on_error(0, OnError::LastKnown(Span::seconds(120)));
    world.pass(at(0));
    world.memory.changed_by_others(2, at(5));
    world.fails_again(0, at(15));
    assert_eq!(world.look(at(15)).write, Some(4));
    // The write after the reading failed, so the replicas are still those that it was made of.
    let mut world = World::new(4, 10, &[20]);
    (world.policy.min, world.policy.behavior) = (1, behavior(free(), free()));
    world.value_metric(0);
    world.on_error(0, OnError::LastKnown(Span::seconds(120)));
    world.reads(0, 20, at(0));
    world.pass(at(0));
    world.fails_again(0, at(15));
    assert_eq!(world.look(at(15)).write, Some(8));
    world.memory.changed_by_others(4, at(20));
    assert_eq!(world.look(at(30)).write, None);
}
