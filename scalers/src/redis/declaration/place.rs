//! Says where to read from: servers, users, TLS.

use std::sync::Arc;

use tidegate_calculator::source::Problem;

use super::super::cluster::Seeds;
use super::super::connection::{Access, Address, Credentials, Server};
use super::super::sentinel::Watched;
use super::super::source::Place;
use super::ACTIVATION;
use crate::parameters::Source::{self, Authentication, Environment, Metadata};
use crate::parameters::{Deprecation, Kind, Parameter, Values, host_and_port, port_number, tls};

/// How the servers that a trigger names belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::redis) enum Layout {
    /// One server; further ones are not looked at.
    Single,
    /// Sentinels that know a master.
    Sentinel,
    /// Nodes of a cluster.
    Cluster,
}

const ANYWHERE: &[Source] = &[Metadata, Environment, Authentication];
const SENTINEL_SOURCES: &[Source] = &[Metadata, Authentication, Environment];
const NO_SENTINEL: &str = "Of the types redis-sentinel and redis-sentinel-streams only.";
const ONLY_SENTINEL: Deprecation = Deprecation::Unused("it belongs to redis-sentinel");
const ONE_DATABASE: Deprecation = Deprecation::Unused("a cluster has one database");

pub(super) const ADDRESS: Parameter = Parameter::new(
    &["address", "addresses"],
    &[Metadata, Authentication, Environment],
    Kind::List,
    "The server as host:port. Of several, the first is used.",
);
pub(super) const HOST: Parameter =
    Parameter::new(&["host", "hosts"], ANYWHERE, Kind::List, "The server's host, if there is no address.");
pub(super) const PORT: Parameter =
    Parameter::new(&["port", "ports"], ANYWHERE, Kind::List, "The server's port, one for every host.");
pub(super) const USERNAME: Parameter =
    Parameter::new(&["username"], ANYWHERE, Kind::Text, "The ACL user; used with a password.");
pub(super) const PASSWORD: Parameter =
    Parameter::new(&["password"], ANYWHERE, Kind::Text, "The password of the user, or of the server.").secret();
pub(super) const DATABASE_INDEX: Parameter =
    Parameter::new(&["databaseIndex"], &[Metadata], Kind::at_least(0), "The database that holds the key.").or("0");
pub(super) const ENABLE_TLS: Parameter =
    Parameter::new(&["enableTLS"], &[Metadata], Kind::Bool, "Whether to use TLS. Not together with tls.").or("false");
pub(super) const TLS: Parameter = Parameter::new(
    &["tls"],
    &[Authentication],
    Kind::Choice(&["enable", "disable"]),
    "Whether to use TLS. Not together with enableTLS.",
);
pub(super) const CERT: Parameter = Parameter { names: &["cert", "Cert"], ..tls::CERT };
const SENTINEL_USERNAME: Parameter = Parameter::new(
    &["sentinelUsername"],
    SENTINEL_SOURCES,
    Kind::Text,
    "The ACL user of the Sentinels; used with sentinelPassword.",
);
const SENTINEL_PASSWORD: Parameter =
    Parameter::new(&["sentinelPassword"], SENTINEL_SOURCES, Kind::Text, "The password of the Sentinels.").secret();
const SENTINEL_MASTER: Parameter = Parameter::new(
    &["sentinelMaster"],
    SENTINEL_SOURCES,
    Kind::Text,
    "What the Sentinels call the master that is read.",
)
.required();

/// The parameters of a place on one server.
pub(super) const SINGLE: [Parameter; 17] = [
    ADDRESS,
    HOST,
    PORT,
    USERNAME,
    PASSWORD,
    DATABASE_INDEX,
    ENABLE_TLS,
    TLS,
    tls::UNSAFE_SSL,
    tls::CA,
    CERT,
    tls::KEY,
    tls::KEY_PASSWORD,
    ACTIVATION,
    unused(SENTINEL_USERNAME),
    unused(SENTINEL_PASSWORD),
    unused(SENTINEL_MASTER),
];

/// The parameters of a place behind Sentinels.
pub(super) const SENTINEL: [Parameter; 17] = {
    let mut all = SINGLE;
    all[0].about = "The Sentinels as host:port. All are used.";
    all[1].about = "The Sentinels' hosts; they are used beside the addresses.";
    all[2].about = "The Sentinels' ports, one for every host.";
    all[3].about = "The ACL user of the master; used with a password.";
    all[4].about = "The password of the user, or of the master.";
    all[6].about = "Whether to use TLS, to the Sentinels and the master. Not together with tls.";
    all[14] = SENTINEL_USERNAME;
    all[15] = SENTINEL_PASSWORD;
    all[16] = SENTINEL_MASTER;
    all
};

/// The parameters of a place in a cluster.
pub(super) const CLUSTER: [Parameter; 17] = {
    let mut all = SINGLE;
    all[0].about = "Some nodes of the cluster as host:port. One of them must answer; the others are found.";
    all[1].about = "The nodes' hosts; they are used beside the addresses.";
    all[2].about = "The nodes' ports, one for every host.";
    all[5] =
        Parameter { about: "A cluster has one database.", default: None, ..DATABASE_INDEX }.deprecated(ONE_DATABASE);
    all
};

/// A parameter of Sentinels where there are none.
const fn unused(parameter: Parameter) -> Parameter {
    Parameter { about: NO_SENTINEL, required: false, ..parameter }.deprecated(ONLY_SENTINEL)
}

/// What is wrong with a place, errors and warnings.
pub(super) fn check(values: &Values, layout: Layout) -> (Vec<Problem>, Vec<Problem>) {
    let mut errors = Vec::new();
    if let Err(problems) = servers(values, layout != Layout::Single) {
        errors.extend(problems);
    }
    let mut warnings: Vec<Problem> = Vec::new();
    if layout == Layout::Single {
        warnings.extend(surplus(values));
    }
    if layout == Layout::Sentinel {
        warnings.extend(unpaired(values, &SENTINEL_USERNAME, &SENTINEL_PASSWORD));
    }
    let (wrong, idle) = check_access(values);
    errors.extend(wrong);
    warnings.extend(idle);
    (errors, warnings)
}

/// What is wrong with users and TLS, errors and warnings.
pub(super) fn check_access(values: &Values) -> (Vec<Problem>, Vec<Problem>) {
    let mut errors = Vec::new();
    if values.given(&ENABLE_TLS) && values.given(&TLS) {
        errors.push(values.problem(&ENABLE_TLS, "cannot be set together with tls of the authenticationRef; set one"));
    }
    let mut warnings: Vec<Problem> = unpaired(values, &USERNAME, &PASSWORD).into_iter().collect();
    if uses_tls(values) {
        errors.extend(tls::flaws(values));
    } else if !values.unseen(&TLS) {
        warnings.extend(tls::idle(values, "set enableTLS"));
    }
    (errors, warnings)
}

/// The place; none if it has errors.
pub(super) fn place(values: &Values, layout: Layout) -> Option<Place> {
    let mut addresses = servers(values, layout != Layout::Single).ok()??;
    let access = access(values);
    Some(match layout {
        Layout::Single => Place::Server(Arc::new(Server::new(addresses.swap_remove(0), access))),
        Layout::Cluster => Place::Cluster(Arc::new(Seeds { addresses, access })),
        Layout::Sentinel => {
            let credentials = credentials(values, &SENTINEL_USERNAME, &SENTINEL_PASSWORD);
            Place::Master(Arc::new(Watched {
                sentinels: addresses,
                master: values.text(&SENTINEL_MASTER)?.to_owned(),
                sentinel: Access { credentials, tls: access.tls.clone() },
                access,
            }))
        }
    })
}

/// How to speak to the servers.
pub(super) fn access(values: &Values) -> Access {
    let tls = uses_tls(values).then(|| tls::options(values));
    Access { credentials: credentials(values, &USERNAME, &PASSWORD), tls }
}

fn credentials(values: &Values, username: &Parameter, password: &Parameter) -> Option<Credentials> {
    let password = values.secret(password)?;
    Some(Credentials { username: values.secret(username), password })
}

/// A user who cannot log in.
fn unpaired(values: &Values, username: &Parameter, password: &Parameter) -> Option<Problem> {
    let alone = values.given(username) && !values.given(password) && !values.unseen(password);
    alone.then(|| values.problem(username, "has no effect without a password"))
}

/// The servers, at least one: all addresses and then all hosts with their ports, or only the first of these. None when
/// they may be there but are not seen.
pub(super) fn servers(values: &Values, all: bool) -> Result<Option<Vec<Address>>, Vec<Problem>> {
    if values.unseen(&ADDRESS) {
        return Ok(None);
    }
    let (hosts, ports) = (values.list(&HOST), values.list(&PORT));
    let seen = !values.unseen(&HOST) && !values.unseen(&PORT);
    if seen && !hosts.is_empty() && !ports.is_empty() && hosts.len() != ports.len() {
        let allowed = format!("needs as many entries as host: {} hosts, {} ports", hosts.len(), ports.len());
        return Err(vec![values.problem(&PORT, allowed)]);
    }
    let addresses = values.list(&ADDRESS);
    let counted = if all { addresses.len() } else { 1 };
    let split = |address: &String| host_and_port(address).map(|(host, port)| Address { host, port });
    let named: Option<Vec<Address>> = addresses.iter().take(counted).map(split).collect();
    let mut found = named.ok_or_else(|| vec![values.problem(&ADDRESS, "is not host:port")])?;
    if !found.is_empty() && (!all || hosts.is_empty()) {
        return Ok(Some(found));
    }
    if !seen {
        return Ok(None);
    }
    match (hosts.first(), ports.first()) {
        (Some(_), Some(_)) => {
            let pairs = hosts.iter().zip(&ports).take(if all { hosts.len() } else { 1 });
            for (host, port) in pairs {
                found.push(pair(values, host, port)?);
            }
            Ok(Some(found))
        }
        (Some(_), None) => Err(vec![values.problem(&PORT, "is required with host")]),
        _ => Err(vec![missing(values)]),
    }
}

fn pair(values: &Values, host: &str, port: &str) -> Result<Address, Vec<Problem>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let mut problems = Vec::new();
    if bare.is_empty() || bare.contains(['/', ' ']) {
        problems.push(values.problem(&HOST, "is not the name or address of a host"));
    }
    match port_number(port) {
        Some(number) if problems.is_empty() => Ok(Address::new(bare, number)),
        Some(_) => Err(problems),
        None => {
            problems.push(values.problem(&PORT, "is not a port from 1 to 65535"));
            Err(problems)
        }
    }
}

/// No server at all: a variable that was named in vain says more than "required".
fn missing(values: &Values) -> Problem {
    let dangling = [&ADDRESS, &HOST, &PORT].into_iter().find_map(|parameter| values.dangling(parameter));
    dangling.unwrap_or_else(|| Problem {
        path: "metadata.address".to_owned(),
        value: None,
        allowed: "is required; give address (host:port), or host and port, in metadata, the container's environment \
                  (...FromEnv) or authenticationRef"
            .to_owned(),
    })
}

/// Servers that a stand-alone client does not look at.
fn surplus(values: &Values) -> Option<Problem> {
    let (addresses, hosts) = (values.list(&ADDRESS).len(), values.list(&HOST).len());
    let parameter = if addresses > 0 { &ADDRESS } else { &HOST };
    (addresses > 1 || (addresses == 0 && hosts > 1)).then(|| {
        values.problem(parameter, "names several servers; only the first is read (a cluster is read by redis-cluster)")
    })
}

fn uses_tls(values: &Values) -> bool {
    values.truth(&ENABLE_TLS) == Some(true) || values.text(&TLS) == Some("enable")
}
