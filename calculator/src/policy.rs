//! What a decision obeys: the validated form of a ScaledObject.
//!
//! A [`Policy`] is only made by validation, so no later step can refuse it. Durations are [`Span`]s.

use crate::behavior::Behavior;
use crate::hpa::pods::Youth;
use crate::rules::Rules;
use crate::source::MetricType;
use crate::time::Span;

/// What one object asks for, checked and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `minReplicaCount`; 0 if unset. The HPA stage never goes below [`Policy::floor`].
    pub min: u32,
    /// `maxReplicaCount`; 100 if unset. At least 1 and at least `min`.
    pub max: u32,
    /// `idleReplicaCount`: the count while inactive; below `min`, or 0 with an explicit minimum of 0.
    pub idle: Option<u32>,
    /// `pollingInterval`; 30 s if unset.
    pub polling_interval: Span,
    /// `cooldownPeriod`: from the last activity to 0 or idle; 300 s if unset.
    pub cooldown: Span,
    /// `initialCooldownPeriod`: the same, from the object's creation, before any activity was ever seen; 0 if unset.
    pub initial_cooldown: Span,
    /// One entry a trigger, in the order of `spec.triggers`. Never empty.
    pub triggers: Vec<TriggerPolicy>,
    /// `advanced.horizontalPodAutoscalerConfig.behavior`, with the API's defaults filled in; none means the HPA's legacy limits.
    pub behavior: Option<Behavior>,
    /// What the object's ScalingPolicies say; nothing without any.
    pub rules: Rules,
    /// `fallback`: what a failing external trigger stands for after a while.
    pub fallback: Option<Fallback>,
    /// The annotations `autoscaling.keda.sh/paused` and `.../paused-replicas`.
    pub pause: Pause,
    /// `autoscaling.keda.sh/paused-scale-in`: nothing is lowered by metrics.
    pub paused_scale_in: bool,
    /// `autoscaling.keda.sh/paused-scale-out`: nothing is raised by metrics.
    pub paused_scale_out: bool,
    /// `autoscaling.keda.sh/force-activation`: counts as active whatever the triggers say.
    pub force_activation: bool,
    /// Whether the object may be lowered at all.
    pub consent: Consent,
    /// The settings of the whole process that the HPA takes from its controller manager.
    pub settings: Settings,
}

/// What a decision needs to know of one trigger beyond its readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerPolicy {
    /// The trigger's type, such as `redis`.
    pub kind: String,
    /// `triggers[].name`, if given.
    pub name: Option<String>,
    /// `cpu`, `memory` and per-pod metrics: never active, never an error for scaling to zero.
    pub resource_like: bool,
    /// `metricType`: what a fallback needs to know of a trigger that gives no readings.
    pub metric_type: MetricType,
    /// `useCachedMetrics`: it is read no more often than every `pollingInterval`, and its last value stands in between.
    pub cached: bool,
    /// A fingerprint of what it asks for: its type, its metadata and whose credentials it uses. Rules do not go on with what was measured
    /// by another query. 0 if nobody made one.
    pub fingerprint: u64,
}

/// `spec.fallback`, for every external trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// `failureThreshold`: it acts once a trigger has failed more often than this.
    pub threshold: u32,
    /// `replicas`.
    pub replicas: u32,
    /// `behavior`.
    pub behavior: FallbackBehavior,
}

/// Which count a fallback stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackBehavior {
    /// `static`: `replicas`.
    #[default]
    Static,
    /// `currentReplicas`: what is there.
    CurrentReplicas,
    /// `currentReplicasIfHigher`: what is there, but at least `replicas`.
    CurrentReplicasIfHigher,
    /// `currentReplicasIfLower`: what is there, but at most `replicas`.
    CurrentReplicasIfLower,
}

impl Fallback {
    /// The count that it stands for with so many replicas.
    pub fn replicas(&self, current: u32) -> u32 {
        match self.behavior {
            FallbackBehavior::Static => self.replicas,
            FallbackBehavior::CurrentReplicas => current,
            FallbackBehavior::CurrentReplicasIfHigher => current.max(self.replicas),
            FallbackBehavior::CurrentReplicasIfLower => current.min(self.replicas),
        }
    }

    /// For how long a trigger has failed when this acts. The first failure counts one, and every polling interval one more; more than
    /// `threshold` are there after `threshold` intervals.
    pub fn patience(&self, polling_interval: Span) -> Span {
        Span(polling_interval.0.saturating_mul(i64::from(self.threshold)))
    }
}

impl FallbackBehavior {
    /// The name in the API; `scalingModifiers` is none of these.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::CurrentReplicas => "currentReplicas",
            Self::CurrentReplicasIfHigher => "currentReplicasIfHigher",
            Self::CurrentReplicasIfLower => "currentReplicasIfLower",
        }
    }

    /// The behavior of this name; an empty one is `static`.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Static, Self::CurrentReplicas, Self::CurrentReplicasIfHigher, Self::CurrentReplicasIfLower];
        if name.is_empty() { Some(Self::Static) } else { all.into_iter().find(|behavior| behavior.name() == name) }
    }
}

/// Whether the whole object is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// Not paused.
    #[default]
    No,
    /// Nothing is written.
    Plain,
    /// This number is set and kept.
    At(u32),
}

/// Whether the user's rules for lowering are all known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// They are.
    #[default]
    Full,
    /// A policy that the object names is not there: decide and raise, but lower nothing.
    PolicyMissing,
    /// A policy that the object names cannot be obeyed: likewise.
    PolicyInvalid,
}

/// Settings of the process, as the HPA's controller manager has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `--horizontal-pod-autoscaler-sync-period`: the pace of the legacy scale-up limit and of Value targets; 15 s.
    pub sync_period: Span,
    /// `--horizontal-pod-autoscaler-tolerance`: ratios this near to 1 change nothing; 0.1.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`; 300 s.
    pub downscale_window: Span,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period` (300 s) and `--...-initial-readiness-delay` (30 s).
    pub youth: Youth,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_period: Span::seconds(15),
            tolerance: 0.1,
            downscale_window: Span::seconds(300),
            youth: Youth::default(),
        }
    }
}

impl TriggerPolicy {
    /// An external trigger of this type with KEDA's defaults.
    pub fn new(kind: &str) -> Self {
        let (metric_type, kind) = (MetricType::default(), kind.to_owned());
        Self { kind, name: None, resource_like: false, metric_type, cached: false, fingerprint: 0 }
    }
}

impl Policy {
    /// Whether rules may be missing, because a policy takes no part: it may come again, so what its rules remember is kept until then.
    pub(crate) fn lacks_rules(&self) -> bool {
        self.consent != Consent::Full
    }

    /// Whether there is anything for rules to remember.
    pub(crate) fn remembers_rules(&self) -> bool {
        !self.rules.is_empty() || self.lacks_rules()
    }

    /// How often a trigger is read: every `pollingInterval` at rest, or with `useCachedMetrics`; otherwise every sync period too.
    pub fn read_every(&self, trigger: usize, resting: bool) -> Span {
        let cached = self.triggers.get(trigger).is_some_and(|trigger| trigger.cached);
        let often = self.polling_interval.min(self.settings.sync_period);
        if resting || cached { self.polling_interval } else { often }
    }

    /// The lowest count outside the zero stage: the minimum, but at least 1 (KEDA gives its HPA `minReplicas` 1).
    pub fn floor(&self) -> u32 {
        self.min.max(1)
    }

    /// The count at which an inactive object rests: idle if set, else 0 if the minimum is 0.
    pub fn resting(&self) -> Option<u32> {
        self.idle.or((self.min == 0).then_some(0))
    }

    /// Whether an active object with this many replicas has to leave its rest first (keda-semantics §4.3, row A1): it is at 0, or
    /// `idleReplicaCount` is set and the count is below the minimum.
    pub fn at_rest(&self, replicas: u32) -> bool {
        replicas == 0 || (self.idle.is_some() && replicas < self.min)
    }

    /// Tolerance upward and downward: `behavior.scaleUp/scaleDown.tolerance`, else the setting for both.
    pub fn tolerances(&self) -> (f64, f64) {
        let of = |tolerance: Option<f64>| tolerance.unwrap_or(self.settings.tolerance);
        match &self.behavior {
            Some(behavior) => (of(behavior.up.tolerance), of(behavior.down.tolerance)),
            None => (self.settings.tolerance, self.settings.tolerance),
        }
    }

    /// A policy with KEDA's defaults and one trigger of `kind`: where tests and `explain -f` start from.
    pub fn with_defaults(kind: &str) -> Self {
        Self {
            min: 0,
            max: 100,
            idle: None,
            polling_interval: Span::seconds(30),
            cooldown: Span::seconds(300),
            initial_cooldown: Span::ZERO,
            triggers: vec![TriggerPolicy::new(kind)],
            behavior: None,
            rules: Rules::default(),
            fallback: None,
            pause: Pause::No,
            paused_scale_in: false,
            paused_scale_out: false,
            force_activation: false,
            consent: Consent::Full,
            settings: Settings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_keda() {
        let policy = Policy::with_defaults("redis");
        assert_eq!((policy.min, policy.max, policy.idle, policy.floor()), (0, 100, None, 1));
        assert_eq!((policy.polling_interval, policy.cooldown), (Span::seconds(30), Span::seconds(300)));
        assert_eq!((policy.initial_cooldown, policy.pause, policy.consent), (Span::ZERO, Pause::No, Consent::Full));
        assert_eq!(policy.triggers, [TriggerPolicy::new("redis")]);
        assert!(!policy.triggers[0].resource_like && !policy.triggers[0].cached && policy.fallback.is_none());
        assert!(!policy.paused_scale_in && !policy.paused_scale_out && !policy.force_activation);
        assert_eq!(policy.tolerances(), (0.1, 0.1));
    }

    #[test]
    fn a_cached_trigger_is_read_every_polling_interval() {
        let mut policy = Policy::with_defaults("redis");
        policy.triggers.push(TriggerPolicy { cached: true, ..TriggerPolicy::new("kafka") });
        let every = |policy: &Policy| {
            [(0, false), (0, true), (1, false), (1, true)].map(|(t, r)| policy.read_every(t, r).0 / 1_000)
        };
        assert_eq!(every(&policy), [15, 30, 30, 30]);
        policy.polling_interval = Span::seconds(5);
        assert_eq!(every(&policy), [5, 5, 5, 5]);
    }

    #[test]
    fn fallbacks_are_named_as_in_the_api() {
        let counts =
            ["", "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"].map(|name| {
                let behavior = FallbackBehavior::named(name).unwrap();
                let fallback = Fallback { threshold: 3, replicas: 5, behavior };
                assert!(name.is_empty() || behavior.name() == name);
                assert_eq!(fallback.patience(Span::seconds(30)), Span::seconds(90));
                (fallback.replicas(3), fallback.replicas(8))
            });
        assert_eq!(counts, [(5, 5), (5, 5), (3, 8), (5, 8), (3, 5)]);
        assert_eq!(FallbackBehavior::named("scalingModifiers"), None);
    }

    #[test]
    fn rest_is_zero_or_idle_and_everything_below_the_minimum_with_idle() {
        let mut policy = Policy::with_defaults("redis");
        let rests = |policy: &Policy| [0, 1, 2, 3].map(|replicas| policy.at_rest(replicas));
        assert_eq!((policy.resting(), rests(&policy)), (Some(0), [true, false, false, false]));
        policy.min = 2;
        assert_eq!((policy.resting(), rests(&policy)), (None, [true, false, false, false]));
        policy.idle = Some(1);
        assert_eq!((policy.resting(), rests(&policy)), (Some(1), [true, true, false, false]));
    }
}
