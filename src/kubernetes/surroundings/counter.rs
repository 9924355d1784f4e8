//! Counts the Ready pods of targets that do not show them: those of other kinds than Deployment, StatefulSet and ReplicaSet.
//!
//! A metric of `metricType: Value` multiplies the Ready pods. They are counted whenever the target's scale is read, and again every
//! [`PACE`]: when the count has changed, the index reads the scale anew. What cannot be counted is unknown, and no zero.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::autoscaling::v1::Scale;
use tidegate_calculator::hpa::selector::Selector;
use tidegate_engine::subject::TargetRef;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::pods::Pods;
use crate::kubernetes::calls::CALL;
use crate::kubernetes::watch::event::Event;

/// How often pods are counted anew, from memory.
pub(in crate::kubernetes) const PACE: Duration = Duration::from_secs(2);
/// How soon the same news is told again, if the read that it asked for has failed.
const AGAIN: Duration = Duration::from_secs(10);

/// The targets whose Ready pods somebody needs. Copies share them.
#[derive(Clone, Debug, Default)]
pub(in crate::kubernetes) struct Counts(Arc<Mutex<HashMap<TargetRef, Count>>>);

/// What is known of one target.
#[derive(Clone, Debug, Default)]
struct Count {
    /// Its selector, once its scale was read.
    selector: Option<Selector>,
    /// What was told last.
    ready: Option<u32>,
    /// What the index was asked to tell, and when.
    news: Option<(Option<u32>, Instant)>,
}

/// Counts pods, from what their watches have shown.
#[derive(Clone)]
pub(in crate::kubernetes) struct Counter {
    counts: Counts,
    pods: Pods,
}

impl Counts {
    /// Whether the pods of a target are counted from now on. Whether they were not before, and are now.
    pub(in crate::kubernetes) fn set(&self, target: &TargetRef, wanted: bool) -> bool {
        let mut counts = self.lock();
        if !wanted {
            counts.remove(target);
            return false;
        }
        let new = !counts.contains_key(target);
        counts.entry(target.clone()).or_default();
        new
    }

    /// The targets whose selector is known, each with it and with what was told last.
    fn known(&self) -> Vec<(TargetRef, Selector, Option<u32>)> {
        let counts = self.lock();
        let known = counts.iter().filter_map(|(target, count)| {
            let selector = count.selector.clone()?;
            Some((target.clone(), selector, count.ready))
        });
        known.collect()
    }

    /// Whether this count must be told: not if it was asked for just now.
    fn is_news(&self, target: &TargetRef, ready: Option<u32>) -> bool {
        let mut counts = self.lock();
        let Some(count) = counts.get_mut(target) else { return false };
        if count.news.is_some_and(|(told, at)| told == ready && at.elapsed() < AGAIN) {
            return false;
        }
        count.news = Some((ready, Instant::now()));
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TargetRef, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// Counts those pods whose counts are wanted.
    pub(super) fn new(counts: Counts, pods: Pods) -> Self {
        Self { counts, pods }
    }

    /// The Ready pods of a target with this scale; none if nobody needs them, or if they cannot be counted now.
    pub(in crate::kubernetes) async fn ready(&self, target: &TargetRef, scale: &Scale) -> Option<u32> {
        if !self.counts.lock().contains_key(target) {
            return None;
        }
        let text = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default();
        let selector = match Selector::parse(text) {
            Ok(selector) => Some(selector),
            Err(error) => {
                tracing::debug!("the Ready pods of {} {target} cannot be counted: {error}", target.namespace);
                None
            }
        };
        let ready = match &selector {
            Some(selector) => self.count(target, selector, CALL).await,
            None => None,
        };
        if let Some(count) = self.counts.lock().get_mut(target) {
            *count = Count { selector, ready, news: None };
        }
        ready
    }

    /// Counts again and again, and says when a count has changed. It ends when nobody listens any more.
    pub(in crate::kubernetes) async fn run(self, events: mpsc::Sender<Event>) {
        loop {
            sleep(PACE).await;
            for (target, selector, told) in self.counts.known() {
                let ready = self.count(&target, &selector, Duration::ZERO).await;
                let news = ready != told && self.counts.is_news(&target, ready);
                if news && events.send(Event::Recounted(target)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn count(&self, target: &TargetRef, selector: &Selector, deadline: Duration) -> Option<u32> {
        match self.pods.matching(&target.namespace, selector, deadline).await {
            Ok(pods) => u32::try_from(pods.iter().filter(|pod| pod.is_ready()).count()).ok(),
            Err(error) => {
                tracing::debug!("the Ready pods of {} {target} cannot be counted: {error}", target.namespace);
                None
            }
        }
    }
}
