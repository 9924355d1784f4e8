//! Checks many documents together: each by itself, then against each other.

use std::collections::HashMap;

use jiff::Timestamp;
use tidegate_calculator::policy::Settings;
use tidegate_calculator::source::Problem;
use tidegate_engine::subject::{Finding, Severity};

use super::conflicts::{Claim, conflicts};
use super::findings::Findings;
use super::kinds::{self, Kind};
use super::scaled_object::{Validated, scaled_object};
use super::surroundings::Surroundings;
use super::{location, scaling_policy, trigger_authentication};
use crate::manifests::{Document, Position};

/// What there is to say about one document.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether it is an object of ours; others only give others their surroundings.
    pub ours: bool,
    /// The `ScaledObject`, if it is one; its findings have moved to [`Report::findings`].
    pub scaled_object: Option<Validated>,
    /// Everything about this document, in the order of the file.
    pub findings: Vec<Finding>,
}

/// One report a document, in the same order.
///
/// A document that stands twice, and a second object on one target, lose their subject with an error that names the
/// other one.
pub fn documents(
    documents: &[Document],
    known: &dyn Surroundings,
    settings: &Settings,
    created: Timestamp,
) -> Vec<Report> {
    let mut reports: Vec<Report> = documents.iter().map(|document| judge(document, known, settings, created)).collect();
    refuse_repetitions(documents, &mut reports);
    refuse_conflicts(&mut reports);
    for (document, report) in documents.iter().zip(&mut reports) {
        report.findings.sort_by_key(|finding| place(document, finding));
    }
    reports
}

/// Where a finding stands in its document's file: at its field, or at the nearest one that would hold it.
pub fn place(document: &Document, finding: &Finding) -> Option<Position> {
    let path = &finding.problem.path;
    let below_spec = location(path);
    // A field of the root that does not belong there looks like one of the spec.
    let path = if document.has(path) && !document.has(&below_spec) { path } else { &below_spec };
    document.position(path)
}

fn judge(document: &Document, known: &dyn Surroundings, settings: &Settings, created: Timestamp) -> Report {
    let mut findings = Findings::default();
    match kinds::kind(document, &mut findings) {
        Kind::ScaledObject => {
            let mut validated = scaled_object(&document.value, known, settings, created);
            let findings = std::mem::take(&mut validated.findings);
            Report { ours: true, scaled_object: Some(validated), findings }
        }
        Kind::Authentication => {
            Report { ours: true, scaled_object: None, findings: trigger_authentication(&document.value, known) }
        }
        Kind::Policy => Report { ours: true, scaled_object: None, findings: scaling_policy(&document.value) },
        Kind::Unusable => Report { ours: true, scaled_object: None, findings: findings.list },
        Kind::Foreign => Report { ours: false, scaled_object: None, findings: findings.list },
    }
}

fn refuse_repetitions(documents: &[Document], reports: &mut [Report]) {
    let mut seen: HashMap<_, &Document> = HashMap::new();
    for (document, report) in documents.iter().zip(reports) {
        if !report.ours || document.name().is_empty() {
            continue;
        }
        let who = (document.kind(), document.namespace(), document.name());
        if let Some(first) = seen.get(&who) {
            let line = first.position("").map_or(0, |at| at.line);
            let allowed = format!("is the name of the {} in {}:{line} already", document.kind(), first.file.display());
            report.refuse("metadata.name", document.name(), allowed);
        } else {
            seen.insert(who, document);
        }
    }
}

/// Objects that are refused for another reason take part: their target is theirs once they are mended.
fn refuse_conflicts(reports: &mut [Report]) {
    let claims = reports.iter().enumerate().filter_map(|(index, report)| {
        let validated = report.scaled_object.as_ref()?;
        let repeated = report.findings.iter().any(|finding| finding.problem.path == "metadata.name");
        let claim =
            Claim { id: validated.id.as_ref()?, target: validated.target.as_ref()?, created: validated.created };
        (!repeated).then_some((index, claim))
    });
    let (indices, claims): (Vec<usize>, Vec<Claim<'_>>) = claims.unzip();
    for (loser, finding) in conflicts(&claims) {
        let report = &mut reports[indices[loser]];
        report.findings.push(finding);
        report.drop_subject();
    }
}

impl Report {
    fn refuse(&mut self, path: &str, value: &str, allowed: String) {
        let problem = Problem { path: path.to_owned(), value: Some(value.to_owned()), allowed };
        self.findings.push(Finding { problem, severity: Severity::Error });
        self.drop_subject();
    }

    fn drop_subject(&mut self) {
        if let Some(validated) = &mut self.scaled_object {
            validated.subject = None;
        }
    }
}
