//! A trigger whose source says that what it measures has just begun: no failure, for five minutes.

use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Pause, Policy};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_calculator::time::{Span, Tick};
use tidegate_engine::protocol::{Change, Event, Input};

use crate::world::{World, id, policy, subject, two_triggers};

const SETTLING: Result<i64, ReadErrorKind> = Err(ReadErrorKind::Settling);

fn is_about_triggers(event: &Event) -> bool {
    matches!(event, Event::TriggerFailed { .. } | Event::TriggerRecovered { .. })
}

/// Eight busy replicas, which are polled every second.
fn busy(policy: Policy) -> World {
    let mut world = World::empty(8);
    world.backlog.insert(0, Ok(40));
    world.set(subject(policy), Checkpoint::default());
    world.run_to(10_000);
    world
}

fn since(world: &mut World) -> Option<(Tick, Tick)> {
    match world.snapshot().evidence[0] {
        Evidence::Settling { since, until, .. } => Some((since, until)),
        _ => None,
    }
}

#[test]
fn it_holds_and_nobody_hears_of_a_failure_until_it_has_lasted_for_five_minutes() {
    let mut world = busy(policy());
    let stored = world.stored.len();
    world.backlog.insert(0, SETTLING);
    world.run_to(15_000);
    let (begun, until) = since(&mut world).unwrap();
    assert!((Tick(10_001)..=Tick(11_000)).contains(&begun) && until == begun + Span::seconds(300), "{begun:?}");
    world.run_to(until.0 - 1);
    let snapshot = world.snapshot();
    let decision = snapshot.decision.unwrap().0;
    assert_eq!((decision.limited_by, decision.health, decision.active), (Limit::Settling, Health::Good, true));
    assert_eq!((snapshot.errors, world.stored.len(), world.applied.len()), (vec![0], stored, 0));
    assert_eq!(world.event_count(is_about_triggers), 0);
    world.run_to(until.0);
    let snapshot = world.snapshot();
    assert!(matches!(&snapshot.evidence[0], Evidence::Failed { since, .. } if *since == until));
    assert_eq!((snapshot.errors[0], world.event_count(is_about_triggers)), (1, 1));
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((world.stored.len(), entry.health), (stored + 1, Some(Health::Failing)));
    assert_eq!(entry.failing.as_ref().map(|failing| failing.kind), Some(ReadErrorKind::Settling));
    assert_eq!((world.replicas, world.applied.len()), (8, 0));
}

#[test]
fn an_object_that_is_polled_seldom_is_looked_at_the_moment_it_is_a_failure() {
    let mut world = World::empty(0);
    world.set(subject(Policy { polling_interval: Span::seconds(700), ..policy() }), Checkpoint::default());
    world.run_to(1_000);
    world.backlog.insert(0, SETTLING);
    let ticket = world.reads[0].1.ticket;
    // By a push, which is no pass: its own moment is planned all the same.
    world.feed(Input::Woken(ticket, 0));
    let (begun, until) = since(&mut world).unwrap();
    assert_eq!((begun, until, world.engine.next_due()), (Tick(1_000), Tick(301_000), Some(Tick(301_000))));
    world.run_to(300_999);
    assert_eq!((world.reads.len(), world.event_count(is_about_triggers)), (2, 0));
    world.run_to(301_000);
    assert_eq!((world.reads.len(), world.event_count(is_about_triggers), world.replicas), (3, 1, 0));
}

#[test]
fn a_failure_that_settles_has_not_recovered_and_is_told_once() {
    let mut world = busy(policy());
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(20_000);
    world.backlog.insert(0, SETTLING);
    world.run_to(40_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((entry.health, entry.failing.is_none()), (Some(Health::Good), true), "no condition tells of it");
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(50_000);
    assert_eq!(world.event_count(is_about_triggers), 1, "it has never given values since");
    world.backlog.insert(0, SETTLING);
    world.run_to(60_000);
    world.backlog.insert(0, Ok(40));
    world.run_to(62_000);
    assert_eq!(world.event_count(|event| matches!(event, Event::TriggerRecovered { .. })), 1);
    assert_eq!((world.event_count(is_about_triggers), world.replicas), (2, 8));
}

#[test]
fn a_fallback_begins_to_count_at_its_end() {
    let fallback = Some(Fallback { threshold: 3, replicas: 9, behavior: FallbackBehavior::Static });
    let mut world = busy(Policy { min: 1, fallback, ..policy() });
    let stored = world.stored.len();
    world.backlog.insert(0, SETTLING);
    world.run_to(12_000);
    let until = since(&mut world).unwrap().1.0;
    world.run_to(until - 1);
    assert_eq!(
        (world.stored.len(), &world.stored[stored - 1].1.failures),
        (stored, &vec![Some(0)]),
        "Happy, as before"
    );
    world.run_to(until);
    assert_eq!(world.stored.last().unwrap().1.failures, [Some(1)]);
    world.run_to(until + 2_999);
    assert_eq!(world.applied, [], "one failure, and one more every second");
    world.run_to(until + 3_000);
    assert_eq!(world.applied, [(until + 3_000, 9)]);
}

#[test]
fn its_activity_stays_what_it_was_and_zero_is_not_entered() {
    let mut world = World::empty(8);
    world.backlog.extend([(0, Ok(40)), (1, Ok(0))]);
    world.set(subject(Policy { cooldown: Span::seconds(1), ..two_triggers() }), Checkpoint::default());
    world.run_to(5_000);
    world.backlog.extend([(0, SETTLING), (1, SETTLING)]);
    world.run_to(100_000);
    let stored = &world.stored.last().unwrap().1;
    assert_eq!((&stored.triggers, stored.active), (&vec![true, false], Some(true)));
    assert_eq!(world.applied, [], "the cooldown does not begin");
    world.backlog.extend([(0, Ok(0)), (1, SETTLING)]);
    world.run_to(200_000);
    assert_eq!(world.applied, [], "one is not known");
    world.backlog.insert(1, Ok(0));
    world.run_to(203_000);
    assert_eq!(world.replicas, 0);
}

#[test]
fn another_trigger_may_raise_meanwhile() {
    let mut world = World::empty(4);
    world.backlog.extend([(0, Ok(20)), (1, Ok(0))]);
    world.set(subject(two_triggers()), Checkpoint::default());
    world.run_to(5_000);
    world.backlog.extend([(0, SETTLING), (1, Ok(35))]);
    world.run_to(7_000);
    assert_eq!(world.replicas, 7);
    world.backlog.insert(1, Ok(5));
    world.run_to(301_000);
    assert_eq!(world.replicas, 7, "but not lower");
}

#[test]
fn a_push_does_not_read_it_more_often_than_one_that_is_active() {
    let mut world = World::empty(8);
    world.backlog.insert(0, SETTLING);
    world.set(subject(Policy { polling_interval: Span::seconds(600), ..policy() }), Checkpoint::default());
    world.run_to(14_000);
    let (reads, ticket) = (world.reads.len(), world.reads[0].1.ticket);
    for _ in 0..5 {
        world.feed(Input::Woken(ticket, 0));
    }
    world.run_to(14_500);
    world.feed(Input::Woken(ticket, 0));
    world.run_to(14_999);
    assert_eq!(world.reads.len(), reads + 1, "the first at once, the others a second later");
}

#[test]
fn a_pause_and_another_process_begin_it_anew() {
    let mut world = busy(policy());
    world.backlog.insert(0, SETTLING);
    world.run_to(200_000);
    let set = |world: &mut World, pause| {
        let text = subject(Policy { pause, ..policy() });
        world.feed(Input::Object(Change::Set(text.into(), Checkpoint::default())));
    };
    set(&mut world, Pause::Plain);
    world.run_to(400_000);
    set(&mut world, Pause::No);
    world.run_to(401_000);
    assert_eq!(since(&mut world), Some((Tick(400_000), Tick(700_000))));
    let checkpoint = world.stored.last().unwrap().1.checkpoint.clone().unwrap();
    let mut restarted = World::empty(8);
    restarted.tick = Tick(500_000);
    restarted.backlog.insert(0, SETTLING);
    restarted.set(subject(policy()), checkpoint);
    restarted.run_to(799_999);
    assert_eq!(since(&mut restarted), Some((Tick(500_000), Tick(800_000))));
    assert_eq!((restarted.replicas, restarted.event_count(is_about_triggers)), (8, 0));
    assert!(restarted.snapshot().decision.unwrap().0.active, "it was active when that was stored");
    assert_eq!(restarted.snapshot().id, id());
}
