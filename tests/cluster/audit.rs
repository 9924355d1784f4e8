//! What operators asked the API server, by its own audit log: the proof that nothing was written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;

/// The audit log. A request is in it before its answer is sent.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    file: PathBuf,
}

/// Where a user's credential is named: every token has an id of its own.
pub(super) const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The credential it was asked with.
    pub(crate) credential: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub(crate) verb: String,
    /// `deployments`, `deployments/scale`, `scaledobjects/status`, ...; a path if it was for no resource.
    pub(crate) resource: String,
    /// Empty if it was for none.
    pub(crate) namespace: String,
    /// Empty if it was for many objects.
    pub(crate) name: String,
    /// The answer's code.
    pub(crate) code: u64,
    /// When it came.
    pub(crate) at: Timestamp,
    /// When its answer was ready.
    pub(crate) done: Timestamp,
}

/// Requests that were asked in a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(pub(crate) Vec<Request>);

impl Audit {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Now: what is asked from here on comes after it.
    pub(crate) fn now(&self) -> Moment {
        // Before the first request of an operator there is no file.
        Moment(std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len()))
    }

    /// What was asked with a credential since a moment.
    pub(crate) fn since(&self, mut moment: Moment, credential: &str) -> Requests {
        self.follow(&mut moment, credential)
    }

    /// What was asked with a credential since a moment, which is put forward to the end of what was looked at.
    pub(crate) fn follow(&self, moment: &mut Moment, credential: &str) -> Requests {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.file) {
            file.seek(SeekFrom::Start(moment.0)).unwrap();
            file.read_to_string(&mut text).unwrap();
        }
        // The last line may be half written: its answer has not been sent yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        moment.0 += u64::try_from(whole.len()).unwrap();
        let events =
            whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        Requests(
            events
                .filter_map(|event: Value| request(&event))
                .filter(|request| request.credential == credential)
                .collect(),
        )
    }
}

impl Requests {
    /// Those that change something.
    pub(crate) fn writes(&self) -> Self {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        self.filtered(|request| writes.contains(&request.verb.as_str()))
    }

    /// All but those for the lease, and for what belongs to no namespace: another trial may have left that to every operator.
    pub(crate) fn without_lease(&self) -> Self {
        self.filtered(|request| !["leases", "clustertriggerauthentications"].contains(&request.resource.as_str()))
    }

    /// Those for a resource.
    pub(crate) fn of(&self, resource: &str) -> Self {
        self.filtered(|request| request.resource == resource)
    }

    /// Those that were done.
    pub(crate) fn done(&self) -> Self {
        self.filtered(|request| request.code < 300)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many of each kind: `patch deployments/scale`.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.0 {
            *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        counts
    }

    fn filtered(&self, keep: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| keep(request)).cloned().collect())
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Request { verb, resource, namespace, name, code, at, .. } in &self.0 {
            writeln!(out, "{at} {verb} {resource} {namespace}/{name} {code}")?;
        }
        Ok(())
    }
}

/// A line of the log. A watch has two, at its start and at its end; the first one counts. One that is refused has only the second.
fn request(event: &Value) -> Option<Request> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (verb, stage, object) = (text(&event["verb"]), &event["stage"], &event["objectRef"]);
    let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
    let counts = if verb == "watch" { code >= 400 || stage == "ResponseStarted" } else { stage == "ResponseComplete" };
    if !counts {
        return None;
    }
    let resource = match (object["resource"].as_str(), object["subresource"].as_str()) {
        (Some(resource), Some(part)) => format!("{resource}/{part}"),
        (Some(resource), None) => resource.to_owned(),
        (None, _) => text(&event["requestURI"]),
    };
    Some(Request {
        credential: text(&event["user"]["extra"][CREDENTIAL][0]),
        verb,
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code,
        at: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
        done: event["stageTimestamp"].as_str()?.parse().ok()?,
    })
}
