//! Consumers of a real Kafka, scaled by the lag of their group: as many as have something to read, none when all is read.
//!
//! The pods are real members of a group ([`member`]); [`timeline`] looks at the group and its Deployment, second by second.

mod member;
mod timeline;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::member::{Work, times_given};
use self::timeline::{Group, Offsets, Timeline};
use super::SOON;
use super::audit::Moment;
use super::objects::Deployment;
use super::operator::{Account, Operator};
use super::space::{Asked, Space};
use crate::harness::children::kill_all;
use crate::harness::kafka::records::Records;
use crate::harness::kafka::{Kafka, Listener, NEWEST, Plan, missing};
use crate::harness::under_ci;
use crate::harness::wait::eventually;

pub(crate) use self::member::work_if_told;

/// The partitions of each topic.
const PARTITIONS: i32 = 3;
/// `lagThreshold`.
const THRESHOLD: i64 = 5;
/// `cooldownPeriod`, seconds.
const COOLDOWN: u32 = 10;
/// How long a consumer works on a record.
const EACH: Duration = Duration::from_millis(250);
/// The Deployment, the ScaledObject and the group.
const NAME: &str = "billing";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("kafka::no_more_replicas_than_partitions_and_none_when_all_is_read", partitions),
        trial("kafka::idle_consumers_where_they_are_allowed", idle_consumers),
        trial("kafka::a_first_record_wakes_by_push", push),
    ]
}

/// A scenario that needs the control plane and a real Kafka.
pub(super) fn trial(name: &'static str, scenario: fn()) -> Trial {
    match missing(NEWEST) {
        None => super::trial(name, scenario),
        Some(what) => Trial::test(format!("cluster::{name}"), move || {
            if under_ci() {
                return Err(format!("missing: {what}").into());
            }
            println!("skipped: cluster::{name} needs {what}");
            Ok(())
        }),
    }
}

/// The broker that these scenarios share; each has a topic and a group of its own. It ends with this process.
pub(super) fn shared() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(|| {
        let kafka = Kafka::start(&Plan::new(NEWEST));
        kafka.admin().ready_for_groups();
        kafka
    })
}

/// A topic that a Deployment reads, and an operator that scales it. The fields stand in the order in which they must be dropped.
struct Shop {
    timeline: Timeline,
    asked: Asked,
    operator: Operator,
    space: Space,
    group: Group,
    records: Records,
    topic: String,
    begun: Moment,
}

impl Shop {
    /// Everything is there, the topic is empty, and so the replicas are 0.
    fn open(purpose: &str, polling: u32, metadata: &[(&str, &str)]) -> Self {
        let kafka = shared();
        let space = Space::new(purpose);
        // No other control plane's namespace has used the name at this broker: it lives as long as this process.
        let (topic, bootstrap) = (space.name().to_owned(), kafka.bootstrap(Listener::Open));
        let group_name = format!("{topic}-{NAME}");
        kafka.admin().create(&topic, PARTITIONS);
        let script = Work { bootstrap: &bootstrap, group: &group_name, topic: &topic, each: EACH }.script();
        space.deploy(&Deployment { name: NAME, script: Some(&script), grace: 10, ..Deployment::default() });
        let mut trigger = json!({
            "bootstrapServers": bootstrap, "consumerGroup": group_name, "topic": topic,
            "lagThreshold": THRESHOLD.to_string(), "offsetResetPolicy": "earliest",
        });
        for (key, text) in metadata {
            trigger[key] = (*text).into();
        }
        space.apply(&scaled_object(polling, &trigger).to_string());
        let operator = Account::new(&space).start();
        let begun = space.plane().audit().now();
        space.until_condition(NAME, "Ready", "True");
        space.until_condition(NAME, "Active", "False");
        let asked = space.watch(NAME);
        let look = || Group::new(&bootstrap, &group_name, &topic, PARTITIONS);
        let timeline = Timeline::begin(&space, NAME, look());
        Self { timeline, asked, operator, group: look(), records: kafka.records(), space, topic, begun }
    }

    /// Appends so many records to each partition.
    fn append(&self, count: usize) {
        for partition in 0..PARTITIONS {
            self.records.append(&self.topic, partition, count);
        }
    }

    /// Appends so many records to each partition every second, for some seconds.
    fn append_for(&self, seconds: u64, count: usize) {
        let begun = Instant::now();
        for second in 0..seconds {
            std::thread::sleep(Duration::from_secs(second).saturating_sub(begun.elapsed()));
            self.append(count);
        }
    }

    /// The group has read everything, and the replicas go to 0. Nothing is lost on the way.
    fn until_read_and_ended(&self) -> Offsets {
        eventually(SOON, "a group that has read everything", || (self.group.lag() == Some(0)).then_some(()));
        let read = Instant::now();
        self.space.until_replicas(NAME, 0);
        println!("0 replicas were asked {:.1?} after the lag was first seen to be 0", read.elapsed());
        eventually(SOON, "the news of it", || (self.asked.counts().last() == Some(&0)).then_some(()));
        eventually(SOON, "the end of all consumers", || self.space.processes().is_empty().then_some(()));
        eventually(SOON, "a look at the end", || self.timeline.is_over().then_some(()));
        self.group.offsets().expect("the broker answers")
    }

    /// The replicas rose until they were enough, and then went to 0; nothing else was written.
    fn assert_no_flapping(&self, most: i64) {
        let counts = self.asked.counts();
        println!("{}", self.timeline);
        for (at, count) in self.asked.changes() {
            println!("{at:.1} {count} replicas are asked");
        }
        let given = times_given(&self.space.plane().node().output(self.space.name()));
        println!(
            "members were given partitions {given} times; the most at a time were {}",
            self.timeline.most_members()
        );
        let (last, up) = counts.split_last().expect("a count");
        assert!(*last == 0 && up.is_sorted(), "up, then 0: {counts:?}\n{}", self.operator.log());
        assert!(up.iter().all(|count| *count <= most), "at most {most}: {counts:?}");
        let writes = self.operator.requests(self.begun).writes().done().of("deployments/scale");
        assert_eq!(writes.count(), counts.len() - 1, "{writes}");
    }
}

/// Three partitions under load: more than three consumers would have nothing to do. Meanwhile a pod is replaced, and a consumer
/// crashes: its group stands still until it is missed.
fn partitions() {
    let shop = Shop::open("partitions", 1, &[]);
    shop.records.append(&shop.topic, 0, 1);
    shop.space.until_replicas(NAME, 1);
    shop.append_for(8, 6);
    shop.space.until_ready(NAME, 3);

    let pods = shop.space.list("pods");
    shop.space.delete("pods", pods[0]["metadata"]["name"].as_str().unwrap());
    shop.append_for(8, 6);
    shop.space.until_ready(NAME, 3);

    kill_all(&shop.space.processes()[..1]);
    shop.append_for(8, 6);

    let offsets = shop.until_read_and_ended();
    assert_eq!(offsets, Offsets { ends: 1 + 3 * 8 * 3 * 6, committed: 1 + 3 * 8 * 3 * 6 }, "all is read");
    shop.assert_no_flapping(3);
    assert!(shop.asked.counts().contains(&3), "{:?}", shop.asked.counts());
    let most = shop.timeline.most_lag();
    assert!(most > 2 * 3 * THRESHOLD, "a lag of {most} asks for no more than 3 replicas anyway");
    let given = times_given(&shop.space.plane().node().output(shop.space.name()));
    assert!(given >= 8, "a start, a leave and a crash are several rebalances, not {given}");
}

/// The same topic, where consumers without a partition are welcome: 30 records are 6 replicas.
fn idle_consumers() {
    let shop = Shop::open("idle-consumers", 1, &[("allowIdleConsumers", "true")]);
    shop.append(10);
    eventually(SOON, "more members than partitions", || {
        shop.append_for(2, 1);
        (shop.timeline.most_members() > 3).then_some(())
    });
    let offsets = shop.until_read_and_ended();
    assert_eq!(offsets.lag(), 0, "all is read");
    shop.assert_no_flapping(10);
    assert!(shop.asked.counts().iter().any(|count| *count > 3), "{:?}", shop.asked.counts());
}

/// The broker tells of the first record, and nobody waits for the next poll.
fn push() {
    const POLLING: u32 = 60;
    let shop = Shop::open("push", POLLING, &[("activation", "push")]);
    // Nothing tells when the brokers are listened to.
    std::thread::sleep(Duration::from_secs(5));
    let before = Timestamp::now();
    shop.records.append(&shop.topic, 1, 1);
    let stored = Timestamp::now();
    let first = eventually(SOON, "a write of /scale", || {
        shop.operator.requests(shop.begun).writes().of("deployments/scale").0.into_iter().next()
    });
    let after = first.at.duration_since(before);
    println!(
        "the first write of /scale came {after:#} after the first record was sent, and {:#} after it was stored",
        first.at.duration_since(stored)
    );
    assert!(after.as_secs_f64() < f64::from(POLLING) / 4.0, "{after:#}: that is what a poll would take");
    shop.until_read_and_ended();
    shop.assert_no_flapping(1);
}

fn scaled_object(polling: u32, trigger: &Value) -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"name": NAME}, "pollingInterval": polling, "cooldownPeriod": COOLDOWN,
            "maxReplicaCount": 10, "triggers": [{"type": "kafka", "metadata": trigger}],
        },
    })
}
