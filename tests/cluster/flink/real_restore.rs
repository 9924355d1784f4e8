//! Jobs of the default scheduler, which cannot change their size: each is stopped with a savepoint and run again from it, once.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::fleet::{Fleet, JOB, NAME, POLICY};
use super::real_operations::Ended;
use super::real_proxy::Proxy;
use super::trial_with_flink;
use crate::cluster::SOON;
use crate::flink::server::{NEWEST, Plan};
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_flink("flink::restore::a_job_is_stopped_and_run_again_once_also_to_zero_and_back", there_and_back),
        trial_with_flink("flink::restore::nothing_is_stopped_for_a_run_that_would_fail", refused),
    ]
}

/// The annotation that names the savepoint of a stopped job.
const ANNOTATION: &str = "tidegate.dev/flink-savepoint";

/// A cluster with the default scheduler and this many TaskManagers, all of them in use.
pub(super) fn fleet(purpose: &str, task_managers: u32) -> (Fleet, String) {
    let plan =
        Plan::new(NEWEST).with("jobmanager.scheduler", "default").with("execution.checkpointing.interval", "3 s");
    let fleet = Fleet::start(purpose, &plan, task_managers);
    let job = fleet.submit(2 * task_managers, &json!({}));
    (fleet, job)
}

/// The hook of these scenarios, which says how the job is run; `more` are further arguments of the job.
pub(super) fn hook(fleet: &Fleet, url: &str, more: &[&str]) -> Value {
    let arguments: Vec<String> =
        fleet.arguments().into_iter().chain(more.iter().map(|&text| text.to_owned())).collect();
    json!({
        "restUrl": url, "strategy": "Auto", "verify": {"timeout": "2m", "maxRestarts": 1},
        "jobs": {"list": [{
            "name": JOB,
            "run": {"jar": {"name": "records.jar"}, "entryClass": "RecordsJob", "programArgs": arguments},
        }]},
        "savepoint": {"directory": format!("file://{}/hooks", fleet.flink.path("savepoints").display())},
    })
}

fn there_and_back() {
    let (mut fleet, first) = fleet("restore", 1);
    let proxy = Proxy::before(&fleet.flink.url());
    fleet.policy(&hook(&fleet, proxy.url(), &[]));
    fleet.scale_by_number(Some(POLICY), 0, 3);
    let asked = fleet.space.watch(NAME);
    fleet.start_operator();

    fleet.want(2);
    let second = run_again(&fleet, &fleet.operations.ended(1), &first, 4);

    // The answer to the run is lost on its way: the job is found by the id that was stored before.
    proxy.lose_a_run();
    fleet.want(1);
    let third = run_again(&fleet, &fleet.operations.ended(2), &second, 2);
    assert_eq!((proxy.lost(), proxy.runs()), (1, 2), "one run for each change, also where the answer was lost");

    fleet.want(0);
    let ended = fleet.operations.ended(3);
    println!("to zero: {:.1?}", ended.phases());
    assert_eq!((ended.phase.as_str(), fleet.space.replicas(NAME)), ("Done", Some(0)), "{:#}", ended.last());
    assert_eq!((fleet.live().len(), status(&fleet, &third).as_str()), (0, "FINISHED"));
    fleet.until_size(0);
    let path = ended.last()["jobs"][0]["path"].as_str().unwrap().to_owned();
    eventually(SOON, "the annotation that names the savepoint", || annotation(&fleet)?.contains(&path).then_some(()));

    fleet.want(1);
    let fourth = run_again(&fleet, &fleet.operations.ended(4), &third, 2);
    assert_eq!(fleet.checkpoints(&fourth)["latest"]["savepoint"], Value::Null, "it has taken none itself");
    let restored = fleet.checkpoints(&fourth)["latest"]["restored"].clone();
    assert_eq!(restored["external_path"].as_str(), Some(path.as_str()), "from the path that was kept: {restored}");
    assert_eq!(asked.counts(), [1, 2, 1, 0, 1]);
    assert_eq!(proxy.runs(), 3, "to zero nothing is run\n{}", fleet.log());
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&fourth));
}

/// The job `before` was stopped, and runs again from its savepoint: under which id. Nothing else runs.
pub(super) fn run_again(fleet: &Fleet, ended: &Ended, before: &str, parallelism: u64) -> String {
    let state = ended.last();
    println!("{} {} -> {}: {:.1?}", state["direction"], state["from"], state["to"], ended.phases());
    assert_eq!((ended.phase.as_str(), state["strategy"].as_str()), ("Done", Some("StopRestore")), "{state:#}");
    let again = state["jobs"][0]["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(fleet.live(), [again.as_str()], "one job, under the id that was stored: {state:#}");
    assert_ne!(again, before);
    assert_eq!(status(fleet, before), "FINISHED");
    let restored = fleet.checkpoints(&again)["latest"]["restored"].clone();
    assert_eq!(restored["external_path"], state["jobs"][0]["path"], "{restored}");
    assert_eq!(restored["is_savepoint"], true, "{restored}");
    assert_eq!(fleet.parallelism(&again), [parallelism, parallelism]);
    eventually(SOON, "no annotation while the job runs", || annotation(fleet).is_none().then_some(()));
    again
}

pub(super) fn status(fleet: &Fleet, job: &str) -> String {
    fleet.flink.get(&format!("/jobs/{job}/status"))["status"].as_str().unwrap_or_default().to_owned()
}

fn annotation(fleet: &Fleet) -> Option<String> {
    let target = fleet.space.get("deployments", NAME)?;
    target["metadata"]["annotations"][ANNOTATION].as_str().map(str::to_owned)
}

fn refused() {
    let (mut fleet, job) = fleet("refused", 2);
    let proxy = Proxy::before(&fleet.flink.url());
    // It is to run with a parallelism that no job can have.
    fleet.policy(&hook(&fleet, proxy.url(), &["--par", "0"]));
    fleet.scale_by_number(Some(POLICY), 1, 3);
    fleet.start_operator();
    fleet.want(1);
    let invalid = fleet.operations.until("a plan that fails", |stored| stored.condition("RunPlanInvalid").is_some());
    println!("RunPlanInvalid: {}", invalid.condition("RunPlanInvalid").unwrap());
    untouched(&fleet, &job, &proxy);

    // The policy says it rightly, which alone helps, and at once; but somebody has deleted the jar.
    for jar in fleet.flink.get("/jars")["files"].as_array().unwrap() {
        let (code, answer) = fleet.flink.send("DELETE", &format!("/jars/{}", jar["id"].as_str().unwrap()), &json!({}));
        assert_eq!(code, 200, "{answer}");
    }
    fleet.policy(&hook(&fleet, proxy.url(), &[]));
    let missing = fleet.operations.until("a jar that is missed", |stored| stored.condition("JarMissing").is_some());
    println!("JarMissing: {}", missing.condition("JarMissing").unwrap());
    untouched(&fleet, &job, &proxy);

    // The jar is there again: that is seen without anybody's help.
    fleet.flink.upload();
    let begun = fleet.operations.until("a job that is stopped", |stored| stored.operation["jobs"][0]["ended"] == true);
    let sequence = begun.aftermath["sequence"].as_u64().unwrap();
    let again = run_again(&fleet, &fleet.operations.ended(sequence), &job, 2);
    assert_eq!(proxy.runs(), 1, "{}", fleet.log());
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&again));
}

/// The job runs as before, nobody has stopped it, and no TaskManager was removed.
fn untouched(fleet: &Fleet, job: &str, proxy: &Proxy) {
    assert_eq!(fleet.live(), [job], "{}", fleet.log());
    assert_eq!((status(fleet, job).as_str(), fleet.parallelism(job)), ("RUNNING", vec![4, 4]));
    assert_eq!((proxy.stops(), proxy.runs(), fleet.space.replicas(NAME)), (0, 0, Some(2)));
}
