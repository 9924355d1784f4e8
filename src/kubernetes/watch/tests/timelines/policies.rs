//! Policies come, change and go: each time all objects that name them are told anew, and nobody else is.

use tidegate_engine::subject::Subject;

use super::*;
use crate::kubernetes::watch::policies::{Blind, Cause, PolicyKey};

fn night() -> PolicyKey {
    (Some("shop".into()), "night".into())
}

/// The policy `night` with this wait after a raise, in seconds.
fn policy(seconds: u32) -> Value {
    let spec = json!({ "directionCooldown": { "scaleDownAfterScaleUp": format!("{seconds}s") } });
    spoken(&spec)
}

fn spoken(spec: &Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": { "name": "night", "namespace": "shop" },
        "spec": spec,
    })
}

fn named(name: &str, on: &str, policies: &str) -> Value {
    let mut object = object(name, on, 1);
    object["metadata"]["annotations"] = json!({ "tidegate.dev/policies": policies });
    object
}

/// The policies of all namespaces cannot be seen.
fn unseen(cause: Cause, why: &str) -> Event {
    Event::Unseen(false, None, Blind { cause, why: why.to_owned() })
}

/// What the engine hears, with what the policies mean to each object.
fn heard(bench: &mut Bench) -> Vec<String> {
    let line = |subject: &Subject| {
        let wait = subject.policy.rules.direction_cooldown.down_after_up.0 / 1_000;
        let faults: Vec<&str> = subject.faults.iter().map(|fault| fault.kind.reason()).collect();
        let hold = subject.hold.as_ref().map(|hold| format!(" {}", hold.reason)).unwrap_or_default();
        format!("{} {wait} s {:?} {faults:?}{hold}", subject.id.name, subject.policy.consent)
    };
    std::iter::from_fn(|| bench.out.feed.take())
        .filter_map(|change| match change {
            Change::Set(subject, _) => Some(line(&subject)),
            Change::Refused(id, ..) => Some(format!("refused {}", id.name)),
            Change::Gone(id) => Some(format!("gone {}", id.name)),
            _ => None,
        })
        .collect()
}

/// Everything but policies is listed; `a` and `b` name the policy `night`, `c` names none.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.object(&named("a", "x", "night"));
    bench.object(&named("b", "y", "night"));
    bench.object(&object("c", "z", 1));
    bench.base_listed();
    bench.deployments_listed();
    bench
}

#[test]
fn policies_are_watched_once_an_object_names_one_and_it_waits_for_them() {
    let mut bench = bench();
    let wanted =
        |bench: &Bench| bench.orders.iter().filter(|order| matches!(order, Order::WatchPolicies { .. })).count();
    assert_eq!(bench.orders.iter().filter(|order| **order == Order::WatchPolicies { cluster: false }).count(), 1);
    assert_eq!(wanted(&bench), 1, "nobody names a cluster-wide one");
    assert_eq!(heard(&mut bench), ["c 0 s Full []"], "objects without the annotation do not wait");
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    assert!(heard(&mut bench).is_empty(), "another one may come yet");
    bench.give(Event::Listed(What::Policies, None));
    assert_eq!(heard(&mut bench), ["a 60 s Full []", "b 60 s Full []"]);
    bench.object(&named("c", "z", "cluster/night"));
    assert_eq!(wanted(&bench), 2);
    let held = "c 0 s PolicyMissing [\"PolicyUnseen\"] PolicyUnseen";
    assert_eq!(heard(&mut bench), [held], "its new text is told at once, and its target is left alone meanwhile");
    bench.give(Event::Listed(What::ClusterPolicies, None));
    assert_eq!(heard(&mut bench), ["c 0 s PolicyMissing [\"PolicyNotFound\"]"], "a namespace's policy is another one");
}

#[test]
fn a_policy_that_changes_or_goes_acts_at_once_on_all_its_objects() {
    let mut bench = bench();
    bench.give(Event::Listed(What::Policies, None));
    let missing = ["a 0 s PolicyMissing [\"PolicyNotFound\"]", "b 0 s PolicyMissing [\"PolicyNotFound\"]"];
    assert_eq!(heard(&mut bench)[1..], missing);
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    assert_eq!(heard(&mut bench), ["a 60 s Full []", "b 60 s Full []"]);
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    bench.give(Event::Listed(What::Policies, None));
    assert!(heard(&mut bench).is_empty(), "nothing new");
    bench.give(Event::Policy((Some("bank".into()), "night".into()), Some(Box::new(policy(1)))));
    assert!(heard(&mut bench).is_empty(), "nobody of that namespace names it");
    bench.give(Event::Policy(night(), Some(Box::new(policy(90)))));
    assert_eq!(heard(&mut bench), ["a 90 s Full []", "b 90 s Full []"]);
    bench.give(Event::Policy(
        night(),
        Some(Box::new(spoken(&json!({ "directionCooldown": { "scaleDownAfterScaleUp": "soon" } })))),
    ));
    assert_eq!(
        heard(&mut bench),
        ["a 0 s PolicyInvalid [\"PolicyCheckFailed\"]", "b 0 s PolicyInvalid [\"PolicyCheckFailed\"]"]
    );
    bench.give(Event::Policy(night(), None));
    assert_eq!(heard(&mut bench), missing);
    let mut freed = object("b", "y", 1);
    freed["metadata"]["annotations"] = json!({});
    bench.object(&freed);
    assert_eq!(heard(&mut bench), ["b 0 s Full []"]);
    bench.give(Event::ObjectGone(id("a")));
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    assert_eq!(heard(&mut bench), ["gone a"]);
}

/// As long as nobody can know what the policy says, it may say `mode: Observe`: the objects are told, and their targets are left alone.
#[test]
fn policies_that_cannot_be_seen_are_not_taken_for_absent() {
    for cause in [Cause::Forbidden, Cause::Unavailable] {
        let mut bench = bench();
        bench.give(unseen(cause, "the server is busy"));
        let hidden = [
            "a 0 s PolicyMissing [\"PolicyUnseen\"] PolicyUnseen",
            "b 0 s PolicyMissing [\"PolicyUnseen\"] PolicyUnseen",
        ];
        assert_eq!(heard(&mut bench)[1..], hidden);
        let message = bench.out.holds.of(&id("a"), &target("x")).unwrap().message;
        assert!(message.starts_with("ScalingPolicy shop/night cannot be seen: the server is busy; "), "{message}");
        bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
        bench.give(Event::Listed(What::Policies, None));
        // The first word comes with the policy, the second would say the same.
        assert_eq!(heard(&mut bench), ["a 60 s Full []", "b 60 s Full []"]);
        bench.give(unseen(cause, "the server is busy"));
        assert!(heard(&mut bench).is_empty(), "what was seen stays");
        assert_eq!(bench.out.holds.of(&id("a"), &target("x")), None);
    }
}

/// Without its definition there is no policy for certain. Nobody is held for ever because nobody has installed it.
#[test]
fn without_the_definition_objects_are_raised_and_never_lowered() {
    let mut bench = bench();
    bench.give(unseen(Cause::NotServed, "it is not served"));
    let missing = ["a 0 s PolicyMissing [\"PolicyUnseen\"]", "b 0 s PolicyMissing [\"PolicyUnseen\"]"];
    assert_eq!(heard(&mut bench)[1..], missing);
    // An API server that fails later takes nothing of that back.
    bench.give(unseen(Cause::Unavailable, "500"));
    assert!(heard(&mut bench).is_empty());
    assert_eq!(bench.out.holds.of(&id("a"), &target("x")), None);
    bench.give(Event::Listed(What::Policies, None));
    let absent = ["a 0 s PolicyMissing [\"PolicyNotFound\"]", "b 0 s PolicyMissing [\"PolicyNotFound\"]"];
    assert_eq!(heard(&mut bench), absent);
}

#[test]
fn a_failure_in_other_words_is_no_news_and_one_of_another_kind_is() {
    let mut bench = bench();
    bench.give(unseen(Cause::Unavailable, "429 slow down"));
    assert_eq!(heard(&mut bench).len(), 3, "c, and the two that name it");
    for words in ["operation timed out", "429 slow down", "500"] {
        bench.give(unseen(Cause::Unavailable, words));
        assert!(heard(&mut bench).is_empty(), "{words}");
    }
    bench.give(unseen(Cause::Forbidden, "no right"));
    assert_eq!(heard(&mut bench).len(), 2);
    let message = bench.out.holds.of(&id("b"), &target("y")).unwrap().message;
    assert!(message.contains("no right"), "{message}");
}

/// The finalizer settles an object as soon as it is seen: what it may do must not depend on who is first.
#[test]
fn an_object_is_held_from_its_first_moment_until_its_policies_were_seen() {
    let mut bench = bench();
    let hold = |bench: &Bench, name: &str, on: &str| bench.out.holds.of(&id(name), &target(on)).map(|hold| hold.reason);
    assert_eq!(hold(&bench, "a", "x"), Some("PolicyUnseen"));
    assert_eq!(hold(&bench, "c", "z"), None, "it names none");
    // Of two policies one was seen, and the other one may say it still.
    bench.object(&named("b", "y", "night, cluster/calm"));
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    bench.give(Event::Listed(What::Policies, None));
    assert_eq!((hold(&bench, "a", "x"), hold(&bench, "b", "y")), (None, Some("PolicyUnseen")));
    bench.give(Event::Policy((None, "calm".into()), Some(Box::new(spoken(&json!({ "mode": "Observe" }))))));
    bench.give(Event::Listed(What::ClusterPolicies, None));
    assert_eq!(hold(&bench, "b", "y"), Some("Observe"));
    bench.give(Event::ObjectGone(id("b")));
    assert_eq!(hold(&bench, "b", "y"), None);
}

/// The annotation of a text that cannot be obeyed is read all the same.
#[test]
fn a_broken_object_is_observed_if_its_policy_says_so() {
    let mut bench = Bench::new();
    bench.object(&with(named("a", "x", "night"), "/spec/maxReplicaCount", json!("many")));
    bench.base_listed();
    bench.deployments_listed();
    let hold = |bench: &Bench| bench.out.holds.of(&id("a"), &target("x")).map(|hold| hold.reason);
    assert_eq!(hold(&bench), Some("PolicyUnseen"));
    bench.give(Event::Policy(night(), Some(Box::new(spoken(&json!({ "mode": "Observe" }))))));
    bench.give(Event::Listed(What::Policies, None));
    assert_eq!(hold(&bench), Some("Observe"));
    assert_eq!(heard(&mut bench), ["refused a"]);
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    assert_eq!(hold(&bench), None);
}

/// A pause, a bound or a deletion must not wait for the list of a policy that the new text is the first to name.
#[test]
fn a_text_that_names_the_first_policy_acts_before_that_is_listed() {
    let mut bench = Bench::new();
    bench.object(&object("c", "z", 1));
    bench.base_listed();
    bench.deployments_listed();
    assert_eq!(heard(&mut bench), ["c 0 s Full []"]);
    let mut text = with(named("c", "z", "night"), "/metadata/generation", json!(2));
    text["spec"]["minReplicaCount"] = json!(5);
    bench.object(&text);
    let Some(Change::Set(subject, _)) =
        std::iter::from_fn(|| bench.out.feed.take()).find(|change| matches!(change, Change::Set(..)))
    else {
        panic!("the old text goes on acting");
    };
    assert_eq!(subject.policy.min, 5);
    assert_eq!(subject.hold.as_ref().map(|hold| hold.reason), Some("PolicyUnseen"));
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    bench.give(Event::Listed(What::Policies, None));
    assert_eq!(heard(&mut bench).last().unwrap(), "c 60 s Full []");
    // Another one, of a kind that was not looked for yet, and the object is deleted meanwhile.
    let mut text = with(named("c", "z", "cluster/night"), "/metadata/generation", json!(3));
    text["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:05:00Z");
    bench.object(&text);
    assert_eq!(heard(&mut bench), ["gone c"]);
}

/// What a policy says of observing is a hold like those of other reasons, so that no writer touches the target.
#[test]
fn mode_observe_holds_the_object_until_it_goes() {
    let mut bench = bench();
    bench.give(Event::Policy(night(), Some(Box::new(spoken(&json!({ "mode": "Observe" }))))));
    bench.give(Event::Listed(What::Policies, None));
    assert_eq!(heard(&mut bench)[1..], ["a 0 s Full [] Observe", "b 0 s Full [] Observe"]);
    let hold = |bench: &Bench| bench.out.holds.of(&id("a"), &target("x")).map(|hold| hold.reason);
    assert_eq!(hold(&bench), Some("Observe"));
    let foreign = Hold { reason: "ForeignAutoscaler", message: String::new() };
    bench.out.holds.set(Whom::Target(TargetKey::of(&target("x"))), foreign);
    assert_eq!(hold(&bench), Some("Observe"), "what the user asked for comes first");
    bench.give(Event::Policy(night(), Some(Box::new(spoken(&json!({ "mode": "Auto" }))))));
    assert_eq!(heard(&mut bench), ["a 0 s Full [] ForeignAutoscaler", "b 0 s Full []"]);
    bench.give(Event::Policy(night(), Some(Box::new(spoken(&json!({ "mode": "Observe" }))))));
    bench.give(Event::ObjectGone(id("a")));
    assert_eq!(hold(&bench), Some("ForeignAutoscaler"));
}

#[test]
fn an_object_that_is_being_deleted_stays_gone() {
    let mut bench = bench();
    bench.give(Event::Listed(What::Policies, None));
    heard(&mut bench);
    let mut leaving = named("a", "x", "night");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:05:00Z");
    bench.object(&leaving);
    assert_eq!(heard(&mut bench), ["gone a"]);
    bench.give(Event::Policy(night(), Some(Box::new(policy(60)))));
    assert_eq!(heard(&mut bench), ["b 60 s Full []"]);
}

#[test]
fn each_namespace_waits_for_its_own_stream() {
    let mut bench = Bench::new();
    bench.index = Index::new(bench.out.clone(), tidegate_calculator::policy::Settings::default(), 2);
    let places = [Some(Arc::from("shop")), Some(Arc::from("bank"))];
    bench.object(&named("a", "x", "night"));
    let resource = streams::resource(&What::Objects);
    bench.give(Event::Kind(deployments(), Ok(Served { resource, workload: true })));
    for place in &places {
        for what in [What::Records, What::Authentications, What::Objects, What::Targets(deployments())] {
            bench.give(Event::Listed(what, place.clone()));
        }
    }
    bench.give(Event::Listed(What::ClusterAuthentications, None));
    bench.give(Event::Listed(What::Policies, places[1].clone()));
    assert!(heard(&mut bench).is_empty());
    let blind = Blind { cause: Cause::Forbidden, why: "forbidden".to_owned() };
    bench.give(Event::Unseen(false, places[1].clone(), blind));
    bench.give(Event::Listed(What::Policies, places[0].clone()));
    assert_eq!(heard(&mut bench), ["a 0 s PolicyMissing [\"PolicyNotFound\"]"]);
}
