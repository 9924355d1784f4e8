//! Says what an error code or a failure of the connection means: whose fault it is, in words that do not change.

use std::fmt;
use std::io;

use kafka_protocol::error::ResponseError;
use rustls::Error as TlsError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::connection::Sasl;
use super::faults;
use super::wire::Malformed;
use crate::network::{about_us, is_closed, plain, tls_error, tls_told};

/// Kafka's code of a request in a version that the broker does not know.
pub(super) const UNSUPPORTED_VERSION: i16 = 35;

/// The broker at the other end of a connection, as messages need it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
    tls: bool,
    mechanism: Option<&'static str>,
}

impl Peer {
    pub(super) fn new(host: &str, port: u16, tls: bool, sasl: Option<&Sasl>) -> Self {
        Self { host: host.to_owned(), port, tls, mechanism: sasl.map(Sasl::mechanism) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka broker {}", address(&self.host, self.port))
    }
}

/// Host and port as users write them.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The name of an error code in Kafka's documentation, and the code: `NOT_COORDINATOR (16)`.
pub(super) fn code_name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None => "no error (0)".to_owned(),
        Some(ResponseError::Unknown(code)) => format!("unknown error code {code}"),
        Some(_) => format!("{} ({code})", faults::name(code)),
    }
}

/// The broker answered a request as a whole with an error code.
pub(super) fn code(peer: &Peer, kind: ReadErrorKind, api: &str, code: i16) -> ReadError {
    ReadError::endpoint(kind, format!("{peer} answered {api} with {}", code_name(code)))
}

/// A setting that cannot be used with this broker.
pub(super) fn config(peer: &Peer, what: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Config, format!("{peer}: {what}"))
}

/// The broker took too long to take requests.
pub(super) fn slow(peer: &Peer) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Timeout, format!("{peer} did not take the connection in time"))
}

/// The broker refused who we are; `why` completes "refused the credentials (...)".
pub(super) fn refused(peer: &Peer, mechanism: &str, why: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Auth, format!("{peer} refused the credentials ({mechanism}: {why})"))
}

/// The broker broke the rules of a SASL mechanism.
pub(super) fn breach(peer: &Peer, mechanism: &str, what: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Protocol, format!("{peer} does not speak {mechanism}: {what}"))
}

/// The socket or the connection failed, also by a TLS alert after the handshake.
pub(super) fn io(peer: &Peer, error: &io::Error) -> ReadError {
    match tls_error(error) {
        Some(cause) => tls(peer, cause),
        None => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{peer}: {}", plain(error))),
    }
}

/// The TLS handshake failed.
pub(super) fn handshake(peer: &Peer, error: &io::Error) -> ReadError {
    if let Some(cause) = tls_error(error) {
        return tls(peer, cause);
    }
    // A plain listener takes the handshake for a frame of absurd length and hangs up.
    let why = if is_closed(error) { "it may not speak TLS".to_owned() } else { plain(error) };
    ReadError::endpoint(ReadErrorKind::Unavailable, format!("{peer} ended the TLS handshake: {why}"))
}

/// The broker closed the connection after so many answers. Kafka says nothing when it does; the state tells why.
pub(super) fn closed(peer: &Peer, answers: usize) -> ReadError {
    let why = match (answers, peer.tls, peer.mechanism) {
        (0, false, _) => "; it may want TLS, or not be Kafka",
        (0, true, _) => "; it may refuse our certificate, or not be Kafka",
        // A listener with SASL answers only what it speaks, and hangs up at the first request without a login.
        (1 | 2, _, None) => "; it may want SASL",
        _ => "",
    };
    ReadError::endpoint(ReadErrorKind::Unavailable, format!("{peer} closed the connection{why}"))
}

/// What the broker sent is not what it must send.
pub(super) fn malformed(peer: &Peer, flaw: &Malformed) -> ReadError {
    let kind = match flaw {
        Malformed::Tls => ReadErrorKind::Config,
        _ => ReadErrorKind::Protocol,
    };
    ReadError::endpoint(kind, format!("{peer} {flaw}"))
}

/// A failure of TLS. What the broker says of us is about credentials, what we say of the broker is not.
fn tls(peer: &Peer, cause: &TlsError) -> ReadError {
    match cause {
        TlsError::AlertReceived(alert) if about_us(*alert) => {
            let what = format!("{peer} refused our certificate, or wants one (TLS alert {alert:?})");
            ReadError::endpoint(ReadErrorKind::Auth, what)
        }
        other => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{peer}: {}", tls_told(other))),
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
