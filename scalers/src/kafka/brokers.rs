//! Keeps one connection a broker, and sees to it that a broker that hangs does not hold up the others.
//!
//! Every visit to a broker is bounded. One that did not answer in time is not waited for again: a new connection is made
//! beside the rounds, and until it stands, or for a pause that grows with every time-out, its errands fail at once with
//! what was wrong. So only the first round after it hangs takes longer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::metadata::Address;
use super::requests::{Link, Said, exchange};
use super::round::Errand;

/// The pause after the second time-out in a row; it doubles with each further one. There is none after the first.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest pause: a usual polling interval.
const LONGEST: Duration = Duration::from_secs(30);

/// Makes connections.
pub(super) trait Dial: Send + Sync + 'static {
    /// A connection.
    type Link: Link;

    /// Connects to one broker and logs in.
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = Result<Self::Link, ReadError>> + Send;
}

/// The brokers of one cluster, as far as they have been asked.
pub(super) struct Brokers<D: Dial> {
    dial: Arc<D>,
    known: HashMap<Address, Broker<D::Link>>,
}

/// One broker.
struct Broker<L> {
    link: Option<Arc<L>>,
    /// The connection that is being made; aborted when dropped.
    dialing: JoinSet<Result<L, ReadError>>,
    /// Why nobody waits for it: it did not answer in time.
    hung: Option<ReadError>,
    /// How often in a row it did not answer in time.
    overdue: u32,
    /// Until when it is not asked.
    rests: Instant,
}

impl<D: Dial> Brokers<D> {
    pub(super) fn new(dial: D) -> Self {
        Self { dial: Arc::new(dial), known: HashMap::new() }
    }

    /// Runs all errands side by side, each until `until` at the latest.
    pub(super) async fn visit(
        &mut self,
        errands: Vec<Errand>,
        until: Instant,
    ) -> Vec<(Errand, Result<Said, ReadError>)> {
        let mut by_broker: BTreeMap<Address, Vec<Errand>> = BTreeMap::new();
        for errand in errands {
            by_broker.entry(errand.to.clone()).or_default().push(errand);
        }
        let visits = by_broker.into_iter().map(|(address, errands)| {
            let mut broker = self.known.remove(&address).unwrap_or_else(Broker::new);
            let dial = &self.dial;
            async move {
                let outcomes = broker.visit(dial, &address, errands, until).await;
                (address, broker, outcomes)
            }
        });
        let visits: Vec<_> = visits.collect();
        let mut wave = Vec::new();
        for (address, broker, outcomes) in join_all(visits).await {
            self.known.insert(address, broker);
            wave.extend(outcomes);
        }
        wave
    }

    /// Drops the connections to all others.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Address) -> bool) {
        self.known.retain(|address, _| wanted(address));
    }

    /// Drops all connections. Who did not answer in time is remembered: else a cluster whose first brokers hang would never
    /// be asked at its others.
    pub(super) fn hang_up(&mut self) {
        self.known.retain(|_, broker| broker.hung.is_some());
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.known.values().filter(|broker| broker.link.is_some()).count()
    }
}

impl<L: Link> Broker<L> {
    fn new() -> Self {
        Self { link: None, dialing: JoinSet::new(), hung: None, overdue: 0, rests: Instant::now() }
    }

    async fn visit<D: Dial<Link = L>>(
        &mut self,
        dial: &Arc<D>,
        address: &Address,
        errands: Vec<Errand>,
        until: Instant,
    ) -> Vec<(Errand, Result<Said, ReadError>)> {
        let reused = self.link.as_ref().is_some_and(|link| link.alive()) || !self.dialing.is_empty();
        let mut wave = self.attempt(dial, address, errands, until).await;
        // The broker may have closed a connection that was idle, or was restarted: that alone is no failure.
        if reused && self.link.is_none() && self.hung.is_none() {
            let (failed, mut answered): (Vec<_>, Vec<_>) = wave.into_iter().partition(|(_, outcome)| outcome.is_err());
            let errands = failed.into_iter().map(|(errand, _)| errand).collect();
            answered.extend(self.attempt(dial, address, errands, until).await);
            wave = answered;
        }
        wave
    }

    async fn attempt<D: Dial<Link = L>>(
        &mut self,
        dial: &Arc<D>,
        address: &Address,
        errands: Vec<Errand>,
        until: Instant,
    ) -> Vec<(Errand, Result<Said, ReadError>)> {
        let link = match self.connected(dial, address, until).await {
            Ok(link) => link,
            Err(error) => return errands.into_iter().map(|errand| (errand, Err(error.clone()))).collect(),
        };
        let calls = errands.into_iter().map(|errand| async {
            let outcome = timeout_at(until, exchange(&*link, &errand.ask)).await;
            (errand, outcome)
        });
        let outcomes: Vec<_> = join_all(calls).await;
        if outcomes.iter().any(|(_, outcome)| outcome.is_err()) {
            self.hangs(overdue(address));
        } else if link.alive() {
            self.overdue = 0;
        } else {
            self.link = None;
        }
        let outcomes = outcomes.into_iter();
        outcomes.map(|(errand, outcome)| (errand, outcome.unwrap_or_else(|_| Err(overdue(address))))).collect()
    }

    /// The connection. One that is made for a broker that hung is not waited for.
    async fn connected<D: Dial<Link = L>>(
        &mut self,
        dial: &Arc<D>,
        address: &Address,
        until: Instant,
    ) -> Result<Arc<L>, ReadError> {
        self.link.take_if(|link| !link.alive());
        if let Some(link) = &self.link {
            return Ok(Arc::clone(link));
        }
        let patience = if self.hung.is_some() { Instant::now() } else { until };
        if let Some(error) = self.hung.as_ref().filter(|_| Instant::now() < self.rests) {
            return Err(error.clone());
        }
        if self.dialing.is_empty() {
            let (dial, Address { host, port }) = (Arc::clone(dial), address.clone());
            self.dialing.spawn(async move { dial.dial(&host, port).await });
        }
        match timeout_at(patience, self.dialing.join_next()).await {
            Ok(Some(Ok(Ok(link)))) => {
                let link = Arc::new(link);
                (self.link, self.hung) = (Some(Arc::clone(&link)), None);
                Ok(link)
            }
            Ok(Some(Ok(Err(error)))) => {
                // Who refuses at once may be waited for.
                self.hung.take_if(|_| error.kind != ReadErrorKind::Timeout);
                Err(error)
            }
            Ok(_) => Err(ReadError::endpoint(ReadErrorKind::Protocol, "connecting failed by a defect of ours")),
            Err(_) => {
                let error = overdue(address);
                Err(self.hung.get_or_insert(error).clone())
            }
        }
    }

    /// Books that the broker did not answer in time. Its connection goes: what it may still say is too late.
    fn hangs(&mut self, error: ReadError) {
        let pause = if self.overdue == 0 { Duration::ZERO } else { PAUSE * 2_u32.pow((self.overdue - 1).min(4)) };
        self.overdue = self.overdue.saturating_add(1);
        self.rests = Instant::now() + pause.min(LONGEST);
        (self.link, self.hung) = (None, Some(error));
    }
}

fn overdue(address: &Address) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Timeout, format!("{address} did not answer in time"))
}
