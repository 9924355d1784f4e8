//! Whose suspension it is when the job of a FlinkDeployment rests: ours, in order to scale to zero, or somebody else's. Pure.
//!
//! Two things tell it. Our annotation says that we have suspended the job, and goes when we resume it. It may outlive that: somebody else
//! resumes the job, and later a person suspends it. So the API server's own books are asked, too: `metadata.managedFields` names whoever
//! gave `spec.job.state` its present value, whatever else of the spec has changed since, and no client can forget to keep it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::Value;
use tidegate_engine::subject::{Hold, TargetRef};

use super::SUSPENDED_ANNOTATION;
use crate::kubernetes::target::MANAGER;

/// The reason of the hold on a target whose job somebody else has suspended.
pub const JOB_SUSPENDED: &str = "JobSuspended";

/// The value of the annotation that names no suspension: earlier versions wrote it, and whoever wants Tidegate to resume a job writes it.
const ANY: &str = "true";

/// Where an API server keeps what is left of the oldest entries when there are too many: nobody can tell whose they were.
const ANCIENT: &str = "ancient-changes";

const STATE: [&str; 3] = ["f:spec", "f:job", "f:state"];

/// The job of a FlinkDeployment, as its spec wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// A session cluster: there is no job that could be suspended.
    None,
    /// It runs.
    Running,
    /// It was suspended in order to scale to zero.
    Ours,
    /// Somebody else has suspended it.
    Theirs,
}

/// A FlinkDeployment whose job somebody else has suspended: it is not scaled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "spec.job.state of FlinkDeployment {}/{} is \"suspended\", and Tidegate did not set it: it is scaled once that is \"running\", or with the \
     annotation {SUSPENDED_ANNOTATION}: \"true\", by which Tidegate may resume the job (where it is there already, take it off first)",
    .0.namespace, .0.name
)]
pub(in crate::kubernetes) struct Suspended(TargetRef);

impl Suspended {
    /// The hold that it means for whatever scales it.
    pub(in crate::kubernetes) fn hold(&self) -> Hold {
        Hold { reason: JOB_SUSPENDED, message: self.to_string() }
    }

    pub(super) fn of(target: &TargetRef) -> Self {
        Self(target.clone())
    }
}

/// Who gave a field the value that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Tidegate,
    Other,
    Unknown,
}

/// The job of this FlinkDeployment.
pub(super) fn job(whole: &DynamicObject) -> Job {
    let Some(job) = whole.data.pointer("/spec/job").and_then(Value::as_object) else { return Job::None };
    if job.get("state").and_then(Value::as_str) != Some("suspended") {
        return Job::Running;
    }
    if annotation(whole).is_some_and(|value| names(value, whole)) { Job::Ours } else { Job::Theirs }
}

/// Our annotation, whatever it is worth.
pub(super) fn annotation(whole: &DynamicObject) -> Option<&str> {
    let all = whole.metadata.annotations.as_ref()?;
    all.get(SUSPENDED_ANNOTATION).map(String::as_str)
}

/// What the annotation says of a suspension that this version of the object is the last one before: the generation of the spec that it makes.
pub(super) fn mark(whole: &DynamicObject) -> String {
    whole.metadata.generation.map_or_else(|| ANY.to_owned(), |generation| generation.saturating_add(1).to_string())
}

/// Whether the value of our annotation means the suspension that there is now.
fn names(value: &str, whole: &DynamicObject) -> bool {
    let entries = whole.metadata.managed_fields.as_deref().unwrap_or_default();
    let state = owner(entries, &STATE);
    if value == ANY {
        // One that an earlier version has written can be left over; one that somebody else has written is his word.
        let written = owner(entries, &["f:metadata", "f:annotations", &format!("f:{SUSPENDED_ANNOTATION}")]);
        return !(written == Owner::Tidegate && state == Owner::Other);
    }
    let Ok(generation) = value.parse::<i64>() else { return false };
    match state {
        Owner::Tidegate => true,
        Owner::Other => false,
        // Then only a spec in which nothing at all has changed since is ours for certain.
        Owner::Unknown => whole.metadata.generation == Some(generation),
    }
}

/// Who gave the field at this path its value. Others may have applied the same value since: that changes nothing.
fn owner(entries: &[ManagedFieldsEntry], path: &[&str]) -> Owner {
    let owners =
        || entries.iter().filter(|entry| owns(entry, path)).map(|entry| entry.manager.as_deref().unwrap_or_default());
    if owners().any(|manager| manager == MANAGER) {
        Owner::Tidegate
    } else if owners().any(|manager| manager != ANCIENT) {
        Owner::Other
    } else {
        Owner::Unknown
    }
}

/// Whether an entry holds the field at this path, or all of what it is in.
fn owns(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let Some(mut at) = entry.fields_v1.as_ref().map(|fields| &fields.0) else { return false };
    for (depth, name) in path.iter().enumerate() {
        match at.get(name) {
            Some(inner) => at = inner,
            None => return depth > 0 && at.as_object().is_some_and(serde_json::Map::is_empty),
        }
    }
    true
}
