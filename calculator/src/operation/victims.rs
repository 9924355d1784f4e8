//! Which TaskManagers should leave: those with the most free slots, because removing an unused one restarts nothing.

use super::facts::{ClusterFacts, Pod, TaskManager};

/// The pod of a TaskManager: by its name if the resource id is the pod's name, else by the address.
pub fn pod<'a>(manager: &TaskManager, pods: &'a [Pod]) -> Option<&'a Pod> {
    let by_name = pods.iter().find(|pod| pod.name == manager.id);
    by_name.or_else(|| pods.iter().find(|pod| pod.ip.as_deref() == Some(manager.host.as_str())))
}

/// How many of a cluster's TaskManagers have a pod among those of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Every one. Without TaskManagers nothing speaks against it.
    All,
    /// Some have none: they may have died a moment ago.
    Some,
    /// None has: the target is something else.
    None,
}

/// Whether the pods are the cluster's TaskManagers.
pub fn matching(cluster: &ClusterFacts, pods: &[Pod]) -> Matching {
    let managers = &cluster.task_managers;
    match managers.iter().filter(|manager| pod(manager, pods).is_some()).count() {
        count if count == managers.len() => Matching::All,
        0 => Matching::None,
        _ => Matching::Some,
    }
}

/// The `count` pods that should leave: pods that never registered first, then wholly free TaskManagers, then those with the most free
/// slots; ties by name, so that the choice is the same when it is made again.
pub fn choose(cluster: &ClusterFacts, pods: &[Pod], count: usize) -> Vec<String> {
    let rank = |candidate: &Pod| {
        let manager = cluster
            .task_managers
            .iter()
            .find(|manager| pod(manager, pods).is_some_and(|own| own.name == candidate.name));
        manager.map_or((0, 0), |manager| (manager.slots.saturating_sub(manager.free), manager.slots))
    };
    let mut sorted: Vec<&Pod> = pods.iter().collect();
    sorted.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.name.cmp(&other.name)));
    sorted.into_iter().take(count).map(|pod| pod.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::facts::Scheduler;

    fn manager(id: &str, host: &str, free: u32) -> TaskManager {
        TaskManager { id: id.to_owned(), host: host.to_owned(), slots: 2, free }
    }

    fn named(name: &str, ip: &str) -> Pod {
        Pod { name: name.to_owned(), ip: Some(ip.to_owned()) }
    }

    fn cluster(task_managers: Vec<TaskManager>) -> ClusterFacts {
        ClusterFacts {
            scheduler: Scheduler::Adaptive,
            web_submit: true,
            web_rescale: true,
            submission_stabilization: None,
            cooldown_after_rescaling: None,
            jobs: Vec::new(),
            task_managers,
        }
    }

    #[test]
    fn the_freest_leave_first_and_unregistered_pods_before_them() {
        // a is full, b has one free slot, c is wholly free (found by its address), d never registered.
        let cluster = cluster(vec![manager("a", "x", 0), manager("b", "x", 1), manager("10.0.0.3:4-1", "10.0.0.3", 2)]);
        let pods = [named("a", "10.0.0.1"), named("b", "10.0.0.2"), named("c", "10.0.0.3"), named("d", "10.0.0.4")];
        assert_eq!(choose(&cluster, &pods, 3), ["d", "c", "b"]);
        assert_eq!(matching(&cluster, &pods), Matching::All);
        assert_eq!(matching(&cluster, &pods[1..]), Matching::Some, "a has no pod");
        assert_eq!(matching(&cluster, &pods[3..]), Matching::None);
    }
}
