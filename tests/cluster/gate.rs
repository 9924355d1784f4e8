//! A server between an operator and the API server that can hold back what an operator stores: so it can be killed exactly between
//! the write of the replicas and the record of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::task::JoinHandle;

use super::{runtime, wait_for};

/// Passes everything on, with the credential of a kubeconfig, until it is shut.
pub(crate) struct Gate {
    address: String,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    client: Client,
    shut: AtomicBool,
    held: AtomicUsize,
}

impl Gate {
    /// A gate to where this kubeconfig leads. It is open.
    pub(crate) fn to(kubeconfig: &Path) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        wait_for(async {
            let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            let client = Client::try_from(config).unwrap();
            let inner = Arc::new(Inner { client, shut: AtomicBool::new(false), held: AtomicUsize::new(0) });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let router = axum::Router::new().fallback(pass).with_state(inner.clone());
            let task = runtime().spawn(async move { axum::serve(listener, router).await.unwrap() });
            Self { address, inner, task }
        })
    }

    /// Its address, as a kubeconfig names it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From now on nothing that is stored of an object arrives, nor is it answered; what comes is let wait.
    pub(crate) fn shut(&self) {
        self.inner.shut.store(true, Ordering::SeqCst);
    }

    /// What waits goes on.
    pub(crate) fn open(&self) {
        self.inner.shut.store(false, Ordering::SeqCst);
    }

    /// How many requests it has held back.
    pub(crate) fn held(&self) -> usize {
        self.inner.held.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let path = request.uri().path();
    let stores = path.contains("/scalerecords/") || path.contains("/scaledobjects/");
    if request.method() == Method::PATCH && stores && inner.shut.load(Ordering::SeqCst) {
        inner.held.fetch_add(1, Ordering::SeqCst);
        while inner.shut.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let (mut parts, body) = request.into_parts();
    // The client adds its own.
    for name in [header::AUTHORIZATION, header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let asked = axum::http::Request::from_parts(parts, kube::client::Body::from(body));
    match inner.client.send(asked).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
