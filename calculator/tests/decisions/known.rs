//! The behaviours that users know from the HPA, each as a timeline with its arithmetic.
//!
//! Every one runs twice: `decide`, whose passes come every 15 s and whenever it asks for one earlier, and `hpa::reconcile` every 15 s.
//! Both give the same counts at the same seconds.

use tidegate_calculator::behavior::{Behavior, GivenRules, Select};
use tidegate_calculator::memory::Memory;
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::time::{Span, Tick};

use crate::autoscaler::beside;
use crate::checkpoint::now;
use crate::world::{World, at, behavior, free, percent, pods, rules};

const SYNC: Span = Span::seconds(15);
/// Items a replica.
const EACH: i64 = 10;

/// What is wanted from when on, in replicas.
type Wanted<'a> = &'a [(i64, i64)];

fn wanted_at(wanted: Wanted<'_>, tick: Tick) -> i64 {
    wanted.iter().rfind(|(from, _)| at(*from) <= tick).map_or(0, |(_, replicas)| *replicas)
}

fn start(replicas: u32, behavior: Option<Behavior>) -> World {
    let mut world = World::new(replicas, EACH, &[0]);
    world.policy.min = 1;
    world.policy.max = 1_000;
    world.policy.behavior = behavior;
    world
}

/// The counts that `decide` writes, in seconds; passes come every 15 s and at `next`.
fn decided(mut world: World, wanted: Wanted<'_>, end: i64) -> Vec<(i64, u32)> {
    let (mut counts, mut tick, mut sync) = (Vec::new(), at(0), at(0) + SYNC);
    while tick <= at(end) {
        let decision = world.step(&[wanted_at(wanted, tick) * EACH], tick);
        counts.extend(decision.write.map(|replicas| (tick.0 / 1_000, replicas)));
        // After a write the limits stand differently.
        let next = if decision.write.is_some() { world.look(tick).next } else { decision.next };
        tick = next.map_or(sync, |next| next.min(sync));
        if tick == sync {
            sync = sync + SYNC;
        }
    }
    counts
}

/// The counts that an HPA writes.
fn reconciled(world: &World, wanted: Wanted<'_>, end: i64) -> Vec<(i64, u32)> {
    let policy = &world.policy;
    let mut it = beside(world.target.replicas, policy.max, EACH, policy.behavior.clone());
    let (mut counts, mut tick) = (Vec::new(), at(0));
    while tick <= at(end) {
        if it.pass(&[Some(wanted_at(wanted, tick) * EACH)], tick).scaled {
            counts.push((tick.0 / 1_000, u32::try_from(it.replicas).unwrap()));
        }
        tick = tick + SYNC;
    }
    counts
}

/// Both give these counts, and a memory that is read back at any of the passes never wants fewer.
fn timeline(world: &World, wanted: Wanted<'_>, end: i64, counts: &[(i64, u32)]) {
    assert_eq!(decided(world.clone(), wanted, end), counts, "decide");
    assert_eq!(reconciled(world, wanted, end), counts, "hpa::reconcile");
    read_back_anywhere(world, wanted, end);
}

/// At every pass the memory is also read back from what was stored at the last write or flip. From then on both see and take up the
/// same, and the one read back never wants fewer.
fn read_back_anywhere(world: &World, wanted: Wanted<'_>, end: i64) {
    let passes = i64::min(end / 15, 90);
    for stop in 0..passes {
        let (mut live, mut back, mut text) = (world.clone(), None::<Memory>, Checkpoint::default());
        for tick in (0..=passes).map(|pass| at(pass * 15)) {
            live.reads(0, wanted_at(wanted, tick) * EACH, tick);
            let there = back.take().map(|memory| {
                let mut other = World { memory, ..live.clone() };
                let desired = other.pass(tick).desired;
                back = Some(other.memory);
                desired
            });
            let flips = live.memory.flips(&live.look(tick).effects);
            let (from, here) = (live.target.replicas, live.act(tick));
            assert!(
                there.is_none_or(|there| there >= here.desired),
                "read back at {} s: {there:?} at {tick:?}, live {here:?}",
                stop * 15
            );
            if let (Some(memory), Some(write)) = (&mut back, here.write) {
                memory.scaled(&live.policy, from, write, tick);
            }
            if flips || here.write.is_some() {
                text = Checkpoint::of(&live.memory, now(tick));
            }
            if tick == at(stop * 15) {
                back = Some(text.restore(&live.policy, live.target.replicas, now(tick)).unwrap());
            }
        }
    }
}

fn up(window: i64, policy: tidegate_calculator::behavior::RatePolicy) -> GivenRules {
    rules(window, Select::Max, vec![policy])
}

#[test]
fn as_fast_as_possible_900_percent_in_15_seconds() {
    // 1 * (1 + 9) = 10, 10 * 10 = 100, 100 * 10 = 1000: one step every 15 s.
    let world = start(1, behavior(up(0, percent(900, 15)), GivenRules::default()));
    timeline(&world, &[(0, 1_000)], 120, &[(0, 10), (15, 100), (30, 1_000)]);
}

#[test]
fn one_pod_in_ten_minutes_down() {
    // 10 - 1 = 9 at once (no window), then one each time the last removal is 600 s old.
    let world = start(10, behavior(free(), up(0, pods(1, 600))));
    timeline(&world, &[(0, 6)], 3_000, &[(0, 9), (600, 8), (1_200, 7), (1_800, 6)]);
}

#[test]
fn slow_up_one_pod_in_ten_minutes_and_down_as_usual() {
    // 2 + 1 = 3, then one every 600 s. At 1,500 s one is enough: the last recommendation of 50 was at 1,485 s, and leaves the window
    // of 300 s at 1,785 s. Down by default: 100 % in 15 s.
    let world = start(2, behavior(up(0, pods(1, 600)), GivenRules::default()));
    timeline(&world, &[(0, 50), (1_500, 1)], 2_000, &[(0, 3), (600, 4), (1_200, 5), (1_785, 1)]);
}

#[test]
fn never_down() {
    // Up by default: max(2 * 5, 5 + 4) = 10, max(20, 14) = 20. Down is Disabled for ever.
    let world = start(5, behavior(GivenRules::default(), rules(0, Select::Disabled, vec![percent(100, 15)])));
    timeline(&world, &[(0, 20), (60, 1)], 4_000, &[(0, 10), (15, 20)]);
}

#[test]
fn down_window_of_600_seconds_with_5_pods_in_600_seconds() {
    // 20 are recommended until 45 s; that leaves the window at 645 s. Then 20 - 5 = 15, and 5 more every 600 s: 10, 5, and 3 at last.
    let world = start(20, behavior(GivenRules::default(), up(600, pods(5, 600))));
    timeline(&world, &[(0, 20), (60, 3)], 3_000, &[(645, 15), (1_245, 10), (1_845, 5), (2_445, 3)]);
}

#[test]
fn up_window_of_300_seconds_with_20_pods_in_60_seconds() {
    // 10 are recommended until 45 s; that leaves the window at 345 s. Then 10 + 20 = 30, and 20 more every 60 s.
    let world = start(10, behavior(up(300, pods(20, 60)), GivenRules::default()));
    let raised = [(345, 30), (405, 50), (465, 70), (525, 90), (585, 100)];
    timeline(&world, &[(0, 10), (60, 100)], 1_000, &raised);
    // A peak of 285 s is no reason: 10 were recommended at 45 s and again at 345 s.
    timeline(&world, &[(0, 10), (60, 100), (345, 10)], 1_000, &[]);
}

#[test]
fn four_pods_in_15_seconds_from_10_to_100_take_330_seconds() {
    // 90 / 4 = 22.5: 23 steps, the first at 0 and the last at 22 * 15 s = 330 s.
    // More than 100 are wanted: at 94 an exact 100 would be within the tolerance (100 / 94 = 1.06), and nothing would change.
    let mut world = start(10, behavior(up(0, pods(4, 15)), GivenRules::default()));
    world.policy.max = 100;
    let steps: Vec<(i64, u32)> = (0..23_u32).map(|step| (i64::from(step) * 15, (14 + 4 * step).min(100))).collect();
    assert_eq!(steps.last(), Some(&(330, 100)));
    timeline(&world, &[(0, 200)], 600, &steps);
}

#[test]
fn without_behavior_up_doubles_and_down_waits_300_seconds() {
    // max(2 * 1, 4) = 4, then 8, 16, 20. 20 are recommended until 105 s. Here `decide` waits until the age is more than 300 s, the HPA
    // takes an age equal to the window for over: 405 s, and the first pass after it for `decide`, one millisecond later.
    let world = start(1, None);
    let (wanted, up) = ([(0, 20), (120, 5)], [(0, 4), (15, 8), (30, 16), (45, 20)]);
    let with = |last: (i64, u32)| [up.as_slice(), &[last]].concat();
    assert_eq!(reconciled(&world, &wanted, 600), with((405, 5)));
    assert_eq!(decided(world, &wanted, 600), with((405, 5)), "at 405.001 s");
}
