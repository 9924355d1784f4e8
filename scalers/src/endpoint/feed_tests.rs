use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;
use crate::endpoint::identify;

/// What the test sees of a scripted publisher, and how it plays one.
#[derive(Default)]
struct Seen {
    connects: AtomicUsize,
    refuse: Mutex<Option<ReadErrorKind>>,
    defects: AtomicUsize,
    armed: Mutex<Vec<&'static str>>,
    news: Mutex<Option<mpsc::UnboundedSender<&'static str>>>,
}

struct Scripted(Arc<Seen>);

struct ScriptedSession(Arc<Seen>, mpsc::UnboundedReceiver<&'static str>);

#[async_trait]
impl Publisher for Scripted {
    type Topic = &'static str;
    type Session = ScriptedSession;

    async fn connect(&self) -> Result<ScriptedSession, ReadError> {
        self.0.connects.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.0.defects.swap(0, Ordering::SeqCst), 0, "a defect");
        if let Some(kind) = *lock(&self.0.refuse) {
            return Err(ReadError::endpoint(kind, "refused"));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        *lock(&self.0.news) = Some(sender);
        Ok(ScriptedSession(Arc::clone(&self.0), receiver))
    }
}

#[async_trait]
impl Session for ScriptedSession {
    type Topic = &'static str;

    async fn arm(&mut self, topics: &[&'static str]) -> Result<(), ReadError> {
        lock(&self.0.armed).extend(topics);
        Ok(())
    }

    async fn disarm(&mut self, _topics: &[&'static str]) -> Result<(), ReadError> {
        Ok(())
    }

    async fn heard(&mut self) -> Result<Vec<&'static str>, ReadError> {
        let lost = || ReadError::endpoint(ReadErrorKind::Unavailable, "lost");
        self.1.recv().await.map(|topic| vec![topic]).ok_or_else(lost)
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        Ok(())
    }
}

impl Seen {
    fn open(self: &Arc<Self>, endpoints: &Endpoints) -> Arc<Feed<Scripted>> {
        Feed::open(endpoints, identify("scripted", &1), "the script", || Scripted(Arc::clone(self)))
    }

    fn change(&self, topic: &'static str) {
        let sent = lock(&self.news).as_ref().map(|news| news.send(topic));
        assert!(matches!(sent, Some(Ok(()))));
    }

    fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }
}

/// A wake that counts.
fn counter() -> (Wake, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let wakes = Arc::clone(&count);
    (Arc::new(move || _ = wakes.fetch_add(1, Ordering::SeqCst)), count)
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn changes_wake_their_topic_and_every_topic_is_armed_again_before() {
    let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
    let feed = seen.open(&endpoints);
    let ((wake, woken), (other, untouched)) = (counter(), counter());
    let _watches = [feed.watch("a", wake).unwrap(), feed.watch("b", other).unwrap()];
    sleep(Duration::from_secs(1)).await;
    assert_eq!((count(&woken), count(&untouched), seen.connects()), (1, 1, 1), "once when listened to");
    lock(&seen.armed).clear();
    for _ in 0..50 {
        seen.change("a");
        sleep(MOMENT).await;
    }
    assert_eq!(count(&woken), 2, "the first at once");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((count(&woken), count(&untouched)), (3, 1), "the others joined");
    assert_eq!(*lock(&seen.armed), ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_made_again_and_wakes_once() {
    let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
    let (wake, woken) = counter();
    let _watch = seen.open(&endpoints).watch("a", wake).unwrap();
    sleep(Duration::from_secs(1)).await;
    *lock(&seen.news) = None;
    sleep(Duration::from_secs(5)).await;
    assert_eq!((count(&woken), seen.connects()), (2, 2));
    seen.change("a");
    sleep(MOMENT).await;
    assert_eq!(count(&woken), 3);
}

#[tokio::test(start_paused = true)]
async fn a_defect_of_a_source_ends_the_session_and_not_the_feed() {
    let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
    seen.defects.store(1, Ordering::SeqCst);
    let (wake, woken) = counter();
    let _watch = seen.open(&endpoints).watch("a", wake).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((count(&woken), seen.connects()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_push_is_asked_rarely_and_one_that_is_down_more_often() {
    for (kind, fewest, most) in [(ReadErrorKind::Config, 9, 21), (ReadErrorKind::Unavailable, 60, 130)] {
        let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
        *lock(&seen.refuse) = Some(kind);
        let (wake, woken) = counter();
        let _watch = seen.open(&endpoints).watch("a", wake).unwrap();
        sleep(Duration::from_mins(10)).await;
        assert!((fewest..=most).contains(&seen.connects()), "{kind:?}: {}", seen.connects());
        assert_eq!(count(&woken), 0);
        *lock(&seen.refuse) = None;
        sleep(Duration::from_secs(61)).await;
        assert_eq!(count(&woken), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_hears_no_more_and_the_last_one_closes_the_session() {
    let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
    let feed = seen.open(&endpoints);
    let ((wake, woken), (other, still)) = (counter(), counter());
    let (first, second) = (feed.watch("a", wake).unwrap(), feed.watch("a", other).unwrap());
    sleep(Duration::from_secs(1)).await;
    drop(first);
    let (gone, before) = (count(&woken), count(&still));
    seen.change("a");
    sleep(MOMENT).await;
    assert_eq!((count(&woken), count(&still)), (gone, before + 1));
    drop(second);
    drop(feed);
    sleep(LINGER / 2).await;
    let (wake, again) = counter();
    let watch = seen.open(&endpoints).watch("a", wake).unwrap();
    sleep(LINGER * 2).await;
    assert_eq!((count(&again), seen.connects()), (1, 1), "joined in time, the session stays");
    drop(watch);
    sleep(LINGER * 2).await;
    assert_eq!(endpoints.alive(), 0);
}

#[test]
fn without_a_runtime_nothing_is_watched() {
    let (seen, endpoints) = (Arc::<Seen>::default(), Endpoints::new());
    assert!(seen.open(&endpoints).watch("a", counter().0).is_none());
}
