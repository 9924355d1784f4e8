//! Which jobs of a Flink cluster a hook looks after, and how each is run.

use serde::{Deserialize, Serialize};

/// Which jobs of the cluster are looked after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Jobs {
    /// All live jobs or the listed ones.
    pub select: Select,
    /// What a live batch job means for a lowering.
    pub batch: Batch,
    /// Listed jobs: which they are, their share and how they are run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<JobSpec>,
}

/// Which live jobs are looked after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Select {
    /// All live jobs.
    #[default]
    All,
    /// The listed ones.
    Listed,
}

/// What a live batch job means: it loses work when a TaskManager leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Batch {
    /// No lowering while one is live.
    #[default]
    Block,
    /// It is not looked at.
    Ignore,
}

/// One listed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JobSpec {
    /// How the one live job is found.
    pub select: JobSelector,
    /// Its part of the slots against the other jobs; at least 1.
    pub share: u32,
    /// How it is run from a savepoint; needed where a job is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunTemplate>,
    /// Vertices that may be raised although they were declared with a parallelism of 1, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raise_vertices: Vec<String>,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self { select: JobSelector::Name(String::new()), share: 1, run: None, raise_vertices: Vec::new() }
    }
}

/// How a job is found among the live ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobSelector {
    /// By its exact name.
    Name(String),
    /// By an anchored pattern of its name. Matching needs a regular expression, so the adapter that lists the jobs does it and puts
    /// the pattern into [`crate::operation::facts::JobFacts::patterns`].
    NamePattern(String),
    /// By its id.
    Id(String),
}

/// How a job is run: Flink gives neither the jar nor the arguments back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RunTemplate {
    /// The jar.
    pub jar: Jar,
    /// The class with `main`; absent: the jar's manifest says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_class: Option<String>,
    /// Arguments of `main`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub program_args: Vec<String>,
    /// Configuration of the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flink_configuration: Vec<(String, String)>,
    /// Whether state that fits no operator may be dropped.
    pub allow_non_restored_state: bool,
    /// What happens when there is no path to start from.
    pub first_start: FirstStart,
}

/// Which jar is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Jar {
    /// The newest upload of that name.
    Name(String),
    /// Fetched and uploaded when it is not there.
    Url {
        /// Where it is.
        url: String,
        /// Its SHA-256 in hex.
        sha256: String,
        /// The TriggerAuthentication to use.
        authentication_ref: Option<String>,
    },
}

impl Default for Jar {
    fn default() -> Self {
        Self::Name(String::new())
    }
}

/// What happens when a job is to be run and no path was ever recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstStart {
    /// The operation is refused.
    #[default]
    Refuse,
    /// The job starts from empty state.
    Empty,
}
