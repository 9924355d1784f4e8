use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
    SnapshotId,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Message;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn name(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// A frame without its length, as a broker writes it.
fn written<R: Request>(response: &R::Response, version: i16, correlation: i32) -> Bytes {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut bytes, R::Response::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    bytes.freeze()
}

fn fetched(version: i16) -> FetchResponse {
    let mut partition = PartitionData::default()
        .with_partition_index(3)
        .with_high_watermark(9)
        .with_aborted_transactions(Some(vec![AbortedTransaction::default(); 2]))
        .with_records(Some(Bytes::from_static(b"records")));
    if version >= 12 {
        partition = partition
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(1).with_end_offset(2))
            .with_current_leader(LeaderIdAndEpoch::default().with_leader_epoch(7))
            .with_snapshot_id(SnapshotId::default().with_end_offset(5))
            .with_unknown_tagged_field(9, Bytes::from_static(b"later"));
    }
    let mut topic = FetchableTopicResponse::default().with_partitions(vec![partition; 3]);
    if version <= 12 {
        topic = topic.with_topic(name("orders").into());
    }
    let response = FetchResponse::default().with_responses(vec![topic; 2]);
    if version < 16 {
        return response;
    }
    response.with_node_endpoints(vec![NodeEndpoint::default().with_host(name("b")).with_rack(Some(name("r"))); 2])
}

fn listed(_: i16) -> ListOffsetsResponse {
    let partition = ListOffsetsPartitionResponse::default().with_partition_index(1).with_offset(77);
    let topic =
        ListOffsetsTopicResponse::default().with_name(name("orders").into()).with_partitions(vec![partition; 4]);
    ListOffsetsResponse::default().with_topics(vec![topic; 2])
}

fn described(version: i16) -> MetadataResponse {
    let broker = MetadataResponseBroker::default().with_host(name("b")).with_port(9092);
    let broker = if version >= 1 { broker.with_rack(Some(name("rack"))) } else { broker };
    let mut partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![1.into(), 2.into()])
        .with_isr_nodes(vec![BrokerId(1)]);
    if version >= 5 {
        partition = partition.with_offline_replicas(vec![2.into()]);
    }
    let topic = MetadataResponseTopic::default().with_name(Some(name("orders").into()));
    let topic = topic.with_partitions(vec![partition; 2]);
    let response = MetadataResponse::default().with_brokers(vec![broker; 3]).with_topics(vec![topic; 2]);
    if version >= 2 { response.with_cluster_id(Some(name("cluster"))) } else { response }
}

fn committed(version: i16) -> OffsetFetchResponse {
    if version >= 8 {
        let partition =
            OffsetFetchResponsePartitions::default().with_committed_offset(5).with_metadata(Some(name("m")));
        let topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition; 2]);
        let topic = if version <= 9 { topic.with_name(name("orders").into()) } else { topic };
        let group = OffsetFetchResponseGroup::default().with_group_id(name("g").into()).with_topics(vec![topic; 3]);
        return OffsetFetchResponse::default().with_groups(vec![group; 4]);
    }
    let partition = OffsetFetchResponsePartition::default().with_committed_offset(5).with_metadata(None);
    let topic = OffsetFetchResponseTopic::default().with_name(name("orders").into());
    OffsetFetchResponse::default().with_topics(vec![topic.with_partitions(vec![partition; 2]); 3])
}

fn found(version: i16) -> FindCoordinatorResponse {
    if version >= 4 {
        let coordinator = Coordinator::default().with_key(name("g")).with_host(name("b")).with_port(1);
        return FindCoordinatorResponse::default().with_coordinators(vec![coordinator; 3]);
    }
    FindCoordinatorResponse::default().with_host(name("b")).with_port(1)
}

fn agreed(_: i16) -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_mechanisms(vec![name("PLAIN"), name("SCRAM-SHA-256")])
}

fn authenticated(version: i16) -> SaslAuthenticateResponse {
    let answer =
        SaslAuthenticateResponse::default().with_error_message(None).with_auth_bytes(Bytes::from_static(b"v="));
    if version >= 1 { answer.with_session_lifetime_ms(60_000) } else { answer }
}

fn spoken(version: i16) -> ApiVersionsResponse {
    let api = ApiVersion::default().with_api_key(3).with_max_version(12);
    let response = ApiVersionsResponse::default().with_api_keys(vec![api; 5]);
    if version < 3 {
        return response;
    }
    response
        .with_supported_features(vec![SupportedFeatureKey::default().with_name(name("kraft.version")); 2])
        .with_finalized_features_epoch(12)
        .with_finalized_features(vec![FinalizedFeatureKey::default().with_name(name("metadata.version"))])
        .with_zk_migration_ready(true)
}

/// A response of one type that can be read: the frame, and how it is read.
struct Sample {
    what: String,
    frame: Bytes,
    read: fn(Bytes, i16) -> bool,
    version: i16,
}

fn samples_of<R: Request<Response: PartialEq + fmt::Debug>>(make: fn(i16) -> R::Response) -> Vec<Sample> {
    let versions = <R::Response as Message>::VERSIONS;
    let sample = |version| {
        let (response, frame) = (make(version), written::<R>(&make(version), version, 42));
        let what = format!("{} v{version}", api_name(R::KEY));
        assert_eq!(super::response::<R>(frame.clone(), version), Ok(response), "{what}");
        Sample { what, frame, read: |frame, version| super::response::<R>(frame, version).is_ok(), version }
    };
    (versions.min..=versions.max).map(sample).collect()
}

/// Every response that is asked for, in every version that the codec knows.
fn samples() -> Vec<Sample> {
    let mut all = samples_of::<FetchRequest>(fetched);
    all.extend(samples_of::<ListOffsetsRequest>(listed));
    all.extend(samples_of::<MetadataRequest>(described));
    all.extend(samples_of::<OffsetFetchRequest>(committed));
    all.extend(samples_of::<FindCoordinatorRequest>(found));
    all.extend(samples_of::<SaslHandshakeRequest>(agreed));
    all.extend(samples_of::<SaslAuthenticateRequest>(authenticated));
    all.extend(samples_of::<ApiVersionsRequest>(spoken));
    all
}

#[test]
fn every_response_is_read_as_it_was_written_and_not_a_byte_shorter_or_longer() {
    let samples = samples();
    assert!(samples.len() > 50, "{} samples", samples.len());
    for Sample { what, frame, read, version } in samples {
        for length in 0..frame.len() {
            assert!(!read(frame.slice(..length), version), "{what} cut to {length} bytes");
        }
        let longer = Bytes::from([&frame[..], &[0]].concat());
        assert!(!read(longer, version), "{what} with one byte more");
    }
}

#[test]
fn a_list_that_claims_to_be_huge_reserves_nothing() {
    // With room reserved as claimed, each of these would end the process.
    let tail = |head: &[u8]| Bytes::from([&[0, 0, 0, 42], head].concat());
    let old = tail(&[0, 0, 0x7f, 0xff, 0xff, 0xff]);
    let compact = tail(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0]);
    assert_eq!(response::<ApiVersionsRequest>(old.clone(), 0), Err(Malformed::Response("ApiVersions", 0)));
    assert_eq!(response::<ApiVersionsRequest>(compact, 3), Err(Malformed::Response("ApiVersions", 3)));
    assert_eq!(response::<SaslHandshakeRequest>(old, 1), Err(Malformed::Response("SaslHandshake", 1)));
    let metadata = tail(&[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(response::<MetadataRequest>(metadata, 0), Err(Malformed::Response("Metadata", 0)));
    // Inside a tagged field: no APIs, no throttling, one field 0 of five bytes with a list in it.
    let hidden = tail(&[0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(response::<ApiVersionsRequest>(hidden, 3), Err(Malformed::Response("ApiVersions", 3)));
}

#[test]
fn what_is_read_of_a_frame_before_its_body_is_read() {
    let frame = Bytes::from_static(&[0x12, 0x34, 0x56, 0x78, 0, 35, 9]);
    assert_eq!((correlation(&frame), leading_code(&frame)), (Ok(0x1234_5678), Some(35)));
    let short = frame.slice(..5);
    assert_eq!((correlation(&short), leading_code(&short)), (Ok(0x1234_5678), None));
    assert_eq!(correlation(&frame.slice(..3)), Err(Malformed::Stray));
}

#[test]
fn requests_are_called_as_in_kafkas_documentation() {
    let called = [1, 2, 3, 9, 10, 17, 18, 36].map(api_name).join(" ");
    let names = "Fetch ListOffsets Metadata OffsetFetch FindCoordinator SaslHandshake ApiVersions SaslAuthenticate";
    assert_eq!(called, names);
}

#[test]
fn a_response_that_nobody_asks_for_is_not_read() {
    let frame = written::<HeartbeatRequest>(&HeartbeatResponse::default(), 0, 1);
    assert_eq!(response::<HeartbeatRequest>(frame, 0), Err(Malformed::Response("another request", 0)));
}

#[test]
fn a_request_is_framed_with_the_header_of_its_version() {
    let framed = frame(&who_asks(), 3, 7).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let length = u8::try_from(framed.len() - 4).unwrap();
    let mut expected = vec![0, 0, 0, length, 0, 18, 0, 3, 0, 0, 0, 7, 0, 8];
    expected.extend(b"tidegate\0");
    expected.extend(
        [&[9], &b"tidegate"[..], &[u8::try_from(version.len()).unwrap() + 1], version.as_bytes(), &[0]].concat(),
    );
    assert_eq!(framed, expected);
    let old = frame(&who_asks(), 0, 7).unwrap();
    assert_eq!(old, [&[0, 0, 0, 18, 0, 18, 0, 0, 0, 0, 0, 7, 0, 8][..], b"tidegate"].concat());
    assert_eq!(frame(&who_asks(), 99, 7), Err(Malformed::Request("ApiVersions", 99)));
}

#[test]
fn what_is_not_kafka_is_called_by_its_name() {
    let first = |bytes: &[u8]| Frames { bytes: BytesMut::from(bytes) }.next();
    assert_eq!(first(&[0x15, 3, 3, 0, 2, 2, 80]), Err(Malformed::Tls));
    assert_eq!(first(&[0x16, 3, 1, 2]), Err(Malformed::Tls));
    assert_eq!(first(b"HTTP/1.1 400 Bad Request"), Err(Malformed::Http));
    for impossible in [[0, 0, 0, 0], [0, 0, 0, 3], [0x7f, 0xff, 0xff, 0xff], [0xff; 4], [0x04, 0, 0, 1]] {
        assert_eq!(first(&impossible), Err(Malformed::Length));
    }
    assert_eq!(first(&[0x04, 0, 0, 0]), Ok(None), "the longest frame may still come");
    assert_eq!(first(&[0, 0, 0]), Ok(None));
}

/// Feeds the bytes in these pieces; the frames until the first flaw, and the flaw.
fn split(bytes: &[u8], cuts: &[Index]) -> (Vec<Bytes>, Option<Malformed>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    for piece in cuts.windows(2) {
        frames.bytes.extend_from_slice(&bytes[piece[0]..piece[1]]);
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(flaw) => return (found, Some(flaw)),
            }
        }
    }
    (found, None)
}

proptest! {
    #[test]
    fn frames_are_the_same_in_whatever_pieces_they_come(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 4..40), 0..8),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        for body in &bodies {
            bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend(body);
        }
        let (frames, flaw) = split(&bytes, &cuts);
        prop_assert_eq!(flaw, None);
        prop_assert_eq!(frames, bodies);
    }

    #[test]
    fn arbitrary_bytes_are_split_or_refused(bytes in any::<Vec<u8>>(), cuts in prop::collection::vec(any::<Index>(), 0..4)) {
        prop_assert_eq!(split(&bytes, &cuts), split(&bytes, &[]));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), which in any::<Index>()) {
        let samples = samples();
        let Sample { read, version, .. } = which.get(&samples);
        read(Bytes::from(bytes), *version);
    }

    #[test]
    fn changed_frames_are_read_or_refused(which in any::<Index>(), changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let samples = samples();
        let Sample { frame, read, version, .. } = which.get(&samples);
        let mut changed = frame.to_vec();
        for (place, value) in changes {
            let place = place.index(changed.len());
            changed[place] = value;
        }
        read(Bytes::from(changed), *version);
    }

    #[test]
    fn no_length_anywhere_makes_room_for_itself(which in any::<Index>(), place in any::<Index>(), wide in any::<bool>()) {
        let samples = samples();
        let Sample { frame, read, version, .. } = which.get(&samples);
        let mut changed = frame.to_vec();
        let huge: &[u8] = if wide { &[0x7f, 0xff, 0xff, 0xff] } else { &[0xff, 0xff, 0xff, 0xff, 0x0f] };
        let place = place.index(changed.len());
        let end = changed.len().min(place + huge.len());
        changed[place..end].copy_from_slice(&huge[..end - place]);
        read(Bytes::from(changed), *version);
    }
}
