//! TLS with a private certificate authority, the system's authorities, and client certificates.

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_loopback::{Authority, Identity};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, Trigger};

/// A server with this identity; `clients` is whether it asks them for certificates of the same authority.
async fn serve(authority: &Authority, identity: &Identity, clients: bool) -> Option<Server> {
    let [ca, cert, key] = authority.write(identity);
    let mut arguments = vec!["--tls-cert-file", &cert, "--tls-key-file", &key];
    if clients {
        arguments.extend(["--tls-ca-file", &ca, "--tls-require-client-cert"]);
    }
    Server::start(&arguments).await
}

fn enabled(server: &Server) -> Trigger {
    server.trigger(&[]).auth(&[("tls", "enable")])
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), false).await else { return };
    let ca = authority.pem();
    assert_eq!(enabled(&server).auth(&[("ca", &ca)]).read().await, Ok((0, false)));
    let by_address = |options: &str| Trigger::count(&format!("{}?tls=true{options}", server.uri()), &[]);
    assert_eq!(by_address("").auth(&[("ca", &ca)]).read().await, Ok((0, false)));
    assert_eq!(by_address("&tlsAllowInvalidCertificates=true").read().await, Ok((0, false)));
    let stranger = Authority::new().pem();
    for trigger in [enabled(&server), enabled(&server).auth(&[("ca", &stranger)]), by_address("")] {
        let error = trigger.read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
        assert!(error.message.contains("the server's certificate"), "{error}");
    }
    let plain = server.trigger(&[]).read().await.unwrap_err();
    assert_eq!(plain.scope, ErrorScope::Endpoint, "{plain}");
    let other = serve(&authority, &authority.server_of(&["mongodb.example"]), false).await.unwrap();
    let error = enabled(&other).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate is for another name than the address"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_also_with_an_encrypted_key() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), true).await else { return };
    let client = authority.client("client");
    let (ca, cert, plain) = (authority.pem(), &client.certificate, client.key());
    let with = |pairs: &[(&str, &str)]| enabled(&server).auth(&[&[("ca", ca.as_str())], pairs].concat());
    assert_eq!(with(&[("cert", cert), ("key", &plain)]).read().await, Ok((0, false)));
    let encrypted = client.encrypted_key("p4ss");
    let trigger = with(&[("cert", cert), ("key", &encrypted), ("keyPassword", "p4ss")]);
    assert_eq!(trigger.read().await, Ok((0, false)));
    let error = with(&[]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Auth, ErrorScope::Endpoint), "{error}");
    assert!(error.message.contains("refused our certificate, or wants one"), "{error}");
    let left = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let ours = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("tidegate-"));
    // Other tests of this process may be about to read theirs, which takes them milliseconds.
    let mut ours: Vec<_> = ours.map(|entry| entry.path()).collect();
    crate::server::eventually("no file is left", async || {
        ours.retain(|path| path.exists());
        ours.is_empty()
    })
    .await;
}

/// The system's authorities are read from where `SSL_CERT_FILE` says, which is set for a process of its own.
#[tokio::test]
async fn the_systems_authorities_are_trusted_without_a_word() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), false).await else { return };
    let run = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::with_the_systems_authorities", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", authority.file("ca"))
        .env("TIDEGATE_TEST_MONGODB", format!("{}?tls=true", server.uri()))
        .output();
    let output = timeout(PATIENCE, run).await.expect("in time").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "run with other authorities by the test above"]
async fn with_the_systems_authorities() {
    let uri = std::env::var("TIDEGATE_TEST_MONGODB").unwrap();
    assert_eq!(Trigger::count(&uri, &[]).read().await, Ok((0, false)));
}
