//! A simulated target: replicas with a version, and pods that become ready after a start-up time.

use std::sync::Arc;

use tidegate_calculator::observation::TargetState;
use tidegate_calculator::time::{Span, Tick};
use tidegate_engine::protocol::{ApplyError, Seen, Version};

/// A deployment whose pods start in [`Deployment::startup`] and end at once.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    /// The moment at which each pod is ready, oldest first; as many as there are replicas.
    pods: Vec<Tick>,
    version: u64,
    startup: Span,
    /// When the last word of its watch is delivered: a watch never overtakes itself.
    pub(super) told: Tick,
}

impl Deployment {
    /// A deployment whose replicas are all ready.
    pub(super) fn new(replicas: u32, startup: Span, now: Tick) -> Self {
        Self { pods: vec![now; replicas as usize], version: 1, startup, told: now }
    }

    /// `spec.replicas`.
    pub(super) fn replicas(&self) -> u32 {
        u32::try_from(self.pods.len()).unwrap_or(u32::MAX)
    }

    /// What its watch would say.
    pub(super) fn seen(&self, now: Tick) -> Seen {
        let ready = self.pods.iter().filter(|ready| **ready <= now).count();
        let replicas = self.replicas();
        let state = TargetState { replicas, existing: replicas, ready: u32::try_from(ready).ok() };
        Seen { state, version: self.version() }
    }

    /// Sets the replicas, if this still is its version.
    pub(super) fn apply(&mut self, replicas: u32, version: &Version, now: Tick) -> Result<Version, ApplyError> {
        if *version != self.version() {
            return Err(ApplyError::Conflict);
        }
        self.set(replicas, now);
        Ok(self.version())
    }

    /// Sets the replicas, whoever asks. The youngest pods go first.
    pub(super) fn set(&mut self, replicas: u32, now: Tick) {
        self.pods.resize(replicas as usize, now + self.startup);
        self.touch();
    }

    /// A write that changes no replicas, or a change of status.
    pub(super) fn touch(&mut self) {
        self.version += 1;
    }

    /// When pods that were just added will be ready.
    pub(super) fn ready_at(&self, now: Tick) -> Tick {
        now + self.startup
    }

    fn version(&self) -> Version {
        Version(Arc::from(self.version.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_become_ready_and_an_old_version_conflicts() {
        let mut deployment = Deployment::new(1, Span::seconds(5), Tick(0));
        let before = deployment.seen(Tick(0)).version;
        let after = deployment.apply(3, &before, Tick(100)).unwrap();
        let state = |deployment: &Deployment, at| deployment.seen(Tick(at)).state;
        assert_eq!(state(&deployment, 5_099), TargetState { replicas: 3, existing: 3, ready: Some(1) });
        assert_eq!(state(&deployment, 5_100).ready, Some(3));
        assert_eq!(deployment.apply(9, &before, Tick(200)), Err(ApplyError::Conflict));
        deployment.touch();
        assert_eq!(deployment.apply(9, &after, Tick(200)), Err(ApplyError::Conflict));
        assert_eq!(deployment.replicas(), 3);
    }
}
