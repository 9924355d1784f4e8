//! The engine's ports on one machine: the scale of processes, values from files and a journal in the state directory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tidegate_calculator::source::{Parameters, ReadError};
use tidegate_engine::ports::{Journal, Resolver, Target};
use tidegate_engine::protocol::{ApplyError, Entry, Event, JournalError, Seen, TargetError, Version};
use tidegate_engine::subject::{Fault, ObjectId, References, Severity, TargetRef};
use tokio::sync::{mpsc, oneshot};

use super::Machine;
use super::deployment::Message;
use super::objects::ObjectRecords;
use crate::resolution;

/// The Deployments that run here, by name.
#[derive(Debug, Default)]
pub(super) struct Deployments(Mutex<BTreeMap<ObjectId, mpsc::Sender<Message>>>);

/// Scales Deployments of processes.
#[derive(Debug)]
pub(super) struct ProcessTarget(pub(super) Arc<Deployments>);

/// Finds parameters in the files.
pub(super) struct FileResolver {
    /// What the files say now.
    pub(super) machine: Arc<Machine>,
    /// Where a ClusterTriggerAuthentication's Secrets stand.
    pub(super) cluster_namespace: String,
}

/// Keeps entries in the state directory and tells people through the log.
#[derive(Debug)]
pub(super) struct DirectoryJournal(pub(super) Arc<ObjectRecords>);

/// What is said of a target that is not here.
pub(super) fn not_found(target: &TargetRef) -> TargetError {
    if is_local(target) {
        TargetError::NotFound(format!("Deployment {}/{}", target.namespace, target.name))
    } else {
        TargetError::NotScalable(format!("{target} of {} (only Deployments of apps/v1 run here)", target.api_version))
    }
}

fn is_local(target: &TargetRef) -> bool {
    &*target.kind == "Deployment" && &*target.api_version == "apps/v1"
}

impl Deployments {
    /// The way to a Deployment's task.
    pub(super) fn find(&self, id: &ObjectId) -> Option<mpsc::Sender<Message>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn insert(&self, id: ObjectId, inbox: mpsc::Sender<Message>) {
        self.lock().insert(id, inbox);
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<(ObjectId, mpsc::Sender<Message>)> {
        self.lock().iter().map(|(id, inbox)| (id.clone(), inbox.clone())).collect()
    }

    fn of(&self, target: &TargetRef) -> Result<mpsc::Sender<Message>, TargetError> {
        let id = ObjectId { namespace: target.namespace.clone(), name: target.name.clone() };
        let found = if is_local(target) { self.find(&id) } else { None };
        found.ok_or_else(|| not_found(target))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectId, mpsc::Sender<Message>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Target for ProcessTarget {
    async fn refresh(&self, target: &TargetRef) -> Result<Seen, TargetError> {
        let inbox = self.0.of(target)?;
        let (reply, answer) = oneshot::channel();
        let ended = || TargetError::Unavailable(format!("{target} does not answer: it is being stopped"));
        inbox.send(Message::Refresh(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    async fn apply(&self, target: &TargetRef, replicas: u32, version: &Version) -> Result<Version, ApplyError> {
        let inbox = self.0.of(target).map_err(|error| ApplyError::Refused(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let stopped = || ApplyError::Refused(format!("{target} is being stopped"));
        inbox.send(Message::Apply(replicas, version.clone(), reply)).await.map_err(|_| stopped())?;
        // It may have been taken before the task ended.
        answer.await.map_err(|_| ApplyError::Unknown(format!("{target} was stopped before it answered")))?
    }
}

#[async_trait]
impl Resolver for FileResolver {
    async fn resolve(&self, references: &References) -> Result<Parameters, ReadError> {
        resolution::resolve(references, &*self.machine.inventory(), &self.cluster_namespace)
    }
}

#[async_trait]
impl Journal for DirectoryJournal {
    async fn store(&self, id: &ObjectId, entry: &Entry) -> Result<(), JournalError> {
        let (records, id, entry) = (self.0.clone(), id.clone(), entry.clone());
        let stored = tokio::task::spawn_blocking(move || records.store(&id, &entry)).await;
        let failed = |why: String| JournalError::Unavailable(format!("the state directory cannot be written: {why}"));
        stored.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    fn announce(&self, id: &ObjectId, event: &Event) {
        let text = describe(event);
        match event {
            // The change of the replicas says it already.
            Event::Activated { .. } | Event::Deactivated { .. } => tracing::debug!("{id} {}: {text}", event.reason()),
            Event::Scaled(_) => tracing::info!("{id} {text}"),
            _ if event.is_warning() => tracing::warn!("{id} {}: {text}", event.reason()),
            _ => tracing::info!("{id} {}: {text}", event.reason()),
        }
    }
}

/// One line about an event.
fn describe(event: &Event) -> String {
    match event {
        Event::Scaled(change) => format!("{} -> {}: {}", change.from, change.to, change.why),
        Event::Activated { from, to } => format!("left {from} for {to}"),
        Event::Deactivated { from, to } => format!("went from {from} to {to}"),
        Event::TriggerFailed { trigger, error } => {
            format!("triggers[{trigger}]: {} ({})", error.message, error.reason())
        }
        Event::TriggerRecovered { trigger } => format!("triggers[{trigger}] gives readings again"),
        Event::Refused(findings) => {
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
            let findings: Vec<String> = errors.map(|finding| finding.problem.to_string()).collect();
            format!("nothing is decided until it is mended: {}", findings.join("; "))
        }
        Event::TargetFailed(error) => error.to_string(),
        Event::TargetFound => "the target is there again".to_owned(),
        Event::ApplyFailed(error) => error.to_string(),
        Event::ForeignChange { from, to } => format!("somebody else changed the replicas from {from} to {to}"),
        Event::Paused(true) => "an annotation pauses it".to_owned(),
        Event::Paused(false) => "it is scaled again".to_owned(),
        Event::Fallback(true) => "a trigger has failed for so long that the fallback stands for it".to_owned(),
        Event::Fallback(false) => "the fallback stands for no trigger any more".to_owned(),
        Event::Policies(faults) if faults.is_empty() => "all policies that it names are obeyed".to_owned(),
        Event::Policies(faults) => {
            format!("nothing is lowered until its policies are mended: {}", Fault::joined(faults))
        }
        Event::Quarantined(why) => {
            format!("deciding about it failed, and it is left alone until its text changes: {why}")
        }
        Event::CheckpointLost(why) => {
            format!("its memory starts anew: nothing is lowered for one window, the cooldown begins anew: {why}")
        }
        Event::Operation { message, .. } => message.clone(),
    }
}
