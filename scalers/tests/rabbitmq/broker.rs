//! A broker by a script, for what a real one cannot be made to do: it lets everybody in and says what the script says of a queue.

use std::sync::Arc;

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant};

use crate::trigger::{PATIENCE, Trigger, class, value, value_within};

/// The content of the method that answers the declaration of a queue; none for silence.
type Script = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

async fn start(script: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let script: Arc<Script> = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = Arc::clone(&script);
            tokio::spawn(async move { serve(stream, &*script).await });
        }
    });
    url
}

/// `queue.declare-ok` with so many messages.
fn declared(messages: u8) -> Vec<u8> {
    vec![0, 50, 0, 11, 0, 0, 0, 0, messages, 0, 0, 0, 0]
}

/// The end of a channel or, with the class 10, of the connection.
fn closed(class: u8, method: u8, code: u16, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0, class, 0, method][..], &code.to_be_bytes(), &[length], text.as_bytes(), &[0; 4]].concat()
}

async fn send(stream: &mut TcpStream, channel: u16, content: &[u8]) -> Option<()> {
    let length = u32::try_from(content.len()).unwrap();
    let frame = [&[1][..], &channel.to_be_bytes(), &length.to_be_bytes(), content, &[0xCE]].concat();
    stream.write_all(&frame).await.ok()
}

/// Channel and content of the next method.
async fn hear(stream: &mut TcpStream) -> Option<(u16, Vec<u8>)> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes(head[3..].try_into().unwrap());
        let mut content = vec![0; length as usize + 1];
        stream.read_exact(&mut content).await.ok()?;
        if head[0] == 1 {
            content.pop();
            return Some((u16::from_be_bytes([head[1], head[2]]), content));
        }
    }
}

async fn serve(mut stream: TcpStream, script: &Script) -> Option<()> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).await.ok()?;
    let start = [&[0, 10, 0, 10, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5][..], b"PLAIN", &[0, 0, 0, 0]].concat();
    send(&mut stream, 0, &start).await?;
    loop {
        let (channel, content) = hear(&mut stream).await?;
        match (content[1], content[3]) {
            (10, 11) => send(&mut stream, 0, &[0, 10, 0, 30, 0, 40, 0, 0, 16, 0, 0, 0]).await?,
            (10, 40) => send(&mut stream, 0, &[0, 10, 0, 41, 0]).await?,
            (10, 50) => return send(&mut stream, 0, &[0, 10, 0, 51]).await,
            (20, 10) => send(&mut stream, channel, &[0, 20, 0, 11, 0, 0, 0, 0]).await?,
            (50, 10) => {
                let queue = String::from_utf8(content[7..7 + usize::from(content[6])].to_vec()).unwrap();
                if let Some(answer) = script(&queue) {
                    let channel = if answer[1] == 10 { 0 } else { channel };
                    send(&mut stream, channel, &answer).await?;
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_queue_that_hangs_costs_nobody_else_a_reading() {
    let url = start(|queue| (queue != "hangs").then(|| declared(7))).await;
    let endpoints = Endpoints::new();
    let open = |queue: &str| Trigger::new(&url, queue).open(&endpoints);
    let (hanging, others) = (open("hangs"), (0..60).map(|number| open(&format!("q{number}"))).collect::<Vec<_>>());
    for _ in 0..2 {
        let begun = Instant::now();
        let patience = Duration::from_secs(2);
        let reads = others.iter().map(|scaler| value_within(&**scaler, patience));
        let (late, read) = tokio::join!(value_within(&*hanging, patience), futures::future::join_all(reads));
        assert_eq!(class(&late), (ReadErrorKind::Timeout, ErrorScope::Query), "{late:?}");
        assert!(read.iter().all(|outcome| *outcome == Ok((7000, true))), "{read:?}");
        assert!(begun.elapsed() < PATIENCE / 4);
    }
    assert_eq!(value(&*others[0]).await, Ok((7000, true)));
}

#[tokio::test]
async fn every_refusal_has_its_class_and_repeats_no_word_of_it() {
    let canary = "c4n4ry";
    let cases = [
        (closed(20, 40, 404, "NOT_FOUND - no queue 'c4n4ry'"), ReadErrorKind::Config, ErrorScope::Query),
        (closed(20, 40, 404, "NOT_FOUND - home node 'c4n4ry' is down"), ReadErrorKind::Unavailable, ErrorScope::Query),
        (closed(20, 40, 403, "ACCESS_REFUSED - c4n4ry"), ReadErrorKind::Auth, ErrorScope::Query),
        (closed(20, 40, 405, "RESOURCE_LOCKED - c4n4ry"), ReadErrorKind::Config, ErrorScope::Query),
        (closed(20, 40, 406, "PRECONDITION_FAILED - c4n4ry"), ReadErrorKind::Protocol, ErrorScope::Query),
        (closed(20, 40, 541, "INTERNAL_ERROR - c4n4ry"), ReadErrorKind::Unavailable, ErrorScope::Query),
        (closed(10, 50, 320, "CONNECTION_FORCED - c4n4ry"), ReadErrorKind::Unavailable, ErrorScope::Endpoint),
        (closed(10, 50, 530, "NOT_ALLOWED - vhost c4n4ry is down"), ReadErrorKind::Unavailable, ErrorScope::Endpoint),
        (closed(10, 50, 530, "NOT_ALLOWED - c4n4ry limit"), ReadErrorKind::Unavailable, ErrorScope::Endpoint),
        (closed(10, 50, 530, "NOT_ALLOWED - c4n4ry"), ReadErrorKind::Auth, ErrorScope::Endpoint),
        (closed(10, 50, 504, "CHANNEL_ERROR - c4n4ry"), ReadErrorKind::Protocol, ErrorScope::Endpoint),
    ];
    for (answer, kind, scope) in cases {
        let url = start(move |_| Some(answer.clone())).await;
        let outcome = Trigger::new(&url, "jobs").read().await;
        assert_eq!(class(&outcome), (kind, scope), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains(canary), "{outcome:?}");
    }
}
