//! Performs what an operation asks for: calls Flink, calls other servers over HTTP, runs Jobs, writes the target.
//!
//! The pure machine ([`tidegate_calculator::operation`]) decides; [`Hooks::perform`] does one of its actions and says how it ended. It remembers
//! nothing and repeats nothing: every action may be performed twice without harm, and the machine repeats it when its answer is lost.
//!
//! What a world must be able to do for it is a short list, [`ClusterActions`]; everything else is the same in every world. [`flink`] talks to
//! JobManagers, [`http`] performs http items, [`cluster`] says what worlds do.

pub mod cluster;
#[cfg(feature = "flink")]
pub mod flink;
pub mod http;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::facts::Inspection;
use tidegate_calculator::operation::spec::{Flink, HookSpec};
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_calculator::source::{ReadErrorKind, Secret};
use tidegate_engine::ports::{Operations, Resolver};
use tidegate_engine::subject::{ObjectId, References, TargetRef};
use tidegate_scalers::Endpoints;
use tokio::time::timeout;

use crate::validation::hook_authentication;

#[cfg(feature = "flink")]
pub(crate) use limits::CALL;

pub use cluster::{ClusterActions, JobEnd, SnapshotEnd};

/// Performs the actions of operations in one world.
#[derive(Clone)]
pub struct Hooks {
    cluster: Arc<dyn ClusterActions>,
    resolver: Arc<dyn Resolver>,
    endpoints: Endpoints,
}

impl Hooks {
    /// Hooks in the world of `cluster`. `resolver` finds what authentications provide; with the `endpoints` of the triggers, a trigger and a
    /// hook on one JobManager share their connections.
    pub fn new(cluster: Arc<dyn ClusterActions>, resolver: Arc<dyn Resolver>, endpoints: Endpoints) -> Self {
        Self { cluster, resolver, endpoints }
    }

    async fn perform_within(
        &self,
        limit: Duration,
        id: &ObjectId,
        target: &TargetRef,
        spec: &HookSpec,
        action: &Action,
    ) -> Outcome {
        let late = || {
            let class = if action.changes() { Class::Lost } else { Class::Unavailable };
            Outcome::Failed(Failure::new(class, "it took too long"))
        };
        // Boxed, so that whoever spawns it need not see through all of it.
        let performed: BoxFuture<'_, Outcome> = Box::pin(self.performed(id, target, spec, action));
        let outcome = timeout(limit, performed).await;
        outcome.unwrap_or_else(|_| late())
    }

    async fn performed(&self, id: &ObjectId, target: &TargetRef, spec: &HookSpec, action: &Action) -> Outcome {
        match action {
            Action::Inspect => match self.inspect(target, spec).await {
                Ok(inspection) => Outcome::Inspected(Box::new(inspection)),
                Err(failure) => Outcome::Failed(failure),
            },
            // The engine answers these by itself, with a wish and a gate.
            Action::AskWish | Action::AskGates => Outcome::InProgress,
            Action::Patch { to, version } => done(self.cluster.patch(target, *to, version).await),
            Action::MarkVictims { pods } => done(self.cluster.mark_victims(target, pods).await),
            Action::Annotate { value } => done(self.cluster.annotate(target, value).await),
            Action::CreateSnapshotResource { name, backoff_limit } => {
                done(self.cluster.create_snapshot(target, name, *backoff_limit).await)
            }
            Action::PollSnapshotResource { name } => snapshot_end(self.cluster.snapshot(target, name).await),
            Action::RunJob { name, template } => done(self.cluster.create_job(id, name, template).await),
            Action::PollJob { name } => job_end(self.cluster.job(id, name).await),
            Action::CallHttp { key, http, .. } => self.call_http(target, key, http).await,
            Action::PollHttp { key, http, .. } => self.poll_http(target, key, http).await,
            Action::TriggerCheckpoint { .. }
            | Action::PollCheckpoint { .. }
            | Action::TriggerSavepoint { .. }
            | Action::StopWithSavepoint { .. }
            | Action::PollSavepoint { .. }
            | Action::LookForSnapshot { .. }
            | Action::PutRequirements { .. }
            | Action::PlanJar { .. }
            | Action::RunJar { .. }
            | Action::JobStatus { .. }
            | Action::CancelJob { .. }
            | Action::DisposeSavepoint { .. } => self.call_flink(target, spec, action).await,
        }
    }

    /// Reads the target and its Flink cluster side by side.
    async fn inspect(&self, target: &TargetRef, spec: &HookSpec) -> Result<Inspection, Failure> {
        let flink = flink_of(spec).filter(|flink| flink.endpoint.is_some());
        let cluster = async {
            match flink {
                Some(flink) => self.cluster_facts(target, flink).await.map(Some),
                None => Ok(None),
            }
        };
        let deployment =
            async { if flink_of(spec).is_some() { self.cluster.deployment(target).await } else { Ok(None) } };
        let (target, cluster, deployment) = tokio::join!(self.cluster.target(target), cluster, deployment);
        Ok(Inspection { target: target?, cluster: cluster?, deployment: deployment? })
    }

    /// What the TriggerAuthentication of this name in the target's namespace provides; nothing without a name.
    async fn authentication(
        &self,
        target: &TargetRef,
        name: Option<&str>,
    ) -> Result<BTreeMap<String, Secret>, Failure> {
        let Some(name) = name else { return Ok(BTreeMap::new()) };
        let authentication = Some(hook_authentication(name));
        let references = References { target: target.clone(), container: None, authentication };
        let parameters = self.resolver.resolve(&references).await.map_err(|error| {
            let class = match error.kind {
                ReadErrorKind::Config | ReadErrorKind::Auth => Class::Config,
                _ => Class::Unavailable,
            };
            Failure::new(class, &format!("authenticationRef {name}: {}", error.message))
        })?;
        Ok(parameters.auth)
    }
}

#[async_trait]
impl Operations for Hooks {
    /// It always ends within 85 s, before the machine takes the call for lost.
    async fn perform(&self, id: &ObjectId, target: &TargetRef, spec: &HookSpec, action: &Action) -> Outcome {
        self.perform_within(limits::WHOLE, id, target, spec, action).await
    }
}

#[cfg(not(feature = "flink"))]
#[expect(clippy::unused_async, reason = "with Flink they ask it")]
impl Hooks {
    async fn cluster_facts(
        &self,
        _target: &TargetRef,
        _flink: &Flink,
    ) -> Result<tidegate_calculator::operation::facts::ClusterFacts, Failure> {
        Err(without_flink())
    }

    async fn call_flink(&self, _target: &TargetRef, _spec: &HookSpec, _action: &Action) -> Outcome {
        Outcome::Failed(without_flink())
    }
}

#[cfg(not(feature = "flink"))]
fn without_flink() -> Failure {
    Failure::new(Class::Config, "this program was built without flink")
}

/// The flink item of a spec: there is one at most, and it is the same in every direction.
fn flink_of(spec: &HookSpec) -> Option<&Flink> {
    spec.pre_scale.iter().find_map(|item| item.flink())
}

fn done(result: Result<(), Failure>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(failure) => Outcome::Failed(failure),
    }
}

/// What the operator does with a snapshot of a job that does not run.
const ABANDONED: &str = "the operator has given the FlinkStateSnapshot up, as it does when the job does not run";

fn snapshot_end(result: Result<SnapshotEnd, Failure>) -> Outcome {
    match result {
        Ok(SnapshotEnd::InProgress) => Outcome::InProgress,
        Ok(SnapshotEnd::Completed { path, age }) => Outcome::Completed { id: None, path, age },
        Ok(SnapshotEnd::Failed(text)) => Outcome::Failed(Failure::new(Class::Transient, &text)),
        // The job went away under it: that says nothing about the next one.
        Ok(SnapshotEnd::Abandoned) => Outcome::Failed(Failure::new(Class::Restarting, ABANDONED)),
        Ok(SnapshotEnd::Absent) => Outcome::NotFound,
        Err(failure) => Outcome::Failed(failure),
    }
}

fn job_end(result: Result<JobEnd, Failure>) -> Outcome {
    match result {
        Ok(JobEnd::InProgress) => Outcome::InProgress,
        Ok(JobEnd::Complete) => Outcome::Done,
        Ok(JobEnd::Failed(text)) => Outcome::Failed(Failure::new(Class::Transient, &text)),
        Ok(JobEnd::Absent) => Outcome::NotFound,
        Err(failure) => Outcome::Failed(failure),
    }
}
