//! The objects of the files at one moment, by kind and name.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::subject::TargetRef;

use crate::manifests::{Broken, Document, Loaded};
use crate::resolution::{Answer, Contents, Lookup};

/// All documents, and which of their files cannot be used now.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// The documents; those of a broken file are its last good ones.
    pub(super) documents: Vec<Document>,
    /// What is wrong with files.
    pub(super) broken: Vec<Broken>,
    index: HashMap<Key, usize>,
}

/// API group, kind, namespace (empty for kinds without one) and name.
type Key = (String, String, String, String);

impl Inventory {
    /// What was loaded, completed from `before`: a file that is broken now keeps what it held.
    pub(crate) fn new(loaded: Loaded, before: &Self) -> Self {
        let lost = |document: &&Document| loaded.broken.iter().any(|broken| document.file.starts_with(&broken.file));
        let mut documents = loaded.documents;
        documents.extend(before.documents.iter().filter(lost).cloned());
        let mut index = HashMap::new();
        for (position, document) in documents.iter().enumerate() {
            // Of two with one name the first counts, as validation says.
            index.entry(key(document)).or_insert(position);
        }
        Self { documents, broken: loaded.broken, index }
    }

    /// The document that counts for its name.
    pub(super) fn counts(&self, document: &Document) -> bool {
        let found = self.index.get(&key(document)).and_then(|position| self.documents.get(*position));
        found.is_some_and(|found| std::ptr::eq(found, document))
    }

    fn find(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = (group.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.index.get(&key).and_then(|position| self.documents.get(*position)).map(|document| &document.value)
    }

    fn spec<T: DeserializeOwned>(&self, kind: &str, namespace: &str, name: &str) -> Answer<T> {
        let Some(value) = self.find("keda.sh", kind, namespace, name) else { return Answer::Absent };
        read(value.get("spec").unwrap_or(&Value::Null))
    }
}

impl Lookup for Inventory {
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.spec("TriggerAuthentication", namespace, name)
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.spec("ClusterTriggerAuthentication", "", name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Answer<Contents> {
        let Some(value) = self.find("", "Secret", namespace, name) else { return Answer::Absent };
        match read::<Holding>(value) {
            Answer::Found(Holding { data, string_data, .. }) => {
                let data = data.unwrap_or_default();
                // The error must not show the text: it may be a password that was never encoded.
                let Some(mut values) = decode(data.clone()) else { return Answer::Malformed(not_encoded(&data)) };
                // As the API server does: the plain text wins.
                values.extend(string_data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes())));
                Answer::Found(Contents::new(values))
            }
            _ => Answer::Malformed("data and stringData must be maps of text".to_owned()),
        }
    }

    fn config_map(&self, namespace: &str, name: &str) -> Answer<Contents> {
        let Some(value) = self.find("", "ConfigMap", namespace, name) else { return Answer::Absent };
        match read::<Holding>(value) {
            Answer::Found(Holding { data, binary_data, .. }) => {
                let binary = binary_data.unwrap_or_default();
                let Some(mut values) = decode(binary.clone()) else { return Answer::Malformed(not_encoded(&binary)) };
                values.extend(data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes())));
                Answer::Found(Contents::new(values))
            }
            _ => Answer::Malformed("data and binaryData must be maps of text".to_owned()),
        }
    }

    fn pod_template(&self, target: &TargetRef) -> Answer<PodTemplateSpec> {
        let group = group(&target.api_version);
        match self.find(group, &target.kind, &target.namespace, &target.name) {
            None => Answer::Absent,
            Some(value) => value.pointer("/spec/template").map_or(Answer::Found(PodTemplateSpec::default()), read),
        }
    }
}

/// The part of a Secret or a ConfigMap that holds something.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Holding {
    data: Option<BTreeMap<String, String>>,
    string_data: Option<BTreeMap<String, String>>,
    binary_data: Option<BTreeMap<String, String>>,
}

fn decode(data: BTreeMap<String, String>) -> Option<BTreeMap<String, Vec<u8>>> {
    data.into_iter().map(|(key, text)| Some((key, decoded(text)?))).collect()
}

fn decoded(text: String) -> Option<Vec<u8>> {
    serde_json::from_value::<ByteString>(Value::String(text)).ok().map(|bytes| bytes.0)
}

fn not_encoded(data: &BTreeMap<String, String>) -> String {
    let key = data.iter().find(|(_, text)| decoded((*text).clone()).is_none()).map_or("", |(key, _)| key);
    format!("the value of key {key} is not base64")
}

fn read<T: DeserializeOwned>(value: &Value) -> Answer<T> {
    match T::deserialize(value) {
        Ok(found) => Answer::Found(found),
        Err(error) => Answer::Malformed(error.to_string()),
    }
}

fn key(document: &Document) -> Key {
    let kind = document.kind();
    let cluster = ["ClusterTriggerAuthentication", "ClusterScalingPolicy"].contains(&kind);
    let namespace = if cluster { "" } else { document.namespace() };
    let group = group(document.api_version());
    (group.to_owned(), kind.to_owned(), namespace.to_owned(), document.name().to_owned())
}

/// The group of an apiVersion; empty for the core.
pub(super) fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifests::{Cause, parse};

    fn loaded(file: &str, text: &str) -> Loaded {
        Loaded { documents: parse(Path::new(file), text).unwrap(), broken: Vec::new() }
    }

    fn secret(text: &str) -> Answer<Contents> {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: shop}}\n{text}\n");
        Inventory::new(loaded("a.yaml", &text), &Inventory::default()).secret("shop", "s")
    }

    #[test]
    fn a_secret_is_decoded_and_plain_text_wins() {
        let contents = |pairs: &[(&str, &str)]| {
            Answer::Found(Contents::new(pairs.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec()))))
        };
        assert_eq!(secret("data: {a: YWJj}"), contents(&[("a", "abc")]));
        assert_eq!(secret("data: {a: YWJj}\nstringData: {a: plain, b: x}"), contents(&[("a", "plain"), ("b", "x")]));
        assert_eq!(secret(""), contents(&[]));
        assert_eq!(secret("data: {a: hunter2!}"), Answer::Malformed("the value of key a is not base64".to_owned()));
        assert_eq!(secret("data: {a: [1]}"), Answer::Malformed("data and stringData must be maps of text".to_owned()));
    }

    #[test]
    fn a_broken_file_keeps_what_it_held() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n";
        let before = Inventory::new(loaded("dir/a.yaml", text), &Inventory::default());
        let broken = |file: &str| Broken {
            file: file.into(),
            line: 1,
            column: 1,
            message: "is not YAML".to_owned(),
            cause: Cause::Malformed,
        };
        let with = |file: &str| Loaded { documents: Vec::new(), broken: vec![broken(file)] };
        let found = |inventory: &Inventory| matches!(inventory.config_map("default", "m"), Answer::Found(_));
        assert!(found(&Inventory::new(with("dir/a.yaml"), &before)));
        assert!(found(&Inventory::new(with("dir"), &before)), "a directory that cannot be read proves nothing");
        assert!(!found(&Inventory::new(with("dir/b.yaml"), &before)));
    }
}
