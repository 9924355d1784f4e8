//! Tells one text of an object from another.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_calculator::source::{MetricType, TriggerSpec};
use tidegate_engine::subject::AuthenticationRef;

use super::annotations;
use super::policies::PolicyRef;

/// `metadata.generation`, which an API server raises with every change of the spec; for files a hash of the spec and of
/// the annotations that matter, the same on every machine and in every version.
pub(super) fn generation(object: &Value, all: &BTreeMap<String, String>) -> u64 {
    let given = object.pointer("/metadata/generation").and_then(Value::as_u64).filter(|given| *given > 0);
    given.unwrap_or_else(|| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        spec.sort_all_objects();
        let mut hash = fnv(BASIS, spec.to_string().as_bytes());
        for (name, text) in all.iter().filter(|(name, _)| annotations::that_matter(name)) {
            // No text contains a zero byte, so no two sets of annotations look alike.
            hash = fnv(hash, format!("\0{name}\0{text}").as_bytes());
        }
        hash
    })
}

/// A text that is the same in whatever order fields stand.
pub(super) fn canonical(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

/// A fingerprint of the policies so far, of the next one's name and of its spec in canonical form (null if it is not there).
pub(super) fn of_policy(before: Option<u64>, name: &PolicyRef, spec: &str) -> u64 {
    fnv(before.unwrap_or(BASIS), format!("\0{name}\0{spec}").as_bytes())
}

/// A fingerprint of what a trigger asks for: its type, its metric type, its metadata and whose credentials it uses. Never 0.
pub(super) fn of_trigger(spec: &TriggerSpec, authentication: Option<&AuthenticationRef>) -> u64 {
    // A length before each text: two in a row never look like two others.
    let text = |hash, text: &str| {
        fnv(fnv(hash, &u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes()), text.as_bytes())
    };
    let metric_type = match spec.metric_type {
        MetricType::AverageValue => "AverageValue",
        MetricType::Value => "Value",
        MetricType::Utilization => "Utilization",
    };
    let hash = text(text(BASIS, &spec.kind), metric_type);
    let hash = spec.metadata.iter().fold(hash, |hash, (name, value)| text(text(hash, name), value));
    let hash = match authentication {
        None => hash,
        Some(of) => text(fnv(hash, &[u8::from(of.cluster)]), &of.name),
    };
    hash.max(1)
}

/// The generation of an object together with the fingerprint of its policies.
pub(super) fn with_policies(generation: u64, policies: Option<u64>) -> u64 {
    policies.map_or(generation, |print| fnv(print, &generation.to_le_bytes()))
}

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a: the standard library's hash may change with its version, and this value is stored.
fn fnv(basis: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(basis, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(object: &Value, annotation: (&str, &str)) -> u64 {
        generation(object, &BTreeMap::from([(annotation.0.to_owned(), annotation.1.to_owned())]))
    }

    #[test]
    fn the_hash_follows_what_matters_and_nothing_else() {
        let one = json!({ "spec": { "a": 1, "b": 2 }, "metadata": { "labels": { "x": "y" } } });
        let same: Value = serde_json::from_str(r#"{"spec": {"b": 2, "a": 1}}"#).unwrap();
        let other = json!({ "spec": { "a": 1, "b": 3 } });
        let (note, pause) = (("note", "x"), (tidegate_crds::annotations::PAUSED, "true"));
        assert_eq!(of(&one, note), of(&same, ("note", "y")));
        assert_ne!(of(&one, note), of(&other, note));
        assert_ne!(of(&one, note), of(&one, pause));
        // Stored by other processes: the value may never change.
        assert_eq!(of(&one, note), 11_595_573_028_929_527_419);
    }

    #[test]
    fn the_fingerprint_of_a_trigger_follows_its_query_and_not_its_place() {
        let metadata = |list: &str| {
            BTreeMap::from([("address".to_owned(), "redis:6379".to_owned()), ("listName".to_owned(), list.to_owned())])
        };
        let spec = TriggerSpec { kind: "redis".to_owned(), metadata: metadata("a"), ..TriggerSpec::default() };
        let one = of_trigger(&spec, None);
        assert_eq!(one, of_trigger(&TriggerSpec { index: 3, name: Some("x".to_owned()), ..spec.clone() }, None));
        let others = [
            TriggerSpec { metadata: metadata("b"), ..spec.clone() },
            TriggerSpec { kind: "redis-cluster".to_owned(), ..spec.clone() },
            TriggerSpec { metric_type: MetricType::Value, ..spec.clone() },
        ];
        for other in others {
            assert_ne!(one, of_trigger(&other, None), "{other:?}");
        }
        let credentials = |cluster| AuthenticationRef { cluster, name: "x".into() };
        let [own, shared] = [false, true].map(|cluster| of_trigger(&spec, Some(&credentials(cluster))));
        assert!(own != one && shared != one && own != shared);
        // It is a part of what is stored: the value may never change.
        assert_eq!(one, 12_569_219_778_893_386_667);
    }

    #[test]
    fn the_generation_of_an_api_server_wins() {
        let object = json!({ "spec": {}, "metadata": { "generation": 7 } });
        assert_eq!(generation(&object, &BTreeMap::new()), 7);
    }
}
