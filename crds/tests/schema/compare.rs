//! Compares the printed definitions with the tables, both ways: every row is in the definition with exactly its
//! attributes, and every field of the definition has a row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::row::{Row, Type};
use crate::tables::{KINDS, Kind};

type Facts = BTreeMap<String, Map<String, Value>>;

static DEFINITIONS: LazyLock<Vec<(&str, Value)>> = LazyLock::new(|| tidegate_crds::printer::definitions().unwrap());

fn definition(file: &str) -> &'static Value {
    &DEFINITIONS.iter().find(|(name, _)| *name == file).unwrap().1
}

#[test]
fn every_definition_has_a_table() {
    let printed: Vec<_> = DEFINITIONS.iter().map(|(file, _)| *file).collect();
    assert_eq!(printed, KINDS.iter().map(|kind| kind.file).collect::<Vec<_>>());
}

#[test]
fn names_versions_and_columns_are_those_of_the_table() {
    for kind in KINDS {
        let mut definition = definition(kind.file).clone();
        let version = definition.pointer_mut("/spec/versions/0").unwrap().as_object_mut().unwrap();
        version.remove("schema");
        assert_eq!(definition, expected(kind), "{}", kind.name);
    }
}

fn expected(kind: &Kind) -> Value {
    let column = |(name, holds, path, priority): &(&str, &str, &str, i64)| {
        let mut column = json!({ "name": name, "type": holds, "jsonPath": path });
        if *priority > 0 {
            column["priority"] = (*priority).into();
        }
        column
    };
    let mut expected = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{}", kind.plural, kind.group) },
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.name,
                "listKind": format!("{}List", kind.name),
                "plural": kind.plural,
                "shortNames": kind.short,
                "singular": kind.name.to_lowercase(),
            },
            "scope": kind.scope,
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": kind.columns.iter().map(column).collect::<Value>(),
            }],
        },
    });
    // Whoever has a status has it apart.
    if kind.fields.iter().copied().flatten().any(|row| row.path == "status") {
        expected["spec"]["versions"][0]["subresources"] = json!({ "status": {} });
    }
    expected
}

#[test]
fn the_fields_are_those_of_the_table() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let definition = definition(kind.file);
        let rows = || kind.fields.iter().copied().flatten();
        let borrowed = rows().filter(|row| matches!(row.holds, Type::Borrowed)).map(|row| row.path).collect();
        let mut printed = Facts::new();
        let root = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let stated = collect(root, "", false, &borrowed, &mut printed);
        assert_eq!(stated, Map::from_iter([("type".to_owned(), "object".into())]), "{}: the root", kind.name);

        let mut table = Facts::new();
        for (path, facts) in rows().flat_map(Row::facts) {
            assert!(table.insert(path.clone(), facts).is_none(), "{}: two rows for {path}", kind.name);
        }
        for path in printed.keys().chain(table.keys()).collect::<BTreeSet<_>>() {
            let (printed, table) = (printed.get(path), table.get(path));
            if printed != table {
                wrong.push(format!(
                    "{} {path}\n  definition {}\n  table      {}",
                    kind.name,
                    show(printed),
                    show(table)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn show(facts: Option<&Map<String, Value>>) -> String {
    facts.map_or_else(|| "(no such field)".to_owned(), |facts| Value::Object(facts.clone()).to_string())
}

/// Collects what is said of every field below a schema; gives back what is said of the schema itself.
fn collect(
    schema: &Value,
    path: &str,
    required: bool,
    borrowed: &BTreeSet<&str>,
    all: &mut Facts,
) -> Map<String, Value> {
    let mut own = schema.as_object().unwrap().clone();
    own.remove("description");
    let needed = own.remove("required").unwrap_or_else(|| json!([]));
    let needed = needed.as_array().unwrap();
    if required {
        own.insert("required".to_owned(), true.into());
    }
    let mut below = Vec::new();
    if let Some(Value::Object(properties)) = own.remove("properties") {
        let dot = if path.is_empty() { "" } else { "." };
        for (name, property) in properties {
            let required = needed.contains(&Value::from(name.as_str()));
            below.push((format!("{path}{dot}{name}"), property, required));
        }
    }
    below.extend(own.remove("items").map(|items| (format!("{path}[]"), items, false)));
    below.extend(own.remove("additionalProperties").map(|values| (format!("{path}{{}}"), values, false)));
    if !borrowed.contains(path) {
        for (path, schema, required) in below {
            let facts = collect(&schema, &path, required, borrowed, all);
            all.insert(path, facts);
        }
    }
    own
}

/// The rules of KEDA's definition inside the borrowed job template.
#[test]
fn the_job_template_keeps_metadata_and_has_keyed_lists() {
    let definition = definition("keda.sh_scaledjobs.yaml");
    let template =
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/jobTargetRef/properties/template";
    let template = definition.pointer(template).unwrap();
    let metadata = &template["properties"]["metadata"];
    assert_eq!(metadata["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(
        metadata["properties"]["labels"],
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    );
    let pod = &template["properties"]["spec"]["properties"];
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        assert_eq!(pod[containers]["x-kubernetes-list-map-keys"], json!(["name"]));
        let ports = &pod[containers]["items"]["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        assert_eq!(ports["items"]["required"], json!(["containerPort", "protocol"]));
        assert_eq!(ports["items"]["properties"]["protocol"]["default"], "TCP");
        let from = &pod[containers]["items"]["properties"]["env"]["items"]["properties"]["valueFrom"]["properties"];
        let secret = &from["secretKeyRef"];
        assert_eq!(secret["x-kubernetes-map-type"], "atomic");
        assert_eq!((&secret["required"], &secret["properties"]["name"]["default"]), (&json!(["key"]), &json!("")));
    }
    // A volume of a Secret is told by another field and is no reference.
    assert_eq!(pod["volumes"]["items"]["properties"]["secret"]["x-kubernetes-map-type"], Value::Null);
    assert_eq!(pod["imagePullSecrets"]["x-kubernetes-list-type"], "map");
}

/// An API server refuses a list with keys if an entry may come without one of them.
#[test]
fn the_keys_of_a_list_are_required_or_have_a_default() {
    fn check(schema: &Value, path: &str) -> usize {
        let mut seen = 0;
        if let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() {
            for key in keys {
                let required = schema["items"]["required"].as_array().is_some_and(|required| required.contains(key));
                let default = &schema["items"]["properties"][key.as_str().unwrap()]["default"];
                assert!(required || !default.is_null(), "{path}: {key}");
                seen += 1;
            }
        }
        let below = schema["properties"].as_object().into_iter().flatten();
        seen += below.map(|(name, schema)| check(schema, &format!("{path}.{name}"))).sum::<usize>();
        for inner in ["items", "additionalProperties"] {
            seen += if schema[inner].is_object() { check(&schema[inner], path) } else { 0 };
        }
        seen
    }
    for (file, definition) in DEFINITIONS.iter() {
        let root = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        let expected = match *file {
            "keda.sh_scaledjobs.yaml" => 29,
            "tidegate.dev_scalerecords.yaml" => 1,
            "tidegate.dev_scalingpolicies.yaml" | "tidegate.dev_clusterscalingpolicies.yaml" => 5,
            _ => 0,
        };
        assert_eq!(check(root, ""), expected, "{file}");
    }
}
