//! The parameters by which every HTTP trigger says who we are: KEDA's `authModes`, once for all of them.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use tidegate_calculator::source::{Problem, Secret};

use super::address::Address;
use super::server::{Access, ApiKey, Credentials, Login};
use super::token::{Grant, is_local};
use crate::parameters::Source::{self, Authentication, Metadata};
use crate::parameters::{Kind, Parameter, Values, tls};

const EITHER: &[Source] = &[Metadata, Authentication];
const SECRETS: &[Source] = &[Authentication];

pub(crate) const AUTH_MODES: Parameter = Parameter::new(
    &["authModes", "authMode"],
    EITHER,
    Kind::List,
    "How we say who we are: any of apiKey, basic, bearer, custom, oauth, tls, but only one of basic, bearer and oauth.",
);
const BEARER_TOKEN: Parameter =
    Parameter::new(&["bearerToken", "token"], SECRETS, Kind::Text, "The token; of bearer.").secret();
const USERNAME: Parameter = Parameter::new(&["username"], SECRETS, Kind::Text, "The user; of basic.");
const PASSWORD: Parameter =
    Parameter::new(&["password"], SECRETS, Kind::Text, "The user's password, which may be empty; of basic.").secret();
const CUSTOM_AUTH_HEADER: Parameter =
    Parameter::new(&["customAuthHeader"], SECRETS, Kind::Text, "The name of a header to send; of custom.");
const CUSTOM_AUTH_VALUE: Parameter =
    Parameter::new(&["customAuthValue"], SECRETS, Kind::Text, "The value of that header; of custom.").secret();
const API_KEY: Parameter = Parameter::new(&["apiKey"], EITHER, Kind::Text, "The key; of apiKey.").secret();
const METHOD: Parameter = Parameter::new(
    &["method"],
    EITHER,
    Kind::Choice(&["header", "query"]),
    "Whether the key is sent in a header or in the query of the URL; of apiKey.",
)
.or("header");
const KEY_PARAM_NAME: Parameter = Parameter::new(
    &["keyParamName"],
    EITHER,
    Kind::Text,
    "The name of that header (X-API-KEY if not given) or of that part of the query (api_key if not given); of apiKey.",
);
const OAUTH_TOKEN_URI: Parameter = Parameter::new(
    &["oauthTokenURI"],
    SECRETS,
    Kind::Text,
    "The URL that gives tokens by client credentials; of oauth.",
);
const CLIENT_ID: Parameter = Parameter::new(&["clientID"], SECRETS, Kind::Text, "The client's id; of oauth.");
const CLIENT_SECRET: Parameter =
    Parameter::new(&["clientSecret"], SECRETS, Kind::Text, "The client's secret; of oauth.").secret();
const SCOPES: Parameter =
    Parameter::new(&["scopes", "scope"], SECRETS, Kind::List, "The scopes that tokens are asked for; of oauth.");
const ENDPOINT_PARAMS: Parameter = Parameter::new(
    &["endpointParams"],
    SECRETS,
    Kind::Text,
    "What else is sent for a token, as in a query: audience=api&resource=x; of oauth.",
)
.secret();

/// All of them, in the order of the documentation.
pub(crate) const PARAMETERS: [Parameter; 19] = [
    AUTH_MODES,
    BEARER_TOKEN,
    USERNAME,
    PASSWORD,
    API_KEY,
    METHOD,
    KEY_PARAM_NAME,
    CUSTOM_AUTH_HEADER,
    CUSTOM_AUTH_VALUE,
    OAUTH_TOKEN_URI,
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPES,
    ENDPOINT_PARAMS,
    tls::UNSAFE_SSL,
    tls::CA,
    tls::CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
];

/// What one mode needs and what it may have besides.
struct Mode {
    name: &'static str,
    needs: &'static [&'static Parameter],
    takes: &'static [&'static Parameter],
}

const MODES: [Mode; 6] = [
    Mode { name: "apiKey", needs: &[&API_KEY], takes: &[&METHOD, &KEY_PARAM_NAME] },
    Mode { name: "basic", needs: &[&USERNAME], takes: &[&PASSWORD] },
    Mode { name: "bearer", needs: &[&BEARER_TOKEN], takes: &[] },
    Mode { name: "custom", needs: &[&CUSTOM_AUTH_HEADER, &CUSTOM_AUTH_VALUE], takes: &[] },
    Mode { name: "oauth", needs: &[&OAUTH_TOKEN_URI, &CLIENT_ID], takes: &[&CLIENT_SECRET, &SCOPES, &ENDPOINT_PARAMS] },
    // What is missing of a pair is found where the pair is read.
    Mode { name: "tls", needs: &[], takes: &[&tls::CERT, &tls::KEY, &tls::KEY_PASSWORD] },
];

/// Those that write the same header.
const LOGINS: [&str; 3] = ["basic", "bearer", "oauth"];

/// What is wrong with the parameters, errors and then warnings. `url` is the server's address, if it is seen.
pub(crate) fn check(values: &Values, url: Option<&Url>) -> (Vec<Problem>, Vec<Problem>) {
    if values.unseen(&AUTH_MODES) {
        return (Vec::new(), Vec::new());
    }
    let modes = values.list(&AUTH_MODES);
    let known = || MODES.iter().map(|mode| mode.name);
    if modes.iter().any(|mode| known().all(|name| name != mode)) {
        let allowed = format!("is not a list of {}", known().collect::<Vec<_>>().join(", "));
        return (vec![values.problem(&AUTH_MODES, allowed)], Vec::new());
    }
    let mut errors = Vec::new();
    if LOGINS.iter().filter(|login| modes.iter().any(|mode| mode == *login)).count() > 1 {
        errors.push(values.problem(&AUTH_MODES, "can have only one of basic, bearer and oauth"));
    }
    let has = |name: &str| modes.iter().any(|mode| mode == name);
    let mut warnings = Vec::new();
    // A token endpoint may be asked over TLS where the server is not.
    let without_tls = url.is_some_and(|url| url.scheme() == "http") && !has("oauth");
    if without_tls {
        warnings.extend(tls::idle(values, "use https://"));
    }
    for mode in &MODES {
        if has(mode.name) {
            errors.extend(missing(values, mode));
        } else if !(without_tls && mode.name == "tls") {
            let idle = mode.needs.iter().chain(mode.takes).filter(|parameter| values.given(parameter));
            let what = format!("has no effect without authModes: {}", mode.name);
            warnings.extend(idle.map(|parameter| values.problem(parameter, what.as_str())));
        }
    }
    errors.extend(tls_flaws(values, has("tls")));
    errors.extend(unsendable(values, &has));
    warnings.extend(url.and_then(|url| in_the_clear(values, url, &modes)));
    (errors, warnings)
}

/// Who we are, and how the server is trusted; none if something is missing.
pub(crate) fn access(values: &Values, address: &Address) -> Option<Access> {
    let modes = values.list(&AUTH_MODES);
    let has = |name: &str| modes.iter().any(|mode| mode == name);
    let login = if has("bearer") {
        Some(Login::Bearer(values.secret(&BEARER_TOKEN)?))
    } else if has("basic") {
        Some(Login::Basic(values.secret(&USERNAME)?, values.secret(&PASSWORD).unwrap_or_default()))
    } else if has("oauth") {
        Some(Login::OAuth(grant(values)?))
    } else {
        // As in Go's clients, and thus in KEDA: a login in the URL counts when nothing else says who we are.
        address.login.clone().map(|(user, password)| Login::Basic(user, password))
    };
    let custom = if has("custom") {
        Some((values.text(&CUSTOM_AUTH_HEADER)?.to_owned(), values.secret(&CUSTOM_AUTH_VALUE)?))
    } else {
        None
    };
    let api_key = if has("apiKey") { Some(api_key(values)?) } else { None };
    Some(Access { tls: tls_options(values, has("tls")), credentials: Credentials { login, api_key, custom } })
}

fn api_key(values: &Values) -> Option<ApiKey> {
    let in_query = values.text(&METHOD) == Some("query");
    let usual = if in_query { "api_key" } else { "X-API-KEY" };
    let name = values.text(&KEY_PARAM_NAME).unwrap_or(usual).to_owned();
    Some(ApiKey { name, key: values.secret(&API_KEY)?, in_query })
}

fn grant(values: &Values) -> Option<Grant> {
    Some(Grant {
        endpoint: values.text(&OAUTH_TOKEN_URI)?.to_owned(),
        client: values.secret(&CLIENT_ID)?,
        secret: values.secret(&CLIENT_SECRET).unwrap_or_default(),
        scopes: values.list(&SCOPES).into_iter().filter(|scope| !scope.is_empty()).collect(),
        extra: pairs(values.text(&ENDPOINT_PARAMS).unwrap_or_default()),
        ca: values.secret(&tls::CA),
    })
}

/// The pairs of a text such as `a=1&b=x%20y`.
pub(crate) fn pairs(query: &str) -> Vec<(String, Secret)> {
    let Ok(mut url) = Url::parse("http://localhost/") else { return Vec::new() };
    url.set_query((!query.is_empty()).then_some(query));
    url.query_pairs().map(|(name, value)| (name.into_owned(), Secret::new(value))).collect()
}

fn missing<'a>(values: &'a Values, mode: &'a Mode) -> impl Iterator<Item = Problem> + 'a {
    let absent = |parameter: &&&Parameter| values.text(parameter).is_none() && !values.unseen(parameter);
    let what = format!("is required with authModes: {}", mode.name);
    let found = mode.needs.iter().filter(absent);
    found.map(move |parameter| values.dangling(parameter).unwrap_or_else(|| values.problem(parameter, what.as_str())))
}

fn tls_options(values: &Values, with_certificate: bool) -> crate::tls::TlsOptions {
    let options = tls::options(values);
    if with_certificate {
        return options;
    }
    crate::tls::TlsOptions { cert: None, key: None, key_password: None, ..options }
}

fn tls_flaws(values: &Values, with_certificate: bool) -> Vec<Problem> {
    if !with_certificate {
        let flaws = tls_options(values, false).flaws();
        return flaws.into_iter().map(|(_, what)| values.problem(&tls::CA, what)).collect();
    }
    let pair = [&tls::CERT, &tls::KEY];
    if pair.iter().all(|parameter| values.text(parameter).is_none() && !values.unseen(parameter)) {
        return pair.map(|parameter| values.problem(parameter, "is required with authModes: tls")).to_vec();
    }
    tls::flaws(values)
}

/// What HTTP cannot carry.
fn unsendable(values: &Values, has: &impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut judge = |parameter: &Parameter, fits: fn(&str) -> bool, what: &str| {
        if values.text(parameter).is_some_and(|text| !fits(text)) {
            found.push(values.problem(parameter, what));
        }
    };
    let (not_a_value, not_a_name) =
        ("cannot be sent in a header: it has characters other than visible ones", "is not the name of a header");
    if has("bearer") {
        judge(&BEARER_TOKEN, is_header_value, not_a_value);
    }
    if has("basic") {
        judge(&USERNAME, |user| !user.contains(':'), "has a colon, which a user cannot have");
    }
    if has("custom") {
        judge(&CUSTOM_AUTH_HEADER, is_header_name, not_a_name);
        judge(&CUSTOM_AUTH_VALUE, is_header_value, not_a_value);
    }
    if has("apiKey") && values.text(&METHOD) == Some("header") {
        judge(&KEY_PARAM_NAME, is_header_name, not_a_name);
        judge(&API_KEY, is_header_value, not_a_value);
    }
    if has("oauth") {
        judge(&OAUTH_TOKEN_URI, |uri| Address::parse(uri).is_ok(), "is not a URL with http:// or https://");
    }
    found
}

/// Whether a text can be a header's name.
pub(crate) fn is_header_name(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// Whether a text can be a header's value.
pub(crate) fn is_header_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

/// What anybody on the way could read. A certificate is no secret.
fn in_the_clear(values: &Values, url: &Url, modes: &[String]) -> Option<Problem> {
    let secret = modes.iter().any(|mode| mode != "tls");
    let open = |url: &Url| url.scheme() == "http" && !is_local(url);
    if secret && open(url) {
        return Some(values.problem(&AUTH_MODES, "sends credentials in the clear; use https://"));
    }
    let asked = values.text(&OAUTH_TOKEN_URI).filter(|_| modes.iter().any(|mode| mode == "oauth"));
    let asked = asked.and_then(|text| Url::parse(text).ok()).filter(open);
    asked.map(|_| values.problem(&OAUTH_TOKEN_URI, "sends the client's secret in the clear; use https://"))
}

#[cfg(test)]
#[path = "authentication_tests.rs"]
mod tests;
