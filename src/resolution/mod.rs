//! Finds the values that a trigger's parameters come from: the target's environment and the trigger's authentication.
//!
//! Everything here is pure: a [`Lookup`] answers for the objects. The rules are KEDA's (the order of overwriting, the
//! first container by default), with one exception: KEDA takes what is absent for an empty text, here it is a read error
//! of the trigger that names exactly what is absent. An empty password must never be the result of a typing error.

mod authentication;
mod environment;
mod lookup;
#[cfg(test)]
mod tests;

use tidegate_calculator::source::{Parameters, ReadError, ReadErrorKind};
use tidegate_engine::subject::References;

pub use environment::{Fields, container, environment, expand};
pub use lookup::{Answer, Contents, Lookup};

/// Everything that `references` points to. `cluster_namespace` is where a ClusterTriggerAuthentication's Secrets and
/// ConfigMaps stand (KEDA's `KEDA_CLUSTER_OBJECT_NAMESPACE`).
///
/// # Errors
/// Kind `Config` if something is absent, malformed or not supported; kind `Unavailable` if it cannot be seen now.
pub fn resolve(references: &References, lookup: &dyn Lookup, cluster_namespace: &str) -> Result<Parameters, ReadError> {
    let target = &references.target;
    let named = || format!("{} {}/{}", target.kind, target.namespace, target.name);
    let template = lookup.pod_template(target).require(named)?;
    let fields = Fields::new();
    let env = environment(&template, references.container.as_deref(), &target.namespace, lookup, &fields)?;
    let auth = match &references.authentication {
        Some(reference) => {
            let context = authentication::Context { namespace: &target.namespace, cluster_namespace, lookup };
            context.values(reference, &template)?
        }
        None => std::collections::BTreeMap::new(),
    };
    Ok(Parameters { env, auth })
}

/// A read error that only a change by the user can mend.
fn config(message: impl Into<String>) -> ReadError {
    ReadError::query(ReadErrorKind::Config, message)
}
