//! `tidegate flink snapshot` of a FlinkDeployment: the Flink Kubernetes Operator takes the checkpoint, and a person hears what became of it.

use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::trial;
use super::deployment::{Enrich, Setup};
use super::operator::{Script, Snapshots};
use crate::harness::tidegate::{command, printed};

/// What ids are made of.
const ID: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("flink::deployment::a_person_lets_the_operator_take_a_checkpoint", snapshot)]
}

impl Enrich {
    /// What `tidegate flink snapshot` prints, what it says of errors, and its exit code.
    fn flink(&self, verb: &str, more: &[&str]) -> (String, String, Option<i32>) {
        let kubeconfig = self.account.kubeconfig().display().to_string();
        let name = format!("{}/enrich", self.space.name());
        let mut command = command(&["flink", verb, "--kubeconfig", &kubeconfig, "--cluster", &name]);
        let (text, errors, code) = printed(&command.args(more).output().unwrap());
        println!("flink {verb} {more:?} -> {code:?}\n{text}{errors}");
        (text, errors, code)
    }
}

fn snapshot() {
    let enrich = Enrich::new("snapshot", &Setup::default(), &json!({}));
    is_taken_once(&enrich);
    what_makes_no_sense_is_refused(&enrich);
    what_fails_is_said(&enrich);
    a_job_that_rests_has_none(&enrich);
}

fn is_taken_once(enrich: &Enrich) {
    let target = "FlinkDeployment/enrich";
    let (text, errors, code) = enrich.flink("snapshot", &["--id", ID]);
    assert_eq!(code, Some(0), "{errors}");
    let names = enrich.snapshots();
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let line =
        format!("OK      {target}  -  checkpoint at s3://flink/checkpoints/{name}  (FlinkStateSnapshot {name})\n");
    assert_eq!(text, line);
    assert!(errors.contains(&format!("id {ID};")), "{errors}");
    let of = json!({"kind": "FlinkDeployment", "name": "enrich"});
    let made = enrich.space.get("flinkstatesnapshots", name).unwrap();
    assert_eq!(made["spec"], json!({"backoffLimit": 2, "jobReference": of, "checkpoint": {}}));
    assert_eq!(enrich.flink("snapshot", &["--id", ID]).0, line, "the same one is found");
    let (text, errors, code) = enrich.flink("snapshot", &["-o", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let one = &report["snapshots"][0];
    assert_eq!((&one["job"], &one["kind"], &one["completed"]), (&json!(target), &json!("checkpoint"), &json!(true)));
    assert_eq!(enrich.snapshots().len(), 2, "another id is another one");
    let (text, _, code) = enrich.flink("status", &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("FlinkDeployment"), "{text}");
}

fn what_makes_no_sense_is_refused(enrich: &Enrich) {
    let before = enrich.snapshots().len();
    for more in [["--savepoint", "-ojson"], ["--job", "enrich"]] {
        let (_, errors, code) = enrich.flink("snapshot", &more);
        assert!(code == Some(2) && errors.contains("is not possible for a FlinkDeployment"), "{code:?} {errors}");
        assert!(errors.contains(more[0]), "{errors}");
    }
    assert_eq!(enrich.snapshots().len(), before);
}

fn what_fails_is_said(enrich: &Enrich) {
    for (how, words) in [
        (Snapshots::Fail, "the FlinkStateSnapshot failed: the checkpoint expired before it was complete"),
        (Snapshots::Abandon, "the operator has given the FlinkStateSnapshot up"),
    ] {
        enrich.flink.play(Script { snapshots: how, ..Script::default() });
        let (text, _, code) = enrich.flink("snapshot", &[]);
        assert!(code == Some(1) && text.starts_with("FAILED") && text.contains(words), "{code:?} {text}");
    }
    // Somebody deletes it while it is waited for.
    enrich.flink.play(Script { snapshots: Snapshots::Hang, ..Script::default() });
    let before = enrich.snapshots();
    thread::scope(|scope| {
        let waits = scope.spawn(|| enrich.flink("snapshot", &[]));
        let name = crate::harness::wait::eventually(super::super::SOON, "a snapshot under way", || {
            enrich.snapshots().into_iter().find(|name| !before.contains(name))
        });
        thread::sleep(Duration::from_secs(2));
        enrich.space.delete("flinkstatesnapshots", &name);
        let (text, _, code) = waits.join().unwrap();
        assert!(code == Some(1) && text.contains("is gone"), "{code:?} {text}");
    });
    enrich.flink.play(Script::default());
}

/// Nothing is made for a job of which the operator could take no snapshot.
fn a_job_that_rests_has_none(enrich: &Enrich) {
    enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"job": {"state": "suspended"}}}));
    enrich.space.until("flinkdeployments", "enrich", "a suspended job", |object| {
        object["status"]["lifecycleState"] == "SUSPENDED"
    });
    let before = enrich.snapshots().len();
    let (text, errors, code) = enrich.flink("snapshot", &[]);
    assert!(code == Some(1) && text.is_empty() && errors.contains("spec.job.state"), "{code:?} {text}{errors}");
    assert_eq!(enrich.snapshots().len(), before);
    let (text, errors, code) = enrich.flink("snapshot", &["--id", ID]);
    assert!(code == Some(0) && text.starts_with("OK"), "one that was taken before is found: {text}{errors}");
}
