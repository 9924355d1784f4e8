//! What a run of the operator was told: which objects it looks at, and whether it may act.

use tidegate_calculator::policy;
use tidegate_calculator::time::Span;
use tidegate_engine::READ_DEADLINE;

/// Whether the operator acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It scales, unless another writer is found.
    #[default]
    Auto,
    /// It decides, explains and records, and touches no target.
    Observe,
}

/// The settings of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The namespaces whose objects are scaled (KEDA's `WATCH_NAMESPACE`); empty means all.
    pub namespaces: Vec<String>,
    /// Only ScaledObjects with these labels are scaled (KEDA's `WATCH_LABEL_SELECTOR`); none means all.
    pub label_selector: Option<String>,
    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication stand (KEDA's `KEDA_CLUSTER_OBJECT_NAMESPACE`).
    pub cluster_object_namespace: String,
    /// Where a live KEDA is looked for.
    pub keda_namespace: String,
    /// Whether targets are touched.
    pub mode: Mode,
    /// Where this process runs: its Lease stands there.
    pub own_namespace: String,
    /// Who holds the Lease: unique among all processes.
    pub identity: String,
    /// What the HorizontalPodAutoscaler takes from its controller manager's flags.
    pub calculator: policy::Settings,
    /// How long a source may take to answer (KEDA's `KEDA_HTTP_DEFAULT_TIMEOUT`).
    pub read_deadline: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            label_selector: None,
            cluster_object_namespace: "keda".to_owned(),
            keda_namespace: "keda".to_owned(),
            mode: Mode::Auto,
            own_namespace: "tidegate-system".to_owned(),
            identity: "tidegate".to_owned(),
            calculator: policy::Settings::default(),
            read_deadline: READ_DEADLINE,
        }
    }
}

impl Mode {
    /// The mode's name, as `--mode` takes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Observe => "Observe",
        }
    }
}
