//! Gates: conditions of a trigger that forbid lowering, raising, or both. They hold the count and never touch the history.
//!
//! A gate of which nothing is known yet forbids lowering and lets everything rise, and so does one whose trigger has no value; that one
//! stays what it was, and what opens it must hold anew. While its trigger settles it stays what it was, too, and its timers stand still.

use super::draft::Draft;
use super::window::{Seen, Watch};
use crate::decision::{DoorState, Step};
use crate::memory::rules::{Door, Sight};
use crate::policy::Policy;
use crate::rules::{Block, Gate};
use crate::time::{Span, Tick};

/// Which gate forbids each direction, if one does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocks {
    /// Raising.
    pub(super) up: Option<u8>,
    /// Lowering.
    pub(super) down: Option<u8>,
}

/// Lets every gate see the value of its trigger, and says what they forbid.
pub(super) fn look(policy: &Policy, watch: &mut Watch, now: Tick, draft: &mut Draft) -> Blocks {
    let mut blocks = Blocks::default();
    for (place, gate) in policy.rules.gates.iter().enumerate() {
        let seen = watch.seen(gate.trigger.into());
        let frozen = watch.rules.frozen;
        let Some(door) = watch.rules.gates.get_mut(place) else { continue };
        // Validation admits no more than 255 gates; one beyond them forbids all the same, under the name of the 256th.
        let index = u8::try_from(place).unwrap_or(u8::MAX);
        let (up, down, until) = if let Some(seen) = seen {
            turn(gate, door, seen, (frozen, now), draft)
        } else {
            if door.opening.still.is_none() {
                door.opening.reset();
            }
            (false, true, None)
        };
        if up && gate.block != Block::ScaleDown {
            blocks.up = blocks.up.or(Some(index));
        }
        if down && gate.block != Block::ScaleUp {
            blocks.down = blocks.down.or(Some(index));
        }
        let state = match (seen, door.closed) {
            (None, _) => DoorState::Blind,
            (Some(_), Some(true)) => DoorState::Closed,
            (Some(_), Some(false)) if !down => DoorState::Open,
            _ => DoorState::Unknown,
        };
        let (name, trigger, block) = (gate.name.clone(), gate.trigger, gate.block);
        let value = seen.map(|seen| seen.compared.value);
        draft.steps.push(Step::Gate { name, trigger, value, state, block, until });
    }
    blocks
}

/// Ends the doubt that a restart has left: an open gate may have closed while nobody looked, or because its condition had held for longer
/// than anybody remembers. Then it would wait for its release, so nobody knows what it is now, unless what opens it is the first thing
/// that is seen.
fn settle(door: &mut Door, (closes, opens): (bool, bool), now: Tick) {
    let Some(doubt) = door.doubt else { return };
    if closes && doubt > now {
        return;
    }
    door.doubt = None;
    if closes || !opens || door.closing.since.is_some() {
        door.closed = None;
    }
}

/// One gate whose trigger has a value: whether it forbids raising and lowering, and when it turns. Nothing closes one that is frozen.
fn turn(
    gate: &Gate,
    door: &mut Door,
    seen: Seen,
    (frozen, now): (bool, Tick),
    draft: &mut Draft,
) -> (bool, bool, Option<Tick>) {
    let value = seen.compared.value;
    let closes = gate.closes.holds(value);
    // Whatever ends a gate waits until the window of its trigger is full.
    let opens = seen.covered && gate.release.map_or(!closes, |release| release.condition.holds(value));
    let release = gate.release.map_or(Span::ZERO, |release| release.held_for);
    let until = seen.until(now);
    settle(door, (closes, opens), now);
    let begins = closes && !frozen;
    for (timer, holds, needed) in [(&mut door.closing, begins, gate.held_for), (&mut door.opening, opens, release)] {
        timer.see(Sight { holds, at: seen.at, broken: seen.broken }, None);
        timer.mark(needed, until);
    }
    if door.closing.held(until).is_some_and(|held| held >= gate.held_for) {
        door.closed = Some(true);
    } else if door.opening.held(until).is_some_and(|held| held >= release) {
        door.closed = Some(false);
    }
    let closing = door.closing.since.map(|since| since + gate.held_for).filter(|_| door.closed != Some(true));
    let opening = door.opening.since.map(|since| since + release).filter(|_| door.closed != Some(false));
    let turns = closing.or(opening).and_then(|at| seen.foresees(at)).filter(|at| *at > now);
    draft.wake(turns);
    draft.wake(door.doubt);
    let shut = door.closed == Some(true);
    (shut, shut || door.closed.is_none() || !seen.covered || door.doubt.is_some(), turns)
}
