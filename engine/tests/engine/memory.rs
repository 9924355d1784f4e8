//! What must not be forgotten, and what must not be remembered too long: activity, parameters, readings, clocks.

use jiff::SignedDuration;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::policy::{Pause, Policy};
use tidegate_calculator::source::EndpointId;
use tidegate_calculator::time::{Now, Span, Tick};
use tidegate_engine::protocol::{Change, Command, Input};

use crate::world::{World, id, policy, readings, subject, target, two_triggers};

#[test]
fn activity_that_only_a_push_has_seen_survives_a_crash() {
    let policy = Policy { polling_interval: Span::seconds(30), cooldown: Span::seconds(60), ..policy() };
    let mut world = World::empty(8);
    world.backlog.insert(0, Ok(1));
    world.set(subject(policy.clone()), Checkpoint::default());
    world.run_to(100);
    world.backlog.insert(0, Ok(0));
    world.run_to(41_000);
    let ticket = world.reads[0].1.ticket;
    world.backlog.insert(0, Ok(1));
    world.feed(Input::Woken(ticket, 0));
    world.backlog.insert(0, Ok(0));
    let stored = world.stored.last().and_then(|(_, entry)| entry.checkpoint.clone()).unwrap();
    let mut restarted = World::empty(8);
    restarted.tick = Tick(65_000);
    restarted.set(subject(policy), stored);
    restarted.run_to(180_000);
    world.run_to(180_000);
    assert!(world.applied[0].0 > 101_000 - 1, "41 s and a cooldown of 60 s: {:?}", world.applied);
    assert!(restarted.applied[0].0 >= world.applied[0].0, "{:?}", restarted.applied);
}

#[test]
fn parameters_that_change_while_a_source_is_built_are_not_missed() {
    let mut world = World::empty(2);
    let mut out = Vec::new();
    let subject = subject(Policy { min: 1, ..policy() });
    world.engine.handle(world.now(), Input::Object(Change::Set(subject.into(), Checkpoint::default())), &mut out);
    world.engine.handle(world.now(), Input::Object(Change::Target(target(), Ok(world.seen()))), &mut out);
    let Some(Command::Open(call, ..)) = out.pop() else { panic!("{out:?}") };
    world.feed(Input::Object(Change::ParametersChanged(id())));
    world.feed(Input::Opened(call, Ok(Some(EndpointId(1)))));
    assert_eq!(world.opened.len(), 1, "built once more, with what the parameters are now");
}

/// Runs a world whose reads each take 3 s until it writes.
fn with_slow_reads(world: &mut World) {
    world.backlog.remove(&0);
    let mut answered = world.reads.len();
    for at in (world.tick.0..120_000).step_by(100) {
        world.run_to(at);
        let late = |read: &&(i64, _, u8)| read.0 + 2_900 <= at;
        let due: Vec<_> = world.reads[answered..].iter().filter(late).copied().collect();
        answered += due.len();
        for (_, call, _) in due {
            world.feed(Input::Read(call, Ok(readings(0, 0))));
        }
        if !world.applied.is_empty() {
            return;
        }
    }
}

#[test]
fn a_pass_across_the_end_of_the_cooldown_is_followed_by_another_at_once() {
    for cooldown in [20, 26, 33] {
        let policy = Policy { polling_interval: Span::seconds(30), cooldown: Span::seconds(cooldown), ..policy() };
        let mut world = World::new(8, policy);
        world.backlog.insert(0, Ok(1));
        world.run_to(100);
        let last = world.reads.last().unwrap().0;
        with_slow_reads(&mut world);
        // At worst one read was begun just before the end: it is waited for, and one more read follows.
        let late = world.applied[0].0 - (last + cooldown * 1_000);
        assert!((0..=6_500).contains(&late), "{late} ms after a cooldown of {cooldown} s");
    }
}

#[test]
fn a_reading_from_before_a_pause_says_nothing_after_it() {
    let policy = two_triggers();
    let mut world = World::new(0, Policy { paused_scale_out: true, ..policy.clone() });
    world.backlog.insert(0, Ok(40));
    world.run_to(5_000);
    world.set(subject(Policy { pause: Pause::Plain, ..policy.clone() }), Checkpoint::default());
    let hours = 10 * 3_600_000;
    world.run_to(hours);
    world.backlog.remove(&0);
    world.set(subject(policy), Checkpoint::default());
    world.run_to(hours + 2_000);
    assert_eq!(world.applied, [], "40 items were there ten hours ago");
}

#[test]
fn a_jump_of_the_wall_clock_does_not_end_the_initial_cooldown() {
    let mut world = World::new(3, Policy { initial_cooldown: Span::seconds(3_600), ..policy() });
    world.run_to(60_000);
    let mut out = Vec::new();
    for tick in (60_000..70_000).step_by(10) {
        let wall = world.now().wall + SignedDuration::from_millis(3_600_000 + tick - 60_000);
        let now = Now { tick: Tick(tick), wall };
        let mut inputs = vec![Input::Tick];
        while let Some(input) = inputs.pop() {
            world.engine.handle(now, input, &mut out);
            for command in out.drain(..) {
                match command {
                    Command::Read(call, index, ..) => inputs.push(Input::Read(call, Ok(readings(index, 0)))),
                    Command::Apply(_, _, replicas, _) => panic!("scaled to {replicas} because of the clock"),
                    _ => {}
                }
            }
        }
    }
}
