//! One server of the user's own, shared by every trigger that names it with the same TLS settings.
//!
//! Questions go out side by side over one connection, a bounded number at a time, each with a deadline of its own. Streams
//! have a connection of their own, so that however many of them are open, questions find room. A server that fails is
//! left alone for a growing pause.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt;
use tidegate_calculator::source::ReadError;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};

use super::address::Address;
use super::failures;
use super::line::{Client, Line};
use crate::endpoint::{Breaker, Endpoints, Lingering, identify, lock};
use crate::tls::TlsOptions;

/// How many questions one server has at the same moment: fewer than any proxy on the way allows on one connection.
const AT_ONCE: usize = 64;

/// How much longer than we wait a server may think that it has: so that our own clock has the say.
const GRACE: Duration = Duration::from_millis(500);

/// A server that answered anything so lately does not hang: what is late was begun late, or is slow by itself.
const LATELY: Duration = Duration::from_secs(1);

/// Where a server is and how to speak to it. Triggers with equal places share their connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) tls: Option<TlsOptions>,
}

/// A server. It is made without a runtime and connects at the first question.
pub(super) struct Server {
    /// What it is called in messages.
    pub(super) name: String,
    /// The connection for questions.
    questions: Line,
    /// The connection for what stays open.
    pub(super) streams: Line,
    turns: Semaphore,
    breaker: Mutex<Breaker>,
    /// When it last answered anything.
    answered: Mutex<Option<Instant>>,
    /// Tells the streams that the server hangs, so that theirs is no longer to be trusted.
    hung: watch::Sender<()>,
}

/// A use of a server.
pub(super) type ServerHandle = Lingering<Server>;

impl ServerHandle {
    /// Joins the server at this place, or makes it.
    pub(super) fn open(endpoints: &Endpoints, place: &Place) -> Self {
        Self::join(endpoints, identify("external", place), || Server::new(place))
    }
}

impl Server {
    fn new(place: &Place) -> Self {
        Self {
            name: format!("external scaler at {}", place.address),
            questions: Line::new(place),
            streams: Line::new(place),
            turns: Semaphore::new(AT_ONCE),
            breaker: Mutex::default(),
            answered: Mutex::default(),
            hung: watch::Sender::new(()),
        }
    }

    /// Asks one question. Dropping the future takes it back. The error has the server's name.
    pub(super) async fn ask<Q, T, F>(
        &self,
        method: &str,
        message: &Q,
        until: Instant,
        call: impl Fn(Client, Request<Q>) -> F,
    ) -> Result<T, ReadError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<T>, Status>>,
    {
        if let Some(error) = lock(&self.breaker).refusal(Instant::now()) {
            return Err(error.clone());
        }
        let (begun, mut channel) = (Instant::now(), None);
        let exchange = async {
            let _turn = self.turns.acquire().await;
            let (client, number) = self.questions.client()?;
            channel = Some(number);
            let outcome = match call(client.clone(), request(message, until)).await {
                // The connection may have been one that the server had closed while it was idle.
                Err(status) if self.was_cut(&status) => call(client, request(message, until)).await,
                outcome => outcome,
            };
            Ok(outcome)
        };
        // What a server says can make the library panic, and that must cost this question alone.
        let outcome = timeout_at(until, AssertUnwindSafe(exchange).catch_unwind()).await;
        let error = match outcome {
            Ok(Ok(Ok(Ok(response)))) => {
                self.works();
                return Ok(response.into_inner());
            }
            Ok(Ok(Ok(Err(status)))) => self.failed(method, &status),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => failures::defect(),
            Err(_) => self.late(begun, channel),
        };
        Err(self.named(&error))
    }

    /// The error with the server's name.
    pub(super) fn named(&self, error: &ReadError) -> ReadError {
        failures::named(&self.name, error)
    }

    /// How many connections were made for questions.
    pub(super) fn connections(&self) -> u64 {
        self.questions.connections()
    }

    /// Ends when the server turns out to hang.
    pub(super) fn hung(&self) -> watch::Receiver<()> {
        self.hung.subscribe()
    }

    /// Whether a connection that stood was cut.
    fn was_cut(&self, status: &Status) -> bool {
        !failures::is_answer(status) && self.questions.fault().is_none_or(|fault| !fault.connecting)
    }

    fn works(&self) {
        *lock(&self.answered) = Some(Instant::now());
        lock(&self.breaker).succeeded();
    }

    /// No answer but this: one of the server, or a failure of the connection.
    fn failed(&self, method: &str, status: &Status) -> ReadError {
        let error = failures::call(method, status, self.questions.fault());
        if failures::is_answer(status) {
            self.works();
        } else {
            lock(&self.breaker).failed(Instant::now(), self.named(&error));
        }
        error
    }

    /// No answer in time: the server's failure, unless it has answered others meanwhile or a moment ago.
    fn late(&self, begun: Instant, channel: Option<u64>) -> ReadError {
        let answered = *lock(&self.answered);
        let alone = answered.is_some_and(|answered| answered > begun || answered.elapsed() < LATELY);
        let error = failures::late(alone);
        if !alone {
            if let Some(number) = channel {
                self.questions.hang_up(number);
                self.hung.send_replace(());
            }
            lock(&self.breaker).failed(Instant::now(), self.named(&error));
        }
        error
    }
}

/// A request that tells the server how long it has.
fn request<Q: Clone>(message: &Q, until: Instant) -> Request<Q> {
    let mut request = Request::new(message.clone());
    request.set_timeout(until.saturating_duration_since(Instant::now()) + GRACE);
    request
}
