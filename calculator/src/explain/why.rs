//! A decision in one line.

use super::{Text, last_word, words};
use crate::decision::{Decision, Limit, Step, Veto};
use crate::observation::Evidence;
use crate::policy::Policy;
use crate::time::Now;

/// One line: what the metrics want and the step that had the last word, as a person would say it.
///
/// `redis jobs 790 / 100 a replica wants 8, limited to 7 by rate policy 4 pods / 15 s until 12:04:46`
pub fn why(policy: &Policy, evidence: &[Evidence], decision: &Decision, now: Now) -> String {
    let text = Text { policy, evidence, decision, now };
    let end = last_word(decision).and_then(|index| decision.steps.get(index)).and_then(|step| text.sentence(step));
    match (text.wish(), end) {
        (_, Some(Sentence::Whole(whole))) => whole,
        (Some(wish), Some(Sentence::End(end))) => format!("{wish}, {end}"),
        (None, Some(Sentence::End(end))) => end,
        (Some(wish), None) => wish,
        (None, None) => format!("{} replicas", decision.desired),
    }
}

/// What a step says after what the metrics want, or instead of it.
enum Sentence {
    End(String),
    Whole(String),
}

impl Text<'_> {
    /// `redis jobs 790 / 100 a replica wants 8`: the trigger that wants most.
    fn wish(&self) -> Option<String> {
        let wants = |step: &&Step| match step {
            Step::Proposal { replicas, .. } | Step::Substituted { replicas, .. } => Some(*replicas),
            Step::Voted { vote, .. } => vote.replicas(),
            _ => None,
        };
        let most = self.decision.steps.iter().filter(|step| wants(step).is_some()).rev().max_by_key(wants)?;
        if let Step::Substituted { trigger, replicas, .. } = most {
            let name = words::trigger(self.policy, self.evidence, *trigger, None);
            return Some(format!("{name} has no value and falls back to {replicas}"));
        }
        if let Step::Voted { trigger, vote, .. } = most {
            return Some(self.vote(*trigger, *vote));
        }
        let Step::Proposal { trigger, metric, total, target, metric_type, replicas, .. } = most else {
            return None;
        };
        let name = words::trigger(self.policy, self.evidence, *trigger, Some(*metric));
        Some(format!("{name} {} wants {replicas}", words::quotient(*total, *target, *metric_type)))
    }

    fn sentence(&self, step: &Step) -> Option<Sentence> {
        let (desired, rest) = (self.decision.desired, self.policy.resting().unwrap_or(0));
        let whole = match step {
            Step::Paused { at } => at.map_or("paused".to_owned(), |at| format!("paused at {at}")),
            Step::Resting { replicas } => format!("inactive, rests at {replicas}"),
            Step::Entering { replicas } => format!("inactive and the cooldown is over, goes to {replicas}"),
            Step::Cooldown { until, .. } => {
                format!("inactive, kept at {desired} by the cooldown; {rest} from {}", self.time(*until))
            }
            Step::Awaiting | Step::FailureHold { .. } | Step::SettlingHold { .. } => self.held(),
            Step::Bounds { jump: true, min, max, .. } => {
                format!("outside of the bounds {min}..{max}, goes to {desired}")
            }
            _ => return self.end(step).map(Sentence::End),
        };
        Some(Sentence::Whole(whole))
    }

    /// What follows what the metrics want.
    fn end(&self, step: &Step) -> Option<String> {
        let desired = self.decision.desired;
        Some(match step {
            Step::Stabilized { window, until, .. } => {
                format!("held at {desired} by the stabilization window of {window}{}", self.until(*until))
            }
            Step::Rate { policy, until, .. } => {
                let until = self.until(until.map(|(at, _)| at));
                format!("limited to {desired} by rate policy {}{until}", words::rate(*policy))
            }
            Step::LegacyLimit { lowest, until, .. } => {
                let until = self.until(until.map(|(at, _)| at));
                let period = self.policy.settings.sync_period;
                format!(
                    "limited to {desired}{until}: at most twice the lowest count of the last {period} ({lowest}), or 4"
                )
            }
            Step::Bounds { .. } if self.decision.limited_by == Limit::Minimum => {
                format!("raised to {desired} by the minimum")
            }
            Step::Bounds { min, .. } if self.decision.limited_by == Limit::Schedule && desired == *min => {
                format!("raised to {desired} by a schedule")
            }
            Step::Capped { .. } | Step::Bounds { .. } if self.decision.limited_by == Limit::Schedule => {
                format!("limited to {desired} by a schedule")
            }
            Step::Capped { .. } | Step::Bounds { .. } => format!("limited to {desired} by maxReplicaCount"),
            Step::NoUse { useful, .. } => {
                format!("limited to {desired}: the jobs can use {} replicas at most", useful.replicas)
            }
            Step::Vetoed { by, wanted } => {
                let until = match by {
                    Veto::DirectionCooldown { until } => self.until(Some(*until)),
                    _ => String::new(),
                };
                let by = words::veto(self.policy, self.evidence, *by);
                format!("kept at {desired} instead of {wanted} by {by}{until}")
            }
            _ => return None,
        })
    }

    /// Why nothing is lowered, or not yet to rest.
    fn held(&self) -> String {
        let desired = self.decision.desired;
        match self.failed().or_else(|| self.settling()) {
            Some(Step::Failed { trigger, kind, message, .. }) => {
                let name = words::trigger(self.policy, self.evidence, *trigger, None);
                format!("kept at {desired}: {name} has no value ({}: {message})", kind.reason())
            }
            Some(Step::Settling { trigger, message, until, .. }) => {
                let name = words::trigger(self.policy, self.evidence, *trigger, None);
                format!("kept at {desired}: {name} settles, until {} at most ({message})", self.time(*until))
            }
            _ => format!("the cooldown is over, kept at {desired} until every trigger has been read again"),
        }
    }
}
