//! Policies together with an object: how they join, and what becomes of an object whose policies take no part.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_calculator::policy::Consent;
use tidegate_calculator::rules::{Block, Change, Condition, Role, Rules};
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::Span;
use tidegate_engine::subject::FaultKind;

use super::policies::{full, policy};
use super::*;

/// A place with these policies, by the name that an annotation gives them.
pub(super) struct Shop(pub(super) BTreeMap<&'static str, Value>);

impl Surroundings for Shop {
    fn place(&self) -> &'static str {
        "in this cluster"
    }

    fn policy(&self, namespace: &str, name: &PolicyRef) -> Sight<Arc<Value>> {
        assert_eq!(namespace, "shop");
        self.0.get(name.to_string().as_str()).map_or(Sight::Absent, |policy| Sight::Here(Arc::new(policy.clone())))
    }
}

pub(super) fn shop<const N: usize>(policies: [(&'static str, Value); N]) -> Shop {
    Shop(BTreeMap::from(policies))
}

/// An object with the triggers `busy` and `backpressure` that names these policies and never rests.
pub(super) fn object(names: &str) -> Value {
    let trigger = |name: &str| {
        let metadata = json!({ "address": "redis:6379", "listName": name, "listLength": "5" });
        json!({ "type": "redis", "name": name, "metadata": metadata })
    };
    let mut object = with("/spec/triggers", json!([trigger("busy"), trigger("backpressure")]));
    object["spec"]["minReplicaCount"] = json!(1);
    object["metadata"]["annotations"] = json!({ "tidegate.dev/policies": names });
    object
}

/// The subject, and the findings at the annotation and at triggers.
fn attach(names: &str, shop: &Shop) -> (Subject, Vec<String>) {
    judge(&object(names), shop)
}

fn judge(object: &Value, shop: &Shop) -> (Subject, Vec<String>) {
    let validated = scaled_object(object, shop, &Settings::default(), Timestamp::UNIX_EPOCH);
    let said = |text: &String| text.contains("tidegate.dev/policies") || text.contains("ScalingPolicy");
    let texts = texts(&validated).into_iter().filter(said).collect();
    (*validated.subject.expect("no policy takes the subject away"), texts)
}

/// A policy with so many gates, whose names begin like this.
fn gates(name: &str, count: usize) -> Value {
    let gate = |index: usize| json!({ "name": format!("{name}-{index}"), "trigger": "busy", "above": "1", "block": "ScaleDown" });
    policy(json!({ "gates": (0..count).map(gate).collect::<Vec<_>>() }))
}

#[test]
fn more_gates_than_have_a_number_are_refused() {
    // 7 · 32 = 224 and 31 more are 255; one more is too many.
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let all = |last: usize| {
        let mut policies = BTreeMap::from(names.map(|name| (name, gates(name, 32))));
        policies.insert("last", gates("last", last));
        attach("a,b,c,d,e,f,g,last", &Shop(policies))
    };
    let (subject, said) = all(31);
    assert_eq!((subject.policy.rules.gates.len(), subject.policy.consent), (255, Consent::Full), "{said:?}");
    let (subject, _) = all(32);
    assert_eq!((subject.policy.rules.gates.len(), subject.policy.consent), (224, Consent::PolicyInvalid));
    let [(FaultKind::Invalid, why)] = faults(&subject)[..] else { panic!("{:?}", subject.faults) };
    let allowed = "spec.gates: the object would have 256 gates of all its policies together; at most 255 are allowed";
    assert!(why.ends_with(allowed), "{why}");
}

pub(super) fn faults(subject: &Subject) -> Vec<(FaultKind, &str)> {
    subject.faults.iter().map(|fault| (fault.kind, fault.message.as_str())).collect()
}

pub(super) const AT: &str = "metadata.annotations[tidegate.dev/policies]";
pub(super) const UNTIL: &str = "until then the object is raised but never lowered";

#[test]
fn a_whole_policy_reaches_the_rules() {
    let (subject, said) = attach(" night ", &shop([("night", full())]));
    let rules = &subject.policy.rules;
    assert_eq!((subject.policy.consent, subject.faults.len(), &subject.hold), (Consent::Full, 0, &None));
    let busy = &rules.triggers[0];
    assert_eq!(busy.steps.len(), 3);
    assert_eq!((busy.steps[0].condition, busy.steps[0].change), (Condition::Above(Milli(800)), Change::Add(1)));
    assert_eq!(
        (busy.steps[1].condition, busy.steps[1].every),
        (Condition::Below(Milli(300)), Some(Span::seconds(5_400)))
    );
    assert!(busy.steps[2].per_replica && busy.steps[2].change == Change::AddPercent(50));
    assert_eq!((busy.spreads, rules.triggers[1].role), (Some(false), Role::Signal));
    let gate = &rules.gates[0];
    assert_eq!(
        (gate.trigger, gate.block, gate.release.map(|release| release.held_for)),
        (1, Block::ScaleDown, Some(Span::seconds(120)))
    );
    assert_eq!(rules.direction_cooldown.up_after_down, Span::seconds(600));
    assert_eq!((rules.schedules[0].min, rules.schedules[0].max), (Some(2), Some(20)));
    let info = "info triggers[0]: \"busy\" votes by the steps of its ScalingPolicy: its threshold is not compared";
    assert_eq!(said, [info]);
}

#[test]
fn how_busy_a_flink_job_is_spreads_unless_the_policy_says_no() {
    let spreads = |metric: &str, said: Value| {
        let metadata = json!({ "restUrl": "http://flink:8081", "job": "a", "metric": metric, "targetValue": "0.7" });
        let mut object = object("calm");
        object["spec"]["triggers"][0] =
            json!({ "type": "flink", "name": "busy", "metricType": "Value", "metadata": metadata });
        let steps = json!([{ "above": "0.8", "change": "+1" }, { "below": "0.3", "change": "-1" }]);
        let trigger = json!({ "name": "busy", "steps": steps, "spreads": said });
        let (subject, _) = judge(&object, &shop([("calm", policy(json!({ "triggers": [trigger] })))]));
        subject.policy.rules.triggers[0].spreads
    };
    assert_eq!((spreads("busy", Value::Null), spreads("idle", Value::Null)), (Some(true), Some(true)));
    assert_eq!((spreads("busy", json!(false)), spreads("pendingRecords", Value::Null)), (Some(false), None));
}

#[test]
fn without_the_annotation_nothing_is_different() {
    let plain = check(&good()).subject.unwrap();
    assert_eq!((&plain.policy.rules, plain.policy.consent), (&Rules::default(), Consent::Full));
    let empty = check(&with("/metadata/annotations/tidegate.dev~1policies", json!(" "))).subject.unwrap();
    assert_eq!((empty.policy.consent, empty.faults.len()), (Consent::Full, 0));
}

#[test]
fn several_policies_join_by_entry() {
    let gate = |name: &str| json!({ "gates": [{ "name": name, "trigger": "busy", "above": 9, "block": "ScaleUp" }] });
    let all = shop([
        ("a", policy(gate("one"))),
        ("cluster/a", policy(gate("two"))),
        ("b", policy(json!({ "mode": "Observe" }))),
    ]);
    let (subject, said) = attach("a,cluster/a,b,a", &all);
    let names: Vec<&str> = subject.policy.rules.gates.iter().map(|gate| &*gate.name).collect();
    assert_eq!(names, ["one", "two"], "in the order of the annotation");
    assert_eq!(said, [format!("warning {AT}: \"a\" stands twice and counts once")]);
    let hold = subject.hold.unwrap();
    assert_eq!((hold.reason, hold.message.starts_with("ScalingPolicy shop/b says mode: Observe")), ("Observe", true));
    assert!(subject.policy.rules.triggers.is_empty(), "no policy says anything of a trigger");
}

/// What one policy says already, the later one must not say: it takes no part, the earlier one does.
#[test]
fn the_same_entry_in_two_policies_is_refused() {
    let blocks = [
        (json!({ "triggers": [{ "name": "busy", "onError": "Hold" }] }), "spec.triggers[0].name: \"busy\""),
        (
            json!({ "gates": [{ "name": "g", "trigger": "busy", "above": 9, "block": "ScaleUp" }] }),
            "spec.gates[0].name: \"g\"",
        ),
        (json!({ "directionCooldown": { "scaleDownAfterScaleUp": "1m" } }), "spec.directionCooldown:"),
        (
            json!({ "schedules": [{ "name": "s", "start": "0 1 * * *", "end": "0 2 * * *", "timeZone": "UTC", "maxReplicaCount": 5 }] }),
            "spec.schedules[0].name: \"s\"",
        ),
    ];
    for (block, what) in blocks {
        let alone = attach("a", &shop([("a", policy(block.clone()))])).0;
        let (both, said) = attach("a,b", &shop([("a", policy(block.clone())), ("b", policy(block))]));
        let message = format!("ScalingPolicy shop/b: {what} stands in ScalingPolicy shop/a already");
        assert_eq!(faults(&both), [(FaultKind::Invalid, message.as_str())]);
        assert_eq!((both.policy.consent, &both.policy.rules), (Consent::PolicyInvalid, &alone.policy.rules));
        assert!(said.contains(&format!("error {AT}: \"b\" cannot be obeyed: {message}; {UNTIL}")), "{said:?}");
    }
}

#[test]
fn a_missing_policy_forbids_lowering_and_leaves_the_others() {
    let cooldown = json!({ "directionCooldown": { "scaleDownAfterScaleUp": "1m" } });
    let (subject, said) = attach("night,a,Bad name", &shop([("a", policy(cooldown))]));
    let expected = [
        (FaultKind::Missing, "\"Bad name\" in the annotation tidegate.dev/policies is not NAME or cluster/NAME"),
        (FaultKind::Missing, "ScalingPolicy shop/night is not in this cluster"),
    ];
    assert_eq!(faults(&subject), expected);
    assert_eq!(subject.policy.consent, Consent::PolicyMissing);
    assert_eq!(subject.policy.rules.direction_cooldown.down_after_up, Span::seconds(60));
    let warning =
        format!("warning {AT}: \"night\" names nothing: ScalingPolicy shop/night is not in this cluster; {UNTIL}");
    assert!(said.contains(&warning), "{said:?}");
    let unseen = check(&object("night")).subject.unwrap();
    let why = "ScalingPolicy shop/night cannot be seen: policies cannot be looked at here";
    assert_eq!((faults(&unseen), unseen.policy.consent), (vec![(FaultKind::Unseen, why)], Consent::PolicyMissing));
}

#[test]
fn an_invalid_policy_takes_no_part_but_for_what_moves_nothing() {
    let mut bad = full();
    set(&mut bad, "/spec/triggers/0/steps/0/change", json!("1"));
    set(&mut bad, "/spec/gates/0/for", json!("x"));
    bad["spec"]["mode"] = json!("Observe");
    let (subject, _) = attach("night", &shop([("night", bad)]));
    let [(kind, message)] = faults(&subject)[..] else { panic!("{:?}", subject.faults) };
    assert_eq!(kind, FaultKind::Invalid);
    assert!(
        message.starts_with("ScalingPolicy shop/night: spec.triggers[0].steps[0].change: \"1\" is not +N"),
        "{message}"
    );
    assert!(message.ends_with("(and 1 more)"), "{message}");
    let rules = &subject.policy.rules;
    assert_eq!(
        (subject.policy.consent, subject.hold.map(|hold| hold.reason)),
        (Consent::PolicyInvalid, Some("Observe"))
    );
    assert!(rules.gates.is_empty() && rules.schedules.is_empty() && rules.triggers[0].steps.is_empty());
    assert_eq!([rules.triggers[0].role, rules.triggers[1].role], [Role::Scale, Role::Signal]);
    assert_eq!([rules.triggers[0].steps_lost, rules.triggers[1].steps_lost], [true, false]);
}

#[test]
fn a_trigger_whose_steps_are_lost_does_not_go_by_its_ratio() {
    let steps = || json!({ "triggers": [{ "name": "busy", "steps": [{ "above": "1", "change": "+1" }] }], "gates": [{ "name": "g" }] });
    let lost = |names: &str, shop: &Shop| attach(names, shop).0.policy.rules.of(0).steps_lost;
    assert!(lost("a", &shop([("a", policy(steps()))])));
    let unreadable = json!({ "triggers": [{ "name": "busy", "steps": [{ "above": "1", "change": "up" }] }] });
    assert!(lost("a", &shop([("a", policy(unreadable))])));
    // What another policy says of the trigger counts, and of a missing policy nobody knows what it says.
    let other = || json!({ "triggers": [{ "name": "busy", "onError": "Hold" }] });
    assert!(!lost("a,b", &shop([("a", policy(other())), ("b", policy(steps()))])));
    assert!(!lost("a", &shop([])));
    // Neither does an entry without steps make it lose any.
    let none = json!({ "triggers": [{ "name": "busy", "onError": "Hold" }], "gates": [{ "name": "g" }] });
    assert!(!lost("a", &shop([("a", policy(none))])));
}

#[test]
fn a_policy_that_does_not_fit_is_invalid_for_that_object_only() {
    let steps = json!({ "triggers": [{ "name": "busi", "steps": [{ "above": 1, "change": "+1" }] }] });
    let gate = json!({ "gates": [{ "name": "g", "trigger": "lag", "above": 9, "block": "Both" }] });
    let signals =
        json!({ "triggers": [{ "name": "busy", "role": "Signal" }, { "name": "backpressure", "role": "Signal" }] });
    let cases = [
        (
            steps,
            "spec.triggers[0].name: \"busi\" is no trigger of the object; it has busy, backpressure; did you mean busy?",
        ),
        (gate, "spec.gates[0].trigger: \"lag\" is no trigger of the object; it has busy, backpressure"),
        (
            signals,
            "spec.triggers: role Signal is given to every trigger of the object; at least one of role Scale is needed",
        ),
    ];
    for (block, why) in cases {
        let (subject, _) = attach("a", &shop([("a", policy(block))]));
        assert_eq!(faults(&subject), [(FaultKind::Invalid, format!("ScalingPolicy shop/a: {why}").as_str())]);
        assert!(subject.policy.rules.triggers.iter().all(|rules| rules.role == Role::Scale));
    }
    // Two policies that each leave one trigger: the second would leave none.
    let one = |name: &str| policy(json!({ "triggers": [{ "name": name, "role": "Signal" }] }));
    let (subject, _) = attach("a,b", &shop([("a", one("busy")), ("b", one("backpressure"))]));
    assert_eq!(
        [subject.policy.rules.triggers[0].role, subject.policy.rules.triggers[1].role],
        [Role::Signal, Role::Scale]
    );
    assert_eq!(faults(&subject).len(), 1);
    let mut nameless = object("a");
    nameless["spec"]["triggers"] = good()["spec"]["triggers"].clone();
    let (subject, _) = judge(&nameless, &shop([("a", one("busy"))]));
    assert!(subject.faults[0].message.ends_with("is no trigger of the object; none of its triggers has a name"));
}

#[test]
fn the_generation_follows_the_content_of_policies() {
    let cooldown = |wait: &str| policy(json!({ "directionCooldown": { "scaleDownAfterScaleUp": wait } }));
    let generation = |names: &str, shop: &Shop| attach(names, shop).0.generation;
    let one = generation("a", &shop([("a", cooldown("1m"))]));
    let mut renamed = cooldown("1m");
    renamed["metadata"]["labels"] = json!({ "x": "y" });
    assert_eq!(generation("a", &shop([("a", renamed)])), one, "labels say nothing");
    let others = [
        generation("a", &shop([("a", cooldown("2m"))])),
        generation("a", &shop([])),
        generation("b", &shop([("b", cooldown("1m"))])),
    ];
    assert!(others.iter().all(|other| *other != one), "{others:?} {one}");
}

#[test]
fn rules_of_one_direction_are_warned_of() {
    let steps = |changes: &[&str]| {
        let steps: Vec<Value> = changes
            .iter()
            .map(|change| {
                if change.starts_with('+') {
                    json!({ "above": 5, "change": change })
                } else {
                    json!({ "below": 2, "change": change })
                }
            })
            .collect();
        json!({ "triggers": [{ "name": "busy", "steps": steps }, { "name": "backpressure", "steps": steps }] })
    };
    let warnings = |object: &Value, spec: Value| -> Vec<String> {
        let said = judge(object, &shop([("a", policy(spec))])).1;
        said.into_iter().filter(|text| text.starts_with("warning")).collect()
    };
    let object = object("a");
    let raises = format!(
        "warning {AT}: OnlyRaises: no step lowers the object, so nothing ever does; a step with change -N is needed"
    );
    let lowers = format!(
        "warning {AT}: OnlyLowers: no step raises the object, so nothing ever does; a step with change +N is needed"
    );
    assert_eq!(warnings(&object, steps(&["+1"])), std::slice::from_ref(&raises));
    assert_eq!(warnings(&object, steps(&["-1"])), [lowers]);
    assert!(warnings(&object, steps(&["+1", "-1"])).is_empty());
    let mut rests = object.clone();
    rests["spec"]["minReplicaCount"] = json!(0);
    assert!(warnings(&rests, steps(&["+1"])).is_empty(), "it goes to zero");
    rests["metadata"]["annotations"]["autoscaling.keda.sh/force-activation"] = json!("true");
    assert_eq!(warnings(&rests, steps(&["+1"])), [raises], "it never does");
    let half = json!({ "triggers": [{ "name": "busy", "steps": [{ "above": 5, "change": "+1" }] }] });
    assert!(warnings(&object, half).is_empty(), "the other trigger votes by its ratio");
    let unread = json!({ "triggers": [{ "name": "busy", "role": "Signal" }] });
    assert_eq!(warnings(&object, unread), [format!("warning {AT}: \"busy\" has role Signal, and no gate reads it")]);
    let window = json!({ "triggers": [{ "name": "busy", "window": { "take": "Max", "over": "1m" } }] });
    assert_eq!(warnings(&object, window).len(), 1);
}
