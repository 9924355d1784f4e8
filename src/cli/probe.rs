//! `tidegate probe`: reads each trigger of an object once and says what came of it: the first thing to run when something does not scale.
//!
//! Triggers are opened and read as the engine does it, on the occasion of a check, so that nothing advances that is remembered from one
//! poll to the next. Nothing is written anywhere.

mod asks;
mod lines;
pub(super) mod objects;
mod origin;
mod reads;
pub(super) mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_engine::subject::ObjectId;

use self::world::World;
use super::validate::{load, print};
use crate::kubernetes::once::{self, Glance};
use crate::kubernetes::start::{Connection, Failure};
use crate::validation::{self, Nothing};

/// The exit code if some trigger could not be read.
const UNREAD: u8 = 1;
/// The exit code if what was named cannot be read at all, as for a wrong command line.
const BAD_INPUT: u8 = 2;
/// The kind that has triggers.
const SCALED_OBJECT: &str = "ScaledObject";

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate probe -f orders/
      Secrets and the target's environment come from the same files
  tidegate probe --cluster -n shop orders
      all comes from the cluster; nothing is written
  tidegate probe -f orders.yaml --cluster
      the object as it is in the file, with what the cluster has

The first word of a line is OK, or the class of the error: CONFIG, AUTH, UNAVAILABLE, TIMEOUT, PROTOCOL or SETTLING. Behind the \
arrow are the replicas that this metric alone asks for.

Exit codes: 0 all triggers were read, 1 some were not, 2 a file or an object is not in order, there is no such object or trigger, or a \
wrong command line.")]
pub(super) struct Arguments {
    /// The objects; all of the files, or of the namespace in the cluster, if none is named.
    #[arg(value_name = "[NAMESPACE/]NAME")]
    objects: Vec<String>,
    /// A file, a directory (with all *.yaml, *.yml and *.json below it), or - for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Read this trigger only: its name, else what it counts, else its position.
    #[arg(long, value_name = "NAME")]
    trigger: Option<String>,
    /// The namespace of objects that are named without one [default: `default` in files, the context's in a cluster]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// How long each trigger may take; all are read side by side.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Timeout,
    /// How to print what was read.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Where a cluster is, if one is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArguments {
    /// Look in a cluster for what the files do not have: objects, Secrets, pods, metrics. Without it no cluster is asked.
    #[arg(long)]
    cluster: bool,
    /// A kubeconfig file; implies --cluster [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; implies --cluster [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where the Secrets and ConfigMaps of a ClusterTriggerAuthentication stand [default: tidegate-system in a cluster, else keda]
    #[arg(long, value_name = "NAMESPACE", env = "KEDA_CLUSTER_OBJECT_NAMESPACE")]
    pub(super) cluster_object_namespace: Option<String>,
}

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One line a metric.
    Text,
    /// An array of objects.
    Json,
}

/// `--timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timeout(Duration);

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Option<SignedDuration> = text.parse().ok();
        let time = parsed.and_then(|time| Duration::try_from(time).ok());
        let allowed = Duration::from_millis(1)..=Duration::from_mins(10);
        time.filter(|time| allowed.contains(time))
            .map(Self)
            .ok_or_else(|| "a time above zero and up to 10m, such as 500ms or 10s".to_owned())
    }
}

/// Nothing can be probed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("there is nothing to look at: name files with -f, or look in a cluster with --cluster")]
    Nowhere,
    #[error("{0}")]
    Connection(#[from] Failure),
    #[error("{what} cannot be seen: {why}")]
    Unseen { what: String, why: String },
    #[error("{}", no_such_object(.wanted.as_ref(), .known))]
    NoSuchObject { wanted: Option<ObjectId>, known: Vec<String> },
    #[error("there is no {SCALED_OBJECT} in namespace {0}")]
    NoneIn(String),
    #[error("--trigger {wanted}: no trigger is called that; there are: {}", .known.join(", "))]
    NoSuchTrigger { wanted: String, known: Vec<String> },
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
}

impl ProbeError {
    /// The stable reason of this error.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Nowhere => "NothingNamed",
            Self::Connection(failure) => failure.reason(),
            Self::Unseen { .. } => "ObjectUnseen",
            Self::NoSuchObject { .. } | Self::NoneIn(_) => "ObjectNotFound",
            Self::NoSuchTrigger { .. } => "TriggerNotFound",
            Self::Runtime(_) => "RuntimeFailed",
        }
    }
}

fn no_such_object(wanted: Option<&ObjectId>, known: &[String]) -> String {
    let what = wanted.map_or_else(|| format!("{SCALED_OBJECT} in these files"), |id| format!("{SCALED_OBJECT} {id}"));
    match known {
        [] => format!("there is no {what}"),
        known => format!("there is no {what}; known: {}", known.join(", ")),
    }
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let probed = runtime.map_err(ProbeError::Runtime).and_then(|runtime| {
        let probed = runtime.block_on(probe(arguments));
        // Connections linger for the next read, which does not come.
        runtime.shutdown_background();
        probed
    });
    let (lines, in_order) = match probed {
        Ok(probed) => probed,
        Err(error) => {
            eprintln!("error: {error} ({})", error.reason());
            return ExitCode::from(BAD_INPUT);
        }
    };
    let text = match output {
        Output::Text => lines::text(&lines),
        Output::Json => format!("{:#}\n", lines::json(&lines)),
    };
    match print(&text) {
        ExitCode::SUCCESS if !in_order => ExitCode::from(BAD_INPUT),
        ExitCode::SUCCESS if !lines::all_read(&lines) => ExitCode::from(UNREAD),
        printed => printed,
    }
}

/// The lines, and whether all files and objects are in order; what is wrong with them goes to standard error.
async fn probe(arguments: Arguments) -> Result<(Vec<lines::Line>, bool), ProbeError> {
    let Arguments { objects, files, trigger, namespace, cluster, timeout, .. } = arguments;
    let cluster_namespace = cluster.cluster_object_namespace.clone().filter(|name| !name.is_empty());
    let cluster = cluster.look().await?;
    if files.is_empty() && cluster.is_none() {
        return Err(ProbeError::Nowhere);
    }
    let from_files = !files.is_empty();
    let loaded = tokio::task::spawn_blocking(move || load(files)).await.unwrap_or_default();
    loaded.broken.iter().for_each(|broken| eprintln!("{broken}"));
    let context = cluster.as_ref().filter(|_| !from_files).map(|cluster| cluster.namespace().to_owned());
    let namespace = namespace.or(context).unwrap_or_else(|| "default".to_owned());
    let wanted: Vec<ObjectId> = objects.iter().map(|text| objects::named(text, &namespace)).collect();
    let mut documents = loaded.documents;
    if let Some(cluster) = cluster.as_ref().filter(|_| !from_files) {
        documents.extend(objects::fetch(cluster, &wanted, &namespace).await?);
    }
    let chosen = objects::choose(&documents, &wanted)?;
    let own =
        cluster_namespace.unwrap_or_else(|| if cluster.is_some() { "tidegate-system" } else { "keda" }.to_owned());
    let mut world = World::new(documents, cluster, own);
    for document in &chosen {
        let triggers = validation::triggers_of(&document.value, &Nothing);
        world.gather(&document.value, document.namespace(), &triggers).await;
    }
    let (tasks, well) = objects::tasks(&chosen, &world, trigger.as_deref()).await?;
    let lines = reads::read_all(tasks, &world, timeout.0).await;
    Ok((lines, well && loaded.broken.is_empty()))
}

impl ClusterArguments {
    /// The cluster that is to be looked at, if any.
    pub(super) async fn look(self) -> Result<Option<Glance>, ProbeError> {
        let Self { cluster, kubeconfig, context, .. } = self;
        if !cluster && kubeconfig.is_none() && context.is_none() {
            return Ok(None);
        }
        Ok(Some(once::look(&Connection { kubeconfig, context }).await?))
    }
}

#[cfg(test)]
#[path = "probe/tests.rs"]
mod tests;
