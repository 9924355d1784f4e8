//! The triggers on MongoDB: how many documents a query finds, what an aggregation computes, and how many operations wait
//! inside the servers.
//!
//! All triggers with the same address, TLS settings and credentials share one client of the driver ([`cluster`]); equal
//! questions ([`question`]) are asked once. What the driver's monitors see of the servers ([`sight`]) says why a question
//! failed, in our own words ([`errors`]). With `activation: push` a change stream listens to the collection ([`push`]).

mod access;
mod cluster;
mod declaration;
mod errors;
mod files;
mod number;
mod push;
mod question;
mod sight;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, Reading, Readings,
    TriggerSpec, Wake,
};

use crate::endpoint::{Endpoint, Endpoints, Feed, identify};
use crate::parameters::Values;
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use access::Access;
use cluster::{Asking, Cluster};
use declaration::{count, ops};
use push::{Changes, Topic};
use question::{Answer, Figure, Question};

/// The registry's entry of `mongodb`.
pub(crate) const TRIGGER_TYPE: TriggerType = TriggerType {
    name: "mongodb",
    summary: "The number of documents that a MongoDB query finds, or a number that an aggregation computes.",
    parameters: count::PARAMETERS,
    example: "\
- type: mongodb
  metadata:
    connectionString: mongodb://mongodb.shop.svc.cluster.local:27017/?replicaSet=rs0
    dbName: shop
    collection: jobs
    query: '{ \"state\": \"waiting\" }'
    queryValue: \"20\"
    activation: push
",
    example_metadata: &[
        ("connectionString", "mongodb://mongodb.shop.svc.cluster.local:27017/?replicaSet=rs0"),
        ("dbName", "shop"),
        ("collection", "jobs"),
        ("query", "{ \"state\": \"waiting\" }"),
        ("queryValue", "20"),
        ("activation", "push"),
    ],
    scaler: "mongoDBScaler",
    notes: include_str!("notes/count.md"),
    check: count::check,
    open: open_count,
};

/// The registry's entry of `mongodb-ops-queue`.
pub(crate) const OPS_QUEUE: TriggerType = TriggerType {
    name: "mongodb-ops-queue",
    summary: "How many operations wait or run inside MongoDB servers, by serverStatus and $currentOp.",
    parameters: ops::PARAMETERS,
    example: "\
- type: mongodb-ops-queue
  metadata:
    connectionString: mongodb://mongodb.shop.svc.cluster.local:27017/?replicaSet=rs0
    metric: currentQueue
    members: all
    targetValue: \"1000\"
",
    example_metadata: &[
        ("connectionString", "mongodb://mongodb.shop.svc.cluster.local:27017/?replicaSet=rs0"),
        ("metric", "currentQueue"),
        ("members", "all"),
        ("targetValue", "1000"),
    ],
    scaler: "mongoDBOpsQueueScaler",
    notes: include_str!("notes/ops_queue.md"),
    check: ops::check,
    open: open_ops,
};

/// One built trigger on a collection.
struct CollectionScaler {
    asked: Asked,
    changes: Option<(Arc<Feed<Changes>>, Topic)>,
}

/// One built trigger on what waits inside servers.
struct OpsScaler {
    asked: Asked,
    /// What is read of an answer to `serverStatus`; an answer to `$currentOp` is the value.
    figure: Option<Figure>,
}

/// What both have: whom to ask what, and what the value is compared with.
struct Asked {
    id: EndpointId,
    /// What the servers are called in messages.
    name: Arc<str>,
    endpoint: Endpoint<Asking>,
    question: Question,
    activation: f64,
    metric: MetricSpec,
}

fn open_count(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let count::Settings { access, question, topic, push, activation, metric } =
        count::settings(spec, values).ok_or_else(incomplete)?;
    let name: Arc<str> = access.name().into();
    let feed = |access: &Access| {
        Feed::open(endpoints, identify("mongodb", access), &name, || Changes::new(access.clone(), Arc::clone(&name)))
    };
    let changes = push.then(|| (feed(&access), topic));
    let asked = Asked::open(access, name, question, activation, metric, endpoints);
    Ok(Box::new(CollectionScaler { asked, changes }))
}

fn open_ops(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let ops::Settings { access, question, figure, activation, metric } =
        ops::settings(spec, values).ok_or_else(incomplete)?;
    let name: Arc<str> = access.name().into();
    let asked = Asked::open(access, name, question, activation, metric, endpoints);
    Ok(Box::new(OpsScaler { asked, figure }))
}

fn incomplete() -> ConfigError {
    ConfigError::one("metadata", None, "is not complete")
}

impl Asked {
    fn open(
        access: Access,
        name: Arc<str>,
        question: Question,
        activation: f64,
        metric: MetricSpec,
        endpoints: &Endpoints,
    ) -> Self {
        let id = identify("mongodb", &access);
        // Each question has its own line to the shared client: a slow one keeps no other waiting, equal ones are one.
        let line = identify("mongodb", &(&access, &question));
        let cluster = endpoints.join(id, || Cluster::new(access, Arc::clone(&name)));
        let endpoint = Endpoint::open(endpoints, line, &name, || Asking::new(cluster));
        Self { id, name, endpoint, question, activation, metric }
    }

    async fn answer(&self, deadline: Deadline) -> Result<Answer, ReadError> {
        self.endpoint.ask(self.question.clone(), deadline).await
    }

    /// Several values are those of several servers, which are added up.
    fn readings(&self, series: &[f64]) -> Readings {
        let value = Measured::Total(series.iter().copied().map(number::reported).collect::<Vec<Milli>>());
        let active = series.iter().sum::<f64>() > self.activation;
        vec![(self.metric.clone(), Reading { value, active })]
    }
}

#[async_trait]
impl Scaler for CollectionScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.asked.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        match self.asked.answer(deadline).await? {
            Answer::Numbers(numbers) => Ok(self.asked.readings(&numbers)),
            Answer::Locks(_) => Err(errors::mistaken(&self.asked.name)),
        }
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        let (feed, topic) = self.changes.as_ref()?;
        feed.watch(topic.clone(), wake)
    }
}

#[async_trait]
impl Scaler for OpsScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.asked.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        match (self.asked.answer(deadline).await?, self.figure) {
            (Answer::Numbers(numbers), None) => Ok(self.asked.readings(&numbers)),
            (Answer::Locks(servers), Some(figure)) => {
                let series: Result<Vec<f64>, ReadError> =
                    servers.iter().map(|server| figure.of(server, &self.asked.name)).collect();
                Ok(self.asked.readings(&series?))
            }
            _ => Err(errors::mistaken(&self.asked.name)),
        }
    }

    fn watch(&self, _: Wake) -> Option<Watch> {
        // No server tells when such a number changes.
        None
    }
}
