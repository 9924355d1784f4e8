//! Manifests as users write them: what the types read, what they write back, and what the schema finds in wrong ones.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_crds::schema::{Problem, Schema};
use tidegate_crds::{
    ClusterScalingPolicy, ClusterTriggerAuthentication, ScaleRecord, ScaledJob, ScaledObject, ScalingPolicy,
    TriggerAuthentication, annotations,
};

/// Reads the manifest as its type and writes it back: nothing may be lost and nothing may be added.
fn round_trip<T: DeserializeOwned + Serialize>(manifest: &Value) -> T {
    let object: T = serde_json::from_value(manifest.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&object).unwrap(), manifest);
    object
}

/// What the schema says, one line a violation.
fn found(schema: &Schema, manifest: &Value) -> Vec<String> {
    let violations = schema.check(manifest).into_iter();
    violations
        .map(|v| format!("{} {} {} | {}", v.problem.reason(), v.path, v.value.unwrap_or_default(), v.allowed))
        .collect()
}

fn full_scaled_object() -> Value {
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": "worker", "namespace": "shop", "annotations": { "autoscaling.keda.sh/paused": "maybe" } },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "worker", "envSourceContainerName": "main",
            },
            "pollingInterval": 15, "initialCooldownPeriod": 60, "cooldownPeriod": 120,
            "idleReplicaCount": 0, "minReplicaCount": 1, "maxReplicaCount": 50,
            "fallback": { "failureThreshold": 3, "replicas": 6, "behavior": "currentReplicasIfHigher" },
            "advanced": {
                "restoreToOriginalReplicaCount": true,
                "horizontalPodAutoscalerConfig": {
                    "name": "worker",
                    "behavior": {
                        "scaleDown": {
                            "stabilizationWindowSeconds": 0, "selectPolicy": "Min", "tolerance": "50m",
                            "policies": [{ "type": "Percent", "value": 10, "periodSeconds": 60 }],
                        },
                        "scaleUp": { "policies": [{ "type": "Pods", "value": 4, "periodSeconds": 15 }] },
                    },
                },
                "scalingModifiers": {
                    "formula": "a + b", "target": "5", "activationTarget": "1.5", "metricType": "Value",
                },
            },
            "triggers": [
                {
                    "type": "redis", "name": "a", "useCachedMetrics": true, "metricType": "AverageValue",
                    "metadata": { "address": "redis:6379", "listName": "orders", "listLength": "5" },
                    "authenticationRef": { "name": "redis", "kind": "ClusterTriggerAuthentication" },
                },
                { "type": "cpu", "metricType": "Utilization", "metadata": { "value": "60" } },
            ],
        },
        "status": {
            "scaleTargetKind": "apps/v1.StatefulSet",
            "scaleTargetGVKR": { "group": "apps", "version": "v1", "kind": "StatefulSet", "resource": "statefulsets" },
            "originalReplicaCount": 2,
            "lastActiveTime": "2026-03-01T10:00:00Z",
            "externalMetricNames": ["s0-redis-orders"],
            "resourceMetricNames": ["cpu"],
            "compositeScalerName": "composite-metric",
            "conditions": [
                { "type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ready" },
                { "type": "Fallback", "status": "Unknown" },
            ],
            "health": { "s0-redis-orders": { "numberOfFailures": 0, "status": "Happy" } },
            "triggersActivity": { "s0-redis-orders": { "isActive": false } },
            "pausedReplicaCount": 0, "hpaName": "worker", "triggersTypes": "redis,cpu", "authenticationsTypes": "redis",
        },
    })
}

#[test]
fn a_full_scaled_object_is_read_and_written_back() {
    let manifest = full_scaled_object();
    let object: ScaledObject = round_trip(&manifest);
    assert_eq!(found(&Schema::scaled_object().unwrap(), &manifest), [""; 0]);
    assert_eq!(object.spec.triggers[0].metadata["listLength"], "5");
    let advanced = object.spec.advanced.unwrap();
    let behavior = advanced.horizontal_pod_autoscaler_config.unwrap().behavior.unwrap();
    assert_eq!(behavior.scale_down.unwrap().tolerance.unwrap().0, "50m");
    assert!(!advanced.scaling_modifiers.unwrap().is_empty());
    assert!(annotations::switch(object.metadata.annotations.as_ref(), annotations::PAUSED));
}

#[test]
fn the_shortest_scaled_object_has_no_nulls_when_written_back() {
    round_trip::<ScaledObject>(&json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": "worker" },
        "spec": { "scaleTargetRef": { "name": "worker" }, "triggers": [{ "type": "cpu", "metadata": {} }] },
    }));
}

/// An API server keeps `tolerance: 0` as a number; fields and values of a later version must not cost the object.
#[test]
fn what_an_api_server_stores_is_read() {
    let mut manifest = full_scaled_object();
    manifest["spec"]["later"] = json!({ "a": 1 });
    manifest["spec"]["fallback"]["behavior"] = "later".into();
    manifest["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]["tolerance"] = 0.into();
    manifest["spec"]["triggers"][0]["authenticationRef"]["kind"] = "Later".into();
    manifest["status"]["later"] = "x".into();
    let object: ScaledObject = serde_json::from_value(manifest).unwrap();
    let behavior = object.spec.advanced.unwrap().horizontal_pod_autoscaler_config.unwrap().behavior.unwrap();
    assert_eq!(behavior.scale_up.unwrap().tolerance.unwrap().0, "0");
    assert_eq!(object.spec.fallback.unwrap().behavior.unwrap(), "later");
}

#[test]
fn a_scaled_job_is_read_and_written_back() {
    let manifest = json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": { "name": "report" },
        "spec": {
            "jobTargetRef": {
                "backoffLimit": 2,
                "template": {
                    "metadata": { "labels": { "app": "report" } },
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{
                            "name": "main", "image": "report:1",
                            "env": [{ "name": "A", "value": "1" }],
                            "ports": [{ "containerPort": 8080, "protocol": "TCP" }],
                            "livenessProbe": { "httpGet": { "path": "/", "port": "http" } },
                            "resources": { "limits": { "cpu": "1" } },
                        }],
                    },
                },
            },
            "pollingInterval": 10, "successfulJobsHistoryLimit": 5, "failedJobsHistoryLimit": 5,
            "rolloutStrategy": "gradual",
            "rollout": { "strategy": "immediate", "propagationPolicy": "foreground" },
            "envSourceContainerName": "main", "minReplicaCount": 0, "maxReplicaCount": 10,
            "scalingStrategy": {
                "strategy": "custom", "customScalingQueueLengthDeduction": -2, "customScalingRunningJobPercentage": "0.5",
                "pendingPodConditions": ["Ready"], "multipleScalersCalculation": "avg",
            },
            "triggers": [{ "type": "rabbitmq", "metadata": { "queueName": "reports" } }],
        },
        "status": {
            "lastActiveTime": "2026-03-01T10:00:00Z", "Paused": "", "triggersTypes": "rabbitmq",
            "authenticationsTypes": "", "externalMetricNames": ["s0-rabbitmq-reports"],
            "conditions": [{ "type": "Ready", "status": "True" }],
            "triggersActivity": { "s0-rabbitmq-reports": { "isActive": true } },
        },
    });
    round_trip::<ScaledJob>(&manifest);
    let schema = Schema::scaled_job().unwrap();
    assert_eq!(found(&schema, &manifest), [""; 0]);

    // A port without a protocol is completed, a number as a quantity is fine.
    let mut short = manifest.clone();
    let container = &mut short["spec"]["jobTargetRef"]["template"]["spec"]["containers"][0];
    container["ports"] = json!([{ "containerPort": 8080 }]);
    container["resources"]["limits"]["cpu"] = 1.into();
    schema.complete(&mut short);
    assert_eq!(found(&schema, &short), [""; 0]);
    let job: ScaledJob = serde_json::from_value(short).unwrap();
    let pod = job.spec.job_target_ref.template.spec.unwrap();
    assert_eq!(pod.containers[0].ports.as_ref().unwrap()[0].protocol.as_deref(), Some("TCP"));
}

fn authentication(kind: &str) -> Value {
    let secret = json!({ "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } });
    let identity = json!({ "provider": "aws", "roleArn": "arn", "externalID": "x" });
    json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": kind,
        "metadata": { "name": "credentials" },
        "spec": {
            "podIdentity": {
                "provider": "azure-workload", "identityId": "i", "identityTenantId": "t", "identityAuthorityHost": "h",
            },
            "secretTargetRef": [{ "parameter": "password", "name": "redis", "key": "password" }],
            "configMapTargetRef": [{ "parameter": "username", "name": "redis", "key": "username" }],
            "env": [{ "parameter": "tls", "name": "TLS", "containerName": "main" }],
            "filePath": "redis.json",
            "boundServiceAccountToken": [{ "parameter": "token", "serviceAccountName": "reader" }],
            "oauth2": {
                "type": "clientCredentials", "clientId": "c", "clientSecret": secret, "tokenUrl": "https://issuer/token",
                "scopes": ["read"], "tokenUrlParams": { "audience": "queue" },
            },
            "hashiCorpVault": {
                "address": "https://vault", "authentication": "kubernetes", "namespace": "n", "role": "r", "mount": "m",
                "credential": { "token": "t", "serviceAccount": "/token", "serviceAccountName": "reader" },
                "secrets": [{
                    "parameter": "cert", "path": "pki/issue", "key": "certificate", "type": "pki",
                    "pkiData": {
                        "commonName": "a", "altNames": "b", "ipSans": "c", "uriSans": "d", "otherSans": "e", "ttl": "1h",
                        "format": "pem",
                    },
                }],
            },
            "azureKeyVault": {
                "vaultUri": "https://v", "credentials": { "clientId": "c", "tenantId": "t", "clientSecret": secret },
                "cloud": { "type": "Private", "keyVaultResourceURL": "u", "activeDirectoryEndpoint": "e" },
                "podIdentity": { "provider": "azure-workload" },
                "secrets": [{ "parameter": "p", "name": "n", "version": "1" }],
            },
            "gcpSecretManager": {
                "credentials": { "clientSecret": secret }, "podIdentity": { "provider": "gcp" },
                "secrets": [{ "parameter": "p", "id": "i", "version": "2" }],
            },
            "awsSecretManager": {
                "region": "eu-west-1", "podIdentity": identity,
                "credentials": { "accessKey": secret, "accessSecretKey": secret, "accessToken": secret },
                "secrets": [{
                    "parameter": "p", "name": "n", "versionId": "i", "versionStage": "s", "secretKey": "k",
                }],
            },
        },
        "status": { "scaledobjects": "a,b", "scaledjobs": "c" },
    })
}

#[test]
fn both_authentications_are_read_and_written_back() {
    let namespaced = authentication("TriggerAuthentication");
    let one: TriggerAuthentication = round_trip(&namespaced);
    assert_eq!(found(&Schema::trigger_authentication().unwrap(), &namespaced), [""; 0]);
    let cluster = authentication("ClusterTriggerAuthentication");
    let other: ClusterTriggerAuthentication = round_trip(&cluster);
    let schema = Schema::cluster_trigger_authentication().unwrap();
    assert_eq!(found(&schema, &cluster), [""; 0]);
    assert_eq!(one.spec, other.spec.0);

    let mut short = cluster;
    short["spec"]["oauth2"].as_object_mut().unwrap().remove("type");
    assert_eq!(found(&schema, &short), [r#"Required spec.oauth2.type  | one of "clientCredentials""#]);
    schema.complete(&mut short);
    assert_eq!(found(&schema, &short), [""; 0]);
}

#[test]
fn a_scale_record_is_all_status() {
    let job = json!({
        "name": "enrich", "id": "0b", "state": "Stopped", "snapshotAttempt": 1,
        "snapshot": { "kind": "Savepoint", "id": 7, "path": "s3://b/1", "completed": "2026-03-01T10:00:04Z" },
    });
    let summary = json!({
        "id": "0a", "direction": "ScaleDown", "from": 3, "to": 1, "strategy": "StopRestore", "why": "because",
        "phase": "Snapshotting", "began": "2026-03-01T10:00:00Z", "since": "2026-03-01T10:00:05Z", "attempt": 2,
        "waitsFor": "the stop with a savepoint of enrich", "reason": "SnapshotFailed", "message": "403",
        "moreJobs": 1, "snapshot": { "kind": "Checkpoint" }, "jobs": [job],
    });
    let record: ScaleRecord = round_trip(&json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ScaleRecord",
        "metadata": { "name": "worker", "namespace": "shop" },
        "status": {
            "target": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "worker" },
            "replicas": 3, "desired": 8, "min": 1, "max": 20, "limitedBy": "ScaleUpLimit", "mode": "Scale",
            "lastChange": { "at": "2026-03-01T10:00:00Z", "from": 1, "to": 3, "why": "40 items" },
            "operation": {
                "phase": "Stopping", "attempts": [1, 2],
                "summary": summary,
            },
            "lastOperation": { "id": "0c", "phase": "Done" },
            "checkpoint": "1:AAEC",
            "conditions": [{
                "type": "AbleToScale", "status": "True", "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-03-01T10:00:00Z", "observedGeneration": 4,
            }],
        },
    }));
    assert_eq!(record.status.unwrap().operation.unwrap().stored["phase"], "Stopping");
    round_trip::<ScaleRecord>(&json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScaleRecord", "metadata": { "name": "worker" },
    }));
}

/// What people see of operations must never cost the memory that stands beside it.
#[test]
fn a_summary_that_cannot_be_read_leaves_the_rest_readable() {
    let status: tidegate_crds::ScaleRecordStatus = serde_json::from_value(json!({
        "checkpoint": "1:AAEC",
        "operation": { "state": "{}", "summary": { "from": "three" } },
        "lastOperation": { "jobs": 7 },
    }))
    .unwrap();
    let operation = status.operation.unwrap();
    assert_eq!((status.checkpoint.as_deref(), &operation.stored["state"]), (Some("1:AAEC"), &json!("{}")));
    assert_eq!((operation.summary, status.last_operation), (None, None));
}

fn full_policy(kind: &str) -> Value {
    let hook = json!({
        "name": "state", "directions": ["ScaleDown", "ToZero"], "timeout": "20m", "attempts": 3, "cooldown": "2m",
        "onFailure": { "scaleUp": "Proceed", "scaleDown": "Abort", "toZero": "Abort", "fromZero": "Abort" },
        "flink": {
            "service": { "name": "flink", "port": 8081, "scheme": "https" }, "authenticationRef": { "name": "flink" },
            "strategy": "Auto", "slotsPerTaskManager": "Auto",
            "jobs": { "select": "Listed", "batch": "Block", "list": [{
                "namePattern": "enrich-.*", "share": 2, "raiseVertices": ["cbc357ccb763df2852fee8c4fc7d55f2"],
                "run": {
                    "jar": { "url": "https://jars/a.jar", "sha256": "0", "authenticationRef": { "name": "jars" } },
                    "entryClass": "com.example.Enrich", "programArgs": ["--topic", "orders"],
                    "flinkConfiguration": { "a.b": "c" }, "allowNonRestoredState": false, "firstStart": "Refuse",
                },
            }] },
            "checkpoint": { "type": "Full", "maxAge": "30s", "order": "RemoveFirst" },
            "savepoint": { "directory": "s3://a/b", "format": "Native", "claimMode": "NoClaim", "keep": 5, "minAge": "24h", "backup": true },
            "flinkDeployment": { "allowStateless": false, "lastState": "CheckpointFirst", "backoffLimit": 2, "zero": "Suspend" },
            "verify": { "timeout": "5m", "checkpoint": "Trigger", "maxRestarts": 3 },
        },
    });
    let http = json!({ "name": "drain", "http": {
        "url": "https://a", "method": "PUT", "headers": { "X-A": "b" }, "body": "{}", "authenticationRef": { "name": "a" },
        "expect": { "status": [200, 202] }, "async": { "pollUrl": "https://a/done" },
    } });
    let job = json!({ "name": "archive", "job": { "template": { "spec": { "template": {} } } } });
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": { "name": "flink-safe" },
        "spec": {
            "mode": "Observe",
            "triggers": [{
                "name": "busy", "role": "Scale", "onError": "LastKnown", "lastKnownFor": "2m", "direction": "Inverse", "spreads": true,
                "steps": [{ "above": "0.8", "for": "5m", "every": "1h", "per": "Replica", "of": "Value", "change": "+1" }, { "below": 3, "change": "Ratio" }],
                "window": { "take": "Avg", "over": "2m" }, "forecast": { "model": "Linear", "samples": 10 },
            }],
            "gates": [{ "name": "g", "trigger": "busy", "below": 1, "for": "0s", "release": { "above": "2", "for": "2m" }, "block": "Both" }],
            "directionCooldown": { "scaleDownAfterScaleUp": "5m", "scaleUpAfterScaleDown": "10m" },
            "schedules": [{ "name": "n", "start": "0 22 * * *", "end": "0 6 * * *", "timeZone": "UTC", "minReplicaCount": 2, "maxReplicaCount": 20 }],
            "hooks": { "preScale": [hook, http], "postScale": [job] },
            "victims": { "onlyIdle": true }, "distribution": { "zones": {} }, "actions": [{ "name": "a" }],
            "vertical": [{ "container": "a" }], "replaceUnhealthy": { "atMost": 1 },
        },
    })
}

#[test]
fn both_kinds_of_policy_are_read_and_written_back() {
    let policy: ScalingPolicy = round_trip(&full_policy("ScalingPolicy"));
    assert_eq!(policy.spec.triggers[0].steps[1].below, Some(json!(3)));
    let cluster: ClusterScalingPolicy = round_trip(&full_policy("ClusterScalingPolicy"));
    assert_eq!(cluster.spec.0, policy.spec);
    let empty = json!({ "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": { "name": "a" }, "spec": {} });
    round_trip::<ScalingPolicy>(&empty);
}

#[test]
fn every_mistake_of_a_manifest_is_found_with_its_place() {
    let manifest = json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": "worker", "labels": { "app.kubernetes.io/name": "worker" } },
        "spec": {
            "scaleTargetRef": { "name": "" },
            "pollingInteval": 5,
            "pollingInterval": 0,
            "cooldownPeriod": "300",
            "maxReplicaCount": 3_000_000_000_u32,
            "fallback": { "failureThreshold": 3, "behavior": "Static" },
            "advanced": { "horizontalPodAutoscalerConfig": { "behavior": {
                "scaleUp": { "stabilizationWindowSeconds": 3601, "tolerance": 0.1 },
            } } },
            "triggers": [
                { "type": "redis", "metadata": { "listLength": 5, "a.b": true } },
                { "type": "cron" },
            ],
        },
    });
    assert_eq!(
        found(&Schema::scaled_object().unwrap(), &manifest),
        [
            "OutOfRange spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.stabilizationWindowSeconds 3601 | a whole number from 0 to 3600",
            "InvalidType spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance 0.1 | a whole number or a text",
            r#"InvalidType spec.cooldownPeriod "300" | a whole number, at least 0"#,
            "Required spec.fallback.replicas  | a whole number, at least 0",
            r#"NotSupported spec.fallback.behavior "Static" | one of "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers""#,
            "OutOfRange spec.maxReplicaCount 3000000000 | a whole number from 1 to 2147483647",
            "OutOfRange spec.pollingInterval 0 | a whole number from 1 to 2147483647",
            "UnknownField spec.pollingInteval 5 | the fields advanced, cooldownPeriod, fallback, idleReplicaCount, initialCooldownPeriod, maxReplicaCount, minReplicaCount, pollingInterval, scaleTargetRef, triggers",
            r#"InvalidLength spec.scaleTargetRef.name "" | a text that is not empty"#,
            r#"InvalidType spec.triggers[0].metadata["a.b"] true | a text (numbers and booleans need quotes)"#,
            "InvalidType spec.triggers[0].metadata.listLength 5 | a text (numbers and booleans need quotes)",
            "Required spec.triggers[1].metadata  | a map",
        ]
    );
}

#[test]
fn nulls_count_as_absent_and_long_values_are_cut() {
    let schema = Schema::scaled_object().unwrap();
    let mut manifest = json!({ "spec": {
        "scaleTargetRef": { "name": "worker", "kind": null },
        "fallback": { "failureThreshold": 3, "replicas": 1, "behavior": null },
        "triggers": null,
    } });
    let violations = schema.check(&manifest);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!((violations[0].path.as_str(), violations[0].problem), ("spec.triggers", Problem::Required));
    assert_eq!(violations[0].allowed, "a list of at least 1");

    schema.complete(&mut manifest);
    assert_eq!(manifest["spec"]["fallback"]["behavior"], "static");
    assert_eq!(manifest["spec"]["scaleTargetRef"], json!({ "name": "worker" }));

    manifest["spec"]["triggers"] = "ä".repeat(200).into();
    let value = schema.check(&manifest).remove(0).value.unwrap();
    assert_eq!(value.chars().count(), 83);
}
