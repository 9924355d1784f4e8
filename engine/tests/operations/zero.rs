//! To zero and back: the job is stopped with a savepoint, its path outlives us, and what reads the job says nothing meanwhile.

use tidegate_calculator::observation::Evidence;
use tidegate_calculator::operation::facts::{JobState, Scheduler};
use tidegate_calculator::operation::spec::{
    Flink, Jar, JobSelector, JobSpec, Jobs, RunTemplate, SavepointOptions, StrategyChoice, Work,
};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::time::Span;

use crate::stage::{Stage, hooks, subject, two_triggers};
use crate::world::World;

/// Two TaskManagers of the default scheduler, a queue, and a trigger on the job itself.
fn stage() -> Stage {
    let run = RunTemplate { jar: Jar::Name("enrich.jar".to_owned()), ..RunTemplate::default() };
    let job = JobSpec { select: JobSelector::Name("enrich".to_owned()), run: Some(run), ..JobSpec::default() };
    let savepoint = SavepointOptions { directory: Some("s3://bucket/sp".to_owned()), ..SavepointOptions::default() };
    let jobs = Jobs { list: vec![job], ..Jobs::default() };
    let flink = Flink { strategy: StrategyChoice::Auto, savepoint, jobs, ..Flink::default() };
    let world = World::new(Scheduler::Default, 2).with_job("job-a", "enrich", 4);
    Stage::with(world, subject(Policy { min: 0, cooldown: Span::ZERO, ..two_triggers("flink") }, hooks(flink)))
}

/// Runs until the object rests at zero.
fn rests(stage: &mut Stage) {
    stage.run_to(stage.at().max(10));
    stage.backlog = vec![Some(0), Some(0)];
    let over = |stage: &Stage| stage.world.replicas == 0 && !stage.is_operating();
    assert!(stage.run(over, stage.at() + 300), "{:?}", stage.log);
    stage.run_to(stage.at() + 2);
}

#[test]
fn a_stopped_job_runs_again_from_its_savepoint() {
    let mut stage = stage();
    rests(&mut stage);
    assert_eq!(stage.story(), ["PlanJar", "StopWithSavepoint", "Annotate", "patch 0"]);
    let operations = stage.operations();
    let path = operations.parked[0].path.clone().unwrap();
    assert!(path.starts_with("s3://bucket/sp/") && operations.holds_object, "{operations:?}");
    assert_eq!(stage.world.annotation, path);
    assert!(stage.entry.as_ref().unwrap().holds_object);
    // The savepoint is still known after a restart.
    stage.die();
    stage.run_to(stage.at() + 10);
    assert_eq!(stage.operations().parked, operations.parked);
    // Leaving zero waits for no cooldown.
    stage.backlog[0] = Some(10);
    let woken = stage.at();
    assert!(stage.run(|stage| stage.world.replicas == 2, woken + 20), "{:?}", stage.log);
    assert!(stage.run(|stage| !stage.is_operating(), woken + 200), "{:?}", stage.log);
    stage.run_to(stage.at() + 2);
    assert_eq!(stage.world.runs, [("enrich".to_owned(), Some(path))]);
    assert_eq!(stage.world.jobs.iter().filter(|job| job.state == JobState::Running).count(), 1);
    let operations = stage.operations();
    assert!(operations.parked.is_empty() && !operations.holds_object, "{operations:?}");
    assert_eq!(stage.world.annotation, "");
    stage.check_laws();
}

#[test]
fn a_trigger_on_a_stopped_job_is_inactive_whatever_was_read() {
    let mut stage = stage();
    rests(&mut stage);
    for read in [None, Some(50)] {
        stage.backlog[1] = read;
        stage.run_to(stage.at() + 60);
        assert_eq!(stage.world.replicas, 0, "{read:?}");
        let snapshot = stage.snapshot();
        let Evidence::Good { readings, .. } = &snapshot.evidence[1] else { panic!("{:?}", snapshot.evidence) };
        assert!(readings.iter().all(|(_, reading)| !reading.active));
    }
    let failed = |event: &tidegate_engine::protocol::Event| event.reason() == "KEDAScalerFailed";
    assert!(!stage.events.iter().any(|(_, event)| failed(event)), "{:?}", stage.events);
    // Another job is none of ours.
    stage.edit(|subject| {
        subject.triggers[1].spec.metadata.insert("job".to_owned(), "other".to_owned());
    });
    assert!(stage.run(Stage::is_operating, stage.at() + 30), "it wakes the object");
}

#[test]
fn a_restart_at_any_command_loses_no_savepoint() {
    let whole = {
        let mut stage = stage();
        rests(&mut stage);
        stage.commands
    };
    for nth in 1..=whole {
        for fate in [crate::stage::Fate::DiesBefore, crate::stage::Fate::DiesAfter] {
            let mut stage = stage();
            stage.fate = Some((nth, fate));
            rests(&mut stage);
            stage.run_to(stage.at() + 20);
            let parked = stage.operations().parked;
            assert!(parked.len() == 1 && parked[0].path.is_some(), "{fate:?} {nth}: {parked:?} {:?}", stage.log);
            stage.backlog[0] = Some(10);
            let over = |stage: &Stage| stage.world.replicas == 2 && !stage.is_operating();
            assert!(stage.run(over, stage.at() + 300), "{fate:?} {nth}: {:?}", stage.log);
            assert_eq!(stage.world.runs.len(), 1, "{fate:?} {nth}: {:?}", stage.log);
        }
    }
}

#[test]
fn old_savepoints_are_disposed_of_and_needed_ones_stay() {
    let mut stage = stage();
    stage.edit(|subject| {
        let mut hooks = (**subject.hooks.as_ref().unwrap()).clone();
        let Work::Flink(flink) = &mut hooks.pre_scale[0].work else { panic!("{hooks:?}") };
        flink.savepoint.keep = 1;
        flink.savepoint.min_age = Span::seconds(60);
        hooks.pre_scale[0].cooldown = Span::ZERO;
        subject.hooks = Some(hooks.into());
    });
    let mut paths = Vec::new();
    for _ in 0..3 {
        rests(&mut stage);
        paths.push(stage.operations().parked[0].path.clone().unwrap());
        stage.run_to(stage.at() + 100);
        stage.backlog[0] = Some(10);
        let over = |stage: &Stage| stage.world.replicas == 2 && !stage.is_operating();
        assert!(stage.run(over, stage.at() + 300), "{:?}", stage.log);
        stage.run_to(stage.at() + 130);
    }
    // The second stop leaves one behind that is older than a minute and not the newest, and so does the third.
    let disposed: Vec<&String> = stage.disposed.iter().collect();
    assert_eq!(disposed, [&paths[0], &paths[1]]);
    stage.run_to(stage.at() + 10);
    let aftermath = stage.entry.as_ref().unwrap().aftermath.clone().unwrap();
    assert!(aftermath.contains(&*paths[2]) && !aftermath.contains(&*paths[0]), "{aftermath}");
}
