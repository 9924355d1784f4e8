//! `flink` of a hook: where the cluster is, and how its state is kept.

use serde_json::Value;
use tidegate_calculator::operation::spec::{
    CheckpointOptions, CheckpointType, ClaimMode, DeploymentZero, Flink, FlinkDeploymentOptions, FlinkEndpoint,
    LastState, Order, SavepointFormat, SavepointOptions, StrategyChoice, VerifyCheckpoint, VerifyOptions,
};
use tidegate_calculator::time::Span;

use super::super::super::findings::{Findings, shown};
use super::super::super::metadata::is_subdomain;
use super::super::fields::{LONGEST, duration, is_given, text};
use super::{SHORTEST, count, http, jobs, references, truth};
use crate::manifests::path;

/// Where the REST API of a `JobManager` listens if nothing else is said.
const PORT: u16 = 8081;
/// The most slots of a `TaskManager`.
const MOST_SLOTS: u32 = 1000;

/// Reads the block. Only of use when no error was found.
pub(super) fn read(block: &Value, here: &str, findings: &mut Findings) -> Flink {
    let strategy = match text(block, "strategy") {
        Some("Checkpoint") => StrategyChoice::Checkpoint,
        Some("StopRestore") => StrategyChoice::StopRestore,
        Some("FlinkDeployment") => StrategyChoice::FlinkDeployment,
        Some("None") => StrategyChoice::None,
        _ => StrategyChoice::Auto,
    };
    Flink {
        endpoint: endpoint(block, here, findings),
        authentication_ref: references::read(block, here, findings),
        strategy,
        jobs: jobs::read(block, strategy, here, findings),
        slots_per_task_manager: slots(block, here, findings),
        checkpoint: checkpoint(block, here, findings),
        savepoint: savepoint(block, here, findings),
        flink_deployment: deployment(block),
        verify: verify(block, here, findings),
    }
}

fn endpoint(block: &Value, here: &str, findings: &mut Findings) -> Option<FlinkEndpoint> {
    let address = http::base(block, "restUrl", here, findings);
    if is_given(block, "restUrl") && is_given(block, "service") {
        findings.refuse(path::child(here, "service"), None, "is not possible together with restUrl");
    }
    if is_given(block, "restUrl") {
        return Some(FlinkEndpoint::RestUrl(address?));
    }
    let service = block.get("service").filter(|service| service.is_object())?;
    let name = text(service, "name")?;
    if name.contains('.') || !is_subdomain(name) {
        let place = path::child(&path::child(here, "service"), "name");
        findings.refuse(place, Some(shown(&name.into())), "is not the name of a Service of the object's namespace");
    }
    let port = count(service, "port").and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT);
    let scheme = text(service, "scheme").unwrap_or("http").to_owned();
    Some(FlinkEndpoint::Service { name: name.to_owned(), port, scheme })
}

/// A number, or none for Auto.
fn slots(block: &Value, here: &str, findings: &mut Findings) -> Option<u32> {
    let slots = block.get("slotsPerTaskManager").filter(|slots| slots.is_string() || slots.is_i64())?;
    if slots == "Auto" {
        return None;
    }
    let number = slots.as_u64().and_then(|slots| u32::try_from(slots).ok());
    let fits = number.filter(|slots| (1..=MOST_SLOTS).contains(slots));
    if fits.is_none() {
        let place = path::child(here, "slotsPerTaskManager");
        findings.refuse(place, Some(shown(slots)), format!("is not Auto or an integer from 1 to {MOST_SLOTS}"));
    }
    fits
}

fn checkpoint(block: &Value, here: &str, findings: &mut Findings) -> CheckpointOptions {
    let (block, here) = inner(block, "checkpoint", here);
    let defaults = CheckpointOptions::default();
    let max_age = duration(block, "maxAge", &here, (SHORTEST, LONGEST), findings);
    CheckpointOptions {
        kind: if text(block, "type") == Some("Full") { CheckpointType::Full } else { CheckpointType::Configured },
        max_age: max_age.unwrap_or(defaults.max_age),
        order: match text(block, "order") {
            Some("RemoveFirst") => Order::RemoveFirst,
            Some("RequirementsFirst") => Order::RequirementsFirst,
            _ => Order::Auto,
        },
    }
}

fn savepoint(block: &Value, here: &str, findings: &mut Findings) -> SavepointOptions {
    let (block, here) = inner(block, "savepoint", here);
    let defaults = SavepointOptions::default();
    let min_age = duration(block, "minAge", &here, (Span::ZERO, LONGEST), findings);
    SavepointOptions {
        directory: directory(block, &here, findings),
        format: match text(block, "format") {
            Some("Canonical") => SavepointFormat::Canonical,
            _ => SavepointFormat::Native,
        },
        claim_mode: if text(block, "claimMode") == Some("Claim") { ClaimMode::Claim } else { ClaimMode::NoClaim },
        keep: count(block, "keep").unwrap_or(defaults.keep),
        min_age: min_age.unwrap_or(defaults.min_age),
        backup: truth(block, "backup"),
    }
}

/// Whether a text says where state lies: an address such as `s3://bucket/savepoints`, or an absolute path.
pub fn is_state_path(text: &str) -> bool {
    let scheme = text.split_once(":/").map_or("", |(scheme, _)| scheme);
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme || text.starts_with('/')
}

/// Where savepoints go: Flink takes a relative path for one of its own working directory, which goes with its pod.
fn directory(block: &Value, here: &str, findings: &mut Findings) -> Option<String> {
    let directory = text(block, "directory")?;
    if !is_state_path(directory) {
        let allowed = "is not an address such as s3://bucket/savepoints, or an absolute path";
        findings.refuse(path::child(here, "directory"), Some(shown(&directory.into())), allowed);
    }
    Some(directory.to_owned())
}

fn deployment(block: &Value) -> FlinkDeploymentOptions {
    let block = block.get("flinkDeployment").unwrap_or(&Value::Null);
    let defaults = FlinkDeploymentOptions::default();
    FlinkDeploymentOptions {
        allow_stateless: truth(block, "allowStateless"),
        last_state: match text(block, "lastState") {
            Some("AsIs") => LastState::AsItIs,
            _ => LastState::CheckpointFirst,
        },
        backoff_limit: count(block, "backoffLimit").unwrap_or(defaults.backoff_limit),
        zero: DeploymentZero::Suspend,
    }
}

fn verify(block: &Value, here: &str, findings: &mut Findings) -> VerifyOptions {
    let (block, here) = inner(block, "verify", here);
    let defaults = VerifyOptions::default();
    let timeout = duration(block, "timeout", &here, (SHORTEST, LONGEST), findings);
    VerifyOptions {
        timeout: timeout.unwrap_or(defaults.timeout),
        checkpoint: match text(block, "checkpoint") {
            Some("Wait") => VerifyCheckpoint::Wait,
            _ => VerifyCheckpoint::Trigger,
        },
        max_restarts: count(block, "maxRestarts").unwrap_or(defaults.max_restarts),
    }
}

/// A block of the block and its path; one that is absent has no fields.
fn inner<'v>(block: &'v Value, name: &str, here: &str) -> (&'v Value, String) {
    (block.get(name).unwrap_or(&Value::Null), path::child(here, name))
}
