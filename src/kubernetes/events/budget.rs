//! Token buckets: so many at once, then one in every so long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many full buckets may pile up before they are thrown away.
const PILE: usize = 256;

/// One bucket. It is kept as the moment at which it will be full again, which needs no counting between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    size: u32,
    every: Duration,
    full_at: Instant,
}

/// A bucket an object, made when first used and forgotten when full.
#[derive(Debug)]
pub(super) struct Budgets {
    size: u32,
    every: Duration,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    by_uid: HashMap<String, Bucket>,
    /// Full buckets are looked for when there are more than this.
    sweep_above: usize,
}

impl Bucket {
    /// A bucket that holds `size` tokens and gets one `every` so long.
    pub(super) fn full(size: u32, every: Duration, now: Instant) -> Self {
        Self { size, every, full_at: now }
    }

    /// When there is a token: now, or later.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let lasts = self.every * self.size.saturating_sub(1);
        self.full_at.checked_sub(lasts).map_or(now, |at| at.max(now))
    }

    /// Takes a token; false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let has_token = self.next(now) <= now;
        if has_token {
            self.full_at = self.full_at.max(now) + self.every;
        }
        has_token
    }
}

impl Budgets {
    /// Buckets of this size and pace.
    pub(super) fn new(size: u32, every: Duration) -> Self {
        Self { size, every, buckets: Mutex::new(Buckets { by_uid: HashMap::new(), sweep_above: PILE }) }
    }

    /// Takes a token of one object; false if it has none left.
    pub(super) fn take(&self, uid: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.by_uid.len() > buckets.sweep_above {
            buckets.by_uid.retain(|_, bucket| bucket.full_at > now);
            // Looking again only after as many came as are left keeps the cost of one event constant.
            buckets.sweep_above = PILE.max(buckets.by_uid.len() * 2);
        }
        if let Some(bucket) = buckets.by_uid.get_mut(uid) {
            return bucket.take(now);
        }
        let mut bucket = Bucket::full(self.size, self.every, now);
        let taken = bucket.take(now);
        buckets.by_uid.insert(uid.to_owned(), bucket);
        taken
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).by_uid.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_size_at_once_and_then_one_a_period() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut bucket = Bucket::full(3, second, start);
        assert_eq!([0; 4].map(|_| bucket.take(start)), [true, true, true, false]);
        assert_eq!(bucket.next(start), start + second);
        assert!(!bucket.take(start + second - Duration::from_millis(1)));
        assert_eq!([0; 2].map(|_| bucket.take(start + second)), [true, false]);
        let later = start + 60 * second;
        assert_eq!([0; 4].map(|_| bucket.take(later)), [true, true, true, false], "never more than its size");
    }

    #[test]
    fn objects_do_not_share_and_full_buckets_are_forgotten() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let budgets = Budgets::new(1, second);
        assert!(budgets.take("a", start) && budgets.take("b", start) && !budgets.take("a", start));
        for index in 1..PILE {
            budgets.take(&index.to_string(), start);
        }
        assert!(budgets.take("a", start + 10 * second));
        assert_eq!(budgets.len(), 1);
    }
}
