//! Triggers that are read once a polling interval (`useCachedMetrics`), and the fallback of triggers that fail.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Policy, TriggerPolicy};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::{Change, Event, Input};
use tidegate_engine::subject::Subject;

use crate::world::{World, id, policy, subject, two_triggers};

/// A trigger that is read every `seconds`, and one that is read every sync period, too.
fn cached_and_live(seconds: i64) -> Policy {
    let cached = TriggerPolicy { cached: true, ..TriggerPolicy::new("redis") };
    let triggers = vec![cached, TriggerPolicy::new("redis")];
    Policy { min: 1, polling_interval: Span::seconds(seconds), triggers, ..policy() }
}

fn reads_of(world: &World, trigger: u8) -> Vec<i64> {
    world.reads.iter().filter(|(.., of)| *of == trigger).map(|(at, ..)| *at).collect()
}

/// 3 s of failures, polled every second, then 5 replicas.
fn to_five() -> Policy {
    let fallback = Some(Fallback { threshold: 3, replicas: 5, behavior: FallbackBehavior::Static });
    Policy { min: 1, fallback, ..policy() }
}

fn told(world: &World, acts: bool) -> usize {
    world.event_count(|event| *event == Event::Fallback(acts))
}

#[test]
fn a_cached_trigger_is_read_once_a_polling_interval_while_the_object_is_active() {
    for (seconds, most) in [(60, 6), (40, 9), (20, 17)] {
        let mut world = World::new(3, cached_and_live(seconds));
        world.backlog.insert(0, Ok(15));
        world.run_to(301_000);
        let (cached, live) = (reads_of(&world, 0), reads_of(&world, 1));
        assert!((most - 2..=most).contains(&cached.len()), "every {seconds} s: {cached:?}");
        assert!(cached.windows(2).all(|pair| pair[1] - pair[0] >= seconds * 1_000), "{cached:?}");
        // The sync period need not divide the polling interval.
        assert!(cached.windows(2).skip(2).all(|pair| pair[1] - pair[0] == seconds * 1_000), "{cached:?}");
        assert!(live.len() >= 20, "every 15 s: {live:?}");
        assert_eq!(world.polls.iter().filter(|(_, trigger)| *trigger == 0).count(), cached.len(), "each one is a poll");
        assert!(world.applied.is_empty());
    }
}

#[test]
fn an_object_at_rest_reads_all_its_triggers_alike() {
    let mut world = World::new(0, Policy { min: 0, ..cached_and_live(60) });
    world.run_to(301_000);
    assert_eq!(reads_of(&world, 0), reads_of(&world, 1));
}

#[test]
fn a_pass_decides_on_the_cached_reading() {
    let mut world = World::new(2, cached_and_live(600));
    world.backlog.insert(0, Ok(10));
    world.run_to(30_000);
    let reads = reads_of(&world, 0).len();
    // What the cached trigger has now, nobody sees; what its neighbour has, the next pass.
    world.backlog.extend([(0, Ok(50)), (1, Ok(20))]);
    world.run_to(46_000);
    assert_eq!((world.replicas, reads_of(&world, 0).len()), (4, reads));
    world.run_to(1_260_000);
    assert_eq!(world.replicas, 10, "50 at 5 each, with the next poll");
}

#[test]
fn nothing_is_lowered_by_a_cached_reading() {
    let mut world = World::new(8, cached_and_live(600));
    world.backlog.extend([(0, Ok(10)), (1, Ok(40))]);
    // The second poll: the next one is 600 s later, the end of the window comes before.
    while reads_of(&world, 0).len() < 2 {
        let next = world.engine.next_due().unwrap();
        world.run_to(next.0);
    }
    let poll = world.tick.0;
    world.backlog.extend([(0, Ok(40)), (1, Ok(5))]);
    world.run_to(poll + 300_000);
    assert_eq!((world.replicas, reads_of(&world, 0).len()), (8, 2));
    // By the reading of before it would be 2; the pass that would write that reads once more.
    world.run_to(poll + 320_000);
    assert_eq!((world.replicas, reads_of(&world, 0).len()), (8, 3));
    // Each is no poll: only scheduled ones advance what counts polls.
    assert_eq!(world.polls.iter().filter(|(_, trigger)| *trigger == 0).count(), 2);
}

#[test]
fn a_cached_reading_that_does_not_answer_lowers_nothing() {
    let mut world = World::new(8, cached_and_live(600));
    world.backlog.extend([(0, Ok(10)), (1, Ok(40))]);
    world.run_to(20_000);
    world.backlog.remove(&0);
    world.backlog.insert(1, Ok(5));
    world.run_to(590_000);
    assert_eq!(world.replicas, 8);
    // Nor does it keep a neighbour from raising.
    world.backlog.insert(1, Ok(50));
    world.run_to(620_000);
    assert_eq!(world.replicas, 10);
}

#[test]
fn the_end_of_a_cooldown_reads_a_cached_trigger_at_once() {
    let cached = Policy { min: 0, cooldown: Span::seconds(90), ..cached_and_live(60) };
    let mut world = World::new(2, cached);
    world.backlog.insert(0, Ok(10));
    world.run_to(100_000);
    let active = *reads_of(&world, 0).last().unwrap();
    world.backlog.insert(0, Ok(0));
    world.run_to(active + 90_000);
    assert_eq!(world.replicas, 2);
    world.run_to(active + 90_001);
    assert_eq!(world.replicas, 0, "{:?}", reads_of(&world, 0));
}

#[test]
fn new_parameters_and_a_push_read_a_cached_trigger_at_once() {
    let mut world = World::new(2, cached_and_live(600));
    world.backlog.insert(0, Ok(10));
    world.run_to(30_000);
    let reads = reads_of(&world, 0).len();
    world.feed(Input::Object(Change::ParametersChanged(id())));
    assert_eq!(reads_of(&world, 0).len(), reads + 1);
    let ticket = world.reads[0].1.ticket;
    world.backlog.insert(0, Ok(20));
    world.run_to(40_000);
    world.feed(Input::Woken(ticket, 0));
    assert_eq!((world.replicas, reads_of(&world, 0).len()), (4, reads + 2));
}

#[test]
fn a_fallback_acts_after_its_threshold_and_ends_with_a_reading() {
    let mut world = World::new(2, to_five());
    world.backlog.insert(0, Ok(10));
    world.run_to(20_000);
    assert_eq!(world.stored.last().unwrap().1.failures, [Some(0)]);
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(23_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((&entry.failures[..], &entry.fallbacks[..]), (&[Some(1)][..], &[][..]));
    assert_eq!((world.replicas, told(&world, true)), (2, 0));
    world.run_to(25_000);
    // More than 3 failures, 3 s after the first; from 2 the legacy limit allows 4, and 15 s later the rest.
    let entry = &world.stored.last().unwrap().1;
    assert_eq!(
        (&entry.failures[..], &entry.fallbacks[..], &entry.triggers[..]),
        (&[Some(4)][..], &[0][..], &[true][..])
    );
    assert_eq!((world.replicas, told(&world, true), told(&world, false)), (4, 1, 0));
    world.run_to(60_000);
    assert_eq!(world.replicas, 5);
    let stores = world.stored.len();
    world.run_to(3_600_000);
    assert_eq!((world.replicas, world.stored.len()), (5, stores), "what goes on is not stored");

    world.backlog.insert(0, Ok(10));
    world.run_to(3_602_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((&entry.failures[..], &entry.fallbacks[..]), (&[Some(0)][..], &[][..]));
    assert_eq!((world.replicas, told(&world, true), told(&world, false)), (5, 1, 1), "the window holds it");
    world.run_to(3_602_000 + 301_000);
    assert_eq!(world.replicas, 2);
}

#[test]
fn a_fallback_leaves_zero_and_counts_as_active() {
    let mut world = World::new(0, Policy { min: 0, ..to_five() });
    world.run_to(10_000);
    world.backlog.insert(0, Err(ReadErrorKind::Timeout));
    world.run_to(16_000);
    assert_eq!((world.replicas, world.applied.len()), (5, 1));
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((entry.active, &entry.triggers[..]), (Some(true), &[true][..]));
}

#[test]
fn a_fallback_is_of_the_trigger_that_failed_and_not_of_one_in_its_place() {
    let mut world = World::new(5, to_five());
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(60_000);
    assert_eq!(told(&world, true), 1);
    let mut other = subject(to_five());
    other.triggers[0].spec.metadata.insert("listName".to_owned(), "other".to_owned());
    world.set(Subject { generation: 2, ..other }, Checkpoint::default());
    world.run_to(61_000);
    assert_eq!((told(&world, false), &world.stored.last().unwrap().1.failures[..]), (1, &[Some(1)][..]));
    world.run_to(66_000);
    assert_eq!(told(&world, true), 2, "it has to fail as often as any other");
}

#[test]
fn a_fallback_that_is_added_or_taken_away_is_shown() {
    let mut world = World::new(2, Policy { fallback: None, ..to_five() });
    world.backlog.insert(0, Ok(10));
    world.run_to(10_000);
    assert!(world.stored.last().unwrap().1.failures.is_empty());
    world.set(subject(to_five()), Checkpoint::default());
    world.run_to(12_000);
    assert_eq!(world.stored.last().unwrap().1.failures, [Some(0)]);
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(20_000);
    assert_eq!(told(&world, true), 1);
    world.set(subject(Policy { fallback: None, ..to_five() }), Checkpoint::default());
    world.run_to(22_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((told(&world, false), entry.failures.len(), entry.fallbacks.len()), (1, 0, 0));
}

#[test]
fn each_of_two_triggers_has_its_own_count() {
    let fallback = to_five().fallback;
    let mut world = World::new(2, Policy { min: 1, fallback, ..two_triggers() });
    world.backlog.insert(0, Ok(10));
    world.run_to(10_000);
    world.backlog.insert(1, Err(ReadErrorKind::Unavailable));
    world.run_to(20_000);
    let entry = &world.stored.last().unwrap().1;
    assert_eq!((&entry.failures[..], &entry.fallbacks[..]), (&[Some(0), Some(4)][..], &[1][..]));
    assert_eq!(entry.triggers, [true, true]);
}
