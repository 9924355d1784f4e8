//! `mode: Observe` with steps: what they would do is decided, explained and recorded, and another writer's changes are counted.

use serde_json::{Value, json};

use super::super::operator::until_held;
use super::{LOAD, Scaled, Scene, stays};

pub(super) fn touches_nothing() {
    let scene = Scene::new("observe");
    scene.say(LOAD, 900);
    let step = json!({"above": "0.8", "for": "4s", "change": "+2"});
    scene.policy(&json!({"mode": "Observe", "triggers": [{"name": "load", "steps": [step]}]}));
    scene.scale(Scaled::default(), 2);
    let asked = scene.space.watch("app");
    let begun = scene.space.plane().audit().now();
    let operator = scene.account().start();
    until_held(&scene.space, None);

    // The time runs as if it was acted on, and then 4 are wanted for as long as nobody sets them.
    let words = ["load", "0.9 > 0.8 for ", " of 4 s", "-> 4", "not acted on", "mode: Observe"];
    scene.until_explained(&operator, "app", &words);
    let wants = |record: &Value| {
        let status = &record["status"];
        status["mode"] == "Observe" && status["desired"] == 4 && status["replicas"] == 2
    };
    scene.space.until("scalerecords", "app", "a record that wants 4", wants);
    stays(&asked, &operator, 3);

    // Another writer does the same, and then something else.
    scene.say(LOAD, 100);
    scene.until_explained(&operator, "app", &["0.1, not > 0.8"]);
    scene.say(LOAD, 900);
    scene.until_explained(&operator, "app", &["0.9 > 0.8 for ", "-> 4"]);
    scene.space.scale("app", 4);
    observed(&scene, 1, 0);
    scene.say(LOAD, 100);
    scene.until_explained(&operator, "app", &["stays 4", "0.1, not > 0.8"]);
    scene.space.scale("app", 7);
    observed(&scene, 1, 1);

    let writes = operator.requests(begun).writes();
    assert_eq!(writes.of("deployments/scale").count(), 0, "{writes}\n{}", operator.log());
    let touches = |resource: &str| {
        ["leases", "scalerecords", "scalerecords/status", "scaledobjects", "scaledobjects/status", "events"]
            .iter()
            .all(|own| resource != *own)
            // Who am I, and what may I: these questions are asked by a create.
            && !resource.starts_with("selfsubject")
    };
    let others: Vec<_> = writes.0.iter().filter(|one| touches(&one.resource)).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn observed(scene: &Scene, agreed: u32, differed: u32) {
    scene.space.until("scalerecords", "app", "what was observed", |record| {
        record["status"]["observed"] == json!({"agreed": agreed, "differed": differed})
    });
}
