use std::collections::BTreeMap;

use super::*;
use crate::parameters::Known;
use crate::registry;

type Pairs<'a> = &'a [(&'a str, &'a str)];

const AMQP: (&str, &str) = ("host", "amqp://mq/shop");
const HTTP: (&str, &str) = ("host", "http://mq:15672/base/shop");

fn spec(metadata: Pairs<'_>) -> TriggerSpec {
    let all = [("queueName", "jobs")].into_iter().chain(metadata.iter().copied());
    let metadata = all.map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    TriggerSpec { kind: "rabbitmq".to_owned(), metadata, ..TriggerSpec::default() }
}

fn secrets(pairs: Pairs<'_>) -> BTreeMap<String, Secret> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))).collect()
}

fn checked(metadata: Pairs<'_>, auth: Pairs<'_>) -> Checked {
    let (env, auth) = (BTreeMap::new(), secrets(auth));
    registry::check(&spec(metadata), Known::Values(&env), Known::Values(&auth))
}

fn errors(metadata: Pairs<'_>, auth: Pairs<'_>) -> Vec<String> {
    checked(metadata, auth).errors.iter().map(ToString::to_string).collect()
}

fn warnings(metadata: Pairs<'_>, auth: Pairs<'_>) -> Vec<String> {
    let found = checked(metadata, auth);
    assert_eq!(found.errors, []);
    found.warnings.iter().map(ToString::to_string).collect()
}

fn read(metadata: Pairs<'_>, auth: Pairs<'_>) -> Settings {
    let (env, auth) = (BTreeMap::new(), secrets(auth));
    let values = Values::resolve(&spec(metadata), PARAMETERS, Known::Values(&env), Known::Values(&auth));
    assert_eq!((&values.errors, &check(&spec(metadata), &values).errors), (&Vec::new(), &Vec::new()));
    settings(&spec(metadata), &values).unwrap()
}

fn broker_of(metadata: Pairs<'_>, auth: Pairs<'_>) -> Broker {
    let Source::Amqp { broker, .. } = read(metadata, auth).source else { panic!("HTTP") };
    *broker
}

fn management_of(metadata: Pairs<'_>, auth: Pairs<'_>) -> Management {
    let Source::Http(management) = read(metadata, auth).source else { panic!("AMQP") };
    *management
}

fn plain(user: &str, password: &str) -> Sasl {
    Sasl::Plain(Secret::new(user), Secret::new(password))
}

#[test]
fn kedas_example_has_nothing_to_be_said_of_it() {
    let metadata = BTreeMap::from(
        [
            ("protocol", "auto"),
            ("mode", "QueueLength"),
            ("value", "100.50"),
            ("activationValue", "10.5"),
            ("queueName", "testqueue"),
            ("vhostName", "/"),
            ("excludeUnacknowledged", "false"),
            ("unsafeSsl", "true"),
            ("useRegex", "false"),
            ("pageSize", "100"),
            ("operation", "sum"),
            ("hostFromEnv", "RABBITMQ_HOST"),
        ]
        .map(|(key, text)| (key.to_owned(), text.to_owned())),
    );
    let spec = TriggerSpec { kind: "rabbitmq".to_owned(), metadata, ..TriggerSpec::default() };
    let found = registry::check(&spec, Known::Nothing, Known::Nothing);
    assert_eq!((found.errors, found.warnings), (Vec::new(), Vec::new()));
    assert_eq!((found.metrics[0].name.as_str(), found.metrics[0].target.0), ("s0-rabbitmq-testqueue", 100_500));
}

#[test]
fn the_target_is_one_of_three() {
    let cases: [(Pairs<'_>, Mode, i64); 6] = [
        (&[AMQP], Mode::QueueLength, 20_000),
        (&[AMQP, ("queueLength", "7.5")], Mode::QueueLength, 7_500),
        (&[AMQP, ("queueLength", "0"), ("mode", "Unknown"), ("value", "0")], Mode::QueueLength, 20_000),
        (&[AMQP, ("mode", "QueueLength"), ("value", "3")], Mode::QueueLength, 3_000),
        (&[HTTP, ("mode", "MessageRate"), ("value", "0.25")], Mode::MessageRate, 250),
        (&[HTTP, ("mode", "ExpectedQueueConsumptionTime"), ("value", "9")], Mode::ExpectedQueueConsumptionTime, 9_000),
    ];
    for (metadata, mode, target) in cases {
        let settings = read(metadata, &[]);
        assert_eq!((settings.mode, settings.metric.target.0), (mode, target), "{metadata:?}");
    }
    let both = "metadata.queueLength: \"5\" cannot be combined with mode or value; use these alone";
    assert_eq!(errors(&[AMQP, ("queueLength", "5"), ("mode", "QueueLength"), ("value", "3")], &[]), [both]);
    assert_eq!(errors(&[AMQP, ("queueLength", "5"), ("value", "3")], &[]), [both]);
    let no_value = errors(&[AMQP, ("mode", "QueueLength")], &[]);
    assert_eq!(no_value, ["metadata.value: is required with mode, and is not 0"]);
    let zero = errors(&[AMQP, ("mode", "QueueLength"), ("value", "0")], &[]);
    assert_eq!(zero, ["metadata.value: \"0\" is required with mode, and is not 0"]);
    assert!(errors(&[AMQP, ("value", "3")], &[])[0].starts_with("metadata.mode: is required with value: QueueLength,"));
    let low = errors(&[AMQP, ("mode", "QueueLength"), ("value", "-1")], &[]);
    assert_eq!(low, ["metadata.value: \"-1\" is not a number >= 0.001"]);
    assert_eq!(errors(&[AMQP, ("mode", "Length"), ("value", "3")], &[]).len(), 1);
    let old = "metadata.queueLength: \"5\" is deprecated; use mode: QueueLength and value";
    assert_eq!(warnings(&[AMQP, ("queueLength", "5")], &[]), [old]);
}

#[test]
fn the_metric_is_called_as_in_keda() {
    for (queue, name) in
        [("jobs", "s0-rabbitmq-jobs"), ("a b/c.d", "s0-rabbitmq-a+b-2Fc-d"), ("^x$", "s0-rabbitmq--5Ex-24")]
    {
        assert_eq!(read(&[AMQP, ("queueName", queue)], &[]).metric.name, name);
    }
}

#[test]
fn the_protocol_must_fit_the_url() {
    assert!(matches!(read(&[AMQP, ("protocol", "amqp")], &[]).source, Source::Amqp { .. }));
    assert!(matches!(read(&[HTTP, ("protocol", "http")], &[]).source, Source::Http(_)));
    let wrong = "metadata.host: is not a URL with amqp:// or amqps://, which protocol: amqp needs";
    assert_eq!(errors(&[HTTP, ("protocol", "amqp")], &[]), [wrong]);
    let wrong = "metadata.host: is not a URL with http:// or https://, which protocol: http needs";
    assert_eq!(errors(&[AMQP, ("protocol", "http")], &[]), [wrong]);
    let wrong = "authenticationRef.host: is not a URL with amqp://, amqps://, http:// or https://";
    assert_eq!(errors(&[], &[("host", "ftp://mq")]), [wrong]);
}

#[test]
fn what_amqp_cannot_tell_is_refused_by_name() {
    let needs = "needs the management API; use a host with http:// or https://";
    let cases: [(Pairs<'_>, &str); 4] = [
        (&[AMQP, ("mode", "MessageRate"), ("value", "1")], "metadata.mode: \"MessageRate\""),
        (&[AMQP, ("useRegex", "true")], "metadata.useRegex: \"true\""),
        (&[AMQP, ("excludeUnacknowledged", "true")], "metadata.excludeUnacknowledged: \"true\""),
        (&[AMQP, ("mode", "QueueLength"), ("value", "1"), ("timeout", "3s")], "metadata.timeout: \"3s\""),
    ];
    for (metadata, place) in cases {
        assert_eq!(errors(metadata, &[]), [format!("{place} {needs}")]);
    }
    // Before the URL is seen, the protocol says it.
    assert_eq!(checked_unseen(&[("protocol", "amqp"), ("useRegex", "true")]).errors.len(), 1);
    assert_eq!(checked_unseen(&[("useRegex", "true")]).errors, []);
    assert_eq!(warnings(&[AMQP, ("timeout", "3s")], &[]), ["metadata.timeout: \"3s\" has no effect with AMQP"]);
}

fn checked_unseen(metadata: Pairs<'_>) -> Checked {
    registry::check(&spec(metadata), Known::Nothing, Known::Nothing)
}

#[test]
fn who_we_are_is_given_apart_or_in_the_url() {
    let login = [("username", "me"), ("password", "pw")];
    let with_login = ("host", "amqp://you:yours@mq");
    assert_eq!(broker_of(&[AMQP], &[]).sasl, plain("guest", "guest"));
    assert_eq!(broker_of(&[with_login], &[]).sasl, plain("you", "yours"));
    assert_eq!(broker_of(&[with_login], &login).sasl, plain("me", "pw"));
    let credentials = |metadata: Pairs<'_>, auth: Pairs<'_>| management_of(metadata, auth).access.credentials.login;
    assert_eq!(credentials(&[HTTP], &[]), None);
    let basic = |user: &str, password: &str| Some(Login::Basic(Secret::new(user), Secret::new(password)));
    assert_eq!(credentials(&[("host", "http://you:yours@mq")], &[]), basic("you", "yours"));
    assert_eq!(credentials(&[("host", "http://you:yours@mq")], &login), basic("me", "pw"));
    let half = errors(&[AMQP], &[("username", "me")]);
    assert_eq!(half, ["authenticationRef.password: is required with username"]);
    let half = errors(&[AMQP], &[("password", "pw")]);
    assert_eq!(half, ["authenticationRef.username: is required with password"]);
}

/// A certificate and its key.
fn identity() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn certificates_count_with_tls_and_are_a_login_without_a_password() {
    let (cert, key) = identity();
    let ours = [("cert", cert.as_str()), ("key", &key), ("tls", "enable")];
    let sasl = |host, auth: Pairs<'_>| broker_of(&[("host", host)], auth).sasl;
    assert_eq!(sasl("amqps://mq", &ours), Sasl::External);
    assert_eq!(sasl("amqps://me@mq", &ours), Sasl::External);
    assert_eq!(sasl("amqps://me:pw@mq", &ours), plain("me", "pw"));
    assert_eq!(sasl("amqp://mq", &ours), plain("guest", "guest"), "without TLS nothing is shown");
    assert_eq!(sasl("amqps://mq", &ours[..2]), plain("guest", "guest"), "without tls: enable it does not count");
    let idle = warnings(&[("host", "amqps://mq")], &ours[..2]);
    assert_eq!(idle[0], "authenticationRef.cert: has no effect without tls: enable");
    let idle = warnings(&[("host", "amqp://mq"), ("unsafeSsl", "true")], &[("tls", "enable")]);
    assert_eq!(idle.len(), 2);
    assert!(idle[1].contains("does not encrypt what the scheme of host leaves plain; use amqps://"), "{idle:?}");
    let half = errors(&[("host", "amqps://mq")], &[("cert", &cert), ("tls", "enable")]);
    assert_eq!(half, ["authenticationRef.key: is required with a certificate"]);
    let options = management_of(&[("host", "https://mq"), ("unsafeSsl", "true")], &[("ca", &cert)]).access.tls;
    assert!(options.insecure && options.ca.is_none());
}

#[test]
fn tokens_need_three_and_go_with_nothing_else() {
    let all = [("oauthTokenURI", "https://id/token"), ("clientID", "me"), ("clientSecret", "secret")];
    let more = [&all[..], &[("scope", "a, b"), ("endpointParams", "audience=mq&x=1")]].concat();
    let Some(Login::OAuth(grant)) = management_of(&[HTTP], &more).access.credentials.login else { panic!("no grant") };
    assert_eq!((grant.scopes, grant.extra.len()), (vec!["a".to_owned(), "b".to_owned()], 2));
    assert_eq!(errors(&[HTTP], &all[..1]).len(), 2);
    assert_eq!(errors(&[AMQP], &all).len(), 1);
    let both = [&all[..], &[("username", "me"), ("password", "pw")]].concat();
    assert_eq!(errors(&[HTTP], &both).len(), 1);
    assert_eq!(errors(&[HTTP], &[("oauthTokenURI", "id/token"), all[1], all[2]]).len(), 1);
    assert_eq!(
        warnings(&[HTTP], &[("scopes", "a")]),
        ["authenticationRef.scopes: has no effect without oauthTokenURI"]
    );
    assert_eq!(warnings(&[HTTP], &[("oauthTokenURI", "http://id/token"), all[1], all[2]]).len(), 1);
    let azure = errors(&[HTTP], &[("workloadIdentityResource", "mq")]);
    assert!(azure[0].contains("asks for an identity of Azure, which is not supported"), "{azure:?}");
}

#[test]
fn many_queues_and_names() {
    let many = management_of(&[HTTP, ("useRegex", "true"), ("operation", "max"), ("pageSize", "7")], &[]);
    let Wanted::Matching { pattern, page, operation } = many.wanted else { panic!("one") };
    assert_eq!((pattern.as_str(), page, operation), ("jobs", 7, Operation::Maximum));
    assert_eq!(many.queues.as_str(), "http://mq:15672/base/api/queues/shop");
    assert_eq!(warnings(&[HTTP, ("operation", "max"), ("pageSize", "7")], &[]).len(), 2);
    for (name, text) in [("pageSize", "0"), ("pageSize", "501"), ("operation", "min"), ("queueName", "..")] {
        let found = errors(&[HTTP, (name, text)], &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("metadata.{name}: ")));
    }
    let long = "x".repeat(256);
    assert_eq!(errors(&[AMQP, ("queueName", &long)], &[]).len(), 1);
    assert_eq!(errors(&[HTTP, ("vhostName", "..")], &[]).len(), 1);
    assert_eq!(
        warnings(&[("host", "amqp://mq/shop?heartbeat=5")], &[]),
        ["metadata.host: has a query, which has no effect"]
    );
    let bare = management_of(&[HTTP, ("timeout", "0")], &[]);
    assert_eq!((bare.timeout, bare.ready_only), (None, false));
    let said = management_of(&[HTTP, ("timeout", "1500"), ("excludeUnacknowledged", "true")], &[]);
    assert_eq!((said.timeout, said.ready_only), (Some(Duration::from_millis(1500)), true));
}
