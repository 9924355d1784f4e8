//! A burst on a real Redis by two ordinary manifests: up in one write, no lowering while workers drain it, 0 after the cooldown.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;

use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::Space;
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("burst::up_in_one_write_and_down_after_the_cooldown", up_in_one_write)]
}

/// Takes one item at a time and needs 2 s for it.
fn worker(port: u16, list: &str) -> String {
    format!(
        "while true; do
  item=$(redis-cli -p {port} --raw BRPOP {list} 1) || sleep 1
  [ -z \"$item\" ] || sleep 2
done"
    )
}

/// 40 items at 5 a replica are 8 replicas in one write. Topping the list up for 40 s changes nothing; neither does draining it, because
/// lowering looks back 300 s. After the cooldown of 10 s the Deployment goes to 0.
fn up_in_one_write() {
    const LIST: &str = "cluster-burst";
    let redis = Redis::shared();
    let space = Space::new("burst");
    let (address, script) = (redis.address(), worker(redis.port(), LIST));
    space.deploy(&Deployment { name: "orders", script: Some(&script), ..Deployment::default() });
    space.scale_by(&ScaledObject { name: "orders", address: &address, list: LIST, ..ScaledObject::default() });
    let operator = Account::new(&space).start();
    let begun = space.plane().audit().now();
    space.until_condition("orders", "Active", "False");
    let asked = space.watch("orders");
    println!("idle:\n{}", look(&space));

    redis.push(LIST, 40);
    let pushed = Instant::now();
    space.until_replicas("orders", 8);
    println!("first item to 8 replicas asked: at most {:.1?}", pushed.elapsed());
    space.until_ready("orders", 8);
    space.until_condition("orders", "Active", "True");
    println!("busy:\n{}", look(&space));

    let mut topped_up = Instant::now();
    throughout(Duration::from_secs(40), || {
        if topped_up.elapsed() >= Duration::from_millis(500) {
            topped_up = Instant::now();
            let missing = 40_usize.saturating_sub(redis.length(LIST));
            if missing > 0 {
                redis.push(LIST, missing);
            }
        }
        let counts = asked.counts();
        if counts == [0, 8] { Ok(()) } else { Err(format!("{counts:?}\n{}", operator.log())) }
    });
    eventually(SOON, "an empty list", || (redis.length(LIST) == 0).then_some(()));
    assert_eq!(asked.counts(), [0, 8], "nothing is lowered while the list drains");

    let idle = space.until_condition("orders", "Active", "False");
    let active: Timestamp = idle["status"]["lastActiveTime"].as_str().expect("an activity").parse().unwrap();
    space.until_replicas("orders", 0);
    eventually(SOON, "the news of it", || (asked.counts() == [0, 8, 0]).then_some(()));
    let rest = asked.changes()[2].0.duration_since(active);
    println!("0 came {rest:#} after the last active reading");
    assert!(rest >= SignedDuration::from_secs(10), "{rest:#}: the cooldown is 10 s");
    space.until_ready("orders", 0);
    eventually(SOON, "the end of all workers", || space.processes().is_empty().then_some(()));
    println!("idle again:\n{}\n{}", look(&space), space.kubectl(&["describe", "scaledobject", "orders"]));

    let writes = operator.requests(begun).writes();
    println!("all writes: {:?}; {} MiB", writes.counts(), operator.memory());
    assert_eq!(writes.of("deployments/scale").count(), 2, "{writes}");
}

/// What people look at.
fn look(space: &Space) -> String {
    space.kubectl(&["get", "scaledobjects"]) + &space.kubectl(&["get", "scalerecords"])
}
