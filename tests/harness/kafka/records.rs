//! Writes records, alone and in transactions, with the client library that most programs use.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::PATIENCE;

/// Writes to the brokers of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    bootstrap: String,
}

/// A transaction that is not decided yet. Dropping it leaves it open: its records stay invisible to whoever reads only what is
/// committed, until the broker gives it up after a minute.
pub(crate) struct Transaction {
    producer: Writer,
    records: Records,
    id: String,
}

type Writer = BaseProducer<Failures>;

/// The records that could not be stored.
#[derive(Default)]
struct Failures(Mutex<Vec<KafkaError>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.clone());
        }
    }
}

impl Records {
    pub(super) fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned() }
    }

    /// Where clients begin.
    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Appends records to a partition and waits until they are stored.
    pub(crate) fn append(&self, topic: &str, partition: i32, count: usize) {
        let producer = self.configured(&[]);
        send(&producer, topic, partition, count);
    }

    /// Opens a transaction of this name and appends records in it, which are stored when this returns.
    pub(crate) fn begin(&self, id: &str, topic: &str, partition: i32, count: usize) -> Transaction {
        let producer = self.configured(&[("transactional.id", id)]);
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, topic, partition, count);
        Transaction { producer, records: self.clone(), id: id.to_owned() }
    }

    fn configured(&self, more: &[(&str, &str)]) -> Writer {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "0").set("acks", "all");
        settings.set("message.timeout.ms", "50000").set("log_level", "2");
        // The library waits between two tries; the tests would wait with it.
        settings.set("retry.backoff.ms", "20").set("topic.metadata.refresh.fast.interval.ms", "20");
        for (key, value) in more {
            settings.set(*key, *value);
        }
        settings.create_with_context(Failures::default()).unwrap()
    }
}

impl Transaction {
    /// Commits an offset of a group as a part of the transaction, as programs do that read, compute and write.
    pub(crate) fn with_commit(self, group: &str, topic: &str, partition: i32, offset: i64) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.records.bootstrap).set("group.id", group).set("log_level", "2");
        let member: BaseConsumer = settings.create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        self.producer.send_offsets_to_transaction(&offsets, &member.group_metadata().unwrap(), PATIENCE).unwrap();
        self
    }

    /// Its records count from now on, and one marker after them takes an offset.
    pub(crate) fn commit(self) {
        self.producer.commit_transaction(PATIENCE).unwrap();
        self.ended();
    }

    /// Its records never count, but keep their offsets, and so does the marker.
    pub(crate) fn abort(self) {
        self.producer.abort_transaction(PATIENCE).unwrap();
        self.ended();
    }

    /// Brokers say that a transaction has ended before its partitions know. They know when the next writer of its name is let in.
    fn ended(self) {
        let next = self.records.configured(&[("transactional.id", &self.id)]);
        next.init_transactions(PATIENCE).unwrap();
    }
}

fn send(producer: &Writer, topic: &str, partition: i32, count: usize) {
    for number in 0..count {
        let payload = number.to_string();
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    // The library's own flush looks ten times a second.
    let until = Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 {
        assert!(Instant::now() < until, "{topic} {partition}: the records are not stored");
        producer.poll(Duration::from_millis(2));
    }
    let failed = producer.context().0.lock().unwrap();
    assert!(failed.is_empty(), "{topic} {partition}: {failed:?}");
}
