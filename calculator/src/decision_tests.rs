//! The stable names of limits and healths.

use std::collections::BTreeSet;

use super::*;

#[test]
fn reasons_are_told_apart() {
    let reasons: BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.reason()).collect();
    assert_eq!(reasons.len(), Limit::ALL.len());
    assert!(reasons.contains("Metrics") && reasons.contains("FailedTrigger"));
    let healths = [Health::Good, Health::Partial, Health::Failing].map(Health::reason);
    assert_eq!(healths, ["ScaledObjectReady", "PartialTriggerError", "TriggerError"]);
}
