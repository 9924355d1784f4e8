//! Says what a failure over AMQP means: whose fault it is, and whether the whole broker or one queue is concerned.
//!
//! What a broker says in words is looked at and never repeated: it has names of users and machines in it.

use std::io;

use rustls::Error as TlsError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::Broker;
use crate::network::{about_us, is_closed, plain, tls_error, told};

/// A failure of the operating system or of TLS.
pub(super) fn broken(broker: &Broker, error: &io::Error) -> ReadError {
    let name = &broker.name;
    match tls_error(error) {
        Some(TlsError::AlertReceived(alert)) if about_us(*alert) => {
            let what = format!("{name} refused our certificate, or wants one (TLS alert {alert:?})");
            ReadError::endpoint(ReadErrorKind::Auth, what)
        }
        Some(_) => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name}: {}", told(error))),
        None if is_closed(error) => {
            let hint = if broker.tls.is_some() { "refuse our certificate" } else { "want TLS, or not be RabbitMQ" };
            ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name} closed the connection; it may {hint}"))
        }
        None => ReadError::endpoint(ReadErrorKind::Unavailable, format!("{name}: {}", plain(error))),
    }
}

/// What it says is not what the protocol has at this point.
pub(super) fn garbled(broker: &Broker) -> ReadError {
    let hint = if broker.tls.is_some() { "" } else { "; it may want TLS" };
    let what = format!("{} does not speak AMQP 0-9-1{hint}", broker.name);
    ReadError::endpoint(ReadErrorKind::Protocol, what)
}

/// Settings that cannot be used.
pub(super) fn unusable(broker: &Broker, what: &str) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Config, format!("{}: {what}", broker.name))
}

/// The broker ends the connection; `code` and `text` are its reason.
pub(super) fn closed(broker: &Broker, code: u16, text: &str) -> ReadError {
    let (kind, what) = match code {
        403 => (ReadErrorKind::Auth, "refused the credentials (ACCESS_REFUSED)".to_owned()),
        // The virtual host is opened: one code for everything that can be wrong with it.
        530 if text.contains("limit") => (ReadErrorKind::Unavailable, "has too many connections already".to_owned()),
        530 if text.contains("is down") => (ReadErrorKind::Unavailable, format!("has {} down", vhost(broker))),
        530 if text.contains("not found") => (ReadErrorKind::Config, format!("has no {}", vhost(broker))),
        530 => (ReadErrorKind::Auth, format!("refused the user for {}", vhost(broker))),
        // CONNECTION_FORCED: it shuts down, or somebody closed the connection.
        320 => (ReadErrorKind::Unavailable, "closed the connection (CONNECTION_FORCED)".to_owned()),
        506 | 541 => (ReadErrorKind::Unavailable, format!("failed ({code})")),
        _ => (ReadErrorKind::Protocol, format!("closed the connection with code {code}")),
    };
    ReadError::endpoint(kind, format!("{} {what}", broker.name))
}

fn vhost(broker: &Broker) -> String {
    format!("virtual host {:?}", broker.vhost)
}

/// The broker ends a channel because of the queue that was asked for there.
pub(super) fn refused(broker: &Broker, queue: &str, code: u16, text: &str) -> ReadError {
    let subject = format!("queue {queue:?} in {} of {}", vhost(broker), broker.name);
    let (kind, what) = match code {
        // The same code stands for a queue whose node is down, and that one does exist.
        404 if text.contains("no queue") => (ReadErrorKind::Config, "does not exist".to_owned()),
        404 => (ReadErrorKind::Unavailable, "is not there now: its node is down, or it is starting".to_owned()),
        403 => (ReadErrorKind::Auth, "may not be looked at by this user (ACCESS_REFUSED)".to_owned()),
        405 => (ReadErrorKind::Config, "belongs to another connection alone (exclusive)".to_owned()),
        506 | 541 => (ReadErrorKind::Unavailable, format!("cannot be asked for now ({code})")),
        _ => (ReadErrorKind::Protocol, format!("was refused with code {code}")),
    };
    ReadError::query(kind, format!("{subject} {what}"))
}

/// No answer about one queue, while the broker answered others.
pub(super) fn late(broker: &Broker, queue: &str) -> ReadError {
    let what = format!("queue {queue:?} in {} of {} did not answer in time", vhost(broker), broker.name);
    ReadError::query(ReadErrorKind::Timeout, what)
}

/// No answer about anything.
pub(super) fn overdue(broker: &Broker) -> ReadError {
    ReadError::endpoint(ReadErrorKind::Timeout, format!("{} did not answer in time", broker.name))
}
