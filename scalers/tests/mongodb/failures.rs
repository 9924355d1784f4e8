//! What goes wrong: credentials, servers that stop, hang and come back, and refusals that only a script can provoke.

use std::time::Duration;

use mongodb::bson::doc;
use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::scripted::{Script, Stub};
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, class, eventually, free_port, value};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;
const QUERY: ErrorScope = ErrorScope::Query;

#[tokio::test]
async fn users_log_in_and_wrong_credentials_are_told_apart() {
    let users: &[(&str, &str, &[&str])] = &[("reader", "p@ss:w/rd%", &["read"]), ("nobody", "canary", &[])];
    let Some(server) = Server::with_users(users).await else { return };
    let (auth, port) = ((ReadErrorKind::Auth, ENDPOINT), server.port.to_string());
    let plain = Trigger::count("", &[("host", "127.0.0.1"), ("port", &port)]);
    let user = |user, password| plain.clone().auth(&[("username", user), ("password", password)]);
    assert_eq!(user("reader", "p@ss:w/rd%").read().await, Ok((0, false)));
    let whole = format!("mongodb://reader:p%40ss%3Aw%2Frd%25@127.0.0.1:{port}/?authSource=shop");
    assert_eq!(Trigger::count(&whole, &[]).read().await, Ok((0, false)));
    for trigger in [user("reader", "c4nary"), user("c4nary", "p@ss:w/rd%")] {
        let error = trigger.read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), auth, "{error}");
        assert!(!error.message.contains("c4nary"), "{error}");
        assert!(error.message.ends_with("refused the credentials"), "{error}");
    }
    let error = server.trigger(&[]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), auth, "{error}");
    assert!(error.message.contains("wants credentials"), "{error}");
    let error = user("nobody", "canary").read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, QUERY), "{error}");
    assert!(error.message.contains("collection \"shop.jobs\"") && error.message.contains("the role read"), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_and_read_again_when_it_is_back() {
    let Some(mut server) = Server::start(&[]).await else { return };
    server.jobs().await.insert_one(doc! { "state": "waiting" }).await.unwrap();
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, Ok((1000, true)));
    server.stop();
    for _ in 0..3 {
        let error = value(&*scaler).await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ENDPOINT), "{error}");
        assert!(error.message.ends_with("connection refused"), "{error}");
    }
    server.start_again().await;
    eventually("the restarted server is read", async || value(&*scaler).await.is_ok()).await;
}

#[tokio::test]
async fn a_quick_restart_costs_no_reading() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    let waiting = Trigger::ops(&server.uri(), &[("metric", "waitingOps")]).open(&Endpoints::new());
    assert!(value(&*scaler).await.is_ok() && value(&*waiting).await.is_ok());
    server.stop();
    server.start_again().await;
    assert_eq!(value(&*scaler).await, Ok((0, false)), "the dead connection is replaced within the read");
    assert_eq!(value(&*waiting).await, Ok((0, false)), "the dead connection is replaced within the read");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_disturbs_no_other_and_recovers() {
    let Some(server) = Server::start(&[]).await else { return };
    let Some(other) = Server::start(&[]).await else { return };
    let endpoints = Endpoints::new();
    let (scaler, neighbour) = (server.trigger(&[]).open(&endpoints), other.trigger(&[]).open(&endpoints));
    assert!(value(&*scaler).await.is_ok());
    server.hang();
    let begun = Instant::now();
    let error = scaler.read(Occasion::Poll, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ENDPOINT));
    assert!(begun.elapsed() < PATIENCE / 6, "the deadline holds");
    assert!(value(&*neighbour).await.is_ok());
    server.go_on();
    eventually("the server is read again", async || scaler.read(Occasion::Poll, DEADLINE).await.is_ok()).await;
}

#[tokio::test]
async fn a_listener_that_never_answers_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("mongodb://{}/", listener.local_addr().unwrap());
    let scaler = Trigger::count(&uri, &[]).open(&Endpoints::new());
    let begun = Instant::now();
    let error = scaler.read(Occasion::Poll, Duration::from_millis(500)).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ENDPOINT), "{error}");
    assert!(begun.elapsed() < PATIENCE / 6, "the deadline holds");
}

#[tokio::test]
async fn nobody_listening_is_unavailable_long_before_the_driver_gives_up() {
    let begun = Instant::now();
    let trigger = Trigger::count(&format!("mongodb://127.0.0.1:{}/", free_port()), &[]);
    assert_eq!(class(trigger.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
    assert!(begun.elapsed() < DEADLINE / 2);
    let nowhere = Trigger::count("mongodb://no-such-host.invalid:27017/", &[]);
    assert_eq!(class(nowhere.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
}

#[tokio::test]
async fn a_replica_set_without_the_member_that_is_asked_for_is_no_failure_of_the_others() {
    let stub = Stub::start(Script::default()).await;
    let me = stub.address();
    stub.set(|script| {
        script.hello = doc! { "setName": "rs0", "setVersion": 1, "hosts": [&me], "me": &me,
        "secondary": true, "isWritablePrimary": false, "ismaster": false };
    });
    let endpoints = Endpoints::new();
    let primary = Trigger::count(&format!("mongodb://{me}/?replicaSet=rs0"), &[]).open(&endpoints);
    let error = value(&*primary).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, QUERY), "{error}");
    let any = format!("mongodb://{me}/?replicaSet=rs0&readPreference=secondaryPreferred");
    assert_eq!(Trigger::count(&any, &[]).read().await, Ok((0, false)));
    let other = format!("mongodb://{me}/?replicaSet=rs1");
    assert_eq!(class(Trigger::count(&other, &[]).read().await), (ReadErrorKind::Unavailable, ENDPOINT));
}

#[tokio::test]
async fn every_refusal_has_its_class_and_repeats_nothing() {
    let stub = Stub::start(Script::default()).await;
    let uri = format!("mongodb://{}/", stub.address());
    let cases = [
        (13, "Unauthorized", ReadErrorKind::Auth, ENDPOINT),
        (50, "MaxTimeMSExpired", ReadErrorKind::Timeout, QUERY),
        (59, "CommandNotFound", ReadErrorKind::Config, QUERY),
        (2, "BadValue", ReadErrorKind::Config, QUERY),
        (40324, "Location40324", ReadErrorKind::Config, QUERY),
        (26, "canary: not a name", ReadErrorKind::Config, QUERY),
        (11602, "InterruptedDueToReplStateChange", ReadErrorKind::Unavailable, QUERY),
        (262, "ExceededTimeLimit", ReadErrorKind::Unavailable, QUERY),
    ];
    for (code, name, kind, scope) in cases {
        stub.set(|script| script.failures = vec![("aggregate", code, name)]);
        let query = r#"{"name": "canary"}"#;
        let error = Trigger::count(&uri, &[("query", query)]).read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (kind, scope), "{error}");
        assert!(!error.message.contains("canary"), "{error}");
        assert!(error.message.contains(&stub.address()), "{error}");
    }
}

#[tokio::test]
async fn a_secret_is_in_no_message_and_no_debug_form() {
    let stub = Stub::start(Script::default()).await;
    for uri in [
        format!("mongodb://user:canary@{}/", stub.address()),
        format!("mongodb://user:canary@127.0.0.1:{}/?connectTimeoutMS=200", free_port()),
    ] {
        let error = Trigger::count(&uri, &[]).read().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
