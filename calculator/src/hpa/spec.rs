//! What a HorizontalPodAutoscaler asks for, and the settings of its controller manager (hpa-algorithm §1).

use crate::behavior::Behavior;
use crate::hpa::pods::Youth;
use crate::hpa::ratio::Tolerance;
use crate::time::Span;

/// What the legacy limit multiplies the present count with.
pub const SCALE_UP_FACTOR: f64 = 2.0;
/// What the legacy limit allows at least.
pub const SCALE_UP_LEAST: f64 = 4.0;

/// An autoscaler's spec, with every default filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// The API version of what is scaled, such as `apps/v1`.
    pub api_version: String,
    /// The kind of what is scaled.
    pub kind: String,
    /// The name of what is scaled.
    pub name: String,
    /// `minReplicas`; 1 if absent.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// `metrics`; cpu at 80 % of the requests if absent.
    pub metrics: Vec<Metric>,
    /// `behavior`, filled in; none means the legacy limits.
    pub behavior: Option<Behavior>,
    /// `metadata.generation`, which the status then shows; none where the gate HPAGeneration is off.
    pub generation: Option<i64>,
}

/// One entry of `metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// What is read.
    pub source: Source,
    /// What it is compared with.
    pub target: Target,
}

/// What a metric reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A resource of the pods, such as cpu.
    Resource {
        /// The resource.
        name: String,
    },
    /// A resource of one container of the pods.
    ContainerResource {
        /// The resource.
        name: String,
        /// The container.
        container: String,
    },
    /// A metric of every pod.
    Pods {
        /// The metric.
        name: String,
        /// Which of its series, as text.
        selector: Option<String>,
    },
    /// A metric of one other object.
    Object {
        /// The object's API version.
        api_version: String,
        /// The object's kind.
        kind: String,
        /// The object's name.
        object: String,
        /// The metric.
        name: String,
        /// Which of its series, as text.
        selector: Option<String>,
    },
    /// A metric from outside of the cluster.
    External {
        /// The metric.
        name: String,
        /// Which of its series, as text.
        selector: Option<String>,
    },
    /// A type that nobody knows.
    Unknown {
        /// What it is called.
        kind: String,
    },
}

/// `target`: of the fields that are set, each source looks at those that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `type`, as written.
    pub kind: String,
    /// `averageUtilization`, percent of the requests.
    pub utilization: Option<i32>,
    /// `averageValue`, in thousandths.
    pub average: Option<i64>,
    /// `value`, in thousandths.
    pub value: Option<i64>,
}

/// The settings of the controller manager.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `--horizontal-pod-autoscaler-tolerance`, both ways; 0.1.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`; 300 s.
    pub downscale_window: Span,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period` (300 s) and `--...-initial-readiness-delay` (30 s).
    pub youth: Youth,
    /// What the legacy limit multiplies the present count with; 2.
    pub scale_up_factor: f64,
    /// What the legacy limit allows at least; 4.
    pub scale_up_least: f64,
    /// The gate HPAScaleToZero; on from 1.37.
    pub scale_to_zero: bool,
    /// The gate HPAConfigurableTolerance; on from 1.35.
    pub configurable_tolerance: bool,
    /// The gate PodLevelResources; on from 1.34.
    pub pod_level_resources: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            downscale_window: Span::seconds(300),
            youth: Youth::default(),
            scale_up_factor: SCALE_UP_FACTOR,
            scale_up_least: SCALE_UP_LEAST,
            scale_to_zero: true,
            configurable_tolerance: true,
            pod_level_resources: true,
        }
    }
}

impl Spec {
    /// The tolerance of this autoscaler: `behavior.scaleUp/scaleDown.tolerance` where the gate lets them count, else the setting.
    pub fn tolerance(&self, settings: &Settings) -> Tolerance {
        let behavior = self.behavior.as_ref().filter(|_| settings.configurable_tolerance);
        let of = |given: Option<f64>| given.unwrap_or(settings.tolerance);
        Tolerance {
            up: of(behavior.and_then(|behavior| behavior.up.tolerance)),
            down: of(behavior.and_then(|behavior| behavior.down.tolerance)),
        }
    }

    /// Whether a metric is there at zero replicas too.
    pub fn has_metric_without_pods(&self) -> bool {
        self.metrics.iter().any(|metric| matches!(metric.source, Source::Object { .. } | Source::External { .. }))
    }
}

impl Metric {
    /// What the API takes for an absent list: cpu at 80 % of the requests.
    pub fn default_one() -> Self {
        let target = Target { kind: "Utilization".to_owned(), utilization: Some(80), ..Target::default() };
        Self { source: Source::Resource { name: "cpu".to_owned() }, target }
    }
}

impl Source {
    /// The type, as in `metrics[].type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Resource { .. } => "Resource",
            Self::ContainerResource { .. } => "ContainerResource",
            Self::Pods { .. } => "Pods",
            Self::Object { .. } => "Object",
            Self::External { .. } => "External",
            Self::Unknown { kind } => kind,
        }
    }
}
