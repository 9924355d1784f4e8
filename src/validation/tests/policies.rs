//! Policies by themselves: every field with a bad value, and exactly what a user reads.

use super::*;

/// A policy that nothing is wrong with and that says everything.
pub(super) fn full() -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": { "name": "night", "namespace": "shop" },
        "spec": {
            "mode": "Auto",
            "triggers": [
                {
                    "name": "busy", "role": "Scale", "onError": "LastKnown", "lastKnownFor": "2m", "direction": "Normal",
                    "steps": [
                        { "above": "0.8", "for": "5m", "change": "+1" },
                        { "below": "300m", "for": "1h", "change": "-1", "every": "1h30m" },
                        { "above": 5000, "per": "Replica", "change": "+50%", "of": "Value" },
                    ],
                    "spreads": false,
                    "window": { "take": "Min", "over": "2m" },
                },
                { "name": "backpressure", "role": "Signal" },
            ],
            "gates": [{
                "name": "hot", "trigger": "backpressure", "above": "0.7", "for": "0s", "block": "ScaleDown",
                "release": { "below": "0.5", "for": "2m" },
            }],
            "directionCooldown": { "scaleDownAfterScaleUp": "5m", "scaleUpAfterScaleDown": "10m" },
            "schedules": [{
                "name": "night", "start": "0 22 * * *", "end": "0 6 * * *", "timeZone": "Asia/Shanghai",
                "minReplicaCount": 2, "maxReplicaCount": 20,
            }],
        },
    })
}

/// A policy with one block.
pub(super) fn policy(spec: Value) -> Value {
    let mut policy = full();
    policy["spec"] = spec;
    policy
}

pub(super) fn found(policy: &Value) -> Vec<String> {
    scaling_policy(policy).iter().map(ToString::to_string).collect()
}

/// The full policy with a value at a pointer below `spec`.
fn changed(pointer: &str, value: Value) -> Value {
    let mut policy = full();
    set(&mut policy, &format!("/spec/{pointer}"), value);
    policy
}

#[test]
fn a_good_policy_has_no_findings_in_both_kinds() {
    assert_eq!(found(&full()), Vec::<String>::new());
    let mut cluster = full();
    cluster["kind"] = json!("ClusterScalingPolicy");
    cluster["metadata"] = json!({ "name": "night" });
    assert_eq!(found(&cluster), Vec::<String>::new());
    assert_eq!(found(&policy(json!({}))), Vec::<String>::new());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_bad_value_is_named_with_what_is_allowed() {
    let cases = [
        ("mode", json!("Obs"), "error mode: \"Obs\" is not one of Auto, Observe"),
        ("triggers/0/name", json!(""), "error triggers[0].name: \"\" must not be empty"),
        ("triggers/1/name", json!("busy"), "error triggers[1].name: \"busy\" stands in triggers[0] already"),
        (
            "triggers/1/role",
            json!("signal"),
            "error triggers[1].role: \"signal\" is not one of Scale, Signal; did you mean Signal?",
        ),
        ("triggers/0/onError", json!("Hold"), "error triggers[0].lastKnownFor: is only for onError LastKnown"),
        ("triggers/0/lastKnownFor", json!(null), "error triggers[0].lastKnownFor: is required with onError LastKnown"),
        (
            "triggers/0/lastKnownFor",
            json!("2 minutes"),
            "error triggers[0].lastKnownFor: \"2 minutes\" is not a duration, such as 90s or 1h30m",
        ),
        (
            "triggers/0/lastKnownFor",
            json!("0s"),
            "error triggers[0].lastKnownFor: \"0s\" is too short: at least 1s is needed",
        ),
        (
            "triggers/0/lastKnownFor",
            json!("169h"),
            "error triggers[0].lastKnownFor: \"169h\" is too long: at most 168h is allowed",
        ),
        ("triggers/0/direction", json!("Up"), "error triggers[0].direction: \"Up\" is not one of Normal, Inverse"),
        ("triggers/0/spreads", json!("no"), "error triggers[0].spreads: \"no\" is a text, not true or false"),
        (
            "triggers/0/window/take",
            json!("Last"),
            "error triggers[0].window.take: \"Last\" is not one of Min, Max, Avg",
        ),
        (
            "triggers/0/window/over",
            json!("61m"),
            "error triggers[0].window.over: \"61m\" is too long: at most 1h is allowed",
        ),
        ("triggers/0/window", json!({ "take": "Max" }), "error triggers[0].window.over: is required"),
        ("triggers/0/forecast", json!({ "model": "Linear" }), "error triggers[0].forecast: is not supported yet"),
        (
            "triggers/1/steps",
            json!([{ "above": 1, "change": "+1" }]),
            "error triggers[1].steps: is not allowed with role Signal: such a trigger is only read by gates",
        ),
        (
            "triggers/1/onError",
            json!("Hold"),
            "error triggers[1].onError: is not allowed with role Signal: such a trigger is only read by gates",
        ),
        (
            "triggers/0/steps/0/above",
            json!(0.8),
            "error triggers[0].steps[0].above: \"0.8\" is a number, not an integer or a text; put it in quotes",
        ),
        (
            "triggers/0/steps/0/above",
            json!("80%"),
            "error triggers[0].steps[0].above: \"80%\" is not a quantity, such as \"0.1\" or \"100m\"",
        ),
        ("triggers/0/steps/0/above", json!(-1), "error triggers[0].steps[0].above: \"-1\" is not a quantity >= 0"),
        (
            "triggers/0/steps/0/above",
            json!("0.0005"),
            "error triggers[0].steps[0].above: \"0.0005\" is finer than 0.001, the finest that is compared",
        ),
        (
            "triggers/0/steps/0/above",
            json!("10E"),
            "error triggers[0].steps[0].above: \"10E\" is too large: at most 9223372036854775 is compared",
        ),
        (
            "triggers/0/steps/0/below",
            json!("0.1"),
            "error triggers[0].steps[0]: must have exactly one of above and below",
        ),
        (
            "triggers/0/steps/0",
            json!({ "change": "+1" }),
            "error triggers[0].steps[0]: must have exactly one of above and below",
        ),
        ("triggers/0/steps/0", json!({ "above": 1 }), "error triggers[0].steps[0].change: is required"),
        (
            "triggers/0/steps/0/change",
            json!("1"),
            "error triggers[0].steps[0].change: \"1\" is not +N, -N, +N%, -N% (at most 100%), =N or Ratio, with N from 1 (=N from 0) to 9999999",
        ),
        (
            "triggers/0/steps/0/change",
            json!(1),
            "error triggers[0].steps[0].change: \"1\" is an integer, not a text; put it in quotes",
        ),
        (
            "triggers/0/steps/0/for",
            json!("-5m"),
            "error triggers[0].steps[0].for: \"-5m\" is not a duration, such as 90s or 1h30m",
        ),
        (
            "triggers/0/steps/1/every",
            json!(60),
            "error triggers[0].steps[1].every: \"60\" is an integer, not a text; put it in quotes",
        ),
        ("triggers/0/steps/2/per", json!("Pod"), "error triggers[0].steps[2].per: \"Pod\" is not one of Replica"),
        (
            "triggers/0/steps/2/of",
            json!("Forecast"),
            "error triggers[0].steps[2].of: \"Forecast\" is not supported yet",
        ),
        ("gates/0/trigger", json!(null), "error gates[0].trigger: is required"),
        ("gates/0/block", json!("Down"), "error gates[0].block: \"Down\" is not one of ScaleDown, ScaleUp, Both"),
        ("gates/0/below", json!(1), "error gates[0]: must have exactly one of above and below"),
        ("gates/0/for", json!("x"), "error gates[0].for: \"x\" is not a duration, such as 90s or 1h30m"),
        (
            "gates/0/release",
            json!({ "below": "0.71" }),
            "error gates[0].release.below: \"0.71\" is above what closes the gate (0.7); below <= above is needed",
        ),
        (
            "gates/0/release",
            json!({ "above": "0.9" }),
            "error gates[0].release.above: \"0.9\" is on the same side as what closes the gate; below is needed",
        ),
        ("gates/0/release", json!({ "for": "1m" }), "error gates[0].release: must have exactly one of above and below"),
        (
            "directionCooldown/scaleDownAfterScaleUp",
            json!("5"),
            "error directionCooldown.scaleDownAfterScaleUp: \"5\" is not a duration, such as 90s or 1h30m",
        ),
        (
            "schedules/0/timeZone",
            json!("Asia/Shangai"),
            "error schedules[0].timeZone: \"Asia/Shangai\" is not the name of an IANA time zone",
        ),
        (
            "schedules/0/end",
            json!("0  22 * * *"),
            "error schedules[0].end: \"0 22 * * *\" is the same as start; they must differ",
        ),
        ("schedules/0/start", json!("0 0 31 2 *"), "error schedules[0].start: \"0 0 31 2 *\" never happens"),
        (
            "schedules/0/start",
            json!("TZ=UTC 0 5 * * *"),
            "error schedules[0].start: \"TZ=UTC 0 5 * * *\" names a time zone; timeZone is the place for it",
        ),
        (
            "schedules/0/minReplicaCount",
            json!(21),
            "error schedules[0].minReplicaCount: \"21\" is above maxReplicaCount (20); minReplicaCount <= maxReplicaCount is needed",
        ),
        ("schedules/0/maxReplicaCount", json!(0), "error schedules[0].maxReplicaCount: \"0\" is not an integer >= 1"),
        ("victims", json!({ "idle": {} }), "error victims: is not supported yet"),
        ("distribution", json!({ "targets": [] }), "error distribution: is not supported yet"),
        ("actions", json!([{ "name": "x" }]), "error actions: is not supported yet"),
        ("vertical", json!([{ "container": "x" }]), "error vertical: is not supported yet"),
        ("replaceUnhealthy", json!({ "atMost": 1 }), "error replaceUnhealthy: is not supported yet"),
    ];
    for (pointer, value, expected) in cases {
        let findings = found(&changed(pointer, value.clone()));
        assert!(findings.iter().any(|finding| finding == expected), "{pointer} = {value}: {findings:#?}");
        let errors = findings.iter().filter(|finding| finding.starts_with("error")).count();
        // A wrong minimum is also above the maximum, and a second condition is one too many for two readers at most.
        assert!(errors <= 2, "{pointer} = {value}: {findings:#?}");
    }
    let bad = found(&changed("schedules/0/start", json!("0 25 * * *")));
    assert!(
        bad.len() == 1 && bad[0].starts_with("error schedules[0].start: \"0 25 * * *\" is not a cron expression"),
        "{bad:?}"
    );
    let without = found(&policy(
        json!({ "schedules": [{ "name": "a", "start": "0 1 * * *", "end": "0 2 * * *", "timeZone": "UTC" }] }),
    ));
    assert_eq!(without, ["error schedules[0]: must have minReplicaCount or maxReplicaCount"]);
}

#[test]
fn lists_are_bounded() {
    let gate = |index: usize| json!({ "name": format!("g{index}"), "trigger": "t", "above": 1, "block": "Both" });
    let gates: Vec<Value> = (0..33).map(gate).collect();
    assert_eq!(found(&policy(json!({ "gates": gates }))), ["error gates: has 33 entries; at most 32 are allowed"]);
    let steps = vec![json!({ "above": 1, "change": "+1" }); 17];
    let findings = found(&policy(json!({ "triggers": [{ "name": "a".repeat(64), "steps": steps }] })));
    let expected = [
        "error triggers[0].name: has 64 characters; at most 63 are allowed",
        "error triggers[0].steps: has 17 entries; at most 16 are allowed",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let warned = |trigger: Value| found(&policy(json!({ "triggers": [trigger] })));
    assert_eq!(
        warned(json!({ "name": "a", "steps": [{ "below": 1, "change": "+1" }] })),
        ["warning triggers[0].steps[0]: raises on below, although the direction of its trigger is Normal"]
    );
    assert_eq!(
        warned(json!({ "name": "a", "direction": "Inverse", "steps": [{ "below": 1, "change": "+1" }] })),
        Vec::<String>::new()
    );
    let overlap = json!([{ "above": "0.5", "change": "+1" }, { "below": "0.7", "change": "-1" }]);
    assert_eq!(
        warned(json!({ "name": "a", "steps": overlap })),
        ["warning triggers[0].steps[1]: holds together with steps[0] between 0.5 and 0.7; then the raise counts"]
    );
    assert_eq!(warned(json!({ "name": "a" })), ["warning triggers[0]: says nothing about the trigger that it names"]);
    assert_eq!(
        warned(json!({ "name": "a", "spreads": true })),
        ["warning triggers[0].spreads: has no effect without steps"]
    );
    assert_eq!(
        warned(json!({ "name": "a", "steps": [{ "below": 0, "change": "-1" }] })),
        ["warning triggers[0].steps[0].below: \"0\" never holds: no value is below 0"]
    );
    assert_eq!(
        warned(json!({ "name": "a", "stpes": [] })),
        ["warning triggers[0].stpes: is not a known field and has no effect; did you mean steps?"]
    );
}
