use proptest::prelude::*;

use super::*;

fn login(username: &str, password: &str) -> Login {
    Login { username: Secret::new(username), password: Secret::new(password) }
}

fn oauth(extensions: &[(&str, &str)]) -> OAuth {
    let extensions = extensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let secret = || Secret::new("x");
    OAuth { endpoint: String::new(), client: secret(), secret: secret(), scopes: Vec::new(), extensions }
}

fn begin(sasl: &Sasl, nonce: &str) -> (Conversation, String) {
    let (conversation, message) = Conversation::begin(sasl, nonce, Some(&Secret::new("t.o-k_en"))).unwrap();
    (conversation, String::from_utf8(message).unwrap())
}

fn reply(conversation: Conversation, message: &str) -> (Conversation, Option<String>) {
    let (next, reply) = conversation.hear(message.as_bytes()).unwrap();
    (next, reply.map(|reply| String::from_utf8(reply).unwrap()))
}

fn failure(conversation: Conversation, message: &str) -> Failure {
    conversation.hear(message.as_bytes()).err().unwrap()
}

/// RFC 7677 §3.
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn pencil() -> Conversation {
    begin(&Sasl::ScramSha256(login("user", "pencil")), NONCE).0
}

#[test]
fn scram_sha_256_speaks_as_the_rfc_does() {
    let (conversation, first) = begin(&Sasl::ScramSha256(login("user", "pencil")), NONCE);
    assert_eq!(first, format!("n,,n=user,r={NONCE}"));
    let (conversation, proof) = reply(conversation, CHALLENGE);
    assert_eq!(proof.as_deref(), Some(PROOF));
    let (conversation, end) = reply(conversation, SIGNATURE);
    assert_eq!((end, matches!(conversation, Conversation::Spoken)), (None, true));
}

#[test]
fn scram_sha_512_hashes_with_sha_512() {
    // A proof is as long as the hash. That it is the right one is shown with a real broker.
    let (conversation, _) = begin(&Sasl::ScramSha512(login("user", "pencil")), NONCE);
    let (_, proof) = reply(conversation, CHALLENGE);
    let proof = proof.unwrap().split_once(",p=").map(|(_, proof)| BASE64.decode(proof).unwrap()).unwrap();
    assert_eq!(proof.len(), 64);
}

#[test]
fn a_broker_that_does_not_know_the_password_is_not_trusted() {
    let waiting = || reply(pencil(), CHALLENGE).0;
    let stranger = Failure::Refused("the broker does not know the password itself".to_owned());
    let mut forged = BASE64.decode(&SIGNATURE[2..]).unwrap();
    forged[31] ^= 1;
    assert_eq!(failure(waiting(), &format!("v={}", BASE64.encode(&forged))), stranger);
    assert_eq!(failure(waiting(), "v="), stranger, "a signature of no length");
    assert_eq!(failure(waiting(), "e=invalid-proof"), Failure::Refused("invalid-proof".to_owned()));
    for none in ["", "v", "v=%%%", "ok"] {
        assert_eq!(failure(waiting(), none), Failure::Breach("the last message has no signature"));
    }
}

#[test]
fn a_challenge_is_checked() {
    let breaches = [
        ("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "the nonce is not ours"),
        ("r=another,s=W22Z,i=4096", "the nonce is not ours"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4095", "the iterations are not between 4096 and 1000000"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1000001", "the iterations are not between 4096 and 1000000"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999", "the iterations are not between 4096 and 1000000"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1", "the iterations are not between 4096 and 1000000"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096", "the salt is not base64"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "the salt is not base64"),
        ("m=must,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4096", "the challenge has not the parts r, s and i"),
        ("s=W22Z,i=4096", "the challenge has not the parts r, s and i"),
        ("", "the challenge has not the parts r, s and i"),
    ];
    for (challenge, what) in breaches {
        assert_eq!(failure(pencil(), challenge), Failure::Breach(what), "{challenge}");
    }
    assert_eq!(failure(pencil(), "e=unknown-user"), Failure::Refused("unknown-user".to_owned()));
    assert_eq!(failure(pencil(), "e=user bob!"), Failure::Refused("no reason that can be told".to_owned()));
    assert_eq!(pencil().hear(&[0xff]).err(), Some(Failure::Breach("a message is not UTF-8")));
}

#[test]
fn names_with_signs_of_scram_are_escaped() {
    let (_, first) = begin(&Sasl::ScramSha512(login("a=b,c", "p")), "n");
    assert_eq!(first, "n,,n=a=3Db=2Cc,r=n");
}

#[test]
fn plain_says_user_and_password_at_once() {
    let (conversation, message) = begin(&Sasl::Plain(login("alice", "päss")), "n");
    assert_eq!(message, "\0alice\0päss");
    assert_eq!(reply(conversation, "").1, None);
    let nul = Conversation::begin(&Sasl::Plain(login("alice", "a\0b")), "n", None).err();
    assert_eq!(nul, Some(Failure::Config("the user name or the password holds a NUL")));
}

#[test]
fn oauthbearer_sends_token_and_extensions_and_acknowledges_a_refusal() {
    let sasl = Sasl::OAuthBearer(oauth(&[("logicalCluster", "lkc-1"), ("pool", "a b")]));
    let (conversation, message) = begin(&sasl, "n");
    assert_eq!(message, "n,,\x01auth=Bearer t.o-k_en\x01logicalCluster=lkc-1\x01pool=a b\x01\x01");
    assert_eq!(reply(conversation, "").1, None);
    let (_, refused) = reply(begin(&sasl, "n").0, r#"{"status":"invalid_token"}"#);
    assert_eq!(refused.as_deref(), Some("\x01"));
    assert_eq!(begin(&Sasl::OAuthBearer(oauth(&[])), "n").1, "n,,\x01auth=Bearer t.o-k_en\x01\x01");
    let none = Conversation::begin(&sasl, "n", None).err();
    assert_eq!(none, Some(Failure::Config("there is no token")));
}

#[test]
fn extensions_cannot_break_out_of_the_message() {
    for (name, value) in [("", "v"), ("a b", "v"), ("a1", "v"), ("auth", "v"), ("a", "v\x01auth=Bearer x"), ("a", "ü")]
    {
        assert!(!is_extension(name, value), "{name}={value}");
        let begun = Conversation::begin(&Sasl::OAuthBearer(oauth(&[(name, value)])), "n", Some(&Secret::new("t")));
        assert!(matches!(begun, Err(Failure::Config(_))));
    }
    assert!(is_extension("traceId", ""));
}

proptest! {
    #[test]
    fn no_message_of_a_broker_makes_scram_panic(first in any::<Vec<u8>>(), tail in "[ -~]{0,40}", last in any::<Vec<u8>>()) {
        drop(pencil().hear(&first));
        drop(pencil().hear(format!("r={NONCE}{tail}").as_bytes()));
        drop(reply(pencil(), CHALLENGE).0.hear(&last));
    }
}
