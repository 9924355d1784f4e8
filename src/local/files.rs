//! Watches the files: what changed in them is told to the engine and to the Deployments.

mod changes;
mod fingerprint;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidegate_calculator::policy::Settings;
use tidegate_engine::protocol::Change;
use tidegate_engine::subject::{ObjectId, Severity};

use self::changes::Told;
use self::fingerprint::{Fingerprint, fingerprint};
use super::Machine;
use super::deployment::{Message, Record};
use super::fleet::Fleet;
use super::inventory::Inventory;
use super::objects::ObjectRecords;
use super::workload::{Workload, target};
use crate::manifests::{self, Document, Loaded};
use crate::validation::{self, Report};

/// The log target of lines about the files: they say themselves how bad it is, behind the place.
pub(crate) const FINDINGS: &str = "tidegate::findings";

/// The files and what has been told of them.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    machine: Arc<Machine>,
    fleet: Arc<Fleet>,
    records: Arc<ObjectRecords>,
    cluster_namespace: String,
    settings: Settings,
    told: BTreeMap<ObjectId, Told>,
    workloads: BTreeMap<ObjectId, Workload>,
    lines: BTreeSet<(Severity, String)>,
    /// Deployments of an earlier run that no file has shown yet.
    orphans: BTreeMap<ObjectId, Record>,
}

impl Files {
    pub(super) fn new(
        paths: Vec<PathBuf>,
        machine: Arc<Machine>,
        fleet: Arc<Fleet>,
        records: Arc<ObjectRecords>,
        cluster_namespace: String,
        orphans: Vec<Record>,
    ) -> Self {
        Self {
            paths,
            machine,
            fleet,
            records,
            cluster_namespace,
            settings: Settings::default(),
            told: BTreeMap::new(),
            workloads: BTreeMap::new(),
            lines: BTreeSet::new(),
            orphans: orphans.into_iter().map(|record| (record.id(), record)).collect(),
        }
    }

    /// Reads the files for the first time, then again whenever they have changed, for ever.
    pub(super) async fn run(mut self, poll: Duration) {
        let mut applied = self.look().await;
        self.load().await;
        self.machine.feed.push(Change::Synced);
        let mut before = None;
        loop {
            tokio::time::sleep(poll).await;
            let now = self.look().await;
            // A file that is being written is empty or half there for a moment: only what stays the same for one poll counts.
            if now != applied && before.as_ref() == Some(&now) {
                self.load().await;
                applied = now.clone();
            }
            before = Some(now);
        }
    }

    async fn look(&self) -> Fingerprint {
        let paths = self.paths.clone();
        tokio::task::spawn_blocking(move || fingerprint(&paths)).await.unwrap_or_default()
    }

    /// Reads all files and tells what is different from before.
    async fn load(&mut self) {
        let paths = self.paths.clone();
        let Ok(mut loaded) = tokio::task::spawn_blocking(move || manifests::load(&paths)).await else { return };
        self.date(&mut loaded);
        let inventory = Arc::new(Inventory::new(loaded, &self.machine.inventory()));
        self.machine.set_inventory(inventory.clone());
        let known = validation::Files::new(&inventory.documents);
        let created = jiff::Timestamp::now();
        let reports = validation::documents(&inventory.documents, &known, &self.settings, created);
        let mut lines = broken_lines(&inventory);
        lines.extend(
            inventory.documents.iter().zip(&reports).flat_map(|(document, report)| finding_lines(document, report)),
        );
        self.set_deployments(&inventory, &mut lines).await;
        self.set_objects(&inventory, &reports);
        lines.extend(nothing(&self.paths, &inventory));
        self.say(lines);
    }

    /// An object of a file was created when it was first seen.
    fn date(&self, loaded: &mut Loaded) {
        for document in loaded.documents.iter_mut().filter(|document| document.kind() == "ScaledObject") {
            let id = ObjectId::new(document.namespace(), document.name());
            let Some(metadata) = document.value.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
            if !id.name.is_empty() && !metadata.contains_key("creationTimestamp") {
                let first_seen = self.records.first_seen(&id).to_string();
                metadata.insert("creationTimestamp".to_owned(), Value::String(first_seen));
            }
        }
    }

    async fn set_deployments(&mut self, inventory: &Inventory, lines: &mut BTreeSet<(Severity, String)>) {
        let mut here = BTreeSet::new();
        for document in inventory.documents.iter().filter(|document| is_deployment(document, inventory)) {
            let id = ObjectId::new(document.namespace(), document.name());
            here.insert(id.clone());
            let workload = Workload::read(document);
            let left_out = workload.iter().flat_map(Workload::left_out);
            lines.extend(left_out.map(|finding| (finding.severity, line(document, &finding))));
            match workload {
                Ok(workload) if self.workloads.get(&id) == Some(&workload) => {
                    self.fleet.tell(&id, Message::Retry).await;
                }
                Ok(workload) => {
                    self.fleet.run(&id, self.orphans.remove(&id), Some(workload.clone())).await;
                    self.workloads.insert(id, workload);
                }
                Err(finding) => {
                    lines.insert((finding.severity, line(document, &finding)));
                    if !self.workloads.contains_key(&id) {
                        let why = format!("Deployment {id} cannot run here: {}", finding.problem);
                        self.machine
                            .feed
                            .target(target(&id), Err(tidegate_engine::protocol::TargetError::Unavailable(why)));
                    }
                }
            }
        }
        let gone: Vec<ObjectId> = self.workloads.keys().filter(|id| !here.contains(id)).cloned().collect();
        for id in gone {
            tracing::info!("Deployment {id} is gone from the files; its processes are ended");
            self.workloads.remove(&id);
            self.fleet.run(&id, None, None).await;
        }
        self.end_orphans(inventory, &here).await;
    }

    /// Ends what an earlier run left of Deployments that are gone now. As long as a file is broken nobody can know that.
    async fn end_orphans(&mut self, inventory: &Inventory, here: &BTreeSet<ObjectId>) {
        let orphans: Vec<ObjectId> = self.orphans.keys().filter(|id| !here.contains(id)).cloned().collect();
        for id in orphans {
            if inventory.broken.is_empty() {
                tracing::info!("Deployment {id} is in no file any more; its processes are ended");
                let record = self.orphans.remove(&id);
                self.fleet.run(&id, record, None).await;
            } else {
                tracing::warn!(
                    "Deployment {id} is in no file that can be read; its processes are left alone until all can be"
                );
            }
        }
    }

    fn say(&mut self, lines: BTreeSet<(Severity, String)>) {
        for (severity, line) in lines.difference(&self.lines) {
            match severity {
                Severity::Info => tracing::info!(target: FINDINGS, "{line}"),
                Severity::Warning => tracing::warn!(target: FINDINGS, "{line}"),
                Severity::Error => tracing::error!(target: FINDINGS, "{line}"),
            }
        }
        for (severity, line) in self.lines.difference(&lines).filter(|(severity, _)| *severity == Severity::Error) {
            tracing::info!("mended: {}", line.replacen(&format!(" {} ", severity.word()), " ", 1));
        }
        self.lines = lines;
    }
}

fn is_deployment(document: &Document, inventory: &Inventory) -> bool {
    document.kind() == "Deployment" && document.api_version() == "apps/v1" && inventory.counts(document)
}

fn broken_lines(inventory: &Inventory) -> BTreeSet<(Severity, String)> {
    let held = |broken: &manifests::Broken| {
        inventory.documents.iter().filter(|document| document.file.starts_with(&broken.file)).count()
    };
    let line = |broken: &manifests::Broken| match held(broken) {
        0 => format!("{broken}"),
        held => format!("{broken}; the {held} objects that it held go on as they were"),
    };
    inventory.broken.iter().map(|broken| (Severity::Error, line(broken))).collect()
}

/// Whoever names the wrong folder would wait for ever without a word.
fn nothing(paths: &[PathBuf], inventory: &Inventory) -> Option<(Severity, String)> {
    let is_one = |document: &Document| document.kind() == "ScaledObject";
    if !inventory.broken.is_empty() || inventory.documents.iter().any(is_one) {
        return None;
    }
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let line = format!("{} warning there is no ScaledObject yet; one that comes is taken up", paths.join(", "));
    Some((Severity::Warning, line))
}

fn finding_lines(document: &Document, report: &Report) -> Vec<(Severity, String)> {
    report.findings.iter().map(|finding| (finding.severity, line(document, finding))).collect()
}

/// `orders.yaml:14:7 error triggers[0].metadata.listLength: "1O" is not an integer >= 0`.
fn line(document: &Document, finding: &tidegate_engine::subject::Finding) -> String {
    let at = document.position(&validation::location(&finding.problem.path));
    let (line, column) = at.map_or((0, 0), |at| (at.line, at.column));
    format!("{}:{line}:{column} {finding}", document.file.display())
}
