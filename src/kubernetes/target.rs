//! Reads and writes the scale of targets: anything with a `/scale` subresource.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::autoscaling::v1::Scale;
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;
use tidegate_calculator::observation::TargetState;
use tidegate_engine::ports::Target;
use tidegate_engine::protocol::{ApplyError, Seen, TargetError, Version};
use tidegate_engine::subject::{Hold, TargetRef};
use tokio::sync::mpsc;

use super::calls::{CALL, Failure, within};
use super::flink_scale::{self, Shown};
use super::surroundings::counter::Counter;
use super::watch::event::Event;
use super::watch::kinds::{KindKey, Kinds, Served};
use super::watch::views::{self, Template, Workload};

/// The field manager of everything that is written.
pub(super) const MANAGER: &str = "tidegate";

/// The longest time that an API server's wish not to be asked again is waited for within one call.
const PATIENCE: Duration = Duration::from_secs(2);

/// The scale subresources of a cluster.
pub struct ScaleTarget {
    client: Client,
    kinds: Kinds,
    counter: Counter,
    events: mpsc::Sender<Event>,
}

impl ScaleTarget {
    pub(super) fn new(client: Client, kinds: Kinds, counter: Counter, events: mpsc::Sender<Event>) -> Self {
        Self { client, kinds, counter, events }
    }

    /// The plural resource of a target's kind, as `get` and `patch` name it.
    ///
    /// # Errors
    /// If the kind is not served, cannot be scaled, or cannot be told now.
    pub async fn resource(&self, target: &TargetRef) -> Result<kube::core::ApiResource, TargetError> {
        self.kinds.resolve(&KindKey::of(target)).await.map(|served| served.resource)
    }
}

/// Reads a target past every cache.
pub(super) async fn read(
    client: &Client,
    kinds: &Kinds,
    counter: &Counter,
    target: &TargetRef,
) -> Result<Seen, TargetError> {
    look(client, kinds, counter, target).await.map(|(seen, _)| seen)
}

/// Reads a target past every cache, and why it must not be scaled now, if it says so itself.
pub(super) async fn look(
    client: &Client,
    kinds: &Kinds,
    counter: &Counter,
    target: &TargetRef,
) -> Result<(Seen, Option<Hold>), TargetError> {
    let served = kinds.resolve(&KindKey::of(target)).await?;
    let result = if served.workload {
        // One read shows the pods that are ready as well.
        let api: Api<Workload> = Api::namespaced_with(client.clone(), &target.namespace, &served.resource);
        patiently(|| api.get(&target.name)).await.map(|workload| (workload.seen(), None))
    } else {
        match patiently(|| async { flink_scale::read(&api(client, target, &served), target).await }).await {
            Ok(Shown { scale, suspended }) => {
                let seen = seen(&scale, counter.ready(target, &scale).await);
                Ok((seen, suspended.map(|suspended| suspended.hold())))
            }
            Err(failure) => Err(failure),
        }
    };
    result.map_err(|failure| unread(&failure, target, &served))
}

/// The print of the environments of a target whose scale no watch shows; none if it cannot be read now.
pub(super) async fn environment(client: &Client, kinds: &Kinds, target: &TargetRef) -> Option<u64> {
    let served = kinds.resolve(&KindKey::of(target)).await.ok()?;
    let whole = within(CALL, api(client, target, &served).get(&target.name)).await.ok()?;
    let template = whole.data.pointer("/spec/template").unwrap_or(&Value::Null);
    Some(Template::deserialize(template).unwrap_or_default().print())
}

fn api(client: &Client, target: &TargetRef, served: &Served) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &target.namespace, &served.resource)
}

/// A call, and once more if the API server asked for a moment's patience: it did nothing then.
async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let failure = match within(CALL, call()).await {
        Err(failure) if failure.code() == Some(429) => failure,
        done => return done,
    };
    match failure.retry_after() {
        Some(pause) if pause <= PATIENCE => {
            tokio::time::sleep(pause).await;
            within(CALL, call()).await
        }
        _ => Err(failure),
    }
}

fn seen(scale: &Scale, ready: Option<u32>) -> Seen {
    let count = |count: Option<i32>| count.map_or(0, views::count);
    let state = TargetState {
        replicas: count(scale.spec.as_ref().and_then(|spec| spec.replicas)),
        existing: count(scale.status.as_ref().map(|status| status.replicas)),
        ready,
    };
    Seen { state, version: views::version(&scale.metadata) }
}

fn unread(failure: &Failure, target: &TargetRef, served: &Served) -> TargetError {
    let named = format!("{} {}/{}", target.kind, target.namespace, target.name);
    let resource = if served.workload { served.name() } else { format!("{}/scale", served.name()) };
    match failure.code() {
        // The same status means that there is no such subresource; a kind that has none is found before.
        Some(404) => TargetError::NotFound(named),
        Some(405) => TargetError::NotScalable(named),
        Some(403) => TargetError::Unavailable(forbidden("get", &resource, target, failure)),
        _ => TargetError::Unavailable(failure.because(&format!("{named} cannot be read"))),
    }
}

fn unwritten(failure: &Failure, target: &TargetRef, served: &Served) -> ApplyError {
    let named = format!("{} {}/{}", target.kind, target.namespace, target.name);
    match failure.code() {
        Some(409) => ApplyError::Conflict,
        Some(403) => ApplyError::Refused(forbidden("update", &format!("{}/scale", served.name()), target, failure)),
        Some(404) => ApplyError::Refused(format!("{named} does not exist any more, or has no scale subresource")),
        Some(429) => ApplyError::Refused(failure.because(&format!("{named} was not scaled, the API server is busy"))),
        Some(code) if (400..500).contains(&code) => {
            ApplyError::Refused(failure.because(&format!("the API server refuses the scale of {named}")))
        }
        _ => ApplyError::Unknown(failure.because(&format!("it is not known whether {named} was scaled"))),
    }
}

fn forbidden(verb: &str, resource: &str, target: &TargetRef, failure: &Failure) -> String {
    failure.because(&format!("{verb} of {resource} in namespace {} is forbidden; the role needs it", target.namespace))
}

#[async_trait]
impl Target for ScaleTarget {
    async fn refresh(&self, target: &TargetRef) -> Result<Seen, TargetError> {
        let result = read(&self.client, &self.kinds, &self.counter, target).await;
        if result.is_ok() {
            // A kind that came after its objects is watched from now on; if the index is busy the next refresh says it.
            let _ = self.events.try_send(Event::Found(KindKey::of(target)));
        }
        result
    }

    async fn apply(&self, target: &TargetRef, replicas: u32, version: &Version) -> Result<Version, ApplyError> {
        // Whatever fails before the write has written nothing.
        let served = self.kinds.resolve(&KindKey::of(target)).await;
        let served = served.map_err(|error| ApplyError::Refused(error.to_string()))?;
        let api = api(&self.client, target, &served);
        let wanted = i32::try_from(replicas).unwrap_or(i32::MAX);
        let written = patiently(|| flink_scale::write(&api, target, wanted, &version.0)).await;
        match written {
            Ok(Ok(scale)) => Ok(views::version(&scale.metadata)),
            Ok(Err(suspended)) => Err(ApplyError::LeftAlone(suspended.to_string())),
            Err(failure) => Err(unwritten(&failure, target, &served)),
        }
    }
}
