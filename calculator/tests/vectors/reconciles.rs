//! Whole reconciles.

use serde_json::{Map, Value, json};
use tidegate_calculator::hpa::conditions::Conditions;
use tidegate_calculator::hpa::observation::{Answer, Other, Scale, ScaleRead, Write};
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::hpa::reconcile;
use tidegate_calculator::hpa::spec::{Metric, Source, Target};
use tidegate_calculator::hpa::state::{MetricStatus, Status};
use tidegate_calculator::hpa::{Condition, ConditionType, Labels, Observation, Reconciled, Settings, Spec, State};

use crate::compare::Actual;
use crate::input::{Case, NOW, list, number, text, tick};
use crate::rules;

type Read<T> = Result<T, String>;

/// Runs one whole reconcile.
pub(crate) fn run(case: &Case<'_>) -> Result<Actual, String> {
    let hpa = case.get("hpa").ok_or("input hpa is missing")?;
    let target = case.get("target").ok_or("input target is missing")?;
    let settings = case.settings();
    let spec = spec(case, hpa, target, &settings)?;
    let state = state(case, hpa, target)?;
    let observed = observation(case, target, &spec)?;
    let reconciled = reconcile(&spec, &state, &observed, NOW, &settings);
    Ok(Actual::of(shown(&reconciled)))
}

fn count(of: &Value, field: &str) -> Read<Option<i32>> {
    let number = number(of, field).map(i32::try_from).transpose();
    number.map_err(|_| format!("input {field} does not fit 32 bits"))
}

fn spec(case: &Case<'_>, hpa: &Value, target: &Value, settings: &Settings) -> Read<Spec> {
    let given = list(hpa.get("metrics"));
    let metrics = given.iter().map(metric).collect::<Read<Vec<_>>>()?;
    let behavior = hpa.get("behavior").filter(|behavior| !behavior.is_null());
    let filled = |behavior: &Value| {
        rules::behavior(behavior.get("scaleUp"), behavior.get("scaleDown"), settings.downscale_window)
    };
    Ok(Spec {
        api_version: text(target, "api_version").to_owned(),
        kind: text(target, "kind").to_owned(),
        name: text(target, "name").to_owned(),
        min: count(hpa, "min_replicas")?.unwrap_or(1),
        max: count(hpa, "max_replicas")?.ok_or("input hpa.max_replicas is missing")?,
        metrics: if metrics.is_empty() { vec![Metric::default_one()] } else { metrics },
        behavior: behavior.map(filled).transpose()?,
        generation: case.i64("generation").ok(),
    })
}

/// One entry of `metrics`, or of a status, as autoscaling/v2 writes it.
fn metric(of: &Value) -> Read<Metric> {
    let kind = text(of, "type");
    let (source, body) = source(kind, of);
    let target = body.get("target").unwrap_or(&Value::Null);
    let milli = |field: &str| quantity(target, field).map(|value| value.map(|value| value.to_milli_saturating().0));
    let target = Target {
        kind: text(target, "type").to_owned(),
        utilization: count(target, "averageUtilization")?,
        average: milli("averageValue")?,
        value: milli("value")?,
    };
    Ok(Metric { source, target })
}

fn source<'a>(kind: &str, of: &'a Value) -> (Source, &'a Value) {
    let body = |field: &str| of.get(field).unwrap_or(&Value::Null);
    let selector = |body: &Value| body.get("metric")?.get("selector").filter(|s| !s.is_null()).map(ToString::to_string);
    let name = |body: &Value| text(body.get("metric").unwrap_or(&Value::Null), "name").to_owned();
    match kind {
        "Resource" => {
            let body = body("resource");
            (Source::Resource { name: text(body, "name").to_owned() }, body)
        }
        "ContainerResource" => {
            let body = body("containerResource");
            let (name, container) = (text(body, "name").to_owned(), text(body, "container").to_owned());
            (Source::ContainerResource { name, container }, body)
        }
        "Pods" => {
            let body = body("pods");
            (Source::Pods { name: name(body), selector: selector(body) }, body)
        }
        "Object" => {
            let body = body("object");
            let described = body.get("describedObject").unwrap_or(&Value::Null);
            let source = Source::Object {
                api_version: text(described, "apiVersion").to_owned(),
                kind: text(described, "kind").to_owned(),
                object: text(described, "name").to_owned(),
                name: name(body),
                selector: selector(body),
            };
            (source, body)
        }
        "External" => {
            let body = body("external");
            (Source::External { name: name(body), selector: selector(body) }, body)
        }
        other => (Source::Unknown { kind: other.to_owned() }, &Value::Null),
    }
}

fn quantity(of: &Value, field: &str) -> Read<Option<Quantity>> {
    match of.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.parse().map(Some).map_err(|error| format!("{field}: {error}"))
        }
    }
}

fn state(case: &Case<'_>, hpa: &Value, target: &Value) -> Read<State> {
    let known = case.get("initial_status").unwrap_or(&Value::Null);
    let replicas = count(target, "spec_replicas")?.unwrap_or(0);
    let messages = known.get("condition_messages").unwrap_or(&Value::Null);
    let condition = |of: &Value| Condition {
        kind: ConditionType::from(text(of, "type")),
        status: match text(of, "status") {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        },
        reason: text(of, "reason").to_owned(),
        message: of
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_else(|| text(messages, text(of, "type")))
            .to_owned(),
        since: None,
    };
    let metrics = list(known.get("current_metrics")).iter().map(metric_status).collect::<Read<_>>()?;
    Ok(State {
        status: Status {
            observed_generation: number(known, "observed_generation"),
            current: count(known, "current_replicas")?.unwrap_or(replicas),
            desired: count(known, "desired_replicas")?.unwrap_or(replicas),
            last_scale: tick(hpa, "last_scale_time_s"),
            metrics,
            conditions: Conditions(list(hpa.get("initial_conditions")).iter().map(condition).collect()),
        },
        recommendations: match case.get("recommendations") {
            None => None,
            Some(_) => Some(case.recommendations("recommendations")?),
        },
        ups: case.events("scale_up_events")?,
        downs: case.events("scale_down_events")?,
    })
}

fn metric_status(of: &Value) -> Read<Option<MetricStatus>> {
    let kind = text(of, "type");
    if kind.is_empty() {
        return Ok(None);
    }
    let (source, body) = source(kind, of);
    let current = body.get("current").unwrap_or(&Value::Null);
    Ok(Some(MetricStatus {
        source,
        utilization: count(current, "averageUtilization")?,
        average: quantity(current, "averageValue")?,
        value: quantity(current, "value")?,
    }))
}

fn observation(case: &Case<'_>, target: &Value, spec: &Spec) -> Read<Observation> {
    let faults = case.get("faults").unwrap_or(&Value::Null);
    let fault = |name: &str| faults.get(name).and_then(Value::as_str).map(str::to_owned);
    let replicas = count(target, "spec_replicas")?.unwrap_or(0);
    let scale = Scale {
        replicas,
        existing: count(target, "status_replicas")?.unwrap_or(replicas),
        selector: text(target, "selector").to_owned(),
    };
    let other = |of: &Value| Other { name: text(of, "name").to_owned(), selector: text(of, "selector").to_owned() };
    Ok(Observation {
        scale: fault("get_scale").map_or(ScaleRead::Read(scale), ScaleRead::Failed),
        pods: case.pods()?,
        others: case.list("other_hpas").iter().map(other).collect(),
        answers: spec.metrics.iter().map(|metric| answer(case, &metric.source, &fault)).collect::<Read<_>>()?,
        write: Write {
            conflicts: number(faults, "update_scale_conflict_times").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            error: fault("update_scale"),
        },
    })
}

fn answer(case: &Case<'_>, source: &Source, fault: &impl Fn(&str) -> Option<String>) -> Read<Answer> {
    let (api, answer) = match source {
        Source::Resource { name } | Source::ContainerResource { name, .. } => {
            ("resource_metrics_api", Answer::Resource(case.usages(name)?))
        }
        Source::Pods { .. } => ("custom_metrics_api", Answer::Pods(case.values()?)),
        Source::Object { .. } => {
            let total = case.numbers("object_metric_milli")?.first().copied();
            let nothing = || Answer::Failed("no metrics returned from custom metrics API".to_owned());
            ("custom_metrics_api", total.map_or_else(nothing, Answer::Object))
        }
        Source::External { .. } => ("external_metrics_api", Answer::External(case.numbers("external_metric_milli")?)),
        Source::Unknown { .. } => return Ok(Answer::Failed("nobody is asked".to_owned())),
    };
    Ok(fault(api).map_or(answer, Answer::Failed))
}

/// All that a case may expect.
fn shown(reconciled: &Reconciled) -> Value {
    let status = &reconciled.state.status;
    let truth = |status: Option<bool>| match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let condition = |of: &Condition| {
        let (kind, status) = (of.kind.to_string(), truth(of.status));
        json!({ "type": kind, "status": status, "reason": of.reason, "message": of.message })
    };
    let event = |of: &tidegate_calculator::hpa::Event| {
        let kind = if of.warning { "Warning" } else { "Normal" };
        json!({ "type": kind, "reason": of.reason.reason(), "message": of.message })
    };
    let labels = |labels: &Labels| json!({ "action": labels.action.to_string(), "error": labels.error.to_string() });
    let metric_labels = reconciled.metric_labels.iter().map(|(kind, of)| (kind.clone(), labels(of)));
    json!({
        "desired_replicas": status.desired,
        "current_replicas": status.current,
        "scale_updated": reconciled.scaled,
        "attempted_replicas": reconciled.attempted,
        "status_update_sent": reconciled.status_changed,
        "conditions": status.conditions.0.iter().map(condition).collect::<Vec<_>>(),
        "events": reconciled.events.iter().map(event).collect::<Vec<_>>(),
        "reported_cpu_utilization_percent": cpu(&status.metrics),
        "reconciliation_label": labels(&reconciled.labels),
        "metric_computation_labels": metric_labels.collect::<Map<_, _>>(),
        "error": reconciled.error,
    })
}

/// The utilization of cpu that the status shows.
fn cpu(metrics: &[Option<MetricStatus>]) -> Option<i32> {
    let of_cpu = |status: &&MetricStatus| match &status.source {
        Source::Resource { name } | Source::ContainerResource { name, .. } => name == "cpu",
        _ => false,
    };
    metrics.iter().flatten().filter(of_cpu).find_map(|status| status.utilization)
}
