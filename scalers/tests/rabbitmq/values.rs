//! What is read: every count, every mode, one queue and many.

use std::time::Duration;

use futures::future::join_all;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::sleep;

use crate::clients::{Client, Worker};
use crate::trigger::{Trigger, class, eventually, shared, value};

#[tokio::test]
async fn what_a_worker_holds_counts_over_http_and_cannot_be_seen_over_amqp() {
    let Some(server) = shared() else { return };
    server.add_vhost("held");
    server.add_queue("held", "jobs");
    let (amqp, http) = (Trigger::new(&server.amqp("held"), "jobs"), Trigger::new(&server.http("held"), "jobs"));
    let ready = http.clone().with(&[("excludeUnacknowledged", "true")]);
    assert_eq!(amqp.read().await, Ok((0, false)), "an empty queue holds 0, which is a number");
    http.eventually((0, false)).await;
    let mut worker = Worker::start(&server.amqp("held"), "jobs", 12).await;
    worker.publish("jobs", 30).await;
    worker.hold(12).await;
    assert_eq!(amqp.read().await, Ok((18_000, true)), "30 less the 12 that are held");
    http.eventually((30, true)).await;
    ready.eventually((18, true)).await;
    let mut second = Worker::start(&server.amqp("held"), "jobs", 100).await;
    second.hold(18).await;
    assert_eq!(amqp.read().await, Ok((0, false)), "all 30 are held");
    ready.eventually((0, false)).await;
    http.eventually((30, true)).await;
    worker.acknowledge(12).await;
    second.acknowledge(18).await;
    http.eventually((0, false)).await;
}

#[tokio::test]
async fn activation_is_strictly_greater() {
    let Some(server) = shared() else { return };
    server.add_vhost("activation");
    server.add_queue("activation", "jobs");
    Client::connect(&server.amqp("activation")).await.publish("jobs", 3).await;
    for (threshold, active) in [("2.5", true), ("3", false), ("3.5", false)] {
        let trigger = Trigger::new(&server.amqp("activation"), "jobs").with(&[("activationValue", threshold)]);
        assert_eq!(trigger.read().await, Ok((3000, active)), "{threshold}");
        let trigger = Trigger::new(&server.http("activation"), "jobs").with(&[("activationValue", threshold)]);
        trigger.eventually((3, active)).await;
    }
}

#[tokio::test]
async fn rates_are_those_of_a_publisher_and_a_worker() {
    let Some(server) = shared() else { return };
    server.add_vhost("rates");
    for queue in ["quiet", "busy", "stuck"] {
        server.add_queue("rates", queue);
    }
    let trigger = |queue: &str, mode: &str| Trigger::new(&server.http("rates"), queue).mode(mode);
    for mode in ["MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime"] {
        trigger("quiet", mode).eventually((0, false)).await;
    }
    let url = server.amqp("rates");
    // `busy` is taken from as fast as it is filled but for a stock of 50, `stuck` is only filled.
    let mut worker = Worker::start(&url, "busy", 10).await;
    Client::connect(&url).await.publish("busy", 50).await;
    let flow = async {
        loop {
            worker.publish("busy", 2).await;
            worker.publish("stuck", 2).await;
            worker.hold(2).await;
            worker.acknowledge(2).await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let looks = async {
        let endpoints = Endpoints::new();
        let read = async |queue: &str, mode: &str| value(&*trigger(queue, mode).open(&endpoints)).await;
        eventually("messages come", async || matches!(read("busy", "MessageRate").await, Ok((1.., true)))).await;
        eventually("messages go", async || matches!(read("busy", "DeliverGetRate").await, Ok((1.., true)))).await;
        // As many come as go: about 1, and never 0 while both flow.
        let ratio = "PublishedToDeliveredRatio";
        eventually("a ratio", async || matches!(read("busy", ratio).await, Ok((500..2000, true)))).await;
        // 50 at some 20 a second are a few seconds.
        let time = "ExpectedQueueConsumptionTime";
        eventually("a time", async || matches!(read("busy", time).await, Ok((500..60_000, true)))).await;
        assert_eq!(read("stuck", "DeliverGetRate").await, Ok((0, false)));
        let activation = [("activationValue", "7")];
        for mode in [ratio, time] {
            let stuck = trigger("stuck", mode).with(&activation).open(&endpoints);
            eventually("nobody takes", async || value(&*stuck).await == Ok((7000, true))).await;
        }
    };
    tokio::select! {
        () = flow => {}
        () = looks => {}
    }
}

#[tokio::test]
async fn many_queues_are_joined_over_several_pages() {
    let Some(server) = shared() else { return };
    server.add_vhost("many");
    server.add_queue("many", "other");
    let client = Client::connect(&server.amqp("many")).await;
    client.publish("other", 9).await;
    for number in 0..7 {
        server.add_queue("many", &format!("shop-{number}"));
        client.publish(&format!("shop-{number}"), number).await;
    }
    // 0 + 1 + ... + 6 = 21, over seven queues: 3 on average. Seven queues are four pages of two.
    let trigger = |operation| {
        let says = [("useRegex", "true"), ("pageSize", "2"), ("operation", operation)];
        Trigger::new(&server.http("many"), "^shop-").with(&says)
    };
    trigger("sum").eventually((21, true)).await;
    trigger("avg").eventually((3, true)).await;
    trigger("max").eventually((6, true)).await;
    Trigger::new(&server.http("many"), "op-[56]$").with(&[("useRegex", "true")]).eventually((11, true)).await;
    let none = Trigger::new(&server.http("many"), "^nothing").with(&[("useRegex", "true")]);
    assert_eq!(none.read().await, Ok((0, false)));
    let broken = Trigger::new(&server.http("many"), "shop-(").with(&[("useRegex", "true")]).read().await;
    assert_eq!(class(&broken), (ReadErrorKind::Config, ErrorScope::Query), "{broken:?}");
    let mode = [("useRegex", "true"), ("mode", "MessageRate"), ("value", "1")];
    let rate = Trigger::new(&server.http("many"), "^other$").with(&mode);
    eventually("the rate of what has come", async || rate.read().await.is_ok_and(|(_, active)| active)).await;
}

#[tokio::test]
async fn names_may_have_any_characters() {
    let Some(server) = shared() else { return };
    let (vhost, queue) = ("sh%20op%2Fx%2B", "a%20b%2Fc%25d%2Be%C3%A9");
    server.add_vhost(vhost);
    server.add_queue(vhost, queue);
    let name = "a b/c%d+eé";
    Client::connect(&server.amqp(vhost)).await.publish(name, 4).await;
    assert_eq!(Trigger::new(&server.amqp(vhost), name).read().await, Ok((4000, true)));
    Trigger::new(&server.http(vhost), name).eventually((4, true)).await;
    for host in [server.amqp("elsewhere"), server.http("elsewhere")] {
        let named = Trigger::new(&host, name).with(&[("vhostName", "sh op/x+")]);
        assert_eq!(named.read().await, Ok((4000, true)));
    }
}

#[tokio::test]
async fn a_queue_that_is_missing_is_an_error_of_its_own_trigger() {
    let Some(server) = shared() else { return };
    server.add_vhost("missing");
    let client = Client::connect(&server.amqp("missing")).await;
    for number in 0..40 {
        server.add_queue("missing", &format!("there-{number}"));
        client.publish(&format!("there-{number}"), number % 3).await;
    }
    Trigger::new(&server.http("missing"), "there-38").eventually((2, true)).await;
    for host in [server.amqp("missing"), server.http("missing")] {
        let endpoints = Endpoints::new();
        let names = (0..40).flat_map(|number| [format!("there-{number}"), format!("gone-{number}")]);
        let scalers: Vec<_> = names.map(|name| Trigger::new(&host, &name).open(&endpoints)).collect();
        for round in 0..2 {
            let outcomes = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
            for (number, pair) in (0_i64..).zip(outcomes.chunks(2)) {
                assert_eq!(pair[0], Ok((number % 3 * 1000, number % 3 > 0)), "{host}, round {round}");
                assert_eq!(class(&pair[1]), (ReadErrorKind::Config, ErrorScope::Query), "{pair:?}");
            }
        }
        let error = Trigger::new(&host, "gone").read().await.unwrap_err();
        assert!(error.message.contains("\"gone\"") && !error.message.contains("guest"), "{error}");
    }
}

#[tokio::test]
async fn a_queue_that_appears_is_read_and_one_that_goes_is_an_error() {
    let Some(server) = shared() else { return };
    server.add_vhost("coming");
    let endpoints = Endpoints::new();
    for host in [server.amqp("coming"), server.http("coming")] {
        let scaler = Trigger::new(&host, "jobs").open(&endpoints);
        assert_eq!(class(&value(&*scaler).await), (ReadErrorKind::Config, ErrorScope::Query));
        server.add_queue("coming", "jobs");
        // The API knows of the queue at once, and of its count some seconds later: until then there is no number.
        eventually("the new queue is read", async || match value(&*scaler).await {
            Ok(number) => number == (0, false),
            Err(error) => {
                assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Query), "{error}");
                false
            }
        })
        .await;
        server.delete_queue("coming", "jobs");
        assert_eq!(class(&value(&*scaler).await), (ReadErrorKind::Config, ErrorScope::Query));
    }
}

#[tokio::test]
async fn a_queue_of_one_connection_alone_is_an_error_over_amqp() {
    let Some(server) = shared() else { return };
    server.add_vhost("exclusive");
    let connection =
        lapin::Connection::connect(&server.amqp("exclusive"), lapin::ConnectionProperties::default()).await;
    let channel = connection.as_ref().unwrap().create_channel().await.unwrap();
    let options = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare("mine".into(), options, lapin::types::FieldTable::default()).await.unwrap();
    let outcome = Trigger::new(&server.amqp("exclusive"), "mine").read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Config, ErrorScope::Query), "{outcome:?}");
}
