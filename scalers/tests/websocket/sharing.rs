//! One connection for all who listen to the same stream, and none that is left behind.

use std::time::Duration;

use futures::future::join_all;
use tidegate_scalers::Endpoints;
use tokio::time::{Instant, sleep};

use super::gateway::Gateway;
use super::{eventually, until, value};

#[tokio::test]
async fn a_hundred_triggers_share_one_stream() {
    let gateway = Gateway::saying(r#"{"open":12,"other":3}"#).await;
    let endpoints = Endpoints::new();
    let mut scalers: Vec<_> = (0..100).map(|_| gateway.trigger().open(&endpoints)).collect();
    scalers.push(gateway.trigger().with(&[("valueLocation", "other"), ("staleAfter", "1m")]).open(&endpoints));
    let mut answers = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    assert_eq!(answers.pop(), Some(Ok((3_000, true))));
    assert!(answers.iter().all(|answer| *answer == Ok((12_000, true))), "{answers:?}");
    assert!(scalers.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    assert_eq!(gateway.accepted(), 1);
}

#[tokio::test]
async fn a_stream_outlives_its_last_user_for_half_a_minute_and_is_joined_meanwhile() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    let endpoints = Endpoints::new();
    let first = gateway.trigger().open(&endpoints);
    assert_eq!(value(&*first).await, Ok((12_000, true)));
    drop(first);
    sleep(Duration::from_secs(2)).await;
    let second = gateway.trigger().open(&endpoints);
    assert_eq!(value(&*second).await, Ok((12_000, true)));
    assert_eq!(gateway.accepted(), 1, "an object that is replaced finds it open");
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    drop(second);
    eventually("the end of the stream", || gateway.open() == 0).await;
    assert!(begun.elapsed() >= Duration::from_secs(29), "{:?}", begun.elapsed());
    let third = gateway.trigger().open(&endpoints);
    gateway.say(r#"{"open":5}"#);
    assert_eq!(until(&*third, Result::is_ok).await, Ok((5_000, true)), "and a new one says what is so now");
    assert_eq!(gateway.accepted(), 2);
}

#[tokio::test]
async fn a_hundred_times_opened_and_closed_leaves_nothing() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    for _ in 0..100 {
        // Among endpoints of its own: a connection each time.
        let scaler = gateway.trigger().open(&Endpoints::new());
        assert_eq!(value(&*scaler).await, Ok((12_000, true)));
    }
    assert_eq!(gateway.accepted(), 100);
    eventually("the end of all streams", || gateway.open() == 0).await;
    eventually("the end of our sockets", || sockets_to(gateway.port) == 0).await;
}

/// How many sockets of this process are connected to a port here, as the kernel sees them.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let ours: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let remote = format!(":{port:04X}");
    let mut sockets = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&remote).then(|| format!("socket:[{}]", fields[9]))
    });
    sockets.by_ref().filter(|socket| ours.contains(socket)).count()
}
