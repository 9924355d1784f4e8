//! The surroundings on an API server in memory. Metrics APIs are lists that it holds.

mod custom;
mod endpoints;
mod external;
mod pods;
mod texts;
mod usages;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_calculator::source::{TargetRef, Wake};
use tidegate_scalers::MetricQuery;
use tokio::sync::mpsc::UnboundedSender;

use super::ClusterSurroundings;
use super::rooms::Times;
use crate::kubernetes::fake::Fake;
use crate::kubernetes::patience::{self, Patience};

/// Long enough for everything that answers.
const SOON: Duration = Duration::from_secs(10);
/// Answers live so long here that a slow machine asks no second time by chance.
const LIFE: Duration = Duration::from_secs(20);

/// A few hundredths of the usual times.
const PATIENCE: patience::Times = patience::Times {
    first: Duration::from_millis(25),
    longest: Duration::from_millis(200),
    page: Duration::from_secs(1),
    open: Duration::from_millis(250),
    stand: Duration::from_millis(150),
    late: Duration::from_millis(50),
};
/// A watch that lives shows it every 250 ms.
const TIMES: Times = Times { stale: Duration::from_secs(2), idle: Duration::from_mins(1) };

fn around(fake: &Fake, times: Times, life: Duration) -> ClusterSurroundings {
    ClusterSurroundings::with_times(&fake.client(), Patience::with_times(PATIENCE), times, life)
}

fn usual(fake: &Fake) -> ClusterSurroundings {
    around(fake, TIMES, LIFE)
}

fn deployment(name: &str) -> TargetRef {
    TargetRef { namespace: "shop".into(), api_version: "apps/v1".into(), kind: "Deployment".into(), name: name.into() }
}

fn metric(name: &str, selector: &str) -> MetricQuery {
    MetricQuery { name: name.to_owned(), selector: selector.to_owned() }
}

/// A Deployment whose pods have the label `app` with its name.
fn put_deployment(fake: &Fake, name: &str) {
    let status = json!({ "replicas": 1, "selector": format!("app={name}") });
    fake.put(&format!("/apis/apps/v1/namespaces/shop/deployments/{name}"), json!({ "spec": {}, "status": status }));
}

/// A running pod of a Deployment, with a request of 100m.
fn put_pod(fake: &Fake, name: &str, app: &str) {
    fake.put(&pod_path(name), pod(app));
}

fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

fn pod(app: &str) -> Value {
    let container = json!({ "name": "main", "resources": { "requests": { "cpu": "100m" } } });
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [container] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// The Deployments `orders` with two pods and `bills` with one.
fn shop() -> Fake {
    let fake = Fake::default();
    for name in ["orders", "bills"] {
        put_deployment(&fake, name);
    }
    for (name, app) in [("orders-a", "orders"), ("orders-b", "orders"), ("bills-a", "bills")] {
        put_pod(&fake, name, app);
    }
    fake
}

/// So many seconds before now, as an API server writes it.
fn ago(seconds: i64) -> String {
    (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
}

/// Whether a time is so many seconds before the answer, but for what the test itself took.
fn is_ago(tick: tidegate_calculator::time::Tick, seconds: i64) -> bool {
    (-seconds * 1000 - 5_000..=-seconds * 1000).contains(&tick.0)
}

/// A wake that is noted.
fn sending(notes: UnboundedSender<()>) -> Wake {
    Arc::new(move || {
        let _ = notes.send(());
    })
}
