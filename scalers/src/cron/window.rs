//! A window of the calendar: whether it is open at a given moment, and when that may change.

use jiff::Timestamp;
use tidegate_calculator::calendar::Calendar;

/// From every start to the end that follows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) start: Calendar,
    pub(super) end: Calendar,
}

impl Window {
    /// KEDA's rule: the window is open if its next end comes no later than its next start, both after this moment.
    ///
    /// A start that never comes leaves it open for ever, an end that never comes closed for ever (KEDA takes "never" for the
    /// beginning of time).
    pub(super) fn is_open(&self, wall: Timestamp) -> bool {
        match (self.start.next_after(wall), self.end.next_after(wall)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(start), Some(end)) => end <= start,
        }
    }

    /// The first start or end after this moment.
    pub(super) fn next_boundary(&self, wall: Timestamp) -> Option<Timestamp> {
        let (start, end) = (self.start.next_after(wall), self.end.next_after(wall));
        start.into_iter().chain(end).min()
    }
}
