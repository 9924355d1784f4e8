//! `tidegate demo`: shows the main job on an embedded default.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;

use crate::demo::{self, DemoError, Failure, Options, WORKER_ROLE};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The arguments of this subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Go on with burst after burst until Ctrl-C.
    #[arg(long, action = ArgAction::SetTrue)]
    keep: bool,
    /// Print plain lines instead of the live view, also on a terminal.
    #[arg(long, action = ArgAction::SetTrue)]
    plain: bool,
    /// How many seconds the way from 0 to N and back to 0 may take before the demo fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3600))]
    seconds: u32,
    /// What this process is. The demo starts its workers with it.
    #[arg(long, hide = true, requires = "store", value_parser = [WORKER_ROLE])]
    role: Option<String>,
    /// Where the worker's items are.
    #[arg(long, hide = true, requires = "role", value_name = "HOST:PORT")]
    store: Option<SocketAddr>,
}

/// Runs this subcommand.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let Arguments { keep, plain, seconds, role, store } = arguments;
    match (role, store) {
        (Some(_), Some(store)) => work(store),
        _ => play(&Options { keep, plain, limit: Duration::from_secs(seconds.into()) }),
    }
}

fn play(options: &Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(&error),
    };
    let mut out = std::io::stdout();
    match runtime.block_on(demo::run(options)) {
        Ok(summary) => match write!(out, "\n{summary}").and_then(|()| out.flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            // Whether or not anybody reads it, the exit code says the same.
            let _ = writeln!(out, "\n{}", Failure(&error));
            if matches!(error, DemoError::Interrupted) { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

/// One thread is enough for a worker, and it starts sooner.
fn work(store: SocketAddr) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(&error),
    };
    match runtime.block_on(demo::work(store)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn no_runtime(error: &std::io::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: cannot start the runtime: {error}");
    ExitCode::FAILURE
}
