//! The image without a container engine: the binary with only the files that the Dockerfile gives it, as its user, on a read-only root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::Space;
use super::trial_with_redis;
use crate::harness::redis::Redis;
use crate::harness::tidegate::{self, command};
use crate::harness::under_ci;

/// The base image, and the libraries of its that are here. What else the binary is linked with is not in the image.
const BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const LIBRARIES: [&str; 7] =
    ["ld-linux", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"];
/// The certificates of the base image.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Makes the root read-only for this process alone, and gives up everything that the user of the image has not.
const ENTER: &str = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && root=$1 user=$2 && shift 2 && \
    exec setpriv --no-new-privs chroot --userspec=\"$user\" --groups= \"$root\" \"$@\"";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("image::scales_as_nobody_on_a_read_only_root", scales)]
}

/// What the last stage of a Dockerfile says.
#[derive(Debug, Default)]
struct Image {
    base: String,
    /// From the build stage to the image.
    copies: Vec<(String, String)>,
    user: String,
    /// ENV, as name and value.
    environment: Vec<(String, String)>,
    /// ENTRYPOINT and CMD.
    command: Vec<String>,
}

fn scales() {
    const LIST: &str = "image";
    if !rustix::process::geteuid().is_root() {
        assert!(!under_ci(), "only root can change the root of a process");
        println!("skipped: cluster::image needs root to change the root of a process");
        return;
    }
    let redis = Redis::shared();
    let space = Space::new("image");
    let image = Image::read();
    assert_eq!((image.base.as_str(), image.user.as_str()), (BASE, "65532:65532"));
    let root = tempfile::Builder::new().prefix("tidegate-image-").tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    image.unpack(root.path());
    let account = Account::new(&space);
    // As a cluster mounts what a ServiceAccount signs in with.
    put(account.kubeconfig(), root.path(), account.kubeconfig());
    let authority = space.plane().folder().join("certificates/apiserver.crt");
    put(&authority, root.path(), &authority);

    space.deploy(&Deployment::default());
    let address = redis.address();
    space.scale_by(&ScaledObject { address: &address, list: LIST, ..ScaledObject::default() });
    redis.push(LIST, 40);
    let mut operator = account.start_as(image.enter(root.path()), &[]);
    until_held(&space, None);
    confined(operator.pid());
    space.until_replicas("app", 8);
    space.until_condition("app", "Active", "True");
    operator.terminate();
    assert_eq!(operator.wait(), Some(0), "{}", operator.log());
}

/// The process is what the test says it is.
fn confined(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((field("Uid:"), field("Gid:")), (vec!["65532".to_owned(); 4], vec!["65532".to_owned(); 4]));
    assert_eq!((field("CapEff:").join(""), field("NoNewPrivs:").join("")), ("0".repeat(16), "1".to_owned()));
    // Not even root can write there by the way that the process takes.
    let refusal = fs::write(format!("/proc/{pid}/root/new"), "").expect_err("the root is read-only");
    assert_eq!(refusal.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{refusal}");
    let shell = Path::new("/proc").join(pid.to_string()).join("root/bin/sh");
    assert!(!shell.exists(), "the image has no shell");
}

impl Image {
    /// Of `deploy/Dockerfile`.
    fn read() -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/Dockerfile")).unwrap();
        let mut image = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let list = || serde_json::from_str::<Vec<String>>(rest).unwrap_or_else(|error| panic!("{error}: {line}"));
            match word {
                "FROM" => image = Self { base: rest.to_owned(), ..Self::default() },
                "COPY" => image.copies.extend(copy(rest)),
                "ENV" => {
                    let (key, text) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
                    image.environment.push((key.to_owned(), text.to_owned()));
                }
                "USER" => rest.clone_into(&mut image.user),
                "ENTRYPOINT" => image.command = list(),
                "CMD" => image.command.extend(list()),
                _ => {}
            }
        }
        image
    }

    /// Puts the files of the image below `root`.
    fn unpack(&self, root: &Path) {
        assert!(!self.copies.is_empty(), "the image has files of its own: {self:?}");
        for (from, to) in &self.copies {
            // The binary under test stands for the one that the build stage makes.
            let binary = from.ends_with("/target/release/tidegate");
            let path = if binary {
                tidegate::binary()
            } else {
                let inside = from.strip_prefix("/source/").unwrap_or_else(|| panic!("{from} is not built from source"));
                Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
            };
            put(&path, root, Path::new(to));
            if binary {
                for library in libraries(&path) {
                    put(&library, root, &library);
                }
            }
        }
        if Path::new(CERTIFICATES).exists() {
            put(Path::new(CERTIFICATES), root, Path::new(CERTIFICATES));
        }
    }

    /// A command that starts the image's process. It keeps its pid all the way, and has none of our environment.
    fn enter(&self, root: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "enter"]).arg(root).arg(&self.user).args(&self.command);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(self.environment.iter().cloned());
        command
    }
}

/// The operator as the image runs it, but outside of the image: for benchmarks.
pub(super) fn outside() -> Command {
    let mut command = command(&["run"]);
    command.envs(Image::read().environment);
    command
}

/// `--from=build A B` as (A, B); a COPY into a build stage is forgotten with its stage.
fn copy(rest: &str) -> Option<(String, String)> {
    let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

/// What the binary is linked with; all of it must be in the base image.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(binary).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    let found: Vec<PathBuf> = text.lines().filter_map(path).collect();
    for library in &found {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        assert!(LIBRARIES.iter().any(|known| name.starts_with(known)), "{name} is not in {BASE}:\n{text}");
    }
    found
}

/// Copies a file to `root`/`to`, where everybody may read and execute it.
fn put(from: &Path, root: &Path, to: &Path) {
    let place = root.join(to.strip_prefix("/").unwrap());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::copy(from, &place).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
}
