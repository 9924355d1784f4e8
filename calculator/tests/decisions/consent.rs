//! A policy that is missing or invalid: the object is raised and never lowered.

use tidegate_calculator::decision::{Limit, Step, Veto};
use tidegate_calculator::policy::Consent;

use crate::world::{World, at};

/// 20 replicas of at most 10, then 5 of which 1 is wanted: neither is lowered. 10 wanted of 5: raised.
#[test]
fn nothing_is_lowered_and_everything_is_raised() {
    let cases = [
        (Consent::PolicyMissing, Veto::PolicyMissing, Limit::PolicyMissing, "a missing policy"),
        (Consent::PolicyInvalid, Veto::PolicyInvalid, Limit::PolicyInvalid, "an invalid policy"),
    ];
    for (consent, veto, limit, words) in cases {
        let mut world = World::new(20, 5, &[1_000]);
        world.policy.max = 10;
        world.policy.consent = consent;
        let above = world.look(at(1));
        assert_eq!((above.write, above.limited_by), (None, limit));
        assert!(above.steps.contains(&Step::Vetoed { by: veto, wanted: 10 }));
        let why = tidegate_calculator::explain::why(
            &world.policy,
            &[],
            &above,
            tidegate_calculator::time::Now { tick: at(1), wall: jiff::Timestamp::UNIX_EPOCH },
        );
        assert!(why.contains(words), "{why}");
        let mut world = World::new(5, 5, &[50]);
        world.policy.consent = consent;
        assert_eq!(world.look(at(1)).write, Some(10));
    }
}
