//! One look at a cluster, for commands that read what is there, say something about it and end. Nothing is followed or written.

use std::sync::Arc;

use kube::api::{DynamicObject, ListParams};
use kube::client::ClientBuilder;
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::Value;
use tidegate_calculator::observation::TargetState;
use tidegate_crds::{
    ClusterScalingPolicy, ClusterTriggerAuthentication, ScaleRecord, ScaledObject, ScalingPolicy, TriggerAuthentication,
};
use tidegate_engine::protocol::TargetError;
use tidegate_engine::subject::TargetRef;
use tidegate_scalers::Surroundings;

use super::calls::{CALL, Failure, within};
use super::courtesy::Courtesy;
use super::known::Known;
use super::operations::ClusterOperations;
use super::start::{self, Connection, configure};
use super::surroundings::ClusterSurroundings;
use super::surroundings::counter::Counts;
use super::target;
use super::watch::kinds::{KindKey, Kinds};
use crate::hooks::ClusterActions;

/// The most objects of one namespace that are listed at once; further pages follow.
const PAGE: u32 = 500;

/// A kind whose objects are read by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Credentials of triggers in one namespace.
    TriggerAuthentication,
    /// Credentials of triggers everywhere.
    ClusterTriggerAuthentication,
    /// Rules beyond KEDA in one namespace.
    ScalingPolicy,
    /// Rules beyond KEDA everywhere.
    ClusterScalingPolicy,
    /// What triggers are.
    ScaledObject,
    /// What is remembered of a ScaledObject, under its name.
    ScaleRecord,
    /// Of the core.
    Secret,
    /// Of the core.
    ConfigMap,
    /// Whatever has a scale.
    Scaled {
        /// Group and version.
        api_version: Arc<str>,
        /// The kind.
        kind: Arc<str>,
    },
}

/// Why an object cannot be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// What the API server said, or what became of the question.
    pub why: String,
    /// Whether no API server answered, so that there is no use in asking for the next object.
    pub silent: bool,
}

/// A cluster that is looked at. It needs a tokio runtime.
pub struct Glance {
    client: Client,
    kinds: Kinds,
    surroundings: ClusterSurroundings,
}

/// The cluster behind this connection; the first question connects.
///
/// # Errors
/// If the configuration of the connection is wrong.
pub async fn look(connection: &Connection) -> Result<Glance, start::Failure> {
    let config = configure(connection).await?;
    let builder = ClientBuilder::try_from(config).map_err(|error| start::Failure::Connection(error.to_string()))?;
    Ok(Glance::new(builder.with_layer(&Courtesy::default()).build()))
}

impl Kind {
    /// The kind of a target.
    pub fn of(target: &TargetRef) -> Self {
        Self::Scaled { api_version: Arc::clone(&target.api_version), kind: Arc::clone(&target.kind) }
    }

    /// Its resource if that is known without asking, and whether it stands in a namespace.
    fn known(&self) -> Option<(ApiResource, bool)> {
        let erased = |resource: ApiResource, namespaced| Some((resource, namespaced));
        match self {
            Self::TriggerAuthentication => erased(ApiResource::erase::<TriggerAuthentication>(&()), true),
            Self::ClusterTriggerAuthentication => {
                erased(ApiResource::erase::<ClusterTriggerAuthentication>(&()), false)
            }
            Self::ScalingPolicy => erased(ApiResource::erase::<ScalingPolicy>(&()), true),
            Self::ClusterScalingPolicy => erased(ApiResource::erase::<ClusterScalingPolicy>(&()), false),
            Self::ScaledObject => erased(ApiResource::erase::<ScaledObject>(&()), true),
            Self::ScaleRecord => erased(ApiResource::erase::<ScaleRecord>(&()), true),
            Self::Secret => erased(ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&()), true),
            Self::ConfigMap => erased(ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()), true),
            Self::Scaled { .. } => None,
        }
    }
}

impl Glance {
    pub(crate) fn new(client: Client) -> Self {
        Self { kinds: Kinds::new(client.clone()), surroundings: ClusterSurroundings::new(&client), client }
    }

    /// The namespace of the connection's context.
    pub fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// What triggers see of the cluster.
    pub fn surroundings(&self) -> Arc<dyn Surroundings> {
        Arc::new(self.surroundings.clone())
    }

    /// What operations can look at, and do, in this cluster.
    pub fn actions(&self) -> Arc<dyn ClusterActions> {
        Arc::new(ClusterOperations::new(self.client.clone(), Known::default()))
    }

    /// One object, as the API server shows it; none if it is certainly not there. The namespace of a cluster-wide kind is not looked at.
    ///
    /// # Errors
    /// If the object may be there and cannot be seen.
    pub async fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Option<Value>, Unseen> {
        let api = self.api(kind, namespace).await?;
        let Some(api) = api else { return Ok(None) };
        match within(CALL, api.get(name)).await {
            Ok(object) => Ok(serde_json::to_value(object).ok()),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(Unseen::of(&failure)),
        }
    }

    /// All ScaledObjects of a namespace, as the API server shows them.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn scaled_objects(&self, namespace: &str) -> Result<Vec<Value>, Unseen> {
        let Some(api) = self.api(&Kind::ScaledObject, namespace).await? else { return Ok(Vec::new()) };
        let (mut objects, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            let list = within(CALL, api.list(&page)).await.map_err(|failure| Unseen::of(&failure))?;
            // The items of a list do not say what they are.
            let whole = |mut object: DynamicObject| {
                object.types.get_or_insert_with(kube::core::TypeMeta::resource::<ScaledObject>);
                serde_json::to_value(object).ok()
            };
            objects.extend(list.items.into_iter().filter_map(whole));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// The replicas and pods of a target, the Ready ones counted where the target does not show them.
    ///
    /// # Errors
    /// If it is not there, cannot be scaled, or cannot be read.
    pub async fn target(&self, of: &TargetRef) -> Result<TargetState, TargetError> {
        let counts = Counts::default();
        counts.set(of, true);
        let counter = self.surroundings.counter(counts);
        target::read(&self.client, &self.kinds, &counter, of).await.map(|seen| seen.state)
    }

    /// Where objects of a kind are; none if there is no such kind.
    async fn api(&self, kind: &Kind, namespace: &str) -> Result<Option<Api<DynamicObject>>, Unseen> {
        let (resource, namespaced) = match (kind.known(), kind) {
            (Some(known), _) => known,
            (None, Kind::Scaled { api_version, kind }) => {
                let key = KindKey { api_version: Arc::clone(api_version), kind: Arc::clone(kind) };
                match self.kinds.resolve(&key).await {
                    Ok(served) => (served.resource, true),
                    Err(TargetError::NotFound(_) | TargetError::NotScalable(_)) => return Ok(None),
                    Err(error) => return Err(Unseen { why: error.to_string(), silent: false }),
                }
            }
            (None, _) => return Ok(None),
        };
        let client = self.client.clone();
        Ok(Some(if namespaced {
            Api::namespaced_with(client, namespace, &resource)
        } else {
            Api::all_with(client, &resource)
        }))
    }
}

impl Unseen {
    fn of(failure: &Failure) -> Self {
        Self { why: failure.to_string(), silent: failure.code().is_none() }
    }
}

#[cfg(test)]
#[path = "once_tests.rs"]
mod tests;
