//! The metrics of a vertex, each joined over its subtasks.
//!
//! Flink fetches them from the TaskManagers every `metrics.fetcher.update-interval` (10 s), and only when somebody has asked. It answers a
//! question in which one name is unknown with an empty list, so names are asked for first.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_calculator::source::Deadline;

use super::ids::{JobId, VertexId};
use super::numbers;
use super::{FlinkClient, FlinkError};

/// How many characters of names stand in one question: Flink takes a first line of 4,096.
const LONGEST_QUERY: usize = 2500;

/// One metric, joined over the subtasks that have told it (`GET /jobs/:id/vertices/:vertex/subtasks/metrics?get=...`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Joined {
    /// The least.
    #[serde(deserialize_with = "numbers::figure")]
    pub min: Option<f64>,
    /// The greatest.
    #[serde(deserialize_with = "numbers::figure")]
    pub max: Option<f64>,
    /// The mean.
    #[serde(deserialize_with = "numbers::figure")]
    pub avg: Option<f64>,
    /// All together.
    #[serde(deserialize_with = "numbers::figure")]
    pub sum: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    id: String,
    #[serde(flatten)]
    joined: Joined,
}

/// A metric of a job as a whole; its value is a text.
#[derive(Deserialize)]
struct OfJob {
    id: String,
    #[serde(default, deserialize_with = "numbers::figure")]
    value: Option<f64>,
}

impl Joined {
    /// How many subtasks have told it; none where that cannot be seen, because all told zero.
    pub fn subtasks(&self) -> Option<u32> {
        let count = self.sum? / self.avg.filter(|avg| *avg != 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (0.5..1e9).contains(&count).then(|| count.round() as u32)
    }
}

impl FlinkClient {
    /// The names of the metrics that a vertex has; empty as long as none was fetched.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question of this client.
    pub async fn metric_names(
        &self,
        job: &JobId,
        vertex: &VertexId,
        patience: Deadline,
    ) -> Result<Vec<String>, FlinkError> {
        let names: Vec<Named> = self.get(&path(job, vertex), patience).await?;
        Ok(names.into_iter().map(|named| named.id).collect())
    }

    /// Some metrics of a vertex by name. What Flink does not know is missing, and one unknown name makes others miss as well.
    pub async fn metrics(
        &self,
        job: &JobId,
        vertex: &VertexId,
        names: &[&str],
        patience: Deadline,
    ) -> Result<BTreeMap<String, Joined>, FlinkError> {
        let until = std::time::Instant::now() + patience;
        let mut all = BTreeMap::new();
        for piece in pieces(names) {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let query = [("get", piece.as_str()), ("agg", "min,max,avg,sum")];
            let told: Vec<Named> = self.ask(&path(job, vertex), &query, left).await?;
            all.extend(told.into_iter().map(|named| (named.id, named.joined)));
        }
        Ok(all)
    }

    /// A metric of the job as a whole; none if Flink does not know it (yet), or has no number for it.
    pub async fn job_metric(&self, job: &JobId, name: &str, patience: Deadline) -> Result<Option<f64>, FlinkError> {
        let told: Vec<OfJob> = self.ask(&format!("/jobs/{job}/metrics"), &[("get", name)], patience).await?;
        Ok(told.into_iter().find(|metric| metric.id == name).and_then(|metric| metric.value))
    }

    /// Makes the JobManager fetch metrics anew, unless it has done so within its interval. They are there a moment later.
    pub async fn refresh_metrics(&self, patience: Deadline) -> Result<(), FlinkError> {
        let told: Result<Vec<serde::de::IgnoredAny>, _> =
            self.ask("/jobmanager/metrics", &[("get", "taskSlotsTotal")], patience).await;
        told.map(|_| ())
    }
}

fn path(job: &JobId, vertex: &VertexId) -> String {
    format!("/jobs/{job}/vertices/{vertex}/subtasks/metrics")
}

/// Names joined by commas, in texts that fit into a question.
fn pieces(names: &[&str]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for name in names {
        match pieces.last_mut() {
            Some(piece) if piece.len() + name.len() < LONGEST_QUERY => {
                piece.push(',');
                piece.push_str(name);
            }
            _ => pieces.push((*name).to_owned()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_subtasks_is_seen_where_something_is_told() {
        let joined = |sum, avg| Joined { sum: Some(sum), avg: Some(avg), ..Joined::default() };
        assert_eq!(joined(838.0, 419.0).subtasks(), Some(2));
        assert_eq!(joined(1.0, 1.0 / 3.0).subtasks(), Some(3));
        assert_eq!((joined(0.0, 0.0).subtasks(), Joined::default().subtasks()), (None, None));
    }

    #[test]
    fn many_names_become_several_questions() {
        let names: Vec<String> = (0..100).map(|index| format!("Source__{index:050}.pendingRecords")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let pieces = pieces(&all);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= LONGEST_QUERY));
        assert_eq!(pieces.join(","), all.join(","));
        assert!(super::pieces(&[]).is_empty());
    }
}
