//! What the passes say to an operation: the wish, and whether a gate forbids its direction.

use tidegate_calculator::decision::{Decision, DoorState, Step};
use tidegate_calculator::operation::{Direction, Event};
use tidegate_calculator::policy::Pause;
use tidegate_calculator::rules::Block;
use tidegate_calculator::time::Tick;

use crate::core::Context;
use crate::object::Object;

impl Object {
    /// Whether the operation waits for a pass that reads every trigger.
    pub(crate) fn is_asked(&self) -> bool {
        self.running().is_some_and(|running| running.wish.is_some() || running.gates.is_some())
    }

    /// A pass that was due at this moment has decided, or less than a pass, which says nothing to an operation.
    pub(crate) fn tell_operation(&mut self, decision: &Decision, pass: Option<Tick>, cx: &mut Context<'_>) {
        self.restrain(cx);
        if let Some(due) = pass {
            self.answer_operation(decision, due, cx);
        }
        if self.is_asked() {
            // What has decided now had begun before it was asked for.
            self.next_pass = cx.tick();
        }
    }

    fn answer_operation(&mut self, decision: &Decision, due: Tick, cx: &mut Context<'_>) {
        let fresh = self.is_fresh(decision, due);
        let Some(running) = self.running_mut() else { return };
        let direction = running.operation.state().direction;
        if running.gates.take_if(|asked| *asked <= due).is_some() {
            self.operate(Event::Gate(closed_gate(decision, direction)), cx);
        }
        let asked = self.running_mut().and_then(|running| running.wish.take_if(|asked| *asked <= due)).is_some();
        if fresh || asked {
            let replicas = self.wish_for(direction, decision.desired, cx);
            self.operate(Event::Wish { replicas, fresh }, cx);
        }
    }

    /// What is wanted as far as it can be had: a lowering is not given up for a way to zero that must wait for itself.
    fn wish_for(&self, direction: Direction, desired: u32, cx: &Context<'_>) -> u32 {
        let Some(subject) = self.subject.as_ref().filter(|_| desired == 0 && direction == Direction::ScaleDown) else {
            return desired;
        };
        let hooked = subject.hooks.as_ref().is_some_and(|hooks| hooks.takes_part(Direction::ToZero));
        let waits = hooked && self.waits_for(Direction::ToZero, subject.generation, cx).is_some();
        u32::from(waits)
    }

    /// While the object is held its target is not touched: an operation that has changed nothing yet is over. One that has goes on, because a
    /// job that is stopped must run again.
    pub(crate) fn restrain(&mut self, cx: &mut Context<'_>) {
        let held = self.subject.as_ref().is_some_and(|subject| subject.hold.is_some());
        if let Some(from) = self.running().filter(|_| held).map(|running| running.operation.state().from) {
            self.operate(Event::Wish { replicas: from, fresh: true }, cx);
        }
    }

    /// The object's text or its policies are others by now. Hooks that were set right do not wait for an operation that began with the old ones:
    /// as long as it has changed nothing it gives way. Where there are no hooks any more it keeps to those it began with: whoever takes them
    /// away while a snapshot is under way does not mean that the change goes before it.
    pub(crate) fn renew_hooks(&mut self, cx: &mut Context<'_>) {
        let present = self.subject.as_ref().and_then(|subject| subject.hooks.as_deref());
        if self.running().is_some_and(|running| present.is_some_and(|hooks| *hooks != *running.hooks)) {
            self.operate(Event::HooksChanged, cx);
        }
    }

    /// Whether the number of this decision is a wish: every trigger that scales has a reading begun since the pass was due, or a fallback
    /// that acts; or nobody had to ask them, because a pause or the bounds set the number.
    fn is_fresh(&self, decision: &Decision, due: Tick) -> bool {
        let Some(subject) = &self.subject else { return false };
        let held = subject.hold.is_some();
        let lowers = self.target_seen().is_some_and(|seen| decision.desired < seen.state.replicas);
        if !held && (subject.policy.pause != Pause::No || (lowers && !decision.lowers_by_metrics)) {
            return true;
        }
        let substituted = |index: u8| decision.fallbacks().any(|other| other == index);
        let mut evidence = self.evidence.iter().zip(0..=u8::MAX);
        !held
            && evidence.all(|(evidence, index)| {
                let read = evidence.begun().is_some_and(|begun| begun >= due);
                read || subject.policy.rules.is_signal(index.into()) || substituted(index)
            })
    }
}

/// The name of a gate that forbids this direction.
fn closed_gate(decision: &Decision, direction: Direction) -> Option<String> {
    decision.steps.iter().find_map(|step| match step {
        Step::Gate { name, state, block, .. } => {
            let forbids = if direction.lowers() {
                *block != Block::ScaleUp && *state != DoorState::Open
            } else {
                *block != Block::ScaleDown && *state == DoorState::Closed
            };
            forbids.then(|| name.to_string())
        }
        _ => None,
    })
}
