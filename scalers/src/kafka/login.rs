//! What both types say about who we are: SASL, its parameters, and what of KEDA's is refused by name.

use reqwest::Url;
use tidegate_calculator::source::Problem;

use super::connection::{Login, OAuth, Sasl};
use super::declaration::{TLS, is_missing};
use crate::http::is_local;
use crate::parameters::Source::{self, Authentication, Environment, Metadata};
use crate::parameters::{Deprecation, Kind, Parameter, Values};

const OF_GSSAPI: &str = "Of sasl: gssapi only.";
const OF_AWS: &str = "Of aws_msk_iam only.";
const GSSAPI: Deprecation = Deprecation::Unused("it belongs to sasl: gssapi, which is not supported");
const AWS: Deprecation = Deprecation::Unused("it belongs to aws_msk_iam, which is not supported");
const EITHER: &[Source] = &[Metadata, Authentication];
const SECRETS: &[Source] = &[Metadata, Environment, Authentication];

pub(super) const SASL: Parameter = Parameter::new(
    &["sasl"],
    EITHER,
    Kind::Choice(&["none", "plaintext", "scram_sha256", "scram_sha512", "oauthbearer"]),
    "How to log in. gssapi (Kerberos) is not supported.",
);
pub(super) const USERNAME: Parameter = Parameter::new(
    &["username"],
    &[Authentication],
    Kind::Text,
    "The user; with oauthbearer the client's id. Required with sasl.",
);
pub(super) const PASSWORD: Parameter = Parameter::new(
    &["password"],
    &[Authentication],
    Kind::Text,
    "The user's password; with oauthbearer the client's secret. Required with sasl.",
)
.secret();
pub(super) const SASL_TOKEN_PROVIDER: Parameter = Parameter::new(
    &["saslTokenProvider"],
    EITHER,
    Kind::Choice(&["bearer"]),
    "Where the tokens of oauthbearer come from. aws_msk_iam is not supported.",
)
.or("bearer");
pub(super) const OAUTH_TOKEN_ENDPOINT_URI: Parameter = Parameter::new(
    &["oauthTokenEndpointUri"],
    &[Authentication],
    Kind::Text,
    "The URL that gives tokens by client credentials. Required with oauthbearer.",
);
pub(super) const SCOPES: Parameter =
    Parameter::new(&["scopes"], &[Authentication], Kind::List, "The scopes that tokens are asked for; of oauthbearer.");
pub(super) const OAUTH_EXTENSIONS: Parameter = Parameter::new(
    &["oauthExtensions"],
    &[Authentication],
    Kind::List,
    "SASL extensions such as logicalCluster=lkc-1,identityPoolId=pool-2; of oauthbearer.",
);
pub(super) const KEYTAB: Parameter =
    Parameter::new(&["keytab"], &[Authentication], Kind::Text, OF_GSSAPI).secret().deprecated(GSSAPI);
pub(super) const REALM: Parameter =
    Parameter::new(&["realm"], &[Authentication], Kind::Text, OF_GSSAPI).deprecated(GSSAPI);
pub(super) const KERBEROS_CONFIG: Parameter =
    Parameter::new(&["kerberosConfig"], &[Authentication], Kind::Text, OF_GSSAPI).deprecated(GSSAPI);
pub(super) const KERBEROS_SERVICE_NAME: Parameter =
    Parameter::new(&["kerberosServiceName"], &[Authentication], Kind::Text, OF_GSSAPI).deprecated(GSSAPI);
pub(super) const KERBEROS_DISABLE_FAST: Parameter =
    Parameter::new(&["kerberosDisableFAST"], &[Authentication], Kind::Text, OF_GSSAPI).deprecated(GSSAPI);
pub(super) const AWS_REGION: Parameter =
    Parameter::new(&["awsRegion"], &[Metadata], Kind::Text, OF_AWS).deprecated(AWS);
pub(super) const AWS_ROLE_ARN: Parameter =
    Parameter::new(&["awsRoleArn"], &[Authentication], Kind::Text, OF_AWS).deprecated(AWS);
pub(super) const AWS_ACCESS_KEY_ID: Parameter =
    Parameter::new(&["awsAccessKeyID"], SECRETS, Kind::Text, OF_AWS).deprecated(AWS);
pub(super) const AWS_SECRET_ACCESS_KEY: Parameter =
    Parameter::new(&["awsSecretAccessKey"], SECRETS, Kind::Text, OF_AWS).secret().deprecated(AWS);
pub(super) const AWS_SESSION_TOKEN: Parameter =
    Parameter::new(&["awsSessionToken"], &[Authentication], Kind::Text, OF_AWS).secret().deprecated(AWS);
pub(super) const IDENTITY_OWNER: Parameter =
    Parameter::new(&["identityOwner"], &[Metadata], Kind::Text, OF_AWS).deprecated(AWS);

/// What is wrong with the login: errors, then warnings. `sasl` is the type's own declaration of it.
pub(super) fn check(values: &Values, sasl: &Parameter) -> (Vec<Problem>, Vec<Problem>) {
    let mut errors = refused(values, sasl);
    let method = values.text(sasl).unwrap_or("none");
    if values.unseen(sasl) || !sasl.kind.accepts(method) || !errors.is_empty() {
        return (errors, Vec::new());
    }
    let required: &[&Parameter] = match method {
        "plaintext" | "scram_sha256" | "scram_sha512" => &[&USERNAME, &PASSWORD],
        "oauthbearer" => &[&USERNAME, &PASSWORD, &OAUTH_TOKEN_ENDPOINT_URI],
        _ => &[],
    };
    let missing = required.iter().filter(|parameter| is_missing(values, parameter));
    errors.extend(missing.map(|parameter| values.problem(parameter, format!("is required with sasl: {method}"))));
    let mut warnings = Vec::new();
    if method == "oauthbearer" {
        errors.extend(oauth_flaws(values));
    } else {
        let of_oauth = [&OAUTH_TOKEN_ENDPOINT_URI, &SCOPES, &OAUTH_EXTENSIONS];
        warnings.extend(idle(values, &of_oauth, "has no effect without sasl: oauthbearer"));
    }
    warnings.extend(in_the_clear(values, sasl, method));
    if method == "none" {
        warnings.extend(idle(values, &[&USERNAME, &PASSWORD], "has no effect without sasl"));
    }
    (errors, warnings)
}

/// Whether the trigger logs in at all.
pub(super) fn is_wanted(values: &Values) -> bool {
    values.text(&SASL).is_some_and(|method| method != "none")
}

/// Who we are; none without SASL, or if something is missing that it needs.
pub(super) fn sasl(values: &Values) -> Option<Sasl> {
    let login = || Some(Login { username: values.secret(&USERNAME)?, password: values.secret(&PASSWORD)? });
    match values.text(&SASL)? {
        "plaintext" => login().map(Sasl::Plain),
        "scram_sha256" => login().map(Sasl::ScramSha256),
        "scram_sha512" => login().map(Sasl::ScramSha512),
        "oauthbearer" => Some(Sasl::OAuthBearer(OAuth {
            endpoint: values.text(&OAUTH_TOKEN_ENDPOINT_URI)?.to_owned(),
            client: values.secret(&USERNAME)?,
            secret: values.secret(&PASSWORD)?,
            scopes: values.list(&SCOPES).into_iter().filter(|scope| !scope.is_empty()).collect(),
            extensions: extensions(values)?,
        })),
        _ => None,
    }
}

/// What KEDA can do and we cannot. Said by name, because "is not one of" looks like a slip of the pen.
fn refused(values: &Values, sasl: &Parameter) -> Vec<Problem> {
    let refusal = |parameter: &Parameter| {
        let what = match values.text(parameter)? {
            "gssapi" => "GSSAPI (Kerberos)",
            "aws_msk_iam" => "AWS IAM",
            _ => return None,
        };
        let Kind::Choice(supported) = parameter.kind else { return None };
        let allowed = format!("asks for {what}, which is not supported; supported: {}", supported.join(", "));
        Some(values.problem(parameter, allowed))
    };
    [sasl, &SASL_TOKEN_PROVIDER].into_iter().filter_map(refusal).collect()
}

/// What anybody on the way could read. With SCRAM neither password nor token is sent.
fn in_the_clear(values: &Values, sasl: &Parameter, method: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    let open = !values.unseen(&TLS) && values.text(&TLS) != Some("enable");
    let sent = match method {
        "plaintext" => Some("the password"),
        "oauthbearer" => Some("the token"),
        _ => None,
    };
    if let Some(sent) = sent.filter(|_| open) {
        found.push(values.problem(sasl, format!("sends {sent} in the clear; set tls: enable")));
    }
    let endpoint = values.text(&OAUTH_TOKEN_ENDPOINT_URI).filter(|_| method == "oauthbearer");
    let endpoint = endpoint.and_then(|text| Url::parse(text).ok());
    if endpoint.is_some_and(|url| url.scheme() == "http" && !is_local(&url)) {
        let what = "sends the client's secret in the clear; use https://";
        found.push(values.problem(&OAUTH_TOKEN_ENDPOINT_URI, what));
    }
    found
}

fn oauth_flaws(values: &Values) -> Vec<Problem> {
    let mut errors = Vec::new();
    let is_url = |text: &str| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
    };
    if values.text(&OAUTH_TOKEN_ENDPOINT_URI).is_some_and(|uri| !is_url(uri)) {
        errors.push(values.problem(&OAUTH_TOKEN_ENDPOINT_URI, "is not a URL with http:// or https://"));
    }
    if !values.unseen(&OAUTH_EXTENSIONS) && extensions(values).is_none() {
        let what = "is not a list of name=value, with names of letters other than auth";
        errors.push(values.problem(&OAUTH_EXTENSIONS, what));
    }
    errors
}

/// The extensions (RFC 7628 §3.1: names are letters, and `auth` is the token's own).
fn extensions(values: &Values) -> Option<Vec<(String, String)>> {
    let pair = |item: String| {
        let (name, value) = item.split_once('=')?;
        let letters = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()) && name != "auth";
        let printable = !value.contains('=') && value.bytes().all(|b| matches!(b, b'!'..=b'~' | b' '));
        (letters && printable).then(|| (name.to_owned(), value.to_owned()))
    };
    values.list(&OAUTH_EXTENSIONS).into_iter().map(pair).collect()
}

fn idle(values: &Values, parameters: &[&Parameter], what: &str) -> Vec<Problem> {
    let given = parameters.iter().filter(|parameter| values.given(parameter));
    given.map(|parameter| values.problem(parameter, what)).collect()
}
