//! Looks a hook spec through: which items take part, and what no spec may say.

use super::{Flink, HookSpec, Item, JobSelector, JobSpec, OnFailure, RunTemplate, Select, StrategyChoice, Work};
use crate::operation::facts::JobFacts;
use crate::operation::phase::{Direction, Strategy};
use crate::time::Span;

/// A spec that no operation may begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// `onFailure: Proceed` where a stopped job could be left behind.
    #[error(
        "hooks.preScale[{item}].onFailure.{direction}: Proceed is not allowed; allowed: Abort, because a stopped job must run again"
    )]
    ProceedRefused {
        /// The item.
        item: String,
        /// The field of `onFailure`.
        direction: &'static str,
    },
    /// More than one flink item, one that is not last, or one under `postScale`.
    #[error("hooks.{list}[{item}]: a flink item is not allowed here; allowed: one, at the end of preScale")]
    FlinkPlace {
        /// `preScale` or `postScale`.
        list: &'static str,
        /// The item.
        item: String,
    },
    /// A number that is too small.
    #[error("hooks.preScale[{item}].{field}: {value} is too small; allowed: {allowed}")]
    TooSmall {
        /// The item.
        item: String,
        /// The field below the item.
        field: &'static str,
        /// What was written, in the unit of the field.
        value: i64,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl SpecError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ProceedRefused { .. } => "ProceedRefused",
            Self::FlinkPlace { .. } => "FlinkPlace",
            Self::TooSmall { .. } => "TooSmall",
        }
    }
}

impl Item {
    /// Whether this item takes part in a change in `direction`.
    pub fn takes_part(&self, direction: Direction) -> bool {
        if !self.directions.is_empty() {
            return self.directions.contains(&direction);
        }
        matches!(self.work, Work::Flink(_)) || matches!(direction, Direction::ScaleDown | Direction::ToZero)
    }

    /// The flink part of this item.
    pub fn flink(&self) -> Option<&Flink> {
        match &self.work {
            Work::Flink(flink) => Some(flink),
            Work::Http(_) | Work::Job(_) => None,
        }
    }
}

impl HookSpec {
    /// Whether a change in `direction` is an operation at all. Without it replicas are written as always.
    pub fn takes_part(&self, direction: Direction) -> bool {
        self.pre_scale.iter().chain(&self.post_scale).any(|item| item.takes_part(direction))
    }

    /// The flink item that owns a change in `direction`.
    pub fn flink(&self, direction: Direction) -> Option<(&Item, &Flink)> {
        let mut items = self.pre_scale.iter().filter(|item| item.takes_part(direction));
        items.find_map(|item| item.flink().map(|flink| (item, flink)))
    }

    /// The time the whole operation may take: the longest time-out of the items that take part.
    pub fn timeout(&self, direction: Direction) -> Span {
        let items = self.pre_scale.iter().filter(|item| item.takes_part(direction));
        items.map(|item| item.timeout).max().unwrap_or(Span::seconds(20 * 60))
    }

    /// The least pause after an operation that the items ask for.
    pub fn cooldown(&self, direction: Direction) -> Span {
        let items = self.pre_scale.iter().filter(|item| item.takes_part(direction));
        items.map(|item| item.cooldown).max().unwrap_or(Span::ZERO)
    }

    /// Everything that this spec may not say. Besides, what a policy's definition compares by itself is taken for given.
    pub fn check(&self) -> Vec<SpecError> {
        let mut errors = Vec::new();
        let last = self.pre_scale.len().saturating_sub(1);
        for (index, item) in self.pre_scale.iter().enumerate() {
            if item.flink().is_some() && index != last {
                errors.push(SpecError::FlinkPlace { list: "preScale", item: item.name.clone() });
            }
            check_item(item, &mut errors);
        }
        for item in self.post_scale.iter().filter(|item| item.flink().is_some()) {
            errors.push(SpecError::FlinkPlace { list: "postScale", item: item.name.clone() });
        }
        errors
    }
}

fn check_item(item: &Item, errors: &mut Vec<SpecError>) {
    let mut small = |field, value: i64, least: i64, allowed| {
        if value < least {
            errors.push(SpecError::TooSmall { item: item.name.clone(), field, value, allowed });
        }
    };
    small("timeout", item.timeout.0, 1, "more than 0");
    small("attempts", i64::from(item.attempts), 1, "1 or more");
    small("cooldown", item.cooldown.0, 0, "0 or more");
    let Some(flink) = item.flink() else { return };
    small("flink.checkpoint.maxAge", flink.checkpoint.max_age.0, 1, "more than 0");
    small("flink.savepoint.keep", i64::from(flink.savepoint.keep), 1, "1 or more");
    small("flink.verify.timeout", flink.verify.timeout.0, 1, "more than 0");
    small("flink.slotsPerTaskManager", i64::from(flink.slots_per_task_manager.unwrap_or(1)), 1, "1 or more");
    for job in &flink.jobs.list {
        small("flink.jobs.list[].share", i64::from(job.share), 1, "1 or more");
    }
    for direction in Direction::ALL {
        let strategy = match flink.strategy {
            StrategyChoice::StopRestore => Strategy::StopRestore,
            _ => Strategy::Checkpoint,
        };
        let wanted = item.on_failure.written(direction);
        if wanted == Some(OnFailure::Proceed) && item.on_failure.effective(direction, strategy) == OnFailure::Abort {
            errors.push(SpecError::ProceedRefused { item: item.name.clone(), direction: direction.field() });
        }
    }
}

impl Flink {
    /// What the list says about the job with this name or id; `patterns` are the listed patterns that its name matches.
    pub fn listed(&self, name: &str, id: &str, patterns: &[String]) -> Option<&JobSpec> {
        self.jobs.list.iter().find(|job| job.selects(name, id, patterns))
    }

    /// Whether a job is live and one that a change looks after.
    pub fn looks_after(&self, job: &JobFacts) -> bool {
        let listed = self.listed(&job.name, &job.id, &job.patterns).is_some();
        job.state.live() && !job.batch && (self.jobs.select == Select::All || listed)
    }

    /// How the job with this name is run, also when it is not live and has no id.
    pub fn template(&self, name: &str, id: &str, patterns: &[String]) -> Option<&RunTemplate> {
        self.listed(name, id, patterns).and_then(|job| job.run.as_ref())
    }
}

impl JobSpec {
    /// Whether this entry means the job with this name or id.
    pub fn selects(&self, name: &str, id: &str, patterns: &[String]) -> bool {
        match &self.select {
            JobSelector::Name(wanted) => wanted == name,
            JobSelector::NamePattern(wanted) => patterns.contains(wanted),
            JobSelector::Id(wanted) => wanted == id,
        }
    }
}
