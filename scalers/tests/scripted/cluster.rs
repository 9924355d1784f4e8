//! A cluster that is played: it answers what it was told to, after a while, and notes what it was asked.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidegate_calculator::hpa::pods::{Container, Pod, Readiness};
use tidegate_calculator::hpa::samples::{PodUsage, PodValue, Sample};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, Milli, ReadError, ReadErrorKind, Secret, TargetRef, Wake};
use tidegate_calculator::time::{Span, Tick};
use tidegate_scalers::{Described, Holder, MetricQuery, PodAddress, PodPlace, Surroundings, Texts, Watch};

type Answer<T> = Result<T, ReadError>;

/// What the cluster says.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) pods: Answer<Vec<Pod>>,
    pub(crate) usages: Answer<Vec<PodUsage>>,
    pub(crate) values: Answer<Vec<PodValue>>,
    pub(crate) object: Answer<Milli>,
    pub(crate) series: Answer<Vec<Milli>>,
    pub(crate) selected: Answer<Vec<PodPlace>>,
    pub(crate) texts: Answer<Option<Texts>>,
    pub(crate) addresses: Answer<Vec<PodAddress>>,
    /// Who wants to hear of changes: of these pods, of this object.
    pub(crate) followers: Arc<Mutex<BTreeMap<String, Wake>>>,
    /// How long each answer takes.
    pub(crate) delay: Duration,
    pub(crate) questions: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// One pod that does nothing: every number is 0.
    pub(crate) fn idle() -> Self {
        Self {
            pods: Ok(vec![pod("a", &[("app", 1_000)])]),
            usages: Ok(vec![usage("a", &[("app", Some(0))])]),
            values: Ok(vec![value("a", 0)]),
            object: Ok(Milli(0)),
            series: Ok(vec![Milli(0)]),
            selected: Ok(Vec::new()),
            texts: Ok(Some(texts(&[("visitors", "0")]))),
            addresses: Ok(Vec::new()),
            followers: Arc::default(),
            delay: Duration::ZERO,
            questions: Arc::default(),
        }
    }

    /// A cluster that answers everything with this failure.
    pub(crate) fn failing(kind: ReadErrorKind) -> Self {
        let error = || ReadError::query(kind, "the API server said no");
        Self {
            pods: Err(error()),
            usages: Err(error()),
            values: Err(error()),
            object: Err(error()),
            series: Err(error()),
            selected: Err(error()),
            texts: Err(error()),
            addresses: Err(error()),
            ..Self::idle()
        }
    }

    /// A cluster whose pods are there while nothing is told of them, nor of anything else.
    pub(crate) fn without_data() -> Self {
        let missing = ReadError::query(ReadErrorKind::Unavailable, "there is no such metric");
        let (usages, values, series) = (Ok(Vec::new()), Ok(Vec::new()), Ok(Vec::new()));
        let (selected, texts) = (Err(missing.clone()), Err(missing.clone()));
        Self { usages, values, object: Err(missing), series, selected, texts, ..Self::idle() }
    }

    /// What somebody follows, sorted.
    pub(crate) fn followed(&self) -> Vec<String> {
        self.followers.lock().unwrap().keys().cloned().collect()
    }

    fn follow(&self, what: String, wake: Wake) -> Watch {
        self.followers.lock().unwrap().insert(what.clone(), wake);
        let followers = Arc::clone(&self.followers);
        Watch::new(move || drop(followers.lock().unwrap().remove(&what)))
    }

    /// What was asked so far, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.questions.lock().unwrap().clone();
        asked.sort_unstable();
        asked
    }

    async fn answer<T: Clone>(&self, question: String, answer: &Answer<T>) -> Answer<T> {
        self.questions.lock().unwrap().push(question);
        tokio::time::sleep(self.delay).await;
        answer.clone()
    }
}

/// A Running and Ready pod whose containers request so many thousandths of everything.
pub(crate) fn pod(name: &str, containers: &[(&str, i64)]) -> Pod {
    let container = |(name, request): &(&str, i64)| Container {
        name: (*name).to_owned(),
        requests: ["cpu", "memory"].map(|resource| (resource.to_owned(), *request)).into(),
        restartable: false,
    };
    Pod {
        name: name.to_owned(),
        started: Some(Tick(-3_600_000)),
        ready: Some(Readiness { status: Some(true), since: Tick(-3_600_000) }),
        containers: containers.iter().map(container).collect(),
        requests: BTreeMap::new(),
        ..Pod::default()
    }
}

/// What a pod's containers use, taken 20 s ago.
pub(crate) fn usage(pod: &str, containers: &[(&str, Option<i64>)]) -> PodUsage {
    let containers = containers.iter().map(|(name, usage)| ((*name).to_owned(), *usage)).collect();
    PodUsage { pod: pod.to_owned(), at: Tick(-20_000), window: Span::seconds(30), containers }
}

/// What a pod shows, taken 20 s ago.
pub(crate) fn value(pod: &str, value: i64) -> PodValue {
    PodValue { pod: pod.to_owned(), sample: Sample { value, at: Tick(-20_000), window: Span::seconds(30) } }
}

/// The texts of an object.
pub(crate) fn texts(pairs: &[(&str, &str)]) -> Texts {
    Arc::new(pairs.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect())
}

/// What is scaled in these tests.
pub(crate) fn target() -> TargetRef {
    let (api_version, kind) = ("apps/v1".into(), "Deployment".into());
    TargetRef { namespace: "shop".into(), api_version, kind, name: "orders".into() }
}

#[async_trait]
impl Surroundings for Cluster {
    async fn pods(&self, target: &TargetRef, deadline: Deadline) -> Answer<Vec<Pod>> {
        self.answer(format!("pods of {}/{target} in {deadline:?}", target.namespace), &self.pods).await
    }

    async fn usages(&self, target: &TargetRef, resource: &str, deadline: Deadline) -> Answer<Vec<PodUsage>> {
        let question = format!("{resource} of {}/{target} in {deadline:?}", target.namespace);
        self.answer(question, &self.usages).await
    }

    async fn pod_values(&self, target: &TargetRef, metric: &MetricQuery, deadline: Deadline) -> Answer<Vec<PodValue>> {
        let question = format!("{}[{}] of {}/{target} in {deadline:?}", metric.name, metric.selector, target.namespace);
        self.answer(question, &self.values).await
    }

    async fn object_value(
        &self,
        namespace: &str,
        object: &Described,
        metric: &MetricQuery,
        deadline: Deadline,
    ) -> Answer<Milli> {
        let of = format!("{} {} {namespace}/{}", object.api_version, object.kind, object.name);
        self.answer(format!("{}[{}] of {of} in {deadline:?}", metric.name, metric.selector), &self.object).await
    }

    async fn external_values(&self, namespace: &str, metric: &MetricQuery, deadline: Deadline) -> Answer<Vec<Milli>> {
        self.answer(format!("{}[{}] of {namespace} in {deadline:?}", metric.name, metric.selector), &self.series).await
    }

    async fn pods_selected(
        &self,
        namespace: &Arc<str>,
        selector: &Selector,
        deadline: Deadline,
    ) -> Answer<Vec<PodPlace>> {
        self.answer(format!("pods of {namespace} by {selector:?} in {deadline:?}"), &self.selected).await
    }

    fn follow_pods(&self, namespace: &Arc<str>, _: &Selector, wake: Wake) -> Option<Watch> {
        Some(self.follow(format!("pods of {namespace}"), wake))
    }

    async fn addresses(&self, target: &TargetRef, deadline: Deadline) -> Answer<Vec<PodAddress>> {
        self.answer(format!("addresses of {}/{target} in {deadline:?}", target.namespace), &self.addresses).await
    }

    async fn texts(&self, holder: &Holder, deadline: Deadline) -> Answer<Option<Texts>> {
        self.answer(format!("{holder} in {deadline:?}"), &self.texts).await
    }

    fn follow_texts(&self, holder: &Holder, wake: Wake) -> Option<Watch> {
        Some(self.follow(holder.to_string(), wake))
    }
}
