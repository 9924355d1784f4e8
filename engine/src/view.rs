//! What an object shows of itself to whoever asks.

use tidegate_calculator::policy::Pause;
use tidegate_calculator::time::{Now, Span};

use crate::object::{Object, Standing};
use crate::snapshot::{Phase, Snapshot};

impl Object {
    /// The state at `now`; `acting` says whether passes begin at all.
    pub(crate) fn snapshot(&self, now: Now, acting: bool) -> Snapshot {
        Snapshot {
            id: self.id.clone(),
            target: self.target.clone(),
            subject: self.subject.clone(),
            phase: self.phase(),
            seen: self.target_seen().map(|seen| seen.state),
            evidence: self.evidence.clone(),
            metrics: self.triggers.iter().map(|trigger| trigger.metrics.clone()).collect(),
            decision: self.last.as_ref().map(|last| (last.decision.clone(), last.at)),
            decision_lag: self.last.as_ref().map_or(Span::ZERO, |last| last.lag),
            next_check: (acting && self.standing == Standing::Obeyed).then_some(self.next_pass.max(now.tick)),
            last_active: self.last_active(now),
            last_change: self.last_change.clone(),
            operations: self.operations_seen(now),
            errors: self.triggers.iter().map(|trigger| trigger.errors).collect(),
            now,
        }
    }

    /// What the object is doing.
    pub(crate) fn phase(&self) -> Phase {
        match &self.standing {
            Standing::Refused(findings) => return Phase::Refused(findings.clone()),
            Standing::Quarantined(why) => return Phase::Quarantined(why.clone()),
            Standing::Obeyed => {}
        }
        if let Some(Err(error)) = &self.seen {
            return Phase::TargetFailed(error.clone());
        }
        if let Some(hold) = self.subject.as_ref().and_then(|subject| subject.hold.clone()) {
            return Phase::Held(hold);
        }
        let paused = self.subject.as_ref().is_some_and(|subject| subject.policy.pause != Pause::No);
        match (paused, &self.last) {
            (true, _) => Phase::Paused,
            (false, Some(_)) => Phase::Running,
            (false, None) => Phase::Starting,
        }
    }
}
