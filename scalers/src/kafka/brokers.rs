//! Keeps one connection a broker, and sees to it that a broker that hangs does not hold up the others.
//!
//! Every visit to a broker is bounded. One that did not answer in time is not waited for again: a new connection is made
//! at once, beside the rounds, and until it stands, or for a pause that grows with every time-out, its errands fail at
//! once with what was wrong. Now and then a round waits a little for the connection, each time for less. So it is mostly
//! the first round after a broker hangs that takes longer, and one that is back is not reported as gone.

use std::collections::BTreeMap;
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

/// The time from one wait for a broker that hangs to the next.
const AGAIN: Duration = Duration::from_secs(5);

/// For how long a connection that was made beside the rounds counts as new. One that is older may have been forgotten on
/// the way; that it was made shows that the broker is back, and making another one is worth the wait.
const FRESH: Duration = Duration::from_mins(1);

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
    known: BTreeMap<Address, Broker<D::Link>>,
}

/// One broker.
struct Broker<L> {
    link: Option<Arc<L>>,
    /// The connection that is being made, or was, and when; aborted when dropped.
    dialing: JoinSet<(Instant, Result<L, ReadError>)>,
    /// Why nobody waits for it: it did not answer in time.
    hung: Option<ReadError>,
    /// When it was last waited for in vain, and how often since it hangs.
    waited: (Instant, u32),
    /// How often in a row it did not answer in time.
    overdue: u32,
    /// Until when it is not asked.
    rests: Instant,
}

impl<D: Dial> Brokers<D> {
    pub(super) fn new(dial: D) -> Self {
        Self { dial: Arc::new(dial), known: BTreeMap::new() }
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
        for address in by_broker.keys() {
            self.known.entry(address.clone()).or_insert_with(Broker::new);
        }
        // The brokers stay where they are: whoever drops this future must not lose what is known of them.
        let dial = &self.dial;
        let visits = self.known.iter_mut().filter_map(|(address, broker)| {
            let errands = by_broker.remove(address)?;
            Some(broker.visit(dial, address, errands, until))
        });
        join_all(visits.collect::<Vec<_>>()).await.into_iter().flatten().collect()
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
        let now = Instant::now();
        Self { link: None, dialing: JoinSet::new(), hung: None, waited: (now, 0), overdue: 0, rests: now }
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
            self.hangs(dial, address);
        } else if link.alive() {
            self.overdue = 0;
        } else {
            self.link = None;
        }
        let outcomes = outcomes.into_iter();
        outcomes.map(|(errand, outcome)| (errand, outcome.unwrap_or_else(|_| Err(overdue(address))))).collect()
    }

    /// The connection. One that is made for a broker that hung is waited for rarely and not for long.
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
        if let Some(error) = self.hung.as_ref().filter(|_| Instant::now() < self.rests) {
            return Err(error.clone());
        }
        let outcome = if let Some(link) = self.dialed() {
            Ok(Some(Ok((Instant::now(), Ok(link)))))
        } else {
            self.begin(dial, address);
            timeout_at(self.patience(until), self.dialing.join_next()).await
        };
        match outcome {
            Ok(Some(Ok((_, Ok(link))))) => {
                let link = Arc::new(link);
                (self.link, self.hung) = (Some(Arc::clone(&link)), None);
                Ok(link)
            }
            Ok(Some(Ok((_, Err(error))))) => {
                // Who refuses at once may be waited for.
                self.hung.take_if(|_| error.kind != ReadErrorKind::Timeout);
                Err(error)
            }
            Ok(_) => Err(ReadError::endpoint(ReadErrorKind::Protocol, "connecting failed by a defect of ours")),
            Err(_) => {
                if self.hung.is_none() {
                    self.waited = (Instant::now(), 0);
                }
                Err(self.hung.get_or_insert_with(|| overdue(address)).clone())
            }
        }
    }

    /// The connection that was made since the last round. A failure in that time says nothing about now.
    fn dialed(&mut self) -> Option<L> {
        let (at, outcome) = self.dialing.try_join_next()?.ok()?;
        let failure = outcome.as_ref().err().map(|error| error.kind);
        // Who takes connections, or refuses them at once, may be waited for.
        self.hung.take_if(|_| failure != Some(ReadErrorKind::Timeout));
        outcome.ok().filter(|link| link.alive() && at.elapsed() <= FRESH)
    }

    /// Makes a connection beside the rounds, unless one is being made.
    fn begin<D: Dial<Link = L>>(&mut self, dial: &Arc<D>, address: &Address) {
        if self.dialing.is_empty() {
            let (dial, Address { host, port }) = (Arc::clone(dial), address.clone());
            self.dialing.spawn(async move {
                let outcome = dial.dial(&host, port).await;
                (Instant::now(), outcome)
            });
        }
    }

    /// Until when the connection is waited for: if the broker hung, for half the time that is left, then for half of that
    /// and so on. Else many that hang would take all the time of those that live.
    fn patience(&mut self, until: Instant) -> Instant {
        let (now, (last, vain)) = (Instant::now(), self.waited);
        if self.hung.is_none() {
            return until;
        }
        if now - last < AGAIN {
            return now;
        }
        self.waited = (now, vain.saturating_add(1));
        now + until.saturating_duration_since(now) / 2_u32.pow(vain.min(9) + 1)
    }

    /// Books that the broker did not answer in time. Its connection goes: what it may still say is too late.
    fn hangs<D: Dial<Link = L>>(&mut self, dial: &Arc<D>, address: &Address) {
        let pause = if self.overdue == 0 { Duration::ZERO } else { PAUSE * 2_u32.pow((self.overdue - 1).min(4)) };
        self.overdue = self.overdue.saturating_add(1);
        self.rests = Instant::now() + pause.min(LONGEST);
        (self.link, self.hung, self.waited) = (None, Some(overdue(address)), (Instant::now(), 0));
        self.begin(dial, address);
    }
}

fn overdue(address: &Address) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Timeout, format!("{address} did not answer in time"))
}
