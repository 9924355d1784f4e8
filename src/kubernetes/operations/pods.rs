//! The pods of a target, and which of them leave first when it is lowered.
//!
//! A ReplicaSet deletes pods with a lower `controller.kubernetes.io/pod-deletion-cost` first, all else being equal. A StatefulSet does not look at
//! it. Ours is a number of its own, so that a cost which somebody else set is never taken away.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_calculator::operation::facts::Pod as PodFacts;
use tidegate_calculator::operation::{Class, Failure};
use tidegate_engine::subject::TargetRef;

use super::{ClusterOperations, failures, target};
use crate::kubernetes::calls::{CALL, within};
use crate::kubernetes::target::MANAGER;

/// The annotation that a ReplicaSet looks at.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The cost of a pod that should leave first.
const LEAVES_FIRST: &str = "-1000000";

/// How many pods one page has.
const PAGE: u32 = 500;

/// How many pages are read: more pods than this no operation looks after.
const PAGES: usize = 20;

/// How many pods are written at the same time.
const AT_ONCE: usize = 8;

impl ClusterOperations {
    /// The pods of a selector that are not about to end.
    pub(super) async fn pods(&self, target: &TargetRef, selector: &str) -> Result<Vec<PodFacts>, Failure> {
        let found = self.living(target, selector).await?;
        let facts = found.into_iter().filter_map(|pod| {
            Some(PodFacts { name: pod.metadata.name?, ip: pod.status.and_then(|status| status.pod_ip) })
        });
        Ok(facts.collect())
    }

    async fn living(&self, target: &TargetRef, selector: &str) -> Result<Vec<Pod>, Failure> {
        if selector.is_empty() {
            // It would be all pods of the namespace.
            let text = format!("{}/{} shows no selector of its pods in /scale", target.namespace, target.name);
            return Err(Failure::new(Class::Config, &text));
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &target.namespace);
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let page = within(CALL, api.list(&params)).await;
            let page = page.map_err(|failure| {
                failures::unread(&failure, &format!("list of pods of {}/{}", target.namespace, target.name))
            })?;
            all.extend(page.items.into_iter().filter(lives));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
        let text = format!("{}/{} has more than {} pods", target.namespace, target.name, PAGES * PAGE as usize);
        Err(Failure::new(Class::Config, &text))
    }

    /// Lets these pods leave first, and no other.
    pub(super) async fn mark(&self, target: &TargetRef, victims: &[String]) -> Result<(), Failure> {
        let served = self.served(target).await?;
        let scale = within(CALL, self.objects(target, &served).get_scale(&target.name)).await;
        let scale =
            scale.map_err(|failure| failures::unread(&failure, &target::what("get", &served, "/scale", target)))?;
        let selector = scale.status.and_then(|status| status.selector).unwrap_or_default();
        let changes = self.living(target, &selector).await?.into_iter().filter_map(|pod| change(&pod, victims));
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &target.namespace);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let writes = stream::iter(changes.collect::<Vec<_>>()).map(|(name, cost)| {
            let (api, params) = (&api, &params);
            async move {
                let patch = json!({ "metadata": { "annotations": { DELETION_COST: cost } } });
                match within(CALL, api.patch(&name, params, &Patch::Merge(&patch))).await {
                    Ok(_) => Ok(()),
                    // It has left already.
                    Err(failure) if failure.is_not_found() => Ok(()),
                    Err(failure) => {
                        Err(failures::unwritten(&failure, &format!("patch of pods {}/{name}", target.namespace)))
                    }
                }
            }
        });
        writes.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }
}

fn lives(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// The cost that a pod should get, if it does not have it: ours for a victim, none for one that has ours and is none.
fn change(pod: &Pod, victims: &[String]) -> Option<(String, Value)> {
    let name = pod.metadata.name.clone()?;
    let cost = pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST)).map(String::as_str);
    match (victims.contains(&name), cost) {
        (true, Some(LEAVES_FIRST)) => None,
        (true, _) => Some((name, LEAVES_FIRST.into())),
        (false, Some(LEAVES_FIRST)) => Some((name, Value::Null)),
        (false, _) => None,
    }
}
