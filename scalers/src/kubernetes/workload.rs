//! The trigger `kubernetes-workload`: how many pods a label selector matches, or on how many nodes they are.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_calculator::hpa::selector::{Selector, SelectorError};
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, MetricSpec, Occasion, Problem, ReadError, Readings, TriggerSpec, Wake,
};

use super::{readings, within};
use crate::endpoint::{Endpoints, identify};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::{Checked, TriggerType};
use crate::scaler::{Scaler, Watch};
use crate::surroundings::{PodPlace, Surroundings};

const POD_SELECTOR: Parameter = Parameter::new(
    &["podSelector"],
    &[Metadata],
    Kind::Text,
    "Which pods are counted: a label selector such as app=orders,tier in (a,b).",
)
.required();
const VALUE: Parameter = Parameter::new(
    &["value"],
    &[Metadata],
    Kind::Number,
    "How many of those pods one replica takes care of; with metricType Value how many there should be. A number >= 0.001.",
)
.required();
const ACTIVATION_VALUE: Parameter = Parameter::new(
    &["activationValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while the count is greater than this.",
)
.or("0");
const GROUP_BY_NODE: Parameter = Parameter::new(
    &["groupByNode"],
    &[Metadata],
    Kind::Bool,
    "Whether the nodes on which those pods are count instead of the pods.",
)
.or("false");

/// The registry's entry.
pub(crate) const WORKLOAD: TriggerType = TriggerType {
    name: "kubernetes-workload",
    summary: "How many pods of the namespace a label selector matches, or on how many nodes they are.",
    parameters: &[POD_SELECTOR, VALUE, ACTIVATION_VALUE, GROUP_BY_NODE],
    example: "\
- type: kubernetes-workload
  metadata:
    podSelector: app=orders
    value: \"0.5\"
",
    example_metadata: &[("podSelector", "app=orders"), ("value", "0.5")],
    scaler: "kubernetesWorkloadScaler",
    notes: include_str!("notes/workload.md"),
    check,
    open,
};

/// One built trigger.
struct WorkloadScaler {
    id: EndpointId,
    surroundings: Arc<dyn Surroundings>,
    namespace: Arc<str>,
    selector: Selector,
    by_node: bool,
    activation: f64,
    metric: MetricSpec,
    /// What is asked for, in messages.
    what: String,
}

fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let mut errors = Vec::new();
    errors.extend(selector(values).err());
    if values.number(&VALUE).is_some_and(|value| metric::target(value).is_none()) {
        errors.push(values.problem(&VALUE, "is not a number >= 0.001"));
    }
    Checked { errors, warnings: Vec::new(), metrics: metric(spec, values).into_iter().collect() }
}

fn selector(values: &Values) -> Result<Option<Selector>, Problem> {
    let parsed = values.text(&POD_SELECTOR).map(Selector::parse).transpose();
    parsed.map_err(|error| {
        let what = match error {
            SelectorError::Empty => "it is empty".to_owned(),
            SelectorError::Malformed { what, .. } => what,
        };
        values.problem(&POD_SELECTOR, format!("is not a label selector: {what}"))
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let target = metric::target(values.number(&VALUE)?)?;
    Some(metric::metric(spec, &format!("workload-{}", spec.target.namespace), target))
}

fn open(spec: &TriggerSpec, values: &Values, endpoints: &Endpoints) -> Result<Box<dyn Scaler>, ConfigError> {
    let incomplete = || ConfigError::one("metadata", None, "is not complete");
    let namespace = Arc::clone(&spec.target.namespace);
    let matching = values.text(&POD_SELECTOR).unwrap_or_default();
    Ok(Box::new(WorkloadScaler {
        id: identify("pods", &namespace),
        surroundings: Arc::clone(endpoints.surroundings()),
        what: format!("the pods of namespace {namespace} that {matching} matches"),
        namespace,
        selector: selector(values).ok().flatten().ok_or_else(incomplete)?,
        by_node: values.truth(&GROUP_BY_NODE).ok_or_else(incomplete)?,
        activation: values.number(&ACTIVATION_VALUE).ok_or_else(incomplete)?,
        metric: metric(spec, values).ok_or_else(incomplete)?,
    }))
}

impl WorkloadScaler {
    /// A pod for which no node was found yet is on none.
    #[expect(clippy::cast_precision_loss, reason = "there are not so many pods")]
    fn count(&self, pods: &[PodPlace]) -> f64 {
        let nodes = || pods.iter().filter_map(|pod| pod.node.as_deref()).collect::<HashSet<_>>();
        (if self.by_node { nodes().len() } else { pods.len() }) as f64
    }
}

#[async_trait]
impl Scaler for WorkloadScaler {
    fn endpoint(&self) -> Option<EndpointId> {
        Some(self.id)
    }

    async fn read(&self, _: Occasion, deadline: Deadline) -> Result<Readings, ReadError> {
        let pods = self.surroundings.pods_selected(&self.namespace, &self.selector, deadline);
        let pods = within(deadline, &self.what, pods).await?;
        Ok(readings(&self.metric, self.count(&pods), self.activation))
    }

    fn watch(&self, wake: Wake) -> Option<Watch> {
        self.surroundings.follow_pods(&self.namespace, &self.selector, wake)
    }
}
