//! What an operation knows only in this process: calls under way, the last inspection, the last wish. A restart loses it without harm.

use std::collections::BTreeMap;

use super::action::{Action, Note};
use super::facts::Inspection;
use crate::time::Span;

/// A call without an answer for so long is taken for lost; adapters answer long before.
pub(super) const CALL_LIMIT: Span = Span::seconds(90);

/// How long a read rests before it is repeated: Flink's REST answers change every 3 s.
pub(super) const POLL: Span = Span::seconds(1);

/// The volatile part of an operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    next: u32,
    calls: Vec<Sent>,
    rests: Vec<(Action, Span)>,
    /// The newest revision that is stored.
    pub(super) stored: u64,
    /// The newest revision that was asked to be stored.
    pub(super) asked: u64,
    /// The last inspection, and when it was asked for.
    pub(super) facts: Option<(Inspection, Span)>,
    /// The last fresh wish, and when it came.
    pub(super) wish: Option<(u32, Span)>,
    /// The last word of the gates, and when it came.
    pub(super) gate: Option<(Option<String>, Span)>,
    /// How far ids are: a trigger, a run, an item.
    pub(super) marks: BTreeMap<String, Mark>,
    /// What the server said of stops that failed and are looked for, by their trigger ids.
    pub(super) failed: BTreeMap<String, String>,
    /// Since when a job has not been there.
    pub(super) missing: BTreeMap<String, Span>,
    /// What people have not been told yet.
    pub(super) notes: Vec<Note>,
    /// What the annotation says.
    pub(super) annotated: Option<String>,
    /// How often it could not be written.
    pub(super) annotation_failures: u32,
    /// A write of the replicas was sent in this process, or in one before it.
    pub(super) patch_sent: bool,
}

/// How far an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The server has taken it: poll.
    Accepted,
    /// The result is lost: look for what it did.
    Looking,
    /// The server does not know it: send it.
    Missing,
    /// Done.
    Done,
}

#[derive(Clone, Debug)]
struct Sent {
    number: u32,
    action: Action,
    at: Span,
}

impl Flight {
    /// The flight after a restart with `revision` in the store. Numbers go on, so an answer from before is not taken for a new one.
    pub(super) fn restarted(&self, revision: u64) -> Self {
        Self { next: self.next, stored: revision, asked: revision, patch_sent: true, ..Self::default() }
    }

    /// Begins a call.
    pub(super) fn begin(&mut self, action: Action, at: Span) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.calls.push(Sent { number: self.next, action, at });
        self.next
    }

    /// Takes the call that an answer names, with the moment when it began.
    pub(super) fn take(&mut self, number: u32) -> Option<(Action, Span)> {
        let index = self.calls.iter().position(|sent| sent.number == number)?;
        let sent = self.calls.swap_remove(index);
        Some((sent.action, sent.at))
    }

    /// Takes the calls of a kind that have another answer than a number.
    pub(super) fn answered(&mut self, action: &Action) {
        self.calls.retain(|sent| sent.action != *action);
    }

    /// A call that is overdue.
    pub(super) fn overdue(&self, at: Span) -> Option<u32> {
        self.calls.iter().find(|sent| at.0 - sent.at.0 >= CALL_LIMIT.0).map(|sent| sent.number)
    }

    /// Whether an action is under way or rests.
    pub(super) fn busy(&self, action: &Action, at: Span) -> bool {
        self.calls.iter().any(|sent| sent.action == *action)
            || self.rests.iter().any(|(resting, until)| resting == action && *until > at)
    }

    /// Whether any write of the replicas is under way.
    pub(super) fn patches(&self) -> bool {
        self.calls.iter().any(|sent| matches!(sent.action, Action::Patch { .. }))
    }

    /// Lets an action rest until `until`.
    pub(super) fn rest(&mut self, action: Action, until: Span) {
        self.rests.retain(|(resting, _)| *resting != action);
        self.rests.push((action, until));
    }

    /// Forgets a rest: the answer is needed at once.
    pub(super) fn wake(&mut self, action: &Action) {
        self.rests.retain(|(resting, _)| resting != action);
    }

    /// Drops rests that are over; says when the first other one ends, and when the first call is overdue.
    pub(super) fn sweep(&mut self, at: Span) -> Option<Span> {
        self.rests.retain(|(_, until)| *until > at);
        let rests = self.rests.iter().map(|(_, until)| *until);
        rests.chain(self.calls.iter().map(|sent| Span(sent.at.0 + CALL_LIMIT.0))).min()
    }

    /// The inspection that was asked for at or after `since`.
    pub(super) fn facts_since(&self, since: Span) -> Option<&Inspection> {
        self.facts.as_ref().filter(|(_, sent)| *sent >= since).map(|(facts, _)| facts)
    }

    /// How far an id is.
    pub(super) fn mark(&self, id: &str) -> Option<Mark> {
        self.marks.get(id).copied()
    }

    /// Says how far an id is.
    pub(super) fn set(&mut self, id: &str, mark: Mark) {
        self.marks.insert(id.to_owned(), mark);
    }

    /// Whether a job has been missing for `long`; begins to count if it was there until now.
    pub(super) fn missing_for(&mut self, job: &str, at: Span, long: Span) -> bool {
        let since = *self.missing.entry(job.to_owned()).or_insert(at);
        at.0 - since.0 >= long.0
    }
}
