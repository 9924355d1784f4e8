//! Our process dies around every command, and answers are lost: the end is the same.

use tidegate_calculator::operation::facts::JobState;

use crate::stage::{Fate, Stage};

/// From 4 to 2 TaskManagers, with this fate of one command.
fn shrinking(fate: Option<(usize, Fate)>) -> Stage {
    let mut stage = Stage::new(4);
    stage.fate = fate;
    stage.run_to(6);
    stage.backlog[0] = Some(10);
    let over = |stage: &Stage| stage.world.replicas == 2 && !stage.is_operating();
    assert!(stage.run(over, 1_200), "{fate:?}: {:?}", stage.log);
    stage.run_to(stage.at() + 60);
    stage
}

fn check(stage: &Stage, what: &str) {
    stage.check_laws();
    assert_eq!(stage.world.replicas, 2, "{what}");
    let live: Vec<_> = stage.world.jobs.iter().filter(|job| job.state == JobState::Running).collect();
    assert_eq!(live.len(), 1, "{what}: {:?}", stage.log);
    assert_eq!(live[0].parallelism, 4, "{what}: {:?}", stage.log);
    let patches = stage.log.iter().filter(|(_, text)| text.starts_with("patch")).count();
    assert!((1..=2).contains(&patches), "{what}: {:?}", stage.log);
    assert!(stage.entry.as_ref().is_some_and(|entry| entry.operation.is_none() && !entry.holds_object));
}

#[test]
fn the_process_may_die_around_every_command() {
    let whole = shrinking(None);
    check(&whole, "without a fault");
    assert!(whole.commands > 20, "{}", whole.commands);
    for nth in 1..=whole.commands {
        for fate in [Fate::DiesBefore, Fate::DiesAfter] {
            let stage = shrinking(Some((nth, fate)));
            check(&stage, &format!("{fate:?} command {nth}"));
            assert_eq!(stage.deaths, 1);
        }
    }
}

#[test]
fn any_answer_may_be_lost() {
    for nth in 1..=shrinking(None).commands {
        let stage = shrinking(Some((nth, Fate::Silent)));
        check(&stage, &format!("without an answer to command {nth}"));
        assert_eq!(stage.fate, None);
    }
}
