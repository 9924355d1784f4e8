//! Asks HTTP servers, for every trigger that reads its number from one.
//!
//! [`server::Server`] is one server with one set of credentials: it asks many questions at the same time, equal ones once, and
//! leaves a failing server alone. [`authentication`] declares the parameters by which all these triggers say who we
//! are, [`address`] those of where the server is; [`token`] fetches tokens by client credentials, for Kafka as well.

pub(crate) mod address;
pub(crate) mod authentication;
pub mod caller;
mod failures;
mod server;
mod token;

use crate::parameters::Parameter;

pub(crate) use crate::metric::{reported, target};
pub(crate) use failures::{named, status};
pub(crate) use server::orders::{self, Order};
pub(crate) use server::{Access, ApiKey, Credentials, Login, Reply, Request, ServerHandle};
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
    fn a_pair_has_exactly_one_equals_sign() {
        let of = |items: &[&str]| pairs(&items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
        let expected = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(of(&["a = 1", "b="]), Some(expected));
        assert_eq!((of(&["a"]), of(&["a=b=c"]), of(&["=x"]), of(&[""])), (None, None, None, None));
    }
}
