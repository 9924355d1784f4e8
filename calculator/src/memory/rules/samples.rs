//! What was read of a trigger lately: what the window of its rules takes the lowest, the highest or the average of.

use std::collections::VecDeque;

use super::timer::Still;
use crate::rules::{Take, Window};
use crate::source::Milli;
use crate::time::Tick;

/// How many readings are kept apart. Beyond it the two nearest become one, which stays as low, as high or as much as both were.
const MOST: usize = 64;

/// What rules compare of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What rules that raise compare, and gates.
    pub value: Milli,
    /// What rules that lower compare: for cpu and memory pods without a sample count as busy. Otherwise the same.
    pub filled: Milli,
}

/// The readings of a window and one before it, oldest first. Each stands for the time since the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples(VecDeque<(Tick, Compared)>);

impl Samples {
    /// Adds a reading; one that came at the same time as the last takes its place.
    pub fn push(&mut self, at: Tick, compared: Compared, window: Window) {
        if self.0.back().is_some_and(|(last, _)| *last >= at) {
            self.0.pop_back();
        }
        self.0.push_back((at, compared));
        let start = at - window.over;
        while self.0.get(1).is_some_and(|(second, _)| *second <= start) {
            self.0.pop_front();
        }
        if self.0.len() > MOST {
            self.merge_nearest(window.take);
        }
    }

    /// Forgets everything: after a gap the readings before it say nothing about the time between.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes out time that does not count: the readings before it move to its end.
    pub(crate) fn moved(&mut self, still: Still) {
        for (at, _) in &mut self.0 {
            *at = still.moved(*at);
        }
    }

    /// What the window takes of the readings in it, as of the newest, and whether they reach back to its start; none without any.
    pub fn taken(&self, window: Window) -> Option<(Compared, bool)> {
        let (newest, last) = *self.0.back()?;
        let start = newest - window.over;
        let covered = self.0.front().is_some_and(|(first, _)| *first <= start);
        let within = || self.0.iter().filter(|(at, _)| *at > start).map(|(_, compared)| compared);
        let of = |pick: fn(&Compared) -> Milli| match window.take {
            Take::Min => within().map(pick).min(),
            Take::Max => within().map(pick).max(),
            Take::Avg => Some(self.average(start, pick)),
        };
        let value = of(|compared| compared.value).unwrap_or(last.value);
        let filled = of(|compared| compared.filled).unwrap_or(last.filled);
        Some((Compared { value, filled }, covered))
    }

    /// The average by time since `start`.
    fn average(&self, start: Tick, pick: fn(&Compared) -> Milli) -> Milli {
        let (mut sum, mut time) = (0_i128, 0_i128);
        for ((before, _), (at, compared)) in self.0.iter().zip(self.0.iter().skip(1)) {
            let span = i128::from((*before).max(start).age(*at).0);
            sum += i128::from(pick(compared).0) * span;
            time += span;
        }
        let last = self.0.back().map_or(Milli(0), |(_, compared)| pick(compared));
        if time == 0 { last } else { Milli(i64::try_from(sum / time).unwrap_or(last.0)) }
    }

    fn merge_nearest(&mut self, take: Take) {
        // The first and the last stay: they say how far the window reaches.
        let gap = |index: &usize| self.0[*index].0 - self.0[*index - 1].0;
        let Some(nearest) = (2..self.0.len() - 1).min_by_key(gap) else { return };
        let before = self.0[nearest - 2].0;
        let Some((at, older)) = self.0.remove(nearest - 1) else { return };
        let (end, newer) = self.0[nearest - 1];
        let spans = (before.age(at).0, at.age(end).0);
        let join = |older: Milli, newer: Milli| match take {
            Take::Min => older.min(newer),
            Take::Max => older.max(newer),
            Take::Avg => weighted((older, spans.0), (newer, spans.1)),
        };
        let joined = Compared { value: join(older.value, newer.value), filled: join(older.filled, newer.filled) };
        self.0[nearest - 1].1 = joined;
    }
}

fn weighted(older: (Milli, i64), newer: (Milli, i64)) -> Milli {
    let time = i128::from(older.1) + i128::from(newer.1);
    let sum = i128::from(older.0.0) * i128::from(older.1) + i128::from(newer.0.0) * i128::from(newer.1);
    if time == 0 { newer.0 } else { Milli(i64::try_from(sum / time).unwrap_or(newer.0.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn of(value: i64) -> Compared {
        Compared { value: Milli(value), filled: Milli(value + 1) }
    }

    fn window(take: Take, seconds: i64) -> Window {
        Window { take, over: Span::seconds(seconds) }
    }

    fn filled(take: Take, seconds: i64, readings: &[(i64, i64)]) -> (i64, bool) {
        let (mut samples, window) = (Samples::default(), window(take, seconds));
        for (at, value) in readings {
            samples.push(Tick(at * 1_000), of(*value), window);
        }
        samples.taken(window).map_or((0, false), |(compared, covered)| (compared.value.0, covered))
    }

    #[test]
    fn lowest_highest_and_average_of_the_readings_in_the_window() {
        let readings = [(0, 9), (10, 3), (30, 6), (60, 4)];
        assert_eq!(filled(Take::Min, 60, &readings), (3, true));
        assert_eq!(filled(Take::Max, 60, &readings), (6, true), "a reading as old as the window is out");
        // 3 for 10 s, 6 for 20 s, 4 for 30 s: (30 + 120 + 120) / 60.
        assert_eq!(filled(Take::Avg, 60, &readings), (4, true));
        // From 20 s on: 6 for 10 s, 4 for 30 s: (60 + 120) / 40.
        assert_eq!(filled(Take::Avg, 40, &readings), (4, true));
        assert_eq!(filled(Take::Max, 61, &readings), (9, false), "the readings do not reach back that far");
        assert_eq!(filled(Take::Avg, 60, &[(5, 7)]), (7, false));
    }

    #[test]
    fn many_readings_stay_bounded_and_lose_no_extreme() {
        for take in [Take::Min, Take::Max, Take::Avg] {
            let (mut samples, window) = (Samples::default(), window(take, 1_000));
            for second in 0..=1_500 {
                let value = if second == 900 { 500 } else { 100 };
                let value = if second == 901 { 1 } else { value };
                samples.push(Tick(second * 1_000), of(value), window);
            }
            assert!(samples.0.len() <= MOST);
            let (taken, covered) = samples.taken(window).unwrap_or_default();
            let expected = match take {
                Take::Min => 1,
                Take::Max => 500,
                // (998 * 100 + 500 + 1) / 1000 = 100.301, less what whole numbers lose at every join.
                Take::Avg => 100,
            };
            assert!((taken.value.0 - expected).abs() <= 1 && covered, "{take:?} {taken:?}");
        }
    }
}
