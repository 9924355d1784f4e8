use std::sync::Arc;

use mongodb::bson::doc;
use rustls::{AlertDescription, CertificateError};
use tidegate_calculator::source::ErrorScope;

use super::*;

const NAME: &str = "MongoDB at a:1";

fn io(cause: io::Error) -> Error {
    ErrorKind::Io(Arc::new(cause)).into()
}

fn tls(cause: TlsError) -> Error {
    io(io::Error::new(io::ErrorKind::InvalidData, cause))
}

fn command(code: i32, name: &str) -> Error {
    let refusal = doc! { "code": code, "codeName": name, "errmsg": "canary" };
    ErrorKind::Command(mongodb::bson::deserialize_from_document(refusal).unwrap()).into()
}

#[test]
fn failures_of_a_connection_have_a_class_and_our_words() {
    let cases = [
        (io(io::ErrorKind::ConnectionRefused.into()), ReadErrorKind::Unavailable, "connection refused"),
        (io(io::ErrorKind::UnexpectedEof.into()), ReadErrorKind::Unavailable, "the connection was cut"),
        (io(io::ErrorKind::TimedOut.into()), ReadErrorKind::Timeout, "did not answer in time"),
        (
            tls(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)),
            ReadErrorKind::Unavailable,
            "the server's certificate is signed by an authority that is not trusted",
        ),
        (
            tls(TlsError::AlertReceived(AlertDescription::CertificateRequired)),
            ReadErrorKind::Auth,
            "refused our certificate, or wants one (TLS alert CertificateRequired)",
        ),
        (command(18, "AuthenticationFailed"), ReadErrorKind::Auth, "refused the credentials"),
        (Error::custom("canary"), ReadErrorKind::Unavailable, "the driver failed"),
    ];
    for (error, kind, said) in cases {
        let told = endpoint(NAME, &error);
        assert_eq!((told.kind, told.scope), (kind, ErrorScope::Endpoint), "{told}");
        assert!(told.message.starts_with(NAME) && told.message.ends_with(said), "{told}");
    }
}

#[test]
fn a_missing_right_is_named_by_what_was_asked() {
    let cases = [
        (
            Subject::Collection("shop.jobs".to_owned()),
            "collection \"shop.jobs\" of MongoDB at a:1: the user may not read",
        ),
        (
            Subject::Changes("shop.jobs".to_owned()),
            "collection \"shop.jobs\" of MongoDB at a:1: the user may not listen",
        ),
        (
            Subject::Status,
            "MongoDB at a:1: the user may not run serverStatus (action serverStatus; the role clusterMonitor",
        ),
        (Subject::Operations, "MongoDB at a:1: the user may not run $currentOp for all users (action inprog; the role"),
    ];
    for (subject, said) in cases {
        let told = query(NAME, &subject, true, &command(13, "Unauthorized"));
        assert_eq!((told.kind, told.scope), (ReadErrorKind::Auth, ErrorScope::Query));
        assert!(told.message.starts_with(said), "{told}");
    }
    let told = query(NAME, &Subject::Status, false, &command(13, "Unauthorized"));
    assert_eq!(
        (told.scope, told.message.as_str()),
        (ErrorScope::Endpoint, "MongoDB at a:1 wants credentials (Unauthorized)")
    );
}

#[test]
fn a_name_of_a_code_is_repeated_only_if_it_is_one() {
    let of = |name| query(NAME, &Subject::Status, true, &command(7001, name)).message;
    assert_eq!(of("BadValue"), "MongoDB at a:1: is refused (BadValue)");
    for odd in ["", "canary in words", "<canary>"] {
        assert_eq!(of(odd), "MongoDB at a:1: is refused (code 7001)");
    }
}

#[test]
fn a_server_without_change_streams_cannot_push() {
    let told = query(NAME, &Subject::Changes("a.b".to_owned()), true, &command(40573, "IllegalOperation"));
    assert_eq!((told.kind, told.scope), (ReadErrorKind::Config, ErrorScope::Endpoint));
    assert!(lost_its_place(&command(286, "ChangeStreamHistoryLost")) && !lost_its_place(&command(13, "Unauthorized")));
    assert!(was_cut(&io(io::ErrorKind::BrokenPipe.into())) && !was_cut(&io(io::ErrorKind::ConnectionRefused.into())));
}
