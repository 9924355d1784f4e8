//! What the definitions say, field by field. KEDA's kinds follow its version 2.21.

mod authentication;
mod policies;

use authentication::{AUTHENTICATION, AWS, AZURE, GCP, VAULT};
use policies::{PLAIN, POLICY, POST_SCALE, PRE_SCALE};

use crate::row::Type::{Bool, Borrowed, Int32, Int64, List, Map, Object, Opaque, Quantity, Text, Time};
use crate::row::{Row, row};

/// What a definition says about its kind as a whole.
pub(crate) struct Kind {
    pub(crate) file: &'static str,
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) scope: &'static str,
    /// Name, type, path, priority.
    pub(crate) columns: &'static [(&'static str, &'static str, &'static str, i64)],
    /// Tables of fields; together they are all.
    pub(crate) fields: &'static [&'static [Row]],
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        file: "keda.sh_scaledobjects.yaml",
        group: "keda.sh",
        name: "ScaledObject",
        plural: "scaledobjects",
        short: &["so"],
        scope: "Namespaced",
        columns: &[
            ("ScaleTargetKind", "string", ".status.scaleTargetKind", 0),
            ("ScaleTargetName", "string", ".spec.scaleTargetRef.name", 0),
            ("Min", "integer", ".spec.minReplicaCount", 0),
            ("Max", "integer", ".spec.maxReplicaCount", 0),
            ("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#, 0),
            ("Active", "string", r#".status.conditions[?(@.type=="Active")].status"#, 0),
            ("Fallback", "string", r#".status.conditions[?(@.type=="Fallback")].status"#, 0),
            ("Paused", "string", r#".status.conditions[?(@.type=="Paused")].status"#, 0),
            ("Triggers", "string", ".status.triggersTypes", 0),
            ("Authentications", "string", ".status.authenticationsTypes", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ],
        fields: &[OBJECT, SCALED_OBJECT_SPEC, BEHAVIOR, TRIGGERS, METRIC_TYPE, SCALED_OBJECT_STATUS],
    },
    Kind {
        file: "keda.sh_scaledjobs.yaml",
        group: "keda.sh",
        name: "ScaledJob",
        plural: "scaledjobs",
        short: &["sj"],
        scope: "Namespaced",
        columns: &[
            ("Min", "integer", ".spec.minReplicaCount", 0),
            ("Max", "integer", ".spec.maxReplicaCount", 0),
            ("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#, 0),
            ("Active", "string", r#".status.conditions[?(@.type=="Active")].status"#, 0),
            ("Paused", "string", r#".status.conditions[?(@.type=="Paused")].status"#, 0),
            ("Triggers", "string", ".status.triggersTypes", 0),
            ("Authentications", "string", ".status.authenticationsTypes", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ],
        fields: &[OBJECT, SCALED_JOB_SPEC, TRIGGERS, SCALED_JOB_STATUS],
    },
    Kind {
        file: "keda.sh_triggerauthentications.yaml",
        group: "keda.sh",
        name: "TriggerAuthentication",
        plural: "triggerauthentications",
        short: &["ta", "triggerauth"],
        scope: "Namespaced",
        columns: &[
            ("PodIdentity", "string", ".spec.podIdentity.provider", 0),
            ("Secret", "string", ".spec.secretTargetRef[*].name", 0),
            ("Env", "string", ".spec.env[*].name", 0),
            ("VaultAddress", "string", ".spec.hashiCorpVault.address", 0),
            ("ScaledObjects", "string", ".status.scaledobjects", 1),
            ("ScaledJobs", "string", ".status.scaledjobs", 1),
        ],
        fields: &[OBJECT, AUTHENTICATION, VAULT, AZURE, GCP, AWS],
    },
    Kind {
        file: "keda.sh_clustertriggerauthentications.yaml",
        group: "keda.sh",
        name: "ClusterTriggerAuthentication",
        plural: "clustertriggerauthentications",
        short: &["cta", "clustertriggerauth"],
        scope: "Cluster",
        columns: &[
            ("PodIdentity", "string", ".spec.podIdentity.provider", 0),
            ("Secret", "string", ".spec.secretTargetRef[*].name", 0),
            ("Env", "string", ".spec.env[*].name", 0),
            ("FilePath", "string", ".spec.filePath", 0),
            ("VaultAddress", "string", ".spec.hashiCorpVault.address", 0),
            ("ScaledObjects", "string", ".status.scaledobjects", 1),
            ("ScaledJobs", "string", ".status.scaledjobs", 1),
        ],
        fields: &[OBJECT, AUTHENTICATION, VAULT, AZURE, GCP, AWS],
    },
    Kind {
        file: "tidegate.dev_scalerecords.yaml",
        group: "tidegate.dev",
        name: "ScaleRecord",
        plural: "scalerecords",
        short: &["sr"],
        scope: "Namespaced",
        columns: &[
            ("Target", "string", ".status.reference", 0),
            ("Replicas", "integer", ".status.replicas", 0),
            ("Desired", "integer", ".status.desired", 0),
            ("Min", "integer", ".status.min", 0),
            ("Max", "integer", ".status.max", 0),
            ("Limited By", "string", ".status.limitedBy", 0),
            ("Mode", "string", ".status.mode", 0),
            ("Last Change", "date", ".status.lastChange.at", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
        ],
        fields: &[OBJECT, SCALE_RECORD],
    },
    Kind {
        file: "tidegate.dev_scalingpolicies.yaml",
        group: "tidegate.dev",
        name: "ScalingPolicy",
        plural: "scalingpolicies",
        short: &["spol"],
        scope: "Namespaced",
        columns: POLICY_COLUMNS,
        fields: &[PLAIN, POLICY, PRE_SCALE, POST_SCALE],
    },
    Kind {
        file: "tidegate.dev_clusterscalingpolicies.yaml",
        group: "tidegate.dev",
        name: "ClusterScalingPolicy",
        plural: "clusterscalingpolicies",
        short: &["cspol"],
        scope: "Cluster",
        columns: POLICY_COLUMNS,
        fields: &[PLAIN, POLICY, PRE_SCALE, POST_SCALE],
    },
];

const POLICY_COLUMNS: &[(&str, &str, &str, i64)] = &[
    ("Mode", "string", ".spec.mode", 0),
    ("Triggers", "string", ".spec.triggers[*].name", 0),
    ("Gates", "string", ".spec.gates[*].name", 0),
    ("Schedules", "string", ".spec.schedules[*].name", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
];

/// What every object has.
const OBJECT: &[Row] = &[row("apiVersion", Text), row("kind", Text), row("metadata", Object), row("status", Object)];

const SCALED_OBJECT_SPEC: &[Row] = &[
    row("spec", Object).required().rules(&[(
        "!has(self.minReplicaCount) || self.minReplicaCount <= (has(self.maxReplicaCount) ? self.maxReplicaCount : 100)",
        "minReplicaCount must be less than or equal to maxReplicaCount",
    )]),
    row("spec.scaleTargetRef", Object).required(),
    row("spec.scaleTargetRef.name", Text).required().min_length(1),
    row("spec.scaleTargetRef.apiVersion", Text),
    row("spec.scaleTargetRef.kind", Text),
    row("spec.scaleTargetRef.envSourceContainerName", Text),
    row("spec.pollingInterval", Int32).min(1),
    row("spec.initialCooldownPeriod", Int32).min(0),
    row("spec.cooldownPeriod", Int32).min(0),
    row("spec.idleReplicaCount", Int32).min(0),
    row("spec.minReplicaCount", Int32).min(0),
    row("spec.maxReplicaCount", Int32).min(1),
    row("spec.fallback", Object),
    row("spec.fallback.failureThreshold", Int32).required().min(0),
    row("spec.fallback.replicas", Int32).required().min(0),
    row("spec.fallback.behavior", Text).default("static").one_of(&[
        "static",
        "currentReplicas",
        "currentReplicasIfHigher",
        "currentReplicasIfLower",
        "scalingModifiers",
    ]),
    row("spec.advanced", Object),
    row("spec.advanced.restoreToOriginalReplicaCount", Bool),
    row("spec.advanced.horizontalPodAutoscalerConfig", Object),
    row("spec.advanced.horizontalPodAutoscalerConfig.name", Text),
    row("spec.advanced.scalingModifiers", Object),
    row("spec.advanced.scalingModifiers.formula", Text),
    row("spec.advanced.scalingModifiers.target", Text),
    row("spec.advanced.scalingModifiers.activationTarget", Text),
    row("spec.advanced.scalingModifiers.metricType", Text).one_of(&["AverageValue", "Value"]),
];

macro_rules! behavior {
    ($path:literal) => {
        concat!("spec.advanced.horizontalPodAutoscalerConfig.behavior", $path)
    };
}

const BEHAVIOR: &[Row] = &[
    row(behavior!(""), Object),
    row(behavior!(".scaleUp"), Object),
    row(behavior!(".scaleUp.policies"), List(&Object)).list("atomic", &[]),
    row(behavior!(".scaleUp.policies[].type"), Text).required(),
    row(behavior!(".scaleUp.policies[].value"), Int32).required(),
    row(behavior!(".scaleUp.policies[].periodSeconds"), Int32).required(),
    row(behavior!(".scaleUp.selectPolicy"), Text),
    row(behavior!(".scaleUp.stabilizationWindowSeconds"), Int32).min(0).max(3600),
    row(behavior!(".scaleUp.tolerance"), Quantity),
    row(behavior!(".scaleDown"), Object),
    row(behavior!(".scaleDown.policies"), List(&Object)).list("atomic", &[]),
    row(behavior!(".scaleDown.policies[].type"), Text).required(),
    row(behavior!(".scaleDown.policies[].value"), Int32).required(),
    row(behavior!(".scaleDown.policies[].periodSeconds"), Int32).required(),
    row(behavior!(".scaleDown.selectPolicy"), Text),
    row(behavior!(".scaleDown.stabilizationWindowSeconds"), Int32).min(0).max(3600),
    row(behavior!(".scaleDown.tolerance"), Quantity),
];

const TRIGGERS: &[Row] = &[
    row("spec.triggers", List(&Object)).required().min_items(1),
    row("spec.triggers[].type", Text).required().min_length(1),
    row("spec.triggers[].name", Text),
    row("spec.triggers[].metadata", Map(&Text)).required(),
    row("spec.triggers[].useCachedMetrics", Bool),
    row("spec.triggers[].authenticationRef", Object),
    row("spec.triggers[].authenticationRef.name", Text).required(),
    row("spec.triggers[].authenticationRef.kind", Text)
        .one_of(&["TriggerAuthentication", "ClusterTriggerAuthentication"]),
];

/// A `ScaledJob` has no such field.
const METRIC_TYPE: &[Row] = &[row("spec.triggers[].metricType", Text)];

const SCALED_OBJECT_STATUS: &[Row] = &[
    row("status.scaleTargetKind", Text),
    row("status.scaleTargetGVKR", Object),
    row("status.scaleTargetGVKR.group", Text).required(),
    row("status.scaleTargetGVKR.version", Text).required(),
    row("status.scaleTargetGVKR.kind", Text).required(),
    row("status.scaleTargetGVKR.resource", Text).required(),
    row("status.originalReplicaCount", Int32),
    row("status.lastActiveTime", Time),
    row("status.externalMetricNames", List(&Text)),
    row("status.resourceMetricNames", List(&Text)),
    row("status.compositeScalerName", Text),
    row("status.conditions", List(&Object)),
    row("status.conditions[].type", Text).required(),
    row("status.conditions[].status", Text).required(),
    row("status.conditions[].reason", Text),
    row("status.conditions[].message", Text),
    row("status.health", Map(&Object)),
    row("status.health{}.numberOfFailures", Int32),
    row("status.health{}.status", Text),
    row("status.triggersActivity", Map(&Object)),
    row("status.triggersActivity{}.isActive", Bool),
    row("status.pausedReplicaCount", Int32),
    row("status.hpaName", Text),
    row("status.triggersTypes", Text),
    row("status.authenticationsTypes", Text),
];

const SCALED_JOB_SPEC: &[Row] = &[
    row("spec", Object),
    row("spec.jobTargetRef", Borrowed).required(),
    row("spec.pollingInterval", Int32).min(1),
    row("spec.successfulJobsHistoryLimit", Int32).min(0),
    row("spec.failedJobsHistoryLimit", Int32).min(0),
    row("spec.rolloutStrategy", Text).one_of(&["gradual", "immediate"]),
    row("spec.rollout", Object),
    row("spec.rollout.strategy", Text).one_of(&["gradual", "immediate"]),
    row("spec.rollout.propagationPolicy", Text).one_of(&["foreground", "background"]),
    row("spec.envSourceContainerName", Text),
    row("spec.minReplicaCount", Int32).min(0),
    row("spec.maxReplicaCount", Int32).min(1),
    row("spec.scalingStrategy", Object),
    row("spec.scalingStrategy.strategy", Text).one_of(&["default", "custom", "accurate", "eager"]),
    row("spec.scalingStrategy.customScalingQueueLengthDeduction", Int32),
    row("spec.scalingStrategy.customScalingRunningJobPercentage", Text),
    row("spec.scalingStrategy.pendingPodConditions", List(&Text)),
    row("spec.scalingStrategy.multipleScalersCalculation", Text).one_of(&["min", "avg", "sum", "max"]),
];

const SCALED_JOB_STATUS: &[Row] = &[
    row("status.lastActiveTime", Time),
    row("status.conditions", List(&Object)),
    row("status.conditions[].type", Text).required(),
    row("status.conditions[].status", Text).required(),
    row("status.conditions[].reason", Text),
    row("status.conditions[].message", Text),
    row("status.Paused", Text),
    row("status.triggersTypes", Text),
    row("status.authenticationsTypes", Text),
    row("status.externalMetricNames", List(&Text)),
    row("status.triggersActivity", Map(&Object)),
    row("status.triggersActivity{}.isActive", Bool),
];

const SCALE_RECORD: &[Row] = &[
    row("status.reference", Text),
    row("status.target", Object).atomic(),
    row("status.target.apiVersion", Text).required(),
    row("status.target.kind", Text).required(),
    row("status.target.name", Text).required(),
    row("status.replicas", Int32).min(0),
    row("status.desired", Int32).min(0),
    row("status.min", Int32).min(0),
    row("status.max", Int32).min(0),
    row("status.limitedBy", Text),
    row("status.mode", Text),
    row("status.lastChange", Object).atomic(),
    row("status.lastChange.at", Time).required(),
    row("status.lastChange.from", Int32).required().min(0),
    row("status.lastChange.to", Int32).required().min(0),
    row("status.lastChange.why", Text),
    row("status.observed", Object).atomic(),
    row("status.observed.agreed", Int64).required().min(0),
    row("status.observed.differed", Int64).required().min(0),
    row("status.operation", Opaque),
    row("status.checkpoint", Text).max_length(8192),
    row("status.conditions", List(&Object)).list("map", &["type"]),
    row("status.conditions[].type", Text).required(),
    row("status.conditions[].status", Text).required(),
    row("status.conditions[].reason", Text).required(),
    row("status.conditions[].message", Text).required(),
    row("status.conditions[].lastTransitionTime", Time).required(),
    row("status.conditions[].observedGeneration", Int64),
];
