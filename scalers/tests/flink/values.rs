//! What the trigger reads of a job whose knobs say what is right.

use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::{Endpoints, Scaler};

use crate::cluster::{Flink, NEWEST, Plan, is_there};
use crate::trigger::{Told, Trigger, kind, near, until, value};

/// 400 records a second that take 4 ms each keep 4 subtasks busy for 0.4 of their time.
const OPTIONS: [&str; 6] = ["--name", "enrich", "--rate", "400", "--work", "4000"];

/// Long enough that what Flink says of a restarted job is true, on a machine with much to do as well.
const STABLE: (&str, &str) = ("stabilization", "30s");

/// A cluster with one job, and the triggers on it.
struct Bench {
    flink: Flink,
    url: String,
    endpoints: Endpoints,
}

impl Bench {
    fn trigger(&self, metric: &str) -> Trigger {
        Trigger::new(&self.url, metric)
    }

    fn open(&self, metric: &str) -> Box<dyn Scaler> {
        self.trigger(metric).open(&self.endpoints)
    }

    /// One that settles for half a minute.
    fn stable(&self, metric: &str) -> Box<dyn Scaler> {
        self.trigger(metric).with(&[STABLE]).open(&self.endpoints)
    }

    /// One on the whole cluster.
    fn of_cluster(&self, metric: &str) -> Box<dyn Scaler> {
        self.trigger(metric).without(&["job"]).open(&self.endpoints)
    }

    fn unavailable(&self, what: &str) -> Told {
        Err((ReadErrorKind::Unavailable, format!("Flink at {}: {what}", self.url)))
    }
}

fn is(told: &Told, value: i64) -> bool {
    *told == Ok((value, value > 0))
}

fn is_above(told: &Told, value: i64) -> bool {
    told.as_ref().is_ok_and(|(read, _)| *read > value)
}

fn settles(told: &Told) -> bool {
    kind(told) == Some(ReadErrorKind::Settling)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_does_is_read_and_only_once_it_means_something() {
    if !is_there(NEWEST) {
        return;
    }
    let plan = Plan::new(NEWEST).with("execution.checkpointing.tolerable-failed-checkpoints", "1000");
    let flink = Flink::start(&plan, 2);
    let mut bench = Bench { url: flink.url(), flink, endpoints: Endpoints::new() };
    let job = begins(&bench).await;
    is_right_once_it_settled(&bench).await;
    waits_exactly(&bench).await;
    is_held_back(&bench).await;
    fails_to_checkpoint(&bench).await;
    restarts(&mut bench).await;
    is_one_of_two(&bench, &job).await;
}

/// Before a job is there slots are counted, and of a job nothing is known. Slots and checkpoints count as soon as it runs.
async fn begins(bench: &Bench) -> String {
    let [slots, used, free] = ["slots", "slotsUsed", "slotsFree"].map(|metric| bench.of_cluster(metric));
    assert!(is(&value(&*slots).await, 4000) && is(&value(&*used).await, 0) && is(&value(&*free).await, 4000));
    let busy = bench.stable("busy");
    assert_eq!(value(&*busy).await, bench.unavailable("there is no job \"enrich\""));
    let job = bench.flink.submit(4, &OPTIONS);
    bench.flink.wait_until_running(&job);
    assert!(settles(&value(&*busy).await));
    until("all slots are used", &*used, |told| is(told, 4000)).await;
    assert!(is(&value(&*free).await, 0));
    until("failed checkpoints count at once", &*bench.open("failedCheckpoints"), |told| is(told, 0)).await;
    job
}

/// Pending records count as soon as Flink has fetched metrics once, ratios and rates later; none is ever false.
async fn is_right_once_it_settled(bench: &Bench) {
    let busy = bench.stable("busy");
    until("pending records", &*bench.open("pendingRecords"), Result::is_ok).await;
    let before = until("0.4 busy", &*busy, |told| near(told, 400, 0.15)).await;
    assert!(before.iter().any(settles), "30 s were not over: {before:?}");
    assert!(!before.iter().any(|told| matches!(told, Ok((1000 | 0, _)))), "{before:?}");
    until("0.6 idle", &*bench.stable("idle"), |told| near(told, 600, 0.15)).await;
    until("not held back", &*bench.stable("backpressure"), |told| told.is_ok() && !is_above(told, 100)).await;
    // 400 a second at 0.4 busy are 1000 a second. Flink's rates are means of a minute.
    until("1000 a second", &*bench.stable("trueProcessingRate"), |told| near(told, 1_000_000, 0.2)).await;
}

/// What waits is exact once nothing moves.
async fn waits_exactly(bench: &Bench) {
    let pending = bench.open("pendingRecords");
    bench.flink.knob("rate", 0);
    until("all is read", &*pending, |told| is(told, 0)).await;
    bench.flink.knob("hold", "");
    bench.flink.knob("written", 1234);
    until("1234 records wait", &*pending, |told| is(told, 1_234_000)).await;
    let of_source = |name: &str| bench.trigger("pendingRecords").with(&[("sources", name)]);
    assert!(is(&value(&*of_source("Source: records").open(&bench.endpoints)).await, 1_234_000));
    for absent in ["returns", "records,returns"] {
        assert_eq!(kind(&of_source(absent).read().await), Some(ReadErrorKind::Config), "a sum with a gap is none");
    }
}

/// One record takes 100 ms, so what comes after the source is busy all the time and the source is held back.
async fn is_held_back(bench: &Bench) {
    bench.flink.knob("work-us", 100_000);
    bench.flink.knob("rate", 4000);
    bench.flink.release("hold");
    until("the source is held back", &*bench.stable("backpressure"), |told| is_above(told, 800)).await;
    until("the counter is busy", &*bench.stable("busy"), |told| is_above(told, 950)).await;
    // Checkpoints cannot pass a backlog in time, so it is worked off.
    bench.flink.knob("work-us", 1);
    for name in ["rate", "written"] {
        bench.flink.release(name);
    }
    let few = |told: &Told| told.is_ok() && !is_above(told, 1_000_000);
    until("the backlog is gone", &*bench.open("pendingRecords"), few).await;
    bench.flink.release("work-us");
}

/// Checkpoints fail one after another, and the newest complete one grows old.
async fn fails_to_checkpoint(bench: &Bench) {
    let (failed, age) = (bench.open("failedCheckpoints"), bench.open("checkpointAge"));
    bench.flink.knob("fail-ckpt", "");
    until("two checkpoints fail", &*failed, |told| is_above(told, 1000)).await;
    until("the state grows old", &*age, |told| is_above(told, 5000)).await;
    bench.flink.release("fail-ckpt");
    until("a checkpoint is complete", &*failed, |told| is(told, 0)).await;
}

/// A TaskManager is gone: the job restarts on what is left, and begins to settle anew.
async fn restarts(bench: &mut Bench) {
    bench.flink.stop_task_manager(2);
    let busy = bench.stable("busy");
    until("it settles again", &*busy, settles).await;
    until("pending records are back", &*bench.open("pendingRecords"), Result::is_ok).await;
    assert!(settles(&value(&*busy).await), "ratios are not");
    until("two slots", &*bench.of_cluster("slots"), |told| is(told, 2000)).await;
}

/// Two jobs of one name are none; without any it is said how the last one ended.
async fn is_one_of_two(bench: &Bench, job: &str) {
    let pending = bench.open("pendingRecords");
    let other = bench.flink.submit(1, &OPTIONS);
    let before = until("two jobs of one name", &*pending, |told| kind(told) == Some(ReadErrorKind::Config)).await;
    assert!(before.len() < 60, "noticed within 10 s: {before:?}");
    let by_id = bench.trigger("failedCheckpoints").with(&[("job", job)]);
    assert!(by_id.read().await.is_ok(), "an id is enough");
    bench.flink.cancel(&other);
    bench.flink.cancel(job);
    let ended = bench.unavailable("job \"enrich\" is CANCELED");
    until("the job is gone", &*pending, |told| *told == ended).await;
}
