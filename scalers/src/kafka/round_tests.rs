use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{BrokerId, GroupId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::kafka::offsets::PartitionOffsets;
use crate::kafka::requests::{Commits, Partition, Said};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn at(port: u16) -> Address {
    Address { host: "kafka".into(), port }
}

fn map() -> ClusterMap {
    ClusterMap::new("Kafka at kafka:1", vec![at(1), at(2)])
}

fn query() -> Query {
    Query { group: "g".into(), scope: Scope::Topics(vec!["a".into()]), committed_only: false, log_start: false }
}

fn lookups(to: u16) -> Vec<Errand> {
    let topics = Errand { to: at(to), ask: Ask::Topics(vec!["a".into()]) };
    vec![topics, Errand { to: at(to), ask: Ask::Coordinators(vec!["g".into()]) }]
}

/// Brokers 1 and 2, who lead the partitions of topic `a` as given.
fn led_by(leaders: &[(i32, i32)]) -> Said {
    let broker =
        |id: i32| MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(text("kafka")).with_port(id);
    let partitions = (0..).zip(leaders).map(|(index, (leader, epoch))| {
        let said = MetadataResponsePartition::default().with_partition_index(index);
        said.with_leader_id(BrokerId(*leader)).with_leader_epoch(*epoch)
    });
    let topic = MetadataResponseTopic::default().with_name(Some(TopicName(text("a"))));
    let topic = topic.with_partitions(partitions.collect());
    Said::Topics(MetadataResponse::default().with_brokers(vec![broker(1), broker(2)]).with_topics(vec![topic]))
}

fn seated(id: i32) -> Said {
    let seat = Coordinator::default().with_key(text("g")).with_node_id(BrokerId(id)).with_host(text("kafka"));
    Said::Coordinators(vec![seat.with_port(id)])
}

fn committed(offsets: &[i64]) -> Said {
    let partitions = (0..).zip(offsets).map(|(index, offset)| {
        OffsetFetchResponsePartitions::default().with_partition_index(index).with_committed_offset(*offset)
    });
    let topic = OffsetFetchResponseTopics::default().with_name(TopicName(text("a")));
    let topic = topic.with_partitions(partitions.collect());
    let group = OffsetFetchResponseGroup::default().with_group_id(GroupId(text("g")));
    Said::Commits(vec![group.with_topics(vec![topic])])
}

/// Partitions of topic `a` with their codes and offsets.
fn ends(ends: &[(i32, i16, i64)]) -> Said {
    let partitions = ends.iter().map(|(index, code, offset)| {
        let said = ListOffsetsPartitionResponse::default().with_partition_index(*index);
        said.with_error_code(*code).with_offset(*offset)
    });
    let topic = ListOffsetsTopicResponse::default().with_name(TopicName(text("a")));
    Said::Ends(vec![topic.with_partitions(partitions.collect())])
}

fn commits(to: u16, partitions: usize) -> Errand {
    let topics = Some(vec![("a".into(), partitions)]);
    Errand { to: at(to), ask: Ask::Commits(vec![Commits { group: "g".into(), topics }]) }
}

/// Asks for partitions of topic `a`, given with their epochs.
fn asks(to: u16, end: End, partitions: &[(i32, i32)]) -> Errand {
    let partition = |(index, epoch): &(i32, i32)| Partition { topic: "a".into(), index: *index, epoch: *epoch };
    Errand { to: at(to), ask: Ask::Ends(end, partitions.iter().map(partition).collect()) }
}

/// Answers a wave in its order.
fn absorb(round: &mut Round<'_>, wave: Vec<Errand>, answers: Vec<Result<Said, ReadError>>) {
    assert_eq!(wave.len(), answers.len());
    round.absorb(wave.into_iter().zip(answers).collect());
}

fn refused() -> Result<Said, ReadError> {
    Err(ReadError::endpoint(ReadErrorKind::Unavailable, "kafka:2: connection refused"))
}

#[test]
fn a_round_by_hand() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    assert_eq!(wave, lookups(1), "where we begin");
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4), (2, 5)])), Ok(seated(2))]);
    let wave = round.plan();
    assert_eq!(wave, [commits(2, 2), asks(1, End::Latest, &[(0, 4)]), asks(2, End::Latest, &[(1, 5)])]);
    absorb(&mut round, wave, vec![Ok(committed(&[3, -1])), Ok(ends(&[(0, 0, 9)])), Ok(ends(&[(1, 0, 7)]))]);
    let wave = round.plan();
    assert_eq!(wave, [asks(1, End::Start, &[(0, 4)])], "only where there is a commit below the end");
    absorb(&mut round, wave, vec![Ok(ends(&[(0, 0, 2)]))]);
    assert_eq!((round.plan(), round.pause()), (Vec::new(), Duration::ZERO));
    let answer = round.finish().unwrap().remove(0).unwrap();
    let offsets =
        |partition, committed, log_start, latest| PartitionOffsets { partition, committed, log_start, latest };
    assert_eq!(answer[0].partitions, [offsets(0, Some(3), Some(2), 9), offsets(1, None, None, 7)]);
    assert_eq!(map.remembered(), [1, 1, 0]);
}

#[test]
fn what_moved_is_looked_up_and_only_that_is_asked_again() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4), (2, 5)])), Ok(seated(2))]);
    let wave = round.plan();
    let moved =
        Said::Commits(vec![OffsetFetchResponseGroup::default().with_group_id(GroupId(text("g"))).with_error_code(16)]);
    absorb(&mut round, wave, vec![Ok(moved), Ok(ends(&[(0, 0, 9)])), Ok(ends(&[(1, 74, -1)]))]);
    let wave = round.plan();
    assert_eq!(round.pause(), PAUSES[0]);
    assert_eq!(wave, lookups(2), "who answered last");
    absorb(&mut round, wave, vec![Ok(led_by(&[(2, 5), (1, 6)])), Ok(seated(1))]);
    let wave = round.plan();
    assert_eq!(round.pause(), Duration::ZERO);
    assert_eq!(wave, [commits(1, 2), asks(1, End::Latest, &[(1, 6)])], "partition 0 has its answer");
    absorb(&mut round, wave, vec![Ok(committed(&[9, 7])), Ok(ends(&[(1, 0, 7)]))]);
    assert_eq!(round.plan(), []);
    assert!(round.finish().unwrap()[0].is_ok());
}

#[test]
fn a_broker_that_is_gone_is_not_asked_again_in_the_round() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4), (2, 5)])), Ok(seated(1))]);
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(committed(&[9, 7])), Ok(ends(&[(0, 0, 9)])), refused()]);
    let wave = round.plan();
    assert_eq!(wave, lookups(1)[..1]);
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4), (2, 5)]))]);
    assert_eq!(round.plan(), [], "it still is the leader");
    let error = round.finish().unwrap().remove(0).unwrap_err();
    assert_eq!(error.message, "partition 1 of topic \"a\" of Kafka at kafka:1: kafka:2: connection refused");
    // The next round looks the leader up before anything else.
    let mut round = Round::new(&mut map, &queries, Instant::now());
    assert_eq!(round.plan(), lookups(1)[..1]);
}

#[test]
fn tries_come_to_an_end() {
    let (mut map, queries) = (map(), [query()]);
    for tries in [usize::from(TRIES), 1, 1] {
        let mut round = Round::new(&mut map, &queries, Instant::now());
        let mut asked = 0;
        for _ in 0..20 {
            let wave = round.plan();
            let answers = wave.iter().map(|errand| match &errand.ask {
                Ask::Topics(_) => Ok(led_by(&[(1, 4)])),
                Ask::Coordinators(_) => Ok(seated(1)),
                Ask::Commits(_) => Ok(committed(&[3])),
                Ask::Ends(..) => {
                    asked += 1;
                    Ok(ends(&[(0, 6, -1)]))
                }
            });
            let answers = answers.collect();
            absorb(&mut round, wave, answers);
        }
        assert_eq!((round.plan(), asked), (Vec::new(), tries), "what failed in the last round gets one try");
        assert!(round.finish().unwrap()[0].as_ref().unwrap_err().message.ends_with(": NOT_LEADER_OR_FOLLOWER"));
    }
}

#[test]
fn a_round_that_is_cut_short_says_so() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4)])), Ok(seated(2))]);
    let wave = round.plan();
    absorb(&mut round, wave.into_iter().skip(1).collect(), vec![Ok(ends(&[(0, 0, 9)]))]);
    let error = round.finish().unwrap().remove(0).unwrap_err();
    assert_eq!(error.message, "group \"g\" of Kafka at kafka:1: no answer came in time");
    assert_eq!(error.kind, ReadErrorKind::Timeout);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    for port in [1, 2] {
        let wave = round.plan();
        assert_eq!(wave, lookups(port));
        absorb(&mut round, wave, vec![Ok(seated(1)), Ok(led_by(&[(1, 4)]))]);
    }
    assert_eq!(round.plan(), []);
    assert!(round.finish().unwrap_err().message.contains("answered something else"));
}
