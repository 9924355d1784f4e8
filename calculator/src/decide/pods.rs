//! Stage 6: what a metric of the pods proposes: utilization and averages (hpa-algorithm §5, §6.1, §6.2).

use std::collections::BTreeMap;

use super::draft::Draft;
use super::proposals::{Ground, Proposal, Unusable, tolerance};
use crate::hpa::pods::Pod;
use crate::hpa::proposal::{self, Requested, by_average, by_utilization};
use crate::hpa::ratio::{Tolerance, as_f64};
use crate::hpa::samples::Sample;
use crate::observation::TargetState;
use crate::policy::Policy;
use crate::source::{MetricSpec, MetricType, Milli, PodSamples, ReadErrorKind};
use crate::time::{Span, Tick};

/// The HPA's proposal over the samples that came at `at`.
pub(super) fn propose(
    ground: &Ground<'_>,
    spec: &MetricSpec,
    of: &PodSamples,
    at: Tick,
    draft: &mut Draft,
) -> Result<Proposal, Unusable> {
    let pods: Vec<&Pod> = of.pods.iter().collect();
    let samples: BTreeMap<&str, Sample> = of.samples.iter().map(|value| (value.pod.as_str(), value.sample)).collect();
    let tolerance = tolerance(ground.policy, spec);
    draft.wake(grows_up(ground, of, at));
    let ground = hpa_ground(ground.policy, (ground.target, tolerance), &pods, ground.now - at);
    let (replicas, shown) = match spec.metric_type {
        MetricType::Utilization => {
            let proposal = by_utilization(&ground, &samples, &requested(spec, of)).map_err(|error| unusable(&error))?;
            (proposal.replicas, Milli::units(proposal.shown.percent.into()))
        }
        MetricType::AverageValue => {
            let proposal =
                by_average(&ground, &samples, &of.resource, spec.target.0).map_err(|error| unusable(&error))?;
            (proposal.replicas, Milli(proposal.shown))
        }
        MetricType::Value => return Err(no_value()),
    };
    let within_tolerance = tolerance.contains(as_f64(shown.0) / as_f64(spec.target.0));
    Ok(Proposal { replicas: u32::try_from(replicas).unwrap_or(0), within_tolerance, waits: None, shown: Some(shown) })
}

/// What rules compare of the samples: the percentage of the requests or the average, as it is shown; and for rules that lower, the same
/// with pods without a sample filled in as the HPA does it: busy, or at the target.
pub(super) fn compared(
    policy: &Policy,
    target: TargetState,
    (spec, of): (&MetricSpec, &PodSamples),
    age: Span,
) -> Result<(Milli, Milli), Unusable> {
    let pods: Vec<&Pod> = of.pods.iter().collect();
    let samples: BTreeMap<&str, Sample> = of.samples.iter().map(|value| (value.pod.as_str(), value.sample)).collect();
    let ground = hpa_ground(policy, (target, tolerance(policy, spec)), &pods, age);
    let percent = |percent: i32| Milli::units(percent.into());
    let compared = match spec.metric_type {
        MetricType::Utilization => proposal::utilization_filled(&ground, &samples, &requested(spec, of))
            .map(|(shown, filled)| (percent(shown), percent(filled))),
        MetricType::AverageValue => proposal::average_filled(&ground, &samples, &of.resource, spec.target.0)
            .map(|(shown, filled)| (Milli(shown), Milli(filled))),
        MetricType::Value => return Err(no_value()),
    };
    compared.map_err(|error| unusable(&error))
}

fn hpa_ground<'a>(
    policy: &Policy,
    (target, tolerance): (TargetState, Tolerance),
    pods: &'a [&'a Pod],
    age: Span,
) -> proposal::Ground<'a> {
    proposal::Ground {
        current: i32::try_from(target.replicas).unwrap_or(i32::MAX),
        pods,
        tolerance,
        youth: policy.settings.youth,
        pod_level: true,
        // Their times are told from the moment of the answer.
        now: Tick(age.0),
    }
}

fn requested<'a>(spec: &MetricSpec, of: &'a PodSamples) -> Requested<'a> {
    let target = i32::try_from(spec.target.0 / 1_000).unwrap_or(i32::MAX);
    Requested { resource: &of.resource, container: of.container.as_deref(), target }
}

fn no_value() -> Unusable {
    let allowed =
        "metricType Value is not allowed for a metric of the pods; allowed values are 'Utilization' or 'AverageValue'";
    (ReadErrorKind::Config, allowed.to_owned())
}

/// When the first of the young pods is one no more.
fn grows_up(ground: &Ground<'_>, of: &PodSamples, at: Tick) -> Option<Tick> {
    let ends =
        |pod: &Pod| pod.started.map(|started| at + Span(started.0) + ground.policy.settings.youth.initialization);
    let ends = of.pods.iter().filter(|_| of.resource == "cpu").filter_map(ends);
    ends.filter(|end| *end > ground.now).min()
}

fn unusable(error: &proposal::ProposalError) -> Unusable {
    (ReadErrorKind::Protocol, error.to_string())
}
