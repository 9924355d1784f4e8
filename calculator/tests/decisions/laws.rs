//! What holds for every policy and every history: rate policies over every period, also across restarts; the same twice; more for more.

use proptest::prelude::*;
use tidegate_calculator::behavior::{Behavior, RatePolicy, Rules, Select, Unit};
use tidegate_calculator::memory::checkpoint::Checkpoint;
use tidegate_calculator::time::{Span, Tick};

use crate::checkpoint::now_of;
use crate::random::{Happening, moves, world};
use crate::world::World;

/// How many replicas there were, from when on; oldest first.
type Counts = [(Tick, u32)];

/// What was there one period before `now`; what was written exactly then is part of it.
fn before(counts: &Counts, period: Span, now: Tick) -> u32 {
    counts.iter().rfind(|(at, _)| *at <= now - period).or(counts.first()).map_or(0, |(_, replicas)| *replicas)
}

/// Whether `behavior` lets a change from `from` to `to` happen at `now`, after these counts.
pub(crate) fn allowed(behavior: &Behavior, counts: &Counts, from: u32, to: u32, now: Tick) -> bool {
    if to > from {
        f64::from(to) <= limit(&behavior.up, counts, true, now).unwrap_or(f64::from(from)).max(f64::from(from))
    } else {
        f64::from(to) >= limit(&behavior.down, counts, false, now).unwrap_or(f64::from(from)).min(f64::from(from))
    }
}

fn limit(rules: &Rules, counts: &Counts, up: bool, now: Tick) -> Option<f64> {
    let of = |policy: &RatePolicy| {
        let (start, value) = (f64::from(before(counts, policy.period, now)), f64::from(policy.value));
        match (policy.unit, up) {
            (Unit::Pods, true) => start + value,
            (Unit::Pods, false) => start - value,
            (Unit::Percent, true) => (start * (1.0 + value / 100.0)).ceil(),
            (Unit::Percent, false) => (start * (1.0 - value / 100.0)).trunc(),
        }
    };
    let limits = rules.policies.iter().map(of);
    match (rules.select, up) {
        (Select::Disabled, _) => None,
        (Select::Max, true) | (Select::Min, false) => limits.reduce(f64::max),
        (Select::Min, true) | (Select::Max, false) => limits.reduce(f64::min),
    }
}

/// Ends the process and starts another one after `down`: ticks begin anew, the memory comes from the text.
fn restart(world: &mut World, text: &Checkpoint, ended: (i64, Tick), down: i64) -> (i64, Tick) {
    let process = ended.0 + ended.1.0 + down;
    let shift = Span(ended.1.0 + down);
    world.memory = text.restore(&world.policy, world.target.replicas, now_of(process, Tick(0))).unwrap();
    world.created = world.created - shift;
    for trigger in 0..world.triggers.len() {
        world.reads(trigger, 0, Tick(0));
    }
    (process, Tick(0))
}

proptest! {
    #![proptest_config(crate::cases(1_500))]

    /// The counts are kept outside, in wall time, over any number of processes. Zero is out of it: entering it forgets on purpose.
    #[test]
    fn policies_hold_over_every_period_also_across_restarts(
        mut world in world(), moves in moves(60), restarts in prop::collection::vec((0_usize..60, 0_i64..30_000), 0..4),
    ) {
        world.policy.min = world.policy.min.max(1);
        world.policy.idle = None;
        let start = world.target.replicas.max(1);
        world.replicas(start);
        let (mut process, mut tick, mut text) = (0, Tick(0), Checkpoint::default());
        let mut counts = vec![(Tick(i64::MIN / 2), start)];
        for (index, step) in moves.into_iter().enumerate() {
            for (_, down) in restarts.iter().filter(|(at, _)| *at == index) {
                (process, tick) = restart(&mut world, &text, (process, tick), *down);
            }
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Foreign(_)) {
                world.happens(step.happening, tick);
            }
            let (from, wall) = (world.target.replicas, Tick(process + tick.0));
            let decision = if step.writes { world.act(tick) } else { world.pass(tick) };
            let to = world.target.replicas;
            if to == from {
                continue;
            }
            text = Checkpoint::of(&world.memory, now_of(process, tick));
            // A count outside of its bounds, or at zero, moves at once, whatever the policies say.
            let inside = (world.policy.floor()..=world.policy.max).contains(&from);
            if let Some(behavior) = world.policy.behavior.as_ref().filter(|_| inside) {
                prop_assert!(allowed(behavior, &counts, from, to, wall), "{from} -> {to} at {wall:?} after {counts:?}: {decision:?}");
            } else if inside && to > from {
                let period = world.policy.settings.sync_period;
                let lately = counts.iter().enumerate().filter(|(index, _)| {
                    counts.get(index + 1).is_none_or(|(end, _)| *end > wall - period)
                });
                let lowest = lately.map(|(_, (_, n))| (*n).max(world.policy.floor())).min().unwrap_or(from);
                prop_assert!(to <= (2 * lowest).max(4).max(from), "{from} -> {to} at {wall:?} after {counts:?}");
            }
            counts.push((wall, to));
        }
    }

    #[test]
    fn the_same_history_gives_the_same_decisions(world in world(), moves in moves(40)) {
        let run = |mut world: World| {
            let (mut tick, mut decisions) = (Tick(0), Vec::new());
            for step in &moves {
                tick = tick + Span(step.gap);
                world.happens(step.happening, tick);
                decisions.push(if step.writes { world.act(tick) } else { world.pass(tick) });
            }
            (decisions, world.memory)
        };
        prop_assert_eq!(run(world.clone()), run(world));
    }

    /// Everything else equal. A Value metric is the exception that the HPA's formula makes: its present count and its Ready pods must be
    /// the same, or what is within the tolerance proposes another number than what is just outside of it.
    #[test]
    fn more_load_never_gives_fewer(mut world in world(), moves in moves(40), more in (0_i64..100, 0_i64..100)) {
        let mut tick = Tick(0);
        for step in moves {
            tick = tick + Span(step.gap);
            if !matches!(step.happening, Happening::Pods { .. }) {
                world.happens(step.happening, tick);
            }
            let mut other = world.clone();
            for (trigger, more) in [(0, more.0), (1, more.1)] {
                other.raise(trigger, more);
            }
            let (less, more) = (world.look(tick), other.look(tick));
            prop_assert!(more.desired >= less.desired, "{:?}\nbut with more load {:?}", less, more);
            if step.writes {
                world.act(tick);
            } else {
                world.pass(tick);
            }
        }
    }
}
