//! What the scripted JobManager answers, in the form in which a real Flink 2.3 was seen to answer.

use serde_json::{Value, json};

use super::scripted_job::{Job, MOST, Snap, State, Trigger, VERTICES};
use super::scripted_world::{SLOTS, World};

/// The time that stands for "never".
const NEVER: i64 = i64::MAX;

/// `GET /config`.
pub(super) fn config(world: &World) -> Value {
    json!({
        "refresh-interval": 3000, "flink-version": "2.3.0", "flink-revision": "c0f8d1a @ 2026-06-14T16:29:03+02:00",
        "features": {"web-submit": true, "web-cancel": true, "web-rescale": world.manners.adaptive, "web-history": false},
    })
}

/// `GET /jobmanager/config`: no pause between two changes, and none after a loss.
pub(super) fn settings(world: &World) -> Value {
    let setting = |key: &str, value: &str| json!({"key": key, "value": value});
    let scheduler = if world.manners.adaptive { "adaptive" } else { "default" };
    json!([
        setting("jobmanager.scheduler", scheduler),
        setting("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "0 s"),
        setting("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "0 s"),
    ])
}

/// `GET /taskmanagers`. A TaskManager's id is its pod's name.
pub(super) fn task_managers(world: &World, now: i64) -> Value {
    let free = world.free();
    let one = |(name, number): (&String, &u32)| {
        let free = free.iter().filter(|slot| *slot == name).count();
        json!({
            "id": name, "path": format!("pekko.tcp://flink@10.9.{}.{}:34811/user/rpc/taskmanager_0", number / 250, number % 250),
            "dataPort": 40201, "jmxPort": -1, "timeSinceLastHeartbeat": now, "slotsNumber": SLOTS, "freeSlots": free,
        })
    };
    json!({ "taskmanagers": world.managers.iter().map(one).collect::<Vec<_>>() })
}

/// `GET /overview`.
pub(super) fn overview(world: &World) -> Value {
    let managers = u32::try_from(world.managers.len()).unwrap();
    let live = world.jobs.iter().filter(|job| job.state.live()).count();
    json!({
        "taskmanagers": managers, "slots-total": managers * SLOTS, "slots-available": world.free().len(),
        "jobs-running": live, "flink-version": "2.3.0",
    })
}

/// `GET /jobs/overview`.
pub(super) fn jobs(world: &World) -> Value {
    let scheduler = if world.manners.adaptive { "Adaptive" } else { "Default" };
    let one = |job: &Job| {
        let tasks = running(job) * u32::try_from(VERTICES.len()).unwrap();
        json!({
            "jid": job.id, "name": job.name, "jobType": "STREAMING", "schedulerType": scheduler, "start-time": job.begun,
            "end-time": -1, "state": job.state.name(), "tasks": {"running": tasks, "total": tasks},
        })
    };
    json!({ "jobs": world.jobs.iter().map(one).collect::<Vec<_>>() })
}

fn running(job: &Job) -> u32 {
    if job.state == State::Running { job.parallelism } else { 0 }
}

/// `GET /jobs/:id`.
pub(super) fn job(job: &Job, adaptive: bool, now: i64) -> Value {
    let scheduler = if adaptive { "Adaptive" } else { "Default" };
    let vertices = VERTICES.iter().map(|(id, name)| {
        json!({
            "id": id, "slotSharingGroupId": "ff356886ef898b63aebbb92690815d96", "name": name, "maxParallelism": MOST,
            "parallelism": job.parallelism, "status": job.state.name(), "start-time": job.begun,
            "tasks": {"RUNNING": running(job), "CREATED": job.parallelism - running(job)},
        })
    });
    let (source, sink) = (VERTICES[0].0, VERTICES[1].0);
    json!({
        "jid": job.id, "name": job.name, "isStoppable": false, "state": job.state.name(), "job-type": "STREAMING",
        "schedulerType": scheduler, "start-time": job.begun, "end-time": -1, "maxParallelism": MOST, "now": now,
        "timestamps": {"INITIALIZING": job.begun, "CREATED": job.begun, "RUNNING": job.begun},
        "vertices": vertices.collect::<Vec<_>>(),
        "plan": {"nodes": [{"id": source}, {"id": sink, "inputs": [{"id": source, "ship_strategy": "HASH"}]}]},
    })
}

/// `GET /jobs/:id/checkpoints`. While a job restarts all of it reads as nothing.
pub(super) fn checkpoints(job: &Job) -> Value {
    let nothing = json!({"avg": "NaN", "p50": "NaN", "p95": "NaN", "max": "NaN"});
    if job.state.live() && job.state != State::Running {
        return json!({
            "counts": {"restored": 0, "total": 0, "in_progress": 0, "completed": 0, "failed": 0},
            "summary": {"end_to_end_duration": nothing},
            "latest": {"completed": null, "savepoint": null, "failed": null, "restored": null}, "history": [],
        });
    }
    let newest = |savepoint| job.newest(savepoint).map(snapshot);
    let failed = |(id, at): &(u64, i64)| json!({"id": id, "status": "FAILED", "is_savepoint": false, "trigger_timestamp": at, "failure_message": "it failed"});
    let restored = job.restored.as_ref().map(|restored| {
        json!({
            "id": restored.id, "restore_timestamp": restored.at, "is_savepoint": restored.savepoint,
            "external_path": restored.path,
        })
    });
    let mut history: Vec<Value> = job.snaps.iter().map(snapshot).chain(job.failed.iter().map(failed)).collect();
    history.sort_by_key(|one| std::cmp::Reverse(one["id"].as_u64()));
    history.truncate(10);
    json!({
        "counts": {
            "restored": job.restarts, "total": job.snaps.len() + job.failed.len(), "in_progress": 0,
            "completed": job.snaps.len(), "failed": job.failed.len(),
        },
        "summary": {"end_to_end_duration": nothing},
        "latest": {
            "completed": newest(false), "savepoint": newest(true), "failed": job.failed.last().map(failed), "restored": restored,
        },
        "history": history,
    })
}

fn snapshot(snap: &Snap) -> Value {
    json!({
        "className": "completed", "id": snap.id, "status": "COMPLETED", "is_savepoint": snap.savepoint,
        "trigger_timestamp": snap.triggered, "latest_ack_timestamp": snap.completed,
        "end_to_end_duration": snap.completed - snap.triggered, "external_path": snap.path, "discarded": false,
    })
}

/// `GET /jobs/:id/checkpoints/config`.
pub(super) fn checkpoint_config(world: &World) -> Value {
    json!({
        "mode": "exactly_once", "interval": world.manners.interval.unwrap_or(NEVER), "timeout": world.manners.timeout,
        "tolerable_failed_checkpoints": 3, "state_backend": "HashMapStateBackend", "unaligned_checkpoints": true,
    })
}

/// What became of a snapshot, under the name that its kind's answers have for a failure.
pub(super) fn progress(trigger: &Trigger, cause: &str) -> Value {
    let operation = match &trigger.end {
        None => return json!({"status": {"id": "IN_PROGRESS"}, "operation": null}),
        Some(Ok(snap)) if snap.savepoint => json!({ "location": snap.path }),
        Some(Ok(snap)) => json!({ "checkpointId": snap.id }),
        Some(Err(text)) => {
            let class = "java.util.concurrent.CompletionException";
            let trace = format!(
                "{class}: org.apache.flink.runtime.checkpoint.CheckpointException: it failed\n\tat a.b.C(C.java:1)\nCaused by: {text}\n"
            );
            json!({ cause: {"class": class, "stack-trace": trace} })
        }
    };
    json!({"status": {"id": "COMPLETED"}, "operation": operation})
}

/// What a job asks for.
pub(super) fn requirements(job: &Job) -> Value {
    let one =
        |(id, upper): (&String, &u32)| (id.clone(), json!({"parallelism": {"lowerBound": 1, "upperBound": upper}}));
    job.upper.iter().map(one).collect::<serde_json::Map<_, _>>().into()
}

/// An error in the form that Flink gives it.
pub(super) fn error(class: &str, text: &str) -> Value {
    json!({"errors": [format!("{class}: {text}\n\tat a.b.C(C.java:1)\n")]})
}
