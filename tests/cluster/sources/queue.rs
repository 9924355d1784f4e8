//! Workers of a RabbitMQ queue, scaled by the manifest that KEDA's users have: from 0 to what the queue needs, and back without taking a
//! message from anybody who works on it.
//!
//! The pods are real consumers: this test program itself, started with [`WORK`] in its environment.

use std::sync::OnceLock;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use libtest_mimic::Trial;
use tokio::signal::unix::{SignalKind, signal};

use super::super::objects::Deployment;
use super::super::operator::Account;
use super::super::space::Space;
use super::super::{SOON, trial, wait_for};
use crate::harness::rabbitmq::{Plan, Rabbit, missing};
use crate::harness::under_ci;
use crate::harness::wait::eventually;

/// The environment variable with the work of a consumer: the server and the queue.
const WORK: &str = "TIDEGATE_TEST_WORKER";
/// How a consumer begins the line by which it tells of a message that is done.
const DONE: &str = "done";
/// How it begins the line by which it tells that it was asked to end while it worked.
const TAKEN: &str = "was asked to end while it held";
/// The Deployment, the ScaledObject and, with the namespace before it, the queue.
const NAME: &str = "rabbitmq-consumer";
/// `cooldownPeriod`, seconds.
const COOLDOWN: u64 = 30;

pub(super) fn trials() -> Vec<Trial> {
    [
        ("cluster::sources::rabbitmq_workers_by_the_management_api", by_the_management_api as fn()),
        ("cluster::sources::rabbitmq_workers_by_amqp", by_amqp),
    ]
    .map(|(name, scenario)| match missing() {
        None => trial(name.trim_start_matches("cluster::"), scenario),
        Some(what) => Trial::test(name, move || {
            if under_ci() {
                return Err(format!("missing: {what}").into());
            }
            println!("skipped: {name} needs {what}");
            Ok(())
        }),
    })
    .into()
}

/// The server that these scenarios share; each has a queue of its own. It ends with this process.
fn shared() -> &'static Rabbit {
    static SHARED: OnceLock<Rabbit> = OnceLock::new();
    SHARED.get_or_init(|| Rabbit::start(&Plan::default()))
}

/// The first message takes longer than the cooldown. Only the worker that has it knows of it, and the management API.
fn by_the_management_api() {
    let long = Duration::from_secs(COOLDOWN + 15);
    scaled("rabbit-http", &shared().http("%2F"), &[&[long][..], &[Duration::from_millis(300); 64]].concat());
}

/// AMQP does not show what workers hold. No message takes as long as the cooldown, so that is well.
fn by_amqp() {
    scaled("rabbit-amqp", &shared().amqp("%2F"), &[Duration::from_millis(300); 65]);
}

/// 65 messages, each of which takes so long, at ten a replica.
fn scaled(purpose: &str, host: &str, messages: &[Duration]) {
    let (rabbit, space) = (shared(), Space::new(purpose));
    let queue = format!("{}-{NAME}", space.name());
    rabbit.add_queue("%2F", &queue);
    let server = rabbit.amqp("%2F");
    let program = std::env::current_exe().unwrap();
    let script = format!("exec env {WORK}='{server} {queue}' '{}'", program.display());
    space.deploy(&Deployment { name: NAME, script: Some(&script), grace: 10, ..Deployment::default() });
    space.apply(&manifest(host, &queue));
    let operator = Account::new(&space).start();
    space.until_condition(NAME, "Ready", "True");
    space.until_condition(NAME, "Active", "False");
    let asked = space.watch(NAME);

    wait_for(publish(&server, &queue, messages));
    let output = || space.plane().node().output(space.name());
    let done = || output().lines().filter(|line| line.starts_with(DONE)).count();
    eventually(SOON, "the first write", || (asked.counts().len() > 1).then_some(()));
    eventually(SOON, "all messages are done", || (done() >= messages.len()).then_some(()));
    space.until_replicas(NAME, 0);
    eventually(SOON, "the end of all consumers", || space.processes().is_empty().then_some(()));

    for (at, count) in asked.changes() {
        println!("{at:.1} {count} replicas are asked");
    }
    let counts = asked.counts();
    // The management API may show a part of the messages first: it learns of them every five seconds.
    let (last, up) = counts.split_last().expect("a count");
    assert!(*last == 0 && up.is_sorted(), "up, then 0: {counts:?}\n{}", operator.log());
    assert_eq!(up.last(), Some(&7), "65 messages at 10 a replica: {counts:?}\n{}", operator.log());
    let output = output();
    assert!(!output.contains(TAKEN), "a worker was ended in the middle of its work:\n{output}");
    assert!(!output.contains("again"), "a message came twice:\n{output}");
    assert_eq!(done(), messages.len(), "each message once");
    let (_, left) = rabbit.api("GET", &format!("/queues/%2F/{queue}"), "");
    assert!(left.contains("\"messages\":0"), "{left}");
}

/// As KEDA's users write it.
fn manifest(host: &str, queue: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {NAME}
spec:
  scaleTargetRef:
    name: {NAME}
  pollingInterval: 15
  cooldownPeriod: {COOLDOWN}
  minReplicaCount: 0
  maxReplicaCount: 10
  triggers:
  - type: rabbitmq
    metadata:
      host: {host}
      queueName: {queue}
      queueLength: \"10\"
"
    )
}

/// Publishes a message for each piece of work: its milliseconds.
async fn publish(server: &str, queue: &str, messages: &[Duration]) {
    let connection = Connection::connect(server, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for work in messages {
        let body = work.as_millis().to_string();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await;
        sent.unwrap().await.unwrap();
    }
}

/// Works until it is asked to end, if this process was started for that: then it has nothing else to do.
pub(crate) fn work_if_told() -> bool {
    let Ok(words) = std::env::var(WORK) else { return false };
    let (server, queue) = words.split_once(' ').unwrap_or_else(|| panic!("{WORK}: {words:?}"));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work(server, queue));
    true
}

/// One message at a time: it is acknowledged when it is done.
async fn work(server: &str, queue: &str) {
    let mut ended = signal(SignalKind::terminate()).unwrap();
    let connection = Connection::connect(server, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut messages = channel.basic_consume(queue.into(), "".into(), options, none).await.unwrap();
    loop {
        let message = tokio::select! {
            _ = ended.recv() => break,
            message = messages.next() => message.expect("the server stays").unwrap(),
        };
        let body = String::from_utf8(message.data.clone()).unwrap();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(body.parse().unwrap())) => {}
            _ = ended.recv() => return println!("{TAKEN} one of {body} ms"),
        }
        message.ack(BasicAckOptions::default()).await.unwrap();
        println!("{DONE}{}", if message.redelivered { " again" } else { "" });
    }
    println!("leaves");
}
