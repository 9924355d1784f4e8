//! Asks several servers the same until one answers: a hung one must not keep the others from being asked.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long one server is waited for before the next is asked as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// The first answer that is one, or the first error in the order of the servers; `what` names them all.
pub(super) async fn first<T>(
    attempts: Vec<impl Future<Output = Result<T, ReadError>>>,
    until: Instant,
    what: &str,
) -> Result<T, ReadError> {
    let (mut running, mut left) = (FuturesUnordered::new(), attempts.into_iter().enumerate());
    let mut errors: Vec<(usize, ReadError)> = Vec::new();
    let number = |(place, attempt)| async move { (place, attempt.await) };
    let racing = async {
        loop {
            let Some(next) = left.next() else { break };
            running.push(number(next));
            let patience = Instant::now() + HEAD_START;
            tokio::select! {
                Some((place, outcome)) = running.next() => match outcome {
                    Ok(answer) => return Some(answer),
                    Err(error) => errors.push((place, error)),
                },
                () = sleep_until(patience) => {}
            }
        }
        while let Some((place, outcome)) = running.next().await {
            match outcome {
                Ok(answer) => return Some(answer),
                Err(error) => errors.push((place, error)),
            }
        }
        None
    };
    let late = || ReadError::endpoint(ReadErrorKind::Timeout, format!("{what} did not answer in time"));
    match timeout_at(until, racing).await {
        Ok(Some(answer)) => Ok(answer),
        outcome => {
            let first = errors.into_iter().min_by_key(|(place, _)| *place).map(|(_, error)| error);
            // Where some hang and others refuse, what they refuse says more.
            Err(first.unwrap_or_else(|| if outcome.is_err() { late() } else { none(what) }))
        }
    }
}

fn none(what: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Unavailable, format!("{what} has no server to ask"))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    type Attempt = Pin<Box<dyn Future<Output = Result<u8, ReadError>>>>;

    fn fails(message: &'static str) -> Attempt {
        Box::pin(async move { Err(ReadError::endpoint(ReadErrorKind::Unavailable, message)) })
    }

    fn hangs() -> Attempt {
        Box::pin(std::future::pending())
    }

    fn says(answer: u8) -> Attempt {
        Box::pin(async move { Ok(answer) })
    }

    async fn race(attempts: Vec<Attempt>) -> Result<u8, String> {
        let until = Instant::now() + Duration::from_secs(2);
        first(attempts, until, "the servers").await.map_err(|error| error.message)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_answers_is_enough_whatever_the_others_do() {
        let begun = Instant::now();
        assert_eq!(race(vec![says(1), says(2)]).await, Ok(1));
        assert_eq!(race(vec![fails("a"), says(2)]).await, Ok(2));
        assert_eq!(begun.elapsed(), Duration::ZERO, "a failure is not waited for");
        assert_eq!(race(vec![hangs(), hangs(), says(3)]).await, Ok(3));
        assert_eq!(begun.elapsed(), 2 * HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_answers_the_first_of_them_is_heard() {
        assert_eq!(race(vec![fails("a"), fails("b")]).await, Err("a".to_owned()));
        assert_eq!(race(vec![hangs(), fails("b")]).await, Err("b".to_owned()));
        assert_eq!(race(vec![hangs(), hangs()]).await, Err("the servers did not answer in time".to_owned()));
        assert_eq!(race(Vec::new()).await, Err("the servers has no server to ask".to_owned()));
    }
}
