//! The real `tidegate run`, as a ServiceAccount with exactly the printed roles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::process::Signal;

use super::SOON;
use super::audit::{Moment, Requests};
use super::control_plane::{ControlPlane, resident};
use super::space::Space;
use crate::harness::children::Running;
use crate::harness::tidegate::{command, printed, run};
use crate::harness::wait::eventually;

/// The ServiceAccount of a deployment of Tidegate.
const ACCOUNT: &str = "tidegate";

/// A credential that operators run with: what is asked with it is told from what others ask.
pub(crate) struct Account {
    plane: Arc<ControlPlane>,
    kubeconfig: PathBuf,
    credential: String,
    /// Where its Lease stands.
    own: String,
    /// `WATCH_NAMESPACE`.
    watched: String,
}

/// A running operator. Its Lease stands in a namespace of its scenario, so that it has nothing to do with others.
pub(crate) struct Operator {
    process: Running,
    log: PathBuf,
    credential: String,
    plane: Arc<ControlPlane>,
}

impl Account {
    /// A credential with the roles for a namespace and the Lease there.
    pub(crate) fn new(space: &Space) -> Self {
        Self::over(&[space])
    }

    /// A credential with the roles for these namespaces, and the Lease in the first one.
    pub(crate) fn over(spaces: &[&Space]) -> Self {
        let watched = spaces.iter().map(|space| space.name()).collect::<Vec<_>>().join(",");
        Self::with_roles(spaces[0], &watched)
    }

    /// A credential with the roles for the whole cluster, and the Lease in this namespace. Only for a control plane of its own: it scales
    /// the objects of all scenarios.
    pub(crate) fn cluster_wide(space: &Space) -> Self {
        Self::with_roles(space, "")
    }

    /// Exactly the roles that `tidegate rbac` prints.
    fn with_roles(space: &Space, watched: &str) -> Self {
        let mut arguments = vec!["rbac", "--own-namespace", space.name(), "--service-account", ACCOUNT];
        if !watched.is_empty() {
            arguments.extend(["--namespaced", watched]);
        }
        let (roles, errors, code) = printed(&run(&arguments));
        assert_eq!(code, Some(0), "{errors}");
        // A cluster-wide binding has the same name for everybody; here there are several deployments of Tidegate on one cluster. Roles
        // that are there stay untouched: what the control plane has joined to them would be gone for a moment.
        let bindings = "kind: ClusterRoleBinding\nmetadata:\n  name: ";
        space.create_missing(&roles.replace(bindings, &format!("{bindings}{}-", space.name())));
        space.apply(&format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {ACCOUNT}}}"));
        let plane = space.plane().clone();
        let (kubeconfig, credential) = plane.sign_in(space.name(), ACCOUNT);
        Self { plane, kubeconfig, credential, own: space.name().to_owned(), watched: watched.to_owned() }
    }

    /// The same credential at another address, which passes on what it is asked.
    pub(crate) fn at(&self, server: &str) -> Self {
        let text = fs::read_to_string(&self.kubeconfig).unwrap();
        let (before, rest) = text.split_once("server: '").expect("a server");
        let (_, after) = rest.split_once('\'').expect("its end");
        let kubeconfig = self.kubeconfig.with_extension("other");
        fs::write(&kubeconfig, format!("{before}server: '{server}'{after}")).unwrap();
        let (credential, own, watched) = (self.credential.clone(), self.own.clone(), self.watched.clone());
        Self { plane: self.plane.clone(), kubeconfig, credential, own, watched }
    }

    /// Starts an operator.
    pub(crate) fn start(&self) -> Operator {
        self.start_with(&[])
    }

    /// Starts an operator with further arguments.
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Operator {
        self.start_as(command(&["run"]), arguments)
    }

    /// The kubeconfig of the credential.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The ServiceAccount that the overlays in `deploy/` bring, with the roles that came with it.
    pub(crate) fn deployed(plane: &Arc<ControlPlane>, watched: &str) -> Self {
        let own = "tidegate-system";
        let (kubeconfig, credential) = plane.sign_in(own, ACCOUNT);
        Self { plane: plane.clone(), kubeconfig, credential, own: own.to_owned(), watched: watched.to_owned() }
    }

    /// Starts an operator by a command that already says `run`, in whatever surroundings.
    pub(crate) fn start_as(&self, mut command: Command, arguments: &[&str]) -> Operator {
        let starts = fs::read_dir(self.plane.folder()).unwrap().count();
        let log = self.plane.folder().join(format!("operator-{}-{starts}.log", self.own));
        command.args(["--metrics-bind-address", "127.0.0.1:0"]).args(arguments);
        command.args(["--health-probe-bind-address", "127.0.0.1:0", "--api-bind-address", "127.0.0.1:0"]);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.env("WATCH_NAMESPACE", &self.watched).env("POD_NAMESPACE", &self.own).env_remove("POD_NAME");
        let process = Running::start(&mut command, &log);
        Operator { process, log, credential: self.credential.clone(), plane: self.plane.clone() }
    }
}

impl Operator {
    /// Everything it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What it has asked the API server since a moment, and other operators with the same credential.
    pub(crate) fn requests(&self, since: Moment) -> Requests {
        self.plane.audit().since(since, &self.credential)
    }

    /// What it has asked the API server since a moment, which is put forward to now.
    pub(crate) fn follow(&self, moment: &mut Moment) -> Requests {
        self.plane.audit().follow(moment, &self.credential)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> u64 {
        resident(self.process.id()) / 1024
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Asks it to end, and does not wait.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until it ends: its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait(SOON)
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Stops it, as a machine that is suspended does.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

impl Drop for Operator {
    /// Whoever reads of a failure wants to know what it did.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} says:\n{}", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Who holds the Lease of a namespace; none if nobody does.
pub(crate) fn holder(space: &Space) -> Option<String> {
    let lease = space.get("leases", "tidegate")?;
    lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
}

/// Waits until somebody else than `before` holds the Lease.
pub(crate) fn until_held(space: &Space, before: Option<&str>) -> String {
    eventually(SOON, "another holder of the Lease", || holder(space).filter(|holder| Some(holder.as_str()) != before))
}
