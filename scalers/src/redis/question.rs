//! What a trigger asks of Redis, which commands answer it, and what their replies mean.
//!
//! Nothing here is sent: a question says what to send, at most twice, and judges what came back. So one place says what
//! is a number, what is an error, and whose; that an absent key, stream or group is told apart from an unknown one; and
//! that no reply but a number is ever a number.

use std::sync::Arc;

use redis::{Cmd, RedisError, RedisResult, Value};
use tidegate_calculator::source::ReadError;

use super::connection::Server;
use super::{Key, errors, lengths, streams};

/// One question; equal ones are asked once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Question {
    /// How many elements a list, set, sorted set or hash holds.
    Length(Key),
    /// How many entries a stream holds.
    Entries(Key),
    /// How many entries a consumer group has been given and not acknowledged.
    Pending(Key, Arc<str>),
    /// How many entries a consumer group has still to be given.
    Lag(Key, Arc<str>),
    /// What the server says about itself.
    Info,
}

/// What Redis says to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// A number of elements or entries.
    Count(i64),
    /// The text of `INFO`: to [`Question::Info`] alone.
    Info(Arc<str>),
}

/// A command about the key of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    /// One that needs no more than the question, by its name.
    Named(&'static str),
    /// The entries of a stream behind this id, no more than [`streams::COUNTED`].
    After(String),
}

/// What the server said, by the command's name.
pub(super) type Replies = Vec<(&'static str, RedisResult<Value>)>;

/// What the replies come to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// All is known.
    Final(Result<Answer, ReadError>),
    /// These commands will say more; what they say is final.
    Again(Vec<Command>),
}

impl Question {
    /// The key it is about, if it is about one.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::Length(key) | Self::Entries(key) | Self::Pending(key, _) | Self::Lag(key, _) => Some(key),
            Self::Info => None,
        }
    }

    /// What to send first. `guess` is the command that a length is likely read with.
    pub(super) fn first(&self, guess: &'static str) -> Vec<Command> {
        vec![Command::Named(match self {
            Self::Length(_) => guess,
            Self::Entries(_) => "XLEN",
            Self::Pending(..) => "XPENDING",
            Self::Lag(..) => "XINFO",
            Self::Info => "INFO",
        })]
    }

    /// What the replies to [`Self::first`] mean.
    pub(super) fn judge(&self, server: &Server, replies: &Replies) -> Verdict {
        match self {
            _ if misplaced(replies).is_some() => Verdict::Final(self.conclude(server, replies)),
            Self::Length(_) if replies.iter().any(|(_, reply)| lengths::asks_for_another(reply)) => {
                Verdict::Again(lengths::everything())
            }
            Self::Lag(key, group) => streams::lag(server, key, group, replies),
            _ => Verdict::Final(self.conclude(server, replies)),
        }
    }

    /// What replies mean after which nothing more is sent.
    pub(super) fn conclude(&self, server: &Server, replies: &Replies) -> Result<Answer, ReadError> {
        if let (Some(error), Some(key)) = (misplaced(replies), self.key()) {
            return Err(errors::query(server, key, "SELECT", error));
        }
        match self {
            Self::Length(key) => lengths::judge(server, key, replies),
            Self::Entries(key) => streams::entries(server, key, replies),
            Self::Pending(key, group) => streams::pending(server, key, group, replies),
            Self::Lag(key, _) => streams::undelivered(server, key, replies),
            Self::Info => info(server, replies),
        }
    }
}

impl Command {
    /// What the command is called in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Named(name) => name,
            Self::After(_) => "XRANGE",
        }
    }

    /// The command as it is sent.
    pub(super) fn build(&self, question: &Question) -> Cmd {
        let mut command = redis::cmd(self.name());
        if *self == Self::Named("XINFO") {
            command.arg("GROUPS");
        }
        if let Some(key) = question.key() {
            command.arg(&*key.name);
        }
        match (self, question) {
            (Self::Named("XPENDING"), Question::Pending(_, group)) => _ = command.arg(&**group),
            (Self::After(id), _) => _ = command.arg(format!("({id}")).arg("+").arg("COUNT").arg(streams::COUNTED),
            _ => {}
        }
        command
    }
}

/// Why the database of the key could not be selected, if it could not.
fn misplaced(replies: &Replies) -> Option<&RedisError> {
    replies.iter().find(|(name, _)| *name == "SELECT").and_then(|(_, reply)| reply.as_ref().err())
}

fn info(server: &Server, replies: &Replies) -> Result<Answer, ReadError> {
    match replies.first() {
        Some((_, Ok(Value::BulkString(text)))) => Ok(Answer::Info(String::from_utf8_lossy(text).into())),
        Some((command, Err(error))) => Err(errors::statement(server, command, error)),
        _ => Err(errors::not_an_answer(server, "INFO")),
    }
}
