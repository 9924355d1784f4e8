//! Flink on the control plane: what is scaled keeps its state.
//!
//! [`operator`] is a Flink Kubernetes Operator that acts by a script, with the definitions of its objects; [`deployment`], with its parts, says
//! what must hold for a FlinkDeployment.

mod deployment;
mod deployment_crash;
mod deployment_failures;
mod deployment_refusals;
mod deployment_zero;
mod operator;
mod operator_definitions;

use libtest_mimic::Trial;

pub(super) fn trials() -> Vec<Trial> {
    [
        deployment_failures::trials(),
        deployment_crash::trials(),
        deployment_zero::trials(),
        deployment::trials(),
        deployment_refusals::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
