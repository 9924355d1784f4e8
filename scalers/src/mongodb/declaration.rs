//! What the triggers can say: their parameters, and what is wrong with their combination.
//!
//! Where the servers are and who we are is said alike by both; what is read, by each in its own words ([`count`], [`ops`]).

pub(super) mod count;
pub(super) mod ops;

use std::fmt::Write as _;

use mongodb::options::{AuthMechanism, ConnectionString, Tls};
use tidegate_calculator::source::{Problem, Secret};

use super::access::Access;
use crate::parameters::Source::{self, Authentication, Environment, Metadata};
use crate::parameters::{Kind, Parameter, Values, port_number, tls};

const SECRETS: &[Source] = &[Authentication, Metadata, Environment];
const PLAIN: &[Source] = &[Authentication, Metadata];

pub(super) const CONNECTION_STRING: Parameter = Parameter::new(
    &["connectionString"],
    SECRETS,
    Kind::Text,
    "The servers, credentials and options: mongodb://user:password@host:port/?option=value, or mongodb+srv://...",
)
.secret();
const SCHEME: Parameter = Parameter::new(
    &["scheme"],
    PLAIN,
    Kind::Choice(&["mongodb", "mongodb+srv"]),
    "mongodb+srv finds the servers of a host by the name service. Without a connectionString.",
)
.or("mongodb");
const HOST: Parameter =
    Parameter::new(&["host"], PLAIN, Kind::Text, "The server's host, if there is no connectionString.");
const PORT: Parameter =
    Parameter::new(&["port"], PLAIN, Kind::Text, "The server's port, if there is no connectionString.");
const USERNAME: Parameter =
    Parameter::new(&["username"], PLAIN, Kind::Text, "The user, if there is no connectionString.");
const PASSWORD: Parameter =
    Parameter::new(&["password"], SECRETS, Kind::Text, "The user's password, if there is no connectionString.")
        .secret();
const TLS: Parameter = Parameter::new(
    &["tls"],
    &[Authentication],
    Kind::Choice(&["enable", "disable"]),
    "enable uses TLS whatever the connectionString says; else the connectionString says whether TLS is used.",
)
.or("disable");

/// Where the servers are, in the order of the documentation.
const PLACE: [Parameter; 11] =
    [CONNECTION_STRING, SCHEME, HOST, PORT, USERNAME, PASSWORD, TLS, tls::CA, tls::CERT, tls::KEY, tls::KEY_PASSWORD];

/// Options that name files. They would be the operator's own, which are nothing to a trigger.
const FILES: [(&str, &str); 3] = [
    ("tlscafile", "tlsCAFile"),
    ("tlscertificatekeyfile", "tlsCertificateKeyFile"),
    ("sslcertificateauthorityfile", "ssl_ca_certs"),
];

/// What is wrong with where the servers are, errors and warnings. `anonymous` is whether nobody need say who we are, and
/// `database` where the user is known.
fn check(values: &Values, anonymous: bool, database: Option<&str>) -> (Vec<Problem>, Vec<Problem>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    match address(values, anonymous, database) {
        Ok(Some(address)) if values.given(&CONNECTION_STRING) => {
            errors.extend(refused(values, address.expose()));
            let alone = [&HOST, &PORT, &USERNAME, &PASSWORD].into_iter().filter(|parameter| values.given(parameter));
            warnings.extend(alone.map(|it| values.problem(it, "has no effect beside connectionString")));
        }
        Ok(_) => {}
        Err(problems) => errors.extend(problems),
    }
    if uses_tls(values) == Some(false) {
        warnings.extend(tls::idle(values, "set tls: enable"));
    } else {
        errors.extend(tls::flaws(values));
    }
    (errors, warnings)
}

/// How to reach the servers; none if that has errors.
fn access(values: &Values, anonymous: bool, database: Option<&str>) -> Option<Access> {
    let address = address(values, anonymous, database).ok()??;
    let named = values.text(&TLS) == Some("enable");
    let on = named || uses_tls(values) == Some(true);
    Some(Access { address, tls: on.then(|| tls::options(values)) })
}

/// Whether TLS is used, as far as that is seen.
fn uses_tls(values: &Values) -> Option<bool> {
    match values.text(&TLS) {
        Some("enable") => return Some(true),
        None if values.unseen(&TLS) => return None,
        _ => {}
    }
    if values.unseen(&CONNECTION_STRING) {
        return None;
    }
    match values.text(&CONNECTION_STRING) {
        // Where the name service is asked, TLS is used unless the contrary is said.
        Some(address) => Some(match ConnectionString::parse(address).ok().and_then(|parsed| parsed.tls) {
            Some(Tls::Enabled(_)) => true,
            Some(Tls::Disabled) => false,
            None => address.starts_with("mongodb+srv://"),
        }),
        None => Some(values.text(&SCHEME) == Some("mongodb+srv")),
    }
}

/// The connection string, given or made of the single parameters. None when it may be there but is not seen.
fn address(values: &Values, anonymous: bool, database: Option<&str>) -> Result<Option<Secret>, Vec<Problem>> {
    if values.unseen(&CONNECTION_STRING) {
        return Ok(None);
    }
    if let Some(address) = values.secret(&CONNECTION_STRING) {
        return Ok(Some(address));
    }
    let srv = values.text(&SCHEME) == Some("mongodb+srv");
    let needed = [(&HOST, true), (&PORT, !srv), (&USERNAME, !anonymous), (&PASSWORD, !anonymous)];
    if !values.given(&HOST) && !values.unseen(&HOST) {
        return Err(vec![missing(values)]);
    }
    let lacks = |parameter: &Parameter| !values.given(parameter) && !values.unseen(parameter);
    let mut problems: Vec<Problem> = needed
        .into_iter()
        .filter(|(parameter, needed)| *needed && lacks(parameter))
        .map(|(parameter, _)| values.problem(parameter, "is required without connectionString"))
        .collect();
    if values.given(&USERNAME) && lacks(&PASSWORD) && anonymous {
        problems.push(values.problem(&PASSWORD, "is required with username"));
    }
    problems.extend(flawed(values, srv));
    if !problems.is_empty() {
        return Err(problems);
    }
    if [&SCHEME, &HOST, &PORT, &USERNAME, &PASSWORD].into_iter().any(|parameter| values.unseen(parameter)) {
        return Ok(None);
    }
    Ok(made(values, srv, database).map(Secret::new))
}

/// What is wrong with host and port by themselves.
fn flawed(values: &Values, srv: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if values.text(&HOST).is_some_and(|host| bare(host).contains(['/', ' ', '@', ',', '?', '#', '%'])) {
        problems.push(values.problem(&HOST, "is not the name or address of a host"));
    }
    if !srv && values.text(&PORT).is_some_and(|port| port_number(port).is_none()) {
        problems.push(values.problem(&PORT, "is not a port from 1 to 65535"));
    }
    problems
}

/// As KEDA makes it: the database in the path is where the user is looked up.
fn made(values: &Values, srv: bool, database: Option<&str>) -> Option<String> {
    let (scheme, host) = (values.text(&SCHEME)?, bare(values.text(&HOST)?));
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = if srv { String::new() } else { format!(":{}", values.text(&PORT)?) };
    let login = match (values.text(&USERNAME), values.text(&PASSWORD)) {
        (Some(username), Some(password)) => format!("{}:{}@", escaped(username), escaped(password)),
        _ => String::new(),
    };
    let path = database.map(escaped).unwrap_or_default();
    Some(format!("{scheme}://{login}{host}{port}/{path}"))
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Everything but letters and digits as `%XX`.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// No server at all: a variable that was named in vain says more than "required".
fn missing(values: &Values) -> Problem {
    values.dangling(&CONNECTION_STRING).unwrap_or_else(|| Problem {
        path: "metadata.connectionString".to_owned(),
        value: None,
        allowed:
            "is required; give connectionString, or host, port, username and password, in the authenticationRef or \
                  metadata (connectionString and password also as ...FromEnv)"
                .to_owned(),
    })
}

/// What keeps a connection string from being used. Nothing of it is repeated: it holds the password.
fn refused(values: &Values, address: &str) -> Option<Problem> {
    let problem = |what: String| Some(values.problem(&CONNECTION_STRING, what));
    let options = address.split_once('?').map_or("", |(_, options)| options).to_ascii_lowercase();
    let names = |wanted: &str| options.split('&').any(|pair| pair.split('=').next() == Some(wanted));
    if let Some((_, option)) = FILES.into_iter().find(|(name, _)| names(name)) {
        return problem(format!(
            "has {option}, a file of the operator's machine; use ca, or cert and key, of the authenticationRef"
        ));
    }
    match ConnectionString::parse(address) {
        Err(_) => problem(
            "is not a connection string: mongodb://user:password@host:port/?option=value with every other character \
             of user and password than letters and digits as %XX, and options that are known"
                .to_owned(),
        ),
        Ok(parsed) => {
            let mechanism = parsed.credential.and_then(|credential| credential.mechanism)?;
            let supported = matches!(
                mechanism,
                AuthMechanism::ScramSha1
                    | AuthMechanism::ScramSha256
                    | AuthMechanism::MongoDbX509
                    | AuthMechanism::Plain
            );
            if supported {
                return None;
            }
            problem(
                "asks for an authMechanism that is not supported; there are SCRAM-SHA-1, SCRAM-SHA-256, MONGODB-X509 \
                 and PLAIN"
                    .to_owned(),
            )
        }
    }
}

/// Two lists of parameters in one.
const fn joined<const ALL: usize>(own: &[Parameter]) -> [Parameter; ALL] {
    assert!(own.len() + PLACE.len() == ALL, "ALL is the number of all parameters");
    let (mut all, mut index) = ([own[0]; ALL], 0);
    while index < ALL {
        all[index] = if index < own.len() { own[index] } else { PLACE[index - own.len()] };
        index += 1;
    }
    all
}

#[cfg(test)]
#[path = "declaration_tests.rs"]
mod tests;
