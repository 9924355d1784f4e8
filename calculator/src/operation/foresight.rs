//! What an operation would make of a cluster, for whoever only looks: the same first look as of a real one, and nothing begins.

use super::bounds::Bound;
use super::facts::Inspection;
use super::phase::{Direction, Stage, Strategy};
use super::preflight::Verdict;
use super::progress::Job;
use super::refusal::Cause;
use super::spec::OnFailure;
use super::{Begin, Operation};
use crate::time::{Span, Tick};

/// What would become of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foresight {
    /// The direction.
    pub direction: Direction,
    /// What the first look says.
    pub seen: Foreseen,
    /// What a failure before the change means under the strategy; none if none was chosen.
    pub on_failure: Option<OnFailure>,
    /// The least pause after the change.
    pub cooldown: Span,
}

/// What the first look says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// The change would be made.
    Made {
        /// How it is made safe.
        strategy: Strategy,
        /// Why that one.
        why: String,
        /// The stages that it would go through.
        plan: Vec<Stage>,
    },
    /// It would wait, for as long as `flink.verify.timeout`.
    Waits(Cause),
    /// It would be refused.
    Refused(Cause),
    /// More TaskManagers would be of no use.
    Useless(Cause),
}

/// What the first look of an operation that begins so would make of `facts`; none if `from` and `to` are equal. Whether `from` are the present
/// replicas is not looked at, so that every direction can be asked about.
pub fn foresee(begin: Begin, facts: &Inspection) -> Option<Foresight> {
    let mut operation = Operation::begin(begin, Tick(0))?;
    let seen = match operation.judge(facts) {
        Verdict::Wait(cause) => Foreseen::Waits(cause),
        Verdict::Stop(cause) => Foreseen::Refused(cause),
        Verdict::Useless(cause) => Foreseen::Useless(cause),
        Verdict::Go => Foreseen::Made {
            strategy: operation.state.strategy.unwrap_or(Strategy::None),
            why: operation.state.why.clone(),
            plan: operation.state.plan.clone(),
        },
    };
    let direction = operation.state.direction;
    let item = operation.state.spec.flink(direction).map(|(item, _)| item);
    let on_failure =
        operation.state.strategy.zip(item).map(|(strategy, item)| item.on_failure.effective(direction, strategy));
    Some(Foresight { direction, seen, on_failure, cooldown: operation.state.cooldown })
}

impl Job {
    /// The upper bounds of each job where `total` slots are there, in the order of the jobs.
    pub fn bounds(jobs: &[Self], total: u32) -> Vec<Vec<Bound>> {
        let bounds = |(job, slots): (&Self, u32)| {
            job.shape.as_ref().map(|shape| shape.bounds(slots, &job.raise)).unwrap_or_default()
        };
        jobs.iter().zip(Self::slots(jobs, total)).map(bounds).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::facts::{
        Checkpointing, ClusterFacts, JobFacts, JobState, Pod, Scheduler, TaskManager, Vertex,
    };
    use crate::operation::spec::{Flink, HookSpec, Item, Work};
    use crate::operation::{Reason, Refusal};

    fn job(interval: Option<Span>) -> JobFacts {
        let vertex = |id: &str, parallelism| Vertex {
            id: id.to_owned(),
            parallelism,
            max_parallelism: 12,
            running: parallelism,
            group: String::new(),
            upper: Some(parallelism),
        };
        JobFacts {
            id: "aa".to_owned(),
            name: "enrich".to_owned(),
            patterns: Vec::new(),
            state: JobState::Running,
            batch: false,
            vertices: vec![vertex("v", 4), vertex("w", 1)],
            checkpointing: Some(Checkpointing { interval, timeout: Span::seconds(60) }),
            completed: None,
            savepoint: None,
            restored: None,
            failed_in_a_row: 0,
            p95: None,
            restarts: None,
        }
    }

    fn seen(job: JobFacts) -> Inspection {
        let manager = |id: &str| TaskManager { id: id.to_owned(), host: String::new(), slots: 2, free: 0 };
        let mut inspection = Inspection {
            cluster: Some(ClusterFacts {
                scheduler: Scheduler::Adaptive,
                web_submit: true,
                web_rescale: true,
                submission_stabilization: None,
                cooldown_after_rescaling: None,
                jobs: vec![job],
                task_managers: vec![manager("a"), manager("b")],
            }),
            ..Inspection::default()
        };
        inspection.target.pods = ["a", "b"].map(|name| Pod { name: name.to_owned(), ip: None }).into();
        inspection
    }

    fn of(from: u32, to: u32, facts: &Inspection) -> Foresight {
        let item = Item { work: Work::Flink(Box::default()), ..Item::default() };
        let spec = HookSpec { pre_scale: vec![item], post_scale: Vec::new() };
        foresee(Begin { attempt: 1, from, to, spec, ..Begin::default() }, facts).unwrap()
    }

    #[test]
    fn it_says_what_an_operation_would_do_whatever_the_replicas_are() {
        let facts = seen(job(Some(Span::seconds(60))));
        let up = of(4, 5, &facts);
        let Foreseen::Made { strategy, plan, .. } = &up.seen else { panic!("{up:?}") };
        assert_eq!(
            (*strategy, plan[0], up.on_failure),
            (Strategy::Checkpoint, Stage::Inspect, Some(OnFailure::Proceed))
        );
        // The longest of 2 m, Flink's own, and three intervals of 1 m.
        assert_eq!((up.direction, up.cooldown), (Direction::ScaleUp, Span::seconds(180)));
        assert_eq!(of(5, 4, &facts).on_failure, Some(OnFailure::Abort));
        let zero = of(2, 0, &facts).seen;
        let Foreseen::Refused(cause) = zero else { panic!("{zero:?}") };
        assert_eq!(cause.reason, Reason::Refused(Refusal::ToZeroNeedsRunTemplate));
        // The first count of slots that rounds to 12 of 12 is 12: six TaskManagers of two.
        let useless = of(6, 7, &facts).seen;
        let Foreseen::Useless(cause) = useless else { panic!("{useless:?}") };
        assert_eq!(cause.reason, Reason::MaxParallelismReached);
        assert_eq!(foresee(Begin { from: 2, to: 2, ..Begin::default() }, &facts), None);
    }

    #[test]
    fn it_refuses_and_waits_as_an_operation_does() {
        let refused = of(2, 1, &seen(job(None))).seen;
        let Foreseen::Refused(cause) = refused else { panic!("{refused:?}") };
        assert_eq!(cause.reason.reason(), "NoCheckpointing");
        let mut restarts = job(Some(Span::seconds(60)));
        restarts.vertices[0].running = 3;
        let waits = of(2, 1, &seen(restarts)).seen;
        assert!(matches!(&waits, Foreseen::Waits(cause) if cause.reason == Reason::JobNotReady), "{waits:?}");
    }

    #[test]
    fn bounds_follow_the_slots() {
        let jobs = [Job::meet(&job(None), &Flink::default(), &[])];
        let upper = |slots| Job::bounds(&jobs, slots)[0].iter().map(|bound| bound.upper).collect::<Vec<_>>();
        // Declared with 4 and 1 on 4 slots; what was declared with 1 stays.
        assert_eq!([upper(2), upper(4), upper(40)], [[2, 1], [4, 1], [12, 1]]);
    }
}
