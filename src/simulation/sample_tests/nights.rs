//! `nights.yaml`: 100 to 200 by day, 10 to 40 from 22:00 to 06:00 in Shanghai, which is eight hours ahead of UTC.

use super::*;

/// From one count to the next a tenth less without the fraction, a minute apart, the first at `second`.
fn tenths(second: i64, counts: &[u32]) -> Vec<(i64, u32, u32)> {
    let steps = counts.windows(2).zip(0..);
    steps.map(|(pair, minute)| (second + 60 * minute, pair[0], pair[1])).collect()
}

#[test]
fn a_day_and_two_evenings() {
    // 22:00 is at second 7, which is no moment of a regular read.
    let mut played = Played::beginning("2026-11-25T13:59:53Z", "nights.yaml", 100, "cpu=70");
    // CPU goes on to want what there is. The night's maximum caps that to 40; the last read that wanted 100 was at 0, and its 5 minutes
    // end at 300. 100 * 0.9 = 90, 81, 72.9, 64.8, 57.6, 51.3, 45.9, 40.5.
    played.changes(299, &[]);
    assert_eq!(played.limit(), Limit::Stabilization);
    played.changes(3_599, &tenths(300, &[100, 90, 81, 72, 64, 57, 51, 45, 40]));
    // 40 * 5/70 = 2.9, and the least are 10. 3585 + 300. 40 * 0.9 = 36, 32.4, 28.8, 25.2, 22.5, 19.8, 17.1, 15.3, 13.5, 11.7, 9.9.
    played.says(3_600, "cpu=5");
    played.changes(28_806, &tenths(3_885, &[40, 36, 32, 28, 25, 22, 19, 17, 15, 13, 11, 10]));
    assert_eq!(played.limit(), Limit::Schedule);
    // 06:00 is 8 h later: 7 + 28800. No window and no rate counts, and CPU is asked for nothing.
    played.changes(30_014, &[(28_807, 10, 100)]);
    assert_eq!(played.limit(), Limit::Minimum);
    // By day the target counts: 100 * 147/70 = 210, of which 200 are allowed.
    played.says(30_015, "cpu=147");
    played.says(30_060, "cpu=70");
    played.changes(86_699, &[(30_015, 100, 200)]);
    // 22:00 is at 7 + 86400; the last read that wanted 200 was at 86400. 200 * 0.9 = 180, 162, 145.8, 130.5, 117, 105.3, 94.5, 84.6, 75.6,
    // 67.5, 60.3, 54, 48.6, 43.2, 38.7.
    let counts = [200, 180, 162, 145, 130, 117, 105, 94, 84, 75, 67, 60, 54, 48, 43, 40];
    played.changes(90_000, &tenths(86_700, &counts));
}

#[test]
fn what_the_day_kept_up_goes_at_the_moment_the_night_begins() {
    // For half an hour CPU has wanted 100 * 5/70 = 7.1: 8, and the day's minimum has kept 100.
    let mut played = Played::beginning("2026-11-25T13:30:00Z", "nights.yaml", 100, "cpu=5");
    played.changes(1_799, &[]);
    assert_eq!(played.limit(), Limit::Minimum);
    // Nothing in the last 5 minutes wanted more than the night's maximum, so only the rate counts.
    let counts = [100, 90, 81, 72, 64, 57, 51, 45, 40, 36, 32, 28, 25, 22, 19, 17, 15, 13, 11, 10];
    played.changes(10_000, &tenths(1_800, &counts));
    // The same where 22:00 is no moment of a regular read.
    let mut played = Played::beginning("2026-11-25T13:29:53Z", "nights.yaml", 100, "cpu=5");
    played.changes(2_000, &tenths(1_807, &counts[..5]));
}

#[test]
fn a_night_without_word_of_cpu_comes_down_to_its_maximum_only() {
    let mut played = Played::beginning("2026-11-25T13:59:53Z", "nights.yaml", 100, "cpu=70");
    played.says(15, "cpu=error");
    played.changes(20_000, &tenths(300, &[100, 90, 81, 72, 64, 57, 51, 45, 40]));
    assert_eq!(played.limit(), Limit::FailedTrigger);
    played.changes(30_000, &[(28_807, 40, 100)]);
}

#[test]
fn a_start_in_the_night_obeys_the_night() {
    // 03:00. Within the night's bounds CPU wants 20 * 105/70 = 30; at 70 % it stays.
    let mut played = Played::beginning("2026-11-25T19:00:00Z", "nights.yaml", 20, "cpu=70");
    played.says(60, "cpu=105");
    played.says(75, "cpu=70");
    // 30 * 140/70 = 60, of which 40 are allowed.
    played.says(600, "cpu=140");
    played.changes(3_600, &[(60, 20, 30), (600, 30, 40)]);
    assert_eq!(played.limit(), Limit::Schedule);
}
