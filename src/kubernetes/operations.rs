//! What operations do on a cluster: one file for each thing they touch.
//!
//! [`target`] reads and writes the scaled object, [`pods`] steers which pods leave, [`flink`] speaks with the Flink Kubernetes Operator through
//! its objects, [`jobs`] runs Jobs. Every call has a deadline, and every one may be made twice.

mod failures;
mod flink;
mod jobs;
mod pods;
mod target;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use kube::Client;
use tidegate_calculator::operation::Failure;
use tidegate_calculator::operation::facts::{DeploymentFacts, TargetFacts};
use tidegate_engine::subject::{ObjectId, TargetRef};

use super::known::Known;
use super::watch::kinds::{KindKey, Kinds, Served};
use crate::hooks::{ClusterActions, JobEnd, SnapshotEnd};

/// The annotation of a target that names the savepoints of the jobs that an operation stopped.
pub const SAVEPOINT_ANNOTATION: &str = "tidegate.dev/flink-savepoint";

/// The actions of operations on a cluster.
#[derive(Clone)]
pub struct ClusterOperations {
    client: Client,
    kinds: Kinds,
    known: Known,
}

impl ClusterOperations {
    /// The actions on this client's cluster; `known` says who owns what is created.
    pub fn new(client: Client, known: Known) -> Self {
        let kinds = Kinds::new(client.clone());
        Self { client, kinds, known }
    }

    async fn served(&self, target: &TargetRef) -> Result<Served, Failure> {
        self.kinds.resolve(&KindKey::of(target)).await.map_err(|error| failures::unresolved(&error))
    }
}

#[async_trait]
impl ClusterActions for ClusterOperations {
    async fn target(&self, target: &TargetRef) -> Result<TargetFacts, Failure> {
        self.read_target(target).await
    }

    async fn deployment(&self, target: &TargetRef) -> Result<Option<DeploymentFacts>, Failure> {
        self.read_deployment(target).await
    }

    async fn patch(&self, target: &TargetRef, replicas: u32, version: &str) -> Result<(), Failure> {
        self.write_replicas(target, replicas, version).await
    }

    async fn mark_victims(&self, target: &TargetRef, pods: &[String]) -> Result<(), Failure> {
        self.mark(target, pods).await
    }

    async fn annotate(&self, target: &TargetRef, value: &str) -> Result<(), Failure> {
        self.write_annotation(target, value).await
    }

    async fn create_snapshot(&self, target: &TargetRef, name: &str, backoff_limit: u32) -> Result<(), Failure> {
        self.make_snapshot(target, name, backoff_limit).await
    }

    async fn snapshot(&self, target: &TargetRef, name: &str) -> Result<SnapshotEnd, Failure> {
        self.read_snapshot(target, name).await
    }

    async fn create_job(&self, id: &ObjectId, name: &str, template: &str) -> Result<(), Failure> {
        self.make_job(id, name, template).await
    }

    async fn job(&self, id: &ObjectId, name: &str) -> Result<JobEnd, Failure> {
        self.read_job(id, name).await
    }
}
