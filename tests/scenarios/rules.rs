//! ScalingPolicies in files: steps on the length of a list, changed while `tidegate local` runs, broken, and mended; and what
//! `tidegate validate` says of the same files.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests, scaled_object, workers};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, printed, run};
use crate::harness::trial_with_redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("rules::a_policy_file_acts_is_edited_breaks_and_is_mended", edited),
        trial_with_redis("rules::a_policy_file_that_is_missing_lowers_nothing", missing),
    ]
}

/// How late a change may be that is due. The next look comes by itself only after 15 s.
const LATE: Duration = Duration::from_secs(10);

/// What a ratio wants to lower is not held by the usual window of 5 min, and what steps raise is not slowed by a rate.
const BEHAVIOR: &str = "  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp: {policies: [{type: Pods, value: 10, periodSeconds: 1}]}
        scaleDown: {stabilizationWindowSeconds: 0}";

/// A policy with these steps for the trigger `jobs`.
fn policy(steps: &[&str]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| format!("    - {{{step}}}\n")).collect();
    let steps = steps.concat();
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata:
  name: steps
  namespace: shop
spec:
  triggers:
  - name: jobs
    steps:
{steps}"
    )
}

/// An application with at least one replica that names the policy `steps`, and looks every half a minute or at the sync period of 15 s.
fn add(manifests: &mut Manifests, name: &str, redis: &Redis) {
    let app = App { name, address: &redis.address(), list: name, polling: 30, ..App::default() };
    manifests.add(&app);
    let object = scaled_object(&app)
        .replace("  namespace: shop", "  namespace: shop\n  annotations: {tidegate.dev/policies: steps}")
        .replace("  maxReplicaCount: 10", &format!("  minReplicaCount: 1\n  maxReplicaCount: 10\n{BEHAVIOR}"));
    manifests.write(&format!("{name}-scaledobject.yaml"), &object);
}

fn stays(local: &Local, name: &str, replicas: u64) -> Result<(), String> {
    let state = local.state(name).ok_or("the object is gone")?;
    if state.replicas() == Some(replicas) { Ok(()) } else { Err(format!("{state:#?}\n{}", local.log())) }
}

/// What `tidegate explain` prints of an object.
fn explained(local: &Local, name: &str) -> String {
    let (text, errors, code) = printed(&run(&["explain", &format!("shop/{name}"), "--server", local.address()]));
    assert_eq!(code, Some(0), "{errors}");
    text
}

/// What `tidegate validate` prints of all files, and its exit code.
fn validated(manifests: &Manifests) -> (String, Option<i32>) {
    let (text, errors, code) = printed(&run(&["validate", "-f", manifests.folder().to_str().unwrap()]));
    (text + &errors, code)
}

fn edited() {
    const NAME: &str = "stepping";
    let (redis, mut manifests) = (Redis::shared(), Manifests::new());
    add(&mut manifests, NAME, &redis);
    manifests.write("policy.yaml", &policy(&["above: 10, for: 4s, change: \"=3\", every: 1s"]));
    let (text, code) = validated(&manifests);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("info triggers[0]: \"jobs\" votes by the steps of its ScalingPolicy"), "{text}");
    redis.push(NAME, 20);
    let local = Local::start(&manifests);

    // One gets to work at once, and 4 s later two more: 20 / 5 a replica would have been 4.
    local.until_replicas(NAME, 1);
    let begun = Instant::now();
    eventually(LATE, "how long it has held", || {
        let text = explained(&local, NAME);
        (text.contains("20 > 10 for ") && text.contains(" of 4 s")).then_some(())
    });
    local.until_replicas(NAME, 3);
    println!("two more came {:.1?} after the first, due after 4 s", begun.elapsed());
    assert!(local.log().contains("20 > 10 for ") && local.log().contains(" of 4 s wants 3"), "{}", local.log());

    // Edited: at once, with the reading that is there.
    let at = Instant::now();
    manifests.write("policy.yaml", &policy(&["above: 10, change: \"=8\", every: 1s"]));
    local.until_replicas(NAME, 8);
    assert!(at.elapsed() < LATE, "{:?} after the edit", at.elapsed());

    // Broken: the object runs on, and is not lowered, though nothing waits any more.
    redis.ask::<u64>(&format!("DEL {NAME}"));
    let lowering = "below: 5, for: 2s, change: \"=2\", every: 1s";
    manifests.write("policy.yaml", &policy(&[&lowering.replace("2s", "2 seconds")]));
    let (text, code) = validated(&manifests);
    assert_eq!(code, Some(1), "{text}");
    let finding = "policy.yaml:10:18 error triggers[0].steps[0].for: \"2 seconds\" is not a duration";
    assert!(text.contains(finding), "{finding} is not in\n{text}");
    eventually(LATE, "what is wrong", || {
        let text = explained(&local, NAME);
        (text.contains("spec.triggers[0].steps[0].for: \"2 seconds\"") && text.contains("an invalid policy"))
            .then_some(())
    });
    assert!(local.log().contains("spec.triggers[0].steps[0].for: \"2 seconds\""), "{}", local.log());
    throughout(Duration::from_secs(5), || stays(&local, NAME, 8));
    let running = local.state(NAME).expect("a state");
    assert_eq!((running.phase(), workers(NAME).len()), ("Running", 8));

    // No YAML at all: the file is as it was read last.
    manifests.write("policy.yaml", "kind: [");
    let (text, code) = validated(&manifests);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("policy.yaml:") && text.contains("is not YAML"), "{text}");
    eventually(LATE, "what is wrong with the file", || local.log().contains("is not YAML").then_some(()));
    throughout(Duration::from_secs(3), || stays(&local, NAME, 8));

    // Mended: after its 2 s.
    let at = Instant::now();
    manifests.write("policy.yaml", &policy(&[lowering]));
    local.until_replicas(NAME, 2);
    assert!(at.elapsed() >= Duration::from_secs(2), "only {:?} after it was mended", at.elapsed());
    assert_eq!(local.changes(NAME), [(0, 1), (1, 3), (3, 8), (8, 2)]);
    assert!(!explained(&local, NAME).contains("takes no part"), "{}", explained(&local, NAME));
}

/// Raised by its ratio and never lowered, until the file comes.
fn missing() {
    const NAME: &str = "promised";
    let (redis, mut manifests) = (Redis::shared(), Manifests::new());
    add(&mut manifests, NAME, &redis);
    let (text, code) = validated(&manifests);
    assert_eq!(code, Some(0), "it may come later: {text}");
    assert!(text.contains("\"steps\" names nothing: ScalingPolicy shop/steps is not in these files"), "{text}");
    redis.push(NAME, 20);
    let local = Local::start(&manifests);
    local.until_replicas(NAME, 4);
    redis.ask::<u64>(&format!("DEL {NAME}"));
    assert!(local.log().contains("PolicyMissing"), "{}", local.log());

    // Another file first, so that it looks again: a policy that nobody names changes nothing.
    manifests
        .write("other.yaml", &policy(&["below: 5, for: 0s, change: \"=1\""]).replace("name: steps", "name: other"));
    throughout(Duration::from_secs(20), || stays(&local, NAME, 4));
    assert!(explained(&local, NAME).contains("a missing policy"), "{}", explained(&local, NAME));

    let at = Instant::now();
    manifests.write("policy.yaml", &policy(&["below: 5, for: 0s, change: \"=1\", every: 1s"]));
    local.until_replicas(NAME, 1);
    assert!(at.elapsed() < LATE, "{:?} after the file came", at.elapsed());
    assert_eq!(local.changes(NAME), [(0, 4), (4, 1)]);
}
