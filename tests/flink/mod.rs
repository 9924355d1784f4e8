//! Operations on a real Flink, without Kubernetes: the pods of the target are the TaskManager processes.
//!
//! [`server`] is the real Flink, [`side`] the world around it, [`course`] sees an operation through as the engine does. What must hold stands
//! here and in [`failing`], and for `tidegate flink` in [`by_hand`].

mod api_server;
mod by_hand;
mod course;
mod failing;
#[path = "../../scalers/tests/flink/cluster.rs"]
pub(crate) mod server;
mod side;

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;
use tidegate_calculator::operation::spec::{
    CheckpointOptions, Flink as FlinkSpec, FlinkEndpoint, HookSpec, Item, Jar, JobSelector, JobSpec, Jobs, RunTemplate,
    SavepointOptions, StrategyChoice, VerifyOptions, Work,
};
use tidegate_calculator::operation::{Phase, Strategy};
use tidegate_calculator::time::Span;

use crate::harness::under_ci;
use course::{Course, Crash};
use server::{Flink, NEWEST, OLDER, Plan};
use side::Side;

/// All scenarios with a real Flink, the longest first.
pub(crate) fn all() -> Vec<Trial> {
    vec![
        trial("an_operation_scales_a_real_flink", NEWEST, an_operation_scales_a_real_flink),
        trial(
            "a_person_looks_snapshots_stops_and_restores",
            NEWEST,
            by_hand::a_person_looks_snapshots_stops_and_restores,
        ),
        trial("nothing_leaves_without_a_snapshot", NEWEST, failing::nothing_leaves_without_a_snapshot),
        trial("an_older_flink_is_lowered_after_a_checkpoint", OLDER, an_older_flink_is_lowered_after_a_checkpoint),
    ]
}

fn trial(name: &'static str, version: &'static str, scenario: fn()) -> Trial {
    Trial::test(format!("flink::{name}"), move || {
        match server::missing(version) {
            None => scenario(),
            Some(missing) if under_ci() => return Err(format!("there is no {missing}").into()),
            Some(missing) => println!("skipped: flink::{name} needs {missing}"),
        }
        Ok(())
    })
}

/// A cluster with one job on all slots of three TaskManagers. It checkpoints once an hour, so what is seen is the operation's.
fn cluster(version: &'static str) -> (Arc<Side>, String) {
    let plan = Plan::new(version).with("execution.checkpointing.interval", "1 h");
    let flink = Flink::start(&plan, 3);
    let job = flink.submit(6, &OPTIONS);
    flink.wait_until_running(&job);
    (Arc::new(Side::new(flink)), job)
}

const OPTIONS: [&str; 6] = ["--name", "enrich", "--rate", "200", "--work", "500"];

/// The hooks of the scenarios.
fn hooks(side: &Side, strategy: StrategyChoice) -> HookSpec {
    let knobs = side.path("knobs").display().to_string();
    let arguments = ["--dir", knobs.as_str()].into_iter().chain(OPTIONS).map(str::to_owned);
    let run = RunTemplate {
        jar: Jar::Name("records.jar".to_owned()),
        entry_class: Some("RecordsJob".to_owned()),
        program_args: arguments.collect(),
        ..RunTemplate::default()
    };
    let select = JobSelector::NamePattern("en.*|other".to_owned());
    let listed = JobSpec { select, run: Some(run), ..JobSpec::default() };
    let flink = FlinkSpec {
        endpoint: Some(FlinkEndpoint::RestUrl(side.url())),
        strategy,
        jobs: Jobs { list: vec![listed], ..Jobs::default() },
        checkpoint: CheckpointOptions { max_age: Span::seconds(15), ..CheckpointOptions::default() },
        savepoint: SavepointOptions {
            directory: Some(format!("file://{}/hooks", side.path("savepoints").display())),
            ..SavepointOptions::default()
        },
        verify: VerifyOptions { timeout: Span::seconds(120), ..VerifyOptions::default() },
        ..FlinkSpec::default()
    };
    let item = Item { name: "state".to_owned(), attempts: 1, work: Work::Flink(Box::new(flink)), ..Item::default() };
    HookSpec { pre_scale: vec![item], post_scale: Vec::new() }
}

/// What the job says of its checkpoints.
fn checkpoints(side: &Side, job: &str) -> Value {
    side.get(&format!("/jobs/{job}/checkpoints"))
}

fn parallelism(side: &Side, job: &str) -> Vec<u64> {
    let detail = side.get(&format!("/jobs/{job}"));
    let vertices = detail["vertices"].as_array().unwrap();
    vertices.iter().map(|vertex| vertex["parallelism"].as_u64().unwrap()).collect()
}

/// Lowers from three TaskManagers to one and says which checkpoint protected it: exactly that one was restored, in one restart.
fn is_lowered_in_place(side: &Arc<Side>, job: &str, crash: Crash) {
    let before = checkpoints(side, job)["counts"]["restored"].as_u64().unwrap();
    let course = Course { to: 1, sequence: 1, spec: hooks(side, StrategyChoice::Checkpoint), crash };
    let operation = course.run(side);
    let state = operation.state();
    assert_eq!((state.phase, state.strategy), (Phase::Done, Some(Strategy::Checkpoint)), "{state:?}");
    assert_eq!(side.writes(), [1], "one write");
    let hook = state.jobs[0].checkpoint.taken.as_ref().unwrap().id.unwrap();
    let seen = checkpoints(side, job);
    assert_eq!(seen["latest"]["restored"]["id"], hook, "exactly the operation's checkpoint: {seen}");
    assert_eq!(seen["latest"]["restored"]["is_savepoint"], false);
    assert_eq!(seen["counts"]["restored"], before + 1, "one restart");
    // One TaskManager has two slots.
    assert_eq!((side.running(), parallelism(side, job)), (1, vec![2, 2]));
    let asked = side.get(&format!("/jobs/{job}/resource-requirements"));
    let bounds = asked.as_object().unwrap().values().map(|vertex| vertex["parallelism"]["upperBound"].as_u64());
    assert!(bounds.eq([Some(2), Some(2)]), "{asked}");
}

fn an_operation_scales_a_real_flink() {
    let (side, job) = cluster(NEWEST);
    is_lowered_in_place(&side, &job, Crash::Always);
    let again = is_raised_by_stop_and_run(&side, &job);
    is_left_alone_when_its_snapshot_fails(&side, &again);
}

/// The job is stopped with a savepoint and runs again from it, on three TaskManagers. Gives the new job's id.
fn is_raised_by_stop_and_run(side: &Arc<Side>, job: &str) -> String {
    let spec = hooks(side, StrategyChoice::StopRestore);
    let operation = Course { to: 3, sequence: 2, spec, crash: Crash::Always }.run(side);
    let state = operation.state();
    assert_eq!((state.phase, state.strategy), (Phase::Done, Some(Strategy::StopRestore)), "{state:?}");
    let met = &state.jobs[0];
    let again = met.run.as_ref().unwrap().id.clone();
    assert_ne!(again, job);
    assert_eq!(side.get(&format!("/jobs/{job}/status"))["status"], "FINISHED");
    let path = met.path.clone().unwrap();
    assert!(path.contains(&format!("/savepoints/hooks/{}/savepoint-", state.id.0)), "{path}");
    let restored = checkpoints(side, &again)["latest"]["restored"].clone();
    assert_eq!((&restored["external_path"], &restored["is_savepoint"]), (&path.into(), &true.into()), "{restored}");
    // Declared with 2 on 2 slots, and now there are 6.
    assert_eq!((side.running(), parallelism(side, &again)), (3, vec![6, 6]));
    let all = side.get("/jobs/overview");
    let live = all["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "RUNNING").count();
    assert_eq!(live, 1, "it was run once: {all}");
    assert!(side.annotations().iter().any(|value| value.contains("savepoint-")), "{:?}", side.annotations());
    assert_eq!(side.annotations().last().map(String::as_str), Some(""), "and it is taken away once the job runs");
    again
}

/// A checkpoint that takes longer than its 20 s leaves replicas and TaskManagers as they are.
fn is_left_alone_when_its_snapshot_fails(side: &Arc<Side>, job: &str) {
    // No younger one may serve instead.
    std::thread::sleep(Duration::from_secs(16));
    let (written, restored) = (side.writes().len(), checkpoints(side, job)["counts"]["restored"].clone());
    side.knob("slow-ckpt", "25000");
    let spec = hooks(side, StrategyChoice::Checkpoint);
    let operation = Course { to: 1, sequence: 3, spec, crash: Crash::Never }.run(side);
    side.release("slow-ckpt");
    let state = operation.state();
    assert_eq!(state.phase, Phase::Aborted, "{state:?}");
    assert_eq!(state.cause.as_ref().map(|cause| cause.reason.reason()), Some("SnapshotFailed"));
    assert_eq!((side.writes().len(), side.running()), (written, 3));
    assert_eq!(parallelism(side, job), [6, 6]);
    assert_eq!(checkpoints(side, job)["counts"]["restored"], restored, "nothing restarted");
}

fn an_older_flink_is_lowered_after_a_checkpoint() {
    let (side, job) = cluster(OLDER);
    is_lowered_in_place(&side, &job, Crash::Never);
}
