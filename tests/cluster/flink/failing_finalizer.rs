//! Objects that are deleted while an operation needs them: they stay until it has ended and every job runs, or until somebody lets them go.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::scripted_job::Manners;
use super::scripted_stage::{Lane, Opening, Scene};
use crate::cluster::space::conditions;
use crate::cluster::{SOON, trial};
use crate::harness::wait::eventually;

/// What keeps an object.
const FINALIZER: &str = "tidegate.dev/finalizer";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("flink::failing::an_object_stays_while_its_operation_or_a_stopped_job_needs_it", stays)]
}

fn stays() {
    let lane = Lane::new("flink-deleted", &["--leader-elect=false"]);
    let _operator = lane.operator();
    std::thread::scope(|scope| {
        for plot in [until_the_end, until_abandoned, until_the_target_is_gone, without_a_need] {
            let lane = &lane;
            scope.spawn(move || plot(lane));
        }
    });
}

fn object(scene: &Scene<'_>) -> Option<Value> {
    scene.lane.space.get("scaledobjects", &scene.name)
}

fn until_gone(scene: &Scene<'_>, what: &str) {
    eventually(SOON, &format!("{}: gone {what}; {:#}", scene.name, json!(object(scene))), || {
        object(scene).is_none().then_some(())
    });
}

/// Deletes it, and waits until the record says why it stays.
fn delete_and_stay(scene: &Scene<'_>) {
    scene.lane.space.delete("scaledobjects", &scene.name);
    let object = object(scene).expect("it stays");
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(object["metadata"]["finalizers"], json!([FINALIZER]));
    scene.until_record(SOON, "held because it is being deleted", |record| {
        conditions(record).any(|one| one["type"] == "Held" && one["reason"] == "BeingDeleted")
    });
}

/// A restart takes 40 s, of the 90 s that jobs have to be well, and meanwhile the object is deleted: the change comes to its end first.
fn until_the_end(lane: &Lane) {
    let scene = lane.open(&Opening { from: 2, ..Opening::default() });
    scene.until_at_rest(2);
    scene.guard();
    scene.manager.world().manners = Manners { restart: 40_000, ..Manners::default() };
    scene.demand(1);
    lane.space.until_replicas(&scene.name, 1);
    delete_and_stay(&scene);
    until_gone(&scene, "after its operation");
    let world = scene.manager.world();
    // Its last steps were done: the job asks for what it has.
    let [job] = &world.jobs[..] else { panic!("{}", world.story()) };
    assert!(job.upper.values().all(|upper| *upper == 2) && job.parallelism == 2, "{}", world.story());
    assert!(world.violations.is_empty(), "{}", world.story());
}

/// An object at rest at zero, whose job is stopped.
fn at_zero(lane: &Lane) -> Scene<'_> {
    let scene = lane.open(&Opening { from: 2, least: 0, lowers: false, ..Opening::default() });
    scene.until_at_rest(2);
    scene.guard();
    scene.demand(0);
    assert_eq!(scene.until_ended("ToZero", 0), "Done");
    scene
}

fn until_abandoned(lane: &Lane) {
    let scene = at_zero(lane);
    delete_and_stay(&scene);
    // A wish changes nothing any more: it is being deleted.
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert!(object(&scene).is_some(), "it stays as long as its job is stopped");
    let abandon = json!({"metadata": {"annotations": {"tidegate.dev/abandon": "true"}}});
    lane.space.merge("scaledobjects", &scene.name, &abandon);
    until_gone(&scene, "because its user let it go");
    let target = lane.space.get("deployments", &scene.name).unwrap();
    let path = target["metadata"]["annotations"]["tidegate.dev/flink-savepoint"].as_str().unwrap_or_default();
    assert!(path.contains("/savepoint-"), "the path stays at the target: {target:#}");
}

fn until_the_target_is_gone(lane: &Lane) {
    let scene = at_zero(lane);
    delete_and_stay(&scene);
    lane.space.delete("deployments", &scene.name);
    until_gone(&scene, "with its target");
}

/// An object that has no operation goes at once.
fn without_a_need(lane: &Lane) {
    let scene = lane.open(&Opening::default());
    scene.until_at_rest(1);
    scene.demand(2);
    assert_eq!(scene.until_ended("ScaleUp", 2), "Done");
    eventually(SOON, "no finalizer", || object(&scene)?["metadata"]["finalizers"].is_null().then_some(()));
    lane.space.delete("scaledobjects", &scene.name);
    until_gone(&scene, "at once");
}
