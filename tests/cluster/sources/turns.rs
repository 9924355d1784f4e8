//! One object with a Kafka and a WebSocket trigger: the one that asks for more decides, each in its turn.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::kafka::{self, shared};
use super::super::objects::Deployment;
use super::super::operator::Account;
use super::super::space::Space;
use super::gateway::Gateway;
use super::scaled_object;
use crate::harness::kafka::Listener;

/// The partitions of the topic: no more replicas are of use to its readers.
const PARTITIONS: i32 = 3;
/// The records that are appended to each partition.
const RECORDS: usize = 4;

pub(super) fn trials() -> Vec<Trial> {
    vec![kafka::trial("sources::a_kafka_and_a_websocket_trigger_decide_in_turn", turns)]
}

fn turns() {
    let (kafka, gateway, space) = (shared(), Gateway::start(), Space::new("turns"));
    let topic = space.name().to_owned();
    let group = format!("{topic}-readers");
    let read = |offset| (0..PARTITIONS).for_each(|partition| kafka.admin().commit(&group, &topic, partition, offset));
    let append = || (0..PARTITIONS).for_each(|partition| kafka.records().append(&topic, partition, RECORDS));
    kafka.admin().create(&topic, PARTITIONS);
    read(0);
    space.deploy(&Deployment::default());
    let triggers = json!([
        {"type": "kafka", "metadata": {
            "bootstrapServers": kafka.bootstrap(Listener::Open), "consumerGroup": group, "topic": topic, "lagThreshold": "5",
        }},
        {"type": "websocket", "metadata": {
            "url": gateway.stats(), "valueLocation": "connections.open", "targetValue": "5",
        }},
    ]);
    space.apply(&scaled_object(&json!({}), &triggers).to_string());
    let operator = Account::new(&space).start();
    space.until_condition("app", "Ready", "True");
    space.until_condition("app", "Active", "False");
    let asked = space.watch("app");
    let told = |what: &str| println!("{what}: {:?}", asked.counts());

    // 12 records at 5 a replica are 3, and nobody is connected.
    append();
    space.until_ready("app", 3);
    told("records wait");
    // 23 connections at 5 each are 5, more than the 3 of the records.
    let mut clients = gateway.clients(23);
    space.until_ready("app", 5);
    told("and clients are there");
    // All is read: the connections alone keep the 5.
    read(4);
    space.until("scaledobjects", "app", "activity of the second trigger alone", |object| {
        activity(object) == [false, true]
    });
    assert_eq!(space.replicas("app"), Some(5), "{}", operator.log());
    told("all is read");
    // The clients leave while records wait again: the records alone keep 3.
    append();
    space.until("scaledobjects", "app", "activity of both", |object| activity(object) == [true, true]);
    clients.clear();
    space.until_replicas("app", 3);
    space.until("scaledobjects", "app", "activity of the first trigger alone", |object| {
        activity(object) == [true, false]
    });
    told("clients have left and records wait");
    read(8);
    space.until_replicas("app", 0);
    told("nothing is left");

    let counts = asked.counts();
    let at = |count: i64| counts.iter().position(|one| *one == count).expect("was asked");
    assert!(at(3) < at(5) && counts.last() == Some(&0), "{counts:?}");
    assert!(counts.iter().all(|count| *count <= 5), "the highest decides, not the sum: {counts:?}");
}

/// Which triggers are active, in the order of the object's triggers: KEDA's `triggersActivity`, by the names of their metrics.
fn activity(object: &Value) -> Vec<bool> {
    let states = object["status"]["triggersActivity"].as_object();
    states.into_iter().flatten().map(|(_, state)| state["isActive"] == true).collect()
}
