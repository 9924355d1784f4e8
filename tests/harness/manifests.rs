//! The manifests that scenarios run: ordinary objects as text, in a directory of their own.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpgid};
use tempfile::TempDir;

use super::children::{MARK, carrying, kill_all, run};

/// The environment variable by which the workers of one application are found.
const APP: &str = "TIDEGATE_TEST_APP";

/// A directory of manifests. What its workers leave behind is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Manifests {
    folder: TempDir,
    apps: Vec<String>,
}

/// A `ScaledObject` with one redis trigger, and the Deployment that it scales.
#[derive(Clone, Debug)]
pub(crate) struct App<'a> {
    /// The name of both objects.
    pub(crate) name: &'a str,
    /// The Redis server, `host:port`.
    pub(crate) address: &'a str,
    /// The list.
    pub(crate) list: &'a str,
    /// `pollingInterval`, seconds.
    pub(crate) polling: u32,
    /// `cooldownPeriod`, seconds.
    pub(crate) cooldown: u32,
    /// Further lines of the trigger's metadata.
    pub(crate) metadata: &'a [&'a str],
    /// The trigger's `authenticationRef`, if any.
    pub(crate) authentication: Option<&'a str>,
    /// What a worker does: a shell script.
    pub(crate) script: &'a str,
}

impl Default for App<'_> {
    fn default() -> Self {
        Self {
            name: "app",
            address: "127.0.0.1:6379",
            list: "jobs",
            polling: 1,
            cooldown: 10,
            metadata: &[],
            authentication: None,
            script: "exec sleep 3600",
        }
    }
}

impl Manifests {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("tidegate-test-").tempdir().unwrap(), apps: Vec::new() }
    }

    /// Where the manifests are.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.folder.path().join("manifests");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Where anything else can be kept.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, whole at once, as an editor that is careful does.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let half = self.folder.path().join("half-written");
        fs::write(&half, text).unwrap();
        fs::rename(half, self.folder().join(file)).unwrap();
    }

    /// Writes an application's two objects.
    pub(crate) fn add(&mut self, app: &App<'_>) {
        self.write(&format!("{}-scaledobject.yaml", app.name), &scaled_object(app));
        self.add_deployment(app.name, app.script);
    }

    /// Writes a Deployment alone.
    pub(crate) fn add_deployment(&mut self, name: &str, script: &str) {
        self.write(&format!("{name}-deployment.yaml"), &deployment(name, &mark(name), script));
        self.apps.push(name.to_owned());
    }
}

/// The pids of an application's workers: each leads a process group.
pub(crate) fn workers(app: &str) -> Vec<i32> {
    let leads = |pid: &i32| Pid::from_raw(*pid).is_some_and(|pid| getpgid(Some(pid)).is_ok_and(|group| group == pid));
    carrying(APP, &mark(app)).into_iter().filter(leads).collect()
}

impl Drop for Manifests {
    fn drop(&mut self) {
        self.apps.iter().for_each(|app| kill_all(&carrying(APP, &mark(app))));
    }
}

/// The value of [`APP`] in an application's processes; names are unique within a run.
fn mark(app: &str) -> String {
    format!("{app}-{}", run())
}

/// A `ScaledObject` as KEDA's users write them.
pub(crate) fn scaled_object(app: &App<'_>) -> String {
    let App { name, address, list, polling, cooldown, metadata, authentication, .. } = app;
    let metadata = metadata.join("\n        ");
    let authentication =
        authentication.map(|name| format!("      authenticationRef: {{name: {name}}}\n")).unwrap_or_default();
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {name}
  namespace: shop
spec:
  scaleTargetRef:
    name: {name}
  pollingInterval: {polling}
  cooldownPeriod: {cooldown}
  maxReplicaCount: 10
  triggers:
    - type: redis
      name: jobs
      metadata:
        address: {address}
        listName: {list}
        listLength: \"5\"
        {metadata}
{authentication}"
    )
}

/// An ordinary Deployment; `mark` is what its processes are found by.
fn deployment(name: &str, mark: &str, script: &str) -> String {
    let script = script.replace('\n', "\n              ");
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: shop
spec:
  replicas: 0
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: worker
          image: example.com/worker:1
          env:
            - {{name: {MARK}, value: \"{}\"}}
            - {{name: {APP}, value: \"{mark}\"}}
          command: [sh, -c]
          args:
            - |
              {script}
",
        run()
    )
}
