//! When two courses of replicas are the same: the same counts in the same order, each at most a while before or after the other's.

use std::any::Any;
use std::fmt::Write as _;

use jiff::SignedDuration;
use libtest_mimic::Trial;

use crate::harness::trial;

/// A number of replicas, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Since the beginning of the timeline; what was there before has a time below zero.
    pub(super) at: SignedDuration,
    pub(super) replicas: i64,
}

/// All numbers of replicas in order. The first one is what was there.
pub(super) type Course = Vec<Change>;

/// Which changes come from an earlier one, and not from what happens: `(2, 1)` says that the third entry comes some time after the
/// second. Each half may take its own sync period for each of them, so the time from one to the other is what is compared.
pub(super) type Chains = &'static [(usize, usize)];

/// Whether two courses are the same but for a shift of each change by `limit` at most; else what differs first.
pub(super) fn compare(
    hpa: &[Change],
    tidegate: &[Change],
    chains: &[(usize, usize)],
    limit: SignedDuration,
) -> Result<(), String> {
    for place in 0..hpa.len().max(tidegate.len()) {
        let (one, other) = match (hpa.get(place), tidegate.get(place)) {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => {
                return Err(format!("change {place}: {} replicas only of the controller", one.replicas));
            }
            (None, Some(other)) => return Err(format!("change {place}: {} replicas only of Tidegate", other.replicas)),
            (None, None) => break,
        };
        if one.replicas != other.replicas {
            return Err(format!("change {place}: {} and {} replicas", one.replicas, other.replicas));
        }
        let shift = match chains.iter().find(|(later, _)| *later == place) {
            Some((_, earlier)) => (other.at - tidegate[*earlier].at) - (one.at - hpa[*earlier].at),
            // Both have begun before the timeline, one after the other.
            None if place == 0 => SignedDuration::ZERO,
            None => other.at - one.at,
        };
        if shift.abs() > limit {
            let (by, limit) = (shift.as_secs_f64(), limit.as_secs_f64());
            return Err(format!(
                "change {place}: {} replicas with a shift of {by:+.2} s, more than {limit:.2} s",
                one.replicas
            ));
        }
    }
    Ok(())
}

/// Both courses side by side.
pub(super) fn table(hpa: &[Change], tidegate: &[Change]) -> String {
    let mut table = format!("  {:>20}   {:>20}   {:>8}", "controller", "Tidegate", "shift");
    for place in 0..hpa.len().max(tidegate.len()) {
        let (one, other) = (hpa.get(place), tidegate.get(place));
        let show = |change: Option<&Change>| match change {
            Some(change) if place == 0 => format!("{} replicas", change.replicas),
            Some(change) => format!("{:>6.2} s {:>3} replicas", change.at.as_secs_f64(), change.replicas),
            None => "-".to_owned(),
        };
        let shift = match (one, other) {
            (Some(one), Some(other)) if place > 0 => format!("{:+.2} s", (other.at - one.at).as_secs_f64()),
            _ => String::new(),
        };
        let _ = write!(table, "\n  {:>20}   {:>20}   {shift:>8}", show(one), show(other));
    }
    table
}

/// What a thread said when it ended.
pub(super) fn said(why: &Box<dyn Any + Send>) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason is known").to_owned()
}

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("side_by_side::compare::a_shift_of_one_period_is_the_same", shifted),
        trial("side_by_side::compare::anything_more_is_not", different),
        trial("side_by_side::compare::what_comes_from_an_earlier_change_is_counted_from_it", chained),
        trial("side_by_side::compare::both_are_shown_side_by_side", shown),
    ]
}

/// The limit of these tests: 1 s.
const LIMIT: SignedDuration = SignedDuration::from_secs(1);

fn course(changes: &[(i64, i64)]) -> Course {
    let change =
        |(millis, replicas): &(i64, i64)| Change { at: SignedDuration::from_millis(*millis), replicas: *replicas };
    changes.iter().map(change).collect()
}

fn shifted() {
    let one = course(&[(-9000, 2), (700, 4), (1700, 6)]);
    assert_eq!(compare(&one, &one, &[], LIMIT), Ok(()));
    // 300 ms, and exactly 1 s, to either side; the first entry is only what was there.
    let other = course(&[(-4000, 2), (400, 4), (2700, 6)]);
    assert_eq!(compare(&one, &other, &[], LIMIT), Ok(()));
    assert_eq!(compare(&other, &one, &[], LIMIT), Ok(()));
    assert_eq!(compare(&[], &[], &[], LIMIT), Ok(()));
}

fn different() {
    let one = course(&[(-9000, 2), (700, 4), (1700, 6)]);
    let cases = [
        (course(&[(-9000, 2), (700, 4), (2701, 6)]), "change 2: 6 replicas with a shift of +1.00 s, more than 1.00 s"),
        (course(&[(-9000, 2), (-301, 4), (1700, 6)]), "change 1: 4 replicas with a shift of -1.00 s, more than 1.00 s"),
        (course(&[(-9000, 2), (700, 5), (1700, 6)]), "change 1: 4 and 5 replicas"),
        (course(&[(-9000, 3), (700, 4), (1700, 6)]), "change 0: 2 and 3 replicas"),
        (course(&[(-9000, 2), (1700, 6)]), "change 1: 4 and 6 replicas"),
        (course(&[(-9000, 2), (700, 4)]), "change 2: 6 replicas only of the controller"),
        (course(&[(-9000, 2), (700, 4), (1700, 6), (2700, 4)]), "change 3: 4 replicas only of Tidegate"),
        (course(&[]), "change 0: 2 replicas only of the controller"),
    ];
    for (other, why) in cases {
        let found = compare(&one, &other, &[], LIMIT).expect_err("it differs");
        assert!(found.starts_with(why), "{other:?}: {found}");
    }
}

fn chained() {
    // 4 s from one to the next, 4.7 s of the other, twice, and 0.6 s late at the first.
    let one = course(&[(-9000, 6), (1000, 5), (5000, 4), (9000, 3)]);
    let slow = course(&[(-9000, 6), (1600, 5), (6300, 4), (11_000, 3)]);
    let chains = [(2, 1), (3, 2)];
    assert_eq!(compare(&one, &slow, &chains, LIMIT), Ok(()));
    assert_eq!(compare(&slow, &one, &chains, LIMIT), Ok(()));
    let found = compare(&one, &slow, &[], LIMIT).expect_err("it is 1.3 s late");
    assert!(found.starts_with("change 2: 4 replicas with a shift of +1.30 s"), "{found}");
    // At the same moments in the end, and yet not 4 s after each other.
    let wrong = course(&[(-9000, 6), (1900, 5), (4500, 4), (9000, 3)]);
    let found = compare(&one, &wrong, &chains, LIMIT).expect_err("2.6 s are not 4 s");
    assert!(found.starts_with("change 2: 4 replicas with a shift of -1.40 s"), "{found}");
}

fn shown() {
    let table = table(&course(&[(-9000, 2), (700, 4), (1700, 6)]), &course(&[(-8000, 2), (400, 4)]));
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let shown: Vec<String> = lines.into_iter().map(words).collect();
    assert_eq!(
        shown,
        [
            "controller Tidegate shift",
            "2 replicas 2 replicas",
            "0.70 s 4 replicas 0.40 s 4 replicas -0.30 s",
            "1.70 s 6 replicas -",
        ]
    );
}
