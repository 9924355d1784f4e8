//! Why a command of `tidegate flink` did nothing, or not all.

use tidegate_calculator::operation::{Cause, Failure};

use super::super::probe::ProbeError;
use super::report::without_password;
use super::{BAD_INPUT, UNDONE};

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// Nothing says where Flink is.
    #[error(
        "there is nothing to look at: name files with -f, an object of a cluster with --cluster, or a JobManager with --rest-url"
    )]
    Nowhere,
    /// The object, or the cluster that has it, cannot be seen.
    #[error("{0}")]
    Object(#[from] ProbeError),
    /// Several objects have a hook for Flink.
    #[error("several ScaledObjects are there; name one of them: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The object has no hook for Flink that could be obeyed.
    #[error("ScaledObject {object} has no hook for Flink{}", because(.why))]
    NoHook {
        /// The object.
        object: String,
        /// What is wrong with its policies, if anything is.
        why: Vec<String>,
    },
    /// Something in the object's text is wrong, so what it says is not obeyed.
    #[error("ScaledObject {object} is not in order: {}", .why.join("; "))]
    NotInOrder {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: Vec<String>,
    },
    /// An option that does not fit.
    #[error("{option}{}: {allowed}", shown(.value.as_deref()))]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: Option<String>,
        /// What is wrong with it, and what is allowed.
        allowed: String,
    },
    /// Flink or the cluster gave no answer, or refused.
    #[error("{}", .0.text)]
    Unanswered(Failure),
    /// An operation would refuse it as well.
    #[error("{}", .0.text)]
    Refused(Cause),
    /// There is no live job.
    #[error("no live job is looked after; {0}")]
    NoJob(String),
    /// The job could not be brought to run.
    #[error("{0}")]
    NotRun(String),
    /// No runtime.
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
}

impl CommandError {
    /// An option that does not fit.
    pub(super) fn option(option: &'static str, value: Option<&str>, allowed: impl Into<String>) -> Self {
        Self::Option { option, value: value.map(str::to_owned), allowed: allowed.into() }
    }

    /// What is said of it: without any password, also not in words that are Flink's.
    pub(super) fn shown(&self) -> String {
        without_password(&self.to_string())
    }

    /// The stable reason of this error.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Nowhere => "NothingNamed",
            Self::Object(error) => error.reason(),
            Self::Several(_) => "ObjectAmbiguous",
            Self::NoHook { .. } => "NoFlinkHook",
            Self::NotInOrder { .. } => "ObjectInvalid",
            Self::Option { .. } => "OptionInvalid",
            Self::Unanswered(_) => "FlinkUnanswered",
            Self::Refused(cause) => cause.reason.reason(),
            Self::NoJob(_) => "NoLiveJob",
            Self::NotRun(_) => "RunFailed",
            Self::Runtime(_) => "RuntimeFailed",
        }
    }

    /// The exit code.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Unanswered(_) | Self::Refused(_) | Self::NoJob(_) | Self::NotRun(_) => UNDONE,
            _ => BAD_INPUT,
        }
    }
}

fn because(why: &[String]) -> String {
    if why.is_empty() {
        "; the annotation tidegate.dev/policies names the ScalingPolicy that has one".to_owned()
    } else {
        format!(": {}", why.join("; "))
    }
}

fn shown(value: Option<&str>) -> String {
    value.map(|value| format!(" {value:?}")).unwrap_or_default()
}
