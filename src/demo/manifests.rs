//! The two manifests of the demo: an ordinary Deployment and an ordinary KEDA ScaledObject.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::{JOBS, WORKER_ROLE};

/// The namespace of both objects.
pub(super) const NAMESPACE: &str = "demo";
/// The name of both objects.
pub(super) const NAME: &str = "orders";
/// How many items one worker takes care of.
pub(super) const LIST_LENGTH: u32 = 5;
/// The most workers.
pub(super) const MAX_REPLICAS: u32 = 10;
/// From the last reading that saw an item to zero, in seconds.
pub(super) const COOLDOWN: u32 = 8;

/// Writes both into `directory`. The workers run `executable` and take their items from `store`.
pub(super) fn write(directory: &Path, executable: &Path, store: SocketAddr) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("deployment.yaml"), deployment(executable, store)?)?;
    fs::write(directory.join("scaledobject.yaml"), scaled_object(store))
}

fn deployment(executable: &Path, store: SocketAddr) -> io::Result<String> {
    let executable = executable.to_str().ok_or_else(|| io::Error::other("the path of this program is not UTF-8"))?;
    // In a manifest `$(` begins a variable. A text of JSON is one of YAML.
    let command = serde_json::to_string(&executable.replace("$(", "$$("))?;
    Ok(format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
spec:
  replicas: 0
  selector:
    matchLabels: {{app: {NAME}}}
  template:
    metadata:
      labels: {{app: {NAME}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: worker
        image: tidegate
        command: [{command}]
        args: ["demo", "--role", "{WORKER_ROLE}", "--store", "{store}"]
"#
    ))
}

fn scaled_object(store: SocketAddr) -> String {
    format!(
        r#"apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
spec:
  scaleTargetRef:
    name: {NAME}
  pollingInterval: 1
  cooldownPeriod: {COOLDOWN}
  minReplicaCount: 0
  maxReplicaCount: {MAX_REPLICAS}
  triggers:
  - type: redis
    name: {JOBS}
    metadata:
      address: {store}
      listName: {JOBS}
      listLength: "{LIST_LENGTH}"
      activation: push
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        let text = deployment(Path::new("/opt/my \"tools\": $(HOME)/tidegate"), ([127, 0, 0, 1], 7).into()).unwrap();
        assert!(text.contains(r#"command: ["/opt/my \"tools\": $$(HOME)/tidegate"]"#), "{text}");
        assert!(text.contains(r#""--store", "127.0.0.1:7""#), "{text}");
    }

    #[test]
    fn both_files_are_written() {
        let directory = tempfile::tempdir().unwrap();
        write(&directory.path().join("manifests"), Path::new("/bin/tidegate"), ([127, 0, 0, 1], 7).into()).unwrap();
        let read = |name| fs::read_to_string(directory.path().join("manifests").join(name)).unwrap();
        assert!(read("deployment.yaml").contains("kind: Deployment"));
        assert!(read("scaledobject.yaml").contains("address: 127.0.0.1:7"));
    }
}
