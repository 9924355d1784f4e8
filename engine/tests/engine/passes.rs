//! Passes: when triggers are read, when their answers count, and when nothing is stored.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Pause, Policy};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tidegate_calculator::time::{Span, Tick};
use tidegate_engine::protocol::{Change, Command, Event, Input, TargetError, Ticket};
use tidegate_engine::snapshot::Phase;
use tidegate_engine::subject::{Hold, ObjectId, Subject, TargetRef};

use crate::world::{World, id, policy, readings, subject, target, two_triggers};

#[test]
fn a_read_has_the_time_that_the_engine_was_told() {
    let mut world = World::empty(0);
    world.engine =
        tidegate_engine::core::Engine::new(tidegate_engine::protocol::Tenure::HELD).with_read_deadline(Span(250));
    world.backlog.remove(&0);
    world.set(subject(policy()), Checkpoint::default());
    world.run_to(10);
    let failed = |world: &World| world.event_count(|event| matches!(event, Event::TriggerFailed { .. }));
    world.run_to(250 + 900);
    assert_eq!(failed(&world), 0);
    world.run_to(250 + 1_100);
    assert_eq!(failed(&world), 1, "the engine waits a second longer than the driver");
}

#[test]
fn zero_to_eight_in_one_write_and_back_at_the_end_of_the_cooldown() {
    let mut world = World::new(0, policy());
    world.backlog.insert(0, Ok(40));
    world.run_to(2_000);
    // 40 items at 5 each: 8 replicas in one write, at the first read after they came.
    assert_eq!(world.applied.len(), 1);
    assert_eq!(world.replicas, 8);
    let raised = world.applied[0].0;
    assert!(raised <= 1_000, "{raised}");
    world.run_to(30_000);
    assert_eq!(world.replicas, 8);
    world.backlog.insert(0, Ok(0));
    let last_active = world.reads.iter().map(|(at, ..)| *at).max().unwrap();
    // Nothing happens up to and including the moment at which the cooldown ends; entering needs a read begun after it.
    world.run_to(last_active + 10_000);
    assert_eq!(world.replicas, 8);
    world.run_to(last_active + 10_001);
    assert_eq!((world.replicas, world.applied.len()), (0, 2));
}

#[test]
fn every_read_waits_for_its_interval_and_none_is_skipped() {
    let mut world = World::new(3, Policy { min: 1, polling_interval: Span::seconds(60), ..policy() });
    world.backlog.insert(0, Ok(15));
    world.run_to(61_000);
    // An object above rest is read every 15 s even if its polling interval is longer.
    assert!(world.reads.len() >= 5, "{:?}", world.reads);
    let mut resting = World::new(0, Policy { polling_interval: Span::seconds(60), ..policy() });
    resting.run_to(121_000);
    assert!((3..=4).contains(&resting.reads.len()), "{:?}", resting.reads);
}

#[test]
fn only_scheduled_reads_a_polling_interval_apart_are_polls() {
    let mut world = World::new(3, Policy { min: 1, polling_interval: Span::seconds(60), ..policy() });
    world.backlog.insert(0, Ok(15));
    for minute in 1..=5 {
        world.run_to(minute * 60_000);
        // Neither a push nor a pass that a change of the object brings is a poll.
        let ticket = world.reads[0].1.ticket;
        world.feed(Input::Woken(ticket, 0));
    }
    let polls: Vec<i64> = world.polls.iter().map(|(at, _)| *at).collect();
    assert!(world.reads.len() >= 25, "every 15 s, and once a push: {:?}", world.reads);
    assert!((5..=6).contains(&polls.len()), "{polls:?}");
    // The first pass is at once; from the second poll on the grid says when.
    assert!(polls.windows(2).all(|pair| pair[1] - pair[0] >= 60_000), "{polls:?}");
    assert!(polls.windows(2).skip(1).all(|pair| pair[1] - pair[0] == 60_000), "{polls:?}");
}

#[test]
fn an_edited_trigger_is_polled_again_no_sooner_than_a_polling_interval_after_the_last_poll() {
    let says = |edit: &str| {
        let mut subject = subject(Policy { min: 1, polling_interval: Span::seconds(60), ..policy() });
        subject.triggers[0].spec.metadata.insert("listLength".to_owned(), edit.to_owned());
        subject
    };
    let mut world = World::empty(3);
    world.backlog.insert(0, Ok(15));
    world.set(says("5"), Checkpoint::default());
    world.run_to(150_000);
    let (polls, reads) = (world.polls.len(), world.reads.len());
    for (at, edit) in [(150_010, "6"), (150_020, "7"), (151_000, "8")] {
        world.run_to(at);
        world.set(says(edit), Checkpoint::default());
    }
    world.run_to(152_000);
    assert!(world.reads.len() >= reads + 3, "each edit is read at once: {:?}", world.reads);
    assert_eq!(world.polls.len(), polls, "and none of these reads is a poll: {:?}", world.polls);
    world.run_to(400_000);
    let apart: Vec<i64> = world.polls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(world.polls.len() >= polls + 3 && apart.iter().all(|apart| *apart >= 60_000), "{:?}", world.polls);
}

#[test]
fn a_steady_object_stores_nothing_and_writes_nothing() {
    let mut world = World::new(3, policy());
    world.backlog.insert(0, Ok(15));
    world.run_to(20_000);
    let stores = world.stored.len();
    assert!(stores <= 2, "the first flip of activity is stored: {:?}", world.stored);
    world.run_to(3_600_000);
    assert_eq!((world.stored.len(), world.applied.len()), (stores, 0));
}

#[test]
fn a_hung_trigger_does_not_keep_its_neighbour_from_raising() {
    let mut world = World::new(2, Policy { min: 1, ..two_triggers() });
    world.backlog.insert(0, Ok(10));
    world.run_to(1_000);
    world.backlog.remove(&1);
    world.backlog.insert(0, Ok(40));
    world.run_to(5_000);
    // Patience is 1 s after the pass began; the legacy limit allows 4 from 2.
    assert_eq!(world.replicas, 4);
    assert!(world.applied[0].0 <= 3_000, "{:?}", world.applied);
}

#[test]
fn nothing_is_lowered_while_a_trigger_hangs_or_fails() {
    for failure in [None, Some(Err(ReadErrorKind::Unavailable))] {
        let mut world = World::new(8, Policy { min: 1, ..two_triggers() });
        world.backlog.insert(0, Ok(40));
        world.run_to(1_000);
        match failure {
            None => world.backlog.remove(&1),
            Some(answer) => world.backlog.insert(1, answer),
        };
        world.backlog.insert(0, Ok(5));
        world.run_to(3_600_000);
        assert_eq!((world.replicas, world.applied.len()), (8, 0));
        let hour = 3_600_000;
        world.backlog.insert(1, Ok(0));
        world.run_to(hour + 10_000);
        assert_eq!(world.replicas, 8, "the end of a failure starts the window anew");
        world.run_to(hour + 320_000);
        assert_eq!(world.replicas, 1);
    }
}

#[test]
fn lowering_needs_readings_begun_in_its_own_pass() {
    // Trigger 1 hangs from the moment at which the window would let the count go; its reading of before must not do.
    let mut world = World::new(8, Policy { min: 1, ..two_triggers() });
    world.backlog.insert(1, Ok(40));
    world.run_to(1_000);
    world.backlog.insert(1, Ok(0));
    let last = world.reads.iter().map(|(at, ..)| *at).max().unwrap();
    // An age equal to the window counts: 8 is held up to this moment.
    world.run_to(last + 300_000);
    assert_eq!(world.replicas, 8);
    world.backlog.remove(&1);
    world.run_to(last + 303_000);
    assert_eq!(world.replicas, 8);
}

#[test]
fn a_push_reads_its_own_trigger_and_can_only_raise() {
    let resting = Policy { polling_interval: Span::seconds(30), ..two_triggers() };
    let mut world = World::new(0, resting);
    world.run_to(31_000);
    let (before, ticket) = (world.reads.len(), world.reads[0].1.ticket);
    world.backlog.insert(1, Ok(23));
    world.feed(Input::Woken(ticket, 1));
    assert_eq!(world.reads[before..].iter().map(|(.., trigger)| *trigger).collect::<Vec<_>>(), [1]);
    assert_eq!((world.replicas, world.applied.len()), (5, 1), "ceil(23 / 5) at the very moment of the push");
    world.run_to(400_000);
    world.backlog.insert(1, Ok(0));
    let writes = world.applied.len();
    world.feed(Input::Woken(ticket, 1));
    assert_eq!(world.applied.len(), writes, "a push lowers nothing");
}

#[test]
fn pushes_of_an_active_trigger_wait_until_its_last_read_is_a_second_old() {
    let mut world = World::new(0, Policy { min: 1, polling_interval: Span::seconds(60), ..policy() });
    world.run_to(10_000);
    let (before, ticket) = (world.reads.len(), world.reads[0].1.ticket);
    let since = |world: &World| world.reads[before..].iter().map(|(at, ..)| *at).collect::<Vec<i64>>();
    world.run_to(10_001);
    world.backlog.insert(0, Ok(7));
    world.feed(Input::Woken(ticket, 0));
    assert_eq!(since(&world), [10_001], "the first push of an inactive trigger is read at once");
    for at in (10_251..=10_751).step_by(250) {
        world.run_to(at);
        world.feed(Input::Woken(ticket, 0));
    }
    assert_eq!(since(&world), [10_001], "the next ones wait");
    world.run_to(11_000);
    assert_eq!(since(&world).len(), 1);
    world.backlog.insert(0, Ok(23));
    world.run_to(11_001);
    assert_eq!(since(&world), [10_001, 11_001], "for one deadline, and are not lost");
    world.run_to(12_500);
    assert_eq!(since(&world).len(), 2, "one read serves all of them");
    world.backlog.insert(0, Ok(0));
    world.feed(Input::Woken(ticket, 0));
    assert_eq!(since(&world), [10_001, 11_001, 12_500], "the last read is old enough");
    world.feed(Input::Woken(ticket, 0));
    world.run_to(12_501);
    world.feed(Input::Woken(ticket, 0));
    assert_eq!(since(&world).last(), Some(&12_501), "it is no longer active: at once again");
}

#[test]
fn a_push_that_waits_is_served_by_any_read_and_goes_with_the_trigger() {
    let mut world = World::new(2, Policy { min: 1, polling_interval: Span::seconds(2), ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(20_000);
    let (last, call, _) = *world.reads.last().unwrap();
    let reads = world.reads.len();
    // A pass reads it 500 ms after the push: the deadline of that push is then no reason to read once more.
    let next = last + 2_000;
    world.run_to(next - 1_500);
    world.feed(Input::Woken(call.ticket, 0));
    assert_eq!(world.reads.len(), reads + usize::from(next - 1_500 - last >= 1_000));
    world.run_to(next - 500);
    world.feed(Input::Woken(call.ticket, 0));
    world.run_to(next + 1_900);
    let times: Vec<i64> = world.reads[reads..].iter().map(|(at, ..)| *at).collect();
    assert_eq!(times.iter().filter(|at| **at >= next).count(), 1, "{times:?}");
    // A read that hangs: the push is read after it, once.
    world.backlog.remove(&0);
    world.run_to(next + 2_000);
    let hung = *world.reads.last().unwrap();
    let reads = world.reads.len();
    world.run_to(hung.0 + 300);
    world.feed(Input::Woken(hung.1.ticket, 0));
    world.backlog.insert(0, Ok(10));
    world.run_to(hung.0 + 600);
    world.feed(Input::Read(hung.1, Ok(readings(0, 10))));
    assert_eq!(world.reads.len(), reads);
    world.run_to(hung.0 + 1_000);
    assert_eq!(world.reads.len(), reads + 1, "a second after the read that hung was begun");
    world.feed(Input::Woken(hung.1.ticket, 0));
    world.feed(Input::Object(Change::Refused(id(), target(), Vec::new(), Checkpoint::default())));
    world.run_to(hung.0 + 10_000);
    assert_eq!(world.reads.len(), reads + 1, "what is refused is not read");
}

#[test]
fn a_pause_reads_nothing_and_a_number_is_set() {
    let mut world = World::new(3, Policy { pause: Pause::At(5), ..policy() });
    world.run_to(60_000);
    assert_eq!((world.replicas, world.reads.len()), (5, 0));
    assert_eq!(world.snapshot().phase, Phase::Paused);
    world.set(subject(policy()), Checkpoint::default());
    world.run_to(60_001);
    assert_eq!(world.event_count(|event| matches!(event, Event::Paused(_))), 2);
    assert!(!world.reads.is_empty());
}

#[test]
fn a_changed_text_keeps_readings_of_unchanged_triggers_and_drops_old_answers() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(1_000);
    world.backlog.remove(&0);
    world.run_to(2_500);
    let (_, old, _) = *world.reads.last().unwrap();
    world.set(subject(Policy { min: 1, max: 20, ..policy() }), Checkpoint::default());
    assert!(world.closed.contains(&old.ticket));
    world.feed(Input::Read(old, Ok(readings(0, 500))));
    assert_eq!(world.applied.len(), 0, "an answer to the old text is dropped");
    world.backlog.insert(0, Ok(50));
    world.run_to(10_000);
    assert_eq!(world.replicas, 4, "twice 2, the legacy limit");
}

#[test]
fn a_held_object_is_decided_about_and_not_touched() {
    let mut world = World::empty(0);
    let hold = Hold { reason: "Observe", message: "the operator observes".to_owned() };
    world.backlog.insert(0, Ok(40));
    world.set(Subject { hold: Some(hold.clone()), ..subject(policy()) }, Checkpoint::default());
    world.run_to(5_000);
    let snapshot = world.snapshot();
    assert_eq!((snapshot.phase, world.applied.len()), (Phase::Held(hold), 0));
    assert_eq!(snapshot.decision.map(|(decision, _)| decision.desired), Some(8));
    world.set(subject(policy()), Checkpoint::default());
    world.run_to(6_000);
    assert_eq!(world.replicas, 8);
}

#[test]
fn what_a_new_text_says_is_stored_though_the_decision_shows_the_same() {
    let mut world = World::new(3, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(15));
    world.run_to(10_000);
    let stores = world.stored.len();
    world.set(subject(Policy { min: 1, max: 20, ..policy() }), Checkpoint::default());
    world.run_to(20_000);
    assert_eq!(world.stored.len(), stores + 1, "{:#?}", &world.stored[stores - 1..]);
    assert_eq!(world.stored[stores].1.bounds, Some((1, 20)));
    for seconds in 2..100 {
        let polling_interval = Span::seconds(seconds);
        world.set(subject(Policy { min: 1, max: 20, polling_interval, ..policy() }), Checkpoint::default());
    }
    world.run_to(25_000);
    assert_eq!(world.stored.len(), stores + 1, "an edit that changes nothing people see is not stored");
    world.feed(Input::Object(Change::Refused(id(), target(), Vec::new(), Checkpoint::default())));
    assert_eq!(world.stored.last().unwrap().1.phase, Phase::Refused(Vec::new()));
    world.set(subject(Policy { min: 1, max: 20, ..policy() }), Checkpoint::default());
    world.run_to(30_000);
    assert_eq!(world.stored.last().unwrap().1.phase, Phase::Running);
}

#[test]
fn a_hold_that_comes_and_goes_is_stored_at_once() {
    let mut world = World::new(1, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(3));
    world.run_to(5_000);
    let hold = Hold { reason: "ForeignAutoscaler", message: "an HPA scales it".to_owned() };
    let plain = || subject(Policy { min: 1, ..policy() });
    world.set(Subject { hold: Some(hold.clone()), ..plain() }, Checkpoint::default());
    world.run_to(5_100);
    let last = |world: &World| world.stored.last().map(|(_, entry)| entry.phase.clone());
    assert_eq!(last(&world), Some(Phase::Held(hold)));
    world.set(plain(), Checkpoint::default());
    world.run_to(5_200);
    assert_eq!(last(&world), Some(Phase::Running));
}

#[test]
fn a_refused_object_keeps_its_replicas_until_it_is_mended() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(5_000);
    world.feed(Input::Object(Change::Refused(id(), target(), Vec::new(), Checkpoint::default())));
    world.backlog.insert(0, Ok(50));
    let reads = world.reads.len();
    world.run_to(600_000);
    assert_eq!((world.replicas, world.reads.len()), (2, reads));
    assert_eq!(world.snapshot().phase, Phase::Refused(Vec::new()));
    world.set(subject(Policy { min: 1, ..policy() }), Checkpoint::default());
    world.run_to(601_000);
    assert_eq!(world.replicas, 4);
    world.feed(Input::Object(Change::Gone(id())));
    assert!(world.engine.is_empty() && world.engine.next_due().is_none());
}

#[test]
fn changed_parameters_build_the_source_anew_and_keep_the_reading() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.backlog.insert(0, Ok(10));
    world.run_to(1_500);
    assert_eq!(world.opened.len(), 1);
    world.feed(Input::Object(Change::ParametersChanged(id())));
    assert_eq!(world.opened.len(), 2, "at once");
    assert!(world.snapshot().evidence[0].last_good().is_some());
}

#[test]
fn an_absent_target_is_told_once_and_found_again() {
    let mut world = World::new(2, Policy { min: 1, ..policy() });
    world.run_to(1_000);
    let gone = TargetError::NotFound("Deployment shop/orders".to_owned());
    world.feed(Input::Object(Change::Target(target(), Err(gone.clone()))));
    assert_eq!(world.snapshot().phase, Phase::TargetFailed(gone));
    world.show();
    world.backlog.insert(0, Ok(20));
    world.run_to(5_000);
    assert_eq!(world.replicas, 4);
    assert_eq!(world.event_count(|event| matches!(event, Event::TargetFailed(_))), 1);
    assert_eq!(world.event_count(|event| *event == Event::TargetFound), 1);
}

#[test]
fn one_endpoint_runs_512_reads_and_the_others_wait_in_order() {
    let mut world = World::empty(0);
    world.backlog.clear();
    let objects = 600_u32;
    for number in 0..objects {
        let name = format!("orders-{number}");
        let id = ObjectId::new("shop", &name);
        let target = TargetRef { name: name.as_str().into(), ..target() };
        let mut subject = subject(policy());
        (subject.id, subject.target) = (id, target.clone());
        world.feed(Input::Object(Change::Set(subject.into(), Checkpoint::default())));
        let seen = world.seen();
        world.feed(Input::Object(Change::Target(target, Ok(seen))));
    }
    assert_eq!(world.reads.len(), 512, "the rest waits");
    let (_, first, _) = world.reads[0];
    world.feed(Input::Read(first, Err(ReadError::endpoint(ReadErrorKind::Unavailable, "refused"))));
    assert_eq!(world.reads.len(), 513);
    world.run_to(4_500);
    let slots: std::collections::BTreeSet<u32> = world.reads.iter().map(|(_, call, _)| call.ticket.slot).collect();
    assert_eq!(slots.len(), 600, "a hung endpoint still gives every object its turn");
}

#[test]
fn objects_of_one_endpoint_meet_in_few_moments() {
    let mut world = World::empty(0);
    for number in 0..100_u32 {
        let name = format!("orders-{number}");
        let mut subject = subject(Policy { polling_interval: Span::seconds(30), ..policy() });
        subject.id = ObjectId::new("shop", &name);
        subject.target = TargetRef { name: name.as_str().into(), ..target() };
        let seen = world.seen();
        let target = subject.target.clone();
        world.feed(Input::Object(Change::Set(subject.into(), Checkpoint::default())));
        world.feed(Input::Object(Change::Target(target, Ok(seen))));
    }
    world.run_to(1);
    let first = world.reads.len();
    world.run_to(60_000);
    let moments: std::collections::BTreeSet<i64> = world.reads[first..].iter().map(|(at, ..)| at % 30_000).collect();
    assert_eq!((first, moments.len()), (100, 8));
}

#[test]
fn a_source_that_cannot_be_built_is_that_triggers_failure_and_is_tried_again() {
    let mut world = World::empty(2);
    let mut out = Vec::new();
    let subject = subject(Policy { min: 1, ..policy() });
    world.engine.handle(world.now(), Input::Object(Change::Set(subject.into(), Checkpoint::default())), &mut out);
    world.engine.handle(world.now(), Input::Object(Change::Target(target(), Ok(world.seen()))), &mut out);
    let Some(Command::Open(call, ..)) = out.pop() else { panic!("{out:?}") };
    let error = ReadError::query(ReadErrorKind::Config, "Secret shop/redis has no key password");
    world.feed(Input::Opened(call, Err(error)));
    assert_eq!(world.event_count(|event| matches!(event, Event::TriggerFailed { trigger: 0, .. })), 1);
    world.run_to(2_000);
    assert!(!world.reads.is_empty(), "built with the next pass");
    assert_eq!(world.event_count(|event| matches!(event, Event::TriggerRecovered { trigger: 0 })), 1);
    assert_eq!(call.ticket, Ticket { slot: 0, epoch: call.ticket.epoch });
    assert!(world.engine.next_due().is_some_and(|due| due > Tick(2_000)));
}
