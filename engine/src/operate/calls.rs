//! What an operation asks for: the wish and the gates are answered by passes, the replicas go the way of every write, all else is performed
//! by the world.

use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::{self, Class, Event, Failure, Outcome};

use super::Running;
use crate::core::Context;
use crate::object::{Object, Patch, Write, Writing};
use crate::protocol::{Call, Command, Version, Work};
use crate::tally::Measure;

/// How often a write of the replicas may be refused before that counts as a setting that must change: an API server also refuses while it is
/// busy.
const REFUSALS: u32 = 3;

impl Object {
    /// The answer to [`Command::Perform`]. It is taken by the operation that it was made for, whatever text the object has by now.
    pub(crate) fn performed(&mut self, call: Call, number: u32, outcome: Outcome, cx: &mut Context<'_>) {
        let made = |running: &Running| running.ticket == call.ticket && call.number > running.first;
        if self.running().is_some_and(made) {
            self.operate(Event::Answered { call: number, outcome }, cx);
        } else if self.made_for_look(call) {
            self.looked(outcome, cx);
        } else if self.made_for_tidying(call) {
            self.tidied(number, outcome, cx);
        }
    }

    pub(super) fn call_for_operation(&mut self, call: operation::Call, cx: &mut Context<'_>) {
        let now = cx.tick();
        let Some(running) = self.operating.as_mut().and_then(|operating| operating.running.as_deref_mut()) else {
            return;
        };
        match &call.action {
            Action::AskWish => running.wish = Some(now),
            Action::AskGates => running.gates = Some(now),
            Action::Patch { to, version } if running.target == self.target => {
                let (to, version) = (*to, Version(version.as_str().into()));
                return self.patch(to, Patch { call: call.number, version }, cx);
            }
            _ => {
                self.calls = self.calls.wrapping_add(1);
                let name = Call { ticket: running.ticket, number: self.calls };
                let (id, target, hooks) = (self.id.clone(), running.target.clone(), running.hooks.clone());
                cx.out.push(Command::Perform(name, Box::new(Work { id, target, hooks, call })));
                return;
            }
        }
        // A pass from now on is the answer.
        self.next_pass = self.next_pass.min(now);
    }

    /// Writes the replicas for the operation, so that everything that holds for a write of ours holds for this one.
    fn patch(&mut self, to: u32, patch: Patch, cx: &mut Context<'_>) {
        let Some(running) = self.running() else { return };
        let (from, why) = (running.operation.state().source(), running.why.clone());
        if self.writing != Writing::Idle || self.target_seen().is_none() {
            return self.answer_patch(&patch, Err((Class::Unavailable, "an earlier write is not over yet")), cx);
        }
        self.start_write(Write { from, to, tries: 0, why, patch: Some(patch) }, cx);
    }

    /// Tells the operation how its write ended, or that it was given up.
    pub(crate) fn answer_patch(&mut self, patch: &Patch, result: Result<(), (Class, &str)>, cx: &mut Context<'_>) {
        let running = self.running().filter(|running| running.operation.state().rolling.is_none());
        if let (Ok(()), Some(age)) = (&result, running.and_then(|running| running.operation.snapshot_age(cx.tick()))) {
            cx.measure(Measure::SnapshotAge(age));
        }
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err((class, text)) => Outcome::Failed(Failure::new(class, text)),
        };
        self.operate(Event::Answered { call: patch.call, outcome }, cx);
    }

    /// What a refused write means for the operation.
    pub(crate) fn refusal(&mut self) -> Class {
        let Some(running) = self.running_mut() else { return Class::Config };
        running.refused = running.refused.saturating_add(1);
        if running.refused < REFUSALS { Class::Transient } else { Class::Config }
    }
}
