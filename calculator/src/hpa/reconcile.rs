//! One whole pass of an autoscaler, in the controller's order (hpa-algorithm §3).

use std::collections::BTreeMap;
use std::fmt;

use crate::hpa::combine::combine;
use crate::hpa::conditions::{ConditionType, Conditions};
use crate::hpa::history::{Recommended, book};
use crate::hpa::limits::Limits;
use crate::hpa::metric::{Evaluated, Failed, evaluate};
use crate::hpa::observation::{Observation, Scale, ScaleRead};
use crate::hpa::pods::Pod;
use crate::hpa::proposal::Ground;
use crate::hpa::selector::{Selector, SelectorError};
use crate::hpa::spec::{Settings, Spec};
use crate::hpa::stabilize::Windows;
use crate::hpa::state::{MetricStatus, State};
use crate::hpa::words::Word;
use crate::time::Tick;

/// How often a write that met somebody else's is tried.
const TRIES: u32 = 5;

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconciled {
    /// What the autoscaler knows after it; `state.status.desired` is the count.
    pub state: State,
    /// The count that it tried to write, if it differed from what was there.
    pub attempted: Option<i32>,
    /// Whether that write succeeded.
    pub scaled: bool,
    /// Whether the status differs from the one before, so that it is written.
    pub status_changed: bool,
    /// What the pass counts as.
    pub labels: Labels,
    /// What the last metric of each type counts as.
    pub metric_labels: BTreeMap<String, Labels>,
    /// What was announced, in order.
    pub events: Vec<Event>,
    /// The error that the pass ended in; it may have scaled all the same.
    pub error: Option<String>,
}

/// The labels that the controller counts a pass, or the computation of a metric, under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Which way it went.
    pub action: Action,
    /// Whose mistake there was.
    pub error: Failure,
}

/// Which way a pass went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// More replicas.
    ScaleUp,
    /// Fewer replicas.
    ScaleDown,
    /// The same.
    #[default]
    None,
}

/// Whose mistake there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// Nobody's.
    #[default]
    None,
    /// The object's.
    Spec,
    /// Another's.
    Internal,
}

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A warning, or a normal event.
    pub warning: bool,
    /// The stable reason.
    pub reason: Word,
    /// What people read.
    pub message: String,
}

/// One pass: from what an autoscaler asks for, knows and sees to what it does. Nothing but the result is changed.
pub fn reconcile(spec: &Spec, state: &State, observed: &Observation, now: Tick, settings: &Settings) -> Reconciled {
    let mut pass = Pass {
        spec,
        observed,
        now,
        settings,
        before: state.status.current,
        state: state.clone(),
        attempted: None,
        scaled: false,
        metric_labels: BTreeMap::new(),
        events: Vec::new(),
    };
    let ended = pass.run();
    let status = &mut pass.state.status;
    if spec.generation.is_some() {
        status.observed_generation = spec.generation;
    }
    let error = match &ended {
        Ok(()) => Failure::None,
        Err(error) if error.by_spec => Failure::Spec,
        Err(_) => Failure::Internal,
    };
    Reconciled {
        status_changed: *status != state.status,
        labels: Labels { action: Action::between(status.current, status.desired), error },
        state: pass.state,
        attempted: pass.attempted,
        scaled: pass.scaled,
        metric_labels: pass.metric_labels,
        events: pass.events,
        error: ended.err().map(|error| error.text),
    }
}

/// What a pass ends in when not all went well.
struct PassError {
    text: String,
    by_spec: bool,
}

/// A pass under way.
struct Pass<'a> {
    spec: &'a Spec,
    observed: &'a Observation,
    now: Tick,
    settings: &'a Settings,
    /// `status.currentReplicas` before this pass.
    before: i32,
    state: State,
    attempted: Option<i32>,
    scaled: bool,
    metric_labels: BTreeMap<String, Labels>,
    events: Vec<Event>,
}

/// What is wanted, and what an event would say of it.
struct Wish {
    replicas: i32,
    why: String,
    metrics: Vec<Option<MetricStatus>>,
    /// Some metrics failed: the pass ends in this.
    error: Option<String>,
}

/// What the metrics come to.
struct Combined {
    replicas: i32,
    name: String,
    metrics: Vec<Option<MetricStatus>>,
    error: Option<String>,
}

/// No metric may be used: nothing is scaled.
struct TotalFailure {
    error: String,
    metrics: Vec<Option<MetricStatus>>,
}

impl<'a> Pass<'a> {
    fn run(&mut self) -> Result<(), PassError> {
        let scale = self.scale()?;
        let (current, now) = (scale.replicas, self.now);
        self.conditions().set(ConditionType::AbleToScale, true, Word::SucceededGetScale, now);
        self.state.recommendations.get_or_insert_with(|| vec![Recommended { at: now, replicas: current }]);
        let wish = match self.wish(scale) {
            Ok(wish) => wish,
            Err(failure) => {
                let TotalFailure { error, metrics } = failure;
                self.state.status.current = current;
                self.state.status.metrics = metrics;
                self.announce(true, Word::FailedComputeMetricsReplicas, error.clone());
                let text = format!("failed to compute desired number of replicas based on listed metrics: {error}");
                return Err(PassError { text, by_spec: false });
            }
        };
        self.state.status.current = current;
        self.state.status.metrics.clone_from(&wish.metrics);
        if wish.replicas != current {
            self.write(current, &wish)?;
        }
        self.state.status.desired = wish.replicas;
        match wish.error {
            Some(text) => Err(PassError { text, by_spec: false }),
            None => Ok(()),
        }
    }

    fn scale(&mut self) -> Result<&'a Scale, PassError> {
        let (spec, observed) = (self.spec, self.observed);
        let version = &spec.api_version;
        let (why, by_spec) = match &observed.scale {
            _ if version.matches('/').count() > 1 => (format!("unexpected GroupVersion string: {version}"), true),
            ScaleRead::Failed(error) => (error.clone(), false),
            ScaleRead::Read(scale) => return Ok(scale),
        };
        let message = format!("the HPA controller was unable to get the target's current scale: {why}");
        let now = self.now;
        self.conditions().say(ConditionType::AbleToScale, false, Word::FailedGetScale, message, now);
        self.announce(true, Word::FailedGetScale, why.clone());
        Err(PassError { text: format!("failed to query scale subresource: {why}"), by_spec })
    }

    /// What is wanted: what the metrics want, but bounds that are not kept come first and need no metrics.
    fn wish(&mut self, scale: &Scale) -> Result<Wish, TotalFailure> {
        let (current, min, max) = (scale.replicas, self.spec.min, self.spec.max);
        let plain = |replicas, why: &str| Wish { replicas, why: why.to_owned(), metrics: Vec::new(), error: None };
        let to_zero = self.settings.scale_to_zero && self.conditions().holds(&ConditionType::ScaledToZero);
        if current == 0 && !(to_zero && (min > 0 || self.spec.has_metric_without_pods())) {
            self.disable();
            return Ok(plain(0, ""));
        }
        if current > max {
            return Ok(plain(max, "Current number of replicas above Spec.MaxReplicas"));
        }
        if current != 0 && current < min {
            return Ok(plain(min, "Current number of replicas below Spec.MinReplicas"));
        }
        let Combined { replicas, name, metrics, error } = self.evaluate(scale)?;
        let desired = replicas.max(0);
        let why = match Action::between(current, desired) {
            Action::ScaleUp => format!("{name} above target"),
            Action::ScaleDown => "All metrics below target".to_owned(),
            Action::None => String::new(),
        };
        let normalized = self.normalize(current, desired);
        let raised = if current == 0 && to_zero { normalized.max(min) } else { normalized };
        Ok(Wish { replicas: raised, why, metrics, error })
    }

    /// Somebody scaled the target to zero: it stays there.
    fn disable(&mut self) {
        let now = self.now;
        self.conditions().set(ConditionType::ScalingActive, false, Word::ScalingDisabled, now);
        if !self.settings.scale_to_zero {
            self.conditions().remove(&ConditionType::ScaledToZero);
        }
    }

    fn evaluate(&mut self, scale: &Scale) -> Result<Combined, TotalFailure> {
        let pods = self.pods(scale).map_err(|error| TotalFailure { error, metrics: Vec::new() })?;
        let ground = Ground {
            current: scale.replicas,
            pods: &pods,
            tolerance: self.spec.tolerance(self.settings),
            youth: self.settings.youth,
            pod_level: self.settings.pod_level_resources,
            now: self.now,
        };
        let (mut best, mut failures, mut metrics) = (None::<(i32, String)>, Vec::new(), Vec::new());
        let spec = self.spec;
        for (index, metric) in spec.metrics.iter().enumerate() {
            let outcome = evaluate(metric, self.observed.answers.get(index), scale, &ground);
            self.metric_labels.insert(metric.source.kind().to_owned(), self.metric_label(&outcome));
            match outcome {
                Ok(Evaluated { replicas, name, status }) => {
                    metrics.push(Some(status));
                    if best.as_ref().is_none_or(|(most, _)| *most == 0 || replicas > *most) {
                        best = Some((replicas, name));
                    }
                }
                Err(failed) => {
                    metrics.push(None);
                    self.announce(true, failed.reason, failed.message.clone());
                    failures.push(failed);
                }
            }
        }
        self.combined(best, &failures, metrics, scale.replicas)
    }

    fn combined(
        &mut self,
        best: Option<(i32, String)>,
        failures: &[Failed],
        metrics: Vec<Option<MetricStatus>>,
        current: i32,
    ) -> Result<Combined, TotalFailure> {
        let (invalid, all, now) = (failures.len(), self.spec.metrics.len(), self.now);
        let error = failures.first().map(|first| {
            format!("invalid metrics ({invalid} invalid out of {all}), first error is: {}", first.message)
        });
        let (replicas, name) = best.unzip();
        if let Some(replicas) = combine(replicas, invalid, current) {
            let name = name.unwrap_or_default();
            let message = format!("the HPA was able to successfully calculate a replica count from {name}");
            self.conditions().say(ConditionType::ScalingActive, true, Word::ValidMetricFound, message, now);
            return Ok(Combined { replicas, name, metrics, error });
        }
        if let Some(Failed { reason, message, .. }) = failures.first() {
            let message = format!("the HPA was unable to compute the replica count: {message}");
            self.conditions().say(ConditionType::ScalingActive, false, *reason, message, now);
        }
        Err(TotalFailure { error: error.unwrap_or_else(|| "there is no metric".to_owned()), metrics })
    }

    /// The pods that the target's selector matches, unless another autoscaler's matches one of them too.
    fn pods(&mut self, scale: &Scale) -> Result<Vec<&'a Pod>, String> {
        let selector = match Selector::parse(&scale.selector) {
            Ok(selector) => selector,
            Err(error) => {
                let message = match &error {
                    SelectorError::Empty => "the HPA target's scale is missing a selector".to_owned(),
                    SelectorError::Malformed { .. } => {
                        format!("the HPA target's scale has no usable selector: {error}")
                    }
                };
                let event = match &error {
                    SelectorError::Empty => Word::SelectorRequired,
                    SelectorError::Malformed { .. } => Word::InvalidSelector,
                };
                return Err(self.unselected(Word::InvalidSelector, event, message, error.to_string()));
            }
        };
        let observed = self.observed;
        let pods: Vec<&Pod> = observed.pods.iter().filter(|pod| selector.matches(&pod.labels)).collect();
        let matches =
            |text: &str| Selector::parse(text).is_ok_and(|other| pods.iter().any(|pod| other.matches(&pod.labels)));
        let others = observed.others.iter().filter(|other| matches(&other.selector));
        let others: Vec<&str> = others.map(|other| other.name.as_str()).collect();
        if others.is_empty() {
            return Ok(pods);
        }
        let message =
            format!("pods by selector {} are controlled by multiple HPAs: {}", scale.selector, others.join(", "));
        Err(self.unselected(Word::AmbiguousSelector, Word::AmbiguousSelector, message.clone(), message))
    }

    fn unselected(&mut self, reason: Word, event: Word, message: String, error: String) -> String {
        let now = self.now;
        self.announce(true, event, error.clone());
        self.conditions().say(ConditionType::ScalingActive, false, reason, message, now);
        error
    }

    /// Windows, then bounds and rates; each tells its condition.
    fn normalize(&mut self, current: i32, desired: i32) -> i32 {
        let (spec, settings, now) = (self.spec, self.settings, self.now);
        let windows = match &spec.behavior {
            None => Windows::Legacy(settings.downscale_window),
            Some(behavior) => Windows::Both { up: behavior.up.window, down: behavior.down.window },
        };
        let list = self.state.recommendations.get_or_insert_default();
        let stable = windows.apply(list, current, desired, now);
        let word = if stable == desired { Word::ReadyForNewScale } else { windows.reason(current, desired) };
        self.conditions().set(ConditionType::AbleToScale, true, word, now);
        let (ups, downs) = (&self.state.ups, &self.state.downs);
        let limits = Limits { current, min: spec.min, max: spec.max, now, ups, downs };
        let (replicas, word) = match &spec.behavior {
            None => limits.legacy(stable, settings.scale_up_factor, settings.scale_up_least),
            Some(behavior) => limits.by_rate(stable, behavior),
        };
        self.conditions().set(ConditionType::ScalingLimited, replicas != stable, word, now);
        replicas
    }

    /// Writes the scale and books the change.
    fn write(&mut self, current: i32, wish: &Wish) -> Result<(), PassError> {
        let (now, replicas, why) = (self.now, wish.replicas, &wish.why);
        self.attempted = Some(replicas);
        let write = &self.observed.write;
        let conflict = (write.conflicts >= TRIES).then(|| "the object has been modified".to_owned());
        if let Some(error) = conflict.or_else(|| write.error.clone()) {
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            self.conditions().say(ConditionType::AbleToScale, false, Word::FailedUpdateScale, message, now);
            self.announce(true, Word::FailedRescale, format!("New size: {replicas}; reason: {why}; error: {error}"));
            return Err(PassError { text: format!("failed to rescale: {error}"), by_spec: false });
        }
        self.scaled = true;
        let message = format!("the HPA controller was able to update the target scale to {replicas}");
        self.conditions().say(ConditionType::AbleToScale, true, Word::SucceededRescale, message, now);
        self.announce(false, Word::SuccessfulRescale, format!("New size: {replicas}; reason: {why}"));
        self.state.scaled(self.spec, current, replicas, now);
        self.tell_zero(current, replicas);
        self.state.status.last_scale = Some(now);
        Ok(())
    }

    /// Whether it was this autoscaler that scaled to zero, which lets it come back.
    fn tell_zero(&mut self, current: i32, replicas: i32) {
        let (now, spec) = (self.now, self.spec);
        if !self.settings.scale_to_zero {
            return self.conditions().remove(&ConditionType::ScaledToZero);
        }
        let zero = current > 0 && replicas == 0 && spec.min == 0 && spec.has_metric_without_pods();
        let word = if zero { Word::ScaledToZero } else { Word::NotScaledToZero };
        self.conditions().set(ConditionType::ScaledToZero, zero, word, now);
    }

    fn metric_label(&self, outcome: &Result<Evaluated, Failed>) -> Labels {
        match outcome {
            Ok(evaluated) => Labels { action: Action::between(self.before, evaluated.replicas), error: Failure::None },
            Err(failed) => {
                let error = if failed.by_spec { Failure::Spec } else { Failure::Internal };
                Labels { action: Action::None, error }
            }
        }
    }

    fn conditions(&mut self) -> &mut Conditions {
        &mut self.state.status.conditions
    }

    fn announce(&mut self, warning: bool, reason: Word, message: String) {
        self.events.push(Event { warning, reason, message });
    }
}

impl State {
    /// Books a successful write in the list of its direction; without `behavior` there are no lists.
    pub fn scaled(&mut self, spec: &Spec, from: i32, to: i32, now: Tick) {
        let Some(behavior) = &spec.behavior else { return };
        if to > from {
            book(&mut self.ups, to.saturating_sub(from), behavior.up.longest_period(), now);
        } else if to < from {
            book(&mut self.downs, from.saturating_sub(to), behavior.down.longest_period(), now);
        }
    }
}

impl Action {
    fn between(from: i32, to: i32) -> Self {
        match to.cmp(&from) {
            std::cmp::Ordering::Greater => Self::ScaleUp,
            std::cmp::Ordering::Less => Self::ScaleDown,
            std::cmp::Ordering::Equal => Self::None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScaleUp => "scale_up",
            Self::ScaleDown => "scale_down",
            Self::None => "none",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Spec => "spec",
            Self::Internal => "internal",
        })
    }
}
