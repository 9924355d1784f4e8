//! What a Deployment in a file asks for: how many processes, and what each of them runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use serde::Deserialize;
use serde_json::Value;
use tidegate_calculator::source::{Problem, Secret};
use tidegate_engine::subject::{Finding, ObjectId, Severity, TargetRef};

use super::process::Launch;
use crate::manifests::Document;
use crate::resolution::{Fields, Lookup, container, environment, expand};

/// The most replicas of one Deployment: a slip of the finger must not take the machine down.
pub(super) const MOST: u32 = 1000;

/// The variable that marks a replica's process; with it an unrecorded process is found again.
pub(super) const MARK: &str = "TIDEGATE_INSTANCE";

/// What a process has in its environment besides what its container says.
const PASSED_ON: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL"];

/// A Deployment as this machine runs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workload {
    /// Its namespace and name.
    pub(super) id: ObjectId,
    /// `spec.replicas`, if it stands there.
    pub(super) declared: Option<u32>,
    /// Tells one text of `spec.template` from another.
    pub(super) revision: u64,
    /// `spec.minReadySeconds`.
    pub(super) min_ready: Duration,
    /// `terminationGracePeriodSeconds`, if it stands there.
    pub(super) grace: Option<Duration>,
    template: PodTemplateSpec,
    /// The directory of its file: what relative paths in it are relative to.
    directory: PathBuf,
}

/// The fields of `spec` that mean something here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    replicas: Option<u32>,
    min_ready_seconds: Option<u32>,
    template: Option<PodTemplateSpec>,
}

/// The target of a Deployment, as a ScaledObject names it by default.
pub(super) fn target(id: &ObjectId) -> TargetRef {
    TargetRef {
        namespace: id.namespace.clone(),
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: id.name.clone(),
    }
}

impl Workload {
    /// Reads a Deployment.
    ///
    /// # Errors
    /// What keeps it from running on this machine.
    pub(super) fn read(document: &Document) -> Result<Self, Finding> {
        if document.name().is_empty() {
            return Err(finding("metadata.name", None, "is missing"));
        }
        let spec = document.value.get("spec").unwrap_or(&Value::Null);
        let Spec { replicas, min_ready_seconds, template } =
            Spec::deserialize(spec).map_err(|error| finding("spec", None, &format!("cannot be read: {error}")))?;
        if let Some(replicas) = replicas.filter(|replicas| *replicas > MOST) {
            let allowed = format!("is more than the {MOST} processes that one Deployment may have here");
            return Err(finding("replicas", Some(replicas.to_string()), &allowed));
        }
        let template = template.unwrap_or_default();
        let Some(first) = template.spec.as_ref().and_then(|pod| pod.containers.first()) else {
            return Err(finding("template.spec.containers", None, "is missing; the first container is what runs"));
        };
        if first.command.as_ref().is_none_or(Vec::is_empty) {
            let path = "template.spec.containers[0].command";
            return Err(finding(path, None, "is missing; there is no image here that could say what to run"));
        }
        let grace = template.spec.as_ref().and_then(|pod| pod.termination_grace_period_seconds);
        Ok(Self {
            id: ObjectId::new(document.namespace(), document.name()),
            declared: replicas,
            revision: fingerprint(&spec.get("template").unwrap_or(&Value::Null).to_string()),
            min_ready: Duration::from_secs(min_ready_seconds.unwrap_or(0).into()),
            grace: grace.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            template,
            directory: std::path::absolute(&document.file)
                .ok()
                .and_then(|file| file.parent().map(Path::to_owned))
                .unwrap_or_default(),
        })
    }

    /// What of its text a local process does not have.
    pub(super) fn left_out(&self) -> Vec<Finding> {
        let Some(pod) = &self.template.spec else { return Vec::new() };
        let others =
            pod.containers.iter().enumerate().skip(1).map(|(index, other)| (format!("containers[{index}]"), other));
        let before = pod.init_containers.iter().flatten().enumerate();
        let before = before.map(|(index, other)| (format!("initContainers[{index}]"), other));
        let not_run = others.chain(before).map(|(path, other)| {
            let path = format!("template.spec.{path}");
            let name = Some(other.name.clone());
            Finding {
                severity: Severity::Warning,
                ..finding(&path, name, "does not run here; only the first container does")
            }
        });
        let fields = |first: &Container| {
            [
                ("volumeMounts", first.volume_mounts.is_some()),
                ("lifecycle", first.lifecycle.is_some()),
                ("readinessProbe", first.readiness_probe.is_some()),
                ("livenessProbe", first.liveness_probe.is_some()),
                ("startupProbe", first.startup_probe.is_some()),
            ]
        };
        let unused = pod.containers.iter().take(1).flat_map(fields).filter(|(_, used)| *used).map(|(field, _)| {
            let path = format!("template.spec.containers[0].{field}");
            Finding { severity: Severity::Info, ..finding(&path, None, "has no effect on a process of this machine") }
        });
        not_run.chain(unused).collect()
    }

    /// What starts one replica's process.
    ///
    /// # Errors
    /// A text that says what is absent.
    pub(super) fn launch(
        &self,
        replica: &str,
        mark: &str,
        log: PathBuf,
        lookup: &dyn Lookup,
    ) -> Result<Launch, String> {
        let named = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let ours = PASSED_ON.iter().filter_map(|name| Some(named(name, &std::env::var(name).ok()?)));
        let mut env: BTreeMap<String, Secret> = ours.collect();
        env.extend([
            named("HOSTNAME", replica),
            named("POD_NAME", replica),
            named("POD_NAMESPACE", &self.id.namespace),
        ]);
        let fields = self.fields(replica);
        let declared = environment(&self.template, None, &self.id.namespace, lookup, &fields);
        let declared = declared.map_err(|error| error.message)?;
        // The kubelet expands command and args by what the container declares.
        let expanded = |text: &String| expand(text, &declared);
        let first = container(&self.template, None).map_err(|error| error.message)?;
        let first = first.ok_or("there is no container")?;
        let mut words = first.command.iter().chain(&first.args).flatten().map(expanded);
        let program = words.next().ok_or("there is no command")?;
        let args = words.collect();
        let directory = self.directory.join(first.working_dir.as_deref().unwrap_or_default());
        env.extend(declared);
        env.extend([named(MARK, mark)]);
        // A name without a slash is looked for in PATH; any other relative path starts in the working directory.
        let program = if program.contains('/') { directory.join(program) } else { program.into() };
        Ok(Launch { program, args, env, directory, log })
    }

    /// The same with another program.
    #[cfg(test)]
    pub(super) fn with_program(mut self, program: &str) -> Self {
        let containers = self.template.spec.as_mut().map(|pod| &mut pod.containers);
        for container in containers.into_iter().flatten() {
            container.command = Some(vec![program.to_owned()]);
        }
        self
    }

    fn fields(&self, replica: &str) -> Fields {
        let local = || "127.0.0.1".to_owned();
        Fields::from([
            ("metadata.name", replica.to_owned()),
            ("metadata.namespace", self.id.namespace.to_string()),
            ("spec.nodeName", "localhost".to_owned()),
            ("status.hostIP", local()),
            ("status.podIP", local()),
        ])
    }
}

fn finding(path: &str, value: Option<String>, allowed: &str) -> Finding {
    Finding {
        problem: Problem { path: path.to_owned(), value, allowed: allowed.to_owned() },
        severity: Severity::Error,
    }
}

/// FNV-1a: the same for the same text, today and by every later build.
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::inventory::Inventory;
    use crate::manifests::parse;

    fn workload(spec: &str) -> Result<Workload, String> {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: orders, namespace: shop}}\nspec: {spec}\n"
        );
        Workload::read(&parse(Path::new("/shop/orders.yaml"), &text).unwrap()[0]).map_err(|finding| finding.to_string())
    }

    #[test]
    fn a_replica_runs_the_first_container() {
        let text = "{minReadySeconds: 2, template: {spec: {terminationGracePeriodSeconds: 5, containers: [{name: main, workingDir: run, \
                    command: [./work, $(WHO)], args: [$$(WHO), $(HOME)], \
                    env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}, {name: other}]}}}";
        let workload = workload(text).unwrap();
        assert_eq!((workload.declared, workload.min_ready.as_secs(), workload.grace.unwrap().as_secs()), (None, 2, 5));
        let launch = workload.launch("orders-1", "m", "/log".into(), &Inventory::default()).unwrap();
        assert_eq!(launch.program, Path::new("/shop/run/./work"));
        assert_eq!(launch.args, ["orders-1", "$(WHO)", "$(HOME)"], "only what the container declares is expanded");
        assert_eq!(launch.directory, Path::new("/shop/run"));
        let value = |name: &str| launch.env.get(name).map_or("", Secret::expose);
        assert_eq!(["WHO", "POD_NAME", "POD_NAMESPACE", MARK].map(value), ["orders-1", "orders-1", "shop", "m"]);
        assert_eq!(value("CARGO_MANIFEST_DIR"), "", "our own environment is not passed on");
    }

    #[test]
    fn what_cannot_run_is_named() {
        let table = [
            ("{}", "error template.spec.containers: is missing; the first container is what runs"),
            (
                "{template: {spec: {containers: [{name: a, image: busybox}]}}}",
                "error template.spec.containers[0].command: is missing; there is no image here that could say what to run",
            ),
            (
                "{replicas: 5000}",
                "error replicas: \"5000\" is more than the 1000 processes that one Deployment may have here",
            ),
            ("{replicas: -1}", "error spec: cannot be read: invalid value: integer `-1`, expected u32"),
        ];
        for (spec, expected) in table {
            assert_eq!(workload(spec).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_a_process_does_not_have_is_named() {
        let text = "{template: {spec: {initContainers: [{name: i}], containers: [{name: a, command: [x], \
                    readinessProbe: {}, livenessProbe: {}}, {name: b}]}}}";
        let findings: Vec<String> = workload(text).unwrap().left_out().iter().map(ToString::to_string).collect();
        let expected = [
            "warning template.spec.containers[1]: \"b\" does not run here; only the first container does",
            "warning template.spec.initContainers[0]: \"i\" does not run here; only the first container does",
            "info template.spec.containers[0].readinessProbe: has no effect on a process of this machine",
            "info template.spec.containers[0].livenessProbe: has no effect on a process of this machine",
        ];
        assert_eq!(findings, expected);
    }

    #[test]
    fn only_the_template_makes_a_revision() {
        let with = |replicas: u32, command: &str| {
            workload(&format!(
                "{{replicas: {replicas}, template: {{spec: {{containers: [{{name: a, command: [{command}]}}]}}}}}}"
            ))
        };
        assert_eq!(with(1, "a").unwrap().revision, with(2, "a").unwrap().revision);
        assert_ne!(with(1, "a").unwrap().revision, with(1, "b").unwrap().revision);
    }

    #[test]
    fn an_absent_secret_keeps_a_process_from_starting() {
        let text = "{template: {spec: {containers: [{name: a, command: [x], envFrom: [{secretRef: {name: s}}]}]}}}";
        let workload = workload(text).unwrap();
        let error = workload.launch("orders-0", "m", "/log".into(), &Inventory::default()).unwrap_err();
        assert_eq!(error, "Secret shop/s does not exist");
    }
}
