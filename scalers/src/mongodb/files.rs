//! Hands certificates and keys to the driver, which takes them from files only: private ones, gone once they are read.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use pkcs8::{LineEnding, SecretDocument, der};
use rustls::pki_types::PrivateKeyDer;

use crate::tls::{Field, Flaw, TlsOptions, private_key};

/// A file that only this process may read. Dropping it removes it.
pub(super) struct PrivateFile(PathBuf);

/// The files of one client.
pub(super) struct Files {
    /// The authorities to trust: the system's, and those that the trigger names.
    pub(super) authorities: PrivateFile,
    /// Our certificate and its key, in one file.
    pub(super) identity: Option<PrivateFile>,
}

/// Why there are no files.
pub(super) enum Failure {
    /// An option cannot be used.
    Flaw(Flaw),
    /// No file can be written.
    Io(io::Error),
}

impl Files {
    /// Writes them. It reads the system's certificates and writes to a disk, so it may block for some milliseconds.
    pub(super) fn write(options: &TlsOptions) -> Result<Self, Failure> {
        let mut authorities = system_authorities();
        if let Some(ca) = &options.ca {
            authorities.push('\n');
            authorities.push_str(ca.expose());
        }
        let identity = identity(options).map_err(Failure::Flaw)?;
        let written = |text: String| PrivateFile::write(text.as_bytes()).map_err(Failure::Io);
        Ok(Self { authorities: written(authorities)?, identity: identity.map(written).transpose()? })
    }
}

/// The operating system's authorities, PEM. They are read anew for every client, so a renewed bundle counts.
fn system_authorities() -> String {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "A certificate authority of the system cannot be read");
    }
    found.certs.iter().filter_map(|authority| pem("CERTIFICATE", authority.as_ref())).collect()
}

/// The certificate chain and the key in the clear, PEM.
fn identity(options: &TlsOptions) -> Result<Option<String>, Flaw> {
    let (Some(cert), Some(key)) = (&options.cert, &options.key) else { return Ok(None) };
    let key = private_key(key, options.key_password.as_ref())?;
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let document = SecretDocument::try_from(key.secret_der()).ok();
    let text = document.and_then(|document| document.to_pem(label, LineEnding::LF).ok());
    let text = text.ok_or((Field::Key, "is not a key that TLS can use"))?;
    Ok(Some(format!("{}\n{}", cert.expose(), text.as_str())))
}

fn pem(label: &'static str, bytes: &[u8]) -> Option<String> {
    der::Document::try_from(bytes).ok()?.to_pem(label, LineEnding::LF).ok()
}

impl PrivateFile {
    /// Writes a new file: in memory where the system has a place for it, which a read-only container has as well.
    fn write(bytes: &[u8]) -> io::Result<Self> {
        Self::create(Path::new("/dev/shm"), bytes).or_else(|_| Self::create(&std::env::temp_dir(), bytes))
    }

    fn create(folder: &Path, bytes: &[u8]) -> io::Result<Self> {
        // A fresh `RandomState` has fresh keys: a name that nobody can guess, and `create_new` follows no link.
        let path = folder.join(format!("tidegate-{:016x}.pem", RandomState::new().hash_one(bytes.len())));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let made = Self(path);
        file.write_all(bytes)?;
        Ok(made)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "A file with a certificate cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use tidegate_calculator::source::Secret;

    use super::*;

    #[test]
    fn files_are_private_and_gone_afterwards() {
        let file = PrivateFile::write(b"text").unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_named_authority_stands_beside_the_systems_and_the_key_beside_its_certificate() {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let options = TlsOptions {
            ca: Some(Secret::new(&cert)),
            cert: Some(Secret::new(&cert)),
            key: Some(Secret::new(key.serialize_pem())),
            ..TlsOptions::default()
        };
        let Ok(files) = Files::write(&options) else { panic!("files are written") };
        let count = |path: &Path| CertificateDer::pem_file_iter(path).unwrap().flatten().count();
        let systems = rustls_native_certs::load_native_certs().certs.len();
        assert_eq!(count(files.authorities.path()), systems + 1);
        let identity = files.identity.unwrap();
        assert_eq!(count(identity.path()), 1);
        let read = PrivateKeyDer::from_pem_file(identity.path()).unwrap();
        assert_eq!(read.secret_der(), key.serialized_der());
    }
}
