//! Whether hooks fit the object that names their policy: its target, and its way from zero.

use tidegate_calculator::operation::phase::Direction;
use tidegate_calculator::operation::spec::{Flink, HookSpec, JobSpec, Select, StrategyChoice};
use tidegate_engine::subject::{TargetRef, Trigger};
use tidegate_scalers::kinds;

use super::Placed;

/// The group of the Flink Kubernetes Operator.
const OPERATOR: &str = "flink.apache.org";
/// Its kind that has a number of `TaskManagers`.
const DEPLOYMENT: &str = "FlinkDeployment";

/// What an object says by itself, as far as it matters to its hooks.
#[derive(Clone, Copy, Debug)]
pub(in crate::validation) struct Fit<'a> {
    /// What it scales; none if it does not say.
    pub(in crate::validation) target: Option<&'a TargetRef>,
    /// Whether it rests at zero replicas.
    pub(in crate::validation) zero: bool,
}

/// Why the hook for Flink cannot be for this target; none if it can.
pub(in crate::validation::policies) fn misfit(placed: &Placed, target: &TargetRef) -> Option<String> {
    let flink = placed.item.flink()?;
    let (at, kind) = (format!("{}.flink", placed.at), &*target.kind);
    let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
    if group == OPERATOR && kind != DEPLOYMENT {
        return Some(format!("{at}: is not possible for kind {kind} of {OPERATOR}; {DEPLOYMENT} is"));
    }
    let (deployment, strategy) = (group == OPERATOR, flink.strategy);
    match (deployment, &flink.endpoint) {
        (true, Some(_)) => {
            return Some(format!(
                "{at}: restUrl and service are not possible for a {DEPLOYMENT}, which says itself where it is"
            ));
        }
        (false, None) => return Some(format!("{at}: restUrl or service is required for the target kind {kind}")),
        _ => {}
    }
    match strategy {
        StrategyChoice::FlinkDeployment if !deployment => Some(format!(
            "{at}.strategy: \"FlinkDeployment\" is not possible for the target kind {kind}; Auto, Checkpoint, StopRestore and None are"
        )),
        StrategyChoice::Checkpoint | StrategyChoice::StopRestore if deployment => Some(format!(
            "{at}.strategy: \"{}\" is not possible for a {DEPLOYMENT}, whose job its operator restarts; Auto, FlinkDeployment and None are",
            if strategy == StrategyChoice::Checkpoint { "Checkpoint" } else { "StopRestore" }
        )),
        _ => None,
    }
}

/// Whether a trigger can wake an object from zero whose Flink job was stopped: the job itself says nothing then, and there are no pods.
pub(in crate::validation::policies) fn wakes(trigger: &Trigger) -> bool {
    let (kind, source) = (&*trigger.spec.kind, trigger.spec.metadata.get("source").map(String::as_str));
    kind != "flink" && !kinds::is_of_pods(kind) && !kinds::needs_pods(kind, source)
}

/// The hook for Flink that takes part in going to zero and cannot stop every job, because nothing says how it is run again. While a
/// job is live such an object stays up; without one it needs no hook.
pub(in crate::validation::policies) fn stays_up<'h>(hooks: &'h HookSpec, fit: Fit<'_>) -> Option<&'h str> {
    let (item, flink) = hooks.flink(Direction::ToZero).filter(|_| fit.zero)?;
    let by_operator = fit.target.is_some_and(|target| target.api_version.starts_with(OPERATOR));
    let protects = !by_operator && !matches!(flink.strategy, StrategyChoice::None | StrategyChoice::FlinkDeployment);
    (protects && !runs_all(flink)).then_some(&*item.name)
}

/// Whether the jobs that can be stopped say how they are run, as far as the list tells.
fn runs_all(flink: &Flink) -> bool {
    let says = |job: &JobSpec| job.run.is_some();
    match flink.jobs.select {
        Select::Listed => flink.jobs.list.iter().all(says),
        // Which jobs there are beside those of the list nobody knows before.
        Select::All => flink.jobs.list.iter().any(says) && flink.jobs.list.iter().all(says),
    }
}
