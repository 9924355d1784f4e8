//! The reasons that an autoscaler's conditions and events give, and what each says.

use std::fmt;

/// A reason of a condition or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "hpa-algorithm §9 says when each is given; `message` says what it means")]
pub enum Word {
    SucceededGetScale,
    FailedGetScale,
    ReadyForNewScale,
    ScaleUpStabilized,
    ScaleDownStabilized,
    SucceededRescale,
    FailedUpdateScale,
    ValidMetricFound,
    ScalingDisabled,
    InvalidSelector,
    AmbiguousSelector,
    FailedGetResourceMetric,
    FailedGetContainerResourceMetric,
    FailedGetPodsMetric,
    FailedGetObjectMetric,
    FailedGetExternalMetric,
    InvalidMetricSourceType,
    DesiredWithinRange,
    TooFewReplicas,
    TooManyReplicas,
    ScaleUpLimit,
    ScaleDownLimit,
    ScaledToZero,
    NotScaledToZero,
    SelectorRequired,
    FailedComputeMetricsReplicas,
    FailedRescale,
    SuccessfulRescale,
}

impl Word {
    /// The stable reason.
    pub fn reason(self) -> String {
        format!("{self:?}")
    }

    /// What a condition of this reason says, where it is the same every time.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::SucceededGetScale => "the HPA controller was able to get the target's current scale",
            Self::ReadyForNewScale => "recommended size matches current size",
            Self::ScaleUpStabilized => {
                "recent recommendations were lower than current one, applying the lowest recent recommendation"
            }
            Self::ScaleDownStabilized => {
                "recent recommendations were higher than current one, applying the highest recent recommendation"
            }
            Self::ScalingDisabled => "scaling is disabled since the replica count of the target is zero",
            Self::DesiredWithinRange => "the desired count is within the acceptable range",
            Self::TooFewReplicas => "the desired replica count is less than the minimum replica count",
            Self::TooManyReplicas => "the desired replica count is more than the maximum replica count",
            Self::ScaleUpLimit => "the desired replica count is increasing faster than the maximum scale rate",
            Self::ScaleDownLimit => "the desired replica count is decreasing faster than the maximum scale rate",
            Self::ScaledToZero => "the HPA controller scaled the target to zero replicas",
            Self::NotScaledToZero => "the HPA controller did not scale the target to zero replicas",
            _ => "",
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
