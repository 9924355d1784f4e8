//! Moves the upper bounds of every live job to what the TaskManagers offer; lower bounds stay at 1, so a job never waits for slots.

use super::action::Action;
use super::bounds::Bound;
use super::event::{Class, Outcome};
use super::flight::{Mark, POLL};
use super::progress::Job;
use super::refusal::{Cause, Reason};
use super::{Next, Operation};
use crate::time::Span;

impl Operation {
    pub(super) fn begin_requirements(&mut self) {
        self.state.put = true;
        self.flight.marks.retain(|key, _| !key.starts_with("put:"));
    }

    /// The bounds that a job should have: those from before on the way back, else those of its shape.
    fn wanted_bounds(&self, job: &Job, slots: u32) -> Vec<Bound> {
        if self.state.rolling.is_some() && !job.bounds_before.is_empty() {
            return job.bounds_before.clone();
        }
        job.shape.as_ref().map(|shape| shape.bounds(slots, &job.raise)).unwrap_or_default()
    }

    fn puts(&self) -> Vec<Action> {
        let slots = self.slots();
        let put = |(job, slots): (&Job, u32)| {
            let id = job.live_id()?;
            if self.flight.mark(&format!("put:{id}")).is_some() {
                return None;
            }
            let bounds = self.wanted_bounds(job, slots);
            (!bounds.is_empty()).then(|| Action::PutRequirements { job: id.to_owned(), bounds })
        };
        self.state.jobs.iter().zip(slots).filter_map(put).collect()
    }

    pub(super) fn requirements_wanted(&self) -> Vec<Action> {
        let mut wanted = self.puts();
        wanted.push(Action::Inspect);
        wanted
    }

    pub(super) fn requirements_next(&mut self, at: Span) -> Next {
        if let Some(cause) = self.gone_job(at) {
            return Next::Fail(cause);
        }
        if self.puts().is_empty() {
            return Next::Done;
        }
        if at.0 - self.state.entered.0 >= self.verify_timeout().0 {
            let text = "the requirements of a job could not be changed in time";
            return Next::Fail(Cause::new(Reason::ChangeRefused, text));
        }
        Next::Stay
    }

    pub(super) fn absorb_requirements(&mut self, action: Action, outcome: Outcome, at: Span) {
        let Action::PutRequirements { job, .. } = &action else { return };
        match outcome {
            Outcome::Done => self.flight.set(&format!("put:{job}"), Mark::Done),
            Outcome::Failed(failure) if failure.class == Class::Config => {
                self.state.trouble = Some(Cause::config(Reason::ChangeRefused, failure.text));
            }
            _ => self.flight.rest(action, Span(at.0 + 2 * POLL.0)),
        }
    }
}
