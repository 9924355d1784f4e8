//! The http and job items: one after the other, each with its own attempts and time-out.

use super::action::Action;
use super::event::{Class, Failure, Outcome};
use super::failure::{POST_HOOK_FAILED, back_off};
use super::flight::{Mark, POLL};
use super::ids;
use super::phase::Strategy;
use super::progress::ItemProgress;
use super::refusal::{Cause, Reason};
use super::spec::{Item, OnFailure, Work};
use super::{Next, Operation};
use crate::time::Span;

impl Operation {
    /// The item that is at work: the first of its list that is not over.
    fn item(&self, post: bool) -> Option<(usize, &ItemProgress, &Item)> {
        let list = if post { &self.state.spec.post_scale } else { &self.state.spec.pre_scale };
        let (index, progress) =
            self.state.items.iter().enumerate().find(|(_, item)| item.post == post && !item.over)?;
        let item = list.iter().find(|item| item.name == progress.name)?;
        Some((index, progress, item))
    }

    /// The key or name that stands for the present attempt of an item.
    fn item_key(&self, progress: &ItemProgress, item: &Item) -> String {
        match item.work {
            Work::Job(_) => {
                let part = if progress.post { format!("post-{}", item.name) } else { item.name.clone() };
                ids::object_name(&self.state.id, &part, progress.attempt)
            }
            _ => ids::idempotency_key(&self.state.id, &item.name, progress.post, progress.attempt),
        }
    }

    pub(super) fn items_wanted(&self, post: bool, at: Span) -> Vec<Action> {
        let Some((_, progress, item)) = self.item(post) else { return Vec::new() };
        if progress.since > at || progress.began.is_none() {
            return Vec::new();
        }
        let key = self.item_key(progress, item);
        let accepted = self.flight.mark(&key).is_some();
        match &item.work {
            Work::Http(http) if accepted => vec![Action::PollHttp { item: item.name.clone(), key, http: http.clone() }],
            Work::Http(http) => vec![Action::CallHttp { item: item.name.clone(), key, http: http.clone() }],
            Work::Job(_) if accepted => vec![Action::PollJob { name: key }],
            Work::Job(job) => vec![Action::RunJob { name: key, template: job.template.clone() }],
            Work::Flink(_) => Vec::new(),
        }
    }

    pub(super) fn items_next(&mut self, post: bool, at: Span) -> Next {
        if post && self.state.to > 0 && !self.parked().is_empty() {
            // A job does not run: nothing follows a change that is not there.
            return Next::Done;
        }
        loop {
            let Some((index, progress, item)) = self.item(post) else { return Next::Done };
            let (began, timeout, name) = (progress.began, item.timeout, item.name.clone());
            match began {
                None => {
                    if let Some(progress) = self.state.items.get_mut(index) {
                        progress.began = Some(at);
                        progress.since = at;
                    }
                }
                Some(began) if at.0 - began.0 >= timeout.0 => {
                    self.item_over(index, Some(Cause::new(Reason::HookFailed, format!("item {name} took too long"))));
                }
                Some(_) => return Next::Stay,
            }
            if let Some(next) = self.item_failed(index) {
                return next;
            }
        }
    }

    /// What a failed item means: after the change it is told and changes nothing, before it the user has said.
    fn item_failed(&mut self, index: usize) -> Option<Next> {
        let progress = self.state.items.get(index)?;
        let (cause, post, name) = (progress.cause.clone()?, progress.post, progress.name.clone());
        if post || self.item_proceeds(&name) {
            return None;
        }
        Some(Next::Fail(cause))
    }

    fn item_proceeds(&self, name: &str) -> bool {
        let item = self.state.spec.pre_scale.iter().find(|item| item.name == *name);
        let strategy = self.state.strategy.unwrap_or(Strategy::None);
        item.is_some_and(|item| item.on_failure.effective(self.state.direction, strategy) == OnFailure::Proceed)
    }

    fn item_over(&mut self, index: usize, cause: Option<Cause>) {
        let Some(progress) = self.state.items.get_mut(index) else { return };
        progress.over = true;
        progress.cause.clone_from(&cause);
        let (post, name) = (progress.post, progress.name.clone());
        let Some(cause) = cause else { return };
        let text = format!("{name}: {}", cause.text);
        if post {
            // The condition is told at the end, where those of the operations before are taken away.
            self.announce(POST_HOOK_FAILED, text, true);
        } else if self.item_proceeds(&name) {
            self.proceed(cause);
        } else {
            // The stage fails with it.
            self.state.trouble = Some(Cause { text, ..cause });
        }
    }

    pub(super) fn absorb_item(&mut self, action: Action, outcome: Outcome, at: Span) {
        let post = self.state.stage() == super::Stage::Post;
        let Some((index, progress, item)) = self.item(post) else { return };
        let key = self.item_key(progress, item);
        let named = match &action {
            Action::CallHttp { key, .. } | Action::PollHttp { key, .. } => key,
            Action::RunJob { name, .. } | Action::PollJob { name } => name,
            _ => return,
        };
        if *named != key {
            return;
        }
        let polled = matches!(action, Action::PollHttp { .. } | Action::PollJob { .. });
        let begins_job = matches!(action, Action::RunJob { .. });
        match outcome {
            Outcome::Done if begins_job => self.flight.set(&key, Mark::Accepted),
            Outcome::Done => self.item_over(index, None),
            Outcome::InProgress if !polled => self.flight.set(&key, Mark::Accepted),
            // What was accepted is not known any more: ask for it again, under the same key.
            Outcome::NotFound if polled => {
                self.flight.marks.remove(&key);
                self.flight.rest(action, Span(at.0 + 2 * POLL.0));
            }
            Outcome::Failed(failure) => self.item_answer_failed(index, action, &failure, at),
            _ => self.flight.rest(action, Span(at.0 + 2 * POLL.0)),
        }
    }

    fn item_answer_failed(&mut self, index: usize, action: Action, failure: &Failure, at: Span) {
        let post = self.state.stage() == super::Stage::Post;
        let Some(attempts) = self.item(post).map(|(_, _, item)| item.attempts) else { return };
        let Some(progress) = self.state.items.get_mut(index) else { return };
        match failure.class {
            // The same key goes again: whether it worked is for the receiver to know.
            Class::Lost | Class::Unavailable | Class::Conflict => self.flight.rest(action, Span(at.0 + 5 * POLL.0)),
            Class::Config => {
                let cause = Cause::config(Reason::HookFailed, failure.text.clone());
                self.item_over(index, Some(cause));
            }
            _ if progress.attempt >= attempts => {
                let cause = Cause::new(Reason::HookFailed, failure.text.clone());
                self.item_over(index, Some(cause));
            }
            _ => {
                let pause = back_off(progress.attempt);
                progress.attempt = progress.attempt.saturating_add(1);
                progress.since = Span(at.0 + pause.0);
            }
        }
    }
}
