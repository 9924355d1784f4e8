//! Clusters of real nodes: keys on every node, keys that move, nodes that fail.

use std::time::Duration;

use futures::future::join_all;
use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::{Endpoints, Scaler};
use tokio::time::{Instant, sleep};

use crate::push::{PUSH, Watched};
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, class, eventually, free_port, length};

/// How long a node is missed before the others call it failed.
const NODE_TIMEOUT: &str = "1500";

const QUERY: ErrorScope = ErrorScope::Query;

/// Three masters with a third of the slots each, and perhaps replicas of the first behind them.
struct Cluster {
    nodes: Vec<Server>,
}

const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

async fn node(more: &[&str]) -> Option<(Server, u16)> {
    // The bus has a port of its own, by default one that may not exist.
    let bus = free_port();
    let bus_port = bus.to_string();
    let base = ["--cluster-enabled", "yes", "--cluster-port", &bus_port, "--cluster-node-timeout", NODE_TIMEOUT];
    let server = Server::start(&[&base, more].concat()).await?;
    Some((server, bus))
}

impl Cluster {
    async fn start(more: &[&str], replicas: usize) -> Option<Self> {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..RANGES.len() + replicas {
            let (server, bus) = node(&[more, &["--cluster-require-full-coverage", "no"]].concat()).await?;
            nodes.push(server);
            buses.push(bus);
        }
        let cluster = Self { nodes };
        for (server, (first, last)) in cluster.nodes.iter().zip(RANGES) {
            server.run::<()>(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
        }
        for (server, bus) in cluster.nodes.iter().zip(&buses).skip(1) {
            cluster.nodes[0].run::<()>(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", server.port)).await;
        }
        eventually("all nodes know all slots", async || {
            for server in &cluster.nodes {
                let text: String = server.run("CLUSTER INFO").await;
                let known = format!("cluster_known_nodes:{}", cluster.nodes.len());
                if !["cluster_state:ok", "cluster_slots_ok:16384", &known].iter().all(|line| text.contains(line)) {
                    return false;
                }
            }
            true
        })
        .await;
        for replica in &cluster.nodes[RANGES.len()..] {
            let first: String = cluster.nodes[0].run("CLUSTER MYID").await;
            replica.run::<()>(&format!("CLUSTER REPLICATE {first}")).await;
            eventually("the replica is in step", async || {
                replica.run::<String>("INFO replication").await.contains("master_link_status:up")
            })
            .await;
        }
        Some(cluster)
    }

    /// The addresses of these nodes.
    fn addresses(&self, nodes: &[usize]) -> String {
        nodes.iter().map(|node| self.nodes[*node].address()).collect::<Vec<_>>().join(",")
    }

    fn list(&self, nodes: &[usize], name: &str) -> Trigger {
        Trigger::of("redis-cluster", &[("addresses", &self.addresses(nodes)), ("listName", name)])
    }

    /// A key of the node, the `number`-th of those that are called alike.
    async fn key(&self, node: usize, number: usize) -> (String, u16) {
        let mut found = 0;
        for index in 0.. {
            let name = format!("jobs-{index}");
            let slot: u16 = self.nodes[0].run(&format!("CLUSTER KEYSLOT {name}")).await;
            if (RANGES[node].0..=RANGES[node].1).contains(&slot) {
                if found == number {
                    return (name, slot);
                }
                found += 1;
            }
        }
        unreachable!("there are endlessly many names")
    }

    /// One list on each node, of 1, 2 and 3 elements.
    async fn lists(&self) -> Vec<String> {
        let mut names = Vec::new();
        for node in 0..RANGES.len() {
            let (name, _) = self.key(node, 0).await;
            for _ in 0..=node {
                self.nodes[node].run::<()>(&format!("RPUSH {name} x")).await;
            }
            names.push(name);
        }
        names
    }

    fn open(&self, names: &[String], endpoints: &Endpoints) -> Vec<Box<dyn Scaler>> {
        names.iter().map(|name| self.list(&[0, 1, 2], name).open(endpoints)).collect()
    }
}

async fn lengths(scalers: &[Box<dyn Scaler>]) -> Vec<Option<i64>> {
    let outcomes = join_all(scalers.iter().map(|scaler| length(&**scaler))).await;
    outcomes.into_iter().map(|outcome| outcome.ok().map(|(count, _)| count)).collect()
}

#[tokio::test]
async fn keys_of_all_nodes_are_read_from_one_address_in_one_pipeline_a_node() {
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let names = cluster.lists().await;
    let endpoints = Endpoints::new();
    let scalers = cluster.open(&names, &endpoints);
    assert_eq!(lengths(&scalers).await, [Some(1), Some(2), Some(3)]);
    for node in 0..3 {
        let one = cluster.list(&[node], &names[2]).read().await;
        assert_eq!(one, Ok((3, true)), "any node tells of all the others");
    }
    let absent = cluster.list(&[0], "{absent}key").read().await;
    assert_eq!(absent, Ok((0, false)), "a key that does not exist holds 0 elements");
    let many: Vec<_> =
        (0..300).map(|index| cluster.list(&[0, 1, 2], &format!("many-{index}")).open(&endpoints)).collect();
    assert!(many.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    let mut before = Vec::new();
    for server in &cluster.nodes {
        before.push(server.info("stats", "total_connections_received").await);
    }
    assert!(lengths(&many).await.iter().all(|count| *count == Some(0)));
    for (server, before) in cluster.nodes.iter().zip(before) {
        let opened = server.info("stats", "total_connections_received").await - before;
        assert_eq!(opened, 1, "that of this look; the 100 reads of the node use the one that is there");
    }
    // A set is found on its node as on a single server.
    cluster.nodes[0].run::<()>(&format!("DEL {}", names[0])).await;
    cluster.nodes[0].run::<()>(&format!("SADD {} a b c d", names[0])).await;
    assert_eq!(lengths(&scalers).await[0], Some(4));
}

#[tokio::test]
async fn streams_are_read_in_every_mode() {
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let (name, _) = cluster.key(1, 0).await;
    let server = &cluster.nodes[1];
    server.run::<()>(&format!("XGROUP CREATE {name} billing 0 MKSTREAM")).await;
    for _ in 0..6 {
        server.run::<()>(&format!("XADD {name} * item x")).await;
    }
    server.run::<redis::Value>(&format!("XREADGROUP GROUP billing worker COUNT 2 STREAMS {name} >")).await;
    let trigger = Trigger::of("redis-cluster-streams", &[("addresses", &cluster.addresses(&[0])), ("stream", &name)]);
    let group = ("consumerGroup", "billing");
    assert_eq!(trigger.read().await, Ok((6, true)));
    assert_eq!(trigger.clone().with(&[group]).read().await, Ok((2, true)));
    assert_eq!(trigger.clone().with(&[group, ("lagCount", "1")]).read().await, Ok((4, true)));
    let unknown = trigger.with(&[("consumerGroup", "nobody")]).read().await;
    assert_eq!(class(unknown), (ReadErrorKind::Config, QUERY));
}

#[tokio::test]
async fn a_key_that_moves_is_read_at_every_moment() {
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let (name, slot) = cluster.key(0, 0).await;
    let (from, to) = (&cluster.nodes[0], &cluster.nodes[1]);
    from.run::<()>(&format!("RPUSH {name} a b")).await;
    let scaler = cluster.list(&[0], &name).open(&Endpoints::new());
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    let (source, target): (String, String) = (from.run("CLUSTER MYID").await, to.run("CLUSTER MYID").await);
    to.run::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}")).await;
    from.run::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}")).await;
    assert_eq!(length(&*scaler).await, Ok((2, true)), "not moved yet");
    from.run::<()>(&format!("MIGRATE 127.0.0.1 {} {name} 0 5000", to.port)).await;
    assert_eq!(length(&*scaler).await, Ok((2, true)), "the key is there, the slot still here (ASK)");
    to.run::<()>(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
    from.run::<()>(&format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
    assert_eq!(length(&*scaler).await, Ok((2, true)), "the slot has gone (MOVED)");
    let before = from.calls("llen").await;
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    assert_eq!(from.calls("llen").await, before, "the new owner is asked at once from then on");
}

#[tokio::test]
async fn a_node_that_stops_costs_its_own_keys_alone() {
    let Some(mut cluster) = Cluster::start(&[], 0).await else { return };
    let names = cluster.lists().await;
    let scalers = cluster.open(&names, &Endpoints::new());
    assert_eq!(lengths(&scalers).await, [Some(1), Some(2), Some(3)]);
    cluster.nodes[2].stop();
    for _ in 0..3 {
        assert_eq!(lengths(&scalers).await, [Some(1), Some(2), None]);
    }
    assert_eq!(class(length(&*scalers[2]).await), (ReadErrorKind::Unavailable, QUERY));
    cluster.nodes[2].start_again().await;
    // It has lost its list: from now on the server itself says 0.
    eventually("the node is read again", async || lengths(&scalers).await == [Some(1), Some(2), Some(0)]).await;
}

#[tokio::test]
async fn a_node_that_hangs_is_a_timeout_of_its_own_keys_and_disturbs_no_other() {
    let Some(cluster) = Cluster::start(&["--cluster-replica-no-failover", "yes"], 0).await else { return };
    let names = cluster.lists().await;
    let scalers = cluster.open(&names, &Endpoints::new());
    assert_eq!(lengths(&scalers).await, [Some(1), Some(2), Some(3)]);
    cluster.nodes[1].hang();
    let (begun, deadline) = (Instant::now(), Duration::from_secs(2));
    let outcomes = join_all(scalers.iter().map(|scaler| scaler.read(Occasion::Poll, deadline))).await;
    assert!(begun.elapsed() < PATIENCE / 6);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, QUERY), "{error}");
    assert!(error.message.contains(&cluster.nodes[1].address()), "{error}");
    cluster.nodes[1].go_on();
    eventually("the node is read again", async || lengths(&scalers).await == [Some(1), Some(2), Some(3)]).await;
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found_and_nothing_is_ever_zero() {
    let Some(mut cluster) = Cluster::start(&[], 1).await else { return };
    let names = cluster.lists().await;
    let endpoints = Endpoints::new();
    let scalers = cluster.open(&names, &endpoints);
    assert_eq!(lengths(&scalers).await, [Some(1), Some(2), Some(3)]);
    // A master holds what comes after a full copy back for up to a second; what the replica lacks it would lose.
    eventually("the replica has the list", async || cluster.nodes[3].run::<i64>("DBSIZE").await == 1).await;
    let push = cluster.list(&[1, 2], &names[0]).with(&[PUSH]);
    let watched = Watched::open(&push, &endpoints).await;
    cluster.nodes[0].stop();
    let until = Instant::now() + PATIENCE;
    loop {
        let read = lengths(&scalers).await;
        assert!(matches!(read[..], [None | Some(1), Some(2), Some(3)]), "{read:?}");
        if read[0] == Some(1) {
            break;
        }
        assert!(Instant::now() < until, "the replica has not taken over");
        sleep(Duration::from_millis(50)).await;
    }
    // What listened to the old master listens to the new one.
    eventually("a push from the new master", async || {
        let before = watched.rest().await;
        cluster.nodes[3].run::<()>(&format!("RPUSH {} x", names[0])).await;
        sleep(Duration::from_millis(500)).await;
        watched.rest().await > before
    })
    .await;
}

#[tokio::test]
async fn changes_wake_on_whatever_node_the_key_is() {
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let endpoints = Endpoints::new();
    for node in 0..3 {
        let (name, _) = cluster.key(node, 1).await;
        let watched = Watched::open(&cluster.list(&[0, 1, 2], &name).with(&[PUSH]), &endpoints).await;
        let before = watched.rest().await;
        cluster.nodes[node].run::<()>(&format!("RPUSH {name} x")).await;
        watched.more_than(before).await;
        assert_eq!(length(&*watched.scaler).await, Ok((1, true)));
    }
}

#[tokio::test]
async fn a_single_server_and_a_cluster_are_not_taken_for_each_other() {
    let Some(single) = Server::start(&[]).await else { return };
    let trigger = Trigger::of("redis-cluster", &[("address", &single.address()), ("listName", "jobs")]);
    let error = trigger.read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Endpoint), "{error}");
    assert!(error.message.ends_with("is not part of a cluster; use the type without -cluster"), "{error}");
    let Some((empty, _)) = node(&[]).await else { return };
    let slotless = Trigger::of("redis-cluster", &[("address", &empty.address()), ("listName", "jobs")]);
    assert_eq!(class(slotless.read().await), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let (name, _) = cluster.key(1, 0).await;
    let error = cluster.nodes[0].trigger(&[("listName", &name)]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, QUERY));
    assert!(error.message.ends_with("the server is part of a cluster; use redis-cluster"), "{error}");
}

#[tokio::test]
async fn users_and_passwords_hold_for_all_nodes_and_are_never_printed() {
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let names = cluster.lists().await;
    for server in &cluster.nodes {
        server.run::<()>("ACL SETUSER scaler on >right resetchannels ~* -@all +llen +cluster|slots").await;
    }
    let with =
        |name: &str, password| cluster.list(&[0, 1, 2], name).auth(&[("username", "scaler"), ("password", password)]);
    for (name, expected) in names.iter().zip(1..) {
        assert_eq!(with(name, "right").read().await, Ok((expected, true)));
    }
    let error = with(&names[0], "canary-hunter2").read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, ErrorScope::Endpoint));
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    // One node that does not know the user: its keys alone have an error.
    cluster.nodes[2].run::<()>("ACL SETUSER scaler resetpass >other").await;
    cluster.nodes[2].run::<i64>("CLIENT KILL USER scaler").await;
    let endpoints = Endpoints::new();
    let scalers: Vec<_> = names.iter().map(|name| with(name, "right").open(&endpoints)).collect();
    let mut outcomes = join_all(scalers.iter().map(|scaler| length(&**scaler))).await;
    assert_eq!(class(outcomes.pop().unwrap()), (ReadErrorKind::Auth, QUERY));
    assert_eq!(outcomes, [Ok((1, true)), Ok((2, true))]);
    // A user who may not see the map.
    cluster.nodes[0].run::<()>("ACL SETUSER blind on >right resetchannels ~* -@all +llen").await;
    let blind = cluster.list(&[0], &names[0]).auth(&[("username", "blind"), ("password", "right")]);
    let error = blind.read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
    assert!(error.message.contains("no permission for CLUSTER SLOTS"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_one_seed_is_enough() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let trigger = Trigger::of("redis-cluster", &[("address", &nowhere), ("listName", "jobs")]);
    assert_eq!(class(trigger.read().await), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    let Some(cluster) = Cluster::start(&[], 0).await else { return };
    let seeds = format!("{nowhere},{}", cluster.addresses(&[2]));
    let trigger = Trigger::of("redis-cluster", &[("addresses", &seeds), ("listName", "jobs")]);
    assert_eq!(trigger.open(&Endpoints::new()).read(Occasion::Poll, DEADLINE).await.map(|all| all.len()), Ok(1));
}
