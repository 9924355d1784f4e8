//! Calls to the API server that always end, and what their failures mean.

use std::time::Duration;

use kube::core::ApiResource;

use super::courtesy;

/// How long one call may take.
pub(in crate::kubernetes) const CALL: Duration = Duration::from_secs(5);

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(in crate::kubernetes) enum Failure {
    /// No answer came in time: it may have had its effect.
    #[error("no answer came within {0:?}")]
    Timeout(Duration),
    /// The API server said no, or could not be reached.
    #[error("{}", text(.0))]
    Answer(#[from] kube::Error),
}

impl Failure {
    /// The HTTP status of the answer; none if there was no answer.
    pub(in crate::kubernetes) fn code(&self) -> Option<u16> {
        match self {
            Self::Answer(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// 404.
    pub(in crate::kubernetes) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// How long the API server wants not to be asked again; none if it did not say.
    pub(in crate::kubernetes) fn retry_after(&self) -> Option<Duration> {
        let Self::Answer(kube::Error::Api(status)) = self else { return None };
        courtesy::asked(status)
    }

    /// `cannot get deployments.apps: ...`
    pub(in crate::kubernetes) fn because(&self, what: &str) -> String {
        format!("{what}: {self}")
    }
}

/// What kube says of an error, without its Debug form.
pub(in crate::kubernetes) fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("the API server answered {}", status.code),
        kube::Error::Api(status) => status.message.clone(),
        // The outer errors only say of which layer they are.
        other => {
            let mut innermost: &dyn std::error::Error = other;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            format!("the API server cannot be reached: {innermost}")
        }
    }
}

/// The answer of a call, if it comes within `limit`.
pub(in crate::kubernetes) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(Failure::Answer),
        Err(_) => Err(Failure::Timeout(limit)),
    }
}

/// `deployments.apps`, as permissions name a resource; the core group has no name.
pub(in crate::kubernetes) fn name(resource: &ApiResource) -> String {
    if resource.group.is_empty() { resource.plural.clone() } else { format!("{}.{}", resource.plural, resource.group) }
}
