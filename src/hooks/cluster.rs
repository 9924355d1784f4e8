//! What a world must be able to do for operations: write the target, steer which pods leave, and the few Kubernetes objects of hooks.

use async_trait::async_trait;
use tidegate_calculator::operation::Failure;
use tidegate_calculator::operation::facts::{DeploymentFacts, TargetFacts};
use tidegate_calculator::time::Span;
use tidegate_engine::subject::{ObjectId, TargetRef};

/// How a FlinkStateSnapshot stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotEnd {
    /// The operator works on it.
    InProgress,
    /// It is complete.
    Completed {
        /// Where it lies.
        path: Option<String>,
        /// How long ago it completed.
        age: Span,
    },
    /// It failed, with the operator's words.
    Failed(String),
    /// The operator gave it up because the job went away.
    Abandoned,
    /// There is none of this name.
    Absent,
}

/// How a Kubernetes Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It is not at its end.
    InProgress,
    /// Its condition `Complete` is true.
    Complete,
    /// Its condition `Failed` is true, with its message.
    Failed(String),
    /// There is none of this name.
    Absent,
}

/// What operations do in a world, besides calling servers. Each has a deadline of its own, and each may be done twice: what is there already is
/// success. A failure's class says what can be done about it; `Conflict` is a version that holds no more.
#[async_trait]
pub trait ClusterActions: Send + Sync + 'static {
    /// The target's replicas and version, and its pods; those that are about to end are none.
    async fn target(&self, target: &TargetRef) -> Result<TargetFacts, Failure>;

    /// The target as a FlinkDeployment; none if it is something else.
    async fn deployment(&self, target: &TargetRef) -> Result<Option<DeploymentFacts>, Failure>;

    /// Writes the replicas if the target still has this version.
    async fn patch(&self, target: &TargetRef, replicas: u32, version: &str) -> Result<(), Failure>;

    /// Lets these pods of the target leave first, and no other.
    async fn mark_victims(&self, target: &TargetRef, pods: &[String]) -> Result<(), Failure>;

    /// Writes the annotation `tidegate.dev/flink-savepoint` of the target; an empty text removes it.
    async fn annotate(&self, target: &TargetRef, value: &str) -> Result<(), Failure>;

    /// Creates a FlinkStateSnapshot of the target that takes a checkpoint.
    async fn create_snapshot(&self, target: &TargetRef, name: &str, backoff_limit: u32) -> Result<(), Failure>;

    /// Reads a FlinkStateSnapshot.
    async fn snapshot(&self, target: &TargetRef, name: &str) -> Result<SnapshotEnd, Failure>;

    /// Creates a Job of the object from a template in JSON, in the object's namespace.
    async fn create_job(&self, id: &ObjectId, name: &str, template: &str) -> Result<(), Failure>;

    /// Reads a Job.
    async fn job(&self, id: &ObjectId, name: &str) -> Result<JobEnd, Failure>;
}
