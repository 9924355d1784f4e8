//! What a trigger on a server of the user's own can say: its parameters, and what is wrong with their combination.

use tidegate_calculator::source::{MetricType, Problem, TriggerSpec};

use super::address::Address;
use super::server::Place;
use super::wire::ScaledObjectRef;
use crate::parameters::Source::Metadata;
use crate::parameters::{Deprecation, Kind, Parameter, REST, Source, Values, tls};
use crate::registry::Checked;
use crate::tls::{Field, TlsOptions};

const SCALER_ADDRESS: Parameter =
    Parameter::new(&["scalerAddress"], &[Metadata], Kind::Text, "The server as host:port.").required();
const ENABLE_TLS: Parameter = Parameter::new(
    &["enableTLS"],
    &[Metadata],
    Kind::Bool,
    "Whether to use TLS. A certificate authority or a certificate of ours switches it on as well.",
)
.or("false");
const CA_CERT: Parameter = Parameter { names: &["caCert"], ..tls::CA };
const CLIENT_CERT: Parameter = Parameter { names: &["tlsClientCert"], ..tls::CERT };
const CLIENT_KEY: Parameter = Parameter { names: &["tlsClientKey"], ..tls::KEY };
const TLS_CERT_FILE: Parameter =
    Parameter::new(&["tlsCertFile"], &[Metadata], Kind::Text, "Named by KEDA's documentation, but never read.")
        .deprecated(Deprecation::Unused("it is only passed on to the server; use caCert of the authentication"));
const OTHERS: Parameter = Parameter::new(
    &[REST],
    &[Metadata, Source::Environment],
    Kind::Text,
    "Whatever else the server wants to know; the whole metadata is passed on to it.",
);

/// All parameters, in the order of the documentation.
pub(super) const PARAMETERS: &[Parameter] =
    &[SCALER_ADDRESS, OTHERS, ENABLE_TLS, tls::UNSAFE_SSL, CA_CERT, CLIENT_CERT, CLIENT_KEY, TLS_CERT_FILE];

/// What a complete trigger says.
pub(super) struct Settings {
    pub(super) place: Place,
    /// Whom the questions are about.
    pub(super) reference: ScaledObjectRef,
    /// The trigger's position, which the names of its metrics begin with.
    pub(super) index: u8,
    pub(super) metric_type: MetricType,
}

/// What is wrong beyond single parameters. Which metrics there are is known to the server alone.
pub(super) fn check(_: &TriggerSpec, values: &Values) -> Checked {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    match values.text(&SCALER_ADDRESS).map(Address::parse) {
        Some(None) => {
            let what = "is not host:port, nor dns:///host:port; other schemes are not supported";
            errors.push(values.problem(&SCALER_ADDRESS, what));
        }
        Some(Some(address)) if !address.is_complete => {
            warnings.push(values.problem(&SCALER_ADDRESS, format!("names no port, so {} is asked", address.port)));
        }
        _ => {}
    }
    errors.extend(flaws(values));
    if !uses_tls(values)
        && !values.unseen(&CA_CERT)
        && !values.unseen(&CLIENT_CERT)
        && values.truth(&tls::UNSAFE_SSL) == Some(true)
    {
        warnings.push(values.problem(&tls::UNSAFE_SSL, "has no effect without TLS; set enableTLS: true"));
    }
    Checked { errors, warnings, metrics: Vec::new() }
}

/// What the trigger says; none if it has errors.
pub(super) fn settings(spec: &TriggerSpec, values: &Values) -> Option<Settings> {
    let address = Address::parse(values.text(&SCALER_ADDRESS)?)?;
    let (namespace, name) = spec.owner.split_once('/').unwrap_or(("", &spec.owner));
    let metadata = values.passed_on().iter().map(|(key, text)| (key.clone(), text.expose().to_owned()));
    Some(Settings {
        place: Place { address, tls: uses_tls(values).then(|| options(values)) },
        reference: ScaledObjectRef {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            scaler_metadata: metadata.collect(),
        },
        index: spec.index,
        metric_type: spec.metric_type,
    })
}

fn uses_tls(values: &Values) -> bool {
    let given = |parameter| values.given(parameter);
    values.truth(&ENABLE_TLS) == Some(true) || given(&CA_CERT) || (given(&CLIENT_CERT) && given(&CLIENT_KEY))
}

fn options(values: &Values) -> TlsOptions {
    TlsOptions {
        ca: values.secret(&CA_CERT),
        cert: values.secret(&CLIENT_CERT),
        key: values.secret(&CLIENT_KEY),
        key_password: None,
        insecure: values.truth(&tls::UNSAFE_SSL) == Some(true),
    }
}

/// What keeps the certificates from being used, as far as they are seen.
fn flaws(values: &Values) -> Vec<Problem> {
    let parameter = |field| match field {
        Field::Ca => &CA_CERT,
        Field::Cert => &CLIENT_CERT,
        Field::Key | Field::KeyPassword => &CLIENT_KEY,
    };
    let hidden = |field| match field {
        Field::Ca => values.unseen(&CA_CERT),
        _ => values.unseen(&CLIENT_CERT) || values.unseen(&CLIENT_KEY),
    };
    let found = options(values).flaws().into_iter().filter(|(field, _)| !hidden(*field));
    let told = |(field, what)| match field {
        Field::KeyPassword => values.problem(&CLIENT_KEY, "is encrypted, which is not supported here"),
        _ => values.problem(parameter(field), what),
    };
    found.map(told).collect()
}
