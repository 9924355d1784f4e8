//! Reads the lengths of many keys in one pipeline.
//!
//! KEDA runs a script (`TYPE`, then the length command of that type) for every key. We send no script: `EVAL` is often
//! forbidden to a restricted user, and costs the server more. Instead every key is asked with the command of the type it
//! had last, `LLEN` at first. The answer is certain, because the command fails with WRONGTYPE on any other type and an
//! absent key is 0 for all of them. Only keys whose type was guessed wrong need a second round, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Pipeline, RedisError, RedisResult, Value};
use tidegate_calculator::source::ReadError;

use super::connection::{Connection, Connector, Server};
use super::{Key, errors};
use crate::endpoint::Backend;

/// The commands that say how many elements a key holds, one a type.
const LENGTHS: [&str; 4] = ["LLEN", "SCARD", "ZCARD", "HLEN"];

/// How many keys may be remembered not to be lists: far more than the triggers of one server. It bounds what is kept
/// of triggers that are gone.
const MEMORY: usize = 65_536;

/// The backend of one server.
pub(super) struct Lengths {
    connector: Connector,
    connection: Option<Connection>,
    /// The database that the connection is in.
    database: i64,
    /// The commands of keys that are not lists.
    commands: HashMap<Key, &'static str>,
}

/// What to send for one key.
struct Errand<'a> {
    place: usize,
    key: &'a Key,
    commands: Vec<&'static str>,
}

/// What the server said for one key, by command.
type Replies = Vec<(&'static str, RedisResult<Value>)>;

/// Why a batch as a whole failed.
enum Failure {
    /// The connection could not be made.
    Unreachable(ReadError),
    /// The connection that we had is lost.
    Lost(RedisError),
}

#[async_trait]
impl Backend for Lengths {
    type Query = Key;
    type Answer = i64;

    async fn ask(&mut self, queries: &[Key], _: Duration) -> Result<Vec<Result<i64, ReadError>>, ReadError> {
        let reused = self.connection.is_some();
        let outcome = match self.batch(queries).await {
            // The server may have closed a connection that was idle, or was restarted: that alone is no failure.
            Err(Failure::Lost(error)) if reused && error.is_connection_dropped() => {
                self.hang_up();
                self.batch(queries).await
            }
            outcome => outcome,
        };
        outcome.map_err(|failure| match failure {
            Failure::Unreachable(error) => error,
            Failure::Lost(error) => errors::endpoint(self.server(), &error),
        })
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.database = 0;
    }
}

impl Lengths {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { connector: Connector::new(server), connection: None, database: 0, commands: HashMap::new() }
    }

    fn server(&self) -> &Server {
        &self.connector.server
    }

    async fn batch(&mut self, queries: &[Key]) -> Result<Vec<Result<i64, ReadError>>, Failure> {
        let errand = |(place, key)| Errand { place, key, commands: vec![self.guess(key)] };
        let replies = self.round(queries.iter().enumerate().map(errand).collect(), queries.len()).await?;
        let mut answers: Vec<_> = queries.iter().zip(&replies).map(|(key, said)| self.judge(key, said)).collect();
        let misjudged = |said: &Replies| said.iter().any(|(_, reply)| asks_for_another(reply));
        let everything = || LENGTHS.into_iter().chain(["TYPE"]).collect();
        let wrong = queries.iter().zip(&replies).enumerate().filter(|(_, (_, said))| misjudged(said));
        let errands: Vec<_> = wrong.map(|(place, (key, _))| Errand { place, key, commands: everything() }).collect();
        if !errands.is_empty() {
            let again = self.round(errands, queries.len()).await?;
            for (place, said) in again.into_iter().enumerate().filter(|(_, said)| !said.is_empty()) {
                self.remember(&queries[place], &said);
                answers[place] = self.judge(&queries[place], &said);
            }
        }
        Ok(answers)
    }

    /// One exchange with the server: the replies by place, of as many places as asked for.
    async fn round(&mut self, mut errands: Vec<Errand<'_>>, places: usize) -> Result<Vec<Replies>, Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.connector.connect().await.map_err(Failure::Unreachable)?);
            self.database = 0;
        }
        let Some(connection) = &mut self.connection else {
            return Ok(Vec::new());
        };
        // Keys of one database stand together, and the database that the connection is in comes first.
        errands.sort_by_key(|errand| (errand.key.database != self.database, errand.key.database));
        let replies = pipeline(&errands, self.database).query_async(&mut connection.commands).await;
        Ok(sort(errands, replies.map_err(Failure::Lost)?, &mut self.database, places))
    }

    fn guess(&self, key: &Key) -> &'static str {
        self.commands.get(key).copied().unwrap_or(LENGTHS[0])
    }

    /// Keeps the command that worked.
    fn remember(&mut self, key: &Key, replies: &Replies) {
        let worked = replies.iter().find(|(_, reply)| matches!(reply, Ok(Value::Int(1..))));
        match worked {
            Some((command, _)) if *command != LENGTHS[0] => {
                if self.commands.len() >= MEMORY {
                    self.commands.clear();
                }
                self.commands.insert(key.clone(), command);
            }
            _ => drop(self.commands.remove(key)),
        }
    }

    fn judge(&self, key: &Key, replies: &Replies) -> Result<i64, ReadError> {
        let lengths = replies.iter().filter_map(|(_, reply)| match reply {
            Ok(Value::Int(length)) => Some(*length),
            _ => None,
        });
        if let Some(length) = lengths.max() {
            return Ok(length);
        }
        let asked = replies.iter().filter(|(command, _)| *command != "TYPE");
        for (command, reply) in asked {
            match reply {
                Err(error) if error.code() == Some("WRONGTYPE") => {}
                Err(error) => return Err(errors::query(self.server(), key, command, error)),
                Ok(_) => return Err(errors::not_a_length(self.server(), key, command)),
            }
        }
        let kind = replies.iter().find_map(|(command, reply)| match reply {
            Ok(Value::SimpleString(kind)) if *command == "TYPE" => Some(kind.as_str()),
            _ => None,
        });
        Err(errors::wrong_type(self.server(), key, kind))
    }
}

/// All commands, with a SELECT wherever the database changes.
fn pipeline(errands: &[Errand<'_>], mut database: i64) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for Errand { key, commands, .. } in errands {
        if key.database != database {
            database = key.database;
            pipeline.cmd("SELECT").arg(database);
        }
        for command in commands {
            pipeline.cmd(command).arg(&*key.name);
        }
    }
    pipeline.ignore_errors();
    pipeline
}

/// Gives every place its replies, and sets the database that the connection is in afterwards.
///
/// Behind a SELECT that failed, the server answered from the wrong database: those answers are thrown away.
fn sort(errands: Vec<Errand<'_>>, replies: Vec<RedisResult<Value>>, database: &mut i64, places: usize) -> Vec<Replies> {
    let (mut sorted, mut replies) = (vec![Vec::new(); places], replies.into_iter());
    let (mut asked, mut refused) = (*database, None);
    for Errand { place, key, commands } in errands {
        if key.database != asked {
            asked = key.database;
            refused = replies.next().and_then(Result::err);
            if refused.is_none() {
                *database = asked;
            }
        }
        for command in commands {
            let reply = replies.next().unwrap_or_else(|| Err(cut_short()));
            sorted[place].push(refused.clone().map_or((command, reply), |error| ("SELECT", Err(error))));
        }
    }
    sorted
}

/// Whether another type's command may succeed where this one did not; a user may have the right to that one only.
fn asks_for_another(reply: &RedisResult<Value>) -> bool {
    matches!(reply, Err(error) if matches!(error.code(), Some("WRONGTYPE" | "NOPERM")))
}

/// The library gives exactly one reply a command; this is for the day it does not.
fn cut_short() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "a reply is missing").into()
}

#[cfg(test)]
#[path = "lengths_tests.rs"]
mod tests;
