//! Certificates of one private authority: for the brokers, an expired one, and one for a client.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

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
        let issuer = authority("a private authority");
        let expired = together(&issued(&issuer, "broker", ExtendedKeyUsagePurpose::ServerAuth, true));
        let good = together(&issued(&issuer, "broker", ExtendedKeyUsagePurpose::ServerAuth, false));
        let client = issued(&issuer, READER, ExtendedKeyUsagePurpose::ClientAuth, false);
        let stranger = issued(&authority("another authority"), READER, ExtendedKeyUsagePurpose::ClientAuth, false);
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        fs::write(folder.join("expired.pem"), &expired).unwrap();
        let made = Self { ca: issuer.pem(), client, stranger, folder: folder.to_owned(), good, expired };
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

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // A certificate whose issuer is called like itself would pass for self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a loopback address, and its key.
fn issued(
    issuer: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    expired: bool,
) -> (String, String) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

/// Both in one file, as brokers read them.
fn together((certificate, key): &(String, String)) -> String {
    format!("{key}{certificate}")
}
