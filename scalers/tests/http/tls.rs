//! TLS with a private certificate authority, and with a certificate of ours.

use std::sync::Arc;

use tidegate_calculator::source::ReadErrorKind;
use tidegate_loopback::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, Trigger, http};

/// An authority with a server on it.
struct Setup {
    authority: Authority,
    server: Server,
}

impl Setup {
    /// Answers 7; with `mutual` to those alone whom the authority knows.
    async fn start(mutual: bool) -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(Arc::new(authority.serve(mutual)));
        Self { authority, server: Server::start_tls(acceptor, |_| http("200 OK", r#"{"value":7}"#)).await }
    }

    fn trigger(&self) -> Trigger {
        Trigger::metrics_api(&format!("https://localhost:{}/stats", self.server.port))
    }

    fn ca(&self) -> String {
        self.authority.pem()
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_it_is_named() {
    let setup = Setup::start(false).await;
    let error = setup.trigger().read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert!(
        error.message.ends_with("the server's certificate is signed by an authority that is not trusted"),
        "{error}"
    );
    assert_eq!(setup.trigger().auth(&[("ca", &setup.ca())]).read().await, Ok((7000, true)), "without a mode");
    assert_eq!(setup.trigger().with(&[("unsafeSsl", "true")]).read().await, Ok((7000, true)));
    let other = Setup::start(false).await.ca();
    assert_eq!(setup.trigger().auth(&[("ca", &other)]).read().await.unwrap_err().kind, ReadErrorKind::Unavailable);
    let renamed = setup.trigger().with(&[("url", &format!("https://127.0.0.1:{}/", setup.server.port))]);
    let error = renamed.auth(&[("ca", &setup.ca())]).read().await.unwrap_err();
    assert!(error.message.ends_with("the server's certificate is for another name than the address"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_it_is_wanted() {
    let setup = Setup::start(true).await;
    let client = setup.authority.client("localhost");
    let (ca, cert, key) = (setup.ca(), &client.certificate, client.key());
    let ours = [("ca", ca.as_str()), ("cert", cert.as_str()), ("key", key.as_str())];
    assert_eq!(setup.trigger().with(&[("authModes", "tls")]).auth(&ours).read().await, Ok((7000, true)));
    let all = setup.trigger().with(&[("authModes", "tls,bearer")]).auth(&[&ours[..], &[("token", "t")]].concat());
    assert_eq!(all.read().await, Ok((7000, true)));
    for trigger in [setup.trigger().auth(&ours), setup.trigger().auth(&ours[..1])] {
        let error = trigger.read().await.unwrap_err();
        assert!(error.kind == ReadErrorKind::Auth && error.message.contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whatever it says, a plain server does not understand it.
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(http("400 Bad Request", "").as_bytes()).await;
        }
    });
    let error = Trigger::metrics_api(&format!("https://localhost:{port}/")).read().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Unavailable);
    assert!(error.message.ends_with("the server does not speak TLS"), "{error}");
}
