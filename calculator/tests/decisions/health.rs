//! What people are told of the triggers' health: never that all is well while nothing can scale.

use tidegate_calculator::decision::{Health, Limit};
use tidegate_calculator::observation::Evidence;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use crate::world::{World, at};

/// A trigger on what pods use that nobody can read, beside as many others as there are totals.
fn with_cpu(replicas: u32, totals: &[i64], kind: ReadErrorKind) -> World {
    let mut world = World::new(replicas, 5, totals);
    let last = totals.len() - 1;
    world.policy.triggers[last].resource_like = true;
    world.triggers[last] = Evidence::Failed { error: ReadError::query(kind, "no"), since: at(0), good: None };
    world
}

#[test]
fn an_object_whose_only_trigger_is_a_resource_that_nobody_reads_is_not_well() {
    for (replicas, kind) in [(3, ReadErrorKind::Config), (3, ReadErrorKind::Timeout), (0, ReadErrorKind::Config)] {
        assert_eq!(with_cpu(replicas, &[0], kind).look(at(1)).health, Health::Failing, "{replicas} {kind:?}");
    }
}

#[test]
fn beside_a_trigger_that_works_it_is_well_in_part() {
    assert_eq!(with_cpu(3, &[40, 0], ReadErrorKind::Timeout).look(at(1)).health, Health::Partial);
    // At rest there are no pods to measure; but a trigger that cannot be built is wrong whatever runs.
    assert_eq!(with_cpu(0, &[0, 0], ReadErrorKind::Timeout).look(at(400)).health, Health::Good);
    assert_eq!(with_cpu(0, &[0, 0], ReadErrorKind::Config).look(at(400)).health, Health::Partial);
}

#[test]
fn a_value_metric_whose_pods_nobody_counts_is_not_well() {
    let mut world = World::new(3, 5, &[50]);
    world.value_metric(0);
    world.reads(0, 50, at(0));
    world.target.ready = None;
    let decision = world.look(at(1));
    assert_eq!((decision.write, decision.limited_by), (None, Limit::FailedTrigger));
    assert_eq!(decision.health, Health::Failing);
    world.target.ready = Some(3);
    assert_eq!(world.look(at(1)).health, Health::Good);
}
