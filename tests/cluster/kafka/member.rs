//! A consumer as people write it: a member of a group that takes a record, works on it, commits, and leaves when it is asked to end.
//!
//! It is this test program itself, started with [`WORK`] in its environment: a pod needs a program, and this one is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, ClientContext, Message as _};
use tokio::signal::unix::{SignalKind, signal};

/// The environment variable with the work of a consumer: the words of [`Work`] with spaces between them.
const WORK: &str = "TIDEGATE_TEST_CONSUMER";
/// How a member begins the line by which it tells that partitions were given to it.
const GIVEN: &str = "was given";

/// What a consumer does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work<'a> {
    /// Where it finds the brokers.
    pub(super) bootstrap: &'a str,
    /// The group that it joins.
    pub(super) group: &'a str,
    /// What it reads.
    pub(super) topic: &'a str,
    /// How long it works on one record.
    pub(super) each: Duration,
}

/// Tells of rebalances.
struct Teller;

impl Work<'_> {
    /// The script of a pod that does it. The shell becomes the consumer, so that it is the consumer who is asked to end.
    pub(super) fn script(&self) -> String {
        let Self { bootstrap, group, topic, each } = self;
        let program = std::env::current_exe().unwrap();
        format!("exec env {WORK}='{bootstrap} {group} {topic} {}' '{}'", each.as_millis(), program.display())
    }
}

impl ClientContext for Teller {}

impl ConsumerContext for Teller {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            let partitions: Vec<i32> = partitions.elements().iter().map(TopicPartitionListElem::partition).collect();
            println!("{GIVEN} {partitions:?}");
        }
    }
}

/// Works until it is asked to end, if this process was started for that: then it has nothing else to do.
pub(crate) fn work_if_told() -> bool {
    let Ok(words) = std::env::var(WORK) else { return false };
    let words: Vec<&str> = words.split(' ').collect();
    let [bootstrap, group, topic, each] = words[..] else { panic!("{WORK}: {words:?}") };
    let each = Duration::from_millis(each.parse().unwrap());
    work(Work { bootstrap, group, topic, each });
    true
}

/// How often partitions were given to a member, by what all members have printed: once a member and rebalance.
pub(super) fn times_given(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with(GIVEN)).count()
}

fn work(work: Work<'_>) {
    let ended = termination();
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", work.bootstrap).set("group.id", work.group).set("log_level", "3");
    settings.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest").set("queued.min.messages", "1");
    // One that crashes is missed soon, and all learn soon of a rebalance.
    settings.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
    let consumer: BaseConsumer<Teller> = settings.create_with_context(Teller).unwrap();
    consumer.subscribe(&[work.topic]).unwrap();
    while !ended.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                std::thread::sleep(work.each);
                // While it worked, the partition may have been given to another member. That one does the work again.
                if let Err(error) = consumer.commit_message(&record, CommitMode::Sync) {
                    println!("offset {} of {} is not committed: {error}", record.offset(), record.partition());
                }
            }
            Some(Err(error)) => println!("{error}"),
            None => {}
        }
    }
    println!("leaves");
    drop(consumer);
}

/// Becomes true when this process is asked to end.
fn termination() -> Arc<AtomicBool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let guard = runtime.enter();
    let mut signals = signal(SignalKind::terminate()).unwrap();
    drop(guard);
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    std::thread::spawn(move || {
        runtime.block_on(signals.recv());
        told.store(true, Ordering::Relaxed);
    });
    ended
}
