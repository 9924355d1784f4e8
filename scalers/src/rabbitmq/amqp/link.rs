//! One connection to a broker: it logs in, asks for queues on several channels at once, and closes in good order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidegate_calculator::source::ReadError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::{self, Told};
use super::{Broker, Sasl, errors};

/// How many queues are asked for at the same moment, each on a channel of its own. One on a channel at a time: a queue that does
/// not exist ends its channel, and must take no other question with it.
const CHANNELS: u16 = 32;

/// The most seconds between signs of life. A broker proposes 60 and closes a connection that says nothing for twice as long.
const HEARTBEAT: u16 = 60;

/// What is known of a queue once it was asked for.
pub(super) type Outcome = Result<u64, ReadError>;

/// A byte stream, plain or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection. Dropping it cuts it off; [`Link::close`] takes leave.
pub(super) struct Link {
    broker: Arc<Broker>,
    stream: Box<dyn Stream>,
    heard: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    longest: u32,
    channels: BTreeMap<u16, Channel>,
    most_channels: u16,
    /// How often we give a sign of life, and for how long the broker may give none; none if it wants none.
    pub(super) pace: Option<Duration>,
}

/// What a channel is doing; one that was closed is opened again when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Closed,
    Opening,
    Idle,
    /// It waits for the answer to the question at this place.
    Asking(usize),
}

impl Link {
    /// Connects and logs in; `tls` keeps the client that is made of the broker's TLS settings.
    pub(super) async fn open(broker: &Arc<Broker>, tls: &OnceLock<Arc<ClientConfig>>) -> Result<Self, ReadError> {
        let mut link = Self {
            broker: Arc::clone(broker),
            stream: connected(broker, tls).await?,
            heard: Vec::new(),
            out: wire::HEADER.to_vec(),
            longest: wire::LONGEST,
            channels: BTreeMap::new(),
            most_channels: CHANNELS,
            pace: None,
        };
        link.log_in().await?;
        Ok(link)
    }

    async fn log_in(&mut self) -> Result<(), ReadError> {
        let broker = Arc::clone(&self.broker);
        let Told::Start { mechanisms } = self.next().await? else { return Err(errors::garbled(&broker)) };
        let (mechanism, response) = match &broker.sasl {
            Sasl::Plain(user, password) => ("PLAIN", format!("\0{}\0{}", user.expose(), password.expose())),
            Sasl::External => ("EXTERNAL", String::new()),
        };
        if !mechanisms.split(' ').any(|offered| offered == mechanism) {
            let what = format!("does not offer SASL {mechanism}");
            return Err(errors::unusable(&broker, &what));
        }
        wire::start_ok(mechanism, &response, &mut self.out);
        let Told::Tune { channels, frame, heartbeat } = self.next().await? else {
            return Err(errors::garbled(&broker));
        };
        let agreed = |proposed: u32, ours: u32| if proposed == 0 { ours } else { proposed.min(ours) };
        self.longest = agreed(frame, wire::LONGEST).max(wire::SMALLEST);
        self.most_channels = if channels == 0 { CHANNELS } else { channels.min(CHANNELS) };
        let heartbeat = heartbeat.min(HEARTBEAT);
        self.pace = (heartbeat > 0).then(|| Duration::from_secs(heartbeat.into()) / 2);
        wire::tune_ok(self.most_channels, self.longest, heartbeat, &mut self.out);
        wire::open(&broker.vhost, &mut self.out);
        match self.next().await? {
            Told::Opened => Ok(()),
            _ => Err(errors::garbled(&broker)),
        }
    }

    /// Asks for all queues, and puts each answer into its place as it comes.
    pub(super) async fn ask(&mut self, queues: &[Arc<str>], answers: &mut [Option<Outcome>]) -> Result<(), ReadError> {
        let mut waiting = 0..queues.len().min(answers.len());
        loop {
            self.assign(queues, &mut waiting);
            let busy = |channel: &Channel| matches!(channel, Channel::Asking(_));
            if waiting.is_empty() && !self.channels.values().any(busy) {
                return Ok(());
            }
            let told = self.next().await?;
            let Some((place, outcome)) = self.heed(told, queues) else { continue };
            if let Some(answer) = answers.get_mut(place) {
                *answer = Some(outcome);
            }
        }
    }

    /// Gives questions to channels that have none, and opens as many channels as there are questions for.
    fn assign(&mut self, queues: &[Arc<str>], waiting: &mut std::ops::Range<usize>) {
        let mut opening = 0;
        for number in 1..=self.most_channels {
            if waiting.len() <= opening {
                return;
            }
            let channel = self.channels.entry(number).or_insert(Channel::Closed);
            match *channel {
                Channel::Asking(_) => {}
                Channel::Opening => opening += 1,
                Channel::Closed => {
                    wire::open_channel(number, &mut self.out);
                    *channel = Channel::Opening;
                    opening += 1;
                }
                Channel::Idle => {
                    if let Some((place, queue)) = waiting.next().and_then(|place| Some((place, queues.get(place)?))) {
                        wire::declare(number, queue, &mut self.out);
                        *channel = Channel::Asking(place);
                    }
                }
            }
        }
    }

    /// What one message means for the channels; and the place of a question, if it answers one.
    fn heed(&mut self, told: Told, queues: &[Arc<str>]) -> Option<(usize, Outcome)> {
        let (number, after) = match told {
            Told::ChannelOpened(channel) | Told::Declared { channel, .. } => (channel, Channel::Idle),
            Told::ChannelClose { channel, .. } => (channel, Channel::Closed),
            _ => return None,
        };
        if after == Channel::Closed {
            wire::close_channel_ok(number, &mut self.out);
        }
        let before = self.channels.insert(number, after)?;
        let Channel::Asking(place) = before else { return None };
        let queue = queues.get(place)?;
        match told {
            Told::Declared { messages, .. } => Some((place, Ok(messages.into()))),
            Told::ChannelClose { code, text, .. } => {
                Some((place, Err(errors::refused(&self.broker, queue, code, &text))))
            }
            _ => None,
        }
    }

    /// Hears one message between questions, which changes nothing but the channels.
    pub(super) async fn listen(&mut self) -> Result<(), ReadError> {
        let told = self.next().await?;
        self.heed(told, &[]);
        Ok(())
    }

    /// Gives a sign of life.
    pub(super) async fn beat(&mut self) -> Result<(), ReadError> {
        wire::heartbeat(&mut self.out);
        self.flush().await
    }

    /// Takes leave and waits for the answer, as brokers want it. Whoever calls this sets a bound.
    pub(super) async fn close(mut self) {
        wire::close(&mut self.out);
        while let Ok(told) = self.next().await {
            if told == Told::CloseOk {
                break;
            }
        }
        let _ = self.stream.shutdown().await;
    }

    /// Sends what is to be sent and hears the next message. It may be dropped: nothing heard is lost.
    async fn next(&mut self) -> Result<Told, ReadError> {
        self.flush().await?;
        loop {
            match wire::take(&mut self.heard, self.longest) {
                Ok(Some(Told::Close { code, text })) => {
                    // It is polite to agree, and does not matter if it cannot be said any more.
                    wire::close_ok(&mut self.out);
                    let _ = self.flush().await;
                    return Err(errors::closed(&self.broker, code, &text));
                }
                Ok(Some(told)) => return Ok(told),
                Ok(None) => {}
                Err(wire::Garbled) => return Err(errors::garbled(&self.broker)),
            }
            match self.stream.read_buf(&mut self.heard).await {
                Ok(0) => return Err(errors::broken(&self.broker, &io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(errors::broken(&self.broker, &error)),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), ReadError> {
        let sent = async {
            while !self.out.is_empty() {
                let length = self.stream.write(&self.out).await?;
                if length == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                // Only what was sent is taken off, so that whoever drops this leaves the rest to be sent.
                self.out.drain(..length);
            }
            self.stream.flush().await
        };
        sent.await.map_err(|error| errors::broken(&self.broker, &error))
    }
}

/// The byte stream, encrypted where TLS is asked for.
async fn connected(broker: &Broker, tls: &OnceLock<Arc<ClientConfig>>) -> Result<Box<dyn Stream>, ReadError> {
    let failed = |error: io::Error| errors::broken(broker, &error);
    let socket = TcpStream::connect((broker.host.as_str(), broker.port)).await.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let Some(options) = &broker.tls else { return Ok(Box::new(socket)) };
    let name = ServerName::try_from(broker.host.clone());
    let name = name.map_err(|_| errors::unusable(broker, "the host is not a name that TLS can check"))?;
    let client = if let Some(made) = tls.get() {
        made
    } else {
        let made = options.client().map_err(|(field, what)| errors::unusable(broker, &format!("{field:?} {what}")))?;
        tls.get_or_init(|| made)
    };
    Ok(Box::new(TlsConnector::from(Arc::clone(client)).connect(name, socket).await.map_err(failed)?))
}
