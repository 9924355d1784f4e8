//! The strategy `FlinkDeployment`: the Flink Kubernetes Operator restarts the job; this waits for its rest, saves it work, and looks at the result.
//!
//! With `upgradeMode: savepoint` the operator takes the savepoint itself, and ours would be a second one. With `last-state` a
//! FlinkStateSnapshot comes first: there is less to replay. Stateless is refused unless the user accepts the loss. Zero replicas are a suspended
//! job: whoever writes the target knows that, and to the operation they are a number like any other.

use super::action::Action;
use super::event::{Class, Outcome};
use super::facts::{DeploymentFacts, UpgradeMode};
use super::failure::back_off;
use super::flight::{Mark, POLL};
use super::ids;
use super::phase::{Direction, Phase, Stage, Strategy};
use super::progress::Taken;
use super::refusal::{Cause, Reason};
use super::spec::{Flink, LastState};
use super::{Next, Operation};
use crate::time::Span;

/// How long a FlinkStateSnapshot may take: the operator retries inside.
const RESOURCE_LIMIT: Span = Span::seconds(900);

/// The stages of a change.
pub(super) fn plan(direction: Direction, deployment: Option<&DeploymentFacts>, flink: &Flink) -> Vec<Stage> {
    use Stage::{Confirm, Deployed, Items, Patch, Post, Resource, Stable};
    let last_state = deployment.is_some_and(|deployment| deployment.upgrade_mode == UpgradeMode::LastState);
    let first = last_state && flink.flink_deployment.last_state == LastState::CheckpointFirst;
    let mut plan = match direction {
        Direction::FromZero => vec![Items],
        _ => vec![Stable, Items],
    };
    if first && direction != Direction::FromZero {
        plan.push(Resource);
    }
    plan.extend([Confirm, Patch, Deployed, Post]);
    plan
}

/// The stages back, with a snapshot first if the job runs.
pub(super) fn way_back(direction: Direction, patching: bool, saved: bool) -> Option<Vec<Stage>> {
    let plan = [Stage::Resource, Stage::Patch, Stage::Deployed].into_iter().skip(usize::from(!saved));
    (patching && direction != Direction::FromZero).then(|| plan.collect())
}

impl Operation {
    fn deployment(&self) -> Option<&DeploymentFacts> {
        self.flight.facts_since(self.state.entered).and_then(|facts| facts.deployment.as_ref())
    }

    /// Whether the way back begins with a snapshot, as the way there did: the job runs now, and the operator will start it once more.
    pub(super) fn is_saved_on_the_way_back(&self) -> bool {
        self.state.plan.contains(&Stage::Resource) && self.deployment().is_some_and(|facts| facts.running)
    }

    /// Whether the operator has taken the present spec back.
    fn is_rolled_back(&self) -> bool {
        self.deployment().is_some_and(|facts| facts.rolled_back)
    }

    fn zero_goal(&self) -> bool {
        self.state.goal() == 0
    }

    /// The operator is at rest: the job runs, the spec is reconciled, no snapshot is in progress.
    pub(super) fn stable_next(&mut self, at: Span) -> Next {
        let rest = |facts: &DeploymentFacts| facts.running && facts.settled && !facts.snapshot_in_progress;
        if self.deployment().is_some_and(rest) {
            return Next::Done;
        }
        if self.is_rolled_back() {
            let text = "the Flink Kubernetes Operator has taken the last change of the FlinkDeployment back, and would try it again with \
                        this one: mend its spec first";
            return self.in_trouble(Cause::new(Reason::JobNotReady, text));
        }
        if at.0 - self.state.entered.0 < self.verify_timeout().0 {
            return Next::Stay;
        }
        let suspended = self.deployment().is_some_and(|facts| facts.suspended);
        let text = if suspended {
            "the FlinkDeployment is suspended, and not by Tidegate: it is scaled once its spec.job.state is running"
        } else {
            "the Flink Kubernetes Operator did not come to rest"
        };
        self.in_trouble(Cause::new(Reason::JobNotReady, text))
    }

    pub(super) fn resource_wanted(&self, at: Span) -> Vec<Action> {
        let resource = &self.state.resource;
        if !resource.pending() || resource.since.is_none_or(|since| since > at) {
            return Vec::new();
        }
        let name = ids::object_name(&self.state.id, "state", resource.attempt);
        if self.flight.mark(&name).is_some() {
            return vec![Action::PollSnapshotResource { name }];
        }
        let backoff_limit = self.flink().flink_deployment.backoff_limit;
        vec![Action::CreateSnapshotResource { name, backoff_limit }]
    }

    pub(super) fn resource_next(&mut self, at: Span) -> Next {
        let over = self.state.resource.since.is_some_and(|since| at.0 - since.0 >= RESOURCE_LIMIT.0);
        if over && self.state.resource.pending() {
            self.resource_failed("the FlinkStateSnapshot took too long", at);
        }
        match (&self.state.resource.taken, self.state.resource.given_up.clone()) {
            (Some(_), _) => Next::Done,
            (None, Some(cause)) => self.in_trouble(cause),
            (None, None) => Next::Stay,
        }
    }

    fn resource_failed(&mut self, text: &str, at: Span) {
        let attempts = self.attempts();
        let resource = &mut self.state.resource;
        resource.failures = resource.failures.saturating_add(1);
        if resource.failures >= attempts {
            resource.given_up = Some(Cause::new(Reason::SnapshotFailed, text));
        } else {
            let pause = back_off(resource.failures);
            resource.again(Span(at.0 + pause.0));
        }
    }

    pub(super) fn absorb_resource(&mut self, action: Action, outcome: Outcome, sent: Span, at: Span) {
        let (Action::CreateSnapshotResource { name, .. } | Action::PollSnapshotResource { name }) = &action else {
            return;
        };
        let current = ids::object_name(&self.state.id, "state", self.state.resource.attempt);
        if *name != current || !self.state.resource.pending() {
            return;
        }
        let polling = matches!(action, Action::PollSnapshotResource { .. });
        match outcome {
            Outcome::Completed { id, path, age } => {
                self.state.resource.taken = Some(Taken { id, path, completed: Span(sent.0.saturating_sub(age.0)) });
            }
            // Somebody deleted it: create it again.
            Outcome::NotFound => {
                self.flight.marks.remove(&current);
            }
            Outcome::Done if !polling => self.flight.set(&current, Mark::Accepted),
            Outcome::Failed(failure) => match failure.class {
                Class::Config => {
                    self.state.resource.given_up = Some(Cause::config(Reason::SnapshotFailed, failure.text));
                }
                Class::Unavailable | Class::Lost | Class::Conflict => self.flight.rest(action, Span(at.0 + 2 * POLL.0)),
                _ => self.resource_failed(&failure.text, at),
            },
            _ => self.flight.rest(action, Span(at.0 + 2 * POLL.0)),
        }
    }

    /// Whether the FlinkStateSnapshot is too old to patch on; then it is taken again, a few times.
    pub(super) fn resource_too_old(&mut self, at: Span) -> bool {
        if self.state.strategy != Some(Strategy::FlinkDeployment) || self.state.rounds >= self.attempts() {
            return false;
        }
        let max_age = self.flink().checkpoint.max_age;
        let old = self.state.resource.taken.as_ref().is_some_and(|taken| at.0 - taken.completed.0 >= max_age.0);
        if old && self.state.rolling.is_none() {
            self.state.rounds = self.state.rounds.saturating_add(1);
            return true;
        }
        false
    }

    /// The operator has done the change. It may take its whole upgrade: the savepoint, the deletion, the new pods.
    pub(super) fn deployed_next(&mut self, at: Span) -> Next {
        let zero = self.zero_goal();
        let done = self.deployment().is_some_and(|facts| {
            facts.settled && if zero { facts.suspended && !facts.running } else { facts.running && !facts.suspended }
        });
        if done {
            return Next::Done;
        }
        let error = self.deployment().and_then(|facts| facts.error.clone());
        // Nothing more will come of an upgrade that was taken back.
        if at.0 - self.state.entered.0 < self.verify_timeout().0 && !self.is_rolled_back() {
            return Next::Stay;
        }
        let text =
            error.unwrap_or_else(|| "the Flink Kubernetes Operator has not finished the change in time".to_owned());
        let cause = Cause::new(Reason::OperatorFailed, text);
        if self.state.rolling.is_some() { Next::End(Phase::Failed, cause) } else { Next::Fail(cause) }
    }
}
