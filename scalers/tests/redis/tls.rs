//! TLS with a private certificate authority and client certificates.

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_loopback::{Authority, Identity};

use crate::sentinel::Sentinel;
use crate::server::{Server, Trigger};

/// A server with this identity; `clients` is what it says to those without a certificate of the authority.
async fn serve(authority: &Authority, identity: &Identity, clients: &str) -> Option<Server> {
    let [ca, cert, key] = authority.write(identity);
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    Server::start(&[&files[..], &["--tls-auth-clients", clients]].concat()).await
}

fn over_tls(server: &Server, metadata: &[(&str, &str)]) -> Trigger {
    server.trigger(&[metadata, &[("enableTLS", "true")]].concat())
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), "no").await else { return };
    let ca = authority.pem();
    assert_eq!(over_tls(&server, &[]).auth(&[("ca", &ca)]).read().await, Ok((0, false)));
    assert_eq!(server.trigger(&[]).auth(&[("ca", &ca), ("tls", "enable")]).read().await, Ok((0, false)));
    assert_eq!(over_tls(&server, &[("unsafeSsl", "true")]).read().await, Ok((0, false)));
    let stranger = Authority::new().pem();
    for trigger in [over_tls(&server, &[]), over_tls(&server, &[]).auth(&[("ca", &stranger)])] {
        let error = trigger.read().await.unwrap_err();
        assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
        assert!(error.message.contains("certificate"), "{error}");
    }
    let plain = server.trigger(&[]).read().await.unwrap_err();
    assert_eq!(plain.scope, ErrorScope::Endpoint, "{plain}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_also_with_an_encrypted_key() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), "yes").await else { return };
    let client = authority.client("client");
    let (ca, cert, plain) = (authority.pem(), &client.certificate, client.key());
    let with = |pairs: &[(&str, &str)]| over_tls(&server, &[]).auth(&[&[("ca", ca.as_str())], pairs].concat());
    assert_eq!(with(&[("cert", cert), ("key", &plain)]).read().await, Ok((0, false)));
    let encrypted = client.encrypted_key("p4ss");
    let trigger = with(&[("cert", cert), ("key", &encrypted), ("keyPassword", "p4ss")]);
    assert_eq!(trigger.read().await, Ok((0, false)));
    let error = with(&[]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_and_one_of_another_name_are_refused_in_steady_words() {
    let authority = Authority::new();
    let ca = authority.pem();
    let Some(expired) = serve(&authority, &authority.expired(), "no").await else { return };
    let error = over_tls(&expired, &[]).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate has expired"), "{error}");
    let Some(other) = serve(&authority, &authority.server_of(&["redis.example"]), "no").await else { return };
    let error = over_tls(&other, &[]).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
}

#[tokio::test]
async fn push_works_over_tls() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, &authority.server(), "no").await else { return };
    let trigger = over_tls(&server, &[("activation", "push")]).auth(&[("ca", &authority.pem())]);
    let scaler = trigger.open(&tidegate_scalers::Endpoints::new());
    let woken = std::sync::Arc::new(tokio::sync::Notify::new());
    let bell = std::sync::Arc::clone(&woken);
    let _watch = scaler.watch(std::sync::Arc::new(move || bell.notify_one())).unwrap();
    tokio::time::timeout(crate::server::PATIENCE, woken.notified()).await.expect("a wake when the key is listened to");
}

#[tokio::test]
async fn a_cluster_is_read_over_tls_at_the_addresses_it_announces() {
    let authority = Authority::new();
    let [ca, cert, key] = authority.write(&authority.server());
    let bus = crate::server::free_port().to_string();
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let cluster =
        ["--tls-auth-clients", "no", "--tls-cluster", "yes", "--cluster-enabled", "yes", "--cluster-port", &bus];
    let Some(server) = Server::start(&[&files[..], &cluster].concat()).await else { return };
    let cli = std::process::Command::new("redis-cli")
        .args(["-p", &server.port.to_string(), "--tls", "--cacert", &ca, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&cli.stdout).trim(), "OK", "{cli:?}");
    let metadata = [("address", server.address()), ("listName", "jobs".to_owned()), ("enableTLS", "true".to_owned())];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(key, text)| (*key, text.as_str())).collect();
    let trigger = Trigger::of("redis-cluster", &metadata).auth(&[("ca", &authority.pem())]);
    crate::server::eventually("the cluster is read", async || trigger.read().await == Ok((0, false))).await;
    let stranger = trigger.auth(&[("ca", &Authority::new().pem())]).read().await.unwrap_err();
    assert_eq!((stranger.kind, stranger.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{stranger}");
    assert!(stranger.message.contains("certificate"), "{stranger}");
}

#[tokio::test]
async fn sentinels_and_their_master_are_read_over_tls() {
    let authority = Authority::new();
    let [ca, cert, key] = authority.write(&authority.server());
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let Some(master) = Server::start(&[&files[..], &["--tls-auth-clients", "no"]].concat()).await else { return };
    let more = format!(
        "tls-ca-cert-file {ca}\ntls-cert-file {cert}\ntls-key-file {key}\ntls-auth-clients no\ntls-replication yes",
    );
    let sentinel = Sentinel::with(master.port, &more).await;
    let addresses = sentinel.address();
    let metadata = [("addresses", addresses.as_str()), ("sentinelMaster", "mymaster"), ("listName", "jobs")];
    let trigger = Trigger::of("redis-sentinel", &metadata).auth(&[("ca", &authority.pem()), ("tls", "enable")]);
    assert_eq!(trigger.read().await, Ok((0, false)));
    let stranger = trigger.auth(&[("ca", &Authority::new().pem()), ("tls", "enable")]).read().await.unwrap_err();
    assert_eq!((stranger.kind, stranger.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{stranger}");
    assert!(stranger.message.starts_with("Sentinel at ") && stranger.message.contains("certificate"), "{stranger}");
}
