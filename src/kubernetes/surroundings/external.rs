//! Numbers of things outside of the cluster, from external.metrics.k8s.io.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind};
use tidegate_scalers::MetricQuery;

use super::refusal::{EXTERNAL, Question, Refusal};
use super::shared::{Api, Shared};
use super::wire::{self, MetricValues};

/// The only version that is served anywhere.
const VERSION: &str = "v1beta1";

/// A namespace and a metric.
type Key = (Arc<str>, MetricQuery);

/// The external metrics that somebody asks about.
#[derive(Clone)]
pub(super) struct External {
    client: Client,
    life: Duration,
    known: Shared<Key, Vec<Milli>>,
}

impl External {
    /// Asks this API server; an answer is given to all who ask within `life`.
    pub(super) fn new(client: Client, life: Duration) -> Self {
        Self { client, life, known: Shared::new(&Api::new()) }
    }

    /// All series of a metric.
    ///
    /// # Errors
    /// If the API does not answer, or has no series.
    pub(super) async fn series(
        &self,
        namespace: &str,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<Milli>, ReadError> {
        let key = (Arc::from(namespace), metric.clone());
        let question = || list(self.client.clone(), Arc::from(namespace), metric.clone());
        self.known.ask(key, self.life, deadline, question).await.map(|series| series.to_vec())
    }
}

async fn list(client: Client, namespace: Arc<str>, metric: MetricQuery) -> Result<Vec<Milli>, Refusal> {
    let question = Question::new(EXTERNAL, "list", metric.name.as_str(), &namespace);
    let path = wire::path(
        &["apis", EXTERNAL.group, VERSION, "namespaces", &namespace, &metric.name],
        &[("labelSelector", &metric.selector)],
    );
    let list: MetricValues = match wire::get(&client, &path).await {
        Ok(list) => list,
        Err(failure) => {
            let mut refusal = question.refusal(&failure);
            if refusal.absent && is_missing(&client).await {
                refusal.error = EXTERNAL.missing();
            }
            return Err(refusal);
        }
    };
    let milli = |value: &wire::MetricValue| value.milli().map_err(|why| question.malformed(&why));
    let series: Vec<Milli> = list.items.iter().map(milli).collect::<Result<_, _>>()?;
    if series.is_empty() {
        let selector =
            if metric.selector.is_empty() { String::new() } else { format!(" with labels {}", metric.selector) };
        let what = format!(
            "no metrics returned from external metrics API: {} in namespace {namespace}{selector} has no series",
            metric.name
        );
        return Err(ReadError::query(ReadErrorKind::Unavailable, what).into());
    }
    Ok(series)
}

/// A metric that is not found and an API that is not served look the same: what the API has in it tells them apart.
async fn is_missing(client: &Client) -> bool {
    let found = wire::get::<Value>(client, &wire::path(&["apis", EXTERNAL.group, VERSION], &[])).await;
    found.is_err_and(|failure| failure.is_not_found())
}
