//! Sends requests over one byte stream and hands each answer to whoever asked.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kafka_protocol::protocol::Request;
use tidegate_calculator::source::ReadError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::Stream;
use crate::kafka::errors::{self, Peer};
use crate::kafka::wire::{self, Frames, Malformed};
use crate::network::is_closed;

/// How many written frames may wait for the socket. More wait at the caller, until the caller's deadline.
const QUEUE: usize = 64;

/// How much room is made for each piece that is read, in bytes.
const PIECE: usize = 16 * 1024;

/// One byte stream with the task that serves it. Dropping it ends the task and closes the stream.
pub(super) struct Channel {
    peer: Arc<Peer>,
    state: Arc<Mutex<State>>,
    frames: mpsc::Sender<Bytes>,
    driver: AbortHandle,
}

/// Who waits for which answer; or why nobody does any more.
enum State {
    Open { next: i32, answers: usize, waiting: HashMap<i32, oneshot::Sender<Bytes>> },
    Lost(ReadError),
}

impl Channel {
    /// Starts the task.
    pub(super) fn open(stream: Box<dyn Stream>, peer: Arc<Peer>) -> Self {
        let state = Arc::new(Mutex::new(State::Open { next: 0, answers: 0, waiting: HashMap::new() }));
        let (frames, queue) = mpsc::channel(QUEUE);
        let driver = tokio::spawn(drive(stream, queue, Arc::clone(&state), Arc::clone(&peer)));
        Self { peer, state, frames, driver: driver.abort_handle() }
    }

    /// Asks and reads the answer.
    pub(super) async fn call<R: Request>(&self, request: &R, version: i16) -> Result<R::Response, ReadError> {
        let frame = self.exchange(request, version).await?;
        self.decoded::<R>(frame, version)
    }

    /// Asks and gives the answer's frame.
    ///
    /// The frame is handed to the task as a whole, so that dropping the future never leaves half of one on the wire.
    pub(super) async fn exchange<R: Request>(&self, request: &R, version: i16) -> Result<Bytes, ReadError> {
        // The place comes first: whoever gives up while it is waited for has asked nothing yet.
        let Ok(place) = self.frames.reserve().await else {
            return Err(self.cause());
        };
        let (correlation, answer) = self.register()?;
        match wire::frame(request, version, correlation) {
            Ok(frame) => place.send(frame),
            Err(flaw) => {
                self.forget(correlation);
                return Err(errors::malformed(&self.peer, &flaw));
            }
        }
        answer.await.map_err(|_| self.cause())
    }

    /// Reads an answer. One that cannot be read costs the connection: nothing it says can be trusted.
    pub(super) fn decoded<R: Request>(&self, frame: Bytes, version: i16) -> Result<R::Response, ReadError> {
        wire::response::<R>(frame, version).map_err(|flaw| {
            let error = errors::malformed(&self.peer, &flaw);
            lose(&self.state, error.clone());
            self.driver.abort();
            error
        })
    }

    pub(super) fn alive(&self) -> bool {
        matches!(*lock(&self.state), State::Open { .. })
    }

    fn register(&self) -> Result<(i32, oneshot::Receiver<Bytes>), ReadError> {
        match &mut *lock(&self.state) {
            State::Lost(error) => Err(error.clone()),
            State::Open { next, waiting, .. } => {
                let (answer, receiver) = oneshot::channel();
                let correlation = *next;
                *next = next.wrapping_add(1);
                waiting.insert(correlation, answer);
                Ok((correlation, receiver))
            }
        }
    }

    fn forget(&self, correlation: i32) {
        if let State::Open { waiting, .. } = &mut *lock(&self.state) {
            waiting.remove(&correlation);
        }
    }

    /// Why the connection was lost.
    fn cause(&self) -> ReadError {
        match &*lock(&self.state) {
            State::Lost(error) => error.clone(),
            State::Open { .. } => errors::closed(&self.peer, usize::MAX),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why the task ended.
enum End {
    Io(io::Error),
    Malformed(Malformed),
}

/// Writes what is queued and reads what comes, until either fails.
async fn drive(stream: Box<dyn Stream>, mut queue: mpsc::Receiver<Bytes>, state: Arc<Mutex<State>>, peer: Arc<Peer>) {
    let (reader, writer) = tokio::io::split(stream);
    let end = tokio::select! {
        // What the broker said last explains more than that it takes no more.
        biased;
        end = read(reader, &state) => end,
        error = write(writer, &mut queue) => End::Io(error),
    };
    let error = match end {
        End::Malformed(flaw) => errors::malformed(&peer, &flaw),
        // A reset says no more than an orderly end.
        End::Io(error) if is_closed(&error) => errors::closed(&peer, answers(&state)),
        End::Io(error) => errors::io(&peer, &error),
    };
    // Before the queue is gone, so that whoever finds it closed finds the cause too.
    lose(&state, error);
}

async fn write(mut writer: WriteHalf<Box<dyn Stream>>, queue: &mut mpsc::Receiver<Bytes>) -> io::Error {
    while let Some(frame) = queue.recv().await {
        let written = async {
            writer.write_all(&frame).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            return error;
        }
    }
    io::ErrorKind::UnexpectedEof.into()
}

async fn read(mut reader: ReadHalf<Box<dyn Stream>>, state: &Mutex<State>) -> End {
    let mut frames = Frames::default();
    loop {
        frames.bytes.reserve(PIECE);
        match reader.read_buf(&mut frames.bytes).await {
            Ok(0) => return End::Io(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) => return End::Io(error),
        }
        loop {
            match frames.next() {
                Ok(None) => break,
                Ok(Some(frame)) => match hand_out(state, frame) {
                    Ok(()) => {}
                    Err(flaw) => return End::Malformed(flaw),
                },
                Err(flaw) => return End::Malformed(flaw),
            }
        }
    }
}

/// Gives a frame to whoever waits for it. One who has given up is no error; one who never asked is.
fn hand_out(state: &Mutex<State>, frame: Bytes) -> Result<(), Malformed> {
    let correlation = wire::correlation(&frame)?;
    let State::Open { waiting, answers, .. } = &mut *lock(state) else {
        return Ok(());
    };
    let asker = waiting.remove(&correlation).ok_or(Malformed::Stray)?;
    *answers = answers.saturating_add(1);
    drop(asker.send(frame));
    Ok(())
}

/// How many answers have come.
fn answers(state: &Mutex<State>) -> usize {
    match &*lock(state) {
        State::Open { answers, .. } => *answers,
        State::Lost(_) => 0,
    }
}

/// Remembers the first cause and wakes everybody who waits.
fn lose(state: &Mutex<State>, error: ReadError) {
    let mut state = lock(state);
    if matches!(*state, State::Open { .. }) {
        *state = State::Lost(error);
    }
}

/// Locks; nothing here can panic while it holds the lock and leave half a change.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
