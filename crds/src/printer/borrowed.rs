//! The parts of a definition that are Kubernetes' own types: what a definition must say about them beyond their fields.
//!
//! The fields come from the Rust types of the Kubernetes API, which carry no list types, no defaults and no bounds. Their
//! descriptions are left out: with them a `ScaledJob`'s definition would not fit into the annotation that
//! `kubectl apply` writes (256 KiB).

use serde_json::{Map, Value, json};

use super::{PrintError, field, inner};

/// What a quantity looks like as text.
pub(crate) const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
/// Lists whose entries have keys, by name: server-side apply merges them entry by entry.
const KEYED: [(&str, &[&str]); 15] = [
    ("claims", &["name"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
    // The one list of numbers is a set: an exit code stands in it once.
    ("values", &[]),
];
/// Objects that name another object, by name: their own name is the empty text if it is absent.
const REFERENCES: [&str; 7] = [
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "imagePullSecrets",
    "nodePublishSecretRef",
    "secretKeyRef",
    "secretRef",
];
/// Other objects that server-side apply takes as a whole, by name.
const ATOMIC: [&str; 10] = [
    "dataSource",
    "fieldRef",
    "fileKeyRef",
    "labelSelector",
    "namespaceSelector",
    "nodeSelector",
    "nodeSelectorTerms",
    "preference",
    "resourceFieldRef",
    "selector",
];
/// Defaults of a pod: object, field, value.
const TEXT_DEFAULTS: [(&str, &str, &str); 9] = [
    ("azureDisk", "fsType", "ext4"),
    ("grpc", "service", ""),
    ("iscsi", "iscsiInterface", "default"),
    ("ports", "protocol", "TCP"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("scaleIO", "fsType", "xfs"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
];
/// Switches of a pod that are off by default.
const OFF: [(&str, &str); 2] = [("azureDisk", "readOnly"), ("fileKeyRef", "optional")];

/// Completes the rules of a `HorizontalPodAutoscaler` at `path`.
pub(super) fn behavior(definition: &mut Value, path: &str) -> Result<(), PrintError> {
    without_descriptions(definition, path)?;
    for direction in ["scaleDown", "scaleUp"] {
        let rules = format!("{path}.{direction}");
        field(definition, &format!("{rules}.policies"))?["x-kubernetes-list-type"] = "atomic".into();
        let window = field(definition, &format!("{rules}.stabilizationWindowSeconds"))?;
        window["minimum"] = 0.into();
        window["maximum"] = 3600.into();
    }
    Ok(())
}

/// Completes the job template at `path`.
pub(super) fn job(definition: &mut Value, path: &str) -> Result<(), PrintError> {
    without_descriptions(definition, path)?;
    let template = format!("{path}.template");
    let claim = format!("{template}.spec.volumes[].ephemeral.volumeClaimTemplate");
    *field(definition, &format!("{claim}.metadata"))? = metadata();
    let metadata_of_pods = field(definition, &format!("{template}.metadata"))?;
    *metadata_of_pods = metadata();
    // An API server takes out what a definition does not name; nothing of a pod's metadata may get lost.
    metadata_of_pods["x-kubernetes-preserve-unknown-fields"] = true.into();
    for containers in ["containers", "ephemeralContainers", "initContainers"] {
        // The keys of a list must be there. The default keeps manifests valid that name no protocol.
        let port = field(definition, &format!("{template}.spec.{containers}[].ports[]"))?;
        port["required"] = json!(["containerPort", "protocol"]);
    }
    complete("jobTargetRef", field(definition, path)?);
    Ok(())
}

/// The metadata of an object inside another one.
fn metadata() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    json!({
        "type": "object",
        "properties": {
            "annotations": texts,
            "finalizers": { "type": "array", "items": { "type": "string" } },
            "labels": texts,
            "name": { "type": "string" },
            "namespace": { "type": "string" },
        },
    })
}

/// Says of the schema of the field `name`, and of all in it, what the tables say.
fn complete(name: &str, schema: &mut Value) {
    for (_, field, value) in TEXT_DEFAULTS.iter().filter(|(object, ..)| *object == name) {
        default(schema, field, (*value).into());
    }
    for (_, field) in OFF.iter().filter(|(object, _)| *object == name) {
        default(schema, field, false.into());
    }
    // A volume of a Secret names it by another field; the Secret of a projected volume is a reference.
    let reference = REFERENCES.contains(&name) || (name == "secret" && !schema["properties"]["name"].is_null());
    if reference && schema["type"] == "object" {
        default(schema, "name", "".into());
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|field| field != "name");
        }
    }
    // The node affinity that is required is one selector, that of pods is a list.
    let selector = name == "requiredDuringSchedulingIgnoredDuringExecution"
        && !schema["properties"]["nodeSelectorTerms"].is_null();
    if (reference || selector || ATOMIC.contains(&name)) && schema["type"] == "object" {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    if schema["type"] == "array" {
        list(name, schema);
        complete(name, &mut schema["items"]);
    }
    for (name, property) in properties(schema) {
        complete(name, property);
    }
}

fn list(name: &str, schema: &mut Value) {
    match KEYED.iter().find(|(list, _)| *list == name) {
        Some((_, [])) if schema["items"]["type"] == "integer" => schema["x-kubernetes-list-type"] = "set".into(),
        Some((_, keys @ [_, ..])) => {
            schema["x-kubernetes-list-type"] = "map".into();
            schema["x-kubernetes-list-map-keys"] = json!(keys);
        }
        _ => {}
    }
}

fn default(schema: &mut Value, field: &str, value: Value) {
    if let Some((_, field)) = properties(schema).find(|(name, _)| *name == field) {
        field["default"] = value;
    }
}

fn properties(schema: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
}

/// Takes the descriptions out of all that is below `path` and spells out what is a number or a text.
pub(super) fn without_descriptions(definition: &mut Value, path: &str) -> Result<(), PrintError> {
    if let Some(schema) = field(definition, path)?.as_object_mut() {
        strip(schema);
    }
    Ok(())
}

fn strip(schema: &mut Map<String, Value>) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            number_or_text(name, property);
        }
    }
    inner(schema, &mut |schema| {
        schema.remove("description");
        strip(schema);
    });
}

/// The Kubernetes types only mark a field that takes a number or a text. Ports are such fields, all others quantities.
fn number_or_text(name: &str, schema: &mut Value) {
    let schema = match schema.get_mut("additionalProperties") {
        Some(values) if values.is_object() => values,
        _ => schema,
    };
    if schema["x-kubernetes-int-or-string"] == true {
        schema["anyOf"] = json!([{ "type": "integer" }, { "type": "string" }]);
        if name != "port" {
            schema["pattern"] = QUANTITY.into();
        }
    }
}
