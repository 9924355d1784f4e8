//! The names that Flink gives to jobs and to the vertices of their graphs: 32 hexadecimal digits.
//!
//! They are looked at when they are read, because they become parts of addresses.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

/// What is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not 32 hexadecimal digits")]
pub struct NotAnId;

/// How many digits there are.
const DIGITS: usize = 32;

macro_rules! ids {
    ($($(#[$about:meta])* $name:ident)*) => { $(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Its digits, in small letters.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let fits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                if fits { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(NotAnId) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

ids! {
    /// A job. It stays the same over restarts of the job, and is another one after a start from a savepoint.
    JobId
    /// A vertex of a job's graph: operators that are chained into one task. It stays the same as long as the program does.
    VertexId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_digits_can_become_part_of_an_address() {
        let job: JobId = "6E9F20BFD6AA5914FBB059863CAD0A9A".parse().unwrap();
        assert_eq!(job.to_string(), "6e9f20bfd6aa5914fbb059863cad0a9a");
        for text in ["", "6e9f", "6e9f20bfd6aa5914fbb059863cad0a9g", "../../../../../../../../jobs/1234"] {
            assert_eq!(text.parse::<VertexId>(), Err(NotAnId), "{text}");
        }
        assert!(serde_json::from_str::<JobId>("\"../jobs\"").is_err());
    }
}
