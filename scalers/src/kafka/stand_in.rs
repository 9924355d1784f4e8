//! A cluster in memory for tests: brokers that answer as Kafka's do, hang, go, come back, lag behind or answer nonsense.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::{Instant, sleep, timeout};

use super::brokers::Dial;
use super::connection::CONNECT;
use super::requests::Link;

/// How long a broker usually takes to answer.
pub(super) const TAKES: Duration = Duration::from_millis(1);

/// A handle on the cluster; what is changed through it is seen by all connections.
#[derive(Clone)]
pub(super) struct StandIn(Arc<Mutex<State>>);

/// The whole truth about the cluster.
#[derive(Default)]
pub(super) struct State {
    pub(super) id: String,
    pub(super) brokers: BTreeMap<i32, Broker>,
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Topics that may be described and not read.
    pub(super) unreadable: BTreeSet<String>,
    /// What was asked: the broker, the request's name, and of how many groups, topics or partitions.
    pub(super) asked: Vec<(i32, &'static str, usize)>,
    /// To which ports connections were made.
    pub(super) dialed: Vec<u16>,
    /// What is done to a broker's answer before it is sent.
    pub(super) nonsense: Option<Nonsense>,
    /// How long a broker takes to answer; usually [`TAKES`].
    pub(super) takes: Duration,
    /// After how much silence something between us and the brokers forgets a connection: what is sent later is lost.
    pub(super) forgets: Option<Duration>,
}

pub(super) type Nonsense = Box<dyn FnMut(i32, &mut dyn Any) + Send>;

pub(super) struct Broker {
    pub(super) port: u16,
    pub(super) health: Health,
    pub(super) release: Release,
    /// What the broker takes for the state of the cluster, if it is behind.
    pub(super) behind: Option<MetadataResponse>,
    /// Differs after every restart: older connections are lost.
    pub(super) life: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Health {
    Up,
    /// Takes connections and answers nothing, not even the first request.
    Hung,
    /// Takes connections and logs in, and answers nothing.
    Mute,
    Down,
    /// Refuses the credentials.
    Closed,
}

/// What a broker understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Release {
    V4,
    V2,
    V011,
    /// Nothing that we need.
    V08,
}

#[derive(Clone)]
pub(super) struct Topic {
    pub(super) id: u128,
    pub(super) code: i16,
    pub(super) partitions: Vec<Log>,
}

#[derive(Clone, Copy)]
pub(super) struct Log {
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) code: i16,
    pub(super) start: i64,
    pub(super) stable: i64,
    pub(super) latest: i64,
}

#[derive(Clone, Default)]
pub(super) struct Group {
    pub(super) coordinator: i32,
    pub(super) code: i16,
    pub(super) commits: BTreeMap<(String, i32), i64>,
}

/// A connection to one broker.
pub(super) struct Wire {
    cluster: StandIn,
    broker: i32,
    life: u32,
    /// When it was last used.
    used: Mutex<Instant>,
}

impl StandIn {
    /// Brokers 1 to `brokers`, listening on 9001 and so on.
    pub(super) fn new(brokers: i32) -> Self {
        let broker = |id: i32| Broker {
            port: 9000 + u16::try_from(id).unwrap(),
            health: Health::Up,
            release: Release::V4,
            behind: None,
            life: 0,
        };
        let brokers = (1..=brokers).map(|id| (id, broker(id))).collect();
        Self(Arc::new(Mutex::new(State { id: "one".to_owned(), brokers, takes: TAKES, ..State::default() })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A topic whose partitions are led by these brokers; `latest` and the rest are 100, 90 and 10 more a partition.
    pub(super) fn topic(&self, name: &str, leaders: &[i32]) {
        let mut state = self.state();
        let id = u128::try_from(state.topics.len()).unwrap() + 1;
        let log = |(place, leader): (usize, &i32)| {
            let base = i64::try_from(place).unwrap() * 1000;
            Log { leader: *leader, epoch: 5, code: 0, start: base + 10, stable: base + 90, latest: base + 100 }
        };
        let partitions = leaders.iter().enumerate().map(log).collect();
        state.topics.insert(name.to_owned(), Topic { id, code: 0, partitions });
    }

    /// A group with commits.
    pub(super) fn group(&self, name: &str, coordinator: i32, commits: &[(&str, i32, i64)]) {
        let commits = commits.iter().map(|(topic, partition, offset)| (((*topic).to_owned(), *partition), *offset));
        let group = Group { coordinator, code: 0, commits: commits.collect() };
        self.state().groups.insert(name.to_owned(), group);
    }

    /// What was asked since the last time, sorted.
    pub(super) fn asked(&self) -> Vec<(i32, &'static str, usize)> {
        let mut asked = std::mem::take(&mut self.state().asked);
        asked.sort_unstable();
        asked
    }

    pub(super) fn health(&self, broker: i32, health: Health) {
        let mut state = self.state();
        let broker = state.brokers.get_mut(&broker).unwrap();
        if health == Health::Down {
            broker.life += 1;
        }
        broker.health = health;
    }

    pub(super) fn spoil(&self, nonsense: impl FnMut(i32, &mut dyn Any) + Send + 'static) {
        self.state().nonsense = Some(Box::new(nonsense));
    }
}

impl Dial for StandIn {
    type Link = Wire;

    async fn dial(&self, _: &str, port: u16) -> Result<Wire, ReadError> {
        // What the broker speaks is asked too.
        let takes = self.state().takes;
        sleep(takes).await;
        let (health, wire) = {
            let mut state = self.state();
            state.dialed.push(port);
            let refused =
                || ReadError::endpoint(ReadErrorKind::Unavailable, format!("port {port}: connection refused"));
            let (id, broker) = state.brokers.iter().find(|(_, broker)| broker.port == port).ok_or_else(refused)?;
            let used = Mutex::new(Instant::now());
            (broker.health, Wire { cluster: self.clone(), broker: *id, life: broker.life, used })
        };
        match health {
            Health::Up | Health::Mute => Ok(wire),
            Health::Hung => timeout(CONNECT, wire.hang()).await.unwrap_or_else(|_| {
                let what = format!("port {port} did not take the connection in time");
                Err(ReadError::endpoint(ReadErrorKind::Timeout, what))
            }),
            Health::Down => {
                Err(ReadError::endpoint(ReadErrorKind::Unavailable, format!("port {port}: connection refused")))
            }
            Health::Closed => {
                Err(ReadError::endpoint(ReadErrorKind::Auth, format!("port {port}: wrong user name or password")))
            }
        }
    }
}

impl Wire {
    /// Whether it was silent for too long; else it counts as used now.
    fn is_forgotten(&self) -> bool {
        let forgets = self.cluster.state().forgets;
        let mut used = self.used.lock().unwrap();
        let forgotten = forgets.is_some_and(|forgets| used.elapsed() > forgets);
        if !forgotten {
            *used = Instant::now();
        }
        forgotten
    }

    /// Waits as long as the broker hangs.
    async fn hang(self) -> Result<Self, ReadError> {
        loop {
            sleep(TAKES * 50).await;
            if self.cluster.state().brokers.get(&self.broker).is_some_and(|broker| broker.health == Health::Up) {
                return Ok(self);
            }
        }
    }
}

impl Link for Wire {
    fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16> {
        let release = self.cluster.state().brokers.get(&self.broker).map(|broker| broker.release)?;
        // Fetch, ListOffsets, Metadata, OffsetFetch, FindCoordinator.
        let known = match release {
            Release::V4 => [(1, 17), (2, 11), (3, 13), (9, 10), (10, 6)],
            Release::V2 => [(1, 11), (2, 6), (3, 11), (9, 7), (10, 3)],
            Release::V011 => [(1, 5), (2, 2), (3, 4), (9, 3), (10, 1)],
            Release::V08 => [(1, 0), (2, 0), (3, 0), (9, 0), (10, 0)],
        };
        let highest = known.into_iter().find(|(known, _)| *known == R::KEY)?.1;
        (highest >= *range.start()).then(|| highest.min(*range.end()))
    }

    async fn call<R>(&self, request: R, version: i16) -> Result<R::Response, ReadError>
    where
        R: Request<Response: Send + 'static> + Send + Sync + 'static,
    {
        let takes = self.cluster.state().takes;
        sleep(takes).await;
        if self.is_forgotten() {
            return pending().await;
        }
        if !self.alive() {
            return Err(ReadError::endpoint(ReadErrorKind::Unavailable, "the connection was lost"));
        }
        let long_poll = (&request as &dyn Any).downcast_ref::<FetchRequest>().cloned();
        let until = long_poll.as_ref().map_or(0, |fetch| u64::try_from(fetch.max_wait_ms).unwrap());
        let until = Instant::now() + Duration::from_millis(until);
        loop {
            if self.cluster.state().brokers[&self.broker].health != Health::Up {
                return pending().await;
            }
            let waits = long_poll.as_ref().is_some_and(|fetch| self.cluster.state().is_quiet(self.broker, fetch));
            if !waits || Instant::now() >= until {
                break;
            }
            sleep(TAKES).await;
            if !self.alive() {
                return Err(ReadError::endpoint(ReadErrorKind::Unavailable, "the connection was lost"));
            }
        }
        let answer = self.cluster.state().answer(self.broker, &request, version);
        Ok(*answer.downcast::<R::Response>().unwrap())
    }

    fn alive(&self) -> bool {
        self.cluster.state().brokers.get(&self.broker).is_some_and(|broker| broker.life == self.life)
    }
}

impl State {
    fn answer(&mut self, broker: i32, request: &dyn Any, version: i16) -> Box<dyn Any + Send> {
        let mut answer: Box<dyn Any + Send> = if let Some(request) = request.downcast_ref::<MetadataRequest>() {
            assert!(!request.allow_auto_topic_creation, "a reader must not make topics");
            self.asked.push((broker, "Metadata", request.topics.as_ref().unwrap().len()));
            Box::new(self.metadata(broker, request))
        } else if let Some(request) = request.downcast_ref::<FindCoordinatorRequest>() {
            self.asked.push((broker, "FindCoordinator", request.coordinator_keys.len()));
            Box::new(self.coordinators(request, version))
        } else if let Some(request) = request.downcast_ref::<OffsetFetchRequest>() {
            self.asked.push((broker, "OffsetFetch", request.groups.len()));
            assert!(!request.require_stable);
            Box::new(self.commits(broker, request, version))
        } else if let Some(request) = request.downcast_ref::<FetchRequest>() {
            assert!(version <= 10, "from 11 on followers answer, too late");
            self.asked.push((broker, "Fetch", request.topics.iter().map(|topic| topic.partitions.len()).sum()));
            Box::new(self.records(broker, request))
        } else {
            let request = request.downcast_ref::<ListOffsetsRequest>().unwrap();
            assert_eq!(request.replica_id.0, -1, "only brokers have ids");
            self.asked.push((broker, "ListOffsets", request.topics.iter().map(|topic| topic.partitions.len()).sum()));
            Box::new(self.ends(broker, request, version))
        };
        if let Some(nonsense) = &mut self.nonsense {
            nonsense(broker, &mut *answer);
        }
        answer
    }

    /// What all brokers know of the cluster, of these topics or of all.
    pub(super) fn view(&self, topics: Option<&[String]>) -> MetadataResponse {
        let here = |(id, broker): (&i32, &Broker)| {
            let listening = MetadataResponseBroker::default().with_host(StrBytes::from_static_str("kafka"));
            listening.with_node_id(BrokerId(*id)).with_port(broker.port.into())
        };
        let living = self.brokers.iter().filter(|(_, broker)| broker.health != Health::Down);
        let names = topics.map_or_else(|| self.topics.keys().cloned().collect(), <[String]>::to_vec);
        let topics = names.iter().map(|name| {
            let said = MetadataResponseTopic::default().with_name(Some(TopicName(text(name))));
            let Some(topic) = self.topics.get(name) else { return said.with_error_code(3) };
            let partitions = (0..).zip(&topic.partitions).map(|(index, log)| {
                let said = MetadataResponsePartition::default().with_partition_index(index).with_error_code(log.code);
                said.with_leader_id(BrokerId(log.leader)).with_leader_epoch(log.epoch)
            });
            let said = said.with_topic_id(format!("{:032x}", topic.id).parse().unwrap());
            said.with_error_code(topic.code).with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_cluster_id(Some(text(&self.id)))
            .with_brokers(living.map(here).collect())
            .with_topics(topics.collect())
    }

    fn metadata(&self, broker: i32, request: &MetadataRequest) -> MetadataResponse {
        let names = request.topics.as_ref().unwrap().iter();
        let names: Vec<String> = names.map(|topic| topic.name.as_ref().unwrap().to_string()).collect();
        match &self.brokers[&broker].behind {
            None => self.view(Some(&names)),
            Some(old) => {
                let topics = names.iter().map(|name| {
                    let known = old.topics.iter().find(|topic| ***topic.name.as_ref().unwrap() == **name).cloned();
                    let unknown = || MetadataResponseTopic::default().with_error_code(3);
                    known.unwrap_or_else(|| unknown().with_name(Some(TopicName(text(name)))))
                });
                old.clone().with_topics(topics.collect())
            }
        }
    }

    fn coordinators(&self, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
        let one = |key: &StrBytes| {
            let said = Coordinator::default().with_key(key.clone()).with_node_id(BrokerId(-1)).with_port(-1);
            let Some(group) = self.groups.get(&**key) else {
                let first = self.brokers.iter().find(|(_, broker)| broker.health != Health::Down);
                return first.map_or(said.clone().with_error_code(15), |(id, broker)| seated(said, *id, broker.port));
            };
            match self.brokers.get(&group.coordinator).filter(|broker| broker.health != Health::Down) {
                Some(broker) => seated(said, group.coordinator, broker.port),
                None => said.with_error_code(15),
            }
        };
        if version >= 4 {
            let seats = request.coordinator_keys.iter().map(one).collect();
            return FindCoordinatorResponse::default().with_coordinators(seats);
        }
        let seat = one(&request.key);
        FindCoordinatorResponse::default()
            .with_error_code(seat.error_code)
            .with_node_id(seat.node_id)
            .with_host(seat.host)
            .with_port(seat.port)
    }

    fn commits(&self, broker: i32, request: &OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
        if version >= 8 {
            let groups = request.groups.iter().map(|wanted| {
                let topics = wanted.topics.as_ref().map(|topics| {
                    topics.iter().map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
                });
                self.group_commits(broker, &wanted.group_id, topics)
            });
            return OffsetFetchResponse::default().with_groups(groups.collect());
        }
        let topics = request.topics.as_ref().map(|topics| {
            topics.iter().map(|topic| (topic.name.to_string(), topic.partition_indexes.clone())).collect()
        });
        let said = self.group_commits(broker, &request.group_id, topics);
        let topics = said.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|one| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(one.partition_index)
                    .with_committed_offset(one.committed_offset)
            });
            OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        OffsetFetchResponse::default().with_error_code(said.error_code).with_topics(topics.collect())
    }

    fn group_commits(
        &self,
        broker: i32,
        id: &GroupId,
        topics: Option<BTreeMap<String, Vec<i32>>>,
    ) -> OffsetFetchResponseGroup {
        let said = OffsetFetchResponseGroup::default().with_group_id(id.clone());
        let none = Group { coordinator: broker, ..Group::default() };
        let group = self.groups.get(&***id).unwrap_or(&none);
        if group.coordinator != broker || group.code != 0 {
            return said.with_error_code(if group.code == 0 { 16 } else { group.code });
        }
        let wanted = topics.unwrap_or_else(|| {
            let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
            for (topic, partition) in group.commits.keys() {
                all.entry(topic.clone()).or_default().push(*partition);
            }
            all
        });
        let topics = wanted.into_iter().map(|(name, indexes)| {
            let partitions = indexes.into_iter().map(|index| {
                let offset = group.commits.get(&(name.clone(), index)).copied().unwrap_or(-1);
                OffsetFetchResponsePartitions::default().with_partition_index(index).with_committed_offset(offset)
            });
            let partitions = partitions.collect();
            OffsetFetchResponseTopics::default().with_name(TopicName(text(&name))).with_partitions(partitions)
        });
        said.with_topics(topics.collect())
    }

    /// Whether a leader keeps this request until something happens.
    fn is_quiet(&self, broker: i32, request: &FetchRequest) -> bool {
        let said = self.records(broker, request).responses;
        let mut partitions = said.iter().flat_map(|topic| &topic.partitions);
        partitions.all(|one| one.error_code == 0 && one.records.as_ref().is_none_or(Bytes::is_empty))
    }

    /// One batch at most, as for a request that wants one byte.
    fn records(&self, broker: i32, request: &FetchRequest) -> FetchResponse {
        assert_eq!((request.max_bytes, request.min_bytes, request.session_epoch), (1, 1, -1));
        let mut batches = [Bytes::from_static(b"a batch that nobody reads")].into_iter();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let said = PartitionData::default().with_partition_index(wanted.partition);
                let index = usize::try_from(wanted.partition).unwrap();
                let log = self.topics.get(&**topic.topic).and_then(|topic| topic.partitions.get(index));
                let (code, latest) = match log {
                    _ if self.unreadable.contains(&**topic.topic) => (29, -1),
                    None => (3, -1),
                    Some(log) if log.leader != broker => (6, -1),
                    Some(log) if !(log.start..=log.latest).contains(&wanted.fetch_offset) => (1, -1),
                    Some(log) => (0, log.latest),
                };
                let batch = if code == 0 && latest > wanted.fetch_offset { batches.next() } else { None };
                said.with_error_code(code).with_high_watermark(latest).with_records(Some(batch.unwrap_or_default()))
            });
            let said = FetchableTopicResponse::default().with_topic(topic.topic.clone());
            said.with_partitions(partitions.collect())
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    fn ends(&self, broker: i32, request: &ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                assert!(version >= 4 || wanted.current_leader_epoch == -1);
                let said = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
                let index = usize::try_from(wanted.partition_index).unwrap();
                let log = self.topics.get(&**topic.name).and_then(|topic| topic.partitions.get(index));
                let code = match log {
                    None => 3,
                    Some(log) if log.leader != broker => 6,
                    Some(log) if wanted.current_leader_epoch == -1 || wanted.current_leader_epoch == log.epoch => 0,
                    Some(log) if wanted.current_leader_epoch < log.epoch => 74,
                    Some(_) => 75,
                };
                let offset = match (log.filter(|_| code == 0), wanted.timestamp, request.isolation_level) {
                    (None, ..) => -1,
                    (Some(log), -2, _) => log.start,
                    (Some(log), -1, 1) => log.stable,
                    (Some(log), -1, 0) => log.latest,
                    (Some(_), timestamp, level) => panic!("nobody asks for {timestamp} at {level}"),
                };
                said.with_error_code(code).with_offset(offset)
            });
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

fn seated(said: Coordinator, id: i32, port: u16) -> Coordinator {
    said.with_node_id(BrokerId(id)).with_host(StrBytes::from_static_str("kafka")).with_port(port.into())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
