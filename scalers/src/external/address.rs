//! Reads where a server of the user's own listens, in the forms that gRPC's clients take.

use std::fmt;

use tonic::codegen::http::Uri;

use crate::parameters::host_and_port;

/// The port of gRPC's clients where none is named.
const DEFAULT_PORT: u16 = 443;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether the port was named.
    pub(super) is_complete: bool,
}

impl Address {
    /// `host:port`, alone or after `dns:///`, `dns:` or `passthrough:///`; the port may be missing. None for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = ["dns:///", "passthrough:///", "dns:"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let place = plain.unwrap_or(text);
        let (found, is_complete) = match host_and_port(place) {
            Some(found) => (Some(found), true),
            None => (host_and_port(&format!("{place}:{DEFAULT_PORT}")), false),
        };
        let (host, port) = found?;
        let address = Self { host, port, is_complete };
        address.uri("http").map(|_| address)
    }

    /// The address as one of this scheme.
    pub(super) fn uri(&self, scheme: &str) -> Option<Uri> {
        let uri: Uri = format!("{scheme}://{self}").parse().ok()?;
        (uri.port_u16() == Some(self.port)).then_some(uri)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_grpc_are_read_and_others_are_not() {
        let of = |text| Address::parse(text).map(|address| (address.to_string(), address.is_complete));
        let cases = [
            ("scaler.shop:9090", "scaler.shop:9090", true),
            ("dns:///scaler.shop.svc:9090", "scaler.shop.svc:9090", true),
            ("dns:scaler:9090", "scaler:9090", true),
            ("passthrough:///10.0.0.1:1", "10.0.0.1:1", true),
            ("[::1]:9090", "[::1]:9090", true),
            ("scaler", "scaler:443", false),
            ("[::1]", "[::1]:443", false),
        ];
        for (text, address, is_complete) in cases {
            assert_eq!(of(text), Some((address.to_owned(), is_complete)), "{text}");
        }
        let others = [
            "http://scaler:9090",
            "dns://1.1.1.1/scaler:9090",
            "unix:/run/scaler.sock",
            "xds:///scaler",
            "scaler:0",
            "scaler:99999",
            "scaler:http",
            ":9090",
            "a b:1",
            "user@scaler:1",
            "scaler:9090/path",
            "::1",
        ];
        for text in others {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
