//! What 1,000 triggers on one server cost, that server and the operator: one server of each kind, one kind at a time.
//!
//! It is as the load benchmark: a control plane without pods for each kind, and the operator with the printed roles. Each object has one
//! trigger with a key, a group, a queue or a query of its own, and nothing waits in any of them. Requests are counted by the server itself
//! (Redis), or by a relay before it.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::control_plane::ControlPlane;
use super::super::image;
use super::super::operator::{Account, until_held};
use super::super::space::Space;
use super::field::{all, create, is_ready_and_read, target, until};
use super::figures::{self, Table, count};
use super::meter::{Meter, load_average, machine};
use super::relay::{Counted, Relay};
use super::tap::{Round, Tap};
use super::{MINUTE, settle};
use crate::harness::children::Running;
use crate::harness::kafka::{Kafka, Listener, NEWEST, Plan};
use crate::harness::rabbitmq::{self, Rabbit};
use crate::harness::redis::Redis;
use crate::harness::tidegate::binary;
use crate::harness::wait::eventually;

/// Which kinds of servers are measured, with commas between them; all if it is not set.
const KINDS: &str = "TIDEGATE_BENCH_SOURCES";
/// The triggers on one server.
const TRIGGERS: usize = 1000;
/// The topics, each of which twenty groups read.
const TOPICS: usize = 50;
/// How many things are made at a time on a server.
const ABREAST: usize = 8;
/// How long a server may take to start.
const START: Duration = Duration::from_mins(1);

/// One server with something to read for each trigger.
struct Source {
    name: &'static str,
    /// What counts as a request.
    unit: &'static str,
    /// The port to which the operator connects.
    port: u16,
    trigger: Box<dyn Fn(usize) -> Value>,
    /// How many requests the server has seen so far. It lives as long as this is kept.
    requests: Box<dyn Fn() -> usize>,
}

/// Starts a server of one kind.
type Start = fn() -> Source;

pub(super) fn load() {
    println!("{}", machine());
    println!("the operator is {}", binary().display());
    let mut tables = Vec::new();
    for start in chosen() {
        let table = measure(&start());
        println!("\n{table}");
        tables.push(table.to_string());
    }
    println!("\n{}", tables.join("\n"));
}

/// The kinds of servers that are asked for.
fn chosen() -> Vec<Start> {
    let all: [(&str, Start); 5] = [
        ("redis", redis),
        ("kafka", kafka),
        ("rabbitmq-http", rabbitmq_by_http),
        ("rabbitmq-amqp", rabbitmq_by_amqp),
        ("prometheus", prometheus),
    ];
    let Ok(names) = std::env::var(KINDS) else { return all.map(|(_, start)| start).into() };
    let known = all.map(|(name, _)| name);
    let find = |name: &str| all.iter().find(|(known, _)| *known == name).map(|(_, start)| *start);
    let chosen = names
        .split(',')
        .map(|name| find(name.trim()).unwrap_or_else(|| panic!("{KINDS}: {name:?} is none of {known:?}")));
    chosen.collect()
}

/// All objects of one source: they are applied, and a minute is looked at in which nothing changes.
fn measure(source: &Source) -> Table {
    let mut table = Table::alone(format!("{TRIGGERS} triggers, one server: {}", source.name), TRIGGERS);
    let tell = |table: &mut Table, name: &str| {
        let load = load_average();
        println!("  {}: {name} (load average {load})", source.name);
        table.began(name, &load);
    };
    tell(&mut table, "apply");
    let plane = Arc::new(ControlPlane::start_bare());
    let (field, own) = (Space::on(&plane, "sources"), Space::on(&plane, "operator"));
    let mut operator = Account::cluster_wide(&own).start_as(image::outside(), &[]);
    until_held(&own, None);
    create(&field, "deployments", (0..TRIGGERS).map(|index| target(&name(index))));
    create(&field, "scaledobjects", (0..TRIGGERS).map(|index| scaled_object(index, &(source.trigger)(index))));
    until("all objects are ready", || all(&field, TRIGGERS, "scaledobjects", is_ready_and_read).then_some(()));
    settle(&plane, &operator);

    tell(&mut table, "idle");
    let meter = Meter::new(operator.pid());
    let (requests, before, begun) = ((source.requests)(), meter.processor(), Instant::now());
    std::thread::sleep(MINUTE);
    let busy = (meter.processor() - before) / begun.elapsed().as_secs_f64();
    let requests = (source.requests)() - requests;
    println!("    {requests} {}", source.unit);
    table.add(&figures::ONE_SERVER.requests, count(requests));
    table.add(&figures::ONE_SERVER.connections, count(meter.connections(source.port)));
    table.add(&figures::ONE_SERVER.processor, busy * 1000.0);
    table.add(&figures::ONE_SERVER.resident, meter.memory("VmRSS"));
    table.add(&figures::ONE_SERVER.peak, meter.memory("VmHWM"));
    table.note(format!("Requests are {}.", source.unit));
    println!("    resident: {}", meter.parts());
    assert!(operator.is_running(), "the operator ended: {}", operator.log());
    operator.terminate();
    assert_eq!(operator.wait(), Some(0), "{}", operator.log());
    table
}

fn redis() -> Source {
    let server = Redis::start(None);
    let (address, port) = (server.address(), server.port());
    Source {
        name: "redis",
        unit: "packets of commands, as the server read them",
        port,
        trigger: Box::new(
            move |index| json!({"type": "redis", "metadata": {"address": address, "listName": name(index), "listLength": "5"}}),
        ),
        requests: Box::new(move || {
            let text: String = server.ask("INFO stats");
            let line = text.lines().find_map(|line| line.strip_prefix("total_reads_processed:")).map(str::trim);
            line.and_then(|count| count.parse().ok()).expect("the server counts")
        }),
    }
}

fn kafka() -> Source {
    let tap = Tap::new();
    let server =
        Kafka::start(&Plan::new(NEWEST).with("advertised.listeners", &format!("OPEN://127.0.0.1:{}", tap.port())));
    tap.lead_to(server.address(1, Listener::Open).rsplit_once(':').unwrap().1.parse().unwrap());
    let admin = server.admin();
    admin.ready_for_groups();
    (0..TOPICS).for_each(|index| admin.create(&topic(index), 1));
    abreast(|index| admin.commit(&name(index), &topic(index % TOPICS), 0, 0));
    let (port, begun) = (tap.port(), Instant::now());
    Source {
        name: "kafka",
        unit: "requests to the broker",
        port,
        trigger: Box::new(move |index| {
            json!({"type": "kafka", "metadata": {
                "bootstrapServers": format!("127.0.0.1:{port}"), "consumerGroup": name(index), "topic": topic(index % TOPICS),
                "lagThreshold": "5",
            }})
        }),
        requests: Box::new(move || {
            let _lives = &server;
            tap.rounds(begun).iter().map(Round::requests).sum()
        }),
    }
}

fn rabbitmq_by_http() -> Source {
    let (server, trigger) = rabbit(|rabbit| rabbit.ports.http, Counted::Http, "http");
    Source { name: "rabbitmq, management API", unit: "requests to the management API", ..behind(server, trigger) }
}

fn rabbitmq_by_amqp() -> Source {
    let (server, trigger) = rabbit(|rabbit| rabbit.ports.amqp, Counted::Amqp, "amqp");
    Source { name: "rabbitmq, AMQP", unit: "methods that the operator sent to the server", ..behind(server, trigger) }
}

fn prometheus() -> Source {
    let (server, own) = start_prometheus();
    let relay = Relay::to(own, Counted::Http);
    let port = relay.port();
    let trigger = move |index: usize| {
        json!({"type": "prometheus", "metadata": {
            "serverAddress": format!("http://127.0.0.1:{port}"), "query": format!("sum(jobs_waiting{{queue=\"{}\"}})", name(index)),
            "threshold": "5",
        }})
    };
    Source {
        name: "prometheus",
        unit: "requests to the server",
        ..behind((Box::new(server), relay), Box::new(trigger))
    }
}

/// A server that a relay stands before.
type Behind = (Box<dyn Send>, Relay);

/// A source whose requests are counted by a relay.
fn behind((server, relay): Behind, trigger: Box<dyn Fn(usize) -> Value>) -> Source {
    let port = relay.port();
    let requests = Box::new(move || {
        let _lives = &server;
        relay.requests()
    });
    Source { name: "", unit: "", port, trigger, requests }
}

/// A RabbitMQ with a queue for each trigger, behind a relay.
fn rabbit(port: fn(&Rabbit) -> u16, counted: Counted, scheme: &'static str) -> (Behind, Box<dyn Fn(usize) -> Value>) {
    let server = Rabbit::start(&rabbitmq::Plan::default());
    abreast(|index| server.add_queue("%2F", &name(index)));
    let relay = Relay::to(port(&server), counted);
    let host = format!("{scheme}://guest:guest@127.0.0.1:{}/%2F", relay.port());
    let trigger = move |index| {
        let metadata = json!({"host": host, "queueName": name(index), "mode": "QueueLength", "value": "5"});
        json!({"type": "rabbitmq", "metadata": metadata})
    };
    ((Box::new(server), relay), Box::new(trigger))
}

/// A Prometheus that scrapes nothing: a query of a metric that is not there is answered as soon as any other.
fn start_prometheus() -> ((Running, tempfile::TempDir), u16) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), "global: {scrape_interval: 1m}\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("prometheus");
    command.args(["--config.file", "prometheus.yml", "--storage.tsdb.path", "data", "--log.level", "error"]);
    command.arg("--web.listen-address").arg(format!("127.0.0.1:{port}")).current_dir(folder.path());
    let server = Running::start(&mut command, &folder.path().join("log"));
    eventually(START, "a Prometheus that listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    ((server, folder), port)
}

/// Does something for each trigger, some at a time.
fn abreast(act: impl Fn(usize) + Sync) {
    std::thread::scope(|threads| {
        for first in 0..ABREAST {
            let act = &act;
            threads.spawn(move || (first..TRIGGERS).step_by(ABREAST).for_each(act));
        }
    });
}

fn scaled_object(index: usize, trigger: &Value) -> Value {
    let name = name(index);
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name}, "pollingInterval": 30, "cooldownPeriod": 10,
            "minReplicaCount": 0, "maxReplicaCount": 20, "triggers": [trigger],
        },
    })
}

/// The name of an object, of its target, and of what its trigger reads.
fn name(index: usize) -> String {
    format!("app-{index}")
}

fn topic(index: usize) -> String {
    format!("topic-{index}")
}
