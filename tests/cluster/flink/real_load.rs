//! The table that people use for Flink, on what a real job says of itself: a busy job gets a TaskManager, one that has caught up gives it
//! back, backpressure forbids that; and every change is an operation with a checkpoint.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::fleet::{Fleet, JOB, NAME, POLICY};
use super::trial_with_flink;
use crate::flink::server::{NEWEST, Plan};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_flink("flink::load::a_busy_job_grows_and_shrinks_around_checkpoints", grows_and_shrinks)]
}

/// Busy, pending and backpressure, as `deploy/samples/flink-safe.yaml` has them; ratios count after 10 s instead of a minute.
fn triggers(fleet: &Fleet) -> Value {
    let trigger = |name: &str, metric: &str, target: &str| {
        json!({
            "type": "flink", "name": name, "metricType": "Value",
            "metadata": {
                "restUrl": fleet.flink.url(), "job": JOB, "metric": metric, "targetValue": target, "stabilization": "10s",
            },
        })
    };
    json!([
        trigger("busy", "busy", "0.8"),
        trigger("pending", "pendingRecords", "10000"),
        trigger("backpressure", "backpressure", "1"),
    ])
}

/// The rules of that file with short durations.
fn rules() -> Value {
    json!({
        "triggers": [
            {"name": "busy", "steps": [{"above": "0.8", "for": "4s", "change": "+1"}]},
            {"name": "pending", "steps": [{"below": "100", "for": "12s", "change": "-1"}]},
            {"name": "backpressure", "role": "Signal"},
        ],
        "gates": [{
            "name": "backpressure", "trigger": "backpressure", "above": "0.7", "release": {"below": "0.5", "for": "3s"},
            "block": "ScaleDown",
        }],
        "directionCooldown": {"scaleDownAfterScaleUp": "10s", "scaleUpAfterScaleDown": "5s"},
    })
}

fn grows_and_shrinks() {
    // Under backpressure a usual checkpoint waits behind all that waits already, just when growth is needed: docs/flink.md.
    let plan = Plan::new(NEWEST).with("execution.checkpointing.interval", "3 s");
    let mut fleet = Fleet::start("load", &plan.with("execution.checkpointing.unaligned.enabled", "true"), 1);
    let job = fleet.submit(2, &json!({}));
    fleet.policy_with(
        &json!({
            "restUrl": fleet.flink.url(), "strategy": "Auto", "checkpoint": {"maxAge": "30s"},
            "verify": {"timeout": "2m", "maxRestarts": 3},
        }),
        &rules(),
    );
    fleet.scale_by(Some(POLICY), (1, 2), &triggers(&fleet));
    let asked = fleet.space.watch(NAME);
    fleet.start_operator();

    // 20 ms a record: two slots work off 100 a second, and four 200, while 400 come.
    fleet.flink.knob("work-us", "20000");
    let out = fleet.operations.ended(1);
    println!("out: {:.1?}", out.phases());
    assert_eq!((out.phase.as_str(), out.last()["strategy"].as_str()), ("Done", Some("Checkpoint")), "{:#}", out.last());
    assert_eq!((asked.counts(), fleet.parallelism(&job)), (vec![1, 2], vec![4, 4]));
    // It is still behind, and must not lose a TaskManager by mistake.
    fleet.until_explained(&["stays 2", "gate backpressure", "closed, forbids lowering"]);

    // Nearly nothing comes any more. It works off what waits; then 12 s without anything that waits.
    fleet.flink.knob("work-us", "500");
    fleet.flink.knob("rate", "40");
    let inwards = fleet.operations.ended(2);
    println!("in: {:.1?}", inwards.phases());
    let state = inwards.last();
    assert_eq!((inwards.phase.as_str(), state["direction"].as_str()), ("Done", Some("ScaleDown")), "{state:#}");
    assert_eq!((asked.counts(), fleet.parallelism(&job)), (vec![1, 2, 1], vec![2, 2]));
    let restored = &fleet.checkpoints(&job)["latest"]["restored"];
    assert!(restored["id"].as_u64() >= Some(inwards.checkpoint()), "{restored} after {}", inwards.checkpoint());
    assert_eq!(restored["is_savepoint"], false, "{restored}");
    assert_eq!(fleet.live(), [job.as_str()], "it is the same job all the time");
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}
