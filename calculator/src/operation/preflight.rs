//! The first look: is the change possible, by which strategy, and which jobs does it concern?

use super::auto::{self, Choice, Situation};
use super::checkpoint;
use super::event::{Class, Outcome};
use super::facts::{ClusterFacts, DeploymentFacts, Inspection, JobFacts, Scheduler, UpgradeMode};
use super::failure::back_off;
use super::flight::POLL;
use super::phase::{Direction, Phase, Stage, Strategy};
use super::progress::Job;
use super::refusal::{Cause, Reason, Refusal};
use super::spec::{Batch, FirstStart, Flink, JobSelector, OnFailure, Select, StrategyChoice};
use super::victims::{self, Matching};
use super::{Action, Next, Operation, flink_deployment, none, stop_restore};
use crate::time::Span;

/// Failed checkpoints in a row that make a lowering unsafe.
const FAILED_IN_A_ROW: u32 = 2;

/// What the first look found.
pub(super) enum Verdict {
    /// The change can be made.
    Go,
    /// Not yet.
    Wait(Cause),
    /// It cannot be made.
    Stop(Cause),
    /// It would change nothing.
    Useless(Cause),
}

impl Operation {
    pub(super) fn inspect_next(&mut self, at: Span) -> Next {
        let Some(facts) = self.flight.facts_since(self.state.entered).cloned() else { return Next::Stay };
        if facts.target.replicas != self.state.from {
            let text = format!("somebody changed the replicas to {}", facts.target.replicas);
            return Next::End(Phase::Cancelled, Cause::new(Reason::TargetChanged, text));
        }
        match self.judge(&facts) {
            Verdict::Go => Next::Done,
            Verdict::Stop(cause) => Next::Fail(cause),
            Verdict::Useless(cause) => Next::End(Phase::Cancelled, cause),
            Verdict::Wait(cause) if at.0 - self.state.entered.0 >= self.verify_timeout().0 => self.in_trouble(cause),
            Verdict::Wait(_) => Next::Stay,
        }
    }

    /// A stage's own calls have failed for good. Growth goes on without protection where the user wants that: only TaskManagers come.
    pub(super) fn in_trouble(&mut self, cause: Cause) -> Next {
        if self.state.rolling.is_some() && self.state.stage() == Stage::Resource {
            // Without it more work is done twice; without the way back nothing is mended.
            self.state.trouble = None;
            self.announce(cause.reason.reason(), cause.text, true);
            return Next::Done;
        }
        let without = matches!(self.state.stage(), Stage::Inspect | Stage::Resource) && self.proceeds();
        if !without {
            return Next::Fail(cause);
        }
        self.state.trouble = None;
        self.proceed(cause);
        if self.state.stage() == Stage::Inspect {
            self.choose(
                Strategy::None,
                "the cluster could not be looked at, and the user wants to proceed",
                none::plan(),
            );
        }
        Next::Done
    }

    /// What an inspection means, whoever asked for it.
    pub(super) fn absorb_inspection(&mut self, outcome: Outcome, sent: Span, at: Span) {
        let rest = match outcome {
            Outcome::Inspected(facts) => {
                self.flight.facts = Some((*facts, sent));
                self.count_missing(at);
                2 * POLL.0
            }
            Outcome::Failed(failure) => {
                if matches!(self.state.stage(), Stage::Inspect | Stage::Stable) {
                    self.preflight_failed(failure.class, &failure.text, at);
                }
                5 * POLL.0
            }
            _ => 5 * POLL.0,
        };
        self.flight.rest(Action::Inspect, Span(at.0 + rest));
    }

    fn preflight_failed(&mut self, class: Class, text: &str, at: Span) {
        self.state.failures = self.state.failures.saturating_add(1);
        self.state.resting = Span(at.0 + back_off(self.state.failures).0);
        // What is refused now is not asked again at once. But a Secret, an authentication or the JobManager may be mended, and nobody tells
        // us: so it does not wait for another object or policy either.
        if class == Class::Config || self.state.failures >= self.attempts() {
            self.state.trouble = Some(Cause::new(Reason::JobManagerUnavailable, text));
        }
    }

    pub(super) fn judge(&mut self, facts: &Inspection) -> Verdict {
        let Some((_, flink)) = self.state.spec.flink(self.state.direction) else {
            self.choose(Strategy::None, "no flink item takes part", none::plan());
            return Verdict::Go;
        };
        let flink = flink.clone();
        if facts.target.owned_by_operator && facts.deployment.is_none() && flink.strategy != StrategyChoice::None {
            return refuse(Refusal::TargetOwnedByFlinkOperator, "");
        }
        if let Some(deployment) = &facts.deployment
            && let Some(refusal) = refused_deployment(deployment, &flink)
        {
            return refuse(refusal, "");
        }
        let jobs = match self.select(facts, &flink) {
            Ok(jobs) => jobs,
            Err(cause) => return Verdict::Stop(cause),
        };
        self.drop_jobs_that_run(facts);
        let situation = self.situation(facts, &flink, &jobs);
        let strategy = match auto::choose(&situation) {
            (Choice::Use(strategy), why) => {
                why.clone_into(&mut self.state.why);
                strategy
            }
            (Choice::Refuse(refusal), why) => return refuse(refusal, why),
        };
        if matches!(strategy, Strategy::Checkpoint | Strategy::StopRestore) {
            let Some(cluster) = &facts.cluster else {
                let text = "the JobManager's answer has no cluster";
                return Verdict::Wait(Cause::new(Reason::JobManagerUnavailable, text));
            };
            if let Some(verdict) = self.check_cluster(strategy, cluster, facts, &jobs) {
                return verdict;
            }
        }
        self.settle_on(strategy, facts, &flink, &jobs);
        self.cap().map_or(Verdict::Go, Verdict::Useless)
    }

    fn situation(&self, facts: &Inspection, flink: &Flink, jobs: &[JobFacts]) -> Situation {
        let to_run = self.state.jobs.iter().filter(|job| job.parked && !job.gone);
        let template = |job: &JobFacts| flink.template(&job.name, &job.id, &job.patterns).is_some();
        let parked = |job: &Job| flink.template(&job.name, &job.id, &job.patterns).is_some();
        let cluster = facts.cluster.as_ref();
        Situation {
            direction: self.state.direction,
            chosen: flink.strategy,
            deployment: facts.deployment.is_some(),
            scheduler: cluster.map_or(Scheduler::Unknown, |cluster| cluster.scheduler),
            web_rescale: cluster.is_some_and(|cluster| cluster.web_rescale),
            web_submit: cluster.is_some_and(|cluster| cluster.web_submit),
            live: !jobs.is_empty(),
            parked: to_run.clone().next().is_some(),
            templates: jobs.iter().all(template) && to_run.clone().all(parked),
        }
    }

    /// Whether a job of the list is one that this operation looks after.
    pub(super) fn looks_after(&self, job: &JobFacts) -> bool {
        self.flink().looks_after(job)
    }

    /// The live jobs that are looked after.
    fn select(&mut self, facts: &Inspection, flink: &Flink) -> Result<Vec<JobFacts>, Cause> {
        let Some(cluster) = &facts.cluster else { return Ok(Vec::new()) };
        let live: Vec<&JobFacts> = cluster.jobs.iter().filter(|job| job.state.live()).collect();
        let blocked = self.state.direction.lowers() && flink.jobs.batch == Batch::Block;
        if let Some(batch) = live.iter().find(|job| job.batch && blocked) {
            return Err(Cause::refused(Refusal::BatchJobRunning, &format!("job {}", batch.name)));
        }
        for entry in &flink.jobs.list {
            let matching = live.iter().filter(|job| entry.selects(&job.name, &job.id, &job.patterns)).count();
            let waits =
                self.state.jobs.iter().any(|job| job.parked && entry.selects(&job.name, &job.id, &job.patterns));
            let empty = entry.run.as_ref().is_some_and(|run| run.first_start == FirstStart::Empty);
            let name = selector_text(&entry.select);
            if matching > 1 {
                return Err(Cause::refused(Refusal::JobAmbiguous, name));
            }
            if matching == 1 || waits || entry.run.is_none() && flink.jobs.select == Select::All {
                continue;
            }
            let starts = self.state.direction == Direction::FromZero && entry.run.is_some();
            match &entry.select {
                JobSelector::Name(name) if starts && empty => self.first_start(name),
                _ if starts => return Err(Cause::refused(Refusal::SavepointUnknown, &format!("job {name}"))),
                _ if flink.jobs.select == Select::Listed => {
                    return Err(Cause::refused(Refusal::JobNotFound, &format!("job {name}")));
                }
                _ => {}
            }
        }
        Ok(live.into_iter().filter(|job| self.looks_after(job)).cloned().collect())
    }

    /// A job that was never seen starts from empty state, because the user allows that.
    fn first_start(&mut self, name: &str) {
        if self.state.jobs.iter().any(|job| job.name == name) {
            return;
        }
        let job = Job {
            name: name.to_owned(),
            share: 1,
            wait: Span::seconds(630),
            ended: true,
            parked: true,
            ..Job::default()
        };
        self.state.jobs.push(job);
    }

    /// Stopped jobs that somebody has run meanwhile: a second run would be two of one job.
    pub(super) fn drop_jobs_that_run(&mut self, facts: &Inspection) {
        let Some(cluster) = &facts.cluster else { return };
        let own = |job: &Job, id: &str| {
            (!job.parked && job.id == id && job.stop.attempt > 0) || job.run.as_ref().is_some_and(|run| run.id == id)
        };
        let foreign = |met: &&JobFacts| met.state.live() && !self.state.jobs.iter().any(|job| own(job, &met.id));
        let foreign: Vec<&str> = cluster.jobs.iter().filter(foreign).map(|met| met.name.as_str()).collect();
        let mut told = Vec::new();
        for job in self.state.jobs.iter_mut().filter(|job| job.stopped() && !job.gone && job.run.is_none()) {
            if foreign.contains(&job.name.as_str()) {
                job.gone = true;
                told.push(format!("job {} was run by somebody else; its savepoint stays where it is", job.name));
            }
        }
        for text in told {
            self.announce("JobRunsAlready", text, true);
        }
    }

    fn check_cluster(
        &self,
        strategy: Strategy,
        cluster: &ClusterFacts,
        facts: &Inspection,
        jobs: &[JobFacts],
    ) -> Option<Verdict> {
        match victims::matching(cluster, &facts.target.pods) {
            Matching::All => {}
            Matching::None => return Some(refuse(Refusal::TargetNotTaskManagers, "")),
            Matching::Some => {
                let text =
                    "a TaskManager has no pod of the target; one that died is listed until its heartbeat times out";
                return Some(Verdict::Wait(Cause::new(Reason::JobNotReady, text)));
            }
        }
        for job in jobs {
            let about = format!("job {}", job.name);
            let Some(checkpointing) = job.checkpointing else {
                return Some(Verdict::Wait(Cause::new(
                    Reason::JobNotReady,
                    format!("{about}: its settings are not known"),
                )));
            };
            if strategy == Strategy::Checkpoint && checkpointing.interval.is_none() {
                return Some(refuse(Refusal::NoCheckpointing, &about));
            }
            if !job.ready() {
                return Some(Verdict::Wait(Cause::new(Reason::JobNotReady, format!("{about} does not run wholly"))));
            }
            if self.state.direction.lowers() && checkpoints_fail(job, checkpointing.interval, checkpointing.timeout) {
                return Some(refuse(Refusal::CheckpointsFailing, &about));
            }
        }
        let no_path = |job: &&Job| job.path.is_none() && !self.starts_empty(job);
        if let Some(job) = self.state.jobs.iter().filter(|job| job.parked && !job.gone).find(no_path) {
            return Some(refuse(Refusal::SavepointUnknown, &format!("job {}", job.name)));
        }
        None
    }

    /// Whether a job without a path may start from empty state: only one that was never stopped by us.
    pub(super) fn starts_empty(&self, job: &Job) -> bool {
        let template = self.flink().template(&job.name, &job.id, &job.patterns);
        job.id.is_empty() && template.is_some_and(|run| run.first_start == FirstStart::Empty)
    }

    /// Takes the strategy, and with it the jobs and the plan.
    fn settle_on(&mut self, strategy: Strategy, facts: &Inspection, flink: &Flink, jobs: &[JobFacts]) {
        let direction = self.state.direction;
        for facts in jobs {
            let job = self.meet(facts);
            self.state.jobs.push(job);
        }
        let why = self.state.why.clone();
        let written = self.state.spec.flink(direction).and_then(|(item, _)| item.on_failure.written(direction));
        if strategy == Strategy::StopRestore && written == Some(OnFailure::Proceed) {
            let text = "onFailure Proceed acts as Abort: under StopRestore a job is stopped, and must run again";
            self.announce("ProceedActsAsAbort", text.to_owned(), false);
        }
        let mut plan = match strategy {
            Strategy::None => none::plan(),
            Strategy::StopRestore => stop_restore::plan(direction),
            Strategy::FlinkDeployment => {
                let deployment = facts.deployment.as_ref();
                self.state.upgrade_savepoint = deployment.and_then(|deployment| deployment.upgrade_savepoint.clone());
                flink_deployment::plan(direction, deployment, flink)
            }
            Strategy::Checkpoint => {
                let cluster = facts.cluster.as_ref();
                self.state.reactive = cluster.is_some_and(|cluster| cluster.scheduler == Scheduler::Reactive);
                let stabilization = cluster.and_then(|cluster| cluster.submission_stabilization);
                let order = checkpoint::order(flink.checkpoint.order, stabilization);
                checkpoint::plan(direction, self.state.reactive, order)
            }
        };
        // A job that was left behind before runs again with this change, whatever its strategy is.
        if strategy == Strategy::Checkpoint
            && self.state.jobs.iter().any(|job| job.parked && !job.gone && self.template(job).is_some())
        {
            let place = plan.iter().position(|stage| *stage == Stage::Verify).unwrap_or(plan.len());
            plan.insert(place, Stage::Run);
        }
        if let Some(cluster) = &facts.cluster {
            let slots = cluster.slots_per();
            self.state.slots_per = self.state.slots_per.or(slots);
            self.state.cooldown = effective_cooldown(self.state.cooldown, cluster, jobs);
        }
        self.choose(strategy, &why, plan);
    }

    fn choose(&mut self, strategy: Strategy, why: &str, plan: Vec<Stage>) {
        self.state.strategy = Some(strategy);
        why.clone_into(&mut self.state.why);
        self.state.plan = std::iter::once(Stage::Inspect).chain(plan).collect();
        self.state.at = 0;
    }

    /// A job as it is met running, with what is remembered and listed about it.
    pub(super) fn meet(&self, facts: &JobFacts) -> Job {
        Job::meet(facts, self.flink(), &self.shapes)
    }

    /// The slots of each job at the goal, in the order of the jobs; jobs that have ended get none.
    pub(super) fn slots(&self) -> Vec<u32> {
        let total = self.state.slots_per.unwrap_or(1).saturating_mul(self.state.goal());
        Job::slots(&self.state.jobs, total)
    }
}

fn refuse(refusal: Refusal, about: &str) -> Verdict {
    Verdict::Stop(Cause::refused(refusal, about))
}

fn refused_deployment(deployment: &DeploymentFacts, flink: &Flink) -> Option<Refusal> {
    if flink.strategy == StrategyChoice::None {
        return None;
    }
    if deployment.autoscaler {
        return Some(Refusal::ForeignAutoscaler);
    }
    let loses = deployment.upgrade_mode == UpgradeMode::Stateless && !deployment.in_place;
    (loses && !flink.flink_deployment.allow_stateless).then_some(Refusal::StatelessUpgrade)
}

/// Whether checkpoints are not well enough to trust one when TaskManagers leave: several failed in a row, none or only an old one is there, or
/// they take so long that the next may expire.
fn checkpoints_fail(job: &JobFacts, interval: Option<Span>, timeout: Span) -> bool {
    let Some(interval) = interval else { return false };
    let slow = job.p95.is_some_and(|p95| p95.0 > timeout.0 / 2);
    let old = job
        .completed
        .as_ref()
        .is_none_or(|completed| completed.completed.0 > interval.0.saturating_mul(3).saturating_add(timeout.0));
    job.failed_in_a_row >= FAILED_IN_A_ROW || slow || (old && job.failed_in_a_row > 0)
}

/// The pause after an operation: the user's, Flink's after a rescale, and three checkpoint intervals; the longest counts.
fn effective_cooldown(written: Span, cluster: &ClusterFacts, jobs: &[JobFacts]) -> Span {
    let intervals = jobs.iter().filter_map(|job| job.checkpointing.and_then(|checkpointing| checkpointing.interval));
    let three = intervals.map(|interval| Span(interval.0.saturating_mul(3))).max().unwrap_or(Span::ZERO);
    written.max(three).max(cluster.cooldown_after_rescaling.unwrap_or(Span::ZERO))
}

fn selector_text(selector: &JobSelector) -> &str {
    match selector {
        JobSelector::Name(text) | JobSelector::NamePattern(text) | JobSelector::Id(text) => text,
    }
}
