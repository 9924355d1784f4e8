//! Stage 5 and the bounds of stage 6: never below `max(1, minReplicaCount)` at work, never above `maxReplicaCount`.

use crate::decision::Limit;
use crate::hpa::limits::{self, Bound};
use crate::policy::Policy;

/// `wanted` within the bounds, and which of them moved it.
pub(super) fn clamp(policy: &Policy, wanted: u32) -> (u32, Option<Limit>) {
    let (replicas, bound) = limits::clamp(policy.floor(), policy.max, wanted);
    let limit = bound.map(|bound| match bound {
        Bound::Least => Limit::Minimum,
        Bound::Most => Limit::Maximum,
    });
    (replicas, limit)
}
