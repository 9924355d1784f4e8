//! Stage 6: one count from all proposals, with the HPA's failure rule (hpa-algorithm §7).

/// The largest proposal, unless a trigger failed and it would lower: a failed trigger may have wanted more.
///
/// None is a total failure: nothing is recorded and nothing written. Proposals that stay or raise pass even while others fail.
pub(super) fn combine(best: Option<u32>, failed: u8, current: u32) -> Option<u32> {
    best.filter(|best| failed == 0 || *best >= current)
}
