//! The surroundings that a set of manifests shows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tidegate_crds::TIDEGATE_GROUP;
use tidegate_engine::subject::{AuthenticationRef, TargetRef};

use super::policies::PolicyRef;
use super::surroundings::{KeysOf, Sight, Surroundings};
use crate::manifests::Document;

/// What stands in the given documents. They may be a part of what a cluster has, so that absence proves nothing.
#[derive(Debug)]
pub struct Files<'a> {
    /// By kind and name; several if namespaces or API groups differ.
    by_name: HashMap<(&'a str, &'a str), Vec<&'a Document>>,
    for_cluster: bool,
}

impl<'a> Files<'a> {
    /// Indexes the documents; of two with the same kind, namespace and name the first counts.
    pub fn new(documents: &'a [Document]) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for document in documents {
            by_name.entry((document.kind(), document.name())).or_default().push(document);
        }
        Self { by_name, for_cluster: false }
    }

    /// The same for documents that are going to be applied to a cluster.
    pub fn for_cluster(self) -> Self {
        Self { for_cluster: true, ..self }
    }

    fn find(&self, kind: &str, namespace: Option<&str>, name: &str) -> impl Iterator<Item = &'a Document> {
        let here = move |document: &&&Document| namespace.is_none_or(|namespace| document.namespace() == namespace);
        let all = self.by_name.get(&(kind, name)).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(here).copied().collect::<Vec<_>>().into_iter()
    }

    fn find_target(&self, target: &TargetRef) -> Option<&'a Document> {
        let group = group(&target.api_version);
        let mut found = self.find(&target.kind, Some(&target.namespace), &target.name);
        found.find(|document| self::group(document.api_version()) == group)
    }

    /// The names that `envFrom` brings in; none if one of its sources is not among the documents.
    fn env_from(&self, entry: &Value, namespace: &str) -> Option<Vec<String>> {
        let prefix = entry.get("prefix").and_then(Value::as_str).unwrap_or_default();
        let sources = [("configMapRef", KeysOf::ConfigMap), ("secretRef", KeysOf::Secret)];
        let (name, of) =
            sources.iter().find_map(|(field, of)| Some((entry.get(field)?.get("name")?.as_str()?, *of)))?;
        match self.keys(of, Some(namespace), name) {
            Sight::Here(keys) => Some(keys.iter().map(|key| format!("{prefix}{key}")).collect()),
            Sight::Absent | Sight::Unseen => None,
        }
    }
}

impl Surroundings for Files<'_> {
    fn place(&self) -> &'static str {
        "in these files"
    }

    fn restores(&self) -> bool {
        self.for_cluster
    }

    fn counts_pods(&self) -> bool {
        self.for_cluster
    }

    fn performs_hooks(&self) -> bool {
        self.for_cluster
    }

    fn target(&self, target: &TargetRef) -> Sight<()> {
        self.find_target(target).map_or(Sight::Absent, |_| Sight::Here(()))
    }

    fn environment(&self, target: &TargetRef, container: Option<&str>) -> Sight<BTreeSet<String>> {
        let Some(document) = self.find_target(target) else { return Sight::Unseen };
        let containers = document.value.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let Some(containers) = containers else { return Sight::Unseen };
        let is_it = |entry: &&Value| container.is_none_or(|name| text(entry, "name") == Some(name));
        let Some(container) = containers.iter().find(is_it) else { return Sight::Absent };
        let list = |name: &str| container.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut names: BTreeSet<String> =
            list("env").filter_map(|entry| text(entry, "name")).map(str::to_owned).collect();
        for entry in list("envFrom") {
            match self.env_from(entry, &target.namespace) {
                Some(more) => names.extend(more),
                None => return Sight::Unseen,
            }
        }
        Sight::Here(names)
    }

    fn authentication(&self, namespace: &str, reference: &AuthenticationRef) -> Sight<Value> {
        let (kind, namespace) = if reference.cluster {
            ("ClusterTriggerAuthentication", None)
        } else {
            ("TriggerAuthentication", Some(namespace))
        };
        let found = self.find(kind, namespace, &reference.name).next();
        found.map_or(Sight::Absent, |document| Sight::Here(document.value.get("spec").cloned().unwrap_or_default()))
    }

    fn policy(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Value>> {
        let namespace = (!name.cluster).then_some(namespace);
        let found = self.find(name.kind(), namespace, &name.name).find(|document| {
            // Another group may have a kind of the same name.
            group(document.api_version()) == TIDEGATE_GROUP
        });
        found.map_or(Sight::Absent, |document| Sight::Here(Arc::new(document.value.clone())))
    }

    fn keys(&self, of: KeysOf, namespace: Option<&str>, name: &str) -> Sight<BTreeSet<String>> {
        let fields = match of {
            KeysOf::Secret => ["data", "stringData"],
            KeysOf::ConfigMap => ["data", "binaryData"],
        };
        let Some(document) = self.find(of.kind(), namespace, name).next() else { return Sight::Absent };
        let maps = fields.iter().filter_map(|field| document.value.get(field)?.as_object());
        Sight::Here(maps.flat_map(|map| map.keys().cloned()).collect())
    }
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// The group of an apiVersion; empty for the core.
fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}
