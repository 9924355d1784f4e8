//! Streams on a stand-alone server: their length, what is pending in a group, and the lag of a group.

use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;

use crate::push::{PUSH, Watched};
use crate::server::{DEADLINE, Server, Trigger, class, length};

type Metadata<'a> = &'a [(&'a str, &'a str)];

const GROUP: (&str, &str) = ("consumerGroup", "billing");
const LAG: (&str, &str) = ("lagCount", "5");

fn stream(server: &Server, metadata: &[(&str, &str)]) -> Trigger {
    let base = [("address", server.address()), ("stream", "orders".to_owned())];
    let base: Vec<(&str, &str)> = base.iter().map(|(key, text)| (*key, text.as_str())).collect();
    Trigger::of("redis-streams", &base).with(metadata)
}

/// Ten entries with the ids 1-1 to 10-1.
async fn fill(server: &Server) {
    for id in 1..=10 {
        server.run::<()>(&format!("XADD orders {id}-1 item x")).await;
    }
}

#[tokio::test]
async fn each_mode_reads_its_own_number() {
    let Some(server) = Server::start(&[]).await else { return };
    let endpoints = Endpoints::new();
    let open = |metadata: &[(&str, &str)]| stream(&server, metadata).open(&endpoints);
    let (entries, pending, lag) = (open(&[]), open(&[GROUP]), open(&[GROUP, LAG]));
    assert_eq!(length(&*entries).await, Ok((0, false)), "a stream that does not exist has no entries");
    assert_eq!(length(&*lag).await, Ok((0, false)), "and nothing in it waits");
    let config = (ReadErrorKind::Config, ErrorScope::Query);
    assert_eq!(class(length(&*pending).await), config, "but what is pending is unknown");
    fill(&server).await;
    assert_eq!(length(&*entries).await, Ok((10, true)));
    assert_eq!(length(&*lag).await, Ok((10, true)), "all of the stream is before a group that does not exist");
    assert_eq!(class(length(&*pending).await), config);
    server.run::<()>("XGROUP CREATE orders billing 0").await;
    assert_eq!(length(&*pending).await, Ok((0, false)), "an empty group states 0");
    server.run::<redis::Value>("XREADGROUP GROUP billing worker COUNT 4 STREAMS orders >").await;
    server.run::<i64>("XACK orders billing 1-1").await;
    // Of ten, four were given and one of those was acknowledged.
    assert_eq!(length(&*entries).await, Ok((10, true)));
    assert_eq!(length(&*pending).await, Ok((3, true)));
    assert_eq!(length(&*lag).await, Ok((6, true)));
    server.run::<redis::Value>("XREADGROUP GROUP billing worker STREAMS orders >").await;
    assert_eq!(length(&*lag).await, Ok((0, false)));
    let ids = [&entries, &pending, &lag, &server.trigger(&[]).open(&endpoints)].map(|scaler| scaler.endpoint());
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "lists and streams of a server share its connection");
}

#[tokio::test]
async fn metrics_are_named_and_compared_as_in_keda() {
    let Some(server) = Server::start(&[]).await else { return };
    let scaler = stream(&server, &[("streamLength", "7"), ("activationLagCount", "2")]).open(&Endpoints::new());
    for expected in [(1, false), (2, false), (3, true)] {
        server.run::<()>("XADD orders * item x").await;
        assert_eq!(length(&*scaler).await, Ok(expected), "activationLagCount holds for every mode");
    }
    let (metric, _) = scaler.read(Occasion::Poll, DEADLINE).await.unwrap().remove(0);
    assert_eq!((metric.name.as_str(), metric.target.to_string().as_str()), ("s0-redis-streams-orders", "7"));
}

/// Redis says no lag once an entry behind the group is gone, and none to a group in the middle of a stream.
#[tokio::test]
async fn a_lag_that_redis_does_not_know_is_counted_and_not_zero() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    server.run::<()>("XGROUP CREATE orders billing 4-1").await;
    server.run::<i64>("XDEL orders 7-1").await;
    let told: Vec<redis::Value> = server.run("XINFO GROUPS orders").await;
    assert!(format!("{told:?}").contains("nil"), "the premise of this test: {told:?}");
    let lag = stream(&server, &[GROUP, LAG]).open(&Endpoints::new());
    assert_eq!(length(&*lag).await, Ok((5, true)), "5, 6, 8, 9 and 10 are left");
    for _ in 0..300 {
        server.run::<()>("XADD orders * item x").await;
    }
    // 305 wait; beyond 200 they are not counted: the 309 entries of the stream are never fewer.
    assert_eq!(length(&*lag).await, Ok((309, true)));
    server.run::<redis::Value>("XREADGROUP GROUP billing worker STREAMS orders >").await;
    assert_eq!(length(&*lag).await, Ok((0, false)));
}

#[tokio::test]
async fn what_is_no_stream_is_an_error_of_this_trigger_alone() {
    let Some(server) = Server::start(&[]).await else { return };
    server.run::<()>("RPUSH orders a b").await;
    for metadata in [&[][..], &[GROUP], &[GROUP, LAG]] {
        let error = stream(&server, metadata).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query), "{error}");
        assert_eq!(error.message, format!("key \"orders\" of Redis at {} is not a stream", server.address()));
    }
    let nowhere = stream(&server, &[("databaseIndex", "99")]).read().await.unwrap_err();
    assert!(nowhere.message.contains("database 99 cannot be selected"), "{nowhere}");
}

#[tokio::test]
async fn a_user_needs_no_more_than_the_command_of_the_mode() {
    let Some(server) = Server::start(&[]).await else { return };
    fill(&server).await;
    server.run::<()>("XGROUP CREATE orders billing 0").await;
    let modes: [(&str, Metadata<'_>, i64); 3] =
        [("xlen", &[], 10), ("xpending", &[GROUP], 0), ("xinfo|groups", &[GROUP, LAG], 10)];
    for (command, metadata, expected) in modes {
        server.run::<()>(&format!("ACL SETUSER scaler reset on >pass ~orders resetchannels -@all +{command}")).await;
        let auth = [("username", "scaler"), ("password", "pass")];
        let outcome = stream(&server, metadata).auth(&auth).read().await;
        assert_eq!(outcome.map(|(count, _)| count), Ok(expected), "{command}");
        server.run::<()>("ACL SETUSER scaler -@all").await;
        let error = stream(&server, metadata).auth(&auth).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, ErrorScope::Query), "{error}");
    }
}

#[tokio::test]
async fn new_entries_wake_by_tracking_and_by_notifications() {
    let Some(server) = Server::start(&["--notify-keyspace-events", "Kgt"]).await else { return };
    server.run::<()>("XADD orders 1-1 item x").await;
    server.run::<()>("XGROUP CREATE orders billing 0").await;
    server.run::<()>("ACL SETUSER scaler on >pass ~* &* +@all -client|tracking").await;
    let untracked = [("username", "scaler"), ("password", "pass")];
    for auth in [&[][..], &untracked] {
        let endpoints = Endpoints::new();
        for metadata in [&[PUSH][..], &[PUSH, GROUP], &[PUSH, GROUP, LAG]] {
            let watched = Watched::open(&stream(&server, metadata).auth(auth), &endpoints).await;
            let before = watched.rest().await;
            server.run::<()>("XADD orders * item x").await;
            watched.more_than(before).await;
        }
    }
}

/// A user who may run one command only is tracked by that one.
#[tokio::test]
async fn a_restricted_user_hears_of_a_stream_too() {
    let Some(server) = Server::start(&[]).await else { return };
    server
        .run::<()>("ACL SETUSER scaler on >pass ~orders resetchannels -@all +xinfo|groups +client|tracking +hello")
        .await;
    let trigger = stream(&server, &[PUSH, GROUP, LAG]).auth(&[("username", "scaler"), ("password", "pass")]);
    server.run::<()>("XGROUP CREATE orders billing 0 MKSTREAM").await;
    let watched = Watched::open(&trigger, &Endpoints::new()).await;
    let before = watched.rest().await;
    server.run::<()>("XADD orders * item x").await;
    watched.more_than(before).await;
    assert_eq!(length(&*watched.scaler).await, Ok((1, true)));
}
