//! Runs the watches: lists, follows, lists again when it must, and tells what is there and what is gone.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use kube::core::{ApiResource, DynamicResourceScope, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tidegate_crds::{KEDA_GROUP, TIDEGATE_GROUP, VERSION};
use tidegate_engine::protocol::TargetError;
use tidegate_engine::subject::ObjectId;
use tokio::sync::mpsc;

use super::event::{Event, What};
use super::judge;
use super::kinds::Served;
use super::policies::{Blind, Cause, PolicyKey};
use super::views::{self, Loose, View, Workload};
use crate::kubernetes::calls;
use crate::kubernetes::finalize::KEDA_FINALIZER;
use crate::kubernetes::known::RecordFacts;
use crate::kubernetes::packed::Packed;
use crate::kubernetes::patience::{Patience, Words};
use crate::resolution::Answer;
use crate::validation::KeysOf;

/// One watch.
#[derive(Clone)]
pub(super) struct Watch {
    /// What it is about.
    pub(super) what: What,
    /// Its resource.
    pub(super) resource: ApiResource,
    /// Its namespace; none for all.
    pub(super) namespace: Option<Arc<str>>,
    /// Its label selector.
    pub(super) labels: Option<String>,
}

/// What a stream has shown.
#[derive(Default)]
struct Present {
    here: HashSet<ObjectId>,
    /// What was there before the list that is under way.
    before: HashSet<ObjectId>,
}

/// Where the events go.
pub(super) type Events = mpsc::Sender<Event>;

/// One of KEDA's resources, or one of ours.
pub(super) fn resource(what: &What) -> ApiResource {
    let (group, kind, plural) = match what {
        What::Objects | What::Targets(_) => (KEDA_GROUP, "ScaledObject", "scaledobjects"),
        What::Records => (TIDEGATE_GROUP, "ScaleRecord", "scalerecords"),
        What::Authentications => (KEDA_GROUP, "TriggerAuthentication", "triggerauthentications"),
        What::ClusterAuthentications => (KEDA_GROUP, "ClusterTriggerAuthentication", "clustertriggerauthentications"),
        What::Policies => (TIDEGATE_GROUP, "ScalingPolicy", "scalingpolicies"),
        What::ClusterPolicies => (TIDEGATE_GROUP, "ClusterScalingPolicy", "clusterscalingpolicies"),
        What::Definitions => ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
        What::Holders(place) if place.of == KeysOf::Secret => ("", "Secret", "secrets"),
        What::Holders(_) => ("", "ConfigMap", "configmaps"),
    };
    let version = if [KEDA_GROUP, TIDEGATE_GROUP].contains(&group) { VERSION } else { "v1" };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

impl Present {
    /// Everything is listed anew. A list that was broken off says nothing about what is gone.
    fn list_again(&mut self) {
        self.before.extend(self.here.drain());
    }

    /// The list is complete: what it did not show is gone.
    fn lost(&mut self) -> impl Iterator<Item = ObjectId> + '_ {
        let here = &self.here;
        std::mem::take(&mut self.before).into_iter().filter(|id| !here.contains(id))
    }
}

impl Watch {
    /// Runs until nobody listens, or until the kind of a target is not served any more.
    pub(super) async fn run(self, client: Client, patience: Patience, served: Option<Served>, events: Events) {
        let workload = served.is_some_and(|served| served.workload);
        let mut config = watcher::Config::default();
        if let Some(labels) = &self.labels {
            config = config.labels(labels);
        }
        match &self.what {
            What::Targets(_) if workload => {
                let api: Api<Workload> = self.api(client);
                self.follow(patience.watch(api, config), events).await;
            }
            What::Targets(_) | What::Holders(_) | What::Definitions => {
                // The type asks for the metadata alone.
                let api: Api<PartialObjectMeta<View<(), ()>>> = self.api(client);
                self.follow(patience.watch(api, config), events).await;
            }
            _ => {
                let api: Api<Loose> = self.api(client);
                self.follow(patience.watch(api, config), events).await;
            }
        }
    }

    fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.resource),
            None => Api::all_with(client, &self.resource),
        }
    }

    async fn follow<K>(&self, mut stream: Words<K>, events: Events)
    where
        K: Resource + Told + Send + 'static,
    {
        let mut present = Present::default();
        let mut trouble = None;
        while let Some(next) = stream.next().await {
            let mut told = Vec::new();
            match next {
                Ok(event) => {
                    if shows_that_it_works(&event) && trouble.take().is_some() {
                        tracing::info!("{} can be watched again", calls::name(&self.resource));
                        // A watch that goes on where it broke off lists nothing, and yet misses nothing.
                        told.extend(self.goes_on(&event));
                    }
                    self.tell(event, &mut present, &mut told);
                }
                Err(error) => {
                    let (code, error) = self.judge(&error);
                    if trouble.as_ref() != Some(&error) {
                        tracing::warn!("{error}");
                    }
                    trouble = Some(error.clone());
                    told.push(self.failed(code, error));
                }
            }
            let unserved = matches!((&self.what, &trouble), (What::Targets(_), Some(TargetError::NotFound(_))));
            for event in told {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            if unserved {
                return;
            }
        }
    }

    fn failed(&self, code: Option<u16>, error: TargetError) -> Event {
        let namespace = self.namespace.clone();
        match &self.what {
            What::Policies | What::ClusterPolicies => {
                let blind = Blind { cause: Cause::of(code), why: error.to_string() };
                Event::Unseen(self.what == What::ClusterPolicies, namespace, blind)
            }
            what => Event::Failed(what.clone(), namespace, error),
        }
    }

    /// What is told before the first change that a watch shows after a failure.
    fn goes_on<K>(&self, event: &watcher::Event<K>) -> Option<Event> {
        let listed = matches!(event, watcher::Event::InitDone);
        (!listed).then(|| Event::Listed(self.what.clone(), self.namespace.clone()))
    }

    fn tell<K: Resource + Told>(&self, event: watcher::Event<K>, present: &mut Present, told: &mut Vec<Event>) {
        match event {
            watcher::Event::Init => present.list_again(),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                if let Some(id) = views::id(object.meta()) {
                    told.extend(leaving(&self.what, &id, object.meta()));
                    told.extend(object.there(&self.what, &id));
                    present.here.insert(id);
                }
            }
            watcher::Event::Delete(object) => {
                if let Some(id) = views::id(object.meta()) {
                    present.here.remove(&id);
                    told.extend(gone(&self.what, id));
                }
            }
            watcher::Event::InitDone => {
                told.extend(present.lost().filter_map(|id| gone(&self.what, id)));
                told.push(Event::Listed(self.what.clone(), self.namespace.clone()));
            }
        }
    }

    /// What an error of the watch means, and the code of the server's answer if there was one.
    fn judge(&self, error: &watcher::Error) -> (Option<u16>, TargetError) {
        let (code, text) = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => (code(error), calls::text(error)),
            watcher::Error::WatchError(status) => (Some(status.code), status.message.clone()),
            watcher::Error::NoResourceVersion => (None, "its list has no resourceVersion".to_owned()),
        };
        let name = calls::name(&self.resource);
        let place = self.namespace.as_ref().map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
        let error = match (code, &self.what) {
            (Some(404), What::Targets(kind)) => {
                TargetError::NotFound(format!("kind {} of the API {}", kind.kind, kind.api_version))
            }
            (Some(404), _) => TargetError::Unavailable(format!(
                "{name} is not served: its CustomResourceDefinition is missing; `tidegate crds | kubectl apply \
                 --server-side -f -` installs it"
            )),
            (Some(403), _) => TargetError::Unavailable(format!(
                "list and watch of {name}{place} is forbidden; the role needs both verbs: {text}"
            )),
            _ => TargetError::Unavailable(format!("{name}{place} cannot be watched: {text}")),
        };
        (code, error)
    }
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Whether a watch that failed works again. The beginning of a list says nothing yet.
const fn shows_that_it_works<K>(event: &watcher::Event<K>) -> bool {
    matches!(event, watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_))
}

/// An authentication that is being deleted and waits for KEDA.
fn leaving(what: &What, id: &ObjectId, metadata: &kube::core::ObjectMeta) -> Option<Event> {
    let waits = metadata.finalizers.iter().flatten().any(|finalizer| finalizer == KEDA_FINALIZER);
    let key = match what {
        What::Authentications => (Some(id.namespace.clone()), id.name.clone()),
        What::ClusterAuthentications => (None, id.name.clone()),
        _ => return None,
    };
    (waits && metadata.deletion_timestamp.is_some()).then_some(Event::Leaving(key))
}

/// An object that a stream shows.
trait Told {
    /// The event that it is there.
    fn there(self, what: &What, id: &ObjectId) -> Option<Event>;
}

impl Told for Loose {
    fn there(self, what: &What, id: &ObjectId) -> Option<Event> {
        let answer = || {
            let spec = self.spec.as_ref().unwrap_or(&Value::Null);
            let read = serde::Deserialize::deserialize(spec);
            Some(Box::new(
                read.map_or_else(|error: serde_json::Error| Answer::Malformed(error.to_string()), Answer::Found),
            ))
        };
        Some(match what {
            What::Records => Event::Record(id.clone(), Box::new(record(&self))),
            What::Authentications => Event::Authentication((Some(id.namespace.clone()), id.name.clone()), answer()),
            What::ClusterAuthentications => Event::Authentication((None, id.name.clone()), answer()),
            What::Policies | What::ClusterPolicies => {
                Event::Policy(policy(what, id), Some(Box::new(text(&self, what))))
            }
            _ => Event::Object(Box::new(self)),
        })
    }
}

impl Told for Workload {
    fn there(self, what: &What, id: &ObjectId) -> Option<Event> {
        let What::Targets(kind) = what else { return None };
        Some(Event::Workload(kind.clone(), id.clone(), self.seen(), self.environment()))
    }
}

impl Told for PartialObjectMeta<View<(), ()>> {
    fn there(self, what: &What, id: &ObjectId) -> Option<Event> {
        let version = views::version(&self.metadata).0;
        match what {
            What::Targets(kind) => Some(Event::Moved(kind.clone(), id.clone(), version)),
            What::Holders(place) => Some(Event::Holder(place.clone(), id.name.clone(), Some(version))),
            What::Definitions => defined(id),
            _ => None,
        }
    }
}

pub(super) fn record(view: &Loose) -> RecordFacts {
    let owners = view.metadata.owner_references.iter().flatten();
    let owner = owners.filter(|owner| owner.kind == "ScaledObject").map(|owner| owner.uid.clone()).next();
    RecordFacts {
        uid: view.metadata.uid.clone().unwrap_or_default(),
        resource_version: view.metadata.resource_version.clone().unwrap_or_default(),
        owner,
        status: view.status.as_ref().map(|status| Packed::new(&judge::lenient(status))).unwrap_or_default(),
    }
}

fn policy(what: &What, id: &ObjectId) -> PolicyKey {
    ((*what == What::Policies).then(|| id.namespace.clone()), id.name.clone())
}

/// A policy as validation reads it: the rest of its metadata changes without a change of what it says.
fn text(view: &Loose, what: &What) -> Value {
    let ApiResource { api_version, kind, .. } = resource(what);
    let metadata = json!({ "name": view.metadata.name, "namespace": view.metadata.namespace });
    json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": view.spec })
}

/// The name of a definition is its plural and its group. What becomes of it is asked then: its metadata does not say.
fn defined(id: &ObjectId) -> Option<Event> {
    let (_, group) = id.name.split_once('.')?;
    Some(Event::Defined(group.into()))
}

fn gone(what: &What, id: ObjectId) -> Option<Event> {
    Some(match what {
        What::Objects => Event::ObjectGone(id),
        What::Records => Event::RecordGone(id),
        What::Authentications => Event::Authentication((Some(id.namespace), id.name), None),
        What::ClusterAuthentications => Event::Authentication((None, id.name), None),
        What::Policies | What::ClusterPolicies => Event::Policy(policy(what, &id), None),
        What::Targets(kind) => Event::TargetGone(kind.clone(), id),
        What::Holders(place) => Event::Holder(place.clone(), id.name, None),
        // Whoever watches its objects hears of it.
        What::Definitions => return None,
    })
}

#[cfg(test)]
mod tests;
