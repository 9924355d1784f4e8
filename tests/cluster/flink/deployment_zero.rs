//! A FlinkDeployment rests at zero: its job is suspended with its state, and wakes from it.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::space::conditions;
use super::super::trial;
use super::deployment::{Enrich, Setup};
use super::operator::{Deed, Origin};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::deployment::zero_suspends_the_job_and_the_next_work_resumes_it", zero),
        trial("flink::deployment::what_a_person_has_suspended_stays_suspended", by_hand),
    ]
}

fn zero() {
    let enrich = Enrich::new("zero", &Setup { min: 0, ..Setup::default() }, &json!({}));
    let operator = enrich.start();
    enrich.want(0);
    until_suspended(&enrich);
    assert_eq!(enrich.until_ended("ToZero", "Done"), 0);
    enrich.space.until_condition("enrich", "Active", "False");
    let resting = enrich.space.until("scalerecords", "enrich", "a record of zero", |record| {
        record["status"]["replicas"] == 0 && record["status"]["lastChange"]["to"] == 0
    });
    println!("the last change was {}", resting["status"]["lastChange"]);
    // The operator refuses a number below one, and the job would go on.
    assert_eq!(enrich.asked(), 2, "{:#}", enrich.deployment()["spec"]);
    enrich.untouched(Duration::from_secs(10));
    let deeds = enrich.flink.deeds();
    let count = |what: &Deed| deeds.iter().filter(|(_, deed)| deed == what).count();
    assert_eq!((count(&Deed::Stopped), count(&Deed::Suspended), count(&Deed::Refused)), (1, 1, 0), "{deeds:#?}");

    // What a write of the state rests on: the API server takes no patch that names an older version.
    let stale = r#"{"metadata": {"resourceVersion": "1"}, "spec": {"job": {"state": "running"}}}"#;
    let patch = ["patch", "flinkdeployment", "enrich", "-n", enrich.space.name(), "--type", "merge", "-p", stale];
    let answer = enrich.space.plane().kubectl(&patch, "");
    let refusal = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(!answer.status.success() && refusal.contains("the object has been modified"), "{refusal}");

    enrich.want(3);
    enrich.until_running(3);
    assert_eq!(enrich.until_ended("FromZero", "Done"), 0);
    let [(3, Origin::Checkpoint(age))] = enrich.flink.restarts()[..] else { panic!("{:?}", enrich.flink.restarts()) };
    println!("back with 3: the job started from a checkpoint that had been {age:?} old when it was stopped");
    assert!(age < Duration::from_secs(30), "{age:?}");
    assert_eq!(enrich.snapshots().len(), 1, "none is needed on the way back");
    enrich.want(2);
    enrich.until_running(2);
    enrich.was_permitted(&operator);
}

/// Somebody works on the job. It is for him to resume it.
fn by_hand() {
    let enrich =
        Enrich::new("byhand", &Setup { min: 0, ..Setup::default() }, &json!({"flink": {"verify": {"timeout": "5s"}}}));
    let suspend = |state: &str| json!({"spec": {"job": {"state": state}}});
    enrich.space.merge("flinkdeployments", "enrich", &suspend("suspended"));
    until_suspended(&enrich);
    let operator = enrich.start();
    enrich.until_said("Held", "spec.job.state of FlinkDeployment");
    let ready = enrich.space.until_condition("enrich", "Ready", "False");
    assert!(conditions(&ready).any(|one| one["type"] == "Ready" && one["reason"] == "JobSuspended"), "{ready:#}");
    enrich.want(4);
    enrich.untouched(Duration::from_secs(8));
    enrich.space.merge("flinkdeployments", "enrich", &suspend("running"));
    enrich.until_running(4);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    enrich.was_permitted(&operator);
}

fn until_suspended(enrich: &Enrich) -> Value {
    enrich.space.until("flinkdeployments", "enrich", "a job that rests", |object| {
        object["spec"]["job"]["state"] == "suspended" && object["status"]["lifecycleState"] == "SUSPENDED"
    })
}
