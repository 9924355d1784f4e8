//! Says where a trigger's credentials come from, without reading them: whoever is refused wants to know which Secret is meant.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource};
use tidegate_calculator::source::{Parameters, Secret};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_engine::subject::Trigger;
use tidegate_scalers::parameters::{Parameter, Source};
use tidegate_scalers::trigger_type;

use crate::resolution::{Answer, Lookup, container};

/// Where one parameter's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The parameter, as documentation names it.
    pub(super) parameter: &'static str,
    /// The place, in words: `Secret shop/redis key password`.
    pub(super) from: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.parameter, self.from)
    }
}

/// Where the secret parameters of a trigger come from, in the order of their declaration; those that it does not give are left out.
/// `found` is what it was opened with, if it got that far: a place that has nothing is passed over.
pub(super) fn origins(
    trigger: &Trigger,
    found: Option<&Parameters>,
    lookup: &dyn Lookup,
    cluster_namespace: &str,
) -> Vec<Origin> {
    let Some(known) = trigger_type(&trigger.spec.kind) else { return Vec::new() };
    let places = Places { trigger, found, lookup, cluster_namespace };
    let secret = known.parameters.iter().filter(|parameter| parameter.secret);
    secret.filter_map(|parameter| Some(Origin { parameter: parameter.name(), from: places.of(parameter)? })).collect()
}

/// Where values of one trigger can stand.
struct Places<'a> {
    trigger: &'a Trigger,
    found: Option<&'a Parameters>,
    lookup: &'a dyn Lookup,
    cluster_namespace: &'a str,
}

impl Places<'_> {
    /// The first place that has a value: sources in their order, within a source names in theirs.
    fn of(&self, parameter: &Parameter) -> Option<String> {
        let mut places =
            parameter.sources.iter().flat_map(|source| parameter.names.iter().map(move |name| (source, *name)));
        places.find_map(|(source, name)| match source {
            Source::Metadata => self.written(name).map(|_| format!("metadata.{name}")),
            Source::Environment => {
                let variable = self.written(&format!("{name}FromEnv"))?;
                self.has(|found| &found.env, variable).then(|| self.variable(variable, None))
            }
            Source::Authentication => self.provided(name).filter(|_| self.has(|found| &found.auth, name)),
        })
    }

    /// Whether a value was found, or nobody has looked.
    fn has(&self, of: impl Fn(&Parameters) -> &BTreeMap<String, Secret>, name: &str) -> bool {
        self.found.is_none_or(|found| of(found).get(name).is_some_and(|text| !text.expose().trim().is_empty()))
    }

    /// What stands in the trigger's metadata.
    fn written(&self, key: &str) -> Option<&str> {
        self.trigger.spec.metadata.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What the trigger's authentication says of a parameter, the later kinds of sources over the earlier ones as KEDA has it.
    fn provided(&self, name: &str) -> Option<String> {
        let reference = self.trigger.references.authentication.as_ref()?;
        let own = &*self.trigger.references.target.namespace;
        let (answer, namespace) = if reference.cluster {
            (self.lookup.cluster_trigger_authentication(&reference.name), self.cluster_namespace)
        } else {
            (self.lookup.trigger_authentication(own, &reference.name), own)
        };
        let Answer::Found(TriggerAuthenticationSpec { env, config_map_target_ref, secret_target_ref, .. }) = answer
        else {
            return None;
        };
        let keys = [("Secret", secret_target_ref), ("ConfigMap", config_map_target_ref)];
        let held = keys.iter().find_map(|(kind, entries)| {
            let entry = entries.iter().rfind(|entry| entry.parameter == name)?;
            Some(format!("{kind} {namespace}/{} key {}", entry.name, entry.key))
        });
        held.or_else(|| {
            let entry = env.iter().rfind(|entry| entry.parameter == name)?;
            Some(self.variable(&entry.name, entry.container_name.as_deref()))
        })
    }

    /// A variable of a container, and where that has it from.
    fn variable(&self, variable: &str, named: Option<&str>) -> String {
        let references = &self.trigger.references;
        let Answer::Found(template) = self.lookup.pod_template(&references.target) else {
            return format!("env {variable}");
        };
        let named = named.or(references.container.as_deref());
        let Ok(Some(container)) = container(&template, named) else { return format!("env {variable}") };
        let behind = self.behind(container, variable).map(|place| format!(" ({place})")).unwrap_or_default();
        format!("env {variable} of container {}{behind}", container.name)
    }

    /// The Secret or the ConfigMap behind a variable.
    fn behind(&self, container: &Container, variable: &str) -> Option<String> {
        let namespace = &self.trigger.references.target.namespace;
        let key = |kind: &str, name: &str, key: &str| format!("{kind} {namespace}/{name} key {key}");
        if let Some(EnvVar { value_from, .. }) = container.env.iter().flatten().rfind(|entry| entry.name == variable) {
            let EnvVarSource { secret_key_ref, config_map_key_ref, .. } = value_from.as_ref()?;
            let secret = secret_key_ref.as_ref().map(|from| key("Secret", &from.name, &from.key));
            return secret.or_else(|| config_map_key_ref.as_ref().map(|from| key("ConfigMap", &from.name, &from.key)));
        }
        let brought = |answer: Answer<_>, name: &str| {
            let contents: crate::resolution::Contents = match answer {
                Answer::Found(contents) => contents,
                _ => return false,
            };
            contents.keys().any(|key| key == name)
        };
        container.env_from.iter().flatten().rev().find_map(|source| {
            let name = variable.strip_prefix(source.prefix.as_deref().unwrap_or_default())?;
            // Within one entry the Secret comes last.
            let secret = source.secret_ref.as_ref().map(|from| from.name.as_str());
            if let Some(from) = secret.filter(|from| brought(self.lookup.secret(namespace, from), name)) {
                return Some(key("Secret", from, name));
            }
            let map = source.config_map_ref.as_ref().map(|from| from.name.as_str());
            let map = map.filter(|from| brought(self.lookup.config_map(namespace, from), name))?;
            Some(key("ConfigMap", map, name))
        })
    }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
