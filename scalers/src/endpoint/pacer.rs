//! Turns a flood of changes into few wakes: the first at once, later ones within a window joined into one.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The time after a wake in which further changes are joined into the next one.
pub(super) const WINDOW: Duration = Duration::from_millis(100);

/// When each topic was last passed on, and when the ones that changed since are due.
#[derive(Debug)]
pub(crate) struct Pacer<T> {
    last: HashMap<T, Instant>,
    pending: HashMap<T, Instant>,
}

impl<T: Clone + Eq + Hash> Pacer<T> {
    pub(crate) fn new() -> Self {
        Self { last: HashMap::new(), pending: HashMap::new() }
    }

    /// A topic changed.
    pub(crate) fn heard(&mut self, topic: T, now: Instant) {
        let earliest = self.last.get(&topic).map_or(now, |last| now.max(*last + WINDOW));
        self.pending.entry(topic).or_insert(earliest);
    }

    /// When [`Self::take`] will have something.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.pending.values().min().copied()
    }

    /// The topics to pass on now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<T> {
        let due: Vec<T> = self.pending.extract_if(|_, at| *at <= now).map(|(topic, _)| topic).collect();
        for topic in &due {
            self.passed(topic.clone(), now);
        }
        due
    }

    /// A topic was passed on for another reason than a change.
    pub(super) fn passed(&mut self, topic: T, now: Instant) {
        self.last.insert(topic, now);
    }

    /// Nobody listens to a topic any more.
    pub(super) fn forget(&mut self, topic: &T) {
        self.last.remove(topic);
        self.pending.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_passes_at_once_and_later_ones_are_joined_at_the_end_of_the_window() {
        let (mut pacer, start) = (Pacer::new(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        pacer.heard("a", start);
        assert_eq!(pacer.take(start), ["a"]);
        for millis in [10, 20, 90] {
            pacer.heard("a", after(millis));
            assert!(pacer.take(after(millis)).is_empty());
        }
        assert_eq!(pacer.next_due(), Some(after(100)));
        pacer.heard("b", after(50));
        assert_eq!(pacer.take(after(50)), ["b"], "topics do not wait for each other");
        assert_eq!(pacer.take(after(100)), ["a"]);
        assert_eq!(pacer.next_due(), None);
        pacer.heard("a", after(500));
        assert_eq!(pacer.take(after(500)), ["a"]);
    }

    #[test]
    fn a_topic_nobody_listens_to_is_forgotten() {
        let (mut pacer, start) = (Pacer::new(), Instant::now());
        pacer.passed("a", start);
        pacer.heard("a", start);
        pacer.forget(&"a");
        assert!(pacer.next_due().is_none() && pacer.last.is_empty());
    }
}
