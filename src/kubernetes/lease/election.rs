//! Who may act: the rules of the Lease as a state machine without input or output.
//!
//! * Whoever does not hold the Lease counts from the moment at which *it* saw the Lease change last: clocks of several machines
//!   are never compared.
//! * Whoever holds it counts from the moment at which its last successful renewal *began*, and only ten of the fifteen seconds
//!   ([`Times::deadline`]). So its tenure is over before anybody else can take the Lease, with five seconds for what is on its way.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The times of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long others wait after the last renewal that they saw, in whole seconds.
    pub duration: Duration,
    /// How long the holder acts without a renewal; shorter than `duration`.
    pub deadline: Duration,
    /// The time between renewals, and between attempts after an error.
    pub retry: Duration,
}

impl Default for Times {
    /// 15 s, 10 s and 2 s, as other controllers have it.
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; empty if nobody does.
    pub(super) holder: String,
    /// How long others must wait after a renewal.
    pub(super) duration: Duration,
    /// When the holder renewed it last.
    pub(super) renewed: Option<Timestamp>,
    /// When the holder took it.
    pub(super) acquired: Option<Timestamp>,
    /// How often it changed hands.
    pub(super) transitions: i32,
    /// Its resourceVersion: a write must name it.
    pub(super) version: String,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is no Lease: create one with us as the holder.
    Create,
    /// Take the Lease, which has this form and is free or has run out.
    Claim(Record),
    /// Renew our Lease, which has this form.
    Renew(Record),
    /// Nothing until then, or until the Lease changes.
    Wait(Instant),
    /// The tenure is over: the process must end. The text says why.
    Lost(String),
}

/// What is known of the Lease, and whether we hold it.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    times: Times,
    lease: Known,
    tenure: Option<Tenancy>,
    /// Nothing is tried before this moment: the last attempt failed.
    not_before: Option<Instant>,
}

#[derive(Debug)]
enum Known {
    /// It has not been looked at yet.
    Nothing,
    /// It does not exist.
    Absent,
    /// It is this since then.
    There(Record, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Tenancy {
    /// When the last successful renewal began.
    renewed: Instant,
    /// When to renew next.
    next: Instant,
}

impl Election {
    /// Nothing is known yet.
    pub(super) fn new(identity: &str, times: Times) -> Self {
        Self { identity: identity.to_owned(), times, lease: Known::Nothing, tenure: None, not_before: None }
    }

    /// The name that we hold the Lease under.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// The times in force.
    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Who holds the Lease as last seen, if somebody else does.
    pub(super) fn rival(&self) -> Option<&str> {
        match &self.lease {
            Known::There(record, _) if !record.holder.is_empty() && record.holder != self.identity => {
                Some(&record.holder)
            }
            _ => None,
        }
    }

    /// The Lease as we know it, if it is ours.
    pub(super) fn ours(&self) -> Option<&Record> {
        match &self.lease {
            Known::There(record, _) if self.tenure.is_some() && record.holder == self.identity => Some(record),
            _ => None,
        }
    }

    /// When the tenure ends unless it is renewed; none if we do not hold the Lease.
    pub(super) fn end(&self) -> Option<Instant> {
        self.tenure.map(|tenure| tenure.renewed + self.times.deadline)
    }

    /// The Lease was read, and is this; none if it does not exist.
    pub(super) fn read(&mut self, now: Instant, record: Option<Record>) {
        self.lease = match (record, &self.lease) {
            (Some(record), Known::There(known, since)) if known.version == record.version => {
                Known::There(record, *since)
            }
            (Some(record), _) => Known::There(record, now),
            (None, _) => Known::Absent,
        };
    }

    /// The watch says that the Lease is this. To the holder that is a hint only, since a watch may be late: it renews at once and
    /// learns from the answer whose the Lease is.
    pub(super) fn watched(&mut self, now: Instant, record: Option<Record>) {
        match &mut self.tenure {
            None => self.read(now, record),
            Some(tenure) => {
                if record.is_none_or(|record| record.holder != self.identity) {
                    tenure.next = now;
                }
            }
        }
    }

    /// Our write that began at `began` has succeeded, and made this of the Lease.
    pub(super) fn written(&mut self, began: Instant, record: Record) {
        self.lease = Known::There(record, began);
        self.tenure = Some(Tenancy { renewed: began, next: began + self.times.retry });
        self.not_before = None;
    }

    /// An attempt has failed without an answer about whose the Lease is.
    pub(super) fn failed(&mut self, now: Instant) {
        self.not_before = Some(now + self.times.retry);
    }

    /// What to do now.
    pub(super) fn step(&self, now: Instant) -> Step {
        let step = match self.tenure {
            Some(tenure) => self.holding(now, tenure),
            None => self.waiting(now),
        };
        match (&step, self.not_before) {
            (Step::Create | Step::Claim(_) | Step::Renew(_), Some(until)) if now < until => {
                Step::Wait(self.end().map_or(until, |end| end.min(until)))
            }
            _ => step,
        }
    }

    fn holding(&self, now: Instant, tenure: Tenancy) -> Step {
        let end = tenure.renewed + self.times.deadline;
        if now >= end {
            return Step::Lost(format!("it could not be renewed within {} s", self.times.deadline.as_secs_f64()));
        }
        match &self.lease {
            Known::There(record, _) if record.holder == self.identity => {
                if now >= tenure.next {
                    Step::Renew(record.clone())
                } else {
                    Step::Wait(tenure.next.min(end))
                }
            }
            Known::There(record, _) if record.holder.is_empty() => Step::Lost("somebody took it away".to_owned()),
            Known::There(record, _) => Step::Lost(format!("{} has taken it", record.holder)),
            Known::Nothing | Known::Absent => Step::Create,
        }
    }

    fn waiting(&self, now: Instant) -> Step {
        match &self.lease {
            Known::Nothing => Step::Wait(now + self.times.retry),
            Known::Absent => Step::Create,
            Known::There(record, since) => {
                // A holder of our own name is our own earlier life: names are not shared by two living processes.
                let free = record.holder.is_empty() || record.holder == self.identity;
                let until = *since + record.duration;
                if free || now >= until { Step::Claim(record.clone()) } else { Step::Wait(until) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(holder: &str, version: u32) -> Record {
        Record {
            holder: holder.to_owned(),
            duration: 15 * SECOND,
            renewed: None,
            acquired: None,
            transitions: 3,
            version: version.to_string(),
        }
    }

    fn election() -> (Election, Instant) {
        (Election::new("a", Times::default()), Instant::now())
    }

    #[test]
    fn nothing_is_done_before_the_lease_was_looked_at() {
        let (mut election, t) = election();
        assert!(matches!(election.step(t), Step::Wait(_)));
        election.watched(t, None);
        assert_eq!(election.step(t), Step::Create);
    }

    #[test]
    fn a_lease_of_another_is_taken_when_it_did_not_change_for_its_duration() {
        let (mut election, t) = election();
        election.watched(t, Some(record("b", 1)));
        assert_eq!(election.step(t), Step::Wait(t + 15 * SECOND));
        // Renewed after 10 s: the time counts anew; the same version once more changes nothing.
        election.watched(t + 10 * SECOND, Some(record("b", 2)));
        election.watched(t + 12 * SECOND, Some(record("b", 2)));
        assert_eq!(election.step(t + 15 * SECOND), Step::Wait(t + 25 * SECOND));
        assert_eq!(election.step(t + 25 * SECOND), Step::Claim(record("b", 2)));
        assert_eq!(election.rival(), Some("b"));
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        let (mut election, t) = election();
        election.watched(t, Some(record("b", 1)));
        election.watched(t + SECOND, Some(record("", 2)));
        assert_eq!(election.step(t + SECOND), Step::Claim(record("", 2)));
        // Our own earlier life needs no wait either.
        election.watched(t + SECOND, Some(record("a", 3)));
        assert_eq!(election.step(t + SECOND), Step::Claim(record("a", 3)));
    }

    #[test]
    fn the_tenure_counts_from_the_beginning_of_the_last_renewal() {
        let (mut election, t) = election();
        election.written(t, record("a", 1));
        assert_eq!(election.end(), Some(t + 10 * SECOND));
        assert_eq!(election.step(t), Step::Wait(t + 2 * SECOND));
        assert_eq!(election.step(t + 2 * SECOND), Step::Renew(record("a", 1)));
        election.written(t + 2 * SECOND, record("a", 2));
        assert_eq!(election.end(), Some(t + 12 * SECOND));
    }

    #[test]
    fn a_tenure_without_renewal_ends_five_seconds_before_another_may_begin() {
        let (mut holder, t) = election();
        let mut follower = Election::new("b", Times::default());
        holder.written(t, record("a", 1));
        follower.watched(t, Some(record("a", 1)));
        holder.failed(t + 9 * SECOND);
        assert_eq!(holder.step(t + 9 * SECOND), Step::Wait(t + 10 * SECOND), "it wakes to end, not to try again");
        assert!(matches!(holder.step(t + 10 * SECOND), Step::Lost(_)));
        assert_eq!(follower.step(t + 10 * SECOND), Step::Wait(t + 15 * SECOND));
        assert!(matches!(follower.step(t + 15 * SECOND), Step::Claim(_)));
    }

    #[test]
    fn the_watch_is_only_a_hint_to_the_holder() {
        let (mut election, t) = election();
        election.written(t, record("a", 7));
        // An old word that comes late: the Lease is renewed at once, with what we know of it.
        election.watched(t, Some(record("b", 5)));
        assert_eq!(election.step(t), Step::Renew(record("a", 7)));
        // The renewal was refused, the Lease was read: now it is certain.
        election.read(t, Some(record("b", 8)));
        assert_eq!(election.step(t), Step::Lost("b has taken it".to_owned()));
    }

    #[test]
    fn a_holder_whose_lease_was_deleted_makes_it_anew() {
        let (mut election, t) = election();
        election.written(t, record("a", 7));
        election.watched(t, None);
        assert_eq!(election.step(t), Step::Renew(record("a", 7)));
        election.read(t, None);
        assert_eq!(election.step(t), Step::Create);
    }

    #[test]
    fn after_a_failure_nothing_is_tried_for_a_moment() {
        let (mut election, t) = election();
        election.watched(t, None);
        election.failed(t);
        assert_eq!(election.step(t), Step::Wait(t + 2 * SECOND));
        assert_eq!(election.step(t + 2 * SECOND), Step::Create);
    }
}
