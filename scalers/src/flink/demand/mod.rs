//! How many TaskManagers a job needs, by how fast its tasks could work and how much comes; pure, time is an argument.
//!
//! The rules are those of Flink's own autoscaler, one file each: what was seen over a window ([`window`]), how much each vertex will have to
//! take ([`flow`]), how much parallelism that needs and whether it is worth a restart ([`capacity`]), which numbers of subtasks share work
//! evenly ([`align`]), how many slots that is ([`slots`]), and that a lower number waits ([`delay`]).
//!
//! A restart is dear, so there is a band in which nothing changes, and what was seen before a restart is forgotten.

mod align;
mod capacity;
mod delay;
mod flow;
mod slots;
mod window;

use std::collections::BTreeSet;
use std::time::Duration;

use super::client::VertexId;
use super::settling::Attempt;
use delay::Wishes;
use window::Window;

pub(super) use slots::Cluster;
pub(super) use window::{Sample, Seen};

/// What the user can say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    /// How busy the tasks should be, above 0 and up to 1.
    pub(super) utilization: f64,
    /// Within what time records that wait should be worked off; zero for "whenever".
    pub(super) catch_up: Duration,
    /// How long a restart takes, whose records must be caught up with.
    pub(super) restart_time: Duration,
    /// Over what time is averaged.
    pub(super) window: Duration,
    /// For how long a lower number must be wanted.
    pub(super) scale_down_delay: Duration,
}

/// A job's graph as it runs now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// Its vertices, in any order.
    pub(super) nodes: Vec<Node>,
}

/// One vertex of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The vertex.
    pub(super) id: VertexId,
    /// How many subtasks it has.
    pub(super) parallelism: u32,
    /// How many it can have.
    pub(super) max_parallelism: u32,
    /// Whose slots it shares; those without a group share one.
    pub(super) group: Option<String>,
    /// Where its records come from, as places in [`Shape::nodes`]; empty for a source.
    pub(super) inputs: Vec<usize>,
    /// Into how many parts its work is cut: key groups, or partitions of a source; none if it can be cut anywhere.
    pub(super) parts: Option<u32>,
}

/// What is said of a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    /// The TaskManagers that are wanted.
    pub(super) task_managers: u32,
    /// The records a second that the sources should take; none until the window is full.
    pub(super) demand: Option<f64>,
}

/// What was seen of a job since it began to run, and what was wanted for it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    attempt: Option<Attempt>,
    window: Window,
    wishes: Wishes,
}

impl History {
    /// Looks at one more sample of a run of the job and says how many TaskManagers it needs.
    ///
    /// Until the window is full that is what it has, since nothing better is known.
    pub(super) fn look(
        &mut self,
        attempt: &Attempt,
        sample: Sample,
        shape: &Shape,
        cluster: Cluster,
        settings: &Settings,
    ) -> Verdict {
        let present = cluster.present(slots::needed(shape, &shape.present()));
        let at = sample.at;
        // Another run, or a clock that was set back: nothing that was seen is comparable.
        if self.attempt.as_ref() != Some(attempt) || self.window.is_after(at) {
            *self = Self { attempt: Some(attempt.clone()), ..Self::default() };
            self.wishes.add(at, present, settings.scale_down_delay);
        }
        self.window.add(sample, settings.window);
        let Some(flows) = self.window.flows(shape, settings.window) else {
            return Verdict { task_managers: present, demand: None };
        };
        // Where it cannot be told what goes on to whom, what there is stays.
        let Some(rates) = flow::rates(shape, &flows, settings.catch_up) else {
            self.wishes.add(at, present, settings.scale_down_delay);
            return Verdict { task_managers: self.wishes.highest().unwrap_or(present), demand: None };
        };
        let wanted = capacity::parallelism(shape, &flows, &rates, settings);
        self.wishes.add(at, cluster.task_managers(slots::needed(shape, &wanted)), settings.scale_down_delay);
        let demand = shape.sources().map(|source| rates[source].target + rates[source].catch_up).sum();
        Verdict { task_managers: self.wishes.highest().unwrap_or(present), demand: Some(demand) }
    }
}

impl Shape {
    /// The slots that it holds.
    pub(super) fn slots(&self) -> u32 {
        slots::needed(self, &self.present())
    }

    /// The places of the sources.
    fn sources(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|place| self.nodes[*place].inputs.is_empty())
    }

    /// The parallelism that there is.
    fn present(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.parallelism).collect()
    }

    /// The places, those that records come from before those that they go to. What goes in circles comes last.
    fn in_order(&self) -> Vec<usize> {
        let (mut order, mut left): (Vec<usize>, BTreeSet<usize>) = (Vec::new(), (0..self.nodes.len()).collect());
        while !left.is_empty() {
            let is_ready = |place: &usize| self.nodes[*place].inputs.iter().all(|input| !left.contains(input));
            let ready: Vec<usize> = left.iter().copied().filter(is_ready).collect();
            let ready = if ready.is_empty() { left.iter().copied().collect() } else { ready };
            left.retain(|place| !ready.contains(place));
            order.extend(ready);
        }
        order
    }
}

#[cfg(test)]
mod tests;
