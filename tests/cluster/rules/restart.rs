//! `kill -9` of the operator while rules wait: short durations begin anew, everything that was stored goes on.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::operator::until_held;
use super::table::{TABLE, scene, table};
use super::{BACKPRESSURE, BUSY, HEARD, PENDING, Scaled, Scene, due, stays, until_counts};

/// Killed when 10 s are almost over. They begin anew when the next one has the Lease, which is after they would have been over.
pub(super) fn short_duration() {
    let scene = scene("short", 3);
    // Closed, so that nothing is lowered before this test knows that everything is read.
    scene.say(BACKPRESSURE, 900);
    let asked = scene.space.watch("app");
    let account = scene.account();
    let operator = account.start();
    let first = until_held(&scene.space, None);
    scene.until_explained(&operator, "app", &["closed, forbids lowering"]);
    let closed =
        |record: &serde_json::Value| record["status"]["checkpoint"].as_str().is_some_and(|text| !text.is_empty());
    scene.space.until("scalerecords", "app", "what is remembered", closed);
    scene.say(PENDING, 50_000);
    scene.until_explained(&operator, "app", &["50 < 100 for 5"]);
    operator.kill();

    // That the gate is closed is remembered: 0.6 is between what closes and what opens it.
    scene.say(BACKPRESSURE, 600);
    let operator = account.start();
    let acquired = takes_over(&scene, &first);
    let text = scene.until_explained(&operator, "app", &["backpressure 0.6, closed", "50 < 100 for "]);
    let young = Timestamp::now().duration_since(acquired) < SignedDuration::from_secs(9);
    assert!(!young || text.contains("from "), "10 s have not passed yet:\n{text}");
    let released = scene.say(BACKPRESSURE, 400);
    let lowered = until_counts(&asked, &[3, 2])[1];
    let anew = acquired + SignedDuration::from_secs(10);
    due("one less", lowered, anew.max(released + SignedDuration::from_secs(3)), 0, SignedDuration::ZERO);
}

/// 45 s after a raise, whoever does it. A cooldown that had begun anew would end at least 15 s later: so long the Lease is not free.
pub(super) fn direction_cooldown() {
    const COOLDOWN: i64 = 45;
    let scene = scene("direction", 2);
    let mut rules = table();
    rules["directionCooldown"] = json!({"scaleDownAfterScaleUp": format!("{COOLDOWN}s")});
    scene.policy(&rules);
    scene.scale(Scaled { max: 3, ..TABLE }, 2);
    let asked = scene.space.watch("app");
    let account = scene.account();
    let operator = account.start();
    let first = until_held(&scene.space, None);
    scene.say(BUSY, 900);
    let raised = until_counts(&asked, &[2, 3])[1];
    scene.say(BUSY, 500);
    scene.say(PENDING, 50_000);
    let written = |record: &serde_json::Value| record["status"]["lastChange"]["to"] == 3;
    scene.space.until("scalerecords", "app", "the record of the change", written);
    operator.kill();

    let operator = account.start();
    let _ = takes_over(&scene, &first);
    scene.until_explained(&operator, "app", &["directionCooldown", "wanted 2 until "]);
    let lowered = until_counts(&asked, &[2, 3, 2])[2];
    due("one less", lowered, raised, COOLDOWN, HEARD);
    stays(&asked, &operator, 2);
}

/// Waits until somebody else has the Lease: since when.
fn takes_over(scene: &Scene, before: &str) -> Timestamp {
    until_held(&scene.space, Some(before));
    let lease = scene.space.get("leases", "tidegate").expect("a Lease");
    lease["spec"]["acquireTime"].as_str().expect("a time").parse().unwrap()
}
