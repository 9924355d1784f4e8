use tidegate_calculator::operation::facts::{JobFacts, JobState, Scheduler};
use tidegate_calculator::operation::spec::JobSpec;

use super::*;

fn template_of() -> RunTemplate {
    RunTemplate {
        jar: Jar::Url {
            url: "https://me:canary@jars/a.jar?token=canary".to_owned(),
            sha256: String::new(),
            authentication_ref: None,
        },
        program_args: vec!["--password".to_owned(), "canary".to_owned()],
        flink_configuration: vec![("s3.secret-key".to_owned(), "canary".to_owned())],
        allow_non_restored_state: true,
        ..RunTemplate::default()
    }
}

fn plan() -> Plan {
    let run = Run::of(&template_of(), &Flink::default(), 4, Some("s3://k:canary@b/sp-1".to_owned()));
    Plan { job: "enrich".to_owned(), id: "6e".to_owned(), run, free: 6, begun: false }
}

#[test]
fn what_would_be_done_is_told_without_secrets() {
    let expected = "\
job enrich would be run as 6e, from s3://k:***@b/sp-1; nothing was done
  the jar of https://me:***@jars/a.jar, the class that the jar names, 2 arguments, settings s3.secret-key
  parallelism 4, 6 slots were free
  state that no operator takes may be left behind
";
    assert_eq!(plan().print(Output::Text, None), expected);
    let runs = Runs { restored: Some("s3://k:canary@b/sp-1".to_owned()), parallelism: None };
    let text = plan().print(Output::Text, Some(&runs));
    assert!(text.starts_with("job enrich runs as 6e, restored from s3://k:***@b/sp-1\n"), "{text}");
    let printed: serde_json::Value = serde_json::from_str(&plan().print(Output::Json, Some(&runs))).unwrap();
    let expected = json!({
        "job": "enrich", "jobId": "6e", "runs": true, "from": "s3://k:***@b/sp-1", "restored": "s3://k:***@b/sp-1",
        "jar": "the jar of https://me:***@jars/a.jar", "entryClass": null, "arguments": 2,
        "settings": ["s3.secret-key"], "parallelism": 4, "freeSlots": 6, "allowNonRestoredState": true,
    });
    assert_eq!(printed, expected);
}

fn facts(web_submit: bool, jobs: Vec<JobFacts>) -> ClusterFacts {
    ClusterFacts {
        scheduler: Scheduler::Default,
        web_submit,
        web_rescale: false,
        submission_stabilization: None,
        cooldown_after_rescaling: None,
        jobs,
        task_managers: Vec::new(),
    }
}

fn job(id: &str, state: JobState) -> JobFacts {
    JobFacts {
        id: id.to_owned(),
        name: "enrich".to_owned(),
        patterns: Vec::new(),
        state,
        batch: false,
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

#[test]
fn a_second_job_of_one_name_is_refused() {
    let refused =
        |facts: &ClusterFacts| check(facts, "enrich", "6e").err().map(|error| (error.to_string(), error.code()));
    let text = "job enrich is live already, as aa; a second one would do its work twice".to_owned();
    for state in [JobState::Running, JobState::Restarting, JobState::Suspended] {
        assert_eq!(refused(&facts(true, vec![job("aa", state)])), Some((text.clone(), 1)));
    }
    assert_eq!(refused(&facts(true, vec![job("aa", JobState::Finished), job("6e", JobState::Running)])), None);
    let error = check(&facts(false, Vec::new()), "enrich", "6e").unwrap_err();
    assert_eq!(error.reason(), "WebSubmitDisabled");
}

#[test]
fn what_cannot_be_read_is_no_ground_to_run_from() {
    let remembered = |unseen: Vec<String>| Remembered {
        now: tidegate_calculator::time::Now {
            tick: tidegate_calculator::time::Tick(0),
            wall: jiff::Timestamp::UNIX_EPOCH,
        },
        operation: None,
        left: tidegate_engine::Left::default(),
        annotation: Some("s3://b/1".to_owned()),
        recorded: true,
        unseen,
    };
    let known = Parked { path: Some("s3://b/1".to_owned()), ..Parked::default() };
    let path = Some("s3://b/1".to_owned());
    assert_eq!(start(Some(&remembered(Vec::new())), "enrich", None, false, Some(&known)).unwrap(), path);
    let unseen = remembered(vec!["ScaleRecord shop/enrich: forbidden".to_owned()]);
    let error = start(Some(&unseen), "enrich", None, false, Some(&known)).unwrap_err();
    assert!(error.to_string().contains("ScaleRecord shop/enrich: forbidden"), "{error}");
    assert_eq!(start(Some(&unseen), "enrich", path.clone(), false, None).unwrap(), path);
}

#[test]
fn an_operation_under_way_runs_its_jobs_itself() {
    let idle = Remembered {
        now: tidegate_calculator::time::Now {
            tick: tidegate_calculator::time::Tick(0),
            wall: jiff::Timestamp::UNIX_EPOCH,
        },
        operation: None,
        left: tidegate_engine::Left::default(),
        annotation: None,
        recorded: true,
        unseen: Vec::new(),
    };
    assert!(at_rest(None).is_ok() && at_rest(Some(&idle)).is_ok());
    let item = tidegate_calculator::operation::spec::Item {
        work: tidegate_calculator::operation::spec::Work::Flink(Box::default()),
        ..tidegate_calculator::operation::spec::Item::default()
    };
    let begin = tidegate_calculator::operation::Begin {
        attempt: 1,
        from: 2,
        to: 1,
        spec: tidegate_calculator::operation::spec::HookSpec { pre_scale: vec![item], post_scale: Vec::new() },
        ..tidegate_calculator::operation::Begin::default()
    };
    let operation = tidegate_calculator::operation::Operation::begin(begin, tidegate_calculator::time::Tick(0));
    assert!(operation.is_some());
    let busy = Remembered { operation, ..idle };
    let error = at_rest(Some(&busy)).unwrap_err();
    assert!(error.to_string().ends_with("and runs its jobs itself; wait for its end"), "{error}");
    assert_eq!(error.code(), 1);
}

#[test]
fn a_flink_deployment_is_left_to_its_operator_wherever_it_is_asked() {
    let target = |api: &str| TargetRef { api_version: api.into(), ..TargetRef::default() };
    assert!(not_by_operator(&target("apps/v1"), "enrich").is_ok());
    let error = not_by_operator(&target("flink.apache.org/v1beta1"), "enrich").unwrap_err();
    assert!(error.to_string().contains("is not possible for a FlinkDeployment"), "{error}");
}

#[test]
fn what_was_begun_is_found_by_its_id() {
    let vertex = |parallelism| tidegate_calculator::operation::facts::Vertex {
        id: "a".to_owned(),
        parallelism,
        running: 0,
        group: String::new(),
        upper: None,
        max_parallelism: 128,
    };
    let own = JobFacts { vertices: vec![vertex(1), vertex(3)], ..job("6e", JobState::Created) };
    let all = facts(true, vec![own, job("aa", JobState::Running)]);
    assert_eq!((begun(&all, "6e"), begun(&all, "bb")), (Some(3), None));
    assert_eq!(begun(&facts(true, vec![job("6e", JobState::Failed)]), "6e"), None);
    let initializing = facts(true, vec![job("6e", JobState::Created)]);
    assert_eq!(begun(&initializing, "6e"), Some(0), "it is there, and has no tasks yet");
}

#[test]
fn the_parallelism_is_given_recorded_or_what_is_free() {
    let known = |parallelism| Some(Parked { parallelism, ..Parked::default() });
    let of = |given, known: Option<Parked>, free| parallelism_of(given, known.as_ref(), free).ok();
    assert_eq!(of(Some(3), known(4), 8), Some(3));
    assert_eq!(of(None, known(4), 8), Some(4));
    assert_eq!((of(None, known(0), 8), of(None, None, 8)), (Some(8), Some(8)));
    let error = parallelism_of(None, None, 0).unwrap_err();
    assert!(error.to_string().starts_with("--parallelism: is needed: no slot is free"), "{error}");
}

#[test]
fn a_job_without_a_template_names_those_that_have_one() {
    let entry = |name: &str, run| JobSpec { select: JobSelector::Name(name.to_owned()), run, ..JobSpec::default() };
    let pattern = JobSpec { select: JobSelector::NamePattern("en.*".to_owned()), ..entry("", Some(template_of())) };
    let list = vec![entry("bare", None), pattern];
    let endpoint = Some(tidegate_calculator::operation::spec::FlinkEndpoint::RestUrl("http://x".to_owned()));
    let mut flink = Flink { endpoint, ..Flink::default() };
    flink.jobs.list = list;
    assert!(template(&flink, "enrich", false).is_ok());
    for name in ["bare", "other"] {
        let error = template(&flink, name, false).unwrap_err();
        let expected = format!(
            "--job {name:?}: has no jobs.list[].run in the hook, so nothing says how it is run; these have: en.*"
        );
        assert_eq!((error.to_string(), error.code()), (expected, 2));
    }
    let error = template(&flink, "enrich", true).unwrap_err();
    assert!(error.to_string().starts_with("--rest-url: alone says not how a job is run"), "{error}");
    let by_operator = Flink { endpoint: None, ..flink };
    assert!(template(&by_operator, "enrich", false).unwrap_err().to_string().contains("FlinkDeployment"));
}
