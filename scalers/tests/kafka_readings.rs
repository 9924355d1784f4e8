//! What the triggers `kafka` and `apache-kafka` make of the offsets of a scripted broker, from metadata to reading.
// Clippy takes only the bodies of `#[test]` functions for tests, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "scripted/kafka.rs"]
mod scripted_kafka;

use std::sync::Arc;
use std::time::Duration;

use scripted_kafka::{Broker, Partition};
use tidegate_calculator::source::Occasion::{Check, Poll};
use tidegate_calculator::source::{Occasion, Parameters, ReadError, ReadErrorKind, TriggerSpec};
use tidegate_scalers::{Endpoints, Scaler, open};
use tokio::net::TcpListener;

const BROKER: Broker = Broker {
    topics: &[
        ("orders", &[lag(5), lag(30), Partition { committed: 20, log_start: 80, latest: 100 }]),
        ("returns", &[lag(0), Partition { committed: -1, log_start: 40, latest: 100 }]),
        ("quiet", &[lag(0)]),
    ],
    refuses: false,
};

const fn lag(lag: i64) -> Partition {
    Partition { committed: 100, log_start: 0, latest: 100 + lag }
}

/// Metadata, as key and value.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Triggers of one process that read from a broker of their own.
struct Bench {
    address: String,
    endpoints: Endpoints,
}

impl Bench {
    async fn new(broker: Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(broker.serve(stream));
            }
        });
        Self { address, endpoints: Endpoints::new() }
    }

    fn open(&self, kind: &str, metadata: Pairs<'_>) -> Box<dyn Scaler> {
        let common = [("bootstrapServers", self.address.as_str()), ("consumerGroup", "workers")];
        let all = common.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let owner = Arc::from("shop/web");
        let spec = TriggerSpec { kind: kind.to_owned(), owner, metadata: all.collect(), ..TriggerSpec::default() };
        open(&spec, &Parameters::default(), &self.endpoints).unwrap()
    }

    async fn read(&self, kind: &str, metadata: Pairs<'_>) -> Result<(String, i64, bool), ReadError> {
        let readings = self.open(kind, metadata).read(Poll, Duration::from_secs(10)).await?;
        assert_eq!(readings.len(), 1);
        let (metric, reading) = &readings[0];
        Ok((metric.name.clone(), reading.value.total().0 / 1000, reading.active))
    }
}

#[tokio::test]
async fn offsets_become_readings() {
    let bench = Bench::new(BROKER).await;
    let orders = ("topic", "orders");
    let cases: [(&str, Pairs<'_>, &str, i64, bool); 11] = [
        ("kafka", &[orders, ("lagThreshold", "100")], "s0-kafka-orders", 55, true),
        ("kafka", &[orders, ("activationLagThreshold", "55")], "s0-kafka-orders", 30, false),
        ("kafka", &[orders, ("activationLagThreshold", "54")], "s0-kafka-orders", 30, true),
        ("kafka", &[orders, ("allowIdleConsumers", "true")], "s0-kafka-orders", 55, true),
        ("kafka", &[orders, ("partitionLimitation", "0,2-9")], "s0-kafka-orders", 20, true),
        (
            "kafka",
            &[orders, ("ensureEvenDistributionOfPartitions", "true"), ("lagThreshold", "50")],
            "s0-kafka-orders",
            150,
            true,
        ),
        ("kafka", &[("topic", "returns")], "s0-kafka-returns", 1, true),
        (
            "kafka",
            &[("topic", "returns"), ("offsetResetPolicy", "earliest"), ("lagThreshold", "90")],
            "s0-kafka-returns",
            60,
            true,
        ),
        ("kafka", &[("topic", "quiet")], "s0-kafka-quiet", 0, false),
        (
            "kafka",
            &[("lagThreshold", "99"), ("scaleToZeroOnInvalidOffset", "true")],
            "s0-kafka-workers-topics",
            55,
            true,
        ),
        ("apache-kafka", &[("topic", "returns,orders"), ("lagThreshold", "99")], "s0-kafka-returns,orders", 56, true),
    ];
    for (kind, metadata, name, value, active) in cases {
        let read = bench.read(kind, metadata).await;
        assert_eq!(read, Ok((name.to_owned(), value, active)), "{kind} {metadata:?}");
    }
}

#[tokio::test]
async fn one_topic_that_is_missing_fails_the_whole_trigger() {
    let bench = Bench::new(BROKER).await;
    let error = bench.read("apache-kafka", &[("topic", "orders,gone")]).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config, "{error}");
    assert!(error.message.contains("\"gone\""), "{error}");
    let error = bench.read("kafka", &[("topic", "orders"), ("partitionLimitation", "3")]).await.unwrap_err();
    assert_eq!(error.message, "partitionLimitation names no partition of orders");
}

#[tokio::test]
async fn persistent_lag_is_remembered_by_polls_also_when_the_trigger_is_built_anew() {
    let bench = Bench::new(BROKER).await;
    let mut metadata = vec![("topic", "orders"), ("lagThreshold", "100"), ("excludePersistentLag", "true")];
    let mut built = bench.open("kafka", &metadata);
    let expected = |moving: bool| (if moving { 55_000 } else { 0 }, true);
    let steps =
        [(Check, true), (Poll, true), (Check, true), (Check, true), (Poll, false), (Check, false), (Poll, false)];
    for (place, (occasion, moving)) in steps.into_iter().enumerate() {
        assert_eq!(outcome(&*built, occasion).await, expected(moving), "read {place}");
    }
    metadata.push(("activationLagThreshold", "7"));
    let anew = bench.open("kafka", &metadata);
    built = anew;
    assert_eq!(outcome(&*built, Poll).await, expected(false), "the new one knows what the old one saw");
    drop(built);
    let later = bench.open("kafka", &metadata);
    assert_eq!(outcome(&*later, Poll).await, expected(true), "nobody remembers for an object that is gone");
}

async fn outcome(scaler: &dyn Scaler, occasion: Occasion) -> (i64, bool) {
    let readings = scaler.read(occasion, Duration::from_secs(10)).await.unwrap();
    (readings[0].1.value.total().0, readings[0].1.active)
}
