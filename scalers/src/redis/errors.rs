//! Says what an error of Redis means: whose fault it is, and whether the whole server or one key is concerned.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};
use rustls::{CertificateError, Error as TlsError};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::Key;
use super::connection::Server;

/// A failure of the connection or of the library: every query would have failed.
pub(super) fn endpoint(server: &Server, error: &RedisError) -> ReadError {
    if let Some(refused) = refusal(server, error) {
        return refused;
    }
    let name = server.name();
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => {
            ReadError::endpoint(ReadErrorKind::Timeout, format!("{name} did not answer in time"))
        }
        // The library says the same of an answer that it cannot read and of a TLS alert after the handshake.
        ErrorKind::Io if is_closed(error) => {
            let hint = if server.tls.is_some() { "refuse our certificate" } else { "want TLS, or not be Redis" };
            ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name} closed the connection; it may {hint}"))
        }
        ErrorKind::Io => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name}: {}", cause(error))),
        ErrorKind::AuthenticationFailed => {
            ReadError::endpoint(ReadErrorKind::Auth, format!("{name} refused the credentials"))
        }
        ErrorKind::InvalidClientConfig => ReadError::endpoint(ReadErrorKind::Config, format!("{name}: {error}")),
        _ => ReadError::endpoint(ReadErrorKind::Protocol, format!("{name} does not speak Redis' protocol: {error}")),
    }
}

/// The error of the operating system or of TLS inside, which the library keeps in an `Arc`.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let cause = error.source()?;
    let shared = cause.downcast_ref::<Arc<dyn Error + Send + Sync>>();
    shared.map_or_else(|| cause.downcast_ref(), |inner| inner.downcast_ref())
}

fn is_closed(error: &RedisError) -> bool {
    io_error(error).is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The cause in words. Those of an expired certificate hold the time of the handshake, which differs in every one.
fn cause(error: &RedisError) -> String {
    let handshake = io_error(error).and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref());
    match handshake {
        Some(TlsError::InvalidCertificate(CertificateError::ExpiredContext { .. })) => {
            "the server's certificate has expired".to_owned()
        }
        Some(TlsError::InvalidCertificate(CertificateError::NotValidYetContext { .. })) => {
            "the server's certificate is not valid yet".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A failure to log in.
pub(super) fn login(server: &Server, error: &RedisError) -> ReadError {
    let known = refusal(server, error);
    match (known, error.kind()) {
        (Some(refused), _) => refused,
        // What is left are texts under the code ERR, such as "invalid password" and "no password is set".
        (None, ErrorKind::Server(_) | ErrorKind::Extension) => {
            ReadError::endpoint(ReadErrorKind::Auth, format!("{} refused the credentials", server.name()))
        }
        _ => endpoint(server, error),
    }
}

/// An error of the server about one key.
pub(super) fn query(server: &Server, key: &Key, command: &str, error: &RedisError) -> ReadError {
    if let Some(refused) = refusal(server, error) {
        return refused;
    }
    let subject = format!("key {:?} of {}", key.name, server.name());
    match error.code() {
        Some("NOPERM") => {
            let what = format!("{subject}: the user has no permission for {command} on it (NOPERM)");
            ReadError::query(ReadErrorKind::Auth, what)
        }
        Some("MOVED" | "ASK" | "CROSSSLOT") => clustered(server, Some(key)),
        Some(code) if command == "SELECT" => {
            let what = format!("{subject}: database {} cannot be selected ({code})", key.database);
            ReadError::query(ReadErrorKind::Config, what)
        }
        Some(code) => ReadError::query(ReadErrorKind::Protocol, format!("{subject}: {command} failed ({code})")),
        None => endpoint(server, error),
    }
}

/// A key that lives on another node of a cluster, where no cluster is read.
pub(super) fn clustered(server: &Server, key: Option<&Key>) -> ReadError {
    let subject = key.map_or(String::new(), |key| format!("key {:?} of ", key.name));
    let what = format!("{subject}{}: the server is part of a cluster; use redis-cluster", server.name());
    ReadError::query(ReadErrorKind::Config, what)
}

/// An error of the server about a command without a key.
pub(super) fn statement(server: &Server, command: &str, error: &RedisError) -> ReadError {
    if let Some(refused) = refusal(server, error) {
        return refused;
    }
    let name = server.name();
    match error.code() {
        Some("NOPERM") => {
            ReadError::query(ReadErrorKind::Auth, format!("{name}: the user has no permission for {command} (NOPERM)"))
        }
        Some(code) => ReadError::query(ReadErrorKind::Protocol, format!("{name}: {command} failed ({code})")),
        None => endpoint(server, error),
    }
}

/// A reply that is not one to this command.
pub(super) fn not_an_answer(server: &Server, command: &str) -> ReadError {
    let what = format!("{}: the answer to {command} is not one that Redis gives", server.name());
    ReadError::query(ReadErrorKind::Protocol, what)
}

/// An answer to another question than the one that was asked, by a defect of ours.
pub(super) fn mistaken(name: &str) -> ReadError {
    ReadError::query(ReadErrorKind::Protocol, format!("{name} gave an answer to another question"))
}

/// A consumer group that does not exist, so that nobody knows what is pending in it.
pub(super) fn no_group(server: &Server, key: &Key, group: &str) -> ReadError {
    let subject = format!("stream {:?} of {}", key.name, server.name());
    let what = format!("{subject}: there is no consumer group {group:?}, or no such stream (NOGROUP)");
    ReadError::query(ReadErrorKind::Config, what)
}

/// A server that knows no lag.
pub(super) fn too_old(server: &Server, key: &Key) -> ReadError {
    let subject = format!("stream {:?} of {}", key.name, server.name());
    let what = format!("{subject}: the server does not tell the lag of groups; lagCount needs Redis 7 or later");
    ReadError::query(ReadErrorKind::Config, what)
}

/// A key that has no length. The type is known unless the user may not ask for it.
pub(super) fn wrong_type(server: &Server, key: &Key, kind: Option<&str>) -> ReadError {
    let what = kind.map_or(String::new(), |kind| format!("a {kind}, "));
    let subject = format!("key {:?} of {}", key.name, server.name());
    ReadError::query(ReadErrorKind::Config, format!("{subject} is {what}not a list, set, sorted set or hash"))
}

/// A reply that is no number.
pub(super) fn not_a_length(server: &Server, key: &Key, command: &str) -> ReadError {
    let subject = format!("key {:?} of {}", key.name, server.name());
    ReadError::query(ReadErrorKind::Protocol, format!("{subject}: the answer to {command} is not a number"))
}

/// Errors by which the server as a whole refuses to work for us.
///
/// The server's text is not passed on: it may name the user, and numbers in it would change from read to read.
pub(super) fn refusal(server: &Server, error: &RedisError) -> Option<ReadError> {
    let (kind, what) = match error.code()? {
        "NOAUTH" => (ReadErrorKind::Auth, "wants a password (NOAUTH)"),
        "WRONGPASS" => (ReadErrorKind::Auth, "refused the user name or password (WRONGPASS)"),
        "LOADING" => (ReadErrorKind::Unavailable, "is loading its data (LOADING)"),
        "MASTERDOWN" => (ReadErrorKind::Unavailable, "has lost its master (MASTERDOWN)"),
        "BUSY" => (ReadErrorKind::Unavailable, "is busy with a script (BUSY)"),
        "CLUSTERDOWN" => (ReadErrorKind::Unavailable, "says that its cluster is down (CLUSTERDOWN)"),
        "TRYAGAIN" => (ReadErrorKind::Unavailable, "cannot answer for now (TRYAGAIN)"),
        "DENIED" => (ReadErrorKind::Unavailable, "is in protected mode and takes local clients only (DENIED)"),
        "ERR" if error.detail().is_some_and(|text| text.starts_with("max number of clients")) => {
            (ReadErrorKind::Unavailable, "has too many clients")
        }
        _ => return None,
    };
    Some(ReadError::endpoint(kind, format!("{} {what}", server.name())))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn causes_are_found_inside_the_librarys_errors() {
        let closed = RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed(&closed));
        let context = CertificateError::ExpiredContext { time: UnixTime::now(), not_after: UnixTime::now() };
        let expired = io::Error::new(io::ErrorKind::InvalidData, TlsError::InvalidCertificate(context));
        assert_eq!(cause(&RedisError::from(expired)), "the server's certificate has expired");
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!((cause(&refused).as_str(), is_closed(&refused)), ("connection refused", false));
    }
}
