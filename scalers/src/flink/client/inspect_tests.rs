use super::*;

fn config(pairs: &[(&str, &str)]) -> JobManagerConfig {
    let list: Vec<_> = pairs.iter().map(|(key, value)| serde_json::json!({ "key": key, "value": value })).collect();
    serde_json::from_value(list.into()).unwrap()
}

fn job(scheduler: &str) -> JobSummary {
    let text = format!(
        r#"{{"jid":"{:032x}","name":"a","state":"RUNNING"{}}}"#,
        1,
        if scheduler.is_empty() { String::new() } else { format!(r#","schedulerType":"{scheduler}""#) }
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn settings_say_best_how_jobs_are_scheduled() {
    let reactive = config(&[("scheduler-mode", "REACTIVE")]);
    assert_eq!(scheduler(Some(&reactive), &[], false), Kind::Reactive);
    let adaptive = config(&[("jobmanager.scheduler", "Adaptive")]);
    assert_eq!(scheduler(Some(&adaptive), &[], false), Kind::Adaptive, "an administrator turned web-rescale off");
    let none = config(&[]);
    assert_eq!(scheduler(Some(&none), &[job("Adaptive")], false), Kind::Adaptive);
    assert_eq!(scheduler(Some(&none), &[job("")], false), Kind::Default, "nothing is set: Flink's default");
    assert_eq!(scheduler(None, &[job("")], true), Kind::Adaptive, "only adaptive can be rescaled");
    assert_eq!(scheduler(None, &[job("")], false), Kind::Unknown);
}

#[test]
fn the_first_name_of_a_setting_that_is_there_counts() {
    let old = config(&[("jobmanager.adaptive-scheduler.resource-stabilization-timeout", "4 s")]);
    assert_eq!(set(&old, &STABILIZATION_KEYS), Some(Span::seconds(4)));
    assert_eq!(set(&config(&[]), &STABILIZATION_KEYS), None);
}

#[test]
fn a_checkpoint_is_as_old_as_its_last_acknowledgement() {
    let text = r#"{"id":7,"status":"COMPLETED","trigger_timestamp":1000,"latest_ack_timestamp":1400,"end_to_end_duration":350,"external_path":"file:/a"}"#;
    let one = serde_json::from_str(text).unwrap();
    let facts = snapshot_facts(&one, 2000);
    assert_eq!((facts.id, facts.triggered, facts.completed), (Some(7), Span(1000), Span(600)));
}

#[test]
fn what_flink_writes_for_never_is_no_interval() {
    let of = |text: &str| checkpointing(&serde_json::from_str(text).unwrap());
    let off = of(r#"{"interval":9223372036854775807,"timeout":600000}"#);
    assert_eq!((off.interval, off.timeout), (None, Span::seconds(600)));
    assert_eq!(of(r#"{"interval":2000,"timeout":20000}"#).interval, Some(Span::seconds(2)));
}
