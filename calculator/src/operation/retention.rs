//! Which savepoints may be disposed of: only ours, only old ones, never one that a job may still need.

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::facts::JobFacts;
use super::progress::Parked;
use crate::time::Span;

/// A savepoint that an operation recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The job's name.
    pub job: String,
    /// Its path.
    pub path: String,
    /// When it completed, in milliseconds since 1970.
    pub at: i64,
}

/// The disposals that are due at `now` (milliseconds since 1970), oldest first. `keep` newest of each job stay, and all younger than `min_age`.
///
/// `needed` are paths that stay whatever their age: those of stopped jobs, and what a live job was restored from while it has no newer
/// checkpoint. To be asked only while no operation runs, and with what was inspected just before; what could not be read is needed.
pub fn due(kept: &[Kept], keep: u32, min_age: Span, needed: &[String], now: i64) -> Vec<Action> {
    let newer = |savepoint: &Kept| {
        kept.iter()
            .filter(|other| other.job == savepoint.job && (other.at, &other.path) > (savepoint.at, &savepoint.path))
            .count()
    };
    let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
    let mut old: Vec<&Kept> = kept
        .iter()
        .filter(|savepoint| newer(savepoint) >= keep)
        .filter(|savepoint| now.saturating_sub(savepoint.at) >= min_age.0)
        .filter(|savepoint| !needed.contains(&savepoint.path))
        .collect();
    old.sort_by_key(|savepoint| savepoint.at);
    old.into_iter().map(|savepoint| Action::DisposeSavepoint { path: savepoint.path.clone() }).collect()
}

/// The paths that stay whatever their age: those of jobs that are stopped, and what a live job was restored from while it has completed no
/// newer checkpoint (with NO_CLAIM its state still refers to those files).
pub fn needed(parked: &[Parked], jobs: &[JobFacts]) -> Vec<String> {
    let stopped = parked.iter().filter_map(|job| job.path.clone());
    let restored = jobs.iter().filter(|job| job.state.live()).filter_map(|job| {
        let restored = job.restored.as_ref()?;
        let newer = job.completed.as_ref().and_then(|completed| completed.id).is_some_and(|id| id > restored.id);
        restored.path.clone().filter(|_| !newer)
    });
    stopped.chain(restored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_the_young_and_the_needed_stay() {
        let kept: Vec<Kept> = (1..=6)
            .map(|n| Kept { job: "a".to_owned(), path: format!("s3://b/{n}"), at: n * 1000 })
            .chain([Kept { job: "b".to_owned(), path: "s3://b/other".to_owned(), at: 0 }])
            .collect();
        let paths = |keep, min_age, needed: &[String], now| -> Vec<String> {
            let path =
                |action| if let Action::DisposeSavepoint { path } = action { path } else { panic!("{action:?}") };
            due(&kept, keep, min_age, needed, now).into_iter().map(path).collect()
        };
        // Six of job a, the newest two stay; b has one only.
        assert_eq!(paths(2, Span(0), &[], 10_000), ["s3://b/1", "s3://b/2", "s3://b/3", "s3://b/4"]);
        // At 10 s those of at least 8 s are from 1 s and 2 s; the first is needed.
        assert_eq!(paths(2, Span::seconds(8), &["s3://b/1".to_owned()], 10_000), ["s3://b/2"]);
        assert_eq!(paths(0, Span(0), &[], 10_000).len(), 5, "one always stays");
        assert!(paths(2, Span::seconds(1), &[], -5_000).is_empty(), "a clock that was set back disposes of nothing");
    }
}
