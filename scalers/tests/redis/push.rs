//! Wakes by client tracking and by keyspace notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_calculator::source::Wake;
use tidegate_scalers::{Endpoints, Scaler, Watch};
use tokio::time::sleep;

use crate::fake::Fake;
use crate::server::{Server, Trigger, eventually, length};

/// A subscription that counts its wakes.
pub(crate) struct Watched {
    pub(crate) scaler: Box<dyn Scaler>,
    wakes: Arc<AtomicUsize>,
    watch: Option<Watch>,
}

impl Watched {
    /// Opens the trigger and waits until the server has been asked to push.
    pub(crate) async fn open(trigger: &Trigger, endpoints: &Endpoints) -> Self {
        let (scaler, wakes) = (trigger.open(endpoints), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst));
        let watch = Some(scaler.watch(wake).expect("push is asked for"));
        let watched = Self { scaler, wakes, watch };
        watched.more_than(0).await;
        watched
    }

    fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    pub(crate) async fn more_than(&self, before: usize) {
        eventually("a wake", async || self.count() > before).await;
    }

    /// Lets the window of earlier wakes run out.
    pub(crate) async fn rest(&self) -> usize {
        let mut before = self.count();
        loop {
            sleep(Duration::from_millis(400)).await;
            match self.count() {
                now if now == before => return now,
                now => before = now,
            }
        }
    }
}

pub(crate) const PUSH: (&str, &str) = ("activation", "push");

/// A user who may not use client tracking, so that keyspace notifications are left.
const NO_TRACKING: &str = "ACL SETUSER scaler on >pass ~* &* +@all -client|tracking";

fn no_tracking(server: &Server, metadata: &[(&str, &str)]) -> Trigger {
    server.trigger(metadata).auth(&[("username", "scaler"), ("password", "pass")])
}

/// What both ways must do.
async fn follows_changes(server: &Server, trigger: &Trigger, others: &Trigger) {
    let endpoints = Endpoints::new();
    let (jobs, bag) = (Watched::open(trigger, &endpoints).await, Watched::open(others, &endpoints).await);
    for line in ["RPUSH jobs a b", "RPUSH jobs c", "LPOP jobs", "DEL jobs", "RPUSH jobs d", "PEXPIRE jobs 1"] {
        let (before, quiet) = (jobs.rest().await, bag.count());
        server.run::<()>(line).await;
        jobs.more_than(before).await;
        assert_eq!(bag.count(), quiet, "{line} is no news of another key");
    }
    let before = bag.rest().await;
    let mut admin = server.admin().await;
    redis::pipe().cmd("SELECT").arg(3).cmd("SADD").arg("bag").arg("a").exec_async(&mut admin).await.unwrap();
    bag.more_than(before).await;
    assert_eq!(length(&*bag.scaler).await, Ok((1, true)));
    let before = bag.rest().await;
    for member in 0..1000 {
        redis::cmd("SADD").arg("bag").arg(member).exec_async(&mut admin).await.unwrap();
    }
    bag.more_than(before + 1).await;
    let wakes = bag.rest().await - before;
    assert!(wakes < 500, "1000 changes are joined, not {wakes} wakes");
}

#[tokio::test]
async fn client_tracking_wakes_at_every_change() {
    let Some(server) = Server::start(&[]).await else { return };
    let bag = server.trigger(&[PUSH, ("listName", "bag"), ("databaseIndex", "3")]);
    follows_changes(&server, &server.trigger(&[PUSH]), &bag).await;
    let setting: Vec<String> = server.run("CONFIG GET notify-keyspace-events").await;
    assert_eq!(setting[1], "", "the server's configuration is left alone");
}

#[tokio::test]
async fn keyspace_notifications_wake_where_tracking_is_refused() {
    let Some(server) = Server::start(&["--notify-keyspace-events", "KA"]).await else {
        return;
    };
    server.run::<()>(NO_TRACKING).await;
    let bag = no_tracking(&server, &[PUSH, ("listName", "bag"), ("databaseIndex", "3")]);
    follows_changes(&server, &no_tracking(&server, &[PUSH]), &bag).await;
    assert_eq!(server.info("clients", "tracking_clients").await, 0);
}

#[tokio::test]
async fn keyspace_notifications_work_where_the_setting_may_not_be_seen() {
    let Some(server) = Server::start(&["--notify-keyspace-events", "KA"]).await else {
        return;
    };
    server.run::<()>("ACL SETUSER scaler on >pass ~jobs &* -@all +llen +subscribe +unsubscribe +ping").await;
    let jobs = Watched::open(&no_tracking(&server, &[PUSH]), &Endpoints::new()).await;
    let before = jobs.rest().await;
    server.run::<()>("RPUSH jobs a").await;
    jobs.more_than(before).await;
}

#[tokio::test]
async fn a_channel_that_is_forbidden_takes_no_other_with_it() {
    let Some(server) = Server::start(&["--notify-keyspace-events", "KA"]).await else { return };
    let rule = "ACL SETUSER scaler on >pass ~* resetchannels &__keyspace@0__:jobs +@all -client|tracking";
    server.run::<()>(rule).await;
    let endpoints = Endpoints::new();
    let secret = no_tracking(&server, &[PUSH, ("listName", "secret")]).open(&endpoints);
    let _watch = secret.watch(Arc::new(|| ())).unwrap();
    let jobs = Watched::open(&no_tracking(&server, &[PUSH]), &endpoints).await;
    let before = jobs.rest().await;
    server.run::<()>("RPUSH jobs a").await;
    jobs.more_than(before).await;
}

#[tokio::test]
async fn a_flush_and_a_reconnect_wake_too() {
    let Some(mut server) = Server::start(&[]).await else {
        return;
    };
    let jobs = Watched::open(&server.trigger(&[PUSH]), &Endpoints::new()).await;
    server.run::<()>("RPUSH jobs a").await;
    let before = jobs.rest().await;
    server.run::<()>("FLUSHALL").await;
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    server.stop();
    server.start_again().await;
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    server.run::<()>("RPUSH jobs a").await;
    jobs.more_than(before).await;
}

#[tokio::test]
async fn all_triggers_of_a_server_listen_on_one_connection_and_leaving_stops_the_wakes() {
    let Some(server) = Server::start(&[]).await else { return };
    let endpoints = Endpoints::new();
    let mut first = Watched::open(&server.trigger(&[PUSH]), &endpoints).await;
    let second = Watched::open(&server.trigger(&[PUSH]), &endpoints).await;
    let other = Watched::open(&server.trigger(&[PUSH, ("listName", "other")]), &endpoints).await;
    assert_eq!(server.info("clients", "tracking_clients").await, 1);
    drop(first.watch.take());
    let (gone, before) = (first.rest().await, second.rest().await);
    server.run::<()>("RPUSH jobs a").await;
    second.more_than(before).await;
    assert_eq!(first.count(), gone);
    assert!(other.count() > 0);
}

/// A server that refuses the read has not tracked the key, so the session must be made anew until it works.
#[tokio::test]
async fn a_server_that_is_loading_is_listened_to_afterwards() {
    let refusals = AtomicUsize::new(2);
    let fake = Fake::start(move |command| {
        let fewer = |left: usize| left.checked_sub(1);
        Some(match command[0].as_str() {
            "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(),
            "CLIENT" => "+OK\r\n".to_owned(),
            _ if refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() => {
                "-LOADING Redis is loading the dataset in memory\r\n".to_owned()
            }
            _ => ":1\r\n".to_owned(),
        })
    });
    let fake = fake.await;
    let jobs = Watched::open(&fake.trigger().with(&[PUSH]), &Endpoints::new()).await;
    assert_eq!(jobs.count(), 1);
    assert_eq!(fake.heard().iter().filter(|command| command[0] == "LLEN").count(), 3);
}

#[tokio::test]
async fn polling_goes_on_where_nothing_is_pushed() {
    let Some(server) = Server::start(&[]).await else { return };
    server.run::<()>(NO_TRACKING).await;
    server.run::<()>("RPUSH jobs a").await;
    let scaler = no_tracking(&server, &[PUSH]).open(&Endpoints::new());
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let _watch = scaler.watch(Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst))).unwrap();
    server.run::<()>("RPUSH jobs b").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    assert_eq!(wakes.load(Ordering::SeqCst), 0);
    assert!(server.trigger(&[]).open(&Endpoints::new()).watch(Arc::new(|| ())).is_none(), "poll is the default");
}
