//! Tokens by client credentials, on a real server that checks them.

use rcgen::{KeyPair, SigningKey};
use tidegate_calculator::source::ReadErrorKind;

use crate::scripted::Api;
use crate::server::Plan;
use crate::trigger::{Trigger, own};

/// The letters of base64 in URLs.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs, without padding (RFC 4648 §5).
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(char::from(LETTERS[(number >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// One of the two numbers of a signature in DER, as 32 bytes, and what follows.
fn number(der: &[u8]) -> (Vec<u8>, &[u8]) {
    let length = usize::from(der[1]);
    let (number, rest) = der[2..].split_at(length);
    let start = number.len().saturating_sub(32);
    let mut fixed = vec![0; 32 - (number.len() - start)];
    fixed.extend(&number[start..]);
    (fixed, rest)
}

/// A token with these scopes, signed with ES256 (RFC 7518 §3.4).
fn token(key: &KeyPair, scope: &str) -> String {
    let head = base64(br#"{"alg":"ES256","typ":"JWT","kid":"ours"}"#);
    let claims = format!(r#"{{"aud":"rabbitmq","scope":"{scope}","sub":"tidegate","exp":4102444800}}"#);
    let signed = format!("{head}.{}", base64(claims.as_bytes()));
    let der = key.sign(signed.as_bytes()).unwrap();
    let (r, rest) = number(&der[2..]);
    let (s, _) = number(rest);
    format!("{signed}.{}", base64(&[r, s].concat()))
}

async fn issuer(token: String) -> Api {
    Api::start(move |_| (200, format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":600}}"#))).await
}

#[tokio::test]
async fn the_management_api_is_read_with_a_token() {
    let key = KeyPair::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, key.public_key_pem()).unwrap();
    let settings = format!(
        "auth_backends.1 = internal\nauth_backends.2 = rabbit_auth_backend_oauth2\n\
         auth_oauth2.resource_server_id = rabbitmq\nauth_oauth2.default_key = ours\nauth_oauth2.signing_keys.ours = {}\n",
        file.display()
    );
    let plan = Plan { plugins: vec!["rabbitmq_auth_backend_oauth2"], settings, ..Plan::default() };
    let Some(server) = own(&plan) else { return };
    server.add_queue("%2F", "jobs");
    let trigger = |issuer: &Api| {
        let uri = issuer.url().replace("guest:guest@", "") + "/token";
        let auth = [
            ("oauthTokenURI", uri.as_str()),
            ("clientID", "tidegate"),
            ("clientSecret", "secret"),
            ("scopes", "rabbitmq.tag:management,rabbitmq.read:*/*"),
            ("endpointParams", "audience=rabbitmq"),
        ];
        Trigger::new(&format!("http://127.0.0.1:{}", server.ports.http), "jobs").auth(&auth)
    };
    let good = issuer(token(&key, "rabbitmq.tag:management rabbitmq.read:*/*")).await;
    trigger(&good).eventually((0, false)).await;
    let asked = &good.heard()[0];
    assert!(
        asked.contains("scope=rabbitmq.tag%3Amanagement+rabbitmq.read") && asked.contains("audience=rabbitmq"),
        "{asked}"
    );
    let forged = issuer(token(&KeyPair::generate().unwrap(), "rabbitmq.tag:management rabbitmq.read:*/*")).await;
    assert_eq!(trigger(&forged).read().await.unwrap_err().kind, ReadErrorKind::Auth);
    let powerless = issuer(token(&key, "rabbitmq.read:*/*")).await;
    assert_eq!(trigger(&powerless).read().await.unwrap_err().kind, ReadErrorKind::Auth);
}
