//! Remembers which broker leads which partition and which one coordinates which group; pure.
//!
//! The map is what answers of the cluster leave behind from round to round. It may be out of date at any time: the broker
//! that is asked says so, and then [`ClusterMap::doubt_leader`] and [`ClusterMap::forget_coordinator`] make the round look
//! again. It never invents: what an answer does not say is not there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::faults::Fault;

/// How long what is known of a topic holds without being asked for again: new partitions are seen after this long.
const FRESH: Duration = Duration::from_secs(10);

/// From what age on a topic is asked for along with others. They then grow old together, and most rounds ask for none.
const RIPE: Duration = Duration::from_secs(5);

/// How long after it was last read a topic is asked for along with others: longer than usual polling intervals.
const WATCHED: Duration = Duration::from_mins(1);

/// How long a topic or group that nobody asks for is remembered, and who could not be reached: longer than usual polling
/// intervals.
const MEMORY: Duration = Duration::from_mins(10);

/// How long the topics of a group without reads are remembered: longer than an outage over a weekend.
const OWN_MEMORY: Duration = Duration::from_hours(96);

/// Where a broker listens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

impl Address {
    /// Of a host and a port as the trigger names them.
    pub(super) fn of((host, port): &(String, u16)) -> Self {
        Self { host: host.as_str().into(), port: *port }
    }
}

/// All that is known of a cluster.
#[derive(Debug)]
pub(super) struct ClusterMap {
    /// What the cluster is called in messages.
    pub(super) name: Arc<str>,
    bootstrap: Vec<Address>,
    /// The cluster's own id, once it said one.
    id: Option<String>,
    brokers: BTreeMap<i32, Address>,
    topics: HashMap<Arc<str>, Topic>,
    coordinators: HashMap<Arc<str>, Seat>,
    /// The topics that a group had commits of, and when it was asked for all of them.
    own: HashMap<Arc<str>, (Vec<Arc<str>>, Instant)>,
    /// What could not be read the last time, and when: it gets one try a round, so that it delays nobody.
    troubled: HashMap<Subject, Instant>,
    /// Who answered last; asked first for what any broker knows.
    favourite: Option<Address>,
    /// Who spoke of topics last. The next one is asked next: a broker that is cut off from the others is wrong for ever.
    told: Option<Address>,
    /// Who could not be reached, and when. Not every broker has to be.
    shunned: HashMap<Address, Instant>,
}

/// What a question is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    /// A topic's metadata.
    Topic(Arc<str>),
    /// A group's coordinator and commits.
    Group(Arc<str>),
    /// The ends of a partition.
    Partition(Arc<str>, i32),
}

/// A topic and who leads its partitions.
#[derive(Debug)]
struct Topic {
    /// Differs for a topic that was deleted and made again; 0 from brokers before 2.8.
    id: u128,
    /// By partition: they are numbered from 0 without gaps.
    leaders: Vec<Leader>,
    /// Who said so.
    told: Address,
    /// When it was asked for; none if it is known to be wrong.
    learned: Option<Instant>,
    used: Instant,
}

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leader {
    /// The broker; negative for none.
    pub(super) broker: i32,
    /// How often the leadership has changed; -1 if the broker does not say.
    pub(super) epoch: i32,
    /// What the cluster says of the partition's health, such as LEADER_NOT_AVAILABLE.
    pub(super) code: i16,
}

/// The broker that coordinates a group.
#[derive(Debug)]
struct Seat {
    broker: i32,
    used: Instant,
}

impl ClusterMap {
    /// A map that knows only where to begin.
    pub(super) fn new(name: &str, bootstrap: Vec<Address>) -> Self {
        Self {
            name: name.into(),
            bootstrap,
            id: None,
            brokers: BTreeMap::new(),
            topics: HashMap::new(),
            coordinators: HashMap::new(),
            own: HashMap::new(),
            troubled: HashMap::new(),
            favourite: None,
            told: None,
            shunned: HashMap::new(),
        }
    }

    /// Everyone who may know the cluster, in the order in which to ask them: who answered last, the brokers, and where we
    /// began.
    pub(super) fn guides(&self) -> impl Iterator<Item = &Address> {
        self.favourite.iter().chain(self.brokers.values()).chain(&self.bootstrap)
    }

    /// Whom to ask for topics: the broker after the one that spoke of topics last, if one can be asked.
    pub(super) fn next_guide(&self, fit: impl Fn(&Address) -> bool) -> Option<&Address> {
        let last = self.brokers.values().position(|address| Some(address) == self.told.as_ref());
        let mut in_turn = self.brokers.values().cycle().skip(last.map_or(0, |last| last + 1)).take(self.brokers.len());
        in_turn.find(|address| !self.shunned.contains_key(*address) && fit(address))
    }

    /// Notes that a broker could not be asked.
    pub(super) fn shun(&mut self, address: &Address, now: Instant) {
        self.shunned.insert(address.clone(), now);
    }

    /// The leader of a partition, if nobody but itself says that it is the leader and somebody else can be asked.
    pub(super) fn self_appointed(
        &self,
        topic: &str,
        partition: i32,
        fit: impl Fn(&Address) -> bool,
    ) -> Option<&Address> {
        let leader = self.address(self.leader(topic, partition)?.broker)?;
        let told = &self.topics.get(topic)?.told;
        (leader == told && self.next_guide(|address| address != leader && fit(address)).is_some()).then_some(leader)
    }

    /// The topics that are read too and were not asked for lately, by name; `asked` is in this order as well.
    pub(super) fn companions(&self, asked: &[Arc<str>], now: Instant) -> Vec<Arc<str>> {
        let age = |then: Instant| now.saturating_duration_since(then);
        let ripe = |topic: &Topic| age(topic.used) < WATCHED && topic.learned.is_none_or(|at| age(at) >= RIPE);
        let ripe = self.topics.iter().filter(|(name, topic)| ripe(topic) && asked.binary_search(name).is_err());
        let mut names: Vec<Arc<str>> = ripe.map(|(name, _)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }

    /// Whether a connection to this address is one to a broker of the cluster, as far as is known.
    pub(super) fn is_broker(&self, address: &Address) -> bool {
        self.brokers.values().any(|known| known == address)
    }

    /// Whether the brokers are known at all.
    pub(super) fn has_brokers(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// Where a broker listens.
    pub(super) fn address(&self, broker: i32) -> Option<&Address> {
        self.brokers.get(&broker)
    }

    /// Notes who answered.
    pub(super) fn heard(&mut self, from: &Address) {
        self.favourite = Some(from.clone());
        if !self.shunned.is_empty() {
            self.shunned.remove(from);
        }
    }

    /// The number of partitions of a topic, if what is known of it is recent and not in doubt.
    pub(super) fn fresh_partitions(&mut self, topic: &str, now: Instant) -> Option<usize> {
        let known = self.topics.get_mut(topic)?;
        known.used = now;
        let recent = known.learned.is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        recent.then_some(known.leaders.len())
    }

    /// The leader of a partition as last heard of.
    pub(super) fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        self.topics.get(topic)?.leaders.get(usize::try_from(partition).ok()?).copied()
    }

    /// Notes that what is known of a topic is wrong.
    pub(super) fn doubt_topic(&mut self, topic: &str) {
        if let Some(known) = self.topics.get_mut(topic) {
            known.learned = None;
        }
    }

    /// Notes that the leader of a partition is another one. Its epoch goes too: whatever the cluster says next of the
    /// partition is believed.
    pub(super) fn doubt_leader(&mut self, topic: &str, partition: i32) {
        let Some(known) = self.topics.get_mut(topic) else { return };
        known.learned = None;
        if let Some(leader) = usize::try_from(partition).ok().and_then(|index| known.leaders.get_mut(index)) {
            leader.epoch = -1;
        }
    }

    /// The coordinator of a group, if it is known and listens somewhere.
    pub(super) fn coordinator(&mut self, group: &str, now: Instant) -> Option<Address> {
        let seat = self.coordinators.get_mut(group)?;
        seat.used = now;
        self.brokers.get(&seat.broker).cloned()
    }

    /// Notes that a group is coordinated by somebody else.
    pub(super) fn forget_coordinator(&mut self, group: &str) {
        self.coordinators.remove(group);
    }

    /// The topics that a group had commits of when it was last asked for all of them.
    pub(super) fn own(&self, group: &str) -> &[Arc<str>] {
        self.own.get(group).map_or(&[], |(topics, _)| topics)
    }

    /// Notes the topics that a group has commits of.
    pub(super) fn note_own(&mut self, group: &Arc<str>, mut topics: Vec<Arc<str>>, now: Instant) {
        topics.sort_unstable();
        self.own.insert(Arc::clone(group), (topics, now));
    }

    /// Takes in what a broker says of the cluster and of the topics that it was `asked` for: what is wrong with each, if
    /// anything. An error says that the answer is not to be used at all.
    pub(super) fn learn(
        &mut self,
        from: &Address,
        response: &MetadataResponse,
        asked: &[Arc<str>],
        now: Instant,
    ) -> Result<Vec<Option<Fault>>, ReadError> {
        self.recognise(from, response.cluster_id.as_deref())?;
        let brokers: BTreeMap<i32, Address> = response.brokers.iter().filter_map(listening).collect();
        if brokers.is_empty() {
            return Err(ReadError::endpoint(ReadErrorKind::Unavailable, format!("{} names no broker", self.name)));
        }
        self.brokers = brokers;
        self.told = Some(from.clone());
        let said: HashMap<&str, &MetadataResponseTopic> =
            response.topics.iter().filter_map(|topic| Some((&***topic.name.as_ref()?, topic))).collect();
        let learned = asked.iter().map(|name| self.learn_topic(from, name, said.get(&**name).copied(), now).err());
        Ok(learned.collect())
    }

    /// Another cluster may have come to live at an address that we know. Where we began it is the new truth; anywhere else
    /// the address was given to somebody else.
    fn recognise(&mut self, from: &Address, id: Option<&str>) -> Result<(), ReadError> {
        let (Some(id), known) = (id, self.id.as_deref()) else { return Ok(()) };
        if known == Some(id) {
            return Ok(());
        }
        if known.is_some() {
            if !self.bootstrap.contains(from) {
                let what = format!("{}: another cluster answers at {from}", self.name);
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
            }
            *self = Self::new(&self.name, std::mem::take(&mut self.bootstrap));
        }
        self.id = Some(id.to_owned());
        Ok(())
    }

    fn learn_topic(
        &mut self,
        from: &Address,
        name: &Arc<str>,
        said: Option<&MetadataResponseTopic>,
        now: Instant,
    ) -> Result<(), Fault> {
        let subject = || format!("topic {name:?} of {}", self.name);
        let said = said.ok_or_else(|| Fault::unusable(&subject(), "the answer leaves it out").or_again())?;
        if said.error_code != 0 {
            self.topics.remove(name);
            return Err(Fault::code(&subject(), said.error_code));
        }
        let mut leaders = leaders(said)
            .ok_or_else(|| Fault::unusable(&subject(), "the answer leaves out some of its partitions").or_again())?;
        let id = said.topic_id.as_u128();
        // The same topic can neither lose partitions nor go back to an older leader: then the broker is behind the others.
        if let Some(known) = self.topics.get(name).filter(|known| id != 0 && known.id == id) {
            if leaders.len() < known.leaders.len() {
                return Err(Fault::unusable(&subject(), "the broker does not know all its partitions yet").or_again());
            }
            for (new, old) in leaders.iter_mut().zip(&known.leaders).filter(|(new, old)| new.epoch < old.epoch) {
                *new = *old;
            }
        }
        // To be asked for along with others is no use.
        let used = self.topics.get(name).map_or(now, |known| known.used);
        self.topics.insert(Arc::clone(name), Topic { id, leaders, told: from.clone(), learned: Some(now), used });
        Ok(())
    }

    /// Takes in who coordinates the groups that were `asked` for: what is wrong with each, if anything.
    pub(super) fn seat(&mut self, said: &[Coordinator], asked: &[Arc<str>], now: Instant) -> Vec<Option<Fault>> {
        let said: HashMap<&str, &Coordinator> = said.iter().map(|seat| (&*seat.key, seat)).collect();
        asked.iter().map(|group| self.seat_group(group, said.get(&**group).copied(), now).err()).collect()
    }

    fn seat_group(&mut self, group: &Arc<str>, said: Option<&Coordinator>, now: Instant) -> Result<(), Fault> {
        let subject = || format!("coordinator of group {group:?} of {}", self.name);
        let said = said.ok_or_else(|| Fault::unusable(&subject(), "the answer leaves it out"))?;
        if said.error_code != 0 {
            return Err(Fault::code(&subject(), said.error_code));
        }
        let address = address(&said.host, said.port);
        let (broker, address) = address
            .filter(|_| said.node_id.0 >= 0)
            .map(|address| (said.node_id.0, address))
            .ok_or_else(|| Fault::unusable(&subject(), "the answer names no broker"))?;
        self.brokers.insert(broker, address);
        self.coordinators.insert(Arc::clone(group), Seat { broker, used: now });
        Ok(())
    }

    /// Whether this could not be read the last time.
    pub(super) fn is_troubled(&self, subject: &Subject) -> bool {
        self.troubled.contains_key(subject)
    }

    /// Notes what could not be read.
    pub(super) fn trouble(&mut self, subject: Subject, now: Instant) {
        self.troubled.insert(subject, now);
    }

    /// Notes what could be read.
    pub(super) fn calm(&mut self, subject: &Subject) {
        // Nearly always nothing is troubled, and then this costs nothing.
        if !self.troubled.is_empty() {
            self.troubled.remove(subject);
        }
    }

    /// Forgets what nobody has asked for in a long time.
    pub(super) fn forget(&mut self, now: Instant) {
        let kept = |used: &Instant| now.saturating_duration_since(*used) < MEMORY;
        self.topics.retain(|_, topic| kept(&topic.used));
        self.coordinators.retain(|_, seat| kept(&seat.used));
        self.own.retain(|_, (_, used)| now.saturating_duration_since(*used) < OWN_MEMORY);
        self.troubled.retain(|_, at| kept(at));
        self.shunned.retain(|_, at| kept(at));
    }

    /// How many topics, groups and troubles are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> [usize; 3] {
        [self.topics.len(), self.coordinators.len(), self.troubled.len()]
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

fn address(host: &str, port: i32) -> Option<Address> {
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| Address { host: host.into(), port })
}

fn listening(broker: &MetadataResponseBroker) -> Option<(i32, Address)> {
    let id = Some(broker.node_id.0).filter(|id| *id >= 0)?;
    Some((id, address(&broker.host, broker.port)?))
}

/// The leaders by partition; none if there is no partition or one is missing.
fn leaders(said: &MetadataResponseTopic) -> Option<Vec<Leader>> {
    let mut numbered: Vec<(i32, Leader)> = said
        .partitions
        .iter()
        .map(|one| {
            let leader = Leader { broker: one.leader_id.0, epoch: one.leader_epoch, code: one.error_code };
            (one.partition_index, leader)
        })
        .collect();
    numbered.sort_by_key(|(index, _)| *index);
    let complete = !numbered.is_empty() && (0..).zip(&numbered).all(|(expected, (index, _))| expected == *index);
    complete.then(|| numbered.into_iter().map(|(_, leader)| leader).collect())
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
