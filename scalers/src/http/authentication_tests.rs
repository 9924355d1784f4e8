use std::collections::BTreeMap;

use tidegate_calculator::source::TriggerSpec;

use super::*;
use crate::parameters::Known;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn values(metadata: Pairs<'_>, auth: Pairs<'_>) -> Values {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let auth: BTreeMap<_, _> = auth.iter().map(|(key, text)| ((*key).to_owned(), Secret::new(*text))).collect();
    let spec = TriggerSpec { metadata, ..TriggerSpec::default() };
    Values::resolve(&spec, &PARAMETERS, Known::Values(&BTreeMap::new()), Known::Values(&auth))
}

fn found(metadata: Pairs<'_>, auth: Pairs<'_>, url: &str) -> (Vec<String>, Vec<String>) {
    let texts = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    let (errors, warnings) = check(&values(metadata, auth), Some(&Url::parse(url).unwrap()));
    (texts(errors), texts(warnings))
}

fn errors(modes: &str, auth: Pairs<'_>) -> Vec<String> {
    found(&[("authModes", modes)], auth, "https://api").0
}

fn who(metadata: Pairs<'_>, auth: Pairs<'_>, url: &str) -> Credentials {
    access(&values(metadata, auth), &Address::parse(url).unwrap()).unwrap().credentials
}

#[test]
fn each_mode_says_what_it_needs() {
    assert_eq!(errors("bearer", &[]), ["authenticationRef.bearerToken: is required with authModes: bearer"]);
    assert_eq!(
        errors("basic", &[("password", "p")]),
        ["authenticationRef.username: is required with authModes: basic"]
    );
    assert_eq!(errors("apiKey", &[]), ["metadata.apiKey: is required with authModes: apiKey"]);
    assert_eq!(errors("custom", &[("customAuthHeader", "X-A")]).len(), 1);
    assert_eq!(errors("oauth", &[]).len(), 2);
    assert_eq!(errors("tls", &[]).len(), 2, "certificate and key");
    assert_eq!(
        errors("basic,custom", &[("username", "u"), ("customAuthHeader", "X"), ("customAuthValue", "v")]),
        [""; 0]
    );
}

#[test]
fn modes_that_exclude_each_other_or_do_not_exist_are_refused() {
    let known = "metadata.authModes: \"digest\" is not a list of apiKey, basic, bearer, custom, oauth, tls";
    assert_eq!(errors("digest", &[]), [known]);
    let only_one = "metadata.authModes: \"basic, bearer\" can have only one of basic, bearer and oauth";
    assert_eq!(errors("basic, bearer", &[("username", "u"), ("token", "t")]), [only_one]);
}

#[test]
fn what_http_cannot_carry_is_refused_without_being_shown() {
    let found =
        errors("bearer,custom", &[("token", "hun\nter2"), ("customAuthHeader", "a b"), ("customAuthValue", "v")]);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("authenticationRef.token: cannot be sent") && !found[0].contains("hun"));
    assert_eq!(found[1], "authenticationRef.customAuthHeader: is not the name of a header");
    assert_eq!(errors("basic", &[("username", "a:b")]).len(), 1);
    assert_eq!(errors("oauth", &[("oauthTokenURI", "nowhere"), ("clientID", "c")]).len(), 1);
}

#[test]
fn credentials_without_a_mode_and_in_the_clear_are_warned_of() {
    let (errors, warnings) = found(&[], &[("token", "t")], "https://api");
    assert_eq!(
        (errors.len(), warnings[0].as_str()),
        (0, "authenticationRef.token: has no effect without authModes: bearer")
    );
    let mode: Pairs<'_> = &[("authMode", "bearer")];
    let clear = "metadata.authMode: \"bearer\" sends credentials in the clear; use https://";
    assert_eq!(found(mode, &[("token", "t")], "http://api").1, [clear]);
    assert_eq!(found(mode, &[("token", "t")], "http://127.0.0.1:9").1, [""; 0]);
}

#[test]
fn modes_are_combined_and_a_login_in_the_url_counts_last() {
    let key: Pairs<'_> = &[("authModes", "apiKey,bearer"), ("apiKey", "k")];
    let both = who(key, &[("token", "t")], "http://me:pw@api/");
    assert_eq!(both.login, Some(Login::Bearer(Secret::new("t"))));
    assert_eq!(both.api_key.map(|key| (key.name, key.in_query)), Some(("X-API-KEY".to_owned(), false)));
    let in_query: Pairs<'_> = &[("authModes", "apiKey"), ("apiKey", "k"), ("method", "query")];
    assert_eq!(who(in_query, &[], "http://api/").api_key.map(|key| key.name), Some("api_key".to_owned()));
    let url = who(&[], &[("token", "t")], "http://me:pw@api/");
    assert_eq!(url.login, Some(Login::Basic(Secret::new("me"), Secret::new("pw"))));
    assert_eq!(who(&[], &[("token", "t")], "http://api/"), Credentials::default());
}

#[test]
fn a_grant_has_scopes_and_what_else_the_endpoint_wants() {
    let auth: Pairs<'_> = &[
        ("oauthTokenURI", "https://id/token"),
        ("clientID", "c"),
        ("scope", "a, b"),
        ("endpointParams", "audience=x%20y&r=1"),
    ];
    let Some(Login::OAuth(grant)) = who(&[("authModes", "oauth")], auth, "http://api/").login else {
        panic!("a grant")
    };
    assert_eq!(grant.scopes, ["a", "b"]);
    assert_eq!(grant.extra, [("audience".to_owned(), Secret::new("x y")), ("r".to_owned(), Secret::new("1"))]);
}

#[test]
fn a_certificate_authority_counts_without_a_mode_and_a_certificate_does_not() {
    let (errors, warnings) = found(&[], &[("ca", "no pem"), ("cert", "c")], "https://api");
    assert_eq!(errors, ["authenticationRef.ca: is not one or more certificates in PEM"]);
    assert_eq!(warnings, ["authenticationRef.cert: has no effect without authModes: tls"]);
    let (_, warnings) = found(&[], &[("ca", "no pem"), ("cert", "c")], "http://api");
    let idle = |name: &str| format!("authenticationRef.{name}: has no effect without TLS; use https://");
    assert_eq!(warnings, [idle("ca"), idle("cert")]);
}
