//! Reads the parts of a case. What cannot be read is an error that names the field.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_calculator::hpa::history::{Recommended, Scaled};
use tidegate_calculator::hpa::pods::{Container, Phase, Pod, Readiness, Youth};
use tidegate_calculator::hpa::ratio::Tolerance;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue, Sample};
use tidegate_calculator::hpa::spec::Settings;
use tidegate_calculator::time::{Span, Tick};

/// All cases play at this moment.
pub(crate) const NOW: Tick = Tick(0);

/// One case, and the file that holds its settings.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) file: &'a Value,
    pub(crate) entry: &'a Value,
}

type Read<T> = Result<T, String>;

impl<'a> Case<'a> {
    /// A field of `input`, else of the case itself; null is absent.
    pub(crate) fn get(&self, field: &str) -> Option<&'a Value> {
        let within = |of: &'a Value| of.get(field).filter(|value| !value.is_null());
        self.entry.get("input").and_then(within).or_else(|| within(self.entry))
    }

    /// A setting: of the case, else of the file.
    fn setting(&self, field: &str) -> Option<&'a Value> {
        let controller = |of: &'a Value| of.get("controller").and_then(|controller| controller.get(field));
        self.get(field)
            .or_else(|| controller(self.entry))
            .or_else(|| controller(self.file))
            .or_else(|| self.file.get(field))
            .filter(|value| !value.is_null())
    }

    pub(crate) fn i64(&self, field: &str) -> Read<i64> {
        self.get(field).and_then(Value::as_i64).ok_or_else(|| format!("input {field} is not a whole number"))
    }

    pub(crate) fn i32(&self, field: &str) -> Read<i32> {
        i32::try_from(self.i64(field)?).map_err(|_| format!("input {field} does not fit 32 bits"))
    }

    pub(crate) fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field).and_then(Value::as_str)
    }

    pub(crate) fn list(&self, field: &str) -> &'a [Value] {
        list(self.get(field))
    }

    /// A number or a list of them.
    pub(crate) fn numbers(&self, field: &str) -> Read<Vec<i64>> {
        let number =
            |value: &Value| value.as_i64().ok_or_else(|| format!("input {field}: {value} is not a whole number"));
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(number).collect(),
            Some(value) => Ok(vec![number(value)?]),
        }
    }

    pub(crate) fn map(&self, field: &str) -> Read<BTreeMap<&'a str, i64>> {
        let Some(Value::Object(map)) = self.get(field) else {
            return Err(format!("input {field} is no object"));
        };
        let pair = |(key, value): (&'a String, &'a Value)| {
            let number = value.as_i64().ok_or_else(|| format!("input {field}.{key} is not a whole number"))?;
            Ok((key.as_str(), number))
        };
        map.iter().map(pair).collect()
    }

    pub(crate) fn span(&self, field: &str) -> Read<Span> {
        Ok(span(self.i64(field)?))
    }

    pub(crate) fn tolerance(&self) -> Tolerance {
        let both = self.setting("tolerance");
        let of = |direction: &str| {
            let own = both.and_then(|both| both.get(direction)).or_else(|| self.get(&format!("{direction}_tolerance")));
            own.or(both).and_then(Value::as_f64).unwrap_or(Settings::default().tolerance)
        };
        Tolerance { up: of("scale_up"), down: of("scale_down") }
    }

    pub(crate) fn settings(&self) -> Settings {
        let usual = Settings::default();
        let number = |field: &str, usual: f64| self.setting(field).and_then(Value::as_f64).unwrap_or(usual);
        let seconds = |field: &str, usual: Span| self.setting(field).and_then(Value::as_i64).map_or(usual, span);
        let gate = |name: &str, usual: bool| {
            let gate = self.get("gates").or_else(|| self.file.get("gates")).and_then(|gates| gates.get(name));
            gate.and_then(Value::as_bool).unwrap_or(usual)
        };
        let pod_level = self.setting("pod_level_resources_enabled").and_then(Value::as_bool);
        Settings {
            tolerance: number("tolerance", usual.tolerance),
            downscale_window: seconds("downscale_stabilization_window_s", usual.downscale_window),
            youth: Youth {
                initialization: seconds("cpu_initialization_period_s", usual.youth.initialization),
                readiness_delay: seconds("initial_readiness_delay_s", usual.youth.readiness_delay),
            },
            scale_up_factor: number("scale_up_limit_factor", usual.scale_up_factor),
            scale_up_least: number("scale_up_limit_minimum", usual.scale_up_least),
            // Off unless the case sets it.
            scale_to_zero: gate("HPAScaleToZero", false),
            configurable_tolerance: gate("HPAConfigurableTolerance", usual.configurable_tolerance),
            pod_level_resources: pod_level.unwrap_or_else(|| gate("PodLevelResources", usual.pod_level_resources)),
        }
    }

    pub(crate) fn pods(&self) -> Read<Vec<Pod>> {
        self.list("pods").iter().map(pod).collect()
    }

    /// What the resource metrics API answers for one resource.
    pub(crate) fn usages(&self, resource: &str) -> Read<Vec<PodUsage>> {
        let field = format!("{resource}_usage_milli");
        let usage = |value: &Value| {
            let containers = list(value.get("containers")).iter();
            let container = |of: &Value| (text(of, "name").to_owned(), of.get(&field).and_then(Value::as_i64));
            Ok(PodUsage {
                pod: text(value, "pod").to_owned(),
                at: tick(value, "timestamp_s").unwrap_or(NOW),
                window: number(value, "window_s").map_or(Span::seconds(60), span),
                containers: containers.map(container).collect(),
            })
        };
        self.list("resource_metrics").iter().map(usage).collect()
    }

    /// What the custom metrics API answers for the pods.
    pub(crate) fn values(&self) -> Read<Vec<PodValue>> {
        let value = |of: &Value| {
            let value = number(of, "value_milli").ok_or_else(|| format!("pod_metrics: {of} has no value_milli"))?;
            let at = tick(of, "timestamp_s").unwrap_or(NOW);
            let window = number(of, "window_s").map_or(Span::seconds(60), span);
            Ok(PodValue { pod: text(of, "pod").to_owned(), sample: Sample { value, at, window } })
        };
        self.list("pod_metrics").iter().map(value).collect()
    }

    pub(crate) fn recommendations(&self, field: &str) -> Read<Vec<Recommended>> {
        let one = |of: &Value| {
            let replicas = number(of, "recommendation").and_then(|n| i32::try_from(n).ok());
            let replicas = replicas.ok_or_else(|| format!("{field}: {of} has no recommendation"))?;
            Ok(Recommended { at: age(of), replicas })
        };
        self.list(field).iter().map(one).collect()
    }

    pub(crate) fn events(&self, field: &str) -> Read<Vec<Scaled>> {
        let one = |of: &Value| {
            let amount = number(of, "replica_change").and_then(|n| i32::try_from(n).ok());
            let amount = amount.ok_or_else(|| format!("{field}: {of} has no replica_change"))?;
            let outdated = of.get("outdated").and_then(Value::as_bool).unwrap_or(false);
            Ok(Scaled { at: age(of), amount, outdated })
        };
        self.list(field).iter().map(one).collect()
    }
}

pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(of: &Value, field: &str) -> Option<i64> {
    of.get(field).and_then(Value::as_i64)
}

pub(crate) fn span(seconds: i64) -> Span {
    Span::seconds(seconds)
}

/// A moment so many seconds after now.
pub(crate) fn tick(of: &Value, field: &str) -> Option<Tick> {
    number(of, field).map(|seconds| NOW + span(seconds))
}

/// A moment so many seconds before now.
fn age(of: &Value) -> Tick {
    NOW - span(number(of, "age_s").unwrap_or(0))
}

fn pod(of: &Value) -> Read<Pod> {
    let phase = match of.get("phase").and_then(Value::as_str) {
        Some("Pending") => Phase::Pending,
        Some("Running") | None => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        Some(other) => return Err(format!("pods: phase {other:?} is unknown")),
    };
    let readiness = |condition: &Value| Readiness {
        status: match text(condition, "status") {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        },
        since: tick(condition, "last_transition_s").unwrap_or(NOW),
    };
    let labels = of.get("labels").and_then(Value::as_object);
    let label = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
    Ok(Pod {
        name: text(of, "name").to_owned(),
        labels: labels.map(|labels| labels.iter().map(label).collect()).unwrap_or_default(),
        phase,
        deleted: of.get("deleted").and_then(Value::as_bool).unwrap_or(false),
        started: tick(of, "start_time_s"),
        ready: of.get("ready_condition").filter(|condition| !condition.is_null()).map(readiness),
        containers: list(of.get("containers")).iter().map(container).collect(),
        init_containers: list(of.get("init_containers")).iter().map(container).collect(),
        requests: requests(of, "pod_level_"),
    })
}

fn container(of: &Value) -> Container {
    let restartable = of.get("restartable").and_then(Value::as_bool).unwrap_or(false);
    Container { name: text(of, "name").to_owned(), requests: requests(of, ""), restartable }
}

/// Every `RESOURCE_request_milli` with a number.
fn requests(of: &Value, prefix: &str) -> BTreeMap<String, i64> {
    let request = |(field, value): (&String, &Value)| {
        let resource = field.strip_prefix(prefix)?.strip_suffix("_request_milli")?;
        Some((resource.to_owned(), value.as_i64()?))
    };
    of.as_object().into_iter().flatten().filter_map(request).collect()
}
