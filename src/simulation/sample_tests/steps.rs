//! `web-steps.yaml`: four rows of thresholds, two cooldowns.

use super::*;

/// In the middle of every row: with 2 to 9 pods there are 2,222 to 5,000 connections a pod.
const QUIET: &str = "cpu=50 memory=60 qps=5000 connections=10000";

#[test]
fn every_row_adds_at_the_first_read_above_its_threshold() {
    let mut played = Played::of("web-steps.yaml", 2, QUIET);
    // Comparisons are strict.
    played.says(60, "cpu=70");
    played.says(120, "cpu=71");
    played.says(135, "cpu=50 memory=80");
    played.changes(239, &[(120, 2, 3)]);
    played.says(240, "memory=81");
    played.says(255, "memory=60 qps=8000");
    played.changes(359, &[(240, 3, 4)]);
    // Two at once, and again 60 s later, because it has not helped.
    played.says(360, "qps=8001");
    played.says(425, "qps=5000 connections=64000");
    played.changes(539, &[(360, 4, 6), (420, 6, 8)]);
    // 64000 / 8 = 8000 is not above. 64001 / 8 is, and 64001 / 9 = 7111 is not.
    played.says(540, "connections=64001");
    played.changes(659, &[(540, 8, 9)]);
    // Two rows want more: 9 + 2 is more than 9 + 1, and both are more than 10.
    played.says(660, "qps=9000 cpu=90");
    played.changes(900, &[(660, 9, 10)]);
    assert_eq!(played.votes(), [Vote::Raise(11), Vote::Hold(10), Vote::Raise(12), Vote::Hold(10)]);
    assert_eq!(played.limit(), Limit::Maximum);
}

#[test]
fn a_pod_is_removed_a_minute_after_the_last_row_fell_below_its_threshold() {
    // 12000 / 6 = 2000 is not below; the other rows are.
    let mut played = Played::of("web-steps.yaml", 6, "cpu=29 memory=39 qps=1999 connections=12000");
    played.changes(299, &[]);
    assert_eq!(played.votes(), [Vote::Lower(5), Vote::Lower(5), Vote::Lower(5), Vote::Hold(6)]);
    played.says(300, "connections=11999");
    // 300 + 60. Then 11999 / 5 = 2399.8 is not below 2000 any more.
    played.changes(599, &[(360, 6, 5)]);
    assert_eq!(played.votes(), [Vote::Lower(4), Vote::Lower(4), Vote::Lower(4), Vote::Hold(5)]);
    // From now on 1000 a pod or less; each time another row is the last one.
    played.says(600, "connections=2000 cpu=30");
    played.changes(899, &[]);
    played.says(900, "cpu=29");
    played.says(975, "memory=40");
    played.changes(1_199, &[(960, 5, 4)]);
    assert_eq!(played.votes(), [Vote::Lower(3), Vote::Hold(4), Vote::Lower(3), Vote::Lower(3)]);
    played.says(1_200, "memory=39");
    played.says(1_275, "qps=2000");
    played.changes(1_499, &[(1_260, 4, 3)]);
    assert_eq!(played.votes(), [Vote::Lower(2), Vote::Lower(2), Vote::Hold(3), Vote::Lower(2)]);
    played.says(1_500, "qps=1999");
    // 2000 / 2 = 1000 a pod: all rows want one fewer still, and there are never fewer than 2.
    played.changes(3_600, &[(1_560, 3, 2)]);
}

#[test]
fn nothing_is_removed_within_5_minutes_after_an_addition() {
    let mut played = Played::of("web-steps.yaml", 4, QUIET);
    played.says(60, "cpu=71");
    played.says(75, "cpu=29 memory=39 qps=1999 connections=2000");
    played.changes(359, &[(60, 4, 5)]);
    // Since 75 + 60 s all rows want one fewer.
    assert_eq!(played.limit(), Limit::DirectionCooldown);
    // 60 + 300; then a minute from one to the next.
    played.changes(479, &[(360, 5, 4), (420, 4, 3)]);
    // The removals do not count as additions.
    played.changes(600, &[(480, 3, 2)]);
}

#[test]
fn nothing_is_added_within_10_minutes_after_a_removal() {
    let mut played = Played::of("web-steps.yaml", 4, "cpu=50 memory=39 qps=1999 connections=2000");
    played.says(60, "cpu=29");
    played.says(135, "cpu=100 qps=20000");
    played.changes(719, &[(120, 4, 3)]);
    assert_eq!(played.limit(), Limit::DirectionCooldown);
    assert_eq!(played.votes(), [Vote::Raise(4), Vote::Lower(2), Vote::Raise(5), Vote::Lower(2)]);
    // 120 + 600; then every minute.
    played.changes(900, &[(720, 3, 5), (780, 5, 7), (840, 7, 9), (900, 9, 10)]);
}

#[test]
fn a_source_that_fails_removes_nothing_and_the_others_add() {
    let mut played = Played::of("web-steps.yaml", 4, "cpu=29 memory=39 qps=1999 connections=8000");
    played.says(60, "connections=2000 qps=error");
    played.changes(3_600, &[]);
    assert_eq!(played.limit(), Limit::FailedTrigger);
    played.says(3_660, "cpu=71");
    played.changes(3_700, &[(3_660, 4, 5)]);
}
