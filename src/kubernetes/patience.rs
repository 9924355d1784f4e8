//! Makes a watch that fails wait before it tries again, longer each time.
//!
//! kube's own back-off begins anew with every attempt: an attempt says that it begins before it fails, and that counts as a success
//! there.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher;
use tokio::time::sleep;

/// The pause after the first error.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// A watch as a stream of events.
pub(super) type Words<K> = Pin<Box<dyn Stream<Item = watcher::Result<watcher::Event<K>>> + Send>>;

/// The same watch; after an error it waits a second, twice as long after each further one, at most half a minute, until something
/// was heard. Each pause is up to a quarter longer by chance, so that many watches do not come back at once.
pub(super) fn patient<K: Send + 'static>(
    words: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
) -> Words<K> {
    let state = (Box::pin(words) as Words<K>, FIRST, false);
    Box::pin(futures::stream::unfold(state, |(mut words, mut pause, failed)| async move {
        if failed {
            sleep(pause + jitter(pause)).await;
            pause = (pause * 2).min(LONGEST);
        }
        let word = words.next().await?;
        let failed = word.is_err();
        if !failed && !matches!(word, Ok(watcher::Event::Init)) {
            pause = FIRST;
        }
        Some((word, (words, pause, failed)))
    }))
}

fn jitter(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause / 4000 * u32::try_from(random % 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn an_attempt_that_fails_is_no_success() {
        let error = || Err(watcher::Error::NoResourceVersion);
        let words = vec![
            Ok(watcher::Event::<()>::Init),
            error(),
            Ok(watcher::Event::Init),
            error(),
            Ok(watcher::Event::InitDone),
        ];
        let mut words = patient(futures::stream::iter(words));
        let mut moments = vec![Instant::now()];
        while words.next().await.is_some() {
            moments.push(Instant::now());
        }
        let waited = |index: usize| moments[index].duration_since(moments[index - 1]);
        assert!(waited(2) < FIRST, "the first error is told at once");
        assert!(waited(3) >= FIRST && waited(5) >= 2 * FIRST, "{moments:?}");
    }
}
