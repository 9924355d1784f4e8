//! Which version of custom.metrics.k8s.io is served here.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::Client;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::refusal::{CUSTOM, Question, Refusal};
use super::shared::{Api, Shared};
use super::wire;
use crate::kubernetes::calls::CALL;

/// How long what was found is believed.
const LIFE: Duration = Duration::from_mins(10);
/// After an answer "not found" it is looked for anew, unless it was found this short a time ago.
const DOUBT: Duration = Duration::from_secs(10);
/// What is understood, the best first.
const UNDERSTOOD: [&str; 2] = ["v1beta2", "v1beta1"];

/// The version of custom.metrics.k8s.io.
#[derive(Clone)]
pub(super) struct Versions {
    client: Client,
    known: Shared<(), &'static str>,
}

impl Versions {
    /// Asks this API server.
    pub(super) fn new(client: Client) -> Self {
        // Of its own: what waits for the version takes room in the API of the metrics.
        Self { client, known: Shared::new(&Api::new()) }
    }

    /// The version to ask in.
    ///
    /// # Errors
    /// If the API is not served, not in a version that is understood, or this cannot be told now.
    pub(super) async fn get(&self) -> Result<&'static str, ReadError> {
        self.known.ask((), LIFE, CALL, || find(self.client.clone())).await.map(|version| *version)
    }

    /// Something was not found: the version may be another one by now.
    pub(super) fn doubt(&self) {
        self.known.doubt(&(), DOUBT);
    }
}

async fn find(client: Client) -> Result<&'static str, Refusal> {
    let group: APIGroup = wire::get(&client, &wire::path(&["apis", CUSTOM.group], &[])).await.map_err(|failure| {
        let mut refusal = Question::new(CUSTOM, "get", "versions", "").refusal(&failure);
        if refusal.absent {
            refusal.error = CUSTOM.missing();
        }
        refusal
    })?;
    choose(&group).map_err(Refusal::from)
}

fn choose(group: &APIGroup) -> Result<&'static str, ReadError> {
    let served: Vec<&str> = group.versions.iter().map(|version| version.version.as_str()).collect();
    UNDERSTOOD.into_iter().find(|version| served.contains(version)).ok_or_else(|| {
        let what =
            format!("the API {} is served as {}; understood are v1beta2 and v1beta1", CUSTOM.group, served.join(", "));
        ReadError::endpoint(ReadErrorKind::Protocol, what)
    })
}
