//! What is asked at one moment is asked once, over few connections.

use futures::future::join_all;
use tidegate_scalers::Endpoints;
use tokio::time::{Duration, sleep};

use crate::server::{Server, http, value, vector};

#[tokio::test]
async fn equal_questions_of_one_moment_are_asked_once() {
    let server = Server::saying(r#"{"value":7,"other":{"x":2}}"#).await;
    let endpoints = Endpoints::new();
    let mut scalers: Vec<_> = (0..100).map(|_| server.metrics_api().open(&endpoints)).collect();
    scalers.push(server.metrics_api().with(&[("valueLocation", "other.x")]).open(&endpoints));
    let mut answers = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    assert_eq!(answers.pop(), Some(Ok((2000, true))), "another place in the same answer");
    assert!(answers.iter().all(|answer| *answer == Ok((7000, true))));
    assert!(server.heard().len() < 10, "{} requests", server.heard().len());
    let before = server.heard().len();
    assert_eq!(value(&*scalers[0]).await, Ok((7000, true)));
    assert_eq!(server.heard().len(), before + 1, "a later question gets an answer of its own");
}

#[tokio::test]
async fn equal_queries_are_asked_once_a_second() {
    let server = Server::saying(&vector(&["3"])).await;
    let endpoints = Endpoints::new();
    let (first, second) = (server.prometheus().open(&endpoints), server.prometheus().open(&endpoints));
    let other = server.prometheus().with(&[("query", "other")]).open(&endpoints);
    for scaler in [&first, &second, &other, &first] {
        assert_eq!(value(&**scaler).await, Ok((3000, true)));
    }
    assert_eq!(server.heard().len(), 2);
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(value(&*second).await, Ok((3000, true)));
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn a_failure_serves_nobody_else() {
    let server =
        Server::start(|_| http("422 Unprocessable Entity", r#"{"status":"error","errorType":"execution"}"#)).await;
    let scaler = server.prometheus().open(&Endpoints::new());
    for _ in 0..3 {
        assert!(value(&*scaler).await.is_err());
    }
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn many_queries_share_few_connections() {
    let server = Server::saying(&vector(&["3"])).await;
    let endpoints = Endpoints::new();
    let scalers: Vec<_> =
        (0..200).map(|index| server.prometheus().with(&[("query", &format!("q{index}"))]).open(&endpoints)).collect();
    assert!(scalers.windows(2).all(|pair| pair[0].endpoint() == pair[1].endpoint()));
    let answers = join_all(scalers.iter().map(|scaler| value(&**scaler))).await;
    assert!(answers.iter().all(|answer| *answer == Ok((3000, true))));
    assert_eq!(server.heard().len(), 200);
    assert!(server.connections() <= 32, "{} connections", server.connections());
}

#[tokio::test]
async fn a_caller_that_gives_up_stops_nobody_else() {
    let server = Server::saying(r#"{"value":7}"#).await;
    let endpoints = Endpoints::new();
    let (first, second) = (server.metrics_api().open(&endpoints), server.metrics_api().open(&endpoints));
    let impatient = tokio::time::timeout(Duration::from_micros(100), value(&*first));
    let (gave_up, answer) = tokio::join!(impatient, value(&*second));
    assert!(gave_up.is_err());
    assert_eq!(answer, Ok((7000, true)));
}
