//! What is still wanted: a wish may cancel a change, or move where it goes, until something that cannot be taken back is sent.

use super::action::Action;
use super::phase::{Direction, Phase};
use super::refusal::{Cause, Reason};
use super::{Begin, Foreseen, Next, Operation, foresee};
use crate::time::Span;

/// A wish that came so long before the last look is still fresh enough: one sync period.
const FRESH: Span = Span::seconds(15);

/// What a wish means for a change that is not applied yet.
enum Meaning {
    /// It goes on.
    Same,
    /// It goes to another count.
    Move(u32),
    /// It is not wanted any more.
    Cancel,
    /// Zero is wanted by now, and an operation of its own goes there at once.
    Zero,
}

impl Operation {
    pub(super) fn take_wish(&mut self, replicas: u32, fresh: bool, at: Span) {
        self.flight.answered(&Action::AskWish);
        if !fresh {
            // Not every trigger had data: that is no wish. Ask again soon.
            self.flight.rest(Action::AskWish, Span(at.0 + 5_000));
            return;
        }
        self.flight.wish = Some((replicas, at));
        if !self.may_be_dropped() {
            return;
        }
        match self.meaning(replicas) {
            Meaning::Same => {}
            Meaning::Move(to) => self.state.to = to,
            Meaning::Cancel => {
                let text = format!("{replicas} replicas are wanted by now");
                self.end(Phase::Cancelled, Some(Cause::new(Reason::NotWanted, text)), at);
            }
            Meaning::Zero => {
                self.state.superseded = true;
                let text = "0 replicas are wanted by now: one operation goes there, instead of two";
                self.end(Phase::Cancelled, Some(Cause::new(Reason::NotWanted, text)), at);
            }
        }
    }

    /// Somebody has set the hooks right: what could still be dropped begins anew with them. A job that is being stopped runs again
    /// by the hooks that stopped it.
    pub(super) fn take_new_hooks(&mut self, at: Span) {
        if self.may_be_dropped() {
            let text = "the hooks are others by now: the change begins anew with them";
            self.end(Phase::Cancelled, Some(Cause::new(Reason::HooksChanged, text)), at);
        }
    }

    /// Whether nothing was done yet that must be brought to its end.
    fn may_be_dropped(&self) -> bool {
        let state = &self.state;
        !(state.phase.ended() || state.changed() || state.in_danger() || state.rolling.is_some())
    }

    fn meaning(&self, wish: u32) -> Meaning {
        let (from, to) = (self.state.from, self.state.to);
        // More than is of use is not gone to.
        let wish = if wish > from { wish.min(self.state.most.unwrap_or(u32::MAX)) } else { wish };
        match self.state.direction {
            Direction::ScaleDown if wish >= from => Meaning::Cancel,
            Direction::ScaleDown if wish == 0 && self.zero_goes_at_once() => Meaning::Zero,
            // A new direction is a new operation.
            Direction::ToZero if wish > 0 => Meaning::Cancel,
            Direction::ScaleUp | Direction::FromZero if wish <= from => Meaning::Cancel,
            Direction::ScaleDown | Direction::ScaleUp | Direction::FromZero if wish > to => Meaning::Move(wish),
            _ => Meaning::Same,
        }
    }

    /// Whether zero can be gone to in place of this lowering, by all that was seen of the cluster. What an http or job item has begun would be
    /// begun once more: then this change is made first.
    fn zero_goes_at_once(&self) -> bool {
        let begun = self.state.items.iter().any(|item| item.began.is_some() || item.over);
        let Some((facts, _)) = self.flight.facts.as_ref().filter(|_| !begun) else { return false };
        let (from, spec, parked) = (self.state.from, self.state.spec.clone(), self.parked());
        let zero = foresee(Begin { from, to: 0, spec, parked, ..Begin::default() }, facts);
        zero.is_some_and(|zero| matches!(zero.seen, Foreseen::Made { .. }))
    }

    /// Gates are looked at once more, and a lowering needs a fresh wish below the present count.
    pub(super) fn confirm_next(&mut self, at: Span) -> Next {
        let since = self.state.entered;
        if let Some((Some(gate), _)) = self.flight.gate.as_ref().filter(|(_, came)| *came >= since) {
            let text = format!("gate {gate} is closed");
            return Next::End(Phase::Cancelled, Cause::new(Reason::GateClosed, text));
        }
        let gates = self.flight.gate.as_ref().is_some_and(|(_, came)| *came >= since);
        // Whether the wish still stands was judged when it came.
        let wish = !self.state.direction.lowers() || self.fresh_wish(at);
        if gates && wish { Next::Done } else { Next::Stay }
    }

    fn fresh_wish(&self, at: Span) -> bool {
        let came = self.flight.wish.as_ref().map(|(_, came)| *came);
        came.is_some_and(|came| came >= self.state.entered || at.0 - came.0 < FRESH.0)
    }

    pub(super) fn confirm_wanted(&self, at: Span) -> Vec<Action> {
        let mut wanted = Vec::new();
        if self.flight.gate.as_ref().is_none_or(|(_, came)| *came < self.state.entered) {
            wanted.push(Action::AskGates);
        }
        if self.state.direction.lowers() && !self.fresh_wish(at) {
            wanted.push(Action::AskWish);
        }
        wanted
    }
}
