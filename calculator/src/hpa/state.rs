//! What an autoscaler knows from pass to pass: its status, which is stored, and its lists, which live in the controller's memory.

use crate::hpa::conditions::Conditions;
use crate::hpa::history::{Recommended, Scaled};
use crate::hpa::quantity::Quantity;
use crate::hpa::spec::Source;
use crate::time::Tick;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What the last pass left in the object.
    pub status: Status,
    /// What was recommended lately; none if there is no history at all, as after a start of the controller.
    pub recommendations: Option<Vec<Recommended>>,
    /// Replicas added lately; only with `behavior`.
    pub ups: Vec<Scaled>,
    /// Replicas removed lately; only with `behavior`.
    pub downs: Vec<Scaled>,
}

/// The stored status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// `observedGeneration`.
    pub observed_generation: Option<i64>,
    /// `currentReplicas`: what was found.
    pub current: i32,
    /// `desiredReplicas`: what was wanted.
    pub desired: i32,
    /// `lastScaleTime`.
    pub last_scale: Option<Tick>,
    /// `currentMetrics`, one for every metric of the spec; none for one that failed.
    pub metrics: Vec<Option<MetricStatus>>,
    /// `conditions`.
    pub conditions: Conditions,
}

/// What a status shows of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricStatus {
    /// The metric.
    pub source: Source,
    /// `averageUtilization`, percent of the requests.
    pub utilization: Option<i32>,
    /// `averageValue`.
    pub average: Option<Quantity>,
    /// `value`.
    pub value: Option<Quantity>,
}
