//! Asks a question once for all who want to know the same at about the same moment, and not at all for a while after it failed.
//!
//! * Whoever asks while a question is under way waits for its answer, each up to a deadline of its own. The question goes on when its
//!   first asker gives up, within an end of its own.
//! * An answer is given to all who ask within its life, counted from the moment it was asked for.
//! * A question that was not answered is not asked again for a while, longer after each failure in a row: whoever asks hears the error. One
//!   that was answered by an error is asked again at the next look, as an HPA does it, so that a metric that is back is seen at once. A wish
//!   of the server not to be asked is kept.
//! * An API that does not work at all is asked one question after each pause; the others hear the error.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_calculator::source::{Deadline, ErrorScope, ReadError, ReadErrorKind};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::refusal::Refusal;

/// How many questions one API is asked at the same time.
const ROOM: usize = 32;
/// How long a question goes on at most, waiting for its turn included.
const LONGEST: Duration = Duration::from_secs(10);
/// The pauses after failures: the first, and the longest. That is shorter than a usual polling interval, so an API that is back is seen at
/// the next poll.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How long an error that an API has answered stands for all who ask the same.
const SAME: Duration = Duration::from_millis(500);
/// Longer than any answer lives.
const OLD: Duration = Duration::from_mins(15);

/// One API: how much it is asked, and whether it works.
#[derive(Debug)]
pub(super) struct Api {
    room: Semaphore,
    breaker: Mutex<Breaker>,
}

/// Open for a while after each failure of the whole API.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    error: Option<ReadError>,
    until: Option<Instant>,
}

/// Questions of one kind, by what tells them apart. Copies share them.
#[derive(Debug)]
pub(super) struct Shared<K, V> {
    api: Arc<Api>,
    asked: Arc<Mutex<HashMap<K, Asked<V>>>>,
}

/// A question that was asked.
#[derive(Debug)]
struct Asked<V> {
    begun: Instant,
    /// How many times in a row it had failed before.
    failures: u32,
    answer: watch::Receiver<Option<Answer<V>>>,
}

/// An answer, and until when an error stands.
#[derive(Debug)]
struct Answer<V> {
    result: Result<Arc<V>, ReadError>,
    until: Instant,
}

/// What is known before asking.
enum Known<V> {
    Answer(Result<Arc<V>, ReadError>),
    Underway(watch::Receiver<Option<Answer<V>>>),
    Nothing,
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        Self { result: self.result.clone(), until: self.until }
    }
}

impl<K, V> Clone for Shared<K, V> {
    fn clone(&self) -> Self {
        Self { api: self.api.clone(), asked: self.asked.clone() }
    }
}

impl Api {
    /// One that is believed to work.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { room: Semaphore::new(ROOM), breaker: Mutex::default() })
    }

    /// The error to answer without asking. Whoever gets none may ask, and the next one not before that question has ended.
    fn refuses(&self) -> Option<ReadError> {
        let mut breaker = lock(&self.breaker);
        let error = breaker.error.clone()?;
        let now = Instant::now();
        if breaker.until.is_some_and(|until| now < until) {
            return Some(error);
        }
        breaker.until = Some(now + LONGEST);
        None
    }

    fn note(&self, error: Option<&ReadError>) {
        let mut breaker = lock(&self.breaker);
        match error.filter(|error| error.scope == ErrorScope::Endpoint) {
            Some(error) => {
                let pause = pause(breaker.failures);
                breaker.failures = breaker.failures.saturating_add(1);
                breaker.error = Some(error.clone());
                breaker.until = Some(Instant::now() + pause);
            }
            None => *breaker = Breaker::default(),
        }
    }
}

impl<K, V> Shared<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// Questions to this API.
    pub(super) fn new(api: &Arc<Api>) -> Self {
        Self { api: api.clone(), asked: Arc::default() }
    }

    /// The answer to a question: one that is younger than `life`, or a new one, with the others that ask now.
    ///
    /// # Errors
    /// What the question failed with, now or shortly before; `Timeout` if there is no answer within `deadline`.
    pub(super) async fn ask<F>(
        &self,
        key: K,
        life: Duration,
        deadline: Deadline,
        question: impl FnOnce() -> F,
    ) -> Result<Arc<V>, ReadError>
    where
        F: Future<Output = Result<V, Refusal>> + Send + 'static,
    {
        let mut answer = {
            let mut asked = lock(&self.asked);
            match asked.get(&key).map_or(Known::Nothing, |asked| asked.known(life)) {
                Known::Answer(result) => return result,
                Known::Underway(answer) => answer,
                Known::Nothing => {
                    if let Some(error) = self.api.refuses() {
                        return Err(error);
                    }
                    self.begin(&mut asked, key, question())
                }
            }
        };
        let ended = || ReadError::query(ReadErrorKind::Unavailable, "a question to the API server has ended by itself");
        match timeout(deadline, answer.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.as_ref().map_or_else(|| Err(ended()), |answer| answer.result.clone()),
            Ok(Err(_)) => Err(ended()),
            // Without its length: what is left of a read's time differs each time, and the text would with it.
            Err(_) => {
                Err(ReadError::query(ReadErrorKind::Timeout, "the API server did not answer within the time of a read"))
            }
        }
    }

    /// An answer seems to be wrong: it is asked for anew, unless that was done within `age`.
    pub(super) fn doubt(&self, key: &K, age: Duration) {
        let mut asked = lock(&self.asked);
        if asked.get(key).is_some_and(|asked| asked.is_answered() && asked.begun.elapsed() >= age) {
            asked.remove(key);
        }
    }

    /// Asks in a task of its own: nobody who gives up takes the answer from the others.
    fn begin<F>(&self, asked: &mut HashMap<K, Asked<V>>, key: K, question: F) -> watch::Receiver<Option<Answer<V>>>
    where
        F: Future<Output = Result<V, Refusal>> + Send + 'static,
    {
        // Sweeping only when the map would grow anyway keeps it as small as what is asked.
        if asked.len() == asked.capacity() {
            asked.retain(|_, asked| !asked.is_answered() || asked.begun.elapsed() < OLD);
        }
        let failures = asked.get(&key).map_or(0, Asked::failures_now);
        let (tell, answer) = watch::channel(None);
        asked.insert(key, Asked { begun: Instant::now(), failures, answer: answer.clone() });
        let api = self.api.clone();
        tokio::spawn(async move {
            let turn = async {
                let _permit = api.room.acquire().await;
                question.await
            };
            let refused = match timeout(LONGEST, turn).await {
                Ok(Ok(value)) => {
                    api.note(None);
                    tell.send_replace(Some(Answer { result: Ok(Arc::new(value)), until: Instant::now() }));
                    return;
                }
                Ok(Err(refusal)) => refusal,
                Err(_) => {
                    let what = format!("the API server did not answer within {LONGEST:?}");
                    ReadError::query(ReadErrorKind::Timeout, what).into()
                }
            };
            api.note(Some(&refused.error));
            let silent = refused.error.scope == ErrorScope::Endpoint || refused.error.kind == ReadErrorKind::Timeout;
            let pause = if silent { pause(failures) } else { SAME };
            let pause = pause.max(refused.retry_after.unwrap_or_default());
            tell.send_replace(Some(Answer { result: Err(refused.error), until: Instant::now() + pause }));
        });
        answer
    }
}

impl<V> Asked<V> {
    fn is_answered(&self) -> bool {
        self.answer.borrow().is_some() || self.answer.has_changed().is_err()
    }

    fn known(&self, life: Duration) -> Known<V> {
        let answer = self.answer.borrow();
        match answer.as_ref() {
            Some(Answer { result: Ok(value), .. }) if self.begun.elapsed() < life => Known::Answer(Ok(value.clone())),
            Some(Answer { result: Err(error), until }) if Instant::now() < *until => Known::Answer(Err(error.clone())),
            None if self.answer.has_changed().is_ok() => Known::Underway(self.answer.clone()),
            _ => Known::Nothing,
        }
    }

    /// How many times in a row it has failed, the last time included.
    fn failures_now(&self) -> u32 {
        match self.answer.borrow().as_ref() {
            Some(Answer { result: Err(_), .. }) => self.failures.saturating_add(1),
            _ => 0,
        }
    }
}

/// The pause after so many failures before this one.
fn pause(failures: u32) -> Duration {
    PAUSES.0.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(PAUSES.1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
