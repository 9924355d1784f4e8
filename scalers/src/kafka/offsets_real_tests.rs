//! Rounds against real brokers, of every version that is supported, alone and as a cluster of three.

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};

use super::tests::{failure, numbers, own, query};
use super::*;
use crate::kafka::connection::real_tests::harness::{Kafka, Listener, NEWEST, Plan, admin};
use crate::kafka::connection::real_tests::{ONE_AT_A_TIME, start};

fn cluster(kafka: &Kafka) -> Arc<Cluster> {
    let addresses = kafka.bootstrap(Listener::Open);
    let bootstrap = addresses.split(',').map(|address| {
        let (host, port) = address.rsplit_once(':').unwrap();
        (host.to_owned(), port.parse().unwrap())
    });
    Arc::new(Cluster { bootstrap: bootstrap.collect(), tls: None, sasl: None })
}

/// Asks until it is answered, as the next polls would.
async fn eventually(offsets: &mut Offsets, queries: &[Query]) -> Vec<Result<Answer, ReadError>> {
    for _ in 0..300 {
        if let Ok(answers) = offsets.ask(queries).await
            && answers.iter().all(Result::is_ok)
        {
            return answers;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    offsets.ask(queries).await.unwrap()
}

async fn table(version: &'static str) {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(kafka) = start(&Plan::new(version), version, &format!("offsets of Kafka {version}")) else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("orders", 3);
    admin.create("mails", 1);
    for (partition, count) in [(0, 10), (1, 20), (2, 30)] {
        records.append("orders", partition, count);
    }
    for (partition, offset) in [(0, 4), (1, 20)] {
        admin.commit("shop", "orders", partition, offset);
    }
    records.append("mails", 0, 5);
    admin.commit("mail", "mails", 0, 2);
    let open = records.begin("t", "mails", 0, 3);
    let mut offsets = Offsets::new(cluster(&kafka));
    let stable = |query| Query { committed_only: true, ..query };
    let starts = Query { log_start: true, ..query("nobody", &["orders"]) };
    let queries = [
        query("shop", &["orders"]),
        own("shop"),
        own("nobody"),
        starts,
        own("mail"),
        stable(query("mail", &["mails"])),
    ];
    let answers = eventually(&mut offsets, &queries).await;
    let orders = |partitions| [("orders".to_owned(), partitions)];
    let of_shop = vec![(Some(4), Some(0), 10), (Some(20), None, 20), (None, None, 30)];
    assert_eq!(numbers(&answers[0]), orders(of_shop.clone()));
    assert_eq!(numbers(&answers[1]), orders(of_shop));
    assert_eq!(numbers(&answers[2]), []);
    assert_eq!(numbers(&answers[3]), orders(vec![(None, Some(0), 10), (None, Some(0), 20), (None, Some(0), 30)]));
    assert_eq!(numbers(&answers[4])[0].1, [(Some(2), Some(0), 8)]);
    assert_eq!(numbers(&answers[5])[0].1, [(Some(2), Some(0), 5)], "the open transaction is not there yet");
    open.commit();
    admin.trim("orders", 0, 7);
    admin.delete("mails");
    let mut answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0])[0].1[0], (Some(4), Some(7), 10), "the commit is older than the log");
    // Old brokers answer for a deleted topic until its files are gone; we ask for it until what we know of it is old.
    for _ in 0..200 {
        if answers[5].is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answers = offsets.ask(&queries).await.unwrap();
    }
    let (scope, kind, message) = failure(&answers[5]);
    assert_eq!((scope, kind), (ErrorScope::Query, ReadErrorKind::Config), "{message}");
    assert!(message.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{message}");
    admin.create("mails", 2);
    records.append("mails", 1, 6);
    let answers = eventually(&mut offsets, &[query("fresh", &["mails"])]).await;
    assert_eq!(numbers(&answers[0])[0].1, [(None, None, 0), (None, None, 6)], "a topic that was made again");
    assert!(!admin.has("absent"));
    assert!(offsets.ask(&[query("shop", &["absent"])]).await.unwrap()[0].is_err());
    assert!(!admin.has("absent"), "asking for a topic does not make it");
    assert_eq!(offsets.brokers.open(), 1);
}

#[tokio::test]
async fn offsets_of_the_newest_kafka() {
    table(NEWEST).await;
}

#[tokio::test]
async fn offsets_of_kafka_3() {
    table("3.9").await;
}

#[tokio::test]
async fn offsets_of_kafka_2() {
    table("2.8").await;
}

#[tokio::test]
async fn a_cluster_of_three_loses_members() {
    let _one = ONE_AT_A_TIME.lock().await;
    let Some(mut kafka) = start(&Plan::new(NEWEST).brokers(3), NEWEST, "offsets of three brokers") else { return };
    let (admin, records) = (kafka.admin(), kafka.records());
    admin.create("orders", 3);
    admin.wait_for_replicas("orders");
    for (partition, broker) in (0..).zip(1..=3) {
        admin.lead("orders", partition, broker);
        records.append("orders", partition, 10 * usize::try_from(broker).unwrap());
    }
    let groups: Vec<String> = (0..30).map(|number| format!("group{number}")).collect();
    for group in &groups {
        admin.commit(group, "orders", 2, 7);
    }
    let queries: Vec<Query> = groups.iter().map(|group| query(group, &["orders"])).collect();
    let mut offsets = Offsets::new(cluster(&kafka));
    let all = |answers: &[Result<Answer, ReadError>]| {
        let whole = [("orders".to_owned(), vec![(None, None, 10), (None, None, 20), (Some(7), Some(0), 30)])];
        answers.iter().all(|answer| numbers(answer) == whole)
    };
    assert!(all(&eventually(&mut offsets, &queries).await));
    assert_eq!(offsets.brokers.open(), 3, "one connection a broker");
    admin.lead("orders", 2, 1);
    let answers = offsets.ask(&queries).await.unwrap();
    assert!(all(&answers), "a leader that moved is found in the same round: {:?}", answers[0]);

    kafka.hang(2);
    for round in ["first", "second", "third"] {
        let began = Instant::now();
        let answers = offsets.ask(&queries).await.unwrap();
        let took = began.elapsed();
        println!("{round} round with a hung broker: {took:?}, {:?}", answers[0]);
        assert!(took < part(ROUND, Duration::from_secs(3)) + Duration::from_millis(300));
        assert!(answers.iter().any(Result::is_ok) || answers.iter().all(Result::is_err));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    kafka.go_on(2);
    assert!(all(&eventually(&mut offsets, &queries).await));
    kafka.kill(3);
    assert!(all(&eventually(&mut offsets, &queries).await), "others take over");
    kafka.start_again(3);
    assert!(all(&eventually(&mut offsets, &queries).await));
    assert!(offsets.brokers.open() <= 3);
}

/// Prints what a round costs: `cargo test --release -p tidegate-scalers --lib -- --ignored --nocapture measured`.
#[tokio::test]
#[ignore = "prints figures"]
async fn rounds_of_many_groups_are_measured() {
    const GROUPS: usize = 500;
    const TOPICS: usize = 50;
    let _one = ONE_AT_A_TIME.lock().await;
    for (version, brokers) in [(NEWEST, 1), ("2.8", 1), (NEWEST, 3)] {
        let Some(kafka) = start(&Plan::new(version).brokers(brokers), version, "figures") else { return };
        let admin = kafka.admin();
        let topics: Vec<String> = (0..TOPICS).map(|number| format!("topic{number}")).collect();
        for topic in &topics {
            admin.create(topic, 3);
            kafka.records().append(topic, 1, 3);
        }
        let mut offsets = Offsets::new(cluster(&kafka));
        let groups: Vec<String> = (0..GROUPS).map(|number| format!("group{number}")).collect();
        commit_all(&mut offsets, &groups, &topics).await;
        let one = |(place, group): (usize, &String)| query(group, &[&topics[place % TOPICS]]);
        let one: Vec<Query> = groups.iter().enumerate().map(one).collect();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let each: Vec<Query> = groups.iter().map(|group| query(group, &names)).collect();
        let all: Vec<Query> = groups.iter().map(|group| own(group)).collect();
        for (what, queries) in [("1 topic each", one), ("50 topics each", each), ("their own topics", all)] {
            offsets = Offsets::new(cluster(&kafka));
            let mut times = Vec::new();
            for _ in 0..20 {
                let began = Instant::now();
                let answers = offsets.ask(&queries).await.unwrap();
                times.push(began.elapsed());
                assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            }
            let first = times.remove(0);
            times.sort_unstable();
            println!(
                "Kafka {version}, {brokers} broker(s), {GROUPS} groups, {what}: first {first:?}, then median {:?}, \
                 longest {:?}; {} connection(s)",
                times[times.len() / 2],
                times[times.len() - 1],
                offsets.brokers.open(),
            );
        }
    }
}

/// Commits offset 1 of every partition for all groups.
async fn commit_all(offsets: &mut Offsets, groups: &[String], topics: &[String]) {
    let name = |text: &str| StrBytes::from_string(text.to_owned());
    eventually(offsets, &groups.iter().map(|group| query(group, &[&topics[0]])).collect::<Vec<_>>()).await;
    for group in groups {
        let seat = offsets.map.coordinator(group, Instant::now().into_std()).unwrap();
        let partitions = (0..3).map(|index| {
            let at = OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(1);
            at.with_committed_metadata(Some(StrBytes::new()))
        });
        let partitions: Vec<_> = partitions.collect();
        let topics = topics.iter().map(|topic| {
            let of = OffsetCommitRequestTopic::default().with_name(TopicName(name(topic)));
            of.with_partitions(partitions.clone())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(name(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.collect());
        let answer = admin::ask(seat.port, &request, 7).unwrap();
        assert!(answer.topics.iter().flat_map(|topic| &topic.partitions).all(|one| one.error_code == 0));
    }
}
