//! Hooks together with an object: how those of several policies join, and whether they fit its target and its way to zero and back.

use std::collections::BTreeMap;

use tidegate_calculator::operation::phase::Direction;
use tidegate_calculator::operation::spec::Item;
use tidegate_calculator::policy::Consent;
use tidegate_engine::subject::{AuthenticationRef, FaultKind};

use super::attached::{AT, Shop, UNTIL, faults, object, shop};
use super::hooks::{before, flink, joined, judge, with_hooks};
use super::policies::policy;
use super::*;
use crate::manifests::{self, Document};

#[test]
fn hooks_of_several_policies_join_by_entry() {
    let call = |name: &str| json!({ "name": name, "http": { "url": "https://x" } });
    let state = json!({ "name": "state", "flink": { "restUrl": "http://flink:8081" } });
    let first = with_hooks(json!({ "preScale": [state, call("drain")], "postScale": [call("tell")] }));
    let second = with_hooks(json!({ "preScale": [call("lock")], "postScale": [call("unlock")] }));
    let (hooks, subject) = joined([("a", first.clone()), ("b", second)]);
    assert!(subject.faults.is_empty(), "{:?}", subject.faults);
    let names = |items: &[Item]| items.iter().map(|item| item.name.clone()).collect::<Vec<_>>();
    let hooks = hooks.unwrap();
    assert_eq!(
        (names(&hooks.pre_scale), names(&hooks.post_scale)),
        (vec!["drain".to_owned(), "lock".to_owned(), "state".to_owned()], vec!["tell".to_owned(), "unlock".to_owned()],)
    );
    let many: Vec<Value> = (0..7).map(|index| call(&format!("hook-{index}"))).collect();
    let cases = [
        (
            json!({ "preScale": [call("other"), call("drain")] }),
            "spec.hooks.preScale[1].name: \"drain\" stands in ScalingPolicy shop/a already",
        ),
        (
            json!({ "preScale": [{ "name": "more", "flink": { "restUrl": "http://flink:8081" } }] }),
            "spec.hooks.preScale[0].flink: ScalingPolicy shop/a has one already; an object can have one",
        ),
        (
            json!({ "preScale": many }),
            "spec.hooks.preScale: the object would have 9 of all its policies together; at most 8 are allowed",
        ),
    ];
    for (hooks, why) in cases {
        let (hooks, subject) = joined([("a", first.clone()), ("b", with_hooks(hooks))]);
        assert_eq!(faults(&subject), [(FaultKind::Invalid, format!("ScalingPolicy shop/b: {why}").as_str())]);
        // The first policy takes part as before.
        assert_eq!((hooks.unwrap().pre_scale.len(), subject.policy.consent), (2, Consent::PolicyInvalid));
    }
}

#[test]
fn a_hook_for_flink_must_fit_the_target() {
    let deployment = ("flink.apache.org/v1beta1", "FlinkDeployment");
    let cases = [
        (
            ("apps/v1", "Deployment"),
            json!({}),
            "spec.hooks.preScale[0].flink: restUrl or service is required for the target kind Deployment",
        ),
        (
            ("apps/v1", "StatefulSet"),
            json!({ "restUrl": "http://x", "strategy": "FlinkDeployment" }),
            "spec.hooks.preScale[0].flink.strategy: \"FlinkDeployment\" is not possible for the target kind StatefulSet; Auto, Checkpoint, StopRestore and None are",
        ),
        (
            deployment,
            json!({ "restUrl": "http://x" }),
            "spec.hooks.preScale[0].flink: restUrl and service are not possible for a FlinkDeployment, which says itself where it is",
        ),
        (
            deployment,
            json!({ "strategy": "Checkpoint" }),
            "spec.hooks.preScale[0].flink.strategy: \"Checkpoint\" is not possible for a FlinkDeployment, whose job its operator restarts; Auto, FlinkDeployment and None are",
        ),
        (
            ("flink.apache.org/v1beta1", "FlinkSessionJob"),
            json!({}),
            "spec.hooks.preScale[0].flink: is not possible for kind FlinkSessionJob of flink.apache.org; FlinkDeployment is",
        ),
        (deployment, json!({}), ""),
        (deployment, json!({ "strategy": "FlinkDeployment" }), ""),
        (("argoproj.io/v1alpha1", "Rollout"), json!({ "service": { "name": "jm" } }), ""),
    ];
    for ((api_version, kind), block, why) in cases {
        let mut object = object("a");
        object["spec"]["scaleTargetRef"] = json!({ "apiVersion": api_version, "kind": kind, "name": "tm" });
        let validated = judge(&object, &shop([("a", flink(block))]));
        let subject = validated.subject.unwrap();
        if why.is_empty() {
            assert_eq!((faults(&subject), validated.hooks.is_some()), (vec![], true), "{kind}");
        } else {
            assert_eq!(faults(&subject), [(FaultKind::Invalid, format!("ScalingPolicy shop/a: {why}").as_str())]);
            assert_eq!((validated.hooks, subject.policy.consent), (None, Consent::PolicyInvalid));
        }
    }
}

/// The usual object that rests at zero, with triggers of these types.
fn resting(kinds: [&str; 2]) -> Value {
    let mut object = object("a,b");
    object["spec"]["minReplicaCount"] = json!(0);
    for (index, kind) in kinds.iter().enumerate() {
        let trigger = &mut object["spec"]["triggers"][index];
        match *kind {
            "flink" => {
                trigger["type"] = json!("flink");
                trigger["metadata"] = json!({ "restUrl": "http://flink:8081", "job": "a", "metric": "pendingRecords", "targetValue": "10" });
            }
            "cpu" => {
                trigger["type"] = json!("cpu");
                trigger["metricType"] = json!("Utilization");
                trigger["metadata"] = json!({ "value": "60" });
            }
            _ => {}
        }
    }
    object
}

#[test]
fn an_object_that_rests_at_zero_needs_somebody_else_to_wake_it() {
    let run = json!({ "jar": { "name": "a.jar" } });
    let state = || {
        flink(
            json!({ "restUrl": "http://flink:8081", "jobs": { "select": "Listed", "list": [{ "name": "a", "run": run }] } }),
        )
    };
    let nothing = || policy(json!({ "directionCooldown": { "scaleDownAfterScaleUp": "5m" } }));
    let why = |place: &str, policy: &str| {
        format!(
            "ScalingPolicy shop/{policy}: {place}: the object rests at zero (minReplicaCount is 0 or absent), and no trigger could \
             wake it once the Flink job is stopped; add one of role Scale whose type is not flink, cpu, memory or pods-metric, or \
             set minReplicaCount to 1 or more"
        )
    };
    let judged = |object: &Value, second: Value| {
        let validated = judge(object, &shop([("a", state()), ("b", second)]));
        let all =
            faults(validated.subject.as_ref().unwrap()).iter().map(|(_, why)| (*why).to_owned()).collect::<Vec<_>>();
        (all, validated.hooks.is_some())
    };
    let place = "spec.hooks.preScale[0].flink";
    assert_eq!(judged(&resting(["flink", "cpu"]), nothing()), (vec![why(place, "a")], false));
    assert_eq!(judged(&resting(["flink", "redis"]), nothing()), (vec![], true));
    let mut stays = resting(["flink", "cpu"]);
    stays["spec"]["minReplicaCount"] = json!(1);
    assert_eq!(judged(&stays, nothing()), (vec![], true));
    stays["spec"]["minReplicaCount"] = json!(0);
    stays["metadata"]["annotations"]["autoscaling.keda.sh/force-activation"] = json!("true");
    assert_eq!(judged(&stays, nothing()), (vec![], true), "it never rests");
    // A trigger that only signals wakes nobody, in whichever policy that is said.
    let signal = policy(json!({ "triggers": [{ "name": "backpressure", "role": "Signal" }] }));
    assert_eq!(judged(&resting(["flink", "redis"]), signal), (vec![why("spec.triggers", "b")], true));
}

#[test]
fn an_object_that_cannot_reach_zero_is_told_so() {
    let warned = |block: Value| {
        let mut flink = json!({ "restUrl": "http://flink:8081" });
        flink.as_object_mut().unwrap().extend(block.as_object().unwrap().clone());
        let policies =
            shop([("a", before(json!({ "name": "state", "flink": flink }))), ("b", policy(json!({ "mode": "Auto" })))]);
        let validated = judge(&resting(["flink", "redis"]), &policies);
        assert!(validated.hooks.is_some());
        texts(&validated).into_iter().filter(|text| text.starts_with("warning")).collect::<Vec<_>>()
    };
    let expected = format!(
        "warning {AT}: \"state\" is a hook for Flink that cannot stop every job, because jobs.list[].run does not say how each is run \
         again: while one is live the object does not go to zero; say how, or set minReplicaCount to 1 or more"
    );
    let run = json!({ "jar": { "name": "a.jar" } });
    assert_eq!(warned(json!({})), std::slice::from_ref(&expected));
    assert_eq!(warned(json!({ "jobs": { "list": [{ "name": "a", "run": run }, { "name": "b" }] } })), [expected]);
    assert_eq!(warned(json!({ "jobs": { "list": [{ "name": "a", "run": run }] } })), Vec::<String>::new());
    assert_eq!(warned(json!({ "strategy": "None" })), Vec::<String>::new());
}

#[test]
fn credentials_that_are_nowhere_are_warned_of() {
    struct Bare(Shop);
    impl Surroundings for Bare {
        fn place(&self) -> &'static str {
            "in these files"
        }
        fn authentication(&self, _: &str, reference: &AuthenticationRef) -> Sight<Value> {
            if reference.cluster { Sight::Here(json!({})) } else { Sight::Absent }
        }
        fn policy(&self, namespace: &str, name: &PolicyRef) -> Sight<std::sync::Arc<Value>> {
            self.0.policy(namespace, name)
        }
    }
    let call = |name: &str, reference: Value| json!({ "name": name, "http": { "url": "https://x", "authenticationRef": reference } });
    let here = json!({ "name": "x", "kind": "ClusterTriggerAuthentication" });
    let hooks = json!({ "preScale": [call("drain", json!({ "name": "x" })), call("lock", here)] });
    let validated = judge(&object("a"), &Bare(shop([("a", with_hooks(hooks))])));
    let expected = format!(
        "warning {AT}: \"x\" has a hook whose authenticationRef (preScale, drain, http) names nothing: no such TriggerAuthentication is \
         in these files"
    );
    assert_eq!(texts(&validated), [expected]);
}

#[test]
fn without_a_cluster_hooks_are_not_believed_in() {
    let policy = flink(json!({ "restUrl": "http://flink:8081" }));
    let text = format!("---\n{policy}\n---\n{}\n", object("night"));
    let loaded = manifests::parse(std::path::Path::new("a.yaml"), &text).unwrap();
    let of = |known: Files<'_>| judge(&loaded[1].value, &known);
    let here = of(Files::new(&loaded));
    let subject = here.subject.as_ref().unwrap();
    let why = "ScalingPolicy shop/night: spec.hooks: nothing performs them here";
    assert_eq!(faults(subject), [(FaultKind::HooksNotSupported, why)]);
    assert_eq!((&here.hooks, subject.policy.consent), (&None, Consent::PolicyInvalid));
    let said = format!("error {AT}: \"night\" cannot be obeyed: {why}; {UNTIL}");
    assert!(texts(&here).contains(&said), "{:?}", texts(&here));
    let there = of(Files::new(&loaded).for_cluster());
    assert!(there.hooks.is_some() && there.subject.unwrap().faults.is_empty());
}

#[test]
fn the_sample_is_valid_and_has_the_hooks_that_it_shows() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/samples/flink-safe.yaml");
    let loaded = manifests::load(&[path]);
    assert!(loaded.broken.is_empty(), "{:?}", loaded.broken);
    let known = Files::new(&loaded.documents).for_cluster();
    let reports = documents(&loaded.documents, &known, &Settings::default(), Timestamp::UNIX_EPOCH);
    let findings: BTreeMap<_, _> = loaded.documents.iter().map(Document::name).zip(&reports).collect();
    for (name, report) in findings {
        let said: Vec<_> =
            report.findings.iter().map(ToString::to_string).filter(|text| !text.starts_with("info")).collect();
        assert_eq!(said, Vec::<String>::new(), "{name}");
    }
    let validated = reports.iter().find_map(|report| report.scaled_object.as_ref()).unwrap();
    let (hooks, subject) = (validated.hooks.as_ref().unwrap(), validated.subject.as_ref().unwrap());
    assert_eq!(subject.faults, []);
    assert!(Direction::ALL.into_iter().all(|direction| hooks.flink(direction).is_some()));
    assert_eq!((subject.policy.min, subject.policy.rules.gates.len(), hooks.check()), (1, 1, vec![]));
}
