//! Logs in: agrees on the mechanism, holds the conversation, learns how long the session lasts.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use tidegate_calculator::source::{ReadError, ReadErrorKind, Secret};
use tokio::time::Instant;

use super::{Connection, Sasl};
use crate::http::{Tokens, word};
use crate::kafka::errors;
use crate::kafka::sasl::{Conversation, Failure};

const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// The most messages of ours in one conversation; SCRAM needs two.
const MESSAGES: usize = 3;

/// Logs in; gives the moment from which another connection should be used, if the broker ends the session.
pub(super) async fn log_in(
    connection: &Connection,
    sasl: &Sasl,
    tokens: Option<&Tokens>,
) -> Result<Option<Instant>, ReadError> {
    let token = match tokens {
        Some(tokens) => Some(tokens.get().await?),
        None => None,
    };
    agree(connection, sasl).await?;
    let outcome = converse(connection, sasl, token.as_ref()).await;
    if let (Err(error), Some(tokens), Some(token)) = (&outcome, tokens, &token)
        && error.kind == ReadErrorKind::Auth
    {
        // It may have been revoked, or the keys that sign tokens exchanged: the next try is with a new one.
        tokens.forget(token).await;
    }
    outcome
}

/// Agrees on the mechanism.
async fn agree(connection: &Connection, sasl: &Sasl) -> Result<(), ReadError> {
    let peer = &connection.peer;
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(sasl.mechanism()));
    let too_old = || errors::config(peer, "SASL needs a broker of version 1.0 or newer");
    let version = connection.version::<SaslHandshakeRequest>(1..=1).ok_or_else(too_old)?;
    let answer = connection.call(request, version).await?;
    match answer.error_code {
        0 => Ok(()),
        UNSUPPORTED_SASL_MECHANISM => Err(errors::config(peer, &offered(sasl, &answer))),
        ILLEGAL_SASL_STATE => Err(errors::config(peer, "the listener wants no SASL")),
        code => Err(errors::code(peer, ReadErrorKind::Protocol, "SaslHandshake", code)),
    }
}

fn offered(sasl: &Sasl, answer: &SaslHandshakeResponse) -> String {
    let all: Vec<String> = answer.mechanisms.iter().take(10).map(|name| word(name)).collect();
    format!("the SASL mechanism {} is not enabled; enabled are: {}", sasl.mechanism(), all.join(", "))
}

/// Holds the conversation.
async fn converse(connection: &Connection, sasl: &Sasl, token: Option<&Secret>) -> Result<Option<Instant>, ReadError> {
    let failed = |failure| failed(connection, sasl, failure);
    let (mut conversation, mut message) = Conversation::begin(sasl, &nonce(), token).map_err(failed)?;
    for _ in 0..MESSAGES {
        let sent = Instant::now();
        let answer = say(connection, sasl, message).await?;
        let heard = answer.auth_bytes.clone();
        // Hashing a password thousands of times is no work for a thread that serves connections.
        let hearing = tokio::task::spawn_blocking(move || conversation.hear(&heard)).await;
        let stopped = |_| errors::breach(&connection.peer, sasl.mechanism(), "the conversation was broken off");
        let (next, reply) = hearing.map_err(stopped)?.map_err(failed)?;
        let Some(reply) = reply else {
            return Ok(ends(sent, answer.session_lifetime_ms));
        };
        (conversation, message) = (next, reply);
    }
    Err(errors::breach(&connection.peer, sasl.mechanism(), "the conversation does not end"))
}

async fn say(connection: &Connection, sasl: &Sasl, message: Vec<u8>) -> Result<SaslAuthenticateResponse, ReadError> {
    let peer = &connection.peer;
    let too_old = || errors::config(peer, "SASL needs a broker of version 1.0 or newer");
    let version = connection.version::<SaslAuthenticateRequest>(0..=2).ok_or_else(too_old)?;
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
    let answer = connection.call(request, version).await?;
    // The broker's text is not passed on: it may name the user.
    match answer.error_code {
        0 => Ok(answer),
        SASL_AUTHENTICATION_FAILED => {
            Err(errors::refused(peer, sasl.mechanism(), &errors::code_name(SASL_AUTHENTICATION_FAILED)))
        }
        // Nothing is said of the credentials; the broker may have failed to look them up.
        code => Err(errors::code(peer, ReadErrorKind::Unavailable, "SaslAuthenticate", code)),
    }
}

fn failed(connection: &Connection, sasl: &Sasl, failure: Failure) -> ReadError {
    let (peer, mechanism) = (&connection.peer, sasl.mechanism());
    match failure {
        Failure::Config(what) => errors::config(peer, &format!("{mechanism}: {what}")),
        Failure::Refused(why) => errors::refused(peer, mechanism, &why),
        Failure::Breach(what) => errors::breach(peer, mechanism, what),
    }
}

/// A random text of 24 letters.
fn nonce() -> String {
    let mut bytes = [0; 18];
    // It fails never with this library; a nonce that repeats would weaken nothing but our own check of the broker.
    let _ = rand::fill(&mut bytes);
    STANDARD_NO_PAD.encode(bytes)
}

/// The broker ends the session after so many milliseconds; zero is never. We go at 85 percent, as Kafka's own client.
fn ends(sent: Instant, lifetime: i64) -> Option<Instant> {
    let lifetime = u64::try_from(lifetime).ok().filter(|lifetime| *lifetime > 0)?;
    sent.checked_add(Duration::from_millis(lifetime / 100 * 85 + lifetime % 100 * 85 / 100))
}
