//! What is read: values, targets, activity, and what the server is told.

use std::time::Duration;

use tidegate_calculator::source::{MetricType, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tonic::Code;

use crate::scripted::Script;
use crate::server::{DEADLINE, Server, eventually, jobs, read};

#[tokio::test]
async fn the_servers_number_and_its_activity_are_two_things() {
    for (value, active) in [(0, false), (12, true), (12, false), (0, true)] {
        let server = Server::start(Script::saying(value, active));
        assert_eq!(server.trigger().read().await, jobs(value, active));
    }
}

#[tokio::test]
async fn several_metrics_are_asked_for_and_then_whether_there_is_something_to_do() {
    let script = Script {
        metrics: vec![("a/b.c", (5, 0.0)), ("d", (100, 0.5))],
        values: [("a/b.c", vec![(3, 0.0), (0, 1.25)]), ("d", vec![(-7, 0.0)])].into(),
        ..Script::saying(0, true)
    };
    let server = Server::start(script);
    let mut trigger = server.trigger();
    (trigger.spec.index, trigger.spec.metric_type) = (4, MetricType::Value);
    let scaler = trigger.open(&Endpoints::new());
    let expected = vec![("s4-a/b.c".to_owned(), 5000, 4250, true), ("s4-d".to_owned(), 500, 0, true)];
    assert_eq!(read(&*scaler).await, Ok(expected));
    assert_eq!(server.methods(), ["GetMetricSpec", "GetMetrics", "GetMetrics", "IsActive"]);
    let readings = scaler.read(Occasion::Check, DEADLINE).await.unwrap();
    assert!(readings.iter().all(|(spec, _)| spec.metric_type == MetricType::Value && !spec.exact));
    assert_eq!(server.methods(), ["GetMetrics", "GetMetrics", "IsActive"], "the metrics are known by now");
}

#[tokio::test]
async fn the_server_gets_the_object_and_the_whole_metadata() {
    let server = Server::start(Script::saying(1, true));
    let metadata = [("queue", " jobs "), ("dsnFromEnv", "DSN"), ("emptyFromEnv", "EMPTY"), ("goneFromEnv", "GONE")];
    let trigger = server.trigger().with(&metadata).env(&[("DSN", "user:s3cret@db"), ("EMPTY", "")]);
    let trigger = trigger.auth(&[("password", "not passed on")]);
    assert!(trigger.read().await.is_ok());
    let heard = server.heard();
    assert_eq!(heard.len(), 3);
    let address = format!("127.0.0.1:{}", server.port);
    for call in heard {
        let said: Vec<_> = call.about.scaler_metadata.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        let mut said = said;
        said.sort_unstable();
        assert_eq!(said, [("dsnFromEnv", "user:s3cret@db"), ("queue", " jobs "), ("scalerAddress", &address)]);
        assert_eq!((call.about.namespace.as_str(), call.about.name.as_str()), ("shop", "orders"));
        assert!(call.has_deadline);
    }
}

#[tokio::test]
async fn what_is_missing_or_no_number_is_an_error_and_never_a_zero() {
    type Change = fn(&mut Script);
    let cases: &[(Change, &str)] = &[
        (|it| it.values = [("jobs", Vec::new())].into(), "GetMetrics gives no value of \"jobs\""),
        (
            |it| it.values = [("jobs", vec![(7, f64::NAN)])].into(),
            "GetMetrics gives a value of \"jobs\" that is no number",
        ),
        (|it| it.values = [("jobs", vec![(7, 0.0), (0, f64::INFINITY)])].into(), "that is no number"),
        (|it| it.metrics.clear(), "GetMetricSpec names not 1 to 64 metrics"),
        (|it| it.metrics[0].1 = (0, 0.0), "GetMetricSpec gives \"jobs\" no target size greater than 0"),
        (|it| it.metrics[0].1 = (5, f64::NEG_INFINITY), "no target size greater than 0"),
        (|it| it.metrics.push(("jobs", (1, 0.0))), "GetMetricSpec names two metrics alike"),
    ];
    for (change, text) in cases {
        let mut script = Script::saying(7, true);
        change(&mut script);
        let server = Server::start(script);
        let error = server.trigger().read().await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Protocol, "{error}");
        let name = format!("external scaler at 127.0.0.1:{}: ", server.port);
        assert!(error.message.starts_with(&name) && error.message.ends_with(text), "{error}");
    }
}

#[tokio::test]
async fn metrics_that_the_server_renames_are_asked_for_again_within_the_same_reading() {
    let server = Server::start(Script::saying(7, true));
    let scaler = server.trigger().open(&Endpoints::new());
    assert_eq!(read(&*scaler).await, jobs(7, true));
    server.say(|it| {
        it.metrics = vec![("other", (2, 0.0))];
        it.values = [("other", vec![(3, 0.0)])].into();
    });
    server.methods();
    assert_eq!(read(&*scaler).await, Ok(vec![("s0-other".to_owned(), 2000, 3000, true)]));
    assert_eq!(server.methods(), ["GetMetrics", "GetMetricSpec", "GetMetrics", "IsActive"]);
}

#[tokio::test]
async fn a_server_that_was_started_again_is_asked_for_its_metrics_again() {
    let mut server = Server::start(Script::saying(7, true));
    let scaler = server.trigger().open(&Endpoints::new());
    assert_eq!(read(&*scaler).await, jobs(7, true));
    server.stop();
    // The same name with another target: nothing in the values would tell.
    server.say(|it| it.metrics = vec![("jobs", (70, 0.0))]);
    server.start_again().await;
    let expected = Ok(vec![("s0-jobs".to_owned(), 70_000, 7000, true)]);
    let mut last = None;
    eventually("a reading", async || {
        last = Some(read(&*scaler).await);
        last.as_ref().is_some_and(Result::is_ok)
    })
    .await;
    assert_eq!(last, Some(expected), "the first reading that succeeds has the new target");
}

#[tokio::test]
async fn metrics_that_cannot_be_told_are_a_failure_that_a_fallback_counts() {
    let server = Server::start(Script::saying(7, true).failing("GetMetricSpec", Code::Unavailable));
    let scaler = server.trigger().open(&Endpoints::new());
    for _ in 0..3 {
        assert_eq!(read(&*scaler).await.unwrap_err().kind, ReadErrorKind::Unavailable);
    }
    server.say(|it| it.failing.clear());
    assert_eq!(read(&*scaler).await, jobs(7, true));
}

#[tokio::test]
async fn triggers_of_one_server_share_one_connection_and_a_bounded_number_of_calls() {
    let server = Server::start(Script { delay: Duration::from_millis(20), ..Script::saying(7, true) });
    let endpoints = Endpoints::new();
    let open = |n: usize| server.trigger().with(&[("queue", &n.to_string())]).open(&endpoints);
    let scalers: Vec<_> = (0..200).map(open).collect();
    assert!(scalers.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    let seen = futures::future::join_all(scalers.iter().map(|scaler| read(&**scaler))).await;
    assert!(seen.iter().all(|seen| *seen == jobs(7, true)), "{:?}", seen.iter().find(|seen| seen.is_err()));
    assert_eq!((server.connections(), server.calls("IsActive")), ((1, 1), 200));
}
