//! The command line: one file a subcommand.

mod convert;
mod crds;
mod demo;
mod explain;
#[cfg(feature = "flink")]
mod flink;
mod local;
mod log;
mod probe;
mod rbac;
mod run;
mod signals;
mod triggers;
mod validate;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Event-driven autoscaling: 0 to N replicas from KEDA's ScaledObjects, with every decision explained.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scale workloads of a cluster: the operator.
    Run(Box<run::Arguments>),
    /// Scale processes of this machine by ScaledObjects and Deployments in files.
    Local(local::Arguments),
    /// Watch workers go from 0 to N and back to 0, with nothing to install.
    Demo(demo::Arguments),
    /// Say why an object has the replicas it has.
    Explain(explain::Arguments),
    /// Read each trigger once and say what came of it: the first thing to run when something does not scale.
    Probe(probe::Arguments),
    /// What hooks for Flink see and do, by hand: look at a cluster, take snapshots of its jobs, run a job from a savepoint.
    #[cfg(feature = "flink")]
    Flink(flink::Arguments),
    /// Check manifests and name everything that is wrong.
    Validate(validate::Arguments),
    /// Print the ScaledObjects that do what HorizontalPodAutoscalers do.
    Convert(convert::Arguments),
    /// List and explain trigger types and their parameters.
    Triggers(triggers::Arguments),
    /// Print the CustomResourceDefinitions.
    Crds(crds::Arguments),
    /// Print the roles that the operator needs.
    Rbac(rbac::Arguments),
}

/// Runs the subcommand that the command line names.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Local(arguments) => local::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
        #[cfg(feature = "flink")]
        Command::Flink(arguments) => flink::run(arguments),
        Command::Validate(arguments) => validate::run(arguments),
        Command::Convert(arguments) => convert::run(arguments),
        Command::Triggers(arguments) => triggers::run(arguments),
        Command::Crds(arguments) => crds::run(arguments),
        Command::Rbac(arguments) => rbac::run(arguments),
    }
}
