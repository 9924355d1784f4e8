//! What the adaptive scheduler did to the parallelism of a job: Flink 2.3 and later, where `web.adaptive-scheduler.rescale-history.size` is set.
//!
//! Elsewhere all of it is not found.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_calculator::source::Deadline;

use super::checkpoints::Spread;
use super::ids::{JobId, VertexId};
use super::numbers;
use super::{FlinkClient, FlinkError};

/// One rescale, with its parts only where it was asked for alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rescale {
    /// What it is asked for by.
    pub rescale_uuid: String,
    /// Its number among those of the same requirements.
    #[serde(default)]
    pub rescale_attempt_id: u64,
    /// What each vertex had and got.
    #[serde(default)]
    pub vertices: BTreeMap<VertexId, RescaledVertex>,
    /// The states that the scheduler went through.
    #[serde(default)]
    pub scheduler_states: Vec<SchedulerState>,
    /// When it began, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub start_timestamp_in_millis: Option<i64>,
    /// When it ended; none as long as it has not.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub end_timestamp_in_millis: Option<i64>,
    /// How it ended: `COMPLETED`, `IGNORED`, `FAILED`; none as long as it has not.
    #[serde(default)]
    pub terminal_state: Option<String>,
    /// Why it began, such as `UPDATE_REQUIREMENT` or `RECOVERABLE_FAILOVER`.
    #[serde(default)]
    pub trigger_cause: Option<String>,
    /// Why it ended, such as `SUCCEEDED`.
    #[serde(default)]
    pub terminated_reason: Option<String>,
}

/// One vertex of a rescale.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RescaledVertex {
    /// What was asked for.
    #[serde(default, deserialize_with = "numbers::count")]
    pub desired_parallelism: Option<u32>,
    /// What would have been enough.
    #[serde(default, deserialize_with = "numbers::count")]
    pub sufficient_parallelism: Option<u32>,
    /// What it had.
    #[serde(default, deserialize_with = "numbers::count")]
    pub pre_rescale_parallelism: Option<u32>,
    /// What it got.
    #[serde(default, deserialize_with = "numbers::count")]
    pub post_rescale_parallelism: Option<u32>,
}

/// A state that the scheduler was in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchedulerState {
    /// Its name, such as `Restarting`.
    pub state: String,
    /// For how long, in milliseconds.
    #[serde(default, deserialize_with = "numbers::span")]
    pub duration_in_millis: Option<u64>,
}

/// How many rescales there were, and the newest of each kind (`GET /jobs/:id/rescales/overview`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RescalesOverview {
    /// How many there were.
    pub rescales_counts: RescaleCounts,
    /// The newest by how they ended: `completed`, `failed`, `ignored`.
    #[serde(default)]
    pub latest: BTreeMap<String, Option<Rescale>>,
}

/// How many rescales ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RescaleCounts {
    /// Those that were not worth it.
    pub ignored: u64,
    /// Those that are not at their end.
    pub in_progress: u64,
    /// Those that were done.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
}

/// How long rescales took (`GET /jobs/:id/rescales/summary`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RescalesSummary {
    /// How many there were.
    pub rescales_counts: RescaleCounts,
    /// How long those took that were done, in milliseconds.
    #[serde(default)]
    pub completed_rescales_duration_stats_in_millis: Spread,
}

/// How the adaptive scheduler was set up (`GET /jobs/:id/rescales/config`), in milliseconds; none for "for ever".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RescalesConfig {
    /// `REACTIVE`, or none.
    #[serde(default)]
    pub scheduler_execution_mode: Option<String>,
    /// How long a job without enough slots waits before it fails.
    #[serde(default, deserialize_with = "numbers::span")]
    pub submission_resource_wait_timeout_in_millis: Option<u64>,
    /// How long a restarted job waits for more slots than it needs.
    #[serde(default, deserialize_with = "numbers::span")]
    pub submission_resource_stabilization_timeout_in_millis: Option<u64>,
    /// How long lies between two rescales at least.
    #[serde(default, deserialize_with = "numbers::span")]
    pub executing_cooldown_timeout_in_millis: Option<u64>,
    /// How long new slots are waited for once there are some, before they are used.
    #[serde(default, deserialize_with = "numbers::span")]
    pub executing_resource_stabilization_timeout_in_millis: Option<u64>,
    /// How long a rescale waits for a checkpoint at most.
    #[serde(default, deserialize_with = "numbers::span")]
    pub maximum_delay_for_triggering_rescale_in_millis: Option<u64>,
}

impl FlinkClient {
    /// The newest rescales of a job, the newest first, without their parts.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question of this client.
    pub async fn rescale_history(&self, job: &JobId, patience: Deadline) -> Result<Vec<Rescale>, FlinkError> {
        self.get(&format!("/jobs/{job}/rescales/history"), patience).await
    }

    /// How many rescales of a job there were.
    pub async fn rescales_overview(&self, job: &JobId, patience: Deadline) -> Result<RescalesOverview, FlinkError> {
        self.get(&format!("/jobs/{job}/rescales/overview"), patience).await
    }

    /// How long the rescales of a job took.
    pub async fn rescales_summary(&self, job: &JobId, patience: Deadline) -> Result<RescalesSummary, FlinkError> {
        self.get(&format!("/jobs/{job}/rescales/summary"), patience).await
    }

    /// How the scheduler of a job was set up.
    pub async fn rescales_config(&self, job: &JobId, patience: Deadline) -> Result<RescalesConfig, FlinkError> {
        self.get(&format!("/jobs/{job}/rescales/config"), patience).await
    }

    /// One rescale with its parts.
    pub async fn rescale(&self, job: &JobId, uuid: &str, patience: Deadline) -> Result<Rescale, FlinkError> {
        self.get(&format!("/jobs/{job}/rescales/details/{}", self.segment(uuid)?), patience).await
    }
}
