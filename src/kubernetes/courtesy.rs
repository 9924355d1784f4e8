//! Keeps to what a busy API server asks for: not to be asked the same again before a while.
//!
//! Its answer 429 or 503 may carry `Retry-After`, often with a plain text instead of a Status. This layer puts the time into the Status,
//! where callers find it, and answers by itself what is asked too early. What is *the same* is the verb and the resource: a server that
//! refuses to take Events is asked for scales all the same.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as Answer, Bytes, HttpBody, to_bytes};
use axum::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use axum::http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use kube::core::Status;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// A longer pause than this is not believed.
const LONGEST: Duration = Duration::from_mins(1);

/// The longest answer that is looked at: a Status is a page of text.
const LARGEST: usize = 1 << 16;

/// Puts the courtesy around a client's service; clients of the same value share what they were asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Courtesy(Arc<Mutex<HashMap<String, Instant>>>);

/// A service that asks nothing too early.
#[derive(Clone, Debug)]
pub(super) struct Courteous<S> {
    inner: S,
    pauses: Courtesy,
}

/// How long an API server wants not to be asked again; none if it did not say.
pub(super) fn asked(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)).min(LONGEST))
}

impl<S> Layer<S> for Courtesy {
    type Service = Courteous<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Courteous { inner, pauses: self.clone() }
    }
}

impl Courtesy {
    /// How long is left of a pause.
    fn left(&self, what: &str) -> Option<Duration> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *pauses.get(what)?;
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        if left.is_none() {
            pauses.remove(what);
        }
        left
    }

    fn pause(&self, what: String, length: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what, Instant::now() + length);
    }
}

impl<S, B> Service<Request<Body>> for Courteous<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let what = the_same(request.method(), request.uri().path());
        if let Some(left) = self.pauses.left(&what) {
            let status = busy("the API server has asked for a pause, which is not over", left);
            return Box::pin(std::future::ready(Ok(answer(StatusCode::TOO_MANY_REQUESTS, &status))));
        }
        let (answer, pauses) = (self.inner.call(request), self.pauses.clone());
        Box::pin(async move {
            let response = answer.await.map_err(Into::into)?;
            match response.status() {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => pauses.note(what, response).await,
                _ => Ok(response.map(Answer::new)),
            }
        })
    }
}

impl Courtesy {
    /// Notes the pause that an answer asks for, and gives back the answer with the pause in its Status.
    async fn note<B>(&self, what: String, response: Response<B>) -> Result<Response<Answer>, BoxError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(Answer::new(body), LARGEST).await?;
        let mut status = match serde_json::from_slice(&bytes) {
            Ok(status @ Value::Object(_)) => status,
            _ => json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "TooManyRequests",
                "message": String::from_utf8_lossy(&bytes).trim(), "code": parts.status.as_u16(),
            }),
        };
        let told = status.pointer("/details/retryAfterSeconds").and_then(Value::as_u64).filter(|told| *told > 0);
        if let Some(seconds) = told.or_else(|| header(&parts.headers)) {
            if status["details"].is_null() {
                status["details"] = json!({});
            }
            status["details"]["retryAfterSeconds"] = json!(seconds);
            self.pause(what, Duration::from_secs(seconds).min(LONGEST));
        }
        Ok(answer(parts.status, &status))
    }
}

/// `Retry-After` in seconds; a date is not understood, and API servers send none.
fn header(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().filter(|seconds| *seconds > 0)
}

fn busy(message: &str, left: Duration) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "TooManyRequests",
        "message": message, "code": 429,
        "details": { "retryAfterSeconds": left.as_millis().div_ceil(1000) },
    })
}

fn answer(code: StatusCode, status: &Value) -> Response<Answer> {
    let mut response = Response::new(Answer::from(status.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    response
}

/// The verb and the resource of a request, without namespace and name: `PUT /apis/apps/v1/deployments/scale`.
fn the_same(method: &Method, path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let version = if parts.first() == Some(&"api") { 2 } else { 3 };
    if parts.get(version) == Some(&"namespaces") && parts.len() > version + 2 {
        parts.drain(version..version + 2);
    }
    if parts.len() > version + 1 {
        parts.remove(version + 1);
    }
    format!("{method} /{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_verb_and_resource_are_the_same() {
        let of = |path: &str| the_same(&Method::PUT, path);
        assert_eq!(of("/apis/apps/v1/namespaces/shop/deployments/a/scale"), "PUT /apis/apps/v1/deployments/scale");
        assert_eq!(of("/apis/apps/v1/deployments"), "PUT /apis/apps/v1/deployments");
        assert_eq!(of("/api/v1/namespaces/shop/secrets/a"), "PUT /api/v1/secrets");
        assert_eq!(of("/api/v1/namespaces/shop"), "PUT /api/v1/namespaces");
        assert_eq!(of("/apis/shop.test/v1"), "PUT /apis/shop.test/v1");
    }

    #[tokio::test]
    async fn a_pause_is_noted_from_the_header_and_from_the_status() {
        let courtesy = Courtesy::default();
        let plain =
            Response::builder().status(429).header("Retry-After", "7").body(Body::from(b"busy".to_vec())).unwrap();
        let response = courtesy.note("PUT a".to_owned(), plain).await.unwrap();
        let bytes = to_bytes(response.into_body(), LARGEST).await.unwrap();
        let status: Status = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((status.message.as_str(), asked(&status)), ("busy", Some(Duration::from_secs(7))));
        assert!(courtesy.left("PUT a").is_some() && courtesy.left("GET a").is_none());
        let odd =
            Response::builder().status(429).header("Retry-After", "tomorrow").body(Body::from(Vec::new())).unwrap();
        courtesy.note("PUT b".to_owned(), odd).await.unwrap();
        assert_eq!(courtesy.left("PUT b"), None);
        let long = json!({ "kind": "Status", "details": { "retryAfterSeconds": 86_400 } }).to_string().into_bytes();
        let long = Response::builder().status(503).body(Body::from(long)).unwrap();
        courtesy.note("PUT c".to_owned(), long).await.unwrap();
        assert!(courtesy.left("PUT c").is_some_and(|left| left <= LONGEST), "a day is not believed");
    }
}
