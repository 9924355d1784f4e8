//! Asks every pod of the target how many connections it holds, each once and all at the same time.
//!
//! The reading is their sum, and only a sum of all is one: a pod that does not answer may hold any number, so nothing is lowered because
//! it is silent. What a silence means depends on how the pod stands ([`Standing`]).

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::join_all;
use reqwest::{StatusCode, Url};
use tidegate_calculator::source::{
    Deadline, EndpointId, MetricType, Milli, ReadError, ReadErrorKind, TargetRef, TriggerSpec,
};
use tokio::time::{Instant, timeout};

use super::declaration::{Asked, Settings};
use crate::endpoint::Endpoints;
use crate::http::{Reply, Request, ServerHandle};
use crate::location::{Flaw, Location};
use crate::surroundings::{PodAddress, Standing, Surroundings};

/// The pods of one target.
pub(super) struct Pods {
    server: ServerHandle,
    surroundings: Arc<dyn Surroundings>,
    target: Arc<TargetRef>,
    request: Request,
    location: Location,
    /// What decides whether a sum that is not whole raises; none if it counts for nothing.
    raises: Option<(MetricType, Milli)>,
}

/// What is known of one pod.
struct Told {
    standing: Standing,
    /// What it holds. Errors name the pod.
    value: Result<f64, ReadError>,
}

impl Pods {
    /// The pods of the trigger's target.
    pub(super) fn open(endpoints: &Endpoints, spec: &TriggerSpec, settings: &Settings, asked: &Asked) -> Self {
        let request =
            Request { url: asked.url.clone(), headers: Vec::new(), accept: asked.accept, hold: Deadline::ZERO };
        Self {
            server: ServerHandle::open_pods(endpoints, &spec.target, &asked.url, &settings.access)
                .counting(spec, &settings.metric.name),
            surroundings: Arc::clone(endpoints.surroundings()),
            target: Arc::clone(&spec.target),
            request,
            location: settings.location.clone(),
            raises: asked.may_raise.then_some((settings.metric.metric_type, settings.metric.target)),
        }
    }

    /// What triggers on the same pods have in common.
    pub(super) fn id(&self) -> EndpointId {
        self.server.id()
    }

    /// How many connections the pods hold together.
    pub(super) async fn sum(&self, deadline: Deadline) -> Result<f64, ReadError> {
        let begun = Instant::now();
        let late = |_| {
            let what = format!("the cluster did not tell the pods of {} in time", self.target);
            Err(ReadError::query(ReadErrorKind::Timeout, what))
        };
        let found =
            timeout(deadline, self.surroundings.addresses(&self.target, deadline)).await.unwrap_or_else(late)?;
        let left = deadline.saturating_sub(begun.elapsed());
        let told = join_all(found.iter().map(|pod| self.ask(pod, left))).await;
        self.joined(&told)
    }

    async fn ask(&self, pod: &PodAddress, patience: Deadline) -> Told {
        let value = match (pod.standing, pod.ip) {
            (Standing::Still, _) => Ok(0.0),
            (_, None) => Err(ReadError::query(ReadErrorKind::Unavailable, "it has no address")),
            (_, Some(ip)) => self.number(ip, patience).await,
        };
        let standing = pod.standing;
        let about = |error: ReadError| {
            let what = format!("pod {}/{}: {}", self.target.namespace, pod.name, error.message);
            ReadError::query(error.kind, what)
        };
        Told { standing, value: value.map_err(about) }
    }

    async fn number(&self, ip: IpAddr, patience: Deadline) -> Result<f64, ReadError> {
        let request = Request { url: at(&self.request.url, ip)?, ..self.request.clone() };
        let reply = self.server.get(request, patience).await?;
        self.found(&reply)
    }

    fn found(&self, reply: &Reply) -> Result<f64, ReadError> {
        let body = reply.expect(|status| status == StatusCode::OK)?;
        let kind = |flaw: Flaw| match flaw {
            Flaw::Absent | Flaw::NotANumber => ReadErrorKind::Config,
            Flaw::Unreadable(_) | Flaw::Refused(_) => ReadErrorKind::Protocol,
        };
        let value = self.location.find(body).map_err(|flaw| ReadError::query(kind(flaw), flaw.to_string()))?;
        // No pod holds fewer than none, and one that says so must not hide what the others hold.
        Ok(value.max(0.0))
    }

    /// The sum of what all hold. Without pods it is 0: nobody can hold anything.
    fn joined(&self, told: &[Told]) -> Result<f64, ReadError> {
        let mine: Vec<&Told> = told.iter().filter(|pod| pod.standing != Standing::Leaving).collect();
        if !mine.is_empty() && mine.iter().all(|pod| pod.standing == Standing::Still || pod.starts_silently()) {
            let what = format!("no pod of {} says how many connections it holds: none serves yet", self.target);
            return Err(ReadError::query(ReadErrorKind::Unavailable, what));
        }
        let sum: f64 = told.iter().filter_map(|pod| pod.value.as_ref().ok()).sum();
        let silent = mine.iter().filter(|pod| pod.standing == Standing::Serving);
        match silent.filter_map(|pod| pod.value.as_ref().err()).min_by(|a, b| a.message.cmp(&b.message)) {
            Some(error) if !self.raises(sum, mine.len()) => Err(error.clone()),
            _ => Ok(sum),
        }
    }

    /// Whether a sum that is not whole asks for more than the pods there are: then the whole one does so even more.
    fn raises(&self, sum: f64, pods: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "there are not so many pods, nor connections of one")]
        self.raises.is_some_and(|(metric_type, target)| {
            let pods = if metric_type == MetricType::Value { 1.0 } else { pods as f64 };
            sum * 1000.0 > pods * target.0 as f64
        })
    }
}

impl Told {
    /// Nobody was sent to it yet, so its silence is that of its start.
    fn starts_silently(&self) -> bool {
        self.standing == Standing::Starting && self.value.is_err()
    }
}

fn at(url: &Url, ip: IpAddr) -> Result<Url, ReadError> {
    let mut url = url.clone();
    let unusable = |()| ReadError::query(ReadErrorKind::Config, "its address is none that a URL can have");
    url.set_ip_host(ip).map_err(unusable)?;
    Ok(url)
}
