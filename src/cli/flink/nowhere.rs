//! What stands for a cluster that is not looked at, and where credentials come from: files, and what was read of a cluster before.

use async_trait::async_trait;
use tidegate_calculator::operation::facts::{DeploymentFacts, TargetFacts};
use tidegate_calculator::operation::{Class, Failure};
use tidegate_calculator::source::{Parameters, ReadError, TriggerSpec};
use tidegate_engine::ports::Resolver;
use tidegate_engine::subject::{ObjectId, References, TargetRef, Trigger};

use super::super::probe::world::World;
use crate::hooks::{ClusterActions, JobEnd, SnapshotEnd};

/// A world without Kubernetes.
pub(super) struct Nowhere;

fn none<T>() -> Result<T, Failure> {
    Err(Failure::new(Class::Config, "no cluster is looked at; --cluster does"))
}

#[async_trait]
impl ClusterActions for Nowhere {
    async fn target(&self, _: &TargetRef) -> Result<TargetFacts, Failure> {
        none()
    }

    async fn deployment(&self, _: &TargetRef) -> Result<Option<DeploymentFacts>, Failure> {
        none()
    }

    async fn patch(&self, _: &TargetRef, _: u32, _: &str) -> Result<(), Failure> {
        none()
    }

    async fn mark_victims(&self, _: &TargetRef, _: &[String]) -> Result<(), Failure> {
        none()
    }

    async fn annotate(&self, _: &TargetRef, _: &str) -> Result<(), Failure> {
        none()
    }

    async fn create_snapshot(&self, _: &TargetRef, _: &str, _: u32) -> Result<(), Failure> {
        none()
    }

    async fn snapshot(&self, _: &TargetRef, _: &str) -> Result<SnapshotEnd, Failure> {
        none()
    }

    async fn create_job(&self, _: &ObjectId, _: &str, _: &str) -> Result<(), Failure> {
        none()
    }

    async fn job(&self, _: &ObjectId, _: &str) -> Result<JobEnd, Failure> {
        none()
    }
}

/// Resolves what hooks refer to from what is known by now; see [`World::gather`].
pub(super) struct Known(pub(super) World);

/// References of a hook in the form in which a trigger has them.
pub(super) fn as_trigger(references: References) -> Trigger {
    Trigger { spec: TriggerSpec::default(), references }
}

#[async_trait]
impl Resolver for Known {
    async fn resolve(&self, references: &References) -> Result<Parameters, ReadError> {
        self.0.resolve(&as_trigger(references.clone()))
    }
}
