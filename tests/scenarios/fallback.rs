//! A fallback, end to end: a Redis that stops is stood for after so many polls, and real demand counts again once it is back.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests, scaled_object};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, State, printed, run};
use crate::harness::trial_with_redis;
use crate::harness::wait::throughout;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("fallback::it_stands_for_redis_while_that_is_stopped", stands_for)]
}

const NAME: &str = "fallback";

/// More than 3 failures in a row: 3 polling intervals of 2 s after the first.
const FALLBACK: &str = "  fallback: {failureThreshold: 3, replicas: 5}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

fn stands_for() {
    let mut redis = Redis::start(None);
    let mut manifests = Manifests::new();
    let address = redis.address();
    let app = App { name: NAME, address: &address, polling: 2, cooldown: 4, ..App::default() };
    manifests.add(&app);
    manifests.write(
        &format!("{NAME}-scaledobject.yaml"),
        &scaled_object(&app).replace("  triggers:", &format!("{FALLBACK}  triggers:")),
    );
    let local = Local::start(&manifests);
    redis.push("jobs", 10);
    local.until_replicas(NAME, 2);

    redis.stop();
    let begun = Instant::now();
    local.until(NAME, "a failure", |state| state.failure().is_some());
    let explained = || {
        let (text, errors, code) = printed(&run(&["explain", "shop/fallback", "--server", local.address()]));
        assert_eq!(code, Some(0), "{errors}");
        text
    };
    let waits = explained();
    assert!(waits.contains("fallback") && waits.contains("acts from"), "{waits}");
    // It failed at the last poll at the earliest; nothing moves before three more.
    let patience = Duration::from_secs(4).saturating_sub(begun.elapsed());
    throughout(patience, || stays(&local, 2));
    local.until_replicas(NAME, 5);
    let acts = explained();
    assert!(acts.contains("falls back") && acts.contains("-> 5"), "{acts}");
    assert!(local.log().contains("redis jobs has no value and falls back to 5"), "{}", local.log());
    assert!(local.log().contains("ScaledObjectFallbackActivated"), "{}", local.log());
    throughout(Duration::from_secs(6), || stays(&local, 5));

    redis.start_again();
    local.until(NAME, "a good reading", State::reads);
    local.until_replicas(NAME, 2);
    assert!(local.log().contains("ScaledObjectFallbackDeactivated"), "{}", local.log());
    redis.ask::<u64>("DEL jobs");
    local.until_replicas(NAME, 0);

    // From zero, too: 4 pods more than 1 are what the default rate allows at once.
    redis.stop();
    local.until_replicas(NAME, 5);
    assert_eq!(local.changes(NAME), [(0, 2), (2, 5), (5, 2), (2, 1), (1, 0), (0, 5)]);
}

fn stays(local: &Local, replicas: u64) -> Result<(), String> {
    let state = local.state(NAME).ok_or("the object is gone")?;
    if state.replicas() == Some(replicas) { Ok(()) } else { Err(format!("{state:#?}\n{}", local.log())) }
}
