//! `hooks` of a policy: everything that the definition does not compare by itself.

use serde_json::Value;
use tidegate_calculator::time::Span;

use super::super::findings::{Findings, shown};
use super::fields::{LONGEST, duration, is_given, list, text};
use super::triggers::NOT_YET;
use crate::manifests::path;

/// Where hooks stand.
pub(super) const PLACE: &str = "hooks";
/// What a hook can be.
const KINDS: [&str; 3] = ["flink", "http", "job"];
/// The directions of `onFailure`; the last two have no going on without the work.
const FAILURES: [&str; 4] = ["scaleUp", "scaleDown", "toZero", "fromZero"];

/// Checks the block, and refuses it for as long as no hook runs.
pub(super) fn check(spec: &Value, findings: &mut Findings) {
    let Some(block) = spec.get(PLACE).filter(|block| block.is_object()) else { return };
    for name in ["preScale", "postScale"] {
        let place = path::child(PLACE, name);
        let (mut of_flink, after) = (0, name == "postScale");
        for (index, entry) in list(block, name).iter().enumerate().filter(|(_, entry)| entry.is_object()) {
            let here = path::item(&place, index);
            hook(entry, &here, findings);
            if entry.get("flink").is_some_and(Value::is_object) {
                of_flink += 1;
                if after {
                    findings.refuse(path::child(&here, "flink"), None, "is only for preScale; it verifies by itself");
                } else if of_flink > 1 {
                    findings.refuse(path::child(&here, "flink"), None, "is the second of preScale; one is possible");
                }
            }
        }
    }
    let allowed = format!("{NOT_YET}; until it is, an object with it is raised but never lowered");
    findings.refuse(PLACE, None, allowed);
}

fn hook(entry: &Value, here: &str, findings: &mut Findings) {
    exactly_one(entry, &KINDS, here, findings);
    waits(entry, &["timeout", "cooldown"], here, findings);
    let strategy = entry.pointer("/flink/strategy").and_then(Value::as_str);
    let place = path::child(here, "onFailure");
    let failure = entry.get("onFailure").unwrap_or(&Value::Null);
    for (name, stops) in FAILURES.iter().zip([false, false, true, true]) {
        let proceeds = text(failure, name) == Some("Proceed");
        let why = match (stops, strategy) {
            (true, _) => "is not possible here: without the work the jobs would be lost; Abort is",
            (false, Some("StopRestore")) => {
                "is not possible with strategy StopRestore: jobs are stopped by then; Abort is"
            }
            _ => continue,
        };
        if proceeds {
            findings.refuse(path::child(&place, name), Some("Proceed".to_owned()), why);
        }
    }
    if let Some(block) = entry.get("flink").filter(|block| block.is_object()) {
        flink(block, &path::child(here, "flink"), findings);
    }
    if let Some(block) = entry.get("http").filter(|block| block.is_object()) {
        let here = path::child(here, "http");
        address(block, "url", &here, findings);
        if let Some(poll) = block.get("async") {
            address(poll, "pollUrl", &path::child(&here, "async"), findings);
        }
    }
}

fn flink(block: &Value, here: &str, findings: &mut Findings) {
    address(block, "restUrl", here, findings);
    if is_given(block, "restUrl") && is_given(block, "service") {
        findings.refuse(path::child(here, "service"), None, "is not possible together with restUrl");
    }
    let slots = block.get("slotsPerTaskManager").filter(|slots| !slots.is_null());
    let counts = |slots: &Value| slots == "Auto" || slots.as_i64().is_some_and(|slots| (1..=1000).contains(&slots));
    if let Some(slots) = slots.filter(|slots| (slots.is_string() || slots.is_i64()) && !counts(slots)) {
        let place = path::child(here, "slotsPerTaskManager");
        findings.refuse(place, Some(shown(slots)), "is not Auto or an integer from 1 to 1000");
    }
    for (name, field) in [("checkpoint", "maxAge"), ("savepoint", "minAge"), ("verify", "timeout")] {
        if let Some(inner) = block.get(name) {
            waits(inner, &[field], &path::child(here, name), findings);
        }
    }
    let Some(jobs) = block.get("jobs") else { return };
    let place = path::child(&path::child(here, "jobs"), "list");
    if text(jobs, "select") == Some("Listed") && !is_given(jobs, "list") {
        findings.refuse(place.clone(), None, "is required with select Listed");
    }
    let needs_run = text(block, "strategy") == Some("StopRestore");
    for (index, entry) in list(jobs, "list").iter().enumerate().filter(|(_, entry)| entry.is_object()) {
        job(entry, needs_run, &path::item(&place, index), findings);
    }
}

/// One Flink job. Whoever stops it must say how it is started again: Flink gives back neither jar nor arguments.
fn job(entry: &Value, needs_run: bool, here: &str, findings: &mut Findings) {
    exactly_one(entry, &["name", "namePattern", "id"], here, findings);
    digits(entry, "id", 32, here, findings);
    let Some(run) = entry.get("run").filter(|run| run.is_object()) else {
        if needs_run {
            findings.refuse(path::child(here, "run"), None, "is required with strategy StopRestore");
        }
        return;
    };
    let here = path::child(&path::child(here, "run"), "jar");
    let Some(jar) = run.get("jar").filter(|jar| jar.is_object()) else { return };
    exactly_one(jar, &["name", "url"], &here, findings);
    address(jar, "url", &here, findings);
    digits(jar, "sha256", 64, &here, findings);
    for name in ["sha256", "authenticationRef"].iter().filter(|name| is_given(jar, name) && !is_given(jar, "url")) {
        findings.refuse(path::child(&here, name), None, "is only for a jar with url");
    }
}

fn exactly_one(entry: &Value, names: &[&str], here: &str, findings: &mut Findings) {
    if names.iter().filter(|name| entry.get(**name).is_some_and(|value| !value.is_null())).count() != 1 {
        let (last, first) = names.split_last().map_or(("", String::new()), |(last, first)| (*last, first.join(", ")));
        findings.refuse(here, None, format!("must have exactly one of {first} and {last}"));
    }
}

fn waits(entry: &Value, names: &[&str], here: &str, findings: &mut Findings) {
    for name in names {
        let least = if *name == "timeout" { Span::seconds(1) } else { Span::ZERO };
        duration(entry, name, here, (least, LONGEST), findings);
    }
}

/// A field that holds an address, if it is there.
fn address(entry: &Value, name: &str, here: &str, findings: &mut Findings) {
    if let Some(text) = entry.get(name).and_then(Value::as_str)
        && !["http://", "https://"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        findings.refuse(path::child(here, name), Some(shown(&text.into())), "is not an http:// or https:// address");
    }
}

/// A field that holds so many hexadecimal digits, if it is there.
fn digits(entry: &Value, name: &str, count: usize, here: &str, findings: &mut Findings) {
    if let Some(text) = entry.get(name).and_then(Value::as_str) {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != count || !text.bytes().all(is_digit) {
            let allowed = format!("is not {count} hexadecimal digits in lower case");
            findings.refuse(path::child(here, name), Some(shown(&text.into())), allowed);
        }
    }
}
