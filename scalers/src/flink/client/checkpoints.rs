//! What Flink says of a job's checkpoints and savepoints.
//!
//! While a job restarts, all of it reads as zeros and nothing.

use serde::Deserialize;
use tidegate_calculator::source::Deadline;

use super::ids::JobId;
use super::numbers;
use super::{FlinkClient, FlinkError};

/// The checkpoints of a job (`GET /jobs/:id/checkpoints`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Checkpoints {
    /// How many there were.
    pub counts: Counts,
    /// What they took, over the completed ones.
    pub summary: Summary,
    /// The newest of each kind.
    pub latest: Latest,
    /// The newest ones (10, `web.checkpoints.history`), the newest first.
    pub history: Vec<Checkpoint>,
}

/// How many checkpoints there were since the job was submitted to this JobManager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// How often the job was restored from one.
    pub restored: u64,
    /// All of them.
    pub total: u64,
    /// Those that are not at their end.
    pub in_progress: u64,
    /// Those that are complete.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
}

/// What checkpoints took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// From the trigger to the last acknowledgement, in milliseconds.
    pub end_to_end_duration: Spread,
}

/// How a number is spread; none of it is there as long as there is nothing to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Spread {
    /// The mean.
    #[serde(deserialize_with = "numbers::figure")]
    pub avg: Option<f64>,
    /// Half are below.
    #[serde(deserialize_with = "numbers::figure")]
    pub p50: Option<f64>,
    /// 95 of 100 are below.
    #[serde(deserialize_with = "numbers::figure")]
    pub p95: Option<f64>,
    /// The greatest.
    #[serde(deserialize_with = "numbers::figure")]
    pub max: Option<f64>,
}

/// The newest checkpoint of each kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Latest {
    /// The newest completed checkpoint that is no savepoint.
    pub completed: Option<Checkpoint>,
    /// The newest completed savepoint.
    pub savepoint: Option<Checkpoint>,
    /// The newest that failed.
    pub failed: Option<Checkpoint>,
    /// What the job was restored from last.
    pub restored: Option<Restored>,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Checkpoint {
    /// Its number, which only grows within a job.
    pub id: u64,
    /// How it stands.
    pub status: CheckpointStatus,
    /// Whether it is a savepoint.
    #[serde(default)]
    pub is_savepoint: bool,
    /// When it was triggered, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub trigger_timestamp: Option<i64>,
    /// When the last subtask acknowledged it, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub latest_ack_timestamp: Option<i64>,
    /// From the trigger to the last acknowledgement, in milliseconds.
    #[serde(default, deserialize_with = "numbers::span")]
    pub end_to_end_duration: Option<u64>,
    /// Where it lies, once it is complete and may outlive the job.
    #[serde(default)]
    pub external_path: Option<String>,
    /// Whether it was removed because newer ones are there.
    #[serde(default)]
    pub discarded: Option<bool>,
    /// Why it failed, in Flink's words.
    #[serde(default)]
    pub failure_message: Option<String>,
}

/// How a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointStatus {
    /// Not at its end.
    InProgress,
    /// Complete.
    Completed,
    /// Failed.
    Failed,
    /// One that we do not know.
    #[serde(other)]
    Unknown,
}

/// What a job was restored from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Restored {
    /// Its number.
    pub id: u64,
    /// When, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub restore_timestamp: Option<i64>,
    /// Whether it was a savepoint.
    #[serde(default)]
    pub is_savepoint: bool,
    /// Where it lies.
    #[serde(default)]
    pub external_path: Option<String>,
}

/// How a job is checkpointed (`GET /jobs/:id/checkpoints/config`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CheckpointConfig {
    /// Milliseconds between two of them; none if there are none by themselves.
    #[serde(default, deserialize_with = "numbers::span")]
    pub interval: Option<u64>,
    /// How many milliseconds one may take; it bounds savepoints as well.
    #[serde(default, deserialize_with = "numbers::span")]
    pub timeout: Option<u64>,
    /// How many may fail in a row before the job restarts.
    #[serde(default, deserialize_with = "numbers::count")]
    pub tolerable_failed_checkpoints: Option<u32>,
    /// Where the state is, such as `HashMapStateBackend`.
    #[serde(default)]
    pub state_backend: Option<String>,
    /// Whether checkpoints pass records that wait.
    #[serde(default)]
    pub unaligned_checkpoints: Option<bool>,
}

impl FlinkClient {
    /// The checkpoints of a job.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question of this client.
    pub async fn checkpoints(&self, job: &JobId, patience: Deadline) -> Result<Checkpoints, FlinkError> {
        self.get(&format!("/jobs/{job}/checkpoints"), patience).await
    }

    /// How a job is checkpointed.
    pub async fn checkpoint_config(&self, job: &JobId, patience: Deadline) -> Result<CheckpointConfig, FlinkError> {
        self.get(&format!("/jobs/{job}/checkpoints/config"), patience).await
    }
}
