//! Says what a refusal of the management API means, in words that complete "SERVER: ...".

use reqwest::StatusCode;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::answer::Foreign;
use crate::http::Reply;

/// What a status that is no success means.
pub(super) fn refused(reply: &Reply) -> ReadError {
    let code = reply.status.as_u16();
    match reply.status {
        // One status for a wrong password, for a user without the tag `management` and for a virtual host that is not the user's.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let what = format!(
                "refused the credentials, or wants some (status {code}); the user needs the right password, the tag management and a \
                 permission in the virtual host"
            );
            ReadError::query(ReadErrorKind::Auth, what)
        }
        StatusCode::NOT_FOUND if is_of_the_api(&reply.body) => {
            ReadError::query(ReadErrorKind::Config, "there is no such queue or virtual host (status 404)")
        }
        StatusCode::NOT_FOUND => foreign(Foreign),
        _ => reply.failure(),
    }
}

/// Whether a body is one of the API's own refusals, and not one of another server at that address.
fn is_of_the_api(body: &[u8]) -> bool {
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    answer.is_some_and(|answer| answer.get("error").is_some())
}

/// The answer is none of the API.
pub(super) fn foreign(_: Foreign) -> ReadError {
    let what = "the answer is not one of RabbitMQ's management API; is this its address, with its plugin enabled?";
    ReadError::query(ReadErrorKind::Protocol, what)
}

/// A queue whose counts the server does not tell.
pub(super) fn unknown(queue: &str, vhost: &str) -> ReadError {
    let what = format!(
        "the count of queue {queue:?} in virtual host {vhost:?} is not known (yet): it is some seconds after the server or the \
         queue has started, and never with statistics disabled"
    );
    ReadError::query(ReadErrorKind::Unavailable, what)
}

/// Rates that are not kept.
pub(super) fn no_rates() -> ReadError {
    let what = "keeps no rates (rates_mode = none, or statistics disabled), which this mode needs";
    ReadError::query(ReadErrorKind::Config, what)
}
