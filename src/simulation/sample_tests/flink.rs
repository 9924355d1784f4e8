//! `flink-steps.yaml`: TaskManagers by busy time, pending records and backpressure.

use super::*;

/// No rule speaks and the gate is open: of 3 TaskManagers at 0.5 one fewer would be at 0.75.
const CALM: &str = "busy=0.5 pending=5000 backpressure=0.2";

#[test]
fn one_more_after_five_busy_minutes() {
    let mut played = Played::of("flink-steps.yaml", 3, CALM);
    // Comparisons are strict.
    played.says(60, "busy=0.8");
    played.says(600, "busy=0.801");
    played.changes(899, &[]);
    assert_eq!(played.votes(), [Vote::Hold(3), Vote::Hold(3)]);
    // 600 + 300; the change lets the 5 minutes begin anew: 900 + 300.
    played.changes(1_304, &[(900, 3, 4), (1_200, 4, 5)]);
    // So does a single read that is not busy: 1320 + 300.
    played.says(1_305, "busy=0.8");
    played.says(1_320, "busy=0.9");
    played.says(1_635, "busy=0.5");
    played.changes(3_600, &[(1_620, 5, 6)]);
}

#[test]
fn one_fewer_after_an_hour_with_next_to_nothing_pending() {
    let mut played = Played::of("flink-steps.yaml", 4, CALM);
    played.says(60, "pending=100");
    played.says(600, "pending=99");
    // A single read in between lets the hour begin anew: 2415 + 3600.
    played.says(2_400, "pending=100");
    played.says(2_415, "pending=99");
    played.changes(6_014, &[]);
    assert_eq!(played.votes(), [Vote::Abstain, Vote::Hold(4)]);
    // The next hour begins with the change.
    played.changes(10_000, &[(6_015, 4, 3), (9_615, 3, 2)]);
}

#[test]
fn none_fewer_if_the_others_would_be_too_busy() {
    let mut played = Played::of("flink-steps.yaml", 2, CALM);
    played.says(60, "pending=0");
    // What 2 do at 0.5 is 1.0 for one.
    played.changes(9_000, &[]);
    assert!(played.decision().steps.iter().any(|step| matches!(step, Step::Bounces { trigger: 0, replicas: 1, .. })));
    // The hour is long over. At 0.401 it would be 0.802, at 0.4 it is 0.8, which is not above.
    played.says(9_015, "busy=0.401");
    played.says(9_060, "busy=0.4");
    played.changes(20_000, &[(9_060, 2, 1)]);
}

#[test]
fn backpressure_keeps_what_there_is_until_it_has_been_low_for_two_minutes() {
    let mut played = Played::of("flink-steps.yaml", 3, CALM);
    // The hour ends at 3660.
    played.says(60, "pending=0");
    played.says(3_600, "backpressure=0.7");
    played.says(3_645, "backpressure=0.701");
    played.changes(3_644, &[]);
    assert_eq!(played.gates(), [DoorState::Open]);
    played.changes(3_660, &[]);
    assert_eq!((played.gates(), played.limit()), (vec![DoorState::Closed], Limit::Gate));
    // Between the two thresholds it stays as it is.
    played.says(4_200, "backpressure=0.6");
    played.says(4_800, "backpressure=0.5");
    played.says(5_400, "backpressure=0.499");
    // A single read that is not low lets the two minutes begin anew: 5475 + 120.
    played.says(5_460, "backpressure=0.5");
    played.says(5_475, "backpressure=0.499");
    played.changes(5_594, &[]);
    assert_eq!((played.gates(), played.limit()), (vec![DoorState::Closed], Limit::Gate));
    played.changes(5_700, &[(5_595, 3, 2)]);
    assert_eq!(played.gates(), [DoorState::Open]);
}

#[test]
fn backpressure_does_not_keep_from_one_more() {
    let mut played = Played::of("flink-steps.yaml", 3, CALM);
    played.says(600, "busy=1 backpressure=1");
    played.changes(900, &[(900, 3, 4)]);
}

#[test]
fn without_word_of_backpressure_none_is_removed_and_one_may_come() {
    let mut played = Played::of("flink-steps.yaml", 3, CALM);
    played.says(60, "pending=0");
    played.says(3_645, "backpressure=error");
    played.changes(7_200, &[]);
    assert_eq!((played.gates(), played.limit()), (vec![DoorState::Blind], Limit::Gate));
    played.says(7_215, "busy=0.9");
    played.says(7_530, "busy=0.5");
    played.changes(7_600, &[(7_515, 3, 4)]);
}

#[test]
fn there_are_1_to_20() {
    let mut idle = Played::of("flink-steps.yaml", 1, "busy=0 pending=0 backpressure=0");
    idle.changes(20_000, &[]);
    assert_eq!(idle.limit(), Limit::Metrics);
    let mut busy = Played::of("flink-steps.yaml", 19, "busy=0.7 pending=5000 backpressure=0");
    busy.says(60, "busy=1");
    busy.changes(3_600, &[(360, 19, 20)]);
    assert_eq!(busy.limit(), Limit::Maximum);
}
