//! What servers state about themselves.

use tidegate_calculator::source::{ErrorScope, Occasion, ReadError, ReadErrorKind};
use tidegate_scalers::{Endpoints, Scaler};

use crate::server::{DEADLINE, Server, Trigger, class, eventually, free_port, length};

fn clients(addresses: &str, metadata: &[(&str, &str)]) -> Trigger {
    Trigger::of("redis-clients", &[("addresses", addresses), ("targetValue", "10")]).with(metadata)
}

/// What a trigger reads in thousandths.
async fn thousandths(scaler: &dyn Scaler, occasion: Occasion) -> Result<i64, ReadError> {
    let readings = scaler.read(occasion, DEADLINE).await?;
    Ok(readings[0].1.value.total().0)
}

#[tokio::test]
async fn clients_are_counted_and_those_of_several_servers_added_up() {
    let Some(first) = Server::start(&[]).await else { return };
    let Some(second) = Server::start(&[]).await else { return };
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        mine.push(first.admin().await);
    }
    for _ in 0..4 {
        theirs.push(second.admin().await);
    }
    let endpoints = Endpoints::new();
    let open = |addresses: &str, metadata: &[(&str, &str)]| clients(addresses, metadata).open(&endpoints);
    // The triggers' own connection is a client too, one for all of them.
    assert_eq!(length(&*open(&first.address(), &[])).await, Ok((8, true)));
    let both = format!("{},{}", first.address(), second.address());
    assert_eq!(length(&*open(&both, &[])).await, Ok((8 + 5, true)));
    let limited = open(&both, &[("activationTargetValue", "13")]);
    assert_eq!(length(&*limited).await, Ok((13, false)), "as much as the threshold is not more");
    let maximum = length(&*open(&first.address(), &[("field", "maxclients")])).await.unwrap().0;
    let told: Vec<String> = first.run("CONFIG GET maxclients").await;
    assert_eq!(maximum.to_string(), told[1]);
}

#[tokio::test]
async fn a_server_that_cannot_be_read_makes_no_smaller_sum() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let both = format!("{},127.0.0.1:{}", server.address(), free_port());
    let endpoints = Endpoints::new();
    let unreachable = length(&*clients(&both, &[]).open(&endpoints)).await;
    assert_eq!(class(unreachable), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    let alone = clients(&server.address(), &[]).open(&endpoints);
    assert_eq!(length(&*alone).await, Ok((1, true)));
    server.stop();
    assert_eq!(class(length(&*alone).await), (ReadErrorKind::Unavailable, ErrorScope::Endpoint));
    server.start_again().await;
    eventually("the server is read again", async || length(&*alone).await == Ok((1, true))).await;
}

#[tokio::test]
async fn fields_that_are_no_numbers_or_do_not_exist_are_named() {
    let Some(server) = Server::start(&[]).await else { return };
    for (field, what) in [("conected_clients", "does not exist"), ("role", "is not a number")] {
        let error = clients(&server.address(), &[("field", field)]).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Config, ErrorScope::Query));
        assert_eq!(error.message, format!("field \"{field}\" of INFO of Redis at {} {what}", server.address()));
    }
}

#[tokio::test]
async fn the_hit_ratio_is_that_between_two_polls() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let trigger = clients(&server.address(), &[("field", "keyspace_hit_ratio"), ("targetValue", "0.9")]);
    let endpoints = Endpoints::new();
    let scaler = trigger.open(&endpoints);
    let none = (ReadErrorKind::Unavailable, ErrorScope::Query);
    let reads = async |occasion| thousandths(&*scaler, occasion).await;
    let failed = |outcome: Result<i64, ReadError>| class(outcome.map(|value| (value, true)));
    server.run::<()>("SET a 1").await;
    assert_eq!(failed(reads(Occasion::Poll).await), none, "there is no poll before the first");
    assert_eq!(failed(reads(Occasion::Poll).await), none, "nothing was looked up");
    for key in ["a", "a", "a", "b"] {
        server.run::<Option<String>>(&format!("GET {key}")).await;
    }
    assert_eq!(reads(Occasion::Check).await, Ok(750), "3 of 4");
    assert_eq!(reads(Occasion::Check).await, Ok(750), "a check begins no interval");
    assert_eq!(reads(Occasion::Poll).await, Ok(750));
    server.run::<Option<String>>("GET b").await;
    // Since the poll before the last: 3 hits and 2 misses.
    assert_eq!(reads(Occasion::Check).await, Ok(600));
    assert_eq!(reads(Occasion::Poll).await, Ok(0), "one miss: a zero that the server states");
    let rebuilt = trigger.open(&endpoints);
    drop(scaler);
    server.run::<Option<String>>("GET a").await;
    assert_eq!(thousandths(&*rebuilt, Occasion::Poll).await, Ok(1000), "a rebuilt trigger remembers");
    server.stop();
    server.start_again().await;
    server.run::<()>("SET a 1").await;
    for _ in 0..20 {
        server.run::<Option<String>>("GET a").await;
    }
    let error = thousandths(&*rebuilt, Occasion::Poll).await.unwrap_err();
    assert!(error.message.contains("began to count anew"), "{error}");
}

#[tokio::test]
async fn info_is_all_that_the_user_needs_and_is_asked_once() {
    let Some(server) = Server::start(&[]).await else { return };
    server.run::<()>("ACL SETUSER scaler on >pass resetchannels -@all +info").await;
    let auth = [("username", "scaler"), ("password", "pass")];
    let endpoints = Endpoints::new();
    let open = |field: &str| clients(&server.address(), &[("field", field)]).auth(&auth).open(&endpoints);
    let (a, b, c) = (open("connected_clients"), open("used_memory"), open("instantaneous_ops_per_sec"));
    let before = server.calls("info").await;
    let outcomes = tokio::join!(length(&*a), length(&*b), length(&*c));
    assert!(outcomes.0.is_ok() && outcomes.1.is_ok() && outcomes.2.is_ok(), "{outcomes:?}");
    // One for the three triggers, one for the first look at the statistics.
    assert_eq!(server.calls("info").await - before, 2);
    server.run::<()>("ACL SETUSER scaler -@all +llen").await;
    let error = length(&*a).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, ErrorScope::Query), "{error}");
    assert!(clients(&server.address(), &[]).open(&endpoints).watch(std::sync::Arc::new(|| ())).is_none());
}
