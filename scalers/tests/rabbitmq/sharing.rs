//! What is shared, and that nothing is left behind.

use std::time::Duration;

use futures::future::join_all;
use tidegate_scalers::Endpoints;
use tokio::time::sleep;

use crate::server::Plan;
use crate::trigger::{Trigger, eventually, own, value};

/// The name of our connections, as the server shows it.
const OURS: &str = "tidegate";

/// How many files and sockets this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn many_triggers_share_one_connection_a_virtual_host_and_nothing_is_left_of_it() {
    let Some(server) = own(&Plan::default()) else { return };
    server.add_vhost("one");
    server.add_vhost("two");
    let endpoints = Endpoints::new();
    let mut scalers = Vec::new();
    for vhost in ["one", "two"] {
        for number in 0..50 {
            server.add_queue(vhost, &format!("q{number}"));
            scalers.push(Trigger::new(&server.amqp(vhost), &format!("q{number}")).open(&endpoints));
        }
    }
    let outcomes = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok((0, false))), "{outcomes:?}");
    assert_eq!(scalers[0].endpoint(), scalers[49].endpoint());
    assert_ne!(scalers[0].endpoint(), scalers[50].endpoint());
    eventually("two connections are shown", async || server.connections(OURS) == 2).await;
    drop(scalers);
    // A second set of endpoints, so that each round connects anew: what it leaves behind would be counted.
    let begun = descriptors();
    for round in 0..100 {
        let scaler = Trigger::new(&server.amqp("one"), "q1").open(&Endpoints::new());
        assert_eq!(value(&*scaler).await, Ok((0, false)), "round {round}");
        let scaler = Trigger::new(&server.amqp("one"), "q1").open(&endpoints);
        assert_eq!(value(&*scaler).await, Ok((0, false)), "round {round}");
    }
    // Connections outlive their last user by 30 s, and then they are gone.
    eventually("no connection is left", async || {
        sleep(Duration::from_secs(1)).await;
        server.connections(OURS) == 0
    })
    .await;
    eventually("no descriptor is left", async || descriptors() <= begun).await;
}

#[tokio::test]
async fn a_connection_is_kept_over_a_rest_by_signs_of_life() {
    // After 4 s without one the server would close it.
    let Some(server) = own(&Plan { settings: "heartbeat = 2\n".to_owned(), ..Plan::default() }) else { return };
    server.add_queue("%2F", "jobs");
    let scaler = Trigger::new(&server.amqp("%2F"), "jobs").open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, Ok((0, false)));
    // A connection is named by its two addresses.
    let shown = || server.api("GET", "/connections?columns=name", "").1;
    eventually("the connection is shown", async || shown().contains("name")).await;
    let first = shown();
    for _ in 0..12 {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(value(&*scaler).await, Ok((0, false)));
    assert_eq!(shown(), first);
}

#[tokio::test]
async fn http_triggers_opened_again_and_again_share_their_connections() {
    let Some(server) = own(&Plan::default()) else { return };
    server.add_queue("%2F", "jobs");
    Trigger::new(&server.http("%2F"), "jobs").eventually((0, false)).await;
    let endpoints = Endpoints::new();
    let read = async || {
        let scaler = Trigger::new(&server.http("%2F"), "jobs").open(&endpoints);
        assert_eq!(value(&*scaler).await, Ok((0, false)));
    };
    read().await;
    let sockets = || connections_to(server.ports.http);
    let begun = sockets();
    for _ in 0..100 {
        read().await;
    }
    assert!(sockets() <= begun, "{} sockets, at first {begun}", sockets());
}

/// How many sockets are connected to a port of this machine.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (wanted, established) = (format!(":{port:04X}"), "01");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&wanted) && row[3] == established).count()
}
