//! Performs the Flink part of operations: every action becomes one call of the client, or the few that belong together.

use std::fmt::Write as _;
use std::time::Duration;

use regex::Regex;
use sha2::{Digest as _, Sha256};
use tidegate_calculator::operation::action::{Action, Run};
use tidegate_calculator::operation::facts::{ClusterFacts, SnapshotFacts};
use tidegate_calculator::operation::spec::{Flink, FlinkEndpoint, HookSpec, Jar, JobSelector};
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_engine::subject::TargetRef;
use tidegate_scalers::caller::Caller;
use tidegate_scalers::flink::client::{FlinkClient, FlinkError, JobId, Progress, TriggerId};

use super::limits::CALL;
use super::{Hooks, done, flink_of};
use crate::validation::name_pattern;

/// Planning or running a jar: the program's `main` runs inside the JobManager before it answers.
const MAIN: Duration = Duration::from_secs(30);

/// Fetching a jar, or uploading one.
const JAR: Duration = Duration::from_secs(40);

/// The largest jar that is fetched, in bytes.
const LARGEST_JAR: usize = 512 * 1024 * 1024;

/// How long a savepoint may take to be deleted.
const DISPOSAL: Duration = Duration::from_mins(1);

impl Hooks {
    /// The JobManager of a spec.
    pub(crate) async fn client(&self, target: &TargetRef, flink: &Flink) -> Result<FlinkClient, Failure> {
        let url = match &flink.endpoint {
            Some(FlinkEndpoint::RestUrl(url)) => url.clone(),
            Some(FlinkEndpoint::Service { name, port, scheme }) => {
                format!("{scheme}://{name}.{}.svc:{port}", target.namespace)
            }
            None => return Err(config("flink: neither restUrl nor service is given; a FlinkDeployment needs none")),
        };
        let auth = self.authentication(target, flink.authentication_ref.as_deref()).await?;
        let metadata = [("restUrl".to_owned(), url)].into();
        FlinkClient::open(&metadata, &auth, &self.endpoints).map_err(|error| config(&error.to_string()))
    }

    /// The Flink half of an inspection.
    pub(crate) async fn cluster_facts(&self, target: &TargetRef, flink: &Flink) -> Result<ClusterFacts, Failure> {
        let patterns = Patterns::of(flink)?;
        let client = self.client(target, flink).await?;
        let named = |name: &str| patterns.matching(name);
        client.facts(&named, CALL).await.map_err(|error| unread(&error))
    }

    /// Performs an action on the JobManager.
    pub(super) async fn call_flink(&self, target: &TargetRef, spec: &HookSpec, action: &Action) -> Outcome {
        let Some(flink) = flink_of(spec) else { return Outcome::Failed(config("the hooks have no flink item")) };
        let client = match self.client(target, flink).await {
            Ok(client) => client,
            Err(failure) => return Outcome::Failed(failure),
        };
        let outcome = match action {
            Action::PlanJar { run, .. } => self.plan(&client, target, run).await,
            Action::RunJar { id, run, .. } => self.run(&client, target, id, run).await,
            Action::DisposeSavepoint { path } => Ok(done(client.dispose(path, DISPOSAL).await)),
            Action::PutRequirements { job, bounds } => match id(job) {
                Ok(job) => {
                    client.put_requirements(&job, bounds, CALL).await.map(|()| Outcome::Done).map_err(Into::into)
                }
                Err(failure) => Err(failure),
            },
            Action::JobStatus { job } | Action::CancelJob { job } => self::job(&client, job, action).await,
            snapshot => self::snapshot(&client, snapshot).await,
        };
        outcome.unwrap_or_else(Outcome::Failed)
    }

    async fn plan(&self, client: &FlinkClient, target: &TargetRef, run: &Run) -> Result<Outcome, Failure> {
        let jar = self.jar(client, target, &run.jar).await?;
        match client.plan(&jar, run, MAIN).await {
            Ok(_) => Ok(Outcome::Done),
            // Whatever `main` throws it throws again.
            Err(error) if error.class() == Class::Transient => Err(config(&error.to_string())),
            // A plan starts nothing, so that its answer is lost means no more than that there is none.
            Err(error) => Err(unread(&error)),
        }
    }

    async fn run(&self, client: &FlinkClient, target: &TargetRef, wanted: &str, run: &Run) -> Result<Outcome, Failure> {
        let wanted = id(wanted)?;
        let jar = self.jar(client, target, &run.jar).await?;
        let job = client.run(&jar, &wanted, run, MAIN).await?;
        Ok(Outcome::Started { job: job.as_str().to_owned() })
    }

    /// The id of a jar in the JobManager, uploaded if it is given by address and not there. Its name there holds its checksum, so that it is
    /// found again.
    async fn jar(&self, client: &FlinkClient, target: &TargetRef, jar: &Jar) -> Result<String, Failure> {
        let there = client.jars(CALL).await.map_err(|error| unread(&error))?;
        let (url, sha256, authentication) = match jar {
            Jar::Name(name) => {
                let found = there.newest(name).map(str::to_owned);
                return found.ok_or_else(|| Failure::new(Class::Gone, &format!("no jar {name:?} is uploaded")));
            }
            Jar::Url { url, sha256, authentication_ref } => (url, sha256.to_ascii_lowercase(), authentication_ref),
        };
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(config(&format!("jar.sha256: {sha256:?} is not allowed; allowed: 64 hexadecimal digits")));
        }
        let name = format!("tidegate-{sha256}.jar");
        if let Some(found) = there.newest(&name) {
            return Ok(found.to_owned());
        }
        let auth = self.authentication(target, authentication.as_deref()).await?;
        let caller = Caller::open(url, &auth, &self.endpoints).map_err(|error| config(&error.to_string()))?;
        let bytes = caller.fetch(LARGEST_JAR, JAR).await?;
        let found = checksum(&bytes);
        if found != sha256 {
            return Err(config(&format!("{}: has the SHA-256 {found}, not that of jar.sha256", caller.name())));
        }
        // One that is uploaded twice is there twice, and does no harm.
        client.upload(&name, &bytes, JAR).await.map_err(|error| unread(&error))
    }
}

/// Takes a snapshot, or asks what became of one.
async fn snapshot(client: &FlinkClient, action: &Action) -> Result<Outcome, Failure> {
    Ok(match action {
        Action::TriggerCheckpoint { job, trigger, kind } => {
            client.trigger_checkpoint(&id(job)?, &trigger_id(trigger)?, *kind, CALL).await?;
            Outcome::Done
        }
        Action::TriggerSavepoint { job, trigger, directory, format } => {
            client.trigger_savepoint(&id(job)?, &trigger_id(trigger)?, (directory.as_deref(), *format), CALL).await?;
            Outcome::Done
        }
        Action::StopWithSavepoint { job, trigger, directory, format } => {
            client.stop(&id(job)?, &trigger_id(trigger)?, (directory.as_deref(), *format), CALL).await?;
            Outcome::Done
        }
        Action::PollCheckpoint { job, trigger } => {
            progress(client.checkpoint_taken(&id(job)?, &trigger_id(trigger)?, CALL).await)?
        }
        Action::PollSavepoint { job, trigger } => {
            progress(client.savepoint_taken(&id(job)?, &trigger_id(trigger)?, CALL).await)?
        }
        Action::LookForSnapshot { job, .. } => {
            Outcome::Looked(client.look(&id(job)?, CALL).await.map_err(|error| unread(&error))?)
        }
        _ => return Err(config("this action is none of Flink's")),
    })
}

async fn job(client: &FlinkClient, job: &str, action: &Action) -> Result<Outcome, Failure> {
    let job = id(job)?;
    if matches!(action, Action::CancelJob { .. }) {
        client.cancel(&job, CALL).await?;
        return Ok(Outcome::Done);
    }
    match client.job_status(&job, CALL).await {
        Ok(state) => Ok(Outcome::Status(state.facts())),
        // Flink 2.3 says of a job that it does not know: 500, with the cause alone telling why.
        Err(error) if error.is_not_found() || error.class() == Class::Gone => Ok(Outcome::NotFound),
        Err(error) => Err(unread(&error)),
    }
}

fn progress(answer: Result<Progress<SnapshotFacts>, FlinkError>) -> Result<Outcome, Failure> {
    Ok(match answer.map_err(|error| unread(&error))? {
        Progress::InProgress => Outcome::InProgress,
        Progress::Completed(SnapshotFacts { id, path, completed, .. }) => {
            Outcome::Completed { id, path, age: completed }
        }
        Progress::Failed(failure) => Outcome::Failed(failure),
        Progress::Unknown => Outcome::NotFound,
    })
}

/// The failure of a question: it says nothing about a job or a snapshot, so it is asked again, unless it can never be answered.
fn unread(error: &FlinkError) -> Failure {
    let class = match error.class() {
        class @ (Class::Config | Class::Gone) => class,
        _ => Class::Unavailable,
    };
    Failure::new(class, &error.to_string())
}

/// The SHA-256 in hexadecimal digits.
fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|error| config(&format!("job {text:?} {error}")))
}

fn trigger_id(text: &str) -> Result<TriggerId, Failure> {
    text.parse().map_err(|error| config(&format!("trigger {text:?} {error}")))
}

fn config(text: &str) -> Failure {
    Failure::new(Class::Config, text)
}

/// Those of a spec's patterns that a name matches.
pub(crate) fn matching(flink: &Flink, name: &str) -> Result<Vec<String>, Failure> {
    Patterns::of(flink).map(|patterns| patterns.matching(name))
}

/// The name patterns of a spec.
struct Patterns(Vec<(String, Regex)>);

impl Patterns {
    fn of(flink: &Flink) -> Result<Self, Failure> {
        let patterns = flink.jobs.list.iter().filter_map(|job| match &job.select {
            JobSelector::NamePattern(pattern) => Some(pattern),
            JobSelector::Name(_) | JobSelector::Id(_) => None,
        });
        let compiled = patterns.map(|pattern| {
            // Anchored, whatever alternatives stand in it.
            let regex = name_pattern(pattern).map_err(|_| {
                config(&format!("jobs.list[].namePattern: {pattern:?} is not allowed; allowed: a regular expression"))
            })?;
            Ok((pattern.clone(), regex))
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The patterns that a name matches.
    fn matching(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(_, regex)| regex.is_match(name)).map(|(pattern, _)| pattern.clone()).collect()
    }
}
