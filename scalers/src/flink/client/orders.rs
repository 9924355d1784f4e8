//! The half of the client that changes something: how an order is given, and what its failure means for an operation.
//!
//! Every order is sent once. One that is lost is told as [`FlinkError::Lost`], and whoever gave it looks at what it did before giving it
//! again. What can be done about a failure is its [`Class`]: of an answer by status and cause ([`FlinkError::class`]), of a snapshot by the
//! trace that Flink gives as its cause ([`class_of_snapshot`]).

use bytes::Bytes;
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_calculator::operation::{Class, Failure};
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind};

use super::{Cause, FlinkClient, FlinkError, errors};
use crate::http::{Order, named, orders};

/// The longest answer to an order, in bytes: a plan of a large job, or a trace.
const LONGEST: usize = 4 * 1024 * 1024;

/// What goes out with an order.
pub(super) struct Content {
    kind: String,
    bytes: Bytes,
}

impl Content {
    /// A body in JSON.
    pub(super) fn json(body: &impl Serialize) -> Self {
        // What is sent are texts, numbers and maps with texts as keys, which can always be written.
        Self { kind: "application/json".to_owned(), bytes: serde_json::to_vec(body).unwrap_or_default().into() }
    }

    /// One file of a form. `name` must be one that [`FlinkClient::segment`] takes.
    pub(super) fn file(field: &str, name: &str, bytes: &[u8]) -> Self {
        let edge = edge(bytes);
        let head = format!(
            "--{edge}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/java-archive\r\n\r\n"
        );
        let tail = format!("\r\n--{edge}--\r\n");
        let whole = [head.as_bytes(), bytes, tail.as_bytes()].concat();
        Self { kind: format!("multipart/form-data; boundary={edge}"), bytes: whole.into() }
    }
}

/// A text that does not occur in a file.
fn edge(bytes: &[u8]) -> String {
    let mut edge = "tidegate-edge".to_owned();
    while bytes.windows(edge.len()).any(|part| part == edge.as_bytes()) {
        edge.push('-');
        edge.push('x');
    }
    edge
}

impl FlinkClient {
    /// Gives one order and reads the answer.
    pub(super) async fn order<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: Content,
        patience: Deadline,
    ) -> Result<T, FlinkError> {
        self.order_at(method, self.url(path, &[]), content, patience).await
    }

    /// The same at a whole address of this JobManager.
    pub(super) async fn order_at<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        content: Content,
        patience: Deadline,
    ) -> Result<T, FlinkError> {
        let order = Order {
            method,
            url,
            headers: Vec::new(),
            accept: "application/json",
            body: Some((content.kind, content.bytes)),
            longest: LONGEST,
        };
        let lost = |what: &str| FlinkError::Lost { server: self.name.clone(), what: what.to_owned() };
        let reply = self.server.order(order, patience).await.map_err(|missed| match missed.class() {
            Class::Lost => lost(&missed.error.message),
            _ => FlinkError::Read(named(&self.name, &missed.error)),
        })?;
        if matches!(reply.status, StatusCode::OK | StatusCode::ACCEPTED) {
            // It was obeyed; what it gave is not known.
            return serde_json::from_slice(&reply.body).map_err(|_| lost("the answer is not one of a Flink"));
        }
        let failure = reply.failure();
        let error = errors::refusal(&self.name, reply.status.as_u16(), &reply.body, &failure);
        // A proxy that gave up waiting may have passed it on; so may a JobManager that waited for another part of itself.
        let unclear = match &error {
            FlinkError::Read(_) => orders::refused(reply.status, &failure) == Class::Lost,
            FlinkError::Refused { cause, .. } => is_timeout(cause),
            _ => false,
        };
        Err(if unclear { lost(&error.to_string()) } else { error })
    }

    /// What cannot be asked of this Flink at all.
    pub(super) fn unfit(&self, what: &str) -> FlinkError {
        FlinkError::Read(ReadError::query(ReadErrorKind::Config, format!("{}: {what}", self.name)))
    }
}

impl FlinkError {
    /// What can be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Lost { .. } => Class::Lost,
            Self::Read(error) => orders::class(error),
            Self::NotFound { cause, .. } if is_gone(&cause.class) => Class::Gone,
            // A part of the API that this version does not have, or that somebody turned off.
            Self::NotFound { .. } => Class::Config,
            Self::Refused { status, cause, .. } => class_of_refusal(*status, cause),
        }
    }
}

impl From<&FlinkError> for Failure {
    fn from(error: &FlinkError) -> Self {
        Self::new(error.class(), &error.to_string())
    }
}

impl From<FlinkError> for Failure {
    fn from(error: FlinkError) -> Self {
        Self::from(&error)
    }
}

fn class_of_refusal(status: u16, cause: &Cause) -> Class {
    let Cause { class, text } = cause;
    if is_duplicate(class) || status == 409 {
        Class::Conflict
    } else if is_gone(class) || (text.starts_with("Jar file ") && text.ends_with(" does not exist")) {
        Class::Gone
    } else if is_timeout(cause) {
        Class::Unavailable
    } else if status < 500 || class == "UnsupportedOperationException" {
        Class::Config
    } else {
        class_of_cause(cause)
    }
}

/// A submission under an id that is in use or was used: `DuplicateApplicationSubmissionException` (2.3), `DuplicateJobSubmissionException`
/// (before).
fn is_duplicate(class: &str) -> bool {
    class.starts_with("Duplicate") && class.ends_with("SubmissionException")
}

fn is_gone(class: &str) -> bool {
    ["FlinkJobNotFoundException", "JobNotFoundException", "FlinkJobTerminatedWithoutCancellationException"]
        .contains(&class)
}

fn is_timeout(cause: &Cause) -> bool {
    ["TimeoutException", "AskTimeoutException"].contains(&cause.class.as_str())
}

/// What can be done about a snapshot that failed, by the trace that Flink gives.
pub(super) fn class_of_snapshot(trace: &str) -> Failure {
    let cause = Cause::innermost(&[trace.to_owned()]);
    let text = cause.to_string();
    if trace.contains("StopWithSavepointStoppingException") {
        return Failure { path: created_at(trace), ..Failure::new(Class::Stopping, &text) };
    }
    Failure::new(class_of_cause(&cause), &text)
}

/// Of what a cause is the kind, whoever gave it.
fn class_of_cause(Cause { class, text }: &Cause) -> Class {
    const RESTARTING: [&str; 4] = [
        "Checkpoint Coordinator is suspending",
        "is not being executed at the moment",
        "currently not executing",
        "is not a streaming job",
    ];
    const CONFIG: [&str; 4] = [
        "Failed to create savepoint directory",
        "No savepoint directory configured",
        "savepoint directory nor",
        "Mkdirs failed",
    ];
    const DENIED: [&str; 4] = [
        "UnsupportedFileSystemSchemeException",
        "AccessDeniedException",
        "AccessControlException",
        "AmazonS3Exception",
    ];
    if is_gone(class) {
        Class::Gone
    } else if RESTARTING.iter().any(|part| text.contains(part)) {
        Class::Restarting
    } else if DENIED.contains(&class.as_str()) || CONFIG.iter().any(|part| text.contains(part)) {
        Class::Config
    } else {
        Class::Transient
    }
}

/// The path in "A savepoint has been created at: PATH, but the corresponding job ...".
fn created_at(trace: &str) -> Option<String> {
    let (_, after) = trace.split_once("savepoint has been created at: ")?;
    let path = after.split([',', ' ', '\n']).next()?;
    (!path.is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
