//! `job` of a hook: the template of a Kubernetes Job.

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use serde::Deserialize;
use serde_json::Value;
use tidegate_calculator::operation::spec::JobTemplate;

use super::super::super::findings::{Findings, guess, shown};
use super::super::fields::is_given;
use crate::manifests::path;

/// The longest template as JSON, in bytes: every operation stores the hooks it began with.
const LONGEST: usize = 16 * 1024;
/// What a template has.
const FIELDS: [&str; 2] = ["metadata", "spec"];
/// How a container of a Job may be started again.
const RESTARTS: [&str; 2] = ["Never", "OnFailure"];
/// For how long an ended Job must stay, in seconds: whoever waits for it looks every few seconds, and may be starting anew.
const STAYS: i64 = 300;

/// Reads the block. Only of use when no error was found.
pub(super) fn read(block: &Value, here: &str, findings: &mut Findings) -> Option<JobTemplate> {
    let (template, here) =
        (block.get("template").filter(|template| template.is_object())?, path::child(here, "template"));
    for key in template.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !FIELDS.contains(&key.as_str()) {
            let allowed = format!("is not metadata or spec, and has no effect{}", guess(key, FIELDS));
            findings.warn(path::child(&here, key), None, allowed);
        }
    }
    names(template, &path::child(&here, "metadata"), findings);
    pods(template, &path::child(&here, "spec"), findings);
    let text = template.to_string();
    if text.len() > LONGEST {
        let allowed =
            format!("has {} bytes; at most {LONGEST} are allowed: what is long belongs into an image", text.len());
        findings.refuse(here.clone(), None, allowed);
    }
    if !findings.refused
        && let Err(error) = JobTemplateSpec::deserialize(template)
    {
        findings.refuse(here, None, format!("is not the template of a Job: {error}"));
    }
    Some(JobTemplate { template: text })
}

/// Name and namespace are the operation's, so that a Job is never begun twice.
fn names(template: &Value, here: &str, findings: &mut Findings) {
    let Some(metadata) = template.get("metadata") else { return };
    for name in ["name", "generateName", "namespace", "ownerReferences"].iter().filter(|name| is_given(metadata, name))
    {
        findings.warn(path::child(here, name), None, "has no effect: it is given by the operation and its object");
    }
}

fn pods(template: &Value, here: &str, findings: &mut Findings) {
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let (pod, there) = (spec.pointer("/template/spec"), path::child(&path::child(here, "template"), "spec"));
    let containers = pod.and_then(|pod| pod.get("containers")).and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        let allowed = "is required, with at least one entry: a Job runs a pod";
        findings.refuse(path::child(&there, "containers"), None, allowed);
        return;
    }
    let restart = pod.and_then(|pod| pod.get("restartPolicy")).filter(|restart| !restart.is_null());
    if restart.is_none_or(|restart| RESTARTS.iter().all(|known| restart != known)) {
        let value = restart.map(shown);
        let verb = if value.is_some() { "is not" } else { "must be" };
        findings.refuse(
            path::child(&there, "restartPolicy"),
            value,
            format!("{verb} {} or {}", RESTARTS[0], RESTARTS[1]),
        );
    }
    if let Some(stays) = spec.get("ttlSecondsAfterFinished").and_then(Value::as_i64).filter(|stays| *stays < STAYS) {
        let allowed =
            format!("is too short: an ended Job must be seen before it goes; at least {STAYS}, or nothing, is needed");
        findings.refuse(path::child(here, "ttlSecondsAfterFinished"), Some(stays.to_string()), allowed);
    }
    if spec.get("suspend") == Some(&Value::Bool(true)) {
        findings.refuse(path::child(here, "suspend"), Some("true".to_owned()), "means that the Job never runs");
    }
}
