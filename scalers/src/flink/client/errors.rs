//! Says what a failed question to Flink means, and cuts its answers down to the one cause that matters.
//!
//! Flink answers errors with the text of Java exceptions, up to 94 KB of it. What is kept is the class and the first line of the innermost
//! cause, cut to 300 characters.

use serde::Deserialize;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

/// How much of a cause's text is kept, in characters.
const LONGEST: usize = 300;

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlinkError {
    /// Flink knows no such thing (status 404): a job that is gone, or a part of the API that this version does not have.
    #[error("{server}: there is no such thing ({cause})")]
    NotFound {
        /// The server's name.
        server: String,
        /// What Flink says.
        cause: Cause,
    },
    /// Flink refuses the question or fails to answer it (status 400, 409 or 500, with Flink's own words).
    #[error("{server}: refused with status {status} ({cause})")]
    Refused {
        /// The server's name.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What Flink says.
        cause: Cause,
    },
    /// An order may have been obeyed: its answer was lost. Whoever gave it looks before giving it again.
    #[error("{server}: it is not known whether it was done: {what}")]
    Lost {
        /// The server's name.
        server: String,
        /// What happened.
        what: String,
    },
    /// The question did not come through, or the answer is none: as for every trigger over HTTP.
    #[error("{}", .0.message)]
    Read(ReadError),
}

/// The innermost cause that Flink names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The class of the exception without its package, such as `FlinkJobNotFoundException`; empty if none is named.
    pub class: String,
    /// Its first line, at most 300 characters and three dots; it may name files and jobs.
    pub text: String,
}

/// How Flink writes errors.
#[derive(Deserialize)]
struct Written {
    errors: Vec<String>,
}

impl FlinkError {
    /// The stable reason, as a condition's reason and as a metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "FlinkNotFound",
            Self::Refused { .. } => "FlinkRefused",
            Self::Lost { .. } => "FlinkAnswerLost",
            Self::Read(error) => error.reason(),
        }
    }

    /// Whether Flink said that the thing asked for is not there.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

impl From<FlinkError> for ReadError {
    /// What a trigger makes of it. Only classes are repeated, which do not change from read to read.
    fn from(error: FlinkError) -> Self {
        match error {
            FlinkError::Read(error) => error,
            FlinkError::NotFound { server, cause } => {
                Self::query(ReadErrorKind::Unavailable, format!("{server}: there is no such thing{}", cause.of_class()))
            }
            FlinkError::Lost { .. } => Self::query(ReadErrorKind::Timeout, error.to_string()),
            FlinkError::Refused { server, status, cause } => {
                let kind = if status < 500 { ReadErrorKind::Config } else { ReadErrorKind::Unavailable };
                Self::query(kind, format!("{server}: refused with status {status}{}", cause.of_class()))
            }
        }
    }
}

impl Cause {
    /// The innermost cause in the body of an error; none if the body is not Flink's.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let Written { errors } = serde_json::from_slice(body).ok()?;
        Some(Self::innermost(&errors))
    }

    /// The last `Caused by:` of all texts, else the first exception, else the first line.
    pub(super) fn innermost(texts: &[String]) -> Self {
        let lines = || texts.iter().flat_map(|text| text.lines());
        let named = |line: &str| Self::named(line.trim());
        let caused = lines().filter_map(|line| named(line.trim_start().strip_prefix("Caused by: ")?)).next_back();
        let first = || lines().find_map(named);
        let plain = || Self { class: String::new(), text: cut(lines().next().unwrap_or_default()) };
        caused.or_else(first).unwrap_or_else(plain)
    }

    /// Reads `package.Class: text`.
    fn named(line: &str) -> Option<Self> {
        let (path, text) = line.split_once(": ").unwrap_or((line, ""));
        let (package, class) = path.rsplit_once('.')?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".$_".contains(&byte));
        let fits = plain(package) && plain(class) && class.starts_with(|first: char| first.is_ascii_uppercase());
        (fits && class.len() <= 100).then(|| Self { class: class.to_owned(), text: cut(text) })
    }

    fn of_class(&self) -> String {
        if self.class.is_empty() { String::new() } else { format!(" ({})", self.class) }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.class.as_str(), self.text.as_str()) {
            ("", "") => f.write_str("no cause is named"),
            ("", text) => f.write_str(text),
            (class, "") => f.write_str(class),
            (class, text) => write!(f, "{class}: {text}"),
        }
    }
}

/// A text that may stand in a status: one line, of limited length, without what is not to be seen.
fn cut(text: &str) -> String {
    let seen = text.chars().filter(|char| !char.is_control());
    let mut short: String = seen.clone().take(LONGEST).collect();
    if seen.count() > LONGEST {
        short.push_str("...");
    }
    short
}

/// What a status that is no success means; `plain` is what it means where the answer is not Flink's own, but a proxy's.
pub(super) fn refusal(server: &str, status: u16, body: &[u8], plain: &ReadError) -> FlinkError {
    let read = |kind, what: &str| FlinkError::Read(ReadError::query(kind, format!("{server}: {what}")));
    match (status, Cause::read(body)) {
        (404, Some(cause)) => FlinkError::NotFound { server: server.to_owned(), cause },
        // It says so while JobManagers agree on a leader: everybody's question fails alike, and soon no more.
        (503, Some(_)) => read(ReadErrorKind::Unavailable, "is electing a leader (status 503)"),
        (400 | 409 | 500, Some(cause)) => FlinkError::Refused { server: server.to_owned(), status, cause },
        _ => read(plain.kind, &plain.message),
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
