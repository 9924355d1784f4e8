//! Writes the paths of fields: `spec.triggers[0].metadata.listLength`, `metadata.annotations[autoscaling.keda.sh/paused]`.

/// The path of the field `key` of the map at `path`; a key that is more than letters, digits, `-` and `_` stands in brackets.
pub fn child(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key}]"),
    }
}

/// The path of the entry `index` of the list at `path`.
pub fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The path of what holds `path`; none for the root. A key in brackets that has dots takes several steps, all of which
/// lead to paths that do not exist but the last.
pub fn parent(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    Some(path.rfind(['.', '[']).map_or("", |end| &path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_words_stand_in_brackets() {
        assert_eq!(child("", "spec"), "spec");
        assert_eq!(child("spec", "x-y_1"), "spec.x-y_1");
        assert_eq!(child("metadata.annotations", "keda.sh/a"), "metadata.annotations[keda.sh/a]");
        assert_eq!(item("spec.triggers", 2), "spec.triggers[2]");
    }

    #[test]
    fn parents_end_at_the_root() {
        assert_eq!(parent("spec.triggers[0].type"), Some("spec.triggers[0]"));
        assert_eq!(parent("spec.triggers[0]"), Some("spec.triggers"));
        assert_eq!((parent("spec"), parent("")), (Some(""), None));
    }
}
