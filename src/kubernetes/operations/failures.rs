//! What a failed call to the API server means for an operation.

use tidegate_calculator::operation::{Class, Failure};
use tidegate_engine::protocol::TargetError;

use crate::kubernetes::calls;

/// The failure of a read: `what` names it, such as `get of deployments.apps shop/orders`.
pub(super) fn unread(failure: &calls::Failure, what: &str) -> Failure {
    of(failure, what, Class::Unavailable)
}

/// The failure of a write. One without an answer may have had its effect.
pub(super) fn unwritten(failure: &calls::Failure, what: &str) -> Failure {
    of(failure, what, Class::Lost)
}

fn of(failure: &calls::Failure, what: &str, unanswered: Class) -> Failure {
    let class = match failure.code() {
        Some(409) => Class::Conflict,
        Some(429) => Class::Unavailable,
        // 404 is an object that must be there, or a kind that is not installed.
        Some(400..=499) => Class::Config,
        Some(_) => Class::Unavailable,
        None => unanswered,
    };
    let needs = if failure.code() == Some(403) { "; the role needs it" } else { "" };
    Failure::new(class, &format!("{}{needs}", failure.because(what)))
}

/// The failure to say under which resource a target's kind is served.
pub(super) fn unresolved(error: &TargetError) -> Failure {
    let class = if matches!(error, TargetError::Unavailable(_)) { Class::Unavailable } else { Class::Config };
    Failure::new(class, &error.to_string())
}
