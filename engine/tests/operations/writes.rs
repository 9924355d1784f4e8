//! The write of an operation goes the way of every write: refusals, conflicts, doubts and other writers.

use tidegate_calculator::operation::Phase;
use tidegate_engine::protocol::{ApplyError, Event};

use crate::stage::Stage;

fn shrinking(apply_errors: Vec<ApplyError>) -> Stage {
    let mut stage = Stage::new(4);
    stage.run_to(10);
    stage.apply_errors = apply_errors;
    stage.backlog[0] = Some(10);
    assert!(stage.run(Stage::is_operating, 60));
    stage
}

fn count(stage: &Stage, reason: &str) -> usize {
    stage.events.iter().filter(|(_, event)| event.reason() == reason).count()
}

#[test]
fn a_busy_server_is_asked_again() {
    let busy = ApplyError::Refused("the API server is busy".to_owned());
    let mut stage = shrinking(vec![busy.clone(), busy]);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    assert_eq!((stage.world.replicas, stage.when("patch 2").is_some()), (2, true));
    assert_eq!(count(&stage, "ApplyRefused"), 1, "told once");
    stage.run_to(stage.at() + 5);
    assert_eq!(stage.entry.as_ref().unwrap().apply_error, None);
}

#[test]
fn a_write_that_is_always_refused_is_a_setting() {
    let forbidden = ApplyError::Refused("quota".to_owned());
    let mut stage = shrinking(vec![forbidden; 100]);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    assert_eq!(stage.story().iter().filter(|text| **text == "ApplyRefused").count(), 3);
    assert_eq!(stage.world.replicas, 4);
    let told = stage.entry.as_ref().unwrap().operation_conditions.clone();
    assert!(told.iter().any(|condition| condition.name == "ChangeRefused" && condition.holds), "{told:?}");
    stage.run_to(3_600);
    assert_eq!(stage.apply_errors.len(), 97, "nothing is tried again before something changes");
}

/// It may be over at any time, and no setting has to change for that. Until then nothing waits to be written.
#[test]
fn a_target_that_must_be_left_alone_ends_the_change_and_another_one_is_decided_anew() {
    for (backlog, replicas) in [(10, 2), (20, 4)] {
        let mut stage = shrinking(vec![ApplyError::LeftAlone("a person works on it".to_owned())]);
        assert!(stage.run(|stage| !stage.is_operating(), 60), "{:?}", stage.log);
        assert!(stage.apply_errors.is_empty() && stage.world.replicas == 4, "{:?}", stage.log);
        stage.backlog[0] = Some(backlog);
        stage.run_to(stage.at() + 600);
        assert_eq!((stage.world.replicas, stage.is_operating()), (replicas, false), "{:?}", stage.log);
        assert_eq!(count(&stage, "TargetLeftAlone"), 1, "told once");
        stage.check_laws();
    }
}

#[test]
fn a_conflict_over_something_else_is_looked_at_and_goes_again() {
    let mut stage = shrinking(vec![ApplyError::Conflict]);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    assert_eq!((stage.world.replicas, count(&stage, "ApplyConflict")), (2, 0));
    stage.check_laws();
}

#[test]
fn a_write_without_an_answer_is_settled_by_looking() {
    let lost = ApplyError::Unknown("no answer".to_owned());
    let mut stage = shrinking(vec![lost]);
    assert!(stage.run(|stage| !stage.is_operating(), 300), "{:?}", stage.log);
    assert_eq!(stage.world.replicas, 2);
    assert!(!stage.events.iter().any(|(_, event)| matches!(event, Event::ForeignChange { .. })));
    assert_eq!(stage.snapshot().last_change.map(|change| (change.from, change.to)), Some((4, 2)));
    stage.check_laws();
}

#[test]
fn another_writer_ends_what_has_changed_nothing() {
    let mut stage = shrinking(Vec::new());
    stage.foreign(3);
    assert!(stage.run(|stage| !stage.is_operating(), 120), "{:?}", stage.log);
    assert_eq!((stage.world.replicas, stage.told()), (3, vec!["OperationCancelled"]));
    assert_eq!(count(&stage, "ForeignChange"), 1);
    // The next one begins with what is there now.
    assert!(stage.run(|stage| stage.world.replicas == 2, 600), "{:?}", stage.log);
    assert_eq!(stage.operations().running.map(|running| (running.from, running.to)), Some((3, 2)));
    assert_ne!(stage.operations().running.unwrap().phase, Phase::Done);
}

#[test]
fn a_drain_begins_nothing_more_and_stores_where_it_is() {
    let mut stage = shrinking(Vec::new());
    assert!(stage.run(|stage| stage.when("TriggerCheckpoint").is_some(), 60));
    stage.feed(tidegate_engine::protocol::Input::Drain);
    let story = stage.story().len();
    assert!(stage.run(|stage| stage.engine.drained(), stage.at() + 5));
    stage.run_to(stage.at() + 30);
    assert_eq!(stage.story().len(), story, "{:?}", stage.log);
    assert!(stage.is_operating(), "the next process goes on");
    stage.die();
    assert!(stage.run(|stage| stage.world.replicas == 2 && !stage.is_operating(), stage.at() + 300));
}
