use std::collections::BTreeMap;

use super::*;
use crate::parameters::Known;
use crate::registry;

fn spec(metadata: &[(&str, &str)]) -> TriggerSpec {
    let base = [("address", "a:1"), ("stream", "orders")];
    let all = base.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    TriggerSpec { kind: "redis-streams".to_owned(), metadata: all.collect(), ..TriggerSpec::default() }
}

fn read(metadata: &[(&str, &str)]) -> Settings {
    let none = BTreeMap::new();
    let values = Values::resolve(&spec(metadata), SINGLE, Known::Values(&none), Known::Values(&none));
    assert_eq!(values.errors, []);
    settings(&spec(metadata), &values, Layout::Single).unwrap()
}

fn checked(metadata: &[(&str, &str)]) -> Checked {
    let none = BTreeMap::new();
    registry::check(&spec(metadata), Known::Values(&none), Known::Values(&none))
}

fn warnings(metadata: &[(&str, &str)]) -> Vec<String> {
    checked(metadata).warnings.iter().map(ToString::to_string).collect()
}

type Metadata<'a> = &'a [(&'a str, &'a str)];

const GROUP: (&str, &str) = ("consumerGroup", "billing");

#[test]
fn what_is_given_says_what_is_read() {
    let key = || Key { database: 0, name: "orders".into() };
    let cases: [(Metadata<'_>, Question, i64); 6] = [
        (&[], Question::Entries(key()), 5),
        (&[("streamLength", "7"), ("lagCount", "9")], Question::Entries(key()), 7),
        (&[GROUP], Question::Pending(key(), "billing".into()), 5),
        (&[GROUP, ("pendingEntriesCount", "8")], Question::Pending(key(), "billing".into()), 8),
        (&[GROUP, ("lagCount", "9"), ("pendingEntriesCount", "8")], Question::Lag(key(), "billing".into()), 9),
        (&[GROUP, ("lagCount", "0")], Question::Pending(key(), "billing".into()), 5),
    ];
    for (metadata, question, target) in cases {
        let settings = read(metadata);
        assert_eq!((settings.question, settings.metric.target), (question, Milli::units(target)), "{metadata:?}");
        assert_eq!(settings.metric.name, "s0-redis-streams-orders");
    }
    let settings = read(&[("activationLagCount", "3"), ("databaseIndex", "2"), ("activation", "push")]);
    assert_eq!((settings.activation, settings.push), (3, true));
    assert_eq!(settings.question, Question::Entries(Key { database: 2, name: "orders".into() }));
}

#[test]
fn targets_that_are_not_used_are_warnings() {
    let unused =
        "metadata.streamLength: \"7\" has no effect with consumerGroup; pendingEntriesCount or lagCount is the target";
    assert_eq!(warnings(&[GROUP, ("streamLength", "7")]), [unused]);
    let unused = "metadata.lagCount: \"9\" has no effect without consumerGroup; streamLength is the target";
    assert_eq!(warnings(&[("lagCount", "9")]), [unused]);
    let unused = "metadata.pendingEntriesCount: \"9\" has no effect with lagCount, which is the target";
    assert_eq!(warnings(&[GROUP, ("lagCount", "1"), ("pendingEntriesCount", "9")]), [unused]);
    let zero = "metadata.pendingEntriesCount: \"0\" makes any entry ask for maxReplicaCount; use 1 or more";
    assert_eq!(warnings(&[GROUP, ("pendingEntriesCount", "0")]), [zero]);
    assert_eq!(warnings(&[GROUP, ("lagCount", "4")]), Vec::<String>::new());
}

#[test]
fn bad_numbers_are_named() {
    for name in ["streamLength", "pendingEntriesCount", "lagCount", "activationLagCount"] {
        let found = checked(&[GROUP, (name, "1O")]);
        assert_eq!(found.errors.len(), 1, "{found:?}");
        assert_eq!(found.errors[0].path, format!("metadata.{name}"));
    }
}
