//! Stages 2 and 3: which triggers have a word, and whether the object counts as active.

use crate::decision::Health;
use crate::observation::{Evidence, Observation};
use crate::policy::Policy;
use crate::time::Tick;

/// What the triggers say about activity. Resource-like triggers (cpu, memory, per pod) are left out: they are never active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Whether the object counts as active.
    pub(super) active: bool,
    /// When an active reading came last; now while the activity is forced.
    pub(super) at: Option<Tick>,
    /// Whether an external trigger has no value.
    pub(super) failed: bool,
    /// When the oldest read of the external triggers was begun; none if one of them has no value.
    pub(super) begun: Option<Tick>,
}

/// Looks at every external trigger. Activity counts also while others fail, and refreshes the cooldown.
///
/// An object with resource-like triggers only is always active (keda-semantics §4.2, rule 6): nothing could ever wake it.
pub(super) fn look(policy: &Policy, observed: &Observation<'_>, now: Tick) -> Activity {
    let (mut external, mut failed, mut seen, mut begun) = (false, false, None::<Tick>, None::<Tick>);
    for (index, _) in policy.triggers.iter().enumerate().filter(|(_, trigger)| !trigger.resource_like) {
        external = true;
        let evidence = observed.evidence(index);
        let (Some(readings), Evidence::Good { begun: from, at, .. }) = (evidence.readings(), evidence) else {
            failed = true;
            continue;
        };
        begun = Some(begun.map_or(*from, |oldest| oldest.min(*from)));
        if readings.iter().any(|(_, reading)| reading.active) {
            seen = seen.max(Some((*at).min(now)));
        }
    }
    let forced = policy.force_activation || !external;
    let at = if forced { Some(now) } else { seen };
    Activity { active: at.is_some(), at, failed, begun: begun.filter(|_| !failed) }
}

impl Activity {
    /// How the triggers are, as KEDA's Ready condition says it.
    pub(super) fn health(&self) -> Health {
        match (self.failed, self.active) {
            (false, _) => Health::Good,
            (true, true) => Health::Partial,
            (true, false) => Health::Failing,
        }
    }
}
