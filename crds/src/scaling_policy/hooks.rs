//! `hooks` of a `ScalingPolicy`: work before and after a change of the replicas, with what Flink needs.
//!
//! These are the words and what an API server can compare. Defaults and all other rules are validation's, which makes the hooks of an
//! object of them.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MAX_NAME, duration};
use crate::trigger::AuthenticationRef;

/// What `directions` may hold.
pub const HOOK_DIRECTIONS: &[&str] = &["ScaleUp", "ScaleDown", "ToZero", "FromZero"];
/// What each field of `onFailure` may say.
pub const ON_FAILURE: &[&str] = &["Proceed", "Abort"];
/// What `flink.strategy` may say; absent means the first.
pub const STRATEGIES: &[&str] = &["Auto", "Checkpoint", "StopRestore", "FlinkDeployment", "None"];
/// What `flink.jobs.select` may say; absent means the first.
pub const SELECTS: &[&str] = &["All", "Listed"];
/// What `flink.jobs.batch` may say; absent means the first.
pub const BATCHES: &[&str] = &["Block", "Ignore"];
/// What `flink.jobs.list[].run.firstStart` may say; absent means the first.
pub const FIRST_STARTS: &[&str] = &["Refuse", "Empty"];
/// What `flink.checkpoint.type` may say; absent means the first.
pub const CHECKPOINT_TYPES: &[&str] = &["Configured", "Full"];
/// What `flink.checkpoint.order` may say; absent means the first.
pub const CHECKPOINT_ORDERS: &[&str] = &["Auto", "RemoveFirst", "RequirementsFirst"];
/// What `flink.savepoint.format` may say; absent means the first.
pub const SAVEPOINT_FORMATS: &[&str] = &["Native", "Canonical"];
/// What `flink.savepoint.claimMode` may say; absent means the first.
pub const CLAIM_MODES: &[&str] = &["NoClaim", "Claim"];
/// What `flink.flinkDeployment.lastState` may say; absent means the first.
pub const LAST_STATES: &[&str] = &["CheckpointFirst", "AsIs"];
/// What `flink.flinkDeployment.zero` may say; absent means the first.
pub const ZEROS: &[&str] = &["Suspend"];
/// What `flink.verify.checkpoint` may say; absent means the first.
pub const VERIFY_CHECKPOINTS: &[&str] = &["Trigger", "Wait"];
/// What `http.method` may say; absent means POST.
pub const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
/// What a `scheme` may say; absent means the first.
pub const SCHEMES: &[&str] = &["http", "https"];

/// The most hooks before, and the most after, a change.
pub const MAX_HOOKS: usize = 8;
/// The most jobs of one Flink cluster.
const MAX_JOBS: usize = 64;
/// The most vertices of one job that are named.
const MAX_VERTICES: usize = 64;
/// The longest address.
const MAX_URL: usize = 2048;
/// What an address looks like.
const URL: &str = "^https?://.+";

/// Work around a change of the replicas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.preScale) || self.preScale.filter(hook, has(hook.flink)).size() <= 1",
        "message": "at most one hook before a change may be for Flink",
    },
    {
        "rule": "!has(self.postScale) || self.postScale.all(hook, !has(hook.flink))",
        "message": "a hook after a change is http or job; flink verifies by itself",
    },
]))]
pub struct Hooks {
    /// What is done before the replicas change. Hooks of http and job run before the one for Flink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_HOOKS, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pre_scale: Vec<Hook>,
    /// What is done after a change was verified. A failure here changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_HOOKS, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub post_scale: Vec<Hook>,
}

/// One piece of work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "[has(self.flink), has(self.http), has(self.job)].exists_one(given, given)",
        "message": "exactly one of flink, http and job is needed",
    },
    {
        "rule": "!has(self.flink) || !has(self.flink.strategy) || self.flink.strategy != 'StopRestore' || !has(self.onFailure) || (!has(self.onFailure.scaleUp) || self.onFailure.scaleUp == 'Abort') && (!has(self.onFailure.scaleDown) || self.onFailure.scaleDown == 'Abort')",
        "message": "with strategy StopRestore only Abort is possible in onFailure",
    },
]))]
pub struct Hook {
    /// The name of the hook.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    /// In which directions it is done. By default all for flink, `ScaleDown` and `ToZero` for http and job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "directions")]
    pub directions: Vec<String>,
    /// How long all of it may take, 20m by default. Once a job is stopped it only alarms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub timeout: Option<String>,
    /// How often something that may pass is tried, 3 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub attempts: Option<i32>,
    /// How long after one change the next may begin, 2m by default; at least 3 checkpoint intervals and Flink's cooldown-after-rescaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub cooldown: Option<String>,
    /// What becomes of the change if the work fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// For Flink: a snapshot first, and the jobs checked afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flink: Option<Box<Flink>>,
    /// A request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<Http>>,
    /// A Job in the namespace of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobHook>,
}

/// What becomes of a change, by direction: Proceed or Abort. By default `scaleUp` proceeds and all others abort; where a job was stopped
/// all abort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(!has(self.toZero) || self.toZero == 'Abort') && (!has(self.fromZero) || self.fromZero == 'Abort')",
    "message": "only Abort is possible for toZero and fromZero",
}]))]
pub struct OnFailure {
    /// More replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ON_FAILURE))]
    pub scale_up: Option<String>,
    /// Fewer replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ON_FAILURE))]
    pub scale_down: Option<String>,
    /// To zero. Only Abort is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ON_FAILURE))]
    pub to_zero: Option<String>,
    /// From zero. Only Abort is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ON_FAILURE))]
    pub from_zero: Option<String>,
}

/// A Flink cluster and what is done with its jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.restUrl) || !has(self.service)",
    "message": "at most one of restUrl and service is possible",
}]))]
pub struct Flink {
    /// Where the REST API of the `JobManager` is. Absent for the target kind `FlinkDeployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_URL), extend("pattern" = URL))]
    pub rest_url: Option<String>,
    /// The same as a Service of the object's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The object that holds the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
    /// How state is kept: Auto by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = STRATEGIES))]
    pub strategy: Option<String>,
    /// Which jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Jobs>,
    /// Slots of one `TaskManager`: a number, or Auto (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-int-or-string" = true))]
    pub slots_per_task_manager: Option<Value>,
    /// How a checkpoint is taken before a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// How a savepoint is taken where a job is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<Savepoint>,
    /// What holds for the target kind `FlinkDeployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flink_deployment: Option<FlinkDeployment>,
    /// How the jobs are checked afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// A Service of the object's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    /// Its port, 8081 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// http by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = SCHEMES))]
    pub scheme: Option<String>,
}

/// The jobs of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// All of them (the default), or only those of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = SELECTS))]
    pub select: Option<String>,
    /// Whether a batch job blocks a lowering (the default) or is ignored: it loses work when a `TaskManager` leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = BATCHES))]
    pub batch: Option<String>,
    /// What is said of single jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = MAX_JOBS))]
    pub list: Vec<FlinkJob>,
}

/// One job, which exactly one live job must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.name), has(self.namePattern), has(self.id)].exists_one(given, given)",
    "message": "exactly one of name, namePattern and id is needed",
}]))]
pub struct FlinkJob {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// A regular expression that its whole name matches, without look-around and back-references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name_pattern: Option<String>,
    /// Its id, 32 hexadecimal digits. A job that is run again has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("pattern" = "^[0-9a-f]{32}$"))]
    pub id: Option<String>,
    /// Its share of the slots, 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub share: Option<i32>,
    /// Ids of vertices that may be raised although they were declared with parallelism 1. Others of these stay at 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "vertices")]
    pub raise_vertices: Vec<String>,
    /// How it is started again: Flink gives back neither jar nor arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<Run>>,
}

/// How a job is started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The jar.
    pub jar: Jar,
    /// The class whose main is run; the one of the jar's manifest by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub entry_class: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(max = 4096)), extend("maxItems" = 256))]
    pub program_args: Vec<String>,
    /// Flink's settings for the job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub flink_configuration: BTreeMap<String, String>,
    /// Whether state that no operator takes may be left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_non_restored_state: Option<bool>,
    /// Whether it may start without state if no path was ever recorded: Refuse by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = FIRST_STARTS))]
    pub first_start: Option<String>,
}

/// Where a jar comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.name) != has(self.url)",
        "message": "exactly one of name and url is needed",
    },
    {
        "rule": "has(self.url) == has(self.sha256) && (has(self.url) || !has(self.authenticationRef))",
        "message": "sha256 is needed with url; it and authenticationRef go with url only",
    },
]))]
pub struct Jar {
    /// The newest upload of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Where it is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_URL), extend("pattern" = URL))]
    pub url: Option<String>,
    /// Its SHA-256, 64 hexadecimal digits. Needed with url: whoever serves it must not choose what is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("pattern" = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The object that holds the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
}

/// How a checkpoint is taken before a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// As the job is configured (the default), or Full.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = CHECKPOINT_TYPES))]
    pub kind: Option<String>,
    /// How old it may be when the change is applied, 30s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub max_age: Option<String>,
    /// What comes first in a lowering, the pods or the resource requirements: Auto by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = CHECKPOINT_ORDERS))]
    pub order: Option<String>,
}

/// How a savepoint is taken where a job is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Savepoint {
    /// Where savepoints go; the cluster's own setting by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_URL))]
    pub directory: Option<String>,
    /// Native by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = SAVEPOINT_FORMATS))]
    pub format: Option<String>,
    /// Whose the savepoint is after the restore: `NoClaim` (the default) leaves it ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = CLAIM_MODES))]
    pub claim_mode: Option<String>,
    /// How many of ours are kept, 5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep: Option<i32>,
    /// How old one must be before it is deleted, 24h by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub min_age: Option<String>,
    /// Whether a savepoint is taken besides the checkpoint before every change, false by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<bool>,
}

/// What holds for the target kind `FlinkDeployment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlinkDeployment {
    /// Whether a job without state may be changed, false by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_stateless: Option<bool>,
    /// Whether a checkpoint is taken first where upgradeMode is last-state (`CheckpointFirst`, the default) or not (`AsIs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = LAST_STATES))]
    pub last_state: Option<String>,
    /// How often a snapshot is tried again, 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub backoff_limit: Option<i32>,
    /// What zero replicas mean: Suspend, with which the operator keeps the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ZEROS))]
    pub zero: Option<String>,
}

/// How the jobs are checked after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// How long they may take to be well, 5m by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub timeout: Option<String>,
    /// Whether a checkpoint is triggered to prove it (Trigger, the default), or the job's next one is waited for (Wait).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = VERIFY_CHECKPOINTS))]
    pub checkpoint: Option<String>,
    /// How many restarts of a job meanwhile are well, 3 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_restarts: Option<i32>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// Where to.
    #[schemars(length(max = MAX_URL), extend("pattern" = URL))]
    pub url: String,
    /// POST by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = METHODS))]
    pub method: Option<String>,
    /// Its headers. Credentials belong into authenticationRef, and Idempotency-Key is set by the operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub headers: BTreeMap<String, String>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub body: Option<String>,
    /// The object that holds the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_ref: Option<AuthenticationRef>,
    /// What answer is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// For work that goes on after the answer, which says so with the status 202.
    #[serde(rename = "async", default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Async>,
}

/// What answer is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expect {
    /// Its status: any of these, 200 by default. With async, 202 says that the work goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        inner(range(min = 100, max = 599)),
        extend("minItems" = 1, "maxItems" = 16, "x-kubernetes-list-type" = "set")
    )]
    pub status: Vec<i32>,
}

/// For work that goes on after the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Async {
    /// What is asked with GET until the work is done: 202 goes on, 200 is done.
    #[schemars(length(max = MAX_URL), extend("pattern" = URL))]
    pub poll_url: String,
}

/// A Job in the namespace of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobHook {
    /// Its template: metadata and spec of a Job. Its name is given by the operation.
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub template: Map<String, Value>,
}

/// A list of directions, each once.
fn directions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": HOOK_DIRECTIONS },
        "minItems": 1,
        "maxItems": HOOK_DIRECTIONS.len(),
        "x-kubernetes-list-type": "set",
    })
}

/// A list of ids of vertices, each once.
fn vertices(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "maxLength": 32, "pattern": "^[0-9a-f]{32}$" },
        "maxItems": MAX_VERTICES,
        "x-kubernetes-list-type": "set",
    })
}
