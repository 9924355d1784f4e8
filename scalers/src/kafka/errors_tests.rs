use std::collections::HashSet;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::*;

fn peer(tls: bool, sasl: bool) -> Peer {
    Peer { host: "b".to_owned(), port: 9092, tls, mechanism: sasl.then_some("PLAIN") }
}

fn of_tls(cause: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

fn said(error: &ReadError) -> (ReadErrorKind, &str) {
    (error.kind, error.message.as_str())
}

#[test]
fn every_code_has_a_name_and_the_code() {
    let named = [
        (0, "no error (0)"),
        (-1, "UNKNOWN_SERVER_ERROR (-1)"),
        (3, "UNKNOWN_TOPIC_OR_PARTITION (3)"),
        (6, "NOT_LEADER_OR_FOLLOWER (6)"),
        (16, "NOT_COORDINATOR (16)"),
        (30, "GROUP_AUTHORIZATION_FAILED (30)"),
        (58, "SASL_AUTHENTICATION_FAILED (58)"),
        (74, "FENCED_LEADER_EPOCH (74)"),
        (-7, "unknown error code -7"),
        (9999, "unknown error code 9999"),
        (i16::MIN, "unknown error code -32768"),
    ];
    for (code, name) in named {
        assert_eq!(code_name(code), name);
    }
    let all: HashSet<String> = (i16::MIN..=i16::MAX).map(code_name).collect();
    assert_eq!(all.len(), 65_536, "no two codes are called alike");
}

#[test]
fn a_closed_connection_says_what_may_be_wrong() {
    let told = |tls, sasl, answers| closed(&peer(tls, sasl), answers).message;
    assert_eq!(told(false, false, 0), "Kafka broker b:9092 closed the connection; it may want TLS, or not be Kafka");
    assert_eq!(
        told(true, true, 0),
        "Kafka broker b:9092 closed the connection; it may refuse our certificate, or not be Kafka"
    );
    assert_eq!(told(false, false, 1), "Kafka broker b:9092 closed the connection; it may want SASL");
    assert_eq!(told(false, true, 1), "Kafka broker b:9092 closed the connection");
    assert_eq!(told(true, false, 7), "Kafka broker b:9092 closed the connection");
}

#[test]
fn certificates_are_called_what_they_are() {
    let now = UnixTime::now();
    let cases = [
        (CertificateError::ExpiredContext { time: now, not_after: now }, "has expired"),
        (CertificateError::NotValidYetContext { time: now, not_before: now }, "is not valid yet"),
        (CertificateError::UnknownIssuer, "is signed by an authority that is not trusted"),
        (CertificateError::NotValidForName, "is for another name than the address"),
        (CertificateError::Revoked, "has been revoked"),
    ];
    for (flaw, what) in cases {
        let error = handshake(&peer(true, false), &of_tls(TlsError::InvalidCertificate(flaw)));
        let message = format!("Kafka broker b:9092: the server's certificate {what}");
        assert_eq!(said(&error), (ReadErrorKind::Unavailable, message.as_str()));
    }
}

#[test]
fn alerts_about_our_certificate_are_about_credentials() {
    let error = io(&peer(true, false), &of_tls(TlsError::AlertReceived(AlertDescription::CertificateRequired)));
    let message = "Kafka broker b:9092 refused our certificate, or wants one (TLS alert CertificateRequired)";
    assert_eq!(said(&error), (ReadErrorKind::Auth, message));
    let error = io(&peer(true, false), &of_tls(TlsError::AlertReceived(AlertDescription::ProtocolVersion)));
    assert_eq!(said(&error), (ReadErrorKind::Unavailable, "Kafka broker b:9092: TLS failed (alert ProtocolVersion)"));
}

#[test]
fn plain_failures_carry_no_numbers() {
    let refused = io(&peer(false, false), &io::Error::from_raw_os_error(111));
    assert_eq!(said(&refused), (ReadErrorKind::Unavailable, "Kafka broker b:9092: connection refused"));
    let cut = handshake(&peer(true, false), &io::ErrorKind::UnexpectedEof.into());
    let message = "Kafka broker b:9092 ended the TLS handshake: it may not speak TLS";
    assert_eq!(said(&cut), (ReadErrorKind::Unavailable, message));
}

#[test]
fn a_broker_that_speaks_tls_is_a_question_of_configuration() {
    let error = malformed(&peer(false, false), &Malformed::Tls);
    let message = "Kafka broker b:9092 speaks TLS, which is not switched on for the trigger";
    assert_eq!(said(&error), (ReadErrorKind::Config, message));
    assert_eq!(malformed(&peer(false, false), &Malformed::Stray).kind, ReadErrorKind::Protocol);
}

#[test]
fn addresses_of_ipv6_stand_in_brackets() {
    assert_eq!([address("::1", 1), address("b", 1)], ["[::1]:1", "b:1"]);
}
