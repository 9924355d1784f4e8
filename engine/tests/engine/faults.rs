//! Faults: conflicts, lost answers, a watch that is late, a journal that fails, and the end of the process.

use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::ReadErrorKind;
use tidegate_engine::protocol::{ApplyError, Event, Input};

use crate::world::{ApplyAnswer, World, policy, readings};

fn foreign(event: &Event) -> bool {
    matches!(event, Event::ForeignChange { .. })
}

#[test]
fn a_conflict_over_something_else_sends_the_same_number_again() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Conflict, ApplyAnswer::Conflict];
    world.run_to(1_000);
    assert_eq!(world.applied.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [8, 8, 8]);
    assert_eq!((world.replicas, world.event_count(foreign)), (8, 0));
}

#[test]
fn the_third_conflict_ends_the_write_and_the_next_pass_begins_anew() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Conflict; 3];
    world.run_to(2_500);
    assert_eq!(world.replicas, 8);
    assert_eq!(world.applied.len(), 4);
    assert_eq!(world.event_count(|event| *event == Event::ApplyFailed(ApplyError::Conflict)), 1);
}

#[test]
fn a_conflict_with_another_writer_is_a_new_decision() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(20));
    world.apply_answers = vec![ApplyAnswer::Foreign(6)];
    world.run_to(10_000);
    // 4 was wanted, somebody set 6: a new pass decides, and nothing in its window speaks for more than 4.
    assert_eq!(world.applied.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [4, 4]);
    assert!(world.applied[1].0 > world.applied[0].0 || world.reads.len() > 2, "{:?}", world.reads);
    assert_eq!((world.replicas, world.event_count(foreign)), (4, 1));
}

/// Time for whoever finds out that a tool is at work, and holds the object.
#[test]
fn somebody_elses_change_stays_for_a_second() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(20_100);
    let (reads, writes) = (world.reads.len(), world.applied.len());
    world.foreign(6);
    world.run_to(21_099);
    assert_eq!((world.reads.len(), world.applied.len()), (reads, writes), "nothing is read, so nothing is decided");
    world.run_to(22_000);
    assert_eq!(world.applied[writes..], [(21_100, 2)]);
}

#[test]
fn a_lost_answer_is_settled_by_looking() {
    for (answer, writes) in [(ApplyAnswer::LostButDone, 1), (ApplyAnswer::Lost, 2)] {
        let mut world = World::new(0, policy());
        world.backlog.insert(0, Ok(40));
        world.watch_works = false;
        world.apply_answers = vec![answer];
        world.run_to(20_000);
        assert_eq!((world.replicas, world.applied.len(), world.event_count(foreign)), (8, writes, 0));
        let scaled = world.event_count(|event| matches!(event, Event::Scaled(change) if change.to == 8));
        assert_eq!(scaled, 1);
    }
}

#[test]
fn a_lost_write_that_lands_late_was_ours() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Lost];
    world.run_to(11_999);
    world.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    world.run_to(14_000);
    assert_eq!(world.applied.len(), 1, "{:?}", world.applied);
    world.foreign(8);
    assert_eq!(world.event_count(foreign), 0);
    assert_eq!(world.event_count(|event| matches!(event, Event::Scaled(_))), 1);
}

#[test]
fn a_duplicate_or_late_answer_changes_nothing() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(3_000);
    let (_, call, _) = world.reads[0];
    world.feed(Input::Read(call, Ok(readings(0, 5_000))));
    let stray = world.snapshot();
    world.feed(Input::Applied(call, Err(ApplyError::Conflict)));
    world.feed(Input::Stored(call, Ok(())));
    world.run_to(3_001);
    assert_eq!(world.applied.len(), 0);
    assert_eq!(stray.evidence, world.snapshot().evidence);
}

#[test]
fn a_watch_that_does_not_show_our_write_is_asked_after_five_seconds() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.watch_works = false;
    world.run_to(1_000);
    let raised = world.applied[0].0;
    assert_eq!(world.refreshed, [0_i64; 0]);
    world.run_to(raised + 4_999);
    assert_eq!(world.refreshed, [0_i64; 0], "{raised}");
    world.run_to(raised + 5_000);
    assert_eq!(world.refreshed, [raised + 5_000]);
}

#[test]
fn a_watch_that_is_behind_our_write_is_not_somebody_else() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.watch_works = false;
    let old = world.seen();
    world.run_to(1_000);
    assert_eq!(world.replicas, 8);
    let change = tidegate_engine::protocol::Change::Target(crate::world::target(), Ok(old));
    world.feed(Input::Object(change));
    assert_eq!((world.event_count(foreign), world.applied.len()), (0, 1));
    world.run_to(4_000);
    assert_eq!(world.applied.len(), 1, "no pass ran on the state before our write");
}

#[test]
fn a_refused_write_is_told_once_and_tried_with_every_pass() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Refused; 3];
    world.run_to(5_000);
    assert_eq!(world.replicas, 8);
    assert_eq!(world.event_count(|event| matches!(event, Event::ApplyFailed(_))), 1);
}

#[test]
fn another_writer_is_told_and_the_windows_decide_what_stays() {
    let mut world = World::new(4, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(20));
    world.run_to(5_000);
    world.foreign(9);
    // No recommendation of the past window is above 4, so the HPA's rule lowers with the next pass.
    world.run_to(7_000);
    assert_eq!((world.replicas, world.event_count(foreign)), (4, 1));
    world.foreign(2);
    world.run_to(9_000);
    assert_eq!((world.replicas, world.event_count(foreign)), (4, 2));
}

#[test]
fn a_failing_journal_is_tried_again_ever_more_slowly() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.store_works = false;
    world.run_to(60_000);
    let times: Vec<i64> = world.stored.iter().map(|(at, _)| *at).collect();
    assert!((5..=9).contains(&times.len()), "{times:?}");
    assert_eq!(world.stored.last().unwrap().1.replicas, Some(8));
    world.store_works = true;
    world.run_to(200_000);
    let stores = world.stored.len();
    world.run_to(400_000);
    assert_eq!(world.stored.len(), stores, "once stored, nothing is stored again");
}

#[test]
fn a_drain_stores_what_was_waiting_and_begins_nothing() {
    let mut world = World::new(3, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(15));
    world.run_to(100_000);
    let (stores, reads) = (world.stored.len(), world.reads.len());
    assert!(!world.engine.drained());
    world.feed(Input::Drain);
    assert!(world.engine.drained());
    assert_eq!(world.stored.len(), stores + 1, "recommendations ride along with the last store");
    world.run_to(200_000);
    assert_eq!(world.reads.len(), reads);
}

#[test]
fn a_lost_write_that_lands_before_the_next_one_is_ours() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(1_000);
    world.backlog.insert(0, Ok(20));
    // The first write is lost; it lands just before the second one arrives.
    world.apply_answers = vec![ApplyAnswer::Lost, ApplyAnswer::Foreign(4)];
    world.run_to(40_000);
    assert_eq!((world.replicas, world.event_count(foreign)), (4, 0));
    assert_eq!(world.event_count(|event| matches!(event, Event::Scaled(_))), 1);
}
