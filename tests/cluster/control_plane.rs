//! A Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, and a small node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_loopback::free_port;

use super::audit::{Audit, CREDENTIAL};
use super::node::Node;
use crate::harness::children::{MARK, Running, run};
use crate::harness::wait::eventually;

/// How long a program may take to start. Four seconds are usual; a machine that also compiles takes many times that.
const START: Duration = Duration::from_mins(2);
/// The controllers that the tests need. All others would only take processor time.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,job-controller,\
    garbage-collector-controller,namespace-controller,clusterrole-aggregation-controller,horizontal-pod-autoscaler-controller";
/// Those that a control plane without workloads needs: roles are joined, namespaces end.
const BARE_CONTROLLERS: &str = "namespace-controller,clusterrole-aggregation-controller";
/// The names under which the API server tells aggregated APIs who asks.
const REQUEST_HEADERS: [&str; 6] = [
    "--requestheader-username-headers",
    "X-Remote-User",
    "--requestheader-group-headers",
    "X-Remote-Group",
    "--requestheader-extra-headers-prefix",
    "X-Remote-Extra-",
];

/// A control plane with a node. What it started ends with it.
pub(crate) struct ControlPlane {
    // Dropped in this order: whoever asks ends before those who answer.
    node: Node,
    controllers: Mutex<Option<Running>>,
    apiserver: Mutex<Option<Running>>,
    etcd: Running,
    client: Client,
    spaces: AtomicUsize,
    logins: AtomicUsize,
    started: Duration,
    setup: Setup,
}

/// What is needed to start the programs: once, and again.
struct Setup {
    folder: TempDir,
    programs: PathBuf,
    etcd: u16,
    apiserver: u16,
}

/// The folder of the programs; none if one is missing. `tools/control-plane` builds them.
pub(crate) fn programs() -> Option<&'static Path> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PROGRAMS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/control-plane");
        let output = Command::new(script).arg("--where").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().into())
    });
    found.as_deref()
}

/// The control plane that scenarios share when they do it no harm; each works in a namespace of its own.
static SHARED: Mutex<Option<Result<Arc<ControlPlane>, String>>> = Mutex::new(None);

impl ControlPlane {
    /// The shared one, started by the first who asks.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = lock(&SHARED);
        // A start that failed is not tried again: all scenarios would wait for it, one after the other.
        let plane = shared.get_or_insert_with(|| {
            std::panic::catch_unwind(|| Arc::new(Self::start())).map_err(|why| {
                let text = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
                text.unwrap_or("no reason is known").to_owned()
            })
        });
        plane.clone().unwrap_or_else(|why| panic!("there is no control plane: {why}"))
    }

    /// Ends the shared one.
    pub(crate) fn end_shared() {
        drop(lock(&SHARED).take());
    }

    /// Starts one of its own, for a scenario that breaks something.
    pub(crate) fn start() -> Self {
        Self::start_with(CONTROLLERS, &[])
    }

    /// Starts one of its own whose controller manager has further arguments.
    pub(crate) fn start_with_arguments(arguments: &[&str]) -> Self {
        Self::start_with(CONTROLLERS, arguments)
    }

    /// Starts one that makes no pods: a Deployment is a number of replicas and nothing more, and all the processor time is left to the
    /// API server and whoever asks it.
    pub(crate) fn start_bare() -> Self {
        Self::start_with(BARE_CONTROLLERS, &[])
    }

    fn start_with(controllers: &str, arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let programs = programs().expect("the programs are there").to_owned();
        let folder = tempfile::Builder::new().prefix("tidegate-cluster-").tempdir().unwrap();
        let mut setup = Setup { folder, programs, etcd: 0, apiserver: 0 };
        setup.write_files();
        let etcd = setup.start_etcd();
        let apiserver = setup.start_apiserver_anywhere();
        let client = super::wait_for(async { setup.client().await });
        setup.install_definitions();
        let controllers = setup.start_controllers(controllers, arguments);
        let node = Node::start(client.clone(), setup.path("pods"));
        Self {
            node,
            controllers: Mutex::new(Some(controllers)),
            apiserver: Mutex::new(Some(apiserver)),
            etcd,
            client,
            spaces: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            started: begun.elapsed(),
            setup,
        }
    }

    /// How long the start took.
    pub(crate) fn took(&self) -> Duration {
        self.started
    }

    /// A client that may do anything.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The node that runs the pods.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// What operators asked the API server.
    pub(crate) fn audit(&self) -> Audit {
        Audit::new(self.setup.path("audit.log"))
    }

    /// A folder that lives as long as the control plane.
    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// Signs in as a ServiceAccount: a kubeconfig, and the credential by which the audit log tells what is asked with it.
    pub(crate) fn sign_in(&self, namespace: &str, account: &str) -> (PathBuf, String) {
        let token = self.print(&["create", "token", account, "-n", namespace, "--duration", "12h"]);
        let name = format!("{namespace}.{account}.{}", self.logins.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = self.setup.write_kubeconfig(&name, token.trim());
        let who = self.print(&["--kubeconfig", kubeconfig.to_str().unwrap(), "auth", "whoami", "-o", "json"]);
        let who: Value = serde_json::from_str(&who).unwrap();
        let credential = who["status"]["userInfo"]["extra"][CREDENTIAL][0].as_str();
        (kubeconfig, credential.unwrap_or_else(|| panic!("a token has an id: {who:#}")).to_owned())
    }

    /// A number that no other namespace has.
    pub(crate) fn next_space(&self) -> usize {
        self.spaces.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs kubectl as the administrator, with `input` as its standard input.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        self.setup.kubectl(arguments, input)
    }

    /// What a kubectl command of the administrator prints; it must succeed.
    pub(crate) fn print(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments, "");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Kills the API server, as a machine that fails does: every connection breaks. What is stored stays.
    pub(crate) fn kill_apiserver(&self) {
        lock(&self.apiserver).take().expect("the API server runs").kill();
    }

    /// Starts it again at the same address, and waits until it is ready.
    pub(crate) fn start_apiserver(&self) {
        let mut apiserver = self.setup.spawn_apiserver();
        assert!(
            self.setup.ready(&mut apiserver),
            "kube-apiserver does not start again: {}",
            self.setup.apiserver_log()
        );
        *lock(&self.apiserver) = Some(apiserver);
    }

    /// Lets the API server hang: connections stay, nothing is answered.
    pub(crate) fn freeze_apiserver(&self) {
        lock(&self.apiserver).as_ref().expect("the API server runs").signal(Signal::STOP);
    }

    /// Ends the hang.
    pub(crate) fn thaw_apiserver(&self) {
        lock(&self.apiserver).as_ref().expect("the API server runs").signal(Signal::CONT);
    }

    /// The processes of etcd and the API server.
    pub(crate) fn servers(&self) -> [u32; 2] {
        [self.etcd.id(), lock(&self.apiserver).as_ref().map_or(0, Running::id)]
    }

    /// Resident memory in MiB, of etcd, the API server and the controllers.
    pub(crate) fn memory(&self) -> [u64; 3] {
        let resident = |running: Option<&Running>| running.map_or(0, |running| resident(running.id()) / 1024);
        [
            resident(Some(&self.etcd)),
            resident(lock(&self.apiserver).as_ref()),
            resident(lock(&self.controllers).as_ref()),
        ]
    }
}

impl Drop for ControlPlane {
    /// Whoever reads of a failure wants to know what the programs said.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.setup.apiserver_log());
        }
    }
}

impl Setup {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keys, users and the audit policy.
    fn write_files(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(self.path("accounts.key"), key.serialize_pem()).unwrap();
        fs::write(self.path("accounts.pub"), key.public_key_pem()).unwrap();
        // What the API server shows to aggregated APIs: it signs for itself.
        let proxy = rcgen::generate_simple_self_signed(vec!["proxy".to_owned()]).unwrap();
        fs::write(self.path("proxy.crt"), proxy.cert.pem()).unwrap();
        fs::write(self.path("proxy.key"), proxy.signing_key.serialize_pem()).unwrap();
        fs::write(self.path("users.csv"), format!("{},admin,admin,\"system:masters\"\n", admin())).unwrap();
        let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
             - level: Metadata\n  userGroups: ['system:serviceaccounts']\n- level: None\n";
        fs::write(self.path("audit.yaml"), policy).unwrap();
        fs::create_dir(self.path("pods")).unwrap();
    }

    /// Starts etcd. Another process can take a port between our look and its start: then it ends, and we try other ports.
    fn start_etcd(&mut self) -> Running {
        for attempt in 0..5 {
            self.etcd = free_port();
            let (client, peer) = (url(self.etcd), url(free_port()));
            let mut command = Command::new(self.programs.join("server"));
            command.arg("--data-dir").arg(self.path(&format!("etcd-{attempt}")));
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args([
                "--initial-cluster",
                &format!("default={peer}"),
                "--unsafe-no-fsync",
                "--log-level",
                "error",
            ]);
            let mut etcd = Running::start(&mut command, &self.path("etcd.log"));
            let listens = eventually(START, "an answer of etcd", || {
                let connects = std::net::TcpStream::connect(("127.0.0.1", self.etcd)).is_ok();
                if etcd.is_running() { connects.then_some(true) } else { Some(false) }
            });
            if listens {
                return etcd;
            }
        }
        panic!("etcd does not start: {}", fs::read_to_string(self.path("etcd.log")).unwrap_or_default());
    }

    fn start_apiserver_anywhere(&mut self) -> Running {
        for _ in 0..5 {
            self.apiserver = free_port();
            let mut apiserver = self.spawn_apiserver();
            // It writes its certificate before it listens; the kubeconfig names the file.
            self.write_kubeconfig("admin", &admin());
            if self.ready(&mut apiserver) {
                return apiserver;
            }
        }
        panic!("kube-apiserver does not start: {}", self.apiserver_log());
    }

    fn spawn_apiserver(&self) -> Running {
        let mut command = Command::new(self.programs.join("kube-apiserver"));
        command.args(["--etcd-servers", &url(self.etcd), "--bind-address", "127.0.0.1"]);
        command.args(["--secure-port", &self.apiserver.to_string(), "--authorization-mode", "RBAC"]);
        command.arg("--cert-dir").arg(self.path("certificates"));
        command.args(["--service-account-issuer", "https://tidegate.dev", "--service-cluster-ip-range", "10.0.0.0/24"]);
        command.arg("--service-account-key-file").arg(self.path("accounts.pub"));
        command.arg("--service-account-signing-key-file").arg(self.path("accounts.key"));
        command.arg("--token-auth-file").arg(self.path("users.csv"));
        // Pods of the tests have no service account.
        command.args(["--disable-admission-plugins", "ServiceAccount"]);
        command.arg("--requestheader-client-ca-file").arg(self.path("proxy.crt")).args(REQUEST_HEADERS);
        command.arg("--proxy-client-cert-file").arg(self.path("proxy.crt"));
        command.arg("--proxy-client-key-file").arg(self.path("proxy.key"));
        command.arg("--audit-policy-file").arg(self.path("audit.yaml"));
        // Blocking: a request is in the log before its answer is sent. Never rotated: readers keep a position in the file.
        command.arg("--audit-log-path").arg(self.path("audit.log"));
        command.args(["--audit-log-mode", "blocking", "--audit-log-maxsize", "100000"]);
        Running::start(&mut command, &self.path("apiserver.log"))
    }

    /// Waits until the API server is ready: false if it ended instead.
    fn ready(&self, apiserver: &mut Running) -> bool {
        eventually(START, "a ready kube-apiserver", || {
            let ready = self.kubectl(&["get", "--raw", "/readyz"], "").status.success();
            if apiserver.is_running() { ready.then_some(true) } else { Some(false) }
        })
    }

    fn start_controllers(&self, controllers: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(self.programs.join("kube-controller-manager"));
        command.arg("--kubeconfig").arg(self.path("admin.kubeconfig"));
        command.arg("--service-account-private-key-file").arg(self.path("accounts.key"));
        command.args(["--leader-elect=false", "--secure-port", "0", "--controllers", controllers]);
        command.args(["--kube-api-qps", "500", "--kube-api-burst", "1000"]).args(arguments);
        Running::start(&mut command, &self.path("controllers.log"))
    }

    /// Our definitions and KEDA's, as an administrator applies them.
    fn install_definitions(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/yaml");
        let folder = folder.to_str().unwrap();
        for arguments in [
            &["apply", "--server-side", "-f", folder][..],
            &["wait", "--for", "condition=Established", "--timeout", "120s", "crd", "--all"],
        ] {
            let begun = Instant::now();
            let mut output = self.kubectl(arguments, "");
            // A definition that was made just now has no conditions yet, and kubectl fails instead of waiting for some.
            while !output.status.success() && begun.elapsed() < START {
                output = self.kubectl(arguments, "");
            }
            assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn write_kubeconfig(&self, user: &str, token: &str) -> PathBuf {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: tests\n\
             clusters:\n- name: tests\n  cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: '{}'}}\n\
             users:\n- name: {user}\n  user: {{token: '{token}'}}\n\
             contexts:\n- name: tests\n  context: {{cluster: tests, user: {user}}}\n",
            self.apiserver,
            self.path("certificates/apiserver.crt").display(),
        );
        let path = self.path(&format!("{user}.kubeconfig"));
        fs::write(&path, text).unwrap();
        path
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.path("admin.kubeconfig")).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.programs.join("kubectl"));
        command.arg("--kubeconfig").arg(self.path("admin.kubeconfig"));
        command.arg("--cache-dir").arg(self.path("kubectl")).args(["--request-timeout", "60s"]).args(arguments);
        command.env(MARK, run()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that fails at once does not read its input.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn apiserver_log(&self) -> String {
        let text = fs::read_to_string(self.path("apiserver.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the last lines of kube-apiserver:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
    }
}

/// The administrator's token: no other run has it.
fn admin() -> String {
    format!("admin-{}", run())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A process's resident memory in KiB; 0 if it is gone.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
