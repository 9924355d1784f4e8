//! What triggers see of the cluster: the pods of their target, and the numbers of the metrics APIs.
//!
//! * [`rooms`] watch what somebody asks about, place by place, as long as somebody does.
//! * [`selectors`] know which pods belong to a target; [`pods`] are those of the namespaces in which somebody asks,
//!   and [`stock`] finds those of one target among them. [`texts`] are the contents of single ConfigMaps and Secrets.
//! * [`counter`] counts the Ready ones of targets that do not show them.
//! * [`usages`], [`custom`] and [`external`] ask the three metrics APIs. Whoever asks the same at the same moment shares one question
//!   ([`shared`]), so a thousand objects of a namespace cost one list.
//! * [`endpoints`] are the addresses behind a Service, asked for in the same way.
//! * [`refusal`] says in the words of a read error what went wrong: which API, which right, and what would mend it.

pub(super) mod counter;
mod custom;
mod described;
mod endpoints;
mod external;
mod pods;
mod refusal;
mod rooms;
mod selectors;
mod shared;
mod stock;
#[cfg(test)]
mod tests;
mod texts;
mod usages;
mod versions;
mod view;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use tidegate_calculator::hpa::pods::Pod;
use tidegate_calculator::hpa::samples::{PodUsage, PodValue, Sample};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind, TargetRef, Wake};
use tidegate_scalers::{
    Described, Holder, MetricQuery, PodAddress, PodPlace, ServiceEndpoint, Surroundings, Texts, Watch,
};
use tokio::time::Instant;

use self::counter::{Counter, Counts};
use self::custom::Custom;
use self::endpoints::Endpoints;
use self::external::External;
use self::pods::Pods;
use self::rooms::Times;
use self::selectors::{Selected, Selectors};
use self::texts::Holders;
use self::usages::Usages;
use self::view::{Kept, tick};
use super::patience::Patience;
use super::watch::kinds::Kinds;

/// Answers of the metrics APIs are given to all who ask within this time. It is well below the shortest usual pause between two looks (1 s):
/// else every second look would only see what the one before it saw.
const LIFE: Duration = Duration::from_millis(500);

/// A cluster around triggers. Copies share what they have seen.
#[derive(Clone)]
pub(super) struct ClusterSurroundings {
    selectors: Selectors,
    pods: Pods,
    usages: Usages,
    custom: Custom,
    external: External,
    endpoints: Endpoints,
    holders: Holders,
}

impl ClusterSurroundings {
    /// The cluster behind this client. Nothing is asked before somebody asks for it; then it needs a tokio runtime.
    pub(super) fn new(client: &Client) -> Self {
        Self::with_times(client, rooms::usual_patience(), Times::default(), LIFE)
    }

    /// Counts the Ready pods of these targets.
    pub(super) fn counter(&self, counts: Counts) -> Counter {
        Counter::new(counts, self.pods.clone())
    }

    fn with_times(client: &Client, patience: Patience, times: Times, life: Duration) -> Self {
        Self {
            selectors: Selectors::new(client.clone(), Kinds::new(client.clone())),
            holders: Holders::new(client, &patience, times),
            pods: Pods::new(client.clone(), patience, times),
            usages: Usages::new(client.clone(), life),
            custom: Custom::new(client.clone(), life),
            external: External::new(client.clone(), life),
            endpoints: Endpoints::new(client.clone(), life),
        }
    }

    /// The target's selector, and the pods that it matches.
    async fn matching(&self, target: &TargetRef, until: Until) -> Result<(Arc<Selected>, Vec<Arc<Kept>>), ReadError> {
        let selected = self.selectors.of(target, until.left()).await?;
        let pods = self.pods.matching(&target.namespace, &selected.selector, until.left()).await?;
        if pods.is_empty() {
            self.selectors.doubt(target);
        }
        Ok((selected, pods))
    }
}

impl fmt::Debug for ClusterSurroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSurroundings")
    }
}

/// The end of a deadline: several steps share it.
#[derive(Clone, Copy)]
struct Until(Instant);

impl Until {
    fn after(deadline: Deadline) -> Self {
        Self(Instant::now() + deadline)
    }

    fn left(self) -> Deadline {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A HorizontalPodAutoscaler fails in the same words.
fn nothing(api: &str, target: &TargetRef) -> ReadError {
    let what = format!("no metrics returned from {api} metrics API for the pods of {target}");
    ReadError::query(ReadErrorKind::Unavailable, what)
}

#[async_trait]
impl Surroundings for ClusterSurroundings {
    async fn pods(&self, target: &TargetRef, deadline: Deadline) -> Result<Vec<Pod>, ReadError> {
        let (_, pods) = self.matching(target, Until::after(deadline)).await?;
        let now = Timestamp::now();
        Ok(pods.iter().map(|pod| pod.seen_at(now)).collect())
    }

    async fn usages(&self, target: &TargetRef, resource: &str, deadline: Deadline) -> Result<Vec<PodUsage>, ReadError> {
        let until = Until::after(deadline);
        let (_, pods) = self.matching(target, until).await?;
        let usages = self.usages.of(&target.namespace, until.left()).await?;
        let now = Timestamp::now();
        let of = |pod: &Arc<Kept>| Some(usages.get(pod.name())?.of(pod.name(), resource, now));
        let found: Vec<PodUsage> = pods.iter().filter_map(of).collect();
        if found.is_empty() { Err(nothing("resource", target)) } else { Ok(found) }
    }

    async fn pod_values(
        &self,
        target: &TargetRef,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<PodValue>, ReadError> {
        let until = Until::after(deadline);
        let (selected, pods) = self.matching(target, until).await?;
        let values = self.custom.of_pods(&target.namespace, &selected.text, metric, until.left()).await?;
        let now = Timestamp::now();
        let of = |pod: &Arc<Kept>| {
            let value = values.get(pod.name())?;
            let sample = Sample { value: value.milli.0, at: tick(value.at, now), window: value.window };
            Some(PodValue { pod: pod.name().to_owned(), sample })
        };
        let found: Vec<PodValue> = pods.iter().filter_map(of).collect();
        if found.is_empty() { Err(nothing("custom", target)) } else { Ok(found) }
    }

    async fn object_value(
        &self,
        namespace: &str,
        object: &Described,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Milli, ReadError> {
        self.custom.of_object(&namespace.into(), object, metric, deadline).await
    }

    async fn external_values(
        &self,
        namespace: &str,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Result<Vec<Milli>, ReadError> {
        self.external.series(namespace, metric, deadline).await
    }

    async fn endpoints(
        &self,
        namespace: &str,
        service: &str,
        deadline: Deadline,
    ) -> Result<Vec<ServiceEndpoint>, ReadError> {
        self.endpoints.of(namespace, service, deadline).await
    }

    async fn pods_selected(
        &self,
        namespace: &Arc<str>,
        selector: &Selector,
        deadline: Deadline,
    ) -> Result<Vec<PodPlace>, ReadError> {
        let pods = self.pods.matching(namespace, selector, deadline).await?;
        let living = pods.iter().filter(|pod| !pod.has_ended());
        Ok(living.map(|pod| PodPlace { node: pod.node().map(str::to_owned) }).collect())
    }

    fn follow_pods(&self, namespace: &Arc<str>, selector: &Selector, wake: Wake) -> Option<Watch> {
        self.pods.follow(namespace, selector.clone(), wake)
    }

    async fn addresses(&self, target: &TargetRef, deadline: Deadline) -> Result<Vec<PodAddress>, ReadError> {
        let (_, pods) = self.matching(target, Until::after(deadline)).await?;
        Ok(pods.iter().filter(|pod| !pod.has_ended()).map(|pod| pod.place()).collect())
    }

    async fn texts(&self, holder: &Holder, deadline: Deadline) -> Result<Option<Texts>, ReadError> {
        self.holders.of(holder, deadline).await
    }

    fn follow_texts(&self, holder: &Holder, wake: Wake) -> Option<Watch> {
        self.holders.follow(holder, wake)
    }
}
