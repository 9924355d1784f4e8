//! What of the ScaledObjects is different from what the engine was told last.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_calculator::source::{Parameters, ReadError};
use tidegate_engine::protocol::Change;
use tidegate_engine::subject::{Finding, ObjectId, Subject, TargetRef};

use super::super::inventory::Inventory;
use super::super::workload::target;
use super::Files;
use crate::resolution;
use crate::validation::{Report, Validated};

/// What the engine was told of one object.
pub(super) struct Told {
    word: Word,
    /// What its triggers' references led to.
    parameters: Vec<Result<Parameters, ReadError>>,
}

#[derive(PartialEq)]
enum Word {
    Accepted(Arc<Subject>),
    Refused(TargetRef, Vec<Finding>),
}

impl Files {
    pub(super) fn set_objects(&mut self, inventory: &Inventory, reports: &[Report]) {
        let mut here = BTreeSet::new();
        for (document, report) in inventory.documents.iter().zip(reports) {
            let Some(validated) = report.scaled_object.as_ref().filter(|_| inventory.counts(document)) else {
                continue;
            };
            let Some(id) = validated.id.clone() else { continue };
            self.set_object(&id, word(&id, validated, report), inventory);
            here.insert(id);
        }
        let gone: Vec<ObjectId> = self.told.keys().filter(|id| !here.contains(id)).cloned().collect();
        for id in gone {
            self.told.remove(&id);
            self.records.forget(&id);
            tracing::info!("ScaledObject {id} is gone from the files; its target keeps its replicas");
            self.machine.feed.push(Change::Gone(id));
        }
    }

    fn set_object(&mut self, id: &ObjectId, word: Word, inventory: &Inventory) {
        let parameters = self.parameters(&word, inventory);
        let feed = &self.machine.feed;
        let before = self.told.get(id);
        if before.is_none_or(|before| before.word != word) {
            match &word {
                Word::Accepted(subject) => {
                    feed.push(Change::Set(subject.clone(), self.records.checkpoint(id)));
                }
                Word::Refused(target, findings) => {
                    let stored = self.records.checkpoint(id);
                    feed.push(Change::Refused(id.clone(), target.clone(), findings.clone(), stored));
                }
            }
        } else if before.is_some_and(|before| before.parameters != parameters) {
            feed.push(Change::ParametersChanged(id.clone()));
        }
        self.told.insert(id.clone(), Told { word, parameters });
    }

    fn parameters(&self, word: &Word, inventory: &Inventory) -> Vec<Result<Parameters, ReadError>> {
        let Word::Accepted(subject) = word else { return Vec::new() };
        let resolve = |trigger: &tidegate_engine::subject::Trigger| {
            resolution::resolve(&trigger.references, inventory, &self.cluster_namespace)
        };
        subject.triggers.iter().map(resolve).collect()
    }
}

fn word(id: &ObjectId, validated: &Validated, report: &Report) -> Word {
    if let Some(subject) = &validated.subject {
        return Word::Accepted(subject.clone().into());
    }
    // An object that names no target is refused all the same; the engine keys it by the one it would have.
    let target = validated.target.clone().unwrap_or_else(|| target(id));
    Word::Refused(target, report.findings.clone())
}
