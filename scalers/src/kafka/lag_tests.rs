use proptest::prelude::*;

use super::*;

fn rules() -> Rules {
    Rules {
        threshold: 10,
        from_earliest: false,
        uncommitted_is_zero: false,
        allow_idle: false,
        exclude_persistent: false,
        limit_to_lagging: false,
        even: false,
    }
}

fn partition(partition: i32, committed: Option<i64>, log_start: Option<i64>, latest: i64) -> PartitionOffsets {
    PartitionOffsets { partition, committed, log_start, latest }
}

fn topic(name: &str, partitions: Vec<PartitionOffsets>) -> TopicOffsets {
    TopicOffsets { name: name.into(), partitions }
}

/// A topic whose partitions lag by so much.
fn lagging(lags: &[i64]) -> Vec<TopicOffsets> {
    let all = lags.iter().zip(0..).map(|(lag, place)| partition(place, Some(100), Some(0), 100 + lag));
    vec![topic("orders", all.collect())]
}

fn numbers(topics: &[TopicOffsets], rules: &Rules) -> (i64, i64) {
    let Lag { value, activity } = lag(topics, rules, &Commits::new()).unwrap();
    (value, activity)
}

/// The lag of one partition, uncapped.
fn one(committed: Option<i64>, log_start: Option<i64>, latest: i64, rules: &Rules) -> i64 {
    let topics = [topic("orders", vec![partition(0, committed, log_start, latest)])];
    let (value, activity) = numbers(&topics, &Rules { allow_idle: true, ..rules.clone() });
    assert_eq!(value, activity, "nothing was excluded");
    value
}

#[test]
fn each_state_of_a_partition_has_its_lag() {
    let latest = rules;
    let earliest = || Rules { from_earliest: true, ..rules() };
    let zero = |rules: Rules| Rules { uncommitted_is_zero: true, ..rules };
    let cases = [
        // Committed, log start, log end, rules, lag.
        ((Some(40), Some(0), 100), latest(), 60),           // the plain case
        ((Some(100), None, 100), latest(), 0),              // caught up: the log start does not matter
        ((Some(0), Some(0), 100), latest(), 100),           // a commit of 0 is a commit
        ((Some(40), Some(0), 100), earliest(), 60),         // with a commit the policy does not matter
        ((Some(40), Some(0), 100), zero(latest()), 60),     // nor does what is said of missing commits
        ((Some(40), Some(70), 100), latest(), 30),          // retention passed the commit: 40 to 69 are gone
        ((Some(40), Some(100), 100), latest(), 0),          // retention emptied the log
        ((Some(40), Some(40), 100), latest(), 60),          // retention stands at the commit
        ((Some(40), None, 100), latest(), 60),              // without a log start, the most that it can be
        ((Some(500), None, 100), latest(), 0),              // read past an open transaction, which holds the end back
        ((None, None, 0), latest(), 1),                     // never committed, nothing there: one finds out
        ((None, Some(0), 100), latest(), 1),                // never committed: the consumer begins at the end
        ((None, Some(0), 100), zero(latest()), 0),          // the user says that no commit is no work
        ((None, Some(0), 100), earliest(), 100),            // the consumer begins at the start
        ((None, Some(30), 100), earliest(), 70),            // which is not 0 once retention has deleted records
        ((None, Some(100), 100), earliest(), 0),            // and nothing is left to read
        ((None, Some(0), 100), zero(earliest()), 0),        // the user says that no commit is no work
        ((None, None, 100), zero(earliest()), 0),           // for which no log start is needed
        ((Some(0), Some(0), i64::MAX), latest(), i64::MAX), // no overflow
    ];
    for (place, ((committed, log_start, latest), rules, expected)) in cases.into_iter().enumerate() {
        assert_eq!(one(committed, log_start, latest, &rules), expected, "case {place}");
    }
}

#[test]
fn what_is_not_known_is_an_error_and_not_a_number() {
    let earliest = || Rules { from_earliest: true, ..rules() };
    let cases = [
        (vec![partition(0, None, None, 100)], earliest(), "partition 0 of topic \"orders\": no log start"),
        (vec![partition(0, Some(-1), None, 100)], rules(), "partition 0 of topic \"orders\": an offset is negative"),
        (vec![partition(0, Some(1), Some(-1), 100)], rules(), "partition 0 of topic \"orders\": an offset is negative"),
        (vec![partition(0, None, None, -1)], rules(), "partition 0 of topic \"orders\": an offset is negative"),
    ];
    for (partitions, rules, expected) in cases {
        let mut topics = lagging(&[5]);
        topics.push(topic("orders", partitions));
        let error = lag(&topics, &rules, &Commits::new()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.reason()), (expected, "TriggerProtocol"));
    }
    let none = [topic("orders", vec![]), topic("returns", vec![])];
    let error = lag(&none, &rules(), &Commits::new()).unwrap_err();
    let expected = ("nothing is known of any partition of orders, returns", "TriggerProtocol");
    assert_eq!((error.to_string().as_str(), error.reason()), expected);
    // A topic without any of the partitions that the query asks for.
    assert_eq!(numbers(&[topic("orders", vec![]), lagging(&[5]).remove(0)], &rules()), (5, 5));
}

#[test]
fn a_group_without_topics_has_no_lag() {
    for rules in [rules(), Rules { even: true, ..rules() }] {
        assert_eq!(numbers(&[], &rules), (0, 0));
    }
}

#[test]
fn partitions_and_topics_are_summed_without_overflow() {
    let all = Rules { allow_idle: true, ..rules() };
    let mut topics = lagging(&[1, 2, 3]);
    topics.push(topic("returns", vec![partition(0, Some(0), Some(0), 4), partition(1, Some(9), None, 9)]));
    assert_eq!(numbers(&topics, &all), (10, 10));
    topics.push(topic("huge", vec![partition(0, Some(0), Some(0), i64::MAX); 3]));
    assert_eq!(numbers(&topics, &all), (i64::MAX, i64::MAX));
    let huge = Rules { threshold: i64::MAX, ..rules() };
    assert_eq!(numbers(&topics, &huge), (i64::MAX, i64::MAX));
}

#[test]
fn never_more_replicas_than_partitions_unless_idle_ones_are_allowed() {
    let idle = Rules { allow_idle: true, ..rules() };
    let cases = [
        (vec![0, 0, 0], 0, 0),
        (vec![5, 6, 0], 11, 11),
        (vec![30, 0, 0], 30, 30),
        (vec![31, 0, 0], 30, 31), // 3.1 thresholds would be 4 replicas
        (vec![39, 0, 0], 30, 39), // also by less than a threshold
        (vec![500, 500, 500], 30, 1500),
    ];
    for (lags, value, activity) in cases {
        let topics = lagging(&lags);
        assert_eq!(numbers(&topics, &rules()), (value, activity), "{lags:?}");
        assert_eq!(numbers(&topics, &idle), (activity, activity), "{lags:?}");
    }
}

#[test]
fn limited_to_partitions_with_lag() {
    let limit = Rules { limit_to_lagging: true, ..rules() };
    assert_eq!(numbers(&lagging(&[500, 0, 0]), &limit), (10, 500));
    assert_eq!(numbers(&lagging(&[500, 1, 0]), &limit), (20, 501));
    assert_eq!(numbers(&lagging(&[3, 4, 0]), &limit), (7, 7));
    assert_eq!(numbers(&lagging(&[0, 0, 0]), &limit), (0, 0));
    // Idle consumers are no way round it.
    assert_eq!(numbers(&lagging(&[500, 0, 0]), &Rules { allow_idle: true, ..limit }), (10, 500));
}

#[test]
fn an_even_distribution_takes_the_next_divisor() {
    let even = Rules { even: true, ..rules() };
    let replicas = |partitions: usize, total: i64, rules: &Rules| {
        let mut lags = vec![0; partitions];
        lags[0] = total;
        let (value, activity) = numbers(&lagging(&lags), rules);
        assert_eq!((value % 10, activity), (0, total));
        value / 10
    };
    let hundred = [(10, 1), (11, 2), (20, 2), (21, 4), (40, 4), (41, 5), (50, 5), (99, 10), (100, 10), (101, 20)];
    for (total, expected) in hundred {
        assert_eq!(replicas(100, total, &even), expected, "100 partitions, lag {total}");
        assert_eq!(replicas(100, total, &Rules { allow_idle: true, ..even.clone() }), expected, "idle ones or not");
    }
    for (total, expected) in [(1, 1), (10, 1), (11, 2), (20, 2), (21, 5), (50, 5), (51, 10), (5000, 10)] {
        assert_eq!(replicas(10, total, &even), expected, "10 partitions, lag {total}");
    }
    for (total, expected) in [(10, 1), (11, 7), (70, 7), (71, 7)] {
        assert_eq!(replicas(7, total, &even), expected, "7 partitions, lag {total}");
    }
    // It never reports 0; whether anything is active says the lag itself.
    assert_eq!(replicas(10, 0, &even), 1);
    // Together with the limit, which only apache-kafka allows, the limit has the last word.
    assert_eq!(numbers(&lagging(&[35, 0, 0, 0]), &Rules { limit_to_lagging: true, ..even }), (10, 35));
}

#[test]
fn lag_that_does_not_move_is_active_but_not_counted() {
    let rules = Rules { exclude_persistent: true, ..rules() };
    let topics = [
        topic("orders", vec![partition(0, Some(10), Some(0), 15), partition(1, Some(20), Some(0), 23)]),
        topic("returns", vec![partition(0, Some(10), Some(0), 17), partition(1, None, None, 9)]),
    ];
    let judged = |before: &[(&str, i32, i64)]| {
        let before = before.iter().map(|(topic, partition, commit)| (((*topic).into(), *partition), *commit));
        let Lag { value, activity } = lag(&topics, &rules, &before.collect()).unwrap();
        (value, activity)
    };
    assert_eq!(judged(&[]), (16, 16), "nothing is known yet");
    assert_eq!(judged(&[("orders", 0, 10)]), (11, 16));
    assert_eq!(judged(&[("orders", 0, 9), ("orders", 1, 21)]), (16, 16), "both moved, one of them back");
    assert_eq!(judged(&[("orders", 0, 10), ("orders", 1, 20), ("returns", 0, 10)]), (1, 16), "no commit, no memory");
    let not_asked = Rules { exclude_persistent: false, ..rules.clone() };
    let before = commits(&topics);
    assert_eq!(before.len(), 3);
    assert_eq!(lag(&topics, &not_asked, &before).unwrap(), Lag { value: 16, activity: 16 });
    // Partitions whose lag stands still do not count as partitions with lag.
    let limit = Rules { limit_to_lagging: true, threshold: 1, ..rules };
    assert_eq!(lag(&topics, &limit, &before).unwrap(), Lag { value: 1, activity: 16 });
}

fn any_partition() -> impl Strategy<Value = PartitionOffsets> {
    let offset = prop_oneof![0..100_i64, 0..=i64::MAX];
    (proptest::option::of(offset.clone()), proptest::option::of(offset.clone()), offset)
        .prop_map(|(committed, log_start, latest)| partition(0, committed, log_start, latest))
}

fn any_topics() -> impl Strategy<Value = Vec<TopicOffsets>> {
    let topic = proptest::collection::vec(any_partition(), 1..12).prop_map(|mut partitions| {
        for (offsets, place) in partitions.iter_mut().zip(0..) {
            offsets.partition = place;
            offsets.log_start = Some(offsets.log_start.unwrap_or(0).min(offsets.latest));
        }
        topic("orders", partitions)
    });
    proptest::collection::vec(topic, 0..3)
}

prop_compose! {
    fn any_rules()(
        threshold in prop_oneof![1..50_i64, 1..=i64::MAX],
        flags in any::<[bool; 6]>(),
    ) -> Rules {
        let [from_earliest, uncommitted_is_zero, allow_idle, exclude_persistent, limit_to_lagging, even] = flags;
        Rules {
            threshold, from_earliest, uncommitted_is_zero, allow_idle, exclude_persistent, limit_to_lagging, even,
        }
    }
}

proptest! {
    #[test]
    fn capped_is_never_more_replicas_than_partitions(topics in any_topics(), rules in any_rules()) {
        let Lag { value, activity } = lag(&topics, &rules, &Commits::new()).unwrap();
        let partitions = topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() as i128;
        let replicas = (i128::from(value) + i128::from(rules.threshold) - 1) / i128::from(rules.threshold);
        prop_assert!(value >= 0 && activity >= 0);
        prop_assert!(replicas <= partitions || (rules.allow_idle && !rules.limit_to_lagging && !rules.even));
        prop_assert!(value <= activity || rules.even);
        if rules.even && !rules.limit_to_lagging && partitions > 0 && value < i64::MAX {
            prop_assert_eq!(partitions % replicas, 0);
        }
    }

    #[test]
    fn more_records_are_never_less_lag(
        topics in any_topics(), rules in any_rules(), remembered in any::<bool>(), more in any::<[u32; 12]>(),
    ) {
        let before = if remembered { commits(&topics) } else { Commits::new() };
        let less = lag(&topics, &rules, &before).unwrap();
        let mut grown = topics.clone();
        for topic in &mut grown {
            for (offsets, more) in topic.partitions.iter_mut().zip(more) {
                offsets.latest = offsets.latest.saturating_add(i64::from(more));
            }
        }
        let most = lag(&grown, &rules, &before).unwrap();
        prop_assert!(most.value >= less.value && most.activity >= less.activity);
    }

    #[test]
    fn progress_of_the_group_is_never_more_activity(topics in any_topics(), rules in any_rules(), steps in 0..1000_i64) {
        let lags = |topics: &[TopicOffsets]| lag(topics, &rules, &Commits::new()).unwrap().activity;
        let mut later = topics.clone();
        for offsets in later.iter_mut().flat_map(|topic| &mut topic.partitions) {
            offsets.committed = offsets.committed.map(|committed| committed.saturating_add(steps));
        }
        prop_assert!(lags(&later) <= lags(&topics));
    }

    #[test]
    fn nothing_comes_of_a_partition_that_is_not_there(topics in any_topics(), rules in any_rules(), gone in 0..12_usize) {
        let Some(first) = topics.first() else { return Ok(()) };
        let whole = lag(&topics, &rules, &Commits::new()).unwrap();
        let mut fewer = topics.clone();
        fewer[0].partitions.remove(gone % first.partitions.len());
        match lag(&fewer, &rules, &Commits::new()) {
            Ok(part) => prop_assert!(part.activity <= whole.activity),
            Err(error) => prop_assert_eq!(error.reason(), "TriggerProtocol"),
        }
    }
}
