use super::*;

/// A vertex with two subtasks in this state.
fn vertex(state: &str) -> Vertex {
    let text = format!(r#"{{"id":"{:032x}","name":"v","parallelism":2,"tasks":{{"{state}":2}}}}"#, 1);
    serde_json::from_str(&text).unwrap()
}

/// Metrics as Flink writes them: name, min, max, sum, avg.
fn told(list: &[(&str, &str, &str, &str, &str)]) -> BTreeMap<String, Joined> {
    let one = |(name, min, max, sum, avg): &(&str, &str, &str, &str, &str)| {
        let joined = format!(r#"{{"min":{min},"max":{max},"sum":{sum},"avg":{avg}}}"#);
        ((*name).to_owned(), serde_json::from_str(&joined).unwrap())
    };
    list.iter().map(one).collect()
}

/// Both subtasks spend their time alike.
fn even(busy: i32, idle: i32, held: i32) -> BTreeMap<String, Joined> {
    let texts = [busy, idle, held].map(|each| (each.to_string(), (2 * each).to_string()));
    let list: Vec<_> =
        TIMES.iter().zip(&texts).map(|(name, (each, sum))| (*name, &**each, &**each, &**sum, &**each)).collect();
    told(&list)
}

fn loaded(told: &BTreeMap<String, Joined>) -> Load {
    load(&vertex("RUNNING"), false, told).unwrap().unwrap()
}

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() < 1e-9)
}

#[test]
fn busy_is_what_work_is_of_the_time_that_is_not_held_back() {
    assert!(near(loaded(&even(300, 700, 0)).busy, 0.3));
    // Held back for 600 ms, it works for 300 of the other 400.
    let held = loaded(&even(300, 100, 600));
    assert!(near(held.busy, 0.75) && near(Some(held.work), 0.3) && near(Some(held.backpressure), 0.6));
    assert!(near(loaded(&even(0, 1000, 0)).busy, 0.0), "a zero that was measured");
    // The source before the bottleneck looks idle and is not; it says nothing.
    assert_eq!(loaded(&even(0, 0, 1000)).busy, None);
    assert_eq!(loaded(&even(30, 0, 970)).busy, None);
}

#[test]
fn of_uneven_subtasks_the_busiest_counts() {
    let skewed = told(&[
        ("busyTimeMsPerSecond", "100", "900", "1000", "500"),
        ("idleTimeMsPerSecond", "100", "900", "1000", "500"),
        ("backPressuredTimeMsPerSecond", "0", "0", "0", "0"),
    ]);
    assert!(near(loaded(&skewed).busy, 0.9));
}

#[test]
fn the_busiest_vertex_counts_and_not_the_mean() {
    let load = |busy, backpressure| Load { busy, work: 0.0, backpressure };
    let loads = [load(None, 1.0), load(Some(0.95), 0.0), load(Some(0.1), 0.0)];
    assert_eq!(busiest(&loads), Ok(0.95));
    assert_eq!(worst_backpressure(&loads), Ok(1.0));
    assert_eq!(busiest(&[load(None, 1.0)]), Err(Flaw::Nobody));
    assert_eq!((busiest(&[]), worst_backpressure(&[])), (Err(Flaw::Nobody), Err(Flaw::Nobody)));
}

#[test]
fn nothing_and_nan_are_no_data() {
    let running = vertex("RUNNING");
    assert_eq!(load(&running, false, &BTreeMap::new()), Err(Flaw::Missing), "Flink's empty list");
    let mut without = even(300, 700, 0);
    without.remove(TIMES[2]);
    assert_eq!(load(&running, false, &without), Err(Flaw::Missing));
    let nan = r#""NaN""#;
    let nan = told(&[
        ("busyTimeMsPerSecond", nan, nan, nan, nan),
        ("idleTimeMsPerSecond", "0", "0", "0", "0"),
        ("backPressuredTimeMsPerSecond", "0", "0", "0", "0"),
    ]);
    assert_eq!(load(&running, false, &nan), Err(Flaw::Missing));
    assert_eq!(load(&running, true, &nan), Ok(None), "a source of the old kind never says it");
    assert_eq!(load(&vertex("FINISHED"), false, &BTreeMap::new()), Ok(None));
}

#[test]
fn subtasks_that_have_not_told_yet_are_missed() {
    // One of two has told: the sum is the mean.
    let one = told(&[
        ("busyTimeMsPerSecond", "300", "300", "300", "300"),
        ("idleTimeMsPerSecond", "700", "700", "700", "700"),
        ("backPressuredTimeMsPerSecond", "0", "0", "0", "0"),
    ]);
    assert_eq!(load(&vertex("RUNNING"), false, &one), Err(Flaw::Missing));
}

#[test]
fn sources_are_known_by_their_metrics() {
    assert_eq!(operator("Source__orders.pendingRecords", "pendingRecords"), Some("Source__orders"));
    assert_eq!(operator("pendingRecords", "pendingRecords"), None);
    assert_eq!(operator("Source__orders.pendingBytes", "pendingRecords"), None);
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(is_named("Source__orders_v1", &[]));
    for name in ["orders.v1", "Source: orders.v1", "orders_v1", "Source__orders_v1"] {
        assert!(is_named("Source__orders_v1", &names(&["other", name])), "{name}");
    }
    assert!(!is_named("Source__orders_v1", &names(&["orders"])));
    let sums = told(&[("a", "0", "4", "6", "3"), ("b", "1", "1", "1", "1")]);
    assert_eq!(sum(&sums, &names(&["a", "b"])), Some(7.0));
    assert_eq!(sum(&sums, &names(&["a", "c"])), None, "a sum with a gap is none");
}

fn checkpoints(text: &str) -> Checkpoints {
    serde_json::from_str(text).unwrap()
}

#[test]
fn failures_count_since_the_newest_complete_checkpoint() {
    let of = |list: &[(&str, bool)]| {
        let one = |(status, savepoint): &(&str, bool)| {
            format!(r#"{{"id":1,"status":"{status}","is_savepoint":{savepoint}}}"#)
        };
        let list: Vec<String> = list.iter().map(one).collect();
        failed_in_a_row(&checkpoints(&format!(r#"{{"history":[{}]}}"#, list.join(","))))
    };
    let (running, failed, completed) = (("IN_PROGRESS", false), ("FAILED", false), ("COMPLETED", false));
    assert_eq!(of(&[running, failed, failed, completed, failed]), 2);
    assert_eq!((of(&[completed, failed]), of(&[]), of(&[failed, failed])), (0, 0, 2));
    assert_eq!(of(&[failed, ("COMPLETED", true), failed]), 2, "a savepoint does not restore a job by itself");
}

#[test]
fn the_age_counts_by_the_job_managers_clock() {
    let detail = |start: i64| -> JobDetail {
        let text = format!(r#"{{"jid":"{:032x}","name":"a","state":"RUNNING","start-time":{start},"now":100000}}"#, 1);
        serde_json::from_str(&text).unwrap()
    };
    let completed = r#"{"latest":{"completed":{"id":3,"status":"COMPLETED","latest_ack_timestamp":97500},"restored":{"id":2,"restore_timestamp":90000}}}"#;
    assert_eq!(checkpoint_age(&detail(50_000), &checkpoints(completed)), Some(2.5));
    let restored = r#"{"latest":{"completed":null,"restored":{"id":2,"restore_timestamp":90000}}}"#;
    assert_eq!(checkpoint_age(&detail(50_000), &checkpoints(restored)), Some(10.0));
    assert_eq!(checkpoint_age(&detail(50_000), &checkpoints("{}")), Some(50.0));
    assert_eq!(checkpoint_age(&detail(-1), &checkpoints("{}")), None);
}
