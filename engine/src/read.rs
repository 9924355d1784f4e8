//! Reading an object's triggers: opening their sources, waiting for room, and taking answers that are still awaited.

use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::{
    EndpointId, Measured, MetricSpec, Milli, Occasion, ReadError, ReadErrorKind, Reading, Readings,
};
use tidegate_calculator::time::{Span, Tick};

use crate::core::Context;
use crate::object::{Flight, Object, Trigger};
use crate::protocol::{Command, Event};

/// How long a source may take to answer, unless the engine is told otherwise (KEDA's `KEDA_HTTP_DEFAULT_TIMEOUT`).
pub const READ_DEADLINE: Span = Span::seconds(3);

/// How much longer the engine waits for the driver, which gives up at the deadline itself: then the answer is lost.
const GRACE: Span = Span::seconds(1);

/// How old the last read of a trigger that is active must be before a push brings another one. Its replicas are on their
/// way already, and a source that is busy pushes many times a second.
const SPACING: Span = Span::seconds(1);

impl Object {
    /// Reads a trigger, or once more after the read that runs already.
    pub(crate) fn start_read(&mut self, index: usize, cx: &mut Context<'_>) {
        let (now, ticket) = (cx.tick(), self.ticket);
        let Some(trigger) = self.triggers.get_mut(index) else {
            return;
        };
        match &trigger.flight {
            Some(Flight::Running { begun, .. }) => trigger.again |= *begun < now,
            Some(Flight::Queued) => {}
            None => {
                let lane = trigger.endpoint;
                if cx.enter_read(lane, ticket, position(index)) {
                    self.run_read(index, lane, cx);
                } else {
                    trigger.flight = Some(Flight::Queued);
                }
            }
        }
    }

    /// Runs a read for which there is room now.
    pub(crate) fn run_queued_read(&mut self, lane: Option<EndpointId>, trigger: u8, cx: &mut Context<'_>) {
        let index = usize::from(trigger);
        match self.triggers.get(index).map(|trigger| &trigger.flight) {
            Some(Some(Flight::Queued)) => self.run_read(index, lane, cx),
            _ => cx.leave_read(lane),
        }
    }

    fn run_read(&mut self, index: usize, lane: Option<EndpointId>, cx: &mut Context<'_>) {
        let call = self.call();
        let due = self.pass.as_ref().map(|pass| pass.due);
        let (Some(trigger), Some(subject)) = (self.triggers.get_mut(index), &self.subject) else {
            return;
        };
        let (begun, opening) = (cx.tick(), !trigger.open);
        trigger.outdated = false;
        let expires = begun + cx.read_deadline + GRACE;
        trigger.flight = Some(Flight::Running { number: call.number, opening, lane, begun, expires });
        cx.out.push(if opening {
            Command::Open(call, subject.clone(), position(index))
        } else {
            trigger.pushed = None;
            let occasion = trigger.occasion(due, subject.policy.polling_interval);
            Command::Read(call, position(index), occasion, cx.read_deadline)
        });
    }

    /// The answer to [`Command::Open`].
    pub(crate) fn opened(&mut self, number: u32, result: Result<Option<EndpointId>, ReadError>, cx: &mut Context<'_>) {
        let Some((index, begun)) = self.land(number, true, cx) else {
            return;
        };
        match result {
            Ok(endpoint) => {
                if let Some(trigger) = self.triggers.get_mut(index) {
                    (trigger.open, trigger.endpoint, trigger.again) = (!trigger.outdated, endpoint, false);
                }
                self.start_read(index, cx);
            }
            Err(error) => self.answered(index, begun, Err(error), cx),
        }
    }

    /// The answer to [`Command::Read`].
    pub(crate) fn read(&mut self, number: u32, result: Result<Readings, ReadError>, cx: &mut Context<'_>) {
        let Some((index, begun)) = self.land(number, false, cx) else {
            return;
        };
        let result = result.and_then(|readings| {
            if readings.is_empty() {
                Err(ReadError::query(ReadErrorKind::Protocol, "the source gave no metric"))
            } else {
                Ok(readings)
            }
        });
        self.answered(index, begun, result, cx);
    }

    /// There was no source to read: it is built with the next read.
    pub(crate) fn not_open(&mut self, number: u32, cx: &mut Context<'_>) {
        let Some((index, begun)) = self.land(number, false, cx) else {
            return;
        };
        if let Some(trigger) = self.triggers.get_mut(index) {
            trigger.open = false;
        }
        let error = ReadError::query(ReadErrorKind::Unavailable, "the source is not open");
        self.answered(index, begun, Err(error), cx);
    }

    /// Ends the flight of this number and frees its room; none if nobody waits for it any more.
    fn land(&mut self, number: u32, open: bool, cx: &mut Context<'_>) -> Option<(usize, Tick)> {
        let is_it = |trigger: &Trigger| matches!(&trigger.flight, Some(Flight::Running { number: n, opening, .. }) if *n == number && *opening == open);
        let index = self.triggers.iter().position(is_it)?;
        let Some(Flight::Running { lane, begun, .. }) = self.triggers.get_mut(index)?.flight.take() else {
            return None;
        };
        cx.leave_read(lane);
        Some((index, begun))
    }

    fn answered(&mut self, index: usize, begun: Tick, result: Result<Readings, ReadError>, cx: &mut Context<'_>) {
        let limit = self.settling_limit();
        let result =
            if self.reads_stopped_job(index) { Ok(self.inactive(index, result.as_deref().ok())) } else { result };
        let (Some(trigger), Some(evidence)) = (self.triggers.get_mut(index), self.evidence.get_mut(index)) else {
            return;
        };
        trigger.answered = Some(begun);
        // What people see of the metrics' names is stored once they are others.
        self.renewed |= trigger.renames(evidence, result.as_deref().ok());
        take(evidence, begun, result, cx.tick());
        if let (Evidence::Settling { since, until, .. }, Some(limit)) = (&mut *evidence, limit)
            && *until > cx.tick()
        {
            *until = *since + limit;
        }
        // An answer that what is measured has just begun is no error, until there were such answers for too long.
        trigger.errors = trigger.errors.saturating_add(u64::from(matches!(evidence, Evidence::Failed { .. })));
        let again = std::mem::take(&mut trigger.again);
        // It failed before this process began, and people know it.
        let old = self.last.is_none() && self.record.shown.is_some_and(|shown| shown.failing.is_some());
        // One that settles has neither failed nor recovered.
        match (evidence, trigger.failing) {
            (Evidence::Failed { error, .. }, false) => {
                trigger.failing = true;
                let event = Event::TriggerFailed { trigger: position(index), error: error.clone() };
                if !old {
                    cx.announce(&self.id, event);
                }
            }
            (Evidence::Good { .. }, true) => {
                trigger.failing = false;
                cx.announce(&self.id, Event::TriggerRecovered { trigger: position(index) });
            }
            _ => {}
        }
        if again {
            self.start_read(index, cx);
        }
        self.consider(cx);
    }

    /// What a trigger says of a job that we stopped: nothing is to be done. Its metrics are those that it has, had, or would have.
    fn inactive(&self, index: usize, readings: Option<&[(MetricSpec, Reading)]>) -> Readings {
        let known = self.evidence.get(index).and_then(Evidence::readings);
        let mut metrics: Vec<MetricSpec> =
            readings.or(known).unwrap_or_default().iter().map(|(metric, _)| metric.clone()).collect();
        if metrics.is_empty() {
            let trigger = self.subject.as_ref().and_then(|subject| subject.triggers.get(index));
            let metric_type = trigger.map(|trigger| trigger.spec.metric_type).unwrap_or_default();
            let name = format!("s{index}-flink");
            metrics.push(MetricSpec { name, metric_type, target: Milli::units(1), exact: false });
        }
        let nothing = || Reading { value: Measured::Total(vec![Milli::units(0)]), active: false };
        metrics.into_iter().map(|metric| (metric, nothing())).collect()
    }

    /// Gives up reads whose answer is lost.
    pub(crate) fn reads_on_time(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.triggers.len() {
            let lost = match self.triggers.get(index).and_then(|trigger| trigger.flight.as_ref()) {
                Some(Flight::Running { number, opening, expires, .. }) if *expires <= cx.tick() => (*number, *opening),
                _ => continue,
            };
            if let Some((index, begun)) = self.land(lost.0, lost.1, cx) {
                let error = ReadError::query(ReadErrorKind::Timeout, "no answer came within the deadline");
                self.answered(index, begun, Err(error), cx);
            }
        }
    }

    /// The source says that it changed: one read of this trigger, which can only raise. At once if it is inactive.
    pub(crate) fn woken(&mut self, trigger: u8, cx: &mut Context<'_>) {
        let index = usize::from(trigger);
        let active = self.evidence.get(index).is_some_and(is_active);
        let Some(trigger) = self.triggers.get_mut(index).filter(|_| cx.acting) else {
            return;
        };
        match trigger.last_read().map(|begun| begun + SPACING).filter(|until| active && *until > cx.tick()) {
            Some(until) => trigger.pushed = Some(until),
            None => self.read_pushed(index, cx),
        }
    }

    /// Reads what was pushed and had to wait.
    pub(crate) fn pushes_on_time(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.triggers.len() {
            if self.triggers.get(index).and_then(|trigger| trigger.pushed).is_some_and(|at| at <= cx.tick()) {
                self.read_pushed(index, cx);
            }
        }
    }

    fn read_pushed(&mut self, index: usize, cx: &mut Context<'_>) {
        if let Some(trigger) = self.triggers.get_mut(index) {
            trigger.pushed = None;
        }
        if cx.acting && self.may_read() {
            self.start_read(index, cx);
        }
    }

    /// Parameters have changed: every source is built anew with the next read; readings stay as they are.
    pub(crate) fn parameters_changed(&mut self, cx: &mut Context<'_>) {
        for trigger in &mut self.triggers {
            trigger.open = false;
            trigger.outdated = trigger.flight.is_some();
            trigger.again |= trigger.flight.is_some();
        }
        self.next_pass = self.next_pass.min(cx.tick());
    }

    /// Gives up all reads: their answers will be dropped.
    pub(crate) fn drop_reads(&mut self, cx: &mut Context<'_>) {
        for trigger in &mut self.triggers {
            if let Some(Flight::Running { lane, .. }) = trigger.flight.take() {
                cx.leave_read(lane);
            }
            (trigger.again, trigger.pushed) = (false, None);
        }
    }
}

impl Trigger {
    /// Keeps the names of the metrics for as long as there are no readings that say them, and tells whether these readings say others.
    pub(crate) fn renames(&mut self, before: &Evidence, readings: Option<&[(MetricSpec, Reading)]>) -> bool {
        let known = before.readings();
        let Some(readings) = readings else {
            if let Some(known) = known {
                self.metrics = known.iter().map(|(metric, _)| metric.name.clone()).collect();
            }
            return false;
        };
        let kept = std::mem::take(&mut self.metrics);
        let names = readings.iter().map(|(metric, _)| &metric.name);
        match known {
            Some(known) => !names.eq(known.iter().map(|(metric, _)| &metric.name)),
            None => !kept.is_empty() && !names.eq(kept.iter()),
        }
    }

    /// When the last read was begun, whether it was answered or not.
    fn last_read(&self) -> Option<Tick> {
        match &self.flight {
            Some(Flight::Running { begun, .. }) => Some(*begun),
            _ => self.answered,
        }
    }

    /// A read of a pass that is due one period or more after the last poll is the next poll.
    fn occasion(&mut self, due: Option<Tick>, period: Span) -> Occasion {
        match due {
            Some(due) if self.polled.is_none_or(|last| due >= last + period) => {
                self.polled = Some(due);
                Occasion::Poll
            }
            _ => Occasion::Check,
        }
    }
}

/// Takes an answer.
fn take(evidence: &mut Evidence, begun: Tick, result: Result<Readings, ReadError>, now: Tick) {
    *evidence = match result {
        Ok(readings) => Evidence::Good { readings, begun, at: now },
        Err(error) => evidence.after(error, now),
    };
}

/// Whether the last word of a trigger is that there is something to do, or it settles and will say so: then a push tells nothing new.
fn is_active(evidence: &Evidence) -> bool {
    match evidence {
        Evidence::Good { readings, .. } => readings.iter().any(|(_, reading)| reading.active),
        Evidence::Settling { .. } => true,
        Evidence::Failed { .. } | Evidence::Unread => false,
    }
}

/// Triggers are counted in a byte; validation allows no more.
fn position(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
