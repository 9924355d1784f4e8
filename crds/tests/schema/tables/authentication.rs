//! The fields of the two kinds that hold credentials; both have the same.

use crate::row::Type::{List, Map, Object, Text};
use crate::row::{Row, row};

pub(super) const AUTHENTICATION: &[Row] = &[
    row("spec", Object).required(),
    row("spec.podIdentity", Object),
    row("spec.podIdentity.provider", Text)
        .required()
        .one_of(&["azure-workload", "gcp", "aws", "aws-eks", "none"]),
    row("spec.podIdentity.identityId", Text),
    row("spec.podIdentity.identityTenantId", Text),
    row("spec.podIdentity.identityAuthorityHost", Text),
    row("spec.podIdentity.roleArn", Text),
    row("spec.podIdentity.externalID", Text),
    row("spec.podIdentity.identityOwner", Text).one_of(&["keda", "workload"]),
    row("spec.secretTargetRef", List(&Object)),
    row("spec.secretTargetRef[].parameter", Text).required(),
    row("spec.secretTargetRef[].name", Text).required(),
    row("spec.secretTargetRef[].key", Text).required(),
    row("spec.configMapTargetRef", List(&Object)),
    row("spec.configMapTargetRef[].parameter", Text).required(),
    row("spec.configMapTargetRef[].name", Text).required(),
    row("spec.configMapTargetRef[].key", Text).required(),
    row("spec.env", List(&Object)),
    row("spec.env[].parameter", Text).required(),
    row("spec.env[].name", Text).required(),
    row("spec.env[].containerName", Text),
    row("spec.filePath", Text),
    row("spec.boundServiceAccountToken", List(&Object)),
    row("spec.boundServiceAccountToken[].parameter", Text).required(),
    row("spec.boundServiceAccountToken[].serviceAccountName", Text).required(),
    row("spec.oauth2", Object),
    row("spec.oauth2.type", Text)
        .required()
        .default("clientCredentials")
        .one_of(&["clientCredentials"]),
    row("spec.oauth2.clientId", Text).required(),
    row("spec.oauth2.clientSecret", Object),
    row("spec.oauth2.clientSecret.valueFrom", Object).required(),
    row("spec.oauth2.clientSecret.valueFrom.secretKeyRef", Object).required(),
    row("spec.oauth2.clientSecret.valueFrom.secretKeyRef.name", Text).required(),
    row("spec.oauth2.clientSecret.valueFrom.secretKeyRef.key", Text).required(),
    row("spec.oauth2.tokenUrl", Text).required(),
    row("spec.oauth2.scopes", List(&Text)),
    row("spec.oauth2.tokenUrlParams", Map(&Text)),
    row("status.scaledobjects", Text),
    row("status.scaledjobs", Text),
];

pub(super) const VAULT: &[Row] = &[
    row("spec.hashiCorpVault", Object),
    row("spec.hashiCorpVault.address", Text).required(),
    row("spec.hashiCorpVault.authentication", Text)
        .required()
        .one_of(&["token", "kubernetes"]),
    row("spec.hashiCorpVault.namespace", Text),
    row("spec.hashiCorpVault.role", Text),
    row("spec.hashiCorpVault.mount", Text),
    row("spec.hashiCorpVault.credential", Object),
    row("spec.hashiCorpVault.credential.token", Text),
    row("spec.hashiCorpVault.credential.serviceAccount", Text),
    row("spec.hashiCorpVault.credential.serviceAccountName", Text),
    row("spec.hashiCorpVault.secrets", List(&Object))
        .required()
        .min_items(1),
    row("spec.hashiCorpVault.secrets[].parameter", Text).required(),
    row("spec.hashiCorpVault.secrets[].path", Text).required(),
    row("spec.hashiCorpVault.secrets[].key", Text).required(),
    row("spec.hashiCorpVault.secrets[].type", Text).one_of(&["", "secretV2", "secret", "pki"]),
    row("spec.hashiCorpVault.secrets[].pkiData", Object),
    row("spec.hashiCorpVault.secrets[].pkiData.commonName", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.altNames", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.ipSans", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.uriSans", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.otherSans", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.ttl", Text),
    row("spec.hashiCorpVault.secrets[].pkiData.format", Text),
];

pub(super) const AZURE: &[Row] = &[
    row("spec.azureKeyVault", Object),
    row("spec.azureKeyVault.vaultUri", Text).required(),
    row("spec.azureKeyVault.credentials", Object),
    row("spec.azureKeyVault.credentials.clientId", Text).required(),
    row("spec.azureKeyVault.credentials.tenantId", Text).required(),
    row("spec.azureKeyVault.credentials.clientSecret", Object).required(),
    row("spec.azureKeyVault.credentials.clientSecret.valueFrom", Object).required(),
    row(
        "spec.azureKeyVault.credentials.clientSecret.valueFrom.secretKeyRef",
        Object,
    )
    .required(),
    row(
        "spec.azureKeyVault.credentials.clientSecret.valueFrom.secretKeyRef.name",
        Text,
    )
    .required(),
    row(
        "spec.azureKeyVault.credentials.clientSecret.valueFrom.secretKeyRef.key",
        Text,
    )
    .required(),
    row("spec.azureKeyVault.podIdentity", Object),
    row("spec.azureKeyVault.podIdentity.provider", Text)
        .required()
        .one_of(&["azure-workload", "gcp", "aws", "aws-eks", "none"]),
    row("spec.azureKeyVault.podIdentity.identityId", Text),
    row("spec.azureKeyVault.podIdentity.identityTenantId", Text),
    row("spec.azureKeyVault.podIdentity.identityAuthorityHost", Text),
    row("spec.azureKeyVault.podIdentity.roleArn", Text),
    row("spec.azureKeyVault.podIdentity.externalID", Text),
    row("spec.azureKeyVault.podIdentity.identityOwner", Text).one_of(&["keda", "workload"]),
    row("spec.azureKeyVault.cloud", Object),
    row("spec.azureKeyVault.cloud.type", Text).required(),
    row("spec.azureKeyVault.cloud.keyVaultResourceURL", Text),
    row("spec.azureKeyVault.cloud.activeDirectoryEndpoint", Text),
    row("spec.azureKeyVault.secrets", List(&Object)).required().min_items(1),
    row("spec.azureKeyVault.secrets[].parameter", Text).required(),
    row("spec.azureKeyVault.secrets[].name", Text).required(),
    row("spec.azureKeyVault.secrets[].version", Text),
];

pub(super) const GCP: &[Row] = &[
    row("spec.gcpSecretManager", Object),
    row("spec.gcpSecretManager.secrets", List(&Object))
        .required()
        .min_items(1),
    row("spec.gcpSecretManager.secrets[].parameter", Text).required(),
    row("spec.gcpSecretManager.secrets[].id", Text).required(),
    row("spec.gcpSecretManager.secrets[].version", Text),
    row("spec.gcpSecretManager.credentials", Object),
    row("spec.gcpSecretManager.credentials.clientSecret", Object).required(),
    row("spec.gcpSecretManager.credentials.clientSecret.valueFrom", Object).required(),
    row(
        "spec.gcpSecretManager.credentials.clientSecret.valueFrom.secretKeyRef",
        Object,
    )
    .required(),
    row(
        "spec.gcpSecretManager.credentials.clientSecret.valueFrom.secretKeyRef.name",
        Text,
    )
    .required(),
    row(
        "spec.gcpSecretManager.credentials.clientSecret.valueFrom.secretKeyRef.key",
        Text,
    )
    .required(),
    row("spec.gcpSecretManager.podIdentity", Object),
    row("spec.gcpSecretManager.podIdentity.provider", Text)
        .required()
        .one_of(&["azure-workload", "gcp", "aws", "aws-eks", "none"]),
    row("spec.gcpSecretManager.podIdentity.identityId", Text),
    row("spec.gcpSecretManager.podIdentity.identityTenantId", Text),
    row("spec.gcpSecretManager.podIdentity.identityAuthorityHost", Text),
    row("spec.gcpSecretManager.podIdentity.roleArn", Text),
    row("spec.gcpSecretManager.podIdentity.externalID", Text),
    row("spec.gcpSecretManager.podIdentity.identityOwner", Text).one_of(&["keda", "workload"]),
];

pub(super) const AWS: &[Row] = &[
    row("spec.awsSecretManager", Object),
    row("spec.awsSecretManager.secrets", List(&Object))
        .required()
        .min_items(1),
    row("spec.awsSecretManager.secrets[].parameter", Text).required(),
    row("spec.awsSecretManager.secrets[].name", Text).required(),
    row("spec.awsSecretManager.secrets[].versionId", Text),
    row("spec.awsSecretManager.secrets[].versionStage", Text),
    row("spec.awsSecretManager.secrets[].secretKey", Text),
    row("spec.awsSecretManager.region", Text),
    row("spec.awsSecretManager.credentials", Object),
    row("spec.awsSecretManager.credentials.accessKey", Object).required(),
    row("spec.awsSecretManager.credentials.accessKey.valueFrom", Object).required(),
    row(
        "spec.awsSecretManager.credentials.accessKey.valueFrom.secretKeyRef",
        Object,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessKey.valueFrom.secretKeyRef.name",
        Text,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessKey.valueFrom.secretKeyRef.key",
        Text,
    )
    .required(),
    row("spec.awsSecretManager.credentials.accessSecretKey", Object).required(),
    row("spec.awsSecretManager.credentials.accessSecretKey.valueFrom", Object).required(),
    row(
        "spec.awsSecretManager.credentials.accessSecretKey.valueFrom.secretKeyRef",
        Object,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessSecretKey.valueFrom.secretKeyRef.name",
        Text,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessSecretKey.valueFrom.secretKeyRef.key",
        Text,
    )
    .required(),
    row("spec.awsSecretManager.credentials.accessToken", Object),
    row("spec.awsSecretManager.credentials.accessToken.valueFrom", Object).required(),
    row(
        "spec.awsSecretManager.credentials.accessToken.valueFrom.secretKeyRef",
        Object,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessToken.valueFrom.secretKeyRef.name",
        Text,
    )
    .required(),
    row(
        "spec.awsSecretManager.credentials.accessToken.valueFrom.secretKeyRef.key",
        Text,
    )
    .required(),
    row("spec.awsSecretManager.podIdentity", Object),
    row("spec.awsSecretManager.podIdentity.provider", Text)
        .required()
        .one_of(&["azure-workload", "gcp", "aws", "aws-eks", "none"]),
    row("spec.awsSecretManager.podIdentity.identityId", Text),
    row("spec.awsSecretManager.podIdentity.identityTenantId", Text),
    row("spec.awsSecretManager.podIdentity.identityAuthorityHost", Text),
    row("spec.awsSecretManager.podIdentity.roleArn", Text),
    row("spec.awsSecretManager.podIdentity.externalID", Text),
    row("spec.awsSecretManager.podIdentity.identityOwner", Text).one_of(&["keda", "workload"]),
];
