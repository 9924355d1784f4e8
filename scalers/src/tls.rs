//! Makes TLS clients that trust the system's certificate authorities and those that a trigger names.

use std::fmt;
use std::sync::{Arc, OnceLock};

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tidegate_calculator::source::Secret;

/// What a trigger says about TLS. Two that are equal may share a connection.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct TlsOptions {
    /// Certificate authorities to trust beside the system's, PEM.
    pub(crate) ca: Option<Secret>,
    /// The client's certificate chain, PEM.
    pub(crate) cert: Option<Secret>,
    /// The client's key, PEM; PKCS#8 if it is encrypted.
    pub(crate) key: Option<Secret>,
    /// What the key is encrypted with.
    pub(crate) key_password: Option<Secret>,
    /// Whether any certificate of the server is taken.
    pub(crate) insecure: bool,
}

/// Which of the options is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// [`TlsOptions::ca`].
    Ca,
    /// [`TlsOptions::cert`].
    Cert,
    /// [`TlsOptions::key`].
    Key,
    /// [`TlsOptions::key_password`].
    KeyPassword,
}

/// An option that cannot be used; the text completes "the certificate ..." and holds no secret.
pub(crate) type Flaw = (Field, &'static str);

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl TlsOptions {
    /// Everything that is wrong with the options; no file is read and nothing is sent.
    pub(crate) fn flaws(&self) -> Vec<Flaw> {
        self.authorities().err().into_iter().chain(self.identity().err()).collect()
    }

    /// The client.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, Flaw> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| (Field::Ca, "cannot be used: no TLS version is available"))?;
        let verified = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let config = match self.identity()? {
            Some((chain, key)) => verified
                .with_client_auth_cert(chain, key)
                .map_err(|_| (Field::Key, "is not a key that TLS can use, or not the certificate's"))?,
            None => verified.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Flaw> {
        let authorities = self.authorities()?;
        if authorities.is_empty() {
            return Ok(Arc::clone(system_roots()));
        }
        let mut roots = RootCertStore::clone(system_roots());
        for authority in authorities {
            roots.add(authority).map_err(|_| (Field::Ca, NOT_CERTIFICATES))?;
        }
        Ok(Arc::new(roots))
    }

    fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, Flaw> {
        self.ca.as_ref().map_or(Ok(Vec::new()), |pem| certificates(pem).ok_or((Field::Ca, NOT_CERTIFICATES)))
    }

    fn identity(&self) -> Result<Option<Identity>, Flaw> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(cert).ok_or((Field::Cert, NOT_CERTIFICATES))?;
                Ok(Some((chain, private_key(key, self.key_password.as_ref())?)))
            }
            (Some(_), None) => Err((Field::Key, "is required with a certificate")),
            (None, Some(_)) => Err((Field::Cert, "is required with a key")),
            (None, None) => Ok(None),
        }
    }
}

const NOT_CERTIFICATES: &str = "is not one or more certificates in PEM";

fn certificates(pem: &Secret) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty())
}

pub(crate) fn private_key(pem: &Secret, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, Flaw> {
    let text = pem.expose();
    if !text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let not_a_key = "is not a private key in PEM; an encrypted one must be PKCS#8";
        return PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| (Field::Key, not_a_key));
    }
    let password = password.ok_or((Field::KeyPassword, "is required because the key is encrypted"))?;
    let (_, document) = SecretDocument::from_pem(text).map_err(|_| (Field::Key, "is not a private key in PEM"))?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|_| (Field::Key, "is not an encrypted key in PKCS#8"))?;
    let plain = encrypted
        .decrypt(password.expose())
        .map_err(|_| (Field::KeyPassword, "does not decrypt the key, or its encryption is not supported"))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec())))
}

/// The operating system's certificate authorities, read once; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
fn system_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "A certificate authority of the system cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    })
}

/// Takes any certificate, which is what `unsafeSsl` asks for; the handshake's signatures are still checked.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsOptions")
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
