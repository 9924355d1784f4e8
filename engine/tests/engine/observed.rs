//! What is told of policies that take no part, and what is counted of other writers while an object is held.

use tidegate_calculator::decision::Health;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Consent, Policy};
use tidegate_engine::protocol::{Change, Event, Input, Observed, Shown, Stored, Tenure};
use tidegate_engine::subject::{Fault, FaultKind, Hold, Subject};

use super::world::{World, id, policy, subject};

fn held() -> Subject {
    let hold = Hold { reason: "Observe", message: "a policy says so".to_owned() };
    Subject { hold: Some(hold), ..subject(Policy { min: 1, ..policy() }) }
}

fn stored(world: &World) -> Observed {
    world.stored.last().map(|(_, entry)| entry.observed).unwrap_or_default()
}

fn observed(agreed: u64, differed: u64) -> Observed {
    Observed { agreed, differed }
}

/// 40 items at 5 each are 8 replicas, and twice 4 is what the older limit lets through at once.
#[test]
fn other_writers_of_a_held_object_are_compared_with_what_was_wanted() {
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(40));
    world.set(held(), Checkpoint::default());
    world.run_to(5_000);
    assert_eq!((world.applied.len(), stored(&world)), (0, observed(0, 0)));
    world.foreign(8);
    assert_eq!(stored(&world), observed(1, 0), "stored at once");
    world.show();
    world.run_to(10_000);
    world.foreign(6);
    assert_eq!(stored(&world), observed(1, 1));
    // Nobody changed the replicas: only the target's version moved.
    world.foreign(6);
    let stores = world.stored.len();
    world.run_to(60_000);
    assert_eq!(
        (stored(&world), world.stored.len()),
        (observed(1, 1), stores),
        "nothing is stored while nothing happens"
    );
    world.set(subject(Policy { min: 1, ..policy() }), Checkpoint::default());
    world.run_to(70_000);
    assert_eq!(world.replicas, 8, "it is scaled again");
    world.foreign(2);
    world.run_to(71_000);
    assert_eq!(stored(&world), observed(1, 1), "who is scaled is not compared");
}

#[test]
fn what_was_observed_outlives_a_restart() {
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(40));
    world.feed(Input::Object(Change::Set(held().into(), Checkpoint::default())));
    let kept = Stored { observed: observed(4, 2), replicas: Some(4), ..Stored::default() };
    world.feed(Input::Object(Change::Stored(id(), Box::new(kept))));
    world.show();
    world.run_to(5_000);
    world.foreign(8);
    assert_eq!(stored(&world), observed(5, 2));
}

/// Nothing is written to a held target, so what is wanted of it is stored: at once, and then once a minute at most.
#[test]
fn what_is_wanted_of_a_held_object_is_stored_when_it_moves() {
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(20));
    world.set(held(), Checkpoint::default());
    world.run_to(20_000);
    let wanted = |world: &World| world.stored.last().and_then(|(_, entry)| entry.desired);
    let settled = world.stored.len();
    assert_eq!((wanted(&world), world.applied.len()), (Some(4), 0));
    // 25, 30, 35 and 40 items at 5 each, a new number every 16 s and a pass at least every 15 s: in the minute after the first one the
    // last counts.
    for (step, items) in [(1, 25), (2, 30), (3, 35), (4, 40)] {
        world.backlog.insert(0, Ok(items));
        world.run_to(20_000 + step * 16_000);
        if step < 4 {
            assert_eq!((wanted(&world), world.stored.len()), (Some(5), settled + 1), "{items} items");
        }
    }
    world.run_to(120_000);
    assert_eq!((wanted(&world), world.stored.len()), (Some(8), settled + 2));
    world.run_to(600_000);
    assert_eq!((world.stored.len(), world.applied.len()), (settled + 2, 0), "nothing moves any more");
}

/// People see that 6 are wanted: that is no news, and 8 is.
#[test]
fn what_is_wanted_of_a_held_object_is_not_stored_again_after_a_restart() {
    let mut first = World::empty(4);
    first.backlog.insert(0, Ok(30));
    first.set(held(), Checkpoint::default());
    first.run_to(20_000);
    let (_, entry) = first.stored.last().expect("a store");
    assert_eq!(entry.desired, Some(6));

    let shown = Shown {
        active: true,
        health: Health::Good,
        paused: false,
        triggers: 1,
        failing: None,
        failures: 0,
        fallbacks: 0,
    };
    let checkpoint = entry.checkpoint.clone().expect("a memory");
    let kept = Stored { checkpoint, replicas: Some(4), desired: Some(6), shown: Some(shown), ..Stored::default() };
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(30));
    world.feed(Input::Object(Change::Set(held().into(), Checkpoint::default())));
    world.feed(Input::Object(Change::Stored(id(), Box::new(kept))));
    world.show();
    world.run_to(60_000);
    assert_eq!(world.stored.len(), 0);
    world.backlog.insert(0, Ok(40));
    world.run_to(80_000);
    assert_eq!(world.stored.last().and_then(|(_, entry)| entry.desired), Some(8));
}

#[test]
fn faults_of_policies_are_told_and_stored_when_they_change() {
    let mut world = World::new(4, Policy { min: 1, ..policy() });
    world.run_to(5_000);
    let told = |world: &World| -> Vec<usize> {
        let faults = |event: &Event| if let Event::Policies(faults) = event { Some(faults.len()) } else { None };
        world.events.iter().filter_map(|(_, event)| faults(event)).collect()
    };
    let fault = Fault { kind: FaultKind::Missing, message: "ScalingPolicy shop/night is not there".to_owned() };
    let faulty = || {
        let policy = Policy { min: 1, consent: Consent::PolicyMissing, ..policy() };
        Subject { faults: vec![fault.clone()], ..subject(policy) }
    };
    world.set(faulty(), Checkpoint::default());
    world.run_to(6_000);
    assert_eq!(told(&world), [1]);
    assert_eq!(world.stored.last().unwrap().1.faults, std::slice::from_ref(&fault));
    world.run_to(600_000);
    assert_eq!((world.replicas, told(&world)), (4, vec![1]), "it is not lowered, and people are told once");
    world.backlog.insert(0, Ok(40));
    world.run_to(605_000);
    assert_eq!(world.replicas, 8, "it is raised");
    world.backlog.insert(0, Ok(0));
    world.set(subject(Policy { min: 1, ..policy() }), Checkpoint::default());
    world.run_to(1_200_000);
    assert_eq!((world.replicas, told(&world)), (1, vec![1, 0]));
    assert!(world.stored.last().unwrap().1.faults.is_empty());
}

/// A standby tells nobody; whoever takes over tells what is the case.
#[test]
fn whoever_takes_over_tells_of_faults() {
    let mut world = World::empty(1);
    world.feed(Input::Tenure(Tenure::Standby));
    let fault = Fault { kind: FaultKind::Invalid, message: "bad".to_owned() };
    world.set(Subject { faults: vec![fault], ..subject(policy()) }, Checkpoint::default());
    assert_eq!(world.event_count(|event| matches!(event, Event::Policies(_))), 0);
    world.feed(Input::Tenure(Tenure::HELD));
    assert_eq!(world.event_count(|event| matches!(event, Event::Policies(faults) if faults.len() == 1)), 1);
    let event = Event::Policies(Vec::new());
    assert_eq!((event.reason(), event.is_warning()), ("PoliciesObeyed", false));
}
