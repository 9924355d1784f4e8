//! Says how many elements a key holds, whatever its type.
//!
//! KEDA runs a script (`TYPE`, then the length command of that type) for every key. We send no script: `EVAL` is often
//! forbidden to a restricted user, and costs the server more. Instead every key is asked with the command of the type it
//! had last, `LLEN` at first. The answer is certain, because the command fails with WRONGTYPE on any other type and an
//! absent key is 0 for all of them. Only keys whose type was guessed wrong need a second round, once.

use redis::{RedisResult, Value};
use tidegate_calculator::source::ReadError;

use super::connection::Server;
use super::question::{Answer, Command, Replies};
use super::{Key, errors};

/// The commands that say how many elements a key holds, one a type.
pub(super) const LENGTHS: [&str; 4] = ["LLEN", "SCARD", "ZCARD", "HLEN"];

/// What is sent for a key whose type was guessed wrong.
pub(super) fn everything() -> Vec<Command> {
    LENGTHS.into_iter().chain(["TYPE"]).map(Command::Named).collect()
}

/// Whether another type's command may succeed where this one did not; a user may have the right to that one only.
pub(super) fn asks_for_another(reply: &RedisResult<Value>) -> bool {
    matches!(reply, Err(error) if matches!(error.code(), Some("WRONGTYPE" | "NOPERM")))
}

/// The command that found elements, if one did.
pub(super) fn worked(replies: &Replies) -> Option<&'static str> {
    replies.iter().find(|(_, reply)| matches!(reply, Ok(Value::Int(1..)))).map(|(command, _)| *command)
}

/// The length that one of the commands gave, or why none did.
pub(super) fn judge(server: &Server, key: &Key, replies: &Replies) -> Result<Answer, ReadError> {
    let lengths = replies.iter().filter_map(|(_, reply)| match reply {
        Ok(Value::Int(length)) => Some(*length),
        _ => None,
    });
    if let Some(length) = lengths.max() {
        return Ok(Answer::Count(length));
    }
    let asked = replies.iter().filter(|(command, _)| *command != "TYPE");
    for (command, reply) in asked {
        match reply {
            Err(error) if error.code() == Some("WRONGTYPE") => {}
            Err(error) => return Err(errors::query(server, key, command, error)),
            Ok(_) => return Err(errors::not_a_length(server, key, command)),
        }
    }
    let kind = replies.iter().find_map(|(command, reply)| match reply {
        Ok(Value::SimpleString(kind)) if *command == "TYPE" => Some(kind.as_str()),
        _ => None,
    });
    Err(errors::wrong_type(server, key, kind))
}
