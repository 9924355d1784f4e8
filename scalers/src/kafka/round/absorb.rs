//! What an answer tells.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponsePartitions};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::{Commit, Committed, Errand, Round, Topic};
use crate::kafka::faults::{self, Fault};
use crate::kafka::metadata::{Address, Subject};
use crate::kafka::requests::{Ask, Commits, End, Partition, Said};

/// Kafka's own sign for "no commit".
const NO_COMMIT: i64 = -1;

impl Round<'_> {
    /// Takes in a wave: its errands with their outcomes.
    pub(in crate::kafka) fn absorb(&mut self, wave: Vec<(Errand, Result<Said, ReadError>)>) {
        self.ledger.pause = Duration::ZERO;
        for (Errand { to, ask }, outcome) in wave {
            match (ask, outcome) {
                (Ask::Topics(asked), Ok(Said::Topics(said))) => self.absorb_topics(&to, asked, &said),
                (Ask::Coordinators(asked), Ok(Said::Coordinators(said))) => self.absorb_seats(to, &asked, &said),
                (Ask::Commits(asked), Ok(Said::Commits(said))) => self.absorb_commits(&to, &asked, said),
                (Ask::Ends(end, asked), Ok(Said::Ends(said))) => self.absorb_ends(&to, end, &asked, &said),
                (ask, Err(error)) => self.lose(to, ask, error),
                (ask, Ok(_)) => {
                    let error = ReadError::endpoint(ReadErrorKind::Protocol, format!("{to} answered something else"));
                    self.lose(to, ask, error);
                }
            }
        }
    }

    fn hear(&mut self, from: &Address) {
        self.heard = true;
        self.ledger.map.heard(from);
    }

    /// A broker could not be asked. It is not asked again in this round; leaders and coordinators may have moved.
    fn lose(&mut self, to: Address, ask: Ask, error: ReadError) {
        match ask {
            // Another broker is asked instead.
            Ask::Topics(_) | Ask::Coordinators(_) => {}
            Ask::Commits(groups) => {
                for Commits { group, .. } in groups {
                    let fault = self.lost(&format!("group {group:?}"), &error);
                    self.fail_group(&group, fault);
                }
            }
            Ask::Ends(end, partitions) => {
                for partition in partitions {
                    let fault = self.lost(&naming(&partition), &error);
                    self.fail_end(&partition, end, fault);
                }
            }
        }
        self.down.insert(to, error);
    }

    fn lost(&self, subject: &str, error: &ReadError) -> Fault {
        Fault::lost(&format!("{subject} of {}", self.ledger.map.name), error)
    }

    fn absorb_topics(&mut self, from: &Address, asked: Vec<Arc<str>>, said: &MetadataResponse) {
        let now = self.ledger.now;
        let learned = match self.ledger.map.learn(from, said, &asked, now) {
            Ok(learned) => learned,
            Err(error) => return self.lose(from.clone(), Ask::Topics(asked), error),
        };
        self.hear(from);
        for (name, fault) in asked.into_iter().zip(learned) {
            let Some(topic) = self.topics.get_mut(&name).filter(|topic| topic.metadata.is_open()) else { continue };
            match (fault, self.ledger.map.fresh_partitions(&name, now)) {
                (None, Some(partitions)) => {
                    topic.shape(partitions);
                    self.ledger.settle(&mut topic.metadata, &Subject::Topic(name), ());
                }
                (fault, _) => {
                    let fault = fault.unwrap_or_else(|| Fault::unusable(&format!("topic {name:?}"), "is not known"));
                    self.behind = Some(from.clone());
                    self.ledger.fail(&mut topic.metadata, Subject::Topic(name), fault);
                }
            }
        }
    }

    fn absorb_seats(&mut self, from: Address, asked: &[Arc<str>], said: &[Coordinator]) {
        self.hear(&from);
        let faults = self.ledger.map.seat(said, asked, self.ledger.now);
        let failed = asked.iter().zip(faults).filter_map(|(group, fault)| Some((group, fault?)));
        let mut any = false;
        for (group, fault) in failed {
            any = true;
            self.fail_group(group, fault);
        }
        if any {
            self.behind = Some(from);
        }
    }

    fn absorb_commits(&mut self, from: &Address, asked: &[Commits], said: Vec<OffsetFetchResponseGroup>) {
        self.hear(from);
        let mut said: HashMap<String, OffsetFetchResponseGroup> =
            said.into_iter().map(|group| (group.group_id.to_string(), group)).collect();
        for wanted in asked {
            let subject = format!("group {:?} of {}", wanted.group, self.ledger.map.name);
            let answer =
                said.remove(&*wanted.group).ok_or_else(|| Fault::unusable(&subject, "the answer leaves it out"));
            match answer.and_then(|answer| committed(&subject, wanted, answer, &self.topics)) {
                Ok(committed) => self.absorb_committed(&wanted.group, &subject, committed),
                Err(fault) => self.fail_group(&wanted.group, fault),
            }
        }
    }

    /// A topic that the user may no longer see is left out of "all topics" without a word, as one is whose commits are
    /// gone. So whatever had commits and has none is asked for by name.
    fn absorb_committed(&mut self, name: &Arc<str>, subject: &str, said: Committed) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let all = match group.doubted.take() {
            Some((all, vanished)) => match confirmed(subject, all, &vanished, said) {
                Ok(all) => all,
                Err(fault) => return self.fail_group(name, fault),
            },
            None if group.topics.is_none() => {
                let before = self.ledger.map.own(name).iter();
                let vanished: Vec<_> = before.filter(|topic| !said.topics.contains_key(*topic)).cloned().collect();
                if !vanished.is_empty() {
                    group.doubted = Some((said, vanished));
                    return;
                }
                said
            }
            None => said,
        };
        if group.topics.is_none() {
            self.ledger.map.note_own(name, all.topics.keys().cloned().collect(), self.ledger.now);
        }
        self.ledger.settle(&mut group.commits, &Subject::Group(Arc::clone(name)), all);
    }

    /// Whatever fails about a group, its coordinator is looked up before it is asked for again.
    fn fail_group(&mut self, name: &Arc<str>, fault: Fault) {
        self.ledger.map.forget_coordinator(name);
        if let Some(group) = self.groups.get_mut(name).filter(|group| group.commits.is_open()) {
            group.doubted = None;
            self.ledger.fail(&mut group.commits, Subject::Group(Arc::clone(name)), fault);
        }
    }

    fn absorb_ends(&mut self, from: &Address, end: End, asked: &[Partition], said: &[ListOffsetsTopicResponse]) {
        self.hear(from);
        let listed = said.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (&**topic.name, one)));
        let said: HashMap<(&str, i32), &ListOffsetsPartitionResponse> =
            listed.map(|(topic, one)| ((topic, one.partition_index), one)).collect();
        for partition in asked {
            let subject = || format!("{} of {}", naming(partition), self.ledger.map.name);
            let fault = match said.get(&(&*partition.topic, partition.index)) {
                None => Fault::unusable(&subject(), "the answer leaves it out"),
                Some(one) if one.error_code != 0 => Fault::code(&subject(), one.error_code),
                Some(one) if one.offset < 0 => Fault::unusable(&subject(), "the answer has no offset for it"),
                Some(one) => {
                    let (offset, place) = (one.offset, usize::try_from(partition.index).unwrap_or(usize::MAX));
                    let topic = self.topics.get_mut(&partition.topic);
                    if let Some(ends) = topic.and_then(|topic| topic.partitions.get_mut(place)) {
                        let subject = Subject::Partition(Arc::clone(&partition.topic), partition.index);
                        self.ledger.settle(&mut ends[end as usize], &subject, offset);
                    }
                    continue;
                }
            };
            self.fail_end(partition, end, fault);
        }
    }

    fn fail_end(&mut self, partition: &Partition, end: End, fault: Fault) {
        let Partition { topic: name, index, .. } = partition;
        let place = usize::try_from(*index).unwrap_or(usize::MAX);
        let Some(topic) = self.topics.get_mut(name) else { return };
        if let Some(need) = topic.partitions.get_mut(place).map(|ends| &mut ends[end as usize]) {
            self.ledger.fail_end(need, name, *index, fault);
            if need.is_open() {
                topic.reopen();
            }
        }
    }
}

fn naming(partition: &Partition) -> String {
    format!("partition {} of topic {:?}", partition.index, partition.topic)
}

/// What an answer says of one group.
fn committed(
    subject: &str,
    asked: &Commits,
    said: OffsetFetchResponseGroup,
    known: &BTreeMap<Arc<str>, Topic>,
) -> Result<Committed, Fault> {
    if faults::is_absent_group(said.error_code) {
        return Ok(Committed { complete: true, topics: HashMap::new() });
    }
    if said.error_code != 0 {
        return Err(Fault::code(subject, said.error_code));
    }
    // Brokers before 0.10.2 and some errors of newer ones speak of the group at every partition.
    let mut codes = said.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
    if let Some(code) = codes.find(|code| faults::is_about_the_coordinator(*code)) {
        return Err(Fault::code(subject, code));
    }
    let mut topics: HashMap<Arc<str>, Vec<(i32, Commit)>> = HashMap::with_capacity(said.topics.len());
    for topic in said.topics {
        let name: &str = &topic.name;
        let name = known.get_key_value(name).map_or_else(|| name.into(), |(known, _)| Arc::clone(known));
        let commits = topic.partitions.iter().map(|one| (one.partition_index, commit(subject, &name, one)));
        topics.entry(Arc::clone(&name)).or_default().extend(commits);
    }
    let complete = asked.topics.is_none();
    for partitions in topics.values_mut() {
        partitions.sort_by_key(|(index, _)| *index);
    }
    if complete {
        // A topic without any commit is not one of the group's own.
        topics.retain(|_, partitions| partitions.iter().any(|(_, commit)| !matches!(commit, Ok(None))));
    }
    Ok(Committed { complete, topics })
}

/// What a group has committed, with what was `said` of the topics that had `vanished`: the commits of some are gone,
/// others cannot be seen.
fn confirmed(
    subject: &str,
    mut all: Committed,
    vanished: &[Arc<str>],
    mut said: Committed,
) -> Result<Committed, Fault> {
    for topic in vanished {
        let unusable = |what| Fault::unusable(&format!("{subject}, topic {topic:?}"), what);
        let commits = said.topics.remove(topic).unwrap_or_default();
        if commits.iter().any(|(_, commit)| matches!(commit, Ok(Some(_)))) {
            return Err(unusable("all topics of the group were asked for, and the answer left it out").or_again());
        }
        if commits.is_empty() && !said.complete {
            return Err(unusable("the answer leaves it out"));
        }
        if commits.iter().any(|(_, commit)| commit.is_err()) {
            all.topics.insert(Arc::clone(topic), commits);
        }
    }
    Ok(all)
}

fn commit(subject: &str, topic: &str, one: &OffsetFetchResponsePartitions) -> Commit {
    let subject = || format!("{subject}, partition {} of topic {topic:?}", one.partition_index);
    match one.committed_offset {
        _ if one.error_code != 0 => Err(Fault::code(&subject(), one.error_code).error),
        NO_COMMIT => Ok(None),
        offset if offset < 0 => Err(Fault::unusable(&subject(), "the answer has a negative offset").error),
        offset => Ok(Some(offset)),
    }
}
