//! While nothing changes, nothing is written but the Lease: idle or active, with a trigger that fails, and with numbers that move inside
//! the tolerance.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, Operator, until_held};
use super::space::Space;
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("quiet::only_the_lease_is_written_in_a_minute", only_the_lease),
        trial_with_redis("quiet::a_restart_writes_nothing_but_the_lease", restart),
    ]
}

/// Twenty settled objects: idle, active, with a trigger that fails, paused, refused, and without a target.
fn restart() {
    const SPECIAL: usize = 3;
    let redis = Redis::shared();
    let space = Space::new("restart");
    let address = redis.address();
    let names: Vec<String> = (0..20).map(|number| format!("app-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let list = format!("restart-{number}");
        let address = if number % 4 == 3 { "127.0.0.1:1" } else { &address };
        let spec = if number == 1 { "  advanced: {scalingModifiers: {formula: a}}" } else { "" };
        if number != 2 {
            space.deploy(&Deployment { name, ..Deployment::default() });
        }
        space.scale_by(&ScaledObject { name, address, list: &list, spec, ..ScaledObject::default() });
        if number % 2 == 0 {
            redis.push(&list, 10);
        }
    }
    space.merge(
        "scaledobjects",
        "app-0",
        &json!({"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}}),
    );
    let account = Account::new(&space);
    let operator = account.start();
    let first = until_held(&space, None);
    for (number, name) in names.iter().enumerate().skip(SPECIAL) {
        let (ready, active) = (number % 4 != 3, number % 2 == 0);
        space.until_condition(name, "Ready", if ready { "True" } else { "False" });
        space.until_condition(name, "Active", if active { "True" } else { "False" });
        space.until_replicas(name, if active { 2 } else { 0 });
    }
    let audit = space.plane().audit();
    let quiet = |operator: &Operator| {
        let begun = audit.now();
        std::thread::sleep(Duration::from_secs(15));
        operator.requests(begun).writes().without_lease().count() == 0
    };
    settle(|| quiet(&operator));
    let columns = space.kubectl(&["get", "sr"]);
    println!("{columns}");
    assert!(columns.contains("Deployment/app-4"), "{columns}");
    let record = space.get("scalerecords", "app-3").expect("a record");
    assert!(record.to_string().contains("triggers[0] (TriggerUnavailable) cannot be read"), "{record:#}");

    operator.kill();
    let begun = audit.now();
    let mut operator = account.start();
    let second = until_held(&space, Some(&first));
    // More than two of the periods in which an active object is decided about.
    std::thread::sleep(Duration::from_secs(35));
    let requests = operator.requests(begun);
    println!("after a kill and a start: {:?}", requests.counts());
    let writes = requests.writes().without_lease();
    assert_eq!(writes.count(), 0, "{writes}\n{}", operator.log());

    // Asked to end, it stores what could wait until then; the next one stores nothing again.
    operator.terminate();
    assert_eq!(operator.wait(), Some(0), "{}", operator.log());
    let begun = audit.now();
    let operator = account.start();
    until_held(&space, Some(&second));
    std::thread::sleep(Duration::from_secs(35));
    let writes = operator.requests(begun).writes().without_lease();
    assert_eq!(writes.count(), 0, "{writes}\n{}", operator.log());
}

fn only_the_lease() {
    let redis = Redis::shared();
    let space = Space::new("quiet");
    let address = redis.address();
    let app = ScaledObject { address: &address, ..ScaledObject::default() };
    // Nobody listens at port 1.
    let apps = [
        ScaledObject { name: "idle", list: "quiet-idle", ..app },
        ScaledObject { name: "active", list: "quiet-active", ..app },
        ScaledObject { name: "moving", list: "quiet-moving", ..app },
        ScaledObject { name: "failing", address: "127.0.0.1:1", ..app },
    ];
    for object in &apps {
        space.deploy(&Deployment { name: object.name, ..Deployment::default() });
        space.scale_by(object);
    }
    redis.push("quiet-active", 10);
    redis.push("quiet-moving", 20);
    let operator = Account::new(&space).start();
    space.until_ready("active", 2);
    space.until_ready("moving", 4);
    space.until_condition("idle", "Active", "False");
    space.until_condition("failing", "Ready", "False");

    let audit = space.plane().audit();
    settle(|| {
        let begun = audit.now();
        std::thread::sleep(Duration::from_secs(15));
        operator.requests(begun).writes().without_lease().count() == 0
    });
    let begun = audit.now();
    // 19 to 21 items for 4 replicas at 5 each: the tolerance is a tenth.
    let mut round = 0_u32;
    throughout(Duration::from_mins(1), || {
        round += 1;
        let length = redis.length("quiet-moving");
        if round.is_multiple_of(2) && length < 21 {
            redis.push("quiet-moving", 1);
        } else if length > 19 {
            redis.ask::<String>("RPOP quiet-moving");
        }
        std::thread::sleep(Duration::from_millis(700));
        Ok(())
    });
    let requests = operator.requests(begun);
    println!("in a quiet minute: {:?}", requests.counts());
    let writes = requests.writes();
    assert_eq!(writes.without_lease().count(), 0, "{writes}");
    assert!(writes.of("leases").count() >= 10, "it was at work: {:?}", requests.counts());
}

/// Waits until a check of some seconds holds.
fn settle(quiet: impl Fn() -> bool) {
    eventually(SOON, "a quiet time", || quiet().then_some(()));
}
