//! The conversations by which a client proves who it is: PLAIN, SCRAM and OAUTHBEARER; pure.
//!
//! * SCRAM follows RFC 5802 and RFC 7677 without channel binding. User name and password are taken byte for byte, as
//!   Kafka's own tools store them. The RFC would normalise them first (SASLprep, RFC 4013); that changes nothing for
//!   ASCII, and for other letters it would differ from what the broker knows.
//! * OAUTHBEARER follows RFC 7628 with Kafka's extensions (KIP-342).

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidegate_calculator::source::Secret;

use super::connection::{Login, OAuth, Sasl};
use crate::http::word;

/// How often a password may be hashed. Fewer than RFC 7677 asks for would help somebody who plays the broker to guess
/// the password; more than this would cost us seconds.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

/// One conversation, from its first message on.
pub(super) enum Conversation {
    /// There is nothing more to say.
    Spoken,
    /// A token was sent; an answer with content is a refusal, which must be acknowledged.
    Bearer,
    /// SCRAM waits for salt and iterations.
    Scram(Scram),
    /// SCRAM waits for the broker's own proof, which must be this.
    Proof(hmac::Tag),
}

/// What SCRAM knows after its first message.
pub(super) struct Scram {
    hash: &'static Hash,
    password: Secret,
    nonce: String,
    /// The first message without its header.
    first: String,
}

/// How a conversation fails; each text completes "MECHANISM: ...".
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The user must change something.
    Config(&'static str),
    /// The broker is not convinced, or we are not.
    Refused(String),
    /// The broker does not keep to the mechanism.
    Breach(&'static str),
}

/// The algorithms of one SCRAM mechanism.
struct Hash {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

static SHA_256: Hash = Hash { digest: &digest::SHA256, hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256 };
static SHA_512: Hash = Hash { digest: &digest::SHA512, hmac: hmac::HMAC_SHA512, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512 };

impl Conversation {
    /// Begins; gives the first message. `nonce` is a random text without commas that is used once, `token` the one of
    /// OAUTHBEARER.
    pub(super) fn begin(sasl: &Sasl, nonce: &str, token: Option<&Secret>) -> Result<(Self, Vec<u8>), Failure> {
        match sasl {
            Sasl::Plain(login) => Ok((Self::Spoken, plain(login)?)),
            Sasl::ScramSha256(login) => Ok(scram(&SHA_256, login, nonce)),
            Sasl::ScramSha512(login) => Ok(scram(&SHA_512, login, nonce)),
            Sasl::OAuthBearer(oauth) => {
                let token = token.ok_or(Failure::Config("there is no token"))?;
                Ok((Self::Bearer, bearer(token, oauth)?))
            }
        }
    }

    /// Hears the broker; gives what follows, and our next message unless the conversation is at its end.
    ///
    /// It may compute for up to a second ([`ITERATIONS`]).
    pub(super) fn hear(self, message: &[u8]) -> Result<(Self, Option<Vec<u8>>), Failure> {
        match self {
            Self::Spoken => Ok((Self::Spoken, None)),
            Self::Bearer if message.is_empty() => Ok((Self::Spoken, None)),
            Self::Bearer => Ok((Self::Spoken, Some(vec![1]))),
            Self::Scram(scram) => scram.prove(text(message)?).map(|(next, proof)| (next, Some(proof))),
            Self::Proof(signature) => verify(&signature, text(message)?),
        }
    }
}

/// Whether a SASL extension of OAUTHBEARER may be sent (RFC 7628 §3.1). The name `auth` is the token's own.
fn is_extension(name: &str, value: &str) -> bool {
    let named = !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    named && value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

/// RFC 4616: no authorization identity, the user, the password.
fn plain(Login { username, password }: &Login) -> Result<Vec<u8>, Failure> {
    let (username, password) = (username.expose(), password.expose());
    if username.contains('\0') || password.contains('\0') {
        return Err(Failure::Config("the user name or the password holds a NUL"));
    }
    Ok(format!("\0{username}\0{password}").into_bytes())
}

fn bearer(token: &Secret, oauth: &OAuth) -> Result<Vec<u8>, Failure> {
    let mut message = format!("n,,\x01auth=Bearer {}\x01", token.expose());
    for (name, value) in &oauth.extensions {
        if !is_extension(name, value) {
            return Err(Failure::Config("an extension has a name or a value that is not allowed"));
        }
        message.extend([name, "=", value, "\x01"]);
    }
    message.push('\x01');
    Ok(message.into_bytes())
}

fn scram(hash: &'static Hash, login: &Login, nonce: &str) -> (Conversation, Vec<u8>) {
    let user = login.username.expose().replace('=', "=3D").replace(',', "=2C");
    let first = format!("n={user},r={nonce}");
    let message = format!("n,,{first}").into_bytes();
    (Conversation::Scram(Scram { hash, password: login.password.clone(), nonce: nonce.to_owned(), first }), message)
}

impl Scram {
    /// Answers salt and iterations with the proof that we know the password.
    fn prove(self, server: &str) -> Result<(Conversation, Vec<u8>), Failure> {
        let Challenge { nonce, salt, iterations } = challenge(server)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(Failure::Breach("the nonce is not ours"));
        }
        let Hash { digest, hmac: algorithm, pbkdf2 } = self.hash;
        let mut salted = vec![0; digest.output_len()];
        pbkdf2::derive(*pbkdf2, iterations, &salt, self.password.expose().as_bytes(), &mut salted);
        let salted = hmac::Key::new(*algorithm, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(digest, client_key.as_ref());
        let server_key = hmac::sign(&salted, b"Server Key");
        let (first, unproven) = (&self.first, format!("c=biws,r={nonce}"));
        let message = format!("{first},{server},{unproven}");
        let signature = hmac::sign(&hmac::Key::new(*algorithm, stored_key.as_ref()), message.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let expected = hmac::sign(&hmac::Key::new(*algorithm, server_key.as_ref()), message.as_bytes());
        let last = format!("{unproven},p={}", BASE64.encode(proof));
        Ok((Conversation::Proof(expected), last.into_bytes()))
    }
}

/// What the broker asks to be hashed, and how often.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

fn challenge(server: &str) -> Result<Challenge<'_>, Failure> {
    if let Some(error) = server.strip_prefix("e=") {
        return Err(Failure::Refused(word(error)));
    }
    let mut parts = server.split(',');
    let mut part = |name| parts.next().and_then(|part| part.strip_prefix(name));
    let (Some(nonce), Some(salt), Some(iterations)) = (part("r="), part("s="), part("i=")) else {
        return Err(Failure::Breach("the challenge has not the parts r, s and i"));
    };
    let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty());
    let salt = salt.ok_or(Failure::Breach("the salt is not base64"))?;
    let iterations = iterations.parse().ok().filter(|count| ITERATIONS.contains(count)).and_then(NonZeroU32::new);
    let iterations = iterations.ok_or(Failure::Breach("the iterations are not between 4096 and 1000000"))?;
    Ok(Challenge { nonce, salt, iterations })
}

/// The broker must show that it knows the password too, or else anybody could play the broker.
fn verify(expected: &hmac::Tag, server: &str) -> Result<(Conversation, Option<Vec<u8>>), Failure> {
    if let Some(error) = server.strip_prefix("e=") {
        return Err(Failure::Refused(word(error)));
    }
    let signature = server.strip_prefix("v=").and_then(|rest| rest.split(',').next());
    let signature = signature.and_then(|signature| BASE64.decode(signature).ok());
    let signature = signature.ok_or(Failure::Breach("the last message has no signature"))?;
    let known = constant_time::verify_slices_are_equal(expected.as_ref(), &signature).is_ok();
    let stranger = || Failure::Refused("the broker does not know the password itself".to_owned());
    if known { Ok((Conversation::Spoken, None)) } else { Err(stranger()) }
}

fn text(message: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(message).map_err(|_| Failure::Breach("a message is not UTF-8"))
}

#[cfg(test)]
#[path = "sasl_tests.rs"]
mod tests;
