//! Certificates of one private authority: for the brokers, an expired one, and one for a client.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_loopback::{Authority, Identity};

use super::settings::READER;

/// What the brokers of one folder show, and what their clients need.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The certificate of the authority.
    pub(crate) ca: String,
    /// A client's certificate for the user `CN=reader`, and its key.
    pub(crate) client: (String, String),
    /// That of another authority, which no broker trusts.
    pub(crate) stranger: (String, String),
    folder: PathBuf,
    good: String,
    expired: String,
}

impl Certificates {
    /// Makes them, and writes what brokers read into their folder.
    pub(super) fn make(folder: &Path) -> Self {
        let authority = Authority::new();
        let (expired, good) = (together(&authority.expired()), together(&authority.server()));
        let pair = |identity: &Identity| (identity.certificate.clone(), identity.key());
        let (client, stranger) = (pair(&authority.client(READER)), pair(&Authority::new().client(READER)));
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        fs::write(folder.join("expired.pem"), &expired).unwrap();
        let made = Self { ca: authority.pem(), client, stranger, folder: folder.to_owned(), good, expired };
        made.renew();
        made
    }

    /// From the next start on, brokers show a certificate that has expired, also on their usual listener.
    pub(crate) fn expire(&self) {
        fs::write(self.folder.join("server.pem"), &self.expired).unwrap();
    }

    /// From the next start on, brokers show a good certificate.
    pub(crate) fn renew(&self) {
        fs::write(self.folder.join("server.pem"), &self.good).unwrap();
    }
}

/// Both in one file, as brokers read them.
fn together(identity: &Identity) -> String {
    format!("{}{}", identity.key(), identity.certificate)
}
