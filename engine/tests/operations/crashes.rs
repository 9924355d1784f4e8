//! Our process dies around every command, and answers are lost: the end is the same, whatever the strategy and the direction.

use tidegate_calculator::operation::facts::{JobState, Scheduler};
use tidegate_calculator::operation::spec::{
    Flink, Jar, JobSelector, JobSpec, Jobs, RunTemplate, SavepointOptions, StrategyChoice,
};
use tidegate_calculator::policy::Policy;
use tidegate_calculator::time::Span;

use crate::stage::{Fate, Stage, hooks, policy, subject};
use crate::world::World;

/// A change that is played.
#[derive(Clone, Copy, Debug)]
struct Plot {
    scheduler: Scheduler,
    from: u32,
    to: u32,
}

/// In place, and with a stop and a run; in and out, to zero and from there.
const PLOTS: [Plot; 8] = [
    Plot { scheduler: Scheduler::Adaptive, from: 4, to: 2 },
    Plot { scheduler: Scheduler::Adaptive, from: 2, to: 4 },
    Plot { scheduler: Scheduler::Reactive, from: 4, to: 2 },
    Plot { scheduler: Scheduler::Reactive, from: 2, to: 4 },
    Plot { scheduler: Scheduler::Default, from: 4, to: 2 },
    Plot { scheduler: Scheduler::Default, from: 2, to: 4 },
    Plot { scheduler: Scheduler::Default, from: 2, to: 0 },
    Plot { scheduler: Scheduler::Default, from: 0, to: 2 },
];

impl Plot {
    /// How often the job is run again.
    const fn runs(self) -> usize {
        match (self.scheduler, self.to) {
            (Scheduler::Default, 1..) => 1,
            _ => 0,
        }
    }

    /// The beginning: a job on all slots, with as much to do as they can.
    fn stage(self) -> Stage {
        let run = RunTemplate { jar: Jar::Name("enrich.jar".to_owned()), ..RunTemplate::default() };
        let listed = JobSpec { select: JobSelector::Name("enrich".to_owned()), run: Some(run), ..JobSpec::default() };
        let directory = Some("s3://bucket/sp".to_owned());
        let flink = Flink {
            strategy: StrategyChoice::Auto,
            savepoint: SavepointOptions { directory, ..SavepointOptions::default() },
            jobs: Jobs { list: vec![listed], ..Jobs::default() },
            ..Flink::default()
        };
        let from = if self.from == 0 { self.to } else { self.from };
        let world = World::new(self.scheduler, from).with_job("job-a", "enrich", from * 2);
        let least = u32::from(self.from > 0 && self.to > 0);
        let policy =
            Policy { min: least, cooldown: if least == 0 { Span::ZERO } else { policy().cooldown }, ..policy() };
        Stage::with(world, subject(policy, hooks(flink)))
    }

    /// Plays it with this fate of one command, counted from the moment at which the change is wanted.
    fn play(self, fate: Option<(usize, Fate)>) -> (Stage, usize) {
        let mut stage = self.stage();
        stage.run_to(6);
        if self.from == 0 {
            change(&mut stage, 0, fate);
        }
        let before = stage.commands;
        stage.fate = fate.map(|(nth, fate)| (before + nth, fate));
        change(&mut stage, self.to, fate);
        stage.run_to(stage.at() + 60);
        let commands = stage.commands - before;
        (stage, commands)
    }
}

fn change(stage: &mut Stage, to: u32, fate: Option<(usize, Fate)>) {
    stage.backlog[0] = Some(i64::from(to) * 5);
    let over = move |stage: &Stage| stage.world.replicas == to && !stage.is_operating();
    assert!(stage.run(over, stage.at() + 1_200), "{fate:?}: {:?}", stage.log);
}

fn check(plot: Plot, stage: &Stage, what: &str) {
    let what = format!("{plot:?} {what}: {:?}", stage.log);
    stage.check_laws();
    assert_eq!(stage.world.replicas, plot.to, "{what}");
    let live: Vec<_> = stage.world.jobs.iter().filter(|job| job.state.live()).collect();
    assert_eq!(live.len(), usize::from(plot.to > 0), "{what}");
    let runs = |job: &&crate::jobs::Job| job.state == JobState::Running && job.parallelism == plot.to * 2;
    assert!(live.iter().all(runs), "{what}");
    // From empty state nothing is ever run, and nothing twice.
    assert_eq!(stage.world.runs.len(), plot.runs(), "{what}");
    assert!(stage.world.runs.iter().all(|(_, path)| path.is_some()), "{what}");
    let wanted = format!("patch {}", plot.to);
    let patches = stage.log.iter().filter(|(_, text)| *text == wanted).count();
    assert!((1..=2).contains(&patches), "{what}");
    let entry = stage.entry.as_ref().unwrap();
    // At zero the object stays: its job must run again.
    assert!(entry.operation.is_none() && entry.holds_object == (plot.to == 0), "{what}");
}

#[test]
fn the_process_may_die_around_every_command() {
    for plot in PLOTS {
        let (whole, commands) = plot.play(None);
        check(plot, &whole, "without a fault");
        assert!(commands > 15, "{plot:?}: {commands}");
        for nth in 1..=commands {
            for fate in [Fate::DiesBefore, Fate::DiesAfter] {
                let (stage, _) = plot.play(Some((nth, fate)));
                check(plot, &stage, &format!("{fate:?} command {nth}"));
                assert_eq!(stage.deaths, 1);
            }
        }
    }
}

#[test]
fn any_answer_may_be_lost() {
    for plot in PLOTS {
        for nth in 1..=plot.play(None).1 {
            let (stage, _) = plot.play(Some((nth, Fate::Silent)));
            check(plot, &stage, &format!("without an answer to command {nth}"));
            assert_eq!(stage.fate, None);
        }
    }
}
