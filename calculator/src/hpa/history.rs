//! The HPA's lists of recommendations and scale events, entry by entry as the controller keeps them (hpa-algorithm §8).
//!
//! `decide` keeps the same facts in bounded queues ([`crate::memory`]); a property test holds the two together.

use crate::time::{Span, Tick};

/// One recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recommended {
    /// When it was made.
    pub at: Tick,
    /// The count, before any limit.
    pub replicas: i32,
}

/// One change of the replica count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// When it was written.
    pub at: Tick,
    /// By how many replicas; positive in both directions.
    pub amount: i32,
    /// Whether its place may be taken by a later one. It counts by its age alone.
    pub outdated: bool,
}

/// Records a recommendation: in the place of the last one that is as old as `window`, or older, else at the end.
pub fn record(list: &mut Vec<Recommended>, replicas: i32, window: Span, now: Tick) {
    let new = Recommended { at: now, replicas };
    match list.iter_mut().rfind(|entry| !is_young(entry.at, window, now)) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

/// The highest recommendation that is younger than `window`.
pub fn highest(list: &[Recommended], window: Span, now: Tick) -> Option<i32> {
    young(list, window, now).max()
}

/// The lowest recommendation that is younger than `window`.
pub fn lowest(list: &[Recommended], window: Span, now: Tick) -> Option<i32> {
    young(list, window, now).min()
}

/// Books a change: events as old as the direction's longest period are marked, and the last marked one makes room.
pub fn book(list: &mut Vec<Scaled>, amount: i32, longest: Span, now: Tick) {
    let new = Scaled { at: now, amount, outdated: false };
    for event in list.iter_mut() {
        event.outdated |= !is_young(event.at, longest, now);
    }
    match list.iter_mut().rfind(|event| event.outdated) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

/// The replicas changed within `period`.
pub fn sum(list: &[Scaled], period: Span, now: Tick) -> i64 {
    list.iter().filter(|event| is_young(event.at, period, now)).map(|event| i64::from(event.amount)).sum()
}

fn young(list: &[Recommended], window: Span, now: Tick) -> impl Iterator<Item = i32> {
    list.iter().filter(move |entry| is_young(entry.at, window, now)).map(|entry| entry.replicas)
}

/// An age equal to a window is outside: the controller reads its clock once more before it compares (hpa-algorithm §14).
fn is_young(at: Tick, window: Span, now: Tick) -> bool {
    at.age(now) < window
}
