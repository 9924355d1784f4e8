//! When an object is looked at without any special reason: on a grid that objects of one endpoint share.
//!
//! Phases spread endpoints, not objects: all objects of one endpoint and one interval meet in one of eight slots, so that
//! their queries travel in few batches, while different endpoints are spread over the interval.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use tidegate_calculator::source::EndpointId;
use tidegate_calculator::time::{Span, Tick};

/// How many slots the objects of one endpoint are spread over.
const SLOTS: i64 = 8;

/// The first moment after `now` on the grid of `endpoint` and `interval` in the slot of the object at `place`.
pub(crate) fn next(endpoint: Option<EndpointId>, interval: Span, place: u32, now: Tick) -> Tick {
    let interval_ms = interval.0.max(1);
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((endpoint, interval_ms));
    let start = i64::try_from(hash % interval_ms.unsigned_abs()).unwrap_or(0);
    let slot = i64::from(place) % SLOTS * (interval_ms / SLOTS);
    let into = (now.0 - start - slot).rem_euclid(interval_ms);
    now + Span(interval_ms - into)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_next_moment_is_after_now_and_at_most_one_interval_away() {
        for now in [-5_000, 0, 1, 14_999, 15_000, 123_456] {
            for place in 0..20 {
                let at = next(Some(EndpointId(7)), Span::seconds(15), place, Tick(now));
                assert!(at > Tick(now) && at - Tick(now) <= Span::seconds(15), "{now} {place} {at:?}");
                let after = next(Some(EndpointId(7)), Span::seconds(15), place, at);
                assert_eq!(after - at, Span::seconds(15));
            }
        }
    }

    #[test]
    fn objects_of_one_endpoint_share_eight_moments_and_endpoints_are_spread() {
        let at = |endpoint: u64, place: u32| next(Some(EndpointId(endpoint)), Span::seconds(15), place, Tick(0));
        let one: BTreeSet<Tick> = (0..1_000).map(|place| at(1, place)).collect();
        assert_eq!(one.len(), 8);
        let many: BTreeSet<Tick> = (0..1_000).map(|endpoint| at(endpoint, 0)).collect();
        assert!(many.len() > 900, "{}", many.len());
    }
}
