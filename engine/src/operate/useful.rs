//! Above how many replicas more are of no use: what decisions are told of it, what people are told, and a look at the jobs now and then.
//!
//! Operations learn it ([`Sizing`]). Where it ends what the metrics want, no operation comes that would see that a job was started anew with
//! another maximum; so the cluster is looked at from time to time, for as long as that lasts.

use std::sync::Arc;

use tidegate_calculator::decision::{Decision, Step};
use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::bounds::LastUseful;
use tidegate_calculator::operation::refusal::Reason;
use tidegate_calculator::operation::sizing::Sizing;
use tidegate_calculator::operation::spec::{Flink, HookSpec};
use tidegate_calculator::operation::{self, Direction, Note, Outcome};
use tidegate_calculator::policy::Pause;
use tidegate_calculator::time::{Span, Tick};

use crate::core::Context;
use crate::object::Object;
use crate::protocol::{Call, Command, Event, Work};

/// How often the cluster is looked at while more replicas would be of no use.
const LOOK_EVERY: Span = Span::seconds(60);

/// A look at the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The call that is answered.
    call: Call,
    /// When it was begun.
    at: Tick,
}

/// The Flink hook that owns raising.
fn flink(hooks: &HookSpec, replicas: u32) -> Option<&Flink> {
    let direction = if replicas == 0 { Direction::FromZero } else { Direction::ScaleUp };
    hooks.flink(direction).map(|(_, flink)| flink)
}

impl Object {
    /// Above how many replicas more are of no use; none if nothing is known.
    pub(crate) fn last_useful(&self) -> Option<LastUseful> {
        let operating = self.operating.as_ref()?;
        if !operating.aftermath.parked.is_empty() {
            // A job that was stopped runs again by the next change alone.
            return None;
        }
        let (hooks, seen) = (self.subject.as_ref()?.hooks.as_ref()?, self.target_seen()?);
        let flink = flink(hooks, seen.state.replicas)?;
        let met = operating.running.as_ref().and_then(|running| running.operation.sizing());
        met.as_ref().or(operating.aftermath.sizing.as_ref())?.last_useful(flink)
    }

    /// The replicas that bounds or a pause ask for: they are written even where they are of no use.
    pub(super) fn needed(&self, cx: &Context<'_>) -> u32 {
        self.subject.as_ref().map_or(0, |subject| match subject.policy.pause {
            Pause::At(replicas) => replicas,
            _ => subject.policy.at(cx.now.wall).floor(),
        })
    }

    /// Says once that the last replica of use is reached, and takes it back when fewer are there or more are of use. That less is wanted for
    /// a while takes nothing back: it may be otherwise with every reading.
    pub(crate) fn note_use(&mut self, decision: &Decision, cx: &mut Context<'_>) {
        if self.operating.is_none() {
            return;
        }
        let reached = decision.steps.iter().find_map(|step| match step {
            Step::NoUse { useful, .. } => Some(*useful),
            _ => None,
        });
        let name = Reason::MaxParallelismReached.reason();
        let Some(useful) = reached else {
            let replicas = self.target_seen().map_or(0, |seen| seen.state.replicas);
            let still = self.last_useful().is_some_and(|useful| useful.replicas <= replicas);
            let known = &mut self.operating().aftermath.conditions;
            let before = known.len();
            known.retain(|condition| still || condition.name != name);
            let fewer = known.len() != before;
            self.record.dirty |= fewer;
            return;
        };
        let message = useful.sentence();
        let told = Note::Condition { name: name.to_owned(), holds: true, message: message.clone() };
        if self.operating().aftermath.note(&told, Direction::ScaleUp) {
            self.record.dirty = true;
            cx.announce(&self.id, Event::Operation { reason: name.to_owned(), message, warning: false });
        }
        self.look_at_jobs(cx);
    }

    /// Looks whether the jobs are still those of which more replicas would be of no use.
    fn look_at_jobs(&mut self, cx: &mut Context<'_>) {
        let held = self.subject.as_ref().is_none_or(|subject| subject.hold.is_some());
        let Some(operating) = self.operating.as_deref() else { return };
        let recent = operating.look.is_some_and(|look| look.at.age(cx.tick()) < LOOK_EVERY);
        // What is stopped shows no jobs, and an operation looks for itself.
        let busy = operating.running.is_some() || !operating.aftermath.parked.is_empty();
        let Some(hooks) = self.hooks().filter(|_| cx.acting && !held && !recent && !busy) else { return };
        let call = self.call();
        self.operating().look = Some(Look { call, at: cx.tick() });
        let (id, target) = (self.id.clone(), self.target.clone());
        let inspect = operation::Call { number: 0, action: Action::Inspect };
        cx.out.push(Command::Perform(call, Box::new(Work { id, target, hooks, call: inspect })));
    }

    fn hooks(&self) -> Option<Arc<HookSpec>> {
        self.subject.as_ref()?.hooks.clone()
    }

    /// Whether this call was made to look at the jobs, and no operation has begun since.
    pub(super) fn made_for_look(&self, call: Call) -> bool {
        let operating = self.operating.as_ref().filter(|operating| operating.running.is_none());
        operating.and_then(|operating| operating.look).is_some_and(|look| look.call == call)
    }

    /// The cluster was looked at. Whatever fails is tried again with the next look.
    pub(super) fn looked(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        let (Outcome::Inspected(facts), Some(hooks)) = (outcome, self.hooks()) else { return };
        let replicas = self.target_seen().map_or(0, |seen| seen.state.replicas);
        let Some(flink) = flink(&hooks, replicas) else { return };
        // A job that has just begun says nothing of its graph: what was known of it stays.
        let Some(cluster) = &facts.cluster else { return };
        if cluster.jobs.iter().any(|job| job.state.live() && job.vertices.is_empty()) {
            return;
        }
        let before = self.last_useful();
        let aftermath = &mut self.operating().aftermath;
        let found = Sizing::of(&facts, flink, &aftermath.shapes);
        aftermath.learn(found);
        if self.last_useful() != before {
            self.record.dirty = true;
            self.next_pass = self.next_pass.min(cx.tick());
        }
    }
}
