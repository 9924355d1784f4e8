//! Gates: when they close and open, what they forbid, and what is unknown.
//!
//! Trigger 0 votes, trigger 1 feeds the gate and is a signal.

use tidegate_calculator::decision::{Decision, DoorState, Health, Limit, Step, Veto};
use tidegate_calculator::rules::{Block, Change, Gate};
use tidegate_calculator::time::{Span, Tick};

use crate::ruled::{above, below, gate, held, release, rule};
use crate::world::{World, at};

/// Five replicas, +1 above 80 and -1 below 20 at once, and a gate over the second trigger.
fn gated(gate: Gate) -> World {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)];
    let mut world = World::ruled(5, &[&rules, &[]]);
    world.signal(1);
    world.policy.rules.gates = vec![gate];
    world
}

/// As the example of the documentation: closes above 70, opens after 2 m below 50.
fn example(block: Block) -> Gate {
    Gate { release: release(below(50), 120), ..gate(1, above(70), block) }
}

fn state(decision: &Decision) -> DoorState {
    let found = decision.steps.iter().find_map(|step| match step {
        Step::Gate { state, .. } => Some(*state),
        _ => None,
    });
    found.unwrap()
}

const GATE: Step = Step::Vetoed { by: Veto::Gate { gate: 0 }, wanted: 4 };

#[test]
fn a_closed_gate_forbids_its_direction_and_keeps_the_history() {
    let mut world = gated(gate(1, above(70), Block::ScaleDown));
    let decision = world.step(&[10, 71], at(0));
    assert_eq!((decision.write, decision.desired, decision.limited_by), (None, 5, Limit::Gate));
    assert!(decision.steps.contains(&GATE) && state(&decision) == DoorState::Closed);
    assert_eq!(decision.effects.record, Some(4), "what was wanted is known");
    assert_eq!(world.step(&[90, 71], at(15)).write, Some(6), "raising is free");
    let mut world = gated(gate(1, above(70), Block::ScaleUp));
    assert_eq!(world.step(&[90, 71], at(0)).limited_by, Limit::Gate);
    assert_eq!(world.step(&[10, 71], at(15)).write, Some(4));
    let mut world = gated(gate(1, above(70), Block::Both));
    assert_eq!(world.step(&[90, 71], at(0)).limited_by, Limit::Gate);
    assert_eq!(world.step(&[10, 71], at(15)).limited_by, Limit::Gate);
}

#[test]
fn without_a_release_it_opens_when_its_condition_ends() {
    let mut world = gated(gate(1, above(70), Block::ScaleDown));
    world.step(&[10, 71], at(0));
    let decision = world.step(&[10, 70], at(15));
    assert_eq!((decision.write, state(&decision)), (Some(4), DoorState::Open));
}

#[test]
fn it_closes_once_its_condition_has_held_for_long_enough() {
    let mut world = gated(Gate { held_for: Span::seconds(30), ..gate(1, above(70), Block::ScaleUp) });
    world.step(&[50, 10], at(0));
    world.step(&[50, 71], at(15));
    let pending = world.step(&[50, 71], at(30));
    assert_eq!((state(&pending), pending.next), (DoorState::Open, Some(at(45))), "15 + 30");
    world.reads(0, 90, at(44));
    assert_eq!(world.outcome(Tick(44_999)).0, 6);
    assert_eq!(world.outcome(at(45)), (5, Limit::Gate));
}

#[test]
fn it_opens_once_its_release_has_held_for_long_enough() {
    let mut world = gated(example(Block::ScaleDown));
    world.step(&[10, 71], at(0));
    assert_eq!(state(&world.step(&[10, 60], at(15))), DoorState::Closed, "between the two it stays what it was");
    world.run(&[10, 49], 30, 135);
    let last = world.look(Tick(149_999));
    assert_eq!((last.write, state(&last), last.next), (None, DoorState::Closed, Some(at(150))), "30 + 120");
    assert_eq!(world.step(&[10, 49], at(150)).write, Some(4));
    assert_eq!(state(&world.step(&[50, 60], at(165))), DoorState::Open, "and stays what it is then");
    // The release begins anew when it is broken.
    let mut world = gated(example(Block::ScaleDown));
    world.step(&[10, 71], at(0));
    world.run(&[10, 49], 15, 120);
    world.step(&[10, 50], at(130));
    world.run(&[10, 49], 140, 245);
    assert_eq!(state(&world.look(Tick(259_999))), DoorState::Closed);
    assert_eq!(state(&world.step(&[10, 49], at(260))), DoorState::Open, "140 + 120");
}

#[test]
fn unknown_inside_the_band_is_closed_for_lowering_and_open_for_raising() {
    let mut world = gated(example(Block::Both));
    let decision = world.step(&[10, 60], at(0));
    assert_eq!((decision.write, decision.limited_by, state(&decision)), (None, Limit::Gate, DoorState::Unknown));
    assert_eq!(world.step(&[90, 60], at(15)).write, Some(6));
    let mut world = gated(example(Block::ScaleUp));
    assert_eq!(world.step(&[10, 60], at(0)).write, Some(4), "it has nothing to do with lowering");
}

#[test]
fn without_a_value_lowering_is_blocked_raising_allowed_and_no_state_changes() {
    let mut world = gated(example(Block::Both));
    world.step(&[50, 71], at(0));
    world.fails(1, at(10));
    let blind = world.look(at(15));
    assert_eq!((state(&blind), blind.health), (DoorState::Blind, Health::Good), "a signal is no error");
    world.reads(0, 90, at(15));
    assert_eq!(world.outcome(at(15)).0, 6, "a closed gate does not forbid raising while its trigger has no value");
    world.reads(0, 10, at(15));
    assert_eq!(world.outcome(at(15)), (5, Limit::Gate));
    world.act(at(15));
    world.step(&[90, 60], at(30));
    assert_eq!((world.target.replicas, state(&world.look(at(30)))), (5, DoorState::Closed), "it is what it was");
    // One that is open forbids lowering all the same.
    let mut world = gated(gate(1, above(70), Block::ScaleDown));
    world.step(&[50, 10], at(0));
    world.fails(1, at(10));
    world.reads(0, 10, at(15));
    assert_eq!(world.act(at(15)).limited_by, Limit::Gate);
    assert_eq!(world.step(&[10, 10], at(30)).write, Some(4));
}

#[test]
fn without_a_value_the_release_timer_begins_anew() {
    let mut world = gated(example(Block::ScaleDown));
    world.step(&[10, 71], at(0));
    world.run(&[10, 49], 15, 105);
    world.fails(1, at(120));
    world.act(at(120));
    world.run(&[10, 49], 135, 240);
    assert_eq!(state(&world.look(Tick(254_999))), DoorState::Closed);
    assert_eq!(world.step(&[10, 49], at(255)).write, Some(4), "135 + 120");
}

#[test]
fn a_gate_forbids_entering_zero_and_leaving_it() {
    let mut world = gated(gate(1, above(70), Block::Both));
    world.policy.min = 0;
    world.policy.cooldown = Span::seconds(10);
    world.good(0, 50, false, at(20), at(20));
    world.reads(1, 71, at(20));
    world.memory.last_active = Some(at(0));
    let decision = world.look(at(20));
    assert_eq!(decision.write, None);
    assert!(decision.steps.contains(&Step::Vetoed { by: Veto::Gate { gate: 0 }, wanted: 0 }));
    world.reads(1, 70, at(20));
    assert_eq!(world.outcome(at(20)), (0, Limit::Idle));
    world.replicas(0);
    world.good(0, 90, true, at(30), at(30));
    world.reads(1, 71, at(30));
    assert_eq!(world.outcome(at(30)), (0, Limit::Gate));
    world.reads(1, 70, at(30));
    assert_eq!(world.outcome(at(30)).0, 2, "1 + 1");
}

#[test]
fn a_gate_forbids_a_jump_down_into_the_bounds_but_not_up() {
    let mut world = gated(gate(1, above(70), Block::Both));
    world.reads(1, 71, at(0));
    world.policy.max = 3;
    assert_eq!(world.outcome(at(0)), (5, Limit::Gate));
    (world.policy.max, world.policy.min) = (10, 7);
    assert_eq!(world.outcome(at(0)), (7, Limit::Minimum));
}

#[test]
fn going_up_to_idle_is_forbidden_by_no_gate() {
    let mut world = gated(gate(1, above(70), Block::Both));
    (world.policy.min, world.policy.idle) = (3, Some(2));
    world.replicas(0);
    world.good(0, 50, false, at(0), at(0));
    world.reads(1, 71, at(0));
    assert_eq!(world.outcome(at(0)), (2, Limit::Idle));
}

#[test]
fn a_change_of_the_replicas_does_not_touch_a_gate() {
    let mut world = gated(example(Block::ScaleDown));
    world.step(&[50, 71], at(0));
    world.run(&[50, 49], 15, 60);
    world.memory.changed_by_others(5, at(61));
    world.run(&[50, 49], 75, 120);
    assert_eq!(state(&world.step(&[50, 49], at(135))), DoorState::Open, "15 + 120");
}

#[test]
fn a_scale_trigger_can_feed_a_gate_too() {
    let mut world = gated(gate(0, below(15), Block::ScaleDown));
    assert_eq!(world.step(&[10, 0], at(0)).limited_by, Limit::Gate);
    assert_eq!(world.step(&[16, 0], at(15)).write, Some(4));
}

#[test]
fn a_gate_beyond_those_that_have_a_number_forbids_all_the_same() {
    let mut world = gated(gate(1, above(1_000), Block::ScaleDown));
    world.policy.rules.gates = vec![world.policy.rules.gates[0].clone(); 300];
    for (index, gate) in world.policy.rules.gates.iter_mut().enumerate() {
        gate.name = format!("gate {index}").into();
    }
    world.policy.rules.gates[299].closes = above(70);
    let decision = world.step(&[10, 71], at(0));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::Gate));
}
