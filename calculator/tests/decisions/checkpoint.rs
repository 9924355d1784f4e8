//! The checkpoint: its text, and that a memory read back is never less careful than the one that went on.

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate_calculator::decision::{Decision, Step};
use tidegate_calculator::memory::Memory;
use tidegate_calculator::memory::checkpoint::{Checkpoint, CheckpointError};
use tidegate_calculator::memory::failing::First;
use tidegate_calculator::policy::{Fallback, FallbackBehavior, Policy};
use tidegate_calculator::time::{Now, Span, Tick};

use tidegate_calculator::rules::{Block, Change};

use crate::random::{Happening, settling_moves, world};
use crate::ruled::{below, gate, held};
use crate::world::{World, at};

const START: i64 = 1_767_225_600_000;

/// A process that started `age` before: its ticks count from its own start, the wall clock from the same moment for all.
pub(crate) fn now_of(process: i64, tick: Tick) -> Now {
    Now { tick, wall: Timestamp::from_millisecond(START + process + tick.0).unwrap() }
}

pub(crate) fn now(tick: Tick) -> Now {
    now_of(0, tick)
}

fn policy() -> Policy {
    Policy::with_defaults("redis")
}

fn restore(text: &str, replicas: u32, tick: Tick) -> Result<Memory, CheckpointError> {
    Checkpoint(text.to_owned()).restore(&policy(), replicas, now(tick))
}

const GOLDEN: &str = include_str!("../golden/checkpoint-v1.json");

/// What the golden file of version 1 holds, 100 s after the start of 2026.
fn golden() -> Memory {
    let mut memory = Memory { last_active: Some(at(5)), ..Memory::default() };
    let policy = policy();
    memory.scaled(&policy, 0, 8, at(10));
    memory.recommendations.record(at(10), 8);
    memory.scaled(&policy, 8, 6, at(90));
    memory.recommendations.record(at(90), 6);
    memory
}

#[test]
fn the_golden_file_of_version_1_still_loads() {
    let memory = golden();
    assert_eq!(Checkpoint::of(&memory, now(at(100))).0, GOLDEN.trim());
    let mut expected = memory;
    expected.recommendations.hold(at(100), 6);
    let restored = restore(GOLDEN, 6, at(100)).unwrap();
    assert_eq!(restored.recommendations.newest(), None);
    let highest = |memory: &Memory| {
        use tidegate_calculator::memory::recommendations::Edge::Inclusive;
        memory.recommendations.highest(Span::seconds(300), Inclusive, at(100))
    };
    assert_eq!(highest(&restored), highest(&expected));
    assert_eq!((&restored.ups, &restored.downs, &restored.counts), (&expected.ups, &expected.downs, &expected.counts));
    assert_eq!((restored.last_active, restored.active), (Some(at(10)), false));
    assert_eq!((restored.last_write, restored.replicas), (Some(at(90)), Some(6)));
}

const FAILING: &str = include_str!("../golden/checkpoint-v1-failing.json");

#[test]
fn the_golden_file_with_failing_triggers_still_loads() {
    let mut policy = policy();
    policy.fallback = Some(Fallback { threshold: 3, replicas: 5, behavior: FallbackBehavior::Static });
    let restored = Checkpoint(FAILING.to_owned()).restore(&policy, 5, now(at(100))).unwrap();
    let failing: Vec<_> = restored.failing.iter().map(|first| (first.trigger, first.since, first.acting)).collect();
    assert_eq!(failing, [(0, at(10), true), (2, at(85), false)], "90 s and 15 s, counted back from now");
    assert!(Checkpoint::of(&restored, now(at(100))).0.contains(r#""f":[[90000,0],[15000,2]]"#));
    assert_eq!((restored.active, restored.replicas), (true, Some(5)));
    let malformed = r#"{"v":1,"f":[[-5,1],[10,999]]}"#;
    let restored = Checkpoint(malformed.to_owned()).restore(&policy, 5, now(at(100))).unwrap();
    assert_eq!(restored.failing.iter().map(|first| first.since).collect::<Vec<_>>(), [at(100)]);
}

#[test]
fn a_typical_text_is_short_and_an_active_one_has_no_activity_time() {
    let mut world = World::new(0, 5, &[40]);
    world.act(at(1));
    let text = Checkpoint::of(&world.memory, now(at(1))).0;
    assert!(text.len() <= 200, "{} bytes: {text}", text.len());
    assert!(text.contains("\"a\":true") && !text.contains("\"t\":"), "{text}");
    // While it stays active nothing of it has to be written anew.
    let mut later = world.memory.clone();
    later.last_active = Some(at(500));
    assert_eq!(Checkpoint::of(&later, now(at(1))).0, text);
    assert_eq!(
        restore(&text, 8, at(900)).unwrap().last_active,
        Some(at(900)),
        "active is taken to last until the text is read"
    );
}

#[test]
fn flips_and_writes_are_what_is_worth_storing() {
    let mut world = World::new(0, 5, &[40]);
    let decision = world.look(at(1));
    assert!(world.memory.flips(&decision.effects));
    world.act(at(1));
    assert!(!world.memory.flips(&world.look(at(2)).effects));
    world.reads(0, 0, at(3));
    assert!(world.memory.flips(&world.look(at(3)).effects));
    world.policy.pause = tidegate_calculator::policy::Pause::Plain;
    assert!(!world.memory.flips(&world.look(at(3)).effects), "a paused pass does not look");
}

#[test]
fn an_empty_text_is_a_fresh_memory_that_holds_what_is_there() {
    let memory = restore("", 5, at(7)).unwrap();
    assert_eq!((memory.last_active, memory.last_write, memory.replicas), (None, None, Some(5)));
    let mut world = World::new(5, 100, &[100]);
    world.memory = memory;
    assert_eq!(world.outcome(at(8)).0, 5);
}

#[test]
fn what_is_not_a_checkpoint_is_refused() {
    for text in [
        "{",
        "[]",
        "null",
        "{}",
        r#"{"v":"1"}"#,
        r#"{"v":1,"p":[[1]]}"#,
        r#"{"v":1,"n":-1}"#,
        r#"{"v":1,"w":9223372036854775807}"#,
    ] {
        let error = restore(text, 1, at(0)).unwrap_err();
        assert_eq!(error.reason(), "CheckpointMalformed", "{text}: {error}");
    }
    let newer = restore(r#"{"v":2,"n":"another form"}"#, 1, at(0)).unwrap_err();
    assert_eq!(
        (newer.reason(), newer.to_string().as_str()),
        ("CheckpointVersion", "the checkpoint has version 2; versions up to 1 are known")
    );
    assert!(
        restore(r#"{"v":1,"later":[1,2]}"#, 1, at(0)).is_ok(),
        "an unknown field is from a later build of the same version"
    );
}

#[test]
fn a_difference_in_replicas_is_our_write_at_that_moment() {
    let text = Checkpoint::of(&golden(), now(at(100))).0;
    let up = restore(&text, 9, at(120)).unwrap();
    assert_eq!((up.last_write, up.replicas, up.ups.sum(Span::seconds(60), at(120))), (Some(at(120)), Some(9), 3));
    let down = restore(&text, 2, at(120)).unwrap();
    assert_eq!((down.last_write, down.downs.sum(Span::seconds(60), at(120))), (Some(at(120)), 4 + 2));
    assert_eq!(restore(&text, 6, at(120)).unwrap().last_write, Some(at(90)));
    // Upward from zero it is activity too, downward to zero it clears the history.
    let zero = r#"{"v":1,"n":0}"#;
    assert_eq!(restore(zero, 4, at(50)).unwrap().last_active, Some(at(50)));
    let entered = restore(&text, 0, at(120)).unwrap();
    assert!(entered.ups.iter().next().is_none() && entered.downs.iter().next().is_none());
}

#[test]
fn the_future_is_now() {
    let text =
        format!(r#"{{"v":1,"n":3,"t":{},"w":{},"u":[[{},2]]}}"#, START + 999_000, START + 999_000, START + 999_000);
    let memory = restore(&text, 3, at(10)).unwrap();
    assert_eq!((memory.last_active, memory.last_write), (Some(at(10)), Some(at(10))));
    assert_eq!(memory.ups.iter().next().map(|event| event.at), Some(at(10)));
}

#[test]
fn a_load_holds_the_present_count_for_one_window() {
    let mut world = World::new(8, 100, &[100]);
    world.memory = restore(r#"{"v":1,"n":8}"#, 8, at(0)).unwrap();
    world.fails(0, at(0));
    world.pass(at(1));
    assert_eq!(world.memory.recommendations.newest_at_least(8).map(|entry| entry.at), Some(at(0)));
}

#[test]
fn many_peaks_become_few_that_hold_more_for_longer() {
    let mut memory = Memory::default();
    for step in 0..30_u32 {
        memory.recommendations.record(at(i64::from(step) * 10), 100 - step);
    }
    let text = Checkpoint::of(&memory, now(at(300))).0;
    let restored = restore(&text, 1, at(300)).unwrap();
    for window in (1..31).map(|n| Span::seconds(n * 10)) {
        use tidegate_calculator::memory::recommendations::Edge::{Exclusive, Inclusive};
        for edge in [Exclusive, Inclusive] {
            let count =
                |memory: &Memory| memory.recommendations.highest(window, edge, at(300)).map(|entry| entry.replicas);
            assert!(count(&restored) >= count(&memory), "{window:?} {edge:?}");
        }
    }
    assert_eq!(text.matches("],[").count(), 8 - 1, "eight peaks and one low: {text}");
}

#[test]
fn the_nearest_peaks_are_merged_first() {
    let mut memory = Memory::default();
    for (index, second) in [0, 100, 200, 230, 300, 400, 500, 600, 700].into_iter().enumerate() {
        memory.recommendations.record(at(second), 50 - u32::try_from(index).unwrap());
    }
    let text = Checkpoint::of(&memory, now(at(700))).0;
    // 48 at 200 s and 47 at 230 s become 48 at 230 s.
    let merged = format!("[{},49],[{},48],[{},46]", START + 100_000, START + 230_000, START + 300_000);
    assert!(text.contains(&merged), "{text}");
}

#[test]
fn an_entry_is_stored_as_long_as_any_rule_may_ask_for_it() {
    let stored = |late: Tick| {
        let text = Checkpoint::of(&golden(), now(late)).0;
        ["\"p\"", "\"l\"", "\"d\"", "\"c\":[["].map(|part| text.contains(part))
    };
    // A window of 3600 s counts its own age, a period of 1800 s does not; the last count stays.
    assert_eq!(stored(Tick(90_000 + 1_799_999)), [true, true, true, true]);
    assert_eq!(stored(at(90 + 1_800)), [true, true, false, true]);
    assert_eq!(stored(at(90 + 3_600)), [true, true, false, true]);
    assert_eq!(stored(Tick(90_000 + 3_600_001)), [false, false, false, true]);
    let counts = |late: Tick| {
        Checkpoint::of(&golden(), now(late)).0.split("\"c\":").nth(1).map(|part| part.matches(',').count())
    };
    assert_eq!((counts(Tick(90_000 + 1_799_999)), counts(at(90 + 1_800))), (Some(3), Some(1)));
}

#[test]
fn what_can_matter_no_more_is_not_stored() {
    let mut memory = golden();
    memory.active = true;
    let late = at(90 + 3_601);
    assert_eq!(
        Checkpoint::of(&memory, now(late)).0,
        format!(r#"{{"v":1,"n":6,"a":true,"w":{},"c":[[{},6]]}}"#, START + 90_000, START + 90_000)
    );
}

proptest! {
    #![proptest_config(crate::cases(500))]

    #[test]
    fn a_text_is_never_longer_than_the_longest(
        changes in prop::collection::vec((0_i64..30_000, any::<u32>(), any::<u32>(), any::<bool>()), 0..400), wall in any::<u32>(),
    ) {
        let (mut memory, mut tick) = (Memory::default(), Tick(0));
        for (gap, from, to, record) in changes {
            tick = tick + Span(gap);
            if record {
                memory.recommendations.record(tick, to);
            } else {
                memory.scaled(&policy(), from | 1, to | 2, tick);
            }
        }
        let wall = Timestamp::from_second(i64::from(wall) * 58).unwrap();
        let text = Checkpoint::of(&memory, Now { tick, wall });
        prop_assert!(text.0.len() <= Checkpoint::LONGEST, "{}", text.0.len());
        let restored = text.restore(&policy(), memory.replicas.unwrap_or(0), Now { tick, wall });
        prop_assert!(restored.is_ok());
    }
}

/// The longest text there can be: every list full of the longest numbers.
#[test]
fn full_lists_of_long_numbers_fit() {
    let mut memory = Memory { last_active: Some(Tick(0)), ..Memory::default() };
    let policy = policy();
    for trigger in 0..=u8::MAX {
        let since = Tick(-370_000_000_000_000);
        memory.failing.push(First { trigger, since, seen: Tick(0), acting: true });
    }
    for step in 0..200_u32 {
        let tick = Tick(i64::from(step));
        memory.recommendations.record(tick, u32::MAX - step);
        memory.scaled(&policy, u32::MAX - 2 * step, 1 + step, tick);
        memory.scaled(&policy, 1 + step, u32::MAX - 2 * step, tick);
    }
    let wall = Timestamp::from_millisecond(-370_000_000_000_000).unwrap();
    let text = Checkpoint::of(&memory, Now { tick: Tick(200), wall }).0;
    assert!((3_000..=Checkpoint::LONGEST).contains(&text.len()), "{}", text.len());
    // And with more rules and gates than anybody has, all of them with a timer that is stored.
    let mut world = World::new(5, 100, &[10; 100]);
    for trigger in 0..100 {
        world.rules(trigger).steps = vec![held(below(20), Change::Remove(1), 60); 3];
        world.policy.rules.gates.push(gate(u8::try_from(trigger).unwrap(), below(20), Block::Both));
    }
    for second in [0, 30, 60] {
        world.step(&[10; 100], at(second));
    }
    memory.rules = world.memory.rules;
    let text = Checkpoint::of(&memory, Now { tick: Tick(60_000), wall }).0;
    assert!((7_000..=Checkpoint::LONGEST).contains(&text.len()), "{}", text.len());
}

/// A pass whose write happens when `writes`; the text is renewed after a write and after a flip, as an engine does it.
fn pass(world: &mut World, writes: bool, tick: Tick, text: &mut Checkpoint) -> Decision {
    let flips = world.memory.flips(&world.look(tick).effects);
    let decision = if writes { world.act(tick) } else { world.pass(tick) };
    if flips || (writes && decision.write.is_some()) {
        *text = Checkpoint::of(&world.memory, now(tick));
    }
    decision
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    /// One memory goes on over a gap, another is read back from the text of the last write or flip. From then on both are fed the
    /// same: the one read back never wants fewer replicas, and the same again after one window, or cooldown, and the gap.
    #[test]
    fn read_back_is_never_less_careful(
        mut world in world(), before in settling_moves(40), after in settling_moves(80), gap in 0_i64..200_000,
    ) {
        // How long a fallback has waited is stored at flips only: it may begin later. Its own timelines show that.
        world.policy.fallback = None;
        let (mut tick, mut text) = (Tick(0), Checkpoint::default());
        for step in before {
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Foreign(_)) {
                world.happens(step.happening, tick);
            }
            pass(&mut world, step.writes, tick, &mut text);
        }
        let (stopped, loaded) = (tick, tick + Span(gap));
        let mut back = text.restore(&world.policy, world.target.replicas, now(loaded)).unwrap();
        let windows = world.policy.behavior.as_ref().map_or(Span::ZERO, |b| b.up.window.max(b.down.window));
        let longest = windows.max(world.policy.settings.downscale_window).max(world.policy.cooldown);
        let same = loaded + longest + (loaded - stopped) + Span(60_000);
        tick = loaded;
        for step in after {
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Foreign(_)) {
                world.happens(step.happening, tick);
            }
            let mut other = world.clone();
            other.memory = back;
            let (here, there) = (world.pass(tick), other.pass(tick));
            back = other.memory;
            prop_assert!(there.desired >= here.desired, "at {:?}: {:?}\nbut live {:?}", tick, there, here);
            // A reading from before the later of the two cooldown ends lets only the other one enter; an engine would read again.
            if tick > same && !there.steps.contains(&Step::Awaiting) {
                prop_assert_eq!(there.desired, here.desired, "at {:?}: {:?}\nbut live {:?}", tick, there, here);
            }
            if let Some(write) = here.write.filter(|_| step.writes) {
                let from = world.target.replicas;
                for memory in [&mut world.memory, &mut back] {
                    memory.scaled(&world.policy, from, write, tick);
                }
                world.replicas(write);
            }
        }
    }

    /// Ticks start anew in a new process; the wall clock carries the times over.
    #[test]
    fn ticks_of_another_process_are_carried_over(ticks in prop::collection::vec(0_i64..50_000, 1..9), down in 0_i64..90_000) {
        let mut memory = Memory::default();
        let mut tick = Tick(0);
        for gap in ticks {
            tick = tick + Span(gap);
            memory.scaled(&policy(), 3, 5, tick);
        }
        let text = Checkpoint::of(&memory, now(tick));
        // Started when the other had been down for a while: its tick 0 is that moment.
        let restored = text.restore(&policy(), 5, now_of(tick.0 + down, Tick(0))).unwrap();
        prop_assert_eq!(restored.last_write, Some(Tick(-down)));
    }
}
