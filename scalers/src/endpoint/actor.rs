//! Asks one server on behalf of many triggers: collects their questions into batches and hands out the answers.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tidegate_calculator::source::{Deadline, EndpointId, ErrorScope, ReadError, ReadErrorKind};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::breaker::Breaker;
use super::budget::Budget;
use super::{Endpoints, LINGER, lock};

/// How long a batch is collected after its first question: shorter than anybody notices, and long enough for the
/// triggers that are due at one moment.
const COLLECT: Duration = Duration::from_millis(2);

/// The most questions in one batch: more would let a batch take so long that the first asker waits for nothing.
const BATCH: usize = 512;

/// How many questions may wait beside the batch under way. More wait at the caller, until the caller's deadline.
const MAILBOX: usize = 1024;

/// What a kind of source must implement to be asked in batches.
#[async_trait]
pub(crate) trait Backend: Send + 'static {
    /// What one trigger asks; equal questions in one batch are asked once.
    type Query: Clone + Eq + Hash + Send + Sync + 'static;
    /// What the source says.
    type Answer: Clone + Send + 'static;

    /// Asks all questions, connecting first if need be; answers in their order.
    ///
    /// An error instead of the list is the answer to all of them. The future is dropped after `patience`, with all that
    /// it has found out; then [`Backend::hang_up`] follows.
    async fn ask(
        &mut self,
        queries: &[Self::Query],
        patience: Duration,
    ) -> Result<Vec<Result<Self::Answer, ReadError>>, ReadError>;

    /// Drops the connection; the next question makes a new one.
    fn hang_up(&mut self);
}

/// A use of a shared connection. Dropping the last one closes it after [`LINGER`].
pub(crate) struct Endpoint<B: Backend>(Arc<Shared<B>>);

struct Shared<B: Backend> {
    /// What the endpoint is called in messages: `Redis at queue.example:6379`.
    name: String,
    mailbox: mpsc::Sender<Call<B>>,
    /// Rings when a user has gone.
    released: Notify,
    /// The actor until the first question starts it: opening needs no runtime.
    waiting: Mutex<Option<Actor<B>>>,
}

struct Call<B: Backend> {
    query: B::Query,
    deadline: Deadline,
    reply: oneshot::Sender<Result<B::Answer, ReadError>>,
}

/// The one task that owns a connection.
struct Actor<B: Backend> {
    backend: B,
    calls: mpsc::Receiver<Call<B>>,
    breaker: Breaker,
}

impl<B: Backend> Endpoint<B> {
    /// Joins the endpoint of this id, or makes one of `name` and `backend`.
    pub(crate) fn open(endpoints: &Endpoints, id: EndpointId, name: &str, backend: impl FnOnce() -> B) -> Self {
        Self(endpoints.join(id, || {
            let (mailbox, calls) = mpsc::channel(MAILBOX);
            let actor = Actor { backend: backend(), calls, breaker: Breaker::default() };
            Shared { name: name.to_owned(), mailbox, released: Notify::new(), waiting: Mutex::new(Some(actor)) }
        }))
    }

    /// Asks one question. Dropping the future leaves the batch it is part of alone.
    pub(crate) async fn ask(&self, query: B::Query, deadline: Deadline) -> Result<B::Answer, ReadError> {
        if let Some(actor) = lock(&self.0.waiting).take() {
            tokio::spawn(actor.run(Arc::clone(&self.0)));
        }
        let until = Instant::now() + deadline;
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let stopped = || ReadError::endpoint(ReadErrorKind::Unavailable, format!("{} was closed", self.0.name));
            self.0.mailbox.send(Call { query, deadline, reply }).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        timeout_at(until, exchange).await.unwrap_or_else(|_| Err(overdue(&self.0.name)))
    }
}

impl<B: Backend> Drop for Endpoint<B> {
    fn drop(&mut self) {
        self.0.released.notify_one();
    }
}

impl<B: Backend> Actor<B> {
    async fn run(mut self, mut shared: Arc<Shared<B>>) {
        let mut budget = Budget::new(Instant::now());
        while let Some((call, used)) = self.next(shared).await {
            shared = used;
            let batch = self.collect(call).await;
            self.serve(batch, &mut budget, &shared.name).await;
        }
    }

    /// The next question; none once nobody has used the endpoint for [`LINGER`].
    async fn next(&mut self, mut shared: Arc<Shared<B>>) -> Option<(Call<B>, Arc<Shared<B>>)> {
        let mut closing: Option<Instant> = None;
        loop {
            tokio::select! {
                call = self.calls.recv() => return Some((call?, shared)),
                () = shared.released.notified() => closing = Some(Instant::now() + LINGER),
                () = sleep_until(closing.unwrap_or_else(Instant::now)), if closing.is_some() => {
                    closing = None;
                    // Succeeds for the only holder, and from then on nobody can join: no user is ever left behind.
                    shared = Arc::try_unwrap(shared).err()?;
                }
            }
        }
    }

    async fn collect(&mut self, first: Call<B>) -> Vec<Call<B>> {
        let (mut batch, until) = (vec![first], Instant::now() + COLLECT);
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if !matches!(timeout_at(until, self.calls.recv_many(&mut batch, room)).await, Ok(1..)) {
                break;
            }
        }
        batch
    }

    async fn serve(&mut self, mut batch: Vec<Call<B>>, budget: &mut Budget, name: &str) {
        batch.retain(|call| !call.reply.is_closed());
        if let Some(error) = self.breaker.refusal(Instant::now()) {
            return batch.into_iter().for_each(|call| drop(call.reply.send(Err(error.clone()))));
        }
        // Counted anew from here: what the questions waited before must not make a well server look hung.
        let Some(patience) = batch.iter().map(|call| call.deadline).max() else { return };
        let (queries, askers) = join(batch);
        sleep(budget.take(queries.len(), Instant::now())).await;
        let answers = self.ask(&queries, patience, name).await;
        self.book(&answers);
        for (replies, answer) in askers.into_iter().zip(answers) {
            for reply in replies {
                drop(reply.send(answer.clone()));
            }
        }
    }

    /// Exactly one answer a question, in time, whatever the backend does.
    async fn ask(&mut self, queries: &[B::Query], patience: Duration, name: &str) -> Vec<Result<B::Answer, ReadError>> {
        // A defect in one source must not end the endpoint for good; `hang_up` brings the backend to a known state.
        let asking = AssertUnwindSafe(self.backend.ask(queries, patience)).catch_unwind();
        let failure = match timeout(patience, asking).await {
            Ok(Ok(Ok(answers))) if answers.len() == queries.len() => return answers,
            Ok(Ok(Err(error))) => error,
            Ok(_) => ReadError::endpoint(ReadErrorKind::Protocol, format!("reading {name} failed by a defect of ours")),
            Err(_) => overdue(name),
        };
        queries.iter().map(|_| Err(failure.clone())).collect()
    }

    /// Tells the breaker. Only a failure of the endpoint itself counts, and only it costs the connection.
    fn book(&mut self, answers: &[Result<B::Answer, ReadError>]) {
        let failures = || answers.iter().filter_map(|answer| answer.as_ref().err());
        match failures().find(|error| error.scope == ErrorScope::Endpoint) {
            Some(error) => {
                self.breaker.failed(Instant::now(), error.clone());
                self.backend.hang_up();
            }
            None => self.breaker.succeeded(),
        }
    }
}

/// Those who wait for one answer.
type Askers<B> = Vec<oneshot::Sender<Result<<B as Backend>::Answer, ReadError>>>;

/// Every different question once, and who asked it.
fn join<B: Backend>(batch: Vec<Call<B>>) -> (Vec<B::Query>, Vec<Askers<B>>) {
    let mut places: HashMap<B::Query, usize> = HashMap::with_capacity(batch.len());
    let (mut queries, mut askers): (Vec<B::Query>, Vec<Askers<B>>) = (Vec::new(), Vec::new());
    for call in batch {
        let place = *places.entry(call.query).or_insert_with_key(|query| {
            queries.push(query.clone());
            askers.push(Vec::new());
            askers.len() - 1
        });
        askers[place].push(call.reply);
    }
    (queries, askers)
}

fn overdue(name: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Timeout, format!("{name} did not answer in time"))
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
