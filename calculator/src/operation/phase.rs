//! The words for where an operation is: its direction, its strategy, its phase, and the single stages that it goes through.

use serde::{Deserialize, Serialize};

/// The direction of a change of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// More replicas.
    ScaleUp,
    /// Fewer replicas, but some.
    ScaleDown,
    /// No replicas.
    ToZero,
    /// Some replicas after none.
    FromZero,
}

impl Direction {
    /// All four.
    pub const ALL: [Self; 4] = [Self::ScaleUp, Self::ScaleDown, Self::ToZero, Self::FromZero];

    /// The direction from one count to another; none if they are equal.
    pub const fn of(from: u32, to: u32) -> Option<Self> {
        match (from, to) {
            (from, to) if from == to => None,
            (0, _) => Some(Self::FromZero),
            (_, 0) => Some(Self::ToZero),
            (from, to) if to > from => Some(Self::ScaleUp),
            _ => Some(Self::ScaleDown),
        }
    }

    /// Whether replicas become fewer.
    pub const fn lowers(self) -> bool {
        matches!(self, Self::ScaleDown | Self::ToZero)
    }

    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScaleUp => "ScaleUp",
            Self::ScaleDown => "ScaleDown",
            Self::ToZero => "ToZero",
            Self::FromZero => "FromZero",
        }
    }

    /// Its field under `onFailure`.
    pub const fn field(self) -> &'static str {
        match self {
            Self::ScaleUp => "scaleUp",
            Self::ScaleDown => "scaleDown",
            Self::ToZero => "toZero",
            Self::FromZero => "fromZero",
        }
    }
}

/// How a change is made safe: what [`super::auto`] decided or the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// In place, after a Flink checkpoint of every job.
    Checkpoint,
    /// Stop with a savepoint, run again from it.
    StopRestore,
    /// Leave the restart to the Flink Kubernetes Operator.
    FlinkDeployment,
    /// Only replicas.
    None,
}

impl Strategy {
    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "Checkpoint",
            Self::StopRestore => "StopRestore",
            Self::FlinkDeployment => "FlinkDeployment",
            Self::None => "None",
        }
    }
}

/// Where an operation is, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Looks whether the change is possible.
    Preflight,
    /// Runs what comes before, and takes snapshots.
    Snapshotting,
    /// Changes replicas.
    Applying,
    /// Brings the jobs to their new size.
    Restoring,
    /// Looks whether the jobs run well.
    Verifying,
    /// Runs what follows.
    PostHooks,
    /// Ended: the change is there.
    Done,
    /// Ended: the change was taken back.
    RolledBack,
    /// Ended: it needs somebody.
    Failed,
    /// Ended: nothing was changed, because something failed.
    Aborted,
    /// Ended: nothing was changed, because the change is not wanted any more.
    Cancelled,
}

impl Phase {
    /// Whether the operation is over.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack | Self::Failed | Self::Aborted | Self::Cancelled)
    }

    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "Preflight",
            Self::Snapshotting => "Snapshotting",
            Self::Applying => "Applying",
            Self::Restoring => "Restoring",
            Self::Verifying => "Verifying",
            Self::PostHooks => "PostHooks",
            Self::Done => "Done",
            Self::RolledBack => "RolledBack",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// One step of an operation's plan. The plan is stored, so it goes on after a restart even if a newer build would plan otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Look at the cluster, choose the strategy, refuse what is not safe.
    Inspect,
    /// Let Flink plan every run before a job is stopped.
    Plan,
    /// Wait until the Flink Kubernetes Operator is at rest.
    Stable,
    /// The http and job items.
    Items,
    /// A checkpoint of every job, and the backup savepoint.
    Checkpoints,
    /// A FlinkStateSnapshot of the deployment.
    Resource,
    /// The last look at the wish and the gates.
    Confirm,
    /// Stop every job with a savepoint.
    Stop,
    /// Tell Kubernetes which pods should leave.
    Mark,
    /// Write the replicas.
    Patch,
    /// Wait until TaskManagers have left.
    Left,
    /// Wait until TaskManagers have registered.
    Registered,
    /// Wait until the jobs run on what is left.
    Settle,
    /// Change the jobs' upper bounds.
    Requirements,
    /// A checkpoint that lets the scheduler rescale at once.
    Release,
    /// Run the stopped jobs from their savepoints.
    Run,
    /// Every vertex runs, restored from the right snapshot, and a new checkpoint is there.
    Verify,
    /// Wait until the operator has done the change.
    Deployed,
    /// What follows.
    Post,
}

impl Stage {
    /// The phase that this stage belongs to.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Inspect | Self::Plan | Self::Stable => Phase::Preflight,
            Self::Items | Self::Checkpoints | Self::Resource | Self::Confirm | Self::Stop => Phase::Snapshotting,
            Self::Mark | Self::Patch | Self::Left | Self::Registered => Phase::Applying,
            Self::Settle | Self::Requirements | Self::Release | Self::Run => Phase::Restoring,
            Self::Verify | Self::Deployed => Phase::Verifying,
            Self::Post => Phase::PostHooks,
        }
    }

    /// Whether entering it changes something that a cancelled operation would leave behind.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Stop | Self::Patch | Self::Requirements | Self::Run)
    }
}
