//! `tidegate flink snapshot`: a checkpoint or a savepoint of live jobs, triggered and waited for as a hook does it.

mod taking;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::future::join_all;
use serde_json::{Value, json};
use tidegate_calculator::operation::facts::{ClusterFacts, JobFacts};
use tidegate_calculator::operation::ids::OperationId;
use tidegate_calculator::operation::progress::Job;
use tidegate_calculator::operation::spec::{Flink, SavepointFormat};

use self::taking::{Taken, What, is_suspended, take, take_resource};
use super::error::CommandError;
use super::report::without_password;
use super::site::{Place, Site, find};
use super::{CommandId, Output, Printed, UNDONE, id_or_new};
use crate::validation::is_state_path;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate flink snapshot --cluster shop/enrich
      a checkpoint of every live job that the hook looks after
  tidegate flink snapshot --rest-url http://127.0.0.1:8081
      of every live job of this JobManager
  tidegate flink snapshot -f enrich/ --job enrich --savepoint --directory s3://flink/savepoints
      a savepoint of one job

Each job is waited for as long as its own checkpoint time-out and 30 s more. The ids that Flink is told are made of the one that is \
printed first: the same command with --id and that one finds what was begun, and takes nothing twice. Flink remembers it for 5 minutes \
after its end (rest.async.store-duration).

Exit codes: 0 all are complete, 1 some failed, or Flink could not be reached, 2 a wrong command line, or objects that are not in order.")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// This job only: its name, or its id.
    #[arg(long, value_name = "NAME|ID")]
    job: Option<String>,
    /// Take a savepoint instead of a checkpoint. It protects no change in place: there Flink starts from its newest checkpoint.
    #[arg(long)]
    savepoint: bool,
    /// Where the savepoint goes [default: savepoint.directory of the hook, else what Flink is set to]
    #[arg(long, value_name = "DIRECTORY", requires = "savepoint")]
    directory: Option<String>,
    /// The format of the savepoint [default: that of the hook]
    #[arg(long, value_enum, requires = "savepoint")]
    format: Option<Format>,
    /// What ids are made of: 32 hexadecimal digits, as an earlier run has printed them [default: new ones]
    #[arg(long, value_name = "ID")]
    id: Option<CommandId>,
    /// How to print the results.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// That of the state backend: quick.
    Native,
    /// The same for all state backends.
    Canonical,
}

/// Runs this subcommand.
pub(super) async fn snapshot(arguments: Arguments) -> Printed {
    let Arguments { place, job, savepoint, directory, format, id, output } = arguments;
    if let Some(directory) = directory.as_deref().filter(|directory| !is_state_path(directory)) {
        let allowed = "is not an address such as s3://bucket/savepoints, or an absolute path";
        return Err(CommandError::option("--directory", Some(&without_password(directory)), allowed));
    }
    let site = find(place).await?;
    site.in_order()?;
    let flink = site.flink()?;
    let what = if savepoint { savepoint_of(flink, directory, format) } else { What::Checkpoint(flink.checkpoint.kind) };
    let operation = id_or_new(id);
    let taken = if flink.endpoint.is_none() {
        of_deployment(&site, flink, &what, job.as_deref(), &operation).await?
    } else {
        of_jobs(&site, flink, &what, job.as_deref(), &operation).await?
    };
    let code = if taken.iter().all(|taken| taken.end.is_ok()) { 0 } else { UNDONE };
    let text = match output {
        Output::Text => text(&taken),
        Output::Json => format!("{:#}\n", json(&operation, &taken)),
    };
    Ok((text, code))
}

fn savepoint_of(flink: &Flink, directory: Option<String>, format: Option<Format>) -> What {
    let format = match format {
        Some(Format::Native) => SavepointFormat::Native,
        Some(Format::Canonical) => SavepointFormat::Canonical,
        None => flink.savepoint.format,
    };
    What::Savepoint { directory: directory.or_else(|| flink.savepoint.directory.clone()), format }
}

/// Said before anything is begun, so that it is known whatever happens to this process.
fn tell(operation: &OperationId) {
    eprintln!("id {}; the same command with --id and this finds what was begun", operation.0);
}

async fn of_jobs(
    site: &Site,
    flink: &Flink,
    what: &What,
    wanted: Option<&str>,
    operation: &OperationId,
) -> Result<Vec<Taken>, CommandError> {
    let facts = site.hooks.cluster_facts(&site.target(), flink).await?;
    let jobs: Vec<Job> = chosen(&facts, flink, wanted)?.into_iter().map(|job| Job::meet(job, flink, &[])).collect();
    tell(operation);
    // All at the same moment, as a hook does it.
    let mut taken = join_all(jobs.iter().map(|job| take(site, job, what, operation))).await;
    let client = site.hooks.client(&site.target(), flink).await?;
    for one in &mut taken {
        one.measure(&client).await;
    }
    Ok(taken)
}

/// The jobs that are meant: those that the hook looks after, or the one that is named, whether the hook looks after it or not.
fn chosen<'f>(facts: &'f ClusterFacts, flink: &Flink, wanted: Option<&str>) -> Result<Vec<&'f JobFacts>, CommandError> {
    let live = || facts.jobs.iter().filter(|job| job.state.live());
    let Some(wanted) = wanted else {
        let all: Vec<_> = live().filter(|job| flink.looks_after(job)).collect();
        return if all.is_empty() { Err(CommandError::NoJob(listed(live()))) } else { Ok(all) };
    };
    let by_id: Vec<_> = live().filter(|job| job.id.eq_ignore_ascii_case(wanted)).collect();
    let found = if by_id.is_empty() { live().filter(|job| job.name == wanted).collect() } else { by_id };
    match found.as_slice() {
        [_] => Ok(found),
        [] => Err(CommandError::option("--job", Some(wanted), format!("is no live job; {}", listed(live())))),
        several => {
            let ids: Vec<&str> = several.iter().map(|job| job.id.as_str()).collect();
            let allowed = format!("is the name of several live jobs; name one by its id: {}", ids.join(", "));
            Err(CommandError::option("--job", Some(wanted), allowed))
        }
    }
}

/// What jobs there are, in a sentence.
pub(super) fn listed<'f>(jobs: impl Iterator<Item = &'f JobFacts>) -> String {
    let names: Vec<String> = jobs.map(|job| format!("{} ({})", job.name, job.id)).collect();
    if names.is_empty() { "none is live".to_owned() } else { format!("live are: {}", names.join(", ")) }
}

/// The operator owns the jobs of a FlinkDeployment, so it takes their snapshots.
async fn of_deployment(
    site: &Site,
    flink: &Flink,
    what: &What,
    wanted: Option<&str>,
    operation: &OperationId,
) -> Result<Vec<Taken>, CommandError> {
    let because = "is not possible for a FlinkDeployment, of which the operator takes a checkpoint; with --rest-url its JobManager takes it";
    if matches!(what, What::Savepoint { .. }) {
        return Err(CommandError::option("--savepoint", None, because));
    }
    if wanted.is_some() {
        return Err(CommandError::option("--job", wanted, because));
    }
    if !site.in_cluster {
        return Err(CommandError::option("--cluster", None, "is needed for a FlinkDeployment"));
    }
    if is_suspended(site, operation).await {
        return Err(CommandError::NoJob(format!("spec.job.state of {} is \"suspended\"", site.target())));
    }
    tell(operation);
    Ok(vec![take_resource(site, flink.flink_deployment.backoff_limit, operation).await])
}

/// A line a job.
fn text(taken: &[Taken]) -> String {
    let mut text = String::new();
    let width = taken.iter().map(|taken| taken.job.chars().count()).max().unwrap_or(0);
    for Taken { job, id, trigger, end, kind, milliseconds } in taken {
        let word = if end.is_ok() { "OK" } else { "FAILED" };
        let end = match end {
            Ok(done) => {
                let number = done.id.map(|id| format!(" {id}")).unwrap_or_default();
                let path = done.path.as_deref().map(|path| format!(" at {}", without_password(path)));
                let took = milliseconds.map(|took| format!(", took {}", tidegate_calculator::time::Span(took)));
                format!("{kind}{number}{}{}", path.unwrap_or_default(), took.unwrap_or_default())
            }
            Err(why) => without_password(why),
        };
        let (id, begun) = id.as_deref().map_or(("-", "FlinkStateSnapshot"), |id| (id, "trigger"));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{word:6}  {job:width$}  {id}  {end}  ({begun} {trigger})");
    }
    text
}

fn json(operation: &OperationId, taken: &[Taken]) -> Value {
    let one = |taken: &Taken| {
        let done = taken.end.as_ref().ok();
        BTreeMap::from([
            ("job", json!(taken.job)),
            ("jobId", json!(taken.id)),
            ("kind", json!(taken.kind)),
            ("trigger", json!(taken.trigger)),
            ("completed", json!(done.is_some())),
            ("id", json!(done.and_then(|done| done.id))),
            ("path", json!(done.and_then(|done| done.path.as_deref().map(without_password)))),
            ("tookMilliseconds", json!(taken.milliseconds)),
            ("error", json!(taken.end.as_ref().err().map(|why| without_password(why)))),
        ])
    };
    json!({ "id": operation.0, "snapshots": taken.iter().map(one).collect::<Vec<_>>() })
}

#[cfg(test)]
#[path = "snapshot/tests.rs"]
mod tests;
