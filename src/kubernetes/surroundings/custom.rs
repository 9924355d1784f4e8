//! Numbers of pods and other objects, from custom.metrics.k8s.io.
//!
//! A metric of pods is asked for with the selector of the target as long as one target asks for it, as a HorizontalPodAutoscaler does. When
//! several targets of a namespace ask, it is asked once for all pods, and everybody takes those of his own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind};
use tidegate_calculator::time::Span;
use tidegate_scalers::{Described, MetricQuery};
use tokio::time::Instant;

use super::described::Resources;
use super::refusal::{CUSTOM, Question, Refusal};
use super::shared::{Api, Shared};
use super::versions::Versions;
use super::wire::{self, MetricValues};

/// Over which time a value was taken that does not say, as for a HorizontalPodAutoscaler.
const WINDOW: Span = Span::seconds(60);
/// A target that has not asked for this time asks no more.
const GONE: Duration = Duration::from_mins(5);

/// One value of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// The value.
    pub(super) milli: Milli,
    /// When it was taken.
    pub(super) at: Timestamp,
    /// Over which time it was taken.
    pub(super) window: Span,
}

/// The values of pods, by their names.
pub(super) type Values = HashMap<String, Value>;

/// A namespace and a metric.
type Metric = (Arc<str>, MetricQuery);

/// The custom metrics that somebody asks about.
#[derive(Clone)]
pub(super) struct Custom {
    client: Client,
    life: Duration,
    versions: Versions,
    resources: Resources,
    pods: Shared<(Metric, String), Values>,
    objects: Shared<(Metric, Described), Milli>,
    askers: Arc<Mutex<HashMap<Metric, HashMap<String, Instant>>>>,
}

impl Custom {
    /// Asks this API server; an answer is given to all who ask within `life`.
    pub(super) fn new(client: Client, life: Duration) -> Self {
        let api = Api::new();
        Self {
            versions: Versions::new(client.clone()),
            resources: Resources::new(client.clone()),
            client,
            life,
            pods: Shared::new(&api),
            objects: Shared::new(&api),
            askers: Arc::default(),
        }
    }

    /// The values of pods: at least of those that the selector matches.
    ///
    /// # Errors
    /// If the API does not answer, or not in a way that can be understood.
    pub(super) async fn of_pods(
        &self,
        namespace: &Arc<str>,
        selector: &str,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Arc<Values>, ReadError> {
        let of = (namespace.clone(), metric.clone());
        let selector = if self.others_ask(&of, selector) { String::new() } else { selector.to_owned() };
        let question = || {
            let (custom, of, selector) = (self.clone(), of.clone(), selector.clone());
            async move { custom.list(&of.0, &selector, &of.1).await }
        };
        self.pods.ask((of.clone(), selector.clone()), self.life, deadline, question).await
    }

    /// The value of one object.
    ///
    /// # Errors
    /// If the API does not answer, or there is no such kind or value.
    pub(super) async fn of_object(
        &self,
        namespace: &Arc<str>,
        object: &Described,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Milli, ReadError> {
        let key = ((namespace.clone(), metric.clone()), object.clone());
        let question = || {
            let (custom, (of, object)) = (self.clone(), key.clone());
            async move { custom.get(&of.0, &object, &of.1).await }
        };
        self.objects.ask(key.clone(), self.life, deadline, question).await.map(|milli| *milli)
    }

    /// Notes who asks, and says whether somebody with another selector asks for the same.
    fn others_ask(&self, metric: &Metric, selector: &str) -> bool {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let lives = |at: &Instant| now.saturating_duration_since(*at) < GONE;
        if askers.len() == askers.capacity() {
            askers.retain(|_, selectors| selectors.values().any(lives));
        }
        let selectors = askers.entry(metric.clone()).or_default();
        selectors.retain(|_, at| lives(at));
        selectors.insert(selector.to_owned(), now);
        selectors.len() > 1
    }

    async fn list(&self, namespace: &str, selector: &str, metric: &MetricQuery) -> Result<Values, Refusal> {
        let question = Question::new(CUSTOM, "get", format!("pods/{}", metric.name), namespace);
        let list = self.ask(&question, &["namespaces", namespace, "pods", "*", &metric.name], selector, metric).await?;
        let values = list.items.into_iter().map(|item| {
            let pod = item.described_object.as_ref().map(|object| object.name.clone()).unwrap_or_default();
            let milli = item.milli().map_err(|why| question.malformed(&format!("pod {pod}: {why}")))?;
            let at = item.timestamp.unwrap_or(Timestamp::UNIX_EPOCH);
            Ok((pod, Value { milli, at, window: item.window_seconds.map_or(WINDOW, Span::seconds) }))
        });
        Ok(values.collect::<Result<_, ReadError>>()?)
    }

    async fn get(&self, namespace: &str, object: &Described, metric: &MetricQuery) -> Result<Milli, Refusal> {
        let is_namespace = object.kind == "Namespace" && ["", "v1"].contains(&object.api_version.as_str());
        let list;
        let question;
        if is_namespace {
            // Whatever its name: a trigger sees no other namespace than its own.
            question = Question::new(CUSTOM, "get", format!("metrics/{}", metric.name), namespace);
            list = self.ask(&question, &["namespaces", namespace, "metrics", &metric.name], "", metric).await?;
        } else {
            let resource = self.resources.of(&object.api_version, &object.kind).await?;
            question = Question::new(CUSTOM, "get", format!("{resource}/{}", metric.name), namespace);
            let parts = ["namespaces", namespace, resource.as_str(), &object.name, &metric.name];
            list = self.ask(&question, &parts, "", metric).await?;
        }
        let [value] = list.items.as_slice() else {
            let what = format!(
                "the API {} answered {} values when it was asked for the one of {} {}",
                CUSTOM.group,
                list.items.len(),
                object.kind,
                object.name
            );
            return Err(ReadError::query(ReadErrorKind::Unavailable, what).into());
        };
        Ok(value.milli().map_err(|why| question.malformed(&why))?)
    }

    async fn ask(
        &self,
        question: &Question,
        parts: &[&str],
        selector: &str,
        metric: &MetricQuery,
    ) -> Result<MetricValues, Refusal> {
        let version = self.versions.get().await?;
        let whole: Vec<&str> = ["apis", CUSTOM.group, version].iter().chain(parts).copied().collect();
        let path = wire::path(&whole, &[("labelSelector", selector), ("metricLabelSelector", &metric.selector)]);
        wire::get(&self.client, &path).await.map_err(|failure| {
            let refusal = question.refusal(&failure);
            if refusal.absent {
                self.versions.doubt();
            }
            refusal
        })
    }
}
