//! With what memory a process begins to act: with what was stored last, also while it followed, and with what a KEDA left.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, Operator, until_held};
use super::space::{Asked, Space};
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

/// `cooldownPeriod` of these scenarios, seconds.
const COOLDOWN: u32 = 75;
/// `initialCooldownPeriod`: after this, whoever knows of no activity goes to 0 at once.
const INITIAL: SignedDuration = SignedDuration::from_secs(40);

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("takeover::a_follower_goes_on_with_the_cooldown_after_a_kill", || {
            after("kill", Operator::kill);
        }),
        trial_with_redis("takeover::a_follower_goes_on_with_the_cooldown_after_sigterm", || {
            after("sigterm", |mut operator| {
                operator.terminate();
                assert_eq!(operator.wait(), Some(0), "{}", operator.log());
            });
        }),
        trial_with_redis("takeover::the_cooldown_that_keda_began_goes_on", keda),
    ]
}

/// Waits for 0 and says how long after the last activity it came.
fn rest(space: &Space, asked: &Asked, active: Timestamp) -> SignedDuration {
    space.until_replicas("app", 0);
    eventually(SOON, "the news of it", || (asked.counts().last() == Some(&0)).then_some(()));
    let rest = asked.changes().last().expect("a change").0.duration_since(active);
    println!("0 came {rest:#} after the last activity, of {COOLDOWN} s");
    // The stored time has no fraction.
    assert!(rest >= SignedDuration::from_secs(COOLDOWN.into()), "{rest:#}: too early");
    rest
}

/// The follower starts before anything happens. All that it must know, the other one stores later.
fn after(name: &str, end: impl FnOnce(Operator)) {
    let list = format!("takeover-{name}");
    let redis = Redis::shared();
    let space = Space::new(&list);
    let address = redis.address();
    space.deploy(&Deployment { replicas: 8, ..Deployment::default() });
    let spec = format!("  initialCooldownPeriod: {}", INITIAL.as_secs());
    let object =
        ScaledObject { address: &address, list: &list, cooldown: COOLDOWN, spec: &spec, ..ScaledObject::default() };
    space.scale_by(&object);
    let created = Timestamp::now();
    let asked = space.watch("app");
    let first = Account::new(&space).start();
    let before = until_held(&space, None);
    space.until_condition("app", "Active", "False");
    let account = Account::new(&space);
    let begun = space.plane().audit().now();
    let second = account.start();
    eventually(SOON, "a follower", || {
        let requests = second.requests(begun);
        (requests.of("leases").count() > 0 && requests.of("scalerecords").count() > 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    redis.push(&list, 40);
    space.until_condition("app", "Active", "True");
    redis.ask::<u64>(&format!("DEL {list}"));
    let idle = space.until_condition("app", "Active", "False");
    let active: Timestamp = idle["status"]["lastActiveTime"].as_str().expect("an activity").parse().unwrap();
    let old = created + INITIAL + SignedDuration::from_secs(2);
    std::thread::sleep(old.duration_since(Timestamp::now()).unsigned_abs());

    end(first);
    assert_ne!(until_held(&space, Some(&before)), before);
    let rest = rest(&space, &asked, active);
    assert!(rest < SignedDuration::from_secs(i64::from(COOLDOWN) + 12), "{rest:#}: the cooldown has begun anew");
    assert_eq!(asked.counts(), [8, 0], "{}", second.log());
}

/// KEDA was stopped in the middle of a cooldown; nothing of ours is stored.
fn keda() {
    const LIST: &str = "takeover-keda";
    let redis = Redis::shared();
    let space = Space::new(LIST);
    let address = redis.address();
    space.deploy(&Deployment { replicas: 8, ..Deployment::default() });
    space.scale_by(&ScaledObject { address: &address, list: LIST, cooldown: COOLDOWN, ..ScaledObject::default() });
    let active = Timestamp::now() - SignedDuration::from_secs(10);
    let left = serde_json::json!({ "status": {
        "lastActiveTime": active.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "conditions": [
            { "type": "Ready", "status": "True", "reason": "ScaledObjectReady" },
            { "type": "Active", "status": "False", "reason": "ScalerCooldown" },
        ],
    } });
    let patch = left.to_string();
    space.kubectl(&[
        "patch",
        "scaledobjects.keda.sh",
        "app",
        "--subresource",
        "status",
        "--type",
        "merge",
        "-p",
        &patch,
    ]);
    let asked = space.watch("app");
    let operator = Account::new(&space).start();
    until_held(&space, None);
    throughout(Duration::from_secs(10), || {
        let counts = asked.counts();
        if counts == [8] { Ok(()) } else { Err(format!("{counts:?}\n{}", operator.log())) }
    });
    let active = active - SignedDuration::from_nanos(active.subsec_nanosecond().into());
    let rest = rest(&space, &asked, active);
    assert!(rest < SignedDuration::from_secs(i64::from(COOLDOWN) + 25), "{rest:#}: the cooldown has begun anew");
}
