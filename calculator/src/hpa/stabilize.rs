//! What the stabilization windows make of a proposal (hpa-algorithm §8.1, §8.2).

use crate::hpa::history::{Recommended, highest, lowest, record};
use crate::hpa::words::Word;
use crate::time::{Span, Tick};

/// With `behavior`: the present count, raised to the lowest recommendation of the up window, then lowered to the highest of the down
/// window. What is desired now belongs to both.
pub fn between<Count: Ord + Copy>(
    current: Count,
    desired: Count,
    lowest: Option<Count>,
    highest: Option<Count>,
) -> Count {
    let low = lowest.map_or(desired, |lowest| lowest.min(desired));
    let high = highest.map_or(desired, |highest| highest.max(desired));
    current.max(low).min(high)
}

/// Without `behavior`: the highest recommendation of the window; what is desired now belongs to it.
pub fn legacy<Count: Ord>(desired: Count, highest: Option<Count>) -> Count {
    match highest {
        Some(highest) => highest.max(desired),
        None => desired,
    }
}

/// The windows of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Without `behavior`: the process's downscale window.
    Legacy(Span),
    /// `stabilizationWindowSeconds` of both directions.
    Both {
        /// `scaleUp`.
        up: Span,
        /// `scaleDown`.
        down: Span,
    },
}

impl Windows {
    /// Stabilizes what is desired, and records it as it came.
    pub fn apply(self, list: &mut Vec<Recommended>, current: i32, desired: i32, now: Tick) -> i32 {
        match self {
            Self::Legacy(window) => {
                let stable = legacy(desired, highest(list, window, now));
                record(list, desired, window, now);
                stable
            }
            Self::Both { up, down } => {
                let stable = between(current, desired, lowest(list, up, now), highest(list, down, now));
                record(list, desired, up.max(down), now);
                stable
            }
        }
    }

    /// What AbleToScale says if these windows change what is desired.
    pub fn reason(self, current: i32, desired: i32) -> Word {
        match self {
            Self::Both { .. } if desired >= current => Word::ScaleUpStabilized,
            Self::Legacy(_) | Self::Both { .. } => Word::ScaleDownStabilized,
        }
    }
}
