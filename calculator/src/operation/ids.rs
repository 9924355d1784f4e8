//! Names and ids of everything an operation does in the world, derived from the operation, so that doing it twice is doing it once.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The id of an operation: 32 hex digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub String);

impl OperationId {
    /// The id of the operation that `sequence` (a number that grows with every operation of the object) stands for.
    pub fn derive(uid: &str, sequence: u64, from: u32, to: u32, attempt: u32) -> Self {
        let numbers = format!("{sequence}/{from}/{to}/{attempt}");
        Self(digest(&["operation", uid, &numbers]))
    }

    /// The short form for names: 12 hex digits.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// What a Flink call is for; part of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// The checkpoint that protects the change.
    Checkpoint,
    /// A plain savepoint.
    Backup,
    /// Stop with a savepoint.
    Stop,
    /// The checkpoint that releases a rescale.
    Release,
    /// The checkpoint that verifies.
    Verify,
    /// A FlinkStateSnapshot.
    Resource,
}

impl Kind {
    /// Its part of an id.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "ckpt",
            Self::Backup => "sp",
            Self::Stop => "stop",
            Self::Release => "release",
            Self::Verify => "verify",
            Self::Resource => "snapshot",
        }
    }
}

/// The Flink trigger id of a snapshot: the first 128 bits of SHA-256 over its parts, in 32 hex digits.
pub fn trigger(operation: &OperationId, job: &str, kind: Kind, attempt: u32) -> String {
    digest(&[&operation.0, job, kind.as_str(), &attempt.to_string()])
}

/// The job id of one attempt to run a job.
pub fn run(operation: &OperationId, job: &str, attempt: u32) -> String {
    digest(&[&operation.0, job, "run", &attempt.to_string()])
}

/// The name of a Kubernetes object of this operation: a FlinkStateSnapshot, or the Job of an item. A valid DNS label of at most 63 characters.
pub fn object_name(operation: &OperationId, part: &str, attempt: u32) -> String {
    let kept: String = part.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).take(30).collect();
    let mark = digest(&[part]);
    format!("tidegate-{}-{kept}{}-{attempt}", operation.short(), mark.get(..4).unwrap_or_default())
}

/// The `Idempotency-Key` of an http item: the same for every repetition of one attempt.
pub fn idempotency_key(operation: &OperationId, item: &str, post: bool, attempt: u32) -> String {
    let list = if post { "post" } else { "pre" };
    digest(&[&operation.0, "http", list, item, &attempt.to_string()])
}

/// The directory of an operation's savepoints below `base`: so a path says whose it is.
pub fn directory(base: &str, operation: &OperationId) -> String {
    format!("{}/{}", base.trim_end_matches('/'), operation.0)
}

/// The first 128 bits of SHA-256 over the parts. Each part follows its length, so that two lists of parts never read alike.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hash.update(length.to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits_and_differ_by_every_part() {
        let id = OperationId::derive("uid", 7, 4, 2, 1);
        let all = [
            id.0.clone(),
            OperationId::derive("uid", 8, 4, 2, 1).0,
            trigger(&id, "job", Kind::Checkpoint, 1),
            trigger(&id, "job", Kind::Checkpoint, 2),
            trigger(&id, "job", Kind::Stop, 1),
            trigger(&id, "jobb", Kind::Stop, 1),
            run(&id, "job", 1),
            idempotency_key(&id, "job", false, 1),
            idempotency_key(&id, "job", true, 1),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()), "{one}");
            assert!(!all[..index].contains(one));
        }
        assert_eq!(trigger(&id, "job", Kind::Stop, 1), trigger(&id, "job", Kind::Stop, 1));
    }

    #[test]
    fn ids_stay_the_same_in_every_build() {
        // printf with the lengths as 8 bytes big-endian, then sha256sum: an id that changed would trigger twice after an upgrade.
        assert_eq!(OperationId::derive("uid", 7, 4, 2, 1).0, "dd130d428dffc31b566e45a9744e9ab3");
    }

    #[test]
    fn names_are_labels() {
        let id = OperationId::derive("uid", 7, 4, 2, 1);
        let name = object_name(&id, &"A very Long_name.".repeat(9), 12);
        assert!(name.len() <= 63, "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        assert_ne!(object_name(&id, "a-b", 1), object_name(&id, "ab", 1));
        assert_eq!(directory("s3://b/sp/", &id), format!("s3://b/sp/{}", id.0));
    }
}
