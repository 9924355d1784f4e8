//! Snapshots that fail: the record says why, no TaskManager leaves, and the job runs on; growth goes on where its snapshot alone fails.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use super::scripted_job::{Health, Manners, State};
use super::scripted_stage::{Lane, Opening, Scene};
use crate::cluster::space::conditions;
use crate::cluster::{SOON, trial};
use crate::harness::wait::throughout;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("flink::failing::no_taskmanager_leaves_without_a_snapshot", lowering),
        trial("flink::failing::growth_goes_on_without_a_snapshot", growth),
        trial("flink::failing::a_stop_that_fails_leaves_the_job_running", stops),
    ]
}

/// One try, and no longer than 20 s for the job to be ready.
fn once(from: u32, manners: Manners) -> Opening {
    let mut opening = Opening { manners, from, ..Opening::default() };
    opening.item["attempts"] = 1.into();
    opening.flink["verify"]["timeout"] = "20s".into();
    opening
}

/// Waits until the record tells of this cause, with these words.
fn until_told(scene: &Scene<'_>, condition: &str, words: &str, direction: &str) -> Value {
    scene.until_record(SOON, &format!("{condition}: {words}"), |record| {
        conditions(record).any(|one| {
            let message = one["message"].as_str().unwrap_or_default();
            one["type"] == condition && one["status"] == "True" && one["reason"] == direction && message.contains(words)
        })
    })
}

/// What fails, and how the record tells it.
struct Case {
    what: &'static str,
    manners: Manners,
    condition: &'static str,
    words: &'static str,
    /// What happens to the job before.
    before: fn(&Scene<'_>),
    /// How often the job restarts because of the snapshot.
    restarts: u32,
}

fn lowering() {
    let well = Manners::default();
    let nothing = |_: &Scene<'_>| ();
    let ill = |health| Manners { health, ..Manners::default() };
    let cases = [
        Case {
            what: "a directory that cannot be made",
            manners: ill(Health::Directory),
            condition: "SnapshotFailed",
            words: "Mkdirs failed to create file:/proc/nope/shared",
            before: nothing,
            restarts: 0,
        },
        Case {
            what: "slower than its time-out",
            manners: Manners { snapshot: 600_000, timeout: 3_000, ..well },
            condition: "SnapshotFailed",
            words: "job enrich: CheckpointException: Checkpoint expired before completing",
            before: nothing,
            restarts: 0,
        },
        Case {
            what: "an operator that throws",
            manners: ill(Health::Operator),
            condition: "SnapshotFailed",
            words: "job enrich: RuntimeException: state of orders cannot be written",
            before: nothing,
            restarts: 1,
        },
        Case {
            what: "no periodic checkpoints",
            manners: Manners { interval: None, ..well },
            condition: "NoCheckpointing",
            words: "set execution.checkpointing.interval",
            before: nothing,
            restarts: 0,
        },
        Case {
            what: "a job that restarts",
            manners: Manners { restart: 3_600_000, ..well },
            condition: "JobNotReady",
            words: "job enrich does not run wholly",
            before: |scene| {
                let mut world = scene.manager.world();
                let manners = world.manners;
                world.jobs[0].restart(super::scripted::now(), &manners);
            },
            restarts: 1,
        },
    ];
    let lane = Lane::new("flink-failing", &["--leader-elect=false"]);
    let _operator = lane.operator();
    std::thread::scope(|scope| {
        for case in &cases {
            let lane = &lane;
            scope.spawn(move || fails(lane, case));
        }
    });
}

/// It is told, nothing is taken away, and the job is as it was.
fn fails(lane: &Lane, case: &Case) {
    // The start of a job is quick in any case.
    let mut opening = once(2, Manners { restart: 0, ..case.manners });
    opening.manners.restart = Manners::default().restart;
    let scene = lane.open(&opening);
    scene.until_at_rest(2);
    scene.guard();
    scene.manager.world().manners = case.manners;
    (case.before)(&scene);
    scene.demand(1);
    let record = until_told(&scene, case.condition, case.words, "ScaleDown");
    let told = conditions(&record).find(|one| one["type"] == case.condition).unwrap();
    println!("{}: {} ({})", case.what, told["message"], told["reason"]);
    throughout(Duration::from_secs(5), || match lane.space.replicas(&scene.name) {
        Some(2) => Ok(()),
        other => Err(format!("{}: {other:?} replicas\n{}", case.what, scene.story())),
    });
    let world = scene.manager.world();
    assert_eq!((world.managers.len(), &world.violations), (2, &Vec::new()), "{}", case.what);
    let [job] = &world.jobs[..] else { panic!("{}: {}", case.what, world.story()) };
    assert!(job.state.live(), "{}: {}", case.what, world.story());
    // It is tried again after a pause, so another restart may be there already.
    assert!(
        job.restarts >= case.restarts && (case.restarts > 0 || job.restarts == 0),
        "{}: {}",
        case.what,
        world.story()
    );
    drop(world);
    scene.close();
}

/// The directory cannot be made, somebody mends it, and the next growth has its snapshots again.
fn growth() {
    let lane = Lane::new("flink-growth", &["--leader-elect=false"]);
    let _operator = lane.operator();
    std::thread::scope(|scope| {
        let cases = [
            ("directory", Manners { health: Health::Directory, ..Manners::default() }),
            ("slow", Manners { snapshot: 600_000, timeout: 3_000, ..Manners::default() }),
        ];
        for (what, manners) in cases {
            let lane = &lane;
            scope.spawn(move || grows(lane, what, manners));
        }
        scope.spawn(|| stays_protected(&lane));
    });
}

fn grows(lane: &Lane, what: &str, manners: Manners) {
    // After a change three intervals pass before the next one.
    let often = Manners { interval: Some(1_000), ..Manners::default() };
    let scene = lane.open(&once(1, often));
    scene.until_at_rest(1);
    scene.guard();
    scene.manager.world().manners = Manners { interval: often.interval, ..manners };
    scene.demand(2);
    lane.space.until_replicas(&scene.name, 2);
    // From the moment at which the change is made, snapshots are well again.
    scene.manager.world().manners = often;
    let end = scene.until_ended("ScaleUp", 2);
    let record = until_told(&scene, "SnapshotFailed", "the change happens all the same", "ScaleUp");
    let told = conditions(&record).find(|one| one["type"] == "SnapshotFailed").unwrap();
    println!("{what}: {end}; {}", told["message"]);
    assert_eq!((end.as_str(), scene.violations()), ("Done", Vec::new()), "{what}\n{}", scene.story());
    // The next one has its snapshot, and the condition goes.
    scene.demand(3);
    assert_eq!(scene.until_ended("ScaleUp", 3), "Done");
    let told = |record: &Value| conditions(record).any(|one| one["type"] == "SnapshotFailed");
    scene.until_record(SOON, "no cause any more", |record| !told(record));
    scene.close();
}

/// A job without periodic checkpoints would be lost by any restart, so it is not even grown.
fn stays_protected(lane: &Lane) {
    let scene = lane.open(&once(1, Manners { interval: None, ..Manners::default() }));
    scene.until_at_rest(1);
    scene.demand(2);
    let record = until_told(&scene, "NoCheckpointing", "set execution.checkpointing.interval", "ScaleUp");
    println!("no periodic checkpoints, growing: {:?} replicas", record["status"]["replicas"]);
    assert_eq!(lane.space.replicas(&scene.name), Some(1));
    assert!(scene.manager.world().jobs[0].state == State::Running);
    scene.close();
}

/// Stops that fail: what cannot be stopped with a savepoint is not stopped.
fn stops() {
    let lane = Lane::new("flink-stops", &["--leader-elect=false"]);
    let _operator = lane.operator();
    let default = Manners { adaptive: false, ..Manners::default() };
    let cases = [
        ("directory", Manners { health: Health::Directory, ..default }, "Failed to create savepoint directory", 0),
        ("slow", Manners { snapshot: 600_000, timeout: 3_000, ..default }, "Checkpoint expired before completing", 1),
    ];
    std::thread::scope(|scope| {
        for (what, manners, words, restarts) in cases {
            let lane = &lane;
            scope.spawn(move || {
                let scene = lane.open(&once(2, default));
                scene.until_at_rest(2);
                scene.guard();
                scene.manager.world().manners = manners;
                scene.demand(1);
                let record = until_told(&scene, "SnapshotFailed", words, "ScaleDown");
                let told = conditions(&record).find(|one| one["type"] == "SnapshotFailed").unwrap();
                println!("stop, {what}: {}", told["message"]);
                assert_eq!(lane.space.replicas(&scene.name), Some(2), "{what}");
                let world = scene.manager.world();
                assert!(world.jobs.len() == 1 && world.jobs[0].state.live(), "{what}\n{}", world.story());
                assert!(world.jobs[0].restarts >= restarts && world.violations.is_empty(), "{what}\n{}", world.story());
                drop(world);
                scene.close();
            });
        }
    });
}
