//! Checks objects: what comes out is either something the engine can obey, or everything that is wrong with it.
//!
//! Nothing here reads a file, a cluster or a clock. What is known of an object's surroundings comes through
//! [`Surroundings`], and what cannot be seen is never held against the object.
//!
//! Findings are of two weights. An *object-level* error (bounds, target, structure, something that is not supported yet)
//! takes the [`Subject`] away: such an object keeps its replicas. A *trigger-level* error (unknown type, missing or
//! malformed parameter) leaves it: at run time that trigger fails, and the others may still raise.
//!
//! Paths of findings leave out `spec.`: `triggers[0].metadata.listLength`. [`location`] puts it back.

mod annotations;
mod authentication;
mod behavior;
mod conflicts;
mod fallback;
mod files;
mod findings;
mod fingerprint;
mod kinds;
mod metadata;
mod policies;
mod quantity;
mod refused;
mod replicas;
mod report;
mod scaled_object;
mod schema;
mod surroundings;
mod target;
mod triggers;

pub use authentication::trigger_authentication;
pub use conflicts::{Claim, conflicts};
pub use files::Files;
pub use policies::{
    HookReferences, Policy, PolicyRef, hook_authentication, hook_references, is_state_path, name_pattern, named,
    observing, scaling_policy,
};
pub use report::{Report, documents, place};
pub use scaled_object::{Validated, scaled_object, triggers_of};
pub use surroundings::{KeysOf, Nothing, Sight, Surroundings};

#[cfg(doc)]
use tidegate_engine::subject::Subject;

/// Where a finding's path stands in the object: `triggers[0]` is `spec.triggers[0]`, `metadata.name` stays.
pub fn location(path: &str) -> String {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    if matches!(first, "" | "spec" | "metadata" | "status" | "kind" | "apiVersion") {
        path.to_owned()
    } else {
        format!("spec.{path}")
    }
}

#[cfg(test)]
mod tests;
