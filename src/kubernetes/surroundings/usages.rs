//! What pods use, from metrics.k8s.io: one list of a namespace for all who ask about it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tidegate_calculator::hpa::samples::PodUsage;
use tidegate_calculator::source::{Deadline, Milli, ReadError};
use tidegate_calculator::time::Span;

use super::refusal::{Question, RESOURCE, Refusal};
use super::shared::{Api, Shared};
use super::view::tick;
use super::wire::{self, PodMetrics, PodMetricsList};

/// The only version that is served anywhere.
const VERSION: &str = "v1beta1";

/// What the pods of a namespace use, by their names.
pub(super) type Namespace = HashMap<String, Usage>;

/// What one pod uses.
#[derive(Debug)]
pub(super) struct Usage {
    at: Timestamp,
    window: Span,
    containers: Vec<(String, BTreeMap<String, Milli>)>,
}

/// The usages of all namespaces that somebody asks about.
#[derive(Clone)]
pub(super) struct Usages {
    client: Client,
    life: Duration,
    known: Shared<Arc<str>, Namespace>,
}

impl Usages {
    /// Asks this API server; an answer is given to all who ask within `life`.
    pub(super) fn new(client: Client, life: Duration) -> Self {
        Self { client, life, known: Shared::new(&Api::new()) }
    }

    /// What the pods of a namespace use.
    ///
    /// # Errors
    /// If the API does not answer, or not in a way that can be understood.
    pub(super) async fn of(&self, namespace: &Arc<str>, deadline: Deadline) -> Result<Arc<Namespace>, ReadError> {
        let question = || list(self.client.clone(), namespace.clone());
        self.known.ask(namespace.clone(), self.life, deadline, question).await
    }
}

impl Usage {
    /// What the pod uses of one resource, with its time counted from `now`.
    pub(super) fn of(&self, pod: &str, resource: &str, now: Timestamp) -> PodUsage {
        let of = |usage: &BTreeMap<String, Milli>| usage.get(resource).map(|milli| milli.0);
        PodUsage {
            pod: pod.to_owned(),
            at: tick(self.at, now),
            window: self.window,
            containers: self.containers.iter().map(|(name, usage)| (name.clone(), of(usage))).collect(),
        }
    }
}

async fn list(client: Client, namespace: Arc<str>) -> Result<Namespace, Refusal> {
    let question = Question::new(RESOURCE, "list", "pods", &namespace);
    let path = wire::path(&["apis", RESOURCE.group, VERSION, "namespaces", &namespace, "pods"], &[]);
    let list: PodMetricsList = wire::get(&client, &path).await.map_err(|failure| {
        let mut refusal = question.refusal(&failure);
        if refusal.absent {
            // A list of a namespace is never absent: the API is.
            refusal.error = RESOURCE.missing();
        }
        refusal
    })?;
    let usages = list.items.into_iter().map(|metrics| usage(metrics).map_err(|why| question.malformed(&why)));
    Ok(usages.collect::<Result<_, _>>()?)
}

fn usage(metrics: PodMetrics) -> Result<(String, Usage), String> {
    let window = metrics.window()?;
    let name = metrics.metadata.name;
    let milli = |(resource, value): (String, serde_json::Value)| {
        let milli = wire::milli(&value).map_err(|why| format!("{resource} of pod {name}: {why}"))?;
        Ok((resource, milli))
    };
    let containers = metrics.containers.into_iter().map(|container| {
        let usage = container.usage.into_iter().map(milli).collect::<Result<_, String>>()?;
        Ok((container.name, usage))
    });
    let containers = containers.collect::<Result<_, String>>()?;
    // One without a time is as old as can be: nothing is believed of a pod that has just started.
    let at = metrics.timestamp.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok((name, Usage { at, window, containers }))
}
