//! Finds the values that triggers' parameters come from: Secrets, ConfigMaps, authentications, environments.
//!
//! The rules of resolution are pure and ask a [`Lookup`]. Here they are run over what is known; what they find missing is
//! read, and they are run again. A Secret is read only if something refers to it, and kept until its version moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec, Secret};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;
use tidegate_calculator::source::{Parameters, ReadError, ReadErrorKind};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::ports::Resolver;
use tidegate_engine::subject::{References, TargetRef};
use tokio::sync::{Semaphore, mpsc};

use super::calls::{CALL, Failure, within};
use super::target::ScaleTarget;
use super::watch::directory::{Directory, Holder};
use super::watch::event::Event;
use crate::resolution::{self, Answer, Contents, Lookup};
use crate::validation::KeysOf;

/// How many different objects the parameters of one trigger may come from.
const MOST: usize = 256;

/// Reads at the same time.
const READS: usize = 32;

/// How long the first list of a namespace's Secrets is waited for: a part of the time that the opening of a trigger may take.
const LISTING: Duration = Duration::from_secs(1);

/// Resolves parameters on a cluster.
pub struct ClusterResolver {
    client: Client,
    directory: Directory,
    events: mpsc::Sender<Event>,
    cluster_namespace: String,
    targets: Arc<ScaleTarget>,
    reads: Semaphore,
}

/// What one resolution has gathered so far.
#[derive(Default)]
struct Gathered {
    holders: HashMap<Holder, Answer<Contents>>,
    template: Option<Answer<PodTemplateSpec>>,
}

/// Something that a resolution asked for and that was not gathered yet.
enum Missing {
    Holder(Holder),
    Template(TargetRef),
}

/// Answers from what was gathered, and notes what was not.
struct Desk<'a> {
    gathered: &'a Gathered,
    directory: &'a Directory,
    missing: RefCell<Option<Missing>>,
}

impl ClusterResolver {
    pub(super) fn new(
        client: Client,
        directory: Directory,
        events: mpsc::Sender<Event>,
        cluster_namespace: String,
        targets: Arc<ScaleTarget>,
    ) -> Self {
        Self { client, directory, events, cluster_namespace, targets, reads: Semaphore::new(READS) }
    }

    /// A Secret or a ConfigMap, from memory if nothing has changed since it was read.
    async fn holder(&self, holder: &Holder, target: &TargetRef) -> Answer<Contents> {
        if self.directory.using(holder, target) && self.events.send(Event::Wanted(holder.place.clone())).await.is_err()
        {
            return Answer::Unseen("the operator is stopping".to_owned());
        }
        // Until the watch has told all it tells no changes. One that takes too long must not keep the trigger: what is
        // read without it is not kept.
        let _ = tokio::time::timeout(LISTING, self.directory.settled(&holder.place)).await;
        let mark = match self.directory.contents(holder) {
            Ok(answer) => return answer,
            Err(mark) => mark,
        };
        let read = match holder.place.of {
            KeysOf::Secret => self.secret(holder).await,
            KeysOf::ConfigMap => self.config_map(holder).await,
        };
        match read {
            Ok((version, contents)) => {
                let answer = Answer::Found(contents);
                self.directory.keep(holder, mark, version.map(Into::into), answer.clone());
                answer
            }
            Err(failure) if failure.is_not_found() => {
                self.directory.keep(holder, mark, None, Answer::Absent);
                Answer::Absent
            }
            Err(failure) => Answer::Unseen(failure.to_string()),
        }
    }

    async fn secret(&self, holder: &Holder) -> Result<(Option<String>, Contents), Failure> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &holder.place.namespace);
        let Secret { metadata, data, .. } = within(CALL, api.get(&holder.name)).await?;
        let data = data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
        Ok((metadata.resource_version, Contents::new(data)))
    }

    async fn config_map(&self, holder: &Holder) -> Result<(Option<String>, Contents), Failure> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &holder.place.namespace);
        let ConfigMap { metadata, data, binary_data, .. } = within(CALL, api.get(&holder.name)).await?;
        let binary = binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
        let text = data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        Ok((metadata.resource_version, Contents::new(binary.chain(text))))
    }

    async fn template(&self, target: &TargetRef) -> Answer<PodTemplateSpec> {
        let resource = match self.targets.resource(target).await {
            Ok(resource) => resource,
            Err(error) => return Answer::Unseen(error.to_string()),
        };
        let api: Api<kube::api::DynamicObject> =
            Api::namespaced_with(self.client.clone(), &target.namespace, &resource);
        let whole = match within(CALL, api.get(&target.name)).await {
            Ok(whole) => whole,
            Err(failure) if failure.is_not_found() => return Answer::Absent,
            Err(failure) => return Answer::Unseen(failure.to_string()),
        };
        let template = whole.data.pointer("/spec/template").unwrap_or(&Value::Null);
        match Option::<PodTemplateSpec>::deserialize(template) {
            Ok(template) => Answer::Found(template.unwrap_or_default()),
            Err(error) => Answer::Malformed(error.to_string()),
        }
    }
}

#[async_trait]
impl Resolver for ClusterResolver {
    async fn resolve(&self, references: &References) -> Result<Parameters, ReadError> {
        let mut gathered = Gathered::default();
        for _ in 0..MOST {
            let (result, missing) = {
                let desk = Desk { gathered: &gathered, directory: &self.directory, missing: RefCell::default() };
                let result = resolution::resolve(references, &desk, &self.cluster_namespace);
                (result, desk.missing.into_inner())
            };
            let Some(missing) = missing else { return result };
            // The semaphore is never closed.
            let _permit = self.reads.acquire().await;
            match missing {
                Missing::Holder(holder) => {
                    let answer = self.holder(&holder, &references.target).await;
                    gathered.holders.insert(holder, answer);
                }
                Missing::Template(target) => gathered.template = Some(self.template(&target).await),
            }
        }
        let message = format!("its parameters come from more than {MOST} Secrets and ConfigMaps");
        Err(ReadError::query(ReadErrorKind::Config, message))
    }
}

impl Desk<'_> {
    fn note(&self, missing: Missing) {
        // The first one ends the resolution, unless it is optional; then the next one may be another.
        self.missing.borrow_mut().get_or_insert(missing);
    }

    fn holder(&self, of: KeysOf, namespace: &str, name: &str) -> Answer<Contents> {
        let holder = Holder::new(of, namespace, name);
        if let Some(answer) = self.gathered.holders.get(&holder) {
            return answer.clone();
        }
        self.note(Missing::Holder(holder));
        Answer::Unseen("it was not read yet".to_owned())
    }
}

impl Lookup for Desk<'_> {
    fn trigger_authentication(&self, namespace: &str, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.directory.authentication(&(Some(namespace.into()), name.into()))
    }

    fn cluster_trigger_authentication(&self, name: &str) -> Answer<TriggerAuthenticationSpec> {
        self.directory.authentication(&(None, name.into()))
    }

    fn secret(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.holder(KeysOf::Secret, namespace, name)
    }

    fn config_map(&self, namespace: &str, name: &str) -> Answer<Contents> {
        self.holder(KeysOf::ConfigMap, namespace, name)
    }

    fn pod_template(&self, target: &TargetRef) -> Answer<PodTemplateSpec> {
        if !self.directory.needs_environment(target) {
            // No trigger takes a value from it, so it need not be read.
            return Answer::Found(PodTemplateSpec::default());
        }
        if let Some(answer) = &self.gathered.template {
            return answer.clone();
        }
        self.note(Missing::Template(target.clone()));
        Answer::Unseen("it was not read yet".to_owned())
    }
}

#[cfg(test)]
mod tests;
