//! A policy of two objects under load: it is deleted, comes back, says something else, becomes invalid and is mended.
//!
//! Both objects are looked at once a minute if nothing else happens, so what acts sooner acts because the policy has changed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::operator::Operator;
use super::super::space::Asked;
use super::{LATE, LOAD, Scaled, Scene, stays};
use crate::harness::wait::eventually;

const NAMES: [&str; 2] = ["east", "west"];

/// A policy of one step for the load, which is 5.
fn step(step: &Value) -> Value {
    json!({"triggers": [{"name": "load", "steps": [step]}]})
}

pub(super) fn under_load() {
    let scene = Scene::new("changes");
    scene.say(LOAD, 5_000);
    let lowering = step(&json!({"below": "10", "for": "4s", "change": "-1", "every": "4s"}));
    scene.policy(&lowering);
    for name in NAMES {
        scene.scale(Scaled { name, polling: 60, windows: false, ..Scaled::default() }, 9);
    }
    let asked = NAMES.map(|name| scene.space.watch(name));
    let operator = scene.account().start_with(&["--sync-period", "60s"]);
    until_all(&asked, "lowered", |count| count < 9);

    scene.space.delete("scalingpolicies", "rules");
    for name in NAMES {
        let place = format!("ScalingPolicy {}/rules is not in this cluster", scene.space.name());
        scene.until_condition(name, "PolicyMissing", "PolicyNotFound", &[&place, "lowered"]);
        scene.until_event(name, "PolicyMissing", &[]);
    }
    // The ratio wants 1: 5 of 100 a replica.
    for name in NAMES {
        scene.until_explained(&operator, name, &["a policy takes no part", "a missing policy", "wanted 1"]);
    }
    neither_moves(&asked, &operator, 10);

    let before = counts(&asked);
    scene.policy(&lowering);
    for name in NAMES {
        scene.until_obeyed(name);
    }
    eventually(super::SOON, "both go on", || {
        let now = counts(&asked);
        now.iter().zip(before).all(|(now, before)| *now < before).then_some(())
    });

    // 60 s until the next look, but a change acts at once.
    let changed = Timestamp::now();
    scene.policy(&step(&json!({"above": "1", "change": "=10"})));
    at_once(&asked, changed, 10);

    let mars = json!({"name": "night", "start": "0 22 * * *", "end": "0 6 * * *", "timeZone": "Mars/Base", "minReplicaCount": 2});
    let mut invalid = step(&json!({"below": "10", "for": "0s", "change": "=2", "every": "1s"}));
    invalid["schedules"] = json!([mars]);
    scene.policy(&invalid);
    for name in NAMES {
        let field = "spec.schedules[0].timeZone: \"Mars/Base\" is not the name of an IANA time zone";
        scene.until_condition(name, "PolicyInvalid", "PolicyCheckFailed", &[field]);
        scene.until_event(name, "PolicyInvalid", &["spec.schedules[0].timeZone", "Mars/Base"]);
    }
    neither_moves(&asked, &operator, 5);

    let changed = Timestamp::now();
    scene.space.merge("scalingpolicies", "rules", &json!({"spec": {"schedules": null}}));
    at_once(&asked, changed, 2);
    for name in NAMES {
        scene.until_obeyed(name);
    }
}

fn counts(asked: &[Asked; 2]) -> [i64; 2] {
    asked.each_ref().map(|asked| *asked.counts().last().expect("a count"))
}

fn until_all(asked: &[Asked; 2], what: &str, holds: impl Fn(i64) -> bool) {
    eventually(super::SOON, what, || counts(asked).iter().all(|count| holds(*count)).then_some(()));
}

/// Both get this count in one write, soon after a moment.
fn at_once(asked: &[Asked; 2], since: Timestamp, replicas: i64) {
    until_all(asked, &format!("{replicas} of both"), |count| count == replicas);
    for (name, asked) in NAMES.iter().zip(asked) {
        let changes = asked.changes();
        let after = changes.iter().filter(|(at, _)| *at >= since).count();
        let (at, _) = changes.last().expect("a change");
        let late: SignedDuration = at.duration_since(since);
        println!("{name}: {replicas} came {late:#} after the change of the policy");
        assert!(late <= LATE, "{name}: {late:#} after the change");
        assert_eq!(after, 1, "{name}: {changes:?} in more than one write since {since}");
    }
}

fn neither_moves(asked: &[Asked; 2], operator: &Operator, seconds: u64) {
    let before = counts(asked);
    stays(&asked[0], operator, seconds);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(counts(asked), before, "{}", operator.log());
}
