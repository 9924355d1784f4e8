//! Where a probe finds what triggers refer to: in the given files, and then in a cluster if one is looked at.
//!
//! The rules of resolution are pure and ask a [`Lookup`]. Here they are run over what is known; what they find missing is read from the
//! cluster, and they are run again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;
use tidegate_calculator::source::{Parameters, ReadError, ReadErrorKind};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_crds::annotations::POLICIES;
use tidegate_engine::subject::{TargetRef, Trigger};

use crate::kubernetes::once::{Glance, Kind, Unseen};
use crate::local::inventory::Inventory;
use crate::manifests::{self, Document, Loaded};
use crate::resolution::{self, Answer, Contents, Lookup};
use crate::validation;

/// How many different objects the parameters of one trigger may come from.
const MOST: usize = 256;
/// What the documents of a cluster have for a file.
pub(in crate::cli) const CLUSTER: &str = "cluster";

/// Everything that a probe may look at.
pub(in crate::cli) struct World {
    /// The documents of the files, and what was fetched of the cluster.
    documents: Vec<Document>,
    files: Inventory,
    cluster: Option<Glance>,
    fetched: HashMap<Wanted, Result<Option<Inventory>, String>>,
    /// Why no further question is put to the cluster: it did not answer one.
    silent: Option<String>,
    cluster_namespace: String,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    kind: Kind,
    /// Empty for a cluster-wide kind.
    namespace: String,
    name: String,
}

/// Answers for one trigger from what is known, and notes what is not.
pub(in crate::cli) struct Desk<'a> {
    world: &'a World,
    needs_environment: bool,
    missing: RefCell<Option<Wanted>>,
    /// Whether something was in none of the files, and nowhere else was looked.
    absent: Cell<bool>,
}

impl World {
    pub(in crate::cli) fn new(documents: Vec<Document>, cluster: Option<Glance>, cluster_namespace: String) -> Self {
        let files = inventory(documents.clone());
        Self { documents, files, cluster, fetched: HashMap::new(), silent: None, cluster_namespace }
    }

    /// All documents that are known by now.
    pub(in crate::cli) fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The cluster that is looked at.
    pub(in crate::cli) fn cluster(&self) -> Option<&Glance> {
        self.cluster.as_ref()
    }

    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication stand.
    pub(in crate::cli) fn cluster_namespace(&self) -> &str {
        &self.cluster_namespace
    }

    /// Reads from the cluster what one object's text refers to, as far as the files do not have it.
    pub(in crate::cli) async fn gather(&mut self, object: &Value, namespace: &str, triggers: &[Trigger]) {
        let names = object.pointer("/metadata/annotations").and_then(|all| all.get(POLICIES)).and_then(Value::as_str);
        for policy in validation::named(names.unwrap_or_default()) {
            let (kind, namespace) = if policy.cluster {
                (Kind::ClusterScalingPolicy, String::new())
            } else {
                (Kind::ScalingPolicy, namespace.to_owned())
            };
            let here = |document: &Document| {
                let same_place = policy.cluster || document.namespace() == namespace;
                document.kind() == policy.kind() && document.name() == &*policy.name && same_place
            };
            if !self.documents.iter().any(here) {
                let wanted = Wanted { kind, namespace: namespace.clone(), name: policy.name.to_string() };
                self.fetch(wanted).await;
            }
        }
        for trigger in triggers {
            for _ in 0..MOST {
                let missing = {
                    let desk = self.desk(trigger);
                    // Only what it asks for is of use here.
                    let _ = resolution::resolve(&trigger.references, &desk, &self.cluster_namespace);
                    desk.missing.into_inner()
                };
                let Some(missing) = missing else { break };
                self.fetch(missing).await;
            }
        }
    }

    async fn fetch(&mut self, wanted: Wanted) {
        let (Some(cluster), false) = (&self.cluster, self.fetched.contains_key(&wanted)) else { return };
        let found = match &self.silent {
            Some(why) => Err(Unseen { why: why.clone(), silent: true }),
            None => cluster.object(&wanted.kind, &wanted.namespace, &wanted.name).await,
        };
        let found = match found {
            Ok(None) => Ok(None),
            Ok(Some(value)) => parsed(&value).map(Some),
            Err(unseen) => {
                if unseen.silent {
                    self.silent = Some(unseen.why.clone());
                }
                Err(unseen.why)
            }
        };
        let found = found.map(|documents| {
            documents.map(|documents| {
                self.documents.extend(documents.iter().cloned());
                inventory(documents)
            })
        });
        self.fetched.insert(wanted, found);
    }

    /// Why policies and other objects that were looked for could not be seen.
    #[cfg(feature = "flink")]
    pub(in crate::cli) fn unseen(&self) -> impl Iterator<Item = String> {
        self.fetched.iter().filter_map(|(wanted, found)| {
            let why = found.as_ref().err()?;
            let kind = match &wanted.kind {
                Kind::Scaled { kind, .. } => kind.to_string(),
                kind => format!("{kind:?}"),
            };
            let name = format!("{}/{}", wanted.namespace, wanted.name);
            Some(format!("{kind} {} cannot be seen: {why}", name.trim_start_matches('/')))
        })
    }

    /// Answers for one trigger.
    pub(in crate::cli) fn desk(&self, trigger: &Trigger) -> Desk<'_> {
        let desk = Desk { world: self, needs_environment: false, missing: RefCell::default(), absent: Cell::default() };
        let from_environment = trigger.spec.metadata.keys().any(|key| key.ends_with("FromEnv"));
        let needs_environment = from_environment || takes_environment(trigger, &desk);
        Desk { needs_environment, ..desk }
    }

    /// The values of a trigger's parameters.
    ///
    /// # Errors
    /// As [`resolution::resolve`]; where something is in none of the files, the error says that nowhere else was looked.
    pub(in crate::cli) fn resolve(&self, trigger: &Trigger) -> Result<Parameters, ReadError> {
        let desk = self.desk(trigger);
        let resolved = resolution::resolve(&trigger.references, &desk, &self.cluster_namespace);
        resolved.map_err(|mut error| {
            if desk.absent.get() && error.kind == ReadErrorKind::Config && error.message.ends_with("does not exist") {
                error.message.push_str(" in these files; --cluster looks in a cluster as well");
            }
            error
        })
    }
}

/// Whether the trigger's authentication takes values from the target's environment.
fn takes_environment(trigger: &Trigger, lookup: &dyn Lookup) -> bool {
    let Some(reference) = &trigger.references.authentication else { return false };
    let answer = if reference.cluster {
        lookup.cluster_trigger_authentication(&reference.name)
    } else {
        lookup.trigger_authentication(&trigger.references.target.namespace, &reference.name)
    };
    matches!(answer, Answer::Found(spec) if !spec.env.is_empty())
}

fn inventory(documents: Vec<Document>) -> Inventory {
    Inventory::new(Loaded { documents, broken: Vec::new() }, &Inventory::default())
}

/// An object of the cluster as a document.
pub(in crate::cli) fn parsed(object: &Value) -> Result<Vec<Document>, String> {
    manifests::parse(Path::new(CLUSTER), &object.to_string()).map_err(|broken| broken.message)
}

impl Desk<'_> {
    /// What the files have, else what the cluster has.
    fn ask<T>(&self, kind: Kind, namespace: &str, name: &str, of: impl Fn(&Inventory) -> Answer<T>) -> Answer<T> {
        let here = of(&self.world.files);
        if !matches!(here, Answer::Absent) {
            return here;
        }
        if self.world.cluster.is_none() {
            self.absent.set(true);
            return Answer::Absent;
        }
        let wanted = Wanted { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        match self.world.fetched.get(&wanted) {
            Some(Ok(Some(found))) => of(found),
            Some(Ok(None)) => Answer::Absent,
            Some(Err(why)) => Answer::Unseen(why.clone()),
            None => {
                // The first one ends the resolution, unless it is optional; then the next one may be another.
                self.missing.borrow_mut().get_or_insert(wanted);
                Answer::Unseen("it was not read".to_owned())
            }
        }
    }
}

impl Lookup for Desk<'_> {
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.ask(Kind::TriggerAuthentication, namespace, name, |known| known.trigger_authentication(namespace, name))
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.ask(Kind::ClusterTriggerAuthentication, "", name, |known| known.cluster_trigger_authentication(name))
    }

    fn secret(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.ask(Kind::Secret, namespace, name, |known| known.secret(namespace, name))
    }

    fn config_map(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.ask(Kind::ConfigMap, namespace, name, |known| known.config_map(namespace, name))
    }

    fn pod_template(&self, target: &TargetRef) -> Answer<PodTemplateSpec> {
        if !self.needs_environment {
            // No value comes from it, so it need not be there.
            return Answer::Found(PodTemplateSpec::default());
        }
        self.ask(Kind::of(target), &target.namespace, &target.name, |known| known.pod_template(target))
    }
}
