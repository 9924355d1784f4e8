use tidegate_calculator::source::{ErrorScope, ReadErrorKind};

use super::*;
use crate::kafka::stand_in::{Health, Log, Release, StandIn};

#[path = "offsets_properties.rs"]
mod properties;
#[path = "offsets_spoiled.rs"]
mod spoiled;

fn backend(cluster: &StandIn) -> Offsets<StandIn> {
    let bootstrap = vec![Address { host: "kafka".into(), port: 9001 }, Address { host: "kafka".into(), port: 9002 }];
    Offsets::dialing("Kafka at kafka:9001", bootstrap, cluster.clone())
}

pub(super) fn query(group: &str, topics: &[&str]) -> Query {
    let topics = topics.iter().map(|name| (*name).into()).collect();
    Query { group: group.into(), scope: Scope::Topics(topics), committed_only: false, log_start: false }
}

pub(super) fn own(group: &str) -> Query {
    Query { scope: Scope::GroupTopics, ..query(group, &[]) }
}

/// A topic and what its partitions have: committed, log start, latest.
type Numbers = (String, Vec<(Option<i64>, Option<i64>, i64)>);

pub(super) fn numbers(answer: &Result<Answer, ReadError>) -> Vec<Numbers> {
    let topics = answer.as_ref().unwrap().iter();
    let of = |one: &PartitionOffsets| (one.committed, one.log_start, one.latest);
    topics.map(|topic| (topic.name.to_string(), topic.partitions.iter().map(of).collect())).collect()
}

pub(super) fn failure(answer: &Result<Answer, ReadError>) -> (ErrorScope, ReadErrorKind, &str) {
    let error = answer.as_ref().unwrap_err();
    (error.scope, error.kind, &error.message)
}

/// Three brokers, two topics, two groups.
fn three() -> StandIn {
    let cluster = StandIn::new(3);
    cluster.topic("orders", &[1, 2, 3]);
    cluster.topic("mails", &[2]);
    cluster.group("shop", 3, &[("orders", 0, 40), ("orders", 1, 1100), ("mails", 0, 5)]);
    cluster.group("bill", 1, &[("orders", 2, 2099)]);
    cluster
}

fn orders_of_shop() -> Vec<Numbers> {
    vec![("orders".to_owned(), vec![(Some(40), Some(10), 100), (Some(1100), None, 1100), (None, None, 2100)])]
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_asks_each_broker_once_for_each_thing() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"]), query("bill", &["orders", "mails"]), own("shop"), own("nobody")];
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0]), orders_of_shop());
    let mails = |committed, start| ("mails".to_owned(), vec![(committed, start, 100)]);
    let of_bill = vec![(None, None, 100), (None, None, 1100), (Some(2099), Some(2010), 2100)];
    assert_eq!(numbers(&answers[1]), [("orders".to_owned(), of_bill), mails(None, None)]);
    assert_eq!(numbers(&answers[2]), [mails(Some(5), Some(10)), orders_of_shop().remove(0)], "by name");
    assert_eq!(numbers(&answers[3]), [], "a group without commits has no topics");
    let first = cluster.asked();
    assert_eq!(first.iter().filter(|asked| asked.1 == "Metadata").count(), 1);
    assert_eq!(cluster.state().dialed, [9001, 9002, 9003]);

    let began = Instant::now();
    assert_eq!(offsets.ask(&queries).await.unwrap(), answers);
    let commits = [(1, "OffsetFetch", 2), (3, "OffsetFetch", 1)];
    let latest = [(1, "ListOffsets", 1), (2, "ListOffsets", 2), (3, "ListOffsets", 1)];
    let starts = [(1, "ListOffsets", 1), (2, "ListOffsets", 1), (3, "ListOffsets", 1)];
    let mut expected = [&commits[..], &latest, &starts].concat();
    expected.sort_unstable();
    assert_eq!(cluster.asked(), expected, "what is known is not asked for again");
    assert_eq!(began.elapsed(), Duration::from_millis(2), "everything in two waves");
    assert_eq!(cluster.state().dialed.len(), 3);
    assert_eq!(offsets.brokers.open(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_isolation_level_and_the_log_start_are_read_where_they_are_wanted() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let committed = Query { committed_only: true, ..query("shop", &["mails"]) };
    let starts = Query { log_start: true, ..query("nobody", &["mails"]) };
    cluster.group("done", 1, &[("mails", 0, 90)]);
    let done = Query { committed_only: true, ..query("done", &["mails"]) };
    let answers = offsets.ask(&[committed, starts, done, query("shop", &["mails"])]).await.unwrap();
    let seen: Vec<_> = answers.iter().map(|answer| numbers(answer).remove(0).1[0]).collect();
    let expected = [(Some(5), Some(10), 90), (None, Some(10), 100), (Some(90), None, 90), (Some(5), Some(10), 100)];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn older_brokers_are_asked_group_by_group() {
    for release in [Release::V2, Release::V011] {
        let cluster = three();
        cluster.state().brokers.values_mut().for_each(|broker| broker.release = release);
        let mut offsets = backend(&cluster);
        let queries = [query("shop", &["orders"]), own("bill"), own("nobody")];
        let answers = offsets.ask(&queries).await.unwrap();
        assert_eq!(numbers(&answers[0]), orders_of_shop());
        assert_eq!(numbers(&answers[1])[0].1[2], (Some(2099), Some(2010), 2100));
        assert_eq!(numbers(&answers[2]), []);
        let began = Instant::now();
        offsets.ask(&queries).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(2), "side by side");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_too_old_is_named() {
    let cluster = StandIn::new(1);
    cluster.state().brokers.get_mut(&1).unwrap().release = Release::V08;
    let error = backend(&cluster).ask(&[own("shop")]).await.unwrap_err();
    assert_eq!((error.scope, error.kind), (ErrorScope::Endpoint, ReadErrorKind::Config));
    assert!(error.message.contains("0.11"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn leaders_and_coordinators_that_move_are_found_within_the_round() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    {
        let mut state = cluster.state();
        let log = &mut state.topics.get_mut("orders").unwrap().partitions[0];
        (log.leader, log.epoch, log.latest) = (2, 6, 107);
        // The leader stays, its epoch does not: it lost and regained the leadership.
        state.topics.get_mut("orders").unwrap().partitions[1].epoch = 9;
        state.groups.get_mut("shop").unwrap().coordinator = 2;
    }
    let answers = offsets.ask(&queries).await.unwrap();
    let expected = vec![(Some(40), Some(10), 107), (Some(1100), None, 1100), (None, None, 2100)];
    assert_eq!(numbers(&answers[0]), [("orders".to_owned(), expected)]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_know_its_office_yet_is_waited_for_shortly() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    cluster.state().topics.get_mut("mails").unwrap().partitions[0].leader = -1;
    let elected = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        elected.state().topics.get_mut("mails").unwrap().partitions[0].leader = 3;
    });
    assert_eq!(numbers(&offsets.ask(&[query("shop", &["mails"])]).await.unwrap()[0])[0].1[0].2, 100);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_is_an_error_of_those_who_need_it() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    {
        let mut state = cluster.state();
        let log = &mut state.topics.get_mut("orders").unwrap().partitions[1];
        (log.leader, log.code) = (-1, 5);
    }
    let queries = [query("shop", &["orders"]), query("shop", &["mails"])];
    for took in [180, 5] {
        let began = Instant::now();
        let answers = offsets.ask(&queries).await.unwrap();
        let expected = "partition 1 of topic \"orders\" of Kafka at kafka:9001: LEADER_NOT_AVAILABLE";
        assert_eq!(failure(&answers[0]), (ErrorScope::Query, ReadErrorKind::Unavailable, expected));
        assert_eq!(numbers(&answers[1])[0].1[0].2, 100);
        assert!(
            began.elapsed() < Duration::from_millis(took),
            "{:?}: the second time it delays nobody",
            began.elapsed()
        );
    }
    cluster.state().topics.get_mut("orders").unwrap().partitions[1].leader = 1;
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop(), "and it is seen when it is back");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_costs_one_round_a_second_and_only_its_queries() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    cluster.group("mail", 2, &[("mails", 0, 1)]);
    let queries = [query("shop", &["orders"]), query("mail", &["mails"]), own("bill")];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Hung);
    for (wait_before, within) in [(0, 1_100), (15, 20), (15, 20), (15, 20)] {
        wait(wait_before).await;
        let began = Instant::now();
        let answers = offsets.ask(&queries).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(within), "{:?}", began.elapsed());
        let (scope, kind, message) = failure(&answers[0]);
        assert_eq!((scope, kind), (ErrorScope::Query, ReadErrorKind::Timeout));
        assert!(message.contains("kafka:9003 did not answer in time"), "{message}");
        assert_eq!(numbers(&answers[1])[0].1[0], (Some(1), Some(10), 100));
        assert!(failure(&answers[2]).2.contains("partition 2 of topic \"orders\""), "{:?}", answers[2]);
    }
    cluster.health(3, Health::Up);
    wait(15).await;
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0]), orders_of_shop(), "it is seen to be back in the first round after");
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_logs_us_in_and_then_says_nothing_is_left_alone_for_longer_and_longer() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"]), query("bill", &["mails"])];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Mute);
    let mut slow = 0;
    for _ in 0..60 {
        let began = Instant::now();
        assert!(offsets.ask(&queries).await.unwrap()[1].is_ok());
        slow += u32::from(began.elapsed() > Duration::from_millis(500));
        wait(1).await;
    }
    assert!((2..=6).contains(&slow), "{slow} slow rounds in a minute");
    cluster.health(3, Health::Up);
    wait(31).await;
    for _ in 0..2 {
        offsets.ask(&queries).await.unwrap();
        wait(1).await;
    }
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_hung_brokers_is_asked_in_the_end() {
    let cluster = StandIn::new(6);
    cluster.topic("news", &[6]);
    cluster.group("late", 6, &[("news", 0, 3)]);
    (1..=5).for_each(|broker| cluster.health(broker, Health::Hung));
    let bootstrap = (9001..=9006).map(|port| Address { host: "kafka".into(), port }).collect();
    let mut offsets = Offsets::dialing("Kafka at kafka:9001", bootstrap, cluster.clone());
    for _ in 0..3 {
        match offsets.ask(&[query("late", &["news"])]).await {
            Ok(_) => {}
            Err(_) => offsets.hang_up(),
        }
        wait(1).await;
    }
    assert_eq!(numbers(&offsets.ask(&[query("late", &["news"])]).await.unwrap()[0])[0].1[0].2, 100);
}

#[tokio::test(start_paused = true)]
async fn a_hung_broker_is_not_needed_for_what_any_broker_knows() {
    let cluster = three();
    cluster.topic("news", &[2]);
    cluster.group("late", 2, &[("news", 0, 3)]);
    cluster.health(1, Health::Hung);
    let mut offsets = backend(&cluster);
    let answers = offsets.ask(&[query("late", &["news"])]).await.unwrap();
    assert_eq!(numbers(&answers[0])[0].1[0], (Some(3), Some(10), 100), "the second bootstrap broker knows all");
}

#[tokio::test(start_paused = true)]
async fn a_dead_brokers_partitions_are_read_from_their_new_leaders_at_once() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Down);
    {
        let mut state = cluster.state();
        let log = &mut state.topics.get_mut("orders").unwrap().partitions[2];
        (log.leader, log.epoch) = (1, 6);
        state.groups.get_mut("shop").unwrap().coordinator = 2;
    }
    let began = Instant::now();
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_comes_back_on_another_port_is_found() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    cluster.health(3, Health::Down);
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(failure(&answers[0]).0, ErrorScope::Query);
    cluster.health(3, Health::Up);
    cluster.state().brokers.get_mut(&3).unwrap().port = 9103;
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
    // Nobody is told of this move: the old port refuses.
    cluster.health(3, Health::Down);
    cluster.health(3, Health::Up);
    cluster.state().brokers.get_mut(&3).unwrap().port = 9203;
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
    assert_eq!(offsets.brokers.open(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_two_rounds_is_no_failure() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    for broker in 1..=3 {
        cluster.health(broker, Health::Down);
        cluster.health(broker, Health::Up);
    }
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_is_an_error_and_one_made_again_is_read_anew() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["mails"]), query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    let gone = cluster.state().topics.remove("mails").unwrap();
    for _ in 0..2 {
        let answers = offsets.ask(&queries).await.unwrap();
        let (scope, kind, message) = failure(&answers[0]);
        assert_eq!((scope, kind), (ErrorScope::Query, ReadErrorKind::Config));
        assert!(message.starts_with("topic \"mails\" of Kafka at kafka:9001: UNKNOWN_TOPIC_OR_PARTITION"), "{message}");
        assert_eq!(numbers(&answers[1]), orders_of_shop());
        wait(11).await;
    }
    // Fewer epochs, other leader, fewer records: nothing of the old one is left.
    let log = Log { leader: 3, epoch: 0, code: 0, start: 0, stable: 2, latest: 2 };
    let made = crate::kafka::stand_in::Topic { id: 77, code: 0, partitions: vec![log] };
    cluster.state().topics.insert("mails".to_owned(), made);
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0]), [("mails".to_owned(), vec![(Some(5), None, 2)])], "a commit beyond the log end");
    cluster.state().topics.insert("mails".to_owned(), gone);
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0])[0].1[0], (Some(5), Some(10), 100));
}

#[tokio::test(start_paused = true)]
async fn new_partitions_are_seen_once_what_is_known_is_ten_seconds_old() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["mails"])];
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0])[0].1.len(), 1);
    let new = Log { leader: 1, epoch: 0, code: 0, start: 0, stable: 7, latest: 7 };
    cluster.state().topics.get_mut("mails").unwrap().partitions.push(new);
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0])[0].1.len(), 1);
    wait(10).await;
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0])[0].1[1], (None, None, 7));
    // A broker that has not heard of them is not believed.
    let mut old = cluster.state().view(None);
    old.topics.iter_mut().for_each(|topic| topic.partitions.truncate(1));
    cluster.state().brokers.values_mut().for_each(|broker| broker.behind = Some(old.clone()));
    wait(10).await;
    let answers = offsets.ask(&queries).await.unwrap();
    assert!(failure(&answers[0]).2.ends_with("the broker does not know all its partitions yet"), "{answers:?}");
    cluster.state().brokers.get_mut(&2).unwrap().behind = None;
    cluster.state().brokers.get_mut(&3).unwrap().behind = None;
    let mut answers = offsets.ask(&queries).await.unwrap();
    if answers[0].is_err() {
        answers = offsets.ask(&queries).await.unwrap();
    }
    assert_eq!(numbers(&answers[0])[0].1.len(), 2, "another broker is asked");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_an_error_of_the_endpoint() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"]), own("bill")];
    for health in [Health::Down, Health::Closed, Health::Hung] {
        (1..=3).for_each(|broker| cluster.health(broker, health));
        let error = offsets.ask(&queries).await.unwrap_err();
        let kind = match health {
            Health::Closed => ReadErrorKind::Auth,
            Health::Hung => ReadErrorKind::Timeout,
            _ => ReadErrorKind::Unavailable,
        };
        assert_eq!((error.scope, error.kind), (ErrorScope::Endpoint, kind), "{error}");
        offsets.hang_up();
    }
    (1..=3).for_each(|broker| cluster.health(broker, Health::Up));
    wait(1).await;
    let answers = offsets.ask(&queries).await.unwrap();
    assert_eq!(numbers(&answers[0]), orders_of_shop());
    (1..=3).for_each(|broker| cluster.health(broker, Health::Hung));
    let began = Instant::now();
    let error = offsets.ask(&queries).await.unwrap_err();
    assert_eq!((error.scope, error.kind), (ErrorScope::Endpoint, ReadErrorKind::Timeout));
    assert!(began.elapsed() <= ROUND, "in time for its askers");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_went_to_another_cluster_is_not_read() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let queries = [query("shop", &["orders"])];
    offsets.ask(&queries).await.unwrap();
    // All bootstrap brokers are gone, and what answers at the third one's address is somebody else.
    cluster.health(1, Health::Down);
    cluster.health(2, Health::Down);
    cluster.state().id = "two".to_owned();
    wait(11).await;
    assert!(offsets.ask(&queries).await.is_err());
    // Where we began there is a new cluster: that is the one that is meant.
    cluster.health(1, Health::Up);
    cluster.health(2, Health::Up);
    drop(offsets.ask(&queries).await);
    assert_eq!(numbers(&offsets.ask(&queries).await.unwrap()[0]), orders_of_shop());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_forgotten() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let many: Vec<Query> = (0..500).map(|n| query(&format!("group{n}"), &["orders"])).collect();
    offsets.ask(&many).await.unwrap();
    assert_eq!(offsets.map.remembered(), [1, 500, 0]);
    offsets.ask(&[query("x", &["gone"])]).await.unwrap();
    assert_eq!(offsets.map.remembered(), [1, 501, 1]);
    for _ in 0..30 {
        wait(30).await;
        offsets.ask(&[query("shop", &["mails"])]).await.unwrap();
    }
    assert_eq!(offsets.map.remembered(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fits_in_no_request_spoils_nothing() {
    let cluster = three();
    let long = "x".repeat(40_000);
    let queries = [query(&long, &["orders"]), query("shop", &["orders"]), query("shop", &[&long])];
    let answers = backend(&cluster).ask(&queries).await.unwrap();
    assert_eq!(failure(&answers[0]).1, ReadErrorKind::Config);
    assert_eq!(failure(&answers[2]).1, ReadErrorKind::Config);
    assert_eq!(numbers(&answers[1]), orders_of_shop());
}
