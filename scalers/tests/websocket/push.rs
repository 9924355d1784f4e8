//! Messages wake triggers, pings keep the stream alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_scalers::{Endpoints, Scaler, Watch};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::gateway::Gateway;
use super::{eventually, until, value};

/// Counts the wakes of a trigger.
fn counted(scaler: &dyn Scaler) -> (Arc<AtomicUsize>, Watch) {
    let count = Arc::new(AtomicUsize::new(0));
    let woken = Arc::clone(&count);
    let watch = scaler
        .watch(Arc::new(move || {
            woken.fetch_add(1, Ordering::SeqCst);
        }))
        .unwrap();
    (count, watch)
}

/// Waits until no wake has come for a while.
async fn settled(count: &AtomicUsize) -> usize {
    loop {
        let before = count.load(Ordering::SeqCst);
        sleep(Duration::from_millis(500)).await;
        if count.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

#[tokio::test]
async fn a_message_that_changes_the_number_wakes_and_another_does_not() {
    let gateway = Gateway::saying(r#"{"open":1,"other":1}"#).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    let (count, _watch) = counted(&*scaler);
    assert_eq!(value(&*scaler).await, Ok((1_000, true)));
    let before = settled(&count).await;
    assert!(before >= 1, "once it is listened to");
    gateway.say(r#"{"open":1,"other":2}"#);
    assert_eq!(settled(&count).await, before, "the number is the same");
    let begun = Instant::now();
    gateway.say(r#"{"open":2,"other":2}"#);
    eventually("a wake", || count.load(Ordering::SeqCst) == before + 1).await;
    assert_eq!(value(&*scaler).await, Ok((2_000, true)), "whoever reads after the wake sees it");
    println!("woken after {:?}", begun.elapsed());
    gateway.say("{}");
    eventually("a wake because the number is gone", || count.load(Ordering::SeqCst) == before + 2).await;
}

#[tokio::test]
async fn a_flood_of_messages_is_few_wakes_and_the_last_one_counts() {
    let gateway = Gateway::saying(r#"{"open":1}"#).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    let (count, _watch) = counted(&*scaler);
    assert_eq!(value(&*scaler).await, Ok((1_000, true)));
    let (before, begun) = (settled(&count).await, Instant::now());
    for open in 2..=5_000 {
        gateway.say(format!(r#"{{"open":{open}}}"#));
    }
    until(&*scaler, |outcome| *outcome == Ok((5_000_000, true))).await.unwrap();
    let wakes = settled(&count).await - before;
    // One at once and then one every 100 ms; the pauses of `settled` are in the time as well.
    let most = 2 + usize::try_from(begun.elapsed().as_millis() / 100).unwrap();
    assert!(wakes >= 1 && wakes <= most, "{wakes} wakes, at most {most}");
}

#[tokio::test]
async fn pings_of_the_gateway_are_answered() {
    let gateway = Gateway::saying(r#"{"open":1}"#).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, Ok((1_000, true)));
    gateway.say_once(Message::Ping(Bytes::from_static(b"?")));
    eventually("a pong", || gateway.seen.pongs.load(Ordering::SeqCst) >= 1).await;
    assert_eq!(value(&*scaler).await, Ok((1_000, true)), "a ping is no message");
}

#[tokio::test]
async fn nobody_is_woken_after_the_watch_is_gone() {
    let gateway = Gateway::saying(r#"{"open":1}"#).await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    let (count, watch) = counted(&*scaler);
    assert_eq!(value(&*scaler).await, Ok((1_000, true)));
    drop(watch);
    let before = settled(&count).await;
    gateway.say(r#"{"open":2}"#);
    until(&*scaler, |outcome| *outcome == Ok((2_000, true))).await.unwrap();
    assert_eq!(settled(&count).await, before);
}
