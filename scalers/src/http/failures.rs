//! Says what a failed request means: whose fault it is, in words that do not change and repeat nothing of an answer.
//!
//! The messages here complete "SERVER: ..."; [`named`] puts the server before them.

use std::error::Error;
use std::io;

use reqwest::StatusCode;
use rustls::Error as TlsError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use crate::network::{about_us, is_closed, tls_error, told};

/// The error with the server's name in front.
pub(crate) fn named(server: &str, error: &ReadError) -> ReadError {
    ReadError { message: format!("{server}: {}", error.message), ..*error }
}

/// No answer within the deadline.
pub(super) fn late(alone: bool) -> ReadError {
    let what = "did not answer in time";
    if alone {
        ReadError::query(ReadErrorKind::Timeout, what)
    } else {
        ReadError::endpoint(ReadErrorKind::Timeout, what)
    }
}

/// The request or the answer broke off.
pub(super) fn broken(error: &reqwest::Error) -> ReadError {
    if error.is_timeout() {
        return late(false);
    }
    if let Some(cause) = io_error(error) {
        return match tls_error(cause) {
            Some(TlsError::AlertReceived(alert)) if about_us(*alert) => {
                let what = format!("refused our certificate, or wants one (TLS alert {alert:?})");
                ReadError::endpoint(ReadErrorKind::Auth, what)
            }
            _ => ReadError::endpoint(ReadErrorKind::Unavailable, told(cause)),
        };
    }
    if error.is_connect() {
        // A proxy that refuses us is here as well; its words are not repeated.
        return ReadError::endpoint(ReadErrorKind::Unavailable, "no connection can be made");
    }
    if was_cut(error) {
        let what = "the connection was cut before the answer was whole";
        return ReadError::endpoint(ReadErrorKind::Unavailable, what);
    }
    ReadError::endpoint(ReadErrorKind::Protocol, "does not answer in HTTP")
}

/// Whether the other side closed the connection, which it may do with one that was idle.
pub(super) fn was_cut(error: &reqwest::Error) -> bool {
    // The HTTP library has no type for it that we could name.
    let told = |cause: &(dyn Error + 'static)| cause.to_string().contains("connection closed");
    io_error(error).is_some_and(is_closed) || causes(error).any(told)
}

/// What a status that is no success means; `has_credentials` is whether we said who we are.
pub(crate) fn status(status: StatusCode, location: Option<&str>, has_credentials: bool) -> ReadError {
    let code = status.as_u16();
    let (kind, what) = match code {
        401 | 403 if has_credentials => (ReadErrorKind::Auth, format!("refused the credentials (status {code})")),
        401 | 403 => (ReadErrorKind::Auth, format!("wants credentials (status {code}); set authModes")),
        407 => (ReadErrorKind::Config, "the proxy wants credentials (status 407)".to_owned()),
        300..=399 => (ReadErrorKind::Config, redirect(code, location, has_credentials)),
        408 | 504 => (ReadErrorKind::Timeout, format!("gave up waiting (status {code})")),
        429 => (ReadErrorKind::Unavailable, "asks for fewer requests (status 429)".to_owned()),
        500..=599 => (ReadErrorKind::Unavailable, format!("failed with status {code}")),
        400..=499 => (ReadErrorKind::Config, format!("refused the request (status {code})")),
        _ => (ReadErrorKind::Protocol, format!("answered with status {code}")),
    };
    ReadError::query(kind, what)
}

fn redirect(code: u16, location: Option<&str>, has_credentials: bool) -> String {
    let to = location.map_or(String::new(), |origin| format!(" to {origin}"));
    let why = if has_credentials { "which credentials do not follow" } else { "which is not followed" };
    format!("answered with a redirect ({code}){to}, {why}; use the address that it leads to")
}

fn io_error(error: &reqwest::Error) -> Option<&io::Error> {
    causes(error).filter_map(|cause| cause.downcast_ref()).last()
}

/// The causes of an error, the nearest first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}
