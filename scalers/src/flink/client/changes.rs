//! Changes what a job asks for, and ends jobs.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::json;
use tidegate_calculator::operation::Class;
use tidegate_calculator::operation::bounds::Bound;
use tidegate_calculator::source::Deadline;

use super::ids::{JobId, VertexId};
use super::orders::Content;
use super::requirements::{Bounds, Requirement, Requirements};
use super::{FlinkClient, FlinkError};

impl FlinkClient {
    /// Says how much parallelism a job may have at most; every vertex must be named. The least stays 1, so that a job never waits for slots
    /// that do not come.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; class Config for what Flink would refuse again, such as a vertex that is missing.
    pub async fn put_requirements(&self, job: &JobId, bounds: &[Bound], patience: Deadline) -> Result<(), FlinkError> {
        let mut requirements = Requirements::new();
        for Bound { vertex: id, upper } in bounds {
            // Flink stores 0 and -1 of some versions, although it answers with an error.
            let vertex: Option<VertexId> = id.parse().ok();
            let upper = i32::try_from(*upper).ok().filter(|upper| *upper > 0);
            let (Some(vertex), Some(upper_bound)) = (vertex, upper) else {
                return Err(
                    self.unfit(&format!("vertex {id:?} cannot have the upper bound {upper:?}; allowed: 1 or more"))
                );
            };
            requirements.insert(vertex, Requirement { parallelism: Bounds { lower_bound: 1, upper_bound } });
        }
        let body: BTreeMap<&str, &Requirement> = requirements.iter().map(|(id, each)| (id.as_str(), each)).collect();
        let path = format!("/jobs/{job}/resource-requirements");
        self.order::<IgnoredAny>(Method::PUT, &path, Content::json(&body), patience).await.map(drop)
    }

    /// Ends a job at once; without a savepoint its state is lost. One that has ended, or that the JobManager does not know, is well.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn cancel(&self, job: &JobId, patience: Deadline) -> Result<(), FlinkError> {
        let url = self.url(&format!("/jobs/{job}"), &[("mode", "cancel")]);
        match self.order_at::<IgnoredAny>(Method::PATCH, url, Content::json(&json!({})), patience).await {
            // 409 in versions that say so: it has ended.
            Ok(_) | Err(FlinkError::Refused { status: 409, .. }) => Ok(()),
            // Any other thing that is not there is this part of the API: somebody turned it off.
            Err(error) if error.class() == Class::Gone => Ok(()),
            Err(error) => Err(error),
        }
    }
}
