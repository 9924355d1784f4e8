//! Begins an operation where a decision would write replicas, unless the last one is too recent.

use tidegate_calculator::operation::{Begin, Direction, Event, Operation};
use tidegate_calculator::time::{Span, Tick};

use super::Running;
use super::aftermath::Rest;
use crate::core::Context;
use crate::object::Object;

/// How soon a cooldown must end for a lowering to wait for its end: an operation's first look at a cluster takes no less.
const SOON: Span = Span::seconds(1);

/// Why a change that is wanted begins no operation yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The pause after an operation lasts until this moment.
    Until(Direction, Tick),
    /// The last one in this direction failed because of a setting: the object or a policy must change first.
    Changed(Direction),
    /// What is stored of an operation cannot be read.
    Unreadable(Direction),
}

impl Object {
    /// Whether hooks own this change: then an operation begins, at once or after the pause that the last one asks for.
    pub(crate) fn begin_operation(&mut self, (from, to): (u32, u32), why: &str, cx: &mut Context<'_>) -> bool {
        let (Some(direction), Some(subject)) = (Direction::of(from, to), self.subject.clone()) else { return false };
        if self.hides_an_operation() {
            self.operating().waits = Some(Wait::Unreadable(direction));
            return true;
        }
        let Some(hooks) = subject.hooks.as_ref().filter(|hooks| hooks.takes_part(direction)) else { return false };
        if direction == Direction::ScaleDown && self.is_about_to_rest(cx) {
            self.operating().waits = None;
            return true;
        }
        let wait = self.waits_for(direction, subject.generation, cx);
        let needed = self.needed(cx);
        if direction != Direction::ToZero {
            self.operating().aftermath.begin_overdue(cx.now);
        }
        self.operating().waits = wait;
        match wait {
            Some(Wait::Until(_, until)) => self.next_pass = self.next_pass.min(until),
            Some(_) => {}
            None => {
                let aftermath = &mut self.operating().aftermath;
                aftermath.sequence = aftermath.sequence.saturating_add(1);
                let begin = Begin {
                    uid: subject.uid.to_string(),
                    sequence: aftermath.sequence,
                    attempt: aftermath.failures(direction).saturating_add(1),
                    from,
                    to,
                    needed,
                    spec: (**hooks).clone(),
                    parked: aftermath.parked.clone(),
                    shapes: aftermath.shapes.clone(),
                };
                if let Some(operation) = Operation::begin(begin, cx.tick()) {
                    self.run_operation(operation, why.to_owned());
                    self.operate(Event::Woken, cx);
                }
            }
        }
        true
    }

    /// Whether the cooldown ends before an operation could do anything, or has ended since this pass was due: the pass that comes at its end may go
    /// to rest, in one operation instead of two. What an HPA does while a cooldown runs is done as ever.
    fn is_about_to_rest(&self, cx: &Context<'_>) -> bool {
        let Some(last) = &self.last else { return false };
        let due = Tick(last.at.0.saturating_sub(last.lag.0));
        last.decision.fresh_after.is_some_and(|end| due < end && end <= cx.tick() + SOON)
    }

    /// Whether an operation may be under way that nobody can read: it may have stopped a job, so nothing is written, whatever hooks there are.
    fn hides_an_operation(&self) -> bool {
        let unreadable = self.operating.as_ref().and_then(|operating| operating.unreadable.as_ref());
        unreadable.is_some_and(|kept| kept.texts.operation.is_some())
    }

    pub(super) fn waits_for(&self, direction: Direction, generation: u64, cx: &Context<'_>) -> Option<Wait> {
        let operating = self.operating.as_ref()?;
        if operating.unreadable.is_some() || operating.recalled.is_some() {
            return Some(Wait::Unreadable(direction));
        }
        match operating.aftermath.rest(direction, generation, cx.now)? {
            Rest::Changed => Some(Wait::Changed(direction)),
            Rest::Until(at) => {
                let ahead = at.saturating_sub(cx.now.wall.as_millisecond());
                Some(Wait::Until(direction, Tick(cx.tick().0.saturating_add(ahead))))
            }
        }
    }

    /// Makes an operation the one that is under way.
    pub(super) fn run_operation(&mut self, operation: Operation, why: String) {
        let hooks = operation.state().spec.clone().into();
        let running = Running {
            operation,
            hooks,
            target: self.target.clone(),
            ticket: self.ticket,
            first: self.calls,
            wake: None,
            wish: None,
            gates: None,
            broken: false,
            refused: 0,
            why,
        };
        let operating = self.operating();
        operating.running = Some(Box::new(running));
        operating.tidying = None;
    }

    /// No change is wanted that an operation would have to make.
    pub(crate) fn want_no_operation(&mut self) {
        let rests = self.target_seen().is_some_and(|seen| seen.state.replicas == 0);
        if let Some(operating) = &mut self.operating {
            operating.waits = None;
            if rests && operating.running.is_none() {
                // Whoever is wanted at zero should not run.
                operating.aftermath.overdue.clear();
            }
        }
    }
}
