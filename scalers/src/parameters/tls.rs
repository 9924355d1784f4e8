//! The parameters by which every trigger type says the same about TLS.

use tidegate_calculator::source::Problem;

use super::Source::{Authentication, Metadata};
use super::{Kind, Parameter, Values};
use crate::tls::{Field, TlsOptions};

/// Whether any certificate is taken.
pub(crate) const UNSAFE_SSL: Parameter =
    Parameter::new(&["unsafeSsl"], &[Metadata], Kind::Bool, "Whether to take any certificate of the server.")
        .or("false");
/// See [`TlsOptions::ca`].
pub(crate) const CA: Parameter = Parameter::new(
    &["ca"],
    &[Authentication],
    Kind::Text,
    "Certificate authorities in PEM, trusted beside the system's.",
);
/// See [`TlsOptions::cert`].
pub(crate) const CERT: Parameter =
    Parameter::new(&["cert"], &[Authentication], Kind::Text, "The client's certificate in PEM.");
/// See [`TlsOptions::key`].
pub(crate) const KEY: Parameter =
    Parameter::new(&["key"], &[Authentication], Kind::Text, "The client's private key in PEM.").secret();
/// See [`TlsOptions::key_password`].
pub(crate) const KEY_PASSWORD: Parameter = Parameter::new(
    &["keyPassword"],
    &[Authentication],
    Kind::Text,
    "The password of the client's private key, if it is encrypted (PKCS#8).",
)
.secret();

/// What a trigger that uses TLS says about it. A parameter that its type does not declare is absent.
pub(crate) fn options(values: &Values) -> TlsOptions {
    TlsOptions {
        ca: values.secret(&CA),
        cert: values.secret(&CERT),
        key: values.secret(&KEY),
        key_password: values.secret(&KEY_PASSWORD),
        insecure: values.truth(&UNSAFE_SSL) == Some(true),
    }
}

/// What keeps these options from being used, as far as they are seen.
pub(crate) fn flaws(values: &Values) -> Vec<Problem> {
    let parameter = |field| match field {
        Field::Ca => &CA,
        Field::Cert => &CERT,
        Field::Key => &KEY,
        Field::KeyPassword => &KEY_PASSWORD,
    };
    let hidden = |field| match field {
        Field::Ca => values.unseen(&CA),
        _ => [&CERT, &KEY, &KEY_PASSWORD].into_iter().any(|parameter| values.unseen(parameter)),
    };
    let flaws = options(values).flaws();
    flaws
        .into_iter()
        .filter(|(field, _)| !hidden(*field))
        .map(|(field, what)| values.problem(parameter(field), what))
        .collect()
}

/// Warnings about what only TLS would use; `remedy` says how to switch it on. `unsafeSsl: "false"` is what KEDA's examples spell out: it
/// asks for nothing.
pub(crate) fn idle(values: &Values, remedy: &str) -> Vec<Problem> {
    let insecure = (values.truth(&UNSAFE_SSL) == Some(true)).then_some(&UNSAFE_SSL);
    let given = [&CA, &CERT, &KEY].into_iter().filter(|parameter| values.given(parameter));
    insecure
        .into_iter()
        .chain(given)
        .map(|parameter| values.problem(parameter, format!("has no effect without TLS; {remedy}")))
        .collect()
}
