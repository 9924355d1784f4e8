//! `TriggerAuthentication` and `ClusterTriggerAuthentication`: where the credentials of triggers come from.
//!
//! Both have the same fields. The first serves triggers in its own namespace, the second triggers in all namespaces.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `podIdentity.provider` may say.
pub const POD_IDENTITY_PROVIDERS: &[&str] = &["azure-workload", "gcp", "aws", "aws-eks", "none"];
/// What `podIdentity.identityOwner` may say.
pub const IDENTITY_OWNERS: &[&str] = &["keda", "workload"];
/// What `oauth2.type` may say; absent means the first.
pub const OAUTH2_TYPES: &[&str] = &["clientCredentials"];
/// What `hashiCorpVault.authentication` may say.
pub const VAULT_AUTHENTICATIONS: &[&str] = &["token", "kubernetes"];
/// What `hashiCorpVault.secrets[].type` may say; the empty text lets the answer decide.
pub const VAULT_SECRET_TYPES: &[&str] = &["", "secretV2", "secret", "pki"];

/// Where the credentials come from. Several sources may be given; if two name one parameter the later one wins.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "TriggerAuthentication",
    plural = "triggerauthentications",
    shortname = "ta",
    shortname = "triggerauth",
    namespaced,
    status = "TriggerAuthenticationStatus",
    derive = "PartialEq",
    doc = "TriggerAuthentication says where triggers of its namespace get their credentials.",
    printcolumn(name = "PodIdentity", type_ = "string", json_path = ".spec.podIdentity.provider"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretTargetRef[*].name"),
    printcolumn(name = "Env", type_ = "string", json_path = ".spec.env[*].name"),
    printcolumn(name = "VaultAddress", type_ = "string", json_path = ".spec.hashiCorpVault.address"),
    printcolumn(name = "ScaledObjects", type_ = "string", priority = 1, json_path = ".status.scaledobjects"),
    printcolumn(name = "ScaledJobs", type_ = "string", priority = 1, json_path = ".status.scaledjobs")
)]
#[serde(rename_all = "camelCase")]
pub struct TriggerAuthenticationSpec {
    /// The identity that the platform gives to a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_identity: Option<Box<PodIdentity>>,
    /// Keys of Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_target_ref: Vec<KeyRef>,
    /// Keys of `ConfigMaps`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_map_target_ref: Vec<KeyRef>,
    /// Environment variables of a container of the scale target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvironmentRef>,
    /// A JSON file of texts below the directory that the operator was started with. Cluster-wide objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// Tokens of service accounts, requested when needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_service_account_token: Vec<ServiceAccountTokenRef>,
    /// A client registered with an OAuth 2 server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Box<OAuth2>>,
    /// Secrets of a `HashiCorp` Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashi_corp_vault: Option<Box<HashiCorpVault>>,
    /// Secrets of an Azure Key Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_key_vault: Option<Box<AzureKeyVault>>,
    /// Secrets of the GCP Secret Manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp_secret_manager: Option<Box<GcpSecretManager>>,
    /// Secrets of the AWS Secrets Manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_secret_manager: Option<Box<AwsSecretManager>>,
}

/// The same fields for triggers of all namespaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ClusterTriggerAuthentication",
    plural = "clustertriggerauthentications",
    shortname = "cta",
    shortname = "clustertriggerauth",
    status = "TriggerAuthenticationStatus",
    derive = "PartialEq",
    doc = "ClusterTriggerAuthentication says where triggers of any namespace get their credentials.",
    printcolumn(name = "PodIdentity", type_ = "string", json_path = ".spec.podIdentity.provider"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretTargetRef[*].name"),
    printcolumn(name = "Env", type_ = "string", json_path = ".spec.env[*].name"),
    printcolumn(name = "FilePath", type_ = "string", json_path = ".spec.filePath"),
    printcolumn(name = "VaultAddress", type_ = "string", json_path = ".spec.hashiCorpVault.address"),
    printcolumn(name = "ScaledObjects", type_ = "string", priority = 1, json_path = ".status.scaledobjects"),
    printcolumn(name = "ScaledJobs", type_ = "string", priority = 1, json_path = ".status.scaledjobs")
)]
#[serde(transparent)]
pub struct ClusterTriggerAuthenticationSpec(pub TriggerAuthenticationSpec);

/// Who uses the object. For a cluster-wide one the names carry no namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerAuthenticationStatus {
    /// The names of the `ScaledObjects` that use it, a comma list.
    #[serde(default, rename = "scaledobjects", skip_serializing_if = "Option::is_none")]
    pub scaled_objects: Option<String>,
    /// The names of the `ScaledJobs` that use it, a comma list.
    #[serde(default, rename = "scaledjobs", skip_serializing_if = "Option::is_none")]
    pub scaled_jobs: Option<String>,
}

/// The identity that the platform gives to a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// The platform.
    #[schemars(extend("enum" = POD_IDENTITY_PROVIDERS))]
    pub provider: String,
    /// Azure: the client id of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// Azure: the tenant of the identity. Needs the identity id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_tenant_id: Option<String>,
    /// Azure: the host that issues tokens. Needs the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_authority_host: Option<String>,
    /// AWS: the role to take. Not together with the identity owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// AWS: the external id that taking the role needs. Only with a role.
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// AWS: whose identity counts, the operator's or the workload's. Not together with a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = IDENTITY_OWNERS))]
    pub identity_owner: Option<String>,
}

/// One key of a Secret or a `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRef {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The name of the object.
    pub name: String,
    /// The key in the object.
    pub key: String,
}

/// One environment variable of a container of the scale target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRef {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The name of the variable.
    pub name: String,
    /// The container, the first one by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
}

/// A token of a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountTokenRef {
    /// The parameter of the trigger that gets the token.
    pub parameter: String,
    /// The service account.
    pub service_account_name: String,
}

/// A client registered with an OAuth 2 server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// An API server fills in the default before it asks for the field, so both hold.
#[schemars(extend("required" = ["clientId", "tokenUrl", "type"]))]
pub struct OAuth2 {
    /// How the token is asked for.
    #[serde(rename = "type", default = "client_credentials")]
    #[schemars(extend("enum" = OAUTH2_TYPES))]
    pub kind: String,
    /// The id of the client.
    pub client_id: String,
    /// The secret of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretValue>,
    /// Where tokens are issued.
    pub token_url: String,
    /// What the token is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// More parameters of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_url_params: BTreeMap<String, String>,
}

fn client_credentials() -> String {
    OAUTH2_TYPES[0].to_owned()
}

/// A value that stands in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// Where the value stands.
    pub value_from: ValueFrom,
}

/// Where a value stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// The key of a Secret.
    pub secret_key_ref: SecretKeyRef,
}

/// One key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The name of the Secret.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// Secrets of a `HashiCorp` Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HashiCorpVault {
    /// The address of the server.
    pub address: String,
    /// How to log in.
    #[schemars(extend("enum" = VAULT_AUTHENTICATIONS))]
    pub authentication: String,
    /// The namespace in the Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The role to log in with (kubernetes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Where the authentication method is mounted (kubernetes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// What to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<VaultCredential>,
    /// The values to read.
    #[schemars(length(min = 1))]
    pub secrets: Vec<VaultSecret>,
}

/// What to log in to a Vault with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultCredential {
    /// A token of the Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The path of a file with the token of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// A service account whose token is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// One value of a Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultSecret {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The path of the secret.
    pub path: String,
    /// The key in the secret.
    pub key: String,
    /// The engine that holds the secret.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = VAULT_SECRET_TYPES))]
    pub kind: Option<String>,
    /// The certificate to ask for (pki).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pki_data: Option<Box<VaultPkiData>>,
}

/// The certificate to ask a Vault for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultPkiData {
    /// The common name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Other names, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_names: Option<String>,
    /// IP addresses, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_sans: Option<String>,
    /// URIs, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri_sans: Option<String>,
    /// Names of other types, a comma list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_sans: Option<String>,
    /// How long the certificate is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// The format of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Secrets of an Azure Key Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureKeyVault {
    /// The address of the vault.
    pub vault_uri: String,
    /// What to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AzureCredentials>,
    /// The identity to log in with instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_identity: Option<Box<PodIdentity>>,
    /// The cloud, if it is not the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<AzureCloud>,
    /// The values to read.
    #[schemars(length(min = 1))]
    pub secrets: Vec<AzureSecret>,
}

/// What to log in to Azure with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureCredentials {
    /// The id of the client.
    pub client_id: String,
    /// The id of the tenant.
    pub tenant_id: String,
    /// The secret of the client.
    pub client_secret: SecretValue,
}

/// A cloud of Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureCloud {
    /// The name of the cloud.
    #[serde(rename = "type")]
    pub kind: String,
    /// The resource of key vaults, for a private cloud.
    #[serde(default, rename = "keyVaultResourceURL", skip_serializing_if = "Option::is_none")]
    pub key_vault_resource_url: Option<String>,
    /// Where tokens are issued, for a private cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_directory_endpoint: Option<String>,
}

/// One value of an Azure Key Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AzureSecret {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The name of the secret.
    pub name: String,
    /// The version, the newest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Secrets of the GCP Secret Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpSecretManager {
    /// The values to read.
    #[schemars(length(min = 1))]
    pub secrets: Vec<GcpSecret>,
    /// What to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<GcpCredentials>,
    /// The identity to log in with instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_identity: Option<Box<PodIdentity>>,
}

/// What to log in to GCP with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcpCredentials {
    /// The key file of a service account.
    pub client_secret: SecretValue,
}

/// One value of the GCP Secret Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcpSecret {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The id of the secret.
    pub id: String,
    /// The version, latest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Secrets of the AWS Secrets Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecretManager {
    /// The values to read.
    #[schemars(length(min = 1))]
    pub secrets: Vec<AwsSecret>,
    /// What to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
    /// The identity to log in with instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_identity: Option<Box<PodIdentity>>,
    /// The region of the secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What to log in to AWS with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentials {
    /// The id of the access key.
    pub access_key: SecretValue,
    /// The secret of the access key.
    pub access_secret_key: SecretValue,
    /// The token of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<SecretValue>,
}

/// One value of the AWS Secrets Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecret {
    /// The parameter of the trigger that gets the value.
    pub parameter: String,
    /// The name of the secret.
    pub name: String,
    /// The id of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The stage of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_stage: Option<String>,
    /// The key to take out of a secret that is a JSON object of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
}
