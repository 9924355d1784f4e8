//! Asks one server many questions in one pipeline.

use std::collections::HashMap;
use std::sync::Arc;

use redis::{Pipeline, RedisError, RedisResult, Value};
use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::connection::{Address, Connection, Connector, Server};
use super::lengths::{self, LENGTHS};
use super::question::{Answer, Command, Question, Replies, Verdict};
use super::{Key, errors};

/// How many keys may be remembered not to be lists: far more than the triggers of one server. It bounds what is kept
/// of triggers that are gone.
const MEMORY: usize = 65_536;

/// One server, and the connection to it.
pub(super) struct Node {
    connector: Connector,
    connection: Option<Connection>,
    /// Whether a server that follows another one is of no use.
    master: bool,
    /// The database that the connection is in.
    database: i64,
    /// The commands of keys that are not lists.
    commands: HashMap<Key, &'static str>,
}

/// A question to one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) question: &'a Question,
    /// Whether another node of the cluster sent us here for this one time (`ASKING`).
    pub(super) asking: bool,
}

/// What one server says to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// An answer, or an error of this question's own.
    Said(Result<Answer, ReadError>),
    /// Another node of the cluster has the key.
    Elsewhere(Redirect),
}

/// Where a key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Redirect {
    pub(super) address: Address,
    /// Whether it is there for this one question only: it is being moved.
    pub(super) once: bool,
}

/// What to send for one question.
struct Errand<'a> {
    place: usize,
    asked: Asked<'a>,
    commands: Vec<Command>,
}

/// Why a batch as a whole failed.
enum Failure {
    /// The connection could not be made.
    Unreachable(ReadError),
    /// The connection that we had is lost.
    Lost(RedisError),
}

impl Node {
    /// A server of whatever role.
    pub(super) fn new(server: Arc<Server>) -> Self {
        let connector = Connector::new(server);
        Self { connector, connection: None, master: false, database: 0, commands: HashMap::new() }
    }

    /// A server that is of use as long as it says that it is a master.
    pub(super) fn master(server: Arc<Server>) -> Self {
        Self { master: true, ..Self::new(server) }
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.connector.server
    }

    /// Drops the connection; the next question makes a new one.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
        self.database = 0;
    }

    /// Asks everything at once, connecting first if need be. An error stands for all of the questions.
    pub(super) async fn ask(&mut self, asked: &[Asked<'_>]) -> Result<Vec<Outcome>, ReadError> {
        let reused = self.connection.is_some();
        let outcome = match self.batch(asked).await {
            // The server may have closed a connection that was idle, or was restarted: that alone is no failure.
            Err(Failure::Lost(error)) if reused && error.is_connection_dropped() => {
                self.hang_up();
                self.batch(asked).await
            }
            outcome => outcome,
        };
        outcome.map_err(|failure| match failure {
            Failure::Unreachable(error) => error,
            Failure::Lost(error) => errors::endpoint(self.server(), &error),
        })
    }

    async fn batch<'a>(&mut self, asked: &[Asked<'a>]) -> Result<Vec<Outcome>, Failure> {
        let errand = |(place, asked): (usize, &Asked<'a>)| Errand {
            place,
            asked: *asked,
            commands: asked.question.first(self.guess(asked)),
        };
        let errands = asked.iter().enumerate().map(errand).collect();
        let replies = self.round(errands, asked.len()).await?;
        let (mut outcomes, mut again) = (Vec::new(), Vec::new());
        for (place, (asked, said)) in asked.iter().zip(&replies).enumerate() {
            outcomes.push(match (redirect(self.server(), said), asked.question.judge(self.server(), said)) {
                (Some(elsewhere), _) => Outcome::Elsewhere(elsewhere),
                (None, Verdict::Final(answer)) => Outcome::Said(answer),
                (None, Verdict::Again(commands)) => {
                    again.push(Errand { place, asked: *asked, commands });
                    // It is replaced below; should it ever not be, it is an error and not a number.
                    Outcome::Said(Err(errors::endpoint(self.server(), &cut_short())))
                }
            });
        }
        if !again.is_empty() {
            let replies = self.round(again, asked.len()).await?;
            for (place, said) in replies.into_iter().enumerate().filter(|(_, said)| !said.is_empty()) {
                outcomes[place] = self.conclude(asked[place].question, &said);
            }
        }
        Ok(outcomes)
    }

    /// What the second replies mean, which are the last.
    fn conclude(&mut self, question: &Question, said: &Replies) -> Outcome {
        if let Some(elsewhere) = redirect(self.server(), said) {
            return Outcome::Elsewhere(elsewhere);
        }
        if let Question::Length(key) = question {
            self.remember(key, said);
        }
        Outcome::Said(question.conclude(self.server(), said))
    }

    /// One exchange with the server: the replies by place, of as many places as asked for.
    async fn round(&mut self, mut errands: Vec<Errand<'_>>, places: usize) -> Result<Vec<Replies>, Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await.map_err(Failure::Unreachable)?);
            self.database = 0;
        }
        let Some(connection) = &mut self.connection else {
            return Ok(Vec::new());
        };
        // Keys of one database stand together, and the database that the connection is in comes first.
        let current = self.database;
        errands.sort_by_key(|errand| (errand.database(current) != current, errand.database(current)));
        let replies = pipeline(&errands, current).query_async(&mut connection.commands).await;
        Ok(sort(errands, replies.map_err(Failure::Lost)?, &mut self.database, places))
    }

    async fn connect(&self) -> Result<Connection, ReadError> {
        let mut connection = self.connector.connect().await?;
        if self.master {
            let role: RedisResult<Value> = redis::cmd("ROLE").query_async(&mut connection.commands).await;
            match role {
                Ok(Value::Array(said)) if says_slave(said.first()) => {
                    let what = format!("{} is not the master any more", self.server().name());
                    return Err(ReadError::endpoint(ReadErrorKind::Unavailable, what));
                }
                Err(error) if error.is_io_error() => return Err(errors::endpoint(self.server(), &error)),
                // A user who may not ask for the role takes what the Sentinels say.
                _ => {}
            }
        }
        Ok(connection)
    }

    fn guess(&self, asked: &Asked<'_>) -> &'static str {
        let Question::Length(key) = asked.question else { return LENGTHS[0] };
        self.commands.get(key).copied().unwrap_or(LENGTHS[0])
    }

    /// Keeps the command that worked.
    fn remember(&mut self, key: &Key, replies: &Replies) {
        match lengths::worked(replies) {
            Some(command) if command != LENGTHS[0] => {
                if self.commands.len() >= MEMORY {
                    self.commands.clear();
                }
                self.commands.insert(key.clone(), command);
            }
            _ => drop(self.commands.remove(key)),
        }
    }
}

impl Errand<'_> {
    /// The database of its key; where it has none, the one that the connection is in will do.
    fn database(&self, current: i64) -> i64 {
        self.asked.question.key().map_or(current, |key| key.database)
    }
}

impl Outcome {
    /// The answer where there is no cluster to follow redirects in.
    pub(super) fn settle(self, server: &Server, question: &Question) -> Result<Answer, ReadError> {
        match self {
            Self::Said(said) => said,
            Self::Elsewhere(_) => Err(errors::clustered(server, question.key())),
        }
    }
}

/// All commands, with a SELECT wherever the database changes.
fn pipeline(errands: &[Errand<'_>], current: i64) -> Pipeline {
    let (mut pipeline, mut database) = (Pipeline::new(), current);
    for errand in errands {
        if errand.database(current) != database {
            database = errand.database(current);
            pipeline.cmd("SELECT").arg(database);
        }
        for command in &errand.commands {
            if errand.asked.asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(command.build(errand.asked.question));
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
    let (current, mut asked, mut refused) = (*database, *database, None);
    for errand in errands {
        if errand.database(current) != asked {
            asked = errand.database(current);
            refused = replies.next().and_then(Result::err);
            if refused.is_none() {
                *database = asked;
            }
        }
        for command in &errand.commands {
            if errand.asked.asking {
                // What it says does not matter: where it was refused, the command behind it is sent elsewhere again.
                drop(replies.next());
            }
            let (name, reply) = (command.name(), replies.next().unwrap_or_else(|| Err(cut_short())));
            sorted[errand.place].push(refused.clone().map_or((name, reply), |error| ("SELECT", Err(error))));
        }
    }
    sorted
}

/// Where the replies say that the key is, if they say so.
fn redirect(server: &Server, replies: &Replies) -> Option<Redirect> {
    let error = replies.iter().find_map(|(_, reply)| reply.as_ref().err().filter(|error| is_redirect(error)))?;
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    // A node that does not know its own name leaves it out: then it is the one that was asked.
    let host = if host.is_empty() { &server.host } else { host };
    Some(Redirect { address: Address::new(host, port.parse().ok()?), once: error.code() == Some("ASK") })
}

fn is_redirect(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK"))
}

fn says_slave(role: Option<&Value>) -> bool {
    matches!(role, Some(Value::BulkString(role)) if role == b"slave")
}

/// The library gives exactly one reply a command; this is for the day it does not.
fn cut_short() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "a reply is missing").into()
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
