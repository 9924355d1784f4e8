//! The credentials of hooks: which `TriggerAuthentication` each one names.
//!
//! A hook keeps its reference as one text, `NAME` or `cluster/NAME`, as the annotation does with policies: an operation stores the hooks
//! that it began with, and what it stored must be enough to find the credentials after a restart.

use std::sync::Arc;

use serde_json::Value;
use tidegate_calculator::operation::spec::{HookSpec, Item, Jar, JobSpec, Work};
use tidegate_engine::subject::{AuthenticationRef, References, TargetRef};

use super::super::super::findings::{Findings, shown};
use super::super::super::metadata::is_subdomain;
use crate::manifests::path;

/// How the reference to a `ClusterTriggerAuthentication` begins.
const CLUSTER: &str = "cluster/";

/// What one field of a hook refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReferences {
    /// `preScale` or `postScale`.
    pub list: &'static str,
    /// The name of the hook.
    pub item: String,
    /// The field below the hook: `flink`, `flink.jobs.list[0].run.jar` or `http`.
    pub field: String,
    /// What it refers to: the same that a trigger's parameters may refer to.
    pub references: References,
}

/// Everything that hooks refer to, in their order: what must be watched for an object that has them.
///
/// `container` is `scaleTargetRef.envSourceContainerName`, whose environment a `TriggerAuthentication` may read.
pub fn hook_references(hooks: &HookSpec, target: &TargetRef, container: Option<&Arc<str>>) -> Vec<HookReferences> {
    let lists = [("preScale", &hooks.pre_scale), ("postScale", &hooks.post_scale)];
    let items = lists.into_iter().flat_map(|(list, items)| items.iter().map(move |item| (list, item)));
    let of_item = |(list, item): (&'static str, &Item)| {
        let all = named(&item.work).into_iter();
        let one = |(field, text): (String, &str)| HookReferences {
            list,
            item: item.name.clone(),
            field,
            references: References {
                target: target.clone(),
                container: container.map(Arc::clone),
                authentication: Some(hook_authentication(text)),
            },
        };
        all.map(one).collect::<Vec<_>>()
    };
    items.flat_map(of_item).collect()
}

/// The authentication that the `authentication_ref` of a hook names.
pub fn hook_authentication(text: &str) -> AuthenticationRef {
    let (cluster, name) = text.strip_prefix(CLUSTER).map_or((false, text), |name| (true, name));
    AuthenticationRef { cluster, name: name.into() }
}

/// The references of one hook, with the fields that hold them.
fn named(work: &Work) -> Vec<(String, &str)> {
    match work {
        Work::Http(http) => http.authentication_ref.iter().map(|text| ("http".to_owned(), text.as_str())).collect(),
        Work::Job(_) => Vec::new(),
        Work::Flink(flink) => {
            let own = flink.authentication_ref.iter().map(|text| ("flink".to_owned(), text.as_str()));
            own.chain(flink.jobs.list.iter().enumerate().filter_map(of_jar)).collect()
        }
    }
}

fn of_jar((index, job): (usize, &JobSpec)) -> Option<(String, &str)> {
    let Jar::Url { authentication_ref, .. } = &job.run.as_ref()?.jar else { return None };
    Some((format!("flink.jobs.list[{index}].run.jar"), authentication_ref.as_deref()?))
}

/// Reads `authenticationRef` of a block, if it is there.
pub(super) fn read(block: &Value, here: &str, findings: &mut Findings) -> Option<String> {
    let reference = block.get("authenticationRef")?.as_object()?;
    let name = reference.get("name")?.as_str()?;
    if !is_subdomain(name) {
        let place = path::child(&path::child(here, "authenticationRef"), "name");
        findings.refuse(place, Some(shown(&name.into())), "is not the name of an authentication");
        return None;
    }
    let cluster = reference.get("kind").and_then(Value::as_str) == Some("ClusterTriggerAuthentication");
    Some(if cluster { format!("{CLUSTER}{name}") } else { name.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read as read_hooks;
    use super::*;

    #[test]
    fn every_reference_is_found_with_its_place() {
        let run = json!({ "jar": { "url": "https://jars/a.jar", "sha256": "0".repeat(64), "authenticationRef": { "name": "jars" } } });
        let shared = json!({ "name": "rest", "kind": "ClusterTriggerAuthentication" });
        let hooks = json!({ "hooks": {
            "preScale": [
                { "name": "state", "flink": {
                    "restUrl": "http://flink:8081", "authenticationRef": shared,
                    "jobs": { "list": [{ "name": "a" }, { "name": "b", "run": run }] },
                } },
                { "name": "drain", "http": { "url": "https://x", "authenticationRef": { "name": "x" } } },
            ],
            "postScale": [{ "name": "tell", "http": { "url": "https://y", "authenticationRef": { "name": "y" } } }],
        } });
        let mut findings = Findings::default();
        let spec = read_hooks(&hooks, &mut findings).spec();
        assert!(findings.list.is_empty(), "{:?}", findings.list);
        let target = TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "tm".into(),
        };
        let container: Arc<str> = "main".into();
        let all = hook_references(&spec, &target, Some(&container));
        let short: Vec<_> = all
            .iter()
            .map(|one| {
                let authentication = one.references.authentication.as_ref().unwrap();
                (one.list, &*one.item, &*one.field, authentication.cluster, &*authentication.name)
            })
            .collect();
        // In the order of the work: http before flink.
        let expected = [
            ("preScale", "drain", "http", false, "x"),
            ("preScale", "state", "flink", true, "rest"),
            ("preScale", "state", "flink.jobs.list[1].run.jar", false, "jars"),
            ("postScale", "tell", "http", false, "y"),
        ];
        assert_eq!(short, expected);
        assert!(
            all.iter().all(|one| one.references.target == target && one.references.container == Some("main".into()))
        );
    }
}
