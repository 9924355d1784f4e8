//! What resolution asks of its surroundings, and the three ways in which they can fail to answer.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use tidegate_calculator::source::{ReadError, ReadErrorKind, Secret};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::subject::TargetRef;

use super::config;

/// Answers for the objects that a trigger can refer to.
pub trait Lookup {
    /// A TriggerAuthentication.
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Answer<TriggerAuthenticationSpec>;
    /// A ClusterTriggerAuthentication.
    fn cluster_trigger_authentication(&self, name: &str) -> Answer<TriggerAuthenticationSpec>;
    /// The contents of a Secret.
    fn secret(&self, namespace: &str, name: &str) -> Answer<Contents>;
    /// The contents of a ConfigMap.
    fn config_map(&self, namespace: &str, name: &str) -> Answer<Contents>;
    /// The template of a target's pods; one without containers if the target's kind has none.
    fn pod_template(&self, target: &TargetRef) -> Answer<PodTemplateSpec>;
}

/// One answer of a [`Lookup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It is there.
    Found(T),
    /// It is certainly not there.
    Absent,
    /// It may be there but cannot be seen now, and why.
    Unseen(String),
    /// It is there but is not what it should be, and why.
    Malformed(String),
}

/// What a Secret or a ConfigMap holds. It prints its keys only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<String, Vec<u8>>);

impl<T> Answer<T> {
    /// The thing itself, else an error that says what `name` names and what is wrong with it.
    pub(super) fn require(self, name: impl Fn() -> String) -> Result<T, ReadError> {
        match self {
            Self::Found(found) => Ok(found),
            Self::Absent => Err(config(format!("{} does not exist", name()))),
            Self::Malformed(why) => Err(config(format!("{} cannot be used: {why}", name()))),
            Self::Unseen(why) => {
                let message = format!("{} cannot be seen: {why}", name());
                Err(ReadError::query(ReadErrorKind::Unavailable, message))
            }
        }
    }

    /// As [`Self::require`], but what is certainly absent is none if `optional`.
    pub(super) fn request(self, optional: bool, name: impl Fn() -> String) -> Result<Option<T>, ReadError> {
        match self {
            Self::Absent if optional => Ok(None),
            answer => answer.require(name).map(Some),
        }
    }
}

impl Contents {
    /// Contents of these keys and bytes.
    pub fn new(values: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The text of one key, none if there is no such key. `name` names the object in the error about bytes that are no text.
    pub(super) fn text(&self, key: &str, name: impl Fn() -> String) -> Result<Option<Secret>, ReadError> {
        let Some(bytes) = self.0.get(key) else { return Ok(None) };
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(_) => Err(config(format!("{}: the value of key {key} is not UTF-8 text", name()))),
        }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
