//! The triggers `kafka` and `apache-kafka`: how many records a consumer group has still to read.
//!
//! All triggers of one cluster and user share one connection a broker ([`connection`]); the offsets of all groups are
//! read in one round ([`offsets`]), and records are heard of as they arrive ([`push`]). What offsets mean is pure
//! ([`lag`]), and what a trigger remembers between polls stands apart ([`persistent`]). The two types differ only in what
//! they can say ([`declaration`], [`apache`]).

mod apache;
mod brokers;
mod connection;
mod declaration;
mod errors;
mod faults;
mod lag;
mod login;
mod metadata;
mod offsets;
mod persistent;
mod push;
mod requests;
mod round;
mod sasl;
#[cfg(test)]
mod stand_in;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, ReadErrorKind, Reading,
    Readings, TriggerSpec, Wake,
};

use crate::endpoint::{Endpoint, Endpoints, Feed, identify};
use crate::registry::TriggerType;
use crate::scaler::{Scaler, Watch};
use declaration::Settings;
use lag::{Commits, Rules};
use offsets::{Answer, Offsets, Query, Scope};
use persistent::Memory;
use push::Records;

/// One built trigger of either type.
struct KafkaScaler {
    id: EndpointId,
    endpoint: Endpoint<Offsets>,
    /// Who hears of records, if the trigger asks for push.
    feed: Option<Arc<Feed<Records>>>,
    query: Query,
    rules: Rules,
    /// What the trigger remembers, if it excludes persistent lag.
    memory: Option<Arc<Memory>>,
    activation: i64,
    metric: MetricSpec,
}

/// The registry's entry of `kafka`.
pub(crate) const KAFKA: TriggerType = TriggerType {
    name: "kafka",
    summary: "How many records of a topic, or of all its topics, a Kafka consumer group has still to read.",
    parameters: declaration::PARAMETERS,
    example: "\
- type: kafka
  metadata:
    bootstrapServers: kafka.shop.svc.cluster.local:9092
    consumerGroup: billing
    topic: orders
    lagThreshold: \"100\"
",
    example_metadata: &[
        ("bootstrapServers", "kafka.shop.svc.cluster.local:9092"),
        ("consumerGroup", "billing"),
        ("topic", "orders"),
        ("lagThreshold", "100"),
    ],
    scaler: "kafkaScaler",
    notes: concat!(include_str!("notes.md"), include_str!("oauth.md")),
    check: declaration::check,
    open: |spec, values, endpoints| open(spec, declaration::settings(spec, values), endpoints),
};

/// The registry's entry of `apache-kafka`.
pub(crate) const APACHE_KAFKA: TriggerType = TriggerType {
    name: "apache-kafka",
    summary: "How many records of some topics, or of all its topics, a Kafka consumer group has still to read.",
    parameters: apache::PARAMETERS,
    example: "\
- type: apache-kafka
  metadata:
    bootstrapServers: kafka.shop.svc.cluster.local:9092
    consumerGroup: billing
    topic: orders,returns
    lagThreshold: \"100\"
",
    example_metadata: &[
        ("bootstrapServers", "kafka.shop.svc.cluster.local:9092"),
        ("consumerGroup", "billing"),
        ("topic", "orders,returns"),
        ("lagThreshold", "100"),
    ],
    scaler: "apacheKafkaScaler",
    notes: concat!(include_str!("apache.md"), include_str!("notes.md")),
    check: apache::check,
    open: |spec, values, endpoints| open(spec, apache::settings(spec, values), endpoints),
};

fn open(spec: &TriggerSpec, settings: Option<Settings>, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let Settings { cluster, query, rules, activation, push, metric } = settings.ok_or_else(incomplete)?;
    let (id, name) = (identify("kafka", &cluster), cluster.name());
    let memory = rules.exclude_persistent.then(|| Memory::open(endpoints, spec, &cluster.bootstrap, &query));
    let cluster = Arc::new(cluster);
    let feed = push.then(|| Feed::open(endpoints, id, &name, || Records::new(Arc::clone(&cluster))));
    let endpoint = Endpoint::open(endpoints, id, &name, || Offsets::new(cluster));
    Ok(Box::new(KafkaScaler { id, endpoint, feed, query, rules, memory, activation, metric }))
}

#[async_trait]
impl Scaler for KafkaScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, occasion: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let topics = self.endpoint.ask(self.query.clone(), deadline).await?;
        self.complete(&topics)?;
        let before: Option<Arc<Commits>> = self.memory.as_ref().map(|memory| memory.before(occasion, &topics));
        let lag = lag::lag(&topics, &self.rules, &before.unwrap_or_default())?;
        let value = Measured::Total(vec![Milli::units(lag.value)]);
        Ok(vec![(self.metric.clone(), Reading { value, active: lag.activity > self.activation })])
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        let (feed, Scope::Topics(topics)) = (self.feed.as_ref()?, &self.query.scope) else { return None };
        let watches = topics.iter().map(|topic| feed.watch(Arc::clone(topic), Arc::clone(&wake)));
        let watches = watches.collect::<Option<Vec<Watch>>>()?;
        Some(Watch::new(move || drop(watches)))
    }
}

impl KafkaScaler {
    /// A topic that is missing in the answer would look like one without lag.
    fn complete(&self, topics: &Answer) -> Result<(), ReadError> {
        let Scope::Topics(asked) = &self.query.scope else { return Ok(()) };
        if asked.iter().eq(topics.iter().map(|topic| &topic.name)) {
            return Ok(());
        }
        let what = format!("the offsets of {} are not complete", asked.join(", "));
        Err(ReadError::query(ReadErrorKind::Protocol, what))
    }
}
