use std::collections::BTreeMap;

use crate::registry::Checked;
use tidegate_calculator::source::{Milli, Parameters, Secret, TriggerSpec};

use super::super::connection::Server;
use super::lists::{CLUSTER, SENTINEL, SINGLE};
use super::*;
use crate::parameters::Known;
use crate::registry;

fn spec(metadata: &[(&str, &str)]) -> TriggerSpec {
    let mut all = BTreeMap::from([("listName".to_owned(), "jobs".to_owned())]);
    all.extend(metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())));
    TriggerSpec { kind: "redis".to_owned(), metadata: all, ..TriggerSpec::default() }
}

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))).collect()
}

fn checked(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Checked {
    let Parameters { env, auth } = Parameters { env: BTreeMap::new(), auth: secrets(auth) };
    registry::check(&spec(metadata), Known::Values(&env), Known::Values(&auth))
}

fn errors(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Vec<String> {
    checked(metadata, auth).errors.iter().map(ToString::to_string).collect()
}

fn warnings(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Vec<String> {
    checked(metadata, auth).warnings.iter().map(ToString::to_string).collect()
}

fn read(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Settings {
    let (env, auth) = (BTreeMap::new(), secrets(auth));
    let values = Values::resolve(&spec(metadata), SINGLE, Known::Values(&env), Known::Values(&auth));
    assert_eq!(values.errors, []);
    lists::settings(&spec(metadata), &values, Layout::Single).unwrap()
}

fn whole_server(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Server {
    let Place::Server(server) = read(metadata, auth).place else { panic!("one server") };
    (*server).clone()
}

fn server(metadata: &[(&str, &str)]) -> String {
    let Server { host, port, .. } = whole_server(metadata, &[]);
    format!("{host} {port}")
}

fn place(parameters: &[Parameter], layout: Layout, metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Place {
    let (env, auth) = (BTreeMap::new(), secrets(auth));
    let values = Values::resolve(&spec(metadata), parameters, Known::Values(&env), Known::Values(&auth));
    assert_eq!(values.errors, []);
    place::place(&values, layout).unwrap()
}

#[test]
fn the_address_comes_first_and_hosts_with_ports_after_it() {
    assert_eq!(server(&[("address", "a:1")]), "a 1");
    assert_eq!(server(&[("addresses", "a:1, b:2")]), "a 1");
    assert_eq!(server(&[("host", "a"), ("port", "1")]), "a 1");
    assert_eq!(server(&[("hosts", "a,b"), ("ports", "1,2")]), "a 1");
    assert_eq!(server(&[("address", "a:1"), ("host", "b"), ("port", "2")]), "a 1");
    assert_eq!(server(&[("address", "[::1]:6379")]), "::1 6379");
    assert_eq!(server(&[("host", "::1"), ("port", "6379")]), "::1 6379");
}

#[test]
fn a_server_that_is_not_named_well_is_an_error() {
    let required = "metadata.address: is required; give address (host:port), or host and port, in metadata, the \
                    container's environment (...FromEnv) or authenticationRef";
    assert_eq!(errors(&[], &[]), [required]);
    assert_eq!(errors(&[("port", "1")], &[]), [required]);
    assert_eq!(errors(&[("host", "a")], &[]), ["metadata.port: is required with host"]);
    let counts = ["metadata.ports: \"1\" needs as many entries as host: 2 hosts, 1 ports"];
    assert_eq!(errors(&[("hosts", "a,b"), ("ports", "1")], &[]), counts);
    for bad in ["redis", "redis:", ":6379", "redis:0", "redis:65536", "redis:+1", "::1:6379", "redis://a:1", "a b:1"] {
        assert_eq!(errors(&[("address", bad)], &[]), [format!("metadata.address: {bad:?} is not host:port")], "{bad}");
    }
    let both = errors(&[("host", "redis://a"), ("port", "x")], &[]);
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(
        errors(&[("addressFromEnv", "ADDR")], &[]),
        ["metadata.addressFromEnv: \"ADDR\" is not in the container's environment"]
    );
    assert_eq!(errors(&[], &[("address", "s3cret")]), ["authenticationRef.address: is not host:port"]);
}

#[test]
fn what_is_not_seen_is_not_judged() {
    let found = registry::check(&spec(&[("enableTLS", "true")]), Known::Nothing, Known::Nothing);
    assert_eq!((found.errors, found.warnings), (Vec::new(), Vec::new()));
    assert_eq!(found.metrics[0].name, "s0-redis-jobs");
}

#[test]
fn tls_is_switched_in_one_place() {
    assert!(whole_server(&[("address", "a:1")], &[]).tls.is_none());
    let insecure = whole_server(&[("address", "a:1"), ("enableTLS", "true"), ("unsafeSsl", "true")], &[]);
    assert!(insecure.tls.unwrap().insecure);
    assert!(whole_server(&[("address", "a:1")], &[("tls", "enable")]).tls.is_some());
    assert!(whole_server(&[("address", "a:1")], &[("tls", "disable")]).tls.is_none());
    let both = ["metadata.enableTLS: \"true\" cannot be set together with tls of the authenticationRef; set one"];
    assert_eq!(errors(&[("address", "a:1"), ("enableTLS", "true")], &[("tls", "enable")]), both);
    let flawed = errors(&[("address", "a:1"), ("enableTLS", "true")], &[("ca", "s3cret"), ("cert", "s3cret")]);
    let expected = [
        "authenticationRef.ca: is not one or more certificates in PEM",
        "authenticationRef.key: is required with a certificate",
    ];
    assert_eq!(flawed, expected);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let address = ("address", "a:1");
    assert_eq!(
        warnings(&[address], &[("ca", "x")]),
        ["authenticationRef.ca: has no effect without TLS; set enableTLS"]
    );
    // What is spelled out in KEDA's examples asks for nothing.
    assert_eq!(warnings(&[address, ("unsafeSsl", "false")], &[]), Vec::<String>::new());
    assert_eq!(
        warnings(&[address, ("unsafeSsl", "true")], &[]),
        ["metadata.unsafeSsl: \"true\" has no effect without TLS; set enableTLS"]
    );
    assert_eq!(
        warnings(&[address, ("username", "u")], &[]),
        ["metadata.username: \"u\" has no effect without a password"]
    );
    assert_eq!(warnings(&[("addresses", "a:1,b:2")], &[]).len(), 1);
    let sentinel = "metadata.sentinelMaster: \"m\" has no effect; it belongs to redis-sentinel";
    assert_eq!(warnings(&[address, ("sentinelMaster", "m")], &[]), [sentinel]);
    assert_eq!(warnings(&[address, ("listLenght", "5")], &[]).len(), 1);
}

#[test]
fn a_length_of_zero_is_accepted_and_warned_about() {
    let text = "metadata.listLength: \"0\" makes any item ask for maxReplicaCount; use 1 or more";
    let zero: &[(&str, &str)] = &[("address", "redis:6379"), ("listLength", "0")];
    assert_eq!((errors(zero, &[]), warnings(zero, &[])), (vec![], vec![text.to_owned()]));
}

#[test]
fn numbers_and_words_are_checked() {
    let address = ("address", "a:1");
    assert_eq!(errors(&[address, ("listLength", "1O")], &[]), ["metadata.listLength: \"1O\" is not an integer >= 0"]);
    assert_eq!(
        errors(&[address, ("databaseIndex", "-1")], &[]),
        ["metadata.databaseIndex: \"-1\" is not an integer >= 0"]
    );
    assert_eq!(
        errors(&[address, ("activation", "pull")], &[]),
        ["metadata.activation: \"pull\" is not one of poll, push"]
    );
    assert_eq!(errors(&[address, ("activationListLength", "x")], &[]).len(), 1);
    let settings = read(&[address, ("listLength", "0"), ("activation", "push"), ("databaseIndex", "3")], &[]);
    assert_eq!((settings.metric.target, settings.push), (Milli(0), true));
    assert_eq!(settings.question.key().map(|key| key.database), Some(3));
}

#[test]
fn a_password_alone_is_enough_and_is_never_printed() {
    let settings = read(&[("address", "a:1"), ("password", "hunter2")], &[]);
    let server = whole_server(&[("address", "a:1"), ("password", "hunter2")], &[]);
    assert!(server.credentials.as_ref().is_some_and(|known| known.username.is_none()));
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(whole_server(&[("address", "a:1"), ("username", "u")], &[]).credentials.is_none());
}

#[test]
fn a_cluster_takes_all_addresses_and_then_all_hosts() {
    let metadata = [("addresses", "a:1, b:2"), ("hosts", "c,d"), ("ports", "3,4")];
    let Place::Cluster(seeds) = place(CLUSTER, Layout::Cluster, &metadata, &[]) else { panic!("a cluster") };
    let names: Vec<String> = seeds.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a:1", "b:2", "c:3", "d:4"]);
    assert_eq!(seeds.name(), "Redis cluster at a:1, b:2, c:3, d:4");
}

#[test]
fn sentinels_have_a_user_of_their_own_and_the_masters_tls() {
    let auth =
        [("password", "of the master"), ("sentinelPassword", "hunter2"), ("sentinelUsername", "s"), ("tls", "enable")];
    let metadata = [("addresses", "a:1,b:2"), ("sentinelMaster", "mymaster")];
    let Place::Master(watched) = place(SENTINEL, Layout::Sentinel, &metadata, &auth) else { panic!("a master") };
    assert_eq!(watched.name(), "Redis master \"mymaster\" of the Sentinels at a:1, b:2");
    let passwords = [&watched.access, &watched.sentinel].map(|access| {
        let known = access.credentials.clone().unwrap();
        (known.username.map(|name| name.expose().to_owned()), known.password.expose().to_owned(), access.tls.is_some())
    });
    assert_eq!(passwords[0], (None, "of the master".to_owned(), true));
    assert_eq!(passwords[1], (Some("s".to_owned()), "hunter2".to_owned(), true));
    assert!(!format!("{watched:?}").contains("hunter2"));
}

#[test]
fn each_type_says_what_it_needs_and_what_it_does_not_use() {
    let found = |kind: &str, metadata: &[(&str, &str)]| {
        let spec = TriggerSpec { kind: kind.to_owned(), ..spec(metadata) };
        let none = BTreeMap::new();
        let Checked { errors, warnings, .. } = registry::check(&spec, Known::Values(&none), Known::Values(&none));
        let texts = |all: Vec<Problem>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        (texts(errors), texts(warnings))
    };
    let two = ("addresses", "a:1,b:2");
    let master = "metadata.sentinelMaster: is required; it is read from metadata, authenticationRef, the container's \
                  environment (...FromEnv)";
    assert_eq!(found("redis-sentinel", &[two]).0, [master]);
    assert_eq!(found("redis-cluster", &[two]), (Vec::new(), Vec::new()));
    let database = "metadata.databaseIndex: \"3\" has no effect; a cluster has one database";
    assert_eq!(found("redis-cluster", &[two, ("databaseIndex", "3")]).1, [database]);
    let user = "metadata.sentinelUsername: \"u\" has no effect without a password";
    assert_eq!(found("redis-sentinel", &[two, ("sentinelMaster", "m"), ("sentinelUsername", "u")]).1, [user]);
    let second = ("addresses", "a:1,b");
    for kind in ["redis-cluster", "redis-sentinel"] {
        assert!(found(kind, &[second, ("sentinelMaster", "m")]).0[0].contains("is not host:port"), "{kind}");
    }
    let counts = found("redis-cluster", &[("hosts", "a,b"), ("ports", "1")]).0;
    assert_eq!(counts, ["metadata.ports: \"1\" needs as many entries as host: 2 hosts, 1 ports"]);
}
