//! The strategy FlinkDeployment: the operator restarts, we wait for its rest, save it work and look at the result.

use tidegate_calculator::operation::facts::{Scheduler, UpgradeMode};
use tidegate_calculator::operation::spec::{LastState, StrategyChoice};
use tidegate_calculator::operation::{Class, Phase};

use crate::checkpoint::story;
use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, spec};
use crate::world::{Deployment, World};

fn driver(mode: UpgradeMode, from: u32, to: u32) -> Driver {
    let mut world = World::new(Scheduler::Unknown, from);
    let suspended = from == 0;
    let (settled_at, snapshots) = (0, Vec::new());
    let (autoscaler, room, rolls_back) = (false, u32::MAX, false);
    world.deployment = Some(Deployment { mode, suspended, settled_at, autoscaler, snapshots, room, rolls_back });
    let mut driver = Driver::new(world, begin(from, to, spec(flink(StrategyChoice::Auto))));
    driver.unprotected = true;
    driver
}

#[test]
fn last_state_gets_a_snapshot_first_and_savepoint_does_not() {
    let mut last_state = driver(UpgradeMode::LastState, 3, 1);
    assert_eq!(last_state.run(), Phase::Done, "{}", last_state.tail());
    let expected = [
        "phase Snapshotting",
        "create-snapshot",
        "poll-snapshot",
        "poll-snapshot",
        "phase Applying",
        "patch",
        "phase Verifying",
        "phase Done",
    ];
    assert_eq!(story(&last_state), expected);
    let name = &last_state.world.deployment.as_ref().unwrap().snapshots[0].0;
    assert!(name.contains(last_state.op.state().id.short()), "{name}");

    let mut savepoint = driver(UpgradeMode::Savepoint, 3, 1);
    assert_eq!(savepoint.run(), Phase::Done);
    assert_eq!(savepoint.count("create-snapshot"), 0, "the operator takes its own");
    let mut as_it_is = driver(UpgradeMode::LastState, 3, 1);
    as_it_is.edit(|flink| flink.flink_deployment.last_state = LastState::AsItIs);
    assert_eq!((as_it_is.run(), as_it_is.count("create-snapshot")), (Phase::Done, 0));
}

#[test]
fn a_deployment_that_loses_its_state_is_refused_unless_the_user_accepts_it() {
    let mut refused = driver(UpgradeMode::Stateless, 3, 1);
    assert_eq!((refused.run(), refused.reason()), (Phase::Aborted, "StatelessUpgrade"));
    let mut accepted = driver(UpgradeMode::Stateless, 3, 1);
    accepted.edit(|flink| flink.flink_deployment.allow_stateless = true);
    assert_eq!(accepted.run(), Phase::Done);
}

#[test]
fn two_autoscalers_on_one_number_are_refused() {
    let mut driver = driver(UpgradeMode::Savepoint, 3, 1);
    driver.world.deployment.as_mut().unwrap().autoscaler = true;
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "ForeignAutoscaler"));
}

#[test]
fn an_operator_at_work_is_waited_for() {
    let mut driver = driver(UpgradeMode::Savepoint, 3, 1);
    driver.world.deployment.as_mut().unwrap().settled_at = driver.world.now + 60_000;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.times("patch")[0] >= 60_000);
}

#[test]
fn zero_suspends_and_waking_resumes() {
    let mut down = driver(UpgradeMode::LastState, 2, 0);
    assert_eq!(down.run(), Phase::Done, "{}", down.tail());
    assert!(down.world.deployment.as_ref().unwrap().suspended);
    assert_eq!(down.count("patch"), 1, "zero is written like any other count");
    let mut up = driver(UpgradeMode::LastState, 0, 2);
    assert_eq!(up.run(), Phase::Done, "{}", up.tail());
    assert!(!up.world.deployment.as_ref().unwrap().suspended);
    assert_eq!((up.world.replicas, up.count("create-snapshot")), (2, 0));
}

#[test]
fn a_snapshot_that_fails_is_tried_again_under_another_name_and_aborts_a_lowering() {
    let mut driver = driver(UpgradeMode::LastState, 3, 1);
    driver.script = (1..=3).map(|nth| ("poll-snapshot", nth, Fault::Fail(Class::Transient))).collect();
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "SnapshotFailed"), "{}", driver.tail());
    assert_eq!(driver.world.deployment.as_ref().unwrap().snapshots.len(), 3);
    assert_eq!(driver.count("patch"), 0);
}

/// The operator takes 20 s for each upgrade, and here also to see that there is no room and to take it back.
#[test]
fn an_upgrade_that_the_operator_has_taken_back_is_taken_back_at_once() {
    for (mode, snapshots) in [(UpgradeMode::Savepoint, 0), (UpgradeMode::LastState, 2)] {
        let mut driver = driver(mode, 3, 5);
        driver.world.deployment.as_mut().unwrap().room = 4;
        assert_eq!((driver.run(), driver.reason()), (Phase::RolledBack, "OperatorFailed"), "{}", driver.tail());
        assert_eq!((driver.world.replicas, driver.world.deployment.as_ref().unwrap().snapshots.len()), (3, snapshots));
        let [there, back] = driver.times("patch")[..] else { panic!("{}", driver.tail()) };
        // Within 20 s and a look or two (and a snapshot of a second), not after the verification's 5 min; and the way back is no longer.
        assert!((20_000..26_000).contains(&(back - there)), "{mode:?} {there} {back}");
        assert!(driver.world.now - driver.begun() - back < 26_000, "{mode:?} {}", driver.tail());
    }
}

#[test]
fn an_upgrade_that_is_still_being_taken_back_is_waited_for() {
    let mut driver = driver(UpgradeMode::Savepoint, 3, 5);
    driver.world.deployment.as_mut().unwrap().room = 4;
    while driver.count("patch") == 0 {
        let next = driver.world.now - driver.begun() + 20;
        driver.run_until(next);
    }
    driver.world.deployment.as_mut().unwrap().settled_at = driver.world.now + 90_000;
    assert_eq!(driver.run(), Phase::RolledBack, "{}", driver.tail());
    let [there, back] = driver.times("patch")[..] else { panic!("{}", driver.tail()) };
    assert!((90_000..96_000).contains(&(back - there)), "{there} {back}");
}

#[test]
fn a_way_back_that_the_operator_takes_back_as_well_needs_somebody_at_once() {
    let mut driver = driver(UpgradeMode::Savepoint, 3, 5);
    driver.world.deployment.as_mut().unwrap().room = 2;
    assert_eq!((driver.run(), driver.reason()), (Phase::Failed, "OperatorFailed"), "{}", driver.tail());
    assert_eq!(driver.count("patch"), 2);
    // Two upgrades of 20 s, each with a look or two.
    assert!(driver.world.now - driver.begun() < 60_000, "{}", driver.tail());
}

#[test]
fn a_deployment_whose_last_change_was_taken_back_is_not_changed() {
    let mut driver = driver(UpgradeMode::Savepoint, 3, 1);
    driver.world.deployment.as_mut().unwrap().rolls_back = true;
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "JobNotReady"), "{}", driver.tail());
    assert_eq!(driver.count("patch"), 0);
    assert!(driver.world.now - driver.begun() < 10_000, "it will not come to rest by itself: {}", driver.tail());
}

#[test]
fn a_crash_at_any_action_creates_one_snapshot() {
    for name in ["create-snapshot", "poll-snapshot", "patch", "store"] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let mut driver = driver(UpgradeMode::LastState, 3, 1);
            driver.script = vec![(name, 1, fault)];
            assert_eq!(driver.run(), Phase::Done, "{name} {fault:?}\n{}", driver.tail());
            assert_eq!(driver.world.deployment.as_ref().unwrap().snapshots.len(), 1, "{name} {fault:?}");
        }
    }
}
