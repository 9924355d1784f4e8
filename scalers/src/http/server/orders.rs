//! Requests that may change something: each is sent once, over a connection of its own, and joined with no other.
//!
//! A question that is lost is asked again without harm; an order that is lost may have been obeyed. So nothing here is repeated but after an
//! answer that says that nothing was done, and an error says whether the order can have reached the server ([`Missed::sent`]). A
//! connection of its own cannot have been closed by a server that was tired of waiting, which would look the same as a lost answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use tidegate_calculator::operation::Class;
use tidegate_calculator::source::{Deadline, ErrorScope, ReadError, ReadErrorKind, Secret};
use tokio::time::{Instant, timeout};

use super::{Asked, Reply, Server, ServerHandle, failures, lock};

/// One order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// What is done.
    pub(crate) method: Method,
    /// Where.
    pub(crate) url: Url,
    /// Headers of its own.
    pub(crate) headers: Vec<(String, Secret)>,
    /// The media types that we can read.
    pub(crate) accept: &'static str,
    /// The media type of the body, and the body; none for a request without one.
    pub(crate) body: Option<(String, Bytes)>,
    /// The longest body of an answer that is read, in bytes; with 0 none is.
    pub(crate) longest: usize,
}

/// An order without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// Why; it completes "SERVER: ...".
    pub(crate) error: ReadError,
    /// Whether the order can have reached the server, and can have been obeyed.
    pub(crate) sent: bool,
}

impl Missed {
    fn unsent(error: ReadError) -> Self {
        Self { error, sent: false }
    }

    /// What can be done about it.
    pub(crate) fn class(&self) -> Class {
        if self.sent { Class::Lost } else { class(&self.error) }
    }
}

/// What can be done about a question or an order that did nothing.
pub(crate) fn class(error: &ReadError) -> Class {
    match error.kind {
        ReadErrorKind::Config | ReadErrorKind::Auth => Class::Config,
        _ => Class::Unavailable,
    }
}

/// What a status that is no success means for an order: `error` is what it means for a question. Whoever gave up waiting (408, 502, 504) may
/// have passed the order on; a server that failed (500) has said so and may be asked again; one that asks for patience has done nothing.
pub(crate) fn refused(status: StatusCode, error: &ReadError) -> Class {
    match status.as_u16() {
        408 | 502 | 504 => Class::Lost,
        409 | 412 | 423 => Class::Conflict,
        425 | 429 | 503 => Class::Unavailable,
        500..=599 => Class::Transient,
        _ => class(error),
    }
}

impl ServerHandle {
    /// Gives one order and waits for its answer, of whatever status. Dropping the future may leave the order obeyed.
    pub(crate) async fn order(&self, order: Order, patience: Deadline) -> Result<Reply, Missed> {
        let server = &self.server;
        let own = server.owns(&order.url);
        if own && let Some(broken) = lock(&server.breaker).refusal(Instant::now()).cloned() {
            return Err(Missed::unsent(broken));
        }
        let sent = AtomicBool::new(false);
        let outcome = timeout(patience, server.obey(&order, &sent)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(failures::late(true)));
        match &outcome {
            Err(error) if own && error.scope == ErrorScope::Endpoint => {
                lock(&server.breaker).failed(Instant::now(), error.clone());
            }
            Ok(reply) if own && !reply.rests() => lock(&server.breaker).succeeded(),
            _ => {}
        }
        outcome.map_err(|error| Missed { error, sent: sent.load(Ordering::Relaxed) })
    }
}

impl Server {
    async fn obey(&self, order: &Order, sent: &AtomicBool) -> Result<Reply, ReadError> {
        let client = self.ordering()?;
        let _turn = self.turns.acquire().await;
        let mut response = self.give(client, order, sent).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some((tokens, token)) = self.refused_token().await
        {
            // Nothing was done: the token may have been revoked, so once more with a new one.
            sent.store(false, Ordering::Relaxed);
            tokens.forget(&token).await;
            response = self.give(client, order, sent).await?;
        }
        *lock(&self.answered) = Some(Instant::now());
        let asked = Asked { url: &order.url, headers: &order.headers, longest: order.longest };
        let reply = self.reply(&asked, response).await?;
        // From here on an error is about what is in the answer.
        sent.store(false, Ordering::Relaxed);
        Ok(reply)
    }

    /// Sends once. Until a connection stands nothing can have been done.
    async fn give(&self, client: &Client, order: &Order, sent: &AtomicBool) -> Result<Response, ReadError> {
        let mut prepared = self.signed(client, order.method.clone(), &order.url, &order.headers, order.accept).await?;
        if let Some((kind, body)) = &order.body {
            prepared = prepared.header(CONTENT_TYPE, kind).body(body.clone());
        }
        sent.store(true, Ordering::Relaxed);
        prepared.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                sent.store(false, Ordering::Relaxed);
            }
            let broken = failures::broken(&error);
            if self.owns(&order.url) { broken } else { ReadError::query(broken.kind, broken.message) }
        })
    }

    /// The client for orders: it follows no redirect and keeps no connection.
    fn ordering(&self) -> Result<&Client, ReadError> {
        if let Some(made) = self.orders.get() {
            return Ok(made);
        }
        let builder = self.builder()?.redirect(Policy::none()).pool_max_idle_per_host(0);
        let builder = builder.connect_timeout(Duration::from_secs(5));
        let made = builder.build().map_err(|_| super::unusable("no HTTP client can be made".to_owned()))?;
        Ok(self.orders.get_or_init(|| made))
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
