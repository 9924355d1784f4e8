//! Says from offsets how much a group lags, and what of it is reported; pure.
//!
//! Two numbers come out. The *activity* is all that waits. The *value* is what replicas are computed from: without lag
//! that does not move, and capped, because more consumers than partitions would be idle.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::offsets::{PartitionOffsets, TopicOffsets};

/// The commits of a group, by topic and partition.
pub(super) type Commits = HashMap<(Arc<str>, i32), i64>;

/// How offsets become numbers. The fields are the parameters of the trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of its own")]
pub(super) struct Rules {
    /// `lagThreshold`: the lag that one replica takes care of, at least 1.
    pub(super) threshold: i64,
    /// `offsetResetPolicy: earliest`: where a consumer without a commit begins.
    pub(super) from_earliest: bool,
    /// `scaleToZeroOnInvalidOffset`.
    pub(super) uncommitted_is_zero: bool,
    /// `allowIdleConsumers`.
    pub(super) allow_idle: bool,
    /// `excludePersistentLag`.
    pub(super) exclude_persistent: bool,
    /// `limitToPartitionsWithLag`.
    pub(super) limit_to_lagging: bool,
    /// `ensureEvenDistributionOfPartitions`.
    pub(super) even: bool,
}

/// How much a group lags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lag {
    /// What replicas are computed from.
    pub(super) value: i64,
    /// Everything that waits.
    pub(super) activity: i64,
}

/// What was counted, before anything is capped.
#[derive(Clone, Copy, Default)]
struct Tally {
    partitions: i64,
    /// Partitions with lag that moves.
    lagging: i64,
    /// Lag that moves.
    moving: i64,
    all: i64,
}

/// The lag of a group; `before` holds the commits that a partition must have moved on from.
///
/// No topics at all are no lag: the group has no commits. Offsets that cannot be are an error of the query.
pub(super) fn lag(topics: &[TopicOffsets], rules: &Rules, before: &Commits) -> Result<Lag, ReadError> {
    let mut tally = Tally::default();
    for topic in topics {
        for offsets in &topic.partitions {
            let waiting = waiting(&topic.name, offsets, rules)?;
            let persists = rules.exclude_persistent
                && offsets.committed.is_some()
                && before.get(&(Arc::clone(&topic.name), offsets.partition)).copied() == offsets.committed;
            let moving = if persists { 0 } else { waiting };
            tally.partitions += 1;
            tally.lagging += i64::from(moving > 0);
            tally.moving = tally.moving.saturating_add(moving);
            tally.all = tally.all.saturating_add(waiting);
        }
    }
    if tally.partitions == 0 && !topics.is_empty() {
        let names = topics.iter().map(|topic| &*topic.name).collect::<Vec<_>>().join(", ");
        return Err(flaw(format!("nothing is known of any partition of {names}")));
    }
    Ok(Lag { value: rules.report(tally), activity: tally.all })
}

/// The commits of the partitions that count; those without one are left out.
pub(super) fn commits(topics: &[TopicOffsets]) -> Commits {
    let of = |topic: &TopicOffsets| {
        let name = Arc::clone(&topic.name);
        let kept = topic.partitions.iter().filter_map(|offsets| Some((offsets.partition, offsets.committed?)));
        kept.map(move |(partition, committed)| ((Arc::clone(&name), partition), committed)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

/// How many records of a partition the group has still to read.
fn waiting(topic: &str, offsets: &PartitionOffsets, rules: &Rules) -> Result<i64, ReadError> {
    let PartitionOffsets { partition, committed, log_start, latest } = *offsets;
    let subject = || format!("partition {partition} of topic {topic:?}");
    if [committed, log_start, Some(latest)].into_iter().flatten().any(|offset| offset < 0) {
        return Err(flaw(format!("{}: an offset is negative", subject())));
    }
    let begin = match committed {
        // What retention has deleted cannot be read any more.
        Some(committed) => committed.max(log_start.unwrap_or(0)),
        None if rules.uncommitted_is_zero => return Ok(0),
        None if rules.from_earliest => log_start.ok_or_else(|| flaw(format!("{}: no log start", subject())))?,
        // The first consumer begins at the end and commits there: one replica is enough to find out.
        None => return Ok(1),
    };
    // A commit beyond the last stable offset is of a group that reads open transactions too. (One beyond the log itself is
    // no commit: the round has seen to that.)
    Ok((latest - begin).max(0))
}

impl Rules {
    /// What is reported of the lag that moves (keda-semantics §5.1, step 5).
    fn report(&self, tally: Tally) -> i64 {
        if self.allow_idle && !self.limit_to_lagging && !self.even {
            return tally.moving;
        }
        let replicas = |count: i64| count.saturating_mul(self.threshold);
        let wanted = if self.even { replicas(self.even_share(tally)) } else { tally.moving };
        wanted.min(replicas(if self.limit_to_lagging { tally.lagging } else { tally.partitions }))
    }

    /// The fewest replicas that are enough and own equally many partitions each.
    fn even_share(&self, tally: Tally) -> i64 {
        let enough =
            |share: &i64| tally.partitions % share == 0 && share.saturating_mul(self.threshold) >= tally.moving;
        (1..=tally.partitions).find(enough).unwrap_or(tally.partitions)
    }
}

fn flaw(what: String) -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, what)
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
