//! The world around a Flink whose TaskManagers are the pods of the target: writing replicas begins and ends processes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use serde_json::Value;
use tidegate::hooks::{ClusterActions, JobEnd, SnapshotEnd};
use tidegate_calculator::operation::facts::{DeploymentFacts, Pod, TargetFacts};
use tidegate_calculator::operation::{Class, Failure};
use tidegate_calculator::source::{Parameters, ReadError};
use tidegate_engine::ports::Resolver;
use tidegate_engine::subject::{ObjectId, References, TargetRef};

use super::server::Flink;

/// The target and its processes.
pub(crate) struct Side(Mutex<World>);

struct World {
    flink: Flink,
    replicas: u32,
    /// Grows with every write.
    version: u64,
    /// The number of the next TaskManager.
    next: u32,
    marked: Vec<String>,
    writes: Vec<u32>,
    annotations: Vec<String>,
}

impl Side {
    pub(crate) fn new(flink: Flink) -> Self {
        let numbers = flink.task_managers();
        let replicas = u32::try_from(numbers.len()).unwrap();
        let next = numbers.last().map_or(1, |last| last + 1);
        let (marked, writes, annotations) = (Vec::new(), Vec::new(), Vec::new());
        Self(Mutex::new(World { flink, replicas, version: 1, next, marked, writes, annotations }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        self.world().flink.url()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.world().flink.path(name)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.world().flink.get(path)
    }

    pub(crate) fn knob(&self, name: &str, value: &str) {
        self.world().flink.knob(name, value);
    }

    pub(crate) fn release(&self, name: &str) {
        self.world().flink.release(name);
    }

    /// How many replicas there are.
    pub(crate) fn replicas(&self) -> u32 {
        self.world().replicas
    }

    /// How many TaskManagers run.
    pub(crate) fn running(&self) -> usize {
        self.world().flink.task_managers().len()
    }

    /// All that was written as replicas.
    pub(crate) fn writes(&self) -> Vec<u32> {
        self.world().writes.clone()
    }

    /// All that was written as the annotation.
    pub(crate) fn annotations(&self) -> Vec<String> {
        self.world().annotations.clone()
    }
}

impl World {
    /// Does what a Deployment does: the marked leave first.
    fn follow(&mut self) {
        let wanted = usize::try_from(self.replicas).unwrap();
        let mut numbers = self.flink.task_managers();
        numbers.sort_by_key(|number| (!self.marked.contains(&name(*number)), u32::MAX - number));
        let leaving = numbers.len().saturating_sub(wanted);
        self.flink.stop_task_managers(&numbers[..leaving]);
        for _ in numbers.len()..wanted {
            self.flink.begin_task_manager(self.next);
            self.next += 1;
        }
    }
}

fn name(number: u32) -> String {
    format!("tm-{number}")
}

/// The world as an operation sees it.
pub(crate) struct Actions(pub(crate) Arc<Side>);

#[async_trait]
impl ClusterActions for Actions {
    async fn target(&self, _: &TargetRef) -> Result<TargetFacts, Failure> {
        let world = self.0.world();
        let pods = world.flink.task_managers().into_iter().map(|number| Pod { name: name(number), ip: None });
        Ok(TargetFacts {
            replicas: world.replicas,
            version: world.version.to_string(),
            owned_by_operator: false,
            pods: pods.collect(),
        })
    }

    async fn deployment(&self, _: &TargetRef) -> Result<Option<DeploymentFacts>, Failure> {
        Ok(None)
    }

    async fn patch(&self, _: &TargetRef, replicas: u32, version: &str) -> Result<(), Failure> {
        let (side, version) = (Arc::clone(&self.0), version.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            let mut world = side.world();
            if world.version.to_string() != version {
                return Err(Failure::new(Class::Conflict, "it was written meanwhile"));
            }
            world.replicas = replicas;
            world.version += 1;
            world.writes.push(replicas);
            world.follow();
            Ok(())
        });
        written.await.unwrap()
    }

    async fn mark_victims(&self, _: &TargetRef, pods: &[String]) -> Result<(), Failure> {
        self.0.world().marked = pods.to_vec();
        Ok(())
    }

    async fn annotate(&self, _: &TargetRef, value: &str) -> Result<(), Failure> {
        self.0.world().annotations.push(value.to_owned());
        Ok(())
    }

    async fn create_snapshot(&self, _: &TargetRef, _: &str, _: u32) -> Result<(), Failure> {
        Err(none())
    }

    async fn snapshot(&self, _: &TargetRef, _: &str) -> Result<SnapshotEnd, Failure> {
        Err(none())
    }

    async fn create_job(&self, _: &ObjectId, _: &str, _: &str) -> Result<(), Failure> {
        Err(none())
    }

    async fn job(&self, _: &ObjectId, _: &str) -> Result<JobEnd, Failure> {
        Err(none())
    }
}

#[async_trait]
impl Resolver for Actions {
    async fn resolve(&self, _: &References) -> Result<Parameters, ReadError> {
        Ok(Parameters::default())
    }
}

fn none() -> Failure {
    Failure::new(Class::Config, "there is no Kubernetes here")
}
