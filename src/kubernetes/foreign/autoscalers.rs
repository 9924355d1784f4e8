//! Watches HorizontalPodAutoscalers: whatever one of them scales is held, with the command that ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use futures::stream::select_all;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ApiResource};
use kube::core::{NotUsed, Object};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde::Deserialize;
use tidegate_engine::subject::{Hold, TargetRef};
use tokio::sync::watch;

use crate::kubernetes::holds::{Holds, TargetKey, Whom};
use crate::kubernetes::keda::is_forbidden;
use crate::kubernetes::patience::Patience;

/// The reason of the hold.
pub const FOREIGN_AUTOSCALER: &str = "ForeignAutoscaler";

/// What is kept of an autoscaler.
type Autoscaler = Object<View, NotUsed>;

/// The part of its spec that matters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    scale_target_ref: Reference,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(default)]
    api_version: Option<String>,
    kind: String,
    name: String,
}

/// Which autoscalers scale what.
#[derive(Debug, Default)]
struct Index {
    /// The target of each, by namespace and name.
    targets: BTreeMap<(String, String), TargetKey>,
}

/// Watches autoscalers and fills the holds.
pub struct AutoscalerWatch {
    client: Client,
    namespaces: Vec<String>,
    holds: Holds,
    index: Index,
    synced: watch::Sender<bool>,
}

/// An event of the watch of one namespace, or of all.
type Word = (usize, watcher::Result<watcher::Event<Autoscaler>>);

impl Index {
    /// An autoscaler is there. Gives back the targets whose autoscalers have changed.
    fn apply(&mut self, namespace: &str, name: &str, target: TargetKey) -> Vec<TargetKey> {
        match self.targets.insert((namespace.to_owned(), name.to_owned()), target.clone()) {
            Some(before) if before == target => Vec::new(),
            Some(before) => vec![before, target],
            None => vec![target],
        }
    }

    /// An autoscaler is gone.
    fn delete(&mut self, namespace: &str, name: &str) -> Vec<TargetKey> {
        self.targets.remove(&(namespace.to_owned(), name.to_owned())).into_iter().collect()
    }

    /// A list has ended: only these exist in `namespace`, or anywhere if it is none.
    fn retain(&mut self, namespace: Option<&str>, seen: &BTreeSet<(String, String)>) -> Vec<TargetKey> {
        let is_gone = |id: &(String, String)| namespace.is_none_or(|namespace| namespace == id.0) && !seen.contains(id);
        let gone: Vec<_> = self.targets.keys().filter(|id| is_gone(id)).cloned().collect();
        gone.iter().filter_map(|id| self.targets.remove(id)).collect()
    }

    /// The hold of a target, if an autoscaler scales it.
    fn hold(&self, target: &TargetKey) -> Option<Hold> {
        let of_it = self.targets.iter().filter(|(_, its)| *its == target);
        let names: Vec<&str> = of_it.map(|((_, name), _)| name.as_str()).collect();
        let (noun, verb) = match names.len() {
            0 => return None,
            1 => ("HorizontalPodAutoscaler", "scales"),
            _ => ("HorizontalPodAutoscalers", "scale"),
        };
        let message = format!(
            "the {noun} {} {verb} the same target; to let Tidegate scale it: kubectl delete hpa {} -n {}",
            names.join(" and "),
            names.join(" "),
            target.namespace
        );
        Some(Hold { reason: FOREIGN_AUTOSCALER, message })
    }
}

impl AutoscalerWatch {
    /// A watch of these namespaces; of all if there are none.
    pub fn new(client: Client, namespaces: &[String], holds: Holds) -> Self {
        let namespaces = namespaces.to_vec();
        Self { client, namespaces, holds, index: Index::default(), synced: watch::Sender::new(false) }
    }

    /// Whether all autoscalers that exist were seen once, or may not be looked at.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    /// Watches until the process ends.
    pub async fn run(mut self) {
        let mut words = self.watches();
        let places = self.namespaces.len().max(1);
        let mut listing: Vec<BTreeSet<(String, String)>> = vec![BTreeSet::new(); places];
        let (mut listed, mut complaint) = (BTreeSet::new(), None);
        while let Some((place, word)) = words.next().await {
            let changed = match word {
                Ok(watcher::Event::Init) => {
                    listing[place].clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    listing[place].insert(id(&object));
                    self.apply(&object)
                }
                Ok(watcher::Event::InitDone) => {
                    listed.insert(place);
                    self.index
                        .retain(self.namespaces.get(place).map(String::as_str), &std::mem::take(&mut listing[place]))
                }
                Ok(watcher::Event::Apply(object)) => self.apply(&object),
                Ok(watcher::Event::Delete(object)) => {
                    let (namespace, name) = id(&object);
                    self.index.delete(&namespace, &name)
                }
                Err(error) => {
                    // Whoever may not look sees none; without an answer nothing is known yet.
                    if is_forbidden(&error) {
                        listed.insert(place);
                    }
                    complain(&error, &mut complaint);
                    Vec::new()
                }
            };
            self.publish(&changed);
            if listed.len() == places {
                self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
            }
        }
    }

    fn watches(&self) -> impl Stream<Item = Word> + Unpin + use<> {
        let resource = ApiResource::erase::<HorizontalPodAutoscaler>(&());
        let apis: Vec<Api<Autoscaler>> = if self.namespaces.is_empty() {
            vec![Api::all_with(self.client.clone(), &resource)]
        } else {
            let of = |namespace: &String| Api::namespaced_with(self.client.clone(), namespace, &resource);
            self.namespaces.iter().map(of).collect()
        };
        let config = watcher::Config::default();
        let patience = Patience::default();
        select_all(apis.into_iter().enumerate().map(|(place, api)| {
            let words = patience.watch(api, config.clone()).map(move |word| (place, word));
            Box::pin(words) as Pin<Box<dyn Stream<Item = Word> + Send>>
        }))
    }

    fn apply(&mut self, object: &Autoscaler) -> Vec<TargetKey> {
        let (namespace, name) = id(object);
        let reference = &object.spec.scale_target_ref;
        let target = TargetRef {
            namespace: namespace.as_str().into(),
            api_version: reference.api_version.as_deref().unwrap_or("apps/v1").into(),
            kind: reference.kind.as_str().into(),
            name: reference.name.as_str().into(),
        };
        self.index.apply(&namespace, &name, TargetKey::of(&target))
    }

    fn publish(&self, changed: &[TargetKey]) {
        for target in changed {
            let whom = Whom::Target(target.clone());
            match self.index.hold(target) {
                Some(hold) => self.holds.set(whom, hold),
                None => self.holds.lift(&whom, FOREIGN_AUTOSCALER),
            }
        }
    }
}

fn id(object: &Autoscaler) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn complain(error: &watcher::Error, last: &mut Option<String>) {
    let why =
        format!("cannot watch horizontalpodautoscalers.autoscaling, so other autoscalers are not noticed: {error}");
    if last.as_ref() != Some(&why) {
        tracing::warn!("{why}");
        *last = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> TargetKey {
        TargetKey { namespace: "shop".into(), group: "apps".into(), kind: "Deployment".into(), name: name.into() }
    }

    #[test]
    fn a_target_is_held_while_an_autoscaler_scales_it() {
        let mut index = Index::default();
        assert_eq!(index.hold(&target("orders")), None);
        assert_eq!(index.apply("shop", "keda-hpa-orders", target("orders")), [target("orders")]);
        assert_eq!(index.apply("shop", "keda-hpa-orders", target("orders")), [], "a status of it changes nothing");
        let hold = index.hold(&target("orders")).unwrap();
        assert_eq!(hold.reason, "ForeignAutoscaler");
        assert!(hold.message.ends_with("kubectl delete hpa keda-hpa-orders -n shop"), "{}", hold.message);
        assert_eq!(index.apply("shop", "other", target("orders")), [target("orders")]);
        let message = index.hold(&target("orders")).unwrap().message;
        assert!(message.contains("keda-hpa-orders and other scale the same target"), "{message}");
        assert!(message.ends_with("kubectl delete hpa keda-hpa-orders other -n shop"), "{message}");
        assert_eq!(index.hold(&target("mail")), None);
    }

    #[test]
    fn an_autoscaler_that_turns_to_another_target_frees_the_first() {
        let mut index = Index::default();
        index.apply("shop", "a", target("orders"));
        assert_eq!(index.apply("shop", "a", target("mail")), [target("orders"), target("mail")]);
        assert_eq!(index.hold(&target("orders")), None);
        assert!(index.hold(&target("mail")).is_some());
        assert_eq!(index.delete("shop", "a"), [target("mail")]);
        assert_eq!(index.hold(&target("mail")), None);
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone() {
        let mut index = Index::default();
        index.apply("shop", "a", target("orders"));
        index.apply("shop", "b", target("mail"));
        index.apply("bank", "c", target("bills"));
        let seen = BTreeSet::from([("shop".to_owned(), "b".to_owned())]);
        assert_eq!(index.retain(Some("shop"), &seen), [target("orders")], "other namespaces are none of this list's");
        assert_eq!(index.retain(None, &seen), [target("bills")]);
        assert!(index.hold(&target("mail")).is_some());
    }
}
