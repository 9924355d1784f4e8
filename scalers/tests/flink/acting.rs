//! What the client changes, on a real Flink: checkpoints, savepoints, stops, runs, requirements; and what it says of a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_calculator::operation::action::Run;
use tidegate_calculator::operation::bounds::Bound;
use tidegate_calculator::operation::facts::{ClusterFacts, JobFacts, JobState, Scheduler, SnapshotFacts};
use tidegate_calculator::operation::spec::{CheckpointType, ClaimMode, Jar, SavepointFormat};
use tidegate_calculator::operation::{Class, Failure};
use tidegate_calculator::time::Span;
use tidegate_scalers::Endpoints;
use tidegate_scalers::flink::client::{FlinkClient, JobId, Progress, TriggerId};
use tokio::time::{Instant, sleep};

use crate::cluster::{Flink, NEWEST, OLDER, PATIENCE, Plan, is_there};
use crate::trigger::DEADLINE;

const OPTIONS: [&str; 6] = ["--name", "enrich", "--rate", "200", "--work", "500"];

fn client(flink: &Flink) -> FlinkClient {
    let metadata = BTreeMap::from([("restUrl".to_owned(), flink.url())]);
    FlinkClient::open(&metadata, &BTreeMap::new(), &Endpoints::new()).unwrap()
}

fn trigger(number: u32) -> TriggerId {
    format!("{number:032x}").parse().unwrap()
}

fn job(number: u32) -> JobId {
    format!("{:032x}", 0xf000 + number).parse().unwrap()
}

/// Asks until there is an end.
async fn ended<T, A>(mut ask: impl FnMut() -> A) -> Progress<T>
where
    A: Future<Output = Progress<T>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Progress::InProgress => {}
            end => return end,
        }
        assert!(begun.elapsed() < PATIENCE, "no end within {PATIENCE:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn completed<T: std::fmt::Debug>(progress: Progress<T>) -> T {
    match progress {
        Progress::Completed(result) => result,
        other => panic!("{other:?}"),
    }
}

fn failed<T: std::fmt::Debug>(progress: Progress<T>) -> Failure {
    match progress {
        Progress::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

async fn facts(client: &FlinkClient) -> ClusterFacts {
    let patterns = |name: &str| if name.starts_with("enr") { vec!["enr.*".to_owned()] } else { Vec::new() };
    client.facts(&patterns, DEADLINE).await.unwrap()
}

fn of<'a>(facts: &'a ClusterFacts, job: &JobId) -> &'a JobFacts {
    facts.jobs.iter().find(|one| one.id == job.as_str()).expect("the job is listed")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_flink_obeys() {
    if !is_there(NEWEST) {
        return;
    }
    // Checkpoints by itself come late, so that those of the test are the only ones.
    let plan = Plan::new(NEWEST).with("execution.checkpointing.interval", "1 h");
    let flink = Flink::start(&plan, 2);
    obeys(&flink, "DuplicateApplicationSubmissionException").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_flink_obeys() {
    if !is_there(OLDER) {
        return;
    }
    let flink = Flink::start(&Plan::new(OLDER).with("execution.checkpointing.interval", "1 h"), 2);
    obeys(&flink, "DuplicateJobSubmissionException").await;
}

async fn obeys(flink: &Flink, duplicate: &str) {
    let client = client(flink);
    let jar = flink.upload();
    let run = run(flink);
    assert_eq!(client.plan(&jar, &run, DEADLINE).await.unwrap().len(), 2);
    let error = client.plan(&jar, &Run { entry_class: Some("Nope".to_owned()), ..run.clone() }, DEADLINE).await;
    assert_eq!(error.unwrap_err().class(), Class::Transient, "a plan's own failures are told apart by whoever plans");
    let error = client.plan("nope.jar", &run, DEADLINE).await.unwrap_err();
    assert_eq!(error.class(), Class::Gone, "{error}");
    let first = job(1);
    assert_eq!(client.run(&jar, &first, &run, DEADLINE).await.unwrap(), first);
    flink.wait_until_running(first.as_str());
    let error = client.run(&jar, &first, &run, DEADLINE).await.unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    assert!(error.to_string().contains(duplicate) && error.to_string().len() < 500, "{error}");
    asks_for_less_and_more(flink, &client, &first).await;
    takes_a_checkpoint_once(&client, &first).await;
    says_why_a_savepoint_failed(&client, &first).await;
    let path = stops(flink, &client, &first).await;
    let second = job(2);
    let again = Run { savepoint: Some(path.clone()), parallelism: 3, ..run };
    client.run(&jar, &second, &again, DEADLINE).await.unwrap();
    flink.wait_until_running(second.as_str());
    let seen = facts(&client).await;
    let restored = of(&seen, &second).restored.as_ref().expect("it was restored");
    assert!(restored.savepoint, "{restored:?}");
    assert_eq!((restored.path.as_deref(), of(&seen, &second).parallelism()), (Some(path.as_str()), 3));
    assert_eq!(of(&seen, &first).state, JobState::Finished);
    ends(&client, &second, &path).await;
}

fn run(flink: &Flink) -> Run {
    let knobs = flink.path("knobs").display().to_string();
    let arguments = ["--dir", knobs.as_str()].into_iter().chain(OPTIONS);
    Run {
        jar: Jar::Name("records.jar".to_owned()),
        entry_class: Some("RecordsJob".to_owned()),
        program_args: arguments.map(str::to_owned).collect(),
        flink_configuration: Vec::new(),
        parallelism: 2,
        savepoint: None,
        claim_mode: ClaimMode::NoClaim,
        allow_non_restored_state: false,
    }
}

/// The checkpoint of this number, once it is listed as the newest.
async fn listed(client: &FlinkClient, job: &JobId, id: u64) -> SnapshotFacts {
    let begun = Instant::now();
    loop {
        let newest = of(&facts(client).await, job).completed.clone();
        if let Some(newest) = newest.clone().filter(|newest| newest.id == Some(id)) {
            return newest;
        }
        assert!(begun.elapsed() < PATIENCE, "within {PATIENCE:?} {newest:?} is not checkpoint {id}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Two triggers under one id are one checkpoint, known by its number, path and age.
async fn takes_a_checkpoint_once(client: &FlinkClient, job: &JobId) {
    let taken = |id: TriggerId| async move { client.checkpoint_taken(job, &id, DEADLINE).await.unwrap() };
    // Flink counts its checkpoints from one to the next, and its lists may be some seconds old: the numbers say how many there were.
    let earlier = trigger(0);
    client.trigger_checkpoint(job, &earlier, CheckpointType::Configured, DEADLINE).await.unwrap();
    let before = completed(ended(|| taken(earlier.clone())).await);
    let id = trigger(1);
    client.trigger_checkpoint(job, &id, CheckpointType::Configured, DEADLINE).await.unwrap();
    client.trigger_checkpoint(job, &id, CheckpointType::Configured, DEADLINE).await.unwrap();
    let first = completed(ended(|| taken(id.clone())).await);
    assert!(first.path.is_some() && first.completed < Span::seconds(20) && first.triggered >= first.completed);
    client.trigger_checkpoint(job, &id, CheckpointType::Configured, DEADLINE).await.unwrap();
    assert_eq!(completed(ended(|| taken(id.clone())).await).id, first.id, "the same one, also after its end");
    let full = trigger(2);
    client.trigger_checkpoint(job, &full, CheckpointType::Full, DEADLINE).await.unwrap();
    let second = completed(ended(|| taken(full.clone())).await);
    let after = |count: u64| before.id.map(|id| id + count);
    assert_eq!((first.id, second.id), (after(1), after(2)), "three triggers of one id and one of another: {before:?}");
    let newest = listed(client, job, second.id.unwrap()).await;
    assert_eq!(newest.path, second.path);
    let look = client.look(job, DEADLINE).await.unwrap();
    assert_eq!((look.state, look.completed.unwrap().id), (Some(JobState::Running), second.id));
    assert_eq!(client.poll_checkpoint(job, &trigger(99), DEADLINE).await.unwrap(), Progress::Unknown);
    let stranger = client.look(&self::job(77), DEADLINE).await.unwrap();
    assert_eq!(stranger.state, None, "a job that nobody knows is no failure");
    let error = client.job_status(&self::job(77), DEADLINE).await.unwrap_err();
    assert_eq!(error.class(), Class::Gone, "whatever the status of the answer is: {error}");
}

async fn says_why_a_savepoint_failed(client: &FlinkClient, job: &JobId) {
    let native = SavepointFormat::Native;
    let result = |job: JobId, number: u32| async move {
        client.savepoint_taken(&job, &trigger(number), DEADLINE).await.unwrap()
    };
    for (number, directory) in [(10, "file:///proc/nope/sp"), (11, "nowhere://bucket/sp")] {
        client.trigger_savepoint(job, &trigger(number), (Some(directory), native), DEADLINE).await.unwrap();
        let failure = failed(ended(|| result(job.clone(), number)).await);
        assert_eq!(failure.class, Class::Config, "{failure:?}");
        assert!(failure.text.chars().count() <= 300, "{failure:?}");
    }
    let stranger = self::job(99);
    client.trigger_savepoint(&stranger, &trigger(12), (None, native), DEADLINE).await.unwrap();
    assert_eq!(
        failed(ended(|| result(stranger.clone(), 12)).await).class,
        Class::Gone,
        "accepted, and told in the poll"
    );
    client.stop(job, &trigger(13), (Some("file:///proc/nope/sp"), native), DEADLINE).await.unwrap();
    assert_eq!(failed(ended(|| result(job.clone(), 13)).await).class, Class::Config);
}

/// Stops a job with a savepoint in a directory of our own, and gives its path.
async fn stops(flink: &Flink, client: &FlinkClient, job: &JobId) -> String {
    flink.wait_until_running(job.as_str());
    let directory = format!("file://{}/own", flink.path("savepoints").display());
    let stop = trigger(20);
    let order = || client.stop(job, &stop, (Some(&directory), SavepointFormat::Native), DEADLINE);
    order().await.unwrap();
    let taken = || async { client.savepoint_taken(job, &trigger(20), DEADLINE).await.unwrap() };
    let path = completed(ended(taken).await).path.unwrap();
    assert!(path.contains("/savepoints/own/savepoint-"), "{path}");
    order().await.unwrap();
    assert_eq!(completed(ended(taken).await).path.as_ref(), Some(&path), "the same id is the same stop");
    flink.eventually("the job has ended", || {
        (flink.get(&format!("/jobs/{job}/status"))["status"] == "FINISHED").then_some(())
    });
    let begun = Instant::now();
    loop {
        let look = client.look(job, DEADLINE).await.unwrap();
        if look.savepoint.as_ref().is_some_and(|one| one.path.as_ref() == Some(&path)) {
            break;
        }
        // What a job has to say of its snapshots is up to 3 s old.
        assert!(begun.elapsed() < PATIENCE, "it stays visible after the stop: {look:?}");
        sleep(Duration::from_millis(200)).await;
    }
    client.cancel(job, DEADLINE).await.unwrap();
    path
}

/// Requirements move the parallelism; what Flink would refuse is refused.
async fn asks_for_less_and_more(flink: &Flink, client: &FlinkClient, job: &JobId) {
    let seen = facts(client).await;
    assert_eq!((seen.scheduler, seen.web_submit, seen.web_rescale), (Scheduler::Adaptive, true, true));
    assert_eq!(seen.cooldown_after_rescaling, Some(Span::seconds(1)), "as the settings say");
    assert_eq!(seen.submission_stabilization, Some(Span::seconds(1)));
    let before = of(&seen, job);
    assert!(before.ready() && !before.batch && before.patterns == ["enr.*"], "{before:?}");
    assert_eq!((before.restarts, before.failed_in_a_row), (Some(0), 0));
    let checkpointing = before.checkpointing.unwrap();
    assert_eq!((checkpointing.interval, checkpointing.timeout), (Some(Span::seconds(3600)), Span::seconds(20)));
    assert!(before.vertices.iter().all(|vertex| vertex.upper == Some(2) && vertex.max_parallelism >= 2), "{before:?}");
    let bounds = |upper: u32| -> Vec<Bound> {
        before.vertices.iter().map(|vertex| Bound { vertex: vertex.id.clone(), upper }).collect()
    };
    client.put_requirements(job, &bounds(1), DEADLINE).await.unwrap();
    rescales(flink, client, job, (1, 30)).await;
    let refused = client.put_requirements(job, &bounds(1)[..1], DEADLINE).await.unwrap_err();
    assert_eq!(refused.class(), Class::Config, "a vertex is missing: {refused}");
    let refused = client.put_requirements(job, &bounds(40_000), DEADLINE).await.unwrap_err();
    assert_eq!(refused.class(), Class::Config, "more than the maximum: {refused}");
    let refused = client.put_requirements(job, &bounds(0), DEADLINE).await.unwrap_err();
    assert_eq!(refused.class(), Class::Config, "never sent: {refused}");
    let gone = client.put_requirements(&self::job(88), &bounds(1), DEADLINE).await.unwrap_err();
    assert_eq!(gone.class(), Class::Gone, "{gone}");
    client.put_requirements(job, &bounds(2), DEADLINE).await.unwrap();
    rescales(flink, client, job, (2, 60)).await;
}

/// The job comes to this parallelism. It waits for a checkpoint to do so, and by itself the next one comes in an hour; one that completes while
/// the scheduler rests after its last rescale, or has no slots yet, is passed over. `trigger` numbers the first of them.
async fn rescales(flink: &Flink, client: &FlinkClient, job: &JobId, (parallelism, first): (u64, u32)) {
    let rescaled = || {
        let detail = flink.try_get(&format!("/jobs/{job}")).ok()?;
        let all = |one: &serde_json::Value| one["parallelism"] == parallelism && one["tasks"]["RUNNING"] == parallelism;
        detail["vertices"].as_array()?.iter().all(all).then_some(())
    };
    let begun = Instant::now();
    for number in first.. {
        let _ = client.trigger_checkpoint(job, &trigger(number), CheckpointType::Configured, DEADLINE).await;
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(8) {
            if rescaled().is_some() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        assert!(begun.elapsed() < PATIENCE, "not rescaled to {parallelism} within {PATIENCE:?}: {}", flink.logs());
    }
}

/// A job is cancelled, as often as one likes; a savepoint is deleted likewise.
async fn ends(client: &FlinkClient, job: &JobId, path: &str) {
    client.cancel(job, DEADLINE).await.unwrap();
    let begun = Instant::now();
    while of(&facts(client).await, job).state.live() {
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(200)).await;
    }
    client.cancel(job, DEADLINE).await.unwrap();
    client.cancel(&self::job(55), DEADLINE).await.unwrap();
    client.dispose(path, DEADLINE).await.unwrap();
    client.dispose(path, DEADLINE).await.unwrap();
    let local = path.trim_start_matches("file:");
    assert!(!std::path::Path::new(local).exists(), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobmanager_that_is_away_is_told_apart_from_one_that_says_no() {
    if !is_there(NEWEST) {
        return;
    }
    let mut flink = Flink::start(&Plan::new(NEWEST), 1);
    let client = client(&flink);
    // It takes connections and says nothing: an order may have been obeyed.
    flink.hang();
    let error = client.cancel(&job(1), Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(error.class(), Class::Lost, "{error}");
    flink.go_on();
    flink.kill_job_manager();
    let error = client.cancel(&job(1), DEADLINE).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable, "nobody listens: {error}");
}
