//! Asks a running process for its explanation.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use tidegate_engine::subject::ObjectId;

use super::ExplainError;

/// How long the server may take: it answers from memory.
const TIME: Duration = Duration::from_secs(10);
/// The longest answer that is read; one object with its explanation has a few KiB.
const LONGEST: usize = 4 * 1024 * 1024;

/// The object as the server at this address sees it.
pub(super) fn ask(server: &str, object: &ObjectId) -> Result<Value, ExplainError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExplainError::Runtime)?;
    runtime.block_on(fetch(server, object))
}

async fn fetch(server: &str, object: &ObjectId) -> Result<Value, ExplainError> {
    let base = base(server)?;
    let url = format!("{base}/api/v1/objects/{}/{}", object.namespace, object.name);
    let no_server = |error: reqwest::Error| ExplainError::NoServer { server: base.clone(), cause: root(&error) };
    let client =
        Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(TIME).build().map_err(no_server)?;
    let response = client.get(&url).send().await.map_err(no_server)?;
    let status = response.status();
    let not_ours = |cause: String| ExplainError::NotOurs { server: base.clone(), cause };
    let body = read(response).await.map_err(not_ours)?;
    let answer: Value =
        serde_json::from_slice(&body).map_err(|_| not_ours(format!("it answered {status} without JSON")))?;
    if status == StatusCode::OK && answer["explanation"]["heading"].is_string() {
        return Ok(answer);
    }
    match answer["error"]["message"].as_str() {
        Some(message) => Err(ExplainError::Refused(format!("{base}: {message}"))),
        None => Err(not_ours(format!("it answered {status} with unknown JSON"))),
    }
}

/// `http://HOST:PORT` of what the user wrote.
fn base(server: &str) -> Result<String, ExplainError> {
    let text = server.trim_end_matches('/');
    let address = text.strip_prefix("http://").unwrap_or(text);
    if address.is_empty() || address.contains(['/', '?', '#', '@', ' ']) {
        return Err(ExplainError::Address { server: server.to_owned() });
    }
    Ok(format!("http://{address}"))
}

/// The whole answer, as long as it is not too long.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| root(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(format!("its answer is longer than {} MiB", LONGEST / (1024 * 1024)));
        }
    }
    Ok(body)
}

/// The innermost cause, which says what the operating system said.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
