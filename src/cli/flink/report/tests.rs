use serde_json::{Value, json};

use super::*;

fn enrich() -> Job {
    Job {
        id: "6e9f20bfd6aa5914fbb059863cad0a9a".to_owned(),
        name: "enrich".to_owned(),
        state: "RUNNING".to_owned(),
        live: true,
        looked_after: true,
        runs_wholly: true,
        restarts: Some(1),
        vertices: vec![
            Vertex {
                id: "a".to_owned(),
                name: Some("Source: orders".to_owned()),
                parallelism: 2,
                running: 2,
                upper_bound: Some(4),
                max_parallelism: 128,
            },
            Vertex { id: "b".to_owned(), parallelism: 1, running: 1, max_parallelism: 1, ..Vertex::default() },
        ],
        checkpointing: Some(Checkpointing {
            interval_milliseconds: Some(60_000),
            timeout_milliseconds: 600_000,
            tolerable_failed: Some(3),
            unaligned: Some(true),
            state_backend: Some("EmbeddedRocksDBStateBackend".to_owned()),
        }),
        checkpoint: Some(Snapshot {
            id: Some(7),
            age_milliseconds: 12_000,
            took_milliseconds: Some(412),
            path: Some("s3://flink/checkpoints/chk-7".to_owned()),
        }),
        young_enough: Some(true),
        restored: Some(Restored { id: 5, savepoint: false, path: None }),
        rescale: Some(Rescale {
            id: "1b".to_owned(),
            cause: Some("UPDATE_REQUIREMENT".to_owned()),
            end: Some("COMPLETED".to_owned()),
            took_milliseconds: Some(3_400),
        }),
        ..Job::default()
    }
}

fn flink() -> Cluster {
    let manager = |id: &str, free, pod: Option<&str>| TaskManager {
        id: id.to_owned(),
        slots: 2,
        free,
        pod: pod.map(str::to_owned),
    };
    let setting = |name: &str, value: Option<&str>| Setting { name: name.to_owned(), value: value.map(str::to_owned) };
    Cluster {
        address: "Flink at http://flink-jobmanager:8081".to_owned(),
        version: "2.3.0".to_owned(),
        scheduler: "adaptive".to_owned(),
        web_submit: true,
        web_rescale: false,
        task_managers: vec![
            manager("tm-1", 0, Some("tm-1")),
            manager("10.0.0.3:1-a", 1, Some("tm-2")),
            manager("x", 2, None),
        ],
        settings: Some(vec![setting("jobmanager.scheduler", Some("adaptive")), setting("scheduler-mode", None)]),
    }
}

fn changes() -> Vec<Change> {
    let made = Change {
        direction: "ScaleUp".to_owned(),
        possible: Some(true),
        outcome: "Made".to_owned(),
        strategy: Some("Checkpoint".to_owned()),
        why: "the adaptive scheduler rescales in place".to_owned(),
        stages: vec!["Inspect".to_owned(), "Patch".to_owned()],
        on_failure: Some("Proceed".to_owned()),
        cooldown_milliseconds: 180_000,
        not_before: Some("2026-11-30T12:00:00Z".to_owned()),
        ..Change::default()
    };
    let refused = Change {
        direction: "FromZero".to_owned(),
        possible: Some(false),
        outcome: "Refused".to_owned(),
        reason: Some("SavepointUnknown".to_owned()),
        why: "job enrich: no path was recorded".to_owned(),
        ..Change::default()
    };
    let waits = Change {
        direction: "ScaleDown".to_owned(),
        outcome: "Waits".to_owned(),
        reason: Some("JobNotReady".to_owned()),
        why: "job enrich does not run wholly".to_owned(),
        ..Change::default()
    };
    vec![made, waits, refused]
}

fn report() -> Report {
    let other = Job { id: "c".to_owned(), name: "old".to_owned(), state: "FINISHED".to_owned(), ..Job::default() };
    let of = |vertices: &[u32]| vec![JobBounds { job: "enrich".to_owned(), vertices: vertices.to_vec() }];
    Report {
        object: Some("shop/enrich".to_owned()),
        target: Some(Target {
            name: "Deployment/enrich".to_owned(),
            replicas: Some(3),
            pods: Some(vec!["tm-1".to_owned(), "tm-2".to_owned()]),
        }),
        flink: Some(flink()),
        jobs: vec![enrich(), other],
        changes: changes(),
        bounds: vec![
            Bounds { task_managers: 1, slots: 2, jobs: of(&[2, 1]) },
            Bounds { task_managers: 2, slots: 4, jobs: of(&[4, 1]) },
        ],
        last_useful_task_managers: Some(64),
        operation: vec!["ScaleUp 3 -> 4 (Checkpoint): Verifying for 3 s, operation ab".to_owned()],
        stopped: vec![Stopped {
            job: "lost".to_owned(),
            id: "d".to_owned(),
            parallelism: 4,
            path: Some("s3://flink/savepoints/savepoint-d".to_owned()),
        }],
        savepoints: vec![Kept { job: "lost".to_owned(), path: "s3://flink/sp".to_owned(), at: 1_000 }],
        annotation: Some("s3://flink/sp".to_owned()),
        unknown: vec!["pauses".to_owned()],
        ..Report::default()
    }
}

#[test]
fn people_read_it_from_above() {
    let expected = "\
ScaledObject shop/enrich -> Deployment/enrich: 3 replicas, 2 pods
Flink at http://flink-jobmanager:8081: version 2.3.0, scheduler adaptive, jars (web-submit), no requirements (web-rescale)
3 TaskManagers, 6 slots, 3 free
  tm-1          0 of 2 free
  10.0.0.3:1-a  1 of 2 free  pod tm-2
  x             2 of 2 free  no pod of the target

Settings of the JobManager
  jobmanager.scheduler  adaptive
  not set:
    scheduler-mode

Jobs
  enrich  6e9f20bfd6aa5914fbb059863cad0a9a  RUNNING, 1 restart
    Source: orders  2 of 2 run  upper bound 4, maximum 128
    b               1 of 1 run  maximum 1
    a checkpoint every 1 m, time-out 10 m, 3 may fail, unaligned, EmbeddedRocksDBStateBackend
    newest checkpoint 7: 12 s old, took 0.4 s, at s3://flink/checkpoints/chk-7; young enough for a change now
    restored from checkpoint 5
    newest rescale 1b: UPDATE_REQUIREMENT, COMPLETED after 3.4 s
  old  c  FINISHED

What a change would do now
  ScaleUp    Checkpoint: the adaptive scheduler rescales in place
             stages: Inspect, Patch
             on a failure before it: Proceed; then a pause of 3 m; not before 2026-11-30T12:00:00Z
  ScaleDown  would wait (JobNotReady): job enrich does not run wholly
  FromZero   refused (SavepointUnknown): job enrich: no path was recorded (not from the present replicas)

Parallelism by count of TaskManagers (upper bounds, in the order of the vertices)
  1 TaskManager   2 slots  enrich: 2, 1
  2 TaskManagers  4 slots  enrich: 4, 1
  more than 64 are of no use: no vertex could get more

Operation under way
  ScaleUp 3 -> 4 (Checkpoint): Verifying for 3 s, operation ab

Stopped by an operation, and not running
  lost  parallelism 4  s3://flink/savepoints/savepoint-d

Savepoints of operations, the newest last
  1970-01-01T00:00:01Z  lost  s3://flink/sp

Annotation tidegate.dev/flink-savepoint of the target: s3://flink/sp

Not known
  pauses
";
    assert_eq!(report().text(), expected);
}

#[test]
fn a_job_that_is_not_well_says_so() {
    let job = Job {
        runs_wholly: false,
        looked_after: false,
        batch: true,
        restarts: None,
        checkpointing: None,
        checkpoint: None,
        young_enough: None,
        failed_in_a_row: 2,
        restored: None,
        rescale: None,
        vertices: Vec::new(),
        ..enrich()
    };
    let report = Report { flink: Some(Cluster { settings: None, ..flink() }), jobs: vec![job], ..Report::default() };
    let expected = "
Settings of the JobManager
  Flink does not say them

Jobs
  enrich  6e9f20bfd6aa5914fbb059863cad0a9a  RUNNING, but not every task runs, batch, not looked after
    how it checkpoints is not known
    no completed checkpoint
    2 failed since then
";
    assert!(report.text().ends_with(expected), "{}", report.text());
    // Without a target nobody says of a TaskManager that it has no pod.
    assert!(!report.text().contains("no pod"));
}

#[test]
fn a_flink_deployment_is_told_without_a_jobmanager() {
    let deployment = Deployment {
        upgrade_mode: "last-state".to_owned(),
        running: true,
        settled: true,
        suspended: false,
        error: Some("no quota".to_owned()),
    };
    let report = Report { deployment: Some(deployment), ..Report::default() };
    let expected = "FlinkDeployment: running, settled, upgradeMode last-state; the operator says: no quota\n";
    assert_eq!(report.text(), expected);
}

#[test]
fn programs_get_every_field_every_time() {
    let whole: Value = serde_json::from_str(&report().json()).unwrap();
    let empty: Value = serde_json::from_str(&Report::default().json()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&whole), keys(&empty));
    assert_eq!(
        (&empty["flink"], &empty["lastUsefulTaskManagers"], &empty["jobs"]),
        (&json!(null), &json!(null), &json!([]))
    );
    assert_eq!(
        whole["changes"][2],
        json!({
            "direction": "FromZero", "possible": false, "outcome": "Refused", "strategy": null,
            "reason": "SavepointUnknown", "why": "job enrich: no path was recorded", "stages": [],
            "onFailure": null, "cooldownMilliseconds": 0, "notBefore": null,
        })
    );
    assert_eq!(
        whole["jobs"][0]["checkpoint"],
        json!({ "id": 7, "ageMilliseconds": 12_000, "tookMilliseconds": 412, "path": "s3://flink/checkpoints/chk-7" })
    );
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    let cases = [
        ("s3://key:canary@bucket/sp", "s3://key:***@bucket/sp"),
        ("https://a:b:c@x?y=z@w", "https://a:***@x?y=z@w"),
        ("abfs://flink@account.dfs.core.windows.net/sp", "abfs://flink@account.dfs.core.windows.net/sp"),
        ("file:/tmp/a:b@c", "file:/tmp/a:b@c"),
        ("stopped at s3://key:canary@bucket/sp", "stopped at s3://key:***@bucket/sp"),
        (r#"{"a":"s3://k:canary@b/1","b":"s3://l:canary@c/2"}"#, r#"{"a":"s3://k:***@b/1","b":"s3://l:***@c/2"}"#),
        ("http://jobs failed at s3://k:canary@b/1", "http://jobs failed at s3://k:***@b/1"),
        ("adaptive", "adaptive"),
    ];
    for (text, shown) in cases {
        assert_eq!(without_password(text), shown);
    }
}
