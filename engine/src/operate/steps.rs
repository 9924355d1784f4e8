//! One step of an operation: store what it is, then do what it asks for, tell what it says, and end it when it is over.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidegate_calculator::operation::{Direction, Event, Note, Operation, Phase, stored};
use tidegate_calculator::time::{Now, Tick};

use crate::core::Context;
use crate::defect;
use crate::object::{Loaded, Object, Standing};
use crate::protocol::{self, Entry};
use crate::tally::Measure;

/// What is counted of a step: the phase that it has left, and its end.
fn measures(before: &Operation, after: &Operation, now: Tick) -> Vec<Measure> {
    let (old, new) = (before.state(), after.state());
    if old.phase == new.phase {
        return Vec::new();
    }
    let mut measures = vec![Measure::Phase { phase: old.phase, lasted: before.in_phase_for(now) }];
    if new.phase.ended() {
        let (outcome, strategy, direction) = (new.phase, new.strategy, new.direction);
        measures.push(Measure::Ended { outcome, strategy, direction });
    }
    measures
}

impl Object {
    /// Tells the operation what happened, and does what follows.
    pub(crate) fn operate(&mut self, event: Event, cx: &mut Context<'_>) {
        let now = cx.tick();
        let Some(running) = self.running_mut().filter(|running| !running.broken) else { return };
        // As in deciding, a defect must cost one object, not the process.
        let before = running.operation.clone();
        let step = match catch_unwind(AssertUnwindSafe(|| running.operation.handle(event, now))) {
            Ok(step) => step,
            Err(panic) => {
                running.operation = before;
                (running.broken, running.wake) = (true, None);
                return self.quarantine(defect::text(&*panic), cx);
            }
        };
        running.wake = step.wake;
        for measure in measures(&before, &running.operation, now) {
            cx.measure(measure);
        }
        let direction = running.operation.state().direction;
        // Its state is stored before it acts; its end is no exception.
        self.record.dirty |= step.store.is_some();
        self.freeze_gates();
        for note in step.notes {
            self.tell_note(note, direction, cx);
        }
        // A process that ends begins nothing; the next one does it.
        let calls = if cx.acting { step.calls } else { Vec::new() };
        for call in calls {
            self.call_for_operation(call, cx);
        }
        if self.running().is_some_and(|running| running.operation.finished()) {
            self.end_operation(cx);
        }
    }

    /// A new text of the object: what met a defect before is tried once more.
    pub(crate) fn resume_operation(&mut self, cx: &mut Context<'_>) {
        if let Some(running) = self.running_mut().filter(|running| running.broken) {
            running.broken = false;
            self.operate(Event::Woken, cx);
        }
    }

    /// Wakes the operation if its moment has come.
    pub(crate) fn operate_on_time(&mut self, cx: &mut Context<'_>) {
        if cx.acting && self.operation_wake().is_some_and(|wake| wake <= cx.tick()) {
            self.operate(Event::Woken, cx);
        }
    }

    fn tell_note(&mut self, note: Note, direction: Direction, cx: &mut Context<'_>) {
        let changed = self.operating().aftermath.note(&note, direction);
        self.record.dirty |= changed;
        if let Note::Announce { reason, message, warning } = note {
            cx.announce(&self.id, protocol::Event::Operation { reason, message, warning });
        }
    }

    /// What it leaves behind is kept, and the next pass decides anew at once.
    fn end_operation(&mut self, cx: &mut Context<'_>) {
        let generation = self.subject.as_ref().map_or(0, |subject| subject.generation);
        let operating = self.operating();
        let Some(running) = operating.running.take() else { return };
        operating.aftermath.take(&running.operation, generation, cx.now);
        let state = running.operation.state();
        if let (Phase::Done, Loaded::Ready(memory)) = (state.phase, &mut self.memory)
            && let Some(rules) = &mut memory.rules
        {
            // A direction cooldown counts from the end of an operation, not from its write.
            match state.direction {
                Direction::ScaleUp | Direction::FromZero if rules.last_up.is_some() => rules.last_up = Some(cx.tick()),
                Direction::ScaleDown if rules.last_down.is_some() => rules.last_down = Some(cx.tick()),
                _ => {}
            }
        }
        if state.phase == Phase::Done {
            self.begin_tidying(&running, cx);
        }
        self.freeze_gates();
        self.record.dirty = true;
        if self.standing == Standing::Obeyed {
            self.next_pass = cx.tick();
        }
    }

    /// What the gates' triggers see during an operation of ours closes none.
    pub(super) fn freeze_gates(&mut self) {
        let gates = self.subject.as_ref().is_some_and(|subject| !subject.policy.rules.gates.is_empty());
        let frozen = gates && self.disturbs_gates();
        if let Loaded::Ready(memory) = &mut self.memory {
            memory.freeze_gates(frozen);
        }
    }

    /// What is stored of operations.
    pub(crate) fn enter_operation(&self, entry: &mut Entry, now: Now) {
        let Some(operating) = &self.operating else { return };
        let unreadable = operating.unreadable.as_ref();
        if let Some(kept) = operating.recalled.as_ref().or(unreadable.map(|kept| &kept.texts)) {
            entry.operation.clone_from(&kept.operation);
            entry.aftermath.clone_from(&kept.aftermath);
        } else {
            let running = operating.running.as_ref();
            entry.operation = running.map(|running| stored::text(&running.operation, now).into());
            entry.aftermath = operating.aftermath.text();
        }
        if let Some(running) = &operating.running {
            let attempt = operating.aftermath.failures(running.operation.state().direction).saturating_add(1);
            entry.summary = Some(Box::new(running.operation.summary(attempt, now)));
        }
        entry.unreadable = unreadable.map(|kept| kept.why.clone());
        entry.last_operation.clone_from(&operating.aftermath.last);
        entry.operation_conditions.clone_from(&operating.aftermath.conditions);
        entry.holds_object = operating.holds_object();
    }
}
