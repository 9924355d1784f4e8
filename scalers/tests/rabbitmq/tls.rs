//! TLS with a private certificate authority and with certificates of ours, over both protocols.

use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_loopback::Authority;

use crate::server::{Plan, Rabbit};
use crate::trigger::{Outcome, Trigger, class, own};

/// The user that a certificate is for, who has no password.
const CERTIFIED: &str = "certified";

/// A server with a queue in `/`, which takes users by their certificates too.
fn serve(authority: &Authority, asks_for_certificates: bool) -> Option<Rabbit> {
    let settings = "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\nssl_cert_login_from = common_name\n";
    let plan = Plan {
        certificates: Some(authority.write(&authority.server())),
        asks_for_certificates,
        plugins: vec!["rabbitmq_auth_mechanism_ssl"],
        settings: settings.to_owned(),
    };
    let server = own(&plan)?;
    server.add_queue("%2F", "jobs");
    server.add_user(CERTIFIED, "", "management");
    server.permit(CERTIFIED, "%2F");
    Some(server)
}

fn amqps(server: &Rabbit) -> Trigger {
    Trigger::new(&format!("amqps://guest:guest@127.0.0.1:{}", server.ports.amqps), "jobs")
}

fn https(server: &Rabbit) -> Trigger {
    Trigger::new(&format!("https://guest:guest@127.0.0.1:{}", server.ports.https), "jobs")
}

fn told(outcome: &Outcome) -> &str {
    &outcome.as_ref().expect_err("a failure").message
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, false) else { return };
    let (ca, stranger) = (authority.pem(), Authority::new().pem());
    https(&server).auth(&[("ca", &ca), ("tls", "enable")]).eventually((0, false)).await;
    for trigger in [amqps(&server), https(&server)] {
        assert_eq!(trigger.clone().auth(&[("ca", &ca), ("tls", "enable")]).read().await, Ok((0, false)));
        assert_eq!(trigger.clone().with(&[("unsafeSsl", "true")]).read().await, Ok((0, false)));
        let untrusted = [
            trigger.clone(),
            trigger.clone().auth(&[("ca", &stranger), ("tls", "enable")]),
            // As in KEDA it does not count without tls: enable, which is warned of.
            trigger.clone().auth(&[("ca", &ca)]),
        ];
        for trigger in untrusted {
            let outcome = trigger.read().await;
            assert_eq!(class(&outcome), (ReadErrorKind::Unavailable, ErrorScope::Endpoint), "{outcome:?}");
            assert!(told(&outcome).contains("the server's certificate"), "{outcome:?}");
        }
    }
    let plain = format!("amqp://guest:guest@127.0.0.1:{}", server.ports.amqps);
    let outcome = Trigger::new(&plain, "jobs").read().await;
    assert_eq!(outcome.as_ref().unwrap_err().scope, ErrorScope::Endpoint, "{outcome:?}");
    assert!(told(&outcome).contains("may want TLS"), "{outcome:?}");
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_and_may_be_the_login() {
    let authority = Authority::new();
    let Some(server) = serve(&authority, true) else { return };
    let (ca, ours) = (authority.pem(), authority.client(CERTIFIED));
    let (cert, key) = (&ours.certificate, ours.key());
    let with_certificate = [("ca", ca.as_str()), ("tls", "enable"), ("cert", cert), ("key", &key)];
    https(&server).auth(&with_certificate).eventually((0, false)).await;
    assert_eq!(amqps(&server).auth(&with_certificate).read().await, Ok((0, false)), "with user and password");
    for user in ["", "someone@"] {
        let bare = Trigger::new(&format!("amqps://{user}127.0.0.1:{}", server.ports.amqps), "jobs");
        assert_eq!(bare.auth(&with_certificate).read().await, Ok((0, false)), "the certificate says who we are");
    }
    let stranger = authority.client("nobody");
    let (cert, key) = (&stranger.certificate, stranger.key());
    let unknown = [("ca", ca.as_str()), ("tls", "enable"), ("cert", cert), ("key", &key)];
    let outcome =
        Trigger::new(&format!("amqps://127.0.0.1:{}", server.ports.amqps), "jobs").auth(&unknown).read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Auth, ErrorScope::Endpoint), "{outcome:?}");
    for trigger in [amqps(&server), https(&server)] {
        let outcome = trigger.auth(&[("ca", &ca), ("tls", "enable")]).read().await;
        let error = outcome.as_ref().unwrap_err();
        assert_eq!(error.scope, ErrorScope::Endpoint, "{error}");
        assert!(matches!(error.kind, ReadErrorKind::Auth | ReadErrorKind::Unavailable), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_does_not_take_certificates_for_logins_says_so() {
    let authority = Authority::new();
    let files = authority.write(&authority.server());
    let Some(server) = own(&Plan { certificates: Some(files), ..Plan::default() }) else { return };
    let (ca, ours) = (authority.pem(), authority.client(CERTIFIED));
    let (cert, key) = (&ours.certificate, ours.key());
    let ours = [("ca", ca.as_str()), ("tls", "enable"), ("cert", cert), ("key", &key)];
    let outcome = Trigger::new(&format!("amqps://127.0.0.1:{}", server.ports.amqps), "jobs").auth(&ours).read().await;
    assert_eq!(class(&outcome), (ReadErrorKind::Config, ErrorScope::Endpoint), "{outcome:?}");
    assert!(told(&outcome).ends_with("does not offer SASL EXTERNAL"), "{outcome:?}");
}
