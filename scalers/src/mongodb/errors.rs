//! Says what an error of the driver means: whose fault it is, in our own words.
//!
//! What a server writes is never passed on, because it may repeat a query with its data; its codes and their names are.

use std::io;

use mongodb::error::{CommandError, Error, ErrorKind};
use rustls::Error as TlsError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use crate::network::{about_us, is_closed, tls_error, told};

/// The servers' codes, as far as they have a meaning here.
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
const MAX_TIME_EXPIRED: i32 = 50;
const COMMAND_NOT_FOUND: i32 = 59;
const ONLY_ON_REPLICA_SETS: i32 = 40573;
/// A resume token that a server cannot go on from: invalid, of a lost history, or of a stream that broke.
const LOST_TOKEN: [i32; 3] = [260, 280, 286];
/// The server, or the member of the replica set, cannot answer for now.
const FOR_NOW: [i32; 14] = [6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 10058];

/// What a question is about, and what it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// A query of a collection.
    Collection(String),
    /// A change stream on a collection.
    Changes(String),
    /// `serverStatus`.
    Status,
    /// `$currentOp`.
    Operations,
}

impl Subject {
    /// The beginning of a message.
    pub(super) fn about(&self, name: &str) -> String {
        match self {
            Self::Collection(collection) | Self::Changes(collection) => format!("collection {collection:?} of {name}"),
            Self::Status | Self::Operations => name.to_owned(),
        }
    }

    fn needs(&self) -> &'static str {
        match self {
            Self::Collection(_) => "read it (action find; the role read of its database has it)",
            Self::Changes(_) => "listen to it (actions find and changeStream; the role read of its database has them)",
            Self::Status => "run serverStatus (action serverStatus; the role clusterMonitor has it)",
            Self::Operations => "run $currentOp for all users (action inprog; the role clusterMonitor has it)",
        }
    }
}

/// A failure of a question.
pub(super) fn query(name: &str, subject: &Subject, has_credentials: bool, error: &Error) -> ReadError {
    let ErrorKind::Command(refusal) = &*error.kind else { return endpoint(name, error) };
    let about = subject.about(name);
    let code = code(refusal);
    match refusal.code {
        UNAUTHORIZED if !has_credentials => {
            ReadError::endpoint(ReadErrorKind::Auth, format!("{name} wants credentials {code}"))
        }
        UNAUTHORIZED => {
            ReadError::query(ReadErrorKind::Auth, format!("{about}: the user may not {} {code}", subject.needs()))
        }
        AUTHENTICATION_FAILED => refused(name),
        MAX_TIME_EXPIRED => ReadError::query(ReadErrorKind::Timeout, format!("{about}: gave up in time {code}")),
        COMMAND_NOT_FOUND => {
            ReadError::query(ReadErrorKind::Config, format!("{about}: does not know the command {code}"))
        }
        ONLY_ON_REPLICA_SETS => {
            let what = format!("{name} has no change streams, because it is not a replica set");
            ReadError::endpoint(ReadErrorKind::Config, what)
        }
        other if FOR_NOW.contains(&other) => {
            ReadError::query(ReadErrorKind::Unavailable, format!("{about}: cannot answer for now {code}"))
        }
        _ => ReadError::query(ReadErrorKind::Config, format!("{about}: is refused {code}")),
    }
}

/// A failure of the connection or of the driver: every question would have failed.
pub(super) fn endpoint(name: &str, error: &Error) -> ReadError {
    let unavailable = |what: &str| ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name}: {what}"));
    match &*error.kind {
        ErrorKind::Authentication { .. } => refused(name),
        ErrorKind::Io(cause) => broken(name, cause),
        ErrorKind::DnsResolve { .. } => unavailable("the name service does not know it"),
        ErrorKind::ServerSelection { .. } => unavailable("no server fits what the connection string asks for"),
        ErrorKind::ConnectionPoolCleared { .. } => unavailable("the connection was cut"),
        ErrorKind::InvalidResponse { .. } | ErrorKind::Bson(_) => {
            ReadError::endpoint(ReadErrorKind::Protocol, format!("{name}: the answer is not one of MongoDB"))
        }
        ErrorKind::InvalidTlsConfig { .. } => {
            let what = format!("{name}: the certificates or the key cannot be used");
            ReadError::endpoint(ReadErrorKind::Config, what)
        }
        ErrorKind::InvalidArgument { .. } => {
            let what = format!("{name}: the connection string says what cannot be");
            ReadError::endpoint(ReadErrorKind::Config, what)
        }
        ErrorKind::IncompatibleServer { .. } | ErrorKind::SessionsNotSupported => {
            ReadError::endpoint(ReadErrorKind::Config, format!("{name}: the server is too old or of another kind"))
        }
        ErrorKind::Command(refusal) if refusal.code == AUTHENTICATION_FAILED => refused(name),
        ErrorKind::Command(refusal) => unavailable(&format!("refuses to be spoken to {}", code(refusal))),
        _ => unavailable("the driver failed"),
    }
}

fn refused(name: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Auth, format!("{name} refused the credentials"))
}

fn broken(name: &str, cause: &io::Error) -> ReadError {
    if cause.kind() == io::ErrorKind::TimedOut {
        return late(name, false);
    }
    match tls_error(cause) {
        Some(TlsError::AlertReceived(alert)) if about_us(*alert) => {
            let what = format!("{name} refused our certificate, or wants one (TLS alert {alert:?})");
            ReadError::endpoint(ReadErrorKind::Auth, what)
        }
        _ => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name}: {}", told(cause))),
    }
}

/// No answer in time: of one question alone, if others were answered meanwhile.
pub(super) fn late(name: &str, alone: bool) -> ReadError {
    let what = format!("{name} did not answer in time");
    if alone {
        ReadError::query(ReadErrorKind::Timeout, what)
    } else {
        ReadError::endpoint(ReadErrorKind::Timeout, what)
    }
}

/// Whether a connection was cut, which a server may do with one that was idle, and does when it is restarted.
pub(super) fn was_cut(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(cause) => is_closed(cause) && tls_error(cause).is_none(),
        ErrorKind::ConnectionPoolCleared { .. } => true,
        _ => false,
    }
}

/// Whether a change stream cannot go on where it was.
pub(super) fn lost_its_place(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(refusal) if LOST_TOKEN.contains(&refusal.code))
}

/// An answer to another question than the one that was asked, by a defect of ours.
pub(super) fn mistaken(name: &str) -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, format!("{name} gave an answer to another question"))
}

/// What cannot be, by a defect of ours.
pub(super) fn defect() -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, "reading MongoDB failed by a defect of ours")
}

/// The server's name for its refusal, or else its number.
fn code(refusal: &CommandError) -> String {
    let name = &refusal.code_name;
    let plain = !name.is_empty() && name.len() <= 60 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { format!("({name})") } else { format!("(code {})", refusal.code) }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
