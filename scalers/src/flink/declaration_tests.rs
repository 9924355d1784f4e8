use std::collections::BTreeMap;

use super::*;
use crate::parameters::Known;

fn resolved(metadata: &[(&str, &str)], metric_type: MetricType) -> (TriggerSpec, Values) {
    let base = [("restUrl", "http://flink:8081"), ("job", "enrich"), ("metric", "busy"), ("targetValue", "0.7")];
    let mut all: BTreeMap<String, String> =
        base.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    all.retain(|_, text| !text.is_empty());
    let spec = TriggerSpec { kind: "flink".to_owned(), metadata: all, metric_type, ..TriggerSpec::default() };
    let none = BTreeMap::new();
    let values = Values::resolve(&spec, PARAMETERS, Known::Values(&none), Known::Values(&none));
    (spec, values)
}

fn found(metadata: &[(&str, &str)], metric_type: MetricType) -> (Vec<String>, Vec<String>) {
    let (spec, values) = resolved(metadata, metric_type);
    let checked = check(&spec, &values);
    let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect();
    let errors = [values.errors.as_slice(), &checked.errors].concat();
    (texts(&errors), texts(&checked.warnings))
}

fn errors(metadata: &[(&str, &str)]) -> Vec<String> {
    found(metadata, MetricType::Value).0
}

const DEMAND: [(&str, &str); 3] = [("mode", "demand"), ("metric", ""), ("targetValue", "")];

#[test]
fn a_metric_needs_a_job_and_a_target() {
    assert_eq!(found(&[], MetricType::Value), (vec![], vec![]));
    assert_eq!(errors(&[("job", "")]), ["metadata.job: is required for this metric"]);
    assert_eq!(errors(&[("metric", "")]), ["metadata.metric: is required with mode: metric"]);
    assert_eq!(errors(&[("targetValue", "")]), ["metadata.targetValue: is required with mode: metric"]);
    assert_eq!(errors(&[("targetValue", "0")]), ["metadata.targetValue: \"0\" is not a number >= 0.001"]);
    let expected = format!("metadata.metric: \"load\" is not one of {}", NAMES.join(", "));
    assert_eq!(errors(&[("metric", "load")]), [expected]);
    assert_eq!(errors(&[("metric", "slotsFree"), ("job", "")]), Vec::<String>::new());
}

#[test]
fn demand_needs_neither_metric_nor_target() {
    let with = |more: &[(&str, &str)], metric_type| found(&[&DEMAND, more].concat(), metric_type);
    assert_eq!(with(&[], MetricType::AverageValue), (vec![], vec![]));
    assert_eq!(with(&[("job", "")], MetricType::AverageValue).0, ["metadata.job: is required with mode: demand"]);
    for share in ["0", "-1", "1.01"] {
        let expected = format!("metadata.utilization: \"{share}\" is not a number above 0 and up to 1");
        assert_eq!(with(&[("utilization", share)], MetricType::AverageValue).0, [expected]);
    }
    let expected = "metadata.window: \"9s\" is not a duration from 10s to 24h";
    assert_eq!(with(&[("window", "9s")], MetricType::AverageValue).0, [expected]);
    let expected = "metricType: \"Value\" is not allowed with mode: demand; allowed value is 'AverageValue'";
    assert_eq!(with(&[], MetricType::Value).0, [expected]);
}

#[test]
fn what_has_no_effect_is_told() {
    let warnings = |metadata: &[(&str, &str)]| found(metadata, MetricType::Value).1;
    assert_eq!(warnings(&[("catchUp", "1h")]), ["metadata.catchUp: \"1h\" has no effect without mode: demand"]);
    assert_eq!(warnings(&[("sources", "a")]), ["metadata.sources: \"a\" has no effect on this metric"]);
    let pending = [("metric", "pendingRecords"), ("stabilization", "5s"), ("sources", "a")];
    assert_eq!(warnings(&pending), ["metadata.stabilization: \"5s\" has no effect on this metric"]);
    assert_eq!(warnings(&[("metric", "slots")]), ["metadata.job: \"enrich\" has no effect on this metric"]);
    let both = found(&[("mode", "demand")], MetricType::AverageValue).1;
    assert_eq!(both.len(), 2, "{both:?}");
    let ratio = found(&[], MetricType::AverageValue).1;
    assert!(ratio.len() == 1 && ratio[0].starts_with("metricType: divides a ratio by the replicas"), "{ratio:?}");
}

#[test]
fn the_metric_is_named_after_the_job() {
    let metric = |metadata: &[(&str, &str)]| {
        let (spec, values) = resolved(metadata, MetricType::AverageValue);
        settings(&spec, &values).unwrap().metric
    };
    let busy = metric(&[]);
    assert_eq!((busy.name.as_str(), busy.target, busy.exact), ("s0-flink-enrich-busy", Milli(700), false));
    let demand = metric(&DEMAND);
    assert_eq!((demand.name.as_str(), demand.target, demand.exact), ("s0-flink-enrich-demand", Milli(1000), true));
    assert_eq!(metric(&[("metric", "slotsUsed")]).name, "s0-flink-slotsUsed");
}

#[test]
fn the_numbers_of_demand_have_the_usual_defaults() {
    let (spec, values) = resolved(&DEMAND, MetricType::AverageValue);
    let Question::Demand(numbers, slots) = settings(&spec, &values).unwrap().question else { panic!("no demand") };
    let expected = demand::Settings {
        utilization: 0.7,
        catch_up: Duration::from_mins(30),
        restart_time: Duration::from_mins(5),
        window: Duration::from_mins(15),
        scale_down_delay: Duration::from_hours(1),
    };
    assert_eq!((numbers, slots), (expected, None));
}
