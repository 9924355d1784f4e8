//! Two operators: one acts, the other one follows. It acts at once when the first one gives the Lease back, and after the lease time
//! when the first one is killed or hangs; one that hung writes nothing any more.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;

use super::objects::{Deployment, ScaledObject};
use super::operator::{Account, holder, until_held};
use super::space::Space;
use super::trial_with_redis;
use crate::harness::redis::Redis;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("handover::one_that_hung_writes_nothing_any_more", hung),
        trial_with_redis("handover::after_a_kill_the_other_one_acts", killed),
        trial_with_redis("handover::on_sigterm_the_lease_is_given_back", given_back),
    ]
}

/// A target at 1 replica with an operator that holds the Lease.
fn stage(space: &Space, address: &str, list: &str) {
    space.deploy(&Deployment::default());
    space.scale_by(&ScaledObject { address, list, cooldown: 300, ..ScaledObject::default() });
}

fn hung() {
    const LIST: &str = "handover-hung";
    let redis = Redis::shared();
    let space = Space::new("handover-hung");
    stage(&space, &redis.address(), LIST);
    let mut first = Account::new(&space).start();
    let before = until_held(&space, None);
    redis.push(LIST, 5);
    space.until_replicas("app", 1);
    let asked = space.watch("app");
    let second = Account::new(&space).start();

    first.freeze();
    let frozen = Instant::now();
    let moment = space.plane().audit().now();
    redis.push(LIST, 5);
    space.until_replicas("app", 2);
    println!("{:.1?} after the holder hung the other one had scaled", frozen.elapsed());
    assert_ne!(until_held(&space, Some(&before)), before);
    let thawed = space.plane().audit().now();
    first.thaw();
    assert_ne!(first.wait(), Some(0), "who has lost the Lease ends with an error");
    let writes = first.requests(thawed).writes();
    assert_eq!(writes.count(), 0, "{writes}");
    assert_eq!(first.requests(moment).writes().of("deployments/scale").count(), 0);
    redis.push(LIST, 5);
    space.until_replicas("app", 3);
    assert_eq!(asked.counts(), [1, 2, 3], "{}", second.log());
}

fn killed() {
    const LIST: &str = "handover-killed";
    let redis = Redis::shared();
    let space = Space::new("handover-killed");
    stage(&space, &redis.address(), LIST);
    let first = Account::new(&space).start();
    let before = until_held(&space, None);
    let account = Account::new(&space);
    let begun = space.plane().audit().now();
    let second = account.start();
    redis.push(LIST, 5);
    space.until_replicas("app", 1);
    std::thread::sleep(Duration::from_secs(3));
    let writes = second.requests(begun).writes();
    assert_eq!(writes.count(), 0, "a follower writes nothing:\n{writes}");

    first.kill();
    let dead = Instant::now();
    redis.push(LIST, 5);
    space.until_replicas("app", 2);
    println!("{:.1?} after the holder was killed the other one had scaled", dead.elapsed());
    assert_ne!(holder(&space).as_deref(), Some(&*before));
}

fn given_back() {
    const LIST: &str = "handover-given";
    let redis = Redis::shared();
    let space = Space::new("handover-given");
    stage(&space, &redis.address(), LIST);
    let mut first = Account::new(&space).start();
    let before = until_held(&space, None);
    let account = Account::new(&space);
    let begun = space.plane().audit().now();
    let second = account.start();
    redis.push(LIST, 5);
    space.until_replicas("app", 1);
    // It follows once it has looked at the Lease.
    crate::harness::wait::eventually(super::SOON, "a follower", || {
        (second.requests(begun).of("leases").count() > 0 && second.requests(begun).of("scaledobjects").count() > 0)
            .then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));

    let (asked, moment) = (Timestamp::now(), space.plane().audit().now());
    first.terminate();
    let heir = until_held(&space, Some(&before));
    assert_eq!(first.wait(), Some(0), "{}", first.log());
    let lease = space.get("leases", "tidegate").expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], *heir);
    let taken: Timestamp = lease["spec"]["acquireTime"].as_str().expect("a time").parse().unwrap();
    // By the clock of this machine, on which all of them run: how long this test took to notice is not in it.
    let took = taken.duration_since(asked);
    let returned = first.requests(moment).writes().of("leases").0.last().expect("the Lease was given back").at;
    let gap = taken.duration_since(returned);
    println!("{took:#} after SIGTERM the other one held the Lease, {gap:#} after it was given back");
    // Some 50 ms are usual, and a busy machine takes longer. The lease time is 15 s.
    assert!(took < SignedDuration::from_secs(5), "{took:#}");
    assert!(gap < SignedDuration::from_secs(2), "{gap:#}");
    redis.push(LIST, 5);
    space.until_replicas("app", 2);
}
