//! How much parallelism a job asks for: what the adaptive scheduler is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_calculator::source::Deadline;

use super::ids::{JobId, VertexId};
use super::{FlinkClient, FlinkError};

/// What each vertex of a job asks for (`GET /jobs/:id/resource-requirements`).
pub type Requirements = BTreeMap<VertexId, Requirement>;

/// What one vertex asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Requirement {
    /// Its bounds.
    pub parallelism: Bounds,
}

/// The fewest subtasks with which a vertex may run, and the most that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// The fewest.
    pub lower_bound: i32,
    /// The most. -1 may stand there: Flink stores it, although it answers 500.
    pub upper_bound: i32,
}

impl FlinkClient {
    /// What a job asks for. Refused with status 500 by the default scheduler, and for a job at its end.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn requirements(&self, job: &JobId, patience: Deadline) -> Result<Requirements, FlinkError> {
        self.get(&format!("/jobs/{job}/resource-requirements"), patience).await
    }
}
