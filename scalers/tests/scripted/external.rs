//! A server by the contract for external scalers, whose answers a test chooses.
#![allow(dead_code, reason = "each of the tests that share this uses a part of it")]

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{self, Receiver};
use tokio::time::sleep;
use tonic::{Code, Request, Response, Status};

use wire::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use wire::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};

#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub, rust_2018_idioms, reason = "generated")]
pub(crate) mod wire {
    include!(concat!(env!("OUT_DIR"), "/server/externalscaler.rs"));
}

/// Whole number and number with a fraction.
type Pair = (i64, f64);

/// What the server says.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The metrics and their target sizes.
    pub(crate) metrics: Vec<(&'static str, Pair)>,
    /// Their values; another metric is not found.
    pub(crate) values: BTreeMap<&'static str, Vec<Pair>>,
    pub(crate) active: bool,
    /// The calls that fail, and how.
    pub(crate) failing: BTreeMap<&'static str, (Code, &'static str)>,
    /// How long every answer takes.
    pub(crate) delay: Duration,
    /// Whether a stream says nothing at all, not even its head, before there is news: servers in Go are like that.
    pub(crate) lazy: bool,
}

impl Script {
    /// One metric with a target of 5.
    pub(crate) fn saying(value: i64, active: bool) -> Self {
        Self {
            metrics: vec![("jobs", (5, 0.0))],
            values: [("jobs", vec![(value, 0.0)])].into(),
            active,
            failing: BTreeMap::new(),
            delay: Duration::ZERO,
            lazy: false,
        }
    }

    /// The same, but this call fails. The text is one that must never be repeated.
    pub(crate) fn failing(mut self, method: &'static str, code: Code) -> Self {
        self.failing.insert(method, (code, "canary-4711 has 12345 jobs"));
        self
    }

    fn specs(&self) -> GetMetricSpecResponse {
        let spec = |(name, (whole, float)): &(&str, Pair)| MetricSpec {
            metric_name: (*name).to_owned(),
            target_size: *whole,
            target_size_float: *float,
        };
        GetMetricSpecResponse { metric_specs: self.metrics.iter().map(spec).collect() }
    }
}

/// One call that the server heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: &'static str,
    pub(crate) about: ScaledObjectRef,
    /// Whether the client said how long it waits.
    pub(crate) has_deadline: bool,
}

/// What goes over an open stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    Active(bool),
    Metrics,
    End,
}

/// The server's side of the contract.
pub(crate) struct Scripted {
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) heard: Mutex<Vec<Heard>>,
    pub(crate) news: broadcast::Sender<News>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Scripted {
    pub(crate) fn new(script: Script) -> Arc<Self> {
        let news = broadcast::Sender::new(10_000);
        Arc::new(Self { script: Arc::new(Mutex::new(script)), heard: Mutex::default(), news })
    }

    /// What is to be said to this call, which is noted.
    async fn hears<Q>(
        &self,
        method: &'static str,
        request: &Request<Q>,
        about: &ScaledObjectRef,
    ) -> Result<Script, Status> {
        let has_deadline = request.metadata().contains_key("grpc-timeout");
        self.heard.lock().unwrap().push(Heard { method, about: about.clone(), has_deadline });
        let script = self.script.lock().unwrap().clone();
        sleep(script.delay).await;
        match script.failing.get(method) {
            Some((code, text)) => Err(Status::new(*code, *text)),
            None => Ok(script),
        }
    }
}

#[tonic::async_trait]
impl ExternalScaler for Scripted {
    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let script = self.hears("IsActive", &request, request.get_ref()).await?;
        Ok(Response::new(IsActiveResponse { result: script.active }))
    }

    type StreamIsActiveStream = Answers<IsActiveResponse>;

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let mut news = self.news.subscribe();
        let script = self.hears("StreamIsActive", &request, request.get_ref()).await?;
        let answer = |news: News| match news {
            News::Active(result) => Some(IsActiveResponse { result }),
            _ => None,
        };
        if !script.lazy {
            return Ok(Response::new(answers(news, answer)));
        }
        let first = next(&mut news, &answer).await;
        let first = stream::iter(first.map(Ok));
        Ok(Response::new(Box::pin(first.chain(answers(news, answer)))))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let script = self.hears("GetMetricSpec", &request, request.get_ref()).await?;
        Ok(Response::new(script.specs()))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let about = request.get_ref().scaled_object_ref.clone().unwrap_or_default();
        let script = self.hears("GetMetrics", &request, &about).await?;
        let name = request.get_ref().metric_name.as_str();
        let values = script.values.get(name).ok_or_else(|| Status::not_found("canary-4711"))?;
        let value = |(whole, float): &Pair| MetricValue {
            metric_name: name.to_owned(),
            metric_value: *whole,
            metric_value_float: *float,
        };
        Ok(Response::new(GetMetricsResponse { metric_values: values.iter().map(value).collect() }))
    }

    type StreamMetricSpecStream = Answers<GetMetricSpecResponse>;

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let news = self.news.subscribe();
        let script = self.hears("StreamMetricSpec", &request, request.get_ref()).await?;
        let now = stream::iter([Ok(script.specs())]);
        let script = Arc::clone(&self.script);
        let later = answers(news, move |news| matches!(news, News::Metrics).then(|| script.lock().unwrap().specs()));
        Ok(Response::new(Box::pin(now.chain(later))))
    }
}

/// What an open stream says, until the news is that it ends.
fn answers<T: Send + 'static>(
    news: Receiver<News>,
    answer: impl Fn(News) -> Option<T> + Send + Sync + 'static,
) -> Answers<T> {
    let step =
        |(mut news, answer)| async move { next(&mut news, &answer).await.map(|said| (Ok(said), (news, answer))) };
    Box::pin(stream::unfold((news, answer), step))
}

async fn next<T>(news: &mut Receiver<News>, answer: &(impl Fn(News) -> Option<T> + Sync)) -> Option<T> {
    loop {
        match news.recv().await {
            Ok(News::End) | Err(_) => return None,
            Ok(news) => {
                if let Some(said) = answer(news) {
                    return Some(said);
                }
            }
        }
    }
}

/// The server as gRPC's library serves it.
pub(crate) fn service(scripted: &Arc<Scripted>) -> ExternalScalerServer<Scripted> {
    ExternalScalerServer::from_arc(Arc::clone(scripted))
}

/// Serves one connection, which is cut when this is dropped: the library serves on in tasks of its own, so it is given a pipe.
pub(crate) fn serve(mut connection: TcpStream, script: Script) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let incoming = stream::once(ready(Ok::<_, std::io::Error>(far))).chain(stream::pending());
        let builder = tonic::transport::Server::builder().add_service(service(&Scripted::new(script)));
        tokio::select! {
            ended = builder.serve_with_incoming(incoming) => drop(ended),
            passed = tokio::io::copy_bidirectional(&mut connection, &mut near) => drop(passed),
        }
    })
}
