use super::*;

/// A job in this state whose vertices have these tasks and starts.
fn job(state: &str, running: i64, vertices: &[(u32, &str, i64)]) -> JobDetail {
    let vertex = |(index, (parallelism, tasks, start)): (usize, &(u32, &str, i64))| {
        format!(
            r#"{{"id":"{index:032x}","name":"v","parallelism":{parallelism},"start-time":{start},"tasks":{{{tasks}}}}}"#
        )
    };
    let vertices: Vec<String> = vertices.iter().enumerate().map(vertex).collect();
    serde_json::from_str(&format!(
        r#"{{"jid":"{:032x}","name":"enrich","state":"{state}","now":100000,"timestamps":{{"RUNNING":{running}}},"vertices":[{}]}}"#,
        1,
        vertices.join(",")
    ))
    .unwrap()
}

const TWO_RUN: &str = r#""RUNNING":2"#;

fn told(detail: &JobDetail) -> Result<i64, (ReadErrorKind, String)> {
    earliest(detail, &Wanted::of("enrich")).map_err(|error| (error.kind, error.message))
}

#[test]
fn a_job_on_its_way_settles_and_one_at_its_end_has_no_data() {
    for state in ["INITIALIZING", "CREATED", "RESTARTING", "RECONCILING", "SUSPENDED"] {
        let expected = (ReadErrorKind::Settling, format!("job \"enrich\" is {state}"));
        assert_eq!(told(&job(state, 0, &[])), Err(expected));
    }
    for state in ["FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED"] {
        let expected = (ReadErrorKind::Unavailable, format!("job \"enrich\" is {state}"));
        assert_eq!(told(&job(state, 1, &[(2, TWO_RUN, 5)])), Err(expected));
    }
    let unknown = told(&job("HIBERNATING", 1, &[(2, TWO_RUN, 5)]));
    assert_eq!(unknown.unwrap_err().0, ReadErrorKind::Unavailable);
}

#[test]
fn running_counts_from_when_every_task_runs() {
    assert_eq!(told(&job("RUNNING", 40_000, &[(2, TWO_RUN, 50_000), (2, TWO_RUN, 60_000)])), Ok(60_000));
    assert_eq!(told(&job("RUNNING", 70_000, &[(2, TWO_RUN, 60_000)])), Ok(70_000));
    let finished = r#""RUNNING":1,"FINISHED":1"#;
    assert_eq!(told(&job("RUNNING", 40_000, &[(2, TWO_RUN, 50_000), (2, finished, 45_000)])), Ok(50_000));
    for tasks in [r#""RUNNING":1,"SCHEDULED":1"#, r#""RUNNING":1,"INITIALIZING":1"#, r#""CREATED":2"#, ""] {
        let told = told(&job("RUNNING", 40_000, &[(2, TWO_RUN, 50_000), (2, tasks, -1)]));
        let expected = (ReadErrorKind::Settling, "not all tasks of job \"enrich\" run".to_owned());
        assert_eq!(told, Err(expected), "{tasks}");
    }
    assert_eq!(told(&job("RUNNING", 40_000, &[])).unwrap_err().0, ReadErrorKind::Settling);
}

#[test]
fn settled_is_from_the_first_moment_on() {
    let early = |now, since, wait| too_early(now, since, wait, &Wanted::of("enrich")).is_err();
    assert!(early(159_999, 100_000, 60_000) && !early(160_000, 100_000, 60_000));
    assert!(early(99_000, 100_000, 1), "a clock that was set back");
    assert!(!early(100_000, 100_000, 0));
}

#[test]
fn subtasks_say_since_when_they_run() {
    let vertex = |subtasks: &str| -> VertexDetail {
        serde_json::from_str(&format!(r#"{{"now":100000,"subtasks":[{subtasks}]}}"#)).unwrap()
    };
    let ran = |span: i64| {
        format!(r#"{{"status":"RUNNING","start-time":1,"status-duration":{{"RUNNING":{span},"INITIALIZING":500}}}}"#)
    };
    let finished = r#"{"status":"FINISHED","status-duration":{"RUNNING":10}}"#;
    assert_eq!(since(&vertex(&format!("{},{}", ran(9_000), ran(7_000)))), Some(93_000));
    assert_eq!(since(&vertex(&format!("{},{finished}", ran(9_000)))), Some(91_000));
    // Versions that do not say it, and tasks that do not run.
    assert_eq!(since(&vertex(r#"{"status":"RUNNING","start-time":1}"#)), None);
    assert_eq!(since(&vertex(&format!("{},{}", ran(9_000), r#"{"status":"INITIALIZING"}"#))), None);
}

#[test]
fn another_run_is_told_by_its_times_and_its_size() {
    let first = job("RUNNING", 40_000, &[(2, TWO_RUN, 50_000)]);
    assert_eq!(Attempt::of(&first), Attempt::of(&first.clone()));
    for other in [
        job("RUNNING", 40_001, &[(2, TWO_RUN, 50_000)]),
        job("RUNNING", 40_000, &[(2, TWO_RUN, 50_001)]),
        job("RUNNING", 40_000, &[(3, TWO_RUN, 50_000)]),
    ] {
        assert_ne!(Attempt::of(&first), Attempt::of(&other));
    }
}
