//! From a question and the rules to an answer, as the three APIs and their discovery write it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tidegate_calculator::hpa::selector::Selector;

use super::VERSIONS;
use super::values::{Metric, Rule, application, by_age, is_ready, runs};

/// Why there is no answer.
type Refusal = (StatusCode, String);

/// One request, and all that its answer depends on.
pub(super) struct Question<'a> {
    /// The words of its path.
    pub(super) words: &'a [&'a str],
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) rules: &'a BTreeMap<(String, Metric), Rule>,
    pub(super) pods: &'a [Arc<Pod>],
}

impl Question<'_> {
    pub(super) fn answer(&self) -> Result<Value, Refusal> {
        match *self.words {
            ["apis"] => Ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()})),
            ["apis", group] => {
                let found = groups().into_iter().find(|one| one["name"] == group);
                found.ok_or_else(|| absent(&format!("there is no group {group}")))
            }
            ["apis", group, version] => resources(group, version),
            ["apis", "metrics.k8s.io", "v1beta1", "namespaces", namespace, "pods"] => self.usages(namespace),
            ["apis", "custom.metrics.k8s.io", version, "namespaces", namespace, "pods", "*", metric] => {
                self.pods_metric(version, namespace, metric)
            }
            ["apis", "custom.metrics.k8s.io", version, "namespaces", namespace, resource, name, metric] => {
                self.object_metric(version, namespace, [resource, name], metric)
            }
            ["apis", "external.metrics.k8s.io", "v1beta1", "namespaces", namespace, metric] => {
                self.external_metric(namespace, metric)
            }
            _ => Err(absent(&format!("nothing is served at /{}", self.words.join("/")))),
        }
    }

    /// metrics.k8s.io: what the containers of all matching pods use.
    fn usages(&self, namespace: &str) -> Result<Value, Refusal> {
        let selected = self.selector("labelSelector")?;
        let rules: Vec<(&str, &str, Rule)> = self.rules_of(namespace).filter_map(usage).collect();
        if rules.iter().any(|(_, _, rule)| *rule == Rule::Failing) {
            return Err(failing("the usage of pods"));
        }
        let window = rules.iter().map(|(_, _, rule)| rule.window()).max().unwrap_or(0);
        let items = self.ranked(namespace).into_iter().filter(|ranked| selected.matches(ranked.pod.labels()));
        let items = items.filter_map(|ranked| {
            let mut containers: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
            for (container, resource, rule) in &rules {
                if let Some(value) = rule.of_pod(ranked.rank, ranked.running) {
                    containers.entry(container).or_default().insert(resource, quantity(value));
                }
            }
            let containers: Vec<Value> =
                containers.into_iter().map(|(name, usage)| json!({"name": name, "usage": usage})).collect();
            // Of a pod that was never measured the API does not tell at all.
            (!containers.is_empty()).then(|| {
                json!({
                    "metadata": {"namespace": namespace, "name": ranked.pod.name_any(), "labels": ranked.pod.labels()},
                    "timestamp": now(), "window": format!("{window}s"), "containers": containers,
                })
            })
        });
        let items: Vec<Value> = items.collect();
        Ok(json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}))
    }

    /// custom.metrics.k8s.io: one value of every matching pod.
    fn pods_metric(&self, version: &str, namespace: &str, metric: &str) -> Result<Value, Refusal> {
        let selected = self.selector("labelSelector")?;
        let rule = self.rule(namespace, |known| matches!(known, Metric::Pods(name) if *name == metric), metric)?;
        let matching = self.ranked(namespace).into_iter().filter(|ranked| selected.matches(ranked.pod.labels()));
        let items = matching.filter_map(|ranked| {
            let value = rule.of_pod(ranked.rank, ranked.running)?;
            Some(custom(version, &["Pod", "v1", namespace, &ranked.pod.name_any()], metric, value))
        });
        Ok(custom_list(version, &items.collect::<Vec<_>>()))
    }

    /// custom.metrics.k8s.io: the value of one object, which is called like the application that it stands for.
    fn object_metric(
        &self,
        version: &str,
        namespace: &str,
        [resource, name]: [&str; 2],
        metric: &str,
    ) -> Result<Value, Refusal> {
        let (kind, api) = match resource {
            "services" => ("Service", "v1"),
            "deployments.apps" => ("Deployment", "apps/v1"),
            other => return Err(absent(&format!("no metrics describe {other}"))),
        };
        let rule = self.rule(namespace, |known| matches!(known, Metric::Object(name) if *name == metric), metric)?;
        let value = rule.of_application(self.ready(namespace, name));
        let value = value.ok_or_else(|| absent(&format!("{resource} {name} has no {metric}")))?;
        Ok(custom_list(version, &[custom(version, &[kind, api, namespace, name], metric, value)]))
    }

    /// external.metrics.k8s.io: one series for each application of the namespace.
    fn external_metric(&self, namespace: &str, metric: &str) -> Result<Value, Refusal> {
        let selected = self.selector("labelSelector")?;
        let rule = self.rule(namespace, |known| matches!(known, Metric::External(name) if *name == metric), metric)?;
        let mut applications: Vec<&str> = self.of(namespace).map(application).collect();
        applications.sort_unstable();
        applications.dedup();
        let items = applications.into_iter().filter_map(|name| {
            let labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
            let value = rule.of_application(self.ready(namespace, name)).filter(|_| selected.matches(&labels))?;
            Some(json!({"metricName": metric, "metricLabels": labels, "timestamp": now(), "value": quantity(value)}))
        });
        let items: Vec<Value> = items.collect();
        let api = "external.metrics.k8s.io/v1beta1";
        Ok(json!({"kind": "ExternalMetricValueList", "apiVersion": api, "metadata": {}, "items": items}))
    }

    /// The labels that are asked for.
    fn selector(&self, parameter: &str) -> Result<Labels, Refusal> {
        match self.parameters.get(parameter).filter(|text| !text.is_empty()) {
            None => Ok(Labels(None)),
            Some(text) => match Selector::parse(text) {
                Ok(selector) => Ok(Labels(Some(selector))),
                Err(error) => Err((StatusCode::BAD_REQUEST, format!("{parameter}: {error}"))),
            },
        }
    }

    /// What a namespace's metric says.
    fn rule(&self, namespace: &str, is: impl Fn(&Metric) -> bool, metric: &str) -> Result<Rule, Refusal> {
        match self.rules_of(namespace).find(|(known, _)| is(known)) {
            Some((_, Rule::Failing)) => Err(failing(metric)),
            Some((_, rule)) => Ok(rule),
            None => Err(absent(&format!("nobody has said what {metric} is in {namespace}"))),
        }
    }

    fn rules_of(&self, namespace: &str) -> impl Iterator<Item = (Metric, Rule)> {
        self.rules.iter().filter(move |((known, _), _)| known == namespace).map(|((_, metric), rule)| (*metric, *rule))
    }

    fn of(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        self.pods.iter().map(AsRef::as_ref).filter(move |pod| pod.metadata.namespace.as_deref() == Some(namespace))
    }

    /// How many pods of an application are ready.
    fn ready(&self, namespace: &str, name: &str) -> usize {
        self.of(namespace).filter(|pod| application(pod) == name && is_ready(pod)).count()
    }

    /// The pods of a namespace that run, each with its rank among those of its application.
    fn ranked(&self, namespace: &str) -> Vec<Ranked<'_>> {
        let mut applications: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in self.of(namespace).filter(|pod| runs(pod)) {
            applications.entry(application(pod)).or_default().push(pod);
        }
        let ranked = applications.into_values().flat_map(|mut pods| {
            pods.sort_by_cached_key(|pod| by_age(pod));
            let running = pods.len();
            pods.into_iter().enumerate().map(move |(rank, pod)| Ranked { pod, rank, running })
        });
        ranked.collect()
    }
}

/// A pod that runs, and its rank among those of its application, the oldest first.
struct Ranked<'a> {
    pod: &'a Pod,
    rank: usize,
    running: usize,
}

/// Labels that are asked for; none for all.
struct Labels(Option<Selector>);

impl Labels {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

fn usage((metric, rule): (Metric, Rule)) -> Option<(&'static str, &'static str, Rule)> {
    match metric {
        Metric::Usage { container, resource } => Some((container, resource, rule)),
        Metric::Pods(_) | Metric::Object(_) | Metric::External(_) => None,
    }
}

/// The discovery of all groups; the first version of each is its preferred one.
fn groups() -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (group, version) in VERSIONS {
        let named = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        groups.entry(group).or_default().push(named);
    }
    let whole = |(name, versions): (&str, Vec<Value>)| json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]});
    groups.into_iter().map(whole).collect()
}

/// The discovery of one version.
fn resources(group: &str, version: &str) -> Result<Value, Refusal> {
    if !VERSIONS.contains(&(group, version)) {
        return Err(absent(&format!("there is no {group}/{version}")));
    }
    let (name, kind, verbs) = match group {
        "metrics.k8s.io" => ("pods", "PodMetrics", json!(["get", "list"])),
        // Real adapters list every metric that they know; nobody depends on it.
        "custom.metrics.k8s.io" => ("*/*", "MetricValueList", json!(["get"])),
        _ => ("*", "ExternalMetricValueList", json!(["get"])),
    };
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
        "resources": [{"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs}],
    }))
}

/// One value of the custom metrics API; the two versions name the metric in different ways.
fn custom(version: &str, [kind, api, namespace, name]: &[&str; 4], metric: &str, value: i64) -> Value {
    let mut item = json!({
        "describedObject": {"kind": kind, "apiVersion": api, "namespace": namespace, "name": name},
        "timestamp": now(), "value": quantity(value),
    });
    if version == "v1beta1" {
        item["metricName"] = json!(metric);
    } else {
        item["metric"] = json!({"name": metric});
    }
    item
}

fn custom_list(version: &str, items: &[Value]) -> Value {
    let api = format!("custom.metrics.k8s.io/{version}");
    json!({"kind": "MetricValueList", "apiVersion": api, "metadata": {}, "items": items})
}

fn absent(why: &str) -> Refusal {
    (StatusCode::NOT_FOUND, why.to_owned())
}

fn failing(metric: &str) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{metric} cannot be had at the moment"))
}

/// Thousandths as a quantity.
fn quantity(value: i64) -> String {
    format!("{value}m")
}

/// Whole seconds that have passed, as Kubernetes writes times.
fn now() -> String {
    let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    Timestamp::now().round(whole).unwrap().to_string()
}
