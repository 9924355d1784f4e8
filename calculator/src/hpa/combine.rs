//! One count from the proposals of several metrics (hpa-algorithm §7).

/// The largest proposal, unless a metric failed and it would lower: the failed one may have wanted more.
///
/// None is a total failure: nothing is recorded and nothing written. Proposals that stay or raise pass even while others fail.
pub fn combine<Count: PartialOrd + Copy>(best: Option<Count>, failed: usize, current: Count) -> Option<Count> {
    best.filter(|best| failed == 0 || *best >= current)
}
