//! Stage 3: whether the object counts as active.

use super::fallback::{Heard, Hearing};
use crate::decision::{Health, Limit};
use crate::policy::{Policy, TriggerPolicy};
use crate::rules::OnError;
use crate::source::{MetricSpec, ReadErrorKind, Reading};
use crate::time::Tick;

/// What the triggers say about activity. Resource-like triggers (cpu, memory, per pod) are left out: they are never active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they do not depend on each other")]
pub(super) struct Activity {
    /// Whether the object counts as active.
    pub(super) active: bool,
    /// When an active reading came last; now while the activity is forced.
    pub(super) at: Option<Tick>,
    /// Whether an external trigger has neither a value nor a substitute, so that zero is not entered.
    pub(super) failed: bool,
    /// Whether an external trigger settles: zero is not entered either, but it does not fail.
    pub(super) settling: bool,
    /// Whether an external trigger without a value has dropped out (`onError: Ignore`).
    pub(super) ignored: bool,
    /// Whether a resource-like trigger cannot be built: unlike a missing value, that is wrong at rest, too.
    pub(super) broken: bool,
    /// When the oldest read of the external triggers was begun; none if one of them has neither a value nor a substitute.
    pub(super) begun: Option<Tick>,
}

/// Looks at every external trigger. Activity counts also while others fail, and refreshes the cooldown.
///
/// While a trigger settles an object that was active stays so, and its cooldown does not begin: nobody has said that there is nothing to do.
///
/// An object with resource-like triggers only is always active (keda-semantics §4.2, rule 6): nothing could ever wake it.
pub(super) fn look(policy: &Policy, hearing: &Hearing<'_>, now: Tick) -> Activity {
    let (mut external, mut failed, mut settling, mut ignored) = (false, false, false, false);
    let (mut seen, mut begun) = (None::<Tick>, None::<Tick>);
    let scales = |(index, of): &(usize, &TriggerPolicy)| !of.resource_like && !policy.rules.is_signal(*index);
    for (index, _) in policy.triggers.iter().enumerate().filter(scales) {
        external = true;
        let any = |readings: &[(MetricSpec, Reading)]| readings.iter().any(|(_, reading)| reading.active);
        let (is_active, from, at) = match hearing.of(index) {
            Heard::Value { readings, begun, at } => (any(readings), Some(begun), at),
            // It stands for the trigger now, whenever that was read last.
            Heard::Substituted(replicas, _) => (replicas >= 1, Some(now), now),
            Heard::Known { readings, at, .. } => (any(readings), None, at),
            Heard::Settling(_) => {
                settling = true;
                continue;
            }
            Heard::Silent { .. } if policy.rules.of(index).on_error == OnError::Ignore => {
                ignored = true;
                continue;
            }
            Heard::Silent { .. } => {
                failed = true;
                continue;
            }
        };
        failed |= from.is_none();
        begun = begun.map_or(from, |oldest| Some(from.map_or(oldest, |from| oldest.min(from))));
        if is_active {
            seen = seen.max(Some(at.min(now)));
        }
    }
    let unbuilt = |heard| matches!(heard, Heard::Silent { silence, .. } if silence.kind == ReadErrorKind::Config);
    let mut triggers = policy.triggers.iter().enumerate();
    let broken = triggers
        .any(|(index, trigger)| trigger.resource_like && !policy.rules.is_signal(index) && unbuilt(hearing.of(index)));
    let forced = policy.force_activation || !external;
    let stays = settling && hearing.memory.active;
    let at = if forced || stays { Some(now) } else { seen };
    let begun = begun.filter(|_| !failed && !settling);
    Activity { active: at.is_some(), at, failed, settling, ignored, broken, begun }
}

impl Activity {
    /// What keeps an inactive object from its rest after its cooldown.
    pub(super) fn keeps_from_rest(&self) -> Limit {
        match (self.failed, self.settling) {
            (true, _) => Limit::FailedTrigger,
            (false, true) => Limit::Settling,
            (false, false) => Limit::Cooldown,
        }
    }

    /// How the triggers are, as KEDA's Ready condition says it. `unusable` are metrics without a proposal: external triggers that are
    /// well can have some, and resource-like ones speak in no other way. `proposes` is whether anything else has a proposal.
    pub(super) fn health(&self, unusable: bool, proposes: bool) -> Health {
        match (self.failed || self.ignored, self.active) {
            (false, _) if unusable || self.broken => {
                if proposes {
                    Health::Partial
                } else {
                    Health::Failing
                }
            }
            (false, _) => Health::Good,
            (true, true) => Health::Partial,
            (true, false) => Health::Failing,
        }
    }
}
