use tidegate_calculator::source::Occasion::{Check, Poll};

use super::super::offsets::{PartitionOffsets, Scope};
use super::*;

fn seen(committed: Option<i64>) -> Vec<TopicOffsets> {
    let offsets = PartitionOffsets { partition: 0, committed, log_start: None, latest: 100 };
    vec![TopicOffsets { name: "orders".into(), partitions: vec![offsets] }]
}

fn judged_by(memory: &Memory, occasion: Occasion, committed: Option<i64>) -> Option<i64> {
    memory.before(occasion, &seen(committed)).get(&("orders".into(), 0)).copied()
}

#[test]
fn only_polls_advance_and_all_reads_between_two_are_judged_alike() {
    let memory = Memory::default();
    assert_eq!(judged_by(&memory, Check, Some(1)), None, "a check before the first poll knows nothing");
    assert_eq!(judged_by(&memory, Poll, Some(1)), None);
    assert_eq!(judged_by(&memory, Check, Some(1)), None, "and what the poll saw is not its own previous one");
    assert_eq!(judged_by(&memory, Poll, Some(5)), Some(1));
    assert_eq!(judged_by(&memory, Check, Some(6)), Some(1));
    assert_eq!(judged_by(&memory, Check, Some(5)), Some(1), "a check is judged as the poll was");
    assert_eq!(judged_by(&memory, Poll, Some(5)), Some(5), "this is what has not moved since the last poll");
    assert_eq!(judged_by(&memory, Poll, None), Some(5));
    assert_eq!(judged_by(&memory, Poll, Some(7)), None, "a commit that went away is forgotten");
}

#[test]
fn the_memory_belongs_to_the_trigger_of_an_object_and_not_to_what_was_built() {
    let endpoints = Endpoints::new();
    let spec = |owner: &str, index| TriggerSpec { owner: owner.into(), index, ..TriggerSpec::default() };
    let query = |group: &str, topics: &[&str]| Query {
        group: group.into(),
        scope: Scope::Topics(topics.iter().map(|topic| (*topic).into()).collect()),
        committed_only: false,
        log_start: false,
        partitions: None,
    };
    let servers = |host: &str| vec![(host.to_owned(), 9092)];
    let first = Memory::open(&endpoints, &spec("shop/web", 0), &servers("a"), &query("g", &["orders"]));
    assert_eq!(judged_by(&first, Poll, Some(1)), None);
    let rebuilt = Memory::open(&endpoints, &spec("shop/web", 0), &servers("a"), &query("g", &["orders"]));
    drop(first);
    assert_eq!(judged_by(&rebuilt, Poll, Some(1)), Some(1), "it survives that the trigger is built anew");
    let others = [
        Memory::open(&endpoints, &spec("shop/api", 0), &servers("a"), &query("g", &["orders"])),
        Memory::open(&endpoints, &spec("shop/web", 1), &servers("a"), &query("g", &["orders"])),
        Memory::open(&endpoints, &spec("shop/web", 0), &servers("b"), &query("g", &["orders"])),
        Memory::open(&endpoints, &spec("shop/web", 0), &servers("a"), &query("h", &["orders"])),
        Memory::open(&endpoints, &spec("shop/web", 0), &servers("a"), &query("g", &["returns"])),
    ];
    for other in &others {
        assert_eq!(judged_by(other, Poll, Some(1)), None);
    }
    drop(rebuilt);
    let later = Memory::open(&endpoints, &spec("shop/web", 0), &servers("a"), &query("g", &["orders"]));
    assert_eq!(judged_by(&later, Poll, Some(1)), None, "an object that was deleted leaves nothing");
}
