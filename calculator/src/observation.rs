//! All that one decision looks at besides the policy and the memory: replicas, pods and what each trigger said last.

use jiff::Timestamp;

use crate::operation::bounds::LastUseful;
use crate::source::{MetricSpec, ReadError, ReadErrorKind, Reading, Readings};
use crate::time::{Span, Tick};

/// For how long a trigger may say that what it measures has just begun, before that is a failure like any other.
pub const SETTLING: Span = Span::seconds(300);

/// What is seen of the target and the triggers at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// The target as last seen; never older than our own last write.
    pub target: TargetState,
    /// The last word of each trigger, in the order of [`crate::policy::Policy::triggers`]; as many as there are triggers.
    pub triggers: &'a [Evidence],
    /// When the object was created, on our clock: what `initialCooldownPeriod` counts from.
    pub created: Tick,
    /// The wall time of the pass: what schedules go by, and nothing else.
    pub wall: Timestamp,
    /// Above how many replicas more are of no use, as operations have found; none if nothing is known.
    pub useful: Option<LastUseful>,
}

/// The replicas and pods of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetState {
    /// `spec.replicas`: what is wanted now.
    pub replicas: u32,
    /// `status.replicas`: what exists now.
    pub existing: u32,
    /// How many pods are Running and Ready, terminating ones included; none if nobody counted them.
    pub ready: Option<u32>,
}

/// The last word of one trigger.
#[derive(Clone, Debug, PartialEq)]
pub enum Evidence {
    /// It has not answered yet. Engines decide only when no trigger is unread; `decide` takes it for a failure.
    Unread,
    /// It gave readings.
    Good {
        /// All metrics of the trigger.
        readings: Readings,
        /// When the read that gave them was begun.
        begun: Tick,
        /// When its answer came.
        at: Tick,
    },
    /// It failed. There is no value in here, so nothing can take it for a zero.
    Failed {
        /// Why.
        error: ReadError,
        /// Since when it has failed without a break.
        since: Tick,
        /// When the last good reading came, if one ever did.
        good: Option<Tick>,
    },
    /// Its source is well, but what it measures has just begun and means nothing yet. Neither a value nor a failure, until it has lasted
    /// for too long.
    Settling {
        /// What has just begun.
        error: ReadError,
        /// When the first answer of this kind in a row came.
        since: Tick,
        /// From when on it counts as a failure: [`SETTLING`] after `since`.
        until: Tick,
        /// When the last good reading came, if one ever did.
        good: Option<Tick>,
    },
}

impl Observation<'_> {
    /// The last word of one trigger; a trigger without any is unread.
    pub fn evidence(&self, trigger: usize) -> &Evidence {
        self.triggers.get(trigger).unwrap_or(&Evidence::Unread)
    }
}

impl Evidence {
    /// The readings, if there are any: an answer without a metric says nothing, so it must not be taken for a zero.
    pub fn readings(&self) -> Option<&[(MetricSpec, Reading)]> {
        match self {
            Self::Good { readings, .. } if !readings.is_empty() => Some(readings),
            Self::Good { .. } | Self::Unread | Self::Failed { .. } | Self::Settling { .. } => None,
        }
    }

    /// Why it counts as failed at `now` and since when, if it does: it has failed, or has settled for too long.
    pub fn failure(&self, now: Tick) -> Option<(&ReadError, Tick)> {
        match self {
            Self::Failed { error, since, .. } => Some((error, *since)),
            Self::Settling { error, until, .. } => (*until <= now).then_some((error, *until)),
            Self::Good { .. } | Self::Unread => None,
        }
    }

    /// What follows when `error` is answered at `now`. Settling answers in a row have one start; a failure has one too, which a row that has
    /// become a failure begins at its end.
    pub fn after(&self, error: ReadError, now: Tick) -> Self {
        let (good, settles) = (self.last_good(), error.kind == ReadErrorKind::Settling);
        match self {
            // It still counts as settling; or another answer came before its time was over, and the failure begins now.
            Self::Settling { since, until, .. } if *until > now && settles => {
                Self::Settling { error, since: *since, until: *until, good }
            }
            Self::Settling { until, .. } if *until <= now => Self::Failed { error, since: *until, good },
            // A row that is a failure stays one; an answer of this kind after another failure begins a row.
            Self::Failed { error: before, since, .. } if !settles || before.kind == ReadErrorKind::Settling => {
                Self::Failed { error, since: *since, good }
            }
            _ if settles => Self::Settling { error, since: now, until: now + SETTLING, good },
            _ => Self::Failed { error, since: now, good },
        }
    }

    /// When the read that this rests on was begun; none unless it gave readings.
    pub fn begun(&self) -> Option<Tick> {
        match self {
            Self::Good { begun, .. } => Some(*begun),
            Self::Unread | Self::Failed { .. } | Self::Settling { .. } => None,
        }
    }

    /// When this trigger last gave readings.
    pub fn last_good(&self) -> Option<Tick> {
        match self {
            Self::Good { at, .. } => Some(*at),
            Self::Failed { good, .. } | Self::Settling { good, .. } => *good,
            Self::Unread => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ReadErrorKind;

    #[test]
    fn the_last_good_reading_outlives_a_failure() {
        let good = Evidence::Good { readings: Vec::new(), begun: Tick(1), at: Tick(2) };
        assert_eq!((good.last_good(), good.begun()), (Some(Tick(2)), Some(Tick(1))));
        let error = ReadError::query(ReadErrorKind::Timeout, "late");
        let failed = Evidence::Failed { error, since: Tick(5), good: good.last_good() };
        assert_eq!((failed.last_good(), failed.begun()), (Some(Tick(2)), None));
        assert_eq!(Evidence::Unread.last_good(), None);
    }
}
