//! A private certificate authority and what it signs, for servers and for clients.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pkcs8::pkcs5::pbes2;
use pkcs8::{LineEnding, PrivateKeyInfoRef};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

/// The names by which clients of this machine call a server.
pub const NAMES: &[&str] = &["127.0.0.1", "localhost"];

/// A certificate authority that nobody trusts by itself. No two have the same name: one's signature would look like a forgery of the
/// other's.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, as PEM.
    pub certificate: String,
    key: KeyPair,
}

#[allow(clippy::new_without_default, reason = "each is another one")]
impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("authority {:?}", &key.public_key_raw()[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer, files: tempfile::tempdir().unwrap() }
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's identity for [`NAMES`].
    pub fn server(&self) -> Identity {
        self.server_of(NAMES)
    }

    /// A server's identity for other names.
    pub fn server_of(&self, names: &[&str]) -> Identity {
        self.sign(&params("server", names, ExtendedKeyUsagePurpose::ServerAuth))
    }

    /// A server's identity that has expired.
    pub fn expired(&self) -> Identity {
        let mut params = params("server", NAMES, ExtendedKeyUsagePurpose::ServerAuth);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        self.sign(&params)
    }

    /// The identity of a client that is called so.
    pub fn client(&self, name: &str) -> Identity {
        self.sign(&params(name, &[name], ExtendedKeyUsagePurpose::ClientAuth))
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key }
    }

    /// Writes the files of the authority, of an identity's certificate and of its key, over those of the last identity.
    pub fn write(&self, identity: &Identity) -> [String; 3] {
        let texts = [("ca", self.pem()), ("certificate", identity.certificate.clone()), ("key", identity.key())];
        texts.map(|(name, text)| {
            let path = self.file(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }

    /// Where [`Self::write`] writes `ca`, `certificate` or `key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What a server in this process needs, which is called `localhost` and nothing else; with `mutual` it lets in those alone whom the authority knows.
    pub fn serve(&self, mutual: bool) -> ServerConfig {
        let identity = self.server_of(&["localhost"]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        builder.with_single_cert(chain, key).unwrap()
    }
}

impl Identity {
    /// The key, as PEM.
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// The key, encrypted with a password, as PEM.
    pub fn encrypted_key(&self, password: &str) -> String {
        let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, b"salt-salt", [7; 16]);
        let plain = PrivateKeyInfoRef::try_from(self.key.serialized_der()).unwrap();
        let encrypted = plain.encrypt_with_params(params.unwrap(), password).unwrap();
        encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap().to_string()
    }
}

fn params(name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    params
}
