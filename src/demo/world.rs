//! The local world that the demo runs in: the very one of `tidegate local`.

use std::path::Path;
use std::time::Duration;

use tidegate_engine::snapshot::{Phase, Snapshot};
use tidegate_engine::subject::ObjectId;
use tokio::time::sleep;

use super::DemoError;
use super::manifests::{NAME, NAMESPACE};
use crate::local::{self, Ending, Local, LocalError, Options, Output};

/// How long the workers and the engine may take to end before they are killed.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// A running local world with the demo's object in it.
pub(super) struct World(Local);

impl World {
    /// Starts the world on the manifests in one directory and keeps its state in another.
    pub(super) async fn start(manifests: &Path, state: &Path) -> Result<Self, DemoError> {
        let options = Options::new(vec![manifests.to_owned()]);
        let options = Options { state: state.to_owned(), output: Output::FilesOnly, ..options };
        Ok(Self(local::start(options).await?))
    }

    /// The demo's object; none while the engine has not heard of it.
    pub(super) async fn look(&self) -> Result<Option<Snapshot>, DemoError> {
        let snapshots = self.0.handle.ask(Some(ObjectId::new(NAMESPACE, NAME))).await;
        let snapshots = snapshots.ok_or_else(|| DemoError::World("the engine has ended".to_owned(), "EngineEnded"))?;
        Ok(snapshots.into_iter().next())
    }

    /// Ends the engine and all workers: gracefully, or at once when `hurry` is ready or they take too long.
    pub(super) async fn stop(mut self, hurry: impl Future<Output = ()>) {
        let in_time = tokio::select! {
            () = self.0.stop(Ending::Graceful) => true,
            () = hurry => false,
            () = sleep(STOP_LIMIT) => false,
        };
        if !in_time {
            self.0.stop(Ending::Kill).await;
        }
    }
}

impl From<LocalError> for DemoError {
    fn from(error: LocalError) -> Self {
        Self::World(error.to_string(), error.reason())
    }
}

/// What keeps the object from being scaled, if anything does.
pub(super) fn obstacle(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Starting | Phase::Running => None,
        Phase::Paused => Some("the object is paused".to_owned()),
        Phase::Held(hold) => Some(format!("the object is held: {}", hold.message)),
        Phase::Refused(findings) => {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Some(format!("the object is refused: {}", findings.join("; ")))
        }
        Phase::TargetFailed(error) => Some(format!("the target fails: {error}")),
        Phase::Quarantined(what) => Some(format!("the object is left alone after a panic: {what}")),
    }
}
