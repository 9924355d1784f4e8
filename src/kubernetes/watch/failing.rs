//! Targets whose scale could not be read: when to read them again, since no watch says so.

use std::collections::HashMap;
use std::time::Duration;

use tidegate_engine::protocol::{Seen, TargetError};
use tidegate_engine::subject::TargetRef;

use super::event::Order;

/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST: Duration = Duration::from_mins(1);

/// The targets whose last read failed.
#[derive(Debug, Default)]
pub(super) struct Failing(HashMap<TargetRef, Reads>);

/// The reads of one target.
#[derive(Debug)]
struct Reads {
    /// The next pause.
    pause: Duration,
    /// Whether a reminder is under way: there is never more than one.
    reminded: bool,
}

impl Failing {
    /// The answer to a read. After one that may be another one next time a reminder is ordered.
    pub(super) fn read(&mut self, target: &TargetRef, answer: &Result<Seen, TargetError>, orders: &mut Vec<Order>) {
        if !matches!(answer, Err(TargetError::Unavailable(_))) {
            // A reminder that is under way finds nothing to do.
            self.0.remove(target);
            return;
        }
        let reads = self.0.entry(target.clone()).or_insert(Reads { pause: FIRST, reminded: false });
        if !std::mem::replace(&mut reads.reminded, true) {
            orders.push(Order::Remind(target.clone(), reads.pause));
            reads.pause = (reads.pause * 2).min(LONGEST);
        }
    }

    /// The reminder has come.
    pub(super) fn reminded(&mut self, target: &TargetRef) {
        if let Some(reads) = self.0.get_mut(target) {
            reads.reminded = false;
        }
    }

    /// Nobody scales this target any more.
    pub(super) fn forget(&mut self, target: &TargetRef) {
        self.0.remove(target);
    }
}
