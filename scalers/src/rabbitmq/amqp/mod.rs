//! Asks brokers over AMQP 0-9-1 how many messages are ready in their queues, all triggers of a virtual host over one connection.
//!
//! Of the protocol a passive declaration of queues is all that is needed, so it is spoken here ([`wire`], [`link`]) and not through a
//! client library: those keep a thread and large buffers a connection, leave both behind where a broker hangs in the login, and
//! write logins into their traces. The tests publish and consume with such a library.

mod errors;
mod link;
mod wire;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use rustls::ClientConfig;
use tidegate_calculator::source::{ReadError, Secret};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, timeout, timeout_at};

use crate::endpoint::Backend;
use crate::tls::TlsOptions;
use link::{Link, Outcome};

/// How long taking leave may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A virtual host of a broker, and who we are there. Triggers with equal ones share a connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) vhost: String,
    pub(super) sasl: Sasl,
    pub(super) tls: Option<TlsOptions>,
}

/// How we say who we are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Sasl {
    /// User and password.
    Plain(Secret, Secret),
    /// The name in our certificate.
    External,
}

/// A broker that can be asked. It connects at the first question.
pub(super) struct Amqp {
    broker: Arc<Broker>,
    tls: OnceLock<Arc<ClientConfig>>,
    resting: Option<Resting>,
}

/// A connection between questions: a task that gives and hears signs of life, until it is asked for the connection or left alone.
struct Resting {
    wanted: oneshot::Sender<()>,
    task: JoinHandle<Option<Link>>,
}

impl Amqp {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker: Arc::new(broker), tls: OnceLock::new(), resting: None }
    }

    /// The connection that was kept, unless it has broken meanwhile.
    async fn kept(&mut self) -> Option<Link> {
        let Resting { wanted, task } = self.resting.take()?;
        // One that has ended hears nothing any more, and then there is no connection.
        let _ = wanted.send(());
        task.await.ok()?
    }

    /// One attempt. True if it should be repeated: the connection was an old one, and had broken before it gave an answer.
    async fn attempt(
        &mut self,
        queues: &[Arc<str>],
        until: Instant,
        answers: &mut Vec<Option<Outcome>>,
    ) -> Result<bool, ReadError> {
        *answers = vec![None; queues.len()];
        let kept = self.kept().await;
        let is_old = kept.is_some();
        let mut link = match kept {
            Some(link) => link,
            None => Link::open(&self.broker, &self.tls).await?,
        };
        match timeout_at(until, link.ask(queues, answers)).await {
            Ok(Ok(())) => {
                self.resting = Some(Resting::begin(link));
                Ok(false)
            }
            Ok(Err(_)) if is_old && answers.iter().all(Option::is_none) => Ok(true),
            Ok(Err(error)) => {
                let missing = answers.iter_mut().filter(|answer| answer.is_none());
                missing.for_each(|answer| *answer = Some(Err(error.clone())));
                Ok(false)
            }
            // A queue that hangs costs its own trigger; with it goes the connection, whose channel is not to be had again.
            Err(_) => {
                if answers.iter().all(Option::is_none) {
                    return Err(errors::overdue(&self.broker));
                }
                Ok(false)
            }
        }
    }
}

#[async_trait]
impl Backend for Amqp {
    type Query = Arc<str>;
    type Answer = u64;

    async fn ask(&mut self, queues: &[Arc<str>], patience: Duration) -> Result<Vec<Outcome>, ReadError> {
        // What is left is for handing out what is known by then, before everybody has given up.
        let until = Instant::now() + patience.mul_f64(0.8);
        let mut answers = Vec::new();
        while self.attempt(queues, until, &mut answers).await? {}
        let late = |queue: &Arc<str>| Err(errors::late(&self.broker, queue));
        Ok(answers.into_iter().zip(queues).map(|(answer, queue)| answer.unwrap_or_else(|| late(queue))).collect())
    }

    fn hang_up(&mut self) {
        self.resting = None;
    }
}

impl Resting {
    fn begin(link: Link) -> Self {
        let (wanted, asked) = oneshot::channel();
        Self { wanted, task: tokio::spawn(rest(link, asked)) }
    }
}

/// Keeps a connection alive; gives it back when it is wanted. Without anybody who could want it, it is closed.
async fn rest(mut link: Link, mut asked: oneshot::Receiver<()>) -> Option<Link> {
    // A broker that wants no signs of life is not looked after: the next question finds out.
    let pace = link.pace.unwrap_or(Duration::from_hours(24));
    let mut beats = interval_at(Instant::now() + pace, pace);
    let mut alive = Instant::now();
    loop {
        tokio::select! {
            wanted = &mut asked => {
                if wanted.is_ok() {
                    return Some(link);
                }
                let _ = timeout(FAREWELL, link.close()).await;
                return None;
            }
            heard = link.listen() => {
                heard.ok()?;
                alive = Instant::now();
            }
            now = beats.tick() => {
                // Twice the agreed time, which is four times our pace.
                if link.pace.is_some() && now.saturating_duration_since(alive) > pace * 4 {
                    return None;
                }
                timeout(FAREWELL, link.beat()).await.ok()?.ok()?;
            }
        }
    }
}
