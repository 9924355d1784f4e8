//! Asks HTTP servers, for every trigger that reads its number from one.
//!
//! [`server::Server`] is one server with one set of credentials: it asks many questions at the same time, equal ones once, and
//! leaves a failing server alone. [`authentication`] declares the parameters by which all these triggers say who we
//! are, [`address`] those of where the server is; [`token`] fetches tokens by client credentials, for Kafka as well.

pub(crate) mod address;
pub(crate) mod authentication;
mod failures;
mod server;
mod token;

use tidegate_calculator::source::Milli;

use crate::parameters::Parameter;

pub(crate) use failures::named;
pub(crate) use server::{Access, Reply, Request, ServerHandle};
pub(crate) use token::{Grant, Tokens, is_local};

/// A trigger's own parameters and those of the authentication, as one list of `N`.
pub(crate) const fn with_authentication<const N: usize>(own: &[Parameter]) -> [Parameter; N] {
    let shared = authentication::PARAMETERS;
    assert!(own.len() + shared.len() == N, "N is the number of all parameters");
    let mut all = [shared[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < own.len() { own[index] } else { shared[index - own.len()] };
        index += 1;
    }
    all
}

/// A short word of a server that can stand in a message, such as `invalid-proof`; anything else is not repeated.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !text.is_empty() && text.len() <= 40 && text.bytes().all(plain);
    if fits { text.to_owned() } else { "no reason that can be told".to_owned() }
}

/// A value as KEDA reports it: in thousandths, rounded, and nothing below zero.
#[expect(clippy::cast_possible_truncation, reason = "the cast ends at the edge of the range, as it should")]
pub(crate) fn reported(value: f64) -> Milli {
    Milli((value * 1000.0).round().max(0.0) as i64)
}

/// A target that a replica takes care of; none if it is less than a thousandth, which nothing can be divided by.
pub(crate) fn target(value: f64) -> Option<Milli> {
    Some(reported(value)).filter(|target| target.0 > 0)
}

/// The pairs of a list such as `a=1,b=2`; none if an entry has not exactly one `=` or no name.
pub(crate) fn pairs(list: &[String]) -> Option<Vec<(String, String)>> {
    let pair = |item: &String| {
        let (name, value) = item.split_once('=').map(|(name, value)| (name.trim(), value.trim()))?;
        (!name.is_empty() && !value.contains('=')).then(|| (name.to_owned(), value.to_owned()))
    };
    list.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_thousandths_and_never_negative() {
        let cases = [(1.0, 1000), (0.0004, 0), (0.0006, 1), (-3.0, 0), (1e300, i64::MAX)];
        for (value, milli) in cases {
            assert_eq!(reported(value), Milli(milli), "{value}");
        }
        assert_eq!((target(0.0004), target(-1.0), target(0.5)), (None, None, Some(Milli(500))));
    }

    #[test]
    fn a_pair_has_exactly_one_equals_sign() {
        let of = |items: &[&str]| pairs(&items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
        let expected = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(of(&["a = 1", "b="]), Some(expected));
        assert_eq!((of(&["a"]), of(&["a=b=c"]), of(&["=x"]), of(&[""])), (None, None, None, None));
    }
}
