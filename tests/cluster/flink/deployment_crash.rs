//! `kill -9` of Tidegate in the middle of a change of a FlinkDeployment: whoever takes over goes on, and does nothing twice.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::super::trial;
use super::deployment::{Enrich, Setup};
use super::operator::{Deed, Origin, Script, Snapshots};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("flink::deployment::a_crash_takes_one_snapshot_and_writes_once", crashes)]
}

fn crashes() {
    let enrich = Enrich::new("fdcrash", &Setup { replicas: 4, min: 0, ..Setup::default() }, &json!({}));
    // While the snapshot is taken.
    enrich.flink.play(Script { snapshots: Snapshots::Hang, ..Script::default() });
    let operator = enrich.start();
    enrich.want(3);
    enrich.space.until("scalerecords", "enrich", "a snapshot", |_| enrich.snapshots().len() == 1);
    operator.kill();
    let operator = enrich.start();
    enrich.flink.play(Script::default());
    enrich.until_running(3);
    assert_eq!(enrich.until_ended("ScaleDown", "Done"), 0);
    assert_eq!((enrich.snapshots().len(), enrich.writes(&operator).len()), (1, 1));

    // While the operator upgrades: the replicas are written.
    enrich.flink.play(Script { takes: Duration::from_secs(5), ..Script::default() });
    enrich.want(2);
    enrich.space.until("flinkdeployments", "enrich", "an upgrade", |object| {
        object["status"]["reconciliationStatus"]["state"] == "UPGRADING"
    });
    operator.kill();
    let operator = enrich.start();
    enrich.until_running(2);
    assert_eq!(enrich.until_ended("ScaleDown", "Done"), 0);
    assert_eq!((enrich.snapshots().len(), enrich.writes(&operator).len()), (2, 2));

    // While the job is suspended, and while it comes back.
    enrich.want(0);
    enrich.space.until("flinkdeployments", "enrich", "a job that is stopped", |object| {
        object["spec"]["job"]["state"] == "suspended"
    });
    operator.kill();
    let operator = enrich.start();
    assert_eq!(enrich.until_ended("ToZero", "Done"), 0);
    enrich.want(4);
    enrich.space.until("flinkdeployments", "enrich", "a job that comes back", |object| {
        object["spec"]["job"]["state"] == "running"
    });
    operator.kill();
    let operator = enrich.start();
    enrich.until_running(4);
    assert_eq!(enrich.until_ended("FromZero", "Done"), 0);

    let restarts = enrich.flink.restarts();
    println!("the job was started with {restarts:?}");
    assert_eq!(restarts.iter().map(|(replicas, _)| *replicas).collect::<Vec<_>>(), [3, 2, 4], "one start a change");
    let young = |origin: &Origin| matches!(origin, Origin::Checkpoint(age) if *age < Duration::from_mins(1));
    assert!(restarts.iter().all(|(_, origin)| young(origin)), "{restarts:?}");
    assert_eq!(enrich.snapshots().len(), 3, "one for each change that stopped a running job");
    assert!(enrich.flink.deeds().iter().all(|(_, deed)| *deed != Deed::Refused));
    enrich.was_permitted(&operator);
}
