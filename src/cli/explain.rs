//! Explains an object of a running process, or of a file without any process.

mod file;
mod remote;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_engine::subject::ObjectId;

use super::values::{count, moment};
use crate::manifests::Broken;
use crate::simulation::scripted::Said;

/// The exit code for what cannot be explained.
const FAILED: u8 = 1;
/// The exit code for a wrong command line, as clap has it.
const USAGE: u8 = 2;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate explain shop/orders
  tidegate explain -f orders.yaml --set jobs=790 --replicas 3

Exit codes: 0 explained, 1 no such object or trigger, no server, a file that cannot be read, or the object cannot be obeyed, \
2 a wrong command line, also one that does not go with the files: more ready pods than exist, or no name where there are several \
objects.")]
pub(super) struct Arguments {
    /// The object; the namespace `default` if none is given. With -f it chooses among several.
    #[arg(value_name = "NAMESPACE/NAME", value_parser = object, required_unless_present = "files")]
    object: Option<ObjectId>,
    /// Where `tidegate local` or `tidegate run` serves its API.
    #[arg(long, value_name = "URL", default_value = "127.0.0.1:8080", conflicts_with = "files")]
    server: String,
    /// Explain a ScaledObject of this file or directory, with no server at all, as after a start without any history.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR", requires = "replicas")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    scene: Scene,
    /// How to print the explanation.
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What the object of a file would see.
#[derive(Debug, clap::Args)]
struct Scene {
    /// What a trigger's source says: `jobs=790`, `jobs=error` or `jobs=error:timeout`. A trigger is called by its name, by what
    /// it counts (the list of a redis trigger), by its metric, or by its position. May be repeated.
    #[arg(long = "set", value_name = "TRIGGER=VALUE", value_parser = setting, requires = "files")]
    settings: Vec<(String, Said)>,
    /// How many replicas the target has now.
    #[arg(long, value_name = "COUNT", value_parser = count, requires = "files")]
    replicas: Option<u32>,
    /// How many pods exist; as many as replicas by default.
    #[arg(long, value_name = "COUNT", value_parser = count, requires = "files")]
    existing: Option<u32>,
    /// How many pods are ready; as many as exist by default.
    #[arg(long, value_name = "COUNT", value_parser = count, requires = "files")]
    ready: Option<u32>,
    /// The time, as in 2026-11-25T12:04:31Z; now by default.
    #[arg(long, value_name = "RFC3339", value_parser = moment, requires = "files")]
    at: Option<Timestamp>,
}

/// How an explanation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// The heading and one line a step.
    Text,
    /// The object as `GET /api/v1/objects/NAMESPACE/NAME` gives it.
    Json,
}

/// Nothing could be explained.
#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("{server}: is not http://HOST:PORT")]
    Address { server: String },
    #[error(
        "no server answers at {server} ({cause}); start one with `tidegate local -f DIR`, name another with --server, or explain \
         a file with -f FILE --replicas COUNT"
    )]
    NoServer { server: String, cause: String },
    #[error("{server} is not the API of tidegate: {cause}")]
    NotOurs { server: String, cause: String },
    #[error("{0}")]
    Refused(String),
    #[error("{}: {}", .0.file.display(), place(.0))]
    Broken(Broken),
    #[error("{}", no_such(.wanted.as_ref(), .known))]
    NoSuchObject { wanted: Option<ObjectId>, known: Vec<String> },
    #[error("there are several ScaledObjects; name one of them: {}", .0.join(", "))]
    Several(Vec<String>),
    #[error("--set {key}: no trigger is called that; allowed: {}", .allowed.join("; "))]
    UnknownTrigger { key: String, allowed: Vec<String> },
    #[error("--ready {ready}: is more than the {existing} pods that exist; raise --existing")]
    Ready { ready: u32, existing: u32 },
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
}

impl ExplainError {
    /// The stable reason of this error.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Address { .. } => "ServerAddressMalformed",
            Self::NoServer { .. } => "NoServer",
            Self::NotOurs { .. } => "NotTidegate",
            Self::Refused(_) => "ServerRefused",
            Self::Broken(broken) => broken.reason(),
            Self::NoSuchObject { .. } => "ObjectNotFound",
            Self::Several(_) => "ObjectAmbiguous",
            Self::UnknownTrigger { .. } => "TriggerNotFound",
            Self::Ready { .. } => "ReadyAboveExisting",
            Self::Runtime(_) => "RuntimeFailed",
        }
    }

    /// What the process ends with.
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Address { .. } | Self::Several(_) | Self::Ready { .. } => USAGE,
            Self::NoServer { .. }
            | Self::NotOurs { .. }
            | Self::Refused(_)
            | Self::Broken(_)
            | Self::NoSuchObject { .. }
            | Self::UnknownTrigger { .. }
            | Self::Runtime(_) => FAILED,
        }
    }
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    match explain(arguments) {
        Ok(object) => print(&object, output),
        Err(error) => {
            eprintln!("error: {error} ({})", error.reason());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The object in the API's form.
fn explain(arguments: Arguments) -> Result<Value, ExplainError> {
    match arguments.object {
        Some(object) if arguments.files.is_empty() => remote::ask(&arguments.server, &object),
        wanted => file::explain(&arguments.files, wanted.as_ref(), &arguments.scene),
    }
}

fn print(object: &Value, output: Output) -> ExitCode {
    let text = match output {
        Output::Text => text(object),
        Output::Json => format!("{object:#}\n"),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader of a pipe that has seen enough is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if object["phase"] == "Refused" => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// The explanation that stands in the API's form.
fn text(object: &Value) -> String {
    let explanation = &object["explanation"];
    let lines = explanation["lines"].as_array().into_iter().flatten();
    let all = std::iter::once(&explanation["heading"]).chain(lines);
    all.filter_map(Value::as_str).flat_map(|line| [line, "\n"]).collect()
}

fn object(text: &str) -> Result<ObjectId, String> {
    let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
    let good =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if good(namespace) && good(name) {
        Ok(ObjectId::new(namespace, name))
    } else {
        Err("is not NAMESPACE/NAME, each of letters, digits, - and .".to_owned())
    }
}

fn setting(text: &str) -> Result<(String, Said), String> {
    let (key, value) = text.split_once('=').ok_or("is not TRIGGER=VALUE, for example jobs=790")?;
    let said = value.parse::<Said>().map_err(|error| error.to_string())?;
    Ok((key.trim().to_owned(), said))
}

/// What is wrong with a file, and where.
fn place(broken: &Broken) -> String {
    match broken.line {
        0 => broken.message.clone(),
        line => format!("line {line}, column {}: {}", broken.column, broken.message),
    }
}

fn no_such(wanted: Option<&ObjectId>, known: &[String]) -> String {
    let what = wanted.map_or_else(|| "is no ScaledObject".to_owned(), |id| format!("is no ScaledObject {id}"));
    if known.is_empty() {
        format!("there {what} in these files")
    } else {
        format!("there {what}; known: {}", known.join(", "))
    }
}

#[cfg(test)]
mod tests;
