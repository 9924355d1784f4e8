//! What goes wrong: statuses of every kind, servers that stop, hang and come back, and others that are none.

use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::scripted::Script;
use crate::server::{DEADLINE, PATIENCE, Server, Trigger, class, eventually, jobs, read};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;

#[tokio::test]
async fn every_status_has_its_class_and_says_nothing_of_the_servers_text() {
    let cases = [
        (Code::Unauthenticated, ReadErrorKind::Auth),
        (Code::PermissionDenied, ReadErrorKind::Auth),
        (Code::Unavailable, ReadErrorKind::Unavailable),
        (Code::DeadlineExceeded, ReadErrorKind::Timeout),
        (Code::NotFound, ReadErrorKind::Config),
        (Code::Unimplemented, ReadErrorKind::Protocol),
        (Code::Internal, ReadErrorKind::Protocol),
    ];
    for method in ["GetMetricSpec", "GetMetrics", "IsActive"] {
        for (code, kind) in cases {
            let server = Server::start(Script::saying(7, true).failing(method, code));
            let trigger = server.trigger().with(&[("tokenFromEnv", "TOKEN")]).env(&[("TOKEN", "canary-4711")]);
            let error = trigger.read().await.unwrap_err();
            assert_eq!((error.kind, error.scope), (kind, ErrorScope::Query), "{method}: {error}");
            assert!(error.message.contains(method), "{error}");
            assert!(!format!("{error:?}").contains("canary") && !error.message.contains("12345"), "{error}");
        }
    }
}

#[tokio::test]
async fn nobody_listening_and_nobody_there_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Trigger::on(&format!("127.0.0.1:{port}")).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ENDPOINT));
    assert_eq!(error.message, format!("external scaler at 127.0.0.1:{port}: connection refused"));
    let nowhere = Trigger::on("no-such-host.invalid:9090");
    assert_eq!(class(nowhere.read().await), (ReadErrorKind::Unavailable, ENDPOINT));
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_and_read_again_when_it_is_back() {
    let mut server = Server::start(Script::saying(7, true));
    let scaler = server.trigger().open(&Endpoints::new());
    assert_eq!(read(&*scaler).await, jobs(7, true));
    server.stop();
    for _ in 0..3 {
        assert_eq!(class(read(&*scaler).await), (ReadErrorKind::Unavailable, ENDPOINT));
    }
    server.start_again().await;
    eventually("the restarted server is read", async || read(&*scaler).await == jobs(7, true)).await;
}

#[tokio::test]
async fn a_quick_restart_costs_no_reading() {
    let mut server = Server::start(Script::saying(7, true));
    let scaler = server.trigger().open(&Endpoints::new());
    assert_eq!(read(&*scaler).await, jobs(7, true));
    server.stop();
    server.start_again().await;
    assert_eq!(read(&*scaler).await, jobs(7, true), "the dead connection is replaced within the read");
    assert_eq!(server.connections().0, 2);
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_disturbs_no_other_and_recovers() {
    let (server, other) = (Server::start(Script::saying(7, true)), Server::start(Script::saying(3, true)));
    let endpoints = Endpoints::new();
    let (scaler, neighbour) = (server.trigger().open(&endpoints), other.trigger().open(&endpoints));
    assert_eq!(read(&*scaler).await, jobs(7, true));
    server.freeze();
    let begun = Instant::now();
    let short = Duration::from_millis(300);
    let error = scaler.read(Occasion::Poll, short).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Timeout);
    assert!(begun.elapsed() < PATIENCE / 3, "the deadline holds");
    assert_eq!(read(&*neighbour).await, jobs(3, true));
    eventually("the endpoint is known to hang", async || {
        let error = scaler.read(Occasion::Poll, short).await.unwrap_err();
        (error.kind, error.scope) == (ReadErrorKind::Timeout, ENDPOINT)
    })
    .await;
    // What was frozen stays so: only a new connection shows that the server is back.
    server.strand();
    eventually("the server is read again", async || read(&*scaler).await == jobs(7, true)).await;
    assert!(server.connections().0 >= 2, "the connection that hung is not used any more");
}

#[tokio::test]
async fn a_listener_that_never_answers_is_a_timeout_within_the_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for trigger in [Trigger::on(&address), Trigger::on(&address).with(&[("enableTLS", "true")])] {
        let begun = Instant::now();
        let scaler = trigger.open(&Endpoints::new());
        let error = scaler.read(Occasion::Poll, Duration::from_millis(200)).await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Timeout, ENDPOINT));
        assert!(begun.elapsed() < DEADLINE / 2);
    }
}

#[tokio::test]
async fn one_slow_answer_is_late_alone_and_the_others_are_read() {
    let server = Server::start(Script::saying(7, true));
    let endpoints = Endpoints::new();
    let (slow, quick) = (server.trigger().open(&endpoints), server.trigger().open(&endpoints));
    assert!(read(&*quick).await.is_ok());
    server.say(|it| it.delay = Duration::from_mins(1));
    let late = slow.read(Occasion::Poll, Duration::from_millis(300));
    let unhurt = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.say(|it| it.delay = Duration::ZERO);
        read(&*quick).await
    };
    let (late, unhurt) = futures::join!(late, unhurt);
    assert_eq!((late.unwrap_err().scope, unhurt), (ErrorScope::Query, jobs(7, true)));
    assert_eq!(server.connections().0, 1);
}

#[tokio::test]
async fn servers_that_do_not_speak_grpc_are_told_apart() {
    for answer in
        ["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "220 mail.example ESMTP ready and waiting\r\n"]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let error = Trigger::on(&address).read().await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Protocol, "{error}");
        assert!(error.message.ends_with(": does not speak gRPC"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_is_unavailable_and_not_a_zero() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let error = Trigger::on(&address).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ENDPOINT), "{error}");
    assert!(error.message.ends_with("the connection was cut"), "{error}");
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_moment() {
    let server = Server::start(Script { delay: Duration::from_millis(2), ..Script::saying(7, true) });
    let scaler = server.trigger().open(&Endpoints::new());
    for micros in [0, 1, 100, 1000, 2500, 4000, 6000, 8000, 20_000] {
        let _ = timeout(Duration::from_micros(micros), read(&*scaler)).await;
    }
    assert_eq!(read(&*scaler).await, jobs(7, true));
    assert_eq!(server.connections().1, 1);
}
