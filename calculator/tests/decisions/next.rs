//! `next` is the first moment at which time alone changes the result: nothing changes before it.

use proptest::prelude::*;
use tidegate_calculator::decision::{Decision, Limit};
use tidegate_calculator::time::{Span, Tick};

use crate::random::{settling_moves, world};

/// What must not change before `next`.
fn result(decision: &Decision) -> (Option<u32>, u32, Limit, bool, bool, Option<Tick>) {
    let Decision { write, desired, limited_by, lowers_by_metrics, active, fresh_after, .. } = decision;
    (*write, *desired, *limited_by, *lowers_by_metrics, *active, *fresh_after)
}

proptest! {
    #![proptest_config(crate::cases(1_000))]

    #[test]
    fn nothing_changes_before_next(
        mut world in world(), moves in settling_moves(30), probes in prop::collection::vec(1_i64..60_000, 6),
    ) {
        let mut now = Tick(0);
        let mut steps = moves.into_iter();
        let mut due = None;
        loop {
            // Passes come at the moves, and at `next` when that comes first.
            if let Some(next) = due.take() {
                now = next;
            } else {
                let Some(step) = steps.next() else { break };
                now = now + Span(step.gap);
                world.happens(step.happening, now);
                if step.writes {
                    world.act(now);
                }
            }
            let decision = world.pass(now);
            // A gap of more than 60 s is not foreseen.
            let end = decision.next.map_or(now + Span(60_000), |next| (next - Span(1)).min(now + Span(60_000)));
            for probe in probes.iter().map(|probe| now + Span(*probe)).chain([now, now.next(), end]).filter(|at| *at <= end) {
                prop_assert_eq!(result(&world.look(probe)), result(&decision), "at {:?} after {:?}: {:?}", probe, now, decision);
            }
            due = decision.next.filter(|next| *next <= now + Span(15_000));
        }
    }

    /// Of a single limiting stage, `next` is exact: at that moment the result does change.
    #[test]
    fn something_changes_at_next(mut world in world(), moves in settling_moves(20)) {
        world.policy.paused_scale_in = false;
        world.policy.paused_scale_out = false;
        world.policy.consent = tidegate_calculator::policy::Consent::Full;
        let mut now = Tick(0);
        for step in moves {
            now = now + Span(step.gap);
            world.happens(step.happening, now);
            let decision = if step.writes { world.act(now) } else { world.pass(now) };
            let Some(next) = decision.next.filter(|next| *next <= now + Span(60_000) && decision.write.is_none()) else { continue };
            let alone = decision.steps.iter().filter(|step| is_timed(step)).count() == 1;
            // Of many expiries that change nothing, every second costs a pass.
            let events = world.memory.ups.iter().chain(world.memory.downs.iter()).count();
            let policies = world.policy.behavior.as_ref().map_or(0, |both| both.up.policies.len().max(both.down.policies.len()));
            let few = events * policies <= 2;
            if alone && few && decision.limited_by != Limit::FailedTrigger {
                let then = world.look(next);
                prop_assert!(decision.steps != then.steps, "at {next:?}: {decision:?}");
            }
        }
    }
}

fn is_timed(step: &tidegate_calculator::decision::Step) -> bool {
    use tidegate_calculator::decision::Step;
    matches!(
        step,
        Step::Stabilized { .. }
            | Step::Rate { .. }
            | Step::LegacyLimit { .. }
            | Step::Cooldown { .. }
            | Step::Settling { .. }
            | Step::Proposal { waits: Some(_), .. }
    )
}
