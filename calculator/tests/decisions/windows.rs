//! `window`: what of the readings of a while is compared.

use tidegate_calculator::decision::{Limit, Progress, Vote};
use tidegate_calculator::rules::{Block, Change, StepRule, Take, Window};
use tidegate_calculator::time::Span;

use crate::ruled::{above, below, gate, held, progress, rule};
use crate::world::{World, at};

fn windowed(take: Take, seconds: i64, rules: &[StepRule]) -> World {
    let mut world = World::ruled(5, &[rules]);
    world.rules(0).window = Some(Window { take, over: Span::seconds(seconds) });
    world
}

#[test]
fn the_lowest_the_highest_or_the_average_of_the_readings_in_it() {
    let raised = |take: Take, values: [i64; 4]| {
        let mut world = windowed(take, 45, &[held(above(80), Change::Add(1), 1)]);
        for (index, value) in (0..).zip(values) {
            world.step(&[value], at(15 * index));
        }
        progress(&world.look(at(45)), 0, 0) != Progress::Off
    };
    // The first reading is as old as the window at 45 s, and out of it.
    assert!(raised(Take::Min, [0, 81, 82, 83]) && !raised(Take::Min, [99, 80, 90, 90]));
    assert!(raised(Take::Max, [0, 0, 81, 0]) && !raised(Take::Max, [90, 80, 80, 80]));
    assert!(raised(Take::Avg, [0, 70, 80, 91]) && !raised(Take::Avg, [99, 70, 80, 90]), "241 / 3 and 240 / 3");
}

#[test]
fn lowering_waits_until_the_window_is_full() {
    let mut world = windowed(Take::Max, 60, &[held(below(20), Change::Remove(1), 0)]);
    let decision = world.run(&[10], 0, 45);
    assert_eq!((decision.write, progress(&decision, 0, 0)), (None, Progress::Filling));
    assert_eq!(world.step(&[10], at(60)).write, Some(4));
    let mut timed = windowed(Take::Max, 60, &[held(below(20), Change::Remove(1), 30)]);
    assert_eq!(timed.run(&[10], 0, 75).write, None);
    assert_eq!(timed.step(&[10], at(90)).write, Some(4), "60 + 30: for begins when it is full");
    let mut raising = windowed(Take::Min, 60, &[rule(above(80), Change::Add(1))]);
    assert_eq!(raising.step(&[90], at(0)).write, Some(6), "raising does not");
}

#[test]
fn nobody_abstains_while_its_window_fills() {
    let mut world = windowed(Take::Max, 60, &[rule(above(80), Change::Add(1))]);
    world.run(&[10], 0, 45);
    assert_eq!(world.vote(0, at(45)), Vote::Hold(5));
    world.reads(0, 10, at(60));
    assert_eq!(world.vote(0, at(60)), Vote::Abstain);
}

#[test]
fn a_gap_that_is_too_long_empties_the_window() {
    let mut world = windowed(Take::Max, 60, &[held(below(20), Change::Remove(1), 0)]);
    world.run(&[10], 0, 45);
    assert_eq!(world.run(&[10], 106, 151).write, None, "61 s without a reading");
    assert_eq!(world.step(&[10], at(166)).write, Some(4), "106 + 60");
}

#[test]
fn a_gate_looks_at_the_window_too_and_opens_only_when_it_is_full() {
    let rules = [rule(above(80), Change::Add(1)), held(below(20), Change::Remove(1), 0)];
    let mut world = World::ruled(5, &[&rules, &[]]);
    world.signal(1);
    world.rules(1).window = Some(Window { take: Take::Max, over: Span::seconds(60) });
    world.policy.rules.gates = vec![gate(1, above(70), Block::ScaleDown)];
    assert_eq!(world.run(&[10, 0], 0, 45).limited_by, Limit::Gate);
    assert_eq!(world.step(&[10, 0], at(60)).write, Some(4));
    assert_eq!(world.step(&[10, 90], at(120)).limited_by, Limit::Gate);
    assert_eq!(world.run(&[10, 0], 135, 165).limited_by, Limit::Gate, "90 is still in the window");
    assert_eq!(world.step(&[10, 0], at(180)).write, Some(3), "and as old as it at 180 s");
}
