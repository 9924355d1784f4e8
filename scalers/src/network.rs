//! Says what failures of the operating system and of TLS mean, in words that are the same at every read.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

/// Whether the other side closed the connection, in order or not.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// The error of TLS inside one of the operating system, where it is kept; an HTTP client wraps it once more.
pub(crate) fn tls_error(error: &io::Error) -> Option<&TlsError> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| tls_error(inner.downcast_ref()?))
}

/// An error of the operating system or of TLS in words that are the same at every read.
pub(crate) fn told(error: &io::Error) -> String {
    tls_error(error).map_or_else(|| plain(error), tls_told)
}

/// A failure of TLS in such words.
pub(crate) fn tls_told(cause: &TlsError) -> String {
    match cause {
        TlsError::AlertReceived(alert) => format!("TLS failed (alert {alert:?})"),
        TlsError::InvalidCertificate(flaw) => format!("the server's certificate {}", certificate(flaw)),
        TlsError::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

/// Whether an alert says that something is wrong with our certificate.
pub(crate) fn about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// What is wrong with the server's certificate. Times and names are left out: they differ from read to read.
fn certificate(flaw: &CertificateError) -> String {
    match flaw {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet".to_owned(),
        CertificateError::UnknownIssuer => "is signed by an authority that is not trusted".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name than the address".to_owned()
        }
        CertificateError::Revoked => "has been revoked".to_owned(),
        other => format!("cannot be trusted: {other}"),
    }
}

/// An error of the operating system without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ if is_closed(error) => "the connection was cut".to_owned(),
        _ => error.to_string(),
    }
}
