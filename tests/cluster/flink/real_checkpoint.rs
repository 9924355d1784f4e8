//! TaskManagers that leave two at a time: without the hook the job starts again from its last checkpoint, however old that is; with it
//! from the one that the hook has just taken.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::fleet::{Fleet, POLICY, RATE};
use super::{trial_with, trial_with_flink};
use crate::cluster::SOON;
use crate::flink::server::{NEWEST, OLDER, Plan};
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_flink("flink::checkpoint::only_the_hook_saves_what_was_done_since_the_last_checkpoint", heap),
        trial_with_flink("flink::checkpoint::incremental_checkpoints_of_rocksdb_protect_as_well", rocksdb),
        trial_with_flink("flink::checkpoint::growth_does_not_wait_an_hour_for_a_scheduler_that_rests", rests),
        trial_with("flink::checkpoint::an_older_flink_is_lowered_from_the_hooks_checkpoint", OLDER, older),
    ]
}

/// The annotation by which Kubernetes chooses the pods that leave.
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// How old the job's last checkpoint is when TaskManagers leave.
pub(super) const OLD: Duration = Duration::from_secs(20);

/// Flink's `submission.resource-stabilization-timeout` in these scenarios: TaskManagers that leave within it cost one restart.
const STABILIZATION: Duration = Duration::from_secs(1);

/// What a removal of two TaskManagers of three has cost.
#[derive(Debug)]
pub(super) struct Removal {
    /// What the job was restored from.
    pub(super) restored: u64,
    /// How often it was restored.
    pub(super) restarts: u64,
    /// How far apart, at most, the JobManager saw them leave.
    apart: Duration,
    /// Records that came by once more.
    pub(super) replayed: u64,
}

/// The hook of these scenarios. On a busy machine each of two TaskManagers that leave may cost a restart.
pub(super) fn hook(fleet: &Fleet) -> Value {
    json!({
        "restUrl": fleet.flink.url(), "strategy": "Auto", "checkpoint": {"maxAge": "15s"},
        "verify": {"timeout": "2m", "maxRestarts": 2},
    })
}

/// Three TaskManagers with an operator, and a job of this parallelism that takes a checkpoint once an hour, so what is seen is the hook's.
fn fleet(purpose: &str, version: &'static str, parallelism: u32, configuration: &Value) -> (Fleet, String) {
    let plan = Plan::new(version).with("execution.checkpointing.interval", "1 h");
    let mut fleet = Fleet::start(purpose, &plan, 3);
    let job = fleet.submit(parallelism, configuration);
    fleet.scale_by_number(None, 1, 3);
    fleet.start_operator();
    (fleet, job)
}

fn heap() {
    let (fleet, job) = fleet("heap", NEWEST, 6, &json!({}));
    let first = fleet.checkpoint(&job);
    std::thread::sleep(OLD);
    let without = removed(&fleet, &job);
    println!("without the hook: {without:?}, last checkpoint {first}");
    assert_eq!(without.restored, first, "the last one");

    fleet.policy(&hook(&fleet));
    fleet.scale_by_number(Some(POLICY), 1, 3);
    raised(&fleet, &job);
    // Three intervals of an hour must pass after that; another object knows nothing of it.
    fleet.scale_by_nothing();
    let with = protected(&fleet, &job);

    // 20 s of records, and what came until the TaskManagers left; with the hook only the latter.
    let old = u64::from(RATE) * OLD.as_secs();
    assert!(without.replayed > old / 2, "{without:?}");
    assert!(with.replayed < old / 2 && with.replayed < without.replayed / 2, "{with:?} {without:?}");
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}

fn rocksdb() {
    // The little memory that these TaskManagers manage is not enough for it.
    let configuration = json!({
        "state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true",
        "state.backend.rocksdb.memory.managed": "false",
    });
    // One slot of six is free: its TaskManager is the one to leave first.
    let (fleet, job) = fleet("rocksdb", NEWEST, 5, &configuration);
    let free = free(&fleet);
    let settings = fleet.flink.get(&format!("/jobs/{job}/checkpoints/config"));
    assert!(settings["state_backend"].as_str().unwrap().contains("RocksDB"), "{settings}");
    // The hook's checkpoint rests on this one.
    fleet.checkpoint(&job);
    let marked = std::thread::scope(|scope| {
        let marked = scope.spawn(|| marked(&fleet));
        protected(&fleet, &job);
        marked.join().unwrap()
    });
    assert!(marked.len() == 2 && marked.contains(&free), "two were told to leave, {free} among them: {marked:?}");
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}

/// Flink's scheduler rests for a while after the job has begun, as it does for 30 s by default, and passes over a checkpoint meanwhile. Here it is
/// longer, so that it lasts until the new TaskManager has come on a busy machine.
fn rests() {
    let plan = Plan::new(NEWEST).with("execution.checkpointing.interval", "1 h");
    let plan = plan.with("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "75 s");
    let mut fleet = Fleet::start("rests", &plan, 1);
    let job = fleet.submit(2, &json!({}));
    fleet.policy(&hook(&fleet));
    fleet.scale_by_number(Some(POLICY), 1, 2);
    fleet.start_operator();
    fleet.want(2);
    let ended = fleet.operations.ended(1);
    println!("raised: {:.1?}", ended.phases());
    let state = ended.last();
    assert_eq!((ended.phase.as_str(), state["direction"].as_str()), ("Done", Some("ScaleUp")), "{state:#}");
    assert!(state["jobs"][0]["release"]["attempt"].as_u64() > Some(1), "one was not enough: {state:#}");
    assert_eq!(fleet.parallelism(&job), [4, 4]);
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}

fn older() {
    let (fleet, job) = fleet("older", OLDER, 6, &json!({}));
    fleet.checkpoint(&job);
    protected(&fleet, &job);
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}

/// The TaskManager with a free slot.
fn free(fleet: &Fleet) -> String {
    let all = fleet.flink.get("/taskmanagers")["taskmanagers"].clone();
    let free: Vec<_> = all.as_array().unwrap().iter().filter(|one| one["freeSlots"] != 0).collect();
    assert_eq!((free.len(), &free[0]["freeSlots"]), (1, &json!(1)), "{all:#}");
    free[0]["id"].as_str().unwrap().to_owned()
}

/// Waits until pods were told to leave first: which.
fn marked(fleet: &Fleet) -> Vec<String> {
    eventually(SOON, "pods that are to leave first", || {
        let pods = fleet.space.list("pods");
        let leaves =
            |pod: &&Value| pod["metadata"]["annotations"][COST].as_str().is_some_and(|cost| cost.starts_with('-'));
        let names = pods.iter().filter(leaves).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
        let names: Vec<String> = names.collect();
        (names.len() == 2).then_some(names)
    })
}

/// Two TaskManagers of three leave: the job runs on the slots of one.
fn removed(fleet: &Fleet, job: &str) -> Removal {
    let (counts, replayed) = (fleet.checkpoints(job)["counts"].clone(), fleet.records().replayed());
    fleet.want(1);
    let apart = apart(fleet);
    fleet.until_size(1);
    fleet.until_parallelism(job, 2);
    let seen = fleet.flink.eventually("a job that says what it was restored from", || {
        let seen = fleet.checkpoints(job);
        (seen["counts"]["restored"].as_u64() > counts["restored"].as_u64()).then_some(seen)
    });
    Removal {
        restored: seen["latest"]["restored"]["id"].as_u64().unwrap(),
        restarts: seen["counts"]["restored"].as_u64().unwrap() - counts["restored"].as_u64().unwrap(),
        apart,
        replayed: fleet.records().replayed() - replayed,
    }
}

/// Waits until one TaskManager of three is left: how far apart, at most, the JobManager saw the others leave. That is the time from the
/// last question to which it answered three.
fn apart(fleet: &Fleet) -> Duration {
    let mut three = Instant::now();
    eventually(SOON, "one TaskManager that is left", || {
        let asked = Instant::now();
        let count = fleet.flink.try_get("/taskmanagers").ok()?["taskmanagers"].as_array()?.len();
        if count == 3 {
            three = asked;
        }
        (count <= 1).then(|| three.elapsed())
    })
}

/// Two TaskManagers come: the job uses them at once, though its next checkpoint by itself would come in an hour.
fn raised(fleet: &Fleet, job: &str) {
    let counts = fleet.checkpoints(job)["counts"].clone();
    fleet.want(3);
    let ended = fleet.operations.ended(1);
    println!("raised: {:.1?}", ended.phases());
    let state = ended.last();
    assert_eq!((ended.phase.as_str(), state["strategy"].as_str()), ("Done", Some("Checkpoint")), "{state:#}");
    assert_eq!(fleet.parallelism(job), [6, 6]);
    let restarts =
        fleet.checkpoints(job)["counts"]["restored"].as_u64().unwrap() - counts["restored"].as_u64().unwrap();
    assert_eq!(restarts, 1, "one restart\n{}", rescales(fleet, job));
}

/// The same with the hook.
fn protected(fleet: &Fleet, job: &str) -> Removal {
    fleet.policy(&hook(fleet));
    fleet.scale_by_number(Some(POLICY), 1, 3);
    // No checkpoint is young enough to serve as the hook's.
    std::thread::sleep(OLD);
    let newest = fleet.checkpoints(job)["latest"]["completed"]["id"].as_u64().unwrap();
    let with = removed(fleet, job);
    let ended = fleet.operations.ended(1);
    println!("with the hook: {with:?}; {:.1?}", ended.phases());
    let state = ended.last();
    assert_eq!((ended.phase.as_str(), state["strategy"].as_str()), ("Done", Some("Checkpoint")), "{state:#}");
    let hook = ended.checkpoint();
    assert!(hook > newest, "{hook} was taken by the operation, {newest} before");
    assert_eq!(with.restored, hook, "exactly the hook's checkpoint");
    let most = if with.apart <= STABILIZATION { 1 } else { 2 };
    assert!((1..=most).contains(&with.restarts), "at most {most}: {with:?}\n{}", rescales(fleet, job));
    let seen = fleet.checkpoints(job);
    assert_eq!(seen["latest"]["restored"]["is_savepoint"], false, "{seen}");
    assert!(seen["latest"]["completed"]["id"].as_u64() > Some(hook), "and a new one is complete: {seen}");
    let asked = fleet.flink.get(&format!("/jobs/{job}/resource-requirements"));
    let bounds = asked.as_object().unwrap().values().map(|vertex| vertex["parallelism"]["upperBound"].as_u64());
    assert!(bounds.into_iter().all(|bound| bound == Some(2)), "{asked}");
    with
}

/// The rescales of a job, as Flink remembers them.
fn rescales(fleet: &Fleet, job: &str) -> String {
    fleet.flink.try_get(&format!("/jobs/{job}/rescales/history")).map_or_else(|error| error, |all| format!("{all:#}"))
}
