//! Prints what users read about trigger types: the terminal's list, the documentation pages, the JSON schema.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::parameters::{Deprecation, Kind, Parameter, REST, Source};
use crate::registry::{TriggerType, trigger_type, trigger_types};

/// One line a trigger type, for the terminal.
pub fn table() -> String {
    let width = trigger_types().iter().map(|known| known.name.len()).max().unwrap_or(0);
    trigger_types().iter().fold(String::new(), |mut out, known| {
        let _ = writeln!(out, "{:width$}  {}", known.name, known.summary);
        out
    })
}

/// One trigger type's parameters, for the terminal.
pub fn explain(kind: &str) -> Option<String> {
    let known = trigger_type(kind)?;
    let mut out = format!("{}: {}\n\n", known.name, known.summary);
    for parameter in known.parameters {
        let _ = writeln!(out, "  {}  {}", parameter.names.join(" | "), facts(parameter));
        let _ = writeln!(out, "      {}", parameter.about);
        let _ = writeln!(out, "      from: {}", sources(parameter));
    }
    let _ = write!(out, "\nExample:\n\n{}", known.example);
    Some(out)
}

/// One trigger type's documentation page, in Markdown.
pub fn page(kind: &str) -> Option<String> {
    let known = trigger_type(kind)?;
    let mut out = format!("# Trigger `{}`\n\n{}\n\n", known.name, known.summary);
    out += "<!-- Generated from the declaration of the trigger's parameters. -->\n\n";
    let _ = write!(out, "```yaml\n{}```\n\n## Parameters\n\n", known.example);
    out += "| parameter | value | from | what it is |\n| --- | --- | --- | --- |\n";
    for parameter in known.parameters {
        let names = parameter.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (facts, about) = (cell(&facts(parameter)), cell(parameter.about));
        let _ = writeln!(out, "| {names} | {facts} | {} | {about} |", sources(parameter));
    }
    out += SOURCES;
    out += known.notes;
    Some(out)
}

/// The JSON schema (draft 2020-12) of one trigger type's `metadata`, whose values are all texts.
pub fn schema(kind: &str) -> Option<Value> {
    let known = trigger_type(kind)?;
    let mut properties = Map::new();
    let passes_on = known.parameters.iter().any(|parameter| parameter.name() == REST);
    for parameter in known.parameters.iter().filter(|parameter| parameter.name() != REST) {
        for name in parameter.names {
            if parameter.reads(Source::Metadata) {
                properties.insert((*name).to_owned(), property(parameter));
            }
            if parameter.reads(Source::Environment) {
                let about = format!("The container's environment variable to read {name} from.");
                properties.insert(format!("{name}FromEnv"), json!({ "type": "string", "description": about }));
            }
        }
    }
    Some(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("metadata of a {} trigger", known.name),
        "type": "object",
        "properties": properties,
        "required": required(known),
        "additionalProperties": if passes_on { json!({ "type": "string" }) } else { json!(false) },
    }))
}

/// What the column `from` means.
const SOURCES: &str = "\n\
`metadata` is `triggers[].metadata.<parameter>`; `environment` is the variable of the target's container that\n\
`triggers[].metadata.<parameter>FromEnv` names; `authentication` is what the trigger's `authenticationRef` provides.\n\
The first source that has a value that is not blank wins; values are trimmed.\n";

/// Kind, default and obligations in a few words.
fn facts(parameter: &Parameter) -> String {
    let mut facts = vec![parameter.kind.expected()];
    if parameter.required {
        facts.push("required".to_owned());
    }
    if let Some(default) = parameter.default {
        facts.push(format!("default {default}"));
    }
    facts.extend(parameter.deprecated.map(|how| match how {
        Deprecation::Refused(_) => "no longer supported".to_owned(),
        Deprecation::Announced(_) => "deprecated".to_owned(),
        Deprecation::Unused(_) => "no effect".to_owned(),
    }));
    facts.join(", ")
}

fn sources(parameter: &Parameter) -> String {
    let name = |source: &Source| match source {
        Source::Metadata => "metadata",
        Source::Environment => "environment",
        Source::Authentication => "authentication",
    };
    parameter.sources.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A text that cannot end a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What a metadata value may be: always a text, because KEDA's metadata is a map of texts.
fn property(parameter: &Parameter) -> Value {
    let mut schema = json!({ "type": "string", "description": parameter.about });
    let Some(fields) = schema.as_object_mut() else {
        return schema;
    };
    match parameter.kind {
        Kind::Text | Kind::List | Kind::Duration => {}
        Kind::Integer { min, .. } => {
            let pattern = if min >= 0 { r"^\s*(-?0|[1-9][0-9]*)\s*$" } else { r"^\s*-?(0|[1-9][0-9]*)\s*$" };
            fields.insert("pattern".to_owned(), json!(pattern));
        }
        Kind::Number => {
            fields.insert("pattern".to_owned(), json!(r"^\s*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*$"));
        }
        Kind::Bool => {
            let spellings = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
            fields.insert("enum".to_owned(), json!(spellings));
        }
        Kind::Quantity => {
            let number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)";
            let suffix = "([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?";
            fields.insert("pattern".to_owned(), json!(format!(r"^\s*{number}{suffix}\s*$")));
        }
        Kind::Choice(words) => {
            fields.insert("enum".to_owned(), json!(words));
        }
    }
    if let Some(default) = parameter.default {
        fields.insert("default".to_owned(), json!(default));
    }
    if parameter.deprecated.is_some() {
        fields.insert("deprecated".to_owned(), json!(true));
    }
    schema
}

/// The keys that must be in the metadata because the parameter can come from nowhere else.
fn required(known: &TriggerType) -> Vec<&'static str> {
    let only_metadata = |parameter: &&Parameter| {
        parameter.required && parameter.sources == [Source::Metadata] && parameter.names.len() == 1
    };
    known.parameters.iter().filter(only_metadata).map(Parameter::name).collect()
}
