//! `tidegate flink restore`: runs a job from a savepoint by the `run` template of its hook, never from empty state by itself.

mod recorded;
mod running;

use std::fmt::Write as _;

use serde_json::json;
use tidegate_calculator::operation::action::Run;
use tidegate_calculator::operation::facts::ClusterFacts;
use tidegate_calculator::operation::ids;
use tidegate_calculator::operation::progress::{Job, Parked};
use tidegate_calculator::operation::spec::{ClaimMode, Flink, Jar, JobSelector, RunTemplate};
use tidegate_calculator::operation::{Action, Cause, Outcome, Refusal};
use tidegate_engine::ports::Operations as _;
use tidegate_engine::subject::TargetRef;

use self::recorded::recorded;
use self::running::{Runs, is_live, run};
use super::error::CommandError;
use super::report::without_password;
use super::site::{Place, Remembered, Site, config, find};
use super::{CommandId, Output, Printed, id_or_new};
use crate::cli::values::parallelism;
use crate::hooks::flink::matching;
use crate::validation::is_state_path;

/// The attempt that the job's id is made of: a repetition must find what was begun.
const ATTEMPT: u32 = 1;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate flink restore --cluster shop/enrich --job enrich --dry-run
      what it would do, from the path that is recorded
  tidegate flink restore --cluster shop/enrich --job enrich
      the same, done
  tidegate flink restore -f enrich/ --job enrich --from s3://flink/savepoints/savepoint-ab12-34cd
      from this savepoint; no cluster is asked

The jar, its class and its arguments are those of jobs.list[].run in the hook. Flink plans the run first, for which the program's main \
runs in the JobManager. The job gets an id of its own; after a lost answer it is looked for by that id before anything is repeated, also \
by the same command with --id. A job of that name that is live already is never run a second time.

Exit codes: 0 it runs from that savepoint (or would, with --dry-run), 1 it does not, or it was refused, 2 a wrong command line, or \
objects that are not in order.")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The job: a name that an entry of jobs.list means, with a `run`.
    #[arg(long, value_name = "NAME")]
    job: String,
    /// The savepoint, or a retained checkpoint [default: the path that an operation recorded, with --cluster]
    #[arg(long, value_name = "PATH", conflicts_with = "empty")]
    from: Option<String>,
    /// Start it without any state. Everything that the job knew is lost.
    #[arg(long)]
    empty: bool,
    /// Its parallelism [default: that before its stop as it was recorded, else what all free slots give]
    #[arg(long, value_name = "COUNT", value_parser = parallelism)]
    parallelism: Option<u32>,
    /// Let Flink plan the run and say what would be done; run nothing.
    #[arg(long)]
    dry_run: bool,
    /// What the job's id is made of: 32 hexadecimal digits, as an earlier run has printed them [default: a new one]
    #[arg(long, value_name = "ID")]
    id: Option<CommandId>,
    /// How to print what was done.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    /// The job's name.
    job: String,
    /// The id that it gets.
    id: String,
    run: Run,
    /// Slots that no job holds.
    free: u32,
    /// An earlier command with this id has begun it: it is only waited for.
    begun: bool,
}

/// Runs this subcommand.
pub(super) async fn restore(arguments: Arguments) -> Printed {
    let Arguments { place, job, from, empty, parallelism, dry_run, id, output } = arguments;
    if let Some(path) = from.as_deref().filter(|path| !is_state_path(path)) {
        let allowed = "is not an address such as s3://bucket/savepoints/savepoint-ab12-34cd, or an absolute path";
        return Err(CommandError::option("--from", Some(&without_password(path)), allowed));
    }
    let site = find(place).await?;
    site.in_order()?;
    let flink = site.flink()?;
    not_by_operator(&site.target(), &job)?;
    let template = template(flink, &job, site.object.is_none())?;
    let known = site.remembered.as_ref().and_then(|remembered| recorded(remembered, &job, flink));
    if !dry_run {
        at_rest(site.remembered.as_ref())?;
    }
    let from = start(site.remembered.as_ref(), &job, from, empty, known.as_ref())?;
    let again = id.is_some() && !dry_run;
    let operation = id_or_new(id);
    let run_id = ids::run(&operation, &job, ATTEMPT);
    let facts = site.hooks.cluster_facts(&site.target(), flink).await?;
    check(&facts, &job, &run_id)?;
    let free = facts.task_managers.iter().map(|manager| manager.free).sum();
    let begun = match begun(&facts, &run_id).filter(|_| !dry_run) {
        // One that is being initialized may have nothing but a state.
        None if again => is_live(&site, &run_id).await.then_some(0),
        begun => begun,
    };
    let parallelism = match begun {
        // While it is being initialized that is 0: nothing is run by it, and what is told is what runs then.
        Some(runs) => runs,
        None => parallelism_of(parallelism, known.as_ref(), free)?,
    };
    let begun = begun.is_some();
    let plan = Plan { job, id: run_id, run: Run::of(template, flink, parallelism, from), free, begun };
    if !plan.begun {
        planned(&site, &plan, dry_run).await?;
    }
    if dry_run {
        return Ok((plan.print(output, None), 0));
    }
    eprintln!("id {}; the same command with --id and this finds what was begun", operation.0);
    let runs = run(&site, flink, &plan).await?;
    Ok((plan.print(output, Some(&runs)), 0))
}

/// The operator of a FlinkDeployment owns its job, wherever its JobManager is asked.
fn not_by_operator(target: &TargetRef, job: &str) -> Result<(), CommandError> {
    if !target.api_version.starts_with("flink.apache.org/") {
        return Ok(());
    }
    let allowed =
        "is not possible for a FlinkDeployment: its operator restores the job, by spec.job.initialSavepointPath";
    Err(CommandError::option("--job", Some(job), allowed))
}

/// Refuses while an operation is under way, whatever the job would be run from: it runs its jobs itself.
fn at_rest(remembered: Option<&Remembered>) -> Result<(), CommandError> {
    let Some(operation) = remembered.and_then(|remembered| remembered.operation.as_ref()) else { return Ok(()) };
    let state = operation.state();
    let what = format!("operation {} is under way ({}) and runs its jobs itself", state.id.0, state.phase.as_str());
    Err(CommandError::NotRun(format!("{what}; wait for its end")))
}

/// Refuses if an operation has begun since the record was read first, or what is recorded of the job is something else by now: reading what
/// Flink says and planning the run have taken a while.
fn still(before: Option<&Remembered>, now: Option<&Remembered>, job: &str, flink: &Flink) -> Result<(), CommandError> {
    at_rest(now)?;
    let Some((before, now)) = before.zip(now) else { return Ok(()) };
    if before.unseen.is_empty() && !now.unseen.is_empty() {
        let why = now.unseen.join("; ");
        return Err(CommandError::NotRun(format!(
            "job {job} was not run: what is recorded cannot be read again ({why})"
        )));
    }
    if recorded(before, job, flink) != recorded(now, job, flink) {
        let text = format!("job {job} was not run: what is recorded of it has changed meanwhile; begin anew");
        return Err(CommandError::NotRun(text));
    }
    Ok(())
}

/// The parallelism of the job that an earlier command with this id has begun, 0 while Flink does not say it yet; none if there is no such job.
fn begun(facts: &ClusterFacts, own: &str) -> Option<u32> {
    let job = facts.jobs.iter().find(|job| job.id == own && job.state.live())?;
    Some(job.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0))
}

/// How the job is run.
fn template<'f>(flink: &'f Flink, job: &str, bare: bool) -> Result<&'f RunTemplate, CommandError> {
    if bare {
        let allowed = "alone says not how a job is run; name the object whose hook does, with -f or --cluster";
        return Err(CommandError::option("--rest-url", None, allowed));
    }
    if flink.endpoint.is_none() {
        let allowed =
            "is not possible for a FlinkDeployment: its operator restores the job, by spec.job.initialSavepointPath";
        return Err(CommandError::option("--job", Some(job), allowed));
    }
    let patterns = matching(flink, job)?;
    flink.template(job, "", &patterns).ok_or_else(|| {
        let with = flink.jobs.list.iter().filter(|entry| entry.run.is_some()).map(|entry| selector(&entry.select));
        let with: Vec<&str> = with.collect();
        let has =
            if with.is_empty() { "no entry has one".to_owned() } else { format!("these have: {}", with.join(", ")) };
        CommandError::option(
            "--job",
            Some(job),
            format!("has no jobs.list[].run in the hook, so nothing says how it is run; {has}"),
        )
    })
}

fn selector(select: &JobSelector) -> &str {
    match select {
        JobSelector::Name(text) | JobSelector::NamePattern(text) | JobSelector::Id(text) => text,
    }
}

/// Where it starts from; none only where the user says so.
fn start(
    remembered: Option<&Remembered>,
    job: &str,
    from: Option<String>,
    empty: bool,
    known: Option<&Parked>,
) -> Result<Option<String>, CommandError> {
    if empty {
        if let Some(path) = known.and_then(|known| known.path.as_deref()) {
            eprintln!("warning: the savepoint that is recorded for job {job} is not used: {}", without_password(path));
        }
        return Ok(None);
    }
    if from.is_some() {
        return Ok(from);
    }
    let Some(remembered) = remembered else {
        let allowed = "is needed without --cluster, where a path may be recorded; --empty starts without any state";
        return Err(CommandError::option("--from", None, allowed));
    };
    // What could not be read may name another path, or say that the job is somebody's.
    let known = known.filter(|_| remembered.unseen.is_empty());
    known.and_then(|known| known.path.clone()).map(Some).ok_or_else(|| {
        let unseen =
            if remembered.unseen.is_empty() { String::new() } else { format!(" ({})", remembered.unseen.join("; ")) };
        let about = format!("job {job}{unseen}; --from names a path, --empty starts without any state");
        CommandError::Refused(Cause::refused(Refusal::SavepointUnknown, &about))
    })
}

/// What would make a second job of it, or no job at all.
fn check(facts: &ClusterFacts, job: &str, own: &str) -> Result<(), CommandError> {
    if !facts.web_submit {
        return Err(CommandError::Refused(Cause::refused(Refusal::WebSubmitDisabled, &format!("job {job}"))));
    }
    let other = facts.jobs.iter().find(|met| met.state.live() && met.name == job && met.id != own);
    match other {
        Some(other) => {
            let text = format!("job {job} is live already, as {}; a second one would do its work twice", other.id);
            Err(CommandError::NotRun(text))
        }
        None => Ok(()),
    }
}

fn parallelism_of(given: Option<u32>, known: Option<&Parked>, free: u32) -> Result<u32, CommandError> {
    let before = known.map(|known| known.parallelism).filter(|before| *before > 0);
    given.or(before).or_else(|| (free > 0).then(|| Job::default().parallelism(free))).ok_or_else(|| {
        let allowed = "is needed: no slot is free, and no parallelism is recorded; allowed: 1 to 32768";
        CommandError::option("--parallelism", None, allowed)
    })
}

/// Lets Flink plan the run, as an operation does before it stops a job. A jar that would be uploaded first is not, where nothing may change.
async fn planned(site: &Site, plan: &Plan, dry_run: bool) -> Result<(), CommandError> {
    if dry_run && matches!(plan.run.jar, Jar::Url { .. }) {
        eprintln!("note: the plan is not looked at, because the jar would be uploaded for it");
        return Ok(());
    }
    let action = Action::PlanJar { job: plan.job.clone(), run: plan.run.clone() };
    match site.hooks.perform(&site.id(), &site.target(), &site.spec, &action).await {
        Outcome::Done => Ok(()),
        Outcome::Failed(failure) => Err(match Refusal::of_plan(failure.class) {
            Some(refusal) => {
                let about = format!("job {}: {}", plan.job, failure.text);
                CommandError::Refused(Cause::refused(refusal, &about))
            }
            None => failure.into(),
        }),
        _ => Err(config("Flink did not plan the run")),
    }
}

impl Plan {
    /// What is or would be done. Neither arguments nor settings are shown: people put passwords there.
    fn print(&self, output: Output, runs: Option<&Runs>) -> String {
        match output {
            Output::Text => self.text(runs),
            Output::Json => format!("{:#}\n", self.json(runs)),
        }
    }

    fn text(&self, runs: Option<&Runs>) -> String {
        let Run { entry_class, program_args, flink_configuration, parallelism, savepoint, .. } = &self.run;
        let from = savepoint.as_deref().map_or_else(|| "empty state".to_owned(), without_password);
        let mut text = match runs {
            Some(Runs { restored: Some(path), .. }) => {
                format!("job {} runs as {}, restored from {}\n", self.job, self.id, without_password(path))
            }
            Some(_) => format!("job {} runs as {}, from empty state\n", self.job, self.id),
            None => format!("job {} would be run as {}, from {from}; nothing was done\n", self.job, self.id),
        };
        let class = entry_class.as_deref().unwrap_or("the class that the jar names");
        let keys: Vec<&str> = flink_configuration.iter().map(|(key, _)| key.as_str()).collect();
        let keys = if keys.is_empty() { String::new() } else { format!(", settings {}", keys.join(", ")) };
        let claim = if self.run.claim_mode == ClaimMode::Claim { ", which becomes Flink's (Claim)" } else { "" };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}, {class}, {} arguments{keys}", jar(&self.run.jar), program_args.len());
        let parallelism = runs.and_then(|runs| runs.parallelism).unwrap_or(*parallelism);
        let _ = writeln!(text, "  parallelism {parallelism}, {} slots were free{claim}", self.free);
        if self.run.allow_non_restored_state {
            text.push_str("  state that no operator takes may be left behind\n");
        }
        text
    }

    fn json(&self, runs: Option<&Runs>) -> serde_json::Value {
        json!({
            "job": self.job,
            "jobId": self.id,
            "runs": runs.is_some(),
            "from": self.run.savepoint.as_deref().map(without_password),
            "restored": runs.and_then(|runs| runs.restored.as_deref()).map(without_password),
            "jar": jar(&self.run.jar),
            "entryClass": self.run.entry_class,
            "arguments": self.run.program_args.len(),
            "settings": self.run.flink_configuration.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            "parallelism": runs.and_then(|runs| runs.parallelism).unwrap_or(self.run.parallelism),
            "freeSlots": self.free,
            "allowNonRestoredState": self.run.allow_non_restored_state,
        })
    }
}

fn jar(jar: &Jar) -> String {
    match jar {
        Jar::Name(name) => format!("the newest upload of {name}"),
        Jar::Url { url, .. } => format!("the jar of {}", without_query(&without_password(url))),
    }
}

/// An address without what may hold a token.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
#[path = "restore/again_tests.rs"]
mod again_tests;
#[cfg(test)]
#[path = "restore/tests.rs"]
mod tests;
