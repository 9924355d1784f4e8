//! All that one pass of an autoscaler looks at: the target, its pods, what the metrics APIs answer, and how writing ends.

use crate::hpa::pods::Pod;
use crate::hpa::samples::{PodUsage, PodValue};

/// What is seen, and what will become of a write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The target's `/scale`, or why it cannot be read.
    pub scale: ScaleRead,
    /// The pods of the namespace; those that the target's selector matches count.
    pub pods: Vec<Pod>,
    /// The selectors that other autoscalers of the namespace had in their last pass.
    pub others: Vec<Other>,
    /// What was answered for each metric of the spec, in its order; an absent one was not answered.
    pub answers: Vec<Answer>,
    /// What becomes of a write.
    pub write: Write,
}

/// A `/scale`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.replicas`.
    pub existing: i32,
    /// `status.selector`, as text.
    pub selector: String,
}

/// Reading `/scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaleRead {
    /// It was read.
    Read(Scale),
    /// It cannot be read.
    Failed(String),
}

/// Another autoscaler of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Its selector, as text.
    pub selector: String,
}

/// What a metrics API answered for one metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The resource metrics API: every pod that it has something of.
    Resource(Vec<PodUsage>),
    /// The custom metrics API, for the pods.
    Pods(Vec<PodValue>),
    /// The custom metrics API, for one object, in thousandths.
    Object(i64),
    /// The external metrics API: all series, in thousandths.
    External(Vec<i64>),
    /// Nothing, or an error.
    Failed(String),
}

/// What becomes of a write of `/scale`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// How often somebody else's write comes first; each time the same number goes again with the fresh version.
    pub conflicts: u32,
    /// Why it fails, if it does.
    pub error: Option<String>,
}

impl Default for ScaleRead {
    fn default() -> Self {
        Self::Read(Scale::default())
    }
}
