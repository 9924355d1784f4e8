//! What a `websocket` trigger can say: its parameters, and what is wrong with their combination.

use std::time::Duration;

use reqwest::Url;
use tidegate_calculator::source::{MetricSpec, Problem, TriggerSpec};

use crate::http::address::{Address, shown};
use crate::http::{Access, authentication, target, with_authentication};
use crate::location::{Format, Location};
use crate::metric;
use crate::parameters::Source::Metadata;
use crate::parameters::{Kind, Parameter, Values};
use crate::registry::Checked;

/// Where the number comes from.
const SOURCE: Parameter = Parameter::new(
    &["source"],
    &[Metadata],
    Kind::Choice(&["stream", "pods"]),
    "Who says how many connections are open: a gateway in a stream (stream), or each pod of the target (pods).",
)
.or("stream");
const URL: Parameter = Parameter::new(
    &["url"],
    &[Metadata],
    Kind::Text,
    "The WebSocket of the gateway, with ws:// or wss://, which sends JSON messages; of source stream, and required there.",
);
const STALE_AFTER: Parameter = Parameter::new(
    &["staleAfter"],
    &[Metadata],
    Kind::Duration,
    "How long the newest message of the gateway counts; at least 1s; of source stream.",
)
.or("30s");
const PORT: Parameter = Parameter::new(
    &["port"],
    &[Metadata],
    Kind::Integer { min: 1, max: 65535 },
    "The port at which each pod is asked; of source pods, and required there.",
);
const PATH: Parameter = Parameter::new(
    &["path"],
    &[Metadata],
    Kind::Text,
    "The path, perhaps with a query, that each pod is asked for; of source pods.",
)
.or("/metrics");
const SCHEME: Parameter = Parameter::new(
    &["scheme"],
    &[Metadata],
    Kind::Choice(&["http", "https"]),
    "Whether pods are asked over TLS; of source pods.",
)
.or("http");
const FORMAT: Parameter = Parameter::new(
    &["format"],
    &[Metadata],
    Kind::Choice(&["prometheus", "json"]),
    "How a pod's answer is written; of source pods. Messages of a stream are JSON.",
)
.or("prometheus");
const SILENT_PODS: Parameter = Parameter::new(
    &["silentPods"],
    &[Metadata],
    Kind::Choice(&["Error", "RaiseOnly"]),
    "What it means that a pod does not say how many connections it holds: the reading fails (Error), or what the others say may still \
     raise (RaiseOnly); of source pods.",
)
.or("Error");
const VALUE_LOCATION: Parameter = Parameter::new(
    &["valueLocation"],
    &[Metadata],
    Kind::Text,
    "Where the number stands: a path as GJSON has it, or with format prometheus a metric's name with labels.",
)
.required();
const TARGET_VALUE: Parameter = Parameter::new(
    &["targetValue"],
    &[Metadata],
    Kind::Number,
    "How many open connections one replica takes care of; with metricType Value how many there should be. A number >= 0.001.",
)
.required();
const ACTIVATION_TARGET_VALUE: Parameter = Parameter::new(
    &["activationTargetValue"],
    &[Metadata],
    Kind::Number,
    "The trigger is active while more connections than this are open.",
)
.or("0");

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] = &with_authentication::<30>(&[
    SOURCE,
    URL,
    STALE_AFTER,
    PORT,
    PATH,
    SCHEME,
    FORMAT,
    SILENT_PODS,
    VALUE_LOCATION,
    TARGET_VALUE,
    ACTIVATION_TARGET_VALUE,
]);

/// The shortest time that a message can count.
const FRESH: Duration = Duration::from_secs(1);

/// What is said of one source alone; with the other it has no effect.
const OF_STREAM: [&Parameter; 2] = [&URL, &STALE_AFTER];
const OF_PODS: [&Parameter; 5] = [&PORT, &PATH, &SCHEME, &FORMAT, &SILENT_PODS];

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) access: Access,
    pub(super) location: Location,
    pub(super) activation: f64,
    pub(super) metric: MetricSpec,
}

/// Who is asked, and how.
pub(super) enum Source {
    Stream(Listened),
    Pods(Asked),
}

/// A gateway that is listened to.
pub(super) struct Listened {
    /// `ws://gateway/stats`: what it is called in messages.
    pub(super) name: String,
    /// Where it is, with http for ws.
    pub(super) url: Url,
    pub(super) stale_after: Duration,
}

/// How pods are asked.
pub(super) struct Asked {
    /// What each of them is asked for; its host is replaced by the pod's.
    pub(super) url: Url,
    /// The media types that we can read.
    pub(super) accept: &'static str,
    /// Whether what the others say may raise while one is silent.
    pub(super) may_raise: bool,
}

/// What is wrong beyond single parameters.
pub(super) fn check(spec: &TriggerSpec, values: &Values) -> Checked {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    let of_pods = values.text(&SOURCE) == Some("pods");
    let needed = if of_pods { &PORT } else { &URL };
    if SOURCE.kind.accepts(values.text(&SOURCE).unwrap_or_default()) {
        if values.text(needed).is_none() {
            let source = if of_pods { "pods" } else { "stream" };
            errors.push(values.problem(needed, format!("is required with source {source}")));
        }
        let idle: &[&Parameter] = if of_pods { &OF_STREAM } else { &OF_PODS };
        let idle = idle.iter().filter(|parameter| values.given(parameter));
        let only = if of_pods { "stream" } else { "pods" };
        warnings
            .extend(idle.map(|parameter| values.problem(parameter, format!("has no effect without source {only}"))));
    }
    let address = address(values).unwrap_or_else(|problem| {
        errors.push(problem);
        None
    });
    errors.extend(location(values).err());
    if !of_pods && values.duration(&STALE_AFTER).is_some_and(|stale| stale < FRESH) {
        errors.push(values.problem(&STALE_AFTER, "is not a duration >= 1s (such as 30s, or milliseconds)"));
    }
    if values.number(&TARGET_VALUE).is_some_and(|value| target(value).is_none()) {
        errors.push(values.problem(&TARGET_VALUE, "is not a number >= 0.001"));
    }
    let (more, others) = authentication::check(values, address.as_ref().map(|address| &address.url));
    let tls = if of_pods { "scheme: https" } else { "wss://" };
    let meant = |problem: Problem| Problem { allowed: problem.allowed.replace("https://", tls), ..problem };
    errors.extend(more);
    warnings.extend(others.into_iter().map(meant));
    Checked { errors, warnings, metrics: metric(spec, values).into_iter().collect() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let address = address(values).ok()??;
    let access = authentication::access(values, &address)?;
    let source = if values.text(&SOURCE)? == "pods" {
        let accept = Format::named(values.text(&FORMAT)?)?.accept();
        Source::Pods(Asked { url: address.url, accept, may_raise: values.text(&SILENT_PODS)? == "RaiseOnly" })
    } else {
        let name = shown(&address.url).replacen("http", "ws", 1);
        Source::Stream(Listened { name, url: address.url, stale_after: values.duration(&STALE_AFTER)? })
    };
    Some(Settings {
        source,
        access,
        location: location(values).ok()??,
        activation: values.number(&ACTIVATION_TARGET_VALUE)?,
        metric: metric(spec, values)?,
    })
}

fn metric(spec: &TriggerSpec, values: &Values) -> Option<MetricSpec> {
    let name = format!("websocket-{}", values.text(&VALUE_LOCATION)?);
    Some(metric::metric(spec, &name, target(values.number(&TARGET_VALUE)?)?))
}

/// Where the gateway is, or how a pod is asked; none if nothing is given or nothing seen.
fn address(values: &Values) -> Result<Option<Address>, Problem> {
    match values.text(&SOURCE) {
        Some("pods") => of_pods(values),
        Some("stream") => of_stream(values),
        _ => Ok(None),
    }
}

fn of_stream(values: &Values) -> Result<Option<Address>, Problem> {
    let Some(text) = values.text(&URL) else { return Ok(None) };
    let begin = |scheme: &str| text.get(..scheme.len()).filter(|begin| begin.eq_ignore_ascii_case(scheme));
    let rest = |begin: &str| &text[begin.len()..];
    let http = match (begin("ws://").map(rest), begin("wss://").map(rest)) {
        (Some(rest), _) => format!("http://{rest}"),
        (_, Some(rest)) => format!("https://{rest}"),
        _ => String::new(),
    };
    Address::parse(&http).map(Some).map_err(|_| values.problem(&URL, "is not a URL with ws:// or wss://"))
}

fn of_pods(values: &Values) -> Result<Option<Address>, Problem> {
    let (Some(port), Some(path)) = (values.integer(&PORT), values.text(&PATH)) else { return Ok(None) };
    let Some(scheme) = values.text(&SCHEME).filter(|scheme| SCHEME.kind.accepts(scheme)) else { return Ok(None) };
    if !path.starts_with('/') {
        return Err(values.problem(&PATH, "is not a path: it does not begin with /"));
    }
    let parsed = Address::parse(&format!("{scheme}://localhost:{port}{path}"));
    parsed.map(Some).map_err(|_| values.problem(&PATH, "is not the path of a URL"))
}

fn location(values: &Values) -> Result<Option<Location>, Problem> {
    let format = match values.text(&SOURCE) {
        Some("pods") => values.text(&FORMAT).filter(|format| FORMAT.kind.accepts(format)).and_then(Format::named),
        _ => Some(Format::Json),
    };
    let (Some(format), Some(text)) = (format, values.text(&VALUE_LOCATION)) else { return Ok(None) };
    Location::parse(format, text).map(Some).map_err(|what| values.problem(&VALUE_LOCATION, what))
}
