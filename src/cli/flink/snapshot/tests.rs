use tidegate_calculator::operation::facts::{JobState, Scheduler};
use tidegate_calculator::operation::spec::{Jobs, Select};

use super::taking::Done;
use super::*;

fn taken(job: &str, end: Result<Done, &str>, milliseconds: Option<i64>) -> Taken {
    let end = end.map_err(str::to_owned);
    Taken {
        job: job.to_owned(),
        id: Some("6e".to_owned()),
        kind: "savepoint",
        trigger: "ab".to_owned(),
        end,
        milliseconds,
    }
}

fn both() -> [Taken; 2] {
    let done = Done { id: Some(7), path: Some("s3://key:canary@bucket/sp".to_owned()) };
    [taken("enrich", Ok(done), Some(412)), taken("a", Err("it was declined at s3://key:canary@bucket/sp"), None)]
}

#[test]
fn each_job_has_its_line() {
    let expected = "\
OK      enrich  6e  savepoint 7 at s3://key:***@bucket/sp, took 0.4 s  (trigger ab)
FAILED  a       6e  it was declined at s3://key:***@bucket/sp  (trigger ab)
";
    assert_eq!(text(&both()), expected);
}

#[test]
fn the_job_of_a_flink_deployment_has_no_id() {
    let done = Done { id: None, path: Some("s3://bucket/cp".to_owned()) };
    let taken = [Taken { id: None, kind: "checkpoint", ..taken("FlinkDeployment/enrich", Ok(done), None) }];
    let expected = "OK      FlinkDeployment/enrich  -  checkpoint at s3://bucket/cp  (FlinkStateSnapshot ab)\n";
    assert_eq!(text(&taken), expected);
    assert_eq!(json(&OperationId("cd".to_owned()), &taken)["snapshots"][0]["jobId"], Value::Null);
}

#[test]
fn programs_get_every_field_every_time() {
    let expected = json!({ "id": "cd", "snapshots": [
        {
            "job": "enrich", "jobId": "6e", "kind": "savepoint", "trigger": "ab", "completed": true, "id": 7,
            "path": "s3://key:***@bucket/sp", "tookMilliseconds": 412, "error": null,
        },
        {
            "job": "a", "jobId": "6e", "kind": "savepoint", "trigger": "ab", "completed": false, "id": null,
            "path": null, "tookMilliseconds": null, "error": "it was declined at s3://key:***@bucket/sp",
        },
    ] });
    assert_eq!(json(&OperationId("cd".to_owned()), &both()), expected);
}

fn job(id: &str, name: &str, state: JobState) -> JobFacts {
    JobFacts {
        id: id.to_owned(),
        name: name.to_owned(),
        patterns: Vec::new(),
        state,
        batch: name == "batch",
        vertices: Vec::new(),
        checkpointing: None,
        completed: None,
        savepoint: None,
        restored: None,
        failed_in_a_row: 0,
        p95: None,
        restarts: None,
    }
}

fn cluster(jobs: Vec<JobFacts>) -> ClusterFacts {
    ClusterFacts {
        scheduler: Scheduler::Adaptive,
        web_submit: true,
        web_rescale: true,
        submission_stabilization: None,
        cooldown_after_rescaling: None,
        jobs,
        task_managers: Vec::new(),
    }
}

#[test]
fn jobs_are_chosen_as_the_hook_does_or_by_name_or_id() {
    use JobState::{Failed, Running};
    let all = cluster(vec![
        job("aa", "enrich", Running),
        job("bb", "twice", Running),
        job("cc", "twice", Running),
        job("dd", "enrich", Failed),
        job("ee", "batch", Running),
    ]);
    let flink = Flink::default();
    let ids = |wanted: Option<&str>, flink: &Flink| {
        let found = chosen(&all, flink, wanted).map_err(|error| format!("{error} ({})", error.reason()))?;
        Ok::<_, String>(found.iter().map(|job| job.id.clone()).collect::<Vec<_>>())
    };
    assert_eq!(ids(None, &flink).unwrap(), ["aa", "bb", "cc"], "no batch job, and none that has ended");
    assert_eq!(ids(Some("enrich"), &flink).unwrap(), ["aa"]);
    assert_eq!(ids(Some("CC"), &flink).unwrap(), ["cc"]);
    assert_eq!(
        ids(Some("twice"), &flink).unwrap_err(),
        "--job \"twice\": is the name of several live jobs; name one by its id: bb, cc (OptionInvalid)"
    );
    let error = ids(Some("dd"), &flink).unwrap_err();
    assert!(error.starts_with("--job \"dd\": is no live job; live are: enrich (aa), twice (bb), "), "{error}");
    let listed = Flink { jobs: Jobs { select: Select::Listed, ..Jobs::default() }, ..Flink::default() };
    let error = chosen(&all, &listed, None).unwrap_err();
    assert_eq!((error.reason(), error.code()), ("NoLiveJob", UNDONE));
    let error = chosen(&cluster(Vec::new()), &flink, None).unwrap_err();
    assert_eq!(error.to_string(), "no live job is looked after; none is live");
}
