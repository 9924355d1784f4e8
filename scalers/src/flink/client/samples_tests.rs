//! Every answer that was recorded from real clusters is read, and some say what they must say.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::checkpoints::{CheckpointConfig, CheckpointStatus, Checkpoints};
use super::cluster::{ApiConfig, Jars, JobManagerConfig, Overview, TaskManager, TaskManagerDetail};
use super::errors::refusal;
use super::jobs::{JobConfig, JobDetail, JobState, JobSummary, Scheduler, TaskState, VertexDetail};
use super::requirements::Requirements;
use super::rescales::{Rescale, RescalesConfig, RescalesOverview, RescalesSummary};
use super::*;

/// One recorded answer a line: of Flink 2.3.0, and of 1.20.5 where the name begins with `older`, `second-120` or `second-app120`.
const SAMPLES: &str = include_str!("../../../tests/flink/samples.jsonl");

struct Sample {
    name: String,
    status: u16,
    path: String,
    body: Value,
}

fn samples() -> Vec<Sample> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let sample = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let status = line["status"].as_u64().unwrap().try_into().unwrap();
        Sample { name: text(&line, "name"), status, path: text(&line, "path"), body: line["body"].clone() }
    };
    SAMPLES.lines().map(sample).collect()
}

/// The body of the sample of this name.
fn read<T: DeserializeOwned>(name: &str) -> T {
    let found = samples().into_iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("no {name}"));
    parsed(&found.body.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text.as_bytes())
}

fn refused(name: &str) -> FlinkError {
    let found = samples().into_iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("no {name}"));
    let plain = ReadError::query(ReadErrorKind::Protocol, "plain");
    refusal("Flink at x", found.status, found.body.to_string().as_bytes(), &plain)
}

#[test]
fn every_recorded_answer_is_read() {
    type Reader = fn(&str) -> Result<(), serde_json::Error>;
    fn as_a<T: DeserializeOwned>(text: &str) -> Result<(), serde_json::Error> {
        parsed::<T>(text).map(|_| ())
    }
    let readers: [(&str, Reader); 16] = [
        ("/overview", as_a::<Overview>),
        ("/config", as_a::<ApiConfig>),
        ("/jobs/overview", as_a::<BTreeMap<String, Vec<JobSummary>>>),
        ("/jobs/ID", as_a::<JobDetail>),
        ("/jobs/ID/status", as_a::<BTreeMap<String, JobState>>),
        ("/jobs/ID/config", as_a::<JobConfig>),
        ("/jobs/ID/checkpoints", as_a::<Checkpoints>),
        ("/jobs/ID/checkpoints/config", as_a::<CheckpointConfig>),
        ("/jobs/ID/resource-requirements", as_a::<Requirements>),
        ("/jobs/ID/vertices/ID", as_a::<VertexDetail>),
        ("/jobs/ID/rescales/history", as_a::<Vec<Rescale>>),
        ("/jobs/ID/rescales/overview", as_a::<RescalesOverview>),
        ("/jobs/ID/rescales/summary", as_a::<RescalesSummary>),
        ("/jobs/ID/rescales/config", as_a::<RescalesConfig>),
        ("/taskmanagers", as_a::<BTreeMap<String, Vec<TaskManager>>>),
        ("/jars", as_a::<Jars>),
    ];
    let other = |path: &str| -> Option<Reader> {
        match path {
            "/jobmanager/config" => Some(as_a::<JobManagerConfig>),
            "/jobs/ID/rescales/details/ID" => Some(as_a::<Rescale>),
            "/jobs/ID/vertices/ID/subtasks/metrics" | "/jobs/ID/metrics" | "/jobmanager/metrics" => {
                Some(as_a::<Vec<metrics::Named>>)
            }
            path => path.starts_with("/taskmanagers/").then_some(as_a::<TaskManagerDetail>),
        }
    };
    let (mut read, mut refused) = (0, 0);
    for Sample { name, status, path, body } in samples() {
        let path = path.split('?').next().unwrap();
        let general: Vec<&str> =
            path.split('/').map(|part| if part.parse::<JobId>().is_ok() { "ID" } else { part }).collect();
        let general = general.join("/");
        let reader = readers.iter().find(|(known, _)| *known == general).map(|(_, reader)| *reader);
        let reader = reader.or_else(|| other(&general)).unwrap_or_else(|| panic!("{name}: {general}"));
        if status == 200 {
            reader(&body.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
            read += 1;
        } else {
            assert!(Cause::read(body.to_string().as_bytes()).is_some(), "{name}");
            refused += 1;
        }
    }
    assert!(read > 90 && refused >= 7, "{read} read, {refused} refused");
}

#[test]
fn what_flink_does_not_know_is_told_apart_from_zero() {
    let fresh: JobDetail = read("job-detail");
    assert!(fresh.vertices.iter().all(|vertex| vertex.metrics.read().is_none() && vertex.metrics.written().is_none()));
    let told: JobDetail = read("job-detail-running-complete-metrics");
    assert_eq!(told.vertices[1].metrics.read(), Some(36_480));
    let none: CheckpointConfig = read("nockpt-checkpoints-config");
    assert_eq!((none.interval, none.timeout), (None, Some(20_000)));
    let some: CheckpointConfig = read("checkpoints-config");
    assert_eq!((some.interval, some.tolerable_failed_checkpoints), (Some(5_000), Some(0)));
    let summary: RescalesSummary = read("rescales-summary");
    assert_eq!(summary.completed_rescales_duration_stats_in_millis.p95, Some(17_708.0));
    let reactive: RescalesConfig = read("reactive-rescales-config");
    assert_eq!(reactive.submission_resource_wait_timeout_in_millis, None, "-1 is for ever");
    assert_eq!(reactive.scheduler_execution_mode.as_deref(), Some("REACTIVE"));
}

#[test]
fn states_and_schedulers_are_read_where_a_version_says_them() {
    let jobs = |name: &str| read::<BTreeMap<String, Vec<JobSummary>>>(name).remove("jobs").unwrap();
    assert_eq!(jobs("jobs-overview-running")[0].scheduler, Some(Scheduler::Adaptive));
    assert_eq!(jobs("default-scheduler-overview")[0].scheduler, Some(Scheduler::Default));
    assert_eq!(jobs("older-jobs-overview")[0].scheduler, None);
    let beginning = &jobs("reactive-jobs-overview-no-tm")[0];
    assert_eq!((beginning.scheduler, beginning.state), (None, JobState::Initializing));
    let waiting: JobDetail = read("job-detail-4-wanted-2-slots");
    assert!(waiting.state.is_beginning() && waiting.vertices.iter().all(|vertex| !vertex.runs()));
    assert_eq!((waiting.running_since(), waiting.vertices[0].start_time), (None, None));
    let failed: JobDetail = read("nockpt-after-tm-loss");
    assert!(!failed.state.is_live());
    let unknown: JobState = parsed("\"HIBERNATING\"").unwrap();
    assert_eq!(unknown, JobState::Unknown);
}

#[test]
fn the_graph_is_read_with_how_records_are_spread() {
    let mixed: JobDetail = read("second-mix-detail");
    let parallelism: Vec<u32> = mixed.vertices.iter().map(|vertex| vertex.parallelism).collect();
    assert_eq!(mixed.sources().count(), 1);
    assert_eq!(parallelism.iter().max(), Some(&3));
    let keyed = mixed.plan.nodes.iter().flat_map(|node| &node.inputs).filter(|input| input.ship_strategy == "HASH");
    assert_eq!(keyed.count(), 1);
    let older: JobDetail = read("older-job-detail");
    assert!(older.vertices.iter().all(|vertex| vertex.runs() && vertex.max_parallelism == Some(24)));
}

#[test]
fn checkpoints_say_what_failed_and_what_was_restored() {
    let failing: Checkpoints = read("checkpoints-failing-under-backpressure");
    let states: Vec<CheckpointStatus> = failing.history.iter().map(|one| one.status).take(3).collect();
    assert_eq!(states, [CheckpointStatus::InProgress, CheckpointStatus::Failed, CheckpointStatus::Failed]);
    assert_eq!(failing.latest.restored.as_ref().map(|restored| restored.id), Some(58));
    let message = failing.latest.failed.and_then(|failed| failed.failure_message);
    assert_eq!(message.as_deref(), Some("Checkpoint expired before completing."));
    let restored: Checkpoints = read("older-checkpoints-restored");
    assert!(restored.latest.restored.is_some_and(|restored| restored.is_savepoint));
    let none: Checkpoints = read("nockpt-checkpoints");
    assert_eq!(none.summary.end_to_end_duration.p95, None);
}

#[test]
fn task_managers_say_whose_slots_they_have() {
    let busy: TaskManagerDetail = read("second-taskmanager-busy-detail");
    assert_eq!((busy.summary.id.as_str(), busy.allocated_slots.len()), ("flink-tm-7d9c-abcde", 2));
    assert_eq!(busy.summary.host(), Some("127.0.0.1"));
    let settings: JobManagerConfig = read("second-app230-app-jmconfig");
    assert_eq!(settings.millis("metrics.fetcher.update-interval"), Some(1_000));
    assert_eq!(settings.get("scheduler-mode"), Some("reactive"));
    let features = |name: &str| read::<ApiConfig>(name).features;
    assert!(features("config").web_rescale && !features("second-230-default-scheduler-config").web_rescale);
    assert!(!features("second-app230-app-config").web_submit);
}

#[test]
fn since_when_subtasks_run_is_said_by_both_versions() {
    let vertex: VertexDetail = read("second-vertex-detail");
    assert!(vertex.subtasks.iter().all(|subtask| subtask.status == TaskState::Running));
    // The last one began to run 7,866 ms before the answer, at the earliest of its kind.
    let shortest = vertex.subtasks.iter().filter_map(|subtask| subtask.status_duration.get(&TaskState::Running)).min();
    assert_eq!(crate::flink::settling::since(&vertex), shortest.map(|shortest| vertex.now - shortest));
}

#[test]
fn refusals_are_classes() {
    let class = |name: &str| match refused(name) {
        FlinkError::NotFound { cause, .. } => ("not found", cause.class),
        FlinkError::Refused { cause, .. } => ("refused", cause.class),
        FlinkError::Lost { what, .. } => ("lost", what),
        FlinkError::Read(error) => (error.kind.reason(), error.message),
    };
    assert_eq!(class("older-rescales"), ("not found", String::new()));
    assert_eq!(class("default-scheduler-rescales"), ("not found", "RescalesUnavailableException".to_owned()));
    let unsupported = class("default-scheduler-resource-requirements");
    assert_eq!(unsupported, ("refused", "UnsupportedOperationException".to_owned()));
    let electing = "Flink at x: is electing a leader (status 503)".to_owned();
    assert_eq!(class("ha-leader-election"), ("TriggerUnavailable", electing));
    assert!(refused("second-app230-off-jars").is_not_found());
}
