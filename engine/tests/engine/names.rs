//! Metrics whose names and number are known only once they are read.

use tidegate_calculator::decision::Step;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Policy, TriggerPolicy};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_engine::protocol::{Change, Entry, Input, Stored};

use crate::world::{World, id, policy, subject};

/// An external trigger and one on what pods use.
fn external() -> Policy {
    let cpu = TriggerPolicy { resource_like: true, ..TriggerPolicy::new("cpu") };
    Policy { min: 1, triggers: vec![TriggerPolicy::new("external"), cpu], ..policy() }
}

fn started(names: &[&'static str]) -> World {
    let mut world = World::empty(8);
    world.backlog.insert(0, Ok(40));
    world.names.insert(0, names.to_vec());
    world.set(subject(external()), Checkpoint::default());
    world.run_to(5_000);
    world
}

fn last(world: &World) -> &Entry {
    &world.stored.last().unwrap().1
}

#[test]
fn the_names_of_a_reading_are_stored_and_once_more_when_they_change() {
    let mut world = started(&["s0-lag", "s0-age"]);
    assert_eq!(last(&world).metrics, [vec!["s0-lag", "s0-age"], vec![]], "not those of the pods");
    let decision = world.snapshot().decision.unwrap().0;
    let metrics: Vec<(u8, u8)> = decision
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Proposal { trigger, metric, .. } => Some((*trigger, *metric)),
            _ => None,
        })
        .collect();
    assert_eq!(metrics, [(0, 0), (0, 1), (1, 0)], "both propose");
    let stored = world.stored.len();
    world.run_to(10_000);
    assert_eq!(world.stored.len(), stored, "the same names are no reason to store");
    world.names.insert(0, vec!["s0-age"]);
    world.run_to(15_000);
    assert_eq!((world.stored.len(), &last(&world).metrics), (stored + 1, &vec![vec!["s0-age".to_owned()], vec![]]));
    assert_eq!(world.replicas, 8, "nothing else has changed");
}

#[test]
fn they_are_remembered_while_there_are_no_readings() {
    let mut world = started(&["s0-lag"]);
    assert!(world.snapshot().metrics.iter().all(|names| names.is_empty()), "the readings say them");
    for kind in [ReadErrorKind::Unavailable, ReadErrorKind::Settling] {
        world.backlog.insert(0, Err(kind));
        world.run_to(world.tick.0 + 5_000);
        assert_eq!(*world.snapshot().metrics[0], ["s0-lag"]);
    }
    assert_eq!(last(&world).metrics[0], ["s0-lag"]);
    world.backlog.insert(0, Ok(40));
    world.run_to(world.tick.0 + 5_000);
    let stored = world.stored.len();
    // While it settles nothing else flips, so what is stored is stored for the names.
    for (name, stores) in [("s0-lag", 0), ("s0-age", 1)] {
        world.backlog.insert(0, Err(ReadErrorKind::Settling));
        world.run_to(world.tick.0 + 5_000);
        world.backlog.insert(0, Ok(40));
        world.names.insert(0, vec![name]);
        world.run_to(world.tick.0 + 5_000);
        assert_eq!((world.stored.len(), last(&world).metrics[0][0].as_str()), (stored + stores, name));
    }
}

#[test]
fn another_process_stores_them_only_if_they_are_others() {
    let before = started(&["s0-lag"]);
    let entry = last(&before).clone();
    for (name, stores) in [("s0-lag", 0), ("s0-age", 1)] {
        let mut world = World::empty(8);
        world.backlog.insert(0, Ok(40));
        world.names.insert(0, vec![name]);
        world.tick = before.tick;
        let text = subject(external());
        world.feed(Input::Object(Change::Set(text.into(), entry.checkpoint.clone().unwrap())));
        let kept = Stored { metrics: entry.metrics.clone(), ..crate::stored::stored(&entry) };
        world.feed(Input::Object(Change::Stored(id(), Box::new(kept))));
        world.show();
        world.run_to(before.tick.0 + 20_000);
        assert_eq!(world.stored.len(), stores, "{name}");
    }
}
