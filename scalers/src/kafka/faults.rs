//! Says what an error code of Kafka means to the one thing that was asked: whether to ask again, and whose fault it is.

use kafka_protocol::error::ResponseError;
use tidegate_calculator::source::{ReadError, ReadErrorKind};

/// Why one thing (a topic, a group, a partition) has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    /// Whether asking again, perhaps somebody else, may help.
    pub(super) again: bool,
    /// What the queries that need it are told if it does not.
    pub(super) error: ReadError,
}

impl Fault {
    /// The answer about `subject` has an error code. Never called with 0.
    pub(super) fn code(subject: &str, code: i16) -> Self {
        let error = ReadError::query(kind(code), format!("{subject}: {}", name(code)));
        Self { again: is_retriable(code), error }
    }

    /// The broker that was to answer about `subject` could not be asked.
    pub(super) fn lost(subject: &str, cause: &ReadError) -> Self {
        Self { again: true, error: ReadError::query(cause.kind, format!("{subject}: {}", cause.message)) }
    }

    /// There is an answer, but not about `subject`, or one that cannot be true.
    pub(super) fn unusable(subject: &str, what: &str) -> Self {
        Self { again: false, error: ReadError::query(ReadErrorKind::Protocol, format!("{subject}: {what}")) }
    }

    /// The same, asked again.
    pub(super) fn or_again(self) -> Self {
        Self { again: true, ..self }
    }
}

/// Whether the same question may be answered soon, or by another broker.
///
/// The protocol's own word on that, and BROKER_NOT_AVAILABLE, which a broker says of one that has just gone.
fn is_retriable(code: i16) -> bool {
    ResponseError::try_from_code(code)
        .is_some_and(|known| known.is_retriable() || known == ResponseError::BrokerNotAvailable)
}

/// Whether a code says that a group lives on another broker or on none for now.
pub(super) fn is_about_the_coordinator(code: i16) -> bool {
    use ResponseError as E;
    let known = ResponseError::try_from_code(code);
    matches!(known, Some(E::NotCoordinator | E::CoordinatorNotAvailable | E::CoordinatorLoadInProgress))
}

/// Whether a code says that there is no such group, which is an answer: it has no commits.
pub(super) fn is_absent_group(code: i16) -> bool {
    code == ResponseError::GroupIdNotFound.code()
}

fn kind(code: i16) -> ReadErrorKind {
    use ResponseError as E;
    match ResponseError::try_from_code(code) {
        Some(
            E::TopicAuthorizationFailed
            | E::GroupAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::SaslAuthenticationFailed,
        ) => ReadErrorKind::Auth,
        // What the user wrote is not there or cannot be.
        Some(E::UnknownTopicOrPartition | E::InvalidTopicException | E::InvalidGroupId) => ReadErrorKind::Config,
        Some(E::RequestTimedOut) => ReadErrorKind::Timeout,
        Some(E::UnknownServerError) => ReadErrorKind::Unavailable,
        Some(E::Unknown(_)) | None => ReadErrorKind::Protocol,
        Some(known) if known.is_retriable() || known == E::BrokerNotAvailable => ReadErrorKind::Unavailable,
        Some(_) => ReadErrorKind::Protocol,
    }
}

/// The code as Kafka's own tools write it: `NOT_LEADER_OR_FOLLOWER`.
pub(super) fn name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None => "NONE".to_owned(),
        Some(ResponseError::Unknown(code)) => format!("the unknown error code {code}"),
        Some(known) => {
            let mut name = String::new();
            for letter in known.to_string().chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_kafka_names_them() {
        assert_eq!(name(6), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(name(17), "INVALID_TOPIC_EXCEPTION");
        assert_eq!(name(-77), "the unknown error code -77");
        assert_eq!(name(i16::MAX), "the unknown error code 32767");
    }

    #[test]
    fn what_moves_is_asked_again_and_what_is_refused_is_not() {
        for code in [3, 5, 6, 8, 14, 15, 16, 56, 74, 75, 78] {
            assert!(Fault::code("x", code).again, "{}", name(code));
        }
        for code in [-1, -2, 17, 24, 29, 30, 35, 69, 999] {
            assert!(!Fault::code("x", code).again, "{}", name(code));
        }
    }

    #[test]
    fn whose_fault_it_is() {
        let kinds = [
            (3, ReadErrorKind::Config),
            (6, ReadErrorKind::Unavailable),
            (7, ReadErrorKind::Timeout),
            (29, ReadErrorKind::Auth),
            (30, ReadErrorKind::Auth),
            (-1, ReadErrorKind::Unavailable),
            (-9, ReadErrorKind::Protocol),
            (35, ReadErrorKind::Protocol),
        ];
        for (code, kind) in kinds {
            assert_eq!(Fault::code("x", code).error.kind, kind, "{}", name(code));
        }
        let error = Fault::code("topic \"orders\" of Kafka at a:9092", 29).error;
        assert_eq!(error.message, "topic \"orders\" of Kafka at a:9092: TOPIC_AUTHORIZATION_FAILED");
    }
}
