//! What the cluster has: slots, TaskManagers, jars, and how it was set up.

use serde::Deserialize;
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind};

use super::ids::JobId;
use super::numbers;
use super::{FlinkClient, FlinkError};

/// The whole cluster in a few numbers (`GET /overview`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// How many TaskManagers are registered.
    #[serde(rename = "taskmanagers")]
    pub task_managers: u32,
    /// All slots of the registered TaskManagers.
    pub slots_total: u32,
    /// Those that no job holds. A slot that a job gave up stays held for `slot.idle.timeout` (50 s).
    pub slots_available: u32,
    /// Jobs that are not at their end.
    pub jobs_running: u32,
    /// The version, such as `2.3.0`.
    pub flink_version: String,
}

/// What the API itself says of its set-up (`GET /config`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApiConfig {
    /// The version, such as `2.3.0`.
    pub flink_version: String,
    /// What it lets one do.
    pub features: Features,
}

/// What the API lets one do. False may be the scheduler's doing or an administrator's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Features {
    /// Jars may be uploaded and run: a session cluster.
    pub web_submit: bool,
    /// Jobs may be cancelled.
    pub web_cancel: bool,
    /// Resource requirements may be changed.
    pub web_rescale: bool,
}

/// One TaskManager in the list of all (`GET /taskmanagers`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManager {
    /// Its id: `taskmanager.resource-id` if that is set, else host, port and a random part.
    pub id: String,
    /// Its address inside the cluster; the host stands after the `@`.
    pub path: String,
    /// All its slots.
    pub slots_number: u32,
    /// Those that no job holds.
    pub free_slots: u32,
    /// When it was heard of last, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub time_since_last_heartbeat: Option<i64>,
}

#[derive(Deserialize)]
struct TaskManagers {
    #[serde(rename = "taskmanagers")]
    list: Vec<TaskManager>,
}

/// One TaskManager with what runs on it (`GET /taskmanagers/:id`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskManagerDetail {
    /// The same as in the list.
    #[serde(flatten)]
    pub summary: TaskManager,
    /// The slots that jobs hold.
    #[serde(default)]
    pub allocated_slots: Vec<AllocatedSlot>,
}

/// A slot that a job holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocatedSlot {
    /// Whose it is.
    pub job_id: JobId,
    /// How many tasks run in it; versions before 2 do not say.
    #[serde(default, deserialize_with = "numbers::count")]
    pub assigned_tasks: Option<u32>,
}

/// The JobManager's settings (`GET /jobmanager/config`): what was given, without defaults. Flink hides the values of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct JobManagerConfig {
    settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Setting {
    key: String,
    value: String,
}

/// The jars that were uploaded (`GET /jars`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Jars {
    /// The newest first, as Flink lists them.
    pub files: Vec<Jar>,
}

/// One uploaded jar.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Jar {
    /// What it is run by: a random part and the name.
    pub id: String,
    /// The name under which it was uploaded.
    pub name: String,
    /// When, in milliseconds since 1970.
    #[serde(default, deserialize_with = "numbers::moment")]
    pub uploaded: Option<i64>,
}

impl JobManagerConfig {
    /// The setting of this name.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    }

    /// A setting that is a duration, in milliseconds; none if it is not set or written in a way that we do not know.
    pub fn millis(&self, key: &str) -> Option<u64> {
        duration(self.get(key)?)
    }
}

impl TaskManager {
    /// The host of its address, which is the pod's address on a cluster; none if the address has another form.
    pub fn host(&self) -> Option<&str> {
        let (_, after) = self.path.split_once('@')?;
        let authority = after.split('/').next()?;
        authority.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']))
    }
}

/// A duration as Flink's settings have it: `10 s`, `500ms`, `1 min`; milliseconds without a unit.
fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let each = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(each)
}

impl FlinkClient {
    /// Slots and TaskManagers of the cluster, of this moment.
    ///
    /// # Errors
    ///
    /// See [`FlinkError`]; this holds for every question of this client.
    pub async fn overview(&self, patience: Deadline) -> Result<Overview, FlinkError> {
        self.get("/overview", patience).await
    }

    /// The version, and what the API lets one do.
    pub async fn api_config(&self, patience: Deadline) -> Result<ApiConfig, FlinkError> {
        self.get("/config", patience).await
    }

    /// The registered TaskManagers.
    pub async fn task_managers(&self, patience: Deadline) -> Result<Vec<TaskManager>, FlinkError> {
        let TaskManagers { list } = self.get("/taskmanagers", patience).await?;
        Ok(list)
    }

    /// One TaskManager with the jobs that hold its slots.
    pub async fn task_manager(&self, id: &str, patience: Deadline) -> Result<TaskManagerDetail, FlinkError> {
        self.get(&format!("/taskmanagers/{}", self.segment(id)?), patience).await
    }

    /// The settings that the JobManager was started with.
    pub async fn job_manager_config(&self, patience: Deadline) -> Result<JobManagerConfig, FlinkError> {
        self.get("/jobmanager/config", patience).await
    }

    /// The jars that were uploaded. Where nothing may be submitted it is not found.
    pub async fn jars(&self, patience: Deadline) -> Result<Jars, FlinkError> {
        self.get("/jars", patience).await
    }

    /// A name of Flink's as one part of a path.
    pub(super) fn segment<'a>(&self, text: &'a str) -> Result<&'a str, FlinkError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let fits = !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain);
        let what = || format!("{}: {text:?} cannot be part of an address", self.name());
        if fits { Ok(text) } else { Err(FlinkError::Read(ReadError::query(ReadErrorKind::Config, what()))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_flink_writes_them() {
        let cases = [("10 s", 10_000), ("1000", 1000), ("500ms", 500), ("1 min", 60_000), ("2 h", 7_200_000)];
        for (text, millis) in cases {
            assert_eq!(duration(text), Some(millis), "{text}");
        }
        for text in ["", "s", "-1 s", "1.5 s", "PT10S", "99999999999999999999 s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_is_found_in_an_address() {
        let of = |path: &str| {
            let text = format!(r#"{{"id":"a","path":"{path}","slotsNumber":2,"freeSlots":2}}"#);
            let one: TaskManager = serde_json::from_str(&text).unwrap();
            one.host().map(str::to_owned)
        };
        assert_eq!(of("pekko.tcp://flink@10.1.2.3:4567/user/rpc/taskmanager_0").as_deref(), Some("10.1.2.3"));
        assert_eq!(of("akka.tcp://flink@[fd00::1]:4567/user/rpc/taskmanager_0").as_deref(), Some("fd00::1"));
        assert_eq!(of("local"), None);
    }
}
