//! What many consumer groups of one Kafka cost: each has a ScaledObject of its own, and the offsets of all are read from one broker.
//!
//! It is as the load benchmark: a control plane without pods, and the operator with the printed roles. A [`Tap`] before the broker
//! counts and times the requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::control_plane::ControlPlane;
use super::super::image;
use super::super::operator::{Account, Operator, holder, until_held};
use super::super::space::Space;
use super::field::{all, create, is_ready_and_read, target, until};
use super::figures::{self, Polls, Table, count};
use super::meter::{Meter, load_average, machine};
use super::tap::{Round, Tap};
use super::{MINUTE, settle};
use crate::harness::kafka::{Kafka, Listener, NEWEST, Plan};
use crate::harness::tidegate::binary;

/// The groups, each with an object.
const GROUPS: usize = 500;
/// The topics, each of which ten groups read.
const TOPICS: usize = 50;
/// The partitions of each topic.
const PARTITIONS: i32 = 3;
/// The records of each partition in the part with lag. With all partitions of a topic and five records a replica, that is two replicas.
const RECORDS: usize = 3;
/// How many groups commit at a time.
const ABREAST: usize = 8;
/// How long a broker may take to read all groups.
const LIMIT: Duration = Duration::from_mins(2);

pub(super) fn load() {
    println!("{}", machine());
    println!("the operator is {}", binary().display());
    let mut run = Run::start();
    run.apply();
    run.minute("no lag", &figures::NO_LAG);
    run.begin_lag();
    run.minute("lag in all groups", &figures::LAG);
    run.restart();
    println!("\n{}", run.end());
}

/// One measurement.
struct Run {
    // Dropped in this order: the operator ends before the servers that it asks.
    operator: Operator,
    account: Account,
    own: Space,
    space: Space,
    kafka: Kafka,
    tap: Tap,
    plane: Arc<ControlPlane>,
    table: Table,
    /// The most that an operator had resident, MiB.
    peak: f64,
}

impl Run {
    /// Starts everything; there are topics and groups, and no objects yet.
    fn start() -> Self {
        let title = format!("{GROUPS} groups, {TOPICS} topics with {PARTITIONS} partitions, one broker");
        let tap = Tap::new();
        let advertised = format!("OPEN://127.0.0.1:{}", tap.port());
        let kafka = Kafka::start(&Plan::new(NEWEST).with("advertised.listeners", &advertised));
        let broker = kafka.address(1, Listener::Open);
        tap.lead_to(broker.rsplit_once(':').unwrap().1.parse().unwrap());
        prepare(&kafka);
        let plane = Arc::new(ControlPlane::start_bare());
        let (space, own) = (Space::on(&plane, "groups"), Space::on(&plane, "operator"));
        let account = Account::cluster_wide(&own);
        let operator = account.start_as(image::outside(), &[]);
        until_held(&own, None);
        let table = Table::alone(title, GROUPS);
        Self { operator, account, own, space, kafka, tap, plane, table, peak: 0.0 }
    }

    /// Applies all objects, and waits until each is ready and read.
    fn apply(&mut self) {
        self.begin("apply");
        create(&self.space, "deployments", (0..GROUPS).map(|index| target(&group(index))));
        let port = self.tap.port();
        create(&self.space, "scaledobjects", (0..GROUPS).map(|index| scaled_object(index, port)));
        until("all objects are ready", || all(&self.space, GROUPS, "scaledobjects", is_ready_and_read).then_some(()));
        settle(&self.plane, &self.operator);
    }

    /// A minute in which nothing changes.
    fn minute(&mut self, name: &str, figures: &'static Polls) {
        self.begin(name);
        let meter = Meter::new(self.operator.pid());
        let (before, begun) = (meter.processor(), Instant::now());
        std::thread::sleep(MINUTE);
        let spent = (meter.processor() - before) / begun.elapsed().as_secs_f64();
        let rounds = self.tap.rounds(begun);
        println!("    {:?} over {} connections", Round::kinds(&rounds), Round::connections(&rounds));
        println!("    one of them, ms: {}", rounds.last().map(Round::course).unwrap_or_default());
        let each = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
        self.table.add(&figures.rounds, count(rounds.len()));
        self.table.add_all(&figures.requests, each(|round| count(round.requests())));
        self.table.add_all(&figures.groups, each(|round| count(round.groups())));
        self.table.add_all(&figures.traffic, each(Round::kilobytes));
        self.table.add_all(&figures.time, each(Round::time));
        self.table.add(&figures.processor, spent * 1000.0);
        self.table.add(&figures.resident, meter.memory("VmRSS"));
        self.table.add(&figures.threads, meter.threads());
        self.table.add(&figures.connections, count(meter.connections(self.tap.port())));
        println!("    resident: {}", meter.parts());
    }

    /// Records for all groups, which nobody reads.
    fn begin_lag(&mut self) {
        self.begin("records for all groups");
        let records = self.kafka.records();
        for (index, partition) in (0..TOPICS).flat_map(|index| (0..PARTITIONS).map(move |partition| (index, partition)))
        {
            records.append(&topic(index), partition, RECORDS);
        }
        until("all have two replicas", || {
            all(&self.space, GROUPS, "deployments", |object| object["spec"]["replicas"] == 2).then_some(())
        });
        settle(&self.plane, &self.operator);
    }

    /// A new operator knows nothing, and reads all groups at once.
    fn restart(&mut self) {
        self.stop();
        self.begin("a start");
        let begun = Instant::now();
        self.operator = self.account.start_as(image::outside(), &[]);
        let rounds = until("all groups are read", || {
            let rounds = self.tap.rounds(begun);
            assert!(begun.elapsed() < LIMIT, "not all groups are read after {LIMIT:?}: {:?}", Round::kinds(&rounds));
            (rounds.iter().map(Round::groups).sum::<usize>() >= GROUPS).then_some(rounds)
        });
        let (groups, time) = rounds.iter().map(Round::largest).max_by_key(|(groups, _)| *groups).expect("a round");
        for round in &rounds {
            println!("    its requests, ms: {}", round.course());
        }
        self.table.add(&figures::AT_ONCE_REQUESTS, count(rounds.iter().map(Round::requests).sum()));
        self.table.add(&figures::AT_ONCE, rounds.iter().map(Round::time).sum());
        self.table.add(&figures::LARGEST, count(groups));
        self.table.add(&figures::LARGEST_TIME, time);
        settle(&self.plane, &self.operator);
    }

    fn end(mut self) -> Table {
        self.stop();
        self.table.add(&figures::PEAK_OF_GROUPS, self.peak);
        self.table.note(format!(
            "Rounds are told from each other by pauses, and timed between operator and broker. With a `pollingInterval` of 30 s the \
             groups are read in eight parts. For KEDA there is no figure of ours; about 35 GiB for about 3,000 Kafka objects, some 12 \
             MiB an object, were reported by a user (kedacore/keda#7453, KEDA 2.18.2): {GROUPS} of them would be 6 GiB."
        ));
        self.table
    }

    /// Ends the operator, which gives its Lease back.
    fn stop(&mut self) {
        assert!(self.operator.is_running(), "the operator ended: {}", self.operator.log());
        self.peak = self.peak.max(Meter::new(self.operator.pid()).memory("VmHWM"));
        self.operator.terminate();
        assert_eq!(self.operator.wait(), Some(0), "{}", self.operator.log());
        until("nobody holds the Lease", || holder(&self.own).is_none().then_some(()));
    }

    fn begin(&mut self, name: &str) {
        let load = load_average();
        println!("  {name} (load average {load})");
        self.table.began(name, &load);
    }
}

/// All topics, empty, and all groups with a commit of each partition that they read.
fn prepare(kafka: &Kafka) {
    let begun = Instant::now();
    let admin = kafka.admin();
    admin.ready_for_groups();
    for index in 0..TOPICS {
        admin.create(&topic(index), PARTITIONS);
    }
    std::thread::scope(|threads| {
        for first in 0..ABREAST {
            let admin = admin.clone();
            threads.spawn(move || {
                for index in (first..GROUPS).step_by(ABREAST) {
                    for partition in 0..PARTITIONS {
                        admin.commit(&group(index), &topic(index % TOPICS), partition, 0);
                    }
                }
            });
        }
    });
    println!("topics and groups were made in {:.1?}", begun.elapsed());
}

fn scaled_object(index: usize, port: u16) -> Value {
    let name = group(index);
    let trigger = json!({
        "bootstrapServers": format!("127.0.0.1:{port}"), "consumerGroup": name, "topic": topic(index % TOPICS),
        "lagThreshold": "5",
    });
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name}, "pollingInterval": 30, "cooldownPeriod": 10,
            "minReplicaCount": 0, "maxReplicaCount": 20, "triggers": [{"type": "kafka", "metadata": trigger}],
        },
    })
}

/// The name of a group, of its object and of its target.
fn group(index: usize) -> String {
    format!("group-{index}")
}

fn topic(index: usize) -> String {
    format!("topic-{index}")
}
