//! What goes wrong: credentials, virtual hosts, and servers that are not what the trigger says.

use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::scripted::Api;
use crate::trigger::{DEADLINE, Outcome, Trigger, class, shared, value, value_within};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;
const QUERY: ErrorScope = ErrorScope::Query;

fn told(outcome: &Outcome) -> &str {
    &outcome.as_ref().expect_err("a failure").message
}

#[tokio::test]
async fn refused_credentials_are_told_apart_from_other_failures() {
    let Some(server) = shared() else { return };
    server.add_vhost("guarded");
    server.add_queue("guarded", "jobs");
    server.add_user("reader", "right", "management");
    server.add_user("untagged", "right", "");
    let (amqp, http) = (server.ports.amqp, server.ports.http);
    let (amqp, http) = (format!("amqp://127.0.0.1:{amqp}/guarded"), format!("http://127.0.0.1:{http}/guarded"));
    let as_user = |host: &str, user: &str, password: &str| {
        Trigger::new(host, "jobs").auth(&[("username", user), ("password", password)])
    };
    let wrong = [as_user(&amqp, "reader", "wr0ng"), as_user(&amqp, "nobody", "wr0ng")];
    for trigger in wrong {
        let outcome = trigger.read().await;
        assert_eq!(class(&outcome), (ReadErrorKind::Auth, ENDPOINT), "{outcome:?}");
        assert!(!told(&outcome).contains("wr0ng"), "{outcome:?}");
    }
    for trigger in [as_user(&http, "reader", "wr0ng"), Trigger::new(&http, "jobs")] {
        let outcome = trigger.read().await;
        assert_eq!(class(&outcome), (ReadErrorKind::Auth, QUERY), "{outcome:?}");
        assert!(!told(&outcome).contains("wr0ng"), "{outcome:?}");
    }
    // The password is right, but the virtual host is not the user's.
    let outcome = as_user(&amqp, "reader", "right").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Auth, ENDPOINT), "{outcome:?}");
    assert_eq!(class(&as_user(&http, "reader", "right").read().await), (ReadErrorKind::Auth, QUERY));
    server.permit("reader", "guarded");
    server.permit("untagged", "guarded");
    assert_eq!(as_user(&amqp, "reader", "right").read().await, Ok((0, false)));
    as_user(&http, "reader", "right").eventually((0, false)).await;
    assert_eq!(as_user(&amqp, "untagged", "right").read().await, Ok((0, false)), "AMQP wants no tag");
    let outcome = as_user(&http, "untagged", "right").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Auth, QUERY));
    assert!(told(&outcome).contains("the tag management"), "{outcome:?}");
    // What is given apart from the URL comes before what stands in it.
    let host = amqp.replace("//", "//nobody:wr0ng@");
    assert_eq!(as_user(&host, "reader", "right").read().await, Ok((0, false)));
}

#[tokio::test]
async fn a_virtual_host_that_is_missing_is_a_mistake_of_the_user() {
    let Some(server) = shared() else { return };
    let outcome = Trigger::new(&server.amqp("nowhere"), "jobs").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Config, ENDPOINT), "{outcome:?}");
    assert!(told(&outcome).ends_with("has no virtual host \"nowhere\""), "{outcome:?}");
    for says in [&[][..], &[("useRegex", "true")]] {
        let outcome = Trigger::new(&server.http("nowhere"), "jobs").with(says).read().await;
        assert_eq!(class(&outcome), (ReadErrorKind::Config, QUERY), "{outcome:?}");
    }
}

#[tokio::test]
async fn ports_that_speak_something_else_are_recognised() {
    let Some(server) = shared() else { return };
    let (amqp, http) = (server.ports.amqp, server.ports.http);
    let outcome = Trigger::new(&format!("amqp://127.0.0.1:{http}"), "jobs").read().await;
    // It closes without a word, as a server does that wants TLS.
    assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ENDPOINT), "{outcome:?}");
    assert!(told(&outcome).ends_with("it may want TLS, or not be RabbitMQ"), "{outcome:?}");
    let outcome = Trigger::new(&format!("http://127.0.0.1:{amqp}"), "jobs").read().await;
    assert_eq!(outcome.as_ref().unwrap_err().kind, ReadErrorKind::Protocol, "{outcome:?}");
    let outcome = Trigger::new(&format!("amqps://127.0.0.1:{amqp}"), "jobs").read().await;
    let error = outcome.unwrap_err();
    assert!(error.message.contains("does not speak TLS") || error.message.contains("closed"), "{error}");
    // Other servers have answers as well, also for what is not there.
    for status in [200, 404] {
        let other = Api::start(move |_| (status, "<html></html>".to_owned())).await;
        let outcome = Trigger::new(&other.url(), "jobs").read().await;
        assert_eq!(class(&outcome), (ReadErrorKind::Protocol, QUERY), "{outcome:?}");
        assert!(told(&outcome).contains("is this its address"), "{outcome:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_silence_a_timeout() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (silent.local_addr().unwrap(), silent);
    for scheme in ["amqp", "http", "amqps", "https"] {
        let outcome = Trigger::new(&format!("{scheme}://{closed}"), "jobs").read().await;
        assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ENDPOINT), "{outcome:?}");
        assert!(told(&outcome).ends_with("connection refused"), "{outcome:?}");
        let scaler = Trigger::new(&format!("{scheme}://{}", silent.0), "jobs").open(&Endpoints::new());
        let begun = Instant::now();
        let outcome = value_within(&*scaler, Duration::from_millis(300)).await;
        assert_eq!(outcome.as_ref().unwrap_err().kind, ReadErrorKind::Timeout, "{outcome:?}");
        assert!(begun.elapsed() < DEADLINE / 2, "the deadline holds");
    }
    let nowhere = Trigger::new("amqp://no-such-host.invalid", "jobs").read().await;
    assert_eq!(class(&nowhere), (ReadErrorKind::Unavailable, ENDPOINT));
}

#[tokio::test]
async fn a_read_may_be_dropped_at_any_time() {
    let Some(server) = shared() else { return };
    server.add_vhost("dropped");
    server.add_queue("dropped", "jobs");
    Trigger::new(&server.http("dropped"), "jobs").eventually((0, false)).await;
    for host in [server.amqp("dropped"), server.http("dropped")] {
        let scaler = Trigger::new(&host, "jobs").open(&Endpoints::new());
        for micros in (0..40_u64).map(|step| step * step * 20) {
            let _ = tokio::time::timeout(Duration::from_micros(micros), value(&*scaler)).await;
        }
        assert_eq!(value(&*scaler).await, Ok((0, false)), "{host}");
    }
}
