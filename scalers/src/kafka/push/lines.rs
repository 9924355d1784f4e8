//! Keeps one connection a leader that always has a question open, and sees to it that no leader is asked in a rage.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::FetchResponse;
use tokio::time::Instant;

use super::fetch::{Failure, WAIT, Wanted, fetch};
use crate::kafka::brokers::Dial;
use crate::kafka::metadata::Address;

/// The time from one question to the next while there are news: a busy leader sends four batches a second at most.
const SPACING: Duration = Duration::from_millis(250);

/// The pause after a failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(5);

/// The longest pause that a broker may ask for because of a quota.
const THROTTLE: Duration = Duration::from_mins(1);

/// From how many failures in a row on a leader is spoken of: one that is restarted comes back before.
const FAILURES: u32 = 5;

/// The leaders that are listened to.
pub(super) struct Lines<D: Dial> {
    dial: Arc<D>,
    known: HashMap<Address, Line<D::Link>>,
    fetches: FuturesUnordered<BoxFuture<'static, Fetched<D::Link>>>,
}

/// One leader.
struct Line<L> {
    link: Option<Arc<L>>,
    /// Whether a question is open.
    open: bool,
    /// When the last question was asked.
    asked: Instant,
    /// Until when there is no further one.
    rests: Instant,
    failures: u32,
}

/// What became of a question.
type Fetched<L> = (Address, Result<(Arc<L>, FetchResponse), Failure>);

/// A partition of a topic, its leader first and its position last.
pub(super) type Spot<'a> = (&'a Address, &'a Arc<str>, i32, i64);

impl<D: Dial> Lines<D> {
    pub(super) fn new(dial: Arc<D>) -> Self {
        Self { dial, known: HashMap::new(), fetches: FuturesUnordered::new() }
    }

    /// Asks every leader that has none of our questions and is not at rest. Partitions of a topic must stand together.
    pub(super) fn ask<'a>(&mut self, spots: impl Iterator<Item = Spot<'a>>) {
        let now = Instant::now();
        let mut by_leader: BTreeMap<&Address, Vec<Wanted>> = BTreeMap::new();
        for (leader, topic, index, position) in spots {
            if self.known.get(leader).is_none_or(|line| !line.open && line.rests <= now) {
                let wanted = Wanted { topic: Arc::clone(topic), index, position };
                by_leader.entry(leader).or_default().push(wanted);
            }
        }
        for (leader, wanted) in by_leader {
            let new = || Line { link: None, open: false, asked: now, rests: now, failures: 0 };
            let one = self.known.entry(leader.clone()).or_insert_with(new);
            (one.open, one.asked) = (true, now);
            let (dial, link, leader) = (Arc::clone(&self.dial), one.link.take(), leader.clone());
            self.fetches.push(Box::pin(async move {
                let outcome = fetch(dial, link, leader.clone(), wanted).await;
                (leader, outcome)
            }));
        }
    }

    /// The next answer; none at once if no question is open. Dropping the future loses nothing.
    pub(super) async fn answer(&mut self) -> Option<(Address, Result<FetchResponse, Failure>)> {
        let (leader, outcome) = self.fetches.next().await?;
        let now = Instant::now();
        let Some(one) = self.known.get_mut(&leader) else { return Some((leader, outcome.map(|(_, said)| said))) };
        one.open = false;
        let outcome = match outcome {
            Ok((link, said)) => {
                (one.link, one.failures) = (Some(link), 0);
                // An answer without news takes that long, or there is something odd about it.
                one.rests = one.asked + WAIT;
                if let Ok(throttle @ 1..) = u64::try_from(said.throttle_time_ms) {
                    // The broker does not read from us until then.
                    one.rests = one.rests.max(now + Duration::from_millis(throttle).min(THROTTLE));
                }
                Ok(said)
            }
            Err(failure) => {
                one.failures = one.failures.saturating_add(1);
                one.rests = now + (PAUSE * 2_u32.pow((one.failures - 1).min(6))).min(LONGEST);
                if let Failure::Lost(error) = &failure
                    && one.failures == FAILURES
                {
                    tracing::warn!(%leader, %error, "A broker cannot be listened to, polling goes on");
                }
                Err(failure)
            }
        };
        Some((leader, outcome))
    }

    /// Has the leader asked again soon: there may be more of what it said.
    pub(super) fn hasten(&mut self, leader: &Address, said: &FetchResponse) {
        if let Some(line) = self.known.get_mut(leader).filter(|_| said.throttle_time_ms <= 0) {
            line.rests = line.asked + SPACING;
        }
    }

    /// When the first of those that rest may be asked again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let resting = self.known.values().filter(|line| !line.open && line.rests > now);
        resting.map(|line| line.rests).min()
    }

    /// Drops the connections to all others.
    pub(super) fn keep<'a>(&mut self, leaders: impl Iterator<Item = &'a Address>) {
        let leaders: HashSet<&Address> = leaders.collect();
        self.known.retain(|leader, line| line.open || leaders.contains(leader));
    }
}
