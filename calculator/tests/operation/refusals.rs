//! What is refused, and by which reason; the table that chooses a strategy; what no spec may say.

use tidegate_calculator::operation::auto::{self, Choice, Situation, TABLE};
use tidegate_calculator::operation::facts::{JobState, Scheduler};
use tidegate_calculator::operation::spec::{Batch, HookSpec, OnFailure, OnFailureTable, Select, StrategyChoice};
use tidegate_calculator::operation::{Class, Direction, Phase, Refusal, Strategy};
use tidegate_calculator::time::Span;

use crate::driver::{Driver, Fault};
use crate::specs::{begin, flink, item, listed, spec};
use crate::world::World;

fn driver(scheduler: Scheduler, from: u32, to: u32) -> Driver {
    let world = World::new(scheduler, from).with_job("job-a", "enrich", from * 2);
    Driver::new(world, begin(from, to, spec(flink(StrategyChoice::Auto))))
}

fn refused(mut driver: Driver, reason: &str, phase: Phase) {
    assert_eq!((driver.run(), driver.reason()), (phase, reason), "{}", driver.tail());
    assert!(driver.told(reason), "every refusal is a condition");
    let acted = ["checkpoint", "stop", "patch", "run", "put", "mark"].map(|name| driver.count(name));
    assert_eq!(acted, [0; 6], "and nothing is done");
}

#[test]
fn each_refusal_has_its_reason_and_does_nothing() {
    use Scheduler::{Adaptive, Default, Reactive};
    let mut off = driver(Adaptive, 3, 1);
    off.world.jobs[0].interval = None;
    refused(off, "NoCheckpointing", Phase::Aborted);

    let mut application = driver(Reactive, 2, 0);
    application.world.web_submit = false;
    refused(application, "ApplicationStopUnsafe", Phase::Failed);

    refused(driver(Default, 3, 1), "DefaultSchedulerNeedsTemplate", Phase::Failed);
    refused(driver(Adaptive, 2, 0), "ToZeroNeedsRunTemplate", Phase::Failed);

    let mut no_submit = driver(Default, 3, 1);
    no_submit.world.web_submit = false;
    no_submit.edit(|flink| flink.jobs.list = vec![listed("enrich")]);
    refused(no_submit, "WebSubmitDisabled", Phase::Aborted);

    let mut foreign = driver(Adaptive, 3, 1);
    foreign.world.foreign_pods = true;
    refused(foreign, "TargetNotTaskManagers", Phase::Failed);

    let mut owned = driver(Adaptive, 3, 1);
    owned.world.owned_by_operator = true;
    refused(owned, "TargetOwnedByFlinkOperator", Phase::Failed);

    let mut batch = driver(Adaptive, 3, 1);
    batch.world.jobs[0].batch = true;
    refused(batch, "BatchJobRunning", Phase::Aborted);

    let mut listed_only = driver(Adaptive, 3, 1);
    listed_only.edit(|flink| {
        flink.jobs.select = Select::Listed;
        flink.jobs.list = vec![listed("other")];
    });
    refused(listed_only, "JobNotFound", Phase::Aborted);

    let mut twice = driver(Adaptive, 3, 1);
    twice.world = twice.world.with_job("job-b", "two", 1);
    twice.world.jobs[1].name = "enrich".to_owned();
    twice.edit(|flink| flink.jobs.list = vec![listed("enrich")]);
    twice.same_names = true;
    refused(twice, "JobAmbiguous", Phase::Aborted);

    let mut admin = driver(Adaptive, 3, 1);
    admin.world.web_rescale = Some(false);
    refused(admin, "WebRescaleDisabled", Phase::Aborted);

    let mut unfit = driver(Adaptive, 3, 1);
    unfit.edit(|flink| flink.strategy = StrategyChoice::FlinkDeployment);
    refused(unfit, "StrategyUnfit", Phase::Failed);
}

#[test]
fn failing_or_slow_checkpoints_stop_a_lowering_and_never_a_growth() {
    let mut failing = driver(Scheduler::Adaptive, 3, 1);
    failing.world.jobs[0].failed_in_a_row = 2;
    refused(failing, "CheckpointsFailing", Phase::Aborted);
    // The time-out is 60 s: 30 s are half of it, and not more.
    let slow = |from, to, p95| {
        let mut driver = driver(Scheduler::Adaptive, from, to);
        driver.world.jobs[0].p95 = Some(p95);
        driver
    };
    refused(slow(3, 1, 30_001), "CheckpointsFailing", Phase::Aborted);
    assert_eq!(slow(3, 1, 30_000).run(), Phase::Done);
    assert_eq!(slow(1, 3, 59_000).run(), Phase::Done);
}

#[test]
fn a_batch_job_may_be_ignored_and_does_not_hinder_growth() {
    let mut ignored = driver(Scheduler::Adaptive, 3, 1);
    ignored.world.jobs[0].batch = true;
    ignored.unprotected = true;
    ignored.edit(|flink| flink.jobs.batch = Batch::Ignore);
    assert_eq!(ignored.run(), Phase::Done, "{}", ignored.tail());
    let mut growth = driver(Scheduler::Adaptive, 1, 3);
    growth.world.jobs[0].batch = true;
    assert_eq!(growth.run(), Phase::Done);
}

#[test]
fn a_jobmanager_that_refuses_us_is_asked_again_later_and_not_only_by_another_policy() {
    let mut down = driver(Scheduler::Adaptive, 3, 1);
    down.script = vec![("inspect", 1, Fault::Fail(Class::Config))];
    assert_eq!((down.run(), down.reason()), (Phase::Aborted, "JobManagerUnavailable"));
    assert_eq!(down.count("inspect"), 1, "the same credentials are refused again");
    let ending = down.op.ending(None, down.now()).unwrap();
    assert!(ending.next(false).is_some(), "a Secret may be mended: {ending:?}");
}

#[test]
fn a_jobmanager_that_does_not_answer_aborts_a_lowering_and_growth_goes_on() {
    let mut down = driver(Scheduler::Adaptive, 3, 1);
    down.world.up_at = i64::MAX;
    assert_eq!((down.run(), down.reason()), (Phase::Aborted, "JobManagerUnavailable"));
    // Three looks, 10 and 20 s apart.
    assert_eq!(down.count("inspect"), 3);
    assert!((30_000..35_000).contains(&(down.world.now - down.begun())));
    let mut up = driver(Scheduler::Adaptive, 1, 3);
    up.world.up_at = up.world.now + 200_000;
    up.run_until(100_000);
    assert!(up.told("ProceededUnprotected") || up.op.state().proceeded.is_some());
}

#[test]
fn every_refusal_says_what_to_do_and_has_a_reason_of_its_own() {
    let mut reasons: Vec<&str> = Refusal::ALL.iter().map(|refusal| refusal.reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), Refusal::ALL.len());
    assert!(Refusal::ALL.iter().all(|refusal| refusal.fix().len() > 20));
}

fn situations() -> Vec<Situation> {
    let mut all = Vec::new();
    let choices = [
        StrategyChoice::Auto,
        StrategyChoice::Checkpoint,
        StrategyChoice::StopRestore,
        StrategyChoice::FlinkDeployment,
        StrategyChoice::None,
    ];
    for direction in Direction::ALL {
        for chosen in choices {
            for scheduler in [Scheduler::Reactive, Scheduler::Adaptive, Scheduler::Default, Scheduler::Unknown] {
                for bits in 0..64u32 {
                    let bit = |n: u32| bits & (1 << n) != 0;
                    all.push(Situation {
                        direction,
                        chosen,
                        deployment: bit(0),
                        scheduler,
                        web_rescale: bit(1),
                        web_submit: bit(2),
                        live: bit(3),
                        parked: bit(4),
                        templates: bit(5),
                    });
                }
            }
        }
    }
    all
}

#[test]
fn the_table_never_stops_a_job_that_cannot_be_run_again() {
    let mut used = std::collections::BTreeSet::new();
    for situation in situations() {
        let (choice, why) = auto::choose(&situation);
        used.insert(why);
        if choice == Choice::Use(Strategy::StopRestore) {
            assert!(situation.web_submit && situation.templates, "{situation:?}");
        }
        if choice == Choice::Use(Strategy::Checkpoint) {
            let follows = situation.scheduler == Scheduler::Reactive || situation.web_rescale;
            assert!(follows && situation.direction != Direction::ToZero, "{situation:?}");
        }
        if choice == Choice::Use(Strategy::None) && situation.direction.lowers() && situation.live {
            assert_eq!(situation.chosen, StrategyChoice::None, "unprotected only by choice: {situation:?}");
        }
    }
    let whys: std::collections::BTreeSet<&str> = TABLE.iter().map(|row| row.why).collect();
    assert_eq!(used, whys, "every row can be reached");
    assert_eq!(auto::markdown().lines().count(), TABLE.len() + 2);
}

#[test]
fn no_spec_may_proceed_where_a_job_is_stopped() {
    let with = |table: OnFailureTable, strategy| {
        let mut item = item(flink(strategy));
        item.on_failure = table;
        HookSpec { pre_scale: vec![item], post_scale: vec![] }.check()
    };
    let proceed = Some(OnFailure::Proceed);
    let up = OnFailureTable { scale_up: proceed, ..OnFailureTable::default() };
    let zero = OnFailureTable { to_zero: proceed, from_zero: proceed, ..OnFailureTable::default() };
    assert!(with(up, StrategyChoice::Auto).is_empty());
    assert_eq!(with(up, StrategyChoice::StopRestore).len(), 1);
    let errors = with(zero, StrategyChoice::Auto);
    assert_eq!(errors.len(), 2);
    assert_eq!(
        errors[0].to_string(),
        "hooks.preScale[state].onFailure.toZero: Proceed is not allowed; allowed: Abort, because a stopped job must run again"
    );
}

#[test]
fn a_flink_item_is_the_last_before_and_never_after() {
    let one = item(flink(StrategyChoice::Auto));
    let spec = HookSpec { pre_scale: vec![one.clone(), one.clone()], post_scale: vec![one.clone()] };
    let reasons: Vec<&str> = spec.check().iter().map(tidegate_calculator::operation::SpecError::reason).collect();
    assert_eq!(reasons, ["FlinkPlace", "FlinkPlace"]);
    let mut zero = one;
    zero.attempts = 0;
    zero.timeout = Span(0);
    let spec = HookSpec { pre_scale: vec![zero], post_scale: vec![] };
    assert_eq!(spec.check().len(), 2);
}

#[test]
fn a_taskmanager_that_died_a_moment_ago_is_waited_for() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    // One that is still listed and has no pod any more.
    driver.world.ghost_until = driver.world.now + 40_000;
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert!(driver.times("patch")[0] >= 40_000);
}

#[test]
fn a_job_that_does_not_run_wholly_is_waited_for_and_then_aborts() {
    let mut driver = driver(Scheduler::Adaptive, 3, 1);
    driver.world.jobs[0].state = JobState::Restarting;
    driver.world.jobs[0].ready_at = i64::MAX;
    assert_eq!((driver.run(), driver.reason()), (Phase::Aborted, "JobNotReady"), "{}", driver.tail());
    // The time-out of the verification is 5 min.
    assert!((300_000..310_000).contains(&(driver.world.now - driver.begun())));
}
