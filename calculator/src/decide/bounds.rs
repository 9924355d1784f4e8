//! Stage 5 and the bounds of stage 6: never below `max(1, minReplicaCount)` at work, never above `maxReplicaCount`.

use crate::decision::Limit;
use crate::hpa::limits::{self, Bound};
use crate::policy::Policy;

/// `wanted` within the bounds, and which of them moved it. `most` is the maximum, or more where it must not make the count jump.
pub(super) fn clamp(policy: &Policy, most: u32, wanted: u32) -> (u32, Option<Limit>) {
    let (replicas, bound) = limits::clamp(policy.floor(), most, wanted);
    let limit = bound.map(|bound| match bound {
        Bound::Least => Limit::Minimum,
        Bound::Most => Limit::Maximum,
    });
    (replicas, limit)
}
