//! Operations of the real operator on a real control plane: what happens to a Flink whose TaskManagers are pods.
//!
//! * With a real Flink ([`fleet`]: its TaskManagers are the pods of a Deployment): `real_*`. [`real_records`] counts what its job leaves behind,
//!   [`real_operations`] follows what is stored of operations.
//! * With a JobManager that acts by a script ([`scripted`]), which sees every rule kept, at every moment at which the operator may die:
//!   [`crashes`], `failing*`.
//! * With a Flink Kubernetes Operator that acts by a script ([`operator`]): `deployment*`.

mod crashes;
mod deployment;
mod deployment_by_hand;
mod deployment_crash;
mod deployment_failures;
mod deployment_refusals;
mod deployment_suspended;
mod deployment_zero;
mod failing;
mod failing_credentials;
mod failing_finalizer;
mod fleet;
mod operator;
mod operator_definitions;
mod real_available;
mod real_checkpoint;
mod real_crash;
mod real_figures;
mod real_load;
mod real_operations;
mod real_proxy;
mod real_records;
mod real_restore;
mod scripted;
mod scripted_answers;
mod scripted_gate;
mod scripted_job;
mod scripted_stage;
mod scripted_wire;
mod scripted_world;

use libtest_mimic::Trial;

use crate::flink::server::{NEWEST, missing};
use crate::harness::under_ci;

/// After so many other scenarios comes one with a real Flink.
const APART: usize = 7;

/// Scenarios that need no turn among those with a real Flink, the longest first.
pub(super) fn trials() -> Vec<Trial> {
    [
        crashes::trials(),
        deployment_failures::trials(),
        failing::trials(),
        failing_finalizer::trials(),
        failing_credentials::trials(),
        deployment_crash::trials(),
        deployment_suspended::trials(),
        deployment_zero::trials(),
        deployment_by_hand::trials(),
        deployment::trials(),
        deployment_refusals::trials(),
        real_figures::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Puts the scenarios with a real Flink among others, not side by side: two of them run at a time ([`fleet`]), and one that waits for its turn
/// takes the place of another scenario.
pub(super) fn among(others: Vec<Trial>) -> Vec<Trial> {
    let real = [
        real_restore::trials(),
        real_crash::trials(),
        real_checkpoint::trials(),
        real_load::trials(),
        real_available::trials(),
    ];
    let mut real = real.into_iter().flatten();
    let mut all: Vec<Trial> = real.next().into_iter().collect();
    for (index, other) in others.into_iter().enumerate() {
        all.push(other);
        if index % APART == APART - 1 {
            all.extend(real.next());
        }
    }
    all.extend(real);
    all
}

/// A scenario that needs the control plane and a real Flink of the newest version.
fn trial_with_flink(name: &'static str, scenario: fn()) -> Trial {
    trial_with(name, NEWEST, scenario)
}

/// A scenario that needs the control plane and a real Flink of a version.
fn trial_with(name: &'static str, version: &str, scenario: fn()) -> Trial {
    let Some(what) = missing(version) else { return super::trial(name, scenario) };
    Trial::test(format!("cluster::{name}"), move || {
        if under_ci() {
            return Err(format!("missing: {what}").into());
        }
        println!("skipped: cluster::{name} needs {what}");
        Ok(())
    })
}
