//! Turns requests into frames and frames into responses; pure.
//!
//! A frame is a length of four bytes and as many bytes. Nothing that a peer claims makes us allocate: a frame grows with
//! the bytes that come, and lists inside a response are counted ([`shape`]) before the codec reserves room for them.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

mod shape;

/// The longest frame that is taken, in bytes: far more than the offsets of any cluster, far less than our memory.
const LONGEST: usize = 64 * 1024 * 1024;

/// How we call ourselves in every request; brokers put it in their logs and metrics.
const CLIENT: StrBytes = StrBytes::from_static_str("tidegate");

/// What is wrong with bytes that should be Kafka's; completes "Kafka broker b:9092 ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A record of TLS where a frame should begin.
    Tls,
    /// An answer of HTTP where a frame should begin.
    Http,
    /// A length that no frame has.
    Length,
    /// A frame that answers none of our requests.
    Stray,
    /// A response that cannot be read.
    Response(&'static str, i16),
    /// A request of ours that cannot be written.
    Request(&'static str, i16),
}

/// Splits a byte stream into frames.
#[derive(Default)]
pub(super) struct Frames {
    /// What has come and is not yet handed out; the reader of the stream appends to it.
    pub(super) bytes: BytesMut,
}

impl Frames {
    /// The next whole frame without its length; none until more bytes have come.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(head) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = length(*head)?;
        if self.bytes.len() < 4 + length {
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }
}

/// The length of a frame, which holds at least a correlation id.
fn length(head: [u8; 4]) -> Result<usize, Malformed> {
    match head {
        // Alerts and handshakes of every version of TLS.
        [0x15 | 0x16, 0x03, 0x00..=0x04, _] => return Err(Malformed::Tls),
        [b'H', b'T', b'T', b'P'] => return Err(Malformed::Http),
        _ => {}
    }
    usize::try_from(i32::from_be_bytes(head))
        .ok()
        .filter(|length| (4..=LONGEST).contains(length))
        .ok_or(Malformed::Length)
}

/// A request as a frame, with its length.
pub(super) fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Result<Bytes, Malformed> {
    let unwritable = || Malformed::Request(api_name(R::KEY), version);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(CLIENT));
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    header.encode(&mut bytes, R::header_version(version)).map_err(|_| unwritable())?;
    request.encode(&mut bytes, version).map_err(|_| unwritable())?;
    let length = i32::try_from(bytes.len() - 4).map_err(|_| unwritable())?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.freeze())
}

/// Which request a frame answers.
pub(super) fn correlation(frame: &Bytes) -> Result<i32, Malformed> {
    frame.first_chunk().map(|head| i32::from_be_bytes(*head)).ok_or(Malformed::Stray)
}

/// The response in a frame that answers a request of this type and version.
pub(super) fn response<R: Request>(mut frame: Bytes, version: i16) -> Result<R::Response, Malformed> {
    let unreadable = || Malformed::Response(api_name(R::KEY), version);
    ResponseHeader::decode(&mut frame, R::Response::header_version(version)).map_err(|_| unreadable())?;
    shape::check(R::KEY, version, &frame).ok_or_else(unreadable)?;
    R::Response::decode(&mut frame, version).map_err(|_| unreadable())
}

/// The error code that an answer to ApiVersions begins with, in all versions alike.
pub(super) fn leading_code(frame: &Bytes) -> Option<i16> {
    frame.get(4..6)?.try_into().ok().map(i16::from_be_bytes)
}

/// Asks what the broker speaks, and says who asks.
pub(super) fn who_asks() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(CLIENT)
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
}

/// The API's name in Kafka's documentation, of those that are used here.
fn api_name(key: i16) -> &'static str {
    match ApiKey::try_from(key) {
        Ok(ApiKey::ApiVersions) => "ApiVersions",
        Ok(ApiKey::SaslHandshake) => "SaslHandshake",
        Ok(ApiKey::SaslAuthenticate) => "SaslAuthenticate",
        Ok(ApiKey::Metadata) => "Metadata",
        Ok(ApiKey::FindCoordinator) => "FindCoordinator",
        Ok(ApiKey::OffsetFetch) => "OffsetFetch",
        Ok(ApiKey::ListOffsets) => "ListOffsets",
        Ok(ApiKey::Fetch) => "Fetch",
        _ => "another request",
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("speaks TLS, which is not switched on for the trigger"),
            Self::Http => f.write_str("speaks HTTP, not Kafka's protocol"),
            Self::Length => f.write_str("does not speak Kafka's protocol: a frame has an impossible length"),
            Self::Stray => f.write_str("does not speak Kafka's protocol: an answer to nothing that was asked"),
            Self::Response(api, version) => write!(f, "sent an answer to {api} v{version} that cannot be read"),
            Self::Request(api, version) => write!(f, "cannot be asked: {api} v{version} cannot be written"),
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
