use super::*;

const MODES: [Mode; 5] = [
    Mode::QueueLength,
    Mode::MessageRate,
    Mode::DeliverGetRate,
    Mode::PublishedToDeliveredRatio,
    Mode::ExpectedQueueConsumptionTime,
];

fn counts(messages: u64, published: f64, delivered: f64) -> Counts {
    Counts { messages, published, delivered }
}

/// Value in thousandths and activity.
fn judged(mode: Mode, counts: Counts, activation: f64) -> (i64, bool) {
    let (value, active) = mode.judge(&counts, activation);
    (value.0, active)
}

#[test]
fn the_length_is_compared_strictly() {
    let mode = Mode::QueueLength;
    assert_eq!(judged(mode, counts(40, 9.0, 9.0), 39.5), (40_000, true));
    assert_eq!(judged(mode, counts(40, 9.0, 9.0), 40.0), (40_000, false));
    assert_eq!(judged(mode, counts(0, 9.0, 9.0), 0.0), (0, false));
}

#[test]
fn a_rate_is_active_by_its_messages_too() {
    let mode = Mode::MessageRate;
    assert_eq!(judged(mode, counts(0, 2.5, 0.0), 2.0), (2_500, true));
    assert_eq!(judged(mode, counts(0, 2.5, 0.0), 2.5), (2_500, false));
    assert_eq!(judged(mode, counts(3, 0.0, 0.0), 2.0), (0, true), "nothing comes in, but three wait");
    assert_eq!(judged(mode, counts(2, 0.0, 0.0), 2.0), (0, false));
}

#[test]
fn deliveries_are_active_by_their_rate_alone() {
    let mode = Mode::DeliverGetRate;
    assert_eq!(judged(mode, counts(900, 7.0, 1.25), 1.0), (1_250, true));
    assert_eq!(judged(mode, counts(900, 7.0, 0.0), 0.0), (0, false));
}

#[test]
fn a_ratio_without_deliveries_is_the_activation_value_and_active() {
    let mode = Mode::PublishedToDeliveredRatio;
    // 3 / 2 = 1.5
    assert_eq!(judged(mode, counts(5, 3.0, 2.0), 1.0), (1_500, true));
    assert_eq!(judged(mode, counts(5, 3.0, 2.0), 1.5), (1_500, false));
    assert_eq!(judged(mode, counts(5, 3.0, 0.0), 4.0), (4_000, true));
    assert_eq!(judged(mode, counts(5, 0.0, 2.0), 0.0), (0, false));
    assert_eq!(judged(mode, counts(5, 0.0, 0.0), 0.0), (0, false));
}

#[test]
fn the_expected_time_is_that_of_what_waits_and_of_what_comes() {
    let mode = Mode::ExpectedQueueConsumptionTime;
    // (6 - 4) / 4 + 100 / 4 = 25.5
    assert_eq!(judged(mode, counts(100, 6.0, 4.0), 25.0), (25_500, true));
    assert_eq!(judged(mode, counts(100, 6.0, 4.0), 25.5), (25_500, false));
    // (0 - 4) / 4 + 2 / 4 = -0.5, and nothing is below 0.
    assert_eq!(judged(mode, counts(2, 0.0, 4.0), 0.0), (0, false));
    assert_eq!(judged(mode, counts(100, 6.0, 0.0), 7.0), (7_000, true), "nobody takes anything");
    assert_eq!(judged(mode, counts(0, 6.0, 0.0), 7.0), (0, false));
}

#[test]
fn several_queues_are_joined_number_by_number() {
    let queues = [counts(5, 1.0, 4.0), counts(2, 3.0, 0.5), counts(0, 0.5, 0.0)];
    assert_eq!(Operation::Sum.join(&queues), counts(7, 4.5, 4.5));
    // 7 / 3 = 2.33 and 4.5 / 3 = 1.5
    assert_eq!(Operation::Average.join(&queues), counts(2, 1.5, 1.5));
    assert_eq!(Operation::Maximum.join(&queues), counts(5, 3.0, 4.0));
}

#[test]
fn no_queue_is_nothing_in_every_mode() {
    for operation in [Operation::Sum, Operation::Average, Operation::Maximum] {
        let none = operation.join(&[]);
        assert_eq!(none, Counts::default());
        for mode in MODES {
            assert_eq!(judged(mode, none, 0.0), (0, false), "{mode:?}");
        }
    }
}

#[test]
fn every_mode_has_its_name() {
    for mode in MODES {
        assert_eq!(Mode::named(&format!("{mode:?}")), Some(mode));
        assert_eq!(mode.needs_rates(), mode != Mode::QueueLength);
    }
    assert_eq!((Mode::named("Unknown"), Operation::named("min")), (None, None));
}
