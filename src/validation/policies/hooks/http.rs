//! `http` of a hook, and addresses wherever they stand.

use reqwest::Url;
use serde_json::Value;
use tidegate_calculator::operation::spec::Http;

use super::super::super::findings::{Findings, shown};
use super::super::fields::{is_given, list, text};
use super::{pairs, references};
use crate::manifests::path;

/// The header that an operation sets, so that a receiver can tell a repetition from a new request.
const KEY: &str = "Idempotency-Key";
/// Headers that the client makes of the request itself.
const FRAMING: [&str; 5] = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade"];
/// Headers whose values are secrets as a rule.
const SECRET: [&str; 4] = ["Authorization", "Proxy-Authorization", "Cookie", "X-API-Key"];

/// Reads the block. Only of use when no error was found.
pub(super) fn read(block: &Value, here: &str, findings: &mut Findings) -> Option<Http> {
    let defaults = Http::default();
    let url = address(block, "url", here, findings);
    let poll = block.get("async").filter(|poll| poll.is_object());
    let poll_url = poll.and_then(|poll| address(poll, "pollUrl", &path::child(here, "async"), findings));
    let headers = headers(block, here, findings);
    let authentication_ref = references::read(block, here, findings);
    let method = text(block, "method").unwrap_or(&defaults.method).to_owned();
    let body = text(block, "body").unwrap_or_default().to_owned();
    if !body.is_empty() && method == "GET" {
        findings.warn(path::child(here, "body"), None, "is rarely read with method GET; POST is the default");
    }
    let status = block.get("expect").map(|expect| list(expect, "status")).unwrap_or_default();
    let expect_status: Vec<u16> =
        status.iter().filter_map(Value::as_u64).filter_map(|status| u16::try_from(status).ok()).collect();
    Some(Http {
        url: url?,
        method,
        headers,
        body,
        authentication_ref,
        expect_status: if expect_status.is_empty() { defaults.expect_status } else { expect_status },
        poll_url,
    })
}

fn headers(block: &Value, here: &str, findings: &mut Findings) -> Vec<(String, String)> {
    let headers = pairs(block, "headers");
    let place = path::child(here, "headers");
    for (index, (name, value)) in headers.iter().enumerate() {
        let there = path::child(&place, name);
        let is = |other: &&str| other.eq_ignore_ascii_case(name);
        let wrong = if !is_token(name) {
            Some("is not the name of a header")
        } else if is(&KEY) {
            Some("is set by the operation: it is the same for every repetition of one attempt")
        } else if FRAMING.iter().any(is) {
            Some("is made of the request itself")
        } else if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            Some("has a value with characters that a header cannot hold")
        } else if headers.iter().take(index).any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            Some("stands twice: the case of letters makes no difference")
        } else {
            None
        };
        match wrong {
            Some(wrong) => findings.refuse(there, None, wrong),
            None if SECRET.iter().any(is) => {
                findings.warn(
                    there,
                    None,
                    "can be read by everybody who reads the policy; authenticationRef is the place for secrets",
                );
            }
            None => {}
        }
    }
    headers
}

/// Whether a text is a token, as the names of headers are.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A field that holds an address, if it is there and good.
pub(super) fn address(entry: &Value, name: &str, here: &str, findings: &mut Findings) -> Option<String> {
    let text = entry.get(name)?.as_str()?;
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let allowed =
                "holds a login, which everybody reads who reads the policy; authenticationRef is the place for it";
            findings.refuse(path::child(here, name), None, allowed);
            None
        }
        // A parser of URLs makes much good that nobody has meant.
        Ok(url) if matches!(url.scheme(), "http" | "https") && text.starts_with(&format!("{}://", url.scheme())) => {
            Some(text.to_owned())
        }
        _ => {
            let allowed = "is not an http:// or https:// address";
            findings.refuse(path::child(here, name), Some(shown(&text.into())), allowed);
            None
        }
    }
}

/// The same for an address below which others are asked.
pub(super) fn base(entry: &Value, name: &str, here: &str, findings: &mut Findings) -> Option<String> {
    let address = address(entry, name, here, findings)?;
    if is_given(entry, name) && address.contains(['?', '#']) {
        let allowed = "has a query or a fragment; only what stands before /jobs is needed";
        findings.refuse(path::child(here, name), Some(shown(&address.as_str().into())), allowed);
    }
    Some(address.trim_end_matches('/').to_owned())
}
