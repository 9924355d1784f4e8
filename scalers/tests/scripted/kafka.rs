//! A Kafka broker that says what a test wants: one broker, all that the trigger asks for, offsets as they are given.
//!
//! It speaks through the same codec as the trigger, so it shows nothing about the protocol itself; real brokers do.

use std::future::Future;
use std::pin::Pin;

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest, OffsetFetchResponse, RequestHeader,
    ResponseHeader, SaslAuthenticateResponse, SaslHandshakeResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the broker has and says.
#[derive(Clone, Copy)]
pub(crate) struct Broker {
    /// Its topics with their partitions, by number.
    pub(crate) topics: &'static [(&'static str, &'static [Partition])],
    /// Whether it refuses whoever logs in.
    pub(crate) refuses: bool,
}

/// One partition; every group has the same commit.
#[derive(Clone, Copy)]
pub(crate) struct Partition {
    /// The commit; -1 for none.
    pub(crate) committed: i64,
    /// The first offset that exists.
    pub(crate) log_start: i64,
    /// The offset of the next record.
    pub(crate) latest: i64,
}

/// What it understands: key, lowest and highest version.
const UNDERSTOOD: [(ApiKey, i16, i16); 7] = [
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::SaslHandshake, 0, 1),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::Metadata, 4, 12),
    (ApiKey::FindCoordinator, 1, 4),
    (ApiKey::OffsetFetch, 2, 9),
    (ApiKey::ListOffsets, 2, 7),
];

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const SASL_AUTHENTICATION_FAILED: i16 = 58;
const NODE: BrokerId = BrokerId(1);
/// The timestamp that asks for the first offset.
const EARLIEST: i64 = -2;

impl Broker {
    /// Answers one connection until the other side closes it.
    pub(crate) fn serve(self, mut stream: TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            while let Ok(length) = stream.read_u32().await {
                let mut frame = vec![0; usize::try_from(length).unwrap()];
                stream.read_exact(&mut frame).await.unwrap();
                let port = stream.local_addr().unwrap().port();
                let answer = self.answer(&mut frame.as_slice(), port);
                stream.write_u32(u32::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        })
    }

    /// The answer to a request, without its length.
    fn answer<B: Buf + kafka_protocol::protocol::buf::ByteBuf>(&self, frame: &mut B, port: u16) -> BytesMut {
        let (key, version) = {
            let mut head = frame.peek_bytes(0..4);
            (ApiKey::try_from(head.get_i16()).unwrap(), head.get_i16())
        };
        let header = RequestHeader::decode(frame, key.request_header_version(version)).unwrap();
        let mut out = BytesMut::new();
        let answer = ResponseHeader::default().with_correlation_id(header.correlation_id);
        answer.encode(&mut out, key.response_header_version(version)).unwrap();
        match key {
            ApiKey::ApiVersions => api_versions().encode(&mut out, version),
            ApiKey::SaslHandshake => handshake().encode(&mut out, version),
            ApiKey::SaslAuthenticate => self.authenticate().encode(&mut out, version),
            ApiKey::Metadata => {
                self.metadata(&MetadataRequest::decode(frame, version).unwrap(), port).encode(&mut out, version)
            }
            ApiKey::FindCoordinator => {
                coordinators(&FindCoordinatorRequest::decode(frame, version).unwrap(), port).encode(&mut out, version)
            }
            ApiKey::OffsetFetch => {
                self.commits(&OffsetFetchRequest::decode(frame, version).unwrap()).encode(&mut out, version)
            }
            ApiKey::ListOffsets => {
                self.ends(&ListOffsetsRequest::decode(frame, version).unwrap()).encode(&mut out, version)
            }
            other => panic!("{other:?} is not understood"),
        }
        .unwrap();
        out
    }

    fn authenticate(&self) -> SaslAuthenticateResponse {
        let code = if self.refuses { SASL_AUTHENTICATION_FAILED } else { 0 };
        SaslAuthenticateResponse::default().with_error_code(code)
    }

    fn partitions(&self, topic: &str) -> Option<&'static [Partition]> {
        self.topics.iter().find(|(name, _)| *name == topic).map(|(_, partitions)| *partitions)
    }

    fn metadata(&self, request: &MetadataRequest, port: u16) -> MetadataResponse {
        let node = MetadataResponseBroker::default().with_node_id(NODE).with_host(host()).with_port(port.into());
        let asked = request.topics.iter().flatten().filter_map(|topic| topic.name.clone());
        let topics = asked.map(|name| {
            let known = self.partitions(&name);
            let leader = |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(NODE);
            let partitions = known.into_iter().flatten().zip(0..).map(|(_, index)| leader(index));
            MetadataResponseTopic::default()
                .with_error_code(if known.is_some() { 0 } else { UNKNOWN_TOPIC_OR_PARTITION })
                .with_name(Some(name))
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default().with_brokers(vec![node]).with_controller_id(NODE).with_topics(topics.collect())
    }

    fn commits(&self, request: &OffsetFetchRequest) -> OffsetFetchResponse {
        // The forms of one group and of many have equal fields, but types of their own.
        let one = request.topics.iter().flatten().map(|topic| {
            let partitions =
                self.committed(&topic.name, &topic.partition_indexes).into_iter().map(|(index, offset)| {
                    OffsetFetchResponsePartition::default().with_partition_index(index).with_committed_offset(offset)
                });
            OffsetFetchResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        let many = request.groups.iter().map(|group| {
            let wanted = |topic: &OffsetFetchRequestTopics| (topic.name.clone(), topic.partition_indexes.clone());
            let named = group.topics.as_ref().map(|topics| topics.iter().map(wanted).collect());
            let topics = named.unwrap_or_else(|| self.everything()).into_iter().map(|(name, indexes)| {
                let partitions = self.committed(&name, &indexes).into_iter().map(|(index, offset)| {
                    OffsetFetchResponsePartitions::default().with_partition_index(index).with_committed_offset(offset)
                });
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
            });
            OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(topics.collect())
        });
        OffsetFetchResponse::default().with_topics(one.collect()).with_groups(many.collect())
    }

    /// All that has a commit, for a request that names no topics.
    fn everything(&self) -> Vec<(TopicName, Vec<i32>)> {
        let all = self.topics.iter().map(|(name, partitions)| {
            let committed = partitions.iter().zip(0..).filter(|(partition, _)| partition.committed >= 0);
            (TopicName(StrBytes::from_static_str(name)), committed.map(|(_, index)| index).collect())
        });
        all.collect()
    }

    fn committed(&self, topic: &TopicName, indexes: &[i32]) -> Vec<(i32, i64)> {
        let partitions = self.partitions(topic).unwrap_or_default();
        let of = |index: i32| partitions.get(usize::try_from(index).unwrap()).map_or(-1, |known| known.committed);
        indexes.iter().map(|index| (*index, of(*index))).collect()
    }

    fn ends(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = request.topics.iter().map(|topic| {
            let partitions = self.partitions(&topic.name).unwrap_or_default();
            let answers = topic.partitions.iter().map(|asked| {
                let known = partitions.get(usize::try_from(asked.partition_index).unwrap());
                let offset =
                    known.map(|known| if asked.timestamp == EARLIEST { known.log_start } else { known.latest });
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(asked.partition_index)
                    .with_error_code(if known.is_some() { 0 } else { UNKNOWN_TOPIC_OR_PARTITION })
                    .with_offset(offset.unwrap_or(-1))
            });
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(answers.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }
}

fn api_versions() -> ApiVersionsResponse {
    let keys = UNDERSTOOD.map(|(key, min, max)| {
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.to_vec())
}

fn handshake() -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_mechanisms(vec![StrBytes::from_static_str("PLAIN")])
}

fn coordinators(request: &FindCoordinatorRequest, port: u16) -> FindCoordinatorResponse {
    let seat = |key: &StrBytes| {
        Coordinator::default().with_key(key.clone()).with_node_id(NODE).with_host(host()).with_port(port.into())
    };
    let many: Vec<_> = request.coordinator_keys.iter().map(seat).collect();
    if many.is_empty() {
        return FindCoordinatorResponse::default().with_node_id(NODE).with_host(host()).with_port(port.into());
    }
    FindCoordinatorResponse::default().with_coordinators(many)
}

fn host() -> StrBytes {
    StrBytes::from_static_str("127.0.0.1")
}
