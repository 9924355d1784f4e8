//! Random histories: crashes of our process and of the JobManager, lost answers, failing snapshots and runs. The driver watches the laws.

use proptest::prelude::*;
use tidegate_calculator::operation::facts::{Scheduler, UpgradeMode};
use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::spec::{Flink, OnFailure, OnFailureTable, StrategyChoice, Work};
use tidegate_calculator::operation::{Direction, Phase};

use crate::driver::{Dice, Driver};
use crate::specs::{begin, flink, item, listed};
use crate::world::{Deployment, World};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Adaptive,
    Reactive,
    StopRestore,
    FlinkDeployment,
}

fn world(kind: Kind, from: u32, jobs: u32) -> World {
    let scheduler = match kind {
        Kind::Adaptive => Scheduler::Adaptive,
        Kind::Reactive => Scheduler::Reactive,
        Kind::StopRestore | Kind::FlinkDeployment => Scheduler::Default,
    };
    let mut world = World::new(scheduler, from);
    if matches!(kind, Kind::FlinkDeployment) {
        world.deployment = Some(Deployment {
            mode: UpgradeMode::LastState,
            suspended: from == 0,
            settled_at: 0,
            autoscaler: false,
            snapshots: Vec::new(),
            room: u32::MAX,
            rolls_back: false,
        });
        return world;
    }
    if from > 0 {
        for n in 0..jobs {
            world = world.with_job(&format!("id-{n}"), &format!("job-{n}"), (from * 2 / jobs).max(1));
        }
    }
    world
}

fn hook(kind: Kind, jobs: u32) -> Flink {
    let mut flink = flink(StrategyChoice::Auto);
    if matches!(kind, Kind::StopRestore) {
        flink.jobs.list = (0..jobs).map(|n| listed(&format!("job-{n}"))).collect();
    }
    flink
}

fn play(kind: Kind, from: u32, to: u32, jobs: u32, faults: u32, seed: u64) -> Driver {
    let mut item = item(hook(kind, jobs));
    item.on_failure = OnFailureTable { scale_up: Some(OnFailure::Abort), ..OnFailureTable::default() };
    if matches!(item.work, Work::Flink(_)) && seed.is_multiple_of(3) {
        item.on_failure = OnFailureTable::default();
    }
    let mut begin =
        begin(from, to, tidegate_calculator::operation::spec::HookSpec { pre_scale: vec![item], post_scale: vec![] });
    if from == 0 && matches!(kind, Kind::StopRestore) {
        let parked = |n: u32| Parked {
            name: format!("job-{n}"),
            id: format!("id-{n}"),
            path: Some(format!("s3://bucket/sp/before/{n}")),
            parallelism: 2,
            ..Parked::default()
        };
        begin.parked = (0..jobs).map(parked).collect();
    }
    let mut driver = Driver::new(world(kind, from, jobs), begin);
    let mut dice = Dice(seed | 1);
    driver.world.run_fails = if dice.roll(3) == 0 { u32::try_from(dice.roll(8)).unwrap() } else { 0 };
    driver.world.never_register = dice.roll(10) == 0;
    driver.unprotected = matches!(kind, Kind::FlinkDeployment);
    driver.random = Some((faults, dice));
    driver
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Adaptive), Just(Kind::Reactive), Just(Kind::StopRestore), Just(Kind::FlinkDeployment)]
}

/// As for decisions: `PROPTEST_CASES` and `PROPTEST_RNG_SEED` make a long search, or one elsewhere.
fn cases() -> ProptestConfig {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("PROPTEST_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(500);
    let rng_seed = proptest::test_runner::RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1));
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_laws_hold_whatever_fails(
        kind in kinds(),
        from in 0u32..5,
        step in 0u32..4,
        jobs in 1u32..4,
        faults in 0u32..8,
        seed in 1u64..u64::MAX,
    ) {
        let to = (from + 1 + step) % 5;
        let jobs = if matches!(kind, Kind::Reactive) { 1 } else { jobs };
        let mut driver = play(kind, from, to, jobs, faults, seed);
        let phase = driver.run();
        prop_assert!(phase.ended());
    }
}

/// Without faults every change arrives.
#[test]
fn without_faults_every_change_is_done() {
    for kind in [Kind::Adaptive, Kind::Reactive, Kind::StopRestore, Kind::FlinkDeployment] {
        for (from, to) in [(2, 4), (4, 2), (2, 0), (0, 2), (1, 2), (2, 1)] {
            let mut driver = play(kind, from, to, 1, 0, 2);
            driver.world.run_fails = 0;
            driver.world.never_register = false;
            let phase = driver.run();
            let direction = Direction::of(from, to).unwrap();
            let refused = direction == Direction::ToZero && matches!(kind, Kind::Adaptive | Kind::Reactive);
            let expected = if refused { Phase::Failed } else { Phase::Done };
            assert_eq!(phase, expected, "{kind:?} {from} -> {to}: {}\n{}", driver.describe(), driver.tail());
        }
    }
}
