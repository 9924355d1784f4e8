//! TLS with a private certificate authority, and with a certificate of ours.

use std::sync::Arc;

use tidegate_calculator::source::ReadErrorKind;
use tidegate_loopback::Authority;
use tidegate_scalers::Endpoints;
use tokio_rustls::TlsAcceptor;

use super::gateway::Gateway;
use super::{Trigger, until};

/// An authority with a gateway on it.
struct Setup {
    authority: Authority,
    gateway: Gateway,
}

impl Setup {
    /// With `mutual` it lets in those alone whom the authority knows.
    async fn start(mutual: bool) -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(Arc::new(authority.serve(mutual)));
        Self { authority, gateway: Gateway::with_tls(r#"{"open":12}"#, acceptor).await }
    }

    fn trigger(&self) -> Trigger {
        let url = format!("wss://localhost:{}/stats", self.gateway.port);
        self.gateway.trigger().with(&[("url", &url)])
    }

    fn ca(&self) -> String {
        self.authority.pem()
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_it_is_named() {
    let setup = Setup::start(false).await;
    let untrusted = "the server's certificate is signed by an authority that is not trusted";
    let error = setup.trigger().read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert_eq!(error.message, format!("wss://localhost:{}/stats: {untrusted}", setup.gateway.port));
    assert_eq!(setup.trigger().auth(&[("ca", &setup.ca())]).read().await, Ok((12_000, true)), "without a mode");
    assert_eq!(setup.trigger().with(&[("unsafeSsl", "true")]).read().await, Ok((12_000, true)));
    let other = Setup::start(false).await.ca();
    let error = setup.trigger().auth(&[("ca", &other)]).read().await.unwrap_err();
    assert!(error.message.contains("the server's certificate "), "{error}");
    let renamed = setup.trigger().with(&[("url", &format!("wss://127.0.0.1:{}/", setup.gateway.port))]);
    let error = renamed.auth(&[("ca", &setup.ca())]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate is for another name than the address"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_it_is_wanted() {
    let setup = Setup::start(true).await;
    let client = setup.authority.client("localhost");
    let (ca, cert, key) = (setup.ca(), &client.certificate, client.key());
    let ours = [("ca", ca.as_str()), ("cert", cert.as_str()), ("key", key.as_str())];
    assert_eq!(setup.trigger().with(&[("authModes", "tls")]).auth(&ours).read().await, Ok((12_000, true)));
    // The refusal may come after the connection stands, or be lost with it.
    let scaler = setup.trigger().auth(&[("ca", &ca)]).open(&Endpoints::new());
    let refused = until(&*scaler, |outcome| matches!(outcome, Err(error) if error.kind == ReadErrorKind::Auth)).await;
    assert!(refused.unwrap_err().message.contains("wants one"), "of nobody without a certificate");
}

#[tokio::test]
async fn tls_where_there_is_none_is_told() {
    let gateway = Gateway::saying(r#"{"open":12}"#).await;
    let url = format!("wss://localhost:{}/stats", gateway.port);
    let error = gateway.trigger().with(&[("url", &url)]).read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable, "{error}");
}
