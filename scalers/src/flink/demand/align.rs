//! Which numbers of subtasks share parts of work evenly.
//!
//! Of 24 partitions, 5 subtasks have 4 or 5 each, and the one with 5 is the slowest; 6 subtasks have 4 each.

/// The first number from `wanted` on that divides the parts evenly, or with which the one that has the least has less than before; `wanted` if
/// there is none. A lower number is not made more than the present one, and never more subtasks than parts are wanted.
pub(super) fn align(wanted: u32, present: u32, parts: u32, most: u32) -> u32 {
    if parts == 0 || wanted == 0 {
        return wanted;
    }
    let wanted = wanted.min(parts);
    let end = if wanted < present { present } else { most.min(parts) };
    let fits = |count: &u32| parts.is_multiple_of(*count) || parts / count < parts / wanted;
    (wanted..=end).find(fits).unwrap_or(wanted)
}
