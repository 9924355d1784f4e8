//! Why an operation is not begun, or did not end well: stable reasons, and what to do in words.

use serde::{Deserialize, Serialize};

use super::event::Class;

/// Why a change is refused. Every reason is a condition of the ScaleRecord.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// Periodic checkpointing is off.
    NoCheckpointing,
    /// The FlinkDeployment loses its state at every change.
    StatelessUpgrade,
    /// Stopping a job of an application cluster ends the cluster.
    ApplicationStopUnsafe,
    /// The default scheduler needs a restart, and nothing says how to run the job.
    DefaultSchedulerNeedsTemplate,
    /// Zero needs a stop, and nothing says how to run the job again.
    ToZeroNeedsRunTemplate,
    /// The cluster takes no jars.
    WebSubmitDisabled,
    /// The jar is not there.
    JarMissing,
    /// Flink cannot plan the run.
    RunPlanInvalid,
    /// The target's pods are not the cluster's TaskManagers.
    TargetNotTaskManagers,
    /// The target belongs to the Flink Kubernetes Operator.
    TargetOwnedByFlinkOperator,
    /// Flink's own autoscaler acts on the same number.
    ForeignAutoscaler,
    /// Checkpoints fail, or take too long to trust one.
    CheckpointsFailing,
    /// No path is known to start a job from.
    SavepointUnknown,
    /// A listed job is not live.
    JobNotFound,
    /// A listed job is live more than once.
    JobAmbiguous,
    /// A batch job would lose work.
    BatchJobRunning,
    /// The requirements of the jobs cannot be changed.
    WebRescaleDisabled,
    /// The strategy does not fit the target.
    StrategyUnfit,
}

impl Refusal {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::NoCheckpointing,
        Self::StatelessUpgrade,
        Self::ApplicationStopUnsafe,
        Self::DefaultSchedulerNeedsTemplate,
        Self::ToZeroNeedsRunTemplate,
        Self::WebSubmitDisabled,
        Self::JarMissing,
        Self::RunPlanInvalid,
        Self::TargetNotTaskManagers,
        Self::TargetOwnedByFlinkOperator,
        Self::ForeignAutoscaler,
        Self::CheckpointsFailing,
        Self::SavepointUnknown,
        Self::JobNotFound,
        Self::JobAmbiguous,
        Self::BatchJobRunning,
        Self::WebRescaleDisabled,
        Self::StrategyUnfit,
    ];

    /// The stable reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoCheckpointing => "NoCheckpointing",
            Self::StatelessUpgrade => "StatelessUpgrade",
            Self::ApplicationStopUnsafe => "ApplicationStopUnsafe",
            Self::DefaultSchedulerNeedsTemplate => "DefaultSchedulerNeedsTemplate",
            Self::ToZeroNeedsRunTemplate => "ToZeroNeedsRunTemplate",
            Self::WebSubmitDisabled => "WebSubmitDisabled",
            Self::JarMissing => "JarMissing",
            Self::RunPlanInvalid => "RunPlanInvalid",
            Self::TargetNotTaskManagers => "TargetNotTaskManagers",
            Self::TargetOwnedByFlinkOperator => "TargetOwnedByFlinkOperator",
            Self::ForeignAutoscaler => "ForeignAutoscaler",
            Self::CheckpointsFailing => "CheckpointsFailing",
            Self::SavepointUnknown => "SavepointUnknown",
            Self::JobNotFound => "JobNotFound",
            Self::JobAmbiguous => "JobAmbiguous",
            Self::BatchJobRunning => "BatchJobRunning",
            Self::WebRescaleDisabled => "WebRescaleDisabled",
            Self::StrategyUnfit => "StrategyUnfit",
        }
    }

    /// What to do about it.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::NoCheckpointing => {
                "without periodic checkpoints a job fails when a TaskManager leaves: set execution.checkpointing.interval"
            }
            Self::StatelessUpgrade => {
                "set spec.job.upgradeMode to savepoint or last-state, or accept the loss with flinkDeployment.allowStateless: true"
            }
            Self::ApplicationStopUnsafe => {
                "a stopped application cluster starts again from empty state: keep minReplicaCount at 1 or more, or run the job in a session cluster"
            }
            Self::DefaultSchedulerNeedsTemplate => {
                "set jobmanager.scheduler: adaptive, or say with jobs.list[].run how the job is run again"
            }
            Self::ToZeroNeedsRunTemplate => {
                "say with jobs.list[].run how every job is run again, or keep minReplicaCount at 1 or more"
            }
            Self::WebSubmitDisabled => "jars can only be run in a session cluster with web.submit.enable: true",
            Self::JarMissing => {
                "upload the jar (with web.upload.dir on a volume it stays), or give its address with run.jar.url"
            }
            Self::RunPlanInvalid => "compare run.jar, entryClass and programArgs with how the job was started",
            Self::TargetNotTaskManagers => {
                "the addresses of the target's pods are not those of the TaskManagers: check scaleTargetRef and restUrl"
            }
            Self::TargetOwnedByFlinkOperator => {
                "let scaleTargetRef name the FlinkDeployment instead of what belongs to it"
            }
            Self::ForeignAutoscaler => {
                "turn one of the two off: job.autoscaler.scaling.enabled: false leaves its metrics on"
            }
            Self::CheckpointsFailing => {
                "let checkpoints become well first: more time (execution.checkpointing.timeout), unaligned ones, or more TaskManagers"
            }
            Self::SavepointUnknown => {
                "no path was recorded for the job: start it by hand, or allow an empty start with run.firstStart: Empty"
            }
            Self::JobNotFound => "jobs.list names a job that does not run: start it, or take it from the list",
            Self::JobAmbiguous => "several live jobs match one entry of jobs.list: name it by id, or end the others",
            Self::BatchJobRunning => "wait until the batch job has ended, or set jobs.batch: Ignore",
            Self::WebRescaleDisabled => {
                "set web.rescale.enable: true, or say with jobs.list[].run how the job is run again"
            }
            Self::StrategyUnfit => "set strategy: Auto, or the one that fits the target",
        }
    }

    /// The refusal that a failed plan of a run means; none if it may succeed the next time.
    pub const fn of_plan(class: Class) -> Option<Self> {
        match class {
            Class::Gone => Some(Self::JarMissing),
            Class::Config => Some(Self::RunPlanInvalid),
            _ => None,
        }
    }

    /// Whether only a change of the object or the policy helps: then the operation is not tried again by itself. Where the cluster or the job
    /// may be mended instead, nobody tells us; so those are tried again after growing pauses, which costs a few reads.
    pub const fn needs_change(self) -> bool {
        matches!(
            self,
            Self::ApplicationStopUnsafe
                | Self::DefaultSchedulerNeedsTemplate
                | Self::ToZeroNeedsRunTemplate
                | Self::RunPlanInvalid
                | Self::TargetNotTaskManagers
                | Self::TargetOwnedByFlinkOperator
                | Self::StrategyUnfit
        )
    }
}

/// Why an operation went another way than planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// It was refused.
    Refused(Refusal),
    /// A snapshot failed.
    SnapshotFailed,
    /// Snapshots were too old each time the change could have been made.
    SnapshotTooOld,
    /// The whole operation took too long.
    TimedOut,
    /// The change is not wanted any more.
    NotWanted,
    /// The hooks are others by now.
    HooksChanged,
    /// A gate is closed.
    GateClosed,
    /// Somebody else changed the replicas.
    TargetChanged,
    /// The JobManager does not answer.
    JobManagerUnavailable,
    /// A job was not ready in time.
    JobNotReady,
    /// A job is gone.
    JobGone,
    /// TaskManagers did not register in time.
    NotRegistered,
    /// The replicas, the requirements or the deployment could not be written.
    ChangeRefused,
    /// The job did not run well in time.
    VerifyTimedOut,
    /// The job runs from another snapshot than it should.
    RestoredUnexpected,
    /// The job restarts again and again.
    ScalingUnhealthy,
    /// The job could not be run again.
    RunFailed,
    /// An http or job item failed.
    HookFailed,
    /// The Flink Kubernetes Operator reports an error.
    OperatorFailed,
    /// More TaskManagers are of no use.
    MaxParallelismReached,
}

impl Reason {
    /// The stable reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::SnapshotFailed => "SnapshotFailed",
            Self::SnapshotTooOld => "SnapshotTooOld",
            Self::TimedOut => "OperationTimedOut",
            Self::NotWanted => "NotWanted",
            Self::HooksChanged => "HooksChanged",
            Self::GateClosed => "GateClosed",
            Self::TargetChanged => "TargetChanged",
            Self::JobManagerUnavailable => "JobManagerUnavailable",
            Self::JobNotReady => "JobNotReady",
            Self::JobGone => "JobGone",
            Self::NotRegistered => "TaskManagersNotRegistered",
            Self::ChangeRefused => "ChangeRefused",
            Self::VerifyTimedOut => "VerifyTimedOut",
            Self::RestoredUnexpected => "RestoredUnexpected",
            Self::ScalingUnhealthy => "ScalingUnhealthy",
            Self::RunFailed => "RunFailed",
            Self::HookFailed => "HookFailed",
            Self::OperatorFailed => "OperatorFailed",
            Self::MaxParallelismReached => "MaxParallelismReached",
        }
    }

    /// All but refusals, in the order of the documentation.
    pub const ALL: [Self; 19] = [
        Self::SnapshotFailed,
        Self::SnapshotTooOld,
        Self::TimedOut,
        Self::NotWanted,
        Self::HooksChanged,
        Self::GateClosed,
        Self::TargetChanged,
        Self::JobManagerUnavailable,
        Self::JobNotReady,
        Self::JobGone,
        Self::NotRegistered,
        Self::ChangeRefused,
        Self::VerifyTimedOut,
        Self::RestoredUnexpected,
        Self::ScalingUnhealthy,
        Self::RunFailed,
        Self::HookFailed,
        Self::OperatorFailed,
        Self::MaxParallelismReached,
    ];

    /// What to do about it. Some need nothing: then the operation has only been told that its change is not wanted now.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.fix(),
            Self::SnapshotFailed => {
                "mend what Flink says of the snapshot: its directory, its time-out, the job's tasks"
            }
            Self::SnapshotTooOld => "give checkpoint.maxAge more than a snapshot and the write of the replicas take",
            Self::TimedOut => "look at what it waited for, and give the hook a longer timeout if that only takes long",
            Self::NotWanted | Self::GateClosed => "nothing: the change is made once it is wanted and allowed",
            Self::TargetChanged => "let nobody else write the replicas",
            Self::HooksChanged => "nothing: the change begins anew with the new hooks, at once",
            Self::JobManagerUnavailable => "see that the JobManager answers at restUrl or service, and admits us",
            Self::JobNotReady => "see why not every task of the job runs",
            Self::JobGone => {
                "start the job again from its last snapshot; with high availability it comes back by itself"
            }
            Self::NotRegistered => {
                "see why the new TaskManagers do not start: room, quota, image, the JobManager's address"
            }
            Self::ChangeRefused => "see what refused the write, and give us the rights or the cluster the room",
            Self::VerifyTimedOut => {
                "see why the job does not run well, and give verify.timeout more if that only takes long"
            }
            Self::RestoredUnexpected => {
                "compare where the job runs from with the snapshot that is named, before it goes on"
            }
            Self::ScalingUnhealthy => "see in the job's exceptions why it restarts; nothing is scaled meanwhile",
            Self::RunFailed => {
                "see in Flink's words why the job does not start; by hand it starts from the path that is named"
            }
            Self::HookFailed => "see what the hook's server or Job says",
            Self::OperatorFailed => "see the status and the events of the FlinkDeployment",
            Self::MaxParallelismReached => {
                "raise the maximum parallelism of the job, or list its vertices under raiseVertices, if more is to be of use"
            }
        }
    }
}

/// Why, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The reason.
    pub reason: Reason,
    /// What was seen, in words without live numbers.
    pub text: String,
    /// Whether only a change of the spec, the policy or a setting helps.
    pub config: bool,
}

impl Cause {
    /// A cause that may be gone the next time.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), config: false }
    }

    /// A cause that stays until somebody changes something.
    pub fn config(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), config: true }
    }

    /// What was seen, and what helps.
    pub fn advice(&self) -> String {
        match self.reason {
            // Their text says it already.
            Reason::Refused(_) | Reason::MaxParallelismReached => self.text.clone(),
            reason => format!("{}; what helps: {}", self.text, reason.fix()),
        }
    }

    /// A refusal; `about` names the job or field it is about.
    pub fn refused(refusal: Refusal, about: &str) -> Self {
        let text = if about.is_empty() { refusal.fix().to_owned() } else { format!("{about}: {}", refusal.fix()) };
        Self { reason: Reason::Refused(refusal), text, config: refusal.needs_change() }
    }
}
