//! Says in words where an operation is, what it has, and what it waits for; only when somebody asks.

use super::Operation;
use super::ids::Kind;
use super::phase::Stage;
use super::progress::{Job, Snapshot};
use crate::time::{Span, Tick};

/// An operation in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One line: direction, counts, phase, for how long.
    pub headline: String,
    /// What it waits for.
    pub waiting: String,
    /// One line for every job: its snapshot with id and path, its stop, its run.
    pub jobs: Vec<String>,
    /// Why the strategy, what was passed over, why it goes back or how it ended.
    pub reasons: Vec<String>,
}

/// The explanation at `now`.
pub fn explain(operation: &Operation, now: Tick) -> Explanation {
    let state = &operation.state;
    let at = operation.at(now);
    let strategy = state.strategy.map_or("strategy not chosen yet", super::Strategy::as_str);
    let for_ = Span(at.0 - state.phase_since.0);
    let headline = format!(
        "{} {} -> {} ({strategy}): {} for {for_}, operation {}",
        state.direction.as_str(),
        state.from,
        state.to,
        state.phase.as_str(),
        state.id.0
    );
    let mut reasons = Vec::new();
    if !state.why.is_empty() {
        reasons.push(format!("{strategy}: {}", state.why));
    }
    let told = [("passed over", &state.proceeded), ("on its way back", &state.rolling), ("ended", &state.cause)];
    for (what, cause) in told {
        reasons.extend(cause.as_ref().map(|cause| format!("{what}: {} ({})", cause.text, cause.reason.reason())));
    }
    let jobs = state.jobs.iter().map(|job| job_line(job, at)).collect();
    Explanation { headline, waiting: waiting(operation), jobs, reasons }
}

fn waiting(operation: &Operation) -> String {
    let state = &operation.state;
    if state.phase.ended() {
        return if operation.finished() { "nothing" } else { "its end being stored" }.to_owned();
    }
    if operation.flight.stored < operation.revision {
        return "its state being stored, before anything is done".to_owned();
    }
    goes_on_with(operation)
}

/// What it waits for once its state is stored.
pub(super) fn goes_on_with(operation: &Operation) -> String {
    let state = &operation.state;
    let goal = state.goal();
    match state.stage() {
        Stage::Inspect => "a look at the cluster, and jobs that run wholly".to_owned(),
        Stage::Plan => "Flink's plan of every run".to_owned(),
        Stage::Stable => "the Flink Kubernetes Operator to be at rest".to_owned(),
        Stage::Items => item(operation, false),
        Stage::Checkpoints => snapshots(operation, Kind::Checkpoint, "a checkpoint of"),
        Stage::Resource => "the FlinkStateSnapshot".to_owned(),
        Stage::Confirm if state.direction.lowers() => "the gates and a fresh wish".to_owned(),
        Stage::Confirm => "the gates".to_owned(),
        Stage::Stop => snapshots(operation, Kind::Stop, "the stop with a savepoint of"),
        Stage::Mark => "the pods that should leave to be marked".to_owned(),
        Stage::Patch => format!("{goal} replicas to be written"),
        Stage::Left => format!("TaskManagers to leave until {goal} remain"),
        Stage::Registered => format!("{goal} TaskManagers to register"),
        Stage::Settle => format!("the jobs to run on {goal} TaskManagers"),
        Stage::Requirements => "the jobs' upper bounds to be changed".to_owned(),
        Stage::Release => snapshots(operation, Kind::Release, "a checkpoint that releases the rescale of"),
        Stage::Run => {
            format!("{} to run from its savepoint", names(operation, |job| job.run.is_some() && !job.runs_again()))
        }
        Stage::Verify => "every vertex to run, restored rightly, and a new checkpoint".to_owned(),
        Stage::Deployed => "the Flink Kubernetes Operator to finish the change".to_owned(),
        Stage::Post => item(operation, true),
    }
}

fn item(operation: &Operation, post: bool) -> String {
    let open = operation.state.items.iter().find(|item| item.post == post && !item.over);
    open.map_or_else(|| "the next step".to_owned(), |item| format!("item {} (attempt {})", item.name, item.attempt))
}

fn snapshots(operation: &Operation, kind: Kind, what: &str) -> String {
    format!("{what} {}", names(operation, |job| job.snapshot(kind).pending()))
}

fn names(operation: &Operation, open: impl Fn(&Job) -> bool) -> String {
    let names: Vec<&str> = operation.state.jobs.iter().filter(|job| open(job)).map(|job| job.name.as_str()).collect();
    if names.is_empty() { "its jobs".to_owned() } else { names.join(", ") }
}

fn job_line(job: &Job, at: Span) -> String {
    let mut parts = Vec::new();
    let mut add = |what: &str, snapshot: &Snapshot| {
        if let Some(taken) = &snapshot.taken {
            let id = taken.id.map_or_else(String::new, |id| format!(" {id}"));
            let path = taken.path.as_deref().unwrap_or("no external path");
            parts.push(format!("{what}{id} at {path}, {} old", Span(at.0 - taken.completed.0)));
        } else if let Some(cause) = &snapshot.given_up {
            parts.push(format!("{what} given up: {}", cause.text));
        } else if snapshot.pending() {
            parts.push(format!("{what} under way (attempt {})", snapshot.attempt));
        }
    };
    add("checkpoint", &job.checkpoint);
    add("backup savepoint", &job.backup);
    add("stopped, savepoint", &job.stop);
    if job.stop.taken.is_none()
        && let Some(path) = &job.path
    {
        parts.push(format!("stopped before, savepoint at {path}"));
    }
    if let Some(run) = &job.run {
        let state = if run.live { "runs again" } else { "is being run" };
        parts.push(format!("{state} as {} with parallelism {} (attempt {})", run.id, run.parallelism, run.attempt));
    }
    if job.gone {
        parts.push("has ended by itself".to_owned());
    }
    let text = if parts.is_empty() { "nothing yet".to_owned() } else { parts.join("; ") };
    format!("{}: {text}", job.name)
}
