//! The world around an operation: the scaled object, its pods, the JobManager. It performs actions as the real ones do.

use tidegate_calculator::operation::action::Action;
use tidegate_calculator::operation::facts::{
    DeploymentFacts, Inspection, JobState, Pod, Restored, Scheduler, TargetFacts, TaskManager, UpgradeMode,
};
use tidegate_calculator::operation::ids::Kind;
use tidegate_calculator::operation::{Class, Failure, Outcome};
use tidegate_calculator::time::Span;

use crate::jobs::{self, DURATION, Job, SLOTS};

/// A pod of the target, and when it registers as a TaskManager.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) registers: i64,
    /// When it has left, if it leaves.
    pub(crate) leaves: Option<i64>,
}

/// How a FlinkDeployment behaves.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) mode: UpgradeMode,
    pub(crate) suspended: bool,
    /// When the operator is done with the last change.
    pub(crate) settled_at: i64,
    pub(crate) autoscaler: bool,
    pub(crate) snapshots: Vec<(String, i64)>,
    /// The most TaskManagers that there is room for: the operator takes an upgrade to more back.
    pub(crate) room: u32,
    /// What it takes back, or has.
    pub(crate) rolls_back: bool,
}

/// A removal of TaskManagers, as the laws look at it.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) at: i64,
    /// Live jobs, and the age of the newest completed snapshot of each; none if it has none.
    pub(crate) jobs: Vec<(String, Option<i64>)>,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) replicas: u32,
    pub(crate) version: u64,
    pub(crate) workers: Vec<Worker>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) scheduler: Scheduler,
    pub(crate) web_submit: bool,
    pub(crate) web_rescale: Option<bool>,
    pub(crate) stabilization: i64,
    pub(crate) deployment: Option<Deployment>,
    pub(crate) owned_by_operator: bool,
    pub(crate) foreign_pods: bool,
    /// Until then a TaskManager is listed that has no pod.
    pub(crate) ghost_until: i64,
    /// The JobManager answers from this moment on.
    pub(crate) up_at: i64,
    pub(crate) registration: i64,
    /// How long a registered TaskManager is listed without a slot.
    pub(crate) report: i64,
    pub(crate) never_register: bool,
    pub(crate) run_fails: u32,
    pub(crate) plan_fails: Option<Class>,
    pub(crate) victims: Vec<String>,
    pub(crate) annotation: String,
    pub(crate) kubernetes_jobs: Vec<String>,
    pub(crate) http_calls: Vec<String>,
    /// Calls are accepted, and answer done once they are polled.
    pub(crate) http_accepts: bool,
    pub(crate) removals: Vec<Removal>,
    pub(crate) runs: Vec<(String, Option<String>)>,
    named: u32,
}

impl World {
    pub(crate) fn new(scheduler: Scheduler, replicas: u32) -> Self {
        let mut world = Self {
            now: 1_000_000,
            replicas,
            version: 1,
            workers: Vec::new(),
            jobs: Vec::new(),
            scheduler,
            web_submit: true,
            web_rescale: None,
            stabilization: 1_000,
            deployment: None,
            owned_by_operator: false,
            foreign_pods: false,
            ghost_until: 0,
            up_at: 0,
            registration: 5_000,
            report: 0,
            never_register: false,
            run_fails: 0,
            plan_fails: None,
            victims: Vec::new(),
            annotation: String::new(),
            kubernetes_jobs: Vec::new(),
            http_calls: Vec::new(),
            http_accepts: false,
            removals: Vec::new(),
            runs: Vec::new(),
            named: 0,
        };
        world.grow(0);
        world
    }

    pub(crate) fn with_job(mut self, id: &str, name: &str, parallelism: u32) -> Self {
        self.jobs.push(Job::new(id, name, parallelism, self.now));
        self
    }

    pub(crate) fn slots(&self) -> u32 {
        self.workers.iter().filter(|worker| self.registered(worker)).map(|worker| self.slots_of(worker)).sum()
    }

    fn slots_of(&self, worker: &Worker) -> u32 {
        if worker.registers.saturating_add(self.report) <= self.now { SLOTS } else { 0 }
    }

    fn registered(&self, worker: &Worker) -> bool {
        worker.registers <= self.now && worker.leaves.is_none_or(|at| at > self.now)
    }

    fn grow(&mut self, delay: i64) {
        let staying = self.workers.iter().filter(|worker| worker.leaves.is_none()).count();
        for _ in staying..self.replicas as usize {
            self.named += 1;
            let registers = if self.never_register && delay > 0 { i64::MAX } else { self.now + delay };
            self.workers.push(Worker { name: format!("tm-{}", self.named), registers, leaves: None });
        }
    }

    pub(crate) fn advance(&mut self, now: i64) {
        // Half a second at a time: what one part does the others see.
        while self.now < now {
            self.now = (self.now + 500).min(now);
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        let left =
            self.workers.iter().any(|worker| worker.leaves.is_some_and(|at| at <= now) && worker.registers <= now);
        self.workers.retain(|worker| worker.leaves.is_none_or(|at| at > now));
        let slots = self.slots();
        for job in &mut self.jobs {
            if left && job.state == JobState::Running {
                job.restart(now);
            }
            job.advance(now, slots);
            if self.scheduler == Scheduler::Reactive && slots > 0 {
                job.upper = slots;
            }
        }
    }

    pub(crate) fn down(&self) -> bool {
        self.up_at > self.now
    }

    /// The JobManager dies. With high availability its live jobs come back from their last checkpoint; without it they are gone.
    pub(crate) fn crash_job_manager(&mut self, available: bool) {
        self.up_at = self.now + 20_000;
        let now = self.now;
        for job in &mut self.jobs {
            if job.state.live() {
                job.restart(now);
                job.ready_at = now + 25_000;
            }
            job.triggers.clear();
        }
        self.jobs.retain(|job| available && job.state.live());
    }

    fn scale(&mut self, to: u32) {
        if to < self.replicas {
            let live = self.jobs.iter().filter(|job| job.state.live());
            let age = |job: &Job| job.checkpoints.iter().map(|snap| self.now - snap.completed).min();
            let jobs = live.map(|job| (job.name.clone(), age(job))).collect();
            self.removals.push(Removal { at: self.now, jobs });
        }
        self.replicas = to;
        self.version += 1;
        let staying = self.workers.iter().filter(|worker| worker.leaves.is_none()).count();
        for _ in to as usize..staying {
            let marked = |worker: &Worker| worker.leaves.is_none() && self.victims.contains(&worker.name);
            let index = self.workers.iter().position(marked);
            let last = self.workers.iter().rposition(|worker| worker.leaves.is_none());
            if let Some(index) = index.or(last) {
                self.workers[index].leaves = Some(self.now + 1_000);
            }
        }
        self.grow(self.registration);
        if let Some(deployment) = &mut self.deployment {
            // Whoever writes zero suspends the job.
            deployment.suspended = to == 0;
            deployment.settled_at = self.now + 20_000;
            deployment.rolls_back = to > deployment.room;
        }
    }

    fn inspection(&self) -> Inspection {
        let pods = self.workers.iter().map(|worker| Pod {
            name: if self.foreign_pods { format!("web-{}", worker.name) } else { worker.name.clone() },
            ip: None,
        });
        let mut slots_used: u32 =
            self.jobs.iter().filter(|job| job.state == JobState::Running).map(|job| job.parallelism).sum();
        let managers = self.workers.iter().filter(|worker| self.registered(worker)).map(|worker| {
            let slots = self.slots_of(worker);
            let used = slots_used.min(slots);
            slots_used -= used;
            TaskManager { id: worker.name.clone(), host: "10.0.0.1".to_owned(), slots, free: slots - used }
        });
        let ghost = TaskManager { id: "gone".to_owned(), host: "10.0.0.9".to_owned(), slots: SLOTS, free: SLOTS };
        let ghost = (self.ghost_until > self.now).then_some(ghost);
        let mut cluster = jobs::cluster(self.scheduler, managers.chain(ghost).collect());
        cluster.web_submit = self.web_submit;
        cluster.web_rescale = self.web_rescale.unwrap_or(cluster.web_rescale);
        cluster.submission_stabilization = Some(Span(self.stabilization));
        cluster.jobs = self.jobs.iter().map(|job| job.facts(self.now)).collect();
        let target = TargetFacts {
            replicas: self.replicas,
            version: self.version.to_string(),
            owned_by_operator: self.owned_by_operator,
            pods: pods.collect(),
        };
        let deployment = self.deployment.as_ref().map(|deployment| DeploymentFacts {
            upgrade_mode: deployment.mode,
            in_place: false,
            running: !deployment.suspended && deployment.settled_at <= self.now,
            suspended: deployment.suspended,
            settled: deployment.settled_at <= self.now && !deployment.rolls_back,
            error: deployment.rolls_back.then(|| "ROLLED_BACK".to_owned()),
            rolled_back: deployment.settled_at <= self.now && deployment.rolls_back,
            snapshot_in_progress: false,
            autoscaler: deployment.autoscaler,
            upgrade_savepoint: None,
        });
        let cluster = deployment.is_none().then_some(cluster);
        Inspection { target, cluster, deployment }
    }

    fn job(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn trigger(
        &mut self,
        job: &str,
        id: &str,
        kind: Kind,
        directory: Option<&String>,
        fails: Option<Class>,
    ) -> Outcome {
        let now = self.now;
        let directory = directory.cloned().unwrap_or_else(|| "file:///sp".to_owned());
        match self.job(job) {
            Some(job) => {
                job.trigger(now, id, kind, &directory, fails);
                Outcome::Done
            }
            None => Outcome::Failed(Failure::new(Class::Gone, "FlinkJobNotFoundException")),
        }
    }

    fn run(&mut self, name: &str, id: &str, run: &tidegate_calculator::operation::action::Run) -> Outcome {
        if self.job(id).is_some() {
            return Outcome::Failed(Failure::new(Class::Conflict, "DuplicateJobSubmissionException"));
        }
        self.runs.push((name.to_owned(), run.savepoint.clone()));
        let mut job = Job::new(id, name, run.parallelism, self.now);
        job.checkpoints.clear();
        job.next_id = 100;
        job.state = JobState::Created;
        job.ready_at = self.now + 2_000;
        job.restored = run.savepoint.clone().map(|path| Restored { id: 99, savepoint: true, path: Some(path) });
        if self.run_fails > 0 {
            self.run_fails -= 1;
            job.fails_at = Some(self.now + 1_000);
        }
        self.jobs.push(job);
        Outcome::Started { job: id.to_owned() }
    }

    fn patch(&mut self, to: u32, version: &str) -> Outcome {
        if version != self.version.to_string() {
            return Outcome::Failed(Failure::new(Class::Conflict, "the object has been modified"));
        }
        self.scale(to);
        Outcome::Done
    }

    /// Performs an action now. `fails` is how a snapshot that it triggers will fail.
    pub(crate) fn perform(&mut self, action: &Action, fails: Option<Class>) -> Outcome {
        let now = self.now;
        let kubernetes = matches!(
            action,
            Action::Patch { .. }
                | Action::MarkVictims { .. }
                | Action::Annotate { .. }
                | Action::RunJob { .. }
                | Action::PollJob { .. }
                | Action::CallHttp { .. }
                | Action::PollHttp { .. }
                | Action::CreateSnapshotResource { .. }
                | Action::PollSnapshotResource { .. }
        );
        if self.down() && !kubernetes {
            return Outcome::Failed(Failure::new(Class::Unavailable, "503 ongoing leader election"));
        }
        match action {
            Action::Inspect => Outcome::Inspected(Box::new(self.inspection())),
            Action::TriggerCheckpoint { job, trigger, .. } => self.trigger(job, trigger, Kind::Checkpoint, None, fails),
            Action::TriggerSavepoint { job, trigger, directory, .. } => {
                self.trigger(job, trigger, Kind::Backup, directory.as_ref(), fails)
            }
            Action::StopWithSavepoint { job, trigger, directory, .. } => {
                self.trigger(job, trigger, Kind::Stop, directory.as_ref(), fails)
            }
            Action::PollCheckpoint { job, trigger } | Action::PollSavepoint { job, trigger } => {
                self.job(job).map_or(Outcome::NotFound, |job| job.poll(now, trigger))
            }
            Action::LookForSnapshot { job, .. } => {
                Outcome::Looked(self.job(job).map(|job| job.look(now)).unwrap_or_default())
            }
            Action::Patch { to, version } => self.patch(*to, version),
            Action::PutRequirements { job, bounds } => {
                let most = bounds.iter().map(|bound| bound.upper).max().unwrap();
                match self.job(job) {
                    Some(job) => {
                        job.upper = most;
                        Outcome::Done
                    }
                    None => Outcome::Failed(Failure::new(Class::Gone, "FlinkJobNotFoundException")),
                }
            }
            Action::MarkVictims { pods } => {
                self.victims.clone_from(pods);
                Outcome::Done
            }
            Action::PlanJar { .. } => match self.plan_fails {
                Some(class) => Outcome::Failed(Failure::new(class, "ClassNotFoundException")),
                None => Outcome::Done,
            },
            Action::RunJar { job, id, run } => self.run(job, id, run),
            Action::JobStatus { job } => self.job(job).map_or(Outcome::NotFound, |job| Outcome::Status(job.state)),
            Action::CancelJob { job } => {
                if let Some(job) = self.job(job).filter(|job| job.state.live()) {
                    job.state = JobState::Canceled;
                }
                Outcome::Done
            }
            _ => self.perform_kubernetes(action, fails),
        }
    }

    fn perform_kubernetes(&mut self, action: &Action, fails: Option<Class>) -> Outcome {
        let now = self.now;
        if let Some(class) = fails {
            return Outcome::Failed(Failure::new(class, "Caused by: a test"));
        }
        match action {
            Action::Annotate { value } => self.annotation.clone_from(value),
            Action::RunJob { name, .. } if !self.kubernetes_jobs.contains(name) => {
                self.kubernetes_jobs.push(name.clone());
            }
            Action::CallHttp { key, .. } => {
                self.http_calls.push(key.clone());
                if self.http_accepts {
                    return Outcome::InProgress;
                }
            }
            Action::PollHttp { key, .. } if !self.http_calls.contains(key) => return Outcome::NotFound,
            Action::CreateSnapshotResource { name, .. } => {
                let deployment = self.deployment.as_mut().unwrap();
                if !deployment.snapshots.iter().any(|(other, _)| other == name) {
                    deployment.snapshots.push((name.clone(), now + DURATION));
                }
            }
            Action::PollSnapshotResource { name } => {
                let due = self.deployment.as_ref().unwrap().snapshots.iter().find(|(other, _)| other == name);
                return match due {
                    None => Outcome::NotFound,
                    Some((_, due)) if *due > now => Outcome::InProgress,
                    Some((_, due)) => {
                        Outcome::Completed { id: None, path: Some("s3://x".to_owned()), age: Span(now - due) }
                    }
                };
            }
            _ => {}
        }
        Outcome::Done
    }
}
