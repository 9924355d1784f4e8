//! Inverse triggers: less of the metric wants more replicas, so the ratio is target / value, and a value of 0 is no data.

use crate::hpa::ratio::as_f64;
use crate::policy::Policy;
use crate::rules::Direction;
use crate::source::{Measured, MetricSpec, Milli, Reading};

/// What is said of a trigger whose value is 0.
pub(super) const NO_DATA: &str =
    "the value is 0, which is no data for a trigger with direction Inverse: target / value has no meaning";

/// Whether a trigger is inverse.
pub(super) fn is_inverse(policy: &Policy, trigger: usize) -> bool {
    policy.rules.of(trigger).direction == Direction::Inverse
}

/// Whether these readings of the trigger say nothing. Negative values count as 0.
pub(super) fn lacks(policy: &Policy, trigger: usize, readings: &[(MetricSpec, Reading)]) -> bool {
    let zero = |reading: &Reading| match &reading.value {
        Measured::Total(_) => reading.value.total().0 <= 0,
        // What pods show is averaged later, and may lack for other reasons.
        Measured::PerPod(samples) => !samples.samples.is_empty() && reading.value.total().0 <= 0,
    };
    is_inverse(policy, trigger) && readings.iter().any(|(_, reading)| zero(reading))
}

/// What multiplies the replicas.
pub(super) fn ratio(value: Milli, target: Milli) -> f64 {
    as_f64(target.0) / as_f64(value.0)
}
