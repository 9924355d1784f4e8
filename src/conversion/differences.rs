//! Says where a ScaledObject does not do what the HorizontalPodAutoscaler did that it was made of (hpa-algorithm §10).

use super::autoscaler::Autoscaler;
use super::manifest::Manifest;
use super::metrics::Metric;

/// KEDA's cooldown where the object names none, in seconds.
const DEFAULT_COOLDOWN: i64 = tidegate_crds::scaled_object::DEFAULT_COOLDOWN_PERIOD as i64;

/// The sentences about one autoscaler.
pub(super) fn of(autoscaler: &Autoscaler, manifest: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    if autoscaler.metrics_by_default {
        notes.push("Default: without metrics an autoscaler takes cpu at 80 % of the requests.".to_owned());
    }
    let pause = "To switch scaling off, set the annotation autoscaling.keda.sh/paused: \"true\".";
    let back = if autoscaler.min == 0 { "as soon as a metric asks for replicas" } else { "to minReplicaCount" };
    notes.push(format!(
        "Differs: replicas that are set to 0 by hand switch an autoscaler off; here they are raised again {back}. {pause}"
    ));
    if autoscaler.min == 0 {
        let cooldown = manifest.spec.cooldown_period.unwrap_or(DEFAULT_COOLDOWN);
        notes.push(format!(
            "Differs: it goes to 0 in one step once its Object and External metrics have been 0 for {cooldown} s \
             (cooldownPeriod), whatever the policies of behavior are."
        ));
        if !autoscaler.metrics.iter().all(Metric::is_without_pods) {
            notes.push("Differs: its other metrics keep an autoscaler from going to 0; here they do not.".to_owned());
        }
    }
    notes
}
