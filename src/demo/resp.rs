//! RESP, the language of Redis: bytes in, commands and answers out, and back again.
//!
//! The parsers are pure. They look at what has arrived so far and say either "not all of it is here yet" or what it is
//! and how many bytes it took, so split input and pipelines need no state. Everything is bounded: a peer that announces
//! more than the limits is refused before anything of that size is kept.

/// The most words in one command.
const WORDS: usize = 4096;
/// The longest word, in bytes.
const WORD: usize = 64 * 1024;
/// The largest command or answer, in bytes; also the most that a connection keeps of unread input.
pub(super) const MESSAGE: usize = 1024 * 1024;
/// The longest line: a length, a number, a short answer or a command typed by hand.
const LINE: usize = 4096;
/// How deep answers may be nested.
const DEPTH: usize = 4;

/// The two versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// RESP2, which every connection begins with.
    Two,
    /// RESP3, after `HELLO 3`: it has maps, nulls and messages that nobody asked for.
    Three,
}

/// One answer, or one message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `+OK`
    Simple(String),
    /// `-ERR what is wrong`
    Error(String),
    /// `:42`
    Integer(i64),
    /// `$3 abc`
    Bulk(Vec<u8>),
    /// Nothing, where one string was asked for.
    Null,
    /// Nothing, where a list was asked for. RESP2 writes it differently.
    NullArray,
    /// `*2 ...`
    Array(Vec<Value>),
    /// `%1 ...`; RESP2 writes keys and values as one array.
    Map(Vec<(Value, Value)>),
    /// `>2 ...`, a message that no command asked for; RESP2 writes an array.
    Push(Vec<Value>),
}

/// A complete item and how many bytes of the input it took.
pub(super) type Parsed<T> = Option<(T, usize)>;

/// Bytes that are not RESP, or more than is taken. The connection cannot go on after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    /// A line does not begin with the sign that belongs there.
    #[error("expected '{expected}', got '{}'", char::from(*.got).escape_default())]
    Sign {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        got: u8,
    },
    /// A length or a number is none.
    #[error("invalid {0}")]
    Number(&'static str),
    /// Something is longer than is taken.
    #[error("{what} is longer than {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A string does not end where its length says.
    #[error("a string does not end where its length says")]
    Unterminated,
}

impl ProtocolError {
    /// The stable reason of this error.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Sign { .. } => "RespUnexpectedSign",
            Self::Number(_) => "RespInvalidNumber",
            Self::TooLong { .. } => "RespTooLong",
            Self::Unterminated => "RespUnterminated",
        }
    }
}

/// The first command of `input`, as its words; none if not all of it is there yet.
///
/// An empty command has no words and asks for no answer. Commands typed by hand (`PING` and a line end) are split at
/// spaces, without quotes.
pub(super) fn command(input: &[u8]) -> Result<Parsed<Vec<Vec<u8>>>, ProtocolError> {
    let Some(first) = input.first() else { return Ok(None) };
    if *first != b'*' {
        return Ok(line(input, 0)?.map(|(text, end)| (typed(text), end)));
    }
    let Some((count, mut at)) = length(input, 1, "number of words", WORDS)? else { return Ok(None) };
    let mut words = Vec::with_capacity(count.unwrap_or(0).min(16));
    for _ in 0..count.unwrap_or(0) {
        match input.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(got) => return Err(ProtocolError::Sign { expected: "$", got: *got }),
        }
        let Some((size, start)) = length(input, at + 1, "length of a word", WORD)? else { return Ok(None) };
        let size = size.ok_or(ProtocolError::Number("length of a word"))?;
        let Some((word, end)) = string(input, start, size)? else { return Ok(None) };
        words.push(word.to_vec());
        at = end;
    }
    Ok(Some((words, at)))
}

/// The first answer of `input`; none if not all of it is there yet.
pub(super) fn value(input: &[u8]) -> Result<Parsed<Value>, ProtocolError> {
    nested(input, 0, DEPTH)
}

fn nested(input: &[u8], at: usize, depth: usize) -> Result<Parsed<Value>, ProtocolError> {
    let Some(sign) = input.get(at) else { return Ok(None) };
    if depth == 0 {
        return Err(ProtocolError::TooLong { what: "nesting", limit: DEPTH });
    }
    let start = at + 1;
    match sign {
        b'+' => Ok(line(input, start)?.map(|(text, end)| (Value::Simple(lossy(text)), end))),
        b'-' => Ok(line(input, start)?.map(|(text, end)| (Value::Error(lossy(text)), end))),
        b'_' => Ok(line(input, start)?.map(|(_, end)| (Value::Null, end))),
        b':' => {
            let Some((text, end)) = line(input, start)? else { return Ok(None) };
            let number = number(text).ok_or(ProtocolError::Number("integer"))?;
            Ok(Some((Value::Integer(number), end)))
        }
        b'$' => {
            let Some((size, start)) = length(input, start, "length of a string", WORD)? else { return Ok(None) };
            let Some(size) = size else { return Ok(Some((Value::Null, start))) };
            Ok(string(input, start, size)?.map(|(text, end)| (Value::Bulk(text.to_vec()), end)))
        }
        b'*' | b'>' | b'%' => collection(input, *sign, start, depth),
        got => Err(ProtocolError::Sign { expected: "+-:$*>%_", got: *got }),
    }
}

fn collection(input: &[u8], sign: u8, start: usize, depth: usize) -> Result<Parsed<Value>, ProtocolError> {
    let Some((count, mut at)) = length(input, start, "number of elements", WORDS)? else { return Ok(None) };
    let Some(count) = count else { return Ok(Some((Value::NullArray, at))) };
    let count = if sign == b'%' { count * 2 } else { count };
    let mut values = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        let Some((value, end)) = nested(input, at, depth - 1)? else { return Ok(None) };
        values.push(value);
        at = end;
    }
    let value = match sign {
        b'>' => Value::Push(values),
        b'%' => Value::Map(pairs(values)),
        _ => Value::Array(values),
    };
    Ok(Some((value, at)))
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| values.next().zip(values.next())).collect()
}

/// The line that begins at `at`, without its end, and where the next one begins.
fn line(input: &[u8], at: usize) -> Result<Parsed<&[u8]>, ProtocolError> {
    let rest = &input[at.min(input.len())..];
    match rest.iter().take(LINE).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some((rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), at + end + 1))),
        None if rest.len() >= LINE => Err(ProtocolError::TooLong { what: "a line", limit: LINE }),
        None => Ok(None),
    }
}

/// A length and where what it measures begins; a length of -1 stands for nothing.
fn length(input: &[u8], at: usize, what: &'static str, limit: usize) -> Result<Parsed<Option<usize>>, ProtocolError> {
    let Some((text, end)) = line(input, at)? else { return Ok(None) };
    let number = number(text).ok_or(ProtocolError::Number(what))?;
    if number == -1 {
        return Ok(Some((None, end)));
    }
    let number = usize::try_from(number).map_err(|_| ProtocolError::Number(what))?;
    if number > limit {
        return Err(ProtocolError::TooLong { what, limit });
    }
    Ok(Some((Some(number), end)))
}

fn string(input: &[u8], start: usize, size: usize) -> Result<Parsed<&[u8]>, ProtocolError> {
    let end = start + size;
    if end + 2 > MESSAGE {
        return Err(ProtocolError::TooLong { what: "a message", limit: MESSAGE });
    }
    match input.get(end..end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((&input[start..end], end + 2))),
        Some(_) => Err(ProtocolError::Unterminated),
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn typed(line: &[u8]) -> Vec<Vec<u8>> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Appends a command to `out`, as clients send it.
pub(super) fn write_command<W: AsRef<[u8]>>(words: &[W], out: &mut Vec<u8>) {
    header(b'*', words.len(), out);
    for word in words {
        bulk(word.as_ref(), out);
    }
}

/// Appends an answer to `out`, as this version of the protocol writes it.
pub(super) fn write_value(value: &Value, version: Version, out: &mut Vec<u8>) {
    match value {
        Value::Simple(text) => text_line(b'+', text, out),
        Value::Error(text) => text_line(b'-', text, out),
        Value::Integer(number) => text_line(b':', &number.to_string(), out),
        Value::Bulk(text) => bulk(text, out),
        Value::Null | Value::NullArray if version == Version::Three => out.extend_from_slice(b"_\r\n"),
        Value::Null => out.extend_from_slice(b"$-1\r\n"),
        Value::NullArray => out.extend_from_slice(b"*-1\r\n"),
        Value::Array(values) => elements(b'*', values, version, out),
        Value::Push(values) => elements(if version == Version::Three { b'>' } else { b'*' }, values, version, out),
        Value::Map(entries) => {
            let (sign, count) = if version == Version::Three { (b'%', 1) } else { (b'*', 2) };
            header(sign, entries.len() * count, out);
            for (key, value) in entries {
                write_value(key, version, out);
                write_value(value, version, out);
            }
        }
    }
}

fn elements(sign: u8, values: &[Value], version: Version, out: &mut Vec<u8>) {
    header(sign, values.len(), out);
    for value in values {
        write_value(value, version, out);
    }
}

fn header(sign: u8, number: usize, out: &mut Vec<u8>) {
    text_line(sign, &number.to_string(), out);
}

fn bulk(text: &[u8], out: &mut Vec<u8>) {
    header(b'$', text.len(), out);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A line end inside of the text would be read as the end of the answer.
fn text_line(sign: u8, text: &str, out: &mut Vec<u8>) {
    out.push(sign);
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[path = "resp_tests.rs"]
mod tests;
