//! Says what it means for a trigger that the API server, or an API behind it, did not answer as hoped.

use std::time::Duration;

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use crate::kubernetes::calls::Failure;

/// The longest part of an API's own message that is told.
const LONGEST: usize = 300;

/// The text that kube puts where a Status has its reason, if the body was none: then it is no message for people.
const NO_STATUS: &str = "Failed to parse error data";

/// An API that triggers ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// Its group; empty for the core.
    pub(super) group: &'static str,
    /// What serves it, for whoever does not have it.
    pub(super) install: &'static str,
}

/// metrics.k8s.io.
pub(super) const RESOURCE: Served = Served { group: "metrics.k8s.io", install: "install metrics-server" };
/// custom.metrics.k8s.io.
pub(super) const CUSTOM: Served = Served {
    group: "custom.metrics.k8s.io",
    install: "install an adapter that serves custom metrics, such as the one of Prometheus",
};
/// external.metrics.k8s.io.
pub(super) const EXTERNAL: Served = Served {
    group: "external.metrics.k8s.io",
    install: "install an adapter that serves external metrics, such as the one of Prometheus",
};
/// discovery.k8s.io.
pub(super) const DISCOVERY: Served =
    Served { group: "discovery.k8s.io", install: "it is a part of Kubernetes since 1.21 (EndpointSlices)" };

/// What was asked, in the words of permissions.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// The API.
    pub(super) of: Served,
    /// `get` or `list`.
    pub(super) verb: &'static str,
    /// The resource, with a subresource behind a slash: `pods/requests_per_second`.
    pub(super) resource: String,
    /// Where.
    pub(super) namespace: String,
}

/// A question that was not answered.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// What the trigger hears.
    pub(super) error: ReadError,
    /// How long the API wants not to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// Whether it said that there is no such thing.
    pub(super) absent: bool,
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self { error, retry_after: None, absent: false }
    }
}

impl Served {
    /// The whole API is not there.
    pub(super) fn missing(self) -> ReadError {
        let Self { group, install } = self;
        ReadError::endpoint(ReadErrorKind::Unavailable, format!("the API {group} is not served here; {install}"))
    }
}

impl Question {
    /// A question to this API about a namespace.
    pub(super) fn new(of: Served, verb: &'static str, resource: impl Into<String>, namespace: &str) -> Self {
        Self { of, verb, resource: resource.into(), namespace: namespace.to_owned() }
    }

    /// `pods.metrics.k8s.io in namespace shop`; the group stands behind the resource, before its subresource.
    pub(super) fn named(&self) -> String {
        let (resource, below) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let dot = if self.of.group.is_empty() { "" } else { "." };
        let slash = if below.is_empty() { "" } else { "/" };
        let place = if self.namespace.is_empty() { String::new() } else { format!(" in namespace {}", self.namespace) };
        format!("{resource}{dot}{}{slash}{below}{place}", self.of.group)
    }

    /// What a failure of it means.
    pub(super) fn refusal(&self, failure: &Failure) -> Refusal {
        let error = match failure {
            Failure::Timeout(limit) => {
                let what = format!("{} of {} was not answered within {limit:?}", self.verb, self.named());
                ReadError::query(ReadErrorKind::Timeout, what)
            }
            Failure::Answer(kube::Error::SerdeError(why)) => self.malformed(&why.to_string()),
            Failure::Answer(kube::Error::Api(_)) => self.answered(failure),
            Failure::Answer(_) => ReadError::endpoint(ReadErrorKind::Unavailable, failure.to_string()),
        };
        Refusal { error, retry_after: failure.retry_after(), absent: failure.is_not_found() }
    }

    /// An answer that cannot be understood.
    pub(super) fn malformed(&self, why: &str) -> ReadError {
        let what = format!("the answer to {} of {} cannot be read: {}", self.verb, self.named(), short(why));
        ReadError::query(ReadErrorKind::Protocol, what)
    }

    fn answered(&self, failure: &Failure) -> ReadError {
        let (verb, named, why) = (self.verb, self.named(), reason(failure));
        let Served { group, install } = self.of;
        let code = failure.code().unwrap_or_default();
        match code {
            401 => ReadError::endpoint(
                ReadErrorKind::Auth,
                format!("the API server does not know who asks for {named}: {why}"),
            ),
            403 => ReadError::query(
                ReadErrorKind::Auth,
                format!("{verb} of {named} is forbidden; the role needs it (`tidegate rbac` prints it): {why}"),
            ),
            404 => ReadError::query(ReadErrorKind::Unavailable, format!("{verb} of {named}: {why}")),
            429 => ReadError::query(
                ReadErrorKind::Unavailable,
                format!("{verb} of {named}: the server is busy and asks for patience"),
            ),
            503 if !group.is_empty() => ReadError::endpoint(
                ReadErrorKind::Unavailable,
                format!("the API {group} has no server that answers; see `kubectl get apiservices`, or {install}"),
            ),
            500.. => ReadError::query(ReadErrorKind::Unavailable, format!("{verb} of {named} failed: {why}")),
            _ => ReadError::query(ReadErrorKind::Protocol, format!("{verb} of {named} was refused: {why}")),
        }
    }
}

/// What the Status says; the bodies of other answers are not told.
fn reason(failure: &Failure) -> String {
    let Failure::Answer(kube::Error::Api(status)) = failure else { return String::new() };
    if status.message.is_empty() || status.reason == NO_STATUS {
        return format!("the answer was {}", status.code);
    }
    short(&status.message)
}

/// One line of a text, and not too much of it.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let begin: String = line.chars().take(LONGEST).collect();
    format!("{begin}...")
}
