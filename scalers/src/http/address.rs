//! The address of an HTTP server as users write it: a URL, perhaps with a login in it.

use reqwest::Url;
use tidegate_calculator::source::{Problem, Secret};

use crate::parameters::{Parameter, Values};

/// A URL without the login that stood in it.
#[derive(Clone)]
pub(crate) struct Address {
    /// Where; without user, password and fragment.
    pub(crate) url: Url,
    /// User and password that stood in the URL.
    pub(crate) login: Option<(Secret, Secret)>,
}

impl Address {
    /// Reads a URL; the error completes "the URL ...".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "is not a URL with http:// or https://";
        let mut url = Url::parse(text).map_err(|_| EXPECTED)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(EXPECTED);
        }
        let login = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| EXPECTED)?;
        url.set_fragment(None);
        Ok(Self { url, login })
    }

    /// The address that a parameter gives; none if nothing is given or nothing seen.
    pub(crate) fn of(values: &Values, parameter: &Parameter) -> Result<Option<Self>, Problem> {
        let parsed = values.text(parameter).map(Self::parse).transpose();
        parsed.map_err(|what| values.problem(parameter, what))
    }
}

/// What the server is called in messages: nothing of it is a secret, neither a login nor a query.
pub(crate) fn shown(url: &Url) -> String {
    let path = url.path().trim_end_matches('/');
    format!("{}{path}", url.origin().ascii_serialization())
}

/// `%40` and the like, undone.
pub(crate) fn decoded(text: &str) -> Secret {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let meant = pair.filter(|_| *byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        plain.push(meant.unwrap_or(*byte));
        at += if meant.is_some() { 3 } else { 1 };
    }
    Secret::new(String::from_utf8_lossy(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_the_url_is_taken_out_of_it() {
        let address = Address::parse("https://me:p%40ss%2@api.example:8443/a/b/?q=1#part").unwrap();
        let (user, password) = address.login.unwrap();
        assert_eq!((user.expose(), password.expose()), ("me", "p@ss%2"));
        assert_eq!(address.url.as_str(), "https://api.example:8443/a/b/?q=1");
        assert_eq!(shown(&address.url), "https://api.example:8443/a/b");
        assert!(Address::parse("http://api/").unwrap().login.is_none());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["api:8080/x", "/x", "ftp://api/", "http://", "http:// a", "api"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
