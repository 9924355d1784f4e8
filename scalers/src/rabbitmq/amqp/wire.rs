//! Writes and reads the few messages of AMQP 0-9-1 that a look at queues needs; pure.
//!
//! A client of AMQP opens a connection and channels in it, and asks for a queue by declaring it passively, which changes nothing and
//! is answered with the number of its messages. All other messages of the protocol are skipped by their length.

/// What a client says first.
pub(super) const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The longest frame may not be agreed to be shorter than this, in bytes with its head and end.
pub(super) const SMALLEST: u32 = 4096;

/// The longest frame that we are ready for.
pub(super) const LONGEST: u32 = 131_072;

const METHOD: u8 = 1;
const HEARTBEAT: u8 = 8;
/// What every frame ends with.
const END: u8 = 0xCE;
/// Kind, channel and length before a frame's content.
const HEAD: usize = 7;

/// What a server told. A channel is named where it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It greets, and says how users may log in.
    Start {
        mechanisms: String,
    },
    /// It wants another word for the login.
    Secure,
    /// What it proposes: channels at once, bytes a frame, seconds between signs of life; 0 is no limit and none.
    Tune {
        channels: u16,
        frame: u32,
        heartbeat: u16,
    },
    /// The virtual host is open.
    Opened,
    /// It ends the connection.
    Close {
        code: u16,
        text: String,
    },
    /// It agrees to the end.
    CloseOk,
    ChannelOpened(u16),
    /// It ends a channel, because of what was asked there last.
    ChannelClose {
        channel: u16,
        code: u16,
        text: String,
    },
    /// The messages of a queue that are ready to be given out.
    Declared {
        channel: u16,
        messages: u32,
    },
    /// A sign of life, or something that we have no use for.
    Other,
}

/// What was heard is not AMQP 0-9-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// Takes the next whole frame out of what was heard; none if more must be heard first.
pub(super) fn take(heard: &mut Vec<u8>, longest: u32) -> Result<Option<Told>, Garbled> {
    // The kind tells a server of another protocol by its first byte.
    if heard.first().is_some_and(|kind| !matches!(*kind, 1..=3 | HEARTBEAT)) {
        return Err(Garbled);
    }
    let Some(begun) = heard.first_chunk::<HEAD>() else { return Ok(None) };
    let [kind, high, low, length @ ..] = *begun;
    let channel = u16::from_be_bytes([high, low]);
    let length = u32::from_be_bytes(length);
    if length > longest {
        return Err(Garbled);
    }
    let end = HEAD + usize::try_from(length).map_err(|_| Garbled)?;
    let Some(last) = heard.get(end) else { return Ok(None) };
    if *last != END {
        return Err(Garbled);
    }
    let frame: Vec<u8> = heard.drain(..=end).collect();
    let content = frame.get(HEAD..end).ok_or(Garbled)?;
    if kind == METHOD { method(channel, &mut Content(content)).ok_or(Garbled).map(Some) } else { Ok(Some(Told::Other)) }
}

fn method(channel: u16, content: &mut Content<'_>) -> Option<Told> {
    Some(match (content.short()?, content.short()?) {
        (10, 10) => {
            content.bytes(2)?;
            content.long_text()?;
            Told::Start { mechanisms: text(content.long_text()?) }
        }
        (10, 20) => Told::Secure,
        (10, 30) => Told::Tune { channels: content.short()?, frame: content.long()?, heartbeat: content.short()? },
        (10, 41) => Told::Opened,
        (10, 50) => Told::Close { code: content.short()?, text: text(content.short_text()?) },
        (10, 51) => Told::CloseOk,
        (20, 11) => Told::ChannelOpened(channel),
        (20, 40) => Told::ChannelClose { channel, code: content.short()?, text: text(content.short_text()?) },
        (50, 11) => {
            content.short_text()?;
            Told::Declared { channel, messages: content.long()? }
        }
        _ => Told::Other,
    })
}

/// What is left of a frame's content; each look takes its part off, or finds none.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn short_text(&mut self) -> Option<&'a [u8]> {
        let length = *self.bytes(1)?.first()?;
        self.bytes(usize::from(length))
    }

    /// A long text, or a table, which has its length before it as well.
    fn long_text(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.bytes(usize::try_from(length).ok()?)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A method in the writing.
struct Method(Vec<u8>);

impl Method {
    fn new(class: u16, method: u16) -> Self {
        Self([class.to_be_bytes(), method.to_be_bytes()].concat())
    }

    fn short(mut self, number: u16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn long(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn octet(mut self, number: u8) -> Self {
        self.0.push(number);
        self
    }

    /// A text of 255 bytes at most; what is longer is cut, and whoever lets users write it checks it.
    fn short_text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.0.push(length);
        self.0.extend(bytes.iter().take(usize::from(length)));
        self
    }

    fn long_text(mut self, bytes: &[u8]) -> Self {
        self = self.long(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend(bytes);
        self
    }

    /// Adds the frame of this method to what is to be sent.
    fn send(self, channel: u16, out: &mut Vec<u8>) {
        out.push(METHOD);
        out.extend(channel.to_be_bytes());
        out.extend(u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(self.0);
        out.push(END);
    }
}

/// Who we are, and that we want to be told when a login is refused, not only cut off.
pub(super) fn start_ok(mechanism: &str, response: &str, out: &mut Vec<u8>) {
    let mut properties = Vec::new();
    let name = |table: &mut Vec<u8>, name: &str, kind: u8| {
        let short = Method(Vec::new()).short_text(name).octet(kind);
        table.extend(short.0);
    };
    for (key, value) in
        [("connection_name", "tidegate"), ("product", "Tidegate"), ("version", env!("CARGO_PKG_VERSION"))]
    {
        name(&mut properties, key, b'S');
        properties.extend(Method(Vec::new()).long_text(value.as_bytes()).0);
    }
    let mut capabilities = Vec::new();
    name(&mut capabilities, "authentication_failure_close", b't');
    capabilities.push(1);
    name(&mut properties, "capabilities", b'F');
    properties.extend(Method(Vec::new()).long_text(&capabilities).0);
    let method = Method::new(10, 11).long_text(&properties).short_text(mechanism);
    method.long_text(response.as_bytes()).short_text("en_US").send(0, out);
}

/// What we agree to.
pub(super) fn tune_ok(channels: u16, frame: u32, heartbeat: u16, out: &mut Vec<u8>) {
    Method::new(10, 31).short(channels).long(frame).short(heartbeat).send(0, out);
}

/// Opens a virtual host.
pub(super) fn open(vhost: &str, out: &mut Vec<u8>) {
    Method::new(10, 40).short_text(vhost).short_text("").octet(0).send(0, out);
}

/// Ends the connection in good order.
pub(super) fn close(out: &mut Vec<u8>) {
    Method::new(10, 50).short(200).short_text("").short(0).short(0).send(0, out);
}

/// Agrees to the end of the connection.
pub(super) fn close_ok(out: &mut Vec<u8>) {
    Method::new(10, 51).send(0, out);
}

pub(super) fn open_channel(channel: u16, out: &mut Vec<u8>) {
    Method::new(20, 10).short_text("").send(channel, out);
}

/// Agrees to the end of a channel.
pub(super) fn close_channel_ok(channel: u16, out: &mut Vec<u8>) {
    Method::new(20, 41).send(channel, out);
}

/// Asks for a queue without making it.
pub(super) fn declare(channel: u16, queue: &str, out: &mut Vec<u8>) {
    const PASSIVE: u8 = 1;
    Method::new(50, 10).short(0).short_text(queue).octet(PASSIVE).long(0).send(channel, out);
}

/// A sign of life.
pub(super) fn heartbeat(out: &mut Vec<u8>) {
    out.extend([HEARTBEAT, 0, 0, 0, 0, 0, 0, END]);
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
