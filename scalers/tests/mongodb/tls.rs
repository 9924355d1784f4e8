//! TLS with a private certificate authority, the system's authorities, and client certificates.

use pkcs8::pkcs5::pbes2;
use pkcs8::{LineEnding, PrivateKeyInfoRef};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, Trigger};

/// Certificates of one private authority.
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
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    /// A server of these names; `clients` is whether it asks them for certificates of the same authority.
    async fn server(&self, names: &[&str], clients: bool) -> Option<Server> {
        let (cert, key) = self.issue(names, ExtendedKeyUsagePurpose::ServerAuth);
        let path = |name: &str, text: &str| {
            let path = self.files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (ca, cert, key) = (path("ca", &self.pem()), path("cert", &cert), path("key", &key.serialize_pem()));
        let mut arguments = vec!["--tls-cert-file", &cert, "--tls-key-file", &key];
        if clients {
            arguments.extend(["--tls-ca-file", &ca, "--tls-require-client-cert"]);
        }
        Server::start(&arguments).await
    }
}

const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];

fn enabled(server: &Server) -> Trigger {
    server.trigger(&[]).auth(&[("tls", "enable")])
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let Some(server) = authority.server(LOOPBACK, false).await else { return };
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
    let other = authority.server(&["mongodb.example"], false).await.unwrap();
    let error = enabled(&other).auth(&[("ca", &ca)]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate is for another name than the address"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_also_with_an_encrypted_key() {
    let authority = Authority::new();
    let Some(server) = authority.server(LOOPBACK, true).await else { return };
    let (cert, key) = authority.issue(&["client"], ExtendedKeyUsagePurpose::ClientAuth);
    let (ca, plain) = (authority.pem(), key.serialize_pem());
    let with = |pairs: &[(&str, &str)]| enabled(&server).auth(&[&[("ca", ca.as_str())], pairs].concat());
    assert_eq!(with(&[("cert", &cert), ("key", &plain)]).read().await, Ok((0, false)));
    let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, b"salt-salt", [7; 16]);
    let encrypted =
        PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap().encrypt_with_params(params.unwrap(), "p4ss");
    let encrypted = encrypted.unwrap().to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
    let trigger = with(&[("cert", &cert), ("key", &encrypted), ("keyPassword", "p4ss")]);
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
    let Some(server) = authority.server(LOOPBACK, false).await else { return };
    let run = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::with_the_systems_authorities", "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", authority.files.path().join("ca"))
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
