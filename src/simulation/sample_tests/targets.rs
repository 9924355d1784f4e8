//! `web-targets.yaml`: the same service by targets, as a HorizontalPodAutoscaler would scale it.

use super::*;

/// 2 * 50/70 is 1.4, 2 * 60/80 is 1.5, 2 * 5000/8000 is 1.25: two pods.
const QUIET: &str = "cpu=50 memory=60 connections=5000";

#[test]
fn each_target_raises_what_was_wanted_for_a_minute() {
    for (loud, quiet) in [("cpu=105", "cpu=70"), ("memory=120", "memory=80"), ("connections=12000", "connections=8000")]
    {
        let mut played = Played::of("web-targets.yaml", 2, QUIET);
        // Half as much again: 2 * 1.5 = 3. The last read that wanted 2 was at 285, and its minute ends at 345.
        played.says(300, loud);
        // On the target: 3 stay 3.
        played.says(346, quiet);
        played.changes(900, &[(345, 2, 3)]);
    }
}

#[test]
fn a_peak_of_less_than_a_minute_raises_nothing() {
    let mut played = Played::of("web-targets.yaml", 2, QUIET);
    // At 345 the last read that wanted 2 is a minute old, and the next one wants 2 again.
    played.says(300, "cpu=350");
    played.says(345, "cpu=50");
    played.changes(1_200, &[]);
}

#[test]
fn at_most_twice_as_many_a_minute() {
    let mut played = Played::of("web-targets.yaml", 2, QUIET);
    // 2 * 350/70 = 10, of which 100 % a minute are allowed: 2, then 4, then the rest.
    played.says(300, "cpu=350");
    played.changes(404, &[(345, 2, 4)]);
    assert_eq!(played.limit(), Limit::ScaleUpRate);
    played.changes(1_200, &[(405, 4, 8), (465, 8, 10)]);
    assert_eq!(played.limit(), Limit::Maximum);
}

#[test]
fn at_most_a_tenth_fewer_a_minute_after_five_minutes() {
    let mut played = Played::of("web-targets.yaml", 10, "cpu=70 memory=80 connections=8000");
    // All want one pod. The last read that wanted 10 was at 285, and its 5 minutes end at 585.
    played.says(300, "cpu=7 memory=8 connections=800");
    played.changes(584, &[]);
    assert_eq!(played.limit(), Limit::Stabilization);
    // 10 * 0.9 = 9, 8.1, 7.2, 6.3, 5.4, 4.5, 3.6, 2.7, each time without the fraction; then the minimum.
    let tenths =
        [(585, 10, 9), (645, 9, 8), (705, 8, 7), (765, 7, 6), (825, 6, 5), (885, 5, 4), (945, 4, 3), (1_005, 3, 2)];
    played.changes(3_600, &tenths);
    assert_eq!(played.limit(), Limit::Minimum);
}

#[test]
fn a_rise_in_the_window_keeps_what_there_is() {
    let mut played = Played::of("web-targets.yaml", 10, "cpu=70 memory=8 connections=800");
    played.says(300, "cpu=7");
    played.says(570, "cpu=70");
    played.says(585, "cpu=7");
    // 570 + 300, and not 285 + 300.
    played.changes(900, &[(870, 10, 9)]);
}

#[test]
fn the_target_that_wants_most_counts() {
    let mut played = Played::of("web-targets.yaml", 10, "cpu=70 memory=60 connections=800");
    // CPU wants 1, memory 10 * 60/80 = 7.5: 8. What 10 pods use at 60 % are 67 % of 9, and of 8 pods 75 %: 8 * 75/80 = 7.5 again.
    played.says(300, "cpu=7");
    played.says(586, "memory=67");
    played.says(646, "memory=75");
    played.changes(3_600, &[(585, 10, 9), (645, 9, 8)]);
}
