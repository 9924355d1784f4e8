//! What happens where two rules meet.

use tidegate_calculator::behavior::Select;
use tidegate_calculator::decision::{Limit, Progress, Step, Veto};
use tidegate_calculator::policy::{Consent, Fallback, FallbackBehavior, Pause};
use tidegate_calculator::rules::{Block, Change, DirectionCooldown, Gate, OnError};
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, daily, gate, held, hours, progress, release, rule};
use crate::world::{World, at, behavior, free, pods, rules};

/// +1 above 80, -1 below 20 after 60 s; a signal beside it for gates.
fn world() -> World {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 60)];
    let mut world = World::ruled(5, &[&rules, &[]]);
    world.signal(1);
    world
}

fn with_gate(block: Block) -> World {
    let mut world = world();
    world.policy.rules.gates = vec![gate(1, above(70), block)];
    world
}

fn with_cooldown() -> World {
    let mut world = world();
    world.policy.rules.direction_cooldown =
        DirectionCooldown { down_after_up: Span::seconds(300), up_after_down: Span::seconds(600) };
    world
}

#[test]
fn gate_against_step_the_rule_goes_on_being_asserted_and_acts_when_the_gate_opens() {
    let mut world = with_gate(Block::ScaleDown);
    let blocked = world.run(&[10, 71], 0, 120);
    assert_eq!((blocked.write, blocked.limited_by), (None, Limit::Gate));
    assert_eq!(progress(&blocked, 0, 1), Progress::Asserted { held: Span::seconds(120), replicas: 4 });
    assert_eq!(world.step(&[10, 70], at(135)).write, Some(4), "at once: nothing was written that restarts it");
}

#[test]
fn gate_against_schedule_its_minimum_beats_the_gate_its_maximum_waits_for_it() {
    let mut world = with_gate(Block::Both);
    world.policy.rules.schedules = vec![daily("day", 8, 20, Some(7), None)];
    world.step(&[50, 71], hours(8) - Span::seconds(1));
    assert_eq!(world.step(&[50, 71], hours(8)).write, Some(7));
    let mut world = with_gate(Block::ScaleDown);
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(3))];
    world.step(&[50, 71], hours(22) - Span::seconds(1));
    let start = 22 * 3_600;
    assert_eq!(world.run(&[50, 71], start, start + 600).limited_by, Limit::Gate);
    assert_eq!(world.step(&[50, 70], at(start + 615)).write, Some(3));
}

#[test]
fn schedule_against_cooldown_its_minimum_does_not_wait_its_maximum_does() {
    let mut world = with_cooldown();
    world.policy.rules.schedules = vec![daily("day", 8, 20, Some(7), None)];
    let eight = 8 * 3_600;
    world.run(&[10, 0], eight - 65, eight - 20);
    assert_eq!(world.step(&[10, 0], at(eight - 5)).write, Some(4));
    assert_eq!(world.step(&[10, 0], at(eight)).write, Some(7), "5 s after a lowering; raising waits for 600 s");
    // And that raise is one that lowering waits for.
    world.policy.rules.schedules.clear();
    let waits = world.run(&[10, 0], eight + 15, eight + 285);
    assert_eq!((waits.write, waits.limited_by, waits.next), (None, Limit::DirectionCooldown, Some(at(eight + 300))));
    let mut world = with_cooldown();
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(3))];
    world.policy.settings.downscale_window = Span::ZERO;
    let night = 22 * 3_600;
    assert_eq!(world.step(&[90, 0], at(night - 15)).write, Some(6));
    assert_eq!(world.step(&[50, 0], at(night)).limited_by, Limit::DirectionCooldown);
    world.run(&[50, 0], night + 15, night + 270);
    assert_eq!(world.step(&[50, 0], at(night + 285)).write, Some(3));
}

#[test]
fn failure_without_fallback_against_step_nothing_fires_and_others_may_raise() {
    let mut world = World::ruled(5, &[&[held(below(20), Change::Remove(1), 60)], &[rule(above(80), Change::Add(1))]]);
    world.run(&[10, 50], 0, 45);
    world.fails(1, at(50));
    world.reads(0, 10, at(60));
    let decision = world.act(at(60));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger), "asserted, but one has no value");
    world.fails(0, at(70));
    world.reads(1, 90, at(75));
    assert_eq!(world.act(at(75)).write, Some(6));
}

#[test]
fn fallback_against_step_its_count_votes_and_for_goes_on_after_it() {
    let mut world = world();
    world.policy.fallback = Some(Fallback { threshold: 1, replicas: 8, behavior: FallbackBehavior::Static });
    world.step(&[50, 0], at(0));
    world.fails(0, at(15));
    world.act(at(15));
    assert_eq!(world.act(at(45)).write, Some(8));
    world.run(&[10, 0], 60, 105);
    assert_eq!(world.outcome(Tick(119_999)).0, 8);
    assert_eq!(world.step(&[10, 0], at(120)).write, Some(7), "60 + 60");
}

#[test]
fn fallback_against_gate_the_gate_holds() {
    let mut world = with_gate(Block::ScaleUp);
    world.policy.fallback = Some(Fallback { threshold: 0, replicas: 8, behavior: FallbackBehavior::Static });
    world.reads(1, 71, at(0));
    world.fails(0, at(0));
    assert_eq!(world.act(at(0)).limited_by, Limit::Gate);
    world.reads(1, 70, at(15));
    assert_eq!(world.act(at(15)).write, Some(8));
}

#[test]
fn gate_against_cooldown_both_must_allow_it() {
    let mut world = with_cooldown();
    world.policy.rules.gates = vec![gate(1, above(70), Block::ScaleDown)];
    assert_eq!(world.step(&[90, 71], at(0)).write, Some(6));
    assert_eq!(world.run(&[10, 71], 15, 285).limited_by, Limit::Gate);
    assert_eq!(world.step(&[10, 71], at(300)).limited_by, Limit::Gate, "the cooldown is over");
    assert_eq!(world.step(&[10, 70], at(315)).write, Some(5));
    assert_eq!(world.step(&[90, 70], at(330)).limited_by, Limit::DirectionCooldown, "the gate is open");
}

#[test]
fn on_error_against_schedule_hold_keeps_a_count_above_a_schedules_maximum() {
    let mut world = world();
    world.on_error(0, OnError::Hold);
    world.policy.rules.schedules = vec![daily("night", 22, 6, None, Some(3)), daily("day", 8, 20, Some(7), None)];
    world.policy.settings.downscale_window = Span::ZERO;
    world.step(&[50, 0], hours(22) - Span::seconds(1));
    world.fails(0, hours(22));
    world.act(hours(22) + Span::seconds(1));
    assert_eq!(world.act(hours(22) + Span::seconds(15)).limited_by, Limit::FailedTrigger);
    assert_eq!(world.act(hours(24 + 8)).write, Some(7), "its minimum needs no value");
}

#[test]
fn pauses_and_missing_policies_against_steps() {
    let mut world = world();
    world.policy.paused_scale_out = true;
    assert_eq!(world.step(&[90, 0], at(0)).limited_by, Limit::Paused);
    world.policy.paused_scale_in = true;
    assert_eq!(world.run(&[10, 0], 15, 75).limited_by, Limit::Paused);
    (world.policy.paused_scale_in, world.policy.consent) = (false, Consent::PolicyMissing);
    assert_eq!(world.step(&[10, 0], at(90)).limited_by, Limit::PolicyMissing);
    world.policy.consent = Consent::Full;
    assert_eq!(world.step(&[10, 0], at(105)).write, Some(4));
}

#[test]
fn a_pause_is_a_gap_for_timers_and_a_release() {
    let mut world = world();
    world.policy.rules.gates = vec![Gate { release: release(below(50), 60), ..gate(1, above(70), Block::ScaleDown) }];
    world.step(&[10, 71], at(0));
    world.run(&[10, 49], 15, 45);
    world.policy.pause = Pause::Plain;
    assert_eq!(world.act(at(60)).effects, tidegate_calculator::decision::Effects::default());
    world.policy.pause = Pause::No;
    // 106 - 45 = 61 s without a reading that counts.
    let decision = world.step(&[10, 49], at(106));
    assert_eq!(progress(&decision, 0, 1), Progress::Pending { held: Span::ZERO, until: at(166) });
    assert_eq!(world.run(&[10, 49], 121, 151).limited_by, Limit::Metrics);
    assert_eq!(world.step(&[10, 49], at(166)).write, Some(4), "both are over at 106 + 60");
}

#[test]
fn every_against_a_rate_policy_a_limited_raise_is_a_write_too() {
    let mut world = World::ruled(5, &[&[rule(above(80), Change::Add(4))]]);
    world.policy.behavior = behavior(rules(0, Select::Max, vec![pods(2, 30)]), free());
    assert_eq!(world.step(&[90], at(0)).write, Some(7));
    let waits = world.step(&[90], at(30));
    assert_eq!(progress(&waits, 0, 0), Progress::Spaced { held: Span::seconds(30), until: at(60) });
    assert_eq!(world.step(&[90], at(60)).write, Some(9));
}

#[test]
fn two_gates_the_first_that_forbids_has_the_last_word() {
    let mut world = with_gate(Block::ScaleDown);
    world.policy.rules.gates.push(Gate { name: "other".into(), ..gate(1, above(60), Block::ScaleDown) });
    let decision = world.run(&[10, 65], 0, 60);
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::Gate { gate: 1 }, wanted: 4 }));
    let decision = world.step(&[10, 75], at(75));
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::Gate { gate: 0 }, wanted: 4 }));
}

#[test]
fn schedule_against_step_the_maximum_caps_a_raise_and_the_minimum_stops_a_lowering() {
    let mut world = world();
    world.policy.rules.schedules = vec![daily("night", 0, 6, Some(4), Some(6))];
    assert_eq!(world.step(&[90, 0], at(0)).write, Some(6));
    let capped = world.step(&[90, 0], at(60));
    assert_eq!((capped.write, capped.limited_by), (None, Limit::Schedule));
    assert!(capped.steps.contains(&Step::Capped { wanted: Some(7), max: 6 }));
    let low = world.run(&[10, 0], 75, 600);
    assert_eq!(low.desired, 4, "6, 5, 4 and no further");
    // 75 + 60 = 135: 5; 135 + 60 = 195: 4; from there on 600 - 195.
    assert_eq!(progress(&low, 0, 1), Progress::Asserted { held: Span::seconds(405), replicas: 4 });
}
