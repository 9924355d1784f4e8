//! The environment of a container as the kubelet builds it: `envFrom` first, then `env`, later entries over earlier ones.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource, PodTemplateSpec};
use tidegate_calculator::source::{ReadError, Secret};

use super::config;
use super::lookup::{Contents, Lookup};

/// What `fieldRef` entries say, by field path: `metadata.name` and so on. What is not in here is left out, as KEDA does.
pub type Fields = BTreeMap<&'static str, String>;

/// The container called `name`, or the first one; none if the template has no containers at all.
///
/// # Errors
/// If there are containers but none of that name.
pub fn container<'a>(template: &'a PodTemplateSpec, name: Option<&str>) -> Result<Option<&'a Container>, ReadError> {
    let containers = template.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(containers.first()) };
    match containers.iter().find(|container| container.name == name) {
        Some(found) => Ok(Some(found)),
        None if containers.is_empty() => Ok(None),
        None => {
            let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
            Err(config(format!("there is no container {name}; the target has: {}", names.join(", "))))
        }
    }
}

/// The environment of one container of a template in `namespace`; empty if the template has no containers.
///
/// # Errors
/// If a Secret, a ConfigMap or a key that is not optional is absent: then nothing of the environment can be trusted.
pub fn environment(
    template: &PodTemplateSpec,
    name: Option<&str>,
    namespace: &str,
    lookup: &dyn Lookup,
    fields: &Fields,
) -> Result<BTreeMap<String, Secret>, ReadError> {
    let Some(container) = container(template, name)? else { return Ok(BTreeMap::new()) };
    let origin = Origin { namespace, lookup };
    let mut env = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        origin.take_all(source, &mut env)?;
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = origin.value(variable, &env, fields)? {
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

/// Replaces `$(NAME)` by the value of NAME; `$$` stands for `$`; a name that is not known stays as it is written.
pub fn expand(text: &str, env: &BTreeMap<String, Secret>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let name = tail.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some(after) = tail.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = name {
            match env.get(name) {
                Some(value) => result.push_str(value.expose()),
                None => result.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            result.push('$');
            rest = tail;
        }
    }
    result.push_str(rest);
    result
}

/// Where the values of one environment come from.
struct Origin<'a> {
    namespace: &'a str,
    lookup: &'a dyn Lookup,
}

impl Origin<'_> {
    /// Adds all keys of an `envFrom` entry. Keys that cannot be names of variables are left out, as the kubelet does.
    fn take_all(&self, source: &EnvFromSource, env: &mut BTreeMap<String, Secret>) -> Result<(), ReadError> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |name: &str, optional: Option<bool>, secret: bool| -> Result<(), ReadError> {
            let Some(contents) = self.contents(name, optional.unwrap_or(false), secret)? else { return Ok(()) };
            for key in contents.keys().filter(|key| is_variable_name(key)) {
                let value = contents.text(key, || self.named(name, secret))?;
                env.extend(value.map(|value| (format!("{prefix}{key}"), value)));
            }
            Ok(())
        };
        if let Some(reference) = &source.config_map_ref {
            add(&reference.name, reference.optional, false)?;
        }
        if let Some(reference) = &source.secret_ref {
            add(&reference.name, reference.optional, true)?;
        }
        Ok(())
    }

    /// The value of one `env` entry; none if it is left out.
    fn value(
        &self,
        variable: &EnvVar,
        earlier: &BTreeMap<String, Secret>,
        fields: &Fields,
    ) -> Result<Option<Secret>, ReadError> {
        let Some(source) = &variable.value_from else {
            let text = variable.value.as_deref().unwrap_or_default();
            return Ok(Some(Secret::new(expand(text, earlier))));
        };
        let EnvVarSource { config_map_key_ref, secret_key_ref, field_ref, .. } = source;
        if let Some(reference) = config_map_key_ref {
            return self.key(&reference.name, &reference.key, reference.optional, false);
        }
        if let Some(reference) = secret_key_ref {
            return self.key(&reference.name, &reference.key, reference.optional, true);
        }
        let field = field_ref.as_ref().and_then(|field| fields.get(field.field_path.as_str()));
        Ok(field.map(Secret::new))
    }

    fn key(&self, name: &str, key: &str, optional: Option<bool>, secret: bool) -> Result<Option<Secret>, ReadError> {
        let optional = optional.unwrap_or(false);
        let Some(contents) = self.contents(name, optional, secret)? else { return Ok(None) };
        match contents.text(key, || self.named(name, secret))? {
            None if !optional => Err(config(format!("{} has no key {key}", self.named(name, secret)))),
            value => Ok(value),
        }
    }

    fn contents(&self, name: &str, optional: bool, secret: bool) -> Result<Option<Contents>, ReadError> {
        let answer = if secret {
            self.lookup.secret(self.namespace, name)
        } else {
            self.lookup.config_map(self.namespace, name)
        };
        answer.request(optional, || self.named(name, secret))
    }

    fn named(&self, name: &str, secret: bool) -> String {
        format!("{} {}/{name}", if secret { "Secret" } else { "ConfigMap" }, self.namespace)
    }
}

/// What Kubernetes allows as the name of a variable: printable ASCII without `=`.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}
