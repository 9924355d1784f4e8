//! The annotation that names the policies of an object.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::super::metadata::is_subdomain;

/// How the name of a `ClusterScalingPolicy` begins.
const CLUSTER: &str = "cluster/";
/// The most policies of one object.
pub(super) const MOST: usize = 16;

/// Names a `ScalingPolicy` of the object's namespace, or a `ClusterScalingPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRef {
    /// Whether it is a `ClusterScalingPolicy`.
    pub cluster: bool,
    /// Its name.
    pub name: Arc<str>,
}

impl PolicyRef {
    /// The kind of what it names.
    pub const fn kind(&self) -> &'static str {
        if self.cluster { "ClusterScalingPolicy" } else { "ScalingPolicy" }
    }
}

impl fmt::Display for PolicyRef {
    /// As it stands in the annotation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.cluster { CLUSTER } else { "" };
        write!(f, "{prefix}{}", self.name)
    }
}

/// The policies that the text of an annotation names, in its order and each once. What is no name is left out.
pub fn named(text: &str) -> Vec<PolicyRef> {
    let mut seen = BTreeSet::new();
    let names = entries(text).filter_map(Result::ok).filter(|name| seen.insert(name.clone()));
    names.take(MOST).collect()
}

/// The entries of the annotation, and as errors those that are no names. An annotation that says nothing has none.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Result<PolicyRef, &str>> {
    let text = text.trim();
    let entries = text.split(',').map(str::trim).filter(move |_| !text.is_empty());
    entries.map(|entry| {
        let (cluster, name) = entry.strip_prefix(CLUSTER).map_or((false, entry), |name| (true, name));
        if is_subdomain(name) { Ok(PolicyRef { cluster, name: name.into() }) } else { Err(entry) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_comma_list() {
        let read = |text: &str| -> Vec<String> {
            let show =
                |entry: Result<PolicyRef, &str>| entry.map_or_else(|bad| format!("!{bad}"), |one| one.to_string());
            entries(text).map(show).collect()
        };
        assert_eq!(read(" a, b.c ,cluster/d"), ["a", "b.c", "cluster/d"]);
        assert_eq!(read("a,,B,shop/x,cluster/"), ["a", "!", "!B", "!shop/x", "!cluster/"]);
        assert!(read("  ").is_empty());
        assert_eq!(named("a,cluster/a,a,-").len(), 2);
    }
}
