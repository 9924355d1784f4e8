use tidegate_calculator::source::{ErrorScope, ReadErrorKind};

use super::*;
use crate::kafka::stand_in::{Health, Log, Release, StandIn};

#[path = "offsets_hung.rs"]
mod hung;
#[path = "offsets_properties.rs"]
mod properties;
#[path = "offsets_spoiled.rs"]
mod spoiled;

/// What `--read-timeout` is by default.
const PATIENCE: Duration = Duration::from_secs(3);

impl<D: Dial> Offsets<D> {
    /// Asks with the usual patience.
    pub(super) async fn ask(&mut self, queries: &[Query]) -> Result<Vec<Result<Answer, ReadError>>, ReadError> {
        Backend::ask(self, queries, PATIENCE).await
    }
}

fn backend(cluster: &StandIn) -> Offsets<StandIn> {
    let bootstrap = vec![Address { host: "kafka".into(), port: 9001 }, Address { host: "kafka".into(), port: 9002 }];
    Offsets::dialing("Kafka at kafka:9001", bootstrap, cluster.clone())
}

pub(super) fn query(group: &str, topics: &[&str]) -> Query {
    let topics = topics.iter().map(|name| (*name).into()).collect();
    let scope = Scope::Topics(topics);
    Query { group: group.into(), scope, committed_only: false, log_start: false, partitions: None }
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
async fn most_rounds_ask_for_no_metadata_and_once_for_commits() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    cluster.topic("news", &[1]);
    // Groups that are read at different times.
    let queries = [query("shop", &["orders"]), query("shop", &["mails"]), query("shop", &["orders", "news"])];
    let mut counts = Vec::new();
    for (place, query) in (0..24).zip(queries.iter().cycle()) {
        offsets.ask(std::slice::from_ref(query)).await.unwrap();
        let asked = cluster.asked();
        let count = |what| asked.iter().filter(|asked| asked.1 == what).count();
        if place >= 6 {
            assert_eq!(count("OffsetFetch"), 1);
            counts.push(count("Metadata"));
        }
        wait(4).await;
    }
    assert!(counts.iter().sum::<usize>() <= 6, "one in three rounds of 4 s: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn partitions_that_are_left_out_are_not_asked_for_and_fail_nobody() {
    let cluster = three();
    let mut offsets = backend(&cluster);
    let limited = |ranges: &[RangeInclusive<i32>], topics: &[&str]| Query {
        partitions: Some(ranges.to_vec().into()),
        ..query("shop", topics)
    };
    let ranges = &[0..=0, 2..=9];
    assert!(offsets.ask(&[limited(ranges, &["orders"])]).await.unwrap()[0].is_ok());
    assert!(cluster.asked().iter().all(|asked| asked.0 != 2 || asked.1 != "ListOffsets"), "2 leads what is left out");
    {
        let mut state = cluster.state();
        let log = &mut state.topics.get_mut("orders").unwrap().partitions[1];
        (log.leader, log.code) = (-1, 5);
    }
    wait(11).await;
    let answers = offsets.ask(&[limited(ranges, &["orders"])]).await.unwrap();
    let [first, _, third] = orders_of_shop().remove(0).1[..] else { panic!("three partitions") };
    assert_eq!(numbers(&answers[0]), [("orders".to_owned(), vec![first, third])]);
    let numbered: Vec<i32> = answers[0].as_ref().unwrap()[0].partitions.iter().map(|one| one.partition).collect();
    assert_eq!(numbered, [0, 2]);

    let queries = [
        limited(&[1..=1], &["orders"]),
        limited(&[0..=0], &["orders"]),
        limited(&[1..=7], &["mails", "orders"]),
        limited(&[2..=2], &["mails", "orders"]),
        limited(&[7..=9], &["orders"]),
    ];
    let answers = offsets.ask(&queries).await.unwrap();
    assert!(failure(&answers[0]).2.contains("partition 1 of topic \"orders\""), "{:?}", answers[0]);
    assert_eq!(numbers(&answers[1]), [("orders".to_owned(), vec![first])]);
    assert!(answers[2].is_err());
    assert_eq!(numbers(&answers[3]), [("mails".to_owned(), vec![]), ("orders".to_owned(), vec![third])]);
    let expected = "partitionLimitation names no partition of orders";
    assert_eq!(failure(&answers[4]), (ErrorScope::Query, ReadErrorKind::Config, expected));
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
    assert_eq!(numbers(&answers[0]), [("mails".to_owned(), vec![(None, None, 2)])], "a commit beyond the log end");
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
    assert!(began.elapsed() <= part(ROUND, PATIENCE), "in time for its askers");
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
