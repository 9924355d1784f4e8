//! What the definitions of policies say, field by field.

use crate::row::Type::{Bool, Duration, Int32, List, Map, NumberOrText, Object, Opaque, Quantity, Rows, Text};
use crate::row::{Row, row};

/// What an object without a status has.
pub(super) const PLAIN: &[Row] = &[row("apiVersion", Text), row("kind", Text), row("metadata", Object)];

pub(super) const POLICY: &[Row] = &[
    row("spec", Object).required(),
    row("spec.actions", List(&Opaque)).max_items(32),
    row("spec.directionCooldown", Object),
    row("spec.directionCooldown.scaleDownAfterScaleUp", Duration),
    row("spec.directionCooldown.scaleUpAfterScaleDown", Duration),
    row("spec.distribution", Opaque),
    row("spec.gates", Rows).max_items(32).list("map", &["name"]),
    row("spec.gates[]", Object).rules(&[
        ("has(self.above) != has(self.below)", "exactly one of above and below is needed"),
        (
            "!has(self.release) || (has(self.above) ? has(self.release.below) : has(self.release.above))",
            "release must be on the other side: below for a gate that closes above, above for one that closes below",
        ),
    ]),
    row("spec.gates[].above", Quantity),
    row("spec.gates[].below", Quantity),
    row("spec.gates[].block", Text).required().one_of(&["ScaleDown", "ScaleUp", "Both"]),
    row("spec.gates[].for", Duration),
    row("spec.gates[].name", Text).required().min_length(1).max_length(63),
    row("spec.gates[].release", Object)
        .rules(&[("has(self.above) != has(self.below)", "exactly one of above and below is needed")]),
    row("spec.gates[].release.above", Quantity),
    row("spec.gates[].release.below", Quantity),
    row("spec.gates[].release.for", Duration),
    row("spec.gates[].trigger", Text).required().min_length(1).max_length(63),
    row("spec.hooks", Object).rules(&[
        (
            "!has(self.preScale) || self.preScale.filter(hook, has(hook.flink)).size() <= 1",
            "at most one hook before a change may be for Flink",
        ),
        (
            "!has(self.postScale) || self.postScale.all(hook, !has(hook.flink))",
            "a hook after a change is http or job; flink verifies by itself",
        ),
    ]),
    row("spec.hooks.postScale", Rows).max_items(8).list("map", &["name"]),
    row("spec.hooks.preScale", Rows).max_items(8).list("map", &["name"]),
    row("spec.mode", Text).one_of(&["Auto", "Observe"]),
    row("spec.replaceUnhealthy", Opaque),
    row("spec.schedules", Rows).max_items(32).list("map", &["name"]),
    row("spec.schedules[]", Object).rules(&[
        ("has(self.minReplicaCount) || has(self.maxReplicaCount)", "minReplicaCount or maxReplicaCount is needed"),
        (
            "!has(self.minReplicaCount) || !has(self.maxReplicaCount) || self.minReplicaCount <= self.maxReplicaCount",
            "minReplicaCount must be less than or equal to maxReplicaCount",
        ),
        ("self.start != self.end", "start and end must differ"),
    ]),
    row("spec.schedules[].end", Text).required().min_length(1).max_length(128),
    row("spec.schedules[].maxReplicaCount", Int32).min(1),
    row("spec.schedules[].minReplicaCount", Int32).min(0),
    row("spec.schedules[].name", Text).required().min_length(1).max_length(63),
    row("spec.schedules[].start", Text).required().min_length(1).max_length(128),
    row("spec.schedules[].timeZone", Text).required().min_length(1).max_length(64),
    row("spec.triggers", Rows).max_items(32).list("map", &["name"]),
    row("spec.triggers[]", Object).rules(&[(
        "has(self.lastKnownFor) == (has(self.onError) && self.onError == 'LastKnown')",
        "lastKnownFor is needed with onError LastKnown, and only there",
    )]),
    row("spec.triggers[].direction", Text).one_of(&["Normal", "Inverse"]),
    row("spec.triggers[].forecast", Opaque),
    row("spec.triggers[].lastKnownFor", Duration),
    row("spec.triggers[].name", Text).required().min_length(1).max_length(63),
    row("spec.triggers[].onError", Text).one_of(&["RaiseOnly", "Hold", "Ignore", "LastKnown"]),
    row("spec.triggers[].role", Text).one_of(&["Scale", "Signal"]),
    row("spec.triggers[].spreads", Bool),
    row("spec.triggers[].steps", Rows).max_items(16),
    row("spec.triggers[].steps[]", Object)
        .rules(&[("has(self.above) != has(self.below)", "exactly one of above and below is needed")]),
    row("spec.triggers[].steps[].above", Quantity),
    row("spec.triggers[].steps[].below", Quantity),
    row("spec.triggers[].steps[].change", Text).required().min_length(1).max_length(12).rules(&[(
        "self.matches('^([+-][1-9][0-9]{0,6}%?|=[0-9]{1,7}|Ratio)$')",
        "must be +N, -N, +N%, -N%, =N or Ratio",
    )]),
    row("spec.triggers[].steps[].every", Duration),
    row("spec.triggers[].steps[].for", Duration),
    row("spec.triggers[].steps[].of", Text).one_of(&["Value", "Forecast"]),
    row("spec.triggers[].steps[].per", Text).one_of(&["Replica"]),
    row("spec.triggers[].window", Object),
    row("spec.triggers[].window.over", Duration).required(),
    row("spec.triggers[].window.take", Text).required().one_of(&["Min", "Max", "Avg"]),
    row("spec.vertical", List(&Opaque)).max_items(32),
    row("spec.victims", Opaque),
];

macro_rules! hook {
    ($path:literal) => {
        &[
            row($path, Object).rules(&[
                (
                    "[has(self.flink), has(self.http), has(self.job)].exists_one(given, given)",
                    "exactly one of flink, http and job is needed",
                ),
                (
                    "!has(self.flink) || !has(self.flink.strategy) || self.flink.strategy != 'StopRestore' || \
                     !has(self.onFailure) || (!has(self.onFailure.scaleUp) || self.onFailure.scaleUp == 'Abort') && \
                     (!has(self.onFailure.scaleDown) || self.onFailure.scaleDown == 'Abort')",
                    "with strategy StopRestore only Abort is possible in onFailure",
                ),
            ]),
            row(concat!($path, ".attempts"), Int32).min(1).max(20),
            row(concat!($path, ".cooldown"), Duration),
            row(concat!($path, ".directions"), Rows).min_items(1).max_items(4).list("set", &[]),
            row(concat!($path, ".directions[]"), Text).one_of(&["ScaleUp", "ScaleDown", "ToZero", "FromZero"]),
            row(concat!($path, ".flink"), Object).rules(&[(
                "!has(self.restUrl) || !has(self.service)",
                "at most one of restUrl and service is possible",
            )]),
            row(concat!($path, ".flink.authenticationRef"), Object),
            row(concat!($path, ".flink.authenticationRef.kind"), Text)
                .one_of(&["TriggerAuthentication", "ClusterTriggerAuthentication"]),
            row(concat!($path, ".flink.authenticationRef.name"), Text).required(),
            row(concat!($path, ".flink.checkpoint"), Object),
            row(concat!($path, ".flink.checkpoint.maxAge"), Duration),
            row(concat!($path, ".flink.checkpoint.order"), Text).one_of(&["Auto", "RemoveFirst", "RequirementsFirst"]),
            row(concat!($path, ".flink.checkpoint.type"), Text).one_of(&["Configured", "Full"]),
            row(concat!($path, ".flink.flinkDeployment"), Object),
            row(concat!($path, ".flink.flinkDeployment.allowStateless"), Bool),
            row(concat!($path, ".flink.flinkDeployment.backoffLimit"), Int32).min(0).max(20),
            row(concat!($path, ".flink.flinkDeployment.lastState"), Text).one_of(&["CheckpointFirst", "AsIs"]),
            row(concat!($path, ".flink.flinkDeployment.zero"), Text).one_of(&["Suspend"]),
            row(concat!($path, ".flink.jobs"), Object),
            row(concat!($path, ".flink.jobs.batch"), Text).one_of(&["Block", "Ignore"]),
            row(concat!($path, ".flink.jobs.list"), Rows).max_items(64),
            row(concat!($path, ".flink.jobs.list[]"), Object).rules(&[(
                "[has(self.name), has(self.namePattern), has(self.id)].exists_one(given, given)",
                "exactly one of name, namePattern and id is needed",
            )]),
            row(concat!($path, ".flink.jobs.list[].id"), Text).max_length(32).pattern("^[0-9a-f]{32}$"),
            row(concat!($path, ".flink.jobs.list[].name"), Text).min_length(1).max_length(253),
            row(concat!($path, ".flink.jobs.list[].namePattern"), Text).min_length(1).max_length(253),
            row(concat!($path, ".flink.jobs.list[].raiseVertices"), Rows).max_items(64).list("set", &[]),
            row(concat!($path, ".flink.jobs.list[].raiseVertices[]"), Text).max_length(32).pattern("^[0-9a-f]{32}$"),
            row(concat!($path, ".flink.jobs.list[].run"), Object),
            row(concat!($path, ".flink.jobs.list[].run.allowNonRestoredState"), Bool),
            row(concat!($path, ".flink.jobs.list[].run.entryClass"), Text).min_length(1).max_length(512),
            row(concat!($path, ".flink.jobs.list[].run.firstStart"), Text).one_of(&["Refuse", "Empty"]),
            row(concat!($path, ".flink.jobs.list[].run.flinkConfiguration"), Map(&Text)).max_properties(256),
            row(concat!($path, ".flink.jobs.list[].run.jar"), Object).required().rules(&[
                ("has(self.name) != has(self.url)", "exactly one of name and url is needed"),
                (
                    "has(self.url) == has(self.sha256) && (has(self.url) || !has(self.authenticationRef))",
                    "sha256 is needed with url; it and authenticationRef go with url only",
                ),
            ]),
            row(concat!($path, ".flink.jobs.list[].run.jar.authenticationRef"), Object),
            row(concat!($path, ".flink.jobs.list[].run.jar.authenticationRef.kind"), Text)
                .one_of(&["TriggerAuthentication", "ClusterTriggerAuthentication"]),
            row(concat!($path, ".flink.jobs.list[].run.jar.authenticationRef.name"), Text).required(),
            row(concat!($path, ".flink.jobs.list[].run.jar.name"), Text).min_length(1).max_length(253),
            row(concat!($path, ".flink.jobs.list[].run.jar.sha256"), Text).max_length(64).pattern("^[0-9a-f]{64}$"),
            row(concat!($path, ".flink.jobs.list[].run.jar.url"), Text).max_length(2048).pattern("^https?://.+"),
            row(concat!($path, ".flink.jobs.list[].run.programArgs"), Rows).max_items(256),
            row(concat!($path, ".flink.jobs.list[].run.programArgs[]"), Text).max_length(4096),
            row(concat!($path, ".flink.jobs.list[].share"), Int32).min(1).max(1000),
            row(concat!($path, ".flink.jobs.select"), Text).one_of(&["All", "Listed"]),
            row(concat!($path, ".flink.restUrl"), Text).max_length(2048).pattern("^https?://.+"),
            row(concat!($path, ".flink.savepoint"), Object),
            row(concat!($path, ".flink.savepoint.backup"), Bool),
            row(concat!($path, ".flink.savepoint.claimMode"), Text).one_of(&["NoClaim", "Claim"]),
            row(concat!($path, ".flink.savepoint.directory"), Text).min_length(1).max_length(2048),
            row(concat!($path, ".flink.savepoint.format"), Text).one_of(&["Native", "Canonical"]),
            row(concat!($path, ".flink.savepoint.keep"), Int32).min(1).max(1000),
            row(concat!($path, ".flink.savepoint.minAge"), Duration),
            row(concat!($path, ".flink.service"), Object),
            row(concat!($path, ".flink.service.name"), Text).required().min_length(1).max_length(63),
            row(concat!($path, ".flink.service.port"), Int32).min(1).max(65535),
            row(concat!($path, ".flink.service.scheme"), Text).one_of(&["http", "https"]),
            row(concat!($path, ".flink.slotsPerTaskManager"), NumberOrText),
            row(concat!($path, ".flink.strategy"), Text).one_of(&[
                "Auto",
                "Checkpoint",
                "StopRestore",
                "FlinkDeployment",
                "None",
            ]),
            row(concat!($path, ".flink.verify"), Object),
            row(concat!($path, ".flink.verify.checkpoint"), Text).one_of(&["Trigger", "Wait"]),
            row(concat!($path, ".flink.verify.maxRestarts"), Int32).min(0).max(1000),
            row(concat!($path, ".flink.verify.timeout"), Duration),
            row(concat!($path, ".http"), Object),
            row(concat!($path, ".http.async"), Object),
            row(concat!($path, ".http.async.pollUrl"), Text).required().max_length(2048).pattern("^https?://.+"),
            row(concat!($path, ".http.authenticationRef"), Object),
            row(concat!($path, ".http.authenticationRef.kind"), Text)
                .one_of(&["TriggerAuthentication", "ClusterTriggerAuthentication"]),
            row(concat!($path, ".http.authenticationRef.name"), Text).required(),
            row(concat!($path, ".http.body"), Text).max_length(16384),
            row(concat!($path, ".http.expect"), Object),
            row(concat!($path, ".http.expect.status"), Rows).min_items(1).max_items(16).list("set", &[]),
            row(concat!($path, ".http.expect.status[]"), Int32).min(100).max(599),
            row(concat!($path, ".http.headers"), Map(&Text)).max_properties(32),
            row(concat!($path, ".http.method"), Text).one_of(&["GET", "POST", "PUT", "PATCH", "DELETE"]),
            row(concat!($path, ".http.url"), Text).required().max_length(2048).pattern("^https?://.+"),
            row(concat!($path, ".job"), Object),
            row(concat!($path, ".job.template"), Opaque).required(),
            row(concat!($path, ".name"), Text).required().min_length(1).max_length(63),
            row(concat!($path, ".onFailure"), Object).rules(&[(
                "(!has(self.toZero) || self.toZero == 'Abort') && (!has(self.fromZero) || self.fromZero == 'Abort')",
                "only Abort is possible for toZero and fromZero",
            )]),
            row(concat!($path, ".onFailure.fromZero"), Text).one_of(&["Proceed", "Abort"]),
            row(concat!($path, ".onFailure.scaleDown"), Text).one_of(&["Proceed", "Abort"]),
            row(concat!($path, ".onFailure.scaleUp"), Text).one_of(&["Proceed", "Abort"]),
            row(concat!($path, ".onFailure.toZero"), Text).one_of(&["Proceed", "Abort"]),
            row(concat!($path, ".timeout"), Duration),
        ]
    };
}

pub(super) const PRE_SCALE: &[Row] = hook!("spec.hooks.preScale[]");
pub(super) const POST_SCALE: &[Row] = hook!("spec.hooks.postScale[]");
