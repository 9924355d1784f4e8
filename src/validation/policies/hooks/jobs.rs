//! `flink.jobs` of a hook: which jobs are looked after, and how each is run again.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_calculator::operation::spec::{
    Batch, FirstStart, Jar, JobSelector, JobSpec, Jobs, RunTemplate, Select, StrategyChoice,
};

use super::super::super::findings::{Findings, shown};
use super::super::fields::{is_given, list, text};
use super::{count, exactly_one, http, name_pattern, pairs, references, truth};
use crate::manifests::path;

/// The three ways to name a job.
const SELECTORS: [&str; 3] = ["name", "namePattern", "id"];

/// Reads the block, which may be absent. Only of use when no error was found.
pub(super) fn read(block: &Value, strategy: StrategyChoice, here: &str, findings: &mut Findings) -> Jobs {
    let jobs = block.get("jobs").unwrap_or(&Value::Null);
    let place = path::child(&path::child(here, "jobs"), "list");
    let select = if text(jobs, "select") == Some("Listed") { Select::Listed } else { Select::All };
    let needs_run = strategy == StrategyChoice::StopRestore;
    if !is_given(jobs, "list") {
        if select == Select::Listed {
            findings.refuse(place.clone(), None, "is required with select Listed");
        } else if needs_run {
            let allowed = "is required with strategy StopRestore: nothing says how a stopped job is run again";
            findings.refuse(place.clone(), None, allowed);
        }
    }
    let (mut all, mut seen) = (Vec::new(), BTreeMap::new());
    for (index, entry) in list(jobs, "list").iter().enumerate().filter(|(_, entry)| entry.is_object()) {
        let here = path::item(&place, index);
        let Some(job) = job(entry, needs_run, &here, findings) else { continue };
        let (field, text) = named(&job.select);
        if let Some(first) = seen.insert((field, text.to_owned()), index) {
            let allowed = format!("stands in {place}[{first}] already");
            findings.refuse(path::child(&here, field), Some(shown(&text.into())), allowed);
        }
        all.push(job);
    }
    let batch = if text(jobs, "batch") == Some("Ignore") { Batch::Ignore } else { Batch::Block };
    Jobs { select, batch, list: all }
}

fn named(select: &JobSelector) -> (&'static str, &str) {
    match select {
        JobSelector::Name(text) => ("name", text),
        JobSelector::NamePattern(text) => ("namePattern", text),
        JobSelector::Id(text) => ("id", text),
    }
}

/// One job. Whoever stops it must say how it is started again: Flink gives back neither jar nor arguments.
fn job(entry: &Value, needs_run: bool, here: &str, findings: &mut Findings) -> Option<JobSpec> {
    exactly_one(entry, &SELECTORS, here, findings);
    digits(entry, "id", 32, here, findings);
    let raise_vertices: Vec<String> =
        list(entry, "raiseVertices").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    for (index, id) in raise_vertices.iter().enumerate().filter(|(_, id)| !is_hexadecimal(id, 32)) {
        let place = path::item(&path::child(here, "raiseVertices"), index);
        findings.refuse(place, Some(shown(&id.as_str().into())), "is not 32 hexadecimal digits in lower case");
    }
    let run = entry.get("run").filter(|run| run.is_object());
    if run.is_none() && needs_run {
        findings.refuse(path::child(here, "run"), None, "is required with strategy StopRestore");
    }
    let run = run.and_then(|run| template(run, &path::child(here, "run"), findings));
    let select = select(entry, here, findings)?;
    if let (Some(run), false) = (&run, matches!(select, JobSelector::Name(_))) {
        let place = path::child(here, "run");
        if run.first_start == FirstStart::Empty {
            let allowed = "is only possible for an entry with name: it starts a job that was never seen";
            findings.refuse(path::child(&place, "firstStart"), Some("Empty".to_owned()), allowed);
        }
        if matches!(select, JobSelector::Id(_)) {
            let allowed = "is of use once: a job that is run again has another id, which this entry does not name; name is better";
            findings.warn(place, None, allowed);
        }
    }
    Some(JobSpec { select, share: count(entry, "share").unwrap_or(1), run, raise_vertices })
}

fn select(entry: &Value, here: &str, findings: &mut Findings) -> Option<JobSelector> {
    if let Some(name) = text(entry, "name") {
        return Some(JobSelector::Name(name.to_owned()));
    }
    let Some(pattern) = text(entry, "namePattern") else {
        return Some(JobSelector::Id(text(entry, "id")?.to_owned()));
    };
    if let Err(error) = name_pattern(pattern) {
        let allowed = format!("is not a regular expression: {error}");
        findings.refuse(path::child(here, "namePattern"), Some(shown(&pattern.into())), allowed);
    }
    Some(JobSelector::NamePattern(pattern.to_owned()))
}

fn template(run: &Value, here: &str, findings: &mut Findings) -> Option<RunTemplate> {
    let jar = run.get("jar").filter(|jar| jar.is_object())?;
    let args = list(run, "programArgs").iter().filter_map(Value::as_str);
    Some(RunTemplate {
        jar: self::jar(jar, &path::child(here, "jar"), findings)?,
        entry_class: text(run, "entryClass").map(str::to_owned),
        program_args: args.map(str::to_owned).collect(),
        flink_configuration: pairs(run, "flinkConfiguration"),
        allow_non_restored_state: truth(run, "allowNonRestoredState"),
        first_start: if text(run, "firstStart") == Some("Empty") { FirstStart::Empty } else { FirstStart::Refuse },
    })
}

fn jar(jar: &Value, here: &str, findings: &mut Findings) -> Option<Jar> {
    exactly_one(jar, &["name", "url"], here, findings);
    digits(jar, "sha256", 64, here, findings);
    let url = http::address(jar, "url", here, findings);
    if is_given(jar, "url") {
        if !is_given(jar, "sha256") {
            let allowed = "is required with url: whoever serves it must not choose what is run";
            findings.refuse(path::child(here, "sha256"), None, allowed);
        }
        let authentication_ref = references::read(jar, here, findings);
        return Some(Jar::Url { url: url?, sha256: text(jar, "sha256")?.to_owned(), authentication_ref });
    }
    for name in ["sha256", "authenticationRef"].iter().filter(|name| is_given(jar, name)) {
        findings.refuse(path::child(here, name), None, "is only for a jar with url");
    }
    text(jar, "name").map(|name| Jar::Name(name.to_owned()))
}

/// A field that holds so many hexadecimal digits, if it is there.
fn digits(entry: &Value, name: &str, count: usize, here: &str, findings: &mut Findings) {
    if let Some(text) = entry.get(name).and_then(Value::as_str)
        && !is_hexadecimal(text, count)
    {
        let allowed = format!("is not {count} hexadecimal digits in lower case");
        findings.refuse(path::child(here, name), Some(shown(&text.into())), allowed);
    }
}

fn is_hexadecimal(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
