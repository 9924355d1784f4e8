//! Answers that lack something, refuse something or cannot be true.

use std::any::Any;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponseGroup, OffsetFetchResponsePartitions};
use kafka_protocol::messages::{FindCoordinatorResponse, ListOffsetsResponse, MetadataResponse, OffsetFetchResponse};
use tidegate_calculator::source::ReadErrorKind;

use super::*;

/// What `shop` is told of `orders` when every answer is spoiled like this, for ever.
async fn told(spoil: impl FnMut(i32, &mut dyn Any) + Send + 'static) -> Result<Answer, ReadError> {
    let cluster = three();
    cluster.spoil(spoil);
    let answer = backend(&cluster).ask(&[query("shop", &["orders"])]).await.unwrap().remove(0);
    assert!(cluster.asked().len() < 40, "tries come to an end");
    answer
}

/// The same for one type of answer.
async fn told_by<R: 'static>(mut spoil: impl FnMut(&mut R) + Send + 'static) -> (ReadErrorKind, String) {
    let error = told(move |_, answer| answer.downcast_mut().map_or((), &mut spoil)).await.unwrap_err();
    assert_eq!(error.scope, ErrorScope::Query);
    (error.kind, error.message.replace(" of Kafka at kafka:9001", ""))
}

#[tokio::test(start_paused = true)]
async fn whatever_is_missing_or_refused_in_commits_is_named() {
    use ReadErrorKind::{Auth, Protocol, Unavailable};
    let of = |change: fn(&mut OffsetFetchResponseGroup)| {
        told_by(move |said: &mut OffsetFetchResponse| said.groups.iter_mut().for_each(change))
    };
    let one = |change: fn(&mut OffsetFetchResponsePartitions)| {
        told_by(move |said: &mut OffsetFetchResponse| change(&mut said.groups[0].topics[0].partitions[2]))
    };
    let group = |what: &str| format!("group \"shop\": {what}");
    let partition = |what: &str| format!("group \"shop\", partition 2 of topic \"orders\": {what}");
    let out = "the answer leaves it out";
    assert_eq!(told_by(|said: &mut OffsetFetchResponse| said.groups.clear()).await, (Protocol, group(out)));
    assert_eq!(of(|said| said.error_code = 30).await, (Auth, group("GROUP_AUTHORIZATION_FAILED")));
    assert_eq!(of(|said| said.error_code = 14).await, (Unavailable, group("COORDINATOR_LOAD_IN_PROGRESS")));
    assert_eq!(of(|said| said.error_code = -1).await, (Unavailable, group("UNKNOWN_SERVER_ERROR")));
    assert_eq!(of(|said| drop(said.topics[0].partitions.pop())).await, (Protocol, partition(out)));
    assert_eq!(of(|said| said.topics.clear()).await.0, Protocol);
    assert_eq!(one(|said| said.error_code = 29).await, (Auth, partition("TOPIC_AUTHORIZATION_FAILED")));
    assert_eq!(one(|said| said.error_code = 16).await, (Unavailable, group("NOT_COORDINATOR")));
    assert_eq!(one(|said| said.error_code = 4242).await, (Protocol, partition("the unknown error code 4242")));
    assert_eq!(one(|said| said.committed_offset = -2).await, (Protocol, partition("the answer has a negative offset")));
}

#[tokio::test(start_paused = true)]
async fn whatever_is_missing_or_refused_in_log_ends_is_named() {
    use ReadErrorKind::{Auth, Config, Protocol, Unavailable};
    let one = |change: fn(&mut ListOffsetsPartitionResponse)| {
        told_by(move |said: &mut ListOffsetsResponse| {
            said.topics[0].partitions.iter_mut().filter(|one| one.partition_index == 1).for_each(change);
        })
    };
    let partition = |what: &str| format!("partition 1 of topic \"orders\": {what}");
    let missing = |said: &mut ListOffsetsResponse| said.topics[0].partitions.retain(|one| one.partition_index != 1);
    assert_eq!(told_by(missing).await, (Protocol, partition("the answer leaves it out")));
    assert_eq!(one(|said| said.offset = -1).await, (Protocol, partition("the answer has no offset for it")));
    assert_eq!(one(|said| said.offset = i64::MIN).await.0, Protocol);
    assert_eq!(one(|said| said.error_code = 6).await, (Unavailable, partition("NOT_LEADER_OR_FOLLOWER")));
    assert_eq!(one(|said| said.error_code = 3).await, (Config, partition("UNKNOWN_TOPIC_OR_PARTITION")));
    assert_eq!(one(|said| said.error_code = 29).await, (Auth, partition("TOPIC_AUTHORIZATION_FAILED")));
    assert_eq!(one(|said| said.error_code = -3).await, (Protocol, partition("the unknown error code -3")));
}

#[tokio::test(start_paused = true)]
async fn whatever_is_missing_or_refused_in_lookups_is_named() {
    use ReadErrorKind::{Auth, Config, Protocol, Unavailable};
    let topic = |change: fn(&mut MetadataResponse)| told_by(change);
    let seat = |change: fn(&mut Coordinator)| {
        told_by(move |said: &mut FindCoordinatorResponse| said.coordinators.iter_mut().for_each(change))
    };
    let orders = |what: &str| format!("topic \"orders\": {what}");
    let shop = |what: &str| format!("coordinator of group \"shop\": {what}");
    assert_eq!(topic(|said| said.topics.clear()).await, (Protocol, orders("the answer leaves it out")));
    assert_eq!(topic(|said| said.topics[0].error_code = 29).await, (Auth, orders("TOPIC_AUTHORIZATION_FAILED")));
    assert_eq!(topic(|said| said.topics[0].error_code = 17).await, (Config, orders("INVALID_TOPIC_EXCEPTION")));
    assert_eq!(topic(|said| said.topics[0].partitions.clear()).await.0, Protocol);
    assert_eq!(seat(|said| said.error_code = 30).await, (Auth, shop("GROUP_AUTHORIZATION_FAILED")));
    assert_eq!(seat(|said| said.error_code = 15).await, (Unavailable, shop("COORDINATOR_NOT_AVAILABLE")));
    assert_eq!(seat(|said| said.key = "x".into()).await, (Protocol, shop("the answer leaves it out")));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_knows_no_such_group_says_that_it_has_no_commits() {
    let unknown = |said: &mut OffsetFetchResponse| {
        said.groups.iter_mut().for_each(|group| (group.error_code, group.topics) = (69, Vec::new()));
    };
    let answer = told(move |_, answer| answer.downcast_mut().map_or((), unknown)).await;
    assert_eq!(numbers(&answer)[0].1, [(None, None, 100), (None, None, 1100), (None, None, 2100)]);
}
