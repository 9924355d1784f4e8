use rcgen::KeyPair;

use super::*;

fn identity() -> (String, KeyPair) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key)
}

fn options(ca: Option<&str>, cert: Option<&str>, key: Option<&str>, password: Option<&str>) -> TlsOptions {
    let [ca, cert, key, key_password] = [ca, cert, key, password].map(|text| text.map(Secret::new));
    TlsOptions { ca, cert, key, key_password, insecure: false }
}

fn encrypted(key: &KeyPair) -> String {
    let params =
        pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, b"salt-salt", [7; 16]).unwrap();
    let plain = pkcs8::PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap();
    let document = plain.encrypt_with_params(params, "right").unwrap();
    document.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).unwrap().to_string()
}

#[test]
fn good_options_make_a_client() {
    let (cert, key) = identity();
    let (plain, encrypted) = (key.serialize_pem(), encrypted(&key));
    for good in [
        options(None, None, None, None),
        options(Some(&cert), None, None, None),
        options(None, Some(&cert), Some(&plain), None),
        options(None, Some(&cert), Some(&plain), Some("needless")),
        options(None, Some(&cert), Some(&encrypted), Some("right")),
        TlsOptions { insecure: true, ..TlsOptions::default() },
    ] {
        assert_eq!(good.flaws(), []);
        assert!(good.client().is_ok());
    }
}

#[test]
fn a_named_authority_joins_the_systems() {
    let (cert, _) = identity();
    let roots = options(Some(&format!("{cert}{}", identity().0)), None, None, None).roots().unwrap();
    assert_eq!(roots.len(), system_roots().len() + 2);
}

#[test]
fn every_flaw_names_its_option_and_no_text() {
    let (cert, key) = identity();
    let (plain, encrypted) = (key.serialize_pem(), encrypted(&key));
    let cases = [
        (options(Some("nonsense"), None, None, None), Field::Ca),
        (options(Some(&plain), None, None, None), Field::Ca),
        (options(None, Some(&cert), None, None), Field::Key),
        (options(None, None, Some(&plain), None), Field::Cert),
        (options(None, Some("nonsense"), Some(&plain), None), Field::Cert),
        (options(None, Some(&cert), Some("nonsense"), None), Field::Key),
        (options(None, Some(&cert), Some(&encrypted), None), Field::KeyPassword),
        (options(None, Some(&cert), Some(&encrypted), Some("wrong")), Field::KeyPassword),
    ];
    for (bad, field) in cases {
        let fields: Vec<Field> = bad.flaws().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, [field]);
        assert!(bad.client().is_err());
        assert_eq!(format!("{bad:?}"), "TlsOptions");
    }
    let other = identity().1.serialize_pem();
    assert!(matches!(options(None, Some(&cert), Some(&other), None).client(), Err((Field::Key, _))));
}
