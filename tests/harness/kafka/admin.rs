//! What an administrator does to topics, groups and leaders, in the brokers' own protocol.
//!
//! Each call opens a connection, asks one thing and waits until the change can be seen; the brokers that hang or are gone are passed by.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, BrokerId, CreateAclsRequest,
    CreateAclsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    GroupId, MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::PATIENCE;

/// How long a broker has to answer before the next one is asked.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a broker may work on a change, in milliseconds.
const WORK: i32 = 10_000;

/// The administrator of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    ports: Vec<u16>,
    brokers: i32,
}

/// A request that the codec can write, with the answer that it can read.
pub(crate) trait Question: Encodable + HeaderVersion {
    const KEY: ApiKey;
    type Answer: Decodable + HeaderVersion;
}

macro_rules! questions {
    ($($key:ident: $question:ident -> $answer:ident,)*) => { $(
        impl Question for $question {
            const KEY: ApiKey = ApiKey::$key;
            type Answer = $answer;
        }
    )* };
}

questions! {
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse,
    CreateAcls: CreateAclsRequest -> CreateAclsResponse,
    CreatePartitions: CreatePartitionsRequest -> CreatePartitionsResponse,
    CreateTopics: CreateTopicsRequest -> CreateTopicsResponse,
    DeleteGroups: DeleteGroupsRequest -> DeleteGroupsResponse,
    DeleteRecords: DeleteRecordsRequest -> DeleteRecordsResponse,
    DeleteTopics: DeleteTopicsRequest -> DeleteTopicsResponse,
    ElectLeaders: ElectLeadersRequest -> ElectLeadersResponse,
    FindCoordinator: FindCoordinatorRequest -> FindCoordinatorResponse,
    Metadata: MetadataRequest -> MetadataResponse,
    OffsetCommit: OffsetCommitRequest -> OffsetCommitResponse,
}

/// What an access rule is about, with Kafka's number for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource {
    Topic = 2,
    Group = 3,
}

impl Admin {
    pub(super) fn new(ports: Vec<u16>, brokers: i32) -> Self {
        Self { ports, brokers }
    }

    /// The brokers that are asked.
    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Makes a topic, on up to three brokers.
    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        let copies = i16::try_from(self.brokers.min(3)).unwrap();
        let new = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(copies);
        let request = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(WORK);
        until_well(&format!("create {topic}"), || {
            let answer = self.any(&request, 5)?;
            Ok(answer.topics.iter().map(|topic| topic.error_code).collect())
        });
        self.wait_for(topic, |partitions_now| partitions_now.len() == usize::try_from(partitions).unwrap());
    }

    /// Removes a topic with all its records. The brokers then forget what groups committed of it, a moment later.
    pub(crate) fn delete(&self, topic: &str) {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(WORK);
        until_well(&format!("delete {topic}"), || {
            let answer = self.any(&request, 5)?;
            Ok(answer.responses.iter().map(|topic| topic.error_code).collect())
        });
        let gone = ResponseError::UnknownTopicOrPartition.code();
        self.eventually(&format!("{topic} is gone everywhere"), || {
            self.ports.iter().all(|port| described(*port, topic).is_ok_and(|found| found.error_code == gone))
        });
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow(&self, topic: &str, partitions: i32) {
        let more =
            CreatePartitionsTopic::default().with_name(name(topic)).with_count(partitions).with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(WORK);
        until_well(&format!("grow {topic}"), || {
            let answer = self.any(&request, 2)?;
            Ok(answer.results.iter().map(|topic| topic.error_code).collect())
        });
        self.wait_for(topic, |partitions_now| partitions_now.len() == usize::try_from(partitions).unwrap());
    }

    /// Deletes the records of a partition before this offset, as retention does.
    pub(crate) fn trim(&self, topic: &str, partition: i32, offset: i64) {
        let until = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let of = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![until]);
        let request = DeleteRecordsRequest::default().with_topics(vec![of]).with_timeout_ms(WORK);
        until_well(&format!("trim {topic} {partition}"), || {
            let answer = ask(self.leader_port(topic, partition)?, &request, 2)?;
            Ok(answer.topics.iter().flat_map(|topic| &topic.partitions).map(|each| each.error_code).collect())
        });
    }

    /// Commits an offset by hand, as `kafka-consumer-groups --reset-offsets` does. The group must have no members.
    pub(crate) fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let at = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(StrBytes::new()));
        let of = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![at]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![of]);
        until_well(&format!("commit {group} {topic} {partition}"), || {
            let answer = ask(self.coordinator_port(group)?, &request, 7)?;
            Ok(answer.topics.iter().flat_map(|topic| &topic.partitions).map(|each| each.error_code).collect())
        });
    }

    /// Removes a group with its commits; one that is gone already is well.
    pub(crate) fn forget(&self, group: &str) {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        until_well(&format!("forget {group}"), || {
            let answer = ask(self.coordinator_port(group)?, &request, 2)?;
            let gone = ResponseError::GroupIdNotFound.code();
            Ok(answer.results.iter().map(|each| each.error_code).filter(|code| *code != gone).collect())
        });
    }

    /// Lets a user read (Kafka's operation 3) and describe a topic or a group.
    pub(crate) fn grant(&self, user: &str, resource: Resource, named: &str) {
        let rule = AclCreation::default()
            .with_resource_type(resource as i8)
            .with_resource_name(text(named))
            .with_resource_pattern_type(3)
            .with_principal(text(&format!("User:{user}")))
            .with_host(text("*"))
            .with_operation(3)
            .with_permission_type(3);
        let request = CreateAclsRequest::default().with_creations(vec![rule]);
        until_well(&format!("grant {named} to {user}"), || {
            let answer = self.any(&request, 2)?;
            Ok(answer.results.iter().map(|each| each.error_code).collect())
        });
    }

    /// The broker that leads each partition; -1 for none.
    pub(crate) fn leaders(&self, topic: &str) -> Vec<i32> {
        let found = self.describe(topic).unwrap_or_else(|error| panic!("{topic}: {error}"));
        let mut partitions = found.partitions;
        partitions.sort_by_key(|partition| partition.partition_index);
        partitions.iter().map(|partition| partition.leader_id.0).collect()
    }

    /// Makes a broker lead a partition: it becomes the first of the replicas, and the first is elected.
    pub(crate) fn lead(&self, topic: &str, partition: i32, broker: i32) {
        let mut replicas: Vec<_> = (1..=self.brokers).collect();
        replicas.sort_by_key(|id| *id != broker);
        let order = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(Some(replicas.into_iter().map(BrokerId).collect()));
        let of = ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![order]);
        let reorder = AlterPartitionReassignmentsRequest::default().with_topics(vec![of]).with_timeout_ms(WORK);
        until_well(&format!("replicas of {topic} {partition}"), || {
            let answer = self.any(&reorder, 0)?;
            let each = answer.responses.iter().flat_map(|topic| &topic.partitions).map(|each| each.error_code);
            Ok(each.chain([answer.error_code]).collect())
        });
        let which = TopicPartitions::default().with_topic(name(topic)).with_partitions(vec![partition]);
        let elect = ElectLeadersRequest::default().with_topic_partitions(Some(vec![which])).with_timeout_ms(WORK);
        let index = usize::try_from(partition).unwrap();
        self.eventually(&format!("broker {broker} leads {topic} {partition}"), || {
            let _ = self.any(&elect, 2);
            self.leaders(topic)[index] == broker
        });
    }

    /// The broker that keeps the offsets of a group.
    pub(crate) fn coordinator(&self, group: &str) -> i32 {
        let mut found = None;
        self.eventually(&format!("a coordinator of {group}"), || {
            found = self.find_coordinator(group).ok().filter(|(_, _, error)| *error == 0).map(|(id, _, _)| id);
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits until the brokers can keep the offsets of any group: where nobody has asked for one yet, they first make room for them.
    pub(crate) fn ready_for_groups(&self) {
        self.create("first-of-all", 1);
        for number in 0..12 {
            self.commit(&format!("first-of-all-{number}"), "first-of-all", 0, 0);
        }
    }

    /// Waits until every broker sees all replicas of a topic in step.
    pub(crate) fn wait_for_replicas(&self, topic: &str) {
        let all = usize::try_from(self.brokers.min(3)).unwrap();
        self.wait_for(topic, |partitions| partitions.iter().all(|each| each.isr_nodes.len() == all));
    }

    /// Whether the topic is there.
    pub(crate) fn has(&self, topic: &str) -> bool {
        self.describe(topic).unwrap().error_code == 0
    }

    fn describe(&self, topic: &str) -> io::Result<MetadataResponseTopic> {
        self.first_of(|port| described(port, topic))
    }

    fn wait_for(&self, topic: &str, well: impl Fn(&[MetadataResponsePartition]) -> bool) {
        self.eventually(&format!("all brokers know {topic} as it is"), || {
            self.ports.iter().all(|port| {
                described(*port, topic).is_ok_and(|found| {
                    let led = found.partitions.iter().all(|each| each.error_code == 0 && each.leader_id.0 >= 0);
                    found.error_code == 0 && led && well(&found.partitions)
                })
            })
        });
    }

    fn find_coordinator(&self, group: &str) -> io::Result<(i32, u16, i16)> {
        let answer = self.any(&FindCoordinatorRequest::default().with_key(text(group)), 3)?;
        Ok((answer.node_id.0, u16::try_from(answer.port).unwrap_or(0), answer.error_code))
    }

    fn coordinator_port(&self, group: &str) -> io::Result<u16> {
        match self.find_coordinator(group)? {
            (_, port, 0) => Ok(port),
            (_, _, code) => Err(refused(code)),
        }
    }

    fn leader_port(&self, topic: &str, partition: i32) -> io::Result<u16> {
        let index = usize::try_from(partition).unwrap();
        let leader = self.leaders(topic)[index];
        let known = self.first_of(brokers)?;
        known.into_iter().find(|(id, _)| *id == leader).map(|(_, port)| port).ok_or_else(|| refused(5))
    }

    /// Asks the brokers in turn until one answers.
    fn any<Q: Question>(&self, question: &Q, version: i16) -> io::Result<Q::Answer> {
        self.first_of(|port| ask(port, question, version))
    }

    fn first_of<T>(&self, ask: impl Fn(u16) -> io::Result<T>) -> io::Result<T> {
        let mut last = Err(io::Error::other("no broker runs"));
        for port in &self.ports {
            last = ask(*port);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn eventually(&self, what: &str, mut so: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < until, "not in time: {what}; asked were {:?}", self.ports);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Tries again until nothing is refused: a cluster that is just changing refuses for a moment.
fn until_well(what: &str, mut change: impl FnMut() -> io::Result<Vec<i16>>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = change();
        if answer.as_ref().is_ok_and(|codes| codes.iter().all(|code| *code == 0)) {
            return;
        }
        let codes = answer.map(|codes| codes.into_iter().map(ResponseError::try_from_code).collect::<Vec<_>>());
        assert!(Instant::now() < until, "{what}: {codes:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The brokers that a broker knows, with the ports of the listener that was asked.
pub(super) fn brokers(port: u16) -> io::Result<Vec<(i32, u16)>> {
    let answer = metadata(port, Some(Vec::new()))?;
    Ok(answer.brokers.iter().map(|each| (each.node_id.0, u16::try_from(each.port).unwrap_or(0))).collect())
}

fn described(port: u16, topic: &str) -> io::Result<MetadataResponseTopic> {
    let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
    metadata(port, Some(vec![asked]))?.topics.pop().ok_or_else(|| io::Error::other("no such topic in the answer"))
}

fn metadata(port: u16, topics: Option<Vec<MetadataRequestTopic>>) -> io::Result<MetadataResponse> {
    ask(port, &MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false), 9)
}

/// One question over a connection of its own.
pub(crate) fn ask<Q: Question>(port: u16, question: &Q, version: i16) -> io::Result<Q::Answer> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_nodelay(true)?;
    let header = RequestHeader::default()
        .with_request_api_key(Q::KEY as i16)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(text("tidegate-tests")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, Q::header_version(version)).map_err(io::Error::other)?;
    question.encode(&mut frame, version).map_err(io::Error::other)?;
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())?;
    stream.write_all(&frame)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer)?;
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, Q::Answer::header_version(version)).map_err(io::Error::other)?;
    Q::Answer::decode(&mut answer, version).map_err(io::Error::other)
}

fn refused(code: i16) -> io::Error {
    io::Error::other(format!("{:?}", ResponseError::try_from_code(code)))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
