//! The ConfigMaps and Secrets that triggers read numbers from: each is watched by its name, as a kubelet watches those of its pods.
//!
//! So nothing is kept, nor even sent, of the others in its namespace.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tidegate_calculator::source::{Deadline, ReadError, Secret, Wake};
use tidegate_scalers::{Holder, HolderKind, Texts, Watch};

use super::rooms::{Rooms, Stored, Times};
use super::view::trimmed;
use crate::kubernetes::patience::Patience;

/// What triggers read of ConfigMaps and Secrets. Copies share it.
#[derive(Clone)]
pub(super) struct Holders {
    config_maps: Rooms<Held<String>>,
    secrets: Rooms<Held<ByteString>>,
}

impl Holders {
    /// Nothing is watched yet.
    pub(super) fn new(client: &Client, patience: &Patience, times: Times) -> Self {
        Self {
            config_maps: Rooms::new(client.clone(), patience.clone(), times),
            secrets: Rooms::new(client.clone(), patience.clone(), times),
        }
    }

    /// The texts of one object by their keys; none if it does not exist.
    ///
    /// # Errors
    /// If it cannot be seen, is not seen within `deadline`, or its watch was not heard of for too long.
    pub(super) async fn of(&self, holder: &Holder, deadline: Deadline) -> Result<Option<Texts>, ReadError> {
        let key = Named(holder.clone());
        match holder.kind {
            HolderKind::ConfigMap => self.config_maps.look(&key, deadline, |held| held.texts.clone()).await,
            HolderKind::Secret => self.secrets.look(&key, deadline, |held| held.texts.clone()).await,
        }
    }

    /// Wakes when the texts of an object may be others.
    pub(super) fn follow(&self, holder: &Holder, wake: Wake) -> Option<Watch> {
        let key = Named(holder.clone());
        match holder.kind {
            HolderKind::ConfigMap => self.config_maps.follow(&key, (), wake),
            HolderKind::Secret => self.secrets.follow(&key, (), wake),
        }
    }
}

/// One object, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named(Holder);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contents of {}", self.0)
    }
}

/// How the values of a kind are written.
pub(super) trait Text: Clone + DeserializeOwned + Send + 'static {
    const KIND: &'static str;
    const PLURAL: &'static str;

    /// Bytes that are no text become one that is no number.
    fn text(self) -> Secret;
}

impl Text for String {
    const KIND: &'static str = "ConfigMap";
    const PLURAL: &'static str = "configmaps";

    fn text(self) -> Secret {
        Secret::new(self)
    }
}

impl Text for ByteString {
    const KIND: &'static str = "Secret";
    const PLURAL: &'static str = "secrets";

    fn text(self) -> Secret {
        Secret::new(
            String::from_utf8(self.0).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
        )
    }
}

/// An object as the API server shows it, but for what nobody here looks at.
#[derive(Clone, Deserialize)]
#[serde(bound = "")]
pub(super) struct HolderView<T: Text> {
    #[serde(default, deserialize_with = "trimmed")]
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_empty")]
    data: BTreeMap<String, T>,
}

/// The API server writes null for a map that is empty.
fn or_empty<'de, D: Deserializer<'de>, T: Text>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
    Option::<BTreeMap<String, T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl<T: Text> fmt::Debug for HolderView<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", T::KIND, self.metadata.name)
    }
}

impl<T: Text> Resource for HolderView<T> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is kept of one object: its texts, if it exists.
pub(super) struct Held<T> {
    texts: Option<Texts>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { texts: None, kind: PhantomData }
    }
}

fn texts<T: Text>(view: HolderView<T>) -> Texts {
    Arc::new(view.data.into_iter().map(|(key, text)| (key, text.text())).collect())
}

impl<T: Text> Held<T> {
    /// Whether that is news.
    fn set(&mut self, texts: Option<Texts>) -> bool {
        let news = self.texts != texts;
        self.texts = texts;
        news
    }
}

impl<T: Text> Stored for Held<T> {
    type Key = Named;
    type View = HolderView<T>;
    type Fresh = Option<Texts>;
    type Filter = ();
    type Change = bool;
    const RESOURCE: &'static str = T::PLURAL;

    fn api(client: Client, Named(holder): &Named) -> (Api<Self::View>, Config) {
        let config = Config::default().fields(&format!("metadata.name={}", holder.name));
        (Api::namespaced(client, &holder.namespace), config)
    }

    fn namespace(Named(holder): &Named) -> &str {
        &holder.namespace
    }

    fn add(fresh: &mut Self::Fresh, view: Self::View) {
        *fresh = Some(texts(view));
    }

    fn replace(&mut self, fresh: Self::Fresh) {
        self.set(fresh);
    }

    fn put(&mut self, view: Self::View) -> bool {
        self.set(Some(texts(view)))
    }

    fn remove(&mut self, _: &Self::View) -> bool {
        self.set(None)
    }

    fn concerns(change: &bool, (): &()) -> bool {
        *change
    }
}
