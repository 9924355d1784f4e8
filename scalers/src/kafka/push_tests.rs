use std::collections::BTreeSet;

use tokio::time::timeout;

use super::*;
use crate::kafka::stand_in::{Health, Log, Release, StandIn};

/// Two brokers; `orders` is on both, `mails` on the second.
fn two() -> StandIn {
    let cluster = StandIn::new(2);
    cluster.topic("orders", &[1, 2]);
    cluster.topic("mails", &[2]);
    cluster
}

async fn connect(cluster: &StandIn) -> Result<Listening<StandIn>, ReadError> {
    let bootstrap = vec![Address { host: "kafka".into(), port: 9001 }, Address { host: "kafka".into(), port: 9002 }];
    Records::dialing("Kafka at kafka:9001", bootstrap, cluster.clone()).connect().await
}

async fn listen(cluster: &StandIn, topics: &[&str]) -> Listening<StandIn> {
    let mut session = connect(cluster).await.unwrap();
    session.arm(&names(topics)).await.unwrap();
    session
}

fn names(topics: &[&str]) -> Vec<Arc<str>> {
    topics.iter().map(|topic| Arc::from(*topic)).collect()
}

fn log(cluster: &StandIn, topic: &str, partition: usize, change: impl FnOnce(&mut Log)) {
    change(&mut cluster.state().topics.get_mut(topic).unwrap().partitions[partition]);
}

fn append(cluster: &StandIn, topic: &str, partition: usize) {
    log(cluster, topic, partition, |log| log.latest += 1);
}

/// What is heard within so many milliseconds, one after the other, in short looks as the feed takes them.
async fn heard<D: Dial>(session: &mut Listening<D>, millis: u64) -> Vec<String> {
    let until = Instant::now() + Duration::from_millis(millis);
    let mut all = Vec::new();
    while Instant::now() < until {
        let look = Duration::from_millis(7).min(until - Instant::now());
        if let Ok(topics) = timeout(look, session.heard()).await {
            let topics = topics.unwrap();
            session.arm(&topics).await.unwrap();
            let mut topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
            topics.sort_unstable();
            all.extend(topics);
        }
    }
    all
}

/// How often each request was sent since the last time.
fn asked(cluster: &StandIn, what: &str) -> usize {
    cluster.asked().iter().filter(|(_, name, _)| *name == what).count()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_heard_at_once_and_nothing_without_one() {
    for release in [Release::V4, Release::V2, Release::V011] {
        let cluster = two();
        cluster.state().brokers.values_mut().for_each(|broker| broker.release = release);
        let mut session = listen(&cluster, &["orders", "mails"]).await;
        cluster.asked();
        assert_eq!(heard(&mut session, 10_000).await, [""; 0]);
        let quiet = cluster.asked();
        assert!(quiet.iter().all(|(_, name, _)| *name == "Fetch"), "{quiet:?}");
        assert!((18..=22).contains(&quiet.len()), "one a second and leader: {}", quiet.len());
        append(&cluster, "orders", 1);
        let began = Instant::now();
        assert_eq!(session.heard().await.unwrap(), names(&["orders"]));
        assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
        assert_eq!(heard(&mut session, 3000).await, [""; 0], "a record is heard once");
    }
}

#[tokio::test(start_paused = true)]
async fn many_records_are_heard_of_a_few_times_and_the_last_is_not_missed() {
    let cluster = two();
    let mut session = listen(&cluster, &["orders"]).await;
    let mut times = 0;
    for _ in 0..1000 {
        append(&cluster, "orders", 0);
        times += heard(&mut session, 1).await.len();
    }
    let late = heard(&mut session, 2000).await.len();
    assert!((3..=8).contains(&times) && late <= 1, "{times} and {late}");
    assert_eq!(session.topics["orders"].places[0].position, Some(1100));
}

#[tokio::test(start_paused = true)]
async fn what_comes_between_hearing_and_arming_is_heard_again() {
    let cluster = two();
    let mut session = listen(&cluster, &["mails"]).await;
    append(&cluster, "mails", 0);
    let topics = session.heard().await.unwrap();
    append(&cluster, "mails", 0);
    session.arm(&topics).await.unwrap();
    assert_eq!(heard(&mut session, 400).await, ["mails"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_is_followed_and_nothing_is_missed() {
    let cluster = two();
    let mut session = listen(&cluster, &["orders", "mails"]).await;
    heard(&mut session, 1500).await;
    log(&cluster, "orders", 0, |log| (log.leader, log.epoch, log.latest) = (2, 6, log.latest + 1));
    assert_eq!(heard(&mut session, 1500).await, ["orders"]);
    append(&cluster, "orders", 0);
    assert_eq!(heard(&mut session, 300).await, ["orders"]);
    log(&cluster, "orders", 0, |log| log.leader = -1);
    assert_eq!(heard(&mut session, 8000).await, [""; 0]);
    let lookups = asked(&cluster, "Metadata");
    assert!(lookups < 30, "{lookups}");
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 300).await, ["mails"], "others are heard meanwhile");
    log(&cluster, "orders", 0, |log| (log.leader, log.epoch, log.latest) = (1, 7, log.latest + 1));
    assert_eq!(heard(&mut session, 5500).await, ["orders"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_goes_or_hangs_takes_no_other_with_it() {
    for health in [Health::Down, Health::Mute, Health::Hung] {
        let cluster = two();
        let mut session = listen(&cluster, &["orders", "mails"]).await;
        heard(&mut session, 1500).await;
        cluster.health(1, health);
        append(&cluster, "mails", 0);
        assert_eq!(heard(&mut session, 300).await, ["mails"]);
        assert_eq!(heard(&mut session, 9000).await, [""; 0]);
        append(&cluster, "mails", 0);
        assert_eq!(heard(&mut session, 300).await, ["mails"], "{health:?}");
        timeout(Duration::from_secs(5), session.check()).await.unwrap().unwrap();
        log(&cluster, "orders", 0, |log| (log.leader, log.epoch, log.latest) = (2, 6, log.latest + 1));
        assert_eq!(heard(&mut session, 6000).await, ["orders"], "{health:?}");
        cluster.health(1, Health::Up);
        log(&cluster, "orders", 0, |log| (log.leader, log.epoch, log.latest) = (1, 7, log.latest + 1));
        assert_eq!(heard(&mut session, 6000).await, ["orders"], "{health:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_goes_ends_the_session_and_one_broker_is_enough_to_begin() {
    let cluster = two();
    let mut session = listen(&cluster, &["orders"]).await;
    heard(&mut session, 100).await;
    cluster.health(1, Health::Down);
    cluster.health(2, Health::Down);
    let error = timeout(Duration::from_secs(5), session.heard()).await.unwrap().unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert!(connect(&cluster).await.is_err());
    for health in [Health::Down, Health::Hung, Health::Closed] {
        let cluster = two();
        cluster.health(1, health);
        let mut session = timeout(Duration::from_secs(4), listen(&cluster, &["mails"])).await.unwrap();
        append(&cluster, "mails", 0);
        assert_eq!(heard(&mut session, 300).await, ["mails"], "{health:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_not_there_or_not_allowed_is_heard_once_it_is() {
    let cluster = two();
    cluster.state().unreadable.insert("orders".to_owned());
    let mut session = listen(&cluster, &["absent", "orders", "mails"]).await;
    append(&cluster, "orders", 0);
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 5000).await, ["mails"]);
    let requests = cluster.asked().len();
    assert!(requests < 25, "what is refused is not asked for over and over: {requests}");
    assert!(session.topics["absent"].told.is_some() && session.topics["mails"].told.is_none());
    let told = session.topics["orders"].told.clone().unwrap();
    assert_eq!(told.kind, ReadErrorKind::Auth);
    session.check().await.unwrap();
    assert_eq!(heard(&mut session, 1500).await, [""; 0]);
    assert_eq!(session.topics["orders"].told.as_ref(), Some(&told), "told once");
    cluster.state().unreadable.clear();
    cluster.topic("absent", &[2, 1]);
    session.check().await.unwrap();
    assert_eq!(BTreeSet::from_iter(heard(&mut session, 1500).await), ["absent", "orders"].map(String::from).into());
    append(&cluster, "absent", 1);
    assert_eq!(heard(&mut session, 1500).await, ["absent"]);
    assert!(session.topics.values().all(|topic| topic.told.is_none()));
}

#[tokio::test(start_paused = true)]
async fn more_partitions_and_other_logs_are_heard_of_once() {
    let cluster = two();
    let mut session = listen(&cluster, &["orders", "mails"]).await;
    heard(&mut session, 1500).await;
    cluster.topic("orders", &[1, 2, 1]);
    session.check().await.unwrap();
    assert_eq!(heard(&mut session, 1500).await, ["orders"]);
    append(&cluster, "orders", 2);
    assert_eq!(heard(&mut session, 1500).await, ["orders"]);
    // It was cut.
    log(&cluster, "mails", 0, |log| (log.start, log.latest) = (0, 3));
    assert_eq!(heard(&mut session, 1500).await[0], "mails");
    assert_eq!(heard(&mut session, 3000).await, [""; 0]);
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 300).await, ["mails"]);
    // It was made anew, with fewer partitions.
    cluster.state().topics.remove("orders");
    session.check().await.unwrap();
    heard(&mut session, 1500).await;
    cluster.topic("orders", &[2]);
    session.check().await.unwrap();
    assert_eq!(heard(&mut session, 1500).await, ["orders"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_what_nobody_wants() {
    let cluster = two();
    let mut session = listen(&cluster, &["orders", "mails"]).await;
    heard(&mut session, 1500).await;
    session.disarm(&names(&["orders", "mails"])).await.unwrap();
    heard(&mut session, 1500).await;
    cluster.asked();
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 3000).await, [""; 0]);
    assert_eq!(cluster.asked(), []);
    session.check().await.unwrap();
    assert_eq!(session.lines.next_due(), None);
    session.arm(&names(&["mails"])).await.unwrap();
    assert_eq!(heard(&mut session, 1500).await, [""; 0], "whoever listens anew is woken by the feed");
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 300).await, ["mails"]);
}

#[tokio::test(start_paused = true)]
async fn brokers_that_cannot_push_are_told_apart() {
    let cluster = two();
    cluster.state().brokers.values_mut().for_each(|broker| broker.release = Release::V08);
    assert_eq!(connect(&cluster).await.err().unwrap().kind, ReadErrorKind::Config);
    let cluster = two();
    cluster.spoil(|_, answer| {
        if let Some(answer) = answer.downcast_mut::<FetchResponse>() {
            answer.error_code = 35;
        }
    });
    let error = listen(&cluster, &["orders"]).await.heard().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Config);
    assert!(error.message.contains("cannot push"), "{error}");
}

/// A cluster whose first broker lets nobody in any more, for a reason that the user must mend.
#[derive(Clone)]
struct Misconfigured(StandIn, Arc<std::sync::atomic::AtomicBool>);

impl Dial for Misconfigured {
    type Link = <StandIn as Dial>::Link;

    async fn dial(&self, host: &str, port: u16) -> Result<Self::Link, ReadError> {
        if port == 9001 && self.1.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ReadError::endpoint(ReadErrorKind::Config, "the SASL mechanism is not enabled"));
        }
        self.0.dial(host, port).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_broker_that_is_misconfigured_does_not_switch_push_off_for_the_others() {
    let (cluster, closed) = (two(), Arc::default());
    let bootstrap = [9001, 9002].map(|port| Address { host: "kafka".into(), port });
    let dial = Misconfigured(cluster.clone(), Arc::clone(&closed));
    let mut session = Records::dialing("Kafka", bootstrap.to_vec(), dial).connect().await.unwrap();
    session.arm(&names(&["orders", "mails"])).await.unwrap();
    heard(&mut session, 1500).await;
    closed.store(true, std::sync::atomic::Ordering::Relaxed);
    cluster.health(1, Health::Down);
    cluster.health(1, Health::Up);
    assert_eq!(heard(&mut session, 9000).await, [""; 0]);
    append(&cluster, "mails", 0);
    assert_eq!(heard(&mut session, 300).await, ["mails"]);
    append(&cluster, "orders", 0);
    closed.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(heard(&mut session, 6000).await, ["orders"], "once it is mended");
}

#[tokio::test(start_paused = true)]
async fn odd_answers_end_in_few_questions_and_throttling_is_respected() {
    type Spoil = fn(&mut FetchResponse);
    let spoils: [(Spoil, usize); 5] = [
        (|said| said.error_code = -1, 40),
        (|said| said.responses.clear(), 25),
        (|said| said.responses[0].partitions[0].error_code = 999, 20),
        (|said| said.responses[0].partitions[0].error_code = 6, 20),
        (|said| said.throttle_time_ms = 4000, 8),
    ];
    for (number, (spoil, most)) in spoils.into_iter().enumerate() {
        let cluster = two();
        let mut session = listen(&cluster, &["orders"]).await;
        cluster.spoil(move |_, answer| {
            if let Some(said) = answer.downcast_mut::<FetchResponse>() {
                spoil(said);
            }
        });
        // Records are there all the time, so that no question stays open.
        log(&cluster, "orders", 0, |log| log.latest += 1);
        heard(&mut session, 100).await;
        cluster.asked();
        heard(&mut session, 10_000).await;
        let requests = cluster.asked().len();
        assert!(requests <= most * 2, "case {number}: {requests}");
        cluster.asked();
        heard(&mut session, 10_000).await;
        let fetches = asked(&cluster, "Fetch");
        assert!(fetches <= most, "case {number}: {fetches}");
    }
}
