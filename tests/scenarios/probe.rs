//! `tidegate probe` with real servers: what can be read, what cannot and why, and that no secret is ever told.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::manifests::Manifests;
use crate::harness::redis::Redis;
use crate::harness::tidegate::{command, printed, run};
use crate::harness::{trial, trial_with_redis};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("probe::each_trigger_says_what_came_of_it", each_trigger),
        trial_with_redis("probe::a_secret_is_never_told", never_told),
        trial("probe::bad_input_is_named_and_has_its_exit_code", bad_input),
    ]
}

/// The right password, and a wrong one that must never be seen.
const PASSWORD: &str = "correct-horse";
const CANARY: &str = "Canary-5d2e71";

/// A Deployment whose container has both passwords, and what else triggers refer to.
const AROUND: &str = "apiVersion: v1
kind: Secret
metadata: {name: redis, namespace: shop}
stringData: {password: correct-horse, wrong: Canary-5d2e71}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: app
          image: example.com/worker:1
          env:
            - {name: REDIS_PASSWORD, valueFrom: {secretKeyRef: {name: redis, key: wrong}}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: right, namespace: shop}
spec: {secretTargetRef: [{parameter: password, name: redis, key: password}]}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: wrong, namespace: shop}
spec: {secretTargetRef: [{parameter: password, name: redis, key: wrong}]}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: lost, namespace: shop}
spec: {secretTargetRef: [{parameter: password, name: redis, key: passwort}]}
";

/// An object with these triggers: name, address, what else stands in the metadata, and its authentication.
fn object(triggers: &[(&str, &str, &str, &str)]) -> String {
    let entry = |(name, address, metadata, authentication): &(&str, &str, &str, &str)| {
        format!(
            "    - type: redis
      name: {name}
      metadata: {{address: \"{address}\", listName: jobs, listLength: \"5\"{metadata}}}
      {authentication}"
        )
    };
    let entries = triggers.iter().map(entry).collect::<Vec<_>>().join("\n");
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: orders, namespace: shop}}
spec:
  scaleTargetRef: {{name: orders}}
  maxReplicaCount: 10
  triggers:
{entries}
"
    )
}

/// One server that is right, one that is stopped, one that never answers, and every way to have the wrong password for the first.
struct Scene {
    redis: Redis,
    gone: Redis,
    hung: TcpListener,
    manifests: Manifests,
}

impl Scene {
    fn new() -> Self {
        let redis = Redis::start(Some(PASSWORD));
        redis.push("jobs", 40);
        let mut gone = Redis::start(None);
        gone.stop();
        let hung = TcpListener::bind("127.0.0.1:0").unwrap();
        let manifests = Manifests::new();
        let scene = Self { redis, gone, hung, manifests };
        scene.write();
        scene
    }

    fn write(&self) {
        let (redis, gone) = (self.redis.address(), self.gone.address());
        let hung = self.hung.local_addr().unwrap().to_string();
        let with = |name: &str| format!("authenticationRef: {{name: {name}}}");
        let (right, wrong, lost) = (with("right"), with("wrong"), with("lost"));
        let object = object(&[
            ("right", &redis, "", &right),
            ("wrong", &redis, "", &wrong),
            ("from-env", &redis, ", passwordFromEnv: REDIS_PASSWORD", ""),
            ("bare", &redis, "", ""),
            ("lost", &redis, "", &lost),
            ("gone", &gone, "", ""),
            ("hung", &hung, "", ""),
        ]);
        self.manifests.write("orders.yaml", &object);
        self.manifests.write("around.yaml", AROUND);
    }

    /// What is printed, and the exit code.
    fn probe(&self, more: &[&str]) -> (String, String, Option<i32>) {
        let mut command = command(&["probe", "--timeout", "1s", "-f"]);
        printed(&command.arg(self.manifests.folder()).args(more).output().unwrap())
    }
}

/// 40 items at 5 a replica are 8 replicas.
fn each_trigger() {
    let scene = Scene::new();
    let begun = Instant::now();
    let (text, errors, code) = scene.probe(&[]);
    assert!(begun.elapsed() < Duration::from_secs(10), "all are read side by side: {:?}", begun.elapsed());
    assert_eq!((code, errors.as_str()), (Some(1), ""), "{text}");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let begins: Vec<String> = lines.iter().map(|words| words[..3].join(" ")).collect();
    let expected = [
        "OK redis right",
        "AUTH redis wrong",
        "AUTH redis from-env",
        "AUTH redis bare",
        "CONFIG redis lost",
        "UNAVAILABLE redis gone",
        "TIMEOUT redis hung",
    ];
    assert_eq!(begins, expected, "{text}");
    let (good, took) = (&lines[0], lines[0][5]);
    assert_eq!((&good[3..5], &good[6..]), (&["value=40", "active=yes"][..], &["->", "8"][..]), "{text}");
    assert!(took.ends_with("ms") || took.ends_with('s'), "{text}");
    let ends = |line: usize, end: &str| {
        let line = text.lines().nth(line).unwrap();
        assert!(line.ends_with(end), "{line:?} does not end with {end:?}");
    };
    ends(1, "; password from Secret shop/redis key wrong");
    ends(2, "; password from env REDIS_PASSWORD of container app (Secret shop/redis key wrong)");
    ends(3, "; the trigger gives no credentials");
    ends(4, "Secret shop/redis has no key passwort");
    assert!(text.lines().nth(6).unwrap().contains(&scene.hung.local_addr().unwrap().to_string()), "{text}");

    // One that is well is well.
    let (text, errors, code) = scene.probe(&["--trigger", "right", "shop/orders"]);
    assert_eq!((code, errors.as_str(), text.lines().count()), (Some(0), "", 1), "{text}");
    assert_eq!(scene.redis.length("jobs"), 40, "nothing was taken");
}

fn never_told() {
    let scene = Scene::new();
    let (text, errors, _) = scene.probe(&[]);
    let (json, more_errors, code) = scene.probe(&["-o", "json"]);
    assert_eq!(code, Some(1));
    for said in [&text, &errors, &json, &more_errors] {
        assert!(!said.contains(CANARY) && !said.contains(PASSWORD), "{said}");
    }
    let entries: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(entries.len(), 7);
    let good = &entries[0];
    assert_eq!((&good["value"], &good["active"], &good["replicas"]), (&40.into(), &true.into(), &8.into()), "{good}");
    assert_eq!(good["metric"], "s0-redis-jobs");
    let wrong = &entries[1];
    assert_eq!(
        (&wrong["result"], &wrong["credentials"][0]["parameter"]),
        (&"AUTH".into(), &"password".into()),
        "{wrong}"
    );
    assert_eq!(wrong["credentials"][0]["from"], "Secret shop/redis key wrong");
}

fn bad_input() {
    let code = |arguments: &[&str]| {
        let (output, errors, code) = printed(&run(arguments));
        assert_eq!(output, "", "{errors}");
        (code, errors)
    };
    let (none, errors) = code(&["probe"]);
    assert_eq!(none, Some(2), "{errors}");
    assert!(errors.contains("-f") && errors.contains("--cluster"), "{errors}");
    let (absent, errors) = code(&["probe", "-f", "/nowhere/orders.yaml"]);
    assert_eq!(absent, Some(2), "{errors}");
    assert!(errors.contains("/nowhere/orders.yaml"), "{errors}");
    let (kubeconfig, errors) = code(&["probe", "--kubeconfig", "/nowhere/config", "orders"]);
    assert_eq!(kubeconfig, Some(2), "{errors}");
    assert!(errors.contains("/nowhere/config"), "{errors}");

    let manifests = Manifests::new();
    let text = object(&[("gone", "127.0.0.1:1", "", "")]);
    manifests.write("orders.yaml", &text);
    let folder = manifests.folder();
    let folder = folder.to_str().unwrap();
    let (trigger, errors) = code(&["probe", "-f", folder, "--trigger", "jobs"]);
    assert_eq!(trigger, Some(2), "{errors}");
    assert!(errors.contains("--trigger jobs") && errors.contains("gone"), "{errors}");
    let (object, errors) = code(&["probe", "-f", folder, "bank/orders"]);
    assert_eq!(object, Some(2), "{errors}");
    assert!(errors.contains("bank/orders") && errors.contains("shop/orders"), "{errors}");

    // An object that cannot be obeyed is named with its place, and its triggers are read all the same.
    manifests.write("orders.yaml", &text.replace("maxReplicaCount: 10", "maxReplicaCount: ten"));
    let (output, errors, code) = printed(&run(&["probe", "-f", folder]));
    assert_eq!(code, Some(2), "{output}{errors}");
    assert!(errors.contains("orders.yaml:6:3 error maxReplicaCount: \"ten\" is a text"), "{errors}");
    assert!(output.starts_with("UNAVAILABLE  redis  gone  "), "{output}");
}
