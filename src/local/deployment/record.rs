//! What of a Deployment must outlive this process: its replicas, and which processes they are.

use std::io;

use serde::{Deserialize, Serialize};
use tidegate_engine::protocol::Version;
use tidegate_engine::subject::ObjectId;

use super::super::directory::StateDirectory;
use super::super::identity::Identity;
use super::super::replicas::{Phase, Replica};
use super::Deployment;

/// The stored form of a Deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// The boot in which the processes were started.
    pub(super) boot: String,
    /// Tells the processes of this Deployment from those of one of the same name in another state directory.
    pub(super) seed: String,
    /// `spec.replicas`, as last written by anybody.
    pub(super) replicas: u32,
    /// Grows with every write of the replicas.
    pub(super) version: u64,
    /// `spec.replicas` of its file, as last seen: only a change of it is a write.
    pub(super) declared: Option<u32>,
    /// The number of the last replica.
    pub(super) next: u64,
    /// The replicas.
    pub(super) processes: Vec<Slot>,
}

/// One replica in a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) number: u64,
    /// Its process; none if it had none, or was about to start one.
    pub(super) process: Option<Identity>,
    pub(super) revision: u64,
    pub(super) grace_seconds: u64,
    /// How far its log has been printed.
    pub(super) printed: u64,
    /// Whether it was to end.
    pub(super) ending: bool,
}

impl Record {
    pub(super) fn new(id: &ObjectId, boot: &str) -> Self {
        let now = jiff::Timestamp::now().as_nanosecond();
        Self {
            namespace: id.namespace.to_string(),
            name: id.name.to_string(),
            boot: boot.to_owned(),
            seed: format!("{now:x}-{:x}", std::process::id()),
            replicas: 0,
            version: 0,
            declared: None,
            next: 0,
            processes: Vec::new(),
        }
    }

    /// Which Deployment it is of.
    pub(crate) fn id(&self) -> ObjectId {
        ObjectId::new(&self.namespace, &self.name)
    }

    /// The version of its scale.
    pub(super) fn version(&self) -> Version {
        Version(self.version.to_string().into())
    }
}

impl Deployment {
    /// Writes the record if it is behind. A disk that fails does not stop the processes.
    pub(super) async fn save(&mut self) {
        if self.dirty
            && let Err(error) = self.write().await
        {
            tracing::warn!("the state of Deployment {} cannot be written: {error}", self.id);
        }
    }

    /// Writes the record.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if !self.known {
            return Ok(());
        }
        self.record.processes = self.replicas.iter().map(|replica| self.slot(replica)).collect();
        let (record, state) = (self.record.clone(), self.cx.state.clone());
        let write = move || state.write(&state.deployment(&record.namespace, &record.name), &record);
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
        self.dirty = false;
        Ok(())
    }

    /// Removes the record of a Deployment that is gone.
    pub(super) fn forget(&mut self) {
        let path = self.cx.state.deployment(&self.id.namespace, &self.id.name);
        if let Err(error) = StateDirectory::remove(&path) {
            tracing::warn!("{} cannot be removed: {error}", path.display());
        }
    }

    fn slot(&self, replica: &Replica) -> Slot {
        let process = match &replica.phase {
            Phase::Waiting { .. } => None,
            Phase::Running { running, .. } | Phase::Ending { running, .. } => Some(running.identity),
        };
        Slot {
            index: replica.index,
            number: replica.number,
            process,
            revision: replica.revision,
            grace_seconds: replica.grace.as_secs(),
            printed: self.cx.logs.offset(&self.log(replica.index)).unwrap_or(0),
            ending: !replica.kept,
        }
    }
}
