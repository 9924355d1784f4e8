//! TLS, client certificates and all ways to log in; and what is said when one of them fails.

use std::sync::OnceLock;
use std::time::Duration;

use tidegate_calculator::source::ReadErrorKind::{Auth, Config, Unavailable};
use tidegate_calculator::source::{ErrorScope, ReadErrorKind};
use tidegate_scalers::Endpoints;
use tokio::time::{Instant, sleep};

use crate::brokers::admin::Resource;
use crate::brokers::{Kafka, Listener, PASSWORD, READER, STRANGER};
use crate::tokens::TokenEndpoint;
use crate::trigger::{Trigger, eventually, lag, shared};

const TOPIC: &str = "guarded";
const GROUP: &str = "group-guarded";
/// What whoever is let in reads.
const LAG: (i64, bool) = (4, true);

/// The shared broker, with a topic on which the group lags by 4.
fn guarded() -> Option<&'static Kafka> {
    static READY: OnceLock<()> = OnceLock::new();
    let kafka = shared()?;
    READY.get_or_init(|| {
        kafka.admin().create(TOPIC, 1);
        kafka.records().append(TOPIC, 0, 7);
        kafka.admin().commit(GROUP, TOPIC, 0, 3);
    });
    Some(kafka)
}

fn on(kafka: &Kafka, listener: Listener) -> Trigger {
    Trigger::new(&kafka.bootstrap(listener), GROUP).with(&[("topic", TOPIC)])
}

/// Over TLS, with the authority that made the broker's certificate.
fn over_tls(kafka: &Kafka, listener: Listener) -> Trigger {
    on(kafka, listener).with(&[("tls", "enable")]).auth(&[("ca", kafka.certificates().ca.as_str())])
}

fn login(trigger: Trigger, sasl: &str, user: &str, password: &str) -> Trigger {
    trigger.auth(&[("sasl", sasl), ("username", user), ("password", password)])
}

/// Reads, and expects an error of the whole endpoint with these words in it.
async fn fails(trigger: &Trigger, kind: ReadErrorKind, words: &[&str]) {
    let error = trigger.read().await.expect_err("a broker that does not let us in");
    assert_eq!((error.kind, error.scope), (kind, ErrorScope::Endpoint), "{error}");
    assert!(words.iter().all(|word| error.message.contains(word)), "not all of {words:?} in: {error}");
    assert!(!error.message.contains(PASSWORD), "a secret in: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_log_in_reads_over_tls() {
    let Some(kafka) = guarded() else { return };
    let tokens = TokenEndpoint::start().await;
    for sasl in ["plaintext", "scram_sha256", "scram_sha512", "oauthbearer"] {
        let trigger = login(over_tls(kafka, Listener::Secure), sasl, READER, PASSWORD);
        let trigger =
            if sasl == "oauthbearer" { trigger.auth(&[("oauthTokenEndpointUri", &tokens.url())]) } else { trigger };
        assert_eq!(trigger.read().await, Ok(LAG), "{sasl}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_is_told_so_and_reads_nothing() {
    let Some(kafka) = guarded() else { return };
    for (sasl, name) in [("plaintext", "PLAIN"), ("scram_sha256", "SCRAM-SHA-256"), ("scram_sha512", "SCRAM-SHA-512")] {
        for (user, password) in [(READER, "wrong"), ("nobody", PASSWORD)] {
            let trigger = login(over_tls(kafka, Listener::Secure), sasl, user, password);
            fails(&trigger, Auth, &["refused the credentials", name]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let Some(kafka) = guarded() else { return };
    let without = on(kafka, Listener::Secure).with(&[("tls", "enable")]);
    let without = login(without, "scram_sha512", READER, PASSWORD);
    fails(&without, Unavailable, &["an authority that is not trusted"]).await;
    let stranger = &kafka.certificates().stranger.0;
    fails(&without.clone().auth(&[("ca", stranger)]), Unavailable, &["certificate"]).await;
    assert_eq!(without.with(&[("unsafeSsl", "true")]).read().await, Ok(LAG));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_certificate_has_expired_is_not_asked() {
    let Some(kafka) = guarded() else { return };
    let trigger = login(over_tls(kafka, Listener::Expired), "scram_sha512", READER, PASSWORD);
    fails(&trigger, Unavailable, &["the server's certificate has expired"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown() {
    let Some(kafka) = guarded() else { return };
    let certificates = kafka.certificates();
    let show = |(cert, key): &(String, String)| over_tls(kafka, Listener::Mutual).auth(&[("cert", cert), ("key", key)]);
    assert_eq!(show(&certificates.client).read().await, Ok(LAG));
    fails(&over_tls(kafka, Listener::Mutual), Auth, &["certificate"]).await;
    fails(&show(&certificates.stranger), Auth, &["certificate"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_another_kind_is_named() {
    let Some(kafka) = guarded() else { return };
    fails(&over_tls(kafka, Listener::Open), Unavailable, &["TLS"]).await;
    fails(&on(kafka, Listener::Secure), Config, &["TLS"]).await;
    fails(&over_tls(kafka, Listener::Secure), Unavailable, &["SASL"]).await;
    fails(&on(kafka, Listener::Brief), Unavailable, &["SASL"]).await;
    fails(&login(on(kafka, Listener::Open), "plaintext", READER, PASSWORD), Config, &["SASL"]).await;
}

/// Sessions of this listener end after 2 seconds; a client that does not prove itself again is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_are_renewed_without_a_failed_read() {
    let Some(kafka) = guarded() else { return };
    let tokens = TokenEndpoint::start().await;
    let endpoints = Endpoints::new();
    let open = |sasl: &str| {
        let trigger = login(on(kafka, Listener::Brief), sasl, READER, PASSWORD);
        match sasl {
            "oauthbearer" => trigger.auth(&[("oauthTokenEndpointUri", &tokens.url())]),
            _ => trigger,
        }
        .open(&endpoints)
    };
    let scalers = ["plaintext", "scram_sha256", "oauthbearer"].map(|sasl| (sasl, open(sasl)));
    let until = Instant::now() + Duration::from_secs(7);
    let mut reads = 0;
    while Instant::now() < until {
        for (sasl, scaler) in &scalers {
            assert_eq!(lag(&**scaler).await, Ok(LAG), "{sasl}, after {reads} rounds");
        }
        reads += 1;
        sleep(Duration::from_millis(90)).await;
    }
    assert_eq!(tokens.given(), 1, "a token that is still good is used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_cannot_be_had_or_has_expired_is_named() {
    let Some(kafka) = guarded() else { return };
    let tokens = TokenEndpoint::start().await;
    let with = |url: &str, secret: &str| {
        let trigger = login(over_tls(kafka, Listener::Secure), "oauthbearer", READER, secret);
        trigger.auth(&[("oauthTokenEndpointUri", url)])
    };
    fails(&with(&tokens.url(), "wrong"), Auth, &["token endpoint", "credentials"]).await;
    tokens.lasting(-60);
    fails(&with(&tokens.url(), PASSWORD), Auth, &["refused the credentials", "OAUTHBEARER"]).await;
    let scaler = with(&tokens.url(), PASSWORD).open(&Endpoints::new());
    lag(&*scaler).await.unwrap_err();
    tokens.lasting(300);
    eventually("a good token is fetched after a bad one", async || lag(&*scaler).await == Ok(LAG)).await;
    let url = tokens.url();
    drop(tokens);
    fails(&with(&url, PASSWORD), Unavailable, &["token endpoint"]).await;
}

/// A user that is let in but may not read: each right that is missing is named until the number is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named_and_is_no_zero() {
    let Some(kafka) = guarded() else { return };
    let admin = kafka.admin();
    admin.create("private", 1);
    kafka.records().append("private", 0, 9);
    admin.commit("group-private", "private", 0, 2);
    let trigger = Trigger::new(&kafka.bootstrap(Listener::Brief), "group-private").with(&[("topic", "private")]);
    let scaler = login(trigger, "plaintext", STRANGER, PASSWORD).open(&Endpoints::new());
    let named = async |right: &str| {
        let error = lag(&*scaler).await.expect_err("a user without rights");
        assert_eq!((error.kind, error.scope), (Auth, ErrorScope::Query), "{error}");
        error.message.contains(right)
    };
    assert!(named("AUTHORIZATION_FAILED").await);
    admin.grant(STRANGER, Resource::Topic, "private");
    eventually("only the group's right is missing", async || named("GROUP_AUTHORIZATION_FAILED").await).await;
    admin.grant(STRANGER, Resource::Group, "group-private");
    eventually("the lag is read", async || lag(&*scaler).await == Ok((7, true))).await;
}
