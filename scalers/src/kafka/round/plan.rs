//! What can be asked now.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::{Committed, Ends, Errand, Group, Need, Round, Stage, Topic, includes, index, latest};
use crate::kafka::faults::Fault;
use crate::kafka::metadata::{Address, ClusterMap, Subject};
use crate::kafka::offsets::{Query, Scope};
use crate::kafka::requests::{Ask, Commits, End, Partition};

/// LEADER_NOT_AVAILABLE and UNKNOWN_TOPIC_OR_PARTITION, said by the map and not by a broker.
const NO_LEADER: i16 = 5;
const NO_PARTITION: i16 = 3;

/// All ends of a log.
const ENDS: [End; 4] = [End::Latest, End::Stable, End::Start, End::Again];

impl Round<'_> {
    /// All that can be asked now, at most one errand of a kind a broker. Nothing if all is known or has failed.
    pub(in crate::kafka) fn plan(&mut self) -> Vec<Errand> {
        self.derive();
        let mut errands = Vec::new();
        self.plan_commits(&mut errands);
        // What has no leader is looked up below.
        self.plan_ends(&mut errands);
        self.plan_lookups(&mut errands);
        errands
    }

    /// Draws from what is known what else is needed.
    fn derive(&mut self) {
        let now = self.ledger.now;
        for (place, query) in self.queries.iter().enumerate().filter(|(_, query)| query.scope == Scope::GroupTopics) {
            if self.stages[place] != Stage::Topics {
                continue;
            }
            if let Some(Need::Done(committed)) = self.groups.get(&query.group).map(|group| &group.commits) {
                let own: Vec<Arc<str>> = committed.topics.keys().cloned().collect();
                for name in &own {
                    self.want_topic(name, query);
                }
                self.stages[place] = Stage::Ends;
            }
        }
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| topic.metadata.is_open()) {
            if let Some(partitions) = self.ledger.map.fresh_partitions(name, now) {
                topic.metadata = Need::Done(());
                topic.shape(partitions);
            }
        }
        for (stage, query) in self.stages.iter_mut().zip(self.queries).filter(|(stage, _)| **stage == Stage::Ends) {
            if let Some(Need::Done(committed)) = self.groups.get(&query.group).map(|group| &group.commits)
                && want_starts(query, committed, &mut self.topics)
            {
                *stage = Stage::Starts;
            }
        }
        self.doubt_outrun();
    }

    /// A log that ends before a commit may be that of a broker that is cut off from the others and does not know that it
    /// leads no more. Somebody else is asked who does, before the end is read again.
    fn doubt_outrun(&mut self) {
        let up = |address: &Address| !self.down.contains_key(address);
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| !topic.doubted) {
            let mut outrun = (0..).zip(&topic.partitions).filter(|(_, ends)| ends[End::Again as usize].is_open());
            let alone = |(index, _)| self.ledger.map.self_appointed(name, index, up).cloned();
            if let Some(leader) = outrun.find_map(alone) {
                topic.doubted = true;
                self.behind = Some(leader);
                self.ledger.map.doubt_topic(name);
                topic.reopen();
            }
        }
    }

    fn plan_commits(&mut self, errands: &mut Vec<Errand>) {
        let mut by_coordinator: BTreeMap<Address, Vec<Commits>> = BTreeMap::new();
        for (name, group) in &mut self.groups {
            if !group.commits.is_open() {
                continue;
            }
            let Some(address) = self.ledger.map.coordinator(name, self.ledger.now) else { continue };
            if let Some(error) = self.down.get(&address) {
                let subject = format!("group {name:?} of {}", self.ledger.map.name);
                self.ledger.map.trouble(Subject::Group(Arc::clone(name)), self.ledger.now);
                self.ledger.map.forget_coordinator(name);
                group.commits = Need::Failed(Fault::lost(&subject, error).error);
                continue;
            }
            if let Some(commits) = wanted(name, group, &self.topics) {
                by_coordinator.entry(address).or_default().push(commits);
            }
        }
        errands.extend(by_coordinator.into_iter().map(|(to, groups)| Errand { to, ask: Ask::Commits(groups) }));
    }

    fn plan_ends(&mut self, errands: &mut Vec<Errand>) {
        let mut by_leader: BTreeMap<(Address, u8), Vec<Partition>> = BTreeMap::new();
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| matches!(topic.metadata, Need::Done(()))) {
            let mut lost = false;
            for (place, ends) in topic.partitions.iter_mut().enumerate() {
                if !ends.iter().any(Need::is_open) {
                    continue;
                }
                match leader(self.ledger.map, &self.down, name, index(place)) {
                    Ok((address, epoch)) => {
                        let partition = Partition { topic: Arc::clone(name), index: index(place), epoch };
                        for end in ENDS.into_iter().filter(|end| ends[*end as usize].is_open()) {
                            by_leader.entry((address.clone(), end as u8)).or_default().push(partition.clone());
                        }
                    }
                    Err(fault) => {
                        for end in ends.iter_mut().filter(|end| end.is_open()) {
                            self.ledger.fail_end(end, name, index(place), fault.clone());
                            lost |= end.is_open();
                        }
                    }
                }
            }
            if lost {
                topic.reopen();
            }
        }
        let errand = |((to, end), partitions): ((Address, u8), _)| Errand {
            to,
            ask: Ask::Ends(ENDS[usize::from(end)], partitions),
        };
        errands.extend(by_leader.into_iter().map(errand));
    }

    /// Asks what any broker knows: the leaders of topics, the coordinators of groups.
    fn plan_lookups(&mut self, errands: &mut Vec<Errand>) {
        let missing = self.topics.iter().filter(|(_, topic)| topic.lacks_metadata());
        let mut topics: Vec<Arc<str>> = missing.map(|(name, _)| Arc::clone(name)).collect();
        let mut groups: Vec<Arc<str>> = Vec::new();
        for (name, _) in self.groups.iter().filter(|(_, group)| group.commits.is_open()) {
            if self.ledger.map.coordinator(name, self.ledger.now).is_none() {
                groups.push(Arc::clone(name));
            }
        }
        if topics.is_empty() && groups.is_empty() {
            return;
        }
        let Some(to) = self.guide(!topics.is_empty()) else {
            return self.give_up(&topics, &groups);
        };
        if !topics.is_empty() {
            topics.extend(self.ledger.map.companions(&topics, self.ledger.now));
            errands.push(Errand { to: to.clone(), ask: Ask::Topics(topics) });
        }
        if !groups.is_empty() {
            errands.push(Errand { to, ask: Ask::Coordinators(groups) });
        }
    }

    /// Whom to ask what any broker knows; for topics all brokers in turn, so that none is believed for ever.
    fn guide(&self, in_turn: bool) -> Option<Address> {
        let fit = |address: &Address| !self.down.contains_key(address) && Some(address) != self.behind.as_ref();
        if let Some(next) = self.ledger.map.next_guide(fit).filter(|_| in_turn) {
            return Some(next.clone());
        }
        let up = || self.ledger.map.guides().filter(|address| !self.down.contains_key(address));
        up().find(|address| Some(*address) != self.behind.as_ref()).or_else(|| up().next()).cloned()
    }

    /// Nobody can be asked where these are.
    fn give_up(&mut self, topics: &[Arc<str>], groups: &[Arc<str>]) {
        let error = self.unreachable();
        let failed = |subject: String| Fault::lost(&subject, &error).error;
        for name in topics {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.metadata = Need::Failed(failed(format!("topic {name:?} of {}", self.ledger.map.name)));
            }
        }
        for name in groups {
            if let Some(group) = self.groups.get_mut(name) {
                group.commits = Need::Failed(failed(format!("group {name:?} of {}", self.ledger.map.name)));
            }
        }
    }

    /// Why nobody can be asked: what the user can do something about comes first.
    pub(super) fn unreachable(&self) -> ReadError {
        let weight = |error: &&ReadError| match error.kind {
            ReadErrorKind::Auth => 0,
            ReadErrorKind::Config => 1,
            ReadErrorKind::Protocol => 2,
            ReadErrorKind::Unavailable => 3,
            ReadErrorKind::Timeout | ReadErrorKind::Settling => 4,
        };
        let nobody =
            || ReadError::endpoint(ReadErrorKind::Unavailable, format!("{} has no broker", self.ledger.map.name));
        let worst = self.down.values().min_by_key(weight).cloned();
        worst.map_or_else(nobody, |error| ReadError::endpoint(error.kind, error.message))
    }
}

impl Topic {
    /// Whether its leaders must be looked up for something that is still needed.
    fn lacks_metadata(&self) -> bool {
        let needed = || self.partitions.iter().flatten().any(Need::is_open);
        self.metadata.is_open() && (!self.is_shaped() || needed())
    }
}

/// What to ask a group's coordinator; nothing while the number of a topic's partitions is not known yet.
fn wanted(name: &Arc<str>, group: &Group, topics: &BTreeMap<Arc<str>, Topic>) -> Option<Commits> {
    if let Some((_, vanished)) = &group.doubted {
        // Whether the user may see a topic is told of any partition.
        let topics = vanished.iter().map(|topic| (Arc::clone(topic), 1)).collect();
        return Some(Commits { group: Arc::clone(name), topics: Some(topics) });
    }
    let Some(names) = &group.topics else {
        return Some(Commits { group: Arc::clone(name), topics: None });
    };
    let mut known = Vec::with_capacity(names.len());
    for (name, topic) in names.iter().filter_map(|name| topics.get_key_value(name)) {
        if topic.is_shaped() {
            known.push((Arc::clone(name), topic.partitions.len()));
        } else if topic.metadata.is_open() {
            return None;
        }
    }
    (!known.is_empty()).then(|| Commits { group: Arc::clone(name), topics: Some(known) })
}

/// Opens the log starts that can matter to a query: of partitions with a commit below the log end, and of those without
/// a commit if the query wants to know. Where a commit lies beyond the log end, the end is read again as well: the group
/// may have gone on since. False while that cannot be told.
fn want_starts(query: &Query, committed: &Committed, topics: &mut BTreeMap<Arc<str>, Topic>) -> bool {
    let own: Vec<Arc<str>>;
    let names = match &query.scope {
        Scope::Topics(names) => names,
        Scope::GroupTopics => {
            own = committed.topics.keys().cloned().collect();
            &own
        }
    };
    let end = latest(query.committed_only) as usize;
    let pending = |topic: &Topic| {
        let unshaped = !topic.is_shaped() && topic.metadata.is_open();
        let mut included = (0..).zip(&topic.partitions).filter(|(index, _)| includes(&query.partitions, *index));
        unshaped || included.any(|(_, ends)| ends[end].is_open())
    };
    if names.iter().filter_map(|name| topics.get(name)).any(pending) {
        return false;
    }
    for name in names {
        let Some(topic) = topics.get_mut(name) else { continue };
        let commit_of = committed.of(name);
        for (place, ends) in topic.partitions.iter_mut().enumerate() {
            let (Need::Done(latest), Some(Ok(commit))) = (&ends[end], commit_of(index(place))) else {
                continue;
            };
            if includes(&query.partitions, index(place)) {
                let (latest, commit) = (*latest, *commit);
                want_more(query, commit, latest, ends);
            }
        }
    }
    true
}

/// Opens what else a query needs of a partition, by its commit and the log end that was read.
fn want_more(query: &Query, commit: Option<i64>, latest: i64, ends: &mut Ends) {
    let outrun = commit.filter(|commit| *commit > latest);
    if let Some(commit) = outrun {
        let again = &mut ends[End::Again as usize];
        // What was read again for another query may be older than this commit.
        if matches!(again, Need::Unwanted) || matches!(again, Need::Done(again) if *again < commit) {
            *again = Need::Open(0);
        }
    }
    let matters = outrun.is_some() || commit.map_or(query.log_start, |commit| commit < latest);
    if matters && matches!(ends[End::Start as usize], Need::Unwanted) {
        ends[End::Start as usize] = Need::Open(0);
    }
}

/// Who leads a partition, and in which epoch.
fn leader(
    map: &ClusterMap,
    down: &BTreeMap<Address, ReadError>,
    topic: &str,
    partition: i32,
) -> Result<(Address, i32), Fault> {
    let subject = || format!("partition {partition} of topic {topic:?} of {}", map.name);
    let leader = map.leader(topic, partition).ok_or_else(|| Fault::code(&subject(), NO_PARTITION))?;
    let Some(address) = map.address(leader.broker) else {
        let code = if leader.code == 0 { NO_LEADER } else { leader.code };
        return Err(Fault::code(&subject(), code));
    };
    match down.get(address) {
        // It has just been looked up again, so waiting would only delay the others.
        Some(error) => Err(Fault { again: false, ..Fault::lost(&subject(), error) }),
        None => Ok((address.clone(), leader.epoch)),
    }
}
