//! A small client of Redis: one question at a time.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::resp::{self, ProtocolError, Value};

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The server cannot be reached, or has gone away.
    #[error("the store at {0} does not answer: {1}")]
    Unreachable(SocketAddr, io::Error),
    /// The connection has ended.
    #[error("the connection to the store has ended: {0}")]
    Lost(#[from] io::Error),
    /// What came is not RESP.
    #[error("the store does not speak RESP: {0}")]
    Protocol(#[from] ProtocolError),
    /// The server says that something is wrong.
    #[error("the store refused a command: {0}")]
    Refused(String),
    /// The answer is not the one that this command has.
    #[error("the store gave an unexpected answer to {0}")]
    Unexpected(&'static str),
}

impl ClientError {
    /// The stable reason of this error.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => "StoreUnreachable",
            Self::Lost(_) => "StoreLost",
            Self::Protocol(error) => error.reason(),
            Self::Refused(_) => "StoreRefused",
            Self::Unexpected(_) => "StoreUnexpected",
        }
    }
}

impl Client {
    /// A connection to the server at `address`.
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address).await.map_err(|error| ClientError::Unreachable(address, error))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::new() })
    }

    /// Sends a command.
    pub(super) async fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<(), ClientError> {
        let mut out = Vec::new();
        resp::write_command(words, &mut out);
        Ok(self.stream.write_all(&out).await?)
    }

    /// The next answer. Dropping the future loses nothing: ask again.
    pub(super) async fn reply(&mut self) -> Result<Value, ClientError> {
        loop {
            if let Some((value, taken)) = resp::value(&self.input)? {
                self.input.drain(..taken);
                return if let Value::Error(text) = value { Err(ClientError::Refused(text)) } else { Ok(value) };
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Says that no more commands will come: what has been sent already can still be read.
    pub(super) async fn finish(&mut self) -> Result<(), ClientError> {
        Ok(self.stream.shutdown().await?)
    }

    /// Adds items to a list; its length after it.
    pub(super) async fn push(&mut self, list: &str, items: &[String]) -> Result<i64, ClientError> {
        let words: Vec<&str> = ["LPUSH", list].into_iter().chain(items.iter().map(String::as_str)).collect();
        self.send(&words).await?;
        integer(&self.reply().await?, "LPUSH")
    }

    /// The length of a list.
    pub(super) async fn length(&mut self, list: &str) -> Result<i64, ClientError> {
        self.send(&["LLEN", list]).await?;
        integer(&self.reply().await?, "LLEN")
    }

    /// Asks for the next item of a list, however long it takes: [`Client::next_item`] has the answer.
    pub(super) async fn ask_item(&mut self, list: &str) -> Result<(), ClientError> {
        self.send(&["BRPOP", list, "0"]).await
    }

    /// The item that was asked for. Dropping the future loses nothing: ask again.
    pub(super) async fn next_item(&mut self) -> Result<String, ClientError> {
        match self.reply().await? {
            Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                Ok([_, Value::Bulk(item)]) => Ok(String::from_utf8_lossy(&item).into_owned()),
                _ => Err(ClientError::Unexpected("BRPOP")),
            },
            _ => Err(ClientError::Unexpected("BRPOP")),
        }
    }
}

fn integer(value: &Value, command: &'static str) -> Result<i64, ClientError> {
    if let Value::Integer(number) = value { Ok(*number) } else { Err(ClientError::Unexpected(command)) }
}
