//! Turns the steps of a decision into text, only when somebody asks.

mod rules;
mod why;
mod words;

pub use why::why;

use crate::decision::{Decision, Limit, Step, Veto};
use crate::observation::Evidence;
use crate::policy::Policy;
use crate::time::{Now, Tick};

/// The lines that explain one decision, without the heading: one a step, aligned in columns.
///
/// `evidence` is what the triggers said last; it only lends the metrics' names to triggers without a name. `now` is the moment of
/// asking: ages are counted from it, and times are its wall time in UTC.
///
/// ```text
///  redis jobs   backlog 790 / 100 a replica   -> 8    read 0.4 s ago
///  bounds       1..10                         -> 8
///  rate policy  4 pods / 15 s                 -> 7    LIMITED HERE; 8 from 12:04:46
/// ```
pub fn lines(policy: &Policy, evidence: &[Evidence], decision: &Decision, now: Now) -> Vec<String> {
    let text = Text { policy, evidence, decision, now };
    let mut rows: Vec<Row> = decision.steps.iter().map(|step| text.row(step)).collect();
    if let Some(row) = last_word(decision).and_then(|index| rows.get_mut(index)) {
        row.note = if row.note.is_empty() { LIMITED.to_owned() } else { format!("{LIMITED}; {}", row.note) };
    }
    let widest = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (label, detail, result) =
        (widest(|row| &row.label) + 2, widest(|row| &row.detail) + 3, widest(|row| &row.result) + 4);
    let line = |row: &Row| {
        let line = format!(" {:label$}{:detail$}{:result$}{}", row.label, row.detail, row.result, row.note);
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What marks the step that had the last word.
const LIMITED: &str = "LIMITED HERE";

/// The last step of the kind that the decision says had the last word; none if it was the metrics.
fn last_word(decision: &Decision) -> Option<usize> {
    let limit = decision.limited_by;
    decision.steps.iter().rposition(|step| match step {
        Step::Paused { .. } | Step::Vetoed { by: Veto::PausedScaleIn | Veto::PausedScaleOut, .. } => {
            limit == Limit::Paused
        }
        Step::Vetoed { by: Veto::PolicyMissing, .. } => limit == Limit::PolicyMissing,
        Step::Vetoed { by: Veto::PolicyInvalid, .. } => limit == Limit::PolicyInvalid,
        Step::Vetoed { by: Veto::Gate { .. }, .. } => limit == Limit::Gate,
        Step::Vetoed { by: Veto::DirectionCooldown { .. }, .. } => limit == Limit::DirectionCooldown,
        Step::Cooldown { .. } => limit == Limit::Cooldown,
        Step::Awaiting => matches!(limit, Limit::Cooldown | Limit::FailedTrigger | Limit::Settling),
        Step::SettlingHold { .. } => limit == Limit::Settling,
        Step::FailureHold { .. } | Step::Vetoed { by: Veto::OnError { .. }, .. } => limit == Limit::FailedTrigger,
        Step::Resting { .. } | Step::Entering { .. } => limit == Limit::Idle,
        Step::Stabilized { .. } => limit == Limit::Stabilization,
        Step::Rate { .. } | Step::LegacyLimit { .. } => matches!(limit, Limit::ScaleUpRate | Limit::ScaleDownRate),
        Step::Bounds { min, max, replicas, .. } => {
            matches!(limit, Limit::Minimum | Limit::Maximum | Limit::Schedule) && (replicas == min || replicas == max)
        }
        Step::Capped { .. } => matches!(limit, Limit::Maximum | Limit::Schedule),
        Step::NoUse { .. } => limit == Limit::MaxParallelism,
        Step::Proposal { .. }
        | Step::Failed { .. }
        | Step::Settling { .. }
        | Step::Substituted { .. }
        | Step::FallbackWaits { .. }
        | Step::Forced
        | Step::Schedule { .. }
        | Step::Rule { .. }
        | Step::StepsLost { .. }
        | Step::Voted { .. }
        | Step::Bounces { .. }
        | Step::OnError { .. }
        | Step::Gate { .. }
        | Step::Leaving { .. } => false,
    })
}

/// One line in columns.
#[derive(Default)]
struct Row {
    label: String,
    detail: String,
    result: String,
    note: String,
}

struct Text<'a> {
    policy: &'a Policy,
    evidence: &'a [Evidence],
    decision: &'a Decision,
    now: Now,
}

impl Text<'_> {
    fn row(&self, step: &Step) -> Row {
        let desired = self.decision.desired;
        match step {
            Step::Proposal { .. } | Step::Failed { .. } | Step::Settling { .. } | Step::Substituted { .. } => {
                self.trigger_row(step)
            }
            Step::FallbackWaits { until, .. } => {
                let then = self.policy.fallback.map(|fallback| fallback.behavior.name()).unwrap_or_default();
                row("fallback", then, None, &format!("acts from {}", self.time(*until)))
            }
            Step::Paused { at: Some(at) } => row("pause", "paused-replicas", Some(*at), ""),
            Step::Paused { at: None } => row("pause", "paused", Some(desired), ""),
            Step::Forced => row("activity", "force-activation", None, "counts as active"),
            Step::Leaving { replicas } => row("activity", "active, gets to work", Some(*replicas), ""),
            Step::Resting { replicas } => row("rest", "inactive", Some(*replicas), ""),
            Step::Entering { replicas } => row("rest", "inactive, the cooldown is over", Some(*replicas), ""),
            Step::Cooldown { .. } | Step::Awaiting => self.cooldown_row(step),
            Step::FailureHold { failed, proposal } => {
                let held = format!("{failed} without a value, nothing is lowered");
                row("failed", &held, Some(desired), &others(*proposal))
            }
            Step::SettlingHold { settling, proposal } => {
                let held = format!("{settling} without a value yet, nothing is lowered");
                row("settling", &held, Some(desired), &others(*proposal))
            }
            Step::Stabilized { window, replicas, until } => {
                let until = until.map_or(String::new(), |until| format!("until {}", self.time(until)));
                row("stabilization", &format!("window {window}"), Some(*replicas), &until)
            }
            Step::Rate { policy, replicas, until, .. } => {
                row("rate policy", &words::rate(*policy), Some(*replicas), &self.from(*until))
            }
            Step::LegacyLimit { lowest, replicas, until, .. } => {
                let limit = format!("twice {lowest}, or 4, in {}", self.policy.settings.sync_period);
                row("rate limit", &limit, Some(*replicas), &self.from(*until))
            }
            Step::Bounds { min, max, replicas, .. } => row("bounds", &format!("{min}..{max}"), Some(*replicas), ""),
            Step::NoUse { wanted, replicas, useful } => {
                let detail = format!("{} slots of use, {} a replica", useful.slots, useful.slots_per);
                row("max parallelism", &detail, Some(*replicas), &format!("wanted {wanted}"))
            }
            Step::Vetoed { by, wanted } => {
                let until = match by {
                    Veto::DirectionCooldown { until } => self.until(Some(*until)),
                    _ => String::new(),
                };
                let by = words::veto(self.policy, self.evidence, *by);
                row("veto", &by, Some(desired), &format!("wanted {wanted}{until}"))
            }
            _ => self.rule_row(step),
        }
    }

    fn trigger_row(&self, step: &Step) -> Row {
        match step {
            Step::Proposal { trigger, metric, total, target, metric_type, replicas, at, .. } => {
                let mut note = format!("read {} ago", at.age(self.now.tick));
                note.push_str(&self.remarks(step));
                let noun = words::noun(*metric_type, self.is_of_pods(*trigger));
                let detail = format!("{noun} {}", words::quotient(*total, *target, *metric_type));
                row(
                    &words::trigger(self.policy, self.evidence, *trigger, Some(*metric)),
                    &detail,
                    Some(*replicas),
                    &note,
                )
            }
            Step::Failed { trigger, kind, message, since } => {
                let label = words::trigger(self.policy, self.evidence, *trigger, None);
                let note = format!("since {}: {message}", self.time(*since));
                row(&label, &format!("no value ({})", kind.reason()), None, &note)
            }
            Step::Settling { trigger, message, since, until } => {
                let label = words::trigger(self.policy, self.evidence, *trigger, None);
                let note = format!("since {}, fails from {}: {message}", self.time(*since), self.time(*until));
                row(&label, "settling", None, &note)
            }
            Step::Substituted { trigger, replicas, kind, message, since } => {
                let label = words::trigger(self.policy, self.evidence, *trigger, None);
                let note = format!("since {}: {message}", self.time(*since));
                row(&label, &format!("no value ({}), falls back", kind.reason()), Some(*replicas), &note)
            }
            _ => Row::default(),
        }
    }

    fn cooldown_row(&self, step: &Step) -> Row {
        let rest = self.policy.resting().unwrap_or(0);
        match step {
            Step::Cooldown { last_active: Some(at), until } => {
                let detail = format!("{} from the last activity {}", self.policy.cooldown, self.time(*at));
                row("cooldown", &detail, None, &format!("{rest} from {}", self.time(*until)))
            }
            Step::Cooldown { last_active: None, until } => {
                let detail = format!("{} from the creation, never active", self.policy.initial_cooldown);
                row("cooldown", &detail, None, &format!("{rest} from {}", self.time(*until)))
            }
            _ if self.failed().is_some() => {
                row("cooldown", "over, but a trigger has no value", None, &format!("{rest} once all have one"))
            }
            _ if self.settling().is_some() => {
                row("cooldown", "over, but a trigger settles", None, &format!("{rest} once all have a value"))
            }
            _ => row("cooldown", "over, awaits readings begun since", None, &format!("{rest} once they are there")),
        }
    }

    fn remarks(&self, step: &Step) -> String {
        let Step::Proposal { trigger, within_tolerance, exact, waits, active, .. } = step else {
            return String::new();
        };
        let mut remarks = String::new();
        match (*within_tolerance, *exact) {
            (true, false) => remarks.push_str(", within tolerance"),
            (_, true) => remarks.push_str(", no tolerance"),
            (false, false) => {}
        }
        if let Some(end) = waits {
            remarks.push_str(", waits for the last change until ");
            remarks.push_str(&self.time(*end));
        }
        // What pods use makes no object active, also where it asks for more of them.
        if !active && !self.is_of_pods(*trigger) {
            remarks.push_str(", inactive");
        }
        remarks
    }

    fn is_of_pods(&self, trigger: u8) -> bool {
        self.policy.triggers.get(usize::from(trigger)).is_some_and(|of| of.resource_like)
    }

    fn failed(&self) -> Option<&Step> {
        self.decision.steps.iter().find(|step| matches!(step, Step::Failed { .. }))
    }

    fn settling(&self) -> Option<&Step> {
        self.decision.steps.iter().find(|step| matches!(step, Step::Settling { .. }))
    }

    fn from(&self, until: Option<(Tick, u32)>) -> String {
        until.map_or(String::new(), |(at, then)| format!("{then} from {}", self.time(at)))
    }

    fn until(&self, until: Option<Tick>) -> String {
        until.map_or(String::new(), |until| format!(" until {}", self.time(until)))
    }

    fn time(&self, at: Tick) -> String {
        words::time(at, self.now)
    }
}

fn others(proposal: Option<u32>) -> String {
    proposal.map_or(String::new(), |wanted| format!("the others want {wanted}"))
}

fn row(label: &str, detail: &str, replicas: Option<u32>, note: &str) -> Row {
    let result = replicas.map_or(String::new(), |replicas| format!("-> {replicas}"));
    Row { label: label.to_owned(), detail: detail.to_owned(), result, note: note.to_owned() }
}
