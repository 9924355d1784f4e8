//! How many slots a job holds, and how many TaskManagers that takes.

use std::collections::BTreeMap;

use super::Shape;
use crate::flink::client::cluster::TaskManager;

/// What is there for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flink) struct Cluster {
    /// How many TaskManagers are registered.
    pub(in crate::flink) task_managers: u32,
    /// How many slots each has, at least 1.
    pub(in crate::flink) slots_each: u32,
    /// The slots that any job holds.
    pub(in crate::flink) slots_used: u32,
}

/// The slots that a job needs with this parallelism: vertices that share slots need as many as the widest of them.
pub(super) fn needed(shape: &Shape, parallelism: &[u32]) -> u32 {
    let mut widest: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    for (node, parallelism) in shape.nodes.iter().zip(parallelism) {
        let group = widest.entry(node.group.as_deref()).or_default();
        *group = (*group).max(*parallelism);
    }
    widest.values().fold(0, |sum: u32, slots| sum.saturating_add(*slots))
}

impl Cluster {
    /// What registered TaskManagers say. `slots_each` is what the user says that each has; else it is what the smallest of them has. One has
    /// none for a moment between its registration and its first report: it would make the others look smaller.
    pub(in crate::flink) fn of(managers: &[TaskManager], slots_each: Option<u32>) -> Self {
        let smallest = managers.iter().map(|manager| manager.slots_number).filter(|slots| *slots > 0).min();
        let used = managers.iter().map(|manager| manager.slots_number.saturating_sub(manager.free_slots));
        Self {
            task_managers: u32::try_from(managers.len()).unwrap_or(u32::MAX),
            slots_each: slots_each.or(smallest).unwrap_or(1),
            slots_used: used.fold(0, u32::saturating_add),
        }
    }

    /// The same without this job: what is left are the slots of others, for which TaskManagers are needed as well.
    pub(in crate::flink) fn beside(self, own: u32) -> Self {
        Self { slots_used: self.slots_used.saturating_sub(own), ..self }
    }

    /// The TaskManagers for a job that needs `slots`, beside the others. `slots_used` are those of others.
    pub(super) fn task_managers(self, slots: u32) -> u32 {
        slots.saturating_add(self.slots_used).div_ceil(self.slots_each.max(1)).max(1)
    }

    /// The TaskManagers that there are, or should be for what runs.
    pub(super) fn present(self, slots: u32) -> u32 {
        self.task_managers(slots).max(self.task_managers)
    }
}
