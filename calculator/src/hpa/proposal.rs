//! The count that one metric proposes (hpa-algorithm §6).

use std::collections::BTreeMap;

use crate::hpa::pods::{Groups, Pod, Youth, group};
use crate::hpa::ratio::{self, Tolerance, Utilization, as_f64, rounded_up};
use crate::hpa::requests::{self, RequestsError};
use crate::hpa::samples::Sample;
use crate::time::Tick;

/// What proposals over pods are made from, besides the samples.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// `scale.spec.replicas`.
    pub current: i32,
    /// The pods that the target's selector matches.
    pub pods: &'a [&'a Pod],
    /// How near to 1 a ratio changes nothing.
    pub tolerance: Tolerance,
    /// How long a young pod's cpu says little.
    pub youth: Youth,
    /// Whether requests of whole pods count.
    pub pod_level: bool,
    /// The moment of the pass.
    pub now: Tick,
}

/// A proposal, and what a status shows of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal<Shown> {
    /// The count.
    pub replicas: i32,
    /// What the status shows.
    pub shown: Shown,
}

/// What the status shows of a utilization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Whole percent of the requests.
    pub percent: i32,
    /// The mean usage in thousandths.
    pub average: i64,
}

/// Why a metric proposes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// The selector matches no pod.
    #[error("no pods returned by selector while calculating replica count")]
    NoPods,
    /// All samples belong to pods that do not count.
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    NoSamples,
    /// The samples belong to pods that nobody knows.
    #[error("no metrics returned matched known pods")]
    UnknownPods,
    /// Requests are missing.
    #[error(transparent)]
    Requests(#[from] RequestsError),
}

impl ProposalError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoPods => "NoPods",
            Self::NoSamples => "NoSamples",
            Self::UnknownPods => "UnknownPods",
            Self::Requests(error) => error.reason(),
        }
    }
}

/// A resource whose usage is compared with what the pods request.
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a> {
    /// The resource, such as `cpu`.
    pub resource: &'a str,
    /// The container that counts; all of them if none.
    pub container: Option<&'a str>,
    /// Percent of the requests; at least 1.
    pub target: i32,
}

/// Utilization of a resource (hpa-algorithm §6.1).
pub fn by_utilization(
    ground: &Ground<'_>,
    samples: &BTreeMap<&str, Sample>,
    of: &Requested<'_>,
) -> Result<Proposal<Used>, ProposalError> {
    let (groups, mut usage) = ground.counted(samples, of.resource)?;
    let requests = requests::of_pods(ground.pods, of.resource, of.container, ground.pod_level)?;
    let target = of.target;
    let ratio_of = |usage: &BTreeMap<&str, i64>| ratio::utilization(usage, &requests, target);
    let Utilization { ratio, percent, average } = ratio_of(&usage).ok_or(ProposalError::UnknownPods)?;
    let shown = Used { percent, average };
    let busy = |pod: &str| busy(requests.get(pod).copied().unwrap_or(0), target);
    let replicas = ground.filled_in(&groups, &mut usage, ratio, busy, |usage| ratio_of(usage).map(|used| used.ratio));
    Ok(Proposal { replicas, shown })
}

/// A pod without a sample while the usage is low is taken for busy: at its request, or at the target if that is more.
fn busy(request: i64, target: i32) -> i64 {
    i64::try_from(i128::from(request) * i128::from(target.max(100)) / 100).unwrap_or(i64::MAX)
}

/// The utilization in whole percent: as a status shows it, and with every pod without a sample taken for busy, as the HPA does before it
/// lowers.
pub fn utilization_filled(
    ground: &Ground<'_>,
    samples: &BTreeMap<&str, Sample>,
    of: &Requested<'_>,
) -> Result<(i32, i32), ProposalError> {
    let (groups, mut usage) = ground.counted(samples, of.resource)?;
    let requests = requests::of_pods(ground.pods, of.resource, of.container, ground.pod_level)?;
    let percent = |usage: &BTreeMap<&str, i64>| {
        ratio::utilization(usage, &requests, of.target).map(|used| used.percent).ok_or(ProposalError::UnknownPods)
    };
    let shown = percent(&usage)?;
    let missing = groups.missing.iter();
    usage.extend(missing.map(|pod| (*pod, busy(requests.get(pod).copied().unwrap_or(0), of.target))));
    Ok((shown, percent(&usage)?))
}

/// The mean over the pods: as a status shows it, and with every pod without a sample at the target, as the HPA does before it lowers.
pub fn average_filled(
    ground: &Ground<'_>,
    samples: &BTreeMap<&str, Sample>,
    resource: &str,
    target: i64,
) -> Result<(i64, i64), ProposalError> {
    let (groups, mut usage) = ground.counted(samples, resource)?;
    let (_, shown) = ratio::mean(&usage, target);
    usage.extend(groups.missing.iter().map(|pod| (*pod, target)));
    Ok((shown, ratio::mean(&usage, target).1))
}

/// The mean over the pods, for resources and for metrics of pods (hpa-algorithm §6.2); `resource` is empty for the latter.
///
/// The status shows the mean in thousandths.
pub fn by_average(
    ground: &Ground<'_>,
    samples: &BTreeMap<&str, Sample>,
    resource: &str,
    target: i64,
) -> Result<Proposal<i64>, ProposalError> {
    let (groups, mut usage) = ground.counted(samples, resource)?;
    let (ratio, average) = ratio::mean(&usage, target);
    let replicas = ground.filled_in(&groups, &mut usage, ratio, |_| target, |usage| Some(ratio::mean(usage, target).0));
    Ok(Proposal { replicas, shown: average })
}

/// The ratio of a total to its target multiplies the ready pods; from 0 the ratio itself is the count (hpa-algorithm §6.3).
///
/// The status shows the total.
pub fn by_value(
    current: i32,
    pods: &[&Pod],
    total: i64,
    target: i64,
    tolerance: Tolerance,
) -> Result<Proposal<i64>, ProposalError> {
    let ratio = as_f64(total) / as_f64(target);
    let replicas = if current == 0 {
        rounded_up(ratio)
    } else if tolerance.contains(ratio) {
        current
    } else if pods.is_empty() {
        return Err(ProposalError::NoPods);
    } else {
        let ready = u32::try_from(pods.iter().filter(|pod| pod.is_ready()).count()).unwrap_or(u32::MAX);
        ratio_of_ready(ratio, ready)
    };
    Ok(Proposal { replicas, shown: total })
}

/// So many times the ready pods.
pub fn ratio_of_ready(ratio: f64, ready: u32) -> i32 {
    rounded_up(ratio * f64::from(ready))
}

/// A total divided over the replicas; within the tolerance `status.replicas` stay (hpa-algorithm §6.4).
///
/// The status shows what each replica has.
pub fn by_average_of_total(existing: i32, total: i64, target: i64, tolerance: Tolerance) -> Proposal<i64> {
    let shown = ratio::per_pod(total, existing);
    let replicas = if is_enough(existing, total, target, tolerance) {
        existing
    } else {
        rounded_up(as_f64(total) / as_f64(target))
    };
    Proposal { replicas, shown }
}

/// Whether the existing replicas have about as much of the total each as they should; none never have.
pub fn is_enough(existing: impl Into<f64>, total: i64, target: i64, tolerance: Tolerance) -> bool {
    tolerance.contains(as_f64(total) / (as_f64(target) * existing.into()))
}

impl<'a> Ground<'a> {
    /// The groups of pods, and the samples of those that count.
    fn counted<'s>(
        &self,
        samples: &BTreeMap<&'s str, Sample>,
        resource: &str,
    ) -> Result<(Groups<'a>, BTreeMap<&'s str, i64>), ProposalError>
    where
        'a: 's,
    {
        if self.pods.is_empty() {
            return Err(ProposalError::NoPods);
        }
        let groups = group(self.pods, samples, resource, self.youth, self.now);
        let counts = |pod: &&str| !groups.ignored.contains(pod) && !groups.unready.contains(pod);
        let usage = samples.iter().filter(|(pod, _)| counts(pod)).map(|(pod, sample)| (*pod, sample.value));
        let usage: BTreeMap<&str, i64> = usage.collect();
        if usage.is_empty() { Err(ProposalError::NoSamples) } else { Ok((groups, usage)) }
    }

    /// The count for a ratio, after pods that said nothing have been filled in with what argues against a change.
    fn filled_in<'s>(
        &self,
        groups: &Groups<'a>,
        usage: &mut BTreeMap<&'s str, i64>,
        ratio: f64,
        busy: impl Fn(&str) -> i64,
        ratio_of: impl Fn(&BTreeMap<&'s str, i64>) -> Option<f64>,
    ) -> i32
    where
        'a: 's,
    {
        let raises = ratio > 1.0;
        let with_unready = raises && !groups.unready.is_empty();
        if !with_unready && groups.missing.is_empty() {
            return if self.tolerance.contains(ratio) { self.current } else { ratio_of_ready(ratio, groups.ready) };
        }
        if raises {
            usage.extend(groups.missing.iter().map(|pod| (*pod, 0)));
        } else if ratio < 1.0 {
            usage.extend(groups.missing.iter().map(|pod| (*pod, busy(pod))));
        }
        if with_unready {
            usage.extend(groups.unready.iter().map(|pod| (*pod, 0)));
        }
        let filled = ratio_of(usage).unwrap_or(ratio);
        let turned = (ratio < 1.0 && filled > 1.0) || (raises && filled < 1.0);
        if self.tolerance.contains(filled) || turned {
            return self.current;
        }
        let replicas = ratio_of_ready(filled, u32::try_from(usage.len()).unwrap_or(u32::MAX));
        let against = (filled < 1.0 && replicas > self.current) || (filled > 1.0 && replicas < self.current);
        if against { self.current } else { replicas }
    }
}
