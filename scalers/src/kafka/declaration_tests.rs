//! Both types: `kafka` first, then what `apache-kafka` says otherwise.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_calculator::source::Secret;

use super::super::apache;
use super::super::connection::{Login, OAuth, Sasl};
use super::*;
use crate::parameters::Known;
use crate::registry;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A complete trigger but for what is replaced; an empty text removes.
fn spec(kind: &str, metadata: Pairs<'_>) -> TriggerSpec {
    let complete = [("bootstrapServers", "a:9092"), ("consumerGroup", "billing"), ("topic", "orders")];
    let all = complete.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    TriggerSpec { kind: kind.to_owned(), metadata: all.collect(), ..TriggerSpec::default() }
}

fn secrets(pairs: Pairs<'_>) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))).collect()
}

fn checked(kind: &str, metadata: Pairs<'_>, auth: Pairs<'_>) -> Checked {
    let (env, auth) = (BTreeMap::new(), secrets(auth));
    registry::check(&spec(kind, metadata), Known::Values(&env), Known::Values(&auth))
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn errors(metadata: Pairs<'_>, auth: Pairs<'_>) -> Vec<String> {
    texts(&checked("kafka", metadata, auth).errors)
}

fn warnings(metadata: Pairs<'_>, auth: Pairs<'_>) -> Vec<String> {
    let found = checked("kafka", metadata, auth);
    assert_eq!(texts(&found.errors), Vec::<String>::new());
    texts(&found.warnings)
}

fn read(kind: &str, metadata: Pairs<'_>, auth: Pairs<'_>) -> Settings {
    let (env, auth, spec) = (BTreeMap::new(), secrets(auth), spec(kind, metadata));
    let resolve = |declared| Values::resolve(&spec, declared, Known::Values(&env), Known::Values(&auth));
    assert_eq!(checked(kind, metadata, &[]).metrics.len(), 1);
    if kind == "kafka" {
        settings(&spec, &resolve(PARAMETERS)).unwrap()
    } else {
        apache::settings(&spec, &resolve(apache::PARAMETERS)).unwrap()
    }
}

fn kafka(metadata: Pairs<'_>) -> Settings {
    read("kafka", metadata, &[])
}

#[test]
fn the_defaults_are_kedas() {
    let settings = kafka(&[]);
    assert_eq!(settings.cluster, Cluster { bootstrap: vec![("a".to_owned(), 9092)], tls: None, sasl: None });
    let expected = Rules {
        threshold: 10,
        from_earliest: false,
        uncommitted_is_zero: false,
        allow_idle: false,
        exclude_persistent: false,
        limit_to_lagging: false,
        even: false,
    };
    assert_eq!(settings.rules, expected);
    assert_eq!((settings.activation, settings.push), (0, false));
    assert_eq!((settings.metric.name.as_str(), settings.metric.target), ("s0-kafka-orders", Milli::units(10)));
    let Query { group, scope, committed_only, log_start, partitions } = settings.query;
    assert_eq!((&*group, scope), ("billing", Scope::Topics(vec!["orders".into()])));
    assert!(!committed_only && !log_start && partitions.is_none());
    assert_eq!(warnings(&[], &[]), Vec::<String>::new());
}

#[test]
fn every_parameter_has_its_effect() {
    let settings = kafka(&[
        ("lagThreshold", "7"),
        ("activationLagThreshold", "3"),
        ("offsetResetPolicy", "earliest"),
        ("allowIdleConsumers", "true"),
        ("excludePersistentLag", "true"),
        ("ensureEvenDistributionOfPartitions", "true"),
        ("partitionLimitation", " 1, 2,5 - 9 ,12-11"),
        ("isolationLevel", "read_committed"),
        ("activation", "push"),
        ("fullMetadata", "false"),
        ("version", "0.11.0.2"),
    ]);
    let rules = &settings.rules;
    assert_eq!((rules.threshold, settings.activation, settings.push), (7, 3, true));
    assert!(rules.from_earliest && rules.allow_idle && rules.exclude_persistent && rules.even);
    assert_eq!(format!("{:?}", settings.query.partitions), "Some([1..=1, 2..=2, 5..=9, 12..=11])");
    assert!(settings.query.committed_only && settings.query.log_start);
    let settings = kafka(&[
        ("offsetResetPolicy", "earliest"),
        ("scaleToZeroOnInvalidOffset", "1"),
        ("limitToPartitionsWithLag", "T"),
    ]);
    assert!(settings.rules.uncommitted_is_zero && settings.rules.limit_to_lagging);
    assert!(!settings.query.log_start, "no log start is needed for what counts as 0");
}

#[test]
fn without_a_topic_the_groups_own_topics_are_read() {
    let settings = kafka(&[("topic", " "), ("partitionLimitation", "1")]);
    assert_eq!((settings.query.scope, settings.query.partitions), (Scope::GroupTopics, None));
    assert_eq!(settings.metric.name, "s0-kafka-billing-topics");
    let ignored = ["metadata.partitionLimitation: \"1\" has no effect without topic"];
    assert_eq!(warnings(&[("topic", ""), ("partitionLimitation", "1")], &[]), ignored);
}

#[test]
fn brokers_are_hosts_with_ports() {
    let servers = |text: &str| {
        let bootstrap = kafka(&[("bootstrapServers", text)]).cluster.bootstrap;
        bootstrap.iter().map(|(host, port)| format!("{host} {port}")).collect::<Vec<_>>()
    };
    assert_eq!(servers("a:1"), ["a 1"]);
    assert_eq!(
        servers(" a.example:9092 , [2001:db8::1]:9093,10.0.0.1:65535,"),
        ["a.example 9092", "2001:db8::1 9093", "10.0.0.1 65535"]
    );
    for (bad, entry) in
        [("a", 1), ("a:1,b", 2), ("a:0", 1), ("a:65536", 1), ("::1:9092", 1), ("SSL://a:1", 1), (",:9092", 2)]
    {
        let expected = format!("metadata.bootstrapServers: {bad:?} is not host:port,host:port,... (entry {entry})");
        assert_eq!(errors(&[("bootstrapServers", bad)], &[]), [expected]);
    }
    assert_eq!(errors(&[("bootstrapServers", ",")], &[]), ["metadata.bootstrapServers: \",\" names no broker"]);
    let required = "is required; it is read from metadata, the container's environment (...FromEnv)";
    assert_eq!(errors(&[("bootstrapServers", "")], &[]), [format!("metadata.bootstrapServers: {required}")]);
    assert_eq!(errors(&[("consumerGroup", "")], &[]), [format!("metadata.consumerGroup: {required}")]);
}

#[test]
fn values_are_checked_and_named() {
    let cases = [
        ("lagThreshold", "0", "is not an integer >= 1"),
        ("lagThreshold", "1e3", "is not an integer >= 1"),
        ("activationLagThreshold", "-1", "is not an integer >= 0"),
        ("offsetResetPolicy", "none", "is not one of latest, earliest"),
        ("allowIdleConsumers", "yes", "is not a truth value (true or false)"),
        ("isolationLevel", "serializable", "is not one of read_uncommitted, read_committed"),
        ("activation", "pull", "is not one of poll, push"),
        ("tls", "true", "is not one of enable, disable"),
        ("sasl", "scram", "is not one of none, plaintext, scram_sha256, scram_sha512, oauthbearer"),
        ("partitionLimitation", "1,,2", "is not a list of partitions such as 1,2,5-9"),
        ("partitionLimitation", "-1", "is not a list of partitions such as 1,2,5-9"),
        ("partitionLimitation", "1-2-3", "is not a list of partitions such as 1,2,5-9"),
        ("partitionLimitation", "2147483648", "is not a list of partitions such as 1,2,5-9"),
        ("partitionLimitation", "all", "is not a list of partitions such as 1,2,5-9"),
        ("partitionLimitation", "9-5", "names no partition"),
        ("topic", "orders,returns", "is not the name of one topic (letters, digits, '.', '_' and '-', at most 249)"),
        ("topic", "..", "is not the name of one topic (letters, digits, '.', '_' and '-', at most 249)"),
    ];
    for (name, text, expected) in cases {
        assert_eq!(errors(&[(name, text)], &[]), [format!("metadata.{name}: {text:?} {expected}")]);
    }
}

#[test]
fn versions_are_those_of_kafka() {
    for good in ["1.0.0", "3.9.0", "4.1.12", "0.8.2.0", "0.11.0.2"] {
        assert_eq!(warnings(&[("version", good)], &[]), Vec::<String>::new(), "{good}");
    }
    for bad in ["1", "1.0", "1.0.0.0", "0.11.0", "00.1.2.3", "01.2.3", "3.x.0", "v3.9.0", "3.9.0-rc1", "3..0"] {
        let expected = format!("metadata.version: {bad:?} is not a version of Kafka such as 3.9.0 or 0.11.0.2");
        assert_eq!(errors(&[("version", bad)], &[]), [expected]);
    }
}

#[test]
fn some_parameters_need_a_topic_and_some_exclude_each_other() {
    for (name, text) in [
        ("limitToPartitionsWithLag", "true"),
        ("ensureEvenDistributionOfPartitions", "true"),
        ("fullMetadata", "false"),
        ("activation", "push"),
    ] {
        assert_eq!(errors(&[("topic", ""), (name, text)], &[]), [format!("metadata.{name}: {text:?} needs topic")]);
        assert_eq!(errors(&[(name, text)], &[]), Vec::<String>::new());
    }
    let limited = |other| errors(&[("limitToPartitionsWithLag", "true"), (other, "true")], &[]);
    for other in ["allowIdleConsumers", "ensureEvenDistributionOfPartitions"] {
        let expected =
            format!("metadata.limitToPartitionsWithLag: \"true\" cannot be set together with {other}; set one");
        assert_eq!(limited(other), [expected]);
    }
}

#[test]
fn a_user_comes_with_every_way_to_log_in() {
    let user: Pairs<'_> = &[("username", "u"), ("password", "p")];
    let login = || Login { username: Secret::new("u"), password: Secret::new("p") };
    let sasl = |method| read("kafka", &[("sasl", method)], user).cluster.sasl;
    assert_eq!(sasl("none"), None);
    assert_eq!(sasl("plaintext"), Some(Sasl::Plain(login())));
    assert_eq!(sasl("scram_sha256"), Some(Sasl::ScramSha256(login())));
    assert_eq!(sasl("scram_sha512"), Some(Sasl::ScramSha512(login())));
    let both = read("kafka", &[("sasl", "plaintext")], &[("sasl", "none"), ("username", "u"), ("password", "p")]);
    assert_eq!(both.cluster.sasl, Some(Sasl::Plain(login())), "metadata come first");
    for method in ["plaintext", "scram_sha256", "scram_sha512"] {
        let expected = ["username", "password"];
        let expected = expected.map(|name| format!("authenticationRef.{name}: is required with sasl: {method}"));
        assert_eq!(errors(&[("sasl", method)], &[]), expected);
        assert_eq!(errors(&[("sasl", method)], &user[..1]), expected[1..]);
    }
    assert_eq!(warnings(&[], &user[..1]), ["authenticationRef.username: has no effect without sasl"]);
    assert!(
        !format!("{:?}", read("kafka", &[("sasl", "plaintext")], &[("username", "u"), ("password", "hunter2")]))
            .contains("hunter2")
    );
}

#[test]
fn oauthbearer_takes_tokens_by_client_credentials() {
    let complete = [
        ("sasl", "oauthbearer"),
        ("username", "id"),
        ("password", "secret"),
        ("oauthTokenEndpointUri", "https://sso.example/token"),
        ("scopes", "kafka, metrics,"),
        ("oauthExtensions", "logicalCluster=lkc-1, pool=p 2"),
    ];
    let expected = OAuth {
        endpoint: "https://sso.example/token".to_owned(),
        client: Secret::new("id"),
        secret: Secret::new("secret"),
        scopes: vec!["kafka".to_owned(), "metrics".to_owned()],
        extensions: vec![("logicalCluster".to_owned(), "lkc-1".to_owned()), ("pool".to_owned(), "p 2".to_owned())],
    };
    assert_eq!(
        read("kafka", &[("saslTokenProvider", "bearer")], &complete).cluster.sasl,
        Some(Sasl::OAuthBearer(expected))
    );
    let few = read("kafka", &[], &complete[..4]).cluster.sasl;
    assert!(
        matches!(few, Some(Sasl::OAuthBearer(OAuth { scopes, extensions, .. })) if scopes.is_empty() && extensions.is_empty())
    );
    let missing = ["username", "password", "oauthTokenEndpointUri"];
    let missing = missing.map(|name| format!("authenticationRef.{name}: is required with sasl: oauthbearer"));
    assert_eq!(errors(&[], &complete[..1]), missing);
    let with = |name, text| {
        let mut auth = complete.to_vec();
        auth.push((name, text));
        errors(&[], &auth)
    };
    for uri in ["sso.example/token", "ftp://sso.example", "https:///token", "https://", "https://sso example"] {
        let expected = ["authenticationRef.oauthTokenEndpointUri: is not a URL with http:// or https://"];
        assert_eq!(with("oauthTokenEndpointUri", uri), expected, "{uri}");
    }
    for extensions in ["a", "a=b=c", "a=b,", "=b", "a1=b", "auth=b", "a=b,c", "a=\u{e4}"] {
        let expected =
            "authenticationRef.oauthExtensions: is not a list of name=value, with names of letters other than auth";
        assert_eq!(with("oauthExtensions", extensions), [expected], "{extensions}");
    }
    let secure = ("tls", "enable");
    assert_eq!(warnings(&[secure], &complete), Vec::<String>::new());
    let idle = ["authenticationRef.scopes: has no effect without sasl: oauthbearer"];
    assert_eq!(warnings(&[], &[("scopes", "a")]), idle);
}

#[test]
fn what_is_sent_in_the_clear_is_warned_of() {
    let user: Pairs<'_> = &[("username", "u"), ("password", "p")];
    let password = ["metadata.sasl: \"plaintext\" sends the password in the clear; set tls: enable"];
    assert_eq!(warnings(&[("sasl", "plaintext")], user), password);
    assert_eq!(texts(&checked("apache-kafka", &[("sasl", "plaintext")], user).warnings), password);
    assert_eq!(warnings(&[("sasl", "plaintext"), ("tls", "enable")], user), [""; 0]);
    assert_eq!(warnings(&[("sasl", "scram_sha512")], user), [""; 0], "the password is not sent");
    let oauth = |uri, tls: Pairs<'_>| {
        let auth = [("username", "u"), ("password", "p"), ("oauthTokenEndpointUri", uri)];
        warnings(&[&[("sasl", "oauthbearer")], tls].concat(), &auth)
    };
    let token = "metadata.sasl: \"oauthbearer\" sends the token in the clear; set tls: enable";
    assert_eq!(oauth("https://sso.example/token", &[]), [token]);
    let secret = "authenticationRef.oauthTokenEndpointUri: sends the client's secret in the clear; use https://";
    assert_eq!(oauth("http://sso.example/token", &[("tls", "enable")]), [secret]);
    assert_eq!(oauth("http://127.0.0.1:8080/token", &[("tls", "enable")]), [""; 0], "it does not leave the machine");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let supported = "supported: none, plaintext, scram_sha256, scram_sha512";
    let kerberos = "asks for GSSAPI (Kerberos), which is not supported";
    let expected = format!("metadata.sasl: \"gssapi\" {kerberos}; {supported}, oauthbearer");
    assert_eq!(errors(&[("sasl", "gssapi")], &[("password", "p")]), [expected]);
    let expected = format!("authenticationRef.sasl: {kerberos}; {supported}, oauthbearer");
    assert_eq!(errors(&[], &[("sasl", "gssapi"), ("keytab", "k"), ("realm", "r")]), [expected]);
    let iam = "\"aws_msk_iam\" asks for AWS IAM, which is not supported";
    let expected = format!("metadata.saslTokenProvider: {iam}; supported: bearer");
    assert_eq!(
        errors(&[("sasl", "oauthbearer"), ("saslTokenProvider", "aws_msk_iam"), ("tls", "enable")], &[]),
        [expected]
    );
    let apache = |sasl| texts(&checked("apache-kafka", &[("sasl", sasl)], &[]).errors);
    assert_eq!(apache("gssapi"), [format!("metadata.sasl: \"gssapi\" {kerberos}; {supported}")]);
    assert_eq!(apache("aws_msk_iam"), [format!("metadata.sasl: {iam}; {supported}")]);
    assert_eq!(apache("oauthbearer").len(), 1);
    let idle = [
        "authenticationRef.keytab: has no effect; it belongs to sasl: gssapi, which is not supported",
        "metadata.awsRegion: \"eu-1\" has no effect; it belongs to aws_msk_iam, which is not supported",
    ];
    assert_eq!(warnings(&[("awsRegion", "eu-1")], &[("keytab", "k")]), idle);
}

#[test]
fn tls_is_switched_by_one_word() {
    let tls = |metadata: Pairs<'_>, auth: Pairs<'_>| read("kafka", metadata, auth).cluster.tls;
    assert!(tls(&[("tls", "disable")], &[("tls", "enable")]).is_none());
    assert!(tls(&[], &[("tls", "enable")]).is_some_and(|tls| !tls.insecure && tls.ca.is_none()));
    assert!(tls(&[("tls", "enable"), ("unsafeSsl", "true")], &[]).is_some_and(|tls| tls.insecure));
    let flawed = errors(&[("tls", "enable")], &[("ca", "s3cret"), ("key", "s3cret")]);
    let expected = [
        "authenticationRef.ca: is not one or more certificates in PEM",
        "authenticationRef.cert: is required with a key",
    ];
    assert_eq!(flawed, expected);
    assert_eq!(warnings(&[], &[("ca", "x")]), ["authenticationRef.ca: has no effect without TLS; set tls: enable"]);
}

#[test]
fn what_is_not_seen_is_not_judged() {
    let hidden = [
        ("topic", ""),
        ("topicFromEnv", "TOPIC"),
        ("bootstrapServers", ""),
        ("bootstrapServersFromEnv", "SERVERS"),
        ("limitToPartitionsWithLag", "true"),
        ("partitionLimitation", "1"),
        ("sasl", "oauthbearer"),
        ("tls", "enable"),
    ];
    for kind in ["kafka", "apache-kafka"] {
        let hidden = if kind == "kafka" { &hidden[..] } else { &hidden[..6] };
        let found = registry::check(&spec(kind, hidden), Known::Nothing, Known::Nothing);
        assert_eq!((found.errors, found.warnings, found.metrics), (vec![], vec![], vec![]), "{kind}");
    }
    let none = BTreeSet::new();
    let found = registry::check(&spec("kafka", &[("sasl", "plaintext")]), Known::Names(&none), Known::Names(&none));
    assert_eq!(found.errors.len(), 2);
    let found = registry::check(&spec("kafka", &[("sasl", "plaintext")]), Known::Nothing, Known::Nothing);
    assert_eq!(found.errors, []);
}

#[test]
fn a_value_of_a_variable_is_not_printed() {
    let spec = spec("kafka", &[("bootstrapServers", ""), ("bootstrapServersFromEnv", "SERVERS")]);
    let (env, auth) = (secrets(&[("SERVERS", "a:1,s3cret")]), BTreeMap::new());
    let found = registry::check(&spec, Known::Values(&env), Known::Values(&auth));
    let expected = "metadata.bootstrapServersFromEnv: \"SERVERS\" names a variable whose value is not \
                    host:port,host:port,... (entry 2)";
    assert_eq!(texts(&found.errors), [expected]);
}

#[test]
fn apache_kafka_reads_several_topics() {
    let several = read("apache-kafka", &[("topic", "orders, returns.v1,orders,")], &[]);
    assert_eq!(several.query.scope, Scope::Topics(vec!["orders".into(), "returns.v1".into()]));
    assert_eq!(several.metric.name, "s0-kafka-orders,returns-v1,orders");
    let none = read("apache-kafka", &[("topic", "")], &[]);
    assert_eq!((none.query.scope, none.metric.name.as_str()), (Scope::GroupTopics, "s0-kafka-billing-topics"));
    let limited = read("apache-kafka", &[("partitionLimitation", "0-2")], &[]);
    assert_eq!(limited.query.partitions, Some(vec![0..=2].into()));
    for bad in [",", "a b", "orders,/"] {
        let expected =
            format!("metadata.topic: {bad:?} is not a list of topics (letters, digits, '.', '_' and '-', at most 249)");
        assert_eq!(texts(&checked("apache-kafka", &[("topic", bad)], &[]).errors), [expected]);
    }
}

#[test]
fn apache_kafka_differs_in_what_may_go_together() {
    let errors = |metadata: Pairs<'_>, auth: Pairs<'_>| texts(&checked("apache-kafka", metadata, auth).errors);
    for (name, text) in [("tls", "enable"), ("sasl", "none")] {
        let expected =
            format!("metadata.{name}: {text:?} cannot be set together with {name} of the authenticationRef; set one");
        assert_eq!(errors(&[(name, text)], &[(name, text)]), [expected]);
        assert_eq!(errors(&[(name, text)], &[]), Vec::<String>::new());
        assert_eq!(errors(&[], &[(name, text)]), Vec::<String>::new());
    }
    let even: Pairs<'_> = &[("ensureEvenDistributionOfPartitions", "true"), ("topic", "")];
    assert_eq!(errors(even, &[]), Vec::<String>::new());
    let limit = ("limitToPartitionsWithLag", "true");
    assert_eq!(errors(&[limit, even[0]], &[]), Vec::<String>::new());
    assert_eq!(errors(&[limit, ("topic", "")], &[]).len(), 1);
    assert_eq!(errors(&[limit, ("allowIdleConsumers", "true")], &[]).len(), 1);
    let strangers: Pairs<'_> = &[("version", "1.0.0"), ("fullMetadata", "true"), ("unsafeSsl", "true")];
    assert_eq!(checked("apache-kafka", strangers, &[]).warnings.len(), 3, "unknown here");
}
