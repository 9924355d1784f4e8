//! Busy tasks add a replica, an empty backlog takes one away, and backpressure forbids that: the table that people use for Flink.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{BACKPRESSURE, BUSY, HEARD, PENDING, Scaled, Scene, due, stays, until_counts};

/// The triggers of the table. Their targets count for nothing, because steps and a signal have none.
pub(super) const TABLE: Scaled<'_> = Scaled {
    name: "app",
    triggers: &[(BUSY, "1"), (PENDING, "100"), (BACKPRESSURE, "1")],
    policy: "rules",
    polling: 1,
    max: 4,
    windows: true,
};

/// Busy > 0.8 for 6 s: one more, at most every 8 s. Pending < 100 for 10 s: one less, at most every 10 s. Backpressure > 0.7 forbids that,
/// until it has been < 0.5 for 3 s.
pub(super) fn table() -> Value {
    json!({
        "triggers": [
            {"name": "busy", "steps": [{"above": "0.8", "for": "6s", "change": "+1", "every": "8s"}]},
            {"name": "pending", "steps": [{"below": "100", "for": "10s", "change": "-1", "every": "10s"}]},
            {"name": "backpressure", "role": "Signal"},
        ],
        "gates": [{
            "name": "backpressure", "trigger": "backpressure", "above": "0.7", "release": {"below": "0.5", "for": "3s"},
            "block": "ScaleDown",
        }],
    })
}

/// A scene with the table: at rest, 500 records wait, and nothing holds them up.
pub(super) fn scene(purpose: &str, replicas: u32) -> Scene {
    let scene = Scene::new(purpose);
    scene.say(BUSY, 500);
    scene.say(PENDING, 500_000);
    scene.say(BACKPRESSURE, 100);
    scene.policy(&table());
    scene.scale(TABLE, replicas);
    scene
}

pub(super) fn acts() {
    let scene = scene("table", 2);
    let asked = scene.space.watch("app");
    let audit = scene.space.plane().audit();
    let begun = audit.now();
    let operator = scene.account().start();
    scene.until_explained(&operator, "app", &["stays 2", "gate backpressure", "open"]);
    stays(&asked, &operator, 2);

    // Held before its time, with the time that has passed in every text.
    let busy = scene.say(BUSY, 900);
    scene.until_explained(&operator, "app", &["stays 2", "0.9 > 0.8 for ", " of 6 s", "from ", "busy     holds"]);
    let at = until_counts(&asked, &[2, 3]);
    due("one more", at[1], busy, 6, SignedDuration::ZERO);
    scene.until_event("app", "SuccessfulRescale", &["busy 0.9 > 0.8 for ", " of 6 s wants 3"]);
    let json = scene.explained_as(&operator, "app", "json");
    assert!(json.contains("0.9 > 0.8 for ") && json.contains(" of 6 s"), "{json}");
    // After the change 6 s begin anew, and after a raise 8 s must pass.
    let at = until_counts(&asked, &[2, 3, 4]);
    due("another one", at[2], at[1], 8, HEARD);
    stays(&asked, &operator, 3);

    // Nothing waits any more, but tasks cannot send.
    scene.say(BACKPRESSURE, 900);
    scene.until_explained(&operator, "app", &["closed, forbids lowering"]);
    scene.say(BUSY, 500);
    scene.say(PENDING, 50_000);
    // 10 s and no removal: it wants 3 from then on.
    scene.until_explained(&operator, "app", &["50 < 100 for ", " of 10 s", "gate backpressure", "wanted 3"]);
    stays(&asked, &operator, 4);
    // Between the two thresholds it stays closed.
    scene.say(BACKPRESSURE, 600);
    scene.until_explained(&operator, "app", &["backpressure 0.6, closed"]);
    stays(&asked, &operator, 5);
    let released = scene.say(BACKPRESSURE, 400);
    let at = until_counts(&asked, &[2, 3, 4, 3]);
    due("one less", at[3], released, 3, SignedDuration::ZERO);
    scene.until_event("app", "SuccessfulRescale", &["pending 50 < 100 for ", " of 10 s wants 3"]);
    let at = until_counts(&asked, &[2, 3, 4, 3, 2]);
    due("another one less", at[4], at[3], 10, HEARD);

    let writes = operator.requests(begun).writes().of("deployments/scale");
    assert_eq!(writes.count(), 4, "one write a change: {writes}\n{}", operator.log());
}

/// Nothing waits, but of one trigger after the other nothing is known.
pub(super) fn unreadable() {
    let scene = scene("unreadable", 3);
    scene.say(PENDING, 50_000);
    scene.fail(BUSY);
    let asked = scene.space.watch("app");
    let operator = scene.account().start();
    // It lowers if nobody keeps it.
    scene.until_explained(&operator, "app", &["50 < 100 for ", " of 10 s", "lowers"]);
    let text = scene.until_explained(&operator, "app", &["1 without a value, nothing is lowered"]);
    assert!(text.contains("busy"), "{text}");
    stays(&asked, &operator, 4);

    // The gate's trigger: nobody knows whether it should be closed.
    scene.fail(BACKPRESSURE);
    scene.until_explained(&operator, "app", &["gate backpressure", "no value, unknown, forbids lowering"]);
    scene.say(BUSY, 500);
    scene.until_explained(&operator, "app", &["0.5, not > 0.8", "wanted 2"]);
    stays(&asked, &operator, 4);

    // The one that lowers: the others may still raise.
    scene.fail(PENDING);
    scene.say(BUSY, 900);
    let at = until_counts(&asked, &[3, 4]);
    scene.say(BUSY, 500);
    scene.say(BACKPRESSURE, 100);
    scene.until_explained(&operator, "app", &["backpressure 0.1, open"]);
    stays(&asked, &operator, 4);
    assert_eq!(asked.changes().len(), at.len());

    // And when all is known, what is due is done: 10 s after the change.
    let known = scene.say(PENDING, 50_000);
    let lowered = until_counts(&asked, &[3, 4, 3])[2];
    let since = at[1] + SignedDuration::from_secs(10);
    assert!(lowered >= since - HEARD, "{lowered} is before {since}");
    due("one less", lowered, known.max(since), 0, HEARD);
}
