//! Tells what an object is, and names those of our groups that are not what they should be.

use tidegate_crds::{KEDA_GROUP, TIDEGATE_GROUP, VERSION};

use super::findings::{Findings, guess};
use crate::manifests::Document;

/// The kinds of KEDA that we know.
const KEDA_KINDS: [&str; 4] = ["ScaledObject", "ScaledJob", "TriggerAuthentication", "ClusterTriggerAuthentication"];
/// The kinds of ours that users write.
const TIDEGATE_KINDS: [&str; 2] = ["ScalingPolicy", "ClusterScalingPolicy"];
/// The groups of KEDA that have no meaning here, with the reason.
const OTHER_GROUPS: [(&str, &str); 2] = [
    ("eventing.keda.sh", "is not used: events go to the Kubernetes event log"),
    ("http.keda.sh", "is not used: there is no HTTP add-on"),
];

/// What an object is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `ScaledObject`.
    ScaledObject,
    /// A `TriggerAuthentication` or a `ClusterTriggerAuthentication`.
    Authentication,
    /// A `ScalingPolicy` or a `ClusterScalingPolicy`.
    Policy,
    /// One of ours that cannot be used; the findings say why.
    Unusable,
    /// Somebody else's: a Deployment, a Secret, anything.
    Foreign,
}

/// Tells what a document is.
pub(super) fn kind(document: &Document, findings: &mut Findings) -> Kind {
    let (api_version, kind) = (document.api_version(), document.kind());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    match group {
        KEDA_GROUP => keda(version, kind, api_version, findings),
        TIDEGATE_GROUP => tidegate(version, kind, api_version, findings),
        "keda.k8s.io" => unusable("apiVersion", api_version, "is KEDA 1's; keda.sh/v1alpha1 is needed", findings),
        _ if OTHER_GROUPS.iter().any(|(other, _)| *other == group) => {
            let reason = OTHER_GROUPS.iter().find(|(other, _)| *other == group).map_or("", |(_, reason)| reason);
            findings.tell("kind", Some(kind.to_owned()), reason);
            Kind::Foreign
        }
        _ if KEDA_KINDS.contains(&kind) => elsewhere(kind, KEDA_GROUP, api_version, findings),
        _ if TIDEGATE_KINDS.contains(&kind) => elsewhere(kind, TIDEGATE_GROUP, api_version, findings),
        _ if kind.is_empty() => {
            findings.warn("kind", None, "is missing: this is not a Kubernetes object and is not read");
            Kind::Foreign
        }
        _ => Kind::Foreign,
    }
}

fn keda(version: &str, kind: &str, api_version: &str, findings: &mut Findings) -> Kind {
    if version != VERSION {
        return unusable("apiVersion", api_version, &format!("is not {KEDA_GROUP}/{VERSION}"), findings);
    }
    match kind {
        "ScaledObject" => Kind::ScaledObject,
        "TriggerAuthentication" | "ClusterTriggerAuthentication" => Kind::Authentication,
        "ScaledJob" => unusable("kind", kind, "is not supported yet", findings),
        _ => {
            let allowed = format!("is not a kind of {KEDA_GROUP}{}", guess(kind, KEDA_KINDS));
            unusable("kind", kind, &allowed, findings)
        }
    }
}

fn tidegate(version: &str, kind: &str, api_version: &str, findings: &mut Findings) -> Kind {
    if version != VERSION {
        return unusable("apiVersion", api_version, &format!("is not {TIDEGATE_GROUP}/{VERSION}"), findings);
    }
    match kind {
        "ScaleRecord" => {
            findings.tell("kind", Some(kind.to_owned()), "is written by Tidegate and not read from files");
            Kind::Foreign
        }
        "ScalingPolicy" | "ClusterScalingPolicy" => Kind::Policy,
        _ => {
            let allowed = format!("is not a kind of {TIDEGATE_GROUP}{}", guess(kind, TIDEGATE_KINDS));
            unusable("kind", kind, &allowed, findings)
        }
    }
}

/// A kind that only one group has, in another one or in none.
fn elsewhere(kind: &str, group: &str, api_version: &str, findings: &mut Findings) -> Kind {
    if api_version.is_empty() {
        findings.refuse("apiVersion", None, format!("is required: {group}/{VERSION}, as {kind} needs"));
        return Kind::Unusable;
    }
    unusable("apiVersion", api_version, &format!("is not {group}/{VERSION}, as {kind} needs"), findings)
}

fn unusable(path: &str, value: &str, allowed: &str, findings: &mut Findings) -> Kind {
    if value.is_empty() {
        findings.refuse(path, None, "is required");
    } else {
        findings.refuse(path, Some(value.to_owned()), allowed);
    }
    Kind::Unusable
}
