//! Whether an object has a count to scale to, as autoscaling/v2 says it: ScalingActive of the ScaleRecord, HPAActive of the ScaledObject.

use tidegate_calculator::decision::Health;
use tidegate_engine::protocol::Entry;
use tidegate_engine::snapshot::Phase;

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";

/// How the text about a failing trigger begins.
pub(in crate::kubernetes) const TRIGGER: &str = "triggers[";

/// The HPA's reasons for a metric that cannot be used, by trigger type; any other type is an external metric to it.
const FAILED: [(&str, &str); 4] = [
    ("cpu", "FailedGetResourceMetric"),
    ("memory", "FailedGetResourceMetric"),
    ("pods-metric", "FailedGetPodsMetric"),
    ("object-metric", "FailedGetObjectMetric"),
];

/// Status, reason and message of one condition.
pub(in crate::kubernetes) type Said = (&'static str, &'static str, String);

/// The condition ScalingActive: whether there is a count to scale to.
pub(in crate::kubernetes) fn active(entry: &Entry) -> Said {
    let told = |status, reason, message: &str| (status, reason, message.to_owned());
    match (&entry.phase, entry.health) {
        (Phase::Paused, _) => told(FALSE, "ScalingDisabled", "an annotation pauses the object"),
        (Phase::Refused(_), _) => told(FALSE, "Refused", "nothing is decided until the object is mended"),
        (Phase::Quarantined(_), _) => told(FALSE, "Quarantined", "nothing is decided until the object changes"),
        (Phase::TargetFailed(_), _) => told(UNKNOWN, "TargetFailed", "nothing is decided while the target is unknown"),
        (Phase::Starting | Phase::Running | Phase::Held(_), None) => {
            told(UNKNOWN, "Starting", "the triggers have not been read yet")
        }
        (_, Some(Health::Good)) if !entry.fallbacks.is_empty() => {
            (TRUE, "ValidMetricFound", format!("the fallback stands for {}", substituted(entry)))
        }
        (_, Some(Health::Good)) => told(TRUE, "ValidMetricFound", "all triggers give values"),
        (_, Some(Health::Partial)) => {
            (TRUE, "ValidMetricFound", format!("some triggers give values; {}", trouble(entry)))
        }
        (_, Some(Health::Failing)) => {
            let message = format!("no trigger that gives a value is active; {}", trouble(entry));
            (FALSE, failed(entry), message)
        }
    }
}

/// The HPA's reason for what the first failing trigger lacks.
fn failed(entry: &Entry) -> &'static str {
    let of = entry.failing.as_ref().map(|failing| failing.of.as_str());
    FAILED.iter().find(|(kind, _)| Some(*kind) == of).map_or("FailedGetExternalMetric", |(_, reason)| reason)
}

/// The first failing trigger and the class of its failure: `triggers[1] (TriggerTimeout) cannot be read`. The text of the failure is not
/// here, because it may change with every read.
pub(in crate::kubernetes) fn trouble(entry: &Entry) -> String {
    match &entry.failing {
        Some(failing) => format!("{TRIGGER}{}] ({}) cannot be read", failing.index, failing.kind.reason()),
        None => "a trigger gives a value that cannot be used".to_owned(),
    }
}

/// `triggers[0], triggers[2]`: those that a fallback stands for.
fn substituted(entry: &Entry) -> String {
    let names: Vec<String> = entry.fallbacks.iter().map(|trigger| format!("{TRIGGER}{trigger}]")).collect();
    names.join(", ")
}
