//! Reads the metrics of a HorizontalPodAutoscaler: what each reads, and what it is compared with.

use serde_json::Value;
use tidegate_calculator::source::MetricType;

use super::fields::{Fields, Found};
use super::selector;

/// How a version spells metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// v2beta1 and the annotation of v1: `metricName`, `targetAverageValue`.
    Old,
    /// v2beta2 and v2: `metric.name`, `target.averageValue`.
    New,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) source: Source,
    /// `triggers[].metricType` of what it becomes.
    pub(super) compared: MetricType,
    /// The target as it is written: a quantity, or a percentage.
    pub(super) amount: String,
}

/// What a metric reads.
#[derive(Debug)]
pub(super) enum Source {
    /// `cpu` or `memory` of the pods, or of one of their containers.
    Resource { name: String, container: Option<String> },
    /// A metric of every pod.
    Pods(Named),
    /// A metric of one object.
    Object { api_version: Option<String>, kind: String, name: String, metric: Named },
    /// A metric from outside of the cluster.
    External(Named),
}

/// A metric's name and which of its series count.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    /// A label selector as text; empty for all.
    pub(super) selector: String,
}

/// The possible targets of a metric, as they are given.
struct Targets<'a> {
    fields: Fields<'a>,
    names: Names,
    kind: Option<String>,
    utilization: Option<String>,
    average: Option<String>,
    value: Option<String>,
}

/// How the targets are called.
#[derive(Clone, Copy)]
struct Names {
    utilization: &'static str,
    average: &'static str,
    value: &'static str,
}

const NEW: Names = Names { utilization: "averageUtilization", average: "averageValue", value: "value" };
const OLD: Names =
    Names { utilization: "targetAverageUtilization", average: "targetAverageValue", value: "targetValue" };
/// The old spelling of an object's metric.
const OLD_OBJECT: Names = Names { average: "averageValue", ..OLD };

/// The types of metrics, and the field that each has its source in.
const TYPES: [(&str, &str); 5] = [
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("Pods", "pods"),
    ("Object", "object"),
    ("External", "external"),
];

impl Metric {
    /// Percent of the cpu that the pods request.
    pub(super) fn cpu(percent: i64) -> Self {
        let source = Source::Resource { name: "cpu".to_owned(), container: None };
        Self { source, compared: MetricType::Utilization, amount: percent.to_string() }
    }

    /// Whether it can be read while there are no pods.
    pub(super) fn is_without_pods(&self) -> bool {
        matches!(self.source, Source::Object { .. } | Source::External(_))
    }
}

/// Reads one entry of `metrics`.
pub(super) fn read(entry: &Fields<'_>, dialect: Dialect, found: &mut Found) -> Option<Metric> {
    let kind = entry.required_text("type", found)?;
    let Some((_, field)) = TYPES.iter().find(|(known, _)| *known == kind) else {
        let known = TYPES.map(|(known, _)| known).join(", ");
        found.refuse(entry.at("type"), Some(&kind.into()), format!("is not one of {known}"));
        return None;
    };
    entry.only(&["type", field], found);
    let source = entry.required_child(field, found)?;
    match *field {
        "resource" => resource(&source, false, dialect, found),
        "containerResource" => resource(&source, true, dialect, found),
        "pods" => pods(&source, dialect, found),
        "object" => object(&source, dialect, found),
        _ => external(&source, dialect, found),
    }
}

fn resource(fields: &Fields<'_>, of_container: bool, dialect: Dialect, found: &mut Found) -> Option<Metric> {
    let own: &[&str] = if of_container { &["name", "container"] } else { &["name"] };
    let targets = Targets::read(fields, own, dialect, OLD, found)?;
    let container = if of_container { Some(fields.required_text("container", found)?) } else { None };
    let name = fields.required_text("name", found)?;
    if name != "cpu" && name != "memory" {
        let allowed = "is not cpu or memory, the resources that triggers read; use a Pods or External metric instead";
        found.refuse(fields.at("name"), Some(&name.into()), allowed);
        return None;
    }
    let (compared, amount) = match (&targets.average, &targets.utilization) {
        (Some(average), _) => (MetricType::AverageValue, average.clone()),
        (None, Some(percent)) => (MetricType::Utilization, percent.clone()),
        (None, None) => return targets.missing(&[targets.names.utilization, targets.names.average], found),
    };
    Some(Metric { source: Source::Resource { name, container }, compared, amount })
}

fn pods(fields: &Fields<'_>, dialect: Dialect, found: &mut Found) -> Option<Metric> {
    let own: &[&str] = if dialect == Dialect::Old { &["metricName", "selector"] } else { &["metric"] };
    let targets = Targets::read(fields, own, dialect, OLD, found)?;
    let metric = named(fields, dialect, "selector", found)?;
    let Some(amount) = targets.average.clone() else { return targets.missing(&[targets.names.average], found) };
    Some(Metric { source: Source::Pods(metric), compared: MetricType::AverageValue, amount })
}

fn object(fields: &Fields<'_>, dialect: Dialect, found: &mut Found) -> Option<Metric> {
    let (own, described): (&[&str], _) = match dialect {
        Dialect::Old => (&["metricName", "selector", "target"], "target"),
        Dialect::New => (&["metric", "describedObject"], "describedObject"),
    };
    let targets = Targets::read(fields, own, dialect, OLD_OBJECT, found)?;
    let metric = named(fields, dialect, "selector", found)?;
    let object = fields.required_child(described, found)?;
    object.only(&["apiVersion", "kind", "name"], found);
    let api_version = object.text("apiVersion", found);
    let (kind, name) = (object.required_text("kind", found), object.required_text("name", found));
    let (compared, amount) = targets.of_total(found)?;
    Some(Metric { source: Source::Object { api_version, kind: kind?, name: name?, metric }, compared, amount })
}

fn external(fields: &Fields<'_>, dialect: Dialect, found: &mut Found) -> Option<Metric> {
    let own: &[&str] = if dialect == Dialect::Old { &["metricName", "metricSelector"] } else { &["metric"] };
    let targets = Targets::read(fields, own, dialect, OLD, found)?;
    let metric = named(fields, dialect, "metricSelector", found)?;
    // An autoscaler does not look at the type here (hpa-algorithm §6.5).
    let (compared, amount) = Targets { kind: None, ..targets }.of_total(found)?;
    Some(Metric { source: Source::External(metric), compared, amount })
}

/// The metric's name and selector; `old_selector` is where the old spelling has the second.
fn named(fields: &Fields<'_>, dialect: Dialect, old_selector: &str, found: &mut Found) -> Option<Named> {
    if dialect == Dialect::Old {
        let selector = selector::text(fields.child(old_selector, found).as_ref(), found);
        return Some(Named { name: fields.required_text("metricName", found)?, selector });
    }
    let metric = fields.required_child("metric", found)?;
    metric.only(&["name", "selector"], found);
    let selector = selector::text(metric.child("selector", found).as_ref(), found);
    Some(Named { name: metric.required_text("name", found)?, selector })
}

impl<'a> Targets<'a> {
    /// Reads what stands beside the fields `own` in the old spelling, and in `target` in the new one.
    fn read(source: &Fields<'a>, own: &[&str], dialect: Dialect, old: Names, found: &mut Found) -> Option<Self> {
        let (fields, names) = match dialect {
            Dialect::Old => (source.clone(), old),
            Dialect::New => {
                source.only(&[own, &["target"]].concat(), found);
                (source.required_child("target", found)?, NEW)
            }
        };
        let own: &[&str] = if dialect == Dialect::New { &["type"] } else { own };
        fields.only(&[own, &[names.utilization, names.average, names.value]].concat(), found);
        let kind = if dialect == Dialect::New { fields.text("type", found) } else { None };
        let known = ["Utilization", "Value", "AverageValue"];
        if let Some(kind) = kind.as_deref().filter(|kind| !known.contains(kind)) {
            found.refuse(fields.at("type"), Some(&Value::from(kind)), format!("is not one of {}", known.join(", ")));
        }
        Some(Self {
            names,
            kind,
            utilization: fields.integer(names.utilization, 1, found).map(|percent| percent.to_string()),
            average: fields.quantity(names.average, found),
            value: fields.quantity(names.value, found),
            fields,
        })
    }

    /// The target of a metric that is one number: what `type` says, else the average if it is there.
    fn of_total(self, found: &mut Found) -> Option<(MetricType, String)> {
        let Names { average, value, .. } = self.names;
        let wanted: &[&str] = match self.kind.as_deref() {
            Some("Value") => &[value],
            Some("AverageValue") => &[average],
            _ => &[average, value],
        };
        let takes = |name: &str| wanted.contains(&name);
        match (&self.average, &self.value) {
            (Some(amount), _) if takes(average) => Some((MetricType::AverageValue, amount.clone())),
            (_, Some(amount)) if takes(value) => Some((MetricType::Value, amount.clone())),
            _ => self.missing(wanted, found),
        }
    }

    /// Says that one of these is needed, unless what is there was refused already.
    fn missing<T>(&self, wanted: &[&str], found: &mut Found) -> Option<T> {
        if wanted.iter().all(|name| self.fields.get(name).is_none()) {
            found.refuse(self.fields.path(), None, format!("needs {}", wanted.join(" or ")));
        }
        None
    }
}
