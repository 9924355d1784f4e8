//! A small node: it binds pods, says that they run, and ends them as a kubelet would.
//!
//! A pod with the annotation [`RUN`] is a real process of this machine: its first container's command, which finds the name of its pod in
//! `HOSTNAME`, as in a cluster. Any other pod is only said to be ready, after the milliseconds of its annotation [`STARTUP`]. While a pod
//! has the annotation [`UNREADY`], it runs and is not ready.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::harness::children::{MARK, run};

/// The annotation of a pod that is a process: `"true"`.
pub(crate) const RUN: &str = "tests.tidegate.dev/run";
/// The annotation with the milliseconds until a pod is ready; 0 if it is absent.
pub(crate) const STARTUP: &str = "tests.tidegate.dev/startup";
/// The annotation of a pod that is not ready at the moment: `"true"`.
pub(crate) const UNREADY: &str = "tests.tidegate.dev/unready";
/// The environment variable by which the processes of one namespace are found.
pub(crate) const NAMESPACE: &str = "TIDEGATE_TEST_NAMESPACE";
/// The node's name.
const NAME: &str = "loopback";
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(20);
/// How long to wait before a request is tried again, or a process that has ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// The running node. Its pods' processes end with it.
#[derive(Debug)]
pub(crate) struct Node {
    task: JoinHandle<()>,
    logs: PathBuf,
}

/// What is to become of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    /// It is to run, and to be ready or not.
    Run { ready: bool },
    /// It is to end within this time.
    End(Duration),
    /// It is not there any more.
    Gone,
}

/// One pod on the node.
struct Life {
    api: Api<Pod>,
    pod: Pod,
    wish: watch::Receiver<Wish>,
    logs: PathBuf,
    started: Timestamp,
    restarts: u32,
}

/// Why the time of a pod's process is over.
enum Turn {
    Exited(ExitStatus),
    End(Duration),
}

/// What is said of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Running { ready: bool },
    Restarting,
    Succeeded,
    Failed,
}

impl Node {
    /// Starts it for the pods of all namespaces. Their output is put into files in `logs`.
    pub(super) fn start(client: Client, logs: PathBuf) -> Self {
        let task = super::runtime().spawn(serve(client, logs.clone()));
        Self { task, logs }
    }

    /// What the processes of a namespace have printed, pod by pod.
    pub(crate) fn output(&self, namespace: &str) -> String {
        let prefix = format!("{namespace}.");
        let files = std::fs::read_dir(&self.logs).unwrap().map(|entry| entry.unwrap());
        let ours = files.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        ours.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One task a pod, told by the watch what is wished.
async fn serve(client: Client, logs: PathBuf) {
    let mut wishes: HashMap<String, watch::Sender<Wish>> = HashMap::new();
    let mut listed = HashSet::new();
    let mut lives = JoinSet::new();
    let mut events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).default_backoff().boxed();
    loop {
        let event = tokio::select! {
            event = events.next() => event.expect("a watcher does not end"),
            Some(ended) = lives.join_next() => {
                ended.expect("a pod's task does not panic");
                continue;
            }
        };
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                listed.insert(uid.clone());
                let wanted = wish(&pod);
                if let Some(known) = wishes.get(&uid) {
                    known.send_replace(wanted);
                } else {
                    let (sender, receiver) = watch::channel(wanted);
                    wishes.insert(uid, sender);
                    lives.spawn(Life::new(&client, pod, receiver, &logs).run());
                }
            }
            Ok(Event::Delete(pod)) => forget(&mut wishes, |uid| *uid == pod.uid().unwrap_or_default()),
            Ok(Event::InitDone) => forget(&mut wishes, |uid| !listed.contains(uid)),
            // The API server is away; the watcher comes back to it.
            Err(_) => {}
        }
    }
}

/// What the API server wishes.
fn wish(pod: &Pod) -> Wish {
    match (&pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds) {
        (Some(_), grace) => Wish::End(Duration::from_secs(grace.unwrap_or(0).try_into().unwrap_or(0))),
        (None, _) => Wish::Run { ready: pod.annotations().get(UNREADY).is_none_or(|value| value != "true") },
    }
}

/// Pods that are not there any more: what is left of them ends.
fn forget(wishes: &mut HashMap<String, watch::Sender<Wish>>, gone: impl Fn(&String) -> bool) {
    wishes.retain(|uid, wish| {
        let gone = gone(uid);
        if gone {
            wish.send_replace(Wish::Gone);
        }
        !gone
    });
}

impl Life {
    fn new(client: &Client, pod: Pod, wish: watch::Receiver<Wish>, logs: &Path) -> Self {
        let namespace = pod.namespace().unwrap_or_default();
        let logs = logs.join(format!("{namespace}.{}.log", pod.name_any()));
        Self {
            api: Api::namespaced(client.clone(), &namespace),
            pod,
            wish,
            logs,
            started: Timestamp::now(),
            restarts: 0,
        }
    }

    /// From binding to deletion.
    async fn run(mut self) {
        let over = matches!(self.phase(), "Succeeded" | "Failed");
        if !over && self.bind().await {
            let grace = self.lead().await;
            if grace.is_none() {
                self.ended().await;
            }
        } else {
            self.ended().await;
        }
        self.delete().await;
    }

    /// Runs the pod until it is to end, or until it has ended for good by itself: then the time is none.
    async fn lead(&mut self) -> Option<Duration> {
        let startup = self.annotation(STARTUP).and_then(|millis| millis.parse().ok()).unwrap_or(0);
        loop {
            let mut process = (self.annotation(RUN) == Some("true")).then(|| self.spawn());
            tokio::select! {
                () = sleep(Duration::from_millis(startup)) => {}
                _ = self.ended() => {}
            }
            match self.stay(process.as_mut()).await {
                Turn::End(grace) => {
                    if let Some(process) = process {
                        self.end(process, grace).await;
                    }
                    return Some(grace);
                }
                Turn::Exited(status) => {
                    // A process that was killed says nothing itself.
                    let _ = writeln!(self.log(), "{} the process ended by itself: {status}", Timestamp::now());
                    let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
                    match (policy, status.success()) {
                        (Some("Never" | "OnFailure"), true) => self.report(Shown::Succeeded).await,
                        (Some("Never"), false) => self.report(Shown::Failed).await,
                        _ => {
                            self.restarts += 1;
                            self.report(Shown::Restarting).await;
                            sleep(PAUSE).await;
                            continue;
                        }
                    }
                    return None;
                }
            }
        }
    }

    /// Says that the pod runs, and whether it is ready, until something else happens.
    async fn stay(&mut self, mut process: Option<&mut Child>) -> Turn {
        let mut wanted = self.readiness();
        while let Some(ready) = wanted {
            self.report(Shown::Running { ready }).await;
            match self.turn(process.as_deref_mut(), ready).await {
                ControlFlow::Continue(other) => wanted = Some(other),
                ControlFlow::Break(turn) => return turn,
            }
        }
        Turn::End(self.ended().await)
    }

    /// Whether the pod is to be ready; none if it is not to run.
    fn readiness(&self) -> Option<bool> {
        match *self.wish.borrow() {
            Wish::Run { ready } => Some(ready),
            Wish::End(_) | Wish::Gone => None,
        }
    }

    /// Waits for the end of the process, or for another wish than the present one: it goes on if only the readiness changes.
    async fn turn(&mut self, process: Option<&mut Child>, ready: bool) -> ControlFlow<Turn, bool> {
        let exited = async {
            match process {
                Some(process) => process.wait().await.unwrap(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = exited => ControlFlow::Break(Turn::Exited(status)),
            wish = self.wish.wait_for(|wish| *wish != Wish::Run { ready }) => match wish.as_deref() {
                Ok(Wish::Run { ready }) => ControlFlow::Continue(*ready),
                Ok(Wish::End(grace)) => ControlFlow::Break(Turn::End(*grace)),
                Ok(Wish::Gone) | Err(_) => ControlFlow::Break(Turn::End(Duration::ZERO)),
            },
        }
    }

    /// Waits until the pod is to end: within which time.
    async fn ended(&mut self) -> Duration {
        match self.wish.wait_for(|wish| !matches!(wish, Wish::Run { .. })).await.as_deref() {
            Ok(Wish::End(grace)) => *grace,
            Ok(_) | Err(_) => Duration::ZERO,
        }
    }

    /// SIGTERM to the first process, and SIGKILL to all of the pod when it has ended or its time is over. A shorter time, or the end of
    /// the pod itself, may be asked for meanwhile.
    async fn end(&mut self, mut process: Child, grace: Duration) {
        let Some(group) = process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) else { return };
        let _ = kill_process(group, Signal::TERM);
        let hurry = async {
            let shorter = |wish: &Wish| match wish {
                Wish::End(other) => *other < grace,
                Wish::Gone => true,
                Wish::Run { .. } => false,
            };
            let wish = self.wish.wait_for(shorter).await.map_or(Wish::Gone, |wish| *wish);
            if let Wish::End(shorter) = wish {
                sleep(shorter).await;
            }
        };
        tokio::select! {
            _ = process.wait() => {}
            () = sleep(grace) => {}
            () = hurry => {}
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = process.wait().await;
    }

    /// The file of its output.
    fn log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.logs).unwrap()
    }

    /// Starts the first container's command, in a process group of its own.
    fn spawn(&self) -> Child {
        let log = self.log();
        let container = self.container();
        let words: Vec<String> =
            [&container.command, &container.args].into_iter().flatten().flatten().cloned().collect();
        let (program, arguments) = words.split_first().expect("a pod that runs has a command");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let plain = container.env.iter().flatten().filter_map(|env| Some((&env.name, env.value.as_ref()?)));
        command
            .envs(plain)
            .env("HOSTNAME", self.pod.name_any())
            .env(MARK, run())
            .env(NAMESPACE, self.pod.namespace().unwrap_or_default());
        command.process_group(0).kill_on_drop(true).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Binds the pod to this node; false if it is gone.
    async fn bind(&self) -> bool {
        if self.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            return true;
        }
        let name = self.pod.name_any();
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
        });
        let parameters = PostParams::default();
        if insist(|| self.api.create_subresource::<_, Value>("binding", &name, &parameters, &binding)).await {
            return true;
        }
        // The answer of an earlier try may have been lost: then it is bound already.
        let bound =
            |pod: &Pod| pod.uid() == self.pod.uid() && pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        matches!(self.api.get_opt(&name).await, Ok(Some(pod)) if bound(&pod))
    }

    /// Writes the pod's status.
    async fn report(&self, shown: Shown) {
        let status = self.status(shown);
        let (name, parameters) = (self.pod.name_any(), PatchParams::default());
        let patch = Patch::Merge(json!({"metadata": {"uid": self.pod.uid()}, "status": status}));
        insist(|| self.api.patch_status(&name, &parameters, &patch)).await;
    }

    fn status(&self, shown: Shown) -> Value {
        // Whole seconds that have passed, as a kubelet writes them: what has just happened is never in the future.
        let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
        let at = |time: Timestamp| time.round(whole).unwrap().to_string();
        let (now, started, container) = (at(Timestamp::now()), at(self.started), self.container());
        let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
        let (phase, ready, state) = match shown {
            Shown::Running { ready } => ("Running", ready, json!({"running": {"startedAt": now}})),
            Shown::Restarting => ("Running", false, json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            Shown::Succeeded => {
                let state = json!({"terminated": {"exitCode": 0, "startedAt": started, "finishedAt": now}});
                ("Succeeded", false, state)
            }
            Shown::Failed => {
                let state = json!({"terminated": {"exitCode": 1, "startedAt": started, "finishedAt": now}});
                ("Failed", false, state)
            }
        };
        json!({
            "phase": phase, "hostIP": "127.0.0.1", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "startTime": started,
            "conditions": [
                condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": "none", "ready": ready, "started": ready,
                "restartCount": self.restarts, "state": state,
            }],
        })
    }

    /// Confirms the end: the object goes.
    async fn delete(&self) {
        let own = Preconditions { uid: self.pod.uid(), resource_version: None };
        let parameters = DeleteParams::default().grace_period(0).preconditions(own);
        let name = self.pod.name_any();
        insist(|| self.api.delete(&name, &parameters)).await;
    }

    fn phase(&self) -> &str {
        self.pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.pod.annotations().get(name).map(String::as_str)
    }

    fn container(&self) -> &Container {
        &self.pod.spec.as_ref().expect("a pod has a spec").containers[0]
    }
}

/// Asks until the API server has answered; false if the pod is gone, or is another one by now.
async fn insist<T, F: Future<Output = kube::Result<T>>>(ask: impl Fn() -> F) -> bool {
    loop {
        match timeout(REQUEST, ask()).await {
            Ok(Ok(_)) => return true,
            Ok(Err(kube::Error::Api(status))) if [404, 409, 422].contains(&status.code) => return false,
            Ok(Err(_)) | Err(_) => sleep(PAUSE).await,
        }
    }
}
