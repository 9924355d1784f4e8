//! The demand: when how many items come.
//!
//! A round has two bursts. The first finds no worker and gets all that it needs in one write. The second finds the
//! first one's workers idle but not gone yet, because their cooldown runs; it wants more, and gets more only when the
//! rate limit that is the default without `behavior` allows it: at most twice the lowest count of the last 15 s, or 4.

use std::time::{Duration, Instant};

use super::JOBS;
use super::client::{Client, ClientError};

/// From the moment at which everything rests to the first burst.
const FIRST: Duration = Duration::from_secs(1);
/// From the first burst to the second.
const SECOND: Duration = Duration::from_secs(6);
/// The sizes of the bursts, round by round, then from the beginning. With 5 items a replica the first round needs 8
/// workers; its second burst is long enough to outlast the rate limit, and then gets the 10 that are allowed at most.
const ROUNDS: [[u32; 2]; 3] = [[40, 260], [15, 60], [30, 200]];

/// What comes next, and since when.
#[derive(Debug, Default)]
pub(super) struct Producer {
    round: usize,
    sent: usize,
    /// The moment from which the next burst is counted; none before everything rests.
    since: Option<Instant>,
    items: u64,
}

/// Many items at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    /// 1 or 2.
    pub(super) number: usize,
    /// How many items.
    pub(super) items: u32,
}

impl Producer {
    /// The burst that is due, once. `resting` says that no worker runs and the object is looked after.
    pub(super) fn due(&mut self, now: Instant, resting: bool) -> Option<Burst> {
        if self.since.is_none() && resting {
            self.since = Some(now);
        }
        let items = *ROUNDS[self.round % ROUNDS.len()].get(self.sent)?;
        let pause = if self.sent == 0 { FIRST } else { SECOND };
        if now.duration_since(self.since?) < pause {
            return None;
        }
        self.since = Some(now);
        self.sent += 1;
        Some(Burst { number: self.sent, items })
    }

    /// Whether the round's last burst has been sent.
    pub(super) fn all_sent(&self) -> bool {
        self.sent == ROUNDS[0].len()
    }

    /// Begins the next round once everything rests.
    pub(super) fn next_round(&mut self) {
        self.round += 1;
        self.sent = 0;
        self.since = None;
    }

    /// Sends a burst: all its items in one command, so that a reading sees all of them or none.
    pub(super) async fn send(&mut self, burst: Burst, store: &mut Client) -> Result<(), ClientError> {
        let numbers = self.items + 1..=self.items + u64::from(burst.items);
        self.items += u64::from(burst.items);
        let items: Vec<String> = numbers.map(|number| number.to_string()).collect();
        store.push(JOBS, &items).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_begins_at_rest_and_has_two_bursts() {
        let (mut producer, start) = (Producer::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(producer.due(at(0), false), None);
        assert_eq!(producer.due(at(5), true), None, "counted from the moment of rest");
        assert_eq!(producer.due(at(6), true), Some(Burst { number: 1, items: 40 }));
        assert_eq!(producer.due(at(7), false), None);
        assert!(!producer.all_sent());
        assert_eq!(producer.due(at(12), false), Some(Burst { number: 2, items: 260 }));
        assert!(producer.all_sent());
        assert_eq!(producer.due(at(60), true), None, "one round only");
        producer.next_round();
        assert_eq!(producer.due(at(60), true), None);
        assert_eq!(producer.due(at(61), true), Some(Burst { number: 1, items: 15 }));
    }
}
