//! The rows of the table: what was set by hand, what is read, and why.

use crate::table::Expected::{Error, Lag, Value};
use crate::table::Row;

pub(crate) const EARLIEST: (&str, &str) = ("offsetResetPolicy", "earliest");
const ZERO_ON_INVALID: (&str, &str) = ("scaleToZeroOnInvalidOffset", "true");
const COMMITTED_ONLY: (&str, &str) = ("isolationLevel", "read_committed");
const ALL_TOPICS: (&str, &str) = ("topic", "");
const TEN: (&str, &str) = ("lagThreshold", "10");

/// Without a commit, or with one of offset 0.
const COMMITS: &[Row] = &[
    Row {
        name: "no-commit-latest",
        before: |place| {
            place.filled(&[5, 5, 5]);
            vec![]
        },
        says: &[],
        expected: Lag(3),
        why: "a consumer without a commit begins at the end: one a partition brings it up to commit there",
        everywhere: true,
    },
    Row {
        name: "no-commit-earliest",
        before: |place| {
            place.filled(&[5, 4, 3]);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(12),
        why: "a consumer without a commit begins at the first record",
        everywhere: true,
    },
    Row {
        name: "no-commit-latest-zero",
        before: |place| {
            place.filled(&[5, 5, 5]);
            vec![]
        },
        says: &[ZERO_ON_INVALID],
        expected: Lag(0),
        why: "the user chose that a partition without a commit has no lag",
        everywhere: false,
    },
    Row {
        name: "no-commit-earliest-zero",
        before: |place| {
            place.filled(&[5, 5, 5]);
            vec![]
        },
        says: &[EARLIEST, ZERO_ON_INVALID],
        expected: Lag(0),
        why: "the user chose it, whatever the policy",
        everywhere: false,
    },
    Row {
        name: "empty-latest",
        before: |place| {
            place.filled(&[0, 0]);
            vec![]
        },
        says: &[],
        expected: Lag(2),
        why: "one a partition, as long as nobody has committed its end",
        everywhere: false,
    },
    Row {
        name: "empty-earliest",
        before: |place| {
            place.filled(&[0, 0]);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(0),
        why: "there is no record from the log's start on",
        everywhere: false,
    },
    Row {
        name: "commit-zero",
        before: |place| {
            place.filled(&[5, 4]).commit(&[0, 0]);
            vec![]
        },
        says: &[],
        expected: Lag(9),
        why: "0 is a commit and not the lack of one: the next record is the first",
        everywhere: true,
    },
    Row {
        name: "commit-middle",
        before: |place| {
            place.filled(&[5, 5, 5]).commit(&[5, 2, 0]);
            vec![]
        },
        says: &[],
        expected: Lag(8),
        why: "0 + 3 + 5 records come after the commits",
        everywhere: true,
    },
    Row {
        name: "commit-end",
        before: |place| {
            place.filled(&[5, 3]).commit(&[5, 3]);
            vec![]
        },
        says: &[],
        expected: Lag(0),
        why: "the next record is not there yet",
        everywhere: true,
    },
    Row {
        name: "commit-some",
        before: |place| {
            place.filled(&[5, 5, 5]).commit(&[3]);
            vec![]
        },
        says: &[],
        expected: Lag(4),
        why: "2 after the commit, and 1 for each of the two partitions without one",
        everywhere: false,
    },
    Row {
        name: "commit-some-earliest",
        before: |place| {
            place.filled(&[5, 5, 5]).commit(&[3]);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(12),
        why: "2 after the commit, and all 10 of the two partitions without one",
        everywhere: false,
    },
];

/// Commits outside of the log, and logs that changed.
const LOGS: &[Row] = &[
    Row {
        name: "beyond-end",
        before: |place| {
            place.filled(&[5, 5]).commit(&[9, 2]);
            vec![]
        },
        says: &[],
        expected: Lag(4),
        why: "the log was cut or made anew: a commit that it has no room for is none, so 1; and 3 in the other partition",
        everywhere: true,
    },
    Row {
        name: "beyond-end-earliest",
        before: |place| {
            place.filled(&[5, 5]).commit(&[9, 2]);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(8),
        why: "a consumer cannot go on at 9 and begins at the first of the 5 records; 3 in the other partition",
        everywhere: true,
    },
    Row {
        name: "beyond-end-zero",
        before: |place| {
            place.filled(&[5, 5]).commit(&[9, 2]);
            vec![]
        },
        says: &[EARLIEST, ZERO_ON_INVALID],
        expected: Lag(3),
        why: "an offset beyond the end is invalid, and the user chose that such a partition has no lag",
        everywhere: false,
    },
    Row {
        name: "beyond-end-committed",
        before: |place| {
            place.filled(&[4]).commit(&[12]);
            vec![place.begin(0, 5)]
        },
        says: &[COMMITTED_ONLY, EARLIEST],
        expected: Lag(4),
        why: "the log ends at 9, open transaction and all: no commit, so from the first record to the transaction",
        everywhere: false,
    },
    Row {
        name: "below-start",
        before: |place| {
            place.filled(&[8]).commit(&[1]).trim(0, 6);
            vec![]
        },
        says: &[],
        expected: Lag(2),
        why: "of the 7 records after the commit 5 are deleted; nobody can read them",
        everywhere: true,
    },
    Row {
        name: "at-start",
        before: |place| {
            place.filled(&[8]).commit(&[6]).trim(0, 6);
            vec![]
        },
        says: &[],
        expected: Lag(2),
        why: "the commit is the first record that is left",
        everywhere: false,
    },
    Row {
        name: "all-deleted",
        before: |place| {
            place.filled(&[8]).commit(&[1]).trim(0, 8);
            vec![]
        },
        says: &[],
        expected: Lag(0),
        why: "no record is left to read",
        everywhere: false,
    },
    Row {
        name: "trimmed-earliest",
        before: |place| {
            place.filled(&[8, 3]).trim(0, 6);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(5),
        why: "without a commit a consumer begins at the log's start, not at 0: 2 + 3 records exist",
        everywhere: true,
    },
    Row {
        name: "grown-latest",
        before: |place| {
            place.filled(&[4, 4]).commit(&[4, 4]);
            place.admin.grow(&place.topic, 4);
            place.append(3, 3);
            vec![]
        },
        says: &[],
        expected: Lag(2),
        why: "two new partitions have no commit: one each",
        everywhere: true,
    },
    Row {
        name: "grown-earliest",
        before: |place| {
            place.filled(&[4, 4]).commit(&[4, 4]);
            place.admin.grow(&place.topic, 4);
            place.append(3, 3);
            vec![]
        },
        says: &[EARLIEST],
        expected: Lag(3),
        why: "the records of the new partitions, from their first",
        everywhere: false,
    },
    Row {
        name: "never-made",
        before: |_| vec![],
        says: &[],
        expected: Error(&["<topic>", "UNKNOWN_TOPIC_OR_PARTITION"]),
        why: "what is not there has no lag that could be known",
        everywhere: true,
    },
    Row {
        name: "deleted",
        before: |place| {
            place.filled(&[5]).commit(&[1]);
            place.admin.delete(&place.topic);
            vec![]
        },
        says: &[],
        expected: Error(&["<topic>", "UNKNOWN_TOPIC_OR_PARTITION"]),
        why: "a topic that is gone is not a topic without lag",
        everywhere: true,
    },
];

/// Several topics of one group.
const TOPICS: &[Row] = &[
    Row {
        name: "no-topics",
        before: |_| vec![],
        says: &[ALL_TOPICS],
        expected: Lag(0),
        why: "a group that has committed nothing has no topics; certainly not those of the whole cluster",
        everywhere: true,
    },
    Row {
        name: "all-topics",
        before: |place| {
            place.filled(&[5, 5]).commit(&[1, 5]);
            place.other().filled(&[7]).commit(&[5]);
            vec![]
        },
        says: &[ALL_TOPICS],
        expected: Lag(6),
        why: "4 in one topic and 2 in the other",
        everywhere: true,
    },
    Row {
        name: "all-topics-some-partitions",
        before: |place| {
            place.filled(&[5, 5, 5]).commit(&[1]);
            vec![]
        },
        says: &[ALL_TOPICS],
        expected: Lag(6),
        why: "4 after the commit, and one for each other partition of the topic: the group reads all of it",
        everywhere: false,
    },
    Row {
        name: "one-of-its-topics",
        before: |place| {
            place.filled(&[5]).commit(&[1]);
            place.other().filled(&[7]).commit(&[5]);
            vec![]
        },
        says: &[],
        expected: Lag(4),
        why: "the trigger names one topic",
        everywhere: false,
    },
    Row {
        name: "apache-list",
        before: |place| {
            place.filled(&[5]).commit(&[1]);
            place.other().filled(&[7]).commit(&[4]);
            vec![]
        },
        says: &[("type", "apache-kafka"), ("topic", "<topic>,<topic>-other,<topic>")],
        expected: Lag(7),
        why: "4 and 3; a topic that is named twice counts once",
        everywhere: true,
    },
    Row {
        name: "apache-missing",
        before: |place| {
            place.filled(&[5]).commit(&[1]);
            vec![]
        },
        says: &[("type", "apache-kafka"), ("topic", "<topic>,<topic>-other")],
        expected: Error(&["<topic>-other", "UNKNOWN_TOPIC_OR_PARTITION"]),
        why: "one of the topics is not there, so the sum is not known",
        everywhere: true,
    },
    Row {
        name: "apache-all-topics",
        before: |place| {
            place.filled(&[5]).commit(&[1]);
            place.other().filled(&[7]);
            vec![]
        },
        says: &[("type", "apache-kafka"), ALL_TOPICS],
        expected: Lag(4),
        why: "without a topic the group's own count, and not all of the cluster",
        everywhere: false,
    },
    Row {
        name: "apache-no-commit",
        before: |place| {
            place.filled(&[5, 5]);
            vec![]
        },
        says: &[("type", "apache-kafka")],
        expected: Lag(2),
        why: "no commit is no commit: one a partition, not all that was ever written",
        everywhere: false,
    },
];

/// Transactions. Each takes one more offset when it ends, for its marker.
const TRANSACTIONS: &[Row] = &[
    Row {
        name: "open",
        before: |place| {
            place.filled(&[4]).commit(&[0]);
            vec![place.begin(0, 5)]
        },
        says: &[],
        expected: Lag(9),
        why: "the end of the log counts, decided or not, as KEDA reads it",
        everywhere: true,
    },
    Row {
        name: "open-committed",
        before: |place| {
            place.filled(&[4]).commit(&[0]);
            let open = place.begin(0, 5);
            place.append(0, 2);
            vec![open]
        },
        says: &[COMMITTED_ONLY],
        expected: Lag(4),
        why: "consumers get nothing from the first open transaction on, not even the 2 plain records behind it",
        everywhere: true,
    },
    Row {
        name: "open-commit-behind",
        before: |place| {
            place.filled(&[4]).commit(&[6]);
            vec![place.begin(0, 5)]
        },
        says: &[COMMITTED_ONLY],
        expected: Lag(0),
        why: "nothing that is decided comes after the commit",
        everywhere: false,
    },
    Row {
        name: "committed",
        before: |place| {
            place.filled(&[4]).commit(&[0]);
            place.begin(0, 5).commit();
            vec![]
        },
        says: &[COMMITTED_ONLY],
        expected: Lag(10),
        why: "4 + 5 records, and the offset of the marker",
        everywhere: true,
    },
    Row {
        name: "aborted",
        before: |place| {
            place.filled(&[4]).commit(&[0]);
            place.begin(0, 5).abort();
            vec![]
        },
        says: &[COMMITTED_ONLY],
        expected: Lag(10),
        why: "offsets say nothing of what was given up: consumers still have to pass by",
        everywhere: true,
    },
    Row {
        name: "aborted-uncommitted",
        before: |place| {
            place.filled(&[4]).commit(&[0]);
            place.begin(0, 5).abort();
            vec![]
        },
        says: &[],
        expected: Lag(10),
        why: "the end of the log counts",
        everywhere: false,
    },
    Row {
        name: "commit-in-open",
        before: |place| {
            place.filled(&[10]).commit(&[2]);
            vec![place.begin(0, 0).with_commit(&place.group, &place.topic, 0, 6)]
        },
        says: &[],
        expected: Lag(8),
        why: "a commit that is part of an open transaction may still be taken back: the one before it counts",
        everywhere: true,
    },
    Row {
        name: "commit-in-committed",
        before: |place| {
            place.filled(&[10]).commit(&[2]);
            place.begin(0, 0).with_commit(&place.group, &place.topic, 0, 6).commit();
            vec![]
        },
        says: &[],
        expected: Lag(4),
        why: "the commit counts with its transaction; no record of it is in this topic, so no marker either",
        everywhere: false,
    },
    Row {
        name: "open-earliest",
        before: |place| {
            place.filled(&[4]);
            vec![place.begin(0, 5)]
        },
        says: &[COMMITTED_ONLY, EARLIEST],
        expected: Lag(4),
        why: "without a commit, from the log's start to the first open transaction",
        everywhere: false,
    },
];

/// Parameters that choose, cap and activate.
const RULES: &[Row] = &[
    Row {
        name: "some-partitions",
        before: |place| {
            place.filled(&[1, 2, 3, 4, 5]).commit(&[0, 0, 0, 0, 0]);
            vec![]
        },
        says: &[("partitionLimitation", "1,3-4")],
        expected: Lag(11),
        why: "2 + 4 + 5",
        everywhere: true,
    },
    Row {
        name: "no-such-partition",
        before: |place| {
            place.filled(&[1, 2]).commit(&[0, 0]);
            vec![]
        },
        says: &[("partitionLimitation", "7-9")],
        expected: Error(&["partitionLimitation", "<topic>"]),
        why: "a trigger that watches nothing must not read as no lag",
        everywhere: false,
    },
    Row {
        name: "capped",
        before: |place| {
            place.filled(&[60, 60, 60]).commit(&[0, 0, 0]);
            vec![]
        },
        says: &[TEN],
        expected: Value(30, true),
        why: "3 partitions feed 3 consumers, so the value is 3 thresholds",
        everywhere: false,
    },
    Row {
        name: "just-capped",
        before: |place| {
            place.filled(&[11, 11, 11]).commit(&[0, 0, 0]);
            vec![]
        },
        says: &[TEN],
        expected: Value(30, true),
        why: "33 would be 4 replicas for 3 partitions",
        everywhere: false,
    },
    Row {
        name: "idle-allowed",
        before: |place| {
            place.filled(&[60, 60, 60]).commit(&[0, 0, 0]);
            vec![]
        },
        says: &[TEN, ("allowIdleConsumers", "true")],
        expected: Value(180, true),
        why: "the user wants more consumers than partitions",
        everywhere: false,
    },
    Row {
        name: "lagging-only",
        before: |place| {
            place.filled(&[60, 60, 60]).commit(&[0, 60, 60]);
            vec![]
        },
        says: &[TEN, ("limitToPartitionsWithLag", "true")],
        expected: Value(10, true),
        why: "one partition lags, so one consumer can help",
        everywhere: false,
    },
    Row {
        name: "evenly",
        before: |place| {
            place.filled(&[6, 6, 6, 6, 6, 6]).commit(&[0, 0, 0, 0, 6, 6]);
            vec![]
        },
        says: &[TEN, ("ensureEvenDistributionOfPartitions", "true")],
        expected: Value(30, true),
        why: "24 need 3 replicas, and 3 divides 6 partitions",
        everywhere: false,
    },
    Row {
        name: "evenly-more",
        before: |place| {
            place.filled(&[6, 6, 6, 6]).commit(&[0, 0, 0, 0]);
            vec![]
        },
        says: &[TEN, ("ensureEvenDistributionOfPartitions", "true")],
        expected: Value(40, true),
        why: "24 need 3 replicas, but only 1, 2 and 4 divide 4 partitions",
        everywhere: false,
    },
    Row {
        name: "not-active",
        before: |place| {
            place.filled(&[20]).commit(&[0]);
            vec![]
        },
        says: &[("activationLagThreshold", "20")],
        expected: Value(20, false),
        why: "active is more than the threshold",
        everywhere: false,
    },
    Row {
        name: "active",
        before: |place| {
            place.filled(&[40]).commit(&[0]);
            vec![]
        },
        says: &[TEN, ("activationLagThreshold", "39")],
        expected: Value(10, true),
        why: "activity looks at the whole lag, 40, and not at the capped value",
        everywhere: false,
    },
];

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [COMMITS, LOGS, TOPICS, TRANSACTIONS, RULES].into_iter().flatten()
}
