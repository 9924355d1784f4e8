//! Writing a target's replicas: once a decision, guarded by the version that was read, never lost track of.
//!
//! A conflict is answered by reading the target anew: if nobody changed the replicas, the same number goes again. An answer
//! that never comes is a doubt, settled by reading the target anew as well.

use tidegate_calculator::operation::Class;
use tidegate_calculator::time::Span;

use crate::core::{Context, WriteKind};
use crate::object::{Echo, Loaded, Object, Refresh, Standing, Write, Writing};
use crate::protocol::{ApplyError, Command, Event, LastChange, Seen, Version};

/// How long the engine waits for the answer to a write; the driver gives up a little earlier.
pub const APPLY_DEADLINE: Span = Span::seconds(10);

/// How much longer the engine waits than the driver.
const GRACE: Span = Span::seconds(2);

/// How long the target's watch may take to show our write.
const ECHO: Span = Span::seconds(5);

/// How long somebody else's change is left as it is: whoever finds out that it is a tool's must be heard before the next write.
const COURTESY: Span = Span::seconds(1);

/// How often the same number goes again after a conflict.
const TRIES: u32 = 3;

impl Object {
    /// Writes, or waits for room to write.
    pub(crate) fn start_write(&mut self, write: Write, cx: &mut Context<'_>) {
        let run = cx.enter_write(self.ticket, WriteKind::Apply);
        self.writing = Writing::Queued(write);
        if run {
            self.run_queued_write(cx);
        }
    }

    /// Writes now that there is room, unless nobody wants it any more.
    pub(crate) fn run_queued_write(&mut self, cx: &mut Context<'_>) {
        let (Writing::Queued(write), Some(seen)) = (&self.writing, self.target_seen().map(|seen| seen.version.clone()))
        else {
            return cx.leave_write();
        };
        let write = write.clone();
        let version = write.patch.as_ref().map_or(seen, |patch| patch.version.clone());
        let call = self.call();
        // What is being read anew now may be older than this write.
        self.refresh = Refresh::Idle;
        cx.out.push(Command::Apply(call, self.target.clone(), write.to, version));
        let expires = cx.tick() + APPLY_DEADLINE + GRACE;
        self.writing = Writing::Running { write, number: call.number, expires };
    }

    /// The answer to [`Command::Apply`].
    pub(crate) fn applied(&mut self, number: u32, result: Result<Version, ApplyError>, cx: &mut Context<'_>) {
        if !matches!(&self.writing, Writing::Running { number: n, .. } if *n == number) {
            return;
        }
        let Writing::Running { write, .. } = std::mem::replace(&mut self.writing, Writing::Idle) else {
            return;
        };
        cx.leave_write();
        match result {
            Ok(version) => {
                self.echo = Some(Echo { to: write.to, version: version.clone(), until: cx.tick() + ECHO });
                if let Some(Ok(seen)) = &mut self.seen {
                    if seen.state.replicas == write.to || seen.version == version {
                        self.echo = None;
                    }
                    (seen.state.replicas, seen.version) = (write.to, version);
                }
                self.landed(&write, cx);
                if let Some(patch) = &write.patch {
                    self.answer_patch(patch, Ok(()), cx);
                }
            }
            Err(ApplyError::Conflict) => match &write.patch {
                None => self.look_again(Writing::Conflicted(write), cx),
                // It looks again itself, at everything.
                Some(patch) => {
                    self.refresh_now(cx);
                    self.answer_patch(patch, Err((Class::Conflict, "somebody else wrote in between")), cx);
                }
            },
            Err(ApplyError::Unknown(text)) => self.doubtful(write, &text, cx),
            Err(error @ (ApplyError::Refused(_) | ApplyError::LeftAlone(_))) => {
                let text = error.to_string();
                let passes = matches!(error, ApplyError::LeftAlone(_));
                self.write_failed(error, cx);
                if let Some(patch) = &write.patch {
                    let class = if passes { Class::LeftAlone } else { self.refusal() };
                    self.answer_patch(patch, Err((class, &text)), cx);
                }
            }
        }
    }

    /// A write whose answer is lost.
    pub(crate) fn write_on_time(&mut self, cx: &mut Context<'_>) {
        let now = cx.tick();
        if matches!(&self.writing, Writing::Running { expires, .. } if *expires <= now)
            && let Writing::Running { write, .. } = std::mem::replace(&mut self.writing, Writing::Idle)
        {
            cx.leave_write();
            self.doubtful(write, "no answer came within the deadline", cx);
        }
        if self.echo.as_ref().is_some_and(|echo| echo.until <= now) {
            self.echo = None;
            self.refresh_now(cx);
        }
    }

    fn doubtful(&mut self, write: Write, text: &str, cx: &mut Context<'_>) {
        self.report(ApplyError::Unknown(text.to_owned()), cx);
        let patch = write.patch.clone();
        self.look_again(Writing::Doubtful(write), cx);
        if let Some(patch) = patch {
            self.answer_patch(&patch, Err((Class::Lost, text)), cx);
        }
    }

    fn look_again(&mut self, writing: Writing, cx: &mut Context<'_>) {
        self.writing = writing;
        self.refresh_now(cx);
    }

    /// Our write has succeeded, or turns out to have: the one place where it enters the memory.
    pub(crate) fn landed(&mut self, write: &Write, cx: &mut Context<'_>) {
        let (Some(subject), Loaded::Ready(memory)) = (&self.subject, &mut self.memory) else {
            return;
        };
        let policy = subject.policy.at(cx.now.wall);
        let resting = policy.resting();
        memory.scaled(&policy, write.from, write.to, cx.tick());
        let change = LastChange { at: cx.now.wall, from: write.from, to: write.to, why: write.why.clone() };
        self.last_change = Some(change.clone());
        self.doubt = None;
        self.record.dirty = true;
        self.told.apply_error = None;
        cx.announce(&self.id, Event::Scaled(change));
        let (from, to) = (write.from, write.to);
        if to > from && resting.is_some_and(|resting| from <= resting) {
            cx.announce(&self.id, Event::Activated { from, to });
        } else if to < from && resting == Some(to) {
            cx.announce(&self.id, Event::Deactivated { from, to });
        }
        self.plan_after_write(cx);
    }

    /// The target was read anew, or shown by its watch, while this write was under way.
    pub(crate) fn settle_write(&mut self, seen: &Seen, refreshed: bool, cx: &mut Context<'_>) {
        let replicas = seen.state.replicas;
        match std::mem::replace(&mut self.writing, Writing::Idle) {
            Writing::Conflicted(write) if refreshed && replicas == write.from => {
                if write.tries + 1 < TRIES {
                    self.start_write(Write { tries: write.tries + 1, ..write }, cx);
                } else {
                    self.write_failed(ApplyError::Conflict, cx);
                }
            }
            Writing::Doubtful(write) if refreshed && replicas == write.to => self.landed(&write, cx),
            Writing::Doubtful(write) if refreshed && replicas == write.from => {
                self.doubt = Some((write.from, write.to));
                self.next_pass = cx.tick();
            }
            Writing::Conflicted(_) | Writing::Doubtful(_) if refreshed => self.changed(replicas, cx),
            Writing::Withheld(write) | Writing::Queued(write) if replicas != write.from => {
                self.changed(replicas, cx);
                if let Some(patch) = &write.patch {
                    self.answer_patch(patch, Err((Class::Conflict, "somebody else wrote in between")), cx);
                }
            }
            Writing::Idle => self.notice(replicas, cx),
            running => self.writing = running,
        }
    }

    /// No write is under way: a count that is not ours is somebody else's, unless a lost write has landed late.
    fn notice(&mut self, replicas: u32, cx: &mut Context<'_>) {
        let known = match &self.memory {
            Loaded::Ready(memory) => memory.replicas,
            Loaded::Waiting(_) => return,
        };
        match self.doubt {
            _ if known == Some(replicas) => {}
            Some((from, to)) if to == replicas && known == Some(from) => {
                let why = "a write whose answer was lost has landed".to_owned();
                self.landed(&Write { from, to, tries: 0, why, patch: None }, cx);
            }
            _ => self.foreign(replicas, cx),
        }
    }

    /// Somebody else's change, or a lost write of ours that has landed late, ended this write.
    fn changed(&mut self, replicas: u32, cx: &mut Context<'_>) {
        self.next_pass = cx.tick();
        self.notice(replicas, cx);
    }

    fn foreign(&mut self, replicas: u32, cx: &mut Context<'_>) {
        let Loaded::Ready(memory) = &mut self.memory else {
            return;
        };
        let from = memory.replicas.unwrap_or(replicas);
        memory.changed_by_others(replicas, cx.tick());
        self.doubt = None;
        self.record.dirty = true;
        if from != replicas {
            cx.announce(&self.id, Event::ForeignChange { from, to: replicas });
        }
        self.next_pass = cx.tick() + COURTESY;
    }

    fn write_failed(&mut self, error: ApplyError, cx: &mut Context<'_>) {
        self.report(error, cx);
        if std::mem::take(&mut self.missed) && self.standing == Standing::Obeyed {
            self.plan(None, cx.tick());
        }
    }

    /// Told once, until a write succeeds or none is wanted any more.
    fn report(&mut self, error: ApplyError, cx: &mut Context<'_>) {
        let told = self.told.apply_error.as_ref().map(ApplyError::reason);
        if told == Some(error.reason()) {
            return;
        }
        if told.is_none() {
            cx.announce(&self.id, Event::ApplyFailed(error.clone()));
        }
        self.record.dirty = true;
        self.told.apply_error = Some(error);
    }

    /// No write is wanted: what the last one met with is over.
    pub(crate) fn want_no_write(&mut self) {
        self.record.dirty |= self.told.apply_error.take().is_some();
    }

    /// Gives up a write because the object itself changes: one that is on its way may still land.
    pub(crate) fn drop_write(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.writing, Writing::Idle) {
            Writing::Running { write, .. } => {
                cx.leave_write();
                let patch = write.patch.clone();
                self.writing = Writing::Doubtful(write);
                if let Some(patch) = patch {
                    self.answer_patch(&patch, Err((Class::Lost, "the object has changed")), cx);
                }
            }
            Writing::Doubtful(write) => self.writing = Writing::Doubtful(write),
            Writing::Queued(write) => {
                self.writing = Writing::Queued(write);
                self.cancel_write("the object has changed", cx);
            }
            Writing::Idle | Writing::Withheld(_) | Writing::Conflicted(_) => {}
        }
    }

    /// Gives up a write that was not sent.
    pub(crate) fn cancel_write(&mut self, why: &str, cx: &mut Context<'_>) {
        if let Writing::Queued(Write { patch: Some(patch), .. }) = std::mem::replace(&mut self.writing, Writing::Idle) {
            self.answer_patch(&patch, Err((Class::Unavailable, why)), cx);
        }
    }
}
