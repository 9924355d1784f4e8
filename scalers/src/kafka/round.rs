//! Knows what one round has found out and what is still missing; pure.
//!
//! A round answers a batch of queries in waves: [`Round::plan`] says what can be asked now, all of it side by side, and
//! [`Round::absorb`] takes in what was answered. The first wave asks for metadata that is old and for coordinators that
//! are unknown, usually for nothing; the next for commits and log ends; the last for the log starts that matter, and for ends that a commit lies beyond. Whatever
//! fails in a way that may pass is looked up again and asked again, [`TRIES`] times in all.
//!
//! An answer is made of numbers that brokers gave in this round. Where one is missing the query has an error.

mod absorb;
mod answer;
mod plan;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::faults::Fault;
use super::metadata::{Address, ClusterMap, Subject};
use super::offsets::{Limits, Query, Scope};
use super::requests::{Ask, End};

/// How often one thing is asked for in a round before it is an error.
const TRIES: u8 = 3;

/// How long to wait before asking once more: a leader that has moved is known to all at once, an election takes longer.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(150)];

/// The longest name that fits in a request. Kafka itself allows far shorter topics only.
const LONGEST_NAME: usize = 32_767;

/// One round: a batch of queries, what is known of the cluster, and what was found out.
pub(super) struct Round<'a> {
    ledger: Ledger<'a>,
    queries: &'a [Query],
    /// By query, how far it is.
    stages: Vec<Stage>,
    topics: BTreeMap<Arc<str>, Topic>,
    groups: BTreeMap<Arc<str>, Group>,
    /// Who could not be asked in this round, and why.
    down: BTreeMap<Address, ReadError>,
    /// A broker whose knowledge of the cluster seems to be behind the others'.
    behind: Option<Address>,
    /// Whether anybody answered anything.
    heard: bool,
}

/// What is known of the cluster, and where failures are booked.
struct Ledger<'a> {
    map: &'a mut ClusterMap,
    now: Instant,
    /// How long to wait before the next wave.
    pause: Duration,
}

/// A broker, and what to ask it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Errand {
    pub(super) to: Address,
    pub(super) ask: Ask,
}

/// One thing that may be needed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Need<T> {
    Unwanted,
    /// Needed, and asked for in vain this often.
    Open(u8),
    Done(T),
    Failed(ReadError),
}

/// How far a query is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// It is not known yet which topics it is about.
    Topics,
    /// Commits and log ends are being read.
    Ends,
    /// It is known which log starts matter.
    Starts,
    /// It cannot be asked.
    Refused(ReadError),
}

/// A topic in this round.
#[derive(Debug)]
struct Topic {
    /// Whether what is known of it holds.
    metadata: Need<()>,
    /// Whether a second opinion was asked for on who leads its partitions.
    doubted: bool,
    /// Of which partitions these ends are needed: of all that any of the limits includes.
    latest: Vec<Limits>,
    stable: Vec<Limits>,
    /// By partition. Its number is that of the first sight in this round, so that all parts of an answer agree.
    partitions: Vec<Ends>,
}

/// The ends of a partition, by [`End`].
type Ends = [Need<i64>; 4];

/// A group in this round.
#[derive(Debug)]
struct Group {
    /// The topics that are asked for; none for all that the group has commits of.
    topics: Option<BTreeSet<Arc<str>>>,
    commits: Need<Committed>,
    /// What was answered of all topics, and those that it left out though they had commits before.
    doubted: Option<(Committed, Vec<Arc<str>>)>,
}

/// What a group has committed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Committed {
    /// Whether a partition that is not there has no commit; else the answer should have had it.
    complete: bool,
    /// By topic, by partition in ascending order.
    topics: HashMap<Arc<str>, Vec<(i32, Commit)>>,
}

/// A committed offset, none if there is no commit.
type Commit = Result<Option<i64>, ReadError>;

impl<'a> Round<'a> {
    /// A round for these queries.
    pub(super) fn new(map: &'a mut ClusterMap, queries: &'a [Query], now: Instant) -> Self {
        let stages = queries.iter().map(|query| match too_long(query) {
            Some(error) => Stage::Refused(error),
            None => Stage::Topics,
        });
        let mut round = Self {
            ledger: Ledger { map, now, pause: Duration::ZERO },
            queries,
            stages: stages.collect(),
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            down: BTreeMap::new(),
            behind: None,
            heard: false,
        };
        for (place, query) in queries.iter().enumerate().filter(|(_, query)| too_long(query).is_none()) {
            round.want(place, query);
        }
        round
    }

    /// How long to wait before asking what [`Round::plan`] says.
    pub(super) fn pause(&self) -> Duration {
        self.ledger.pause
    }

    /// Takes a query in: its group, and its topics if it names them.
    fn want(&mut self, place: usize, query: &Query) {
        let new = || Group { topics: Some(BTreeSet::new()), commits: Need::Open(0), doubted: None };
        let group = self.groups.entry(Arc::clone(&query.group)).or_insert_with(new);
        match (&query.scope, &mut group.topics) {
            (Scope::GroupTopics, topics) => *topics = None,
            (Scope::Topics(names), Some(topics)) => topics.extend(names.iter().cloned()),
            (Scope::Topics(_), None) => {}
        }
        if let Scope::Topics(names) = &query.scope {
            for name in names {
                self.want_topic(name, query);
            }
            self.stages[place] = Stage::Ends;
        }
    }

    fn want_topic(&mut self, name: &Arc<str>, query: &Query) {
        if !self.topics.contains_key(name) {
            let (latest, stable, partitions) = (Vec::new(), Vec::new(), Vec::new());
            let new = Topic { metadata: Need::Open(0), doubted: false, latest, stable, partitions };
            self.topics.insert(Arc::clone(name), new);
        }
        let Some(topic) = self.topics.get_mut(name) else { return };
        let wanted = if query.committed_only { &mut topic.stable } else { &mut topic.latest };
        if !wanted.contains(&query.partitions) {
            wanted.push(query.partitions.clone());
            let end = latest(query.committed_only) as usize;
            for (place, ends) in topic.partitions.iter_mut().enumerate() {
                if includes(&query.partitions, index(place)) && ends[end] == Need::Unwanted {
                    ends[end] = Need::Open(0);
                }
            }
        }
    }
}

impl<T> Need<T> {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

impl Ledger<'_> {
    /// Books a failure: the need is open again, or has failed for this round.
    ///
    /// What failed in the last round too gets one try only: it would hold everybody up, round after round.
    fn fail<T>(&mut self, need: &mut Need<T>, subject: Subject, fault: Fault) {
        let failures = if let Need::Open(failures) = need { *failures + 1 } else { 1 };
        if fault.again && failures < TRIES && !self.map.is_troubled(&subject) {
            self.pause = self.pause.max(PAUSES[usize::from(failures - 1).min(PAUSES.len() - 1)]);
            *need = Need::Open(failures);
        } else {
            self.map.trouble(subject, self.now);
            *need = Need::Failed(fault.error);
        }
    }

    /// Books that an end of a partition cannot be read. Whoever leads it is looked up before it is asked for again.
    fn fail_end(&mut self, end: &mut Need<i64>, topic: &Arc<str>, partition: i32, fault: Fault) {
        self.map.doubt_leader(topic, partition);
        self.fail(end, Subject::Partition(Arc::clone(topic), partition), fault);
    }

    /// Books an answer.
    fn settle<T>(&mut self, need: &mut Need<T>, subject: &Subject, answer: T) {
        self.map.calm(subject);
        *need = Need::Done(answer);
    }
}

impl Topic {
    /// Sets the number of partitions, unless it is known.
    fn shape(&mut self, partitions: usize) {
        if self.partitions.is_empty() {
            let open = |wanted: &[Limits], place| {
                let any = wanted.iter().any(|limits| includes(limits, index(place)));
                if any { Need::Open(0) } else { Need::Unwanted }
            };
            let ends = |place| [open(&self.latest, place), open(&self.stable, place), Need::Unwanted, Need::Unwanted];
            self.partitions = (0..partitions).map(ends).collect();
        }
    }

    /// Whether the number of partitions is known.
    fn is_shaped(&self) -> bool {
        !self.partitions.is_empty()
    }

    /// Doubts what is known of it, once a leader turns out not to be one.
    fn reopen(&mut self) {
        if matches!(self.metadata, Need::Done(())) {
            self.metadata = Need::Open(0);
        }
    }
}

impl Committed {
    /// The commits of a topic, by partition; none where the answer should have had one and does not.
    fn of<'c>(&'c self, topic: &str) -> impl Fn(i32) -> Option<&'c Commit> + use<'c> {
        static ABSENT: Commit = Ok(None);
        let listed = self.topics.get(topic).map_or(&[][..], Vec::as_slice);
        move |partition| match listed.binary_search_by_key(&partition, |(index, _)| *index) {
            Ok(place) => listed.get(place).map(|(_, commit)| commit),
            Err(_) => self.complete.then_some(&ABSENT),
        }
    }
}

/// Which end of the log a query calls the latest.
fn latest(committed_only: bool) -> End {
    if committed_only { End::Stable } else { End::Latest }
}

/// Whether a partition is one of these.
fn includes(limits: &Limits, partition: i32) -> bool {
    limits.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&partition)))
}

/// The number of a partition by its place.
fn index(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

fn too_long(query: &Query) -> Option<ReadError> {
    let topics: &[Arc<str>] = if let Scope::Topics(names) = &query.scope { names } else { &[] };
    let longest = topics.iter().chain([&query.group]).map(|name| name.len()).max()?;
    (longest > LONGEST_NAME).then(|| {
        let what = format!("the name of a group or topic is longer than {LONGEST_NAME} bytes");
        ReadError::query(ReadErrorKind::Config, what)
    })
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
