//! With what memory a process begins to act: what was stored last, by whomever, and never less careful than that.

use jiff::Timestamp;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::{Activity, Change, Event, Input, Stored, Tenure};
use tidegate_engine::subject::TargetRef;

use crate::world::{START, World, id, policy, subject, target};

/// A cooldown of five minutes.
fn patient() -> Policy {
    Policy { cooldown: Span::seconds(300), ..policy() }
}

/// A second of the world as wall time.
fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// A memory of 8 replicas and a last activity at this second.
fn active_at(second: i64) -> Checkpoint {
    Checkpoint(format!("{{\"v\":1,\"n\":8,\"t\":{}}}", wall(second).as_millisecond()))
}

/// An activity that ended at this second.
fn ended(second: i64) -> Activity {
    Activity { last: Some(wall(second)), lasts: false }
}

fn stored(world: &mut World, stored: Stored) {
    world.feed(Input::Object(Change::Stored(id(), Box::new(stored))));
}

/// An object with 8 replicas that is told as a start tells it: its text, what is stored, its target.
fn started(text: Checkpoint, kept: Stored) -> World {
    let mut world = World::empty(8);
    world.feed(Input::Object(Change::Set(subject(patient()).into(), text)));
    stored(&mut world, kept);
    world.show();
    world
}

#[test]
fn a_follower_takes_over_with_what_the_other_one_stored_since_it_began() {
    let mut world = World::empty(8);
    world.feed(Input::Tenure(Tenure::Standby));
    world.set(subject(patient()), active_at(-720));
    world.run_to(595_000);
    stored(&mut world, Stored { checkpoint: active_at(590), ..Stored::default() });
    world.run_to(600_000);
    world.feed(Input::Tenure(Tenure::HELD));
    world.run_to(890_000);
    assert_eq!(world.applied, [], "10 s of a cooldown of 300 s were over");
    world.run_to(892_000);
    assert_eq!(world.replicas, 0);
}

#[test]
fn what_is_stored_is_only_an_echo_once_the_memory_is_loaded() {
    let mut world = World::new(8, patient());
    world.backlog.insert(0, Ok(40));
    world.run_to(10_000);
    world.backlog.insert(0, Ok(0));
    stored(&mut world, Stored { checkpoint: active_at(-720), ..Stored::default() });
    world.run_to(300_000);
    assert_eq!(world.applied, []);
}

#[test]
fn the_later_of_two_stored_activities_counts() {
    for (checkpoint, keda) in [(Checkpoint::default(), -10), (active_at(-720), -10), (active_at(-10), -720)] {
        let kept = Stored { checkpoint: checkpoint.clone(), activity: ended(keda), ..Stored::default() };
        let mut world = started(checkpoint, kept);
        world.run_to(290_000);
        assert_eq!(world.applied, [], "300 s from 10 s before the start");
        world.run_to(292_000);
        assert_eq!(world.replicas, 0);
    }
}

#[test]
fn an_activity_of_which_nobody_knows_the_end_has_lasted_until_the_start() {
    let lasting = Activity { lasts: true, ..ended(-7_200) };
    let active = |checkpoint| Stored { checkpoint, activity: lasting, ..Stored::default() };
    let mut world = started(Checkpoint::default(), active(Checkpoint::default()));
    world.run_to(300_000);
    assert_eq!(world.applied, []);
    world.run_to(302_000);
    assert_eq!(world.replicas, 0);
    // A memory knows it: the condition is older.
    let mut world = started(active_at(-100), active(active_at(-100)));
    world.run_to(202_000);
    assert_eq!(world.replicas, 0);
}

#[test]
fn what_is_known_of_the_activity_outlives_a_change_of_the_target() {
    let mut world = started(Checkpoint::default(), Stored::default());
    let mut moved = subject(patient());
    moved.target = TargetRef { name: "other".into(), ..target() };
    world.feed(Input::Object(Change::Set(moved.clone().into(), Checkpoint::default())));
    stored(&mut world, Stored { activity: ended(-10), ..Stored::default() });
    let seen = world.seen();
    world.feed(Input::Object(Change::Target(moved.target, Ok(seen))));
    world.run_to(290_000);
    assert_eq!(world.applied, []);
}

#[test]
fn after_a_lost_checkpoint_the_cooldown_begins_anew() {
    for text in ["not JSON", "{\"v\":99}"] {
        let mut world = World::empty(8);
        world.set(subject(patient()), Checkpoint(text.to_owned()));
        world.run_to(300_000);
        assert_eq!(world.applied, [], "nobody knows how long ago the last activity was");
        assert_eq!(world.event_count(|event| matches!(event, Event::CheckpointLost(_))), 1);
        world.run_to(302_000);
        assert_eq!(world.replicas, 0);
    }
}

#[test]
fn a_standby_has_nothing_to_store_at_its_end() {
    let mut world = World::empty(0);
    world.feed(Input::Tenure(Tenure::Standby));
    world.set(subject(policy()), Checkpoint::default());
    world.feed(Input::Object(Change::Refused(id(), target(), Vec::new(), Checkpoint::default())));
    world.feed(Input::Drain);
    assert!(world.engine.drained());
}
