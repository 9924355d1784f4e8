//! `tidegate local` as people use it: manifests change while it runs, workers crash, it is started twice, somebody asks it.

use std::fs;
use std::sync::Arc;

use libtest_mimic::Trial;

use crate::harness::children::kill_all;
use crate::harness::manifests::{App, Manifests, scaled_object, workers};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, SOON, command, printed};
use crate::harness::trial_with_redis;
use crate::harness::wait::eventually;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("local::a_changed_manifest_acts_and_a_removed_one_leaves_the_replicas", manifests_change),
        trial_with_redis("local::a_crashed_worker_is_started_again", crash),
        trial_with_redis("local::a_state_directory_has_one_master", twice),
        trial_with_redis("local::health_metrics_and_states_are_served", served),
    ]
}

/// An application with 40 items waiting, at its 8 workers. The fields stand in the order in which they must be dropped.
struct AtEight {
    local: Local,
    manifests: Manifests,
    redis: Arc<Redis>,
    pids: Vec<i32>,
}

impl AtEight {
    fn start(name: &str) -> Self {
        let (redis, mut manifests) = (Redis::shared(), Manifests::new());
        manifests.add(&App { name, address: &redis.address(), list: name, ..App::default() });
        redis.push(name, 40);
        let local = Local::start(&manifests);
        local.until_replicas(name, 8);
        let pids = eventually(SOON, "eight workers", || Some(workers(name)).filter(|pids| pids.len() == 8));
        Self { local, manifests, redis, pids }
    }
}

fn manifests_change() {
    let AtEight { redis, manifests, local, .. } = &AtEight::start("changing");
    let file = "changing-scaledobject.yaml";
    let app = App { name: "changing", address: &redis.address(), list: "changing", ..App::default() };
    let text = scaled_object(&app);

    manifests.write(file, &text.replace("maxReplicaCount: 10", "maxReplicaCount: 3"));
    local.until_replicas("changing", 3);
    eventually(SOON, "three workers", || (workers("changing").len() == 3).then_some(()));

    let pause = "  namespace: shop\n  annotations: {autoscaling.keda.sh/paused-replicas: \"5\"}";
    manifests.write(file, &text.replace("  namespace: shop", pause));
    let paused = local.until_replicas("changing", 5);
    assert_eq!(paused.phase(), "Paused");

    fs::remove_file(manifests.folder().join(file)).unwrap();
    eventually(SOON, "the object to be gone", || local.state("changing").is_none().then_some(()));
    eventually(SOON, "five workers", || (workers("changing").len() == 5).then_some(()));
    assert_eq!(local.changes("changing"), [(0, 8), (8, 3), (3, 5)]);
}

fn crash() {
    let AtEight { local, pids, .. } = &AtEight::start("crashing");
    kill_all(&pids[..1]);
    let now = eventually(SOON, "another worker", || {
        Some(workers("crashing")).filter(|now| now.len() == 8 && !now.contains(&pids[0]))
    });
    assert_eq!(pids.iter().filter(|pid| now.contains(pid)).count(), 7, "the other workers are the same");
    assert_eq!(local.changes("crashing"), [(0, 8)]);
}

/// The second one says who holds the directory, and touches nothing.
fn twice() {
    let AtEight { manifests, local, pids, .. } = &AtEight::start("mastered");
    let mut second = command(&["local", "--server", "none", "-f"]);
    second.arg(manifests.folder()).arg("--state").arg(manifests.scratch().join("state"));
    let (_, errors, code) = printed(&second.output().unwrap());
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(&local.pid().to_string()), "pid {} is not in\n{errors}", local.pid());
    assert_eq!(&workers("mastered"), pids);
}

fn served() {
    let AtEight { local, .. } = &AtEight::start("served");
    assert_eq!(local.get("/healthz").unwrap().0, 200);
    assert_eq!(local.get("/readyz").unwrap().0, 200);

    let (status, metrics) = local.get("/metrics").unwrap();
    assert_eq!(status, 200);
    let value = |name: &str| {
        let of_served = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains("\"served\"");
        let line = metrics.lines().find(of_served).unwrap_or_else(|| panic!("no {name} in\n{metrics}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    let near = |name: &str, expected: f64| assert!((value(name) - expected).abs() < 0.5, "{name} is {}", value(name));
    near("keda_scaler_active", 1.0);
    near("keda_scaler_metrics_value", 40.0);
    near("tidegate_replicas", 8.0);
    near("tidegate_max_replicas", 10.0);

    let (status, list) = local.get("/api/v1/objects").unwrap();
    assert_eq!(status, 200);
    assert!(list.contains("\"served\""), "{list}");
    let (status, error) = local.get("/api/v1/objects/shop/serve").unwrap();
    assert_eq!(status, 404);
    assert!(error.contains("shop/served"), "the names that exist are told: {error}");
}
