//! Where a growth ends because more TaskManagers are of no use.

use tidegate_calculator::operation::bounds::{LastUseful, Shape, ShapeVertex};
use tidegate_calculator::operation::facts::{
    ClusterFacts, Inspection, JobFacts, JobState, Scheduler, TaskManager, Vertex,
};
use tidegate_calculator::operation::progress::Parked;
use tidegate_calculator::operation::sizing::Sizing;
use tidegate_calculator::operation::spec::{Flink, JobSelector, JobSpec, Select, StrategyChoice};
use tidegate_calculator::operation::{Begin, Event, Phase, Strategy};

use crate::driver::Driver;
use crate::specs::{begin, flink, spec};
use crate::world::World;

/// A job that was declared with all slots of `from` TaskManagers, of 2 slots each, and can have 8 of them at most.
fn driver(scheduler: Scheduler, begin: Begin) -> Driver {
    let mut world = World::new(scheduler, begin.from).with_job("job-a", "enrich", begin.from * 2);
    world.jobs[0].max = 8;
    Driver::new(world, begin)
}

fn growth(from: u32, to: u32) -> Begin {
    begin(from, to, spec(flink(StrategyChoice::Auto)))
}

#[test]
fn a_growth_ends_at_the_last_taskmanager_of_use() {
    // Base 4 on 4 slots: 7.5 · 4 / 4 slots round to 8, so 4 TaskManagers.
    let mut grown = driver(Scheduler::Adaptive, growth(2, 10));
    grown.run_until(500);
    assert_eq!((grown.op.state().to, grown.op.state().most), (4, Some(4)));
    // More is wanted meanwhile, and is of no more use.
    grown.wish = 12;
    grown.feed(Event::Wish { replicas: 12, fresh: true });
    assert_eq!(grown.run(), Phase::Done, "{}", grown.tail());
    assert_eq!((grown.world.replicas, grown.world.jobs[0].parallelism), (4, 8));
    let useful = grown.op.sizing().unwrap().last_useful(&flink(StrategyChoice::Auto));
    assert_eq!(useful, Some(LastUseful { replicas: 4, slots: 8, slots_per: 2 }));
}

#[test]
fn a_growth_that_is_of_no_use_is_not_begun() {
    let mut full = driver(Scheduler::Adaptive, growth(4, 6));
    assert_eq!((full.run(), full.reason()), (Phase::Cancelled, "MaxParallelismReached"));
    assert_eq!((full.world.replicas, full.count("patch"), full.count("checkpoint")), (4, 0, 0));
    let text = &full.op.state().cause.as_ref().unwrap().text;
    assert!(text.contains("8 slots at most, 2 a TaskManager, so more than 4 replicas"), "{text}");
}

#[test]
fn what_bounds_ask_for_is_of_use() {
    let mut needed = driver(Scheduler::Adaptive, Begin { needed: 6, ..growth(2, 10) });
    assert_eq!(needed.run(), Phase::Done, "{}", needed.tail());
    assert_eq!(needed.world.replicas, 6);
}

#[test]
fn in_reactive_mode_the_maximum_alone_counts() {
    // Declared with 1 and 128: every slot is used.
    let world = World::new(Scheduler::Reactive, 1).with_job("job-a", "enrich", 2);
    let mut driver = Driver::new(world, growth(1, 5));
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.world.replicas, 5);
    let mut capped = self::driver(Scheduler::Reactive, growth(2, 9));
    assert_eq!(capped.run(), Phase::Done, "{}", capped.tail());
    assert_eq!(capped.world.replicas, 4, "8 slots are 4 TaskManagers");
}

#[test]
fn a_lowering_goes_where_it_goes() {
    let mut lowered = driver(Scheduler::Adaptive, growth(8, 6));
    assert_eq!(lowered.run(), Phase::Done, "{}", lowered.tail());
    assert_eq!((lowered.world.replicas, lowered.op.state().most), (6, None));
}

#[test]
fn the_user_who_protects_nothing_is_capped_by_nothing() {
    let mut free = driver(Scheduler::Adaptive, begin(2, 10, spec(flink(StrategyChoice::None))));
    assert_eq!(free.run(), Phase::Done);
    assert_eq!((free.world.replicas, free.op.state().strategy), (10, Some(Strategy::None)));
    assert_eq!(free.op.sizing(), None);
}

#[test]
fn a_job_that_was_started_anew_has_its_own_maximum() {
    let vertex = |max| ShapeVertex { id: "v1".to_owned(), base: 4, max };
    let known = Shape { job: "enrich".to_owned(), slots: 4, vertices: vec![vertex(128)] };
    let mut driver = driver(Scheduler::Adaptive, Begin { shapes: vec![known], ..growth(2, 10) });
    assert_eq!(driver.run(), Phase::Done, "{}", driver.tail());
    assert_eq!(driver.op.state().jobs[0].shape.as_ref().unwrap().vertices, [vertex(8)]);
    assert_eq!(driver.world.replicas, 4);
}

/// What is remembered says nothing of the spec: another one gives another number at once.
#[test]
fn the_spec_is_looked_at_anew() {
    let vertex = |base| ShapeVertex { id: format!("v{base}"), base, max: 8 };
    let shape = Shape { job: "enrich".to_owned(), slots: 2, vertices: vec![vertex(1)] };
    let job = tidegate_calculator::operation::sizing::SizedJob {
        name: "enrich".to_owned(),
        shape,
        ..tidegate_calculator::operation::sizing::SizedJob::default()
    };
    let sizing = Sizing { slots_per: Some(2), following: false, jobs: vec![job] };
    let replicas = |flink: &_| sizing.last_useful(flink).map(|useful| useful.replicas);
    let mut flink = flink(StrategyChoice::Auto);
    assert_eq!(replicas(&flink), Some(1), "declared with 1, it stays at 1");
    let select = JobSelector::Name("enrich".to_owned());
    flink.jobs.list = vec![JobSpec { select, raise_vertices: vec!["v1".to_owned()], ..JobSpec::default() }];
    // (8 - 1/2) · 2 / 1 slots round to 8 of base 1 on 2 slots: 15 of 2 a TaskManager.
    assert_eq!(replicas(&flink), Some(8));
    flink.slots_per_task_manager = Some(5);
    assert_eq!(replicas(&flink), Some(3));
    // What an older version has left behind says nothing.
    assert_eq!(Sizing::default().last_useful(&flink), None);
}

/// Only the next change runs it again: a cap would leave it stopped for ever.
#[test]
fn a_stopped_job_runs_again_with_a_change_that_is_of_no_use() {
    let vertex = ShapeVertex { id: "v1".to_owned(), base: 8, max: 8 };
    let shape = Shape { job: "enrich".to_owned(), slots: 8, vertices: vec![vertex] };
    let mut flink = flink(StrategyChoice::Auto);
    flink.jobs.list = vec![crate::specs::listed("enrich")];
    let parked = Parked {
        name: "enrich".to_owned(),
        id: "job-a".to_owned(),
        path: Some("s3://bucket/sp/x/1".to_owned()),
        parallelism: 8,
        shape: Some(shape),
        ..Parked::default()
    };
    let begin = Begin { parked: vec![parked], ..begin(4, 6, spec(flink)) };
    let mut driver = Driver::new(World::new(Scheduler::Default, 4), begin);
    assert_eq!((driver.run(), driver.world.runs.len()), (Phase::Done, 1), "{}", driver.tail());
}

/// A job that has just begun has no graph yet, and one that is not looked after may use any number of slots.
#[test]
fn nothing_is_known_while_a_job_says_nothing_or_is_none_of_ours() {
    let job = |name: &str, max: Option<u32>| {
        let vertex = |max_parallelism| Vertex {
            id: "v1".to_owned(),
            parallelism: 2,
            max_parallelism,
            running: 2,
            group: String::new(),
            upper: Some(2),
        };
        JobFacts {
            id: name.to_owned(),
            name: name.to_owned(),
            patterns: Vec::new(),
            state: JobState::Running,
            batch: false,
            vertices: max.map(vertex).into_iter().collect(),
            checkpointing: None,
            completed: None,
            savepoint: None,
            restored: None,
            failed_in_a_row: 0,
            p95: None,
            restarts: None,
        }
    };
    let cluster = |jobs| {
        let cluster = ClusterFacts {
            scheduler: Scheduler::Adaptive,
            web_submit: true,
            web_rescale: true,
            submission_stabilization: None,
            cooldown_after_rescaling: None,
            jobs,
            task_managers: vec![TaskManager { id: "a".to_owned(), host: String::new(), slots: 2, free: 0 }],
        };
        Inspection { cluster: Some(cluster), ..Inspection::default() }
    };
    let mut flink = flink(StrategyChoice::Auto);
    flink.jobs.list = vec![crate::specs::listed("enrich")];
    let useful =
        |jobs, flink: &Flink| Sizing::of(&cluster(jobs), flink, &[])?.last_useful(flink).map(|useful| useful.replicas);
    assert_eq!(useful(vec![job("enrich", Some(2))], &flink), Some(1));
    assert_eq!(useful(vec![job("enrich", None)], &flink), None);
    let both = || vec![job("enrich", Some(2)), job("other", Some(128))];
    flink.jobs.select = Select::All;
    assert!(useful(both(), &flink).is_some_and(|replicas| replicas > 1));
    flink.jobs.select = Select::Listed;
    assert_eq!(useful(both(), &flink), None);
    let known = Sizing::of(&cluster(vec![job("enrich", Some(2))]), &flink, &[]).unwrap();
    flink.strategy = StrategyChoice::None;
    assert_eq!(known.last_useful(&flink), None, "nothing keeps from anything");
}
