//! TLS with a private certificate authority, and with a certificate of ours.

use std::sync::Arc;

use tidegate_calculator::source::ReadErrorKind;
use tidegate_loopback::Authority;
use tidegate_scalers::{Endpoints, Known, check, open};
use tokio_rustls::TlsAcceptor;

use crate::scripted::Script;
use crate::server::{Server, Trigger, jobs};

/// An authority with a server on it.
struct Setup {
    authority: Authority,
    server: Server,
}

impl Setup {
    /// Says 7; with `mutual` to those alone whom the authority knows.
    fn start(mutual: bool) -> Self {
        let authority = Authority::new();
        let mut config = authority.serve(mutual);
        // A client that does not say that it speaks HTTP/2 is refused, as by servers in Go.
        config.alpn_protocols = vec![b"h2".to_vec()];
        let server = Server::start_tls(Script::saying(7, true), TlsAcceptor::from(Arc::new(config)));
        Self { authority, server }
    }

    fn trigger(&self) -> Trigger {
        Trigger::on(&format!("localhost:{}", self.server.port))
    }

    /// A certificate of the authority for us, and its key, in PEM.
    fn ours(&self) -> (String, String) {
        let client = self.authority.client("tidegate");
        (client.certificate.clone(), client.key())
    }
}

const TLS: (&str, &str) = ("enableTLS", "true");

#[tokio::test]
async fn a_private_authority_is_trusted_once_it_is_named() {
    let setup = Setup::start(false);
    let error = setup.trigger().with(&[TLS]).read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    let untrusted = "the server's certificate is signed by an authority that is not trusted";
    assert!(error.message.ends_with(untrusted), "{error}");
    let ca = setup.authority.pem();
    assert_eq!(setup.trigger().auth(&[("caCert", &ca)]).read().await, jobs(7, true), "an authority switches TLS on");
    assert_eq!(setup.trigger().with(&[TLS, ("unsafeSsl", "true")]).read().await, jobs(7, true));
    let other = Setup::start(false).authority.pem();
    let error = setup.trigger().auth(&[("caCert", &other)]).read().await.unwrap_err();
    assert!(error.message.ends_with(untrusted), "{error}");
    let renamed = Trigger::on(&format!("127.0.0.1:{}", setup.server.port)).auth(&[("caCert", &ca)]);
    let error = renamed.read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate is for another name than the address"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_it_is_wanted() {
    let setup = Setup::start(true);
    let (cert, key) = setup.ours();
    let ca = setup.authority.pem();
    let pair = [("caCert", ca.as_str()), ("tlsClientCert", &cert), ("tlsClientKey", &key)];
    assert_eq!(setup.trigger().auth(&pair).read().await, jobs(7, true));
    let pair_alone = setup.trigger().with(&[("unsafeSsl", "true")]).auth(&pair[1..]);
    assert_eq!(pair_alone.read().await, jobs(7, true), "a pair switches TLS on");
    let (cert, key) = Setup::start(false).ours();
    let strangers = [("caCert", ca.as_str()), ("tlsClientCert", &cert), ("tlsClientKey", &key)];
    for auth in [&pair[..1], &strangers[..]] {
        let error = setup.trigger().auth(auth).read().await.unwrap_err();
        assert!(error.kind == ReadErrorKind::Auth && error.message.contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn tls_where_the_server_has_none_and_none_where_it_has_are_told() {
    let plain = Server::start(Script::saying(7, true));
    let error = plain.trigger().with(&[TLS]).read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
    assert!(error.message.ends_with("the server does not speak TLS"), "{error}");
    let error = Setup::start(false).trigger().read().await.unwrap_err();
    assert!(matches!(error.kind, ReadErrorKind::Unavailable | ReadErrorKind::Protocol), "{error}");
}

#[test]
fn half_a_pair_and_what_is_no_certificate_is_a_finding_without_its_text() {
    let (cert, key) = Setup::start(false).ours();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("tlsClientCert", &cert)], "authenticationRef.tlsClientKey: is required with a certificate"),
        (&[("tlsClientKey", &key)], "authenticationRef.tlsClientCert: is required with a key"),
        (&[("caCert", "canary-4711")], "authenticationRef.caCert: is not one or more certificates in PEM"),
    ];
    for (auth, text) in cases {
        let trigger = Trigger::on("localhost:1").auth(auth);
        let error = open(&trigger.spec, &trigger.parameters, &Endpoints::new()).err().expect("not opened");
        assert_eq!(error.to_string(), *text);
    }
}

#[test]
fn what_is_likely_a_mistake_is_warned_of() {
    let warnings = |trigger: &Trigger| {
        let found =
            check(&trigger.spec, Known::Values(&trigger.parameters.env), Known::Values(&trigger.parameters.auth));
        assert!(found.errors.is_empty(), "{found:?}");
        found.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let trigger = Trigger::on("scaler:1");
    assert_eq!(warnings(&trigger.clone().with(&[("anything", "goes")])), Vec::<String>::new());
    assert_eq!(warnings(&trigger.clone().with(&[("unsafeSsl", "false")])), Vec::<String>::new());
    let cases = [
        ("unsafeSsl", "true", "metadata.unsafeSsl: \"true\" has no effect without TLS; set enableTLS: true"),
        ("enableTls", "true", "metadata.enableTls: is only passed on to the server; did you mean enableTLS?"),
        ("scalerAddress", "scaler", "metadata.scalerAddress: \"scaler\" names no port, so 443 is asked"),
        (
            "tlsCertFile",
            "/ca.pem",
            "metadata.tlsCertFile: \"/ca.pem\" has no effect; it is only passed on to the server; use caCert of the \
             authentication",
        ),
    ];
    for (key, value, text) in cases {
        assert_eq!(warnings(&trigger.clone().with(&[(key, value)])), [text]);
    }
}
