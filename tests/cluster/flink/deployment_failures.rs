//! What fails around a FlinkDeployment: upgrades without room, and snapshots.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::super::trial;
use super::deployment::{Enrich, Setup};
use super::operator::{Ending, Origin, Script, Snapshots};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::deployment::an_upgrade_that_is_rolled_back_takes_the_change_back", rolled_back),
        trial("flink::deployment::an_upgrade_that_breaks_the_job_is_taken_back_or_needs_somebody", broken),
        trial("flink::deployment::a_number_that_the_operator_does_not_obey_is_taken_back", disobeyed),
        trial("flink::deployment::a_snapshot_that_fails_keeps_task_managers_and_lets_more_come", snapshot_failed),
    ]
}

/// There is room for three TaskManagers, and five are wanted. The operator takes its upgrade back, and so does the operation.
fn rolled_back() {
    let hook = json!({"cooldown": "5m", "flink": {"verify": {"timeout": "12s"}}});
    let enrich = Enrich::new("rolledback", &Setup::default(), &hook);
    enrich.flink.play(Script { room: 3, beyond: Ending::RolledBack, ..Script::default() });
    let operator = enrich.start();
    enrich.want(5);
    assert_eq!(enrich.until_ended("ScaleUp", "RolledBack"), 1);
    enrich.until_running(2);
    enrich.until_said("OperatorFailed", "ROLLED_BACK");
    enrich.until_event("RollingBack");
    enrich.until_event("OperationRolledBack");
    assert_eq!(enrich.writes(&operator).len(), 2, "to 5 and back");
    let restarts = enrich.flink.restarts();
    println!("the job was started with {restarts:?}");
    assert!(restarts.iter().all(|(_, origin)| *origin != Origin::Empty), "{restarts:?}");
    // Up; back by the operator itself; and once more because its number was taken back, after a checkpoint.
    let [(5, _), (2, _), (2, Origin::Checkpoint(age))] = restarts[..] else { panic!("{restarts:?}") };
    assert!(age < Duration::from_secs(30), "{age:?}");
    assert_eq!(enrich.snapshots().len(), 2);
    // It is not tried again before its pause is over.
    enrich.untouched(Duration::from_secs(8));
    enrich.was_permitted(&operator);
}

/// The upgrade leaves the job broken: the change is taken back. If that does not help either, somebody must look.
fn broken() {
    let hook = json!({"cooldown": "1s", "flink": {"verify": {"timeout": "12s"}}});
    let enrich = Enrich::new("broken", &Setup::default(), &hook);
    enrich.flink.play(Script { room: 3, beyond: Ending::Broken, ..Script::default() });
    let operator = enrich.start();
    enrich.want(5);
    assert_eq!(enrich.until_ended("ScaleUp", "RolledBack"), 1);
    enrich.until_running(2);
    enrich.until_said("OperatorFailed", "there is no room for so many TaskManagers");

    enrich.flink.play(Script { room: 0, beyond: Ending::Broken, ..Script::default() });
    enrich.hook(&json!({"cooldown": "5m", "flink": {"verify": {"timeout": "12s"}}}));
    assert_eq!(enrich.until_ended("ScaleUp", "Failed"), 2);
    enrich.until_said("OperatorFailed", "there is no room for so many TaskManagers");
    enrich.until_event("OperationFailed");
    assert_eq!(enrich.asked(), 2);
    assert_eq!(enrich.writes(&operator).len(), 4, "to 5 and back, twice");
    enrich.was_permitted(&operator);
}

/// Something else in the spec is wrong, so the operator obeys none of it. It says so, and that it has seen the spec; the job goes on as it was.
fn disobeyed() {
    let hook = json!({"cooldown": "5m", "flink": {"verify": {"timeout": "12s"}}});
    let enrich = Enrich::new("disobeyed", &Setup::default(), &hook);
    enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"image": ""}}));
    enrich.space.until("flinkdeployments", "enrich", "an error", |object| object["status"]["error"] == "no image");
    let operator = enrich.start();
    enrich.want(4);
    assert_eq!(enrich.until_ended("ScaleUp", "RolledBack"), 1);
    enrich.until_said("OperatorFailed", "no image");
    assert_eq!((enrich.asked(), enrich.writes(&operator).len()), (2.into(), 2), "to 4 and back");
    assert_eq!(enrich.flink.restarts(), [], "the job was left alone");
    enrich.was_permitted(&operator);
}

/// Every checkpoint fails. Fewer TaskManagers would mean work done twice; more of them help a job that is behind.
fn snapshot_failed() {
    let enrich = Enrich::new("nosnapshot", &Setup { replicas: 4, ..Setup::default() }, &json!({"attempts": 2}));
    enrich.flink.play(Script { snapshots: Snapshots::Fail, ..Script::default() });
    let operator = enrich.start();
    enrich.want(2);
    assert_eq!(enrich.until_ended("ScaleDown", "Aborted"), 1);
    enrich.until_said("SnapshotFailed", "the checkpoint expired before it was complete");
    assert_eq!((enrich.asked(), enrich.writes(&operator).len()), (4.into(), 0));
    assert_eq!(enrich.snapshots().len(), 2, "two attempts, each under a name of its own");

    enrich.want(5);
    enrich.until_running(5);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    enrich.until_event("ProceededUnprotected");
    let restarts = enrich.flink.restarts();
    assert_eq!(restarts, [(5, Origin::Checkpoint(Duration::from_hours(1)))], "without one of its own");

    // One that is given up because the job went away says nothing about the next one.
    enrich.flink.play(Script { snapshots: Snapshots::Abandon, ..Script::default() });
    let before = enrich.snapshots().len();
    enrich.want(3);
    enrich.space.until("scalerecords", "enrich", "another attempt", |_| {
        let all = enrich.space.list("flinkstatesnapshots");
        all.iter().any(|one| one["status"]["state"] == "ABANDONED")
    });
    enrich.flink.play(Script::default());
    enrich.until_running(3);
    assert_eq!(enrich.until_ended("ScaleDown", "Done"), 0);
    println!("{} attempts at a snapshot of the last change", enrich.snapshots().len() - before);
    assert!(matches!(enrich.flink.restarts()[1], (3, Origin::Checkpoint(age)) if age < Duration::from_secs(30)));
    enrich.was_permitted(&operator);
}
