//! Reads the values of options that several subcommands have, and says what is allowed where one is wrong.

use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;

/// A whole number of replicas, pods or TaskManagers, 0 or more.
pub(super) fn count(text: &str) -> Result<u32, String> {
    within(text, &(0..=u32::MAX), "is not a whole number, 0 or more")
}

/// The same, 1 or more.
#[cfg(feature = "flink")]
pub(super) fn positive(text: &str) -> Result<u32, String> {
    within(text, &(1..=u32::MAX), "is not a whole number, 1 or more")
}

/// The parallelism of a Flink job, which knows no more than 32768.
#[cfg(feature = "flink")]
pub(super) fn parallelism(text: &str) -> Result<u32, String> {
    within(text, &(1..=32_768), "is not a whole number from 1 to 32768")
}

/// A moment with its offset, as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "is not a time with its zone, such as 2026-11-25T12:04:31Z".to_owned())
}

/// The name of a namespace (a DNS label); blanks around it do not count.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_label) {
        return Err(format!("{name:?} is no name of a namespace (lower case letters, digits, -)"));
    }
    Ok(name.to_owned())
}

/// The same, or nothing: a variable of the environment may be empty.
pub(super) fn namespace_or_none(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Ok(String::new()) } else { namespace(text) }
}

/// The namespaces of `WATCH_NAMESPACE`, each once; empty means all of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Namespaces(pub(super) Vec<String>);

impl FromStr for Namespaces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // KEDA's manifests set it to two quotes to say "all".
        let names = text.trim_matches('"').split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut all: Vec<String> = Vec::new();
        for name in names {
            let name = namespace(name)?;
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Ok(Self(all))
    }
}

/// The name of an object (a DNS subdomain).
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(is_part) {
        return Err(format!("{text:?} is no name of an object (lower case letters, digits, - and .)"));
    }
    Ok(text.to_owned())
}

fn within(text: &str, range: &RangeInclusive<u32>, allowed: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| allowed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_whole_number() {
        assert_eq!(count("0"), Ok(0));
        for wrong in ["x", "-1", "1.5", "", "4294967296"] {
            assert_eq!(count(wrong).unwrap_err(), "is not a whole number, 0 or more", "{wrong}");
        }
    }

    #[cfg(feature = "flink")]
    #[test]
    fn a_parallelism_is_what_flink_takes() {
        assert_eq!((positive("1"), parallelism("32768")), (Ok(1), Ok(32_768)));
        assert_eq!(positive("0").unwrap_err(), "is not a whole number, 1 or more");
        for wrong in ["0", "32769", "four"] {
            assert_eq!(parallelism(wrong).unwrap_err(), "is not a whole number from 1 to 32768", "{wrong}");
        }
    }

    #[test]
    fn a_moment_has_a_zone() {
        assert!(moment("2026-11-25T12:04:31Z").is_ok());
        assert!(moment("2026-11-25T12:04:31+01:00").is_ok());
        for wrong in ["yesterday", "2026-11-25", "2026-11-25T12:04:31"] {
            assert!(moment(wrong).unwrap_err().contains("2026-11-25T12:04:31Z"), "{wrong}");
        }
    }

    #[test]
    fn a_namespace_is_a_label() {
        assert_eq!(namespace(" shop "), Ok("shop".to_owned()));
        assert_eq!(namespace_or_none(""), Ok(String::new()));
        for wrong in ["", "Shop", "b c", "a.b", &"x".repeat(64)] {
            assert!(namespace(wrong).unwrap_err().contains("is no name of a namespace"), "{wrong}");
        }
        assert_eq!(name("tidegate.v2"), Ok("tidegate.v2".to_owned()));
        assert!(name("x y").unwrap_err().contains("\"x y\" is no name of an object"));
    }
}
