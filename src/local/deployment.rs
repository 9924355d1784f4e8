//! Runs one Deployment: one task owns its replicas, starts and ends their processes and answers for its scale.

mod adoption;
mod record;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_calculator::observation::TargetState;
use tidegate_engine::protocol::{ApplyError, Seen, TargetError, Version};
use tidegate_engine::subject::ObjectId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Machine;
use super::ports::not_found;
use super::process::{self, Exit};
use super::replicas::{Phase, Replica, free_index, victim};
use super::workload::{MOST, Workload, target};
pub(super) use record::Record;

/// What a Deployment's task is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Its text, if it has changed; none if it is gone.
    Workload(Option<Box<Workload>>),
    /// Something in the files changed that processes may have waited for.
    Retry,
    /// How is it now?
    Refresh(oneshot::Sender<Result<Seen, TargetError>>),
    /// Set the replicas, if the scale still has this version.
    Apply(u32, Version, oneshot::Sender<Result<Version, ApplyError>>),
    /// The whole program ends.
    Stop(Ending),
}

/// What becomes of the processes when the program ends. The replicas are kept either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They get their grace period to end.
    Graceful,
    /// They are killed.
    Kill,
    /// They go on, and the next start adopts them.
    Keep,
}

/// One Deployment.
pub(super) struct Deployment {
    cx: Arc<Machine>,
    id: ObjectId,
    record: Record,
    /// Whether the replicas in the record are this Deployment's; false until its text is first seen.
    known: bool,
    workload: Option<Box<Workload>>,
    /// Whether the files have been asked: until then an absent text means nothing.
    told: bool,
    replicas: Vec<Replica>,
    exits: mpsc::Receiver<(u64, Exit)>,
    report: mpsc::Sender<(u64, Exit)>,
    stopping: Option<Ending>,
    /// Whether the record on the disk is behind.
    dirty: bool,
}

impl Deployment {
    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        loop {
            self.reconcile().await;
            if self.stopping == Some(Ending::Keep) || (self.stopping.is_some() && self.replicas.is_empty()) {
                self.dirty = true;
                self.save().await;
                return;
            }
            let now = Instant::now();
            let due = self.replicas.iter().filter_map(|replica| replica.due(now)).min();
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => self.stopping = Some(Ending::Keep),
                },
                Some((number, exit)) = self.exits.recv() => self.exited(number, exit),
                () = until(due) => {}
            }
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Workload(workload) => self.set_workload(workload),
            Message::Retry => self.retry(),
            Message::Refresh(reply) => drop(reply.send(self.seen())),
            Message::Apply(replicas, version, reply) => {
                let result = self.apply(replicas, &version).await;
                // The answer comes after the processes were started: they are what people wait for.
                self.reconcile().await;
                drop(reply.send(result));
            }
            Message::Stop(ending) => self.stopping = Some(ending),
        }
    }

    fn set_workload(&mut self, workload: Option<Box<Workload>>) {
        match &workload {
            None => self.known = false,
            Some(workload) if !self.known => {
                self.known = true;
                self.write_replicas(workload.declared.unwrap_or(1));
            }
            Some(workload) if workload.declared != self.record.declared => {
                // An edit of the number is somebody's write, like `kubectl scale`.
                if let Some(declared) = workload.declared.filter(|declared| *declared != self.record.replicas) {
                    tracing::info!("{} {} -> {declared}: its file says so", self.id, self.record.replicas);
                    self.write_replicas(declared);
                }
            }
            Some(_) => {}
        }
        let revision = |workload: &Option<Box<Workload>>| workload.as_ref().map(|workload| workload.revision);
        if self.told && self.workload.is_some() && workload.is_some() && revision(&self.workload) != revision(&workload)
        {
            tracing::info!("{} has a new template; its processes are replaced one by one", self.id);
        }
        self.record.declared = workload.as_ref().and_then(|workload| workload.declared);
        self.workload = workload;
        self.told = true;
        self.dirty = true;
        self.retry();
    }

    fn write_replicas(&mut self, replicas: u32) {
        self.record.replicas = replicas;
        self.record.version += 1;
        self.dirty = true;
    }

    /// What the files kept from starting is tried again.
    fn retry(&mut self) {
        for replica in &mut self.replicas {
            if let Phase::Waiting { until, blocked: Some(_) } = &mut replica.phase {
                *until = Instant::now();
            }
        }
    }

    async fn apply(&mut self, replicas: u32, version: &Version) -> Result<Version, ApplyError> {
        if self.workload.is_none() || self.stopping.is_some() {
            return Err(ApplyError::Refused(format!("Deployment {} does not run here any more", self.id)));
        }
        if replicas > MOST {
            return Err(ApplyError::Refused(format!(
                "{replicas} replicas are more than the {MOST} processes allowed here"
            )));
        }
        if *version != self.record.version() {
            return Err(ApplyError::Conflict);
        }
        let before = (self.record.replicas, self.record.version);
        self.write_replicas(replicas);
        if let Err(error) = self.write().await {
            (self.record.replicas, self.record.version) = before;
            return Err(ApplyError::Refused(format!("the state directory cannot be written: {error}")));
        }
        Ok(self.record.version())
    }

    /// Brings the processes nearer to what is wanted.
    async fn reconcile(&mut self) {
        self.lower();
        self.raise();
        self.roll();
        // New replicas are on the disk before they run: one that we forgot to write down would never be ended.
        self.save().await;
        self.start();
        self.save().await;
        self.publish();
        if self.workload.is_none() && !self.known && self.replicas.is_empty() && self.stopping.is_none() {
            self.forget();
        }
    }

    fn wanted(&self) -> usize {
        let runs = self.workload.is_some() && self.stopping.is_none();
        if runs { usize::try_from(self.record.replicas).unwrap_or(usize::MAX) } else { 0 }
    }

    fn kept(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.kept).count()
    }

    fn lower(&mut self) {
        let now = Instant::now();
        if self.stopping == Some(Ending::Keep) || (self.stopping.is_none() && !self.told) {
            return;
        }
        if self.stopping == Some(Ending::Kill) {
            self.replicas.iter_mut().for_each(|replica| replica.end(Duration::ZERO, now));
        }
        while self.kept() > self.wanted() {
            let Some(position) = victim(&self.replicas, now) else { return };
            let replica = &mut self.replicas[position];
            replica.kept = false;
            replica.end(replica.grace, now);
            if matches!(replica.phase, Phase::Waiting { .. }) {
                self.replicas.remove(position);
            }
            self.dirty = true;
        }
    }

    fn raise(&mut self) {
        while self.kept() < self.wanted() {
            self.record.next += 1;
            let replica = Replica::new(free_index(&self.replicas), self.record.next);
            self.replicas.push(replica);
            self.dirty = true;
        }
    }

    /// Replaces processes of an older template: those that are not ready at once, the others one after the other.
    fn roll(&mut self) {
        let now = Instant::now();
        let Some(revision) = self.workload.as_ref().map(|workload| workload.revision) else { return };
        let outdated = |replica: &Replica| {
            replica.kept && replica.revision != revision && matches!(replica.phase, Phase::Running { .. })
        };
        for replica in self.replicas.iter_mut().filter(|replica| outdated(replica) && !replica.is_ready(now)) {
            replica.end(replica.grace, now);
        }
        let steady = |replica: &Replica| matches!(replica.phase, Phase::Running { .. }) && replica.is_ready(now);
        if self.replicas.iter().filter(|replica| replica.kept).all(steady) {
            let next =
                self.replicas.iter_mut().filter(|replica| outdated(replica)).min_by_key(|replica| replica.number);
            if let Some(replica) = next {
                replica.end(replica.grace, now);
            }
        }
    }

    fn start(&mut self) {
        let now = Instant::now();
        let Some(workload) = self.workload.clone().filter(|_| self.stopping.is_none()) else { return };
        for position in 0..self.replicas.len() {
            let waits = |phase: &Phase| matches!(phase, Phase::Waiting { until, .. } if *until <= now);
            if waits(&self.replicas[position].phase) {
                self.start_one(position, &workload, now);
            }
        }
    }

    fn start_one(&mut self, position: usize, workload: &Workload, now: Instant) {
        let (name, log) = (self.name(self.replicas[position].index), self.log(self.replicas[position].index));
        let mark = self.mark(self.replicas[position].number);
        self.cx.logs.follow(&log, &name, None);
        let launch = workload.launch(&name, &mark, log.clone(), &*self.cx.inventory());
        let started = launch.and_then(|launch| {
            let what = || launch.program.display().to_string();
            process::start(&launch).map_err(|error| format!("{} cannot be started: {error}", what()))
        });
        let replica = &mut self.replicas[position];
        match started {
            Ok((child, identity)) => {
                replica.revision = workload.revision;
                replica.grace = workload.grace.unwrap_or(self.cx.grace);
                let running = process::watch(identity, Some(child), replica.grace, replica.number, self.report.clone());
                replica.phase = Phase::Running { running, since: now, ready: now + workload.min_ready };
                self.dirty = true;
                tracing::debug!("{}/{name} runs as process {}", self.id.namespace, identity.pid);
            }
            Err(why) => {
                if !matches!(&replica.phase, Phase::Waiting { blocked: Some(before), .. } if *before == why) {
                    tracing::warn!("{}/{name} is not started: {why}", self.id.namespace);
                }
                replica.blocked(why, now);
            }
        }
    }

    fn exited(&mut self, number: u64, exit: Exit) {
        let Some(position) = self.replicas.iter().position(|replica| replica.number == number) else { return };
        let name = format!("{}/{}", self.id.namespace, self.name(self.replicas[position].index));
        let replica = &mut self.replicas[position];
        if exit.killed && self.stopping != Some(Ending::Kill) {
            tracing::warn!("{name} did not end in time and was killed");
        }
        self.dirty = true;
        if replica.kept {
            let crashed = matches!(replica.phase, Phase::Running { .. });
            let wait = replica.ended(Instant::now());
            if crashed {
                tracing::warn!("{name} {}; it is started again in {} s", exit.describe(), wait.as_secs());
            }
        } else {
            tracing::debug!("{name} {}", exit.describe());
            let index = replica.index;
            self.replicas.remove(position);
            self.cx.logs.finish(&self.log(index));
        }
    }

    fn seen(&self) -> Result<Seen, TargetError> {
        if self.workload.is_none() {
            return Err(not_found(&target(&self.id)));
        }
        let now = Instant::now();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let ready = self.replicas.iter().filter(|replica| replica.is_ready(now)).count();
        let state =
            TargetState { replicas: self.record.replicas, existing: count(self.kept()), ready: Some(count(ready)) };
        Ok(Seen { state, version: self.record.version() })
    }

    fn publish(&self) {
        // Processes that end because the program ends are nobody's business.
        if self.told && self.stopping.is_none() {
            self.cx.feed.target(target(&self.id), self.seen());
        }
    }

    fn name(&self, index: u32) -> String {
        format!("{}-{index}", self.id.name)
    }

    fn log(&self, index: u32) -> PathBuf {
        self.cx.state.log(&self.id.namespace, &self.name(index))
    }

    /// What marks the processes of one replica, on this machine and for ever.
    fn mark(&self, number: u64) -> String {
        format!("{}:{}/{}:{number}", self.record.seed, self.id.namespace, self.id.name)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
