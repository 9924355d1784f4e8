//! A Redis that stops, hangs, comes back and changes its password: replicas stay, the explanation names the trigger and the reason,
//! and neither a restart of Tidegate nor anything else is needed once it is well.

use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::manifests::{App, Manifests};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Local, State, printed, run};
use crate::harness::trial_with_redis;
use crate::harness::wait::throughout;

pub(super) fn trials() -> Vec<Trial> {
    vec![trial_with_redis("trouble::replicas_stay_while_redis_fails", replicas_stay)]
}

/// The application whose server fails. Its cooldown is short: a failure taken for a zero would end all workers within seconds.
const SICK: &str = "sick";
/// The application on another server.
const WELL: &str = "well";

fn replicas_stay() {
    let (mut redis, other) = (Redis::start(Some("first")), Redis::shared());
    let mut manifests = Manifests::new();
    let (address, others) = (redis.address(), other.address());
    manifests.write("secret.yaml", &secret("first"));
    manifests.write("authentication.yaml", AUTHENTICATION);
    let sick = App { name: SICK, address: &address, authentication: Some("redis"), cooldown: 3, ..App::default() };
    manifests.add(&sick);
    manifests.add(&App { name: WELL, address: &others, list: "well", ..App::default() });
    let local = Local::start(&manifests);
    redis.push("jobs", 20);
    local.until_replicas(SICK, 4);

    stopped(&mut redis, &other, &local);
    recovered(&local);
    hung(&redis, &local);
    recovered(&local);
    other_password(&mut redis, &manifests, &local);
    recovered(&local);

    // It was no standstill: a true zero is obeyed.
    redis.ask::<u64>("DEL jobs");
    local.until_replicas(SICK, 0);
    assert_eq!(local.changes(SICK), [(0, 4), (4, 0)]);
}

/// Stopped for 30 s; meanwhile the other application is scaled as ever.
fn stopped(redis: &mut Redis, other: &Redis, local: &Local) {
    redis.stop();
    fails(local, &["TriggerUnavailable"]);
    other.push("well", 10);
    local.until_replicas(WELL, 2);
    throughout(Duration::from_secs(30), || stays(local));
    redis.start_again();
}

fn hung(redis: &Redis, local: &Local) {
    redis.freeze();
    fails(local, &["TriggerTimeout"]);
    throughout(Duration::from_secs(10), || stays(local));
    redis.thaw();
}

/// The connection that came with the old password is ended, the next one is refused, and a changed Secret mends it.
fn other_password(redis: &mut Redis, manifests: &Manifests, local: &Local) {
    redis.change_password("second");
    fails(local, &["TriggerAuthFailed"]);
    throughout(Duration::from_secs(6), || stays(local));
    manifests.write("secret.yaml", &secret("second"));
}

/// Waits until the trigger fails for one of these reasons, and looks at what people are told.
fn fails(local: &Local, reasons: &[&str]) {
    let what = format!("a failure because of {reasons:?}");
    let state = local.until(SICK, &what, |state| state.failure().is_some_and(|(reason, _)| reasons.contains(&reason)));
    let (text, errors, code) = printed(&run(&["explain", "shop/sick", "--server", local.address()]));
    assert_eq!(code, Some(0), "{errors}");
    let (_, message) = state.failure().unwrap();
    assert!(text.contains("redis jobs"), "the explanation names the trigger:\n{text}");
    assert!(text.contains(message), "the explanation says {message:?}:\n{text}");
    assert!(!text.contains("first") && !text.contains("second"), "the explanation shows a password:\n{text}");
}

fn stays(local: &Local) -> Result<(), String> {
    let state = local.state(SICK).ok_or("the object is gone")?;
    if state.replicas() == Some(4) && local.changes(SICK) == [(0, 4)] {
        return Ok(());
    }
    Err(format!("{state:#?}\n{}", local.log()))
}

/// The trigger gives readings again, and nothing has moved.
fn recovered(local: &Local) {
    local.until(SICK, "a good reading", State::reads);
    throughout(Duration::from_secs(4), || stays(local));
}

fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: redis, namespace: shop}}
stringData:
  password: {password}
"
    )
}

const AUTHENTICATION: &str = "apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: redis, namespace: shop}
spec:
  secretTargetRef:
    - {parameter: password, name: redis, key: password}
";
