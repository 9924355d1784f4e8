//! Who we are: every mode arrives where it must, and nowhere else.

use tidegate_calculator::source::ReadErrorKind;

use crate::server::{Server, Trigger, header, http};

/// A secret that must never be seen anywhere but at the server itself.
const CANARY: &str = "canary-4711";

/// What one read says to the server.
async fn request(metadata: &[(&str, &str)], auth: &[(&str, &str)]) -> String {
    let server = Server::saying(r#"{"value":7}"#).await;
    assert_eq!(server.metrics_api().with(metadata).auth(auth).read().await, Ok((7000, true)));
    let said = server.heard();
    assert_eq!(said.len(), 1);
    said.into_iter().next().unwrap()
}

#[tokio::test]
async fn without_a_mode_nothing_is_said() {
    let said = request(&[], &[("token", CANARY), ("apiKey", CANARY), ("username", CANARY)]).await;
    assert!(said.starts_with("GET /stats HTTP/1.1\r\n") && !said.contains(CANARY), "{said}");
    assert_eq!(header(&said, "authorization"), None);
    assert!(header(&said, "user-agent").unwrap().starts_with("tidegate/"));
}

#[tokio::test]
async fn each_mode_is_sent_as_it_should_be() {
    let bearer = request(&[("authModes", "bearer")], &[("bearerToken", "t.1")]).await;
    assert_eq!(header(&bearer, "authorization"), Some("Bearer t.1"));
    let basic = request(&[("authMode", "basic")], &[("username", "me"), ("password", "pä:ss")]).await;
    // base64 of "me:pä:ss" in UTF-8.
    assert_eq!(header(&basic, "authorization"), Some("Basic bWU6cMOkOnNz"));
    let key = request(&[("authModes", "apiKey"), ("apiKey", "k1")], &[]).await;
    assert_eq!(header(&key, "x-api-key"), Some("k1"));
    let named = request(&[("authModes", "apiKey"), ("keyParamName", "X-Key")], &[("apiKey", "k2")]).await;
    assert_eq!(header(&named, "x-key"), Some("k2"));
    let query = request(&[("authModes", "apiKey"), ("method", "query")], &[("apiKey", "a b&c")]).await;
    assert!(query.starts_with("GET /stats?api_key=a+b%26c HTTP/1.1\r\n"), "{query}");
    let custom = request(
        &[("authModes", "custom,basic")],
        &[("customAuthHeader", "X-Me"), ("customAuthValue", "v"), ("username", "u")],
    )
    .await;
    assert_eq!((header(&custom, "x-me"), header(&custom, "authorization")), (Some("v"), Some("Basic dTo=")));
}

#[tokio::test]
async fn a_login_comes_before_a_header_of_the_same_name() {
    let auth = [("token", "t"), ("customAuthHeader", "authorization"), ("customAuthValue", "Own v")];
    let said = request(&[("authModes", "bearer,custom")], &auth).await;
    let all: Vec<&str> = said.lines().filter(|line| line.to_lowercase().starts_with("authorization:")).collect();
    assert_eq!(all, ["authorization: Bearer t"]);
    let said = request(&[("authModes", "custom")], &auth).await;
    assert_eq!(header(&said, "authorization"), Some("Own v"));
}

#[tokio::test]
async fn a_login_in_the_url_is_sent_and_never_told() {
    let server = Server::start(|_| http("401 Unauthorized", CANARY)).await;
    let url = format!("http://me:{CANARY}@127.0.0.1:{}/stats?key={CANARY}", server.port);
    let error = Trigger::metrics_api(&url).read().await.unwrap_err();
    let text = format!("http://127.0.0.1:{}/stats: refused the credentials (status 401)", server.port);
    assert_eq!((error.kind, error.message), (ReadErrorKind::Auth, text));
    assert!(header(&server.heard()[0], "authorization").is_some_and(|basic| basic.starts_with("Basic ")));
}

#[tokio::test]
async fn refusals_are_told_apart_from_credentials_that_are_missing() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let server = Server::start(move |_| http(status, CANARY)).await;
        let error = server.prometheus().read().await.unwrap_err();
        assert!(error.kind == ReadErrorKind::Auth && error.message.contains("wants credentials"), "{error}");
        let known = server.prometheus().with(&[("authModes", "bearer")]).auth(&[("token", CANARY)]);
        let error = known.read().await.unwrap_err();
        assert!(error.kind == ReadErrorKind::Auth && error.message.contains("refused the credentials"), "{error}");
        assert!(!error.message.contains(CANARY), "{error}");
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_and_once_more_when_it_is_refused() {
    let endpoint = Server::start(|_| http("200 OK", r#"{"access_token":"t9","expires_in":3600}"#)).await;
    let server = Server::start(|request| {
        // The third request is refused, as if the token had been revoked.
        let revoked = request.contains("/revoked ");
        if revoked { http("401 Unauthorized", "") } else { http("200 OK", r#"{"value":7}"#) }
    })
    .await;
    let token_uri = format!("{}/token", endpoint.url());
    let auth = [
        ("oauthTokenURI", token_uri.as_str()),
        ("clientID", "me"),
        ("clientSecret", CANARY),
        ("scopes", "read"),
        ("endpointParams", "audience=api"),
    ];
    let endpoints = tidegate_scalers::Endpoints::new();
    let trigger = server.metrics_api().with(&[("authModes", "oauth")]).auth(&auth);
    let scaler = trigger.open(&endpoints);
    for _ in 0..2 {
        assert_eq!(crate::server::value(&*scaler).await, Ok((7000, true)));
    }
    assert_eq!(endpoint.heard().len(), 1);
    assert!(endpoint.heard()[0].ends_with("grant_type=client_credentials&scope=read&audience=api"));
    assert!(server.heard().iter().all(|said| header(said, "authorization") == Some("Bearer t9")));
    let revoked = trigger.with(&[("url", &format!("{}/revoked", server.url()))]).open(&endpoints);
    let error = crate::server::value(&*revoked).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Auth);
    assert_eq!((server.heard().len(), endpoint.heard().len()), (4, 2), "once more, with a new token");
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_that_error() {
    let endpoint = Server::start(|_| http("401 Unauthorized", &format!(r#"{{"error":"{CANARY} no"}}"#))).await;
    let server = Server::saying(r#"{"value":7}"#).await;
    let token_uri = format!("{}/token", endpoint.url());
    let auth = [("oauthTokenURI", token_uri.as_str()), ("clientID", "me"), ("clientSecret", CANARY)];
    let error = server.metrics_api().with(&[("authModes", "oauth")]).auth(&auth).read().await.unwrap_err();
    assert!(error.kind == ReadErrorKind::Auth && error.message.contains("the token endpoint"), "{error}");
    assert!(!error.message.contains(CANARY), "{error}");
    assert!(server.heard().is_empty(), "nothing is asked without the token");
}

/// A first server that sends everybody to a second one.
async fn redirecting(to: &str) -> Server {
    let answer = http(&format!("302 Found\r\nlocation: {to}"), CANARY);
    Server::start(move |_| answer.clone()).await
}

#[tokio::test]
async fn no_credential_follows_a_redirect() {
    let second = Server::saying(r#"{"value":7}"#).await;
    let first = redirecting(&format!("{}/?from={CANARY}", second.url())).await;
    let all = [
        ("token", CANARY),
        ("username", CANARY),
        ("password", CANARY),
        ("apiKey", CANARY),
        ("customAuthHeader", "X-Me"),
        ("customAuthValue", CANARY),
    ];
    for modes in ["bearer", "basic", "apiKey", "custom", "bearer,apiKey,custom"] {
        let trigger = first.metrics_api().with(&[("authModes", modes)]).auth(&all);
        let error = trigger.read().await.unwrap_err();
        let expected = format!(
            "{}/stats: answered with a redirect (302) to {}, which credentials do not follow; use the address that it leads to",
            first.url(),
            second.url()
        );
        assert_eq!((error.kind, error.message), (ReadErrorKind::Config, expected), "{modes}");
    }
    let headers = first.prometheus().with(&[("customHeaders", &format!("X-Scope={CANARY}"))]);
    assert_eq!(headers.read().await.unwrap_err().kind, ReadErrorKind::Config);
    let url = Trigger::metrics_api(&first.url().replace("http://", &format!("http://me:{CANARY}@")));
    assert_eq!(url.read().await.unwrap_err().kind, ReadErrorKind::Config);
    assert_eq!(second.connections(), 0, "nobody came: {:?}", second.heard());
    assert_eq!(first.heard().len(), 7);
}

#[tokio::test]
async fn a_redirect_is_followed_within_the_same_server_alone() {
    let second = Server::saying(r#"{"value":7}"#).await;
    let first = redirecting(&second.url()).await;
    let error = first.metrics_api().read().await.unwrap_err();
    assert!(error.kind == ReadErrorKind::Config && error.message.contains("which is not followed"), "{error}");
    assert_eq!(second.connections(), 0);

    let same = Server::start(|said| match said.split(' ').nth(1) {
        Some("/stats") => http("301 Moved Permanently\r\nlocation: /stats/", ""),
        Some("/stats/") => http("200 OK", r#"{"value":7}"#),
        _ => http("302 Found\r\nlocation: /round", ""),
    })
    .await;
    assert_eq!(same.metrics_api().read().await, Ok((7000, true)));
    assert!(same.heard().iter().all(|said| header(said, "referer").is_none()));
    let circle = Trigger::metrics_api(&format!("{}/round", same.url())).read().await.unwrap_err();
    assert_eq!(circle.kind, ReadErrorKind::Config);
    let known = same.metrics_api().with(&[("authModes", "bearer")]).auth(&[("token", CANARY)]);
    assert_eq!(known.read().await.unwrap_err().kind, ReadErrorKind::Config, "also within the same server");
}
