//! Talks to a Flink JobManager over its REST API.
//!
//! One file a family of answers, each with its types and the questions that they answer: [`cluster`] (slots, TaskManagers, settings), [`jobs`]
//! (which jobs there are, what they run), [`checkpoints`], [`requirements`] (how much parallelism a job asks for), [`rescales`] (what the
//! adaptive scheduler did) and [`metrics`]. [`inspect`] puts together what an operation wants to know.
//!
//! What changes something is an order and has files of its own: [`snapshots`] (checkpoints, savepoints, stops), [`jars`] and [`changes`]. How
//! orders are given, and what their failures mean, is in [`orders`]. What goes wrong is a [`FlinkError`] ([`errors`]); how Flink writes numbers is in `numbers`.
//!
//! Answers are read with tolerance, because they differ between versions and states: unknown keys are passed over, what a version does not
//! say is `None`, `"NaN"` and the greatest integer stand for "nothing". What Flink does not know is never a zero here, where it can be told.

pub mod changes;
pub mod checkpoints;
pub mod cluster;
pub mod errors;
pub mod ids;
pub mod inspect;
pub mod jars;
pub mod jobs;
pub mod metrics;
mod numbers;
pub mod orders;
pub mod requirements;
pub mod rescales;
pub mod snapshots;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;
use tidegate_calculator::source::{
    ConfigError, Deadline, EndpointId, Problem, ReadError, ReadErrorKind, Secret, TriggerSpec,
};

use crate::endpoint::Endpoints;
use crate::http::address::{Address, shown};
use crate::http::{Access, Request, ServerHandle, authentication, named, with_authentication};
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Known, Parameter, Values};

pub use errors::{Cause, FlinkError};
pub use ids::{JobId, VertexId};
pub use snapshots::{Progress, TriggerId};

/// The JobManager's address, which a trigger and a hook name alike.
pub(super) const REST_URL: Parameter = Parameter::new(
    &["restUrl"],
    &[Metadata],
    Kind::Text,
    "The URL of the JobManager's REST API, with the path before /jobs if there is one.",
)
.required();

/// What [`FlinkClient::open`] understands: the address and every way of saying who we are.
const CONNECTION: &[Parameter] = &with_authentication::<20>(&[REST_URL]);

/// One JobManager, or several behind one address. It connects at the first question; equal ones of the same moment are asked once.
pub struct FlinkClient {
    server: ServerHandle,
    base: Url,
    name: String,
    hold: Duration,
}

impl FlinkClient {
    /// A client of the JobManager that `metadata` names under `restUrl`, with the parameters of the trigger's authentication (`authModes`,
    /// `unsafeSsl`) beside it; `auth` is what an authentication provides. Its answers are never older than the question.
    ///
    /// # Errors
    ///
    /// All that is wrong with the parameters, as paths of a trigger.
    pub fn open(
        metadata: &BTreeMap<String, String>,
        auth: &BTreeMap<String, Secret>,
        endpoints: &Endpoints,
    ) -> Result<Self, ConfigError> {
        let spec = TriggerSpec { kind: "flink".to_owned(), metadata: metadata.clone(), ..TriggerSpec::default() };
        let values = Values::resolve(&spec, CONNECTION, Known::Values(&BTreeMap::new()), Known::Values(auth));
        let mut problems = values.errors.clone();
        let address = address(&values).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        problems.extend(authentication::check(&values, address.as_ref().map(|address| &address.url)).0);
        let access = address.as_ref().and_then(|address| authentication::access(&values, address));
        match (address, access) {
            (Some(address), Some(access)) if problems.is_empty() => {
                Ok(Self::new(endpoints, &address.url, &access, Duration::ZERO))
            }
            _ if problems.is_empty() => Err(ConfigError::one("metadata", None, "is not complete")),
            _ => Err(ConfigError { problems }),
        }
    }

    /// A client whose answers may serve equal questions for `hold`.
    pub(super) fn new(endpoints: &Endpoints, url: &Url, access: &Access, hold: Duration) -> Self {
        let server = ServerHandle::open(endpoints, url, access);
        Self { server, base: url.clone(), name: format!("Flink at {}", shown(url)), hold }
    }

    /// The same, and what is asked through it is counted for this metric of this trigger.
    pub(super) fn counting(self, spec: &TriggerSpec, metric: &str) -> Self {
        Self { server: self.server.counting(spec, metric), ..self }
    }

    /// What everything that asks this JobManager with the same credentials has in common.
    pub fn id(&self) -> EndpointId {
        self.server.id()
    }

    /// What messages call it: `Flink at http://flink-jobmanager:8081`. Nothing of it is a secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks one question and reads the answer. `path` has no secrets in it, and only ids and names that were looked at.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, patience: Deadline) -> Result<T, FlinkError> {
        self.ask(path, &[], patience).await
    }

    /// The same with what stands in the query of the URL.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        patience: Deadline,
    ) -> Result<T, FlinkError> {
        let request =
            Request { url: self.url(path, query), headers: Vec::new(), accept: "application/json", hold: self.hold };
        let read = |error: ReadError| FlinkError::Read(named(&self.name, &error));
        let reply = self.server.get(request, patience).await.map_err(read)?;
        if reply.status != StatusCode::OK {
            return Err(errors::refusal(&self.name, reply.status.as_u16(), &reply.body, &reply.failure()));
        }
        serde_json::from_slice(&reply.body).map_err(|_| {
            let what = "the answer is not one of a Flink; is this the address of a JobManager's REST API?";
            read(ReadError::query(ReadErrorKind::Protocol, what))
        })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        let whole = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Debug for FlinkClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlinkClient").field(&self.name).finish()
    }
}

/// The address that is given; none if it is not seen.
pub(super) fn address(values: &Values) -> Result<Option<Address>, Problem> {
    let address = Address::of(values, &REST_URL)?;
    if address.as_ref().is_some_and(|address| address.url.query().is_some()) {
        return Err(values.problem(&REST_URL, "has a query, which an address cannot have"));
    }
    Ok(address)
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod samples_tests;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
