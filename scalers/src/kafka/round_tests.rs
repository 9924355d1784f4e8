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
use crate::kafka::offsets::{Answer, PartitionOffsets};
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
    let scope = Scope::Topics(vec!["a".into()]);
    Query { group: "g".into(), scope, committed_only: false, log_start: false, partitions: None }
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

/// A round whose first wave has told of one partition, led by broker 2, and of its coordinator.
fn begun<'a>(map: &'a mut ClusterMap, queries: &'a [Query]) -> Round<'a> {
    let mut round = Round::new(map, queries, Instant::now());
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(led_by(&[(2, 4)])), Ok(seated(1))]);
    round
}

fn only(answers: Vec<Result<Answer, ReadError>>) -> (Option<i64>, Option<i64>, i64) {
    let answer = answers.into_iter().next().unwrap().unwrap();
    let PartitionOffsets { committed, log_start, latest, .. } = answer[0].partitions[0];
    (committed, log_start, latest)
}

#[test]
fn a_commit_beyond_the_end_is_none_unless_the_log_has_grown_since() {
    let stable = Query { committed_only: true, ..query() };
    for (query, again, expected) in [
        (query(), 9, (None, None, 9)),
        (Query { log_start: true, ..query() }, 9, (None, Some(2), 9)),
        // The group was quicker than we.
        (query(), 20, (Some(20), None, 20)),
        (query(), 25, (Some(20), Some(2), 25)),
        // A group that reads open transactions too.
        (stable.clone(), 20, (Some(20), None, 9)),
        (stable, 19, (None, None, 9)),
    ] {
        let (mut map, queries) = (map(), [query]);
        let mut round = begun(&mut map, &queries);
        let wave = round.plan();
        assert_eq!(wave.len(), 2);
        absorb(&mut round, wave, vec![Ok(committed(&[20])), Ok(ends(&[(0, 0, 9)]))]);
        let wave = round.plan();
        assert_eq!(wave, [asks(2, End::Start, &[(0, 4)]), asks(2, End::Again, &[(0, 4)])]);
        absorb(&mut round, wave, vec![Ok(ends(&[(0, 0, 2)])), Ok(ends(&[(0, 0, again)]))]);
        assert_eq!(round.plan(), []);
        assert_eq!(only(round.finish().unwrap()), expected);
    }
}

#[test]
fn without_the_second_look_at_the_end_a_commit_beyond_it_is_not_judged() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = begun(&mut map, &queries);
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(committed(&[20])), Ok(ends(&[(0, 0, 9)]))]);
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(ends(&[(0, 0, 2)])), Ok(ends(&[(0, 29, -1)]))]);
    assert!(round.finish().unwrap()[0].as_ref().unwrap_err().message.contains("TOPIC_AUTHORIZATION_FAILED"));
}

#[test]
fn a_second_look_that_is_older_than_a_commit_is_taken_again() {
    // The second query knows its topics, and thus its commit, only after the first has looked.
    let late = Query { group: "h".into(), scope: Scope::GroupTopics, ..query() };
    let (mut map, queries) = (map(), [query(), late]);
    let commit = |group: &str, offset| match committed(&[offset]) {
        Said::Commits(mut said) => {
            said[0].group_id = GroupId(text(group));
            said.remove(0)
        }
        other => panic!("{other:?}"),
    };
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let mut seen = Vec::new();
    let mut refuse = true;
    for _ in 0..20 {
        let wave = round.plan();
        let answers = wave.iter().map(|errand| match &errand.ask {
            Ask::Topics(_) => Ok(led_by(&[(2, 4)])),
            Ask::Coordinators(groups) => {
                let seat = |group: &Arc<str>| {
                    let said = Coordinator::default().with_key(text(group)).with_node_id(BrokerId(2));
                    // That of the second group is not there at first.
                    let code = if &**group == "h" && std::mem::take(&mut refuse) { 15 } else { 0 };
                    said.with_host(text("kafka")).with_port(2).with_error_code(code)
                };
                Ok(Said::Coordinators(groups.iter().map(seat).collect()))
            }
            Ask::Commits(groups) => {
                let offset = |group: &str| if group == "g" { 20 } else { 40 };
                Ok(Said::Commits(groups.iter().map(|one| commit(&one.group, offset(&one.group))).collect()))
            }
            Ask::Ends(End::Latest | End::Stable, _) => Ok(ends(&[(0, 0, 9)])),
            Ask::Ends(End::Start, _) => Ok(ends(&[(0, 0, 2)])),
            Ask::Ends(End::Again, _) => {
                seen.push(if seen.is_empty() { 30 } else { 40 });
                Ok(ends(&[(0, 0, seen[seen.len() - 1])]))
            }
        });
        let answers = answers.collect();
        absorb(&mut round, wave, answers);
    }
    assert_eq!(seen, [30, 40]);
    let answers = round.finish().unwrap();
    assert_eq!(answers[0].as_ref().unwrap()[0].partitions[0].committed, Some(20));
    assert_eq!(answers[1].as_ref().unwrap()[0].partitions[0].committed, Some(40));
}

/// A group's commits of these topics, one partition each, with their codes and offsets.
fn commits_of(topics: &[(&str, i16, i64)]) -> Said {
    let topics = topics.iter().map(|(name, code, offset)| {
        let said = OffsetFetchResponsePartitions::default().with_error_code(*code).with_committed_offset(*offset);
        OffsetFetchResponseTopics::default().with_name(TopicName(text(name))).with_partitions(vec![said])
    });
    let group = OffsetFetchResponseGroup::default().with_group_id(GroupId(text("g")));
    Said::Commits(vec![group.with_topics(topics.collect())])
}

/// Reads the group's own topics: what the coordinator said of them, and then of those that it was asked for by name.
fn read_own(map: &mut ClusterMap, all: &[(&str, i16, i64)], named: &[(&str, i16, i64)]) -> Result<usize, ReadError> {
    let queries = [Query { scope: Scope::GroupTopics, ..query() }];
    let mut round = Round::new(map, &queries, Instant::now());
    for _ in 0..20 {
        let wave = round.plan();
        let answers = wave.iter().map(|errand| match &errand.ask {
            Ask::Coordinators(_) => Ok(seated(1)),
            Ask::Commits(asked) if asked[0].topics.is_none() => Ok(commits_of(all)),
            Ask::Commits(_) => Ok(commits_of(named)),
            Ask::Topics(_) => Ok(led_by(&[(2, 4)])),
            Ask::Ends(..) => Ok(ends(&[(0, 0, 9)])),
        });
        let answers = answers.collect();
        absorb(&mut round, wave, answers);
    }
    round.finish().unwrap().remove(0).map(|answer| answer.len())
}

#[test]
fn a_topic_of_the_group_that_vanishes_is_not_taken_for_one_without_commits() {
    let mut map = map();
    assert_eq!(read_own(&mut map, &[], &[]), Ok(0), "none was ever seen");
    assert_eq!(read_own(&mut map, &[("a", 0, 3)], &[]), Ok(1));
    for _ in 0..2 {
        let error = read_own(&mut map, &[], &[("a", 29, -1)]).unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, tidegate_calculator::source::ErrorScope::Query));
        assert!(error.message.contains("topic \"a\"") && error.message.ends_with(": TOPIC_AUTHORIZATION_FAILED"));
    }
    let error = read_own(&mut map, &[], &[]).unwrap_err();
    assert!(error.message.ends_with("topic \"a\": the answer leaves it out"), "{error}");
    let error = read_own(&mut map, &[], &[("a", 0, 3)]).unwrap_err();
    assert!(error.message.ends_with("and the answer left it out"), "{error}");
    assert_eq!(read_own(&mut map, &[("a", 0, 3)], &[]), Ok(1), "it may be seen again");
    assert_eq!(read_own(&mut map, &[], &[("a", 0, -1)]), Ok(0), "its commits are gone");
    assert_eq!(read_own(&mut map, &[], &[("a", 29, -1)]), Ok(0), "and nobody asks for it any more");
}

#[test]
fn who_leads_is_asked_of_all_brokers_in_turn() {
    let (mut map, queries, mut now) = (map(), [query()], Instant::now());
    let mut lookup = |now: Instant, answer: Option<Said>| {
        let mut round = Round::new(&mut map, &queries, now);
        let mut asked = Vec::new();
        for _ in 0..4 {
            let wave = round.plan();
            let answers = wave.iter().map(|errand| match (&errand.ask, &answer) {
                (Ask::Topics(_), _) => {
                    asked.push(errand.to.port);
                    if answer.is_none() && errand.to.port == 2 { refused() } else { Ok(led_by(&[(1, 4)])) }
                }
                (Ask::Coordinators(_), _) => Ok(seated(1)),
                (Ask::Commits(_), _) => Ok(committed(&[9])),
                (Ask::Ends(..), _) => Ok(ends(&[(0, 0, 9)])),
            });
            let answers = answers.collect();
            absorb(&mut round, wave, answers);
        }
        assert!(round.finish().unwrap()[0].is_ok());
        asked
    };
    let fine = || Some(led_by(&[]));
    let mut asked = Vec::new();
    // One that cannot be reached costs one try; it need not be reachable if it leads nothing.
    for answer in [fine(), fine(), fine(), None, None, None] {
        asked.push(lookup(now, answer));
        now += Duration::from_secs(11);
    }
    assert_eq!(asked, [vec![1], vec![2], vec![1], vec![2, 1], vec![1], vec![1]]);
}

#[test]
fn a_leader_that_only_itself_believes_in_is_not_believed() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    // Broker 1 has not heard of epoch 5.
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4)])), Ok(seated(1))]);
    let wave = round.plan();
    assert_eq!(wave, [commits(1, 1), asks(1, End::Latest, &[(0, 4)])]);
    absorb(&mut round, wave, vec![Ok(committed(&[20])), Ok(ends(&[(0, 0, 9)]))]);
    let wave = round.plan();
    assert_eq!(wave, [lookups(2).remove(0)], "the other broker");
    absorb(&mut round, wave, vec![Ok(led_by(&[(2, 5)]))]);
    let wave = round.plan();
    assert_eq!(wave, [asks(2, End::Start, &[(0, 5)]), asks(2, End::Again, &[(0, 5)])]);
    absorb(&mut round, wave, vec![Ok(ends(&[(0, 0, 2)])), Ok(ends(&[(0, 0, 25)]))]);
    assert_eq!(round.plan(), []);
    assert_eq!(only(round.finish().unwrap()), (Some(20), Some(2), 25));
}

#[test]
fn a_second_opinion_that_cannot_be_had_is_done_without() {
    let (mut map, queries) = (map(), [query()]);
    let mut round = Round::new(&mut map, &queries, Instant::now());
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4)])), Ok(seated(1))]);
    let wave = round.plan();
    absorb(&mut round, wave, vec![Ok(committed(&[20])), Ok(ends(&[(0, 0, 9)]))]);
    let wave = round.plan();
    absorb(&mut round, wave, vec![refused()]);
    let wave = round.plan();
    assert_eq!(wave, [lookups(1).remove(0)]);
    absorb(&mut round, wave, vec![Ok(led_by(&[(1, 4)]))]);
    let wave = round.plan();
    assert_eq!(wave, [asks(1, End::Start, &[(0, 4)]), asks(1, End::Again, &[(0, 4)])]);
    absorb(&mut round, wave, vec![Ok(ends(&[(0, 0, 2)])), Ok(ends(&[(0, 0, 9)]))]);
    assert_eq!(only(round.finish().unwrap()), (None, None, 9));
}
