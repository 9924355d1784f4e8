//! Says what a failed call means: whose fault it is, in words that do not change and repeat nothing that the server says.
//!
//! The messages here complete "SERVER: ..."; [`named`] puts the server before them.

use std::error::Error;
use std::io;

use rustls::Error as TlsError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};
use tonic::{Code, Status};

use super::line::Fault;
use crate::network::{about_us, tls_error, told};

/// The error with the server's name in front.
pub(super) fn named(server: &str, error: &ReadError) -> ReadError {
    ReadError { message: format!("{server}: {}", error.message), ..*error }
}

/// No answer within the deadline; `alone` if the server answered others meanwhile.
pub(super) fn late(alone: bool) -> ReadError {
    let what = "did not answer in time";
    if alone {
        ReadError::query(ReadErrorKind::Timeout, what)
    } else {
        ReadError::endpoint(ReadErrorKind::Timeout, what)
    }
}

/// A call that failed by a defect of ours, or of the library by what the server said.
pub(super) fn defect() -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, "reading failed by a defect of ours")
}

/// A stream that the server ended.
pub(super) fn ended(method: &str) -> ReadError {
    ReadError::query(ReadErrorKind::Unavailable, format!("ended the stream of {method}"))
}

/// A failure of the connection, made or not.
pub(super) fn network(error: &io::Error) -> ReadError {
    match tls_error(error) {
        Some(TlsError::AlertReceived(alert)) if about_us(*alert) => {
            let what = format!("refused our certificate, or wants one (TLS alert {alert:?})");
            ReadError::endpoint(ReadErrorKind::Auth, what)
        }
        None if error.kind() == io::ErrorKind::TimedOut => late(false),
        _ => ReadError::endpoint(ReadErrorKind::Unavailable, told(error)),
    }
}

/// Whether the server itself said this, and not the connection.
pub(super) fn is_answer(status: &Status) -> bool {
    status.source().is_none()
}

/// What a call ended with, and the last fault of its connection.
pub(super) fn call(method: &str, status: &Status, fault: Option<Fault>) -> ReadError {
    if is_answer(status) {
        return refused(method, status.code());
    }
    match (fault, status.code()) {
        (Some(fault), _) => fault.error,
        (None, Code::Unavailable | Code::Cancelled | Code::ResourceExhausted) => {
            ReadError::endpoint(ReadErrorKind::Unavailable, "gave up the call")
        }
        (None, _) => ReadError::endpoint(ReadErrorKind::Protocol, "does not speak gRPC"),
    }
}

/// What a status of the server means. Its text is not repeated: it may hold anything, secrets and changing numbers alike.
fn refused(method: &str, code: Code) -> ReadError {
    let (kind, what) = match code {
        Code::Unauthenticated | Code::PermissionDenied => (ReadErrorKind::Auth, "refused the credentials"),
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => {
            (ReadErrorKind::Unavailable, "cannot answer now")
        }
        Code::DeadlineExceeded | Code::Cancelled => (ReadErrorKind::Timeout, "gave up"),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => {
            (ReadErrorKind::Config, "refused the trigger")
        }
        Code::Unimplemented => (ReadErrorKind::Protocol, "does not offer the call"),
        _ => (ReadErrorKind::Protocol, "failed"),
    };
    ReadError::query(kind, format!("{what} ({method}: {})", name(code)))
}

/// The name of a code in gRPC's documentation.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class_and_no_text_of_the_server_is_repeated() {
        for number in 1..=16 {
            let code = Code::from(number);
            let error = call("GetMetrics", &Status::new(code, "password=hunter2"), None);
            let kind = match number {
                7 | 16 => ReadErrorKind::Auth,
                8 | 10 | 14 => ReadErrorKind::Unavailable,
                1 | 4 => ReadErrorKind::Timeout,
                3 | 5 | 9 => ReadErrorKind::Config,
                _ => ReadErrorKind::Protocol,
            };
            assert_eq!(error.kind, kind, "{code:?}");
            assert!(!error.message.contains("hunter2") && error.message.contains(name(code)), "{error}");
        }
    }
}
