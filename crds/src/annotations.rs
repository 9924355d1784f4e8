//! The annotations that users put on a `ScaledObject` or a `ScaledJob`, and how their values read.
//!
//! KEDA reads its switches with Go's `strconv.ParseBool` and takes what does not parse as *true*: a typing error then
//! pauses an object, and never lets one scale that should rest. We do the same.

use std::collections::BTreeMap;

/// Switch: the object is not scaled at all. A `ScaledJob` has only this one; its running jobs go on.
pub const PAUSED: &str = "autoscaling.keda.sh/paused";
/// The target is set to this number (a whole number, int32) and left there. Its presence pauses, whatever [`PAUSED`] says.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// Switch: no lowering of replicas, also not to zero or to the idle count.
pub const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";
/// Switch: no raising of replicas, also not from zero or from the idle count.
pub const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";
/// Switch: the object counts as active whatever its triggers say.
pub const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";
/// The text `true` lets the object take over the `HorizontalPodAutoscaler` that it names.
pub const TRANSFER_HPA_OWNERSHIP: &str = "scaledobject.keda.sh/transfer-hpa-ownership";
/// Read on a `HorizontalPodAutoscaler`: the text `false` takes it out of the search for a second autoscaler.
pub const HPA_OWNERSHIP_VALIDATION: &str = "validations.keda.sh/hpa-ownership";
/// Comma list of the object's labels that KEDA does not copy to its `HorizontalPodAutoscaler`. Without effect here.
pub const HPA_EXCLUDED_LABELS: &str = "scaledobject.keda.sh/hpa-excluded-labels";
/// Comma list of a `ScaledJob`'s labels that are not copied to its jobs.
pub const JOB_EXCLUDED_LABELS: &str = "scaledjob.keda.sh/job-excluded-labels";
/// Names the `ScalingPolicy` objects (comma list) that add to what a `ScaledObject` says.
pub const POLICIES: &str = "tidegate.dev/policies";

/// Switch: an object that is being deleted goes at once, although its operation has not ended or a job that it stopped does not run.
pub const ABANDON: &str = "tidegate.dev/abandon";

/// Whether the switch `name` is on: absent is off, and what is no Go boolean counts as on.
///
/// ```
/// use std::collections::BTreeMap;
/// use tidegate_crds::annotations::{PAUSED, switch};
///
/// let annotations = BTreeMap::from([(PAUSED.to_owned(), "yes".to_owned())]);
/// assert!(switch(Some(&annotations), PAUSED));
/// assert!(!switch(None, PAUSED));
/// ```
pub fn switch(annotations: Option<&BTreeMap<String, String>>, name: &str) -> bool {
    annotations.and_then(|all| all.get(name)).is_some_and(|value| go_bool(value).unwrap_or(true))
}

/// Reads a boolean as Go's `strconv.ParseBool` does; none if `text` is not one of its twelve spellings.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twelve_spellings_of_go_are_read_and_nothing_else() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(go_bool(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(go_bool(text), Some(false), "{text}");
        }
        for text in ["", " true", "yes", "tRUE", "2", "false\n"] {
            assert_eq!(go_bool(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_switch_that_does_not_parse_is_on() {
        let one = |value: &str| BTreeMap::from([(PAUSED.to_owned(), value.to_owned())]);
        assert!(switch(Some(&one("")), PAUSED));
        assert!(switch(Some(&one("no")), PAUSED));
        assert!(!switch(Some(&one("false")), PAUSED));
        assert!(!switch(Some(&one("true")), PAUSED_SCALE_IN));
    }
}
