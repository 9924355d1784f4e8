//! Where a RabbitMQ is and which virtual host is meant, out of the URL that users write; pure.

use std::fmt::Write as _;

use reqwest::Url;
use tidegate_calculator::source::Secret;

use crate::http::address::{Address, decoded};

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Amqp,
    Http,
}

/// A URL taken apart. Nothing of [`Place::login`] is ever printed.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) protocol: Protocol,
    /// Whether the scheme asks for TLS.
    pub(super) encrypted: bool,
    /// User and password in the URL; with AMQP the password may be missing.
    pub(super) login: Option<(Secret, Secret)>,
    /// Whether a password stood in the URL.
    pub(super) has_password: bool,
    pub(super) has_query: bool,
    /// With HTTP the URL of the server without path, with AMQP unused but for its host and port.
    url: Url,
    /// The encoded parts of the path.
    path: Vec<String>,
}

/// The scheme of a URL is none that RabbitMQ is spoken to with.
const EXPECTED: &str = "is not a URL with amqp://, amqps://, http:// or https://";

impl Place {
    /// Takes a URL apart; the error completes "the URL ...".
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (protocol, encrypted) = match url.scheme() {
            "amqp" => (Protocol::Amqp, false),
            "amqps" => (Protocol::Amqp, true),
            "http" => (Protocol::Http, false),
            "https" => (Protocol::Http, true),
            _ => return Err(EXPECTED),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(EXPECTED);
        }
        // The reader of HTTP addresses knows hosts and logins; what it does not know is the other two schemes.
        let readable = text
            .split_once(':')
            .map(|(_, rest)| if encrypted { format!("https:{rest}") } else { format!("http:{rest}") });
        let has_password = url.password().is_some();
        let address = readable.as_deref().ok_or(EXPECTED).and_then(Address::parse).map_err(|_| EXPECTED)?;
        let path = url.path().split('/').map(str::to_owned).collect();
        let has_query = url.query().is_some();
        let port = url.port();
        let Address { url: mut server, login } = address;
        server.set_path("");
        server.set_query(None);
        // Without a port each protocol has its own; HTTP's are known to the URL.
        if protocol == Protocol::Amqp {
            let usual = if encrypted { 5671 } else { 5672 };
            server.set_port(Some(port.unwrap_or(usual))).map_err(|()| EXPECTED)?;
        }
        Ok(Self { protocol, encrypted, login, has_password, has_query, url: server, path })
    }

    /// The host as it is connected to, without the brackets of IPv6.
    pub(super) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    /// The port; that of the scheme if none is written.
    pub(super) fn port(&self) -> u16 {
        let usual = match (self.protocol, self.encrypted) {
            (Protocol::Amqp, false) => 5672,
            (Protocol::Amqp, true) => 5671,
            (Protocol::Http, false) => 80,
            (Protocol::Http, true) => 443,
        };
        self.url.port_or_known_default().unwrap_or(usual)
    }

    /// The virtual host: the one that is named, else that of the URL, else `/`. KEDA reads both protocols' URLs like this.
    pub(super) fn vhost(&self, named: Option<&str>) -> String {
        if let Some(named) = named {
            return named.to_owned();
        }
        let written = match self.protocol {
            // Everything behind the first slash.
            Protocol::Amqp => self.path.get(1..).map(|parts| parts.join("/")).unwrap_or_default(),
            Protocol::Http => self.path.last().cloned().unwrap_or_default(),
        };
        let vhost = decoded(&written).expose().to_owned();
        if vhost.is_empty() { "/".to_owned() } else { vhost }
    }

    /// The URL of the management API's list of a virtual host's queues, without a query. What stands in the path before its last
    /// part is where the API begins.
    pub(super) fn queues(&self, vhost: &str) -> Option<Url> {
        let before = self.path.get(..self.path.len().saturating_sub(1)).unwrap_or_default();
        let base = before.iter().filter(|part| !part.is_empty()).fold(String::new(), |base, part| base + "/" + part);
        let mut url = self.url.clone();
        url.set_path(&format!("{base}/api/queues/{}", encoded(vhost)));
        // A name such as `..` would be taken for a step up.
        url.path().ends_with(&format!("/api/queues/{}", encoded(vhost))).then_some(url)
    }

    /// The URL of the management API's own description, behind the same path.
    pub(super) fn overview(&self) -> Option<Url> {
        let mut url = self.queues("x")?;
        let path = url.path().strip_suffix("/queues/x")?.to_owned() + "/overview";
        url.set_path(&path);
        Some(url)
    }

    /// What the server is called in messages: nothing of it is a secret.
    pub(super) fn name(&self) -> String {
        match self.protocol {
            Protocol::Amqp => {
                let (host, port) = (self.url.host_str().unwrap_or_default(), self.port());
                format!("RabbitMQ at {}://{host}:{port}", if self.encrypted { "amqps" } else { "amqp" })
            }
            Protocol::Http => format!("RabbitMQ at {}", self.url.origin().ascii_serialization()),
        }
    }
}

/// A text as one part of a URL's path: all but letters, digits and `-._~` is written by its number.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut written, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => written.push(char::from(byte)),
            _ => {
                // Writing to a text cannot fail.
                let _ = write!(written, "%{byte:02X}");
            }
        }
        written
    })
}

/// A text as KEDA writes it into the name of a metric: as in a query, with `+` for a space.
pub(super) fn query_escaped(text: &str) -> String {
    encoded(text).replace("%20", "+")
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
