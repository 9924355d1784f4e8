//! Others who scale the same target: what they scale is left alone, people are told how to end it, and it is scaled again when they are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::{Space, conditions};
use super::trial_with_redis;
use crate::harness::redis::Redis;
use crate::harness::wait::throughout;

/// How long nothing may happen: more than two of the periods in which an object is decided about.
const QUIET: Duration = Duration::from_secs(35);

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("foreign::a_tool_resets_the_replicas", resets),
        trial_with_redis("foreign::a_live_keda", live_keda),
        trial_with_redis("foreign::another_autoscaler", autoscaler),
        trial_with_redis("foreign::only_observed", observed),
    ]
}

/// A HorizontalPodAutoscaler of somebody else: the condition holds the command that removes it, and it helps.
fn autoscaler() {
    const LIST: &str = "foreign-autoscaler";
    let redis = Redis::shared();
    let space = Space::new("autoscaler");
    space.deploy(&Deployment { replicas: 2, ..Deployment::default() });
    space.apply(&other_autoscaler().to_string());
    scaled(&space, &redis, LIST);
    redis.push(LIST, 40);
    let operator = Account::new(&space).start();
    let begun = space.plane().audit().now();
    let command = format!("kubectl delete hpa other -n {}", space.name());
    until_said(&space, "scaledobjects", &command);
    until_said(&space, "scalerecords", &command);
    untouched(&space, 2);
    assert_eq!(operator.requests(begun).writes().of("deployments/scale").count(), 0, "{}", operator.log());

    // What the message says.
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    space.plane().print(&arguments);
    space.until_replicas("app", 8);
    space.until_condition("app", "Ready", "True");
}

/// While a KEDA renews its Lease nothing is scaled and its objects' status is its own. When it ends, Tidegate takes over.
fn live_keda() {
    const LIST: &str = "foreign-keda";
    let redis = Redis::shared();
    let space = Space::new("keda");
    // The roles open KEDA's Lease by its name in the namespaces that they are for.
    let keda = KedaLease::start(&space);
    space.deploy(&Deployment { replicas: 2, ..Deployment::default() });
    scaled(&space, &redis, LIST);
    redis.push(LIST, 40);
    let begun = space.plane().audit().now();
    let operator = Account::new(&space).start_with(&["--keda-namespace", space.name()]);
    let record =
        space.until("scalerecords", "app", "a record that observes", |record| record["status"]["mode"] == "Observe");
    println!("{:#}", record["status"]["conditions"]);
    assert!(conditions(&record).any(|one| one["reason"] == "LiveKeda"), "{record:#}");
    untouched(&space, 2);
    let writes = operator.requests(begun).writes();
    for resource in ["deployments/scale", "deployments", "scaledobjects", "scaledobjects/status"] {
        assert_eq!(writes.of(resource).count(), 0, "{resource}: {writes}\n{}", operator.log());
    }
    let object = space.get("scaledobjects", "app").expect("the object");
    assert_eq!(conditions(&object).count(), 0, "the status is KEDA's: {object:#}");

    keda.end();
    space.until_replicas("app", 8);
    space.until_condition("app", "Active", "True");
}

/// A tool that knows a number of replicas of its own: it is named, and not fought.
fn resets() {
    const LIST: &str = "foreign-resets";
    let redis = Redis::shared();
    let space = Space::new("resets");
    space.deploy(&Deployment { replicas: 1, ..Deployment::default() });
    scaled(&space, &redis, LIST);
    redis.push(LIST, 40);
    let operator = Account::new(&space).start();
    let patch = r#"{"spec": {"replicas": 1}}"#;
    for reset in 1..=3 {
        space.until_replicas("app", 8);
        println!("reset {reset}");
        // Its own write comes back to the operator before the reset does; they must not be seen as one.
        space.until("scalerecords", "app", "the change in the record", |record| {
            record["status"]["lastChange"]["to"] == 8 && record["status"]["replicas"] == 8
        });
        std::thread::sleep(Duration::from_secs(1));
        space.kubectl(&["patch", "deployment", "app", "--field-manager", "argocd-controller", "-p", patch]);
    }
    let object = until_said(&space, "scaledobjects", "argocd-controller");
    assert!(conditions(&object).any(|one| one["reason"] == "ForeignWriter"), "{object:#}");
    let left = space.replicas("app").expect("a Deployment");
    untouched(&space, left);
    assert_eq!(left, 1, "the third reset stays: {}", operator.log());
}

/// An operator that only looks: the record says what it would do.
fn observed() {
    const LIST: &str = "foreign-observed";
    let redis = Redis::shared();
    let space = Space::new("observed");
    space.deploy(&Deployment { replicas: 2, ..Deployment::default() });
    scaled(&space, &redis, LIST);
    redis.push(LIST, 40);
    let begun = space.plane().audit().now();
    let operator = Account::new(&space).start_with(&["--mode", "Observe"]);
    let would = |record: &Value| record["status"]["mode"] == "Observe" && record["status"]["desired"] == 4;
    // From 2 replicas the usual rate allows 4.
    space.until("scalerecords", "app", "a record that wants 4", would);
    untouched(&space, 2);
    let writes = operator.requests(begun).writes();
    for resource in ["deployments/scale", "deployments"] {
        assert_eq!(writes.of(resource).count(), 0, "{resource}: {writes}");
    }
}

/// The ScaledObject of all scenarios here: 40 items are 8 replicas.
fn scaled(space: &Space, redis: &Redis, list: &str) {
    let address = redis.address();
    space.scale_by(&ScaledObject { address: &address, list, ..ScaledObject::default() });
}

/// Waits until a condition's message holds this text.
fn until_said(space: &Space, resource: &str, text: &str) -> Value {
    space.until(resource, "app", &format!("{text:?} in a condition"), |object| {
        conditions(object).any(|one| one["message"].as_str().is_some_and(|message| message.contains(text)))
    })
}

/// Nobody asks for another number of replicas.
fn untouched(space: &Space, replicas: i64) {
    let asked = space.watch("app");
    throughout(QUIET, || {
        let counts = asked.counts();
        if counts == [replicas] { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

/// It has no metrics to go by, so it does nothing itself.
fn other_autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "other"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": 1, "maxReplicas": 9,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        },
    })
}

/// The Lease of a KEDA operator, renewed until it ends.
struct KedaLease {
    goes_on: Arc<AtomicBool>,
    renewal: Option<JoinHandle<()>>,
}

impl KedaLease {
    fn start(space: &Space) -> Self {
        space.apply(&lease().to_string());
        let goes_on = Arc::new(AtomicBool::new(true));
        let (plane, namespace, flag) = (space.plane().clone(), space.name().to_owned(), goes_on.clone());
        let renewal = std::thread::spawn(move || renew(&plane, &namespace, &flag));
        Self { goes_on, renewal: Some(renewal) }
    }

    /// It ends as KEDA does that is killed: the Lease stays and runs out.
    fn end(self) {
        drop(self);
    }
}

impl Drop for KedaLease {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
        if let Some(renewal) = self.renewal.take() {
            let _ = renewal.join();
        }
    }
}

fn renew(plane: &ControlPlane, namespace: &str, goes_on: &AtomicBool) {
    while goes_on.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_secs(2));
        // One that fails is made up for by the next one.
        let _ = plane.kubectl(&["apply", "-n", namespace, "-f", "-"], &lease().to_string());
    }
}

/// As KEDA writes it, but longer: a busy machine may come late with a renewal.
fn lease() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "operator.keda.sh"},
        "spec": {
            "holderIdentity": "keda-operator-0", "leaseDurationSeconds": 30,
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    })
}
