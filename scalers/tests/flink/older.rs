//! Both versions of Flink answer every question of the client, and the trigger on the older one.

use std::collections::BTreeMap;

use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::Endpoints;
use tidegate_scalers::flink::client::jobs::{JobState, Scheduler};
use tidegate_scalers::flink::client::{FlinkClient, FlinkError, JobId};

use crate::cluster::{Flink, NEWEST, OLDER, Plan, is_there};
use crate::trigger::{DEADLINE, Trigger, kind, near, until, value};

#[tokio::test(flavor = "multi_thread")]
async fn the_older_flink_is_read_as_well() {
    if !is_there(OLDER) {
        return;
    }
    let flink = Flink::start(&Plan::new(OLDER), 1);
    let job = flink.submit(2, &["--name", "enrich", "--rate", "200", "--work", "4000"]);
    flink.wait_until_running(&job);
    let endpoints = Endpoints::new();
    let open = |metric: &str| Trigger::new(&flink.url(), metric).with(&[("stabilization", "30s")]).open(&endpoints);
    // It does not say for how long all tasks run, but its subtasks do.
    let busy = open("busy");
    assert_eq!(kind(&value(&*busy).await), Some(ReadErrorKind::Settling));
    until("pending records", &*open("pendingRecords"), Result::is_ok).await;
    let before = until("0.4 busy", &*busy, |told| near(told, 400, 0.15)).await;
    assert!(!before.iter().any(|told| matches!(told, Ok((1000 | 0, _)))), "{before:?}");
    every_question_is_answered(&flink, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_flink_answers_every_question() {
    if !is_there(NEWEST) {
        return;
    }
    let mut flink = Flink::start(&Plan::new(NEWEST), 1);
    let job = flink.submit(2, &["--name", "enrich", "--rate", "200", "--work", "500"]);
    flink.wait_until_running(&job);
    // Rescaled once, so that there is something to tell of it.
    flink.stop_task_manager(1);
    flink.add_task_manager(2);
    flink.wait_until_running(&job);
    every_question_is_answered(&flink, &job).await;
    let client = client(&flink);
    let id: JobId = job.parse().unwrap();
    let history = client.rescale_history(&id, DEADLINE).await.unwrap();
    assert!(!history.is_empty());
    assert!(client.rescale(&id, &history[0].rescale_uuid, DEADLINE).await.is_ok());
    assert!(client.rescales_overview(&id, DEADLINE).await.is_ok());
    assert!(client.rescales_summary(&id, DEADLINE).await.is_ok());
    let config = client.rescales_config(&id, DEADLINE).await.unwrap();
    assert_eq!(config.submission_resource_stabilization_timeout_in_millis, Some(1000));
    assert_eq!(client.job(&id, DEADLINE).await.unwrap().scheduler, Some(Scheduler::Adaptive));
}

fn client(flink: &Flink) -> FlinkClient {
    let metadata = BTreeMap::from([("restUrl".to_owned(), flink.url())]);
    FlinkClient::open(&metadata, &BTreeMap::new(), &Endpoints::new()).unwrap()
}

async fn every_question_is_answered(flink: &Flink, job: &str) {
    let client = client(flink);
    let id: JobId = job.parse().unwrap();
    let overview = client.overview(DEADLINE).await.unwrap();
    assert_eq!((overview.task_managers, overview.slots_total), (1, 2));
    let features = client.api_config(DEADLINE).await.unwrap().features;
    assert!(features.web_rescale && features.web_submit);
    let jobs = client.jobs(DEADLINE).await.unwrap();
    assert!(jobs.iter().any(|one| one.id == id && one.name == "enrich"));
    assert_eq!(client.job_status(&id, DEADLINE).await, Ok(JobState::Running));
    let detail = client.job(&id, DEADLINE).await.unwrap();
    assert_eq!((detail.vertices.len(), detail.sources().count()), (2, 1));
    assert!(client.job_config(&id, DEADLINE).await.unwrap().execution_config.is_some());
    let config = client.checkpoint_config(&id, DEADLINE).await.unwrap();
    assert_eq!((config.interval, config.timeout), (Some(2_000), Some(20_000)));
    flink.eventually("a checkpoint is complete", || {
        let told = flink.get(&format!("/jobs/{job}/checkpoints"));
        (told["latest"]["completed"].is_object()).then_some(())
    });
    let checkpoints = client.checkpoints(&id, DEADLINE).await.unwrap();
    assert!(checkpoints.counts.completed > 0 && checkpoints.latest.completed.is_some());
    let requirements = client.requirements(&id, DEADLINE).await.unwrap();
    assert!(requirements.values().all(|each| each.parallelism.upper_bound == 2), "{requirements:?}");
    let managers = client.task_managers(DEADLINE).await.unwrap();
    assert_eq!((managers.len(), managers[0].host()), (1, Some("127.0.0.1")));
    let manager = client.task_manager(&managers[0].id, DEADLINE).await.unwrap();
    assert!(manager.allocated_slots.iter().all(|slot| slot.job_id == id));
    assert_eq!(client.jars(DEADLINE).await.unwrap().files.len(), 1);
    let settings = client.job_manager_config(DEADLINE).await.unwrap();
    assert_eq!(settings.get("jobmanager.scheduler"), Some("adaptive"));
    for vertex in &detail.vertices {
        let told = client.vertex(&id, &vertex.id, DEADLINE).await.unwrap();
        assert_eq!(told.subtasks.len(), 2);
        // Metrics come from the TaskManagers once in 10 s.
        flink.eventually("the vertex has metrics", || {
            let named = flink.get(&format!("/jobs/{job}/vertices/{}/metrics", vertex.id));
            named.as_array().is_some_and(|names| !names.is_empty()).then_some(())
        });
        assert!(!client.metric_names(&id, &vertex.id, DEADLINE).await.unwrap().is_empty());
        let unknown = client.metrics(&id, &vertex.id, &["busyTimeMsPerSecond", "nope"], DEADLINE).await;
        assert!(unknown.unwrap().is_empty(), "one unknown name, and Flink says nothing");
    }
    let stranger: JobId = format!("{:032x}", 1).parse().unwrap();
    let error = client.job(&stranger, DEADLINE).await.unwrap_err();
    let FlinkError::NotFound { cause, .. } = &error else { panic!("{error:?}") };
    assert!(cause.class.contains("NotFound"), "{cause:?}");
}
