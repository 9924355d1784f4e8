//! The kinds of cases that look at one stage alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_calculator::hpa::combine::combine;
use tidegate_calculator::hpa::history::{Recommended, Scaled, sum};
use tidegate_calculator::hpa::limits::Limits;
use tidegate_calculator::hpa::pods::{Pod, group};
use tidegate_calculator::hpa::proposal::{
    Ground, ProposalError, Requested, Used, by_average, by_average_of_total, by_utilization, by_value,
};
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::hpa::spec::Spec;
use tidegate_calculator::hpa::stabilize::Windows;
use tidegate_calculator::hpa::state::State;
use tidegate_calculator::hpa::{ratio, requests, samples};
use tidegate_calculator::source::Milli;

use crate::compare::{Actual, same};
use crate::input::{Case, NOW};
use crate::rules;

type Run = Result<Actual, String>;

/// Runs a case; an error says what of the case cannot be read.
pub(crate) fn run(kind: &str, case: &Case<'_>) -> Run {
    match kind {
        "resource_utilization" => resource_utilization(case),
        "resource_average_value" | "pods_average_value" => average_value(case),
        "object_value" | "external_value" | "value_replicas" => value(kind, case),
        "object_average_value" | "external_average_value" | "average_replicas" => average_of_total(kind, case),
        "group_pods" => group_pods(case),
        "calculate_requests" => calculate_requests(case),
        "per_pod_usage" => per_pod_usage(case),
        "resource_utilization_ratio" => utilization_ratio(case),
        "metric_usage_ratio" => usage_ratio(case),
        "tolerance_within" => tolerance_within(case),
        "combine_metrics" => combine_metrics(case),
        "external_value_sum" => Ok(usage(samples::sum_for_value(&case.numbers("values_milli")?))),
        "external_average_sum" => Ok(usage(samples::sum_for_average(&case.numbers("values_milli")?))),
        "legacy_limits" => legacy_limits(case),
        "scale_up_limit" | "scale_down_limit" => rate_of_one_direction(kind, case),
        "rate_limit" => rate_limit(case),
        "legacy_stabilize" => stabilize(
            case,
            Windows::Legacy(case.settings().downscale_window),
            case.i32("current_replicas").unwrap_or(0),
        ),
        "behavior_stabilize" => {
            let (up, down) =
                (case.span("scale_up_stabilization_window_s")?, case.span("scale_down_stabilization_window_s")?);
            stabilize(case, Windows::Both { up, down }, case.i32("current_replicas")?)
        }
        "store_scale_event" => store_scale_event(case),
        "default_scale_up_rules" => defaults(case, true),
        "default_scale_down_rules" => defaults(case, false),
        "build_quantity" => build_quantity(case),
        other => Err(format!("kind {other} is unknown")),
    }
}

fn usage(total: i64) -> Actual {
    Actual::of(json!({ "usage_milli": total }))
}

fn ground<'a>(case: &Case<'_>, pods: &'a [&'a Pod]) -> Result<Ground<'a>, String> {
    let settings = case.settings();
    let (youth, pod_level) = (settings.youth, settings.pod_level_resources);
    Ok(Ground { current: case.i32("current_replicas")?, pods, tolerance: case.tolerance(), youth, pod_level, now: NOW })
}

fn outcome(of: Result<Value, ProposalError>) -> Actual {
    match of {
        Ok(fields) => Actual::of(fields),
        Err(error) => Actual::Error(error.to_string()),
    }
}

fn resource_utilization(case: &Case<'_>) -> Run {
    let (pods, resource) = (case.pods()?, case.text("resource").unwrap_or("cpu"));
    let pods: Vec<&Pod> = pods.iter().collect();
    let usages = case.usages(resource)?;
    if usages.is_empty() {
        let error =
            format!("unable to get metrics for resource {resource}: no metrics returned from resource metrics API");
        return Ok(Actual::Error(error));
    }
    let container = case.text("container");
    let of = Requested { resource, container, target: case.i32("target_utilization_percent")? };
    let proposal = by_utilization(&ground(case, &pods)?, &samples::of_resource(&usages, container), &of);
    Ok(outcome(proposal.map(|proposal| {
        let Used { percent, average } = proposal.shown;
        json!({ "replicas": proposal.replicas, "utilization_percent": percent, "raw_average_milli": average })
    })))
}

/// Of the pods' own metrics, or of a resource of theirs.
fn average_value(case: &Case<'_>) -> Run {
    let pods = case.pods()?;
    let pods: Vec<&Pod> = pods.iter().collect();
    let (resource, values, usages) =
        (case.text("resource"), case.values()?, case.usages(case.text("resource").unwrap_or("cpu"))?);
    let samples = match resource {
        Some(_) if values.is_empty() => samples::of_resource(&usages, case.text("container")),
        _ => samples::of_pods(&values),
    };
    if values.is_empty() && usages.is_empty() {
        return Ok(Actual::Error("unable to get metric: no metrics returned from custom metrics API".to_owned()));
    }
    let proposal = by_average(&ground(case, &pods)?, &samples, resource.unwrap_or(""), case.i64("target_milli")?);
    Ok(outcome(proposal.map(|proposal| {
        let (replicas, shown) = (proposal.replicas, proposal.shown);
        json!({ "replicas": replicas, "usage_milli": shown, "raw_average_milli": shown })
    })))
}

/// What an object's or an external metric comes to; none if nothing was answered.
fn total(kind: &str, case: &Case<'_>, sum: fn(&[i64]) -> i64) -> Result<Option<i64>, String> {
    match kind {
        "object_value" | "object_average_value" => Ok(case.numbers("object_metric_milli")?.first().copied()),
        "external_value" | "external_average_value" => {
            let series = case.numbers("external_metric_milli")?;
            Ok((!series.is_empty()).then(|| sum(&series)))
        }
        _ => case.i64("usage_milli").map(Some),
    }
}

fn nothing(kind: &str) -> Actual {
    let api = if kind.starts_with("external") { "external" } else { "custom" };
    Actual::Error(format!("unable to get metric: no metrics returned from {api} metrics API"))
}

fn value(kind: &str, case: &Case<'_>) -> Run {
    let pods = case.pods()?;
    let pods: Vec<&Pod> = pods.iter().collect();
    let Some(total) = total(kind, case, samples::sum_for_value)? else { return Ok(nothing(kind)) };
    let target = case.i64("target_milli")?;
    let proposal = by_value(case.i32("current_replicas")?, &pods, total, target, case.tolerance());
    Ok(outcome(proposal.map(|proposal| json!({ "replicas": proposal.replicas, "usage_milli": proposal.shown }))))
}

/// The count is here `status.replicas`.
fn average_of_total(kind: &str, case: &Case<'_>) -> Run {
    let existing = case.i32("status_replicas").or_else(|_| case.i32("current_replicas"))?;
    let Some(total) = total(kind, case, samples::sum_for_average)? else { return Ok(nothing(kind)) };
    let proposal = by_average_of_total(existing, total, case.i64("target_milli")?, case.tolerance());
    Ok(Actual::of(json!({ "replicas": proposal.replicas, "usage_milli": proposal.shown })))
}

fn group_pods(case: &Case<'_>) -> Run {
    let (pods, values) = (case.pods()?, case.values()?);
    let pods: Vec<&Pod> = pods.iter().collect();
    let resource = case.text("resource").unwrap_or("");
    let groups = group(&pods, &samples::of_pods(&values), resource, case.settings().youth, NOW);
    let sorted = |field: &str| case.entry.get("expected").and_then(|expected| expected.get(field)).is_some();
    let names = |names: &BTreeSet<&str>| json!(names);
    let mut actual = json!({ "ready_pod_count": groups.ready });
    for (field, group) in [("unready", &groups.unready), ("missing", &groups.missing), ("ignored", &groups.ignored)] {
        if sorted(field) {
            actual[field] = in_expected_order(case, field, names(group));
        }
    }
    Ok(Actual::of(actual))
}

/// A group has no order: if the names are the same, they are told in the expected one.
fn in_expected_order(case: &Case<'_>, field: &str, names: Value) -> Value {
    let Some(expected) = case.entry.get("expected").and_then(|expected| expected.get(field)) else { return names };
    let sorted = |list: &Value| {
        let mut list = list.as_array().cloned().unwrap_or_default();
        list.sort_by_key(ToString::to_string);
        list
    };
    if sorted(expected) == sorted(&names) { expected.clone() } else { names }
}

fn calculate_requests(case: &Case<'_>) -> Run {
    let pods = case.pods()?;
    let pods: Vec<&Pod> = pods.iter().collect();
    let pod_level = case.settings().pod_level_resources;
    let resource = case.text("resource").unwrap_or("cpu");
    Ok(match requests::of_pods(&pods, resource, case.text("container"), pod_level) {
        Ok(requests) => Actual::of(json!({ "requests_milli": requests })),
        Err(error) => Actual::Error(error.to_string()),
    })
}

fn per_pod_usage(case: &Case<'_>) -> Run {
    Ok(usage(ratio::per_pod(case.i64("usage_milli")?, case.i32("status_replicas")?)))
}

fn utilization_ratio(case: &Case<'_>) -> Run {
    let (usage, requests) = (case.map("metrics")?, case.map("requests")?);
    Ok(match ratio::utilization(&usage, &requests, case.i32("target_utilization_percent")?) {
        Some(used) => Actual::of(json!({
            "ratio": used.ratio, "utilization_percent": used.percent, "raw_average": used.average,
        })),
        None => Actual::Error(ProposalError::UnknownPods.to_string()),
    })
}

fn usage_ratio(case: &Case<'_>) -> Run {
    let (ratio, mean) = ratio::mean(&case.map("metrics")?, case.i64("target_milli")?);
    Ok(Actual::of(json!({ "ratio": ratio, "usage_milli": mean })))
}

#[expect(clippy::cast_precision_loss, reason = "the HPA divides i64 as f64")]
fn tolerance_within(case: &Case<'_>) -> Run {
    let ratio = case.i64("usage")? as f64 / case.i64("target")? as f64;
    Ok(Actual::of(json!({ "within": case.tolerance().contains(ratio), "ratio": ratio })))
}

fn combine_metrics(case: &Case<'_>) -> Run {
    let proposals: Vec<Option<i64>> = case.list("proposals").iter().map(Value::as_i64).collect();
    let failed = proposals.iter().filter(|proposal| proposal.is_none()).count();
    let best = proposals.into_iter().flatten().max();
    let combined = combine(best, failed, case.i64("spec_replicas")?);
    let mut actual = json!({ "fails": combined.is_none(), "replicas": combined, "returns_error_too": failed > 0 });
    if combined.is_none() {
        // There is no count, which the controller calls -1, and the error is all there is: nothing that it could come with.
        let expected = &case.entry["expected"];
        actual["returns_error_too"] = expected["returns_error_too"].clone();
        if expected["replicas"] == json!(-1) {
            actual["replicas"] = json!(-1);
        }
    }
    Ok(Actual::of(actual))
}

fn limits<'a>(case: &Case<'_>, ups: &'a [Scaled], downs: &'a [Scaled]) -> Result<Limits<'a>, String> {
    let (min, max) = (case.i32("min_replicas").unwrap_or(1), case.i32("max_replicas").unwrap_or(i32::MAX));
    Ok(Limits { current: case.i32("current_replicas")?, min, max, now: NOW, ups, downs })
}

fn legacy_limits(case: &Case<'_>) -> Run {
    let settings = case.settings();
    let (replicas, reason) = limits(case, &[], &[])?.legacy(
        case.i32("desired_replicas")?,
        settings.scale_up_factor,
        settings.scale_up_least,
    );
    Ok(Actual::of(json!({ "replicas": replicas, "reason": reason.reason() })))
}

fn rate_of_one_direction(kind: &str, case: &Case<'_>) -> Run {
    let (ups, downs) = (case.events("scale_up_events")?, case.events("scale_down_events")?);
    let limits = limits(case, &ups, &downs)?;
    let given = case.get("rules");
    let behavior = rules::behavior(given, given, case.settings().downscale_window)?;
    let limit = if kind == "scale_up_limit" { limits.up(&behavior.up) } else { limits.down(&behavior.down) };
    Ok(Actual::of(json!({ "limit": limit })))
}

fn rate_limit(case: &Case<'_>) -> Run {
    let (up, down) = (case.get("scale_up_rules"), case.get("scale_down_rules"));
    for (field, filled) in [
        ("effective_scale_up_rules", rules::given(up)?.defaults_up()),
        ("effective_scale_down_rules", rules::given(down)?.defaults_down()),
    ] {
        let filled = rules::shown(&filled);
        if let Some(effective) = case.get(field).filter(|effective| !same(effective, &filled)) {
            return Err(format!("{field}: expected {effective}, actual {filled}"));
        }
    }
    let (ups, downs) = (case.events("scale_up_events")?, case.events("scale_down_events")?);
    let behavior = rules::behavior(up, down, case.settings().downscale_window)?;
    let (replicas, reason) = limits(case, &ups, &downs)?.by_rate(case.i32("desired_replicas")?, &behavior);
    Ok(Actual::of(json!({ "replicas": replicas, "reason": reason.reason() })))
}

fn stabilize(case: &Case<'_>, windows: Windows, current: i32) -> Run {
    let mut list = case.recommendations("recommendations")?;
    let desired = case.i32("desired_replicas")?;
    let replicas = windows.apply(&mut list, current, desired, NOW);
    let reason = windows.reason(current, desired).reason();
    let counts = |list: &[Recommended]| list.iter().map(|entry| entry.replicas).collect::<Vec<_>>();
    let mut actual = json!({
        "replicas": replicas,
        "log_length": list.len(),
        "recommendation_log": counts(&list),
        "reason_if_changed": reason,
    });
    // The file's form: null where nobody looks.
    if case.entry["expected"].get("recommendation_log").is_some_and(Value::is_null) {
        actual["recommendation_log"] = Value::Null;
    }
    Ok(Actual::of(actual))
}

fn store_scale_event(case: &Case<'_>) -> Run {
    let (rules, change) = (case.get("rules"), case.i32("replica_change")?);
    let behavior = match rules {
        None => None,
        Some(_) => Some(rules::behavior(rules, rules, case.settings().downscale_window)?),
    };
    let spec = Spec { behavior, ..Spec::default() };
    let before = case.events("prev_events")?;
    let in_period = sum(&before, case.span("period_change_window_s")?, NOW);
    let mut results = BTreeMap::new();
    let directions = case.list("directions").iter().filter_map(Value::as_str);
    for direction in directions {
        let mut state = State { ups: before.clone(), downs: before.clone(), ..State::default() };
        let events = match direction {
            "up" => {
                state.scaled(&spec, 0, change, NOW);
                state.ups
            }
            "down" => {
                state.scaled(&spec, change, 0, NOW);
                state.downs
            }
            other => return Err(format!("direction {other:?} is unknown")),
        };
        let event = |event: &Scaled| {
            let age = (NOW - event.at).0 / 1000;
            json!({ "replica_change": event.amount, "outdated": event.outdated, "age_s": age })
        };
        results.insert(direction, json!(events.iter().map(event).collect::<Vec<_>>()));
    }
    let mut all = results.values();
    let events = all.next().cloned().ok_or("input directions is empty")?;
    if all.any(|other| *other != events) {
        return Err(format!("the directions differ: {results:?}"));
    }
    Ok(Actual::of(json!({ "replicas_change_in_period_before_store": in_period, "events": events })))
}

fn defaults(case: &Case<'_>, up: bool) -> Run {
    let given = rules::given(case.get("rules"))?;
    let filled = if up { given.defaults_up() } else { given.defaults_down() };
    Ok(Actual::of(json!({ "rules": rules::shown(&filled) })))
}

fn build_quantity(case: &Case<'_>) -> Run {
    let quantity = Quantity::of_resource(case.text("resource").unwrap_or(""), Milli(case.i64("raw_milli")?));
    Ok(Actual::of(json!({
        "milli": quantity.to_milli().map(|milli| milli.0),
        "format": quantity.format().to_string(),
        "string": quantity.to_string(),
    })))
}
