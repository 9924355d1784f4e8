//! `tidegate flink`: the real command line on a real Flink, behind a proxy that wants a login.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::server::{Flink, NEWEST, Plan};
use crate::harness::manifests::Manifests;
use crate::harness::tidegate::{command, printed};

/// A password that must never be seen, and what a proxy wants to hear of it: `flink:Canary-7f3b` in base 64.
const PASSWORD: &str = "Canary-7f3b";
const LOGIN: &str = "Basic Zmxpbms6Q2FuYXJ5LTdmM2I=";
/// An argument of the program, in which people put passwords too.
const ARGUMENT: &str = "Canary-argument";

/// The job: four subtasks on two TaskManagers.
const OPTIONS: [&str; 6] = ["--name", "enrich", "--rate", "200", "--work", "500"];

/// A Flink, and the manifests of an object with a hook for it.
struct Scene {
    flink: Flink,
    manifests: Manifests,
    job: String,
}

impl Scene {
    fn new() -> Self {
        // It checkpoints once an hour, so what is seen is the command's.
        let flink = Flink::start(&Plan::new(NEWEST).with("execution.checkpointing.interval", "1 h"), 2);
        let job = flink.submit(4, &OPTIONS);
        flink.wait_until_running(&job);
        let manifests = Manifests::new();
        let scene = Self { flink, manifests, job };
        scene.write(PASSWORD);
        scene
    }

    fn write(&self, password: &str) {
        self.manifests.write("enrich.yaml", &self.text(password));
    }

    /// The manifests, with this password for the proxy.
    fn text(&self, password: &str) -> String {
        let address = format!("http://127.0.0.1:{}", login_proxy(self.flink.port()));
        let knobs = self.flink.path("knobs").display().to_string();
        let args = ["--dir", &knobs].into_iter().chain(OPTIONS).chain(["--note", ARGUMENT]);
        let args = args.map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        format!(
            "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: enrich
  namespace: shop
  annotations: {{tidegate.dev/policies: flink-safe}}
spec:
  scaleTargetRef: {{name: enrich-taskmanager}}
  minReplicaCount: 1
  maxReplicaCount: 8
  triggers:
    - type: cron
      metadata: {{timezone: UTC, start: \"0 8 * * *\", end: \"0 18 * * *\", desiredReplicas: \"2\"}}
---
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: flink-safe, namespace: shop}}
spec:
  hooks:
    preScale:
      - name: state
        flink:
          restUrl: {address}
          authenticationRef: {{name: flink-rest}}
          checkpoint: {{maxAge: 5m}}
          jobs:
            list:
              - name: enrich
                run:
                  jar: {{name: records.jar}}
                  entryClass: RecordsJob
                  programArgs: [{args}]
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{name: flink-rest, namespace: shop}}
spec:
  secretTargetRef:
    - {{parameter: authModes, name: flink-rest, key: mode}}
    - {{parameter: username, name: flink-rest, key: user}}
    - {{parameter: password, name: flink-rest, key: password}}
---
apiVersion: v1
kind: Secret
metadata: {{name: flink-rest, namespace: shop}}
stringData: {{mode: basic, user: flink, password: {password}}}
"
        )
    }

    /// What a command prints, what it says of errors, and its exit code. No secret is ever among it.
    fn run(&self, verb: &str, more: &[&str]) -> (String, String, Option<i32>) {
        let mut command = command(&["flink", verb, "-f"]);
        let output = command.arg(self.manifests.folder()).args(more).output().unwrap();
        let (text, errors, code) = printed(&output);
        println!("flink {verb} {more:?} -> {code:?}\n{text}{errors}");
        for secret in [PASSWORD, ARGUMENT, LOGIN.trim_start_matches("Basic ")] {
            assert!(!text.contains(secret) && !errors.contains(secret), "{secret}: {text}{errors}");
        }
        (text, errors, code)
    }

    /// The same in JSON, which must have gone well.
    fn json(&self, verb: &str, more: &[&str]) -> Value {
        let (text, errors, code) = self.run(verb, &[more, &["-o", "json"]].concat());
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str(&text).unwrap()
    }

    /// Live jobs.
    fn live(&self) -> Vec<String> {
        let all = self.flink.get("/jobs/overview");
        let live = all["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "RUNNING");
        live.map(|job| job["jid"].as_str().unwrap().to_owned()).collect()
    }
}

/// All of it, one after the other on one cluster.
pub(super) fn a_person_looks_snapshots_stops_and_restores() {
    let scene = Scene::new();
    is_seen_as_the_hook_sees_it(&scene);
    is_seen_without_a_hook(&scene);
    a_checkpoint_is_taken_once(&scene);
    a_checkpoint_that_fails_is_said(&scene);
    let path = a_savepoint_is_taken(&scene);
    a_live_job_is_not_run_again(&scene, &path);
    let path = stopped(&scene);
    is_found_in_a_cluster(&scene, &path);
    let again = is_restored(&scene, &path);
    a_savepoint_that_is_not_there_fails(&scene, &again);
    a_wrong_password_is_said(&scene);
}

fn change<'v>(report: &'v Value, direction: &str) -> &'v Value {
    report["changes"].as_array().unwrap().iter().find(|change| change["direction"] == direction).unwrap()
}

fn is_seen_as_the_hook_sees_it(scene: &Scene) {
    let report = scene.json("status", &["--replicas", "3"]);
    let flink = &report["flink"];
    assert!(flink["version"].as_str().unwrap().starts_with("2.3"), "{flink}");
    assert_eq!((&flink["scheduler"], &flink["webSubmit"]), (&json!("adaptive"), &json!(true)));
    let slots = flink["taskManagers"].as_array().unwrap().iter().map(|one| (&one["id"], &one["slots"], &one["free"]));
    assert!(slots.eq([(&json!("tm-1"), &json!(2), &json!(0)), (&json!("tm-2"), &json!(2), &json!(0))]), "{flink}");
    let job = &report["jobs"][0];
    assert_eq!((&job["id"], &job["runsWholly"]), (&json!(scene.job), &json!(true)));
    assert_eq!(job["checkpointing"]["intervalMilliseconds"], 3_600_000);
    let strategies =
        ["ScaleUp", "ScaleDown", "ToZero", "FromZero"].map(|direction| &change(&report, direction)["strategy"]);
    // From zero nothing would be run: the job lives.
    assert_eq!(strategies, ["Checkpoint", "Checkpoint", "StopRestore", "None"]);
    assert_eq!(change(&report, "ScaleDown")["onFailure"], "Abort");
    assert_eq!(change(&report, "ScaleUp")["cooldownMilliseconds"], 3 * 3_600_000, "three checkpoint intervals");
    // Declared with 4 on 4 slots: two vertices, each with as many as there are slots.
    let bounds = report["bounds"].as_array().unwrap();
    let bounds = bounds.iter().map(|at| (at["taskManagers"].as_u64().unwrap(), &at["jobs"][0]["vertices"]));
    assert!(bounds.eq([(1, &json!([2, 2])), (2, &json!([4, 4])), (3, &json!([6, 6]))]), "{}", report["bounds"]);
    let unknown = report["unknown"].to_string();
    assert!(unknown.contains("no cluster is looked at") && unknown.contains("TargetNotTaskManagers"), "{unknown}");
    assert_eq!(report["target"], json!({ "name": "Deployment/enrich-taskmanager", "replicas": null, "pods": null }));
    let (text, _, code) = scene.run("status", &[]);
    assert!(
        text.starts_with("ScaledObject shop/enrich -> Deployment/enrich-taskmanager: replicas not known\n"),
        "{text}"
    );
    assert!(text.contains("\n  ScaleDown  Checkpoint: the adaptive scheduler rescales in place\n"), "{text}");
    assert_eq!(code, Some(0));
}

fn is_seen_without_a_hook(scene: &Scene) {
    let output = command(&["flink", "status", "--rest-url", &scene.flink.url()]).output().unwrap();
    let (text, errors, code) = printed(&output);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    // No job has a `run` here, so it could not be stopped and run again.
    assert!(text.contains("\n  ToZero     refused (ToZeroNeedsRunTemplate): "), "{text}");
    assert!(text.contains("no cluster is looked at") && text.contains("what a policy says"), "{text}");
}

/// The id that a command tells before it begins.
fn told(errors: &str) -> String {
    errors.strip_prefix("id ").unwrap().split(';').next().unwrap().to_owned()
}

fn a_checkpoint_is_taken_once(scene: &Scene) {
    let (text, errors, code) = scene.run("snapshot", &[]);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(text.starts_with(&format!("OK      enrich  {}  checkpoint ", scene.job)), "{text}");
    let again = scene.json("snapshot", &["--id", &told(&errors)]);
    let number = again["snapshots"][0]["id"].as_u64().unwrap();
    assert!(text.contains(&format!("  checkpoint {number} at file:")), "the same one: {text}");
    let report = scene.json("status", &[]);
    assert_eq!(report["jobs"][0]["checkpoint"]["id"], number);
    assert_eq!(report["jobs"][0]["youngEnough"], true);
    let another = scene.json("snapshot", &["--job", &scene.job]);
    assert!(another["snapshots"][0]["id"].as_u64().unwrap() > number, "a new id takes a new one");
    let (_, errors, code) = scene.run("snapshot", &["--job", "enrihc"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("--job \"enrihc\": is no live job; live are: enrich ("), "{errors}");
}

/// It takes longer than its 20 s.
fn a_checkpoint_that_fails_is_said(scene: &Scene) {
    scene.flink.knob("slow-ckpt", "25000");
    let (text, _, code) = scene.run("snapshot", &[]);
    scene.flink.release("slow-ckpt");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("FAILED  enrich  "), "{text}");
}

fn a_savepoint_is_taken(scene: &Scene) -> String {
    let folder = scene.flink.path("savepoints/by-hand");
    let directory = format!("file://{}", folder.display());
    // What the knob held back may still be on its way.
    scene.flink.wait_until_running(&scene.job);
    let taken = scene.json("snapshot", &["--savepoint", "--directory", &directory, "--format", "canonical"]);
    let one = &taken["snapshots"][0];
    assert_eq!((&one["kind"], &one["completed"]), (&json!("savepoint"), &json!(true)), "{taken}");
    let path = one["path"].as_str().unwrap();
    let name = path.rsplit('/').next().unwrap();
    assert!(folder.join(name).join("_metadata").is_file(), "{path}");
    path.to_owned()
}

fn a_live_job_is_not_run_again(scene: &Scene, path: &str) {
    let (_, errors, code) = scene.run("restore", &["--job", "enrich", "--from", path]);
    assert_eq!(code, Some(1));
    assert!(errors.contains(&format!("job enrich is live already, as {}", scene.job)), "{errors}");
    assert_eq!(scene.live(), [scene.job.as_str()]);
}

/// Stops the job as a person does with Flink's own API; the path of its savepoint.
fn stopped(scene: &Scene) -> String {
    let answer = scene.flink.post(&format!("/jobs/{}/stop", scene.job), &json!({ "drain": false }));
    let trigger = answer["request-id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let path = scene.flink.eventually("the stop", || {
        let state = scene.flink.get(&format!("/jobs/{}/savepoints/{trigger}", scene.job));
        assert!(state["operation"]["failure-cause"].is_null(), "{state}");
        state["operation"]["location"].as_str().map(str::to_owned)
    });
    scene.flink.eventually("the end of the job", || scene.live().is_empty().then_some(()));
    path
}

/// The same object, its credentials and its pods in a cluster, which remembers the savepoint of the stopped job.
fn cluster(scene: &Scene, path: &str) -> ApiServer {
    let parked = json!({ "name": "enrich", "id": scene.job, "path": path, "parallelism": 3 });
    let aftermath = json!({
        "v": 1, "sequence": 4, "parked": [parked], "savepoints": [{ "job": "enrich", "path": path, "at": 1_000 }],
    });
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "enrich-taskmanager" });
    let status = json!({ "target": target, "operation": { "aftermath": aftermath.to_string() } });
    let named = |name: &str| json!({ "name": name, "namespace": "shop", "uid": "u", "resourceVersion": "7" });
    let pod = |name: &str| json!({ "metadata": named(name), "status": { "phase": "Running" } });
    let data = json!({ "mode": "YmFzaWM=", "user": "Zmxpbms=", "password": "Q2FuYXJ5LTdmM2I=" });
    let deployment = "/apis/apps/v1/namespaces/shop/deployments/enrich-taskmanager";
    let mut objects = BTreeMap::from([
        (
            "/api/v1/namespaces/shop/secrets/flink-rest".to_owned(),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": named("flink-rest"), "data": data,
            }),
        ),
        (
            "/apis/tidegate.dev/v1alpha1/namespaces/shop/scalerecords/enrich".to_owned(),
            json!({
                "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScaleRecord", "metadata": named("enrich"), "status": status,
            }),
        ),
        (
            deployment.to_owned(),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("enrich-taskmanager"),
                "spec": { "replicas": 2 },
            }),
        ),
        (
            format!("{deployment}/scale"),
            json!({
                "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": named("enrich-taskmanager"),
                "spec": { "replicas": 2 }, "status": { "replicas": 2, "selector": "app=enrich" },
            }),
        ),
        (
            "/api/v1/namespaces/shop/pods".to_owned(),
            json!({
                "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod("tm-1"), pod("tm-2")],
            }),
        ),
    ]);
    for document in tidegate::manifests::parse(Path::new("x"), &scene.text(PASSWORD)).unwrap() {
        let plural = match document.kind() {
            "ScaledObject" => "keda.sh/v1alpha1/namespaces/shop/scaledobjects",
            "TriggerAuthentication" => "keda.sh/v1alpha1/namespaces/shop/triggerauthentications",
            "ScalingPolicy" => "tidegate.dev/v1alpha1/namespaces/shop/scalingpolicies",
            _ => continue,
        };
        objects.insert(format!("/apis/{plural}/{}", document.name()), document.value.clone());
    }
    ApiServer::start(objects)
}

fn is_found_in_a_cluster(scene: &Scene, path: &str) {
    let server = cluster(scene, path);
    let kubeconfig = scene.manifests.scratch().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    let run = |verb: &str, more: &[&str]| {
        let mut command = command(&["flink", verb, "--kubeconfig", &kubeconfig, "--cluster", "shop/enrich"]);
        let (text, errors, code) = printed(&command.args(more).output().unwrap());
        println!("flink {verb} --cluster {more:?} -> {code:?}\n{text}{errors}");
        assert!(!text.contains(PASSWORD) && !errors.contains(PASSWORD), "{text}{errors}");
        assert_eq!(code, Some(0), "{errors}");
        text
    };
    let report: Value = serde_json::from_str(&run("status", &["-o", "json"])).unwrap();
    assert_eq!(report["unknown"], json!([]));
    assert_eq!(report["target"]["replicas"], 2);
    assert_eq!(report["flink"]["taskManagers"][0]["pod"], "tm-1");
    assert_eq!((&report["stopped"][0]["path"], &report["savepoints"][0]["path"]), (&json!(path), &json!(path)));
    let from_zero = change(&report, "FromZero");
    assert_eq!((&from_zero["strategy"], &from_zero["possible"]), (&json!("StopRestore"), &json!(false)));
    // No path is named: the one that is remembered counts, and the parallelism before the stop.
    let text = run("restore", &["--job", "enrich", "--dry-run"]);
    assert!(
        text.contains(&format!(", from {path}; nothing was done\n")) && text.contains("parallelism 3, 4 slots"),
        "{text}"
    );
    let heard = server.heard();
    assert!(heard.iter().all(|line| line.starts_with("GET ")), "nothing is written: {heard:?}");
}

/// Never without a path, never by a dry run, and once however often it is asked for.
fn is_restored(scene: &Scene, path: &str) -> String {
    let job = ["--job", "enrich"];
    let (_, errors, code) = scene.run("restore", &job);
    assert_eq!(code, Some(2));
    assert!(errors.starts_with("error: --from: is needed without --cluster"), "{errors}");
    let (text, _, code) = scene.run("restore", &[&job[..], &["--from", path, "--dry-run"]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!(", from {path}; nothing was done\n")) && text.contains("10 arguments"), "{text}");
    assert!(scene.live().is_empty());
    let id = "0123456789abcdef".repeat(2);
    let whole = [&job[..], &["--from", path, "--parallelism", "2", "--id", &id]].concat();
    let done = scene.json("restore", &whole);
    let again = done["jobId"].as_str().unwrap().to_owned();
    assert_eq!((&done["restored"], &done["runs"], &done["parallelism"]), (&json!(path), &json!(true), &json!(2)));
    assert_eq!(scene.json("restore", &whole)["jobId"], json!(again), "it is found");
    assert_eq!(scene.live(), [again.as_str()]);
    assert_ne!(again, scene.job);
    let report = scene.json("status", &[]);
    let job = &report["jobs"][0];
    assert_eq!((&job["id"], &job["restored"]["path"]), (&json!(again), &json!(path)));
    assert_eq!((&job["restored"]["savepoint"], &job["vertices"][0]["parallelism"]), (&json!(true), &json!(2)));
    let ended = report["jobs"].as_array().unwrap().iter().find(|job| job["id"] == json!(scene.job)).unwrap();
    assert_eq!((&ended["live"], &ended["state"]), (&json!(false), &json!("FINISHED")));
    again
}

fn a_savepoint_that_is_not_there_fails(scene: &Scene, job: &str) {
    scene.flink.cancel(job);
    let nowhere = format!("file://{}", scene.flink.path("savepoints/savepoint-none").display());
    let (_, errors, code) = scene.run("restore", &["--job", "enrich", "--from", &nowhere, "--parallelism", "2"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains(": FAILED; ") && errors.contains("the next try needs another --id"), "{errors}");
    assert!(scene.live().is_empty(), "never from empty state");
}

fn a_wrong_password_is_said(scene: &Scene) {
    scene.write("Canary-wrong");
    let (text, errors, code) = scene.run("status", &[]);
    assert_eq!((code, text.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("refused the credentials") && !errors.contains("Canary-wrong"), "{errors}");
}

/// A server before a Flink that lets nobody pass without the login; gives its port. Its threads end with the process.
fn login_proxy(behind: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || pass(stream, behind));
        }
    });
    port
}

/// One request over each connection.
fn pass(mut client: TcpStream, behind: u16) -> Option<()> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    let (front, body) = loop {
        let count = client.read(&mut part).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((front, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            front.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (front.to_owned(), body.to_owned());
        }
    };
    let login = format!("authorization: {LOGIN}");
    if !front.lines().any(|line| line.eq_ignore_ascii_case(&login)) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes()).ok();
    }
    let mut flink = TcpStream::connect(("127.0.0.1", behind)).ok()?;
    write!(flink, "{front}\r\nconnection: close\r\n\r\n{body}").ok()?;
    std::io::copy(&mut flink, &mut client).ok().map(drop)
}
