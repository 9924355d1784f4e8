//! A watch that has fallen silent is not a KEDA that has ended.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use tidegate_engine::subject::{ObjectId, TargetRef};

/// The answer to the next reads of the Lease: the Lease, nothing for one that is not there, or a failure.
type Answer = Arc<Mutex<Result<Option<Value>, u16>>>;

async fn answer(State(answer): State<Answer>) -> Response {
    let refusal = |code: u16| {
        let reason = if code == 404 { "NotFound" } else { "" };
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "scripted",
            "reason": reason, "code": code });
        (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
    };
    match &*answer.lock().unwrap() {
        Ok(Some(lease)) => Json(lease.clone()).into_response(),
        Ok(None) => refusal(404),
        Err(code) => refusal(*code),
    }
}

fn lease(version: u32) -> Value {
    // Its own clock is years behind ours: it lives as long as it changes.
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": KEDA_LEASE, "resourceVersion": version.to_string() },
        "spec": { "holderIdentity": "k", "leaseDurationSeconds": 1, "renewTime": "2020-01-01T00:00:00.000000Z" },
    })
}

struct Bench {
    keda: KedaWatch,
    answer: Answer,
    holds: Holds,
}

impl Bench {
    /// A KEDA that was alive, and whose watch has been silent for longer than its Lease lasts.
    async fn silent(then: Result<Option<Value>, u16>) -> Self {
        let (answers, holds) = (Answer::new(Mutex::new(then)), Holds::default());
        let client = Client::new(Router::new().fallback(answer).with_state(answers.clone()), "keda");
        let mut keda = KedaWatch::new(client, "keda", Some(holds.clone()));
        for version in 1..3 {
            let lease = serde_json::from_value(lease(version)).unwrap();
            assert!(keda.hear(Some(Ok(watcher::Event::Apply(lease))), &mut None));
        }
        keda.tell();
        let bench = Self { keda, answer: answers, holds };
        assert!(bench.is_held());
        tokio::time::sleep(Duration::from_millis(1100)).await;
        bench
    }

    fn is_held(&self) -> bool {
        let target = TargetRef {
            namespace: "shop".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "orders".into(),
        };
        self.holds.of(&ObjectId::new("shop", "orders"), &target).is_some()
    }

    /// One turn of the watch's loop.
    async fn turn(&mut self) {
        if self.keda.is_certain().await {
            self.keda.tell();
        }
    }
}

#[tokio::test]
async fn a_lease_that_went_on_unseen_lives() {
    let mut bench = Bench::silent(Ok(Some(lease(9)))).await;
    bench.turn().await;
    assert!(bench.is_held());
    // And when it has really ended:
    tokio::time::sleep(Duration::from_millis(1100)).await;
    bench.turn().await;
    assert!(!bench.is_held(), "the same version a second later");
    assert_eq!(*bench.keda.alive().borrow(), Some(false));
}

#[tokio::test]
async fn without_an_answer_it_lives_until_there_is_one() {
    let mut bench = Bench::silent(Err(503)).await;
    for _ in 0..2 {
        bench.turn().await;
        assert!(bench.is_held() && bench.keda.doubtful);
    }
    assert!(bench.keda.complaint.as_ref().unwrap().contains("counts as alive"), "{:?}", bench.keda.complaint);
    *bench.answer.lock().unwrap() = Ok(None);
    bench.turn().await;
    assert!(!bench.is_held() && !bench.keda.doubtful);
}
