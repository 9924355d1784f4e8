//! A schedule that begins while the operator runs: its minimum raises in the moment it begins, past a closed gate.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde_json::json;

use super::{LOAD, Scaled, Scene, due, stays, until_counts};

/// How long everything takes that must be there before the schedule begins.
const AHEAD: SignedDuration = SignedDuration::from_secs(15);

pub(super) fn begins() {
    let scene = Scene::new("schedule");
    scene.say(LOAD, 900);
    scene.scale(Scaled { polling: 60, ..Scaled::default() }, 1);
    let asked = scene.space.watch("app");
    let start = next_minute(Timestamp::now() + AHEAD);
    let end = &start + 1.hour();
    let cron = |at: &Zoned| format!("{} {} * * *", at.minute(), at.hour());
    scene.policy(&json!({
        "triggers": [{"name": "load", "steps": [{"above": "5", "change": "+1"}]}],
        "gates": [{"name": "frozen", "trigger": "load", "above": "0.7", "block": "Both"}],
        "schedules": [{"name": "rush", "start": cron(&start), "end": cron(&end), "timeZone": "UTC", "minReplicaCount": 5}],
    }));
    // It looks once a minute if nothing happens, so what comes at the start comes because of it.
    let operator = scene.account().start_with(&["--sync-period", "60s"]);
    scene.until_explained(&operator, "app", &["stays 1", "gate frozen", "closed"]);
    let left = start.timestamp().duration_since(Timestamp::now()).as_secs();
    stays(&asked, &operator, u64::try_from(left).unwrap_or(0));

    let raised = until_counts(&asked, &[1, 5])[1];
    due("the minimum of the schedule", raised, start.timestamp(), 0, SignedDuration::ZERO);
    scene.until_explained(&operator, "app", &["schedule rush", "minimum 5", "until "]);
    scene.until_event("app", "SuccessfulRescale", &["5"]);
    stays(&asked, &operator, 3);
}

/// The first whole minute at or after a moment, in UTC.
fn next_minute(at: Timestamp) -> Zoned {
    let zoned = at.to_zoned(TimeZone::UTC);
    let begun = zoned.with().second(0).subsec_nanosecond(0).build().unwrap();
    if begun == zoned { begun } else { begun + 1.minute() }
}
