//! What is stored already: a start and a takeover store and tell nothing that is there, and our first write never comes before it.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Pause, Policy};
use tidegate_calculator::source::ReadErrorKind;
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::{Change, Entry, Event, Input, Shown, Stored, Tenure};

use crate::world::{World, id, policy, subject};

/// What a world keeps of an entry.
pub(crate) fn stored(entry: &Entry) -> Stored {
    let bits = |set: &mut dyn Iterator<Item = bool>| {
        set.zip(0..).fold(0_u64, |bits, (is_set, index)| bits | u64::from(is_set) << index)
    };
    let triggers = bits(&mut entry.triggers.iter().copied());
    let shown = Shown {
        active: entry.active.unwrap(),
        health: entry.health.unwrap(),
        paused: entry.phase.reason() == "Paused",
        triggers,
        failing: entry.failing.as_ref().map(|failing| failing.index),
        failures: bits(&mut entry.failures.iter().map(|failures| failures.is_some_and(|count| count > 0))),
        fallbacks: bits(&mut (0..64).map(|index| entry.fallbacks.contains(&index))),
    };
    let checkpoint = entry.checkpoint.clone().unwrap_or_default();
    Stored { checkpoint, replicas: entry.replicas, shown: Some(shown), ..Stored::default() }
}

fn tell(world: &mut World, policy: &Policy, stored: Stored) {
    world.feed(Input::Object(Change::Set(subject(policy.clone()).into(), stored.checkpoint.clone())));
    world.feed(Input::Object(Change::Stored(id(), Box::new(stored))));
    world.show();
}

/// A world after a restart of another one.
fn restarted(before: &World, policy: &Policy, change: impl FnOnce(&mut World)) -> World {
    let mut world = World::empty(before.replicas);
    world.backlog.clone_from(&before.backlog);
    world.tick = before.tick;
    change(&mut world);
    tell(&mut world, policy, stored(&before.stored.last().unwrap().1));
    world.run_to(before.tick.0 + 120_000);
    world
}

/// Objects that are settled: idle, active, with a trigger that fails, with a fallback that acts, paused.
fn settled() -> Vec<(World, Policy)> {
    let idle = (World::new(0, policy()), policy());
    let mut active = (World::new(8, policy()), policy());
    active.0.backlog.insert(0, Ok(40));
    let mut failing = (World::new(3, policy()), policy());
    failing.0.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    let fallback = Some(Fallback { threshold: 3, replicas: 5, behavior: FallbackBehavior::Static });
    let mut substituted = (World::new(3, Policy { fallback, ..policy() }), Policy { fallback, ..policy() });
    substituted.0.backlog.insert(0, Err(ReadErrorKind::Unavailable));
    let paused = Policy { pause: Pause::Plain, ..policy() };
    let paused = (World::new(5, paused.clone()), paused);
    let mut worlds = vec![idle, active, failing, substituted, paused];
    for (world, _) in &mut worlds {
        world.run_to(1_000_000);
        assert!(!world.stored.is_empty());
    }
    worlds
}

#[test]
fn a_restart_stores_and_tells_nothing_when_nothing_has_changed() {
    for (before, policy) in settled() {
        let after = restarted(&before, &policy, |_| {});
        assert_eq!(after.stored, [], "{:?}", before.stored.last());
        assert_eq!((after.events.len(), after.applied.len()), (0, 0), "{:?}", after.events);
    }
}

#[test]
fn a_takeover_stores_and_tells_nothing_when_nothing_has_changed() {
    for (before, policy) in settled() {
        let after = restarted(&before, &policy, |world| world.feed(Input::Tenure(Tenure::Standby)));
        assert_eq!(after.stored, []);
        let mut acting = after;
        acting.feed(Input::Tenure(Tenure::HELD));
        acting.run_to(acting.tick.0 + 120_000);
        assert_eq!((acting.stored.len(), acting.events.len(), acting.applied.len()), (0, 0, 0));
    }
}

#[test]
fn what_changed_while_nobody_ran_is_stored_once() {
    let (idle, policy) = settled().remove(0);
    let failing = restarted(&idle, &policy, |world| {
        world.backlog.insert(0, Err(ReadErrorKind::Timeout));
    });
    assert_eq!(failing.stored.len(), 1);
    let failed = failing.stored[0].1.failing.as_ref().map(|failing| (failing.index, failing.kind, failing.of.as_str()));
    assert_eq!(failed, Some((0, ReadErrorKind::Timeout, "redis")));
    assert_eq!(failing.event_count(|event| matches!(event, Event::TriggerFailed { .. })), 1);

    // Somebody else has scaled.
    let foreign = restarted(&settled().remove(1).0, &policy, |world| world.replicas = 9);
    assert!(foreign.stored.iter().any(|(_, entry)| entry.replicas == Some(9)), "{:?}", foreign.stored);
}

#[test]
fn a_standby_takes_over_with_what_was_stored_last() {
    let mut first = World::new(8, Policy { cooldown: Span::seconds(300), ..policy() });
    let policy = Policy { cooldown: Span::seconds(300), ..policy() };
    first.run_to(100);
    let mut second = World::empty(8);
    second.feed(Input::Tenure(Tenure::Standby));
    tell(&mut second, &policy, Stored::default());
    for world in [&mut first, &mut second] {
        world.backlog.insert(0, Ok(40));
        world.run_to(200_000);
        world.backlog.insert(0, Ok(0));
        world.run_to(230_000);
    }
    // The first one has seen the end of the activity and has stored it.
    let last = stored(&first.stored.last().unwrap().1);
    second.feed(Input::Object(Change::Stored(id(), Box::new(last))));
    second.feed(Input::Tenure(Tenure::HELD));
    second.run_to(400_000);
    assert_eq!((second.applied.len(), second.stored.len()), (0, 0), "{:?}", second.applied);
    second.run_to(600_000);
    assert_eq!(second.replicas, 0, "the cooldown goes on");
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_replaced_though_all_else_is_shown() {
    let (idle, policy) = settled().remove(0);
    let mut world = World::empty(idle.replicas);
    world.tick = idle.tick;
    let kept = Stored { checkpoint: Checkpoint("not JSON".to_owned()), ..stored(&idle.stored.last().unwrap().1) };
    tell(&mut world, &policy, kept);
    world.run_to(idle.tick.0 + 120_000);
    let replaced = world.stored.first().and_then(|(_, entry)| entry.checkpoint.clone());
    assert!(replaced.is_some_and(|text| text.0.starts_with('{')), "{:?}", world.stored);
}

#[test]
fn what_was_there_before_the_first_write_is_stored_before_it() {
    let mut world = World::empty(4);
    world.backlog.insert(0, Ok(40));
    world.set(subject(policy()), Checkpoint::default());
    assert_eq!(world.replicas, 8, "at once all the same");
    let first = &world.stored[0].1;
    assert_eq!((first.replicas, &first.last_change), (Some(4), &None));
    assert_eq!(world.stored[1].1.last_change.as_ref().map(|change| (change.from, change.to)), Some((4, 8)));

    let mut world = World::empty(4);
    world.store_works = false;
    world.backlog.insert(0, Ok(40));
    world.set(subject(policy()), Checkpoint::default());
    assert_eq!(world.replicas, 8, "a store that does not work keeps nobody from scaling");
}
