//! What goes wrong: credentials, servers that stop, hang and come back, and errors that only a script can provoke.

use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::Instant;

use crate::fake::Fake;
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, class, eventually, free_port, length};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;

#[tokio::test]
async fn wrong_and_missing_passwords_are_told_apart_from_other_failures() {
    let Some(server) = Server::start(&["--requirepass", "right"]).await else {
        return;
    };
    let trigger = server.trigger(&[]);
    assert_eq!(trigger.clone().auth(&[("password", "right")]).read().await, Ok((0, false)));
    assert_eq!(trigger.clone().auth(&[("password", "right"), ("username", "default")]).read().await, Ok((0, false)));
    let auth = (ReadErrorKind::Auth, ENDPOINT);
    assert_eq!(class(trigger.read().await), auth);
    let error = trigger.clone().auth(&[("password", "wr0ng")]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), auth);
    assert!(!error.message.contains("wr0ng"), "{error}");
    assert_eq!(class(trigger.auth(&[("username", "nobody"), ("password", "right")]).read().await), auth);
    let Some(open) = Server::start(&[]).await else { return };
    assert_eq!(class(open.trigger(&[]).auth(&[("password", "needless")]).read().await), auth);
}

#[tokio::test]
async fn a_password_changed_at_run_time_is_an_error_until_the_new_one_is_used() {
    let Some(server) = Server::start(&[]).await else { return };
    server.run::<()>("ACL SETUSER scaler on >old ~* +@all").await;
    server.run::<()>("RPUSH jobs a").await;
    let endpoints = Endpoints::new();
    let trigger = |password| server.trigger(&[]).auth(&[("username", "scaler"), ("password", password)]);
    let scaler = trigger("old").open(&endpoints);
    assert_eq!(length(&*scaler).await, Ok((1, true)));
    server.run::<()>("ACL SETUSER scaler resetpass >new").await;
    server.run::<i64>("CLIENT KILL USER scaler").await;
    assert_eq!(class(length(&*scaler).await), (ReadErrorKind::Auth, ENDPOINT));
    let renewed = trigger("new").open(&endpoints);
    assert_ne!(scaler.endpoint(), renewed.endpoint());
    assert_eq!(length(&*renewed).await, Ok((1, true)));
    server.run::<()>("ACL SETUSER scaler resetpass >old").await;
    eventually("the old password works again", async || length(&*scaler).await.is_ok()).await;
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_and_read_again_when_it_is_back() {
    let Some(mut server) = Server::start(&[]).await else {
        return;
    };
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    server.run::<()>("RPUSH jobs a b").await;
    assert_eq!(length(&*scaler).await, Ok((2, true)));
    server.stop();
    for _ in 0..3 {
        assert_eq!(class(length(&*scaler).await), (ReadErrorKind::Unavailable, ENDPOINT));
    }
    server.start_again().await;
    eventually("the restarted server is read", async || length(&*scaler).await == Ok((0, false))).await;
}

#[tokio::test]
async fn a_quick_restart_costs_no_reading() {
    let Some(mut server) = Server::start(&[]).await else {
        return;
    };
    let scaler = server.trigger(&[]).open(&Endpoints::new());
    assert!(length(&*scaler).await.is_ok());
    server.stop();
    server.start_again().await;
    assert_eq!(length(&*scaler).await, Ok((0, false)), "the dead connection is replaced within the read");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_disturbs_no_other_and_recovers() {
    let Some(server) = Server::start(&[]).await else { return };
    let Some(other) = Server::start(&[]).await else { return };
    let endpoints = Endpoints::new();
    let (scaler, neighbour) = (server.trigger(&[]).open(&endpoints), other.trigger(&[]).open(&endpoints));
    assert!(length(&*scaler).await.is_ok());
    server.hang();
    let begun = Instant::now();
    let error = scaler.read(Occasion::Poll, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ENDPOINT));
    assert!(begun.elapsed() < PATIENCE / 6, "the deadline holds");
    assert!(length(&*neighbour).await.is_ok());
    server.go_on();
    eventually("the server is read again", async || scaler.read(Occasion::Poll, DEADLINE).await.is_ok()).await;
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let trigger = Trigger::new(&format!("127.0.0.1:{}", free_port()), &[]);
    assert_eq!(class(trigger.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
    let nowhere = Trigger::new("no-such-host.invalid:6379", &[]);
    assert_eq!(class(nowhere.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    let query = ErrorScope::Query;
    let cases = [
        ("-LOADING Redis is loading the dataset in memory", ReadErrorKind::Unavailable, ENDPOINT),
        ("-MASTERDOWN Link with MASTER is down", ReadErrorKind::Unavailable, ENDPOINT),
        ("-BUSY Redis is busy running a script", ReadErrorKind::Unavailable, ENDPOINT),
        ("-ERR max number of clients reached", ReadErrorKind::Unavailable, ENDPOINT),
        ("-NOAUTH Authentication required.", ReadErrorKind::Auth, ENDPOINT),
        ("-NOPERM this user has no permissions", ReadErrorKind::Auth, query),
        ("-MOVED 3999 127.0.0.1:6381", ReadErrorKind::Config, query),
        ("-ERR unknown command", ReadErrorKind::Protocol, query),
        ("$-1", ReadErrorKind::Protocol, query),
        ("+OK", ReadErrorKind::Protocol, query),
        ("HTTP/1.1 400 Bad Request", ReadErrorKind::Unavailable, ENDPOINT),
    ];
    for (reply, kind, scope) in cases {
        let fake = Fake::start(move |_| Some(format!("{reply}\r\n"))).await;
        assert_eq!(class(fake.trigger().read().await), (kind, scope), "{reply}");
    }
}

#[tokio::test]
async fn a_refusal_at_login_for_another_reason_is_not_a_wrong_password() {
    let fake = Fake::start(|_| Some("-ERR max number of clients reached\r\n".to_owned())).await;
    let outcome = fake.trigger().auth(&[("password", "right")]).read().await;
    assert_eq!(class(outcome), (ReadErrorKind::Unavailable, ENDPOINT));
    let fake = Fake::start(|_| Some("-ERR invalid password\r\n".to_owned())).await;
    let outcome = fake.trigger().auth(&[("password", "wrong")]).read().await;
    assert_eq!(class(outcome), (ReadErrorKind::Auth, ENDPOINT));
}

#[tokio::test]
async fn a_connection_closed_in_the_middle_is_unavailable_and_not_a_zero() {
    let fake = Fake::start(|_| None).await;
    let error = fake.trigger().read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ENDPOINT));
    assert!(error.message.ends_with("closed the connection; it may want TLS, or not be Redis"), "{error}");
}

#[tokio::test]
async fn a_plain_list_is_asked_for_its_length_and_nothing_else() {
    let fake = Fake::start(|_| Some(":7\r\n".to_owned())).await;
    assert_eq!(fake.trigger().read().await, Ok((7, true)));
    assert_eq!(fake.heard(), [["LLEN", "jobs"]]);
}
