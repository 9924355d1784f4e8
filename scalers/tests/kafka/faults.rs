//! Three brokers, TLS and SCRAM, and everything that goes wrong with them: every read is the exact lag or an error that names the
//! reason, never a lower number, and the trigger recovers by itself.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, Occasion, ReadError, ReadErrorKind};
use tidegate_scalers::{Endpoints, Scaler};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::brokers::{self, Kafka, Listener, PASSWORD, Plan, READER};
use crate::trigger::{Trigger, available, eventually, lag, lag_on};

const TOPIC: &str = "orders";
const GROUP: &str = "billing";
const PARTITIONS: i32 = 6;
/// What a poll is given; a broker that hangs costs it all.
const DEADLINE: Duration = Duration::from_secs(4);
const PACE: Duration = Duration::from_millis(200);

/// Failed reads, by kind and text.
type Errors = BTreeMap<(ReadErrorKind, String), u32>;

/// A trigger that is read all the time.
struct Watched {
    scaler: Arc<dyn Scaler>,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

/// What its reads have been.
struct Seen {
    started: Instant,
    /// What may be read now.
    allowed: RangeInclusive<i64>,
    /// Errors by kind and text, since the stage began.
    errors: Errors,
    reads: u32,
    /// Since when it has been read without an error; reads that began before `from` do not count.
    well_since: Option<Instant>,
    from: Instant,
    wrong: Vec<String>,
}

impl Watched {
    fn start(scaler: Box<dyn Scaler>, lag: i64) -> Self {
        let seen = Seen {
            started: Instant::now(),
            allowed: lag..=lag,
            errors: BTreeMap::new(),
            reads: 0,
            well_since: None,
            from: Instant::now(),
            wrong: Vec::new(),
        };
        let (scaler, seen): (Arc<dyn Scaler>, _) = (Arc::from(scaler), Arc::new(Mutex::new(seen)));
        let (reads, notes) = (Arc::clone(&scaler), Arc::clone(&seen));
        let reader = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                let read = lag_on(&*reads, Occasion::Poll, DEADLINE).await;
                notes.lock().unwrap().note(begun, read);
                sleep(PACE).await;
            }
        });
        Self { scaler, seen, reader }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Waits until reads that began after now have succeeded for a second, and prints what the stage has brought.
    async fn recovers(&self, stage: &str) -> Errors {
        {
            let mut seen = self.seen();
            (seen.from, seen.well_since) = (Instant::now(), None);
        }
        eventually(&format!("{stage}: the trigger recovers"), async || {
            self.seen().well_since.is_some_and(|since| since.elapsed() > Duration::from_secs(1))
        })
        .await;
        self.report(stage)
    }

    /// Prints the stage and begins the next.
    fn report(&self, stage: &str) -> Errors {
        let mut seen = self.seen();
        println!("{:6.1} s  {stage}: {} reads of {:?}", seen.started.elapsed().as_secs_f64(), seen.reads, seen.allowed);
        for ((kind, text), count) in &seen.errors {
            println!("          {count} x {kind:?}: {text}");
        }
        assert!(seen.wrong.is_empty(), "{stage}: {:?}", seen.wrong);
        seen.reads = 0;
        std::mem::take(&mut seen.errors)
    }

    /// Waits for an error of this kind with these words.
    async fn names(&self, stage: &str, kind: ReadErrorKind, words: &str) {
        eventually(&format!("{stage}: {kind:?} ... {words}"), async || {
            self.seen().errors.keys().any(|(seen, text)| *seen == kind && text.contains(words))
        })
        .await;
    }

    /// Appends records, and waits until they are read.
    async fn grow(&self, kafka: &Kafka, partition: i32, count: usize) {
        let more = i64::try_from(count).unwrap();
        let before = *self.seen().allowed.start();
        self.seen().allowed = before..=before + more;
        let records = kafka.records();
        tokio::task::spawn_blocking(move || records.append(TOPIC, partition, count)).await.unwrap();
        eventually("the new records are read", async || {
            let read = lag_on(&*self.scaler, Occasion::Check, DEADLINE).await;
            assert!(!read.as_ref().is_ok_and(|(lag, _)| *lag < before), "{read:?} after {before}");
            read == Ok((before + more, true))
        })
        .await;
        // Reads that began before they were stored may still be under way.
        sleep(DEADLINE + PACE).await;
        self.seen().allowed = before + more..=before + more;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Seen {
    fn note(&mut self, begun: Instant, read: Result<(i64, bool), ReadError>) {
        self.reads += 1;
        match read {
            Ok((lag, active)) => {
                if !self.allowed.contains(&lag) || !active {
                    self.wrong.push(format!("read {lag}, active {active}, where {:?} is true", self.allowed));
                }
                if begun >= self.from {
                    self.well_since.get_or_insert(begun);
                }
            }
            Err(error) => {
                if error.message.contains(PASSWORD) || error.message.is_empty() {
                    self.wrong.push(format!("this tells a secret or nothing: {error}"));
                }
                *self.errors.entry((error.kind, error.message)).or_default() += 1;
                self.well_since = None;
            }
        }
    }
}

/// The cluster, with a group that lags by 60.
async fn cluster() -> Option<(Kafka, Trigger, i64)> {
    if !available(brokers::NEWEST) {
        return None;
    }
    let start = || {
        let kafka = Kafka::start(&Plan::new(brokers::NEWEST).brokers(3).secured());
        let admin = kafka.admin();
        admin.create(TOPIC, PARTITIONS);
        for partition in 0..PARTITIONS {
            kafka.records().append(TOPIC, partition, 15);
        }
        admin.wait_for_replicas(TOPIC);
        kafka
    };
    let kafka = tokio::task::spawn_blocking(start).await.unwrap();
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Secure), GROUP)
        .with(&[("topic", TOPIC), ("tls", "enable"), ("offsetResetPolicy", "earliest")])
        .auth(&[("ca", kafka.certificates().ca.as_str())])
        .auth(&[("sasl", "scram_sha512"), ("username", READER), ("password", PASSWORD)]);
    // Nobody has asked for a group yet: the brokers have nowhere to keep offsets. That is not for long.
    let all = i64::from(PARTITIONS) * 15;
    let first = trigger.open(&Endpoints::new());
    eventually("a first read", async || match lag_on(&*first, Occasion::Poll, DEADLINE).await {
        Ok(read) => {
            assert_eq!(read, (all, true));
            true
        }
        Err(error) => {
            println!("          at first: {error}");
            false
        }
    })
    .await;
    kafka.admin().ready_for_groups();
    for partition in 0..PARTITIONS {
        kafka.admin().commit(GROUP, TOPIC, partition, 5);
    }
    kafka.admin().wait_for_replicas("__consumer_offsets");
    Some((kafka, trigger, i64::from(PARTITIONS) * 10))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_trouble_of_the_brokers_lowers_the_number() {
    let Some((mut kafka, trigger, lag)) = cluster().await else { return };
    let endpoints = Endpoints::new();
    let watched = Watched::start(trigger.open(&endpoints), lag);
    let errors = watched.recovers("quiet").await;
    assert!(errors.is_empty());
    broker_killed(&mut kafka, &watched, &trigger).await;
    broker_hangs(&mut kafka, &watched).await;
    brokers_restarted_in_turn(&mut kafka, &watched).await;
    leaders_moved(&kafka, &watched).await;
    neighbour_deleted(&kafka, &watched, &trigger, &endpoints).await;
    password_changed(&mut kafka, &watched).await;
    certificate_expired(&mut kafka, &watched).await;
    all_killed(&mut kafka, &watched).await;
}

async fn broker_killed(kafka: &mut Kafka, watched: &Watched, trigger: &Trigger) {
    let victim = kafka.admin().coordinator(GROUP);
    // This one names only the broker that is killed; the others it has heard of from that one.
    let only = kafka.address(victim, Listener::Secure);
    let alone = trigger.clone().with(&[("bootstrapServers", &only)]).open(&Endpoints::new());
    assert_eq!(lag(&*alone).await, Ok((60, true)));
    kafka.kill(victim);
    watched.recovers("the group's coordinator is killed").await;
    eventually("a trigger that names only the broker that is gone goes on", async || {
        lag_on(&*alone, Occasion::Poll, DEADLINE).await == Ok((60, true))
    })
    .await;
    let stranger = trigger.clone().with(&[("bootstrapServers", &only)]).open(&Endpoints::new());
    let error = lag(&*stranger).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
    assert!(error.message.contains(&only), "{error}");
    watched.grow(kafka, 0, 3).await;
    kafka.start_again(victim);
    kafka.admin().wait_for_replicas(TOPIC);
    watched.recovers("it is back").await;
}

async fn broker_hangs(kafka: &mut Kafka, watched: &Watched) {
    let victim = kafka.admin().leaders(TOPIC)[1];
    kafka.hang(victim);
    watched.recovers("a leader hangs").await;
    // The one that hangs does not know these records; it must not be believed when it wakes up.
    watched.grow(kafka, 1, 4).await;
    kafka.go_on(victim);
    kafka.admin().wait_for_replicas(TOPIC);
    watched.recovers("it goes on").await;
}

async fn brokers_restarted_in_turn(kafka: &mut Kafka, watched: &Watched) {
    for id in 1..=3 {
        kafka.stop(id);
        kafka.start_again(id);
        kafka.admin().wait_for_replicas(TOPIC);
    }
    watched.recovers("all restarted, one after the other").await;
}

async fn leaders_moved(kafka: &Kafka, watched: &Watched) {
    let admin = kafka.admin();
    for partition in 0..PARTITIONS {
        let leader = admin.leaders(TOPIC)[usize::try_from(partition).unwrap()];
        admin.lead(TOPIC, partition, leader % 3 + 1);
    }
    watched.recovers("all leaders moved").await;
}

/// Another trigger of the same endpoint loses its topic; this one must not notice.
async fn neighbour_deleted(kafka: &Kafka, watched: &Watched, trigger: &Trigger, endpoints: &Endpoints) {
    let admin = kafka.admin();
    let fill = |count| {
        admin.create("returns", 2);
        kafka.records().append("returns", 0, count);
    };
    fill(8);
    admin.commit(GROUP, "returns", 0, 2);
    watched.recovers("before a topic is deleted").await;
    let neighbour = trigger.clone().with(&[("topic", "returns")]).open(endpoints);
    assert_eq!(lag(&*neighbour).await, Ok((6, true)));
    admin.delete("returns");
    let error = lag(&*neighbour).await.unwrap_err();
    assert!(error.message.contains("returns"), "{error}");
    fill(9);
    eventually("the topic that was made anew is read", async || {
        match lag_on(&*neighbour, Occasion::Poll, DEADLINE).await {
            Ok((lag, _)) => {
                // 7 while the old commit is remembered, 9 when it is forgotten.
                assert!([7, 9].contains(&lag), "{lag}");
                lag == 9
            }
            Err(_) => false,
        }
    })
    .await;
    let errors = watched.recovers("another topic deleted and made anew").await;
    assert!(errors.is_empty(), "the neighbour's trouble is not ours: {errors:?}");
}

/// A broker that is connected anew asks for the password, which is another one now.
async fn password_changed(kafka: &mut Kafka, watched: &Watched) {
    let victim = kafka.admin().leaders(TOPIC)[2];
    kafka.change_password("another-p4ss");
    kafka.kill(victim);
    kafka.start_again(victim);
    // It leads again, so it must be asked.
    kafka.admin().wait_for_replicas(TOPIC);
    kafka.admin().lead(TOPIC, 2, victim);
    watched.names("wrong password", ReadErrorKind::Auth, "refused the credentials").await;
    watched.report("wrong password");
    kafka.change_password(PASSWORD);
    watched.recovers("the password is right again").await;
}

async fn certificate_expired(kafka: &mut Kafka, watched: &Watched) {
    let victim = kafka.admin().leaders(TOPIC)[3];
    kafka.certificates().expire();
    kafka.kill(victim);
    kafka.start_again(victim);
    kafka.admin().wait_for_replicas(TOPIC);
    kafka.admin().lead(TOPIC, 3, victim);
    watched.names("expired certificate", ReadErrorKind::Unavailable, "certificate has expired").await;
    watched.report("expired certificate");
    kafka.certificates().renew();
    kafka.stop(victim);
    kafka.start_again(victim);
    watched.recovers("a good certificate").await;
}

async fn all_killed(kafka: &mut Kafka, watched: &Watched) {
    (1..=3).for_each(|id| kafka.kill(id));
    eventually("the whole endpoint has failed", async || {
        let read = lag_on(&*watched.scaler, Occasion::Check, DEADLINE).await;
        read.is_err_and(|error| error.scope == ErrorScope::Endpoint && error.kind == ReadErrorKind::Unavailable)
    })
    .await;
    watched.report("all brokers are killed");
    kafka.start_all_again();
    watched.recovers("all are back").await;
}
