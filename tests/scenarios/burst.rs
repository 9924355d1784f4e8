//! A burst on a real Redis by an ordinary KEDA manifest: up in one write, no lowering while it drains, 0 after the cooldown.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use jiff::SignedDuration;
use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests, workers};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, SOON};
use crate::harness::trial_with_redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("burst::up_in_one_write_and_down_after_the_cooldown", up_in_one_write),
        trial_with_redis("burst::a_push_is_acted_on_between_polls", push),
    ]
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
/// lowering looks back 300 s. After the cooldown of 10 s the object goes to 0.
fn up_in_one_write() {
    const LIST: &str = "burst";
    let redis = Redis::shared();
    let (address, script) = (redis.address(), worker(redis.port(), LIST));
    let mut manifests = Manifests::new();
    manifests.add(&App { name: "burst", address: &address, list: LIST, script: &script, ..App::default() });
    let local = Local::start(&manifests);
    local.until("burst", "a first decision at 0", |state| state.replicas() == Some(0) && state.reads());

    redis.push(LIST, 40);
    local.until_replicas("burst", 8);
    eventually(SOON, "eight workers", || (workers("burst").len() == 8).then_some(()));

    let mut topped_up = Instant::now();
    throughout(Duration::from_secs(40), || {
        if topped_up.elapsed() >= Duration::from_millis(500) {
            topped_up = Instant::now();
            let missing = 40_usize.saturating_sub(redis.length(LIST));
            if missing > 0 {
                redis.push(LIST, missing);
            }
        }
        unmoved(&local, &[(0, 8)])
    });
    eventually(SOON, "an empty list", || (redis.length(LIST) == 0).then_some(()));
    assert_eq!(local.changes("burst"), [(0, 8)], "nothing is lowered while the list drains");

    let end = local.until_replicas("burst", 0);
    assert_eq!(local.changes("burst"), [(0, 8), (8, 0)]);
    let rest = end.rest();
    println!("burst: 0 came {rest:#} after the last active reading");
    assert!(rest >= SignedDuration::from_secs(10), "{rest:#}: the cooldown is 10 s");
    eventually(SOON, "the end of all workers", || workers("burst").is_empty().then_some(()));
}

fn unmoved(local: &Local, expected: &[(u64, u64)]) -> Result<(), String> {
    let changes = local.changes("burst");
    if changes == expected { Ok(()) } else { Err(format!("{changes:?}\n{}", local.log())) }
}

/// With a poll every 300 s only the push can start a worker. Five times, because the machine is busy with other scenarios.
fn push() {
    const LIST: &str = "push";
    let redis = Redis::shared();
    let mut manifests = Manifests::new();
    let started = manifests.scratch().join("started");
    let script = format!("date +%s%N >>{}\nexec sleep 3600", started.display());
    let app = App { name: "push", address: &redis.address(), list: LIST, polling: 300, cooldown: 1, ..App::default() };
    manifests.add(&App { metadata: &["activation: push"], script: &script, ..app });
    let local = Local::start(&manifests);
    local.until("push", "a first decision at 0", |state| state.replicas() == Some(0) && state.reads());
    // The subscription follows the first reading; a change before it would wait for the poll.
    std::thread::sleep(Duration::from_secs(1));

    let mut reactions = Vec::new();
    for round in 0..5 {
        let pushed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        redis.push(LIST, 1);
        let began: u128 = eventually(SOON, "the start of a worker", || {
            fs::read_to_string(&started).ok()?.lines().nth(round)?.parse().ok()
        });
        reactions.push(began.saturating_sub(pushed) / 1_000_000);
        // The process is there a little earlier than the news of it.
        local.until_replicas("push", 1);
        redis.ask::<u64>(&format!("DEL {LIST}"));
        local.until_replicas("push", 0);
    }
    assert_eq!(local.changes("push"), [(0, 1), (1, 0)].repeat(5));
    reactions.sort_unstable();
    println!("push: first item to first worker process {} ms at best, {} ms median of 5", reactions[0], reactions[2]);
}
