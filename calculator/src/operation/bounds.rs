//! How many slots each job gets, and the upper bound of every vertex.
//!
//! Bounds always come from the shape that a job's graph was declared with, never from bounds that were rounded before: 1, 2, 3 and back
//! is then the same as never having moved.

use serde::{Deserialize, Serialize};

use super::facts::JobFacts;

/// The upper bound of one vertex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bound {
    /// The vertex's id.
    pub vertex: String,
    /// The upper bound; at least 1.
    pub upper: u32,
}

/// The declared shape of a job's graph; seen once and kept while the job's name and vertices stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The job's name.
    pub job: String,
    /// Slots that it took when it was seen first.
    pub slots: u32,
    /// Its vertices.
    pub vertices: Vec<ShapeVertex>,
}

/// A vertex of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeVertex {
    /// The vertex's id.
    pub id: String,
    /// The declared parallelism; at least 1.
    pub base: u32,
    /// The maximum parallelism.
    pub max: u32,
}

impl Shape {
    /// The shape of a job as it is now: where requirements can be read their upper bounds, because a job may run below them.
    pub fn of(job: &JobFacts) -> Self {
        let base = |vertex: &super::facts::Vertex| vertex.upper.unwrap_or(vertex.parallelism).max(1);
        let vertices = job.vertices.iter().map(|vertex| ShapeVertex {
            id: vertex.id.clone(),
            base: base(vertex),
            max: vertex.max_parallelism.max(1),
        });
        let mut groups: Vec<(&str, u32)> = Vec::new();
        for vertex in &job.vertices {
            match groups.iter_mut().find(|(name, _)| *name == vertex.group) {
                Some((_, most)) => *most = (*most).max(base(vertex)),
                None => groups.push((&vertex.group, base(vertex))),
            }
        }
        let slots = groups.iter().map(|(_, most)| *most).fold(0, u32::saturating_add).max(1);
        Self { job: job.name.clone(), slots, vertices: vertices.collect() }
    }

    /// The shape of a job that is met: what is remembered of it counts as long as its graph is the same.
    pub fn met(job: &JobFacts, known: Option<&Self>) -> Self {
        let known = known.filter(|shape| shape.fits(job)).cloned();
        known.map_or_else(|| Self::of(job), |shape| shape.with_maxima_of(job))
    }

    /// Whether it is about this job's graph: the same vertices.
    pub fn fits(&self, job: &JobFacts) -> bool {
        self.job == job.name
            && self.vertices.len() == job.vertices.len()
            && self.vertices.iter().all(|known| job.vertices.iter().any(|vertex| vertex.id == known.id))
    }

    /// The upper bounds with `slots`: `clamp(round(base · slots / base slots), 1, max)`. A vertex declared with 1 stays at 1 unless
    /// `raise` names it: most often that is what `setParallelism(1)` means, and Flink would raise it without a word.
    pub fn bounds(&self, slots: u32, raise: &[String]) -> Vec<Bound> {
        let bound = |vertex: &ShapeVertex| {
            let scaled = round(u64::from(vertex.base) * u64::from(slots), u64::from(self.slots.max(1)));
            let upper = if vertex.base == 1 && !raise.contains(&vertex.id) { 1 } else { scaled.clamp(1, vertex.max) };
            Bound { vertex: vertex.id.clone(), upper }
        };
        self.vertices.iter().map(bound).collect()
    }

    /// The largest upper bound with `slots`: what the job's parallelism will be.
    pub fn parallelism(&self, slots: u32, raise: &[String]) -> u32 {
        self.bounds(slots, raise).iter().map(|bound| bound.upper).max().unwrap_or(1)
    }

    /// The slots above which no vertex gets any more: further TaskManagers are of no use.
    pub fn useful_slots(&self, raise: &[String]) -> u32 {
        let most = |vertex: &ShapeVertex| {
            if vertex.base == 1 && !raise.contains(&vertex.id) {
                return 0;
            }
            // The first count of slots that rounds to the maximum: (max - 1/2) · base slots / base, rounded up.
            let half = (2 * u64::from(vertex.max) - 1) * u64::from(self.slots);
            u32::try_from(half.div_ceil(2 * u64::from(vertex.base))).unwrap_or(u32::MAX)
        };
        self.vertices.iter().map(most).max().unwrap_or(0).max(self.slots).max(1)
    }

    /// The same where the parallelism of every vertex follows the slots, as in reactive mode: what was declared counts for nothing. Slot
    /// sharing groups share the slots, and how many there are is not remembered: several are taken for as many as there can be, so that too
    /// many TaskManagers count as useful rather than too few.
    fn useful_slots_following(&self) -> u32 {
        let most = self.vertices.iter().map(|vertex| vertex.max).max().unwrap_or(0);
        let one_group = self.slots <= self.vertices.iter().map(|vertex| vertex.base).max().unwrap_or(0);
        let groups = if one_group { 1 } else { u32::try_from(self.vertices.len()).unwrap_or(u32::MAX) };
        most.saturating_mul(groups).max(self.slots).max(1)
    }

    /// The shape with the maximum parallelism that the job has now: a job that was started anew may have another one.
    #[must_use]
    pub fn with_maxima_of(mut self, job: &JobFacts) -> Self {
        for known in &mut self.vertices {
            if let Some(vertex) = job.vertices.iter().find(|vertex| vertex.id == known.id) {
                known.max = vertex.max_parallelism.max(1);
            }
        }
        self
    }
}

/// A job as far as slots matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its declared shape.
    pub shape: Shape,
    /// Its vertices that may be raised although they were declared with parallelism 1.
    pub raise: Vec<String>,
    /// Its share of the slots; at least 1.
    pub share: u32,
}

/// The count of TaskManagers above which more are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUseful {
    /// The TaskManagers; at least 1.
    pub replicas: u32,
    /// The slots that the jobs can use; at least 1.
    pub slots: u32,
    /// The slots of one TaskManager; at least 1.
    pub slots_per: u32,
}

fn round(part: u64, whole: u64) -> u32 {
    u32::try_from((2 * part + whole) / (2 * whole)).unwrap_or(u32::MAX)
}

/// Splits `total` slots by shares: in proportion, the largest remainders first (ties in order), at least 1 each where there are enough.
pub fn split(total: u32, shares: &[u32]) -> Vec<u32> {
    let sum: u64 = shares.iter().map(|share| u64::from((*share).max(1))).sum();
    let count = u32::try_from(shares.len()).unwrap_or(u32::MAX);
    if sum == 0 || total < count {
        return shares.iter().map(|_| 1).collect();
    }
    let exact = |share: &u32| u64::from(total) * u64::from((*share).max(1));
    let mut parts: Vec<u32> =
        shares.iter().map(|share| u32::try_from(exact(share) / sum).unwrap_or(total).max(1)).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(shares.get(*index).map_or(0, |share| exact(share) % sum)));
    let given = |parts: &[u32]| parts.iter().fold(0u32, |sum, part| sum.saturating_add(*part));
    for index in order.iter().cycle().take(2 * shares.len()) {
        if given(&parts) < total
            && let Some(part) = parts.get_mut(*index)
        {
            *part += 1;
        }
    }
    // The least part of 1 may have given away too much: the largest parts pay.
    while given(&parts) > total {
        let Some(largest) = parts.iter_mut().max() else { break };
        if *largest <= 1 {
            break;
        }
        *largest -= 1;
    }
    parts
}

/// The count of TaskManagers above which more are of no use (MaxParallelismReached); none without jobs or slots.
///
/// Jobs get slots by their shares, so the last slot of use is the one at which the last of them gets as many as it can use. `following`: the
/// parallelism of every vertex follows the slots by itself.
pub fn last_useful(parts: &[Part], slots_per: u32, following: bool) -> Option<LastUseful> {
    if slots_per == 0 {
        return None;
    }
    let sum: u64 = parts.iter().map(|part| u64::from(part.share.max(1))).sum();
    let needed = |part: &Part| {
        let useful = if following { part.shape.useful_slots_following() } else { part.shape.useful_slots(&part.raise) };
        let total = (u64::from(useful) * sum).div_ceil(u64::from(part.share.max(1)));
        u32::try_from(total).unwrap_or(u32::MAX)
    };
    let slots = parts.iter().map(needed).max()?.max(1);
    Some(LastUseful { replicas: slots.div_ceil(slots_per), slots, slots_per })
}
