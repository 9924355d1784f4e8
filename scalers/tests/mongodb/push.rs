//! Wakes by change streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::bson::doc;
use tidegate_calculator::source::Wake;
use tidegate_scalers::{Endpoints, Scaler, Watch};
use tokio::time::sleep;

use crate::scripted::{Script, Stub};
use crate::server::{Server, Trigger, eventually, value};

const PUSH: (&str, &str) = ("activation", "push");

/// A subscription that counts its wakes.
struct Watched {
    scaler: Box<dyn Scaler>,
    wakes: Arc<AtomicUsize>,
    watch: Option<Watch>,
}

impl Watched {
    fn begin(trigger: &Trigger, endpoints: &Endpoints) -> Self {
        let (scaler, wakes) = (trigger.open(endpoints), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst));
        let watch = Some(scaler.watch(wake).expect("push is asked for"));
        Self { scaler, wakes, watch }
    }

    /// Opens the trigger and waits until the server has been asked to push.
    async fn open(trigger: &Trigger, endpoints: &Endpoints) -> Self {
        let watched = Self::begin(trigger, endpoints);
        watched.more_than(0).await;
        watched
    }

    fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    async fn more_than(&self, before: usize) {
        eventually("a wake", async || self.count() > before).await;
    }

    /// Lets the window of earlier wakes run out.
    async fn rest(&self) -> usize {
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

#[tokio::test]
async fn every_change_of_the_collection_wakes_and_no_other() {
    let Some(server) = Server::start(&[]).await else { return };
    let endpoints = Endpoints::new();
    let jobs = Watched::open(&server.trigger(&[PUSH]), &endpoints).await;
    let bag = Watched::open(&server.trigger(&[PUSH, ("collection", "bag")]), &endpoints).await;
    let (collection, quiet) = (server.jobs().await, bag.rest().await);
    let before = jobs.rest().await;
    collection.insert_one(doc! { "state": "waiting", "n": 1 }).await.unwrap();
    jobs.more_than(before).await;
    assert_eq!(value(&*jobs.scaler).await, Ok((1000, true)));
    let before = jobs.rest().await;
    collection.update_one(doc! { "n": 1 }, doc! { "$set": { "state": "done" } }).await.unwrap();
    jobs.more_than(before).await;
    assert_eq!(value(&*jobs.scaler).await, Ok((0, false)));
    let before = jobs.rest().await;
    collection.delete_one(doc! { "n": 1 }).await.unwrap();
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    collection.insert_many((0..1000).map(|n| doc! { "state": "waiting", "n": n })).await.unwrap();
    jobs.more_than(before).await;
    let wakes = jobs.rest().await - before;
    assert!(wakes < 500, "1000 changes are joined, not {wakes} wakes");
    assert_eq!(bag.count(), quiet, "no news of another collection");
}

#[tokio::test]
async fn a_dropped_collection_and_a_restart_are_no_end() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let jobs = Watched::open(&server.trigger(&[PUSH]), &Endpoints::new()).await;
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    let before = jobs.rest().await;
    server.jobs().await.drop().await.unwrap();
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    server.stop_in_order();
    server.start_again().await;
    // The stream goes on by its token, so nothing was missed and nobody need be woken before.
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    jobs.more_than(before).await;
}

#[tokio::test]
async fn a_server_that_was_away_for_long_is_listened_to_again_and_wakes_once() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let jobs = Watched::open(&server.trigger(&[PUSH]), &Endpoints::new()).await;
    let before = jobs.rest().await;
    server.stop_in_order();
    // The driver gives up the stream after 5 s without a server.
    sleep(Duration::from_secs(8)).await;
    server.start_again().await;
    jobs.more_than(before).await;
    let before = jobs.rest().await;
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    jobs.more_than(before).await;
}

#[tokio::test]
async fn a_stream_goes_on_after_what_it_heard_last_unless_that_is_lost() {
    let token = doc! { "_data": "1" };
    let change = doc! { "_id": &token, "operationType": "insert", "ns": { "db": "shop", "coll": "jobs" } };
    // Each stream of this server ends after one change.
    let stub = Stub::start(Script { documents: vec![change], ..Script::default() }).await;
    let jobs =
        Watched::open(&Trigger::count(&format!("mongodb://{}/", stub.address()), &[PUSH]), &Endpoints::new()).await;
    jobs.more_than(1).await;
    let after = || {
        let asked = stub.heard("aggregate");
        let stages =
            asked.iter().map(|command| command.get_array("pipeline").unwrap()[0].as_document().unwrap().clone());
        stages.map(|stage| stage.get_document("$changeStream").unwrap().get("startAfter").cloned()).collect::<Vec<_>>()
    };
    eventually("it is opened again", async || after().len() > 2).await;
    assert_eq!(after()[..2], [None, Some(token.into())]);
    stub.set(|script| script.failures = vec![("aggregate", 286, "ChangeStreamHistoryLost")]);
    eventually("it is opened anew", async || after().last() == Some(&None)).await;
}

#[tokio::test]
async fn who_leaves_hears_no_more_and_a_forbidden_collection_takes_no_other_with_it() {
    let Some(server) = Server::with_users(&[("reader", "pass", &["read"])]).await else { return };
    let uri = format!("mongodb://reader:pass@127.0.0.1:{}/?authSource=shop", server.port);
    let admin = format!("mongodb://root:r00t@127.0.0.1:{}/", server.port);
    let endpoints = Endpoints::new();
    let _secret = Watched::begin(&Trigger::count(&uri, &[PUSH, ("dbName", "vault")]), &endpoints);
    let mut first = Watched::open(&Trigger::count(&uri, &[PUSH]), &endpoints).await;
    let second = Watched::open(&Trigger::count(&uri, &[PUSH]), &endpoints).await;
    drop(first.watch.take());
    let (gone, before) = (first.rest().await, second.rest().await);
    let client = mongodb::Client::with_uri_str(admin).await.unwrap();
    client.database("shop").collection("jobs").insert_one(doc! { "state": "waiting" }).await.unwrap();
    second.more_than(before).await;
    assert_eq!(first.count(), gone);
}

#[tokio::test]
async fn a_server_that_is_no_replica_set_is_polled() {
    let Some(server) = Server::start(&["--standalone"]).await else { return };
    let jobs = Watched::begin(&server.trigger(&[PUSH]), &Endpoints::new());
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&*jobs.scaler).await, Ok((1000, true)));
    assert_eq!(jobs.count(), 0);
    assert!(server.trigger(&[]).open(&Endpoints::new()).watch(Arc::new(|| ())).is_none(), "poll is the default");
}
