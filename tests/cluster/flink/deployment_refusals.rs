//! What is refused of a FlinkDeployment, or of what belongs to one, and what its user can do about it.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::super::hooks_server::{Answer, Server};
use super::super::objects::Deployment;
use super::super::space::conditions;
use super::super::trial;
use super::deployment::{Enrich, Setup};
use super::operator::Origin;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::deployment::what_loses_state_is_refused_until_its_user_accepts_that", stateless),
        trial("flink::deployment::flinks_own_autoscaler_is_not_fought", foreign_autoscaler),
        trial("flink::deployment::what_the_operator_owns_is_scaled_by_its_flinkdeployment_alone", owned),
        trial("flink::deployment::one_that_names_no_number_of_task_managers_says_so", no_number),
    ]
}

/// The upgrade mode that the definition falls back to throws the state away.
fn stateless() {
    let enrich = Enrich::new("stateless", &Setup { upgrade_mode: "stateless", ..Setup::default() }, &json!({}));
    let operator = enrich.start();
    enrich.want(4);
    enrich.until_said("StatelessUpgrade", "flinkDeployment.allowStateless: true");
    enrich.until_event("OperationAborted");
    enrich.untouched(Duration::from_secs(5));
    assert_eq!(enrich.writes(&operator).len(), 0);
    enrich.hook(&json!({"flink": {"flinkDeployment": {"allowStateless": true}}}));
    enrich.until_running(4);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    enrich.until_unsaid("StatelessUpgrade");
    assert_eq!(enrich.flink.restarts(), [(4, Origin::Empty)], "its user wants that");
    assert_eq!(enrich.snapshots().len(), 0);
    enrich.was_permitted(&operator);
}

/// Two that write one number would fight. One that only measures is none.
fn foreign_autoscaler() {
    let setup = Setup { configuration: json!({"job.autoscaler.enabled": "true"}), ..Setup::default() };
    let enrich = Enrich::new("autoscaled", &setup, &json!({}));
    let operator = enrich.start();
    enrich.want(4);
    enrich.until_said("ForeignAutoscaler", "job.autoscaler.scaling.enabled: false");
    enrich.untouched(Duration::from_secs(5));
    assert_eq!(enrich.writes(&operator).len(), 0);
    let measures = json!({"spec": {"flinkConfiguration": {"job.autoscaler.scaling.enabled": "false"}}});
    enrich.space.merge("flinkdeployments", "enrich", &measures);
    enrich.until_running(4);
    assert_eq!(enrich.until_ended("ScaleUp", "Done"), 0);
    enrich.until_unsaid("ForeignAutoscaler");
    enrich.was_permitted(&operator);
}

/// The TaskManagers of a FlinkDeployment are a Deployment, too: its owner would undo what is written there.
fn owned() {
    let job_manager = Server::start();
    job_manager.says("/config", &[Answer::Text(r#"{"flink-version": "1.20.0", "features": {"web-submit": false}}"#)]);
    job_manager.says("/jobmanager/config", &[Answer::Text("[]")]);
    job_manager.says("/jobs/overview", &[Answer::Text(r#"{"jobs": []}"#)]);
    job_manager.says("/taskmanagers", &[Answer::Text(r#"{"taskmanagers": []}"#)]);
    let enrich = Enrich::new("owned", &Setup::default(), &json!({"flink": {"restUrl": job_manager.url("")}}));
    enrich.space.deploy(&Deployment { name: "enrich-taskmanager", replicas: 2, ..Deployment::default() });
    let labels = json!({"metadata": {"labels": {"type": "flink-standalone-kubernetes", "app": "enrich"}}});
    enrich.space.merge("deployments", "enrich-taskmanager", &labels);
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "enrich-taskmanager"});
    enrich.space.merge("scaledobjects", "enrich", &json!({"spec": {"scaleTargetRef": target}}));
    let operator = enrich.start();
    enrich.want(4);
    enrich.until_said("TargetOwnedByFlinkOperator", "let scaleTargetRef name the FlinkDeployment instead");
    assert_eq!(enrich.space.replicas("enrich-taskmanager"), Some(2));
    // What it says. Object and policy do not fit each other before both are changed, and then more replicas come without a hook.
    let pause = |value: Option<&str>| json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused": value}}});
    enrich.space.merge("scaledobjects", "enrich", &pause(Some("true")));
    enrich.space.until("scalerecords", "enrich", "a pause", |record| record["status"]["mode"] == "Paused");
    let target = json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "name": "enrich"});
    enrich.hook(&json!({}));
    enrich.space.merge("scaledobjects", "enrich", &json!({"spec": {"scaleTargetRef": target}}));
    enrich.space.until("scalerecords", "enrich", "a policy that fits the new target", |record| {
        let invalid = conditions(record).any(|one| one["type"] == "PolicyInvalid");
        record["status"]["target"]["kind"] == "FlinkDeployment" && !invalid
    });
    enrich.space.merge("scaledobjects", "enrich", &pause(None));
    enrich.until_running(4);
    assert_eq!(enrich.space.replicas("enrich-taskmanager"), Some(2));
    enrich.was_permitted(&operator);
}

/// Its parallelism alone decides how many there are, so there is nothing to scale.
fn no_number() {
    let enrich = Enrich::new("nonumber", &Setup::default(), &json!({}));
    enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"taskManager": {"replicas": null}}}));
    let operator = enrich.start();
    enrich.until_said("TargetFailed", "spec.taskManager.replicas");
    enrich.want(3);
    enrich.untouched(Duration::from_secs(5));
    enrich.space.merge("flinkdeployments", "enrich", &json!({"spec": {"taskManager": {"replicas": 2}}}));
    enrich.until_running(3);
    enrich.was_permitted(&operator);
}
