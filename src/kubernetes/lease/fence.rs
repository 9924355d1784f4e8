//! Lets no write pass once the term is over: a layer below every write of the client, so that none can forget it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Method, Request, Response};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

use super::term::Term;

/// A sleep may not be longer than this; it is looked again after it.
const LONGEST: Duration = Duration::from_hours(1);

/// Puts the fence around a client's service.
#[derive(Clone, Debug)]
pub struct Fence(pub Term);

/// A service whose writes end with the term. Reads pass: a follower needs them.
#[derive(Clone, Debug)]
pub struct Fenced<S> {
    inner: S,
    term: Term,
}

/// A write that was not made, or whose answer was not waited for, because the term was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not hold the lease (any more), so it writes nothing")]
pub struct TermOver;

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fenced { inner, term: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Fenced<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if [Method::GET, Method::HEAD].contains(request.method()) {
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        }
        let term = self.term.clone();
        if term.left().is_zero() {
            return Box::pin(std::future::ready(Err(TermOver.into())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move { within(&term, answer).await?.map_err(Into::into) })
    }
}

/// The answer, if it comes within the term. The clock is asked before every step, not only when a timer says so: a process that was
/// stopped in the middle takes no further step.
async fn within<F: Future>(term: &Term, answer: F) -> Result<F::Output, TermOver> {
    let mut answer = pin!(answer);
    loop {
        let left = term.left();
        if left.is_zero() {
            return Err(TermOver);
        }
        let mut end = pin!(tokio::time::sleep(left.min(LONGEST)));
        let step = poll_fn(|cx| {
            if term.left().is_zero() {
                return Poll::Ready(Some(Err(TermOver)));
            }
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(Ok(answer)));
            }
            // The term may have been renewed meanwhile: then the wait goes on.
            end.as_mut().poll(cx).map(|()| None)
        });
        if let Some(result) = step.await {
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    const STEP: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn an_answer_counts_only_within_the_term() {
        let term = Term::none();
        assert_eq!(within(&term, async { 1 }).await, Err(TermOver));
        term.set_end(Instant::now() + 4 * STEP);
        assert_eq!(within(&term, sleep(STEP)).await, Ok(()));
        assert_eq!(within(&term, sleep(100 * STEP)).await, Err(TermOver));
        assert_eq!(within(&Term::unlimited(), sleep(STEP)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_renewed_term_lets_a_long_call_go_on() {
        let term = Term::none();
        term.set_end(Instant::now() + 4 * STEP);
        let renewing = term.clone();
        tokio::spawn(async move {
            sleep(STEP).await;
            renewing.set_end(Instant::now() + 100 * STEP);
        });
        assert_eq!(within(&term, sleep(6 * STEP)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_call_that_slept_over_the_end_takes_no_further_step() {
        let term = Term::none();
        term.set_end(Instant::now() + 4 * STEP);
        let mut steps = 0;
        let call = poll_fn(|cx| {
            steps += 1;
            // Asks to be polled again at once, as a socket that has become writable does.
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let mut call = Box::pin(within(&term, call));
        assert!(futures::poll!(call.as_mut()).is_pending());
        // The whole process stands still, its timers too.
        std::thread::sleep(5 * STEP);
        assert_eq!(futures::poll!(call.as_mut()), Poll::Ready(Err(TermOver)));
        drop(call);
        assert_eq!(steps, 1);
    }
}
