//! All Deployments that run here, each in a task of its own.

use std::sync::Arc;

use tidegate_engine::subject::ObjectId;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::Machine;
use super::deployment::{Deployment, Ending, Message, Record};
use super::ports::Deployments;
use super::workload::Workload;

/// Messages that wait for one Deployment: the engine has one call of each kind in flight, the files one.
const MESSAGES: usize = 16;

/// The Deployments and their tasks.
pub(super) struct Fleet {
    machine: Arc<Machine>,
    deployments: Arc<Deployments>,
    tasks: Mutex<JoinSet<()>>,
}

impl Fleet {
    pub(super) fn new(machine: Arc<Machine>, deployments: Arc<Deployments>) -> Self {
        Self { machine, deployments, tasks: Mutex::default() }
    }

    /// Gives a Deployment its text, none if it is gone. One that does not run yet is taken up where `record` left it.
    pub(super) async fn run(&self, id: &ObjectId, record: Option<Record>, workload: Option<Workload>) {
        if self.deployments.find(id).is_none() {
            let (sender, inbox) = mpsc::channel(MESSAGES);
            let deployment = Deployment::new(self.machine.clone(), id.clone(), record);
            self.deployments.insert(id.clone(), sender);
            self.tasks.lock().await.spawn(deployment.run(inbox));
        }
        self.tell(id, Message::Workload(workload.map(Box::new))).await;
        // Its first state must be there before the engine asks for it.
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.tell(id, Message::Refresh(reply)).await;
        let _ = answer.await;
    }

    /// Tells a Deployment something; one that does not run any more needs nothing.
    pub(super) async fn tell(&self, id: &ObjectId, message: Message) {
        if let Some(inbox) = self.deployments.find(id) {
            let _ = inbox.send(message).await;
        }
    }

    /// Stops all Deployments. Their replicas are kept for the next start.
    pub(super) async fn stop(&self, ending: Ending) {
        for (id, _) in self.deployments.all() {
            self.tell(&id, Message::Stop(ending)).await;
        }
    }

    /// Returns when all tasks have ended.
    pub(super) async fn ended(&self) {
        // The set stays where it is: dropping it would end the tasks, and a caller may give up waiting and come back.
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Ends all tasks where they stand, as a `kill -9` does.
    #[cfg(test)]
    pub(super) async fn kill(&self) {
        self.tasks.lock().await.shutdown().await;
    }
}
