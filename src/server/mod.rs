//! Serves what there is to know over HTTP: health, metrics and the state of every object with its explanation.
//!
//! | path | answer |
//! | --- | --- |
//! | `/healthz` | 200 while the process can answer at all |
//! | `/readyz` | 200 once the engine has been told all objects, 503 before and after it has ended |
//! | `/metrics` | OpenMetrics text, computed from the engine's state at each scrape |
//! | `/api/v1/objects` | all objects, without their explanations |
//! | `/api/v1/objects/NAMESPACE/NAME` | one object with its explanation |
//!
//! Errors are JSON: `{"error": {"reason": ..., "message": ...}}`. Everything is bounded: connections, requests at once, their
//! time and their bodies.

pub mod api;
mod connections;
pub mod explanation;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod metrics;
mod operations;
pub mod triggers;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tidegate_engine::driver::Handle;
use tidegate_engine::snapshot::Snapshot;
use tidegate_engine::subject::ObjectId;
use tidegate_engine::tally::Tally;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use api::ObjectView;
use connections::Connections;

/// Requests at once: answering one copies the state of all objects, so many at once would only cost memory.
const REQUESTS: usize = 16;
/// How long one request may take, waiting for the engine included.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// No request needs a body.
const BODY: usize = 4 * 1024;
/// How long answers on their way may take after the shutdown began.
const GRACE: Duration = Duration::from_secs(2);
/// How many known objects an answer about an unknown one names.
const NAMED: usize = 50;

/// Which paths are served at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// All of them.
    All,
    /// `/metrics` and the health, for a monitor that must not see the rest.
    Metrics,
    /// The health, for whoever runs the process.
    Probes,
}

impl Paths {
    /// What can be asked for, as the end of a sentence.
    const fn listed(self) -> &'static str {
        match self {
            Self::All => "/healthz, /readyz, /metrics, /api/v1/objects and /api/v1/objects/NAMESPACE/NAME",
            Self::Metrics => "/healthz, /readyz and /metrics; objects are served at --api-bind-address, if at all",
            Self::Probes => "/healthz and /readyz",
        }
    }
}

/// What the server asks of a running engine.
#[async_trait]
trait Engine: Send + Sync + 'static {
    /// The state of all objects, or of one; none if the engine has ended.
    async fn ask(&self, object: Option<ObjectId>) -> Option<Vec<Snapshot>>;
    /// Whether everything that exists has been told to it.
    async fn synced(&self) -> bool;
    /// What operations did.
    fn tally(&self) -> Tally;
}

#[async_trait]
impl Engine for Handle {
    async fn ask(&self, object: Option<ObjectId>) -> Option<Vec<Snapshot>> {
        Self::ask(self, object).await
    }

    async fn synced(&self) -> bool {
        Self::synced(self).await
    }

    fn tally(&self) -> Tally {
        Self::tally(self)
    }
}

/// What every request sees.
#[derive(Clone)]
struct Shared {
    engine: Arc<dyn Engine>,
    room: Arc<Semaphore>,
    time: Duration,
    paths: Paths,
}

/// A request that cannot be answered as asked.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("the engine has ended")]
    Ended,
    #[error("the server is busy; try again")]
    Busy,
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    #[error("the engine has not been told all objects yet, or has ended")]
    NotReady,
    #[error("the metrics cannot be written")]
    Unprintable,
    #[error("there is no {path}; there are {}", .served.listed())]
    NoSuchPath { path: String, served: Paths },
    #[error("only GET is allowed")]
    NotGet,
    #[error("there is no object {id}; {}", names(.known))]
    NoSuchObject { id: ObjectId, known: Vec<String> },
}

/// Serves until `shutdown` completes, then lets answers on their way end for two seconds.
///
/// # Errors
///
/// The listener's own, which the operating system gives.
pub async fn serve(listener: TcpListener, handle: Handle, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    serve_engine(listener, Arc::new(handle), Paths::All, REQUEST_TIME, shutdown).await
}

/// The same for some of the paths; the others are not found.
///
/// # Errors
///
/// The listener's own, which the operating system gives.
pub async fn serve_paths(
    listener: TcpListener,
    handle: Handle,
    paths: Paths,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_engine(listener, Arc::new(handle), paths, REQUEST_TIME, shutdown).await
}

async fn serve_engine(
    listener: TcpListener,
    engine: Arc<dyn Engine>,
    paths: Paths,
    time: Duration,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(Connections::new(listener), router(engine, paths, time));
    let mut server = server.with_graceful_shutdown(async move { stopped.await.unwrap_or_default() }).into_future();
    tokio::select! {
        result = &mut server => return result,
        () = shutdown => {}
    }
    let _ = stop.send(());
    timeout(GRACE, server).await.unwrap_or(Ok(()))
}

fn router(engine: Arc<dyn Engine>, paths: Paths, time: Duration) -> Router {
    let shared = Shared { engine, room: Arc::new(Semaphore::new(REQUESTS)), time, paths };
    let mut bounded = Router::new().route("/readyz", get(readyz));
    if paths != Paths::Probes {
        bounded = bounded.route("/metrics", get(metrics_text));
    }
    if paths == Paths::All {
        bounded =
            bounded.route("/api/v1/objects", get(objects)).route("/api/v1/objects/{namespace}/{name}", get(object));
    }
    let bounded = bounded
        .fallback(no_such_path)
        .method_not_allowed_fallback(async || ApiError::NotGet)
        .layer(middleware::from_fn_with_state(shared.clone(), bound));
    // Health is outside of the bounds: a busy server is not a dead one.
    let health = Router::new().route("/healthz", get(async || "ok\n"));
    health.merge(bounded).layer(DefaultBodyLimit::max(BODY)).with_state(shared)
}

/// Bounds how many requests are answered at once, and how long each may take.
async fn bound(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Ok(_place) = shared.room.try_acquire() else {
        return ApiError::Busy.into_response();
    };
    timeout(shared.time, next.run(request)).await.unwrap_or_else(|_| ApiError::Late(shared.time).into_response())
}

async fn readyz(State(shared): State<Shared>) -> Result<&'static str, ApiError> {
    if shared.engine.synced().await {
        Ok("ok
")
    } else {
        Err(ApiError::NotReady)
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let text = metrics::render(shared.ask(None).await?, shared.engine.tally()).map_err(|_| ApiError::Unprintable)?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn objects(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let objects = shared.ask(None).await?;
    let views: Vec<ObjectView> = objects.iter().map(ObjectView::brief).collect();
    Ok(Json(json!({ "objects": views })).into_response())
}

async fn object(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let id = ObjectId::new(&namespace, &name);
    if let Some(object) = shared.ask(Some(id.clone())).await?.first() {
        return Ok(Json(ObjectView::full(object)).into_response());
    }
    let known = shared.ask(None).await?.iter().map(|object| object.id.to_string()).collect();
    Err(ApiError::NoSuchObject { id, known })
}

async fn no_such_path(State(shared): State<Shared>, request: Request) -> ApiError {
    ApiError::NoSuchPath { path: request.uri().path().to_owned(), served: shared.paths }
}

impl Shared {
    async fn ask(&self, object: Option<ObjectId>) -> Result<Vec<Snapshot>, ApiError> {
        self.engine.ask(object).await.ok_or(ApiError::Ended)
    }
}

impl ApiError {
    /// The stable reason of this error.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Ended => "EngineEnded",
            Self::Busy => "ServerBusy",
            Self::Late(_) => "RequestTimeout",
            Self::NotReady => "NotReady",
            Self::Unprintable => "MetricsFailed",
            Self::NoSuchPath { .. } => "PathNotFound",
            Self::NotGet => "MethodNotAllowed",
            Self::NoSuchObject { .. } => "ObjectNotFound",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Ended | Self::Busy | Self::Late(_) | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unprintable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoSuchPath { .. } | Self::NoSuchObject { .. } => StatusCode::NOT_FOUND,
            Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "reason": self.reason(), "message": self.to_string() });
        if let Self::NoSuchObject { known, .. } = &self {
            error["known"] = json!(known.iter().take(NAMED).collect::<Vec<_>>());
        }
        (self.status(), Json(json!({ "error": error }))).into_response()
    }
}

/// `there are shop/mails and 3 more`, as far as it helps.
fn names(known: &[String]) -> String {
    if known.is_empty() {
        return "there is none at all".to_owned();
    }
    let shown = known.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(NAMED) {
        0 => format!("known: {shown}"),
        more => format!("known: {shown} and {more} more"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
