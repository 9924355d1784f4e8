use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::*;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn at(port: u16) -> Address {
    Address { host: "kafka".into(), port }
}

fn broker(id: i32, port: i32) -> MetadataResponseBroker {
    MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(text("kafka")).with_port(port)
}

/// A topic whose partitions have these numbers, leaders and epochs.
fn topic(name: &str, id: u32, partitions: &[(i32, i32, i32)]) -> MetadataResponseTopic {
    let partitions = partitions.iter().map(|(index, leader, epoch)| {
        let said = MetadataResponsePartition::default().with_partition_index(*index);
        said.with_leader_id(BrokerId(*leader)).with_leader_epoch(*epoch)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(format!("{id:032x}").parse().unwrap())
        .with_partitions(partitions.collect())
}

fn saying(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    MetadataResponse::default().with_brokers(vec![broker(1, 9001), broker(2, 9002)]).with_topics(topics)
}

fn map() -> ClusterMap {
    ClusterMap::new("Kafka at kafka:9001", vec![at(9001)])
}

/// What is wrong with the topic `a`, after the map has learned this.
fn learn(map: &mut ClusterMap, said: MetadataResponseTopic) -> Option<String> {
    let faults = map.learn(&at(9001), &saying(vec![said]), &["a".into()], Instant::now()).unwrap();
    faults.into_iter().next().flatten().map(|fault| format!("{} {}", fault.again, fault.error.message))
}

#[test]
fn a_topic_is_taken_only_if_all_its_partitions_are_there() {
    let subject = "topic \"a\" of Kafka at kafka:9001";
    let incomplete = Some(format!("true {subject}: the answer leaves out some of its partitions"));
    for partitions in
        [&[][..], &[(1, 1, 0)], &[(0, 1, 0), (2, 1, 0)], &[(0, 1, 0), (0, 1, 0)], &[(-1, 1, 0), (0, 1, 0)]]
    {
        let mut map = map();
        assert_eq!(learn(&mut map, topic("a", 7, partitions)), incomplete, "{partitions:?}");
        assert_eq!(map.fresh_partitions("a", Instant::now()), None);
    }
    let mut map = map();
    assert_eq!(learn(&mut map, topic("b", 7, &[(0, 1, 0)])), Some(format!("true {subject}: the answer leaves it out")));
    assert_eq!(learn(&mut map, topic("a", 7, &[(1, 2, 0), (0, 1, 0)])), None);
    assert_eq!(map.fresh_partitions("a", Instant::now()), Some(2));
    assert_eq!(map.leader("a", 1).unwrap().broker, 2);
    assert_eq!((map.leader("a", 2), map.leader("a", -1), map.leader("b", 0)), (None, None, None));
}

#[test]
fn a_broker_that_is_behind_is_not_believed_unless_the_topic_is_another_one() {
    let mut map = map();
    assert_eq!(learn(&mut map, topic("a", 7, &[(0, 1, 5), (1, 1, 5)])), None);
    assert!(learn(&mut map, topic("a", 7, &[(0, 1, 5)])).unwrap().contains("does not know all its partitions yet"));
    assert_eq!(learn(&mut map, topic("a", 7, &[(0, 2, 4), (1, 2, 6)])), None);
    let leaders = |map: &ClusterMap| [0, 1].map(|index| map.leader("a", index).map(|one| (one.broker, one.epoch)));
    assert_eq!(leaders(&map), [Some((1, 5)), Some((2, 6))], "each partition has the newer leader");
    map.doubt_leader("a", 0);
    assert_eq!(map.fresh_partitions("a", Instant::now()), None);
    assert_eq!(learn(&mut map, topic("a", 7, &[(0, 2, 4), (1, 2, 6)])), None);
    assert_eq!(leaders(&map), [Some((2, 4)), Some((2, 6))], "what is in doubt is replaced by whatever is said");
    assert_eq!(learn(&mut map, topic("a", 8, &[(0, 1, 0)])), None);
    assert_eq!(leaders(&map), [Some((1, 0)), None], "made again");
    assert_eq!(learn(&mut map, topic("a", 0, &[(0, 2, 3)])), None);
    assert_eq!(learn(&mut map, topic("a", 0, &[(0, 1, 1)])), None);
    assert_eq!(leaders(&map), [Some((1, 1)), None], "without ids nothing can be told apart");
}

#[test]
fn what_is_known_is_fresh_for_ten_seconds() {
    let mut map = map();
    let then = Instant::now();
    map.learn(&at(9001), &saying(vec![topic("a", 7, &[(0, 1, 5)])]), &["a".into()], then).unwrap();
    let mut known_after = |milliseconds| map.fresh_partitions("a", then + Duration::from_millis(milliseconds));
    assert_eq!((known_after(9_999), known_after(10_000)), (Some(1), None));
    let gone = topic("a", 7, &[]).with_error_code(3);
    assert_eq!(learn(&mut map, gone).unwrap(), "true topic \"a\" of Kafka at kafka:9001: UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(map.leader("a", 0), None, "nothing is left of a topic that is gone");
}

#[test]
fn topics_that_are_read_are_asked_for_along_with_others() {
    let (mut map, then) = (map(), Instant::now());
    let after = |seconds| then + Duration::from_secs(seconds);
    let names = ["a", "b", "c"].map(Arc::from);
    let all = || names.iter().map(|name: &Arc<str>| topic(name, 7, &[(0, 1, 5)])).collect();
    map.learn(&at(9001), &saying(all()), &names, then).unwrap();
    assert!(map.companions(&[], after(4)).is_empty(), "what was just asked for");
    assert_eq!(map.companions(&names[..1], after(5)), names[1..]);
    map.doubt_topic("c");
    assert_eq!(map.companions(&[], after(4)), names[2..]);
    // Asked for along with others until nobody has read it for a minute; that it was asked for is no use.
    map.fresh_partitions("b", after(50));
    map.learn(&at(9001), &saying(all()), &names, after(52)).unwrap();
    assert_eq!(map.companions(&[], after(59)), names);
    assert_eq!(map.companions(&[], after(60)), names[1..2]);
    map.forget(after(600));
    assert_eq!(map.remembered()[0], 1);
    // One that is gone in the meantime is forgotten, and whoever reads it next asks for it.
    map.fresh_partitions("b", after(600));
    map.learn(&at(9001), &saying(vec![topic("b", 7, &[]).with_error_code(3)]), &names[1..2], after(600)).unwrap();
    assert!(map.companions(&[], after(610)).is_empty());
}

#[test]
fn brokers_that_cannot_be_reached_are_no_brokers() {
    let mut map = map();
    let nonsense =
        vec![broker(-1, 9001), broker(3, 0), broker(4, 70_000), broker(5, -1), broker(6, 9006).with_host(text(""))];
    let said = MetadataResponse::default().with_brokers(nonsense);
    let error = map.learn(&at(9001), &said, &[], Instant::now()).unwrap_err();
    assert_eq!(error.message, "Kafka at kafka:9001 names no broker");
    assert!(!map.has_brokers());
    map.learn(&at(9001), &saying(Vec::new()), &[], Instant::now()).unwrap();
    assert_eq!((map.address(2), map.address(3)), (Some(&at(9002)), None));
    assert!(map.is_broker(&at(9002)) && !map.is_broker(&at(9003)));
    map.heard(&at(9002));
    let guides: Vec<u16> = map.guides().map(|address| address.port).collect();
    assert_eq!(guides, [9002, 9001, 9002, 9001], "who answered last, the brokers, where we began");
}

#[test]
fn coordinators_are_taken_where_they_are_named_in_full() {
    let seat = |group: &str, id, port| {
        Coordinator::default().with_key(text(group)).with_node_id(BrokerId(id)).with_host(text("kafka")).with_port(port)
    };
    let asked = ["a", "b", "c", "d", "e"].map(Arc::from);
    let said = [
        seat("a", 3, 9003),
        seat("b", 3, 9003).with_error_code(15),
        seat("c", -1, 9003),
        seat("d", 3, -1),
        seat("x", 3, 9003),
    ];
    let (mut map, now) = (map(), Instant::now());
    let faults = map.seat(&said, &asked, now);
    let faults: Vec<_> =
        faults.into_iter().map(|fault| fault.map(|fault| (fault.again, fault.error.message))).collect();
    let fault = |group: &str, again, what: &str| {
        Some((again, format!("coordinator of group {group:?} of Kafka at kafka:9001: {what}")))
    };
    let expected = [
        None,
        fault("b", true, "COORDINATOR_NOT_AVAILABLE"),
        fault("c", false, "the answer names no broker"),
        fault("d", false, "the answer names no broker"),
        fault("e", false, "the answer leaves it out"),
    ];
    assert_eq!(faults, expected);
    assert_eq!(map.coordinator("a", now), Some(at(9003)), "a broker that metadata has not named yet");
    assert_eq!(map.coordinator("x", now), None, "nobody asked for it");
    map.forget_coordinator("a");
    assert_eq!(map.coordinator("a", now), None);
}

#[test]
fn addresses_are_written_as_everywhere() {
    assert_eq!(at(9).to_string(), "kafka:9");
    assert_eq!(Address { host: "::1".into(), port: 9092 }.to_string(), "[::1]:9092");
}
