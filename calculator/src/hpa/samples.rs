//! From what the metrics APIs answer to one sample a pod, or one total (hpa-algorithm §2, §4).

use std::collections::BTreeMap;

use crate::time::{Span, Tick};

/// The value of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// In thousandths.
    pub value: i64,
    /// When it was taken.
    pub at: Tick,
    /// Over which time it was taken.
    pub window: Span,
}

/// What the resource metrics API says of one pod, for one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// The pod's name.
    pub pod: String,
    /// When it was taken.
    pub at: Tick,
    /// Over which time it was taken.
    pub window: Span,
    /// Each reported container and its usage in thousandths; none if the resource is not among what was reported of it.
    pub containers: Vec<(String, Option<i64>)>,
}

/// One value of a pod from the custom metrics API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodValue {
    /// The pod's name.
    pub pod: String,
    /// The value.
    pub sample: Sample,
}

/// One sample a pod: the sum of its containers, or the named one. A pod with a hole has none.
pub fn of_resource<'a>(usages: &'a [PodUsage], container: Option<&str>) -> BTreeMap<&'a str, Sample> {
    let sample = |usage: &'a PodUsage| {
        let value = match container {
            None => usage.whole()?,
            Some(name) => usage.containers.iter().find(|(known, _)| known == name)?.1?,
        };
        Some((usage.pod.as_str(), Sample { value, at: usage.at, window: usage.window }))
    };
    usages.iter().filter_map(sample).collect()
}

/// One sample a pod.
pub fn of_pods(values: &[PodValue]) -> BTreeMap<&str, Sample> {
    values.iter().map(|value| (value.pod.as_str(), value.sample)).collect()
}

impl PodUsage {
    fn whole(&self) -> Option<i64> {
        if self.containers.is_empty() {
            return None;
        }
        self.containers.iter().try_fold(0_i64, |sum, (_, usage)| Some(sum.saturating_add((*usage)?)))
    }
}

/// The total of all series for a Value target: at i64::MAX it stops.
pub fn sum_for_value(series: &[i64]) -> i64 {
    let mut sum = 0_i64;
    for value in series {
        match sum.checked_add(*value) {
            None if *value > 0 => return i64::MAX,
            next => sum = next.unwrap_or(i64::MIN),
        }
    }
    sum
}

/// The total of all series for an AverageValue target: a negative sum on the way is taken for an overflow, also a true one.
pub fn sum_for_average(series: &[i64]) -> i64 {
    let mut sum = 0_i64;
    for value in series {
        sum = sum.wrapping_add(*value);
        if sum < 0 {
            return i64::MAX;
        }
    }
    sum
}
