//! `redis-clients.yaml`: clients of each Redis server.

use super::*;

#[test]
fn two_more_above_5000_clients_each() {
    let mut played = Played::of("redis-clients.yaml", 3, "clients=12000");
    // 15000 / 3 = 5000 is not above. 15001 / 5 = 3000.2 is not below 3000.
    played.says(60, "clients=15000");
    played.says(120, "clients=15001");
    played.changes(239, &[(120, 3, 5)]);
    // 60000 / 5 = 12000, / 7 = 8571, / 9 = 6667, / 11 = 5455, / 12 = 5000: every minute two more, then the maximum.
    played.says(240, "clients=60000");
    played.changes(3_600, &[(240, 5, 7), (300, 7, 9), (360, 9, 11), (420, 11, 12)]);
}

#[test]
fn one_fewer_after_ten_minutes_below_3000_each() {
    let mut played = Played::of("redis-clients.yaml", 6, "clients=18000");
    // 18000 / 6 = 3000 is not below, 17999 / 6 is. Then 17999 / 5 = 3600 is not any more.
    played.says(600, "clients=17999");
    played.changes(2_399, &[(1_200, 6, 5)]);
    // 14999 / 5 = 2999.8. A single read at 3000 lets the ten minutes begin anew: 2715 + 600.
    played.says(2_400, "clients=14999");
    played.says(2_700, "clients=15000");
    played.says(2_715, "clients=14999");
    played.changes(6_000, &[(3_315, 5, 4)]);
}

#[test]
fn none_fewer_if_the_others_would_have_more_than_5000() {
    // 5998 / 2 = 2999 is below 3000; one server would have 5998.
    let mut played = Played::of("redis-clients.yaml", 2, "clients=5998");
    played.says(3_600, "clients=5001");
    played.says(7_200, "clients=5000");
    played.changes(7_199, &[]);
    assert!(played.decision().steps.iter().any(|step| matches!(step, Step::Bounces { replicas: 1, .. })));
    played.changes(9_000, &[(7_200, 2, 1)]);
    assert_eq!(played.limit(), Limit::Metrics);
}

#[test]
fn one_server_stays_without_clients() {
    let mut played = Played::of("redis-clients.yaml", 2, "clients=8000");
    // 60 + 600.
    played.says(60, "clients=0");
    played.changes(9_000, &[(660, 2, 1)]);
}
