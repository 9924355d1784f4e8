//! Gateways that do not answer, answer something else, or go: an error, never a zero, and a reading again as soon as they are well.

use std::time::Duration;

use tidegate_calculator::source::{Occasion, ReadError, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::gateway::Gateway;
use super::{DEADLINE, Trigger, eventually, until, value, value_within};

fn trigger(port: u16) -> Trigger {
    let url = format!("ws://127.0.0.1:{port}/stats");
    Trigger::of(&[("url", &url), ("valueLocation", "open"), ("targetValue", "5")])
}

#[tokio::test]
async fn a_gateway_that_goes_is_unavailable_and_reads_again_when_it_is_back() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    let scaler = gateway.trigger().with(&[("staleAfter", "1500ms")]).open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, Ok((12_000, true)));
    let port = gateway.port;
    drop(gateway);
    assert_eq!(value(&*scaler).await, Ok((12_000, true)), "the newest message counts as long as it is fresh");
    let error = until(&*scaler, Result::is_err).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
    let gateway = Gateway::again(port, r#"{"open":7}"#).await;
    assert_eq!(until(&*scaler, Result::is_ok).await, Ok((7_000, true)));
    assert_eq!(gateway.accepted(), 1);
}

#[tokio::test]
async fn nobody_there_is_unavailable_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = trigger(closed).read().await.unwrap_err();
    let what = format!("ws://127.0.0.1:{closed}/stats: connection refused");
    assert_eq!((error.kind, error.message), (ReadErrorKind::Unavailable, what));
}

#[tokio::test]
async fn a_gateway_that_accepts_and_never_answers_is_a_timeout_within_the_deadline() {
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = hung.local_addr().unwrap().port();
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hung.accept().await {
            held.push(stream);
        }
    });
    let scaler = trigger(port).open(&Endpoints::new());
    for _ in 0..2 {
        let begun = Instant::now();
        let error = value_within(&*scaler, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    // The handshake is given up after 4 s, and then it is known at once.
    let error = until(&*scaler, Result::is_err).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    held.abort();
}

/// What the first reading says of a server that gives this answer to everything.
async fn told(answer: &'static str) -> ReadError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 4096];
            let _ = stream.read(&mut heard).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let error = trigger(port).read().await.unwrap_err();
    server.abort();
    error
}

#[tokio::test]
async fn what_is_no_websocket_is_told_apart() {
    let cases = [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", ReadErrorKind::Config, "(status 404)"),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", ReadErrorKind::Unavailable, "failed with status 503"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12", ReadErrorKind::Protocol, "answered with status 200"),
        (
            "HTTP/1.1 302 Found\r\nlocation: ws://x/\r\ncontent-length: 0\r\n\r\n",
            ReadErrorKind::Config,
            "redirect (302)",
        ),
        ("+PONG\r\n\r\n", ReadErrorKind::Protocol, "does not speak WebSocket"),
        ("", ReadErrorKind::Unavailable, "the connection was cut"),
    ];
    for (answer, kind, what) in cases {
        let error = told(answer).await;
        assert_eq!(error.kind, kind, "{answer}: {error}");
        assert!(error.message.contains(what), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_stream() {
    let value = r#"{"open":7,"more":""#;
    let fits = format!("{value}{}\"}}", "x".repeat(1024 * 1024 - value.len() - 2));
    let gateway = Gateway::saying(&fits).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    assert_eq!(value_within(&*scaler, DEADLINE).await, Ok((7_000, true)));
    let gateway = Gateway::saying(&format!("{fits} ")).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    let error = until(&*scaler, |outcome| matches!(outcome, Err(error) if error.kind == ReadErrorKind::Protocol)).await;
    assert!(error.unwrap_err().message.ends_with("sent a message of more than 1 MiB"));
}

#[tokio::test]
async fn a_gateway_that_closes_each_stream_is_not_asked_again_and_again() {
    use futures::SinkExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await {
                let _ = socket.close(None).await;
                let _ = socket.flush().await;
            }
        }
    });
    let scaler = trigger(port).open(&Endpoints::new());
    let error =
        until(&*scaler, |outcome| matches!(outcome, Err(error) if error.kind == ReadErrorKind::Unavailable)).await;
    assert!(error.unwrap_err().message.contains("closed the stream"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Pauses of at least 125, 250, 500, 1000, 2000, 4000 ms lie between seven streams.
    let streams = count.load(std::sync::atomic::Ordering::SeqCst);
    assert!((2..=8).contains(&streams), "{streams} streams in 5 s");
    server.abort();
}

#[tokio::test]
async fn a_stream_that_died_without_a_word_is_made_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&count);
    let server = tokio::spawn(async move {
        let mut dead = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // It is accepted, and then nobody looks at it any more: no ping is answered.
            dead.push(tokio_tungstenite::accept_async(stream).await);
        }
    });
    let scaler = trigger(port).open(&Endpoints::new());
    let _ = value_within(&*scaler, Duration::from_millis(100)).await;
    // It is asked after 15 s, and given up 4 s later.
    eventually("a second stream", || count.load(std::sync::atomic::Ordering::SeqCst) >= 2).await;
    server.abort();
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_moment() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    for micros in [0, 1, 50, 200, 1_000, 3_000, 10_000, 50_000] {
        let scaler = gateway.trigger().open(&Endpoints::new());
        let _ = timeout(Duration::from_micros(micros), scaler.read(Occasion::Poll, DEADLINE)).await;
        assert_eq!(value(&*scaler).await, Ok((12_000, true)), "{micros}");
    }
}
