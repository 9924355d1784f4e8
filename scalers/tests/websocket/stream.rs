//! What a gateway says is the reading, as long as it is fresh.

use std::time::Duration;

use tidegate_calculator::source::{MetricType, Milli, ReadErrorKind};
use tidegate_scalers::{Endpoints, Known, check};
use tokio::time::{Instant, sleep};

use super::gateway::Gateway;
use super::{Trigger, until, value};

#[tokio::test]
async fn the_newest_message_is_the_reading() {
    let gateway = Gateway::saying(r#"{"open":0,"pods":[{"n":"2k"},{"n":7.5}]}"#).await;
    let endpoints = Endpoints::new();
    let scaler = gateway.trigger().open(&endpoints);
    assert_eq!(value(&*scaler).await, Ok((0, false)), "zero is a value");
    let at = |place: &str| gateway.trigger().with(&[("valueLocation", place)]).open(&endpoints);
    assert_eq!(value(&*at("pods.1.n")).await, Ok((7_500, true)));
    assert_eq!(value(&*at("pods.0.n")).await, Ok((2_000_000, true)), "a quantity");
    assert_eq!(value(&*at("pods.#")).await, Ok((2_000, true)));
    gateway.say(r#"{"open":12}"#);
    until(&*scaler, |outcome| *outcome == Ok((12_000, true))).await.unwrap();
    gateway.say(b"{\"open\":3}".to_vec());
    until(&*scaler, |outcome| *outcome == Ok((3_000, true))).await.unwrap();
    let active = gateway.trigger().with(&[("activationTargetValue", "3")]).open(&endpoints);
    assert_eq!(value(&*active).await, Ok((3_000, false)), "activation is strictly greater");
    gateway.say(r#"{"open":-1}"#);
    until(&*scaler, |outcome| *outcome == Ok((0, false))).await.unwrap();
    assert_eq!(gateway.accepted(), 1, "one connection for all of them");
}

#[test]
fn the_metric_has_the_place_in_its_name() {
    let mut trigger =
        Trigger::of(&[("url", "ws://gateway/stats"), ("valueLocation", "pods.#"), ("targetValue", "0.5")]);
    trigger.spec.metric_type = MetricType::Value;
    let metric = check(&trigger.spec, Known::Nothing, Known::Nothing).metrics.remove(0);
    assert_eq!((metric.name.as_str(), metric.target), ("s0-websocket-pods-#", Milli(500)));
    assert_eq!(metric.metric_type, MetricType::Value);
}

#[tokio::test]
async fn an_old_message_is_no_reading() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    let scaler = gateway.trigger().with(&[("staleAfter", "1s")]).open(&Endpoints::new());
    let begun = Instant::now();
    assert_eq!(value(&*scaler).await, Ok((12_000, true)));
    let error = until(&*scaler, Result::is_err).await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    let what = format!("{}: has sent no message for longer than staleAfter", gateway.url());
    assert_eq!(error.message, what);
    gateway.say(r#"{"open":12}"#);
    assert_eq!(until(&*scaler, Result::is_ok).await, Ok((12_000, true)), "the same number, but fresh");
    assert_eq!(gateway.accepted(), 1, "the connection was well");
}

#[tokio::test]
async fn a_message_without_the_number_is_an_error_until_the_next_good_one() {
    let gateway = Gateway::saying(r#"{"open":12,"other":1}"#).await;
    let endpoints = Endpoints::new();
    let scaler = gateway.trigger().open(&endpoints);
    let other = gateway.trigger().with(&[("valueLocation", "other")]).open(&endpoints);
    let cases = [
        ("<html>12</html>", "the newest message is not JSON"),
        (r#"{"other":2}"#, "the newest message has nothing at valueLocation"),
        (r#"{"open":null,"other":3}"#, "what stands at valueLocation of the newest message is not a number"),
        (r#"{"open":"many","other":4}"#, "what stands at valueLocation of the newest message is not a number"),
    ];
    for (message, what) in cases {
        gateway.say(r#"{"open":12,"other":1}"#);
        until(&*scaler, |outcome| *outcome == Ok((12_000, true))).await.unwrap();
        gateway.say(message);
        let error = until(&*scaler, Result::is_err).await.unwrap_err();
        assert_eq!((error.kind, error.message), (ReadErrorKind::Protocol, format!("{}: {what}", gateway.url())));
        if message.contains("other") {
            assert!(value(&*other).await.is_ok(), "it is the error of that place alone");
        }
    }
}

#[tokio::test]
async fn a_stream_without_a_message_is_waited_for_until_the_deadline() {
    let gateway = Gateway::saying("").await;
    let scaler = gateway.trigger().open(&Endpoints::new());
    let begun = Instant::now();
    let error = super::value_within(&*scaler, Duration::from_millis(500)).await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(500) && begun.elapsed() < Duration::from_secs(10));
    assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
    let (answer, ()) = tokio::join!(value(&*scaler), async {
        sleep(Duration::from_millis(50)).await;
        gateway.say(r#"{"open":1}"#);
    });
    assert_eq!(answer, Ok((1_000, true)), "it comes as soon as the message does");
}
