//! That a lower number waits: of what was wanted over a while, the highest counts.

use std::collections::VecDeque;
use std::time::Duration;

use super::window::millis;

/// What was wanted, the oldest first. A wish that a later one reaches is not kept, so the numbers fall all along.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    list: VecDeque<Wish>,
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    number: u32,
    /// When the next one came, in milliseconds: a wish stands until then, and the delay begins with it.
    until: Option<i64>,
}

impl Wishes {
    /// Takes one more wish and forgets those that have been over for the delay.
    pub(super) fn add(&mut self, at: i64, number: u32, delay: Duration) {
        if let Some(last) = self.list.back_mut() {
            last.until.get_or_insert(at);
        }
        while self.list.back().is_some_and(|last| last.number <= number) {
            self.list.pop_back();
        }
        self.list.push_back(Wish { number, until: None });
        let begin = at.saturating_sub(millis(delay));
        while self.list.front().is_some_and(|first| first.until.is_some_and(|until| until <= begin)) {
            self.list.pop_front();
        }
    }

    /// The highest wish within the delay.
    pub(super) fn highest(&self) -> Option<u32> {
        self.list.front().map(|wish| wish.number)
    }
}
