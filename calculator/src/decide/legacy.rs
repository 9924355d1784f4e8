//! Stage 6: the limit of an object without `behavior`: at most twice the lowest count of the last sync period, or 4.

use crate::behavior::whole;
use crate::hpa::limits::legacy_ceiling;
use crate::hpa::spec::{SCALE_UP_FACTOR, SCALE_UP_LEAST};
use crate::memory::counts::Counts;
use crate::policy::Policy;
use crate::time::Tick;

/// What the limit lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The count after the limit.
    pub(super) replicas: u32,
    /// The lowest count of the last sync period.
    pub(super) lowest: u32,
    /// When time alone raises the limit.
    pub(super) changes: Option<Tick>,
    /// When, once this count is written, the limit rises, and what it lets through then.
    pub(super) until: Option<(Tick, u32)>,
}

/// Limits a raise from `current` to `wanted`. The HPA doubles once a sync period; our passes come faster, so the doubling starts from
/// the lowest count of the last period instead of the present one.
pub(super) fn limit(policy: &Policy, counts: &Counts, current: u32, wanted: u32, now: Tick) -> Allowed {
    let period = policy.settings.sync_period;
    let at = |at: Tick| counts.lowest(current, policy.floor(), period, at);
    let most = |start: u32| whole(legacy_ceiling(f64::from(start), SCALE_UP_FACTOR, SCALE_UP_LEAST));
    let ceiling = |lowest: u32| current.max(most(lowest));
    let (lowest, mut rises) = at(now);
    let replicas = wanted.min(ceiling(lowest));
    let mut allowed = Allowed { replicas, lowest, changes: None, until: None };
    if replicas == wanted {
        return allowed;
    }
    // What was written before leaves the period first, what is written now last.
    while let Some(rise) = rises {
        let (then, after) = at(rise);
        if ceiling(then) > replicas {
            allowed.changes = Some(rise);
            break;
        }
        rises = after;
    }
    let doubled = (now + period, most(replicas).min(wanted));
    allowed.until = Some(allowed.changes.map_or(doubled, |rise| (rise, wanted.min(ceiling(at(rise).0)))));
    allowed
}
