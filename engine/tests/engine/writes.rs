//! What people see of a write that does not succeed, and of a source that is not there.

use tidegate_engine::protocol::{ApplyError, Event, Input};

use crate::world::{ApplyAnswer, World, policy};

fn told(world: &World) -> Option<ApplyError> {
    world.stored.last().and_then(|(_, entry)| entry.apply_error.clone())
}

#[test]
fn a_refused_write_is_stored_once_and_a_success_after_it() {
    let mut world = World::new(0, policy());
    world.run_to(5_000);
    let before = world.stored.len();
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Refused; 20];
    world.run_to(15_000);
    assert!(world.applied.len() > 5, "it goes on trying: {:?}", world.applied);
    assert_eq!(told(&world), Some(ApplyError::Refused("quota".to_owned())));
    assert_eq!(world.event_count(|event| matches!(event, Event::ApplyFailed(_))), 1);
    assert!(world.stored.len() - before <= 2, "once, besides the flip of the activity");
    world.apply_answers.clear();
    world.run_to(20_000);
    assert_eq!((world.replicas, told(&world)), (8, None));
}

#[test]
fn a_failure_is_over_when_no_write_is_wanted_any_more() {
    let mut world = World::new(0, policy());
    world.run_to(5_000);
    world.backlog.insert(0, Ok(40));
    world.apply_answers = vec![ApplyAnswer::Refused; 1_000];
    world.run_to(8_000);
    assert!(told(&world).is_some());
    world.backlog.insert(0, Ok(0));
    world.run_to(10_000);
    assert_eq!((world.replicas, told(&world)), (0, None));
}

#[test]
fn a_source_that_is_not_there_is_built_anew() {
    let mut world = World::new(0, policy());
    world.backlog.remove(&0);
    world.run_to(2_000);
    assert_eq!(world.opened.len(), 1);
    let call = world.reads.last().unwrap().1;
    world.backlog.insert(0, Ok(40));
    world.feed(Input::NotOpen(call));
    world.run_to(5_000);
    assert_eq!((world.opened.len(), world.replicas), (2, 8));
}
