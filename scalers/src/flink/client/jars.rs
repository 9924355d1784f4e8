//! Uploads jars, looks whether a job can be made of one, and runs it.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tidegate_calculator::operation::action::Run;
use tidegate_calculator::operation::spec::ClaimMode;
use tidegate_calculator::source::Deadline;

use super::cluster::Jars;
use super::ids::{JobId, VertexId};
use super::orders::Content;
use super::{FlinkClient, FlinkError};

#[derive(Deserialize)]
struct Uploaded {
    filename: String,
}

#[derive(Deserialize)]
struct Started {
    jobid: JobId,
}

#[derive(Deserialize)]
struct Planned {
    plan: Graph,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(default)]
    nodes: Vec<PlannedVertex>,
}

/// A vertex of a job that would be run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PlannedVertex {
    /// The same as of the running job.
    pub id: VertexId,
    /// Its parallelism.
    pub parallelism: u32,
}

/// A request to run or plan; Flink passes over what it does not know, so every name here is one that it was seen to take.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_class: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    program_args_list: &'a [String],
    parallelism: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    flink_configuration: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    savepoint_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_non_restored_state: Option<bool>,
}

impl<'a> Request<'a> {
    /// What says of which program the job is.
    fn plan(run: &'a Run) -> Self {
        Self {
            job_id: None,
            entry_class: run.entry_class.as_deref(),
            program_args_list: &run.program_args,
            parallelism: run.parallelism,
            flink_configuration: run.flink_configuration.iter().map(|(key, value)| (&**key, &**value)).collect(),
            savepoint_path: None,
            claim_mode: None,
            allow_non_restored_state: None,
        }
    }

    /// The same with an id and a place to start from.
    fn run(run: &'a Run, id: &'a JobId) -> Self {
        let claim = match run.claim_mode {
            ClaimMode::NoClaim => "NO_CLAIM",
            ClaimMode::Claim => "CLAIM",
        };
        let from = run.savepoint.as_deref();
        Self {
            job_id: Some(id.as_str()),
            savepoint_path: from,
            claim_mode: from.map(|_| claim),
            allow_non_restored_state: from.map(|_| run.allow_non_restored_state),
            ..Self::plan(run)
        }
    }
}

impl Jars {
    /// The id of the newest upload of this name.
    pub fn newest(&self, name: &str) -> Option<&str> {
        let same = self.files.iter().filter(|jar| jar.name == name);
        // Flink lists the newest first; of equal moments the first counts.
        same.rev().max_by_key(|jar| jar.uploaded).map(|jar| jar.id.as_str())
    }
}

impl FlinkClient {
    /// Uploads a jar under a name; the result is its id.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question and order of this client.
    pub async fn upload(&self, name: &str, jar: &[u8], patience: Deadline) -> Result<String, FlinkError> {
        let content = Content::file("jarfile", self.segment(name)?, jar);
        let Uploaded { filename } = self.order(Method::POST, "/jars/upload", content, patience).await?;
        let id = filename.rsplit('/').next().unwrap_or_default();
        Ok(self.segment(id)?.to_owned())
    }

    /// Looks whether a job can be made of a jar, and starts nothing; but the program's `main` runs inside the JobManager. Whether its state
    /// fits, and whether its savepoint is there, is not seen.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn plan(&self, jar: &str, run: &Run, patience: Deadline) -> Result<Vec<PlannedVertex>, FlinkError> {
        let path = format!("/jars/{}/plan", self.segment(jar)?);
        let Planned { plan } = self.order(Method::POST, &path, Content::json(&Request::plan(run)), patience).await?;
        Ok(plan.nodes)
    }

    /// Runs a job under an id of our choice; the result is its id. A second run with one id is refused (class Conflict), also after the
    /// job's end. A savepoint that is not there is noticed only later: then the job has failed, and the id is spent.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`].
    pub async fn run(&self, jar: &str, id: &JobId, run: &Run, patience: Deadline) -> Result<JobId, FlinkError> {
        let path = format!("/jars/{}/run", self.segment(jar)?);
        let content = Content::json(&Request::run(run, id));
        let Started { jobid } = self.order(Method::POST, &path, content, patience).await?;
        Ok(jobid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_where_it_starts_from_and_a_plan_does_not() {
        let run = Run {
            jar: tidegate_calculator::operation::spec::Jar::Name("a.jar".to_owned()),
            entry_class: Some("Main".to_owned()),
            program_args: vec!["--x".to_owned(), "1".to_owned()],
            flink_configuration: vec![("a.b".to_owned(), "c".to_owned())],
            parallelism: 3,
            savepoint: Some("s3://b/sp".to_owned()),
            claim_mode: ClaimMode::NoClaim,
            allow_non_restored_state: false,
        };
        let id: JobId = format!("{:032x}", 7).parse().unwrap();
        let written = |request: &Request<'_>| serde_json::to_string(request).unwrap();
        assert_eq!(
            written(&Request::run(&run, &id)),
            r#"{"jobId":"00000000000000000000000000000007","entryClass":"Main","programArgsList":["--x","1"],"parallelism":3,"flinkConfiguration":{"a.b":"c"},"savepointPath":"s3://b/sp","claimMode":"NO_CLAIM","allowNonRestoredState":false}"#
        );
        assert_eq!(
            written(&Request::plan(&run)),
            r#"{"entryClass":"Main","programArgsList":["--x","1"],"parallelism":3,"flinkConfiguration":{"a.b":"c"}}"#
        );
        let empty = Run { savepoint: None, ..run };
        assert!(!written(&Request::run(&empty, &id)).contains("claimMode"));
    }

    #[test]
    fn the_newest_upload_of_a_name_counts() {
        let jars: Jars = serde_json::from_str(
            r#"{"files":[{"id":"3_b.jar","name":"b.jar","uploaded":9},{"id":"2_a.jar","name":"a.jar","uploaded":5},{"id":"1_a.jar","name":"a.jar","uploaded":4}]}"#,
        )
        .unwrap();
        assert_eq!((jars.newest("a.jar"), jars.newest("c.jar")), (Some("2_a.jar"), None));
    }
}
