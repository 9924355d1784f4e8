//! Two processes, one of which acts: what a standby must not do, and with what memory it takes over.

use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::Policy;
use tidegate_calculator::source::EndpointId;
use tidegate_calculator::time::Span;
use tidegate_engine::protocol::{Change, Command, Event, Input, Tenure, Version};
use tidegate_engine::subject::{ObjectId, TargetRef};

use crate::world::{START, World, id, policy, readings, subject, target};

#[test]
fn a_standby_watches_and_acts_at_once_when_it_is_its_turn() {
    let mut world = World::empty(0);
    world.feed(Input::Tenure(Tenure::Standby));
    world.set(subject(policy()), Checkpoint::default());
    world.backlog.insert(0, Ok(40));
    world.run_to(60_000);
    assert_eq!((world.reads.len(), world.applied.len(), world.stored.len()), (0, 0, 0));
    world.feed(Input::Tenure(Tenure::HELD));
    assert_eq!(world.replicas, 8);
}

#[test]
fn a_standby_stores_and_tells_nothing_about_what_the_other_writes() {
    let mut world = World::empty(0);
    world.feed(Input::Tenure(Tenure::Standby));
    world.set(subject(policy()), Checkpoint::default());
    world.run_to(10_000);
    world.foreign(8);
    world.run_to(60_000);
    assert_eq!((world.stored.len(), world.events.len()), (0, 0));
}

#[test]
fn what_a_standby_kept_to_itself_is_told_at_the_takeover() {
    let mut world = World::empty(0);
    world.feed(Input::Tenure(Tenure::Standby));
    world.feed(Input::Object(Change::Refused(id(), target(), Vec::new(), Checkpoint::default())));
    world.run_to(10_000);
    assert_eq!((world.events.len(), world.stored.len(), world.refreshed.len()), (0, 0, 0));
    world.feed(Input::Tenure(Tenure::HELD));
    assert_eq!(world.event_count(|event| matches!(event, Event::Refused(_))), 1);
    assert_eq!(world.stored.len(), 1);
}

#[test]
fn a_takeover_uses_the_memory_that_was_stored_last() {
    let mut world = World::empty(8);
    world.feed(Input::Tenure(Tenure::Standby));
    let policy = Policy { cooldown: Span::seconds(300), ..policy() };
    // When the standby began, the last activity was 12 minutes ago ...
    let active_at = |second: i64| Checkpoint(format!("{{\"v\":1,\"n\":8,\"t\":{}}}", (START + second) * 1_000));
    world.set(subject(policy.clone()), active_at(-720));
    world.run_to(600_000);
    // ... but the other process has seen activity 10 s ago and has stored it.
    world.set(subject(policy), active_at(590));
    world.feed(Input::Tenure(Tenure::HELD));
    world.run_to(605_000);
    assert_eq!(world.applied, []);
    world.run_to(590_000 + 302_000);
    assert_eq!(world.replicas, 0, "the cooldown counts from the activity that the other one saw");
}

#[test]
fn a_write_that_waits_for_room_is_not_sent_after_the_tenure() {
    let mut world = World::empty(0);
    let (mut out, mut calls) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let name = format!("orders-{number}");
        let mut subject = subject(policy());
        subject.id = ObjectId::new("shop", &name);
        subject.target = TargetRef { name: name.as_str().into(), ..target() };
        let target = subject.target.clone();
        let mut inputs = vec![
            Input::Object(Change::Target(target, Ok(world.seen()))),
            Input::Object(Change::Set(subject.into(), Checkpoint::default())),
        ];
        while let Some(input) = inputs.pop() {
            world.engine.handle(world.now(), input, &mut out);
            for command in out.drain(..) {
                match command {
                    Command::Open(call, ..) => inputs.push(Input::Opened(call, Ok(Some(EndpointId(1))))),
                    Command::Read(call, index, ..) => inputs.push(Input::Read(call, Ok(readings(index, 40)))),
                    Command::Store(call, ..) => inputs.push(Input::Stored(call, Ok(()))),
                    Command::Apply(call, ..) => calls.push(call),
                    _ => {}
                }
            }
        }
    }
    assert_eq!(calls.len(), 32, "as many writes as may run at once");
    world.engine.handle(world.now(), Input::Tenure(Tenure::Standby), &mut out);
    out.clear();
    world.engine.handle(world.now(), Input::Applied(calls[0], Ok(Version("2".into()))), &mut out);
    let sent = |command: &Command| matches!(command, Command::Apply(..) | Command::Store(..));
    assert!(!out.iter().any(sent), "{out:?}");
}
