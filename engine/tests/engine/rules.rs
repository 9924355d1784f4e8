//! Rules of a ScalingPolicy in an engine: timers, gates and schedules act at their moment, survive it, and store nothing without a reason.
//!
//! Reads come every second; 40 items are 8 replicas by ratio.

use jiff::{SignedDuration, Timestamp};
use tidegate_calculator::calendar::Calendar;
use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::rules::{
    Block, Change, Condition, Gate, OnError, Role, Rules, Schedule, StepRule, TriggerRules,
};
use tidegate_calculator::source::{Milli, ReadErrorKind};
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::protocol::{self, Event, Input, Shown, Stored};
use tidegate_engine::subject::Hold;

use crate::world::{START, World, id, policy, subject, two_triggers};

fn rule(condition: Condition, change: Change, held_for: i64) -> StepRule {
    StepRule { condition, per_replica: false, held_for: Some(Span::seconds(held_for)), every: None, change }
}

const fn above(units: i64) -> Condition {
    Condition::Above(Milli::units(units))
}

const fn below(units: i64) -> Condition {
    Condition::Below(Milli::units(units))
}

/// +1 after 20 s above 80, -1 after 200 s below 20.
fn stepped() -> Policy {
    let steps = vec![rule(above(80), Change::Add(1), 20), rule(below(20), Change::Remove(1), 200)];
    let triggers = vec![TriggerRules { steps, ..TriggerRules::default() }];
    Policy { min: 1, rules: Rules { triggers, ..Rules::default() }, ..policy() }
}

/// What is stored of an object whose only trigger is well and active.
const WELL: Shown =
    Shown { active: true, health: Health::Good, paused: false, triggers: 1, failing: None, failures: 0, fallbacks: 0 };

fn seconds(world: &World) -> Vec<(i64, u32)> {
    world.applied.iter().map(|(at, replicas)| (at / 1_000, *replicas)).collect()
}

#[test]
fn a_rule_acts_at_the_moment_at_which_it_has_held_for_long_enough() {
    let mut world = World::new(3, Policy { polling_interval: Span::seconds(30), ..stepped() });
    world.backlog.insert(0, Ok(50));
    world.run_to(60_000);
    world.backlog.insert(0, Ok(90));
    world.run_to(100_000);
    let seen = world.reads.iter().map(|(at, ..)| *at).find(|at| *at > 60_000).unwrap();
    // Not on the grid of 15 s, but 20 s after the first reading that meets the condition.
    assert_eq!(world.applied, [(seen + 20_000, 4)]);
}

#[test]
fn somebody_elses_change_restarts_the_timers() {
    let mut world = World::new(3, stepped());
    world.backlog.insert(0, Ok(90));
    world.run_to(10_500);
    world.foreign(5);
    world.run_to(60_000);
    assert_eq!(seconds(&world)[0], (30, 6), "10.5 s + 20 s");
}

#[test]
fn an_object_that_holds_stores_nothing_and_a_timer_is_stored_once() {
    let mut world = World::new(3, stepped());
    world.backlog.insert(0, Ok(50));
    world.run_to(30_000);
    let before = world.stored.len();
    world.run_to(600_000);
    assert_eq!(world.stored.len(), before, "nothing happens");
    world.backlog.insert(0, Ok(10));
    world.run_to(690_000);
    let stored: Vec<i64> = world.stored[before..].iter().map(|(at, _)| at / 1_000).collect();
    assert!(matches!(stored[..], [660 | 661]), "max(200 / 4, 60) = 60 s: {stored:?}");
}

#[test]
fn a_timer_survives_a_drain_and_another_process_goes_on_with_it() {
    let mut world = World::new(3, stepped());
    world.backlog.insert(0, Ok(10));
    world.run_to(100_000);
    world.feed(Input::Drain);
    let stored = world.stored.last().and_then(|(_, entry)| entry.checkpoint.clone()).unwrap();
    let mut next = World::empty(3);
    next.tick = Tick(110_000);
    next.backlog.insert(0, Ok(10));
    next.set(subject(stepped()), stored);
    next.run_to(300_000);
    assert!(matches!(seconds(&next)[..], [(200 | 201, 2)]), "{:?}", next.applied);
    // Without the checkpoint it begins anew.
    let mut fresh = World::empty(3);
    fresh.tick = Tick(110_000);
    fresh.backlog.insert(0, Ok(10));
    fresh.set(subject(stepped()), Checkpoint::default());
    fresh.run_to(305_000);
    assert!(fresh.applied.is_empty());
    fresh.run_to(320_000);
    assert!(matches!(seconds(&fresh)[..], [(310 | 311, 2)]), "{:?}", fresh.applied);
}

#[test]
fn after_a_crash_a_timer_goes_on_if_the_process_was_at_work_lately() {
    // (the life sign, what was stored last, when it lowers)
    let failing = Shown { health: Health::Failing, failing: Some(0), ..WELL };
    let cases = [
        (Some(140), Some(WELL), 200),
        (None, Some(WELL), 350),
        (Some(140), Some(failing), 350),
        (Some(140), Some(Shown { paused: true, ..WELL }), 350),
        (Some(140), None, 350),
    ];
    for (alive, shown, lowered) in cases {
        let mut world = World::new(3, stepped());
        world.backlog.insert(0, Ok(10));
        world.run_to(100_000);
        // Stored last at 60 s; the next process begins at 150 s.
        let checkpoint = world.stored.last().and_then(|(_, entry)| entry.checkpoint.clone()).unwrap();
        let alive = alive.map(|second| Timestamp::from_second(START + second).unwrap());
        let mut next = World::empty(3);
        next.engine = tidegate_engine::core::Engine::new(protocol::Tenure::Held { alive });
        next.tick = Tick(150_000);
        next.backlog.insert(0, Ok(10));
        let (object, replicas) = (subject(stepped()), Some(3));
        next.feed(Input::Object(protocol::Change::Set(object.into(), Checkpoint::default())));
        let stored = Stored { checkpoint, replicas, shown, ..Stored::default() };
        next.feed(Input::Object(protocol::Change::Stored(id(), Box::new(stored))));
        next.show();
        next.run_to(400_000);
        assert!(
            (lowered..lowered + 2).contains(&(next.applied[0].0 / 1_000)),
            "{alive:?} {shown:?}: {:?}",
            next.applied
        );
    }
}

/// The signal is the second trigger; a gate over it forbids lowering above 70.
fn gated() -> Policy {
    let gate = Gate {
        name: "pressure".into(),
        trigger: 1,
        closes: above(70),
        held_for: Span::ZERO,
        release: None,
        block: Block::ScaleDown,
    };
    let mut policy = Policy { min: 1, ..two_triggers() };
    let signal = TriggerRules { role: Role::Signal, ..TriggerRules::default() };
    policy.rules = Rules { triggers: vec![TriggerRules::default(), signal], gates: vec![gate], ..Rules::default() };
    policy.settings.downscale_window = Span::ZERO;
    policy
}

#[test]
fn a_gate_holds_until_it_opens_and_its_states_are_stored() {
    let mut world = World::empty(8);
    world.backlog.insert(0, Ok(20));
    world.backlog.insert(1, Ok(71));
    world.set(subject(gated()), Checkpoint::default());
    world.run_to(10_000);
    assert_eq!((world.replicas, world.snapshot().decision.unwrap().0.limited_by), (8, Limit::Gate));
    let before = world.stored.len();
    world.backlog.insert(1, Ok(70));
    world.run_to(12_500);
    assert_eq!(world.replicas, 4);
    assert!(world.stored.len() > before);
}

#[test]
fn a_signal_that_fails_is_no_failure_of_the_object() {
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(20));
    world.backlog.insert(1, Err(ReadErrorKind::Timeout));
    world.set(subject(gated()), Checkpoint::default());
    world.run_to(5_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((entry.failing.as_ref(), entry.health), (None, Some(tidegate_calculator::decision::Health::Good)));
    assert_eq!(entry.triggers, [true, false]);
    assert_eq!(
        world.event_count(|event| matches!(event, Event::TriggerFailed { trigger: 1, .. })),
        1,
        "but it is told"
    );
}

#[test]
fn ignore_lowers_on_what_the_others_say() {
    let mut policy = gated();
    policy.rules.gates.clear();
    policy.rules.triggers[1] = TriggerRules { on_error: OnError::Ignore, ..TriggerRules::default() };
    let mut world = World::empty(8);
    world.backlog.insert(0, Ok(20));
    world.backlog.insert(1, Err(ReadErrorKind::Timeout));
    world.set(subject(policy), Checkpoint::default());
    world.run_to(3_000);
    assert_eq!(world.replicas, 4);
}

/// From 00:10 to 00:20 at least six; worlds begin at midnight.
fn scheduled() -> Policy {
    let at = |text: &str| Calendar::new(text, "UTC").unwrap();
    let schedule =
        Schedule { name: "early".into(), start: at("10 0 * * *"), end: at("20 0 * * *"), min: Some(6), max: None };
    let rules = Rules { schedules: vec![schedule], ..Rules::default() };
    Policy { min: 0, polling_interval: Span::seconds(45), rules, ..policy() }
}

#[test]
fn a_schedule_acts_on_the_second_and_its_end_lets_the_object_rest() {
    let mut world = World::new(0, scheduled());
    world.run_to(700_000);
    assert_eq!(world.applied, [(600_000, 6)], "at 00:10, whatever the polling interval");
    world.run_to(1_300_000);
    assert_eq!(seconds(&world), [(600, 6), (1_200, 0)], "the cooldown was over long before 00:20");
}

/// Feeds a tick whose wall clock is set forward by so much.
fn tick_at(world: &mut World, ahead: SignedDuration) {
    let wall = Timestamp::from_millisecond(START * 1_000 + world.tick.0).unwrap().checked_add(ahead).unwrap();
    let mut out = Vec::new();
    world.engine.handle(Now { tick: world.tick, wall }, Input::Tick, &mut out);
    assert!(world.engine.next_due().is_some());
}

#[test]
fn a_wall_clock_that_is_set_plans_schedules_anew_and_nothing_else() {
    let due = |policy: Policy, ahead: SignedDuration| {
        let mut world = World::new(0, policy);
        world.run_to(20_000);
        let before = world.reads.len();
        let planned = world.engine.next_due();
        tick_at(&mut world, ahead);
        (before, planned, world.engine.next_due())
    };
    let (_, planned, after) = due(scheduled(), SignedDuration::from_millis(900));
    assert_eq!(planned, after, "less than a second is no jump");
    let (_, planned, after) = due(scheduled(), SignedDuration::from_secs(700));
    assert_ne!(planned, after, "it is 00:12 now: looked at at once");
    let plain = Policy { rules: Rules::default(), ..scheduled() };
    let (_, planned, after) = due(plain, SignedDuration::from_secs(700));
    assert_eq!(planned, after);
}

#[test]
fn while_observing_timers_go_on_and_nothing_is_written() {
    // Mode Observe is a hold of the engine; decisions know nothing of it.
    let mut world = World::empty(3);
    world.backlog.insert(0, Ok(90));
    let mut held = subject(stepped());
    held.hold = Some(Hold { reason: "Observe", message: "the policy observes".to_owned() });
    world.set(held, Checkpoint::default());
    world.run_to(60_000);
    assert!(world.applied.is_empty());
    assert_eq!(world.snapshot().decision.unwrap().0.write, Some(4));
    assert_eq!(world.snapshot().id, id());
}
