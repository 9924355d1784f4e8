//! What a record shows of an operation, at moments of its life.

use tidegate_calculator::operation::summary::{JobCondition, SnapshotKind, Summary};
use tidegate_calculator::operation::{Class, Phase, Strategy};
use tidegate_calculator::time::Span;

use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, spec};
use crate::stop_restore;
use crate::world::World;
use tidegate_calculator::operation::facts::Scheduler;
use tidegate_calculator::operation::spec::StrategyChoice;

/// The wall time of a moment since the operation began, in milliseconds.
fn wall(driver: &Driver, at: i64) -> i64 {
    1_800_000_000_000 + driver.begun() + at
}

#[test]
fn a_stopped_job_is_shown_with_its_savepoint_until_it_runs_again() {
    let mut driver = stop_restore::driver(3, 1);
    driver.run_until(300);
    let before = driver.op.summary(2, driver.now());
    assert_eq!((before.phase, before.strategy, before.attempt), (Phase::Snapshotting, Some(Strategy::StopRestore), 2));
    assert_eq!(before.waits_for.as_deref(), Some("the stop with a savepoint of enrich"));
    assert_eq!((before.began, before.id.len()), (wall(&driver, 0), 32));
    assert_eq!((before.jobs[0].state, before.jobs[0].snapshot_attempt), (JobCondition::Running, 1));
    assert_eq!((&before.jobs[0].snapshot, driver.op.stopped_jobs().len()), (&None, 0));
    // A stop takes 1 s.
    driver.run_until(1_500);
    let stopped = driver.op.summary(2, driver.now());
    let snapshot = stopped.jobs[0].snapshot.as_ref().unwrap();
    assert_eq!((stopped.jobs[0].state, snapshot.kind), (JobCondition::Stopped, SnapshotKind::Savepoint));
    let path = format!("s3://bucket/sp/{}/job-a-2", stopped.id);
    assert_eq!((snapshot.path.as_deref(), snapshot.id), (Some(path.as_str()), None));
    let completed = snapshot.completed.unwrap();
    assert!((wall(&driver, 1_000)..=wall(&driver, 1_300)).contains(&completed), "{completed}");
    // The job is down since then, and the snapshot is as old.
    let down = &driver.op.stopped_jobs()[0];
    let age = driver.now().tick - down.since;
    assert_eq!((down.name.as_str(), driver.op.snapshot_age(driver.now().tick)), ("enrich", Some(age)));
    assert_eq!(age, Span(driver.now().wall.as_millisecond() - completed));
    assert!(age > Span::ZERO, "{age}");
    driver.run();
    let ended = driver.op.summary(2, driver.now());
    assert_eq!((ended.phase, ended.waits_for, ended.reason), (Phase::Done, None, None));
    assert_eq!((ended.jobs[0].state, ended.jobs[0].id.len()), (JobCondition::RunsAgain, 32));
    assert_eq!(ended.jobs[0].snapshot.as_ref().unwrap().path.as_deref(), Some(path.as_str()));
    assert_eq!(driver.op.stopped_jobs(), []);
}

#[test]
fn a_failure_says_its_cause_and_what_helps() {
    let world = World::new(Scheduler::Adaptive, 3).with_job("job-a", "enrich", 6);
    let mut driver = Driver::new(world, begin(3, 1, spec(flink(StrategyChoice::Auto))));
    driver.script = vec![("checkpoint", 1, Fault::Fail(Class::Config))];
    assert_eq!(driver.run(), Phase::Failed);
    let ended = driver.op.summary(1, driver.now());
    assert_eq!(ended.reason.as_deref(), Some("SnapshotFailed"));
    let message = ended.message.unwrap();
    assert!(message.contains("; what helps: mend what Flink says of the snapshot"), "{message}");
    let told = driver.notes.iter().any(|note| {
        matches!(note, tidegate_calculator::operation::Note::Condition { name, message: told, .. }
            if name == "SnapshotFailed" && *told == message)
    });
    assert!(told, "the condition says the same: {:?}", driver.notes);
}

#[test]
fn on_the_way_to_zero_a_stopped_job_is_as_it_should_be() {
    let mut driver = stop_restore::driver(3, 0);
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!((driver.op.parked().len(), driver.op.stopped_jobs().len()), (1, 0));
}

#[test]
fn a_summary_has_a_stored_form_that_may_lack_what_is_not_known() {
    let mut driver = stop_restore::driver(3, 1);
    driver.run_until(1_500);
    let summary = driver.op.summary(1, driver.now());
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    let least = r#"{"id":"a","direction":"ScaleUp","from":1,"to":2,"attempt":1,"phase":"Done","began":1,"since":2}"#;
    assert_eq!(serde_json::from_str::<Summary>(least).unwrap().jobs, []);
}
