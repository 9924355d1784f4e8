//! Chooses the strategy of an operation: one table, read from above; the first row that is true counts. The documentation prints it.

use std::fmt::Write as _;

use super::facts::Scheduler;
use super::phase::{Direction, Strategy};
use super::refusal::Refusal;
use super::spec::StrategyChoice;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent fact of a decision table")]
pub struct Situation {
    /// The direction.
    pub direction: Direction,
    /// What the user chose.
    pub chosen: StrategyChoice,
    /// The target is a FlinkDeployment.
    pub deployment: bool,
    /// How jobs are scheduled.
    pub scheduler: Scheduler,
    /// Requirements can be put.
    pub web_rescale: bool,
    /// Jars can be run.
    pub web_submit: bool,
    /// A job that is looked after is live.
    pub live: bool,
    /// A job must be run from a path, because an operation stopped it.
    pub parked: bool,
    /// Every job that would be stopped or run says how it is run.
    pub templates: bool,
}

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This strategy.
    Use(Strategy),
    /// No change.
    Refuse(Refusal),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When it holds, in words.
    pub when: &'static str,
    /// What follows.
    pub choice: Choice,
    /// Why, in words.
    pub why: &'static str,
    holds: fn(&Situation) -> bool,
}

use Choice::{Refuse, Use};
use Direction::{FromZero, ToZero};
use StrategyChoice as Chosen;

/// The table.
pub const TABLE: &[Row] = &[
    Row {
        when: "`strategy: None`",
        choice: Use(Strategy::None),
        why: "the user chose it; nothing is protected",
        holds: |s| s.chosen == Chosen::None,
    },
    Row {
        when: "`strategy: FlinkDeployment`, the target is none",
        choice: Refuse(Refusal::StrategyUnfit),
        why: "the target is no FlinkDeployment",
        holds: |s| s.chosen == Chosen::FlinkDeployment && !s.deployment,
    },
    Row {
        when: "`strategy: Checkpoint` or `StopRestore`, the target is a FlinkDeployment",
        choice: Refuse(Refusal::StrategyUnfit),
        why: "the Flink Kubernetes Operator restarts the job by itself",
        holds: |s| s.deployment && matches!(s.chosen, Chosen::Checkpoint | Chosen::StopRestore),
    },
    Row {
        when: "the target is a FlinkDeployment",
        choice: Use(Strategy::FlinkDeployment),
        why: "the Flink Kubernetes Operator restarts the job",
        holds: |s| s.deployment,
    },
    Row {
        when: "to zero, no job is live",
        choice: Use(Strategy::None),
        why: "no job is live, so none must be stopped",
        holds: |s| s.direction == ToZero && !s.live,
    },
    Row {
        when: "to zero, jars cannot be run (application mode)",
        choice: Refuse(Refusal::ApplicationStopUnsafe),
        why: "a stopped application cluster starts again from empty state",
        holds: |s| s.direction == ToZero && !s.web_submit,
    },
    Row {
        when: "to zero, a live job has no `run`",
        choice: Refuse(Refusal::ToZeroNeedsRunTemplate),
        why: "a job that is stopped must be run again, and nothing says how",
        holds: |s| s.direction == ToZero && !s.templates,
    },
    Row {
        when: "to zero",
        choice: Use(Strategy::StopRestore),
        why: "without TaskManagers a job fails, so it is stopped with a savepoint",
        holds: |s| s.direction == ToZero,
    },
    Row {
        when: "from zero, a job was stopped, jars cannot be run",
        choice: Refuse(Refusal::WebSubmitDisabled),
        why: "the stopped job cannot be run",
        holds: |s| s.direction == FromZero && s.parked && !s.web_submit,
    },
    Row {
        when: "from zero, a job was stopped and has no `run`",
        choice: Refuse(Refusal::ToZeroNeedsRunTemplate),
        why: "nothing says how the stopped job is run",
        holds: |s| s.direction == FromZero && s.parked && !s.templates,
    },
    Row {
        when: "from zero, a job was stopped",
        choice: Use(Strategy::StopRestore),
        why: "the stopped job runs again from its savepoint",
        holds: |s| s.direction == FromZero && s.parked,
    },
    Row {
        when: "from zero, a job is live",
        choice: Use(Strategy::None),
        why: "the live job waits for TaskManagers",
        holds: |s| s.direction == FromZero && s.live,
    },
    Row {
        when: "no job is live, none was stopped",
        choice: Use(Strategy::None),
        why: "no job is live, so nothing must be protected",
        holds: |s| !s.live && !s.parked,
    },
    Row {
        when: "`strategy: StopRestore`, jars cannot be run",
        choice: Refuse(Refusal::WebSubmitDisabled),
        why: "a stopped job could not be run again",
        holds: |s| s.chosen == Chosen::StopRestore && !s.web_submit,
    },
    Row {
        when: "`strategy: StopRestore`, a job has no `run`",
        choice: Refuse(Refusal::DefaultSchedulerNeedsTemplate),
        why: "a job that is stopped must be run again, and nothing says how",
        holds: |s| s.chosen == Chosen::StopRestore && !s.templates,
    },
    Row {
        when: "`strategy: StopRestore`",
        choice: Use(Strategy::StopRestore),
        why: "the user chose it",
        holds: |s| s.chosen == Chosen::StopRestore,
    },
    Row {
        when: "reactive mode",
        choice: Use(Strategy::Checkpoint),
        why: "in reactive mode the parallelism follows the TaskManagers",
        holds: |s| s.scheduler == Scheduler::Reactive,
    },
    Row {
        when: "requirements can be changed (adaptive scheduler)",
        choice: Use(Strategy::Checkpoint),
        why: "the adaptive scheduler rescales in place",
        holds: |s| s.scheduler != Scheduler::Default && s.web_rescale,
    },
    Row {
        when: "`strategy: Checkpoint`, adaptive scheduler whose requirements cannot be changed",
        choice: Refuse(Refusal::WebRescaleDisabled),
        why: "the requirements of the jobs cannot be changed",
        holds: |s| s.chosen == Chosen::Checkpoint && s.scheduler == Scheduler::Adaptive,
    },
    Row {
        when: "`strategy: Checkpoint`, default scheduler",
        choice: Refuse(Refusal::DefaultSchedulerNeedsTemplate),
        why: "the default scheduler does not change the parallelism of a running job",
        holds: |s| s.chosen == Chosen::Checkpoint,
    },
    Row {
        when: "jars can be run, every job has `run`",
        choice: Use(Strategy::StopRestore),
        why: "the parallelism is fixed while a job runs, and every job says how it is run again",
        holds: |s| s.web_submit && s.templates,
    },
    Row {
        when: "adaptive scheduler whose requirements cannot be changed",
        choice: Refuse(Refusal::WebRescaleDisabled),
        why: "the requirements of the jobs cannot be changed",
        holds: |s| s.scheduler == Scheduler::Adaptive,
    },
    Row {
        when: "every job has `run`, jars cannot be run",
        choice: Refuse(Refusal::WebSubmitDisabled),
        why: "a stopped job could not be run again",
        holds: |s| s.templates,
    },
    Row {
        when: "default scheduler, a job has no `run`",
        choice: Refuse(Refusal::DefaultSchedulerNeedsTemplate),
        why: "the parallelism is fixed while a job runs, and nothing says how a job is run again",
        holds: |_| true,
    },
];

/// The choice for a situation, and why.
pub fn choose(situation: &Situation) -> (Choice, &'static str) {
    // The last row always holds.
    TABLE
        .iter()
        .find(|row| (row.holds)(situation))
        .map_or((Refuse(Refusal::StrategyUnfit), ""), |row| (row.choice, row.why))
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    let mut text = String::from("| when | strategy | why |\n| --- | --- | --- |\n");
    for row in TABLE {
        let choice = match row.choice {
            Use(strategy) => strategy.as_str().to_owned(),
            Refuse(refusal) => format!("refused: {}", refusal.reason()),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {} | {choice} | {} |", row.when, row.why);
    }
    text
}
