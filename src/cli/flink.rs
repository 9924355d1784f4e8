//! `tidegate flink`: what the hooks for Flink see and do, by hand: looks at a cluster, takes snapshots of its jobs, runs a job from a savepoint.
//!
//! What is seen is seen through [`crate::hooks`], and what would follow is said by the state machine of operations itself; here is no rule of
//! its own. [`site`] finds the object, its hook and the JobManager, [`nowhere`] stands for a cluster that is not looked at.

mod error;
mod look;
mod nowhere;
mod report;
mod restore;
mod site;
mod snapshot;
mod status;

use std::future::Future;
use std::process::ExitCode;

use clap::Subcommand;
use tidegate_calculator::operation::ids::OperationId;

use self::error::CommandError;
use super::validate::print;

/// The exit code if something was not done, or could not be seen.
const UNDONE: u8 = 1;
/// The exit code for a wrong command line, or objects that are not in order.
const BAD_INPUT: u8 = 2;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a hook sees of a Flink cluster, and what it would do in each direction: nothing is changed.
    Status(status::Arguments),
    /// Take a checkpoint or a savepoint of the live jobs, and wait for it.
    Snapshot(snapshot::Arguments),
    /// Run a job from a savepoint, by its `run` template in the hook.
    Restore(restore::Arguments),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One object, with every field every time; what is unknown is null.
    Json,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Status(arguments) => finish(status::status(arguments)),
        Command::Snapshot(arguments) => finish(snapshot::snapshot(arguments)),
        Command::Restore(arguments) => finish(restore::restore(arguments)),
    }
}

/// What is printed, and the exit code.
type Printed = Result<(String, u8), CommandError>;

fn finish(command: impl Future<Output = Printed>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(CommandError::Runtime).and_then(|runtime| {
        let done = runtime.block_on(command);
        // Connections linger for the next question, which does not come.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok((text, code)) => match print(&text) {
            ExitCode::SUCCESS => ExitCode::from(code),
            failed => failed,
        },
        Err(error) => {
            eprintln!("error: {} ({})", error.shown(), error.reason());
            ExitCode::from(error.code())
        }
    }
}

/// `--id`, from which all ids are derived that Flink is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandId(OperationId);

impl std::str::FromStr for CommandId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = fits.then(|| Self(OperationId(text.to_ascii_lowercase())));
        id.ok_or_else(|| "is not 32 hexadecimal digits, as this command prints them".to_owned())
    }
}

/// The id that was given, or one that was never used before.
fn id_or_new(given: Option<CommandId>) -> OperationId {
    given.map_or_else(
        || {
            let now = jiff::Timestamp::now().as_nanosecond();
            OperationId::derive(&format!("by hand/{now}/{}", std::process::id()), 0, 0, 0, 1)
        },
        |CommandId(id)| id,
    )
}

#[cfg(test)]
#[path = "flink/tests.rs"]
mod tests;
