//! TLS with a private certificate authority and client certificates.

use pkcs8::pkcs5::pbes2;
use pkcs8::{LineEnding, PrivateKeyInfoRef};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};

use crate::sentinel::Sentinel;
use crate::server::{Server, Trigger};

/// Certificates of one private authority, and a server that asks for them.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A certificate whose issuer is called like itself would pass for self-signed.
        params.distinguished_name.push(DnType::CommonName, "a private authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, files: tempfile::tempdir().unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names, and its key.
    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    async fn server(&self, clients: &str) -> Option<Server> {
        self.serve(self.issue(&["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth), clients).await
    }

    async fn serve(&self, identity: (String, KeyPair), clients: &str) -> Option<Server> {
        let [ca, cert, key] = self.write(identity);
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        Server::start(&[&files[..], &["--tls-auth-clients", clients]].concat()).await
    }

    /// The files of the authority, of a certificate and of its key.
    fn write(&self, (cert, key): (String, KeyPair)) -> [String; 3] {
        let path = |name: &str, text: &str| {
            let path = self.files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        [path("ca", &self.pem()), path("cert", &cert), path("key", &key.serialize_pem())]
    }
}

/// The name that servers of these tests have.
fn loopback(authority: &Authority) -> [String; 3] {
    authority.write(authority.issue(&["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth))
}

fn over_tls(server: &Server, metadata: &[(&str, &str)]) -> Trigger {
    server.trigger(&[metadata, &[("enableTLS", "true")]].concat())
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let Some(server) = authority.server("no").await else {
        return;
    };
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
    let Some(server) = authority.server("yes").await else {
        return;
    };
    let (cert, key) = authority.issue(&["client"], ExtendedKeyUsagePurpose::ClientAuth);
    let (ca, plain) = (authority.pem(), key.serialize_pem());
    let with = |pairs: &[(&str, &str)]| over_tls(&server, &[]).auth(&[&[("ca", ca.as_str())], pairs].concat());
    assert_eq!(with(&[("cert", &cert), ("key", &plain)]).read().await, Ok((0, false)));
    let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, b"salt-salt", [7; 16]);
    let encrypted =
        PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap().encrypt_with_params(params.unwrap(), "p4ss");
    let encrypted = encrypted.unwrap().to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
    let trigger = with(&[("cert", &cert), ("key", &encrypted), ("keyPassword", "p4ss")]);
    assert_eq!(trigger.read().await, Ok((0, false)));
    let error = with(&[]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_and_one_of_another_name_are_refused_in_steady_words() {
    let authority = Authority::new();
    let ca = authority.pem();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let Some(expired) = authority.serve(authority.sign(&params), "no").await else { return };
    let error = over_tls(&expired, &[]).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate has expired"), "{error}");
    let other = authority.issue(&["redis.example"], ExtendedKeyUsagePurpose::ServerAuth);
    let Some(other) = authority.serve(other, "no").await else { return };
    let error = over_tls(&other, &[]).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert_eq!((error.kind, error.scope), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{error}");
}

#[tokio::test]
async fn push_works_over_tls() {
    let authority = Authority::new();
    let Some(server) = authority.server("no").await else {
        return;
    };
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
    let [ca, cert, key] = loopback(&authority);
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
    let [ca, cert, key] = loopback(&authority);
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
