use std::collections::{BTreeMap, BTreeSet};

use tidegate_calculator::source::TriggerSpec;

use super::*;
use crate::parameters::Known;
use crate::{Checked, check};

const COUNT: &[(&str, &str)] =
    &[("dbName", "shop"), ("collection", "jobs"), ("query", r#"{"a": 1}"#), ("queryValue", "5")];
const URI: (&str, &str) = ("connectionString", "mongodb://a.example/");

fn found(kind: &str, metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Checked {
    let texts = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    let mut metadata: BTreeMap<String, String> = texts.collect();
    metadata.retain(|_, text| !text.is_empty());
    let spec = TriggerSpec { kind: kind.to_owned(), metadata, ..TriggerSpec::default() };
    let auth = auth.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect();
    check(&spec, Known::Values(&BTreeMap::new()), Known::Values(&auth))
}

/// The findings of a `mongodb` trigger with these metadata on top.
fn count(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let found = found("mongodb", &[COUNT, metadata].concat(), auth);
    let texts = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    (texts(found.errors), texts(found.warnings))
}

fn errors(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Vec<String> {
    count(metadata, auth).0
}

fn values(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> Values {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let spec = TriggerSpec { kind: "mongodb".to_owned(), metadata, ..TriggerSpec::default() };
    let auth = auth.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect();
    Values::resolve(&spec, count::PARAMETERS, Known::Values(&BTreeMap::new()), Known::Values(&auth))
}

#[test]
fn a_complete_trigger_has_kedas_metric_and_no_finding() {
    let found = found("mongodb", &[COUNT, &[URI]].concat(), &[]);
    assert!(found.errors.is_empty() && found.warnings.is_empty(), "{found:?}");
    assert_eq!((found.metrics[0].name.as_str(), found.metrics[0].target.0), ("s0-mongodb-jobs", 5000));
    let dotted =
        self::found("mongodb", &[COUNT, &[URI, ("collection", "jobs.v2"), ("queryValue", "0.5")]].concat(), &[]);
    assert_eq!((dotted.metrics[0].name.as_str(), dotted.metrics[0].target.0), ("s0-mongodb-jobs-v2", 500));
}

#[test]
fn an_address_is_made_as_keda_makes_it() {
    let of = |metadata: &[(&str, &str)], database: Option<&str>| {
        let made = address(&values(metadata, &[("password", "p@ss:w/rd%é")]), false, database).unwrap().unwrap();
        made.expose().to_owned()
    };
    let single = [("host", "a.example"), ("port", "27018"), ("username", "me")];
    let expected = "mongodb://me:p%40ss%3Aw%2Frd%25%C3%A9@a.example:27018/shop";
    assert_eq!(of(&single, Some("shop")), expected);
    // Where the user is known follows from the database in the path; a test on a real server logs in by it.
    let parsed = ConnectionString::parse(expected).unwrap();
    assert_eq!(parsed.credential.and_then(|login| login.password).as_deref(), Some("p@ss:w/rd%é"));
    assert_eq!(parsed.default_database.as_deref(), Some("shop"));
    let srv = [("scheme", "mongodb+srv"), ("host", "b.c.example"), ("username", "me")];
    assert_eq!(of(&srv, Some("shop")), "mongodb+srv://me:p%40ss%3Aw%2Frd%25%C3%A9@b.c.example/shop");
    let six = [("host", "::1"), ("port", "1"), ("username", "me")];
    assert!(of(&six, None).ends_with("@[::1]:1/"));
}

#[test]
fn what_is_missing_is_named() {
    let host = ("host", "a.example");
    assert!(errors(&[], &[])[0].starts_with("metadata.connectionString: is required; give connectionString, or host"));
    let expected = ["port", "username", "password"]
        .map(|name| format!("authenticationRef.{name}: is required without connectionString"));
    let paths =
        |texts: Vec<String>| texts.iter().map(|text| text.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        paths(errors(&[host], &[])),
        paths(expected.to_vec()).iter().map(|path| path.replace("authenticationRef", "metadata")).collect::<Vec<_>>()
    );
    assert_eq!(
        errors(&[("host", "a/b"), ("port", "1"), ("username", "u")], &[("password", "p")]),
        ["metadata.host: \"a/b\" is not the name or address of a host"]
    );
    assert_eq!(
        errors(&[host, ("port", "0"), ("username", "u")], &[("password", "p")]),
        ["metadata.port: \"0\" is not a port from 1 to 65535"]
    );
}

#[test]
fn connection_strings_are_judged_and_never_repeated() {
    let cases = [
        ("hunter2", "is not a connection string"),
        ("mongodb://u:hunter2/@a.example/", "is not a connection string"),
        ("mongodb://u:hunter2@a.example/?bogus=1", "is not a connection string"),
        ("mongodb://u:hunter2@a.example/?tlsCAFile=/etc/hosts", "has tlsCAFile, a file of the operator's machine"),
        ("mongodb://u:hunter2@a.example/?tls=true&tlsCertificateKeyFile=/x", "has tlsCertificateKeyFile, a file"),
        ("mongodb://u@a.example/?authMechanism=MONGODB-AWS", ""),
    ];
    for (address, said) in cases {
        for found in [errors(&[("connectionString", address)], &[]), errors(&[], &[("connectionString", address)])] {
            assert_eq!(found.len(), 1, "{address}: {found:?}");
            assert!(found[0].contains(said) && !found[0].contains("hunter2"), "{found:?}");
        }
    }
    let (found, warnings) = count(&[URI, ("host", "b")], &[]);
    assert!(found.is_empty());
    assert_eq!(warnings, ["metadata.host: \"b\" has no effect beside connectionString"]);
    for good in ["mongodb+srv://a.b.example/", "mongodb://a,b:2,[::1]:3/db?replicaSet=rs0&readPreference=secondary"] {
        assert_eq!(count(&[("connectionString", good)], &[]), (vec![], vec![]), "{good}");
    }
}

#[test]
fn queries_and_pipelines_are_judged() {
    let query = |text: &str| errors(&[URI, ("query", text)], &[]);
    assert!(query("{}")[0].contains("is empty, which KEDA refuses"));
    assert!(query("{a: 1}")[0].contains("is not a document in Extended JSON"));
    assert!(query("")[0].starts_with("metadata.query: is required"));
    let pipeline =
        |text: &str, more: &[(&str, &str)]| errors(&[&[URI, ("query", ""), ("pipeline", text)], more].concat(), &[]);
    assert_eq!(pipeline(r#"[{"$match": {}}, {"$count": "count"}]"#, &[]), Vec::<String>::new());
    assert!(errors(&[URI, ("pipeline", "[]")], &[])[0].contains("cannot be set together with query"));
    for (text, said) in [
        ("{}", "is not a list of stages in Extended JSON"),
        ("[]", "has no stage"),
        (r#"[{"match": {}}]"#, "has a stage that is not a document with one name such as $match"),
        (r#"[{"$match": {}, "$limit": 1}]"#, "has a stage that is not"),
        (r#"[{"$match": {}}, {"$out": "other"}]"#, "has $out, but a trigger only reads"),
        (r#"[{"$merge": {"into": "other"}}]"#, "has $merge, but a trigger only reads"),
    ] {
        let found = pipeline(text, &[]);
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    }
    let waiting = r#"[{"$count": "waiting"}]"#;
    let said = "is not the field that the pipeline's $count gives, which is \"waiting\"";
    assert_eq!(pipeline(waiting, &[]), [format!("metadata.valueField: {said}")]);
    assert_eq!(pipeline(waiting, &[("valueField", "n")]), [format!("metadata.valueField: \"n\" {said}")]);
    assert_eq!(pipeline(waiting, &[("valueField", "waiting")]), Vec::<String>::new());
    let (_, warnings) = count(&[URI, ("valueField", "n"), ("emptyIsZero", "true")], &[]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn names_that_cannot_be_are_told() {
    assert!(errors(&[URI, ("dbName", "a.b")], &[])[0].starts_with("metadata.dbName: \"a.b\" is not the name"));
    assert!(
        errors(&[URI, ("collection", "$cmd")], &[])[0].starts_with("metadata.collection: \"$cmd\" is not the name")
    );
}

#[test]
fn tls_is_used_where_it_is_asked_for() {
    let used = |metadata: &[(&str, &str)], auth: &[(&str, &str)]| uses_tls(&values(metadata, auth));
    assert_eq!(used(&[URI], &[]), Some(false));
    assert_eq!(used(&[URI], &[("tls", "enable")]), Some(true));
    assert_eq!(used(&[("connectionString", "mongodb://a/?tls=true")], &[]), Some(true));
    assert_eq!(used(&[("connectionString", "mongodb+srv://a.b.c/")], &[]), Some(true));
    assert_eq!(used(&[("connectionString", "mongodb+srv://a.b.c/?tls=false")], &[]), Some(false));
    let (found, warnings) = count(&[URI], &[("ca", "x")]);
    assert_eq!(
        (found.len(), warnings),
        (0, vec!["authenticationRef.ca: has no effect without TLS; set tls: enable".to_owned()])
    );
    assert_eq!(
        errors(&[URI], &[("tls", "enable"), ("ca", "x")]),
        ["authenticationRef.ca: is not one or more certificates in PEM"]
    );
    assert_eq!(
        errors(&[URI], &[("tls", "enable"), ("cert", "x")]),
        ["authenticationRef.key: is required with a certificate"]
    );
}

#[test]
fn what_is_not_seen_is_no_finding() {
    let metadata = COUNT.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let spec = TriggerSpec { kind: "mongodb".to_owned(), metadata, ..TriggerSpec::default() };
    let names: BTreeSet<String> = ["connectionString".to_owned(), "ca".to_owned()].into();
    for auth in [Known::Nothing, Known::Names(&names)] {
        let found = check(&spec, Known::Nothing, auth);
        assert!(found.errors.is_empty() && found.warnings.is_empty(), "{found:?}");
    }
}

#[test]
fn the_queue_of_operations_has_its_own_words() {
    let of = |metadata: &[(&str, &str)]| {
        found("mongodb-ops-queue", &[&[URI, ("targetValue", "1000")], metadata].concat(), &[])
    };
    let plain = of(&[]);
    assert!(plain.errors.is_empty() && plain.warnings.is_empty(), "{plain:?}");
    assert_eq!(plain.metrics[0].name, "s0-mongodb-ops-queue-currentQueue");
    assert_eq!(of(&[("slowerThan", "30s")]).warnings[0].path, "metadata.slowerThan");
    for slower in ["500ms", "0s"] {
        assert_eq!(of(&[("metric", "slowOps"), ("slowerThan", slower)]).errors[0].path, "metadata.slowerThan");
    }
    let host = [("connectionString", ""), ("host", "a"), ("port", "1")];
    assert!(of(&host).errors.is_empty(), "a server may let everybody in");
    let half = of(&[&host[..], &[("username", "u")]].concat());
    assert_eq!(half.errors[0].allowed, "is required with username");
}
