//! Servers that stop, hang and come back.

use std::time::Duration;

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::{Instant, sleep};

use crate::clients::Client;
use crate::server::Plan;
use crate::trigger::{PATIENCE, Trigger, class, eventually, own, value, value_within};

const ENDPOINT: ErrorScope = ErrorScope::Endpoint;

#[tokio::test]
async fn after_a_restart_a_count_is_right_or_an_error_and_never_zero() {
    let Some(mut server) = own(&Plan::default()) else { return };
    server.add_vhost("kept");
    for queue in ["jobs", "jobs-2"] {
        server.add_queue("kept", queue);
        Client::connect(&server.amqp("kept")).await.publish(queue, 30).await;
    }
    let endpoints = Endpoints::new();
    let amqp = Trigger::new(&server.amqp("kept"), "jobs").open(&endpoints);
    let http = Trigger::new(&server.http("kept"), "jobs");
    let all = Trigger::new(&server.http("kept"), "jobs").with(&[("useRegex", "true")]);
    http.eventually((30, true)).await;
    all.eventually((60, true)).await;
    assert_eq!(value(&*amqp).await, Ok((30_000, true)));
    server.stop();
    for trigger in [&*amqp, &*http.open(&endpoints), &*all.open(&endpoints)] {
        for _ in 0..3 {
            let outcome = value(trigger).await;
            assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ENDPOINT), "{outcome:?}");
        }
    }
    server.start_again();
    // Fresh endpoints: nothing here may wait out a pause while the server still does not know.
    let mut unknown = 0;
    for (trigger, expected) in [(&all, 60_000), (&http, 30_000)] {
        let until = Instant::now() + PATIENCE;
        loop {
            match trigger.read().await {
                Ok(number) => break assert_eq!(number, (expected, true)),
                Err(error) => {
                    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
                    unknown += usize::from(error.message.contains("is not known (yet)"));
                }
            }
            assert!(Instant::now() < until, "the counts do not come back");
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(unknown > 0, "the server answers before it knows, which is what this test is about");
    eventually("AMQP is read again", async || value(&*amqp).await == Ok((30_000, true))).await;
}

#[tokio::test]
async fn a_connection_that_was_cut_costs_no_reading() {
    let Some(mut server) = own(&Plan::default()) else { return };
    server.add_queue("%2F", "jobs");
    let scaler = Trigger::new(&server.amqp("%2F"), "jobs").open(&Endpoints::new());
    assert_eq!(value(&*scaler).await, Ok((0, false)));
    server.kill();
    server.start_again();
    // What it was told a moment before it was killed may not have been on its disk yet.
    server.add_queue("%2F", "jobs");
    assert_eq!(value(&*scaler).await, Ok((0, false)), "the dead connection is replaced within the read");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_disturbs_no_other_and_recovers() {
    let Some(server) = own(&Plan::default()) else { return };
    let Some(other) = crate::trigger::shared() else { return };
    server.add_queue("%2F", "jobs");
    other.add_vhost("neighbour");
    other.add_queue("neighbour", "jobs");
    let endpoints = Endpoints::new();
    let open = |host: &str| Trigger::new(host, "jobs").open(&endpoints);
    let (amqp, http) = (open(&server.amqp("%2F")), open(&server.http("%2F")));
    let neighbour = open(&other.amqp("neighbour"));
    eventually("both are read", async || value(&*amqp).await.is_ok() && value(&*http).await.is_ok()).await;
    server.hang();
    for scaler in [&amqp, &http] {
        let begun = Instant::now();
        let outcome = value_within(&**scaler, Duration::from_millis(500)).await;
        assert_eq!(outcome.as_ref().unwrap_err().kind, ReadErrorKind::Timeout, "{outcome:?}");
        assert!(begun.elapsed() < PATIENCE / 4, "the deadline holds");
    }
    assert_eq!(value(&*neighbour).await, Ok((0, false)));
    server.go_on();
    for scaler in [&amqp, &http] {
        eventually("it is read again", async || value(&**scaler).await == Ok((0, false))).await;
    }
}
