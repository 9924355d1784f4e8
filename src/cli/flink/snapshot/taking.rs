//! Takes one snapshot: triggers it, asks what became of it, and gives up when a hook would.

use std::time::Duration;

use tidegate_calculator::operation::facts::{Look, SnapshotFacts};
use tidegate_calculator::operation::ids::{self, Kind, OperationId};
use tidegate_calculator::operation::progress::Job;
use tidegate_calculator::operation::spec::{CheckpointType, SavepointFormat};
use tidegate_calculator::operation::{Action, Class, Outcome};
use tidegate_engine::ports::Operations as _;
use tidegate_scalers::flink::client::{FlinkClient, JobId};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::site::Site;
use crate::hooks::CALL;

/// How long a step rests before it is asked again.
const POLL: Duration = Duration::from_secs(1);
/// The attempt that trigger ids are made of: a repetition must find what was begun.
const ATTEMPT: u32 = 1;
/// How long the operator may take for a FlinkStateSnapshot: Flink's default time-out of a checkpoint and 30 s.
const RESOURCE: Duration = Duration::from_secs(630);

/// What is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A checkpoint of this type.
    Checkpoint(CheckpointType),
    /// A savepoint.
    Savepoint {
        /// Where it goes; none for where Flink is set to.
        directory: Option<String>,
        /// Its format.
        format: SavepointFormat,
    },
}

/// What became of the snapshot of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The job's name.
    pub(super) job: String,
    /// The job's id; none for a FlinkDeployment, whose job the operator knows.
    pub(super) id: Option<String>,
    /// `checkpoint` or `savepoint`.
    pub(super) kind: &'static str,
    /// The id that Flink knows it by until it is forgotten, or the name of the FlinkStateSnapshot.
    pub(super) trigger: String,
    /// The snapshot, or why there is none.
    pub(super) end: Result<Done, String>,
    /// From its trigger to its completion, as far as Flink says it.
    pub(super) milliseconds: Option<i64>,
}

/// A snapshot that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Its number, as far as Flink says it.
    pub(super) id: Option<u64>,
    /// Where it is.
    pub(super) path: Option<String>,
}

impl What {
    fn kind(&self) -> Kind {
        match self {
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::Savepoint { .. } => Kind::Backup,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint",
            Self::Savepoint { .. } => "savepoint",
        }
    }

    fn trigger(&self, job: String, trigger: String) -> Action {
        match self {
            Self::Checkpoint(kind) => Action::TriggerCheckpoint { job, trigger, kind: *kind },
            Self::Savepoint { directory, format } => {
                Action::TriggerSavepoint { job, trigger, directory: directory.clone(), format: *format }
            }
        }
    }

    fn poll(&self, job: String, trigger: String) -> Action {
        match self {
            Self::Checkpoint(_) => Action::PollCheckpoint { job, trigger },
            Self::Savepoint { .. } => Action::PollSavepoint { job, trigger },
        }
    }
}

/// Takes a snapshot of one job and waits for it as long as a hook does.
pub(super) async fn take(site: &Site, job: &Job, what: &What, operation: &OperationId) -> Taken {
    let trigger = ids::trigger(operation, &job.id, what.kind(), ATTEMPT);
    let end = taken(Asking::new(site, job.wait.duration()), job, what, &trigger).await;
    let (name, id, kind) = (job.name.clone(), Some(job.id.clone()), what.word());
    Taken { job: name, id, kind, trigger, end, milliseconds: None }
}

async fn taken(mut asking: Asking<'_>, job: &Job, what: &What, trigger: &str) -> Result<Done, String> {
    asking.ask(&what.trigger(job.id.clone(), trigger.to_owned())).await?;
    loop {
        match asking.ask(&what.poll(job.id.clone(), trigger.to_owned())).await? {
            Outcome::Completed { id, path, .. } => return Ok(Done { id, path }),
            Outcome::NotFound => {
                let look = Action::LookForSnapshot { job: job.id.clone(), kind: what.kind() };
                if let Outcome::Looked(look) = asking.ask(&look).await? {
                    return forgotten(what, &look, asking.since.elapsed());
                }
            }
            _ => asking.rest().await?,
        }
    }
}

/// Asks again and again what may be asked again, until the time is over: whatever is done here under one id is done once.
struct Asking<'a> {
    site: &'a Site,
    since: Instant,
    time: Duration,
    /// The last failure that says nothing about the snapshot.
    last: Option<String>,
}

impl<'a> Asking<'a> {
    fn new(site: &'a Site, time: Duration) -> Self {
        Self { site, since: Instant::now(), time, last: None }
    }

    async fn ask(&mut self, action: &Action) -> Result<Outcome, String> {
        let (id, target) = (self.site.id(), self.site.target());
        loop {
            let performed = self.site.hooks.perform(&id, &target, &self.site.spec, action);
            match timeout_at(self.since + self.time, performed).await {
                Ok(Outcome::Failed(failure)) if passes(failure.class) => self.last = Some(failure.text),
                Ok(Outcome::Failed(failure)) => return Err(failure.text),
                Ok(outcome) => return Ok(outcome),
                Err(_) => return Err(self.late()),
            }
            self.rest().await?;
        }
    }

    async fn rest(&self) -> Result<(), String> {
        if self.since.elapsed() + POLL >= self.time {
            return Err(self.late());
        }
        sleep(POLL).await;
        Ok(())
    }

    fn late(&self) -> String {
        let last = self.last.as_ref().map(|last| format!("; the last answer was: {last}")).unwrap_or_default();
        format!("it is not complete after {} s{last}", self.time.as_secs())
    }
}

/// Whether it says nothing about the snapshot.
const fn passes(class: Class) -> bool {
    matches!(class, Class::Unavailable | Class::Lost | Class::Conflict)
}

/// Flink has forgotten the id, as a JobManager that was restarted does. A checkpoint that was triggered since is as good as ours.
fn forgotten(what: &What, look: &Look, since: Duration) -> Result<Done, String> {
    let ours = |facts: &&SnapshotFacts| facts.triggered.duration() <= since;
    match (what, look.completed.as_ref().filter(ours)) {
        (What::Checkpoint(_), Some(facts)) => Ok(Done { id: facts.id, path: facts.path.clone() }),
        _ => {
            Err("Flink has forgotten the trigger, and nothing says what became of it; begin anew without --id"
                .to_owned())
        }
    }
}

/// The name of the FlinkStateSnapshot of a command.
fn resource_name(operation: &OperationId) -> String {
    ids::object_name(operation, Kind::Resource.as_str(), ATTEMPT)
}

/// Lets the Flink Kubernetes Operator take a checkpoint of the FlinkDeployment.
pub(super) async fn take_resource(site: &Site, backoff_limit: u32, operation: &OperationId) -> Taken {
    let name = resource_name(operation);
    let end = resource(Asking::new(site, RESOURCE), &name, backoff_limit).await;
    let job = site.target().to_string();
    Taken { job, id: None, kind: "checkpoint", trigger: name, end, milliseconds: None }
}

/// Whether no snapshot can be taken, because the job is suspended and this command has begun none before. What cannot be seen speaks against
/// nothing: the operator knows.
pub(super) async fn is_suspended(site: &Site, operation: &OperationId) -> bool {
    let (id, target) = (site.id(), site.target());
    let perform = async |action| site.hooks.perform(&id, &target, &site.spec, &action).await;
    let Outcome::Inspected(seen) = perform(Action::Inspect).await else { return false };
    seen.deployment.is_some_and(|deployment| deployment.suspended)
        && perform(Action::PollSnapshotResource { name: resource_name(operation) }).await == Outcome::NotFound
}

async fn resource(mut asking: Asking<'_>, name: &str, backoff_limit: u32) -> Result<Done, String> {
    asking.ask(&Action::CreateSnapshotResource { name: name.to_owned(), backoff_limit }).await?;
    loop {
        match asking.ask(&Action::PollSnapshotResource { name: name.to_owned() }).await? {
            Outcome::Completed { id, path, .. } => return Ok(Done { id, path }),
            Outcome::NotFound => return Err("the FlinkStateSnapshot is gone".to_owned()),
            _ => asking.rest().await?,
        }
    }
}

impl Taken {
    /// Asks Flink how long it took; it is well known without.
    pub(super) async fn measure(&mut self, client: &FlinkClient) {
        let (Ok(done), Some(Ok(id))) = (&self.end, self.id.as_deref().map(str::parse::<JobId>)) else { return };
        let Ok(all) = client.checkpoints(&id, CALL).await else { return };
        let one = all.history.iter().find(|one| Some(one.id) == done.id);
        let took = one.and_then(|one| one.end_to_end_duration);
        self.milliseconds = took.and_then(|took| i64::try_from(took).ok());
    }
}

#[cfg(test)]
mod tests {
    use tidegate_calculator::time::Span;

    use super::*;

    #[test]
    fn a_checkpoint_since_then_stands_for_one_that_was_forgotten() {
        let facts = |triggered| SnapshotFacts { id: Some(7), path: None, triggered, completed: Span::ZERO };
        let look = |seconds| Look { completed: Some(facts(Span::seconds(seconds))), ..Look::default() };
        let checkpoint = What::Checkpoint(CheckpointType::Configured);
        let since = Duration::from_secs(10);
        assert_eq!(forgotten(&checkpoint, &look(9), since), Ok(Done { id: Some(7), path: None }));
        // Triggered before this command began: it is somebody else's.
        assert!(forgotten(&checkpoint, &look(11), since).is_err());
        let savepoint = What::Savepoint { directory: None, format: SavepointFormat::Native };
        assert!(forgotten(&savepoint, &look(9), since).is_err(), "a checkpoint is no savepoint");
    }
}
