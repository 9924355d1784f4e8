//! Streams: what wakes a trigger, and that they come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_calculator::source::{Occasion, Wake};
use tidegate_scalers::{Endpoints, Scaler, Watch};
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::scripted::{News, Script};
use crate::server::{Server, Trigger, eventually, jobs, read};

/// A subscription that counts its wakes.
struct Watched {
    scaler: Box<dyn Scaler>,
    wakes: Arc<AtomicUsize>,
    watch: Option<Watch>,
}

impl Watched {
    /// Opens the trigger and waits until it was woken for the first time.
    async fn open(trigger: &Trigger) -> Self {
        let (scaler, wakes) = (trigger.open(&Endpoints::new()), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&wakes);
        let wake: Wake = Arc::new(move || _ = count.fetch_add(1, Ordering::SeqCst));
        let watch = Some(scaler.watch(wake).expect("this type listens"));
        let watched = Self { scaler, wakes, watch };
        watched.more_than(0).await;
        watched
    }

    fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    async fn more_than(&self, before: usize) {
        eventually("a wake", async || self.count() > before).await;
    }

    /// Lets wakes that are under way come.
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

fn quiet() -> Script {
    Script::saying(0, false).failing("StreamMetricSpec", Code::Unimplemented)
}

#[tokio::test]
async fn a_true_wakes_and_a_false_does_not() {
    let server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    let before = watched.rest().await;
    server.send(News::Active(false));
    assert_eq!(watched.rest().await, before);
    server.send(News::Active(true));
    watched.more_than(before).await;
    assert_eq!(watched.rest().await, before + 1, "once");
    assert_eq!(read(&*watched.scaler).await, jobs(0, false), "a push carries no value");
    assert!(server.heard().iter().all(|call| call.about.name == "orders"));
}

#[tokio::test]
async fn the_type_that_is_polled_does_not_listen() {
    let server = Server::start(quiet());
    let scaler = server.trigger().open(&Endpoints::new());
    assert!(scaler.watch(Arc::new(|| ())).is_none());
}

#[tokio::test]
async fn a_server_that_is_silent_until_there_is_news_is_heard_too() {
    let server = Server::start(Script { lazy: true, ..quiet() });
    let watched = Watched::open(&server.trigger().pushed()).await;
    let before = watched.rest().await;
    for _ in 0..2 {
        let before = watched.rest().await;
        server.send(News::Active(true));
        watched.more_than(before).await;
    }
    assert_eq!((watched.rest().await, server.calls("StreamIsActive")), (before + 2, 1));
}

#[tokio::test]
async fn a_flood_becomes_few_wakes() {
    let server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    let (before, begun) = (watched.rest().await, Instant::now());
    for _ in 0..5000 {
        server.send(News::Active(true));
    }
    let wakes = watched.rest().await - before;
    // One at once and one at the end of each window of 100 ms.
    let most = 2 + usize::try_from(begun.elapsed().as_millis()).unwrap() / 100;
    assert!((1..=most).contains(&wakes), "{wakes} of {most}");
}

#[tokio::test]
async fn a_restarted_server_is_listened_to_again_and_wakes_once() {
    let mut server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    let before = watched.rest().await;
    server.stop();
    assert_eq!(watched.rest().await, before, "a loss is no news");
    server.start_again().await;
    watched.more_than(before).await;
    let before = watched.rest().await;
    server.send(News::Active(true));
    watched.more_than(before).await;
}

#[tokio::test]
async fn a_stream_that_ends_at_once_is_opened_again_after_growing_pauses() {
    let server = Server::start(quiet().failing("StreamIsActive", Code::Unavailable));
    let begun = Instant::now();
    let scaler = server.trigger().pushed().open(&Endpoints::new());
    let _watch = scaler.watch(Arc::new(|| ()));
    eventually("a third try", async || server.calls("StreamIsActive") >= 3).await;
    // Half of 2 s and of 4 s at least, since pauses are spread.
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(read(&*scaler).await, jobs(0, false), "polling goes on");
}

#[tokio::test]
async fn a_delivered_message_makes_the_next_pause_the_shortest() {
    let server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    for round in 1..4 {
        let begun = Instant::now();
        let before = watched.rest().await;
        server.send(News::Active(true));
        watched.more_than(before).await;
        server.send(News::End);
        eventually("another stream", async || server.calls("StreamIsActive") > round).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn metrics_that_are_streamed_count_without_being_asked_for() {
    let server = Server::start(Script::saying(7, true));
    let watched = Watched::open(&server.trigger().pushed()).await;
    eventually("the metrics", async || server.calls("StreamMetricSpec") == 1).await;
    let before = watched.rest().await;
    assert_eq!(read(&*watched.scaler).await, jobs(7, true));
    assert_eq!(server.calls("GetMetricSpec"), 0);
    server.send(News::Metrics);
    assert_eq!(watched.rest().await, before, "nothing has changed");
    server.say(|it| it.metrics = vec![("jobs", (70, 0.0))]);
    server.send(News::Metrics);
    watched.more_than(before).await;
    assert_eq!(read(&*watched.scaler).await, Ok(vec![("s0-jobs".to_owned(), 70_000, 7000, true)]));
    assert_eq!(server.calls("GetMetricSpec"), 0);
    server.send(News::End);
    eventually("they are asked for", async || {
        read(&*watched.scaler).await.is_ok()
            && (server.calls("GetMetricSpec") > 0 || server.calls("StreamMetricSpec") > 1)
    })
    .await;
}

#[tokio::test]
async fn a_server_without_streamed_metrics_is_not_asked_for_them_again() {
    let server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    for round in 1..3 {
        watched.rest().await;
        server.send(News::End);
        eventually("another stream", async || server.calls("StreamIsActive") > round).await;
    }
    assert_eq!(server.calls("StreamMetricSpec"), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_listened_to_anew() {
    let server = Server::start(quiet());
    let watched = Watched::open(&server.trigger().pushed()).await;
    assert_eq!(read(&*watched.scaler).await, jobs(0, false));
    let before = watched.rest().await;
    // Both connections are dead, though nothing says so; only new ones are answered.
    server.strand();
    eventually("a reading", async || watched.scaler.read(Occasion::Poll, Duration::from_millis(500)).await.is_ok())
        .await;
    watched.more_than(before).await;
    eventually("pushes come again", async || {
        let before = watched.count();
        server.send(News::Active(true));
        sleep(Duration::from_millis(300)).await;
        watched.count() > before
    })
    .await;
}

#[tokio::test]
async fn whoever_stops_listening_leaves_no_stream_behind() {
    let server = Server::start(Script::saying(7, true));
    let mut watched = Watched::open(&server.trigger().pushed()).await;
    eventually("two streams", async || server.listeners() == 2).await;
    drop(watched.watch.take());
    eventually("no stream", async || {
        server.send(News::Active(false));
        server.send(News::Metrics);
        server.listeners() == 0
    })
    .await;
    let before = watched.count();
    server.send(News::Active(true));
    assert_eq!(watched.rest().await, before);
}
