use std::collections::BTreeMap;

use super::*;
use crate::parameters::Known;
use crate::registry;

fn spec(metadata: &[(&str, &str)]) -> TriggerSpec {
    let base = [("address", "a:1"), ("targetValue", "50")];
    let all = base.iter().chain(metadata).map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    TriggerSpec { kind: "redis-clients".to_owned(), metadata: all.collect(), ..TriggerSpec::default() }
}

fn read(metadata: &[(&str, &str)]) -> Settings {
    let none = BTreeMap::new();
    let values = Values::resolve(&spec(metadata), PARAMETERS, Known::Values(&none), Known::Values(&none));
    assert_eq!(values.errors, []);
    settings(&spec(metadata), &values).unwrap()
}

fn errors(metadata: &[(&str, &str)]) -> Vec<String> {
    let none = BTreeMap::new();
    let found = registry::check(&spec(metadata), Known::Values(&none), Known::Values(&none));
    found.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_read_and_what_it_is_compared_with() {
    let settings = read(&[]);
    assert_eq!((settings.field, settings.activation), (Field::Stated("connected_clients".to_owned()), Milli(0)));
    assert_eq!(
        (settings.metric.name.as_str(), settings.metric.target),
        ("s0-redis-clients-connected_clients", Milli::units(50))
    );
    let settings = read(&[("field", "keyspace_hit_ratio"), ("targetValue", "0.95"), ("activationTargetValue", "0.5")]);
    assert_eq!(
        (settings.field, settings.activation, settings.metric.target),
        (Field::HitRatio, Milli(500), Milli(950))
    );
}

#[test]
fn all_servers_are_read() {
    let settings = read(&[("address", ""), ("addresses", "a:1,b:2"), ("hosts", "c"), ("ports", "3")]);
    let servers: Vec<String> = settings.servers.iter().map(|server| server.address().to_string()).collect();
    assert_eq!(servers, ["a:1", "b:2", "c:3"]);
}

#[test]
fn bad_words_are_named() {
    let target =
        |text: &str| format!("metadata.targetValue: \"{text}\" is not a number from 0.001 to {}", i64::MAX / 1000);
    for text in ["0", "0.0001", "-1", "1e18"] {
        assert_eq!(errors(&[("targetValue", text)]), [target(text)]);
    }
    assert_eq!(errors(&[("targetValue", "x")]), ["metadata.targetValue: \"x\" is not a number"]);
    assert_eq!(errors(&[("targetValue", "")]), ["metadata.targetValue: is required; it is read from metadata"]);
    assert_eq!(errors(&[("activationTargetValue", "-1")]).len(), 1);
    let field = "metadata.field: \"a b\" is not the name of a field: letters, digits and any of _ - . alone";
    assert_eq!(errors(&[("field", "a b")]), [field]);
    assert_eq!(errors(&[("address", "nowhere")]), ["metadata.address: \"nowhere\" is not host:port"]);
    assert_eq!(errors(&[("address", "a:1,b")]), ["metadata.address: \"a:1,b\" is not host:port"]);
}
