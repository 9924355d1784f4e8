//! What a TriggerAuthentication provides: environment, ConfigMaps and Secrets, later ones over earlier ones.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use tidegate_calculator::source::{ReadError, Secret};
use tidegate_crds::TriggerAuthenticationSpec;
use tidegate_crds::trigger_authentication::{EnvironmentRef, KeyRef};
use tidegate_engine::subject::AuthenticationRef;

use super::config;
use super::environment::{Fields, environment};
use super::lookup::{Answer, Contents, Lookup};

/// What the values of one authentication depend on.
pub(super) struct Context<'a> {
    /// The namespace of the object that is scaled.
    pub(super) namespace: &'a str,
    /// The namespace of a ClusterTriggerAuthentication's Secrets and ConfigMaps.
    pub(super) cluster_namespace: &'a str,
    /// Answers for objects.
    pub(super) lookup: &'a dyn Lookup,
}

impl Context<'_> {
    /// All parameters that `reference` provides, in KEDA's order of overwriting: env, ConfigMaps, Secrets.
    pub(super) fn values(
        &self,
        reference: &AuthenticationRef,
        template: &PodTemplateSpec,
    ) -> Result<BTreeMap<String, Secret>, ReadError> {
        let (name, spec) = self.spec(reference)?;
        refuse_others(&spec).map_err(|what| config(format!("{name}: {what}")))?;
        let mut values = BTreeMap::new();
        for entry in &spec.env {
            values.insert(entry.parameter.clone(), self.variable(entry, template, &name)?);
        }
        // The environment is the target's own; ConfigMaps and Secrets of a cluster-wide object stand in one namespace.
        let namespace = if reference.cluster { self.cluster_namespace } else { self.namespace };
        for entry in &spec.config_map_target_ref {
            let answer = self.lookup.config_map(namespace, &entry.name);
            values.insert(entry.parameter.clone(), key(answer, "ConfigMap", namespace, entry)?);
        }
        for entry in &spec.secret_target_ref {
            let answer = self.lookup.secret(namespace, &entry.name);
            values.insert(entry.parameter.clone(), key(answer, "Secret", namespace, entry)?);
        }
        Ok(values)
    }

    fn spec(&self, reference: &AuthenticationRef) -> Result<(String, TriggerAuthenticationSpec), ReadError> {
        let (answer, name) = if reference.cluster {
            let name = format!("ClusterTriggerAuthentication {}", reference.name);
            (self.lookup.cluster_trigger_authentication(&reference.name), name)
        } else {
            let name = format!("TriggerAuthentication {}/{}", self.namespace, reference.name);
            (self.lookup.trigger_authentication(self.namespace, &reference.name), name)
        };
        let spec = answer.require(|| name.clone())?;
        Ok((name, spec))
    }

    fn variable(&self, entry: &EnvironmentRef, template: &PodTemplateSpec, name: &str) -> Result<Secret, ReadError> {
        let container = entry.container_name.as_deref();
        let mut env = environment(template, container, self.namespace, self.lookup, &Fields::new())?;
        env.remove(&entry.name)
            .ok_or_else(|| config(format!("{name}: the target's container has no environment variable {}", entry.name)))
    }
}

fn key(answer: Answer<Contents>, kind: &str, namespace: &str, entry: &KeyRef) -> Result<Secret, ReadError> {
    let name = || format!("{kind} {namespace}/{}", entry.name);
    let value = answer.require(name)?.text(&entry.key, name)?;
    value.ok_or_else(|| config(format!("{} has no key {}", name(), entry.key)))
}

/// Names the first source that is not supported yet; none is ever ignored silently.
fn refuse_others(spec: &TriggerAuthenticationSpec) -> Result<(), String> {
    if let Some(identity) = spec.pod_identity.as_ref().filter(|identity| identity.provider != "none") {
        return Err(format!("podIdentity.provider: {:?} is not supported yet; supported: none", identity.provider));
    }
    let others = [
        ("filePath", spec.file_path.is_some()),
        ("boundServiceAccountToken", !spec.bound_service_account_token.is_empty()),
        ("oauth2", spec.oauth2.is_some()),
        ("hashiCorpVault", spec.hashi_corp_vault.is_some()),
        ("azureKeyVault", spec.azure_key_vault.is_some()),
        ("gcpSecretManager", spec.gcp_secret_manager.is_some()),
        ("awsSecretManager", spec.aws_secret_manager.is_some()),
    ];
    match others.iter().find(|(_, used)| *used) {
        Some((name, _)) => {
            Err(format!("{name} is not supported yet; supported: secretTargetRef, configMapTargetRef, env"))
        }
        None => Ok(()),
    }
}
