//! What is known of an object's target: told by its watch, or read anew when a watch cannot be trusted.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::time::Span;

use crate::core::Context;
use crate::object::{Loaded, Object, Refresh, Standing, Writing};
use crate::protocol::{Command, Event, Seen, TargetError};

/// How long a target may take to be read anew.
pub const REFRESH_DEADLINE: Span = Span::seconds(10);

/// How much longer the engine waits than the driver.
const GRACE: Span = Span::seconds(2);

impl Object {
    /// Reads the target anew at once.
    pub(crate) fn refresh_now(&mut self, cx: &mut Context<'_>) {
        self.refresh = Refresh::At(cx.tick(), 0);
        self.refresh_on_time(cx);
    }

    /// Reads the target anew if its moment has come; gives up a read whose answer is lost.
    pub(crate) fn refresh_on_time(&mut self, cx: &mut Context<'_>) {
        let now = cx.tick();
        match self.refresh {
            Refresh::At(at, failures) if at <= now => {
                let call = self.call();
                cx.out.push(Command::Refresh(call, self.target.clone()));
                let expires = now + REFRESH_DEADLINE + GRACE;
                self.refresh = Refresh::Running { number: call.number, expires, failures };
            }
            Refresh::Running { expires, failures, .. } if expires <= now => {
                let error = TargetError::Unavailable("no answer came within the deadline".to_owned());
                self.refresh_failed(error, failures, cx);
            }
            _ => {}
        }
    }

    /// The answer to [`Command::Refresh`].
    pub(crate) fn refreshed(&mut self, number: u32, result: Result<Seen, TargetError>, cx: &mut Context<'_>) {
        let Refresh::Running { number: awaited, failures, .. } = self.refresh else {
            return;
        };
        if awaited != number {
            return;
        }
        self.refresh = Refresh::Idle;
        match result {
            Ok(seen) => {
                self.echo = None;
                self.sighted(&seen, true, cx);
            }
            Err(error) => self.refresh_failed(error, failures, cx),
        }
    }

    /// The target's watch saw it, or saw it go.
    pub(crate) fn watched(&mut self, result: Result<Seen, TargetError>, cx: &mut Context<'_>) {
        match result {
            Ok(seen) => {
                if let Some(echo) = &self.echo {
                    if echo.version != seen.version && echo.to != seen.state.replicas {
                        // Older than our own write, or newer: reading anew after the echo's time tells.
                        return;
                    }
                    self.echo = None;
                }
                if matches!(self.refresh, Refresh::At(..)) && self.writing == Writing::Idle {
                    // The watch has answered what was going to be asked.
                    self.refresh = Refresh::Idle;
                }
                self.sighted(&seen, false, cx);
            }
            Err(error) => self.lost(error, cx),
        }
    }

    fn sighted(&mut self, seen: &Seen, refreshed: bool, cx: &mut Context<'_>) {
        if !matches!(&self.seen, Some(Ok(_))) {
            self.next_pass = self.next_pass.min(cx.tick());
        }
        if std::mem::take(&mut self.told.target_failed) {
            self.record.dirty = true;
            cx.announce(&self.id, Event::TargetFound);
        }
        if cx.held {
            self.watch_others(seen.state.replicas);
        }
        self.seen = Some(Ok(seen.clone()));
        if cx.held {
            self.load(seen.state.replicas, cx);
            self.load_operation(cx);
        }
        self.settle_write(seen, refreshed, cx);
    }

    /// While the object is held, whoever changes the replicas is somebody else: it is counted whether we had wanted the same.
    fn watch_others(&mut self, replicas: u32) {
        let held = self.subject.as_ref().is_some_and(|subject| subject.hold.is_some());
        // What we wrote before the hold may show only now.
        let ours = self.echo.is_some() || self.doubt.is_some() || self.writing != Writing::Idle;
        let before = self.target_seen().map(|seen| seen.state.replicas);
        let (Some(last), true) = (&self.last, held && !ours && before.is_some_and(|before| before != replicas)) else {
            return;
        };
        let observed = &mut self.record.observed;
        let count = if last.decision.desired == replicas { &mut observed.agreed } else { &mut observed.differed };
        *count = count.saturating_add(1);
        self.record.dirty = true;
    }

    /// The first sight of the target restores the memory.
    pub(crate) fn load(&mut self, replicas: u32, cx: &mut Context<'_>) {
        let (Loaded::Waiting(checkpoint), Some(subject)) = (&self.memory, &self.subject) else {
            return;
        };
        // An activity that lasted when it was stored, and of which no memory knows the end, has lasted until now.
        let activity = self.record.activity;
        let lasted = activity.lasts && checkpoint.0.is_empty();
        let stored = if lasted { Some(cx.tick()) } else { activity.last.map(|at| cx.now.tick_of(at)) };
        let policy = subject.policy.at(cx.now.wall);
        // A trigger that failed then, or that nobody looked at during a pause, had a gap already, and nobody knows how long it is.
        let well = self.record.shown.is_some_and(|shown| shown.failing.is_none() && !shown.paused);
        let mut memory = match checkpoint.restore_after(&policy, replicas, cx.now, cx.alive.filter(|_| well)) {
            Ok(memory) => memory,
            Err(error) => {
                cx.announce(&self.id, Event::CheckpointLost(error.to_string()));
                // The new memory is stored with the first decision, whatever is shown already.
                self.record.shown = None;
                // An empty text can be read always. It holds what is there, and knows of no bounds that somebody has edited.
                let mut fresh = Checkpoint::default().restore(&policy, replicas, cx.now).unwrap_or_default();
                // Nobody knows how long ago the last activity was.
                fresh.last_active = Some(cx.tick());
                fresh
            }
        };
        memory.replicas = Some(replicas);
        memory.last_active = memory.last_active.max(stored);
        if self.record.replicas != Some(replicas) {
            // A write whose store was lost, or somebody else's: what is stored is not what is there.
            self.record.shown = None;
        }
        self.memory = Loaded::Ready(Box::new(memory));
    }

    fn refresh_failed(&mut self, error: TargetError, failures: u32, cx: &mut Context<'_>) {
        self.refresh = Refresh::Idle;
        match error {
            TargetError::Unavailable(_) => {
                // Doubling from 1 s to 32 s, for as long as somebody needs the answer.
                let pause = Span::seconds(1 << failures.min(5));
                self.refresh = Refresh::At(cx.tick() + pause, failures.saturating_add(1));
                if self.target_seen().is_none() {
                    self.lost(error, cx);
                }
            }
            TargetError::NotFound(_) | TargetError::NotScalable(_) => self.lost(error, cx),
        }
    }

    /// The target cannot be read: told once; looked for again with every pass.
    fn lost(&mut self, error: TargetError, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.told.target_failed, true) {
            self.record.dirty = true;
            if self.standing == Standing::Obeyed {
                cx.announce(&self.id, Event::TargetFailed(error.clone()));
            }
        }
        if matches!(self.writing, Writing::Withheld(_) | Writing::Conflicted(_) | Writing::Queued(_)) {
            self.cancel_write("the target cannot be seen", cx);
        }
        if !matches!(error, TargetError::Unavailable(_)) && matches!(self.writing, Writing::Doubtful(_)) {
            self.writing = Writing::Idle;
        }
        self.pass = None;
        self.seen = Some(Err(error));
    }
}
