//! `kill -9` of `tidegate local`, then another start: no replica moves because of it, and a cooldown ends when it would have.

use std::time::Duration;

use jiff::SignedDuration;
use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests, workers};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, SOON};
use crate::harness::trial_with_redis;
use crate::harness::wait::{eventually, throughout};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_redis("restart::workers_outlive_a_kill_in_the_middle_of_a_burst", mid_burst),
        trial_with_redis("restart::the_cooldown_outlives_a_kill", during_cooldown),
        trial_with_redis("restart::an_orderly_end_stops_the_workers_and_keeps_the_count", orderly),
    ]
}

fn mid_burst() {
    let redis = Redis::shared();
    let mut manifests = Manifests::new();
    manifests.add(&App { name: "killed", address: &redis.address(), list: "killed", ..App::default() });
    let local = Local::start(&manifests);
    redis.push("killed", 40);
    local.until_replicas("killed", 8);
    let before = eventually(SOON, "eight workers", || Some(workers("killed")).filter(|all| all.len() == 8));

    local.kill();
    throughout(Duration::from_secs(2), || same(&before));
    let local = Local::start(&manifests);
    local.until("killed", "a decision after the restart", |state| state.reads() && state.active() == Some(true));
    throughout(Duration::from_secs(5), || same(&before));
    assert_eq!(local.changes("killed"), [], "a restart is no reason to scale");
    assert_eq!(local.state("killed").and_then(|state| state.replicas()), Some(8));

    // It still acts.
    redis.push("killed", 10);
    local.until_replicas("killed", 10);
}

/// The very same processes, and no other.
fn same(before: &[i32]) -> Result<(), String> {
    let now = workers("killed");
    if now == before { Ok(()) } else { Err(format!("the workers were {before:?} and are {now:?}")) }
}

fn during_cooldown() {
    const COOLDOWN: u32 = 15;
    let redis = Redis::shared();
    let mut manifests = Manifests::new();
    let app = App { name: "cooling", address: &redis.address(), list: "cooling", cooldown: COOLDOWN, ..App::default() };
    manifests.add(&app);
    let local = Local::start(&manifests);
    redis.push("cooling", 10);
    local.until_replicas("cooling", 2);
    redis.ask::<u64>("DEL cooling");
    let inactive = local.until("cooling", "the end of activity", |state| state.active() == Some(false));
    let last_active = inactive.last_active().expect("an activity");
    std::thread::sleep(Duration::from_secs(3));

    local.kill();
    std::thread::sleep(Duration::from_secs(2));
    let local = Local::start(&manifests);
    let end = local.until_replicas("cooling", 0);
    assert_eq!(local.changes("cooling"), [(2, 0)]);
    let rest = end.changed().expect("a change").duration_since(last_active);
    println!("restart: 0 came {rest:#} after the last active reading, of {COOLDOWN} s");
    assert!(rest >= SignedDuration::from_secs(COOLDOWN.into()), "{rest:#}: too early");
    // A cooldown that had begun anew at the restart would end 5 s later than this one.
    assert!(rest < SignedDuration::from_secs(i64::from(COOLDOWN) + 4), "{rest:#}: the cooldown has begun anew");
}

fn orderly() {
    let redis = Redis::shared();
    let mut manifests = Manifests::new();
    manifests.add(&App { name: "orderly", address: &redis.address(), list: "orderly", ..App::default() });
    let local = Local::start(&manifests);
    redis.push("orderly", 15);
    local.until_replicas("orderly", 3);
    eventually(SOON, "three workers", || (workers("orderly").len() == 3).then_some(()));

    assert_eq!(local.interrupt(), Some(0));
    assert!(workers("orderly").is_empty(), "Ctrl-C ends the workers");
    let local = Local::start(&manifests);
    eventually(SOON, "three workers again", || (workers("orderly").len() == 3).then_some(()));
    assert_eq!(local.changes("orderly"), []);
}
