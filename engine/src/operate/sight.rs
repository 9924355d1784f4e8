//! What people see of an object's operations.

use tidegate_calculator::operation::explain::explain;
use tidegate_calculator::operation::summary::Stopped;
use tidegate_calculator::time::{Now, Span};

use super::aftermath::Aftermath;
use super::begin::Wait;
use super::{Operating, Running};
use crate::object::Object;
use crate::snapshot::{OperationSeen, OperationWait, Operations, StoppedJob};

impl Operating {
    fn seen(&self, running: &Running, now: Now) -> OperationSeen {
        let state = running.operation.state();
        let attempt = self.aftermath.failures(state.direction).saturating_add(1);
        OperationSeen {
            id: state.id.0.clone(),
            direction: state.direction,
            from: state.from,
            to: state.to,
            phase: state.phase,
            strategy: state.strategy,
            explanation: explain(&running.operation, now.tick),
            summary: running.operation.summary(attempt, now),
        }
    }

    /// The jobs that we stopped and that should run by now, with the time since then.
    fn stopped_jobs(&self, now: Now) -> Vec<StoppedJob> {
        let since_wall = |at: i64| Span(now.wall.as_millisecond().saturating_sub(at).max(0));
        let known = |name: &str| self.aftermath.overdue.get(name).map(|at| since_wall(*at));
        if let Some(running) = &self.running {
            let lasting = |job: &Stopped| known(&job.name).unwrap_or_else(|| job.since.age(now.tick));
            let stopped = running.operation.stopped_jobs().into_iter();
            return stopped.map(|job| StoppedJob { lasting: lasting(&job), name: job.name }).collect();
        }
        let parked = self.aftermath.parked.iter();
        parked.filter_map(|job| Some(StoppedJob { name: job.name.clone(), lasting: known(&job.name)? })).collect()
    }

    /// Whether a finalizer must keep the object. What cannot be read may be of a job that is stopped.
    pub(super) fn holds_object(&self) -> bool {
        let stopped = |text: &str| Aftermath::read(text).map_or(true, |aftermath| !aftermath.parked.is_empty());
        let unread = self.recalled.as_ref();
        self.unreadable.is_some()
            || unread.is_some_and(|of| of.operation.is_some() || of.aftermath.as_deref().is_some_and(stopped))
            || self.running.as_ref().is_some_and(|running| running.operation.holds_object())
            || !self.aftermath.parked.is_empty()
    }
}

impl Object {
    /// What a snapshot says of operations; none if there is nothing to say.
    pub(crate) fn operations_seen(&self, now: Now) -> Option<Box<Operations>> {
        let operating = self.operating.as_ref()?;
        let operations = Operations {
            running: operating.running.as_deref().map(|running| operating.seen(running, now)),
            waits: operating.waits.map(|wait| match wait {
                Wait::Until(direction, until) => OperationWait::Until(direction, until),
                Wait::Changed(direction) => OperationWait::Changed(direction),
                Wait::Unreadable(direction) => OperationWait::Unreadable(direction),
            }),
            parked: operating.aftermath.parked.clone(),
            conditions: operating.aftermath.conditions.clone(),
            holds_object: operating.holds_object(),
            last: operating.aftermath.last.clone(),
            stopped: operating.stopped_jobs(now),
            useful: self.last_useful(),
        };
        (operations != Operations::default()).then(|| Box::new(operations))
    }
}
