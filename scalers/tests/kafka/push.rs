//! Wakes by records that arrive: how soon, how many, and after everything that can happen to the brokers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::CreateAclsRequest;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::protocol::StrBytes;
use tidegate_calculator::source::Wake;
use tidegate_scalers::{Endpoints, Scaler, Watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};

use crate::brokers::admin::{self, Resource};
use crate::brokers::{self, Kafka, Listener, PASSWORD, Plan, READER, STRANGER};
use crate::trigger::{Trigger, available, eventually, lag, shared};

const PUSH: (&str, &str) = ("activation", "push");
const GROUP: &str = "listeners";

/// New partitions and topics are seen after so long.
const CHECK: Duration = Duration::from_secs(20);

/// A trigger that is watched.
struct Watched {
    scaler: Box<dyn Scaler>,
    wakes: Arc<Mutex<Vec<Instant>>>,
    _watch: Watch,
}

impl Watched {
    /// Opens the trigger and waits until the cluster is listened to.
    async fn open(trigger: &Trigger, endpoints: &Endpoints) -> Self {
        let (scaler, wakes) = (trigger.open(endpoints), Arc::<Mutex<Vec<Instant>>>::default());
        let seen = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || seen.lock().unwrap().push(Instant::now()));
        let watch = scaler.watch(wake).expect("push is asked for");
        let watched = Self { scaler, wakes, _watch: watch };
        eventually("the first wake", async || watched.count() > 0).await;
        watched
    }

    fn count(&self) -> usize {
        self.wakes.lock().unwrap().len()
    }

    /// Waits until nothing has woken for a while, and forgets what has.
    async fn rest(&self) {
        loop {
            self.wakes.lock().unwrap().clear();
            sleep(Duration::from_millis(1500)).await;
            if self.count() == 0 {
                return;
            }
        }
    }

    /// When the first wake since the rest came; fails if there is none in time.
    async fn woken(&self, what: &str, within: Duration) -> Instant {
        let woken = async {
            loop {
                if let Some(at) = self.wakes.lock().unwrap().first() {
                    return *at;
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(within, woken).await.unwrap_or_else(|_| panic!("no wake in {within:?}: {what}"))
    }

    /// Appends one record once it is quiet, and expects a wake.
    async fn follows(&self, kafka: &Kafka, topic: &str, partition: i32, what: &str) {
        self.follows_within(kafka, topic, partition, what, Duration::from_secs(5)).await;
    }

    async fn follows_within(&self, kafka: &Kafka, topic: &str, partition: i32, what: &str, within: Duration) {
        self.rest().await;
        block_in_place(|| kafka.records().append(topic, partition, 1));
        let stored = Instant::now();
        let at = self.woken(what, within).await;
        println!("{what}: woken {:.1} ms after the writer's acknowledgement", millis(stored, at));
    }
}

/// From the acknowledgement to the wake. Negative where the wake came before the writer had heard of its own.
fn millis(stored: Instant, woken: Instant) -> f64 {
    woken.saturating_duration_since(stored).as_secs_f64() * 1e3
        - stored.saturating_duration_since(woken).as_secs_f64() * 1e3
}

fn on(kafka: &Kafka, topics: &str) -> Trigger {
    Trigger::new(&kafka.bootstrap(Listener::Open), GROUP).with(&[PUSH, ("topic", topics)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_wakes_within_milliseconds_and_nothing_wakes_without_one() {
    let Some(kafka) = shared() else { return };
    kafka.admin().create("push-one", 3);
    kafka.admin().create("push-other", 1);
    kafka.records().append("push-one", 1, 3);
    let endpoints = Endpoints::new();
    let watched = Watched::open(&on(kafka, "push-one"), &endpoints).await;
    let other = Watched::open(&on(kafka, "push-other"), &endpoints).await;
    let mut times = Vec::new();
    for round in 0..20 {
        watched.rest().await;
        other.wakes.lock().unwrap().clear();
        block_in_place(|| kafka.records().append("push-one", round % 3, 1));
        let stored = Instant::now();
        let at = watched.woken("a record", Duration::from_secs(5)).await;
        times.push(millis(stored, at));
        sleep(Duration::from_millis(300)).await;
        assert_eq!((watched.count(), other.count()), (1, 0), "one record, one wake, of one topic");
    }
    times.sort_by(f64::total_cmp);
    println!("from the acknowledgement to the wake: median {:.1} ms, longest {:.1} ms of 20", times[10], times[19]);
    assert!(times[10] < 200.0, "{times:?}");
    assert_eq!(lag(&*watched.scaler).await, Ok((3, true)), "without commits every partition counts for one");
    watched.rest().await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(watched.count(), 0, "nothing wakes without a record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_gives_few_wakes() {
    let Some(kafka) = shared() else { return };
    kafka.admin().create("push-burst", 3);
    let watched = Watched::open(&on(kafka, "push-burst"), &Endpoints::new()).await;
    watched.rest().await;
    let began = Instant::now();
    block_in_place(|| kafka.records().append("push-burst", 0, 5000));
    let stored = Instant::now();
    sleep(Duration::from_secs(2)).await;
    let wakes = watched.wakes.lock().unwrap().clone();
    let at: Vec<Duration> = wakes.iter().map(|at| at.duration_since(began)).collect();
    println!("5,000 records in {:?}: {} wakes, at {at:?}", stored - began, wakes.len());
    let most = 3 + (stored - began).as_millis() / 100;
    assert!((1..=most).contains(&(wakes.len() as u128)), "{at:?}");
    // Whoever reads after the last wake has seen all of them.
    let all = kafka.admin();
    block_in_place(|| all.commit(GROUP, "push-burst", 0, 0));
    assert!(lag(&*watched.scaler).await.unwrap().0 >= 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_partitions_and_topics_that_come_later_wake() {
    let Some(kafka) = shared() else { return };
    kafka.admin().create("push-grows", 1);
    let trigger = on(kafka, "push-grows,push-late").kind("apache-kafka");
    let watched = Watched::open(&trigger, &Endpoints::new()).await;
    watched.follows(kafka, "push-grows", 0, "beside a topic that is not there").await;
    watched.rest().await;
    kafka.admin().create("push-late", 2);
    watched.woken("a topic that was made", CHECK).await;
    watched.follows(kafka, "push-late", 1, "a topic that was not there").await;
    watched.rest().await;
    kafka.admin().grow("push-grows", 3);
    watched.woken("a topic that grew", CHECK).await;
    watched.follows(kafka, "push-grows", 2, "a new partition").await;
    watched.rest().await;
    kafka.admin().delete("push-late");
    sleep(Duration::from_secs(16)).await;
    watched.follows(kafka, "push-grows", 0, "beside a topic that was deleted").await;
}

/// Lets a user describe a topic, and nothing else.
fn let_describe(kafka: &Kafka, user: &str, topic: &str) {
    rule_describe(kafka, user, topic, 3);
}

/// Makes a rule for a user and a topic about Kafka's operation 8, `DESCRIBE`: 2 denies it and 3 allows it.
pub(crate) fn rule_describe(kafka: &Kafka, user: &str, topic: &str, permission: i8) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let rule = AclCreation::default()
        .with_resource_type(Resource::Topic as i8)
        .with_resource_name(text(topic))
        .with_resource_pattern_type(3)
        .with_principal(text(&format!("User:{user}")))
        .with_host(text("*"))
        .with_operation(8)
        .with_permission_type(permission);
    let request = CreateAclsRequest::default().with_creations(vec![rule]);
    let address = kafka.address(1, Listener::Open);
    let answer = admin::ask(address.rsplit_once(':').unwrap().1.parse().unwrap(), &request, 2).unwrap();
    assert!(answer.results.iter().all(|one| one.error_code == 0), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_the_user_may_not_read_harms_no_other_and_wakes_once_he_may() {
    let Some(kafka) = shared() else { return };
    for topic in ["push-mine", "push-described", "push-hidden"] {
        kafka.admin().create(topic, 1);
    }
    kafka.admin().grant(STRANGER, Resource::Topic, "push-mine");
    let_describe(kafka, STRANGER, "push-described");
    let endpoints = Endpoints::new();
    let open = async |topic: &str| {
        let trigger = Trigger::new(&kafka.bootstrap(Listener::Secure), GROUP).with(&[PUSH, ("topic", topic)]);
        let trigger = trigger.with(&[("tls", "enable")]).auth(&[("ca", kafka.certificates().ca.as_str())]);
        let login = [("sasl", "scram_sha256"), ("username", STRANGER), ("password", PASSWORD)];
        Watched::open(&trigger.auth(&login), &endpoints).await
    };
    let (described, hidden, mine) = (open("push-described").await, open("push-hidden").await, open("push-mine").await);
    mine.follows(kafka, "push-mine", 0, "over TLS, beside topics that may not be read").await;
    for topic in [&described, &hidden] {
        topic.rest().await;
    }
    block_in_place(|| kafka.records().append("push-described", 0, 1));
    sleep(Duration::from_secs(2)).await;
    assert_eq!((described.count(), hidden.count()), (0, 0));
    kafka.admin().grant(STRANGER, Resource::Topic, "push-described");
    kafka.admin().grant(STRANGER, Resource::Topic, "push-hidden");
    described.woken("a topic that may be read now", CHECK).await;
    hidden.woken("a topic that may be seen now", CHECK).await;
    described.follows(kafka, "push-described", 0, "a topic that may be read").await;
    hidden.follows(kafka, "push-hidden", 0, "a topic that may be seen").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_after_seconds_are_renewed_without_a_wake() {
    let Some(kafka) = shared() else { return };
    kafka.admin().create("push-brief", 2);
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Brief), GROUP).with(&[PUSH, ("topic", "push-brief")]);
    let login = [("sasl", "scram_sha512"), ("username", READER), ("password", PASSWORD)];
    let watched = Watched::open(&trigger.auth(&login), &Endpoints::new()).await;
    watched.rest().await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(watched.count(), 0, "nothing was missed");
    watched.follows(kafka, "push-brief", 1, "a session that was renewed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_move_restart_fail_or_hang_are_listened_to_again() {
    if !available(brokers::NEWEST) {
        return;
    }
    let mut kafka = block_in_place(|| Kafka::start(&Plan::new(brokers::NEWEST).brokers(3)));
    let admin = kafka.admin();
    admin.create("push", 3);
    admin.wait_for_replicas("push");
    for (partition, broker) in [(0, 1), (1, 2), (2, 3)] {
        block_in_place(|| admin.lead("push", partition, broker));
    }
    let watched = Watched::open(&on(&kafka, "push"), &Endpoints::new()).await;
    for partition in 0..3 {
        watched.follows(&kafka, "push", partition, "every leader").await;
    }
    block_in_place(|| admin.lead("push", 0, 2));
    watched.follows(&kafka, "push", 0, "a leader that moved").await;
    block_in_place(|| kafka.stop(3));
    watched.follows(&kafka, "push", 2, "a leader that handed over and ended").await;
    block_in_place(|| kafka.start_again(3));
    block_in_place(|| admin.lead("push", 2, 3));
    watched.follows(&kafka, "push", 2, "a leader that came back").await;
    kafka.kill(2);
    watched.follows(&kafka, "push", 1, "a leader that was killed").await;
    block_in_place(|| kafka.start_again(2));
    block_in_place(|| admin.lead("push", 1, 2));
    kafka.hang(3);
    watched.follows(&kafka, "push", 1, "another leader while one hangs").await;
    watched.follows(&kafka, "push", 2, "a leader that hung and was replaced").await;
    kafka.go_on(3);
    block_in_place(|| admin.lead("push", 2, 3));
    watched.follows(&kafka, "push", 2, "a leader that hung and came back").await;
    for id in 1..=3 {
        kafka.kill(id);
    }
    sleep(Duration::from_secs(3)).await;
    block_in_place(|| kafka.start_all_again());
    watched.woken("a cluster that was started again", Duration::from_mins(1)).await;
    // Leaders change once more while the brokers of a cluster come back one by one: the look around every 15 s finds them all.
    watched.follows_within(&kafka, "push", 0, "a cluster that was started again", Duration::from_secs(20)).await;
}
