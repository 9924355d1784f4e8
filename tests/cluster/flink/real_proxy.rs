//! A proxy before a JobManager that can lose the answer to a run: Flink obeys, and whoever asked never hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use tokio::task::JoinHandle;

use crate::cluster::{runtime, wait_for};

/// A running proxy; dropping it ends it.
pub(super) struct Proxy {
    url: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    client: reqwest::Client,
    to: String,
    /// How many answers to runs are still to be lost.
    to_lose: AtomicUsize,
    /// How many were lost.
    lost: AtomicUsize,
    /// How many runs were asked for.
    runs: AtomicUsize,
    /// How many stops were asked for.
    stops: AtomicUsize,
}

impl Proxy {
    /// One before a JobManager's address. It loses nothing.
    pub(super) fn before(url: &str) -> Self {
        let zero = || AtomicUsize::new(0);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (to_lose, lost, runs, stops) = (zero(), zero(), zero(), zero());
        let inner = Arc::new(Inner { client, to: url.to_owned(), to_lose, lost, runs, stops });
        wait_for(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let router = axum::Router::new().fallback(pass).with_state(inner.clone());
            let task = runtime().spawn(async move { axum::serve(listener, router).await.unwrap() });
            Self { url, inner, task }
        })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The next answer to a run is lost.
    pub(super) fn lose_a_run(&self) {
        self.inner.to_lose.fetch_add(1, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub(super) fn lost(&self) -> usize {
        self.inner.lost.load(Ordering::SeqCst)
    }

    /// How many runs were asked for so far.
    pub(super) fn runs(&self) -> usize {
        self.inner.runs.load(Ordering::SeqCst)
    }

    /// How many stops were asked for so far.
    pub(super) fn stops(&self) -> usize {
        self.inner.stops.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let posted = parts.method == Method::POST;
    let run = posted && path.starts_with("/jars/") && path.ends_with("/run");
    inner.runs.fetch_add(usize::from(run), Ordering::SeqCst);
    inner.stops.fetch_add(usize::from(posted && path.ends_with("/stop")), Ordering::SeqCst);
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut asked = inner.client.request(parts.method, format!("{}{path}", inner.to)).body(body);
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        asked = asked.header(header::CONTENT_TYPE, kind);
    }
    let Ok(answer) = asked.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
    let Ok(whole) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let one_less = |left: usize| left.checked_sub(1);
    if run && inner.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
        inner.lost.fetch_add(1, Ordering::SeqCst);
        // The connection breaks where the answer would stand.
        let broken = stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("the answer is lost")) });
        return Body::from_stream(broken).into_response();
    }
    let mut response = (status, whole).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
