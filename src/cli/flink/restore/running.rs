//! Runs the job once: after every answer that does not say for certain what happened, its id tells.

use std::time::Duration;

use tidegate_calculator::operation::facts::{JobFacts, JobState};
use tidegate_calculator::operation::spec::{ClaimMode, Flink};
use tidegate_calculator::operation::{Action, Class, Failure, Outcome};
use tidegate_engine::ports::Operations as _;
use tokio::time::{Instant, sleep};

use super::super::error::CommandError;
use super::super::look;
use super::super::report::without_password;
use super::super::site::Site;
use super::{Plan, check, still};

/// How long a step rests before it is asked again.
const POLL: Duration = Duration::from_secs(1);

/// A job that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// What it was restored from; none from empty state.
    pub(super) restored: Option<String>,
    /// Its parallelism, as Flink says.
    pub(super) parallelism: Option<u32>,
}

/// Runs the job and waits until all of it runs, as long as the hook would wait for it.
pub(super) async fn run(site: &Site, flink: &Flink, plan: &Plan) -> Result<Runs, CommandError> {
    let until = Instant::now() + flink.verify.timeout.duration();
    if !plan.begun {
        submit(site, flink, plan, until).await?;
    }
    runs(site, flink, plan, until).await
}

/// Sends the run, unless the JobManager knows its id already.
async fn submit(site: &Site, flink: &Flink, plan: &Plan, until: Instant) -> Result<(), CommandError> {
    let mut last = Failure::new(Class::Unavailable, "the JobManager does not answer");
    while Instant::now() < until {
        match state(site, &plan.id).await {
            Ok(Some(state)) if state.live() => return Ok(()),
            Ok(Some(state)) => return Err(ended(plan, state, &last)),
            Ok(None) => {
                if last.class != Class::Unavailable && last.class != Class::Lost && last.class != Class::Conflict {
                    // It was refused, and nothing runs under its id.
                    return Err(CommandError::NotRun(format!("job {} was not run: {}", plan.job, last.text)));
                }
                // Somebody else may have run it meanwhile.
                match site.hooks.cluster_facts(&site.target(), flink).await {
                    Ok(facts) => {
                        check(&facts, &plan.job, &plan.id)?;
                        let now = site.remember_again().await;
                        still(site.remembered.as_ref(), now.as_ref(), &plan.job, flink)?;
                    }
                    Err(failure) => {
                        last = failure;
                        sleep(POLL).await;
                        continue;
                    }
                }
                let action = Action::RunJar { job: plan.job.clone(), id: plan.id.clone(), run: plan.run.clone() };
                if let Outcome::Failed(failure) = perform(site, &action).await {
                    last = failure;
                } else {
                    return Ok(());
                }
            }
            Err(failure) => last = failure,
        }
        sleep(POLL).await;
    }
    Err(last.into())
}

/// Whether a job of this id is live, as far as the JobManager says.
pub(super) async fn is_live(site: &Site, id: &str) -> bool {
    state(site, id).await.is_ok_and(|state| state.is_some_and(JobState::live))
}

/// The state of the job of this id; none if the JobManager does not know it.
async fn state(site: &Site, id: &str) -> Result<Option<JobState>, Failure> {
    match perform(site, &Action::JobStatus { job: id.to_owned() }).await {
        Outcome::Status(state) => Ok(Some(state)),
        Outcome::NotFound => Ok(None),
        Outcome::Failed(failure) => Err(failure),
        _ => Err(Failure::new(Class::Unavailable, "the JobManager's answer is none")),
    }
}

async fn perform(site: &Site, action: &Action) -> Outcome {
    site.hooks.perform(&site.id(), &site.target(), &site.spec, action).await
}

/// A run that Flink took and that came to nothing: its id is spent, and the savepoint is as it was.
fn ended(plan: &Plan, state: JobState, last: &Failure) -> CommandError {
    let why = if last.class == Class::Unavailable { String::new() } else { format!(": {}", last.text) };
    let untouched = match plan.run.savepoint.as_deref() {
        // Flink may delete what it has claimed.
        Some(path) if plan.run.claim_mode == ClaimMode::NoClaim => {
            format!("Nothing has touched {}; t", without_password(path))
        }
        _ => "T".to_owned(),
    };
    let text = format!(
        "job {} has ended as {}: {}{why}; Flink's exceptions of it say more. {untouched}he next try needs another --id",
        plan.job,
        plan.id,
        look::state(state)
    );
    CommandError::NotRun(text)
}

/// Waits until every task runs, and says what the job was restored from.
async fn runs(site: &Site, flink: &Flink, plan: &Plan, until: Instant) -> Result<Runs, CommandError> {
    let mut seen = "it does not run wholly".to_owned();
    while Instant::now() < until {
        match site.hooks.cluster_facts(&site.target(), flink).await {
            Ok(facts) => match facts.jobs.iter().find(|job| job.id == plan.id) {
                Some(job) if !job.state.live() => {
                    return Err(ended(plan, job.state, &Failure::new(Class::Unavailable, "")));
                }
                // What Flink says of checkpoints may be some seconds old.
                Some(job) if job.ready() && job.restored.is_none() && plan.run.savepoint.is_some() => {
                    "Flink does not say what it was restored from".clone_into(&mut seen);
                }
                Some(job) if job.ready() => return rightly(plan, job),
                Some(_) => "it does not run wholly".clone_into(&mut seen),
                None => "the JobManager does not list it".clone_into(&mut seen),
            },
            Err(failure) => seen = failure.text,
        }
        sleep(POLL).await;
    }
    let wants = match plan.run.parallelism {
        0 => String::new(),
        wants => format!(" for a parallelism of {wants}"),
    };
    let text = format!(
        "job {} was run as {}, and after {} {seen}; {} slots were free{wants}",
        plan.job, plan.id, flink.verify.timeout, plan.free
    );
    Err(CommandError::NotRun(text))
}

/// What it runs from must be what was asked for. Flink writes a path in its own way, so the ends are compared; and after a restart a job
/// runs from a checkpoint of its own.
fn rightly(plan: &Plan, job: &JobFacts) -> Result<Runs, CommandError> {
    let name = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let restored = job.restored.as_ref().and_then(|restored| restored.path.clone());
    let same = plan.run.savepoint.as_deref().map(name) == restored.as_deref().map(name);
    let later = job.restarts.is_some_and(|restarts| restarts > 0)
        && job.restored.as_ref().is_none_or(|restored| !restored.savepoint);
    if same || later {
        let parallelism = job.vertices.iter().map(|vertex| vertex.parallelism).max();
        return Ok(Runs { restored, parallelism });
    }
    let from = restored.as_deref().map_or_else(|| "empty state".to_owned(), without_password);
    let text = format!("job {} runs as {}, and not from where it should: from {from}", plan.job, plan.id);
    Err(CommandError::NotRun(text))
}

#[cfg(test)]
mod tests {
    use tidegate_calculator::operation::action::Run;
    use tidegate_calculator::operation::facts::Restored;
    use tidegate_calculator::operation::spec::{Flink, RunTemplate};

    use super::*;

    fn plan(savepoint: Option<&str>) -> Plan {
        let run = Run::of(&RunTemplate::default(), &Flink::default(), 2, savepoint.map(str::to_owned));
        Plan { job: "enrich".to_owned(), id: "0".repeat(32), run, free: 2, begun: false }
    }

    fn job(restored: Option<(&str, bool)>, restarts: u32) -> JobFacts {
        let restored = restored.map(|(path, savepoint)| Restored { id: 1, savepoint, path: Some(path.to_owned()) });
        JobFacts {
            id: "0".repeat(32),
            name: "enrich".to_owned(),
            patterns: Vec::new(),
            state: JobState::Running,
            batch: false,
            vertices: Vec::new(),
            checkpointing: None,
            completed: None,
            savepoint: None,
            restored,
            failed_in_a_row: 0,
            p95: None,
            restarts: Some(restarts),
        }
    }

    #[test]
    fn what_flink_has_claimed_is_not_said_to_be_untouched() {
        let nothing = Failure::new(Class::Unavailable, "");
        let mut plan = plan(Some("/sp/savepoint-1"));
        plan.run.claim_mode = ClaimMode::NoClaim;
        let text = ended(&plan, JobState::Failed, &nothing).to_string();
        assert!(text.contains("Nothing has touched /sp/savepoint-1; the next try needs another --id"), "{text}");
        plan.run.claim_mode = ClaimMode::Claim;
        let text = ended(&plan, JobState::Failed, &nothing).to_string();
        assert!(!text.contains("touched") && text.ends_with("The next try needs another --id"), "{text}");
    }

    #[test]
    fn a_job_from_elsewhere_is_no_success() {
        let wanted = plan(Some("/sp/savepoint-1/"));
        assert!(rightly(&wanted, &job(Some(("file:/sp/savepoint-1", true)), 0)).is_ok());
        let error = rightly(&wanted, &job(Some(("file:/sp/savepoint-2", true)), 3)).unwrap_err();
        assert!(error.to_string().ends_with("from file:/sp/savepoint-2"), "{error}");
        assert!(rightly(&wanted, &job(None, 0)).unwrap_err().to_string().ends_with("from empty state"));
        assert!(rightly(&plan(None), &job(None, 0)).is_ok());
    }

    #[test]
    fn a_restarted_job_runs_from_a_checkpoint_of_its_own() {
        let wanted = plan(Some("/sp/savepoint-1"));
        assert!(rightly(&wanted, &job(Some(("file:/cp/chk-7", false)), 1)).is_ok());
        assert!(rightly(&wanted, &job(Some(("file:/cp/chk-7", false)), 0)).is_err(), "it was run from there");
    }
}
