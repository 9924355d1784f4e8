//! `kill -9` of the operator in the middle of an operation on a real Flink: the next one finishes what was begun.

use libtest_mimic::Trial;
use serde_json::json;

use super::fleet::{Fleet, NAME, POLICY};
use super::real_checkpoint::{OLD, hook};
use super::real_operations::{Ended, Stored};
use super::real_restore;
use super::trial_with_flink;
use crate::flink::server::{NEWEST, Plan};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial_with_flink("flink::crash::an_operation_in_place_survives_a_kill", in_place),
        trial_with_flink("flink::crash::a_stopped_job_runs_again_after_a_kill", stopped),
    ]
}

/// Kills the operator as soon as this is stored, starts another one, and waits for the end of operation `sequence`.
fn killed(fleet: &mut Fleet, sequence: u64, what: &str, at: impl Fn(&Stored) -> bool) -> Ended {
    let stored = fleet.operations.until(what, at);
    fleet.kill_operator();
    let (jobs, replicas) = (fleet.live().len(), fleet.space.replicas(NAME));
    println!("killed in {} ({what}); then {jobs} jobs are live, and {replicas:?} replicas asked", stored.phase());
    fleet.start_operator();
    let ended = fleet.operations.ended(sequence);
    println!("{}: {:.1?}", ended.phase, ended.phases());
    assert_eq!(ended.phase, "Done", "{:#}", ended.last());
    let ids: Vec<_> = ended.course.iter().map(|one| &one.operation["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "it is one operation: {ids:?}");
    ended
}

fn in_place() {
    let mut fleet = Fleet::start("crash", &Plan::new(NEWEST).with("execution.checkpointing.interval", "1 h"), 2);
    let job = fleet.submit(4, &json!({}));
    fleet.policy(&hook(&fleet));
    fleet.scale_by_number(Some(POLICY), 1, 2);
    fleet.start_operator();

    // The job's first checkpoint is too old by now to serve as the hook's, which takes some seconds, in which nobody is there.
    std::thread::sleep(OLD);
    fleet.flink.knob("slow-ckpt", "4000");
    fleet.want(1);
    let asked_for = |stored: &Stored| {
        let checkpoint = &stored.operation["jobs"][0]["checkpoint"];
        checkpoint["attempt"] == 1 && checkpoint["taken"].is_null()
    };
    let ended = killed(&mut fleet, 1, "a checkpoint is asked for", asked_for);
    fleet.flink.release("slow-ckpt");
    assert_eq!(fleet.parallelism(&job), [2, 2]);
    let seen = fleet.checkpoints(&job);
    assert_eq!(seen["counts"]["restored"], 1, "one restart: {seen}");
    assert_eq!(seen["latest"]["restored"]["id"].as_u64(), Some(ended.checkpoint()), "{seen}");

    // Three intervals of an hour must pass after that; another object knows nothing of it.
    fleet.scale_by_nothing();
    fleet.scale_by_number(Some(POLICY), 1, 2);
    fleet.want(2);
    let ended = killed(&mut fleet, 1, "replicas are about to be written", |stored| stored.phase() == "Applying");
    assert_eq!(ended.last()["direction"], "ScaleUp");
    fleet.until_size(2);
    assert_eq!(fleet.parallelism(&job), [4, 4]);
    assert_eq!(fleet.live(), [job.as_str()]);
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&job));
}

fn stopped() {
    let (mut fleet, job) = real_restore::fleet("stopped", 2);
    fleet.policy(&real_restore::hook(&fleet, &fleet.flink.url(), &[]));
    fleet.scale_by_number(Some(POLICY), 1, 2);
    fleet.start_operator();
    fleet.want(1);
    let down = |stored: &Stored| {
        let job = &stored.operation["jobs"][0];
        job["ended"] == true && job["run"].is_null()
    };
    let ended = killed(&mut fleet, 1, "the job is stopped and does not run yet", down);
    let again = real_restore::run_again(&fleet, &ended, &job, 2);
    println!("{} records, each left exactly once", fleet.counts_exactly_once(&again));
}
