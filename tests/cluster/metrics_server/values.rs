//! What a scenario says about the metrics of a namespace: a rule for each, from which every answer is made anew.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// A metric, by the API that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// metrics.k8s.io: what this container of each pod uses of a resource.
    Usage { container: &'static str, resource: &'static str },
    /// custom.metrics.k8s.io: one value a pod.
    Pods(&'static str),
    /// custom.metrics.k8s.io: one value of an object that is called like an application.
    Object(&'static str),
    /// external.metrics.k8s.io: one series for each application, with the label `app`.
    External(&'static str),
}

/// What a metric says. Numbers are thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Every pod shows this.
    Each(i64),
    /// Every pod shows this, but for so many of each application's oldest ones: of those nothing is known.
    EachBut(usize, i64),
    /// Every pod shows this, as the average of so many seconds.
    EachOver(u32, i64),
    /// Work that is divided among an application's pods: each of them, the object, or the application's series shows its part.
    Shared(i64),
    /// The object, or every application's series, shows this.
    Whole(i64),
    /// Whoever asks gets an error.
    Failing,
}

impl Rule {
    /// What one of an application's pods shows; `rank` is its place among those that run, by age, and `running` their number.
    pub(super) fn of_pod(self, rank: usize, running: usize) -> Option<i64> {
        match self {
            Self::Each(value) | Self::EachOver(_, value) => Some(value),
            Self::EachBut(missing, value) => (rank >= missing).then_some(value),
            Self::Shared(total) => Some(part(total, running)),
            Self::Whole(_) | Self::Failing => None,
        }
    }

    /// Over how many seconds each value was taken: at one moment, if nothing else is said, so that a pod counts once it is ready.
    pub(super) fn window(self) -> u32 {
        if let Self::EachOver(window, _) = self { window } else { 0 }
    }

    /// What an application shows as a whole, when so many of its pods are ready.
    pub(super) fn of_application(self, ready: usize) -> Option<i64> {
        match self {
            Self::Shared(total) => Some(part(total, ready)),
            Self::Whole(value) => Some(value),
            Self::Each(_) | Self::EachOver(..) | Self::EachBut(..) | Self::Failing => None,
        }
    }
}

/// One part of so many; all of it if there is nobody to share it.
fn part(total: i64, count: usize) -> i64 {
    total / i64::try_from(count.max(1)).unwrap()
}

/// Whether a pod's containers run, and are to go on.
pub(super) fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
}

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    runs(pod) && conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// The application of a pod: its label `app`.
pub(super) fn application(pod: &Pod) -> &str {
    pod.labels().get("app").map_or("", String::as_str)
}

/// By age; by name where the age is the same.
pub(crate) fn by_age(pod: &Pod) -> (Option<jiff::Timestamp>, String) {
    (pod.creation_timestamp().map(|time| time.0), pod.name_any())
}
