//! The HPA's vectors: every case of every file of a directory must come out as expected.
//!
//! The files are those beside this one, or those of the directory that `TIDEGATE_VECTORS` names. A file holds `cases`, each of a `kind`
//! (without one it is a whole reconcile), or the four lists of quantities. Nothing is skipped: a list, a kind or an expected field that
//! nobody knows is a failure too. All failing cases are told by name, at the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests are no tests to clippy")]

mod compare;
mod input;
mod kinds;
mod quantities;
mod reconciles;
mod rules;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::input::Case;

/// What is wrong with one case: a line for every field.
type Differences = Vec<String>;

#[test]
fn every_case_of_every_file_comes_out_as_expected() {
    let directory = directory();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("TIDEGATE_VECTORS {}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no file of vectors (*.json)", directory.display());
    let (mut all, mut failing) = (0, Vec::new());
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (cases, failures) = file(path);
        println!("{name}: {cases} cases, {} fail", failures.len());
        all += cases;
        failing.extend(failures.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(failing.is_empty(), "{} of {all} cases fail:\n{}", failing.len(), failing.join("\n"));
}

/// The directory of the files. A relative one is looked for where the test runs, then at the root of the project.
fn directory() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    match std::env::var_os("TIDEGATE_VECTORS").filter(|named| !named.is_empty()).map(PathBuf::from) {
        None => own.join("tests/vectors"),
        Some(named) if named.is_dir() => named,
        Some(named) => own.join("..").join(named),
    }
}

/// How many cases a file holds, and what fails of them.
fn file(path: &Path) -> (usize, Vec<String>) {
    let whole: Value = match std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
    {
        Ok(whole) => whole,
        Err(error) => return (1, vec![format!("the file cannot be read: {error}")]),
    };
    let Value::Object(parts) = &whole else {
        return (1, vec!["the file is no JSON object".to_owned()]);
    };
    let (mut cases, mut failures) = (0, Vec::new());
    for (list, entries) in parts {
        let Value::Array(entries) = entries else { continue };
        if list != "cases" && !quantities::LISTS.contains(&list.as_str()) {
            cases += 1;
            failures.push(format!("the list {list} is unknown"));
            continue;
        }
        for (index, entry) in entries.iter().enumerate() {
            cases += 1;
            let label = entry.get("name").or(entry.get("input")).unwrap_or(entry);
            let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
            let outcome = std::panic::catch_unwind(|| match list.as_str() {
                "cases" => case(&whole, entry),
                list => quantities::check(list, entry),
            });
            let differences = outcome.unwrap_or_else(|_| vec!["it panics".to_owned()]);
            if !differences.is_empty() {
                failures.push(format!("{list}[{index}] {label}: {}", differences.join("; ")));
            }
        }
    }
    if cases == 0 {
        return (1, vec!["the file holds no case".to_owned()]);
    }
    (cases, failures)
}

/// One entry of `cases`.
fn case(file: &Value, entry: &Value) -> Differences {
    let Some(Value::Object(expected)) = entry.get("expected").filter(|expected| **expected != serde_json::json!({}))
    else {
        return vec!["it expects nothing".to_owned()];
    };
    let case = Case { file, entry };
    let actual = match entry.get("kind") {
        None | Some(Value::Null) => reconciles::run(&case),
        Some(Value::String(kind)) => kinds::run(kind, &case),
        Some(other) => Err(format!("kind {other} is unknown")),
    };
    match actual {
        Ok(actual) => compare::fields(expected, &actual),
        Err(error) => vec![error],
    }
}
