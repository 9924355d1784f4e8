//! How the metrics APIs are asked, and what they answer: the parts of their JSON that are looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::Request;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::source::Milli;
use tidegate_calculator::time::Span;

use crate::kubernetes::calls::{CALL, Failure, within};

/// `PodMetricsList` of metrics.k8s.io.
#[derive(Debug, Deserialize)]
pub(super) struct PodMetricsList {
    #[serde(default)]
    pub(super) items: Vec<PodMetrics>,
}

/// What one pod uses.
#[derive(Debug, Deserialize)]
pub(super) struct PodMetrics {
    pub(super) metadata: Named,
    pub(super) timestamp: Option<Timestamp>,
    /// A Go duration such as `30s` or `14.5s`.
    pub(super) window: Option<String>,
    #[serde(default)]
    pub(super) containers: Vec<ContainerMetrics>,
}

/// What one container uses.
#[derive(Debug, Deserialize)]
pub(super) struct ContainerMetrics {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) usage: BTreeMap<String, Value>,
}

/// Something with a name.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    pub(super) name: String,
}

/// `MetricValueList` of custom.metrics.k8s.io, and `ExternalMetricValueList` of external.metrics.k8s.io.
#[derive(Debug, Deserialize)]
pub(super) struct MetricValues {
    #[serde(default)]
    pub(super) items: Vec<MetricValue>,
}

/// One value. The versions differ in the name of the window, and in how they repeat the metric's name, which nobody looks at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetricValue {
    /// What it describes; external metrics describe nothing.
    pub(super) described_object: Option<Named>,
    pub(super) timestamp: Option<Timestamp>,
    /// `windowSeconds` of custom.metrics.k8s.io/v1beta2, `window` of the others.
    #[serde(alias = "window")]
    pub(super) window_seconds: Option<i64>,
    #[serde(default)]
    value: Value,
}

/// `EndpointSliceList` of discovery.k8s.io.
#[derive(Debug, Deserialize)]
pub(super) struct Slices {
    #[serde(default)]
    pub(super) items: Vec<Slice>,
}

/// Some endpoints of a Service; all of them have these ports.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(default)]
    pub(super) address_type: String,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) ports: Vec<Port>,
}

/// One endpoint.
#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    #[serde(default, deserialize_with = "or_none")]
    pub(super) addresses: Vec<String>,
    #[serde(default)]
    conditions: Option<Conditions>,
}

#[derive(Debug, Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

/// One port; without a number it stands for all.
#[derive(Debug, Deserialize)]
pub(super) struct Port {
    pub(super) port: Option<u16>,
}

impl Endpoint {
    /// What says nothing of being ready is.
    pub(super) fn is_ready(&self) -> bool {
        self.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    }
}

/// A list, or null: that is how an API server writes one that is empty.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl MetricValue {
    /// The value in thousandths, or the text that is no quantity.
    pub(super) fn milli(&self) -> Result<Milli, String> {
        milli(&self.value)
    }
}

impl PodMetrics {
    /// Over which time it was taken; nothing if it does not say.
    pub(super) fn window(&self) -> Result<Span, String> {
        let Some(text) = self.window.as_deref().filter(|text| !text.is_empty()) else { return Ok(Span::ZERO) };
        let parsed: SignedDuration =
            text.parse().map_err(|_| format!("window {text:?} is not a length of time such as 30s"))?;
        Ok(Span(i64::try_from(parsed.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A quantity in thousandths, at the edge if it lies beyond; an API written by hand may say a number where a text belongs.
pub(super) fn milli(value: &Value) -> Result<Milli, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("{other} is not a quantity")),
    };
    let quantity: Quantity = text.parse().map_err(|error| format!("{error}"))?;
    Ok(quantity.to_milli_saturating())
}

/// A path and its query; empty parameters are left out.
pub(super) fn path(parts: &[&str], query: &[(&str, &str)]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        escape(part, &mut path);
    }
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    for (index, (name, value)) in given.enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        escape(value, &mut path);
    }
    path
}

/// Everything that may mean something else in a path or a query is escaped; `*` stands for all pods.
fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// Reads what stands at a path.
pub(super) async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    within(CALL, async {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        client.request(request).await
    })
    .await
}
