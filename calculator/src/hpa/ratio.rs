//! Ratios of usage to target: whole numbers first, f64 last (hpa-algorithm §2).

use std::collections::BTreeMap;

/// How far a ratio may be from 1 before anything changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Above 1.
    pub up: f64,
    /// Below 1.
    pub down: f64,
}

impl Tolerance {
    /// Whether the ratio changes nothing. Both edges are inside; neither an infinite nor an undefined ratio is.
    pub fn contains(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// A ratio and the two numbers that a status shows beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// The whole percent, over the target.
    pub ratio: f64,
    /// Usage in whole percent of the requests, truncated.
    pub percent: i32,
    /// The mean usage in thousandths, truncated.
    pub average: i64,
}

/// Usage in percent of what was requested, over the pods whose requests are known; none if those requested nothing.
pub fn utilization(usage: &BTreeMap<&str, i64>, requests: &BTreeMap<&str, i64>, target: i32) -> Option<Utilization> {
    let (mut used, mut requested, mut pods) = (0_i128, 0_i128, 0_i128);
    for (pod, value) in usage {
        let Some(request) = requests.get(pod) else { continue };
        used += i128::from(*value);
        requested += i128::from(*request);
        pods += 1;
    }
    if requested == 0 {
        return None;
    }
    let percent = 100 * used / requested;
    let percent = i32::try_from(percent).unwrap_or(if percent < 0 { i32::MIN } else { i32::MAX });
    Some(Utilization { ratio: f64::from(percent) / f64::from(target), percent, average: saturated(used / pods) })
}

/// The truncated mean of the samples over the target, and the mean; nothing is 0 over the target.
pub fn mean(samples: &BTreeMap<&str, i64>, target: i64) -> (f64, i64) {
    let sum: i128 = samples.values().map(|value| i128::from(*value)).sum();
    let count = i128::try_from(samples.len()).unwrap_or(i128::MAX).max(1);
    let mean = saturated(sum / count);
    (as_f64(mean) / as_f64(target), mean)
}

/// What each of so many replicas has of a total, rounded up, as a status shows it.
pub fn per_pod(total: i64, replicas: i32) -> i64 {
    if replicas == 0 {
        return 0;
    }
    if as_f64(total) >= as_f64(i64::MAX) {
        return i64::MAX;
    }
    #[expect(clippy::cast_possible_truncation, reason = "Rust's cast saturates, which is wanted")]
    let each = (as_f64(total) / f64::from(replicas)).ceil() as i64;
    each
}

/// A replica count from a quotient: rounded up, saturating; what is undefined is 0.
#[expect(clippy::cast_possible_truncation, reason = "Rust's cast saturates and takes NaN as 0, which is wanted")]
pub fn rounded_up(quotient: f64) -> i32 {
    quotient.ceil() as i32
}

#[expect(clippy::cast_precision_loss, reason = "the HPA divides i64 thousandths as f64")]
pub(crate) fn as_f64(value: i64) -> f64 {
    value as f64
}

fn saturated(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
