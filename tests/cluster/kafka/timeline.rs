//! What a group and its Deployment did, second by second.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::super::space::Space;

/// How often it looks.
const PACE: Duration = Duration::from_secs(1);
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Looks at a group from outside: it is no member.
pub(super) struct Group {
    consumer: BaseConsumer,
    name: String,
    topic: String,
    partitions: i32,
}

/// The offsets of a topic: the sum of its ends, and of what the group has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offsets {
    pub(super) ends: i64,
    pub(super) committed: i64,
}

/// Looks until it is dropped.
pub(super) struct Timeline {
    moments: Arc<Mutex<Vec<Moment>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What was there at one moment. What could not be told then is none.
struct Moment {
    after: Duration,
    offsets: Option<Offsets>,
    /// The group's state and the number of its members.
    group: Option<(String, usize)>,
    asked: i64,
    ready: i64,
}

impl Group {
    pub(super) fn new(bootstrap: &str, group: &str, topic: &str, partitions: i32) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", bootstrap).set("group.id", group).set("log_level", "2");
        let consumer = settings.create().unwrap();
        Self { consumer, name: group.to_owned(), topic: topic.to_owned(), partitions }
    }

    /// None while the brokers do not tell. A partition without a commit is at its first record.
    pub(super) fn offsets(&self) -> Option<Offsets> {
        let mut asked = TopicPartitionList::new();
        for partition in 0..self.partitions {
            asked.add_partition(&self.topic, partition);
        }
        let committed = self.consumer.committed_offsets(asked, ANSWER).ok()?;
        let mut offsets = Offsets { ends: 0, committed: 0 };
        for each in committed.elements() {
            let (first, end) = self.consumer.fetch_watermarks(&self.topic, each.partition(), ANSWER).ok()?;
            offsets.ends += end;
            offsets.committed += if let Offset::Offset(at) = each.offset() { at } else { first };
        }
        Some(offsets)
    }

    /// The records that are not committed yet.
    pub(super) fn lag(&self) -> Option<i64> {
        self.offsets().map(Offsets::lag)
    }

    /// The group's state and the number of its members.
    fn members(&self) -> Option<(String, usize)> {
        let list = self.consumer.fetch_group_list(Some(&self.name), ANSWER).ok()?;
        let group = list.groups().first()?;
        Some((group.state().to_owned(), group.members().len()))
    }
}

impl Offsets {
    pub(super) fn lag(self) -> i64 {
        self.ends - self.committed
    }
}

impl Timeline {
    /// Begins to look at a group, and at the Deployment `name` of a namespace.
    pub(super) fn begin(space: &Space, name: &str, group: Group) -> Self {
        let (moments, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, ended, begun) = (moments.clone(), over.clone(), Instant::now());
        let (deployments, name) = (space.api("deployments"), name.to_owned());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let deployment = super::super::wait_for(deployments.get_opt(&name)).ok().flatten();
                let object = deployment.map(|object| object.data).unwrap_or_default();
                let count = |part: &str, field: &str| object[part][field].as_i64().unwrap_or(0);
                let moment = Moment {
                    after: begun.elapsed(),
                    offsets: group.offsets(),
                    group: group.members(),
                    asked: count("spec", "replicas"),
                    ready: count("status", "readyReplicas"),
                };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
                std::thread::sleep(PACE);
            }
        });
        Self { moments, over, thread: Some(thread) }
    }

    /// Whether it has seen the end: nothing is asked, and the group has no members.
    pub(super) fn is_over(&self) -> bool {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments
            .last()
            .is_some_and(|last| last.asked == 0 && last.group.as_ref().is_some_and(|(_, members)| *members == 0))
    }

    /// The most members that the group had at a time.
    pub(super) fn most_members(&self) -> usize {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.iter().filter_map(|moment| Some(moment.group.as_ref()?.1)).max().unwrap_or(0)
    }

    /// The highest lag.
    pub(super) fn most_lag(&self) -> i64 {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.iter().filter_map(|moment| moment.offsets.map(Offsets::lag)).max().unwrap_or(0)
    }
}

impl Drop for Timeline {
    /// Whoever reads of a failure wants to know what happened.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let joined = self.thread.take().is_some_and(|thread| thread.join().is_ok());
        if std::thread::panicking() || !joined {
            eprintln!("{self}");
        }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "seconds | records |   lag | asked | ready | members | group")?;
        for moment in self.moments.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let number = |number: Option<i64>| number.map_or("?".to_owned(), |number| number.to_string());
            let (records, lag) = (moment.offsets.map(|all| all.ends), moment.offsets.map(Offsets::lag));
            let (state, members) =
                moment.group.as_ref().map_or(("?", "?".to_owned()), |(state, count)| (state, count.to_string()));
            let (after, asked, ready) = (moment.after.as_secs_f64(), moment.asked, moment.ready);
            let (records, lag) = (number(records), number(lag));
            writeln!(out, "{after:7.1} | {records:>7} | {lag:>5} | {asked:>5} | {ready:>5} | {members:>7} | {state}")?;
        }
        Ok(())
    }
}
