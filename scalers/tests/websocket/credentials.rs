//! Every way of saying who we are, and that none of it is ever told.

use tidegate_calculator::source::ReadErrorKind;
use tidegate_scalers::{Endpoints, Known, check};

use super::gateway::Gateway;
use super::{Trigger, value};

/// What no message may show.
const CANARY: &str = "hunter2-canary";

/// Lets in whoever shows this in the head of his request.
async fn guarded(by: &'static str) -> Gateway {
    Gateway::with_door(r#"{"open":12}"#, move |head| (!head.to_lowercase().contains(by)).then_some(401)).await
}

async fn let_in(by: &'static str, with: impl Fn(Trigger) -> Trigger) {
    let gateway = guarded(by).await;
    assert_eq!(with(gateway.trigger()).read().await, Ok((12_000, true)), "{:?}", gateway.heads());
    let error = gateway.trigger().read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
    assert!(error.message.ends_with("wants credentials (status 401); set authModes"), "{error}");
}

#[tokio::test]
async fn every_way_is_sent_with_the_request_for_the_stream() {
    // base64 of reader:secret
    let_in("authorization: basic cmvhzgvyonnly3jlda==", |trigger| {
        trigger.with(&[("authModes", "basic")]).auth(&[("username", "reader"), ("password", "secret")])
    })
    .await;
    let_in("authorization: bearer secret", |trigger| {
        trigger.with(&[("authModes", "bearer")]).auth(&[("token", "secret")])
    })
    .await;
    let_in("x-api-key: secret", |trigger| trigger.with(&[("authModes", "apiKey")]).auth(&[("apiKey", "secret")])).await;
    let_in("/stats?token=secret\n", |trigger| {
        let modes = [("authModes", "apiKey"), ("method", "query"), ("keyParamName", "token")];
        trigger.with(&modes).auth(&[("apiKey", "secret")])
    })
    .await;
    let_in("x-gate: open", |trigger| {
        let header = [("customAuthHeader", "X-Gate"), ("customAuthValue", "open")];
        trigger.with(&[("authModes", "custom")]).auth(&header)
    })
    .await;
}

#[tokio::test]
async fn a_login_in_the_url_counts_and_is_not_told() {
    let gateway = guarded("authorization: basic cmvhzgvyonnly3jlda==").await;
    let url = format!("ws://reader:secret@127.0.0.1:{}/stats", gateway.port);
    assert_eq!(gateway.trigger().with(&[("url", &url)]).read().await, Ok((12_000, true)));
    let url = format!("ws://reader:{CANARY}@127.0.0.1:{}/stats", gateway.port);
    let error = gateway.trigger().with(&[("url", &url)]).read().await.unwrap_err();
    let what = format!("{}: refused the credentials (status 401)", gateway.url());
    assert_eq!((error.kind, error.message), (ReadErrorKind::Auth, what));
}

#[tokio::test]
async fn wrong_credentials_are_an_error_that_repeats_none() {
    let gateway = guarded("nothing is right").await;
    let triggers = [
        gateway.trigger().with(&[("authModes", "bearer")]).auth(&[("token", CANARY)]),
        gateway.trigger().with(&[("authModes", "basic")]).auth(&[("username", CANARY), ("password", CANARY)]),
        gateway.trigger().with(&[("authModes", "apiKey"), ("method", "query")]).auth(&[("apiKey", CANARY)]),
        gateway.trigger().with(&[("url", &format!("{}?key={CANARY}", gateway.url()))]),
    ];
    for trigger in triggers {
        let error = trigger.read().await.unwrap_err();
        assert_eq!(error.kind, ReadErrorKind::Auth, "{error}");
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        let found = check(&trigger.spec, Known::Nothing, Known::Values(&trigger.parameters.auth));
        assert!(!format!("{found:?}").contains(CANARY), "{found:?}");
    }
    assert!(gateway.heads().iter().any(|head| head.contains(CANARY)), "it was sent");
}

#[tokio::test]
async fn changed_credentials_are_a_stream_of_their_own() {
    let gateway = guarded("authorization: bearer").await;
    let endpoints = Endpoints::new();
    let with = |token| gateway.trigger().with(&[("authModes", "bearer")]).auth(&[("token", token)]).open(&endpoints);
    let (first, second) = (with("a"), with("b"));
    assert_eq!((value(&*first).await, value(&*second).await), (Ok((12_000, true)), Ok((12_000, true))));
    assert_ne!(first.endpoint(), second.endpoint());
    assert_eq!(gateway.accepted(), 2);
}

#[test]
fn what_is_sent_in_the_clear_or_has_no_effect_is_warned_of() {
    let warnings = |trigger: Trigger| {
        let found = check(&trigger.spec, Known::Nothing, Known::Values(&trigger.parameters.auth));
        assert!(found.errors.is_empty(), "{found:?}");
        found.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let base = [("valueLocation", "open"), ("targetValue", "5")];
    let stream = Trigger::of(&base).with(&[("url", "ws://gateway/stats"), ("authModes", "bearer"), ("port", "9090")]);
    let expected = [
        "metadata.port: \"9090\" has no effect without source pods",
        "metadata.authModes: \"bearer\" sends credentials in the clear; use wss://",
    ];
    assert_eq!(warnings(stream.auth(&[("token", "x")])), expected);
    let pods =
        Trigger::of(&base).with(&[("source", "pods"), ("port", "9090"), ("staleAfter", "5s"), ("unsafeSsl", "true")]);
    let expected = [
        "metadata.staleAfter: \"5s\" has no effect without source stream",
        "metadata.unsafeSsl: \"true\" has no effect without TLS; use scheme: https",
    ];
    assert_eq!(warnings(pods), expected);
}
