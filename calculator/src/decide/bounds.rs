//! Stage 5 and the bounds of stage 6: never below `max(1, minReplicaCount)` at work, never above `maxReplicaCount`.

use crate::decision::Limit;
use crate::policy::Policy;

/// `wanted` within the bounds, and which of them moved it. The minimum is looked at first, as the HPA does (hpa-algorithm §8.1).
pub(super) fn clamp(policy: &Policy, wanted: u32) -> (u32, Option<Limit>) {
    if wanted < policy.floor() {
        (policy.floor(), Some(Limit::Minimum))
    } else if wanted > policy.max {
        (policy.max, Some(Limit::Maximum))
    } else {
        (wanted, None)
    }
}
