//! Disposes of savepoints that nobody needs any more: after an operation that did its change, with a look at the cluster just before.
//!
//! It is no part of an operation: what fails here is tried again after a later one.

use std::sync::Arc;

use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::spec::{HookSpec, SavepointOptions};
use tidegate_calculator::operation::{self, Outcome, retention};

use super::Running;
use crate::core::Context;
use crate::object::Object;
use crate::protocol::{Call, Command, Ticket, Work};
use crate::subject::TargetRef;

/// Savepoints disposed of after one operation; the rest follows after the next.
const AT_ONCE: usize = 8;

/// The number of the look at the cluster; those of disposals follow it.
const LOOK: u32 = 0;

/// What is being disposed of.
#[derive(Debug)]
pub(crate) struct Tidying {
    hooks: Arc<HookSpec>,
    options: SavepointOptions,
    target: TargetRef,
    ticket: Ticket,
    /// The number of the object's last call before.
    first: u32,
    /// The paths that are being disposed of.
    paths: Vec<String>,
}

impl Object {
    /// Looks at the cluster if there is a savepoint that is old enough.
    pub(super) fn begin_tidying(&mut self, ended: &Running, cx: &mut Context<'_>) {
        let state = ended.operation.state();
        let held = self.subject.as_ref().is_none_or(|subject| subject.hold.is_some());
        let Some((_, flink)) = state.spec.flink(state.direction).filter(|_| cx.acting && !held) else { return };
        let options = flink.savepoint.clone();
        if self.old_savepoints(&options, &[], cx).is_empty() {
            return;
        }
        let (ticket, first, paths) = (self.ticket, self.calls, Vec::new());
        let (hooks, target) = (ended.hooks.clone(), ended.target.clone());
        self.operating().tidying = Some(Tidying { hooks, options, target, ticket, first, paths });
        self.tidy(LOOK, Action::Inspect, cx);
    }

    /// Whether this call was made to dispose of savepoints, and no operation has begun since.
    pub(crate) fn made_for_tidying(&self, call: Call) -> bool {
        let tidying = self.operating.as_ref().and_then(|operating| operating.tidying.as_ref());
        tidying.is_some_and(|tidying| tidying.ticket == call.ticket && call.number > tidying.first)
    }

    /// The cluster was looked at, or a savepoint is gone.
    pub(crate) fn tidied(&mut self, number: u32, outcome: Outcome, cx: &mut Context<'_>) {
        match outcome {
            Outcome::Inspected(facts) if number == LOOK => self.dispose(&facts, cx),
            Outcome::Done if number > LOOK => {
                let operating = self.operating();
                let index = usize::try_from(number - LOOK - 1).unwrap_or(usize::MAX);
                let path = operating.tidying.as_ref().and_then(|tidying| tidying.paths.get(index)).cloned();
                operating.aftermath.savepoints.retain(|kept| Some(&kept.path) != path.as_ref());
                self.record.dirty = true;
            }
            _ => {}
        }
    }

    fn dispose(&mut self, facts: &operation::facts::Inspection, cx: &mut Context<'_>) {
        // Without a word about the jobs nobody knows what they need.
        let Some(cluster) = &facts.cluster else { return };
        let operating = self.operating();
        let needed = retention::needed(&operating.aftermath.parked, &cluster.jobs);
        let Some(options) = operating.tidying.as_ref().map(|tidying| tidying.options.clone()) else { return };
        let mut old = self.old_savepoints(&options, &needed, cx);
        old.truncate(AT_ONCE);
        if let Some(tidying) = &mut self.operating().tidying {
            tidying.paths.clone_from(&old);
        }
        for (path, number) in old.into_iter().zip(LOOK + 1..) {
            self.tidy(number, Action::DisposeSavepoint { path }, cx);
        }
    }

    fn old_savepoints(&self, options: &SavepointOptions, needed: &[String], cx: &Context<'_>) -> Vec<String> {
        let Some(operating) = &self.operating else { return Vec::new() };
        let now = cx.now.wall.as_millisecond();
        let due = retention::due(&operating.aftermath.savepoints, options.keep, options.min_age, needed, now);
        let path = |action| if let Action::DisposeSavepoint { path } = action { Some(path) } else { None };
        due.into_iter().filter_map(path).collect()
    }

    fn tidy(&mut self, number: u32, action: Action, cx: &mut Context<'_>) {
        let Some(tidying) = self.operating.as_ref().and_then(|operating| operating.tidying.as_ref()) else { return };
        let (ticket, id) = (tidying.ticket, self.id.clone());
        let (target, hooks) = (tidying.target.clone(), tidying.hooks.clone());
        self.calls = self.calls.wrapping_add(1);
        let call = operation::Call { number, action };
        let name = Call { ticket, number: self.calls };
        cx.out.push(Command::Perform(name, Box::new(Work { id, target, hooks, call })));
    }
}
