//! The replicas of one Deployment, and the rules about them: which goes first, which name is free, when to try again.

use std::time::Duration;

use tokio::time::Instant;

use super::process::Running;

/// The first wait before a crashed process is started again; it doubles with every crash.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait: the kubelet's.
const LONGEST: Duration = Duration::from_mins(5);
/// A process that ran this long is taken to be well again.
const WELL: Duration = Duration::from_mins(10);

/// One replica: a name that a process runs under, again and again if it has to.
#[derive(Debug)]
pub(super) struct Replica {
    /// The number in its name, from 0.
    pub(super) index: u32,
    /// Grows with every replica of the Deployment and marks its processes.
    pub(super) number: u64,
    /// Whether it is to go on; one that is not is ended and then forgotten.
    pub(super) kept: bool,
    /// The template that its process was started from.
    pub(super) revision: u64,
    /// The time that its process gets to end.
    pub(super) grace: Duration,
    /// How often it has failed in a row.
    pub(super) failures: u32,
    /// What it is doing.
    pub(super) phase: Phase,
}

/// What a replica is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing runs; a process is started at this moment, or when the files change if those kept it from starting.
    Waiting {
        /// The moment.
        until: Instant,
        /// Why it could not be started; none after a crash.
        blocked: Option<String>,
    },
    /// Its process runs.
    Running {
        /// The process.
        running: Running,
        /// Since when.
        since: Instant,
        /// From when on it counts as ready.
        ready: Instant,
    },
    /// Its process has been asked to end.
    Ending {
        /// The process.
        running: Running,
        /// Whether it was ready before.
        ready: bool,
    },
}

impl Replica {
    /// A replica whose process is yet to be started.
    pub(super) fn new(index: u32, number: u64) -> Self {
        let phase = Phase::Waiting { until: Instant::now(), blocked: None };
        Self { index, number, kept: true, revision: 0, grace: Duration::ZERO, failures: 0, phase }
    }

    /// Whether it counts as ready; an ending one does as long as it runs.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Waiting { .. } => false,
            Phase::Running { ready, .. } => *ready <= now,
            Phase::Ending { ready, .. } => *ready,
        }
    }

    /// The next moment at which time alone changes something.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Running { ready, .. } => Some(*ready).filter(|ready| *ready > now),
            Phase::Ending { .. } => None,
        }
    }

    /// Asks its process to end, if one runs. A second call can only hurry it.
    pub(super) fn end(&mut self, grace: Duration, now: Instant) {
        let ready = self.is_ready(now);
        let idle = Phase::Waiting { until: now, blocked: None };
        self.phase = match std::mem::replace(&mut self.phase, idle) {
            Phase::Running { running, .. } => Phase::Ending { running, ready },
            other => other,
        };
        if let Phase::Ending { running, .. } = &self.phase {
            running.end(grace);
        }
    }

    /// Its process has ended. Gives the wait until it is started again.
    pub(super) fn ended(&mut self, now: Instant) -> Duration {
        let wait = match &self.phase {
            Phase::Running { since, .. } => {
                self.failures = if now - *since >= WELL { 1 } else { self.failures + 1 };
                back_off(self.failures)
            }
            Phase::Waiting { .. } | Phase::Ending { .. } => Duration::ZERO,
        };
        self.phase = Phase::Waiting { until: now + wait, blocked: None };
        wait
    }

    /// Its process could not be started.
    pub(super) fn blocked(&mut self, why: String, now: Instant) {
        self.failures += 1;
        self.phase = Phase::Waiting { until: now + back_off(self.failures), blocked: Some(why) };
    }
}

/// The wait after so many failures in a row.
pub(super) fn back_off(failures: u32) -> Duration {
    FIRST.saturating_mul(1_u32 << failures.saturating_sub(1).min(16)).min(LONGEST)
}

/// The position of the replica that goes first, as a ReplicaSet chooses: one that is not ready, else the youngest.
pub(super) fn victim(replicas: &[Replica], now: Instant) -> Option<usize> {
    let kept = replicas.iter().enumerate().filter(|(_, replica)| replica.kept);
    let order = |(_, replica): &(usize, &Replica)| (replica.is_ready(now), std::cmp::Reverse(replica.number));
    kept.min_by_key(order).map(|(position, _)| position)
}

/// The lowest number that no replica has, ending ones included: two processes never write to one log.
pub(super) fn free_index(replicas: &[Replica]) -> u32 {
    let mut taken: Vec<u32> = replicas.iter().map(|replica| replica.index).collect();
    taken.sort_unstable();
    // The first number that differs from its place is the first one that is free.
    (0..).zip(&taken).find(|(place, index)| place != *index).map_or_else(|| after(&taken), |(place, _)| place)
}

fn after(taken: &[u32]) -> u32 {
    taken.last().map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 60].iter().map(|failures| back_off(*failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300]);
    }

    #[tokio::test]
    async fn the_youngest_goes_first_and_the_lowest_name_is_used_again() {
        let now = Instant::now();
        let mut replicas: Vec<Replica> =
            [(0, 5), (2, 9), (3, 7)].map(|(index, number)| Replica::new(index, number)).into();
        assert_eq!(victim(&replicas, now), Some(1));
        replicas[1].kept = false;
        assert_eq!(victim(&replicas, now), Some(2));
        assert_eq!(free_index(&replicas), 1);
        replicas[2].index = 1;
        assert_eq!(free_index(&replicas), 3);
        assert_eq!(free_index(&[]), 0);
        assert_eq!(victim(&[], now), None);
    }
}
