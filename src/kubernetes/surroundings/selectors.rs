//! Knows which pods belong to a target: the selector that its `/scale` shows, as for a HorizontalPodAutoscaler.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v1::Scale;
use kube::api::DynamicObject;
use kube::{Api as Objects, Client};
use tidegate_calculator::hpa::selector::Selector;
use tidegate_calculator::source::{Deadline, ReadError, ReadErrorKind, TargetRef};
use tidegate_engine::protocol::TargetError;

use super::refusal::{Question, Refusal, Served};
use super::shared::{Api, Shared};
use crate::kubernetes::calls::{CALL, within};
use crate::kubernetes::watch::kinds::{KindKey, Kinds};

/// How long a selector is believed. Those of Deployments, StatefulSets and ReplicaSets never change; of other kinds they hardly do.
const LIFE: Duration = Duration::from_mins(2);
/// A selector that matches no pod is read anew once it is this old: its target may have been made anew with another one.
const DOUBT: Duration = Duration::from_mins(1);

/// A target's selector.
#[derive(Debug)]
pub(super) struct Selected {
    /// As text, as APIs take it.
    pub(super) text: String,
    /// For matching.
    pub(super) selector: Selector,
}

/// The selectors of all targets that somebody asks about.
#[derive(Clone)]
pub(super) struct Selectors {
    client: Client,
    kinds: Kinds,
    known: Shared<TargetRef, Selected>,
}

impl Selectors {
    /// Asks this API server.
    pub(super) fn new(client: Client, kinds: Kinds) -> Self {
        Self { client, kinds, known: Shared::new(&Api::new()) }
    }

    /// The selector of a target.
    ///
    /// # Errors
    /// If the scale cannot be read, or has no selector, or one that is none.
    pub(super) async fn of(
        &self,
        target: &TargetRef,
        deadline: Deadline,
    ) -> Result<std::sync::Arc<Selected>, ReadError> {
        let question = || read(self.client.clone(), self.kinds.clone(), target.clone());
        self.known.ask(target.clone(), LIFE, deadline, question).await
    }

    /// No pod belongs to the target: its selector may be another one by now.
    pub(super) fn doubt(&self, target: &TargetRef) {
        self.known.doubt(target, DOUBT);
    }
}

async fn read(client: Client, kinds: Kinds, target: TargetRef) -> Result<Selected, Refusal> {
    let served = kinds.resolve(&KindKey::of(&target)).await.map_err(|error| unfound(&error))?;
    let api: Objects<DynamicObject> = Objects::namespaced_with(client, &target.namespace, &served.resource);
    let scale = within(CALL, api.get_scale(&target.name)).await.map_err(|failure| {
        let resource = format!("{}/scale", served.name());
        // The name carries the group already.
        let question = Question::new(Served { group: "", install: "" }, "get", resource, &target.namespace);
        let mut refusal = question.refusal(&failure);
        if refusal.absent {
            let what = format!("{} {}/{} does not exist", target.kind, target.namespace, target.name);
            refusal.error = ReadError::query(ReadErrorKind::Unavailable, what);
        }
        refusal
    })?;
    selected(&scale, &target).map_err(Refusal::from)
}

fn selected(scale: &Scale, target: &TargetRef) -> Result<Selected, ReadError> {
    let text = scale.status.as_ref().and_then(|status| status.selector.clone()).unwrap_or_default();
    let selector = Selector::parse(&text).map_err(|error| {
        let what = format!("the scale of {} {}/{}: {error}", target.kind, target.namespace, target.name);
        ReadError::query(ReadErrorKind::Config, what)
    })?;
    Ok(Selected { text, selector })
}

/// A kind that cannot be scaled, or cannot be told now.
fn unfound(error: &TargetError) -> Refusal {
    let kind = match error {
        TargetError::NotScalable(_) => ReadErrorKind::Config,
        _ => ReadErrorKind::Unavailable,
    };
    ReadError::query(kind, error.to_string()).into()
}
