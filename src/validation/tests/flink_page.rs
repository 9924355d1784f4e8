//! `docs/flink.md`: its tables are printed from what the code obeys; `TIDEGATE_UPDATE=1` writes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use tidegate_calculator::operation::auto;
use tidegate_calculator::operation::refusal::{Reason, Refusal};
use tidegate_crds::printer;

use super::*;
use crate::server::metrics;

/// The marks around what is printed, with the name of the table.
const BEGINS: &str = "<!-- generated: ";
const ENDS: &str = "<!-- /generated -->";

/// Every refusal with its fix, in the order of the code.
fn refusals() -> String {
    let mut table = "| condition | what helps | tried again by itself |\n| --- | --- | --- |\n".to_owned();
    for refusal in Refusal::ALL {
        let again = if refusal.needs_change() {
            "no, once the object or a policy has changed"
        } else {
            "yes, after growing pauses"
        };
        writeln!(table, "| `{}` | {} | {again} |", refusal.reason(), refusal.fix()).unwrap();
    }
    table
}

/// What can go wrong besides, as far as it is a condition.
fn failures() -> String {
    let mut table = "| condition | what helps |\n| --- | --- |\n".to_owned();
    // What is only not wanted is told as an event, and is no condition.
    let quiet = [Reason::NotWanted, Reason::HooksChanged, Reason::GateClosed, Reason::TargetChanged];
    for reason in Reason::ALL.into_iter().filter(|reason| !quiet.contains(reason)) {
        writeln!(table, "| `{}` | {} |", reason.reason(), reason.fix()).unwrap();
    }
    writeln!(
        table,
        "| `JobStopped` | run the job by hand from the path that is named, or mend what kept it from running |"
    )
    .unwrap();
    table
}

/// Every field of a hook with what the definition says of it.
fn fields() -> String {
    let definitions = printer::definitions().unwrap();
    let (_, definition) = definitions.iter().find(|(name, _)| *name == "tidegate.dev_scalingpolicies.yaml").unwrap();
    let hook = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/hooks/properties/preScale/items";
    let mut table = "| field | value | what it is |\n| --- | --- | --- |\n".to_owned();
    rows(definition.pointer(hook).unwrap(), "", &mut table);
    table
}

fn rows(schema: &Value, path: &str, table: &mut String) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        let what = field["description"].as_str().unwrap_or_else(|| panic!("{path} says nothing of itself"));
        writeln!(table, "| `{path}` | {} | {} |", value(field, inner), what.replace('\n', " ")).unwrap();
        rows(inner, &path, table);
    }
}

/// What a field holds, in words.
fn value(field: &Value, inner: &Value) -> String {
    let words = inner["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let bounds = match (inner["minimum"].as_i64(), inner["maximum"].as_i64()) {
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        _ => String::new(),
    };
    let one = match inner["type"].as_str() {
        _ if !words.is_empty() => words,
        _ if inner["x-kubernetes-int-or-string"] == true => "a number or a text".to_owned(),
        Some("integer") => format!("a number{bounds}"),
        Some("boolean") => "true or false".to_owned(),
        Some("string") if inner["pattern"].as_str().is_some_and(|pattern| pattern.contains("h|m|s|ms")) => {
            "a duration".to_owned()
        }
        Some("string") => "a text".to_owned(),
        Some("object") if inner.get("additionalProperties").is_some() => "a map of texts".to_owned(),
        _ => "a block".to_owned(),
    };
    match field["maxItems"].as_u64() {
        Some(most) => format!("up to {most} of: {one}"),
        None => one,
    }
}

#[test]
fn the_tables_are_what_the_code_obeys() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/flink.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let tables = [
        ("strategies", auto::markdown()),
        ("refusals", refusals()),
        ("failures", failures()),
        ("metrics", metrics::of_operations()),
        ("fields", fields()),
    ];
    let mut page = written.clone();
    for (name, table) in tables {
        let mark = format!("{BEGINS}{name} -->\n");
        let begin = page.find(&mark).unwrap_or_else(|| panic!("the page has no place for {name}")) + mark.len();
        let end = begin + page[begin..].find(ENDS).unwrap();
        page.replace_range(begin..end, &table);
    }
    if std::env::var("TIDEGATE_UPDATE").as_deref() == Ok("1") {
        std::fs::write(&path, &page).unwrap();
        return;
    }
    assert!(written == page, "docs/flink.md is out of date; set TIDEGATE_UPDATE=1 to write its tables");
}

/// The examples of the page are policies that nothing is wrong with.
#[test]
fn the_examples_are_valid() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/flink.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let policies: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let policies = policies.into_iter().filter(|text| text.contains("kind: ScalingPolicy"));
    let mut count = 0;
    for text in policies {
        for document in crate::manifests::parse(&path, text).unwrap() {
            assert_eq!(
                scaling_policy(&document.value).iter().map(ToString::to_string).collect::<Vec<_>>(),
                Vec::<String>::new()
            );
            count += 1;
        }
    }
    assert!(count >= 2, "{count} examples");
}
