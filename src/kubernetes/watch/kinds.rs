//! Finds out under which resource a target's kind is served, and whether it can be scaled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use kube::core::ApiResource;
use tidegate_engine::protocol::TargetError;
use tidegate_engine::subject::TargetRef;
use tokio::time::Instant;

use super::super::calls;

/// How long the answer that a kind is not there, or cannot be scaled, is believed.
const DOUBT: Duration = Duration::from_secs(10);

/// The kinds whose scale a plain watch shows, with their resources. Every cluster has them.
const WORKLOADS: [(&str, &str); 3] =
    [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("ReplicaSet", "replicasets")];

/// A kind as a ScaledObject names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::kubernetes) struct KindKey {
    /// Group and version.
    pub(in crate::kubernetes) api_version: Arc<str>,
    /// The kind.
    pub(in crate::kubernetes) kind: Arc<str>,
}

/// A kind that is served and can be scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kubernetes) struct Served {
    /// Where it is served.
    pub(in crate::kubernetes) resource: ApiResource,
    /// Whether its own watch shows the scale: Deployments, StatefulSets and ReplicaSets.
    pub(in crate::kubernetes) workload: bool,
}

/// All kinds that were asked for.
#[derive(Clone)]
pub(in crate::kubernetes) struct Kinds {
    client: Client,
    answers: Arc<Mutex<HashMap<KindKey, Answer>>>,
}

#[derive(Clone)]
struct Answer {
    result: Result<Served, TargetError>,
    /// A good answer is good for ever: a kind that is gone later says so itself.
    at: Instant,
}

impl KindKey {
    /// The kind of a target.
    pub(in crate::kubernetes) fn of(target: &TargetRef) -> Self {
        Self { api_version: target.api_version.clone(), kind: target.kind.clone() }
    }

    /// Whether its objects show their Ready pods themselves.
    pub(in crate::kubernetes) fn shows_ready(&self) -> bool {
        workload(self).is_some()
    }
}

impl Served {
    /// `deployments.apps`, as messages about permissions name it.
    pub(in crate::kubernetes) fn name(&self) -> String {
        calls::name(&self.resource)
    }
}

impl Kinds {
    /// Asks this API server.
    pub(in crate::kubernetes) fn new(client: Client) -> Self {
        Self { client, answers: Arc::default() }
    }

    /// Where a kind is served.
    ///
    /// # Errors
    /// `NotFound` if it is not, `NotScalable` if it has no scale subresource, `Unavailable` if that cannot be told now.
    pub(in crate::kubernetes) async fn resolve(&self, kind: &KindKey) -> Result<Served, TargetError> {
        if let Some(served) = workload(kind) {
            return Ok(served);
        }
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(kind).cloned();
        if let Some(answer) = known.filter(|answer| answer.result.is_ok() || answer.at.elapsed() < DOUBT) {
            return answer.result;
        }
        let result = self.ask(kind).await;
        if !matches!(result, Err(TargetError::Unavailable(_))) {
            let answer = Answer { result: result.clone(), at: Instant::now() };
            self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(kind.clone(), answer);
        }
        result
    }

    /// Forgets where a kind is served: it is not there any more.
    pub(in crate::kubernetes) fn forget(&self, kind: &KindKey) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
    }

    async fn ask(&self, kind: &KindKey) -> Result<Served, TargetError> {
        let api_version = &*kind.api_version;
        let listed = if api_version.contains('/') {
            calls::within(calls::CALL, self.client.list_api_group_resources(api_version)).await
        } else {
            calls::within(calls::CALL, self.client.list_core_api_resources(api_version)).await
        };
        match listed {
            Ok(list) => find(kind, &list),
            Err(error) if error.is_not_found() => {
                Err(TargetError::NotFound(format!("the API {api_version} of kind {}", kind.kind)))
            }
            Err(error) => {
                let what = format!("what the API {api_version} serves");
                Err(TargetError::Unavailable(error.because(&format!("cannot read {what}"))))
            }
        }
    }
}

/// A kind that every cluster has.
fn workload(kind: &KindKey) -> Option<Served> {
    let (_, plural) = WORKLOADS.iter().find(|(name, _)| *name == &*kind.kind && "apps/v1" == &*kind.api_version)?;
    Some(Served { resource: resource(kind, plural), workload: true })
}

fn resource(kind: &KindKey, plural: &str) -> ApiResource {
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: kind.api_version.to_string(),
        kind: kind.kind.to_string(),
        plural: plural.to_owned(),
    }
}

fn find(kind: &KindKey, list: &APIResourceList) -> Result<Served, TargetError> {
    let plain = list.resources.iter().find(|resource| resource.kind == *kind.kind && !resource.name.contains('/'));
    let Some(plain) = plain else {
        return Err(TargetError::NotFound(format!("kind {} of the API {}", kind.kind, kind.api_version)));
    };
    let scale = format!("{}/scale", plain.name);
    if !plain.namespaced || !list.resources.iter().any(|resource| resource.name == scale) {
        return Err(TargetError::NotScalable(format!("kind {} of the API {}", kind.kind, kind.api_version)));
    }
    Ok(Served { resource: resource(kind, &plain.name), workload: false })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(api_version: &str, kind: &str) -> KindKey {
        KindKey { api_version: api_version.into(), kind: kind.into() }
    }

    #[test]
    fn a_kind_needs_a_scale_subresource() {
        let resource = |name: &str, kind: &str, namespaced: bool| json!({ "name": name, "kind": kind, "namespaced": namespaced, "singularName": "", "verbs": [] });
        let list: APIResourceList = serde_json::from_value(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "shop.test/v1", "resources": [
                resource("shelves", "Shelf", true),
                resource("shelves/scale", "Scale", true),
                resource("crates", "Crate", true),
                resource("crates/status", "Crate", true),
                resource("halls", "Hall", false),
                resource("halls/scale", "Scale", false),
            ],
        }))
        .unwrap();
        let found = find(&kind("shop.test/v1", "Shelf"), &list).unwrap();
        assert_eq!((found.name().as_str(), found.workload), ("shelves.shop.test", false));
        let text = |name: &str| find(&kind("shop.test/v1", name), &list).unwrap_err().to_string();
        assert_eq!(text("Crate"), "kind Crate of the API shop.test/v1 has no scale subresource");
        assert_eq!(text("Hall"), "kind Hall of the API shop.test/v1 has no scale subresource");
        assert_eq!(text("Box"), "kind Box of the API shop.test/v1 does not exist");
    }

    #[test]
    fn the_apps_kinds_need_no_question() {
        assert_eq!(workload(&kind("apps/v1", "StatefulSet")).unwrap().name(), "statefulsets.apps");
        assert_eq!(workload(&kind("apps/v1beta1", "Deployment")), None);
    }
}
