//! What the driver's monitors see of the servers, as they tell it in events.
//!
//! The driver itself says only that no server was found in time; whether one refuses connections, shows a wrong
//! certificate or is silent stands in the events of its monitors.

use std::collections::HashMap;
use std::sync::Arc;

use mongodb::event::sdam::SdamEvent;
use mongodb::options::ServerAddress;
use mongodb::{ServerType, TopologyType};
use tidegate_calculator::source::ReadError;
use tokio::sync::watch;

use super::errors;

/// A server that fails so often in a row is down. The first failure may be that of a connection which was cut while it
/// was idle; the driver tries again at once then.
const DOWN: u64 = 2;

/// One server of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) address: ServerAddress,
    /// What it is; `Unknown` until it has answered, and while it does not.
    pub(super) role: ServerType,
    /// How often it has failed in a row.
    failures: u64,
    /// Why, the last time.
    pub(super) failure: Option<ReadError>,
}

/// All servers, in the order of their addresses.
#[derive(Clone, Debug)]
pub(super) struct Sight(watch::Receiver<Vec<Seen>>);

/// How often each server had failed at some moment.
pub(super) type Tally = HashMap<ServerAddress, u64>;

impl Sight {
    /// A sight of nothing yet, and what to tell the events to. `name` is what the servers are called in messages.
    pub(super) fn new(name: Arc<str>) -> (Self, Arc<dyn Fn(SdamEvent) + Send + Sync>) {
        let (sender, receiver) = watch::channel(Vec::new());
        let tell = move |event: SdamEvent| sender.send_modify(|servers| heed(servers, event, &name));
        (Self(receiver), Arc::new(tell))
    }

    /// See [`Tally`].
    pub(super) fn tally(&self) -> Tally {
        self.0.borrow().iter().map(|server| (server.address.clone(), server.failures)).collect()
    }

    /// Why all servers are down, if they are; one failure since the last success is enough.
    pub(super) fn failing(&self) -> Option<ReadError> {
        let servers = self.0.borrow();
        let all = !servers.is_empty() && servers.iter().all(|server| server.failure.is_some());
        servers.first().filter(|_| all).and_then(|server| server.failure.clone())
    }

    /// Whether some server is well, so that a failure is not that of the whole cluster.
    pub(super) fn any_well(&self) -> bool {
        self.0.borrow().iter().any(|server| server.role != ServerType::Unknown)
    }

    /// Waits until all servers have failed since `before`, and says why.
    pub(super) async fn down(mut self, before: Tally) -> ReadError {
        let is_down = |server: &Seen| server.failures >= before.get(&server.address).copied().unwrap_or(0) + DOWN;
        let all = |servers: &Vec<Seen>| !servers.is_empty() && servers.iter().all(is_down);
        let failure = match self.0.wait_for(all).await {
            Ok(servers) => servers.first().and_then(|server| server.failure.clone()),
            Err(_) => None,
        };
        match failure {
            Some(failure) => failure,
            // The client has ended; whoever waits for it learns that from it.
            None => std::future::pending().await,
        }
    }

    /// Waits until every server has answered or failed.
    pub(super) async fn settled(mut self) -> Vec<Seen> {
        let known = |server: &Seen| server.role != ServerType::Unknown || server.failure.is_some();
        let all = |servers: &Vec<Seen>| !servers.is_empty() && servers.iter().all(known);
        let servers = self.0.wait_for(all).await.map(|servers| servers.clone()).ok();
        match servers {
            Some(servers) => servers,
            None => std::future::pending().await,
        }
    }
}

fn heed(servers: &mut Vec<Seen>, event: SdamEvent, name: &str) {
    match event {
        SdamEvent::TopologyDescriptionChanged(change) => {
            let topology = &change.new_description;
            let balanced = topology.topology_type() == TopologyType::LoadBalanced;
            let mut now: Vec<Seen> = topology
                .servers()
                .iter()
                .map(|(address, server)| {
                    let before = servers.iter().find(|seen| seen.address == **address);
                    let role = if balanced { ServerType::LoadBalancer } else { server.server_type() };
                    let failed = before.filter(|_| role == ServerType::Unknown);
                    Seen {
                        address: (*address).clone(),
                        role,
                        failures: failed.map_or(0, |seen| seen.failures),
                        failure: failed.and_then(|seen| seen.failure.clone()),
                    }
                })
                .collect();
            now.sort_by_key(|seen| seen.address.to_string());
            *servers = now;
        }
        SdamEvent::ServerHeartbeatFailed(failed) => {
            for server in servers.iter_mut().filter(|server| server.address == failed.server_address) {
                server.failures += 1;
                server.failure = Some(errors::endpoint(name, &failed.failure));
            }
        }
        SdamEvent::ServerHeartbeatSucceeded(well) => {
            for server in servers.iter_mut().filter(|server| server.address == well.server_address) {
                server.failures = 0;
                server.failure = None;
            }
        }
        _ => {}
    }
}
