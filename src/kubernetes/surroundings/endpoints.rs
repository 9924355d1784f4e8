//! The addresses behind a Service, from its EndpointSlices: one list of them for all who ask about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tidegate_calculator::source::{Deadline, ReadError};
use tidegate_scalers::ServiceEndpoint;

use super::refusal::{DISCOVERY, Question, Refusal};
use super::shared::{Api, Shared};
use super::wire::{self, Slice, Slices};

/// The version that every API server with EndpointSlices serves.
const VERSION: &str = "v1";
/// The label that names a slice's Service.
const LABEL: &str = "kubernetes.io/service-name";

/// A namespace and a Service in it.
type Key = (Arc<str>, Arc<str>);

/// The endpoints of all Services that somebody asks about.
#[derive(Clone)]
pub(super) struct Endpoints {
    client: Client,
    life: Duration,
    known: Shared<Key, Vec<ServiceEndpoint>>,
}

impl Endpoints {
    /// Asks this API server; an answer is given to all who ask within `life`.
    pub(super) fn new(client: Client, life: Duration) -> Self {
        Self { client, life, known: Shared::new(&Api::new()) }
    }

    /// The ready endpoints of a Service, each address once.
    ///
    /// # Errors
    /// If the API does not answer, or not in a way that can be understood.
    pub(super) async fn of(
        &self,
        namespace: &str,
        service: &str,
        deadline: Deadline,
    ) -> Result<Vec<ServiceEndpoint>, ReadError> {
        let key: Key = (namespace.into(), service.into());
        let question = || list(self.client.clone(), key.clone());
        self.known.ask(key.clone(), self.life, deadline, question).await.map(|endpoints| endpoints.to_vec())
    }
}

async fn list(client: Client, (namespace, service): Key) -> Result<Vec<ServiceEndpoint>, Refusal> {
    let question = Question::new(DISCOVERY, "list", "endpointslices", &namespace);
    let path = wire::path(
        &["apis", DISCOVERY.group, VERSION, "namespaces", &namespace, "endpointslices"],
        &[("labelSelector", &format!("{LABEL}={service}"))],
    );
    let list: Slices = wire::get(&client, &path).await.map_err(|failure| {
        let mut refusal = question.refusal(&failure);
        if refusal.absent {
            // A list of a namespace is never absent: the API is.
            refusal.error = DISCOVERY.missing();
        }
        refusal
    })?;
    Ok(ready(&list.items))
}

/// The ready endpoints of a Service's slices. An endpoint may stand in two of them while it moves from one to the other. Of a Service with
/// two families of addresses every pod has one of each, and is told once: by its IPv4 address.
fn ready(slices: &[Slice]) -> Vec<ServiceEndpoint> {
    let two =
        slices.iter().any(|slice| slice.address_type == "IPv4" && slice.endpoints.iter().any(wire::Endpoint::is_ready));
    let mut ports: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| !two || slice.address_type != "IPv6") {
        // All addresses of one endpoint lead to the same place.
        let addresses = slice.endpoints.iter().filter(|endpoint| endpoint.is_ready());
        for address in addresses.filter_map(|endpoint| endpoint.addresses.first()) {
            ports.entry(address).or_default().extend(slice.ports.iter().filter_map(|port| port.port));
        }
    }
    let endpoint = |(address, ports): (&str, BTreeSet<u16>)| ServiceEndpoint {
        address: address.to_owned(),
        ports: ports.into_iter().collect(),
    };
    ports.into_iter().map(endpoint).collect()
}
