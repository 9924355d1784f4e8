//! Servers that do not answer, or answer something else: always an error, never a zero.

use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, ReadError, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tidegate_scalers::requests::counted;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::server::{CUT, Server, Trigger, http, value, value_within, vector};

async fn told(answer: &str) -> (ReadErrorKind, String) {
    let answer = answer.to_owned();
    let server = Server::start(move |_| answer.clone()).await;
    let ReadError { kind, message, .. } = server.metrics_api().read().await.unwrap_err();
    (kind, message.strip_prefix(&format!("{}/stats: ", server.url())).unwrap().to_owned())
}

#[tokio::test]
async fn statuses_are_told_apart_and_bodies_never_told() {
    let cases = [
        ("404 Not Found", ReadErrorKind::Config, "refused the request (status 404)"),
        ("400 Bad Request", ReadErrorKind::Config, "refused the request (status 400)"),
        ("429 Too Many Requests", ReadErrorKind::Unavailable, "asks for fewer requests (status 429)"),
        ("500 Internal Server Error", ReadErrorKind::Unavailable, "failed with status 500"),
        ("503 Service Unavailable", ReadErrorKind::Unavailable, "failed with status 503"),
        ("504 Gateway Timeout", ReadErrorKind::Timeout, "gave up waiting (status 504)"),
        ("201 Created", ReadErrorKind::Protocol, "answered with status 201"),
    ];
    for (status, kind, what) in cases {
        assert_eq!(told(&http(status, r#"{"value":7}"#)).await, (kind, what.to_owned()));
    }
}

#[tokio::test]
async fn what_is_not_http_or_breaks_off_is_an_error() {
    let cut = "the connection was cut before the answer was whole";
    assert_eq!(told(CUT).await, (ReadErrorKind::Unavailable, cut.to_owned()));
    assert_eq!(told(":7\r\n connection: close").await.0, ReadErrorKind::Protocol);
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{\"value\":7}";
    assert_eq!(told(short).await.0, ReadErrorKind::Unavailable, "half an answer is none");
    assert_eq!(
        told(&http("200 OK", "<html>7</html>")).await,
        (ReadErrorKind::Protocol, "the answer is not JSON".to_owned())
    );
    assert_eq!(told(&http("200 OK", "")).await.0, ReadErrorKind::Protocol);
}

#[tokio::test]
async fn a_huge_body_is_not_read_to_its_end() {
    let value = r#"{"value":7,"more":""#;
    let fits = format!("{value}{}\"}}", "x".repeat(4 * 1024 * 1024 - value.len() - 2));
    assert_eq!(Server::saying(&fits).await.metrics_api().read().await, Ok((7000, true)));
    let too_long = (ReadErrorKind::Protocol, "answered with more than 4 MiB".to_owned());
    assert_eq!(told(&http("200 OK", &format!("{fits} "))).await, too_long);
    // Without a length and without an end.
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5 * 1024 * 1024));
    assert_eq!(told(&endless).await, too_long);
}

#[tokio::test]
async fn a_hung_server_is_a_timeout_and_is_left_alone_for_a_while() {
    let server = Server::start(|_| String::new()).await;
    let (endpoints, begun) = (Endpoints::new(), Instant::now());
    let scaler = server.metrics_api().open(&endpoints);
    let error = value_within(&*scaler, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // The pause after the first failure is 125 ms at least.
    sleep(Duration::from_millis(20)).await;
    assert_eq!(value(&*scaler).await.unwrap_err().kind, ReadErrorKind::Timeout, "told at once, without asking");
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_trigger_may_shorten_the_deadline() {
    let server = Server::start(|_| String::new()).await;
    let begun = Instant::now();
    for trigger in [server.prometheus(), server.metrics_api()] {
        let error = trigger.with(&[("timeout", "100")]).read().await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Timeout);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "the deadline is 10 s");
}

#[tokio::test]
async fn a_slow_query_keeps_no_other_waiting_and_is_no_failure_of_the_server() {
    let server =
        Server::start(|said| if said.contains("slow") { String::new() } else { http("200 OK", &vector(&["3"])) }).await;
    let endpoints = Endpoints::new();
    let slow = server.prometheus().with(&[("query", "slow")]).open(&endpoints);
    let quick: Vec<_> =
        (0..20).map(|index| server.prometheus().with(&[("query", &format!("q{index}"))]).open(&endpoints)).collect();
    let begun = Instant::now();
    let others = async {
        sleep(Duration::from_millis(50)).await;
        for scaler in &quick {
            assert_eq!(value(&**scaler).await, Ok((3000, true)));
        }
        begun.elapsed()
    };
    let (error, others) = tokio::join!(value_within(&*slow, Duration::from_secs(3)), others);
    assert!(others < Duration::from_secs(3), "{others:?}");
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ErrorScope::Query));
    let fresh = server.prometheus().with(&[("query", "fresh")]).open(&endpoints);
    assert_eq!(value(&*fresh).await, Ok((3000, true)), "nobody else is refused for it");
}

#[tokio::test]
async fn retry_after_is_kept() {
    let server = Server::start(|said| {
        if said.contains("busy") {
            http("429 Too Many Requests\r\nretry-after: 20", "")
        } else {
            http("200 OK", &vector(&["3"]))
        }
    })
    .await;
    let endpoints = Endpoints::new();
    let busy = server.prometheus().with(&[("query", "busy")]).open(&endpoints);
    for _ in 0..3 {
        assert_eq!(value(&*busy).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    }
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    // By the server's own clock it is 20 s from now, by ours it was long ago.
    let head =
        "503 Service Unavailable\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:57 GMT";
    let server = Server::start(move |_| http(head, "")).await;
    let scaler = server.metrics_api().open(&Endpoints::new());
    for _ in 0..3 {
        assert_eq!(value(&*scaler).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    }
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn requests_are_counted_by_their_status() {
    let statuses = || {
        let own = counted().into_iter().filter(|counted| &*counted.asker.object == "counted-by-status");
        own.map(|counted| (counted.asker.kind.to_string(), counted.status, counted.count)).collect::<Vec<_>>()
    };
    let server =
        Server::start(
            |said| if said.contains("/stats") { http("200 OK", r#"{"value":7}"#) } else { http("422 Odd", "") },
        )
        .await;
    let endpoints = Endpoints::new();
    let (good, odd) = (
        server.metrics_api().owned_by("shop/counted-by-status"),
        server.prometheus().owned_by("shop/counted-by-status"),
    );
    let (good, odd) = (good.open(&endpoints), odd.open(&endpoints));
    for _ in 0..2 {
        assert_eq!(value(&*good).await, Ok((7000, true)));
    }
    assert!(value(&*odd).await.is_err());
    let expected = [("metrics-api".to_owned(), Some(200), 2), ("prometheus".to_owned(), Some(422), 1)];
    assert_eq!(statuses(), expected);
    drop((good, odd));
    assert_eq!(statuses(), [], "with the trigger its series go");

    // Nobody listens: one request without an answer. The next read asks nobody, so it counts for nothing.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let trigger = Trigger::metrics_api(&format!("http://{closed}/stats")).owned_by("shop/counted-by-status");
    let scaler = trigger.open(&endpoints);
    for _ in 0..2 {
        assert_eq!(value(&*scaler).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    }
    assert_eq!(statuses(), [("metrics-api".to_owned(), None, 1)]);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_failure() {
    let server = Server::start(|_| http("200 OK\r\nx: connection: close", r#"{"value":7}"#)).await;
    let scaler = server.metrics_api().open(&Endpoints::new());
    for _ in 0..3 {
        assert_eq!(value(&*scaler).await, Ok((7000, true)));
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_read_again() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let scaler = Trigger::metrics_api(&format!("http://127.0.0.1:{port}/stats")).open(&Endpoints::new());
    let error = value(&*scaler).await.unwrap_err();
    let expected = format!("http://127.0.0.1:{port}/stats: connection refused");
    assert_eq!((error.kind, error.scope, error.message), (ReadErrorKind::Unavailable, ErrorScope::Endpoint, expected));
}
