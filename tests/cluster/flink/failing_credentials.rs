//! A JobManager that wants to know who asks: the hook's credentials come from a Secret, and another Secret acts without a restart.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::scripted_job::Manners;
use super::scripted_stage::{Lane, Opening, Scene};
use crate::cluster::space::conditions;
use crate::cluster::{SOON, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("flink::failing::another_secret_acts_without_a_restart", credentials)]
}

/// Two Secrets' worth of passwords.
const FIRST: &str = "open-sesame";
const SECOND: &str = "close-sesame";

fn secret(scene: &Scene<'_>, password: &str) -> Value {
    let data = json!({"authModes": "basic", "username": "tidegate", "password": password});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": scene.name}, "stringData": data})
}

fn change(scene: &Scene<'_>, password: &str) {
    scene.lane.space.merge("secrets", &scene.name, &json!({"stringData": {"password": password}}));
}

fn credentials() {
    let lane = Lane::new("flink-secrets", &["--leader-elect=false"]);
    let operator = lane.operator();
    let user = |password: &str| Some(("tidegate".to_owned(), password.to_owned()));
    // After a change three intervals pass before the next one.
    let manners = Manners { interval: Some(1_000), ..Manners::default() };
    let mut opening = Opening { user: user(FIRST), manners, ..Opening::default() };
    opening.flink["authenticationRef"] = json!({"name": "job-0"});
    opening.item["attempts"] = 1.into();
    opening.item["onFailure"] = json!({"scaleUp": "Abort"});
    let scene = lane.open(&opening);
    assert_eq!(scene.name, "job-0");
    scene.create("secrets", &secret(&scene, FIRST));
    let reference = |key: &str| json!({"parameter": key, "name": scene.name, "key": key});
    let references = ["authModes", "username", "password"].map(reference);
    let authentication = json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": scene.name},
        "spec": {"secretTargetRef": references},
    });
    scene.create("triggerauthentications", &authentication);
    scene.until_at_rest(1);
    scene.guard();
    scene.demand(2);
    assert_eq!(scene.until_ended("ScaleUp", 2), "Done");
    assert_eq!(scene.manager.world().unauthorized, 0);

    // The password is another one on both sides.
    scene.manager.world().user = user(SECOND);
    change(&scene, SECOND);
    scene.demand(3);
    assert_eq!(scene.until_ended("ScaleUp", 3), "Done");

    // Only Flink has another one: nothing is changed, and the record says why.
    scene.manager.world().user = user(FIRST);
    scene.demand(1);
    let told = |record: &Value| {
        conditions(record)
            .find(|one| one["type"] == "JobManagerUnavailable" && one["reason"] == "ScaleDown")
            .map(|one| one["message"].as_str().unwrap_or_default().to_owned())
    };
    let record = scene.until_record(SOON, "who asks is not known", |record| told(record).is_some());
    println!("{}", told(&record).unwrap());
    assert_eq!(lane.space.replicas(&scene.name), Some(3));
    assert!(scene.manager.world().unauthorized > 0);

    // Once the Secret is right, the change is made without anything else.
    change(&scene, FIRST);
    assert_eq!(scene.until_ended("ScaleDown", 1), "Done");
    assert!(scene.violations().is_empty(), "{}", scene.story());
    for password in [FIRST, SECOND] {
        assert!(!operator.log().contains(password), "no password is printed");
    }
    scene.close();
}
