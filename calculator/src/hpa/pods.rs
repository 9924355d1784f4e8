//! Which pods count for a metric: ready, unready, missing or ignored ones (hpa-algorithm §5).

use std::collections::{BTreeMap, BTreeSet};

use crate::hpa::samples::Sample;
use crate::time::{Span, Tick};

/// What the HPA looks at of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it has a deletion timestamp.
    pub deleted: bool,
    /// `status.startTime`, if set.
    pub started: Option<Tick>,
    /// Its Ready condition, if it has one.
    pub ready: Option<Readiness>,
    /// What its containers request.
    pub containers: Vec<Container>,
    /// What its init containers request.
    pub init_containers: Vec<Container>,
    /// What the pod itself requests, by resource, in thousandths.
    pub requests: BTreeMap<String, i64>,
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// At work.
    #[default]
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// A Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Its status; none is `Unknown`.
    pub status: Option<bool>,
    /// When the status changed last.
    pub since: Tick,
}

/// What one container requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it requests, by resource, in thousandths.
    pub requests: BTreeMap<String, i64>,
    /// An init container with `restartPolicy: Always`: it runs beside the others.
    pub restartable: bool,
}

/// How long a young pod's cpu says little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Youth {
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
    pub initialization: Span,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
    pub readiness_delay: Span,
}

impl Default for Youth {
    /// The controller manager's: 300 s and 30 s.
    fn default() -> Self {
        Self { initialization: Span::seconds(300), readiness_delay: Span::seconds(30) }
    }
}

/// The pods of a workload, by what they say about one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups<'a> {
    /// How many count.
    pub ready: u32,
    /// Not ready: their samples are left out.
    pub unready: BTreeSet<&'a str>,
    /// Without a sample.
    pub missing: BTreeSet<&'a str>,
    /// Deleted or ended: their samples are left out.
    pub ignored: BTreeSet<&'a str>,
}

/// Sorts pods into groups. `resource` is empty for metrics that are no resource: only cpu asks for readiness.
pub fn group<'a>(
    pods: &[&'a Pod],
    samples: &BTreeMap<&str, Sample>,
    resource: &str,
    youth: Youth,
    now: Tick,
) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name.as_str();
        if pod.deleted || matches!(pod.phase, Phase::Failed | Phase::Succeeded) {
            groups.ignored.insert(name);
        } else if pod.phase == Phase::Pending {
            groups.unready.insert(name);
        } else if let Some(sample) = samples.get(name) {
            if resource == "cpu" && pod.is_too_young(*sample, youth, now) {
                groups.unready.insert(name);
            } else {
                groups.ready += 1;
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

impl Pod {
    /// Whether a cpu sample of this pod shows its start rather than its work.
    fn is_too_young(&self, sample: Sample, youth: Youth, now: Tick) -> bool {
        let (Some(readiness), Some(started)) = (self.ready, self.started) else {
            return true;
        };
        let is_not_ready = readiness.status == Some(false);
        if started + youth.initialization > now {
            // The sample must show one whole window of being ready.
            return is_not_ready || sample.at < readiness.since + sample.window;
        }
        // Never ready since its start; later changes of readiness do not count.
        is_not_ready && started + youth.readiness_delay > readiness.since
    }

    /// Whether it is Running and Ready, terminating or not.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.ready.is_some_and(|readiness| readiness.status == Some(true))
    }
}
