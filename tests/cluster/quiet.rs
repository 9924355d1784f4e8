//! While nothing changes, nothing is written but the Lease: idle or active, with a trigger that fails, and with numbers that move inside
//! the tolerance.

use std::time::Duration;

use libtest_mimic::Trial;

use super::objects::{Deployment, ScaledObject};
use super::operator::Account;
use super::space::Space;
use super::{SOON, trial_with_redis};
use crate::harness::redis::Redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("quiet::only_the_lease_is_written_in_a_minute", only_the_lease)]
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
