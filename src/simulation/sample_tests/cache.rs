//! `cache-hit-ratio.yaml`: less wants more.

use super::*;

#[test]
fn one_more_below_90_percent_and_the_next_ten_minutes_later() {
    let mut played = Played::of("cache-hit-ratio.yaml", 3, "hits=0.95");
    // Comparisons are strict.
    played.says(60, "hits=0.9");
    played.says(120, "hits=0.899");
    played.says(1_305, "hits=0.95");
    // Three times below: at once, 120 + 600 and 720 + 600, which comes too late.
    played.changes(3_600, &[(120, 3, 4), (720, 4, 5)]);
}

#[test]
fn there_are_at_most_8() {
    let mut played = Played::of("cache-hit-ratio.yaml", 7, "hits=0.95");
    played.says(60, "hits=0.5");
    played.changes(3_600, &[(60, 7, 8)]);
    assert_eq!(played.limit(), Limit::Maximum);
}

#[test]
fn one_fewer_above_97_percent_for_half_an_hour() {
    let mut played = Played::of("cache-hit-ratio.yaml", 4, "hits=0.95");
    played.says(60, "hits=0.97");
    played.says(600, "hits=0.971");
    // 600 + 1800; the next half hour begins with the change, and there are never fewer than 2.
    played.changes(20_000, &[(2_400, 4, 3), (4_200, 3, 2)]);
    assert_eq!(played.limit(), Limit::Metrics);
}

#[test]
fn a_ratio_of_zero_is_no_data() {
    let mut played = Played::of("cache-hit-ratio.yaml", 4, "hits=0.95");
    played.says(60, "hits=0");
    played.changes(3_600, &[]);
    assert_eq!(played.limit(), Limit::FailedTrigger);
    // The least ratio that is data.
    played.says(3_660, "hits=0.001");
    played.says(3_675, "hits=0.99");
    played.changes(3_700, &[(3_660, 4, 5)]);
    // 3675 + 1800 = 5475. 30 s without data count as held; 5 minutes without let the half hour begin anew: 5340 + 1800.
    played.says(4_200, "hits=0");
    played.says(4_230, "hits=0.99");
    played.says(5_040, "hits=0");
    played.says(5_340, "hits=0.99");
    played.changes(7_200, &[(7_140, 5, 4)]);
}

#[test]
fn a_short_time_without_data_counts_as_held() {
    let mut played = Played::of("cache-hit-ratio.yaml", 4, "hits=0.95");
    played.says(60, "hits=0.99");
    played.says(900, "hits=0");
    played.says(930, "hits=0.99");
    // 60 + 1800.
    played.changes(2_000, &[(1_860, 4, 3)]);
}
