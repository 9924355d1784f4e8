//! The metrics as they are scraped.

use std::fmt::Write as _;

use super::*;
use crate::server::fixtures::{operations, snapshot};
use tidegate_calculator::operation::{Direction, Phase as OperationPhase, Strategy};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tidegate_engine::tally::Measure;

/// Two operations: one that is done, with a checkpoint of 12 s, and one that was given up.
fn tally() -> Tally {
    let mut tally = Tally::default();
    let ended = |outcome, strategy| Measure::Ended { outcome, strategy, direction: Direction::ScaleDown };
    tally.take(Measure::Phase { phase: OperationPhase::Applying, lasted: Span(1_500) });
    tally.take(Measure::Phase { phase: OperationPhase::Applying, lasted: Span::seconds(7_200) });
    tally.take(Measure::SnapshotAge(Span::seconds(12)));
    tally.take(ended(OperationPhase::Done, Some(Strategy::Checkpoint)));
    tally.take(ended(OperationPhase::Aborted, None));
    tally
}

/// An object in the middle of an operation, with a job that does not run for 90 s.
fn operated(name: &str) -> Snapshot {
    let mut object = snapshot(name, 3);
    object.operations = Some(Box::new(operations(object.now)));
    object
}

fn text(objects: Vec<Snapshot>) -> String {
    let asker = Asker {
        namespace: "shop".into(),
        object: "orders".into(),
        kind: "prometheus".into(),
        trigger: "rate".into(),
        metric: "s1-prometheus".into(),
    };
    let counted = |status, count| Counted { asker: asker.clone(), status, count };
    render_with(objects, tally(), vec![counted(None, 2), counted(Some(200), 7)]).unwrap()
}

#[test]
fn kedas_names_and_labels_are_printed_exactly() {
    let text = text(vec![snapshot("orders", 3)]);
    let six = r#"{namespace="shop",metric="s0-redis-jobs",scaledObject="orders",scaler="redisScaler",triggerIndex="0",type="redis"}"#;
    let two = r#"{namespace="shop",scaledObject="orders"}"#;
    let asked = r#"{namespace="shop",scaled_resource="orders",scaler="prometheus",trigger_name="rate",metric_name="s1-prometheus",status_code="#;
    for line in [
        format!("keda_scaler_active{six} 1.0"),
        format!("keda_scaler_metrics_value{six} 790.0"),
        format!("keda_scaler_detail_errors_total{six} 0.0"),
        format!("keda_scaler_http_requests_total{asked}\"error\"}} 2.0"),
        format!("keda_scaler_http_requests_total{asked}\"200\"}} 7.0"),
        format!("keda_scaled_object_errors_total{two} 0.0"),
        format!("keda_scaled_object_paused{two} 0.0"),
        r#"keda_trigger_registered_total{type="redis"} 1.0"#.to_owned(),
        r#"keda_resource_registered_total{type="scaled_object",namespace="shop"} 1.0"#.to_owned(),
        format!("tidegate_replicas{two} 3.0"),
        format!("tidegate_max_replicas{two} 10.0"),
        r#"tidegate_limited_by{namespace="shop",scaledObject="orders",reason="Metrics"} 1.0"#.to_owned(),
        format!("tidegate_last_good_reading_age_seconds{six} 0.4"),
        format!("tidegate_decision_lag_seconds{two} 0.012"),
        "# TYPE keda_trigger_registered_total gauge".to_owned(),
        "# TYPE keda_scaler_detail_errors counter".to_owned(),
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("keda_build_info{version=\"") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn a_failed_trigger_has_no_value_but_its_errors() {
    let mut object = snapshot("orders", 3);
    let error = ReadError::endpoint(ReadErrorKind::Unavailable, "connection refused");
    object.evidence = vec![Evidence::Failed { error, since: object.now.tick, good: None }];
    object.errors = vec![4];
    let text = text(vec![object]);
    let has = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name}{{")));
    assert!(!has("keda_scaler_metrics_value") && !has("keda_scaler_active"), "{text}");
    assert!(!has("tidegate_last_good_reading_age_seconds"), "{text}");
    assert!(
        text.contains(
            r#"metric="s0-redis-jobs",scaledObject="orders",scaler="redisScaler",triggerIndex="0",type="redis"} 4.0"#
        ),
        "{text}"
    );
}

#[test]
fn a_trigger_without_readings_is_called_as_when_it_had_some() {
    let mut object = snapshot("orders", 3);
    let error = ReadError::query(ReadErrorKind::Settling, "it has just begun");
    object.evidence = vec![Evidence::Unread.after(error, object.now.tick)];
    object.metrics = vec![["s0-lag".to_owned(), "s0-age".to_owned()].into()];
    let text = text(vec![object]);
    let errors = |metric: &str| {
        let line = format!("keda_scaler_detail_errors_total{{namespace=\"shop\",metric=\"{metric}\"");
        text.lines().any(|printed| printed.starts_with(&line) && printed.ends_with(" 0.0"))
    };
    assert!(errors("s0-lag") && errors("s0-age") && !text.contains("s0-redis-jobs"), "{text}");
}

#[test]
fn every_sample_has_all_labels_and_names_are_unique() {
    let text = text(vec![operated("orders"), snapshot("mails", 0)]);
    for family in FAMILIES {
        let name = match family.kind {
            Kind::Gauge => family.name.to_owned(),
            Kind::Counter => format!("{}_total", family.name),
            Kind::Histogram => format!("{}_count", family.name),
        };
        let begins = if family.labels.is_empty() { format!("{name} ") } else { format!("{name}{{") };
        let samples: Vec<&str> = text.lines().filter(|line| line.starts_with(&begins)).collect();
        assert!(!samples.is_empty(), "{name} has no sample");
        for sample in samples {
            assert_eq!(sample.matches("=\"").count(), family.labels.len(), "{sample}");
        }
        assert_eq!(FAMILIES.iter().filter(|other| other.name == family.name).count(), 1, "{name}");
        assert_eq!(text.matches(&format!("# TYPE {} ", family.name)).count(), 1, "{name}");
    }
}

#[test]
fn operations_are_told_by_how_they_ended_and_where_they_are() {
    let text = text(vec![operated("orders"), snapshot("mails", 0)]);
    for line in [
        r#"tidegate_operations_total{outcome="Done",strategy="Checkpoint",direction="ScaleDown"} 1.0"#,
        r#"tidegate_operations_total{outcome="Aborted",strategy="Undecided",direction="ScaleDown"} 1.0"#,
        "# TYPE tidegate_operation_phase_seconds histogram",
        // 1.5 s and 2 h: the first is within 2 s, the second above every bound.
        r#"tidegate_operation_phase_seconds_bucket{le="1.0",phase="Applying"} 0"#,
        r#"tidegate_operation_phase_seconds_bucket{le="2.0",phase="Applying"} 1"#,
        r#"tidegate_operation_phase_seconds_bucket{le="3600.0",phase="Applying"} 1"#,
        r#"tidegate_operation_phase_seconds_bucket{le="+Inf",phase="Applying"} 2"#,
        r#"tidegate_operation_phase_seconds_sum{phase="Applying"} 7201.5"#,
        r#"tidegate_operation_phase_seconds_count{phase="Applying"} 2"#,
        r#"tidegate_operation_snapshot_age_seconds_bucket{le="10.0"} 0"#,
        r#"tidegate_operation_snapshot_age_seconds_bucket{le="15.0"} 1"#,
        "tidegate_operation_snapshot_age_seconds_sum 12.0",
        r#"tidegate_operation_running{namespace="shop",scaledObject="orders",direction="ScaleDown",phase="Restoring"} 1.0"#,
        r#"tidegate_flink_job_stopped_seconds{namespace="shop",scaledObject="orders",job="enrich"} 90.0"#,
        r#"tidegate_last_useful_replicas{namespace="shop",scaledObject="orders"} 6.0"#,
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line} is missing in\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("tidegate_flink_job_stopped_seconds{")).count(), 1);
}

#[test]
fn without_operations_nothing_is_said_of_them() {
    let text = render_with(vec![snapshot("orders", 3)], Tally::default(), Vec::new()).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let of_operations: Vec<&str> =
        samples.filter(|line| line.starts_with("tidegate_operation") || line.contains("flink")).collect();
    assert_eq!(of_operations, [""; 0]);
}

/// The table of `docs/flink.md`: the metrics of operations, by their names as they are scraped.
pub(crate) fn of_operations() -> String {
    let ours = |family: &&Family| {
        ["tidegate_operation", "tidegate_flink", "tidegate_last_useful"]
            .iter()
            .any(|name| family.name.starts_with(name))
    };
    let mut table = "| metric | labels | what it says |\n| --- | --- | --- |\n".to_owned();
    for Family { name, help, kind, labels, .. } in FAMILIES.iter().filter(ours) {
        let (total, what) = match kind {
            Kind::Counter => ("_total", ""),
            Kind::Gauge => ("", ""),
            Kind::Histogram => ("", " (a histogram)"),
        };
        writeln!(table, "| `{name}{total}` | {} | {help}{what} |", labels.join(", ")).unwrap();
    }
    table
}
