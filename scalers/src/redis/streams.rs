//! Says how many entries of a stream wait: all of them, those a consumer group works on, or those it has not been given.
//!
//! Absent things count as in KEDA: a stream that does not exist has no entries and no lag; a group that does not exist
//! has all of the stream before it; but nobody knows what is pending in a group that does not exist.
//!
//! Redis does not always know a group's lag: entries were deleted in the middle of the stream, or the group began at an
//! id of its own. KEDA then reads 0, and a sleeping worker never wakes. Here the entries behind the group's position are
//! counted; beyond [`COUNTED`] of them the length of the stream stands for the lag, which is never less.

use redis::{RedisError, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::connection::Server;
use super::question::{Answer, Command, Replies, Verdict};
use super::{Key, errors};

/// The most entries that are counted one by one: they are sent with all they hold, at every poll.
pub(super) const COUNTED: usize = 200;

/// The reply to `XLEN`.
pub(super) fn entries(server: &Server, key: &Key, replies: &Replies) -> Result<Answer, ReadError> {
    match reply(replies, "XLEN") {
        Some(Ok(Value::Int(length @ 0..))) => Ok(Answer::Count(*length)),
        Some(Err(error)) => Err(refused(server, key, "XLEN", error)),
        _ => Err(errors::not_a_length(server, key, "XLEN")),
    }
}

/// The reply to `XPENDING`, whose first number is the total.
pub(super) fn pending(server: &Server, key: &Key, group: &str, replies: &Replies) -> Result<Answer, ReadError> {
    match reply(replies, "XPENDING") {
        Some(Ok(Value::Array(summary))) => match summary.first() {
            Some(Value::Int(total @ 0..)) => Ok(Answer::Count(*total)),
            _ => Err(errors::not_a_length(server, key, "XPENDING")),
        },
        Some(Err(error)) if error.code() == Some("NOGROUP") => Err(errors::no_group(server, key, group)),
        Some(Err(error)) => Err(refused(server, key, "XPENDING", error)),
        _ => Err(errors::not_a_length(server, key, "XPENDING")),
    }
}

/// The reply to `XINFO GROUPS`.
pub(super) fn lag(server: &Server, key: &Key, group: &str, replies: &Replies) -> Verdict {
    let groups = match reply(replies, "XINFO") {
        Some(Ok(Value::Array(groups))) => groups,
        Some(Err(error)) if is_absent(error) => return Verdict::Final(Ok(Answer::Count(0))),
        Some(Err(error)) => return Verdict::Final(Err(refused(server, key, "XINFO GROUPS", error))),
        _ => return Verdict::Final(Err(errors::not_a_length(server, key, "XINFO GROUPS"))),
    };
    let ours = |fields: &&Value| matches!(field(fields, "name"), Some(name) if is_text(name, group));
    let Some(fields) = groups.iter().find(ours) else {
        return Verdict::Again(vec![Command::Named("XLEN")]);
    };
    match (field(fields, "lag"), field(fields, "last-delivered-id")) {
        (Some(Value::Int(lag @ 0..)), _) => Verdict::Final(Ok(Answer::Count(*lag))),
        (Some(_), Some(Value::BulkString(id))) => {
            let id = String::from_utf8_lossy(id).into_owned();
            Verdict::Again(vec![Command::After(id), Command::Named("XLEN")])
        }
        (Some(_), _) => Verdict::Final(Err(errors::not_a_length(server, key, "XINFO GROUPS"))),
        (None, _) => Verdict::Final(Err(errors::too_old(server, key))),
    }
}

/// The entries behind the group's position if they were counted to the end, else the length of the stream.
pub(super) fn undelivered(server: &Server, key: &Key, replies: &Replies) -> Result<Answer, ReadError> {
    match reply(replies, "XRANGE") {
        Some(Ok(Value::Array(counted))) if counted.len() < COUNTED => {
            Ok(Answer::Count(i64::try_from(counted.len()).unwrap_or(i64::MAX)))
        }
        Some(Err(error)) => Err(refused(server, key, "XRANGE", error)),
        Some(Ok(Value::Array(_))) | None => entries(server, key, replies),
        Some(Ok(_)) => Err(errors::not_a_length(server, key, "XRANGE")),
    }
}

fn reply<'a>(replies: &'a Replies, command: &str) -> Option<Result<&'a Value, &'a RedisError>> {
    replies.iter().find(|(name, _)| *name == command).map(|(_, reply)| reply.as_ref())
}

fn refused(server: &Server, key: &Key, command: &str, error: &RedisError) -> ReadError {
    if error.code() == Some("WRONGTYPE") {
        let what = format!("key {:?} of {} is not a stream", key.name, server.name());
        return ReadError::query(ReadErrorKind::Config, what);
    }
    errors::query(server, key, command, error)
}

/// How `XINFO` says that there is no such key. It has no code of its own.
fn is_absent(error: &RedisError) -> bool {
    error.code() == Some("ERR") && error.detail().is_some_and(|text| text.starts_with("no such key"))
}

/// A field of a group: names and values alternate.
fn field<'a>(fields: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Array(flat) = fields else { return None };
    flat.chunks_exact(2).find(|pair| is_text(&pair[0], name)).map(|pair| &pair[1])
}

fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::BulkString(bytes) => bytes == text.as_bytes(),
        Value::SimpleString(string) => string == text,
        _ => false,
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
