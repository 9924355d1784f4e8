//! Hooks that call a server or run a Job, around changes of an ordinary Deployment.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::audit::Moment;
use super::hooks_server::{Answer, Server};
use super::node::RUN;
use super::objects::Deployment;
use super::operator::{Account, Operator};
use super::space::{Space, conditions};
use super::{SOON, trial, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("hooks::a_server_is_asked_before_replicas_leave", asked),
        trial("hooks::a_server_that_fails_keeps_the_replicas_for_growing_pauses", refused),
        trial("hooks::a_job_runs_before_replicas_leave", job),
        trial("hooks::what_fails_after_a_change_is_told_and_changes_nothing", after),
        trial_with_redis("hooks::workers_of_a_queue_leave_when_they_have_drained", drained),
    ]
}

/// A Deployment, a ScaledObject that wants what a ConfigMap says, and its policy.
struct App {
    space: Space,
    account: Account,
    begun: Moment,
}

impl App {
    /// So many pods are there and wanted.
    fn new(purpose: &str, deployment: &Deployment<'_>, hooks: &Value) -> Self {
        let space = Space::new(purpose);
        space.deploy(deployment);
        space.until_ready("app", deployment.replicas.into());
        let account = Account::new(&space);
        let app = Self { begun: space.plane().audit().now(), space, account };
        app.want(deployment.replicas);
        app.policy(hooks);
        app.space.apply(&scaled().to_string());
        app
    }

    fn want(&self, replicas: u32) {
        let plan = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan"}, "data": {"wanted": replicas.to_string()},
        });
        self.space.apply(&plan.to_string());
    }

    fn policy(&self, hooks: &Value) {
        let policy = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": "drain"},
            "spec": {"hooks": hooks},
        });
        self.space.apply(&policy.to_string());
    }

    /// When the replicas were written, each time.
    fn writes(&self, operator: &Operator) -> Vec<Timestamp> {
        let requests = operator.requests(self.begun);
        assert!(requests.0.iter().all(|request| request.code != 403), "{requests}\n{}", operator.log());
        requests.writes().of("deployments/scale").done().0.iter().map(|request| request.at).collect()
    }

    fn until_event(&self, reason: &str) {
        let told = |event: &Value| event["reason"] == reason;
        eventually(SOON, reason, || self.space.list("events").iter().any(told).then_some(()));
    }

    fn until_said(&self, condition: &str, text: &str) {
        self.space.until("scalerecords", "app", &format!("{condition}: {text}"), |record| {
            let holds = |one: &Value| one["type"] == condition && one["status"] == "True";
            let says = |one: &Value| one["message"].as_str().is_some_and(|message| message.contains(text));
            conditions(record).any(|one| holds(one) && says(one))
        });
    }

    fn until_unsaid(&self, condition: &str) {
        self.space.until("scalerecords", "app", &format!("no {condition}"), |record| {
            !conditions(record).any(|one| one["type"] == condition)
        });
    }

    fn stays(&self, replicas: i64, span: Duration) {
        throughout(span, || match self.space.replicas("app") {
            Some(count) if count == replicas => Ok(()),
            other => Err(format!("{other:?} replicas instead of {replicas}")),
        });
    }

    /// The Jobs of hooks by age, the oldest first.
    fn jobs(&self) -> Vec<Value> {
        let mut jobs = self.space.list("jobs");
        jobs.sort_by_key(|job| job["metadata"]["creationTimestamp"].as_str().unwrap().to_owned());
        jobs
    }
}

fn scaled() -> Value {
    let number = json!({"resourceKind": "ConfigMap", "resourceName": "plan", "key": "wanted", "targetValue": "1"});
    json!({
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "app", "annotations": {"tidegate.dev/policies": "drain"}},
        "spec": {
            "scaleTargetRef": {"name": "app"}, "pollingInterval": 1, "minReplicaCount": 1, "maxReplicaCount": 10,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
            "triggers": [{"type": "kubernetes-resource", "metadata": number}],
        },
    })
}

/// The template of a Job whose pod is this script.
fn script(script: &str) -> Value {
    let container = json!({"name": "hook", "image": "example.com/hook:1", "command": ["sh", "-c", script]});
    json!({"spec": {"backoffLimit": 0, "template": {
        "metadata": {"annotations": {RUN: "true"}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]},
    }}})
}

/// The work goes on after the answer, and one answer is lost. The server sees one key.
fn asked() {
    let server = Server::start();
    let http = json!({
        "url": server.url("/drain"), "body": "{\"leave\":2}", "headers": {"X-Team": "b"},
        "authenticationRef": {"name": "keeper"}, "async": {"pollUrl": server.url("/done")},
    });
    server.says("/drain", &[Answer::Close, Answer::Status(202)]);
    server.says("/done", &[Answer::Status(202), Answer::Status(202), Answer::Status(200)]);
    let hooks = json!({"preScale": [{"name": "drain", "cooldown": "1s", "http": http}]});
    let app = App::new("asked", &Deployment { replicas: 4, ..Deployment::default() }, &hooks);
    app.space.apply(
        "apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: keeper}
spec:
  secretTargetRef:
  - {parameter: token, name: keeper, key: token}
  - {parameter: authModes, name: keeper, key: modes}
---
apiVersion: v1
kind: Secret
metadata: {name: keeper}
stringData: {token: canary, modes: bearer}
",
    );
    let operator = app.account.start();
    app.want(2);
    app.space.until_replicas("app", 2);
    let (calls, polls) = (server.heard("/drain"), server.heard("/done"));
    assert_eq!((calls.len(), polls.len()), (2, 3), "{calls:#?} {polls:#?}");
    let key = calls[0].header("idempotency-key");
    assert!(
        key.len() == 32 && calls.iter().chain(&polls).all(|heard| heard.header("idempotency-key") == key),
        "{calls:#?}"
    );
    assert!(calls.iter().chain(&polls).all(|heard| heard.header("authorization") == "Bearer canary"), "{calls:#?}");
    assert_eq!((&*calls[1].line, &*calls[1].body, calls[1].header("x-team")), ("POST /drain", "{\"leave\":2}", "b"));
    assert_eq!(&*polls[2].line, "GET /done");
    let writes = app.writes(&operator);
    println!("done at {}, replicas written at {writes:?}", polls[2].at);
    assert!(writes.len() == 1 && writes[0] > polls[2].at, "{writes:?}");

    // Raising takes no part.
    app.want(3);
    app.space.until_replicas("app", 3);
    assert_eq!(server.heard("/drain").len(), 2);
    // Another change has a key of its own, and the Secret may have another token by then.
    app.space.merge("secrets", "keeper", &json!({"stringData": {"token": "robin"}}));
    app.want(1);
    app.space.until_replicas("app", 1);
    let last = server.heard("/drain").pop().unwrap();
    assert_ne!(last.header("idempotency-key"), key);
    assert_eq!(last.header("authorization"), "Bearer robin");
    assert!(!operator.log().contains("canary") && !operator.log().contains("robin"), "{}", operator.log());
}

/// What may pass is asked again after pauses that double; what cannot be mended by waiting waits for another policy.
fn refused() {
    let server = Server::start();
    server.says("/drain", &[Answer::Status(500)]);
    let hook = |path: &str| {
        let http = json!({"url": server.url(path), "method": "PUT", "expect": {"status": [200, 204]}});
        json!({"preScale": [{"name": "drain", "attempts": 1, "cooldown": "4s", "http": http}]})
    };
    let app = App::new("refused", &Deployment { replicas: 4, ..Deployment::default() }, &hook("/drain"));
    let operator = app.account.start();
    app.want(2);
    let calls = eventually(SOON, "three calls", || Some(server.heard("/drain")).filter(|calls| calls.len() >= 3));
    app.until_said("HookFailed", "500");
    app.until_event("OperationAborted");
    let pause = |nth: usize| calls[nth].at.duration_since(calls[nth - 1].at);
    println!("asked again after {:#} and {:#}", pause(1), pause(2));
    // 4 s after the first, 8 s after the second; 16 s would follow.
    assert!(pause(1) >= SignedDuration::from_secs(4) && pause(2) >= SignedDuration::from_secs(8));
    let keys: std::collections::HashSet<_> = calls.iter().map(|call| call.header("idempotency-key")).collect();
    assert_eq!(keys.len(), calls.len(), "each is a change of its own");
    assert_eq!((app.space.replicas("app"), app.writes(&operator).len()), (Some(4), 0));

    // Growth is no matter of this hook.
    app.want(5);
    app.space.until_replicas("app", 5);
    server.says("/drain", &[Answer::Status(204)]);
    app.want(2);
    app.space.until_replicas("app", 2);
    app.until_unsaid("HookFailed");
    assert!(server.heard("/drain").iter().all(|heard| heard.line == "PUT /drain"));

    app.policy(&hook("/nowhere"));
    app.want(1);
    app.until_event("OperationFailed");
    app.until_said("HookFailed", "404");
    app.stays(2, Duration::from_secs(12));
    assert_eq!(server.heard("/nowhere").len(), 1, "it is not asked again");
    app.policy(&hook("/drain"));
    app.space.until_replicas("app", 1);
}

/// One Job a change, also over a crash; a new one for a new attempt.
fn job() {
    let hook = |template: Value| json!({"preScale": [{"name": "archive", "attempts": 2, "cooldown": "1s", "job": {"template": template}}]});
    let app = App::new("hookjob", &Deployment { replicas: 4, ..Deployment::default() }, &hook(script("sleep 8")));
    let operator = app.account.start();
    app.want(3);
    eventually(SOON, "a Job", || (app.jobs().len() == 1).then_some(()));
    operator.kill();
    let operator = app.account.start();
    app.space.until_replicas("app", 3);
    let jobs = app.jobs();
    let [job] = jobs.as_slice() else { panic!("{jobs:#?}") };
    let ended: Timestamp = job["status"]["completionTime"].as_str().expect("it is complete").parse().unwrap();
    let writes = app.writes(&operator);
    println!("{} ended at {ended}, replicas written at {writes:?}", job["metadata"]["name"]);
    assert!(writes.len() == 1 && writes[0] >= ended, "{writes:?}");
    let owner = &job["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&"ScaledObject".into(), &"app".into()));

    app.policy(&hook(script("exit 1")));
    app.want(1);
    app.until_event("OperationAborted");
    app.until_said("HookFailed", "the Job failed");
    assert_eq!((app.space.replicas("app"), app.writes(&operator).len()), (Some(3), 1));
    let count = app.jobs().len();
    assert!(count >= 3, "two attempts of the second change: {count}");
    app.policy(&hook(script("true")));
    app.space.until_replicas("app", 1);
    app.until_unsaid("HookFailed");
}

/// The change is there, and stays.
fn after() {
    let server = Server::start();
    server.says("/after", &[Answer::Status(500)]);
    let hooks = json!({"postScale": [{"name": "tell", "attempts": 1, "http": {"url": server.url("/after")}}]});
    let app = App::new("after", &Deployment { replicas: 4, ..Deployment::default() }, &hooks);
    let operator = app.account.start();
    app.want(3);
    app.space.until_replicas("app", 3);
    app.until_event("PostHookFailed");
    app.until_event("OperationDone");
    app.until_said("PostHookFailed", "tell: ");
    app.stays(3, Duration::from_secs(5));
    app.until_said("PostHookFailed", "tell: ");
    let called = server.heard("/after");
    assert!(called.len() == 1 && called[0].at > app.writes(&operator)[0], "{called:#?}");
    server.says("/after", &[Answer::Status(200)]);
    app.want(2);
    app.space.until_replicas("app", 2);
    app.until_unsaid("PostHookFailed");
    assert_eq!(server.heard("/after").len(), 2);
}

/// Workers take no new item while one leaves, so that none is ended in the middle of its work.
fn drained() {
    let redis = Redis::shared();
    let ask = format!("redis-cli -p {}", redis.port());
    // Busy before it looks whether it may take an item: who sees nobody busy knows that nobody takes one.
    let worker = format!(
        "while true; do
           if [ \"$({ask} EXISTS drain-flag)\" = 0 ]; then
             {ask} INCR drain-busy >/dev/null
             if [ \"$({ask} EXISTS drain-flag)\" = 0 ] && [ -n \"$({ask} RPOP drain-items)\" ]; then
               {ask} INCR drain-begun >/dev/null; sleep 0.7; {ask} INCR drain-done >/dev/null
             fi
             {ask} DECR drain-busy >/dev/null
           fi
           sleep 0.1
         done"
    );
    // The flag goes by itself if nobody takes it away.
    let drain = format!(
        "{ask} SET drain-flag 1 EX 300; n=0
         while [ $n -lt 3 ]; do [ \"$({ask} GET drain-busy)\" = 0 ] && n=$((n+1)) || n=0; sleep 0.05; done"
    );
    let resume = format!("{ask} DEL drain-flag");
    let hooks = json!({
        "preScale": [{"name": "drain", "timeout": "5m", "cooldown": "1s", "job": {"template": script(&drain)}}],
        "postScale": [{"name": "resume", "job": {"template": script(&resume)}}],
    });
    let workers = Deployment { replicas: 4, script: Some(&worker), grace: 1, ..Deployment::default() };
    let app = App::new("drained", &workers, &hooks);
    redis.push("drain-items", 60);
    let operator = app.account.start();
    let count = |key: &str| redis.ask::<Option<i64>>(&format!("GET {key}")).unwrap_or(0);
    eventually(SOON, "work", || (count("drain-done") > 4).then_some(()));
    app.want(1);
    app.space.until_replicas("app", 1);
    app.space.until_ready("app", 1);
    println!("lowered when {} items were begun and {} done", count("drain-begun"), count("drain-done"));
    eventually(SOON, "the end of the drain", || (redis.ask::<i64>("EXISTS drain-flag") == 0).then_some(()));
    let before = count("drain-done");
    eventually(SOON, "more work", || (count("drain-done") > before + 1).then_some(()));
    // The one that is left may be at work.
    let (begun, done) = (count("drain-begun"), count("drain-done"));
    assert!(begun - done <= 1, "{begun} begun and {done} done: some were interrupted");
    assert_eq!(app.writes(&operator).len(), 1);
}
