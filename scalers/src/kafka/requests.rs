//! Puts what a round asks one broker into requests of a version that it understands, and the answers into one form.
//!
//! Brokers since 0.11 (2017) are understood: the first that can be asked for a topic without making it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::future::try_join_all;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsTopicResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListOffsetsRequest, MetadataRequest,
    MetadataResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

/// From 4 on a request says that it must not create the topics it asks for.
const METADATA: RangeInclusive<i16> = 4..=12;

/// From 4 on many groups are asked for at once.
const FIND_COORDINATOR: RangeInclusive<i16> = 1..=6;
const MANY_COORDINATORS: i16 = 4;

/// From 8 on many groups are asked for at once. From 10 on topics have ids instead of names: nothing that we need.
const OFFSET_FETCH: RangeInclusive<i16> = 2..=9;
const MANY_GROUPS: i16 = 8;

/// From 2 on there is the isolation level, from 4 on the leader's epoch.
const LIST_OFFSETS: RangeInclusive<i16> = 2..=7;

/// A connection to one broker.
pub(super) trait Link: Send + Sync + 'static {
    /// The highest version of a request that the broker, the codec and the range allow.
    fn version<R: Request>(&self, range: RangeInclusive<i16>) -> Option<i16>;

    /// Sends a request and waits for its answer. Calls may run side by side; dropping the future is safe.
    fn call<R>(&self, request: R, version: i16) -> impl Future<Output = Result<R::Response, ReadError>> + Send
    where
        R: Request<Response: Send + 'static> + Send + Sync + 'static;

    /// Whether the connection may still be used.
    fn alive(&self) -> bool;
}

/// What a round asks one broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// The brokers, and who leads these topics.
    Topics(Vec<Arc<str>>),
    /// Who coordinates these groups.
    Coordinators(Vec<Arc<str>>),
    /// What these groups have committed.
    Commits(Vec<Commits>),
    /// An end of the logs of these partitions.
    Ends(End, Vec<Partition>),
}

/// The commits of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Commits {
    pub(super) group: Arc<str>,
    /// Topics, and how many partitions each has; none for all that the group has commits of.
    pub(super) topics: Option<Vec<(Arc<str>, usize)>>,
}

/// One partition as its leader is asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) index: i32,
    /// The leader's epoch as far as we know: a leader of another one refuses, -1 is served by any.
    pub(super) epoch: i32,
}

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum End {
    /// The offset of the next record.
    Latest,
    /// The first offset of an open transaction, or else as `Latest`.
    Stable,
    /// The first offset that still exists.
    Start,
    /// `Latest` once more, after a commit was seen that lies beyond it.
    Again,
}

/// What a broker answers, in the form of the newest version that we understand.
#[derive(Debug)]
pub(super) enum Said {
    Topics(MetadataResponse),
    Coordinators(Vec<Coordinator>),
    Commits(Vec<OffsetFetchResponseGroup>),
    Ends(Vec<ListOffsetsTopicResponse>),
}

/// Asks one broker.
pub(super) async fn exchange<L: Link>(link: &L, ask: &Ask) -> Result<Said, ReadError> {
    match ask {
        Ask::Topics(topics) => {
            let version = version::<MetadataRequest, _>(link, METADATA)?;
            link.call(metadata(topics), version).await.map(Said::Topics)
        }
        Ask::Coordinators(groups) => coordinators(link, groups).await.map(Said::Coordinators),
        Ask::Commits(groups) => commits(link, groups).await.map(Said::Commits),
        Ask::Ends(end, partitions) => {
            let version = version::<ListOffsetsRequest, _>(link, LIST_OFFSETS)?;
            let request = list_offsets(*end, partitions, version);
            link.call(request, version).await.map(|response| Said::Ends(response.topics))
        }
    }
}

fn version<R: Request, L: Link>(link: &L, range: RangeInclusive<i16>) -> Result<i16, ReadError> {
    link.version::<R>(range).ok_or_else(|| {
        let what = "a broker does not understand our requests; Kafka 0.11 or newer is needed";
        ReadError::endpoint(ReadErrorKind::Config, what)
    })
}

fn metadata(topics: &[Arc<str>]) -> MetadataRequest {
    let topics = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false)
}

async fn coordinators<L: Link>(link: &L, groups: &[Arc<str>]) -> Result<Vec<Coordinator>, ReadError> {
    let version = version::<FindCoordinatorRequest, _>(link, FIND_COORDINATOR)?;
    if version >= MANY_COORDINATORS {
        let keys = groups.iter().map(|group| text(group)).collect();
        let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
        return Ok(link.call(request, version).await?.coordinators);
    }
    let calls = groups.iter().map(|group| async move {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        link.call(request, version).await.map(|response| one_coordinator(group, response))
    });
    try_join_all(calls).await
}

fn one_coordinator(group: &str, said: FindCoordinatorResponse) -> Coordinator {
    Coordinator::default()
        .with_key(text(group))
        .with_node_id(said.node_id)
        .with_host(said.host)
        .with_port(said.port)
        .with_error_code(said.error_code)
}

async fn commits<L: Link>(link: &L, groups: &[Commits]) -> Result<Vec<OffsetFetchResponseGroup>, ReadError> {
    let version = version::<OffsetFetchRequest, _>(link, OFFSET_FETCH)?;
    // `require_stable` stays false, as KEDA's client has it: a commit inside an open transaction does not count yet, so
    // the lag is rather too high. With true, a group that commits by transactions would have no lag at all while one is
    // open, which is nearly always.
    if version >= MANY_GROUPS {
        let request = OffsetFetchRequest::default().with_groups(groups.iter().map(wanted).collect());
        return Ok(link.call(request, version).await?.groups);
    }
    let calls = groups.iter().map(|one| async move {
        link.call(wanted_alone(one), version).await.map(|response| one_group(&one.group, response))
    });
    try_join_all(calls).await
}

fn wanted(one: &Commits) -> OffsetFetchRequestGroup {
    let topics = one.topics.as_ref().map(|topics| {
        let wanted = topics.iter().map(|(name, partitions)| {
            OffsetFetchRequestTopics::default().with_name(topic(name)).with_partition_indexes(indexes(*partitions))
        });
        wanted.collect()
    });
    OffsetFetchRequestGroup::default().with_group_id(GroupId(text(&one.group))).with_topics(topics)
}

fn wanted_alone(one: &Commits) -> OffsetFetchRequest {
    let topics = one.topics.as_ref().map(|topics| {
        let wanted = topics.iter().map(|(name, partitions)| {
            OffsetFetchRequestTopic::default().with_name(topic(name)).with_partition_indexes(indexes(*partitions))
        });
        wanted.collect()
    });
    OffsetFetchRequest::default().with_group_id(GroupId(text(&one.group))).with_topics(topics)
}

fn one_group(group: &str, said: OffsetFetchResponse) -> OffsetFetchResponseGroup {
    let topics = said.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|one| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(one.partition_index)
                .with_committed_offset(one.committed_offset)
                .with_error_code(one.error_code)
        });
        OffsetFetchResponseTopics::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(topics.collect())
        .with_error_code(said.error_code)
}

fn list_offsets(end: End, partitions: &[Partition], version: i16) -> ListOffsetsRequest {
    let timestamp = match end {
        End::Latest | End::Stable | End::Again => -1,
        End::Start => -2,
    };
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for Partition { topic: name, index, epoch } in partitions {
        let epoch = if version >= 4 { *epoch } else { -1 };
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_timestamp(timestamp)
            .with_current_leader_epoch(epoch);
        match topics.last_mut().filter(|last| **last.name == **name) {
            Some(last) => last.partitions.push(wanted),
            None => {
                topics.push(ListOffsetsTopic::default().with_name(topic(name)).with_partitions(vec![wanted]));
            }
        }
    }
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(end == End::Stable))
        .with_topics(topics)
}

fn indexes(partitions: usize) -> Vec<i32> {
    (0..).take(partitions).collect()
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
