//! How many TaskManagers a real job is found to need.

use tidegate_calculator::source::{MetricType, Milli, Occasion, ReadErrorKind};
use tidegate_scalers::Endpoints;

use crate::cluster::{Flink, NEWEST, Plan, is_there};
use crate::trigger::{DEADLINE, Trigger, kind, until, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_keep_up_needs_what_it_lacks() {
    if !is_there(NEWEST) {
        return;
    }
    let flink = Flink::start(&Plan::new(NEWEST), 1);
    // 400 a second come, and 2 subtasks that take 8 ms for each do 250.
    let job = flink.submit(2, &["--name", "enrich", "--rate", "400", "--work", "8000"]);
    flink.wait_until_running(&job);
    let spans = [("stabilization", "20s"), ("window", "20s"), ("scaleDownDelay", "10s")];
    let trigger = Trigger::new(&flink.url(), "").without(&["metric", "targetValue"]);
    let trigger = trigger.with(&[("mode", "demand")]).with(&spans);
    let endpoints = Endpoints::new();
    let demand = trigger.open(&endpoints);
    assert_eq!(kind(&value(&*demand).await), Some(ReadErrorKind::Settling));
    // 400/0.7 and 400 * 5/30 for the restart are 638, and what waits is some 150 * 60 in 30 min, 5 more: 2 * 643/250 is 5.1, so 6 subtasks
    // share 24 key groups evenly, which are 3 TaskManagers with 2 slots. Until the window is full it is the one that there is.
    let before = until("3 TaskManagers", &*demand, |told| *told == Ok((3000, true))).await;
    let values: Vec<i64> = before.iter().filter_map(|told| told.as_ref().ok()).map(|(value, _)| *value).collect();
    assert!(values.first() == Some(&1000), "{before:?}");
    let readings = demand.read(Occasion::Check, DEADLINE).await.unwrap();
    let metric = &readings[0].0;
    assert_eq!((metric.target, metric.metric_type, metric.exact), (Milli(1000), MetricType::AverageValue, true));
    // Another one of the same object finds what was seen, although it is new.
    assert_eq!(value(&*trigger.open(&endpoints)).await, Ok((3000, true)));
    // A stranger knows nothing yet.
    assert_eq!(value(&*trigger.open(&Endpoints::new())).await, Ok((1000, true)));
    // Each record takes a fortieth of that, so the backlog is soon gone and 2 slots are enough.
    flink.knob("work-us", 200);
    until("1 TaskManager", &*demand, |told| *told == Ok((1000, true))).await;
    // With the cluster's slots cut in another way, the same demand is another number.
    flink.knob("work-us", 8000);
    let of_one = trigger.with(&[("slotsPerTaskManager", "1")]).open(&endpoints);
    until("6 TaskManagers", &*of_one, |told| *told == Ok((6000, true))).await;
}
