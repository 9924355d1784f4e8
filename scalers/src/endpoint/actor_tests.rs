use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;
use crate::endpoint::identify;

/// What a scripted source does with a batch.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Echo,
    FailQuery,
    FailEndpoint,
    Hang,
    Panic,
    Forget,
}

/// Everything the test sees of a scripted source.
struct Seen {
    mood: Mutex<Mood>,
    batches: Mutex<Vec<Vec<u32>>>,
    hang_ups: AtomicUsize,
    alive: AtomicUsize,
}

struct Scripted(Arc<Seen>);

#[async_trait]
impl Backend for Scripted {
    type Query = u32;
    type Answer = u32;

    async fn ask(&mut self, queries: &[u32], patience: Duration) -> Result<Vec<Result<u32, ReadError>>, ReadError> {
        assert_eq!(patience, DEADLINE, "the longest of the askers'");
        lock(&self.0.batches).push(queries.to_vec());
        let mood = *lock(&self.0.mood);
        match mood {
            Mood::Echo => Ok(queries.iter().map(|query| Ok(query * 10)).collect()),
            Mood::FailQuery => {
                Ok(queries.iter().map(|_| Err(ReadError::query(ReadErrorKind::Config, "no such thing"))).collect())
            }
            Mood::FailEndpoint => Err(ReadError::endpoint(ReadErrorKind::Unavailable, "refused")),
            Mood::Hang => std::future::pending().await,
            Mood::Panic => panic!("a defect"),
            Mood::Forget => Ok(Vec::new()),
        }
    }

    fn hang_up(&mut self) {
        self.0.hang_ups.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seen {
    fn new() -> Arc<Self> {
        let (mood, batches) = (Mutex::new(Mood::Echo), Mutex::default());
        Arc::new(Self { mood, batches, hang_ups: AtomicUsize::new(0), alive: AtomicUsize::new(0) })
    }

    fn open(self: &Arc<Self>, endpoints: &Endpoints) -> Endpoint<Scripted> {
        Endpoint::open(endpoints, identify("scripted", &1), "the script", || {
            self.alive.fetch_add(1, Ordering::SeqCst);
            Scripted(Arc::clone(self))
        })
    }

    fn turn(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    fn batches(&self) -> usize {
        lock(&self.batches).len()
    }
}

const DEADLINE: Deadline = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn what_is_asked_at_one_moment_is_one_batch_and_equal_questions_are_one() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let users: Vec<_> = (0..300).map(|_| seen.open(&endpoints)).collect();
    let answers = join_all(users.iter().zip(0..).map(|(user, index)| user.ask(index % 3, DEADLINE))).await;
    assert!(answers.into_iter().zip(0..).all(|(answer, index)| answer == Ok(index % 3 * 10)));
    assert_eq!(*lock(&seen.batches), [[0, 1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_and_nothing_is_lost() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    let answers = join_all((0..5_000).map(|index| user.ask(index, DEADLINE))).await;
    assert!(answers.into_iter().zip(0..).all(|(answer, index)| answer == Ok(index * 10)));
    assert!(lock(&seen.batches).iter().all(|batch| batch.len() <= BATCH));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_cancel_the_batch() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    let (hasty, patient) =
        tokio::join!(tokio::time::timeout(Duration::from_millis(1), user.ask(1, DEADLINE)), user.ask(1, DEADLINE));
    assert!(hasty.is_err());
    assert_eq!(patient, Ok(10));
    assert_eq!(seen.batches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_left_alone_for_a_pause_and_a_failing_query_is_not() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    seen.turn(Mood::FailQuery);
    for batches in 1..4 {
        assert_eq!(user.ask(1, DEADLINE).await.map_err(|error| error.scope), Err(ErrorScope::Query));
        assert_eq!((seen.batches(), seen.hang_ups.load(Ordering::SeqCst)), (batches, 0));
    }
    seen.turn(Mood::FailEndpoint);
    for _ in 0..3 {
        assert_eq!(user.ask(1, DEADLINE).await.map_err(|error| error.message), Err("refused".to_owned()));
    }
    assert_eq!((seen.batches(), seen.hang_ups.load(Ordering::SeqCst)), (4, 1), "asked once, refused twice");
    seen.turn(Mood::Echo);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(user.ask(1, DEADLINE).await, Ok(10));
}

#[tokio::test(start_paused = true)]
async fn a_hung_source_is_a_timeout_at_the_deadline_and_loses_its_connection() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    seen.turn(Mood::Hang);
    let begun = Instant::now();
    let error = user.ask(1, DEADLINE).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ErrorScope::Endpoint));
    assert!(begun.elapsed() < DEADLINE + Duration::from_millis(10));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.hang_ups.load(Ordering::SeqCst), 1);
    seen.turn(Mood::Echo);
    assert_eq!(user.ask(1, DEADLINE).await, Ok(10));
}

#[tokio::test(start_paused = true)]
async fn a_defect_of_a_source_ends_the_reading_and_not_the_endpoint() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    for mood in [Mood::Panic, Mood::Forget] {
        seen.turn(mood);
        assert_eq!(user.ask(1, DEADLINE).await.map_err(|error| error.kind), Err(ReadErrorKind::Protocol));
        seen.turn(Mood::Echo);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(user.ask(1, DEADLINE).await, Ok(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_outlives_its_last_user_by_half_a_minute() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let alive = || seen.alive.load(Ordering::SeqCst);
    let user = seen.open(&endpoints);
    assert_eq!(user.ask(1, DEADLINE).await, Ok(10));
    drop(user);
    sleep(LINGER / 2).await;
    let user = seen.open(&endpoints);
    sleep(LINGER * 3).await;
    assert_eq!((alive(), user.ask(2, DEADLINE).await), (1, Ok(20)), "joined in time, the connection stays");
    drop(user);
    sleep(LINGER * 2).await;
    assert_eq!((alive(), endpoints.alive()), (0, 0));
    assert_eq!(seen.open(&endpoints).ask(3, DEADLINE).await, Ok(30));
}

#[test]
fn opening_needs_no_runtime_and_what_was_never_asked_ends_with_its_user() {
    let (seen, endpoints) = (Seen::new(), Endpoints::new());
    let user = seen.open(&endpoints);
    assert_eq!(seen.alive.load(Ordering::SeqCst), 1);
    drop(user);
    assert_eq!(seen.alive.load(Ordering::SeqCst), 0);
}
