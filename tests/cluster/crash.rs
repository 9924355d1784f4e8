//! `kill -9` of the operator, then another start: no replica moves because of it; cooldown and rate policies go on where they were.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;

use super::gate::Gate;
use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, until_held};
use super::space::Space;
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("crash::a_rate_policy_goes_on_after_a_kill", rate_policy),
        trial_with_redis("crash::a_rate_policy_holds_after_a_kill_between_two_writes", rate_policy_between_writes),
        trial_with_redis("crash::the_cooldown_goes_on_after_a_kill", cooldown),
        trial_with_redis("crash::no_replica_moves_because_of_a_kill_in_a_burst", burst),
    ]
}

fn burst() {
    const LIST: &str = "crash-burst";
    let redis = Redis::shared();
    let space = Space::new("crash-burst");
    let address = redis.address();
    space.deploy(&Deployment::default());
    space.scale_by(&ScaledObject { address: &address, list: LIST, ..ScaledObject::default() });
    let asked = space.watch("app");
    let account = Account::new(&space);
    let operator = account.start();
    let first = until_held(&space, None);
    redis.push(LIST, 40);
    space.until_replicas("app", 8);
    operator.kill();

    let begun = space.plane().audit().now();
    let operator = account.start();
    let second = until_held(&space, Some(&first));
    assert_ne!(first, second, "every start has a name of its own");
    throughout(Duration::from_secs(10), || {
        let counts = asked.counts();
        if counts == [0, 8] { Ok(()) } else { Err(format!("{counts:?}\n{}", operator.log())) }
    });
    let writes = operator.requests(begun).writes();
    assert_eq!(writes.of("deployments/scale").count(), 0, "{writes}");

    // It still acts.
    redis.push(LIST, 10);
    space.until_replicas("app", 10);
}

/// Killed 3 s after the end of activity. The next one waits up to 15 s for the Lease.
fn cooldown() {
    const LIST: &str = "crash-cooldown";
    const COOLDOWN: u32 = 40;
    let redis = Redis::shared();
    let space = Space::new("crash-cooldown");
    let address = redis.address();
    space.deploy(&Deployment::default());
    space.scale_by(&ScaledObject { address: &address, list: LIST, cooldown: COOLDOWN, ..ScaledObject::default() });
    let asked = space.watch("app");
    let account = Account::new(&space);
    let operator = account.start();
    redis.push(LIST, 10);
    space.until_ready("app", 2);
    space.until_condition("app", "Active", "True");
    redis.ask::<u64>(&format!("DEL {LIST}"));
    let idle = space.until_condition("app", "Active", "False");
    let active: Timestamp = idle["status"]["lastActiveTime"].as_str().expect("an activity").parse().unwrap();
    std::thread::sleep(Duration::from_secs(3));

    operator.kill();
    let _operator = account.start();
    space.until_replicas("app", 0);
    eventually(SOON, "the news of it", || (asked.counts() == [0, 2, 0]).then_some(()));
    let rest = asked.changes()[2].0.duration_since(active);
    println!("0 came {rest:#} after the last active reading, of {COOLDOWN} s");
    assert!(rest >= SignedDuration::from_secs(COOLDOWN.into()), "{rest:#}: too early");
    // Its store time is the flip; a cooldown that had begun anew when the Lease was taken would end some 18 s later.
    assert!(rest < SignedDuration::from_secs(i64::from(COOLDOWN) + 12), "{rest:#}: the cooldown has begun anew");
}

/// Killed when all about the change has been written: the minute goes on where it was.
fn rate_policy() {
    let between = between_raises("crash-rate", |space, gate| {
        gate.open();
        let written = |record: &serde_json::Value| record["status"]["lastChange"]["to"] == 3;
        space.until("scalerecords", "app", "the record of the change", written);
    });
    println!("3 -> 5 came {between:#} after 1 -> 3, of 60 s");
    // A minute that had begun anew when the Lease was taken would end some 17 s later.
    assert!(between < SignedDuration::from_secs(72), "{between:#}: the minute has begun anew");
}

/// Killed when the replicas have been written and the record of it has not: then the minute may begin anew.
fn rate_policy_between_writes() {
    let between = between_raises("crash-writes", |space, gate| {
        // The write of the record has been sent, and never arrives.
        eventually(SOON, "a record that is held back", || (gate.held() > 0).then_some(()));
        let record = space.get("scalerecords", "app").expect("a record");
        assert_eq!(record["status"]["replicas"], 1, "{record:#}");
    });
    println!("3 -> 5 came {between:#} after 1 -> 3, of 60 s");
}

/// Two pods a minute: 1 -> 3 at once, the next two a minute later, whoever does it. The time between the two.
fn between_raises(name: &str, before_kill: impl Fn(&Space, &Gate)) -> SignedDuration {
    let redis = Redis::shared();
    let space = Space::new(name);
    let address = redis.address();
    let spec = "  minReplicaCount: 1
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 0
          policies: [{type: Pods, value: 2, periodSeconds: 60}]";
    space.deploy(&Deployment { replicas: 1, ..Deployment::default() });
    space.scale_by(&ScaledObject { address: &address, list: name, spec, ..ScaledObject::default() });
    let asked = space.watch("app");
    let account = Account::new(&space);
    let gate = Gate::to(account.kubeconfig());
    let operator = account.at(gate.address()).start();
    space.until_ready("app", 1);
    space.until_condition("app", "Active", "False");
    gate.shut();
    redis.push(name, 50);
    space.until_replicas("app", 3);
    before_kill(&space, &gate);
    operator.kill();
    let _operator = account.start();
    space.until_replicas("app", 5);
    eventually(SOON, "the news of it", || (asked.counts() == [1, 3, 5]).then_some(()));
    let changes = asked.changes();
    let between = changes[2].0.duration_since(changes[1].0);
    // Both times are those at which this test heard of it.
    assert!(between >= SignedDuration::from_secs(59), "{between:#}: too early");
    between
}
