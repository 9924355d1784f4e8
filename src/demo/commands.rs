//! What the embedded store can be asked: one row a command, with Redis's own words for what is wrong.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::resp::{Value, Version};
use super::store::{ClientId, End, Item, Store, Tracking, Wait};

/// What a client learns as the server's version: the first that has everything we answer.
const REDIS_VERSION: &str = "7.0.0";
const SYNTAX: &str = "ERR syntax error";

/// One connection's state.
#[derive(Debug)]
pub(super) struct Session {
    /// Its number.
    pub(super) id: ClientId,
    /// The protocol that it speaks.
    pub(super) version: Version,
    /// Notified when keys have changed that it tracks.
    pub(super) wake: Arc<Notify>,
    name: Vec<u8>,
    store: Store,
}

/// What comes of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer.
    Answer(Value),
    /// The answer is an item that has been taken: it goes back if it cannot be delivered.
    Item(Item),
    /// The answer comes with the next item, or after this time.
    Wait(Wait, Option<Duration>),
    /// The answer, and the connection ends.
    Quit(Value),
}

type Arguments<'a> = &'a [Vec<u8>];
type Action = fn(&mut Session, Arguments<'_>) -> Result<Outcome, String>;

/// Name, fewest and most arguments, what it does.
const COMMANDS: &[(&str, usize, usize, Action)] = &[
    ("AUTH", 1, 2, auth),
    ("BRPOP", 2, usize::MAX, brpop),
    ("CLIENT", 1, usize::MAX, client),
    ("COMMAND", 0, usize::MAX, |_, _| answer(Value::Array(Vec::new()))),
    ("CONFIG", 1, usize::MAX, config),
    ("DEL", 1, usize::MAX, |session, keys| count(session.store.remove(session.id, keys))),
    ("HELLO", 0, usize::MAX, hello),
    ("HLEN", 1, 1, of_another_type),
    ("INFO", 0, usize::MAX, info),
    ("LLEN", 1, 1, |session, keys| count(session.store.length(session.id, &keys[0]))),
    ("LPUSH", 2, usize::MAX, |session, words| push(session, words, End::Head)),
    ("PING", 0, 1, ping),
    ("QUIT", 0, usize::MAX, |_, _| Ok(Outcome::Quit(simple("OK")))),
    ("RPUSH", 2, usize::MAX, |session, words| push(session, words, End::Tail)),
    ("SCARD", 1, 1, of_another_type),
    ("SELECT", 1, 1, select),
    ("TYPE", 1, 1, kind),
    ("ZCARD", 1, 1, of_another_type),
];

impl Session {
    /// A connection that nothing has been said on yet.
    pub(super) fn new(store: Store) -> Self {
        let id = store.client_id();
        Self { id, version: Version::Two, wake: Arc::default(), name: Vec::new(), store }
    }

    /// Does what a command says; an error is an answer too.
    pub(super) fn execute(&mut self, words: &[Vec<u8>]) -> Outcome {
        let Some((name, arguments)) = words.split_first() else { return Outcome::Answer(simple("OK")) };
        let name = shown(name);
        let row = COMMANDS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&name));
        let Some((_, fewest, most, action)) = row else {
            return Outcome::Answer(Value::Error(unknown(&name, arguments)));
        };
        if !(*fewest..=*most).contains(&arguments.len()) {
            return Outcome::Answer(Value::Error(arity(&name)));
        }
        action(self, arguments).unwrap_or_else(|error| Outcome::Answer(Value::Error(error)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.store.ignore(self.id);
    }
}

/// The answer that hands an item over.
pub(super) fn item_answer(item: &Item) -> Value {
    Value::Array(vec![Value::Bulk(item.key.clone()), Value::Bulk(item.value.clone())])
}

#[expect(clippy::unnecessary_wraps, reason = "the last word of functions that may fail")]
fn answer(value: Value) -> Result<Outcome, String> {
    Ok(Outcome::Answer(value))
}

fn ok() -> Result<Outcome, String> {
    answer(simple("OK"))
}

fn simple(text: &str) -> Value {
    Value::Simple(text.to_owned())
}

fn bulk(text: impl Into<Vec<u8>>) -> Value {
    Value::Bulk(text.into())
}

fn count(number: usize) -> Result<Outcome, String> {
    answer(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
}

/// A word for a message: short, and readable whatever it is.
fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned()
}

fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

fn unknown(name: &str, arguments: Arguments<'_>) -> String {
    let beginning: Vec<String> = arguments.iter().take(4).map(|word| format!("'{}'", shown(word))).collect();
    format!("ERR unknown command '{name}', with args beginning with: {}", beginning.join(" "))
}

fn arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{}' command", name.to_lowercase())
}

fn push(session: &mut Session, words: Arguments<'_>, end: End) -> Result<Outcome, String> {
    let pushed = session.store.push(session.id, &words[0], &words[1..], end);
    count(pushed.map_err(|full| full.to_string())?)
}

fn brpop(session: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    let (last, keys) = words.split_last().ok_or_else(|| arity("brpop"))?;
    let timeout = timeout(last)?;
    Ok(match session.store.pop_or_wait(session.id, keys.to_vec()) {
        Ok(item) => Outcome::Item(item),
        Err(wait) => Outcome::Wait(wait, timeout),
    })
}

/// Seconds with a fraction; zero waits for ever.
fn timeout(word: &[u8]) -> Result<Option<Duration>, String> {
    let invalid = || "ERR timeout is not a float or out of range".to_owned();
    let seconds: f64 = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
    if seconds < 0.0 {
        return Err("ERR timeout is negative".to_owned());
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    Ok((!duration.is_zero()).then_some(duration))
}

fn kind(session: &mut Session, keys: Arguments<'_>) -> Result<Outcome, String> {
    let length = session.store.length(session.id, &keys[0]);
    answer(simple(if length == 0 { "none" } else { "list" }))
}

/// Only lists can be made here: a key that is there has the wrong type, one that is not counts none.
fn of_another_type(session: &mut Session, keys: Arguments<'_>) -> Result<Outcome, String> {
    match session.store.length(session.id, &keys[0]) {
        0 => count(0),
        _ => Err("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned()),
    }
}

fn ping(_: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    answer(words.first().map_or_else(|| simple("PONG"), |text| bulk(text.clone())))
}

fn select(_: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    match std::str::from_utf8(&words[0]).ok().and_then(|text| text.parse::<i64>().ok()) {
        Some(0) => ok(),
        Some(_) => Err("ERR DB index is out of range".to_owned()),
        None => Err("ERR invalid DB index".to_owned()),
    }
}

/// There is no password: the default user may come in with any, as in Redis.
fn auth(_: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    match words {
        [user, _] => login(user).and_then(|()| ok()),
        _ => Err("ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                  configuration is correct?"
            .to_owned()),
    }
}

fn login(user: &[u8]) -> Result<(), String> {
    let known = user == b"default";
    if known { Ok(()) } else { Err("WRONGPASS invalid username-password pair or user is disabled.".to_owned()) }
}

fn hello(session: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    let mut version = session.version;
    let mut name = None;
    let mut rest = words;
    if let Some((wanted, after)) = rest.split_first() {
        version = match wanted.as_slice() {
            b"2" => Version::Two,
            b"3" => Version::Three,
            _ => return Err("NOPROTO unsupported protocol version".to_owned()),
        };
        rest = after;
    }
    while let Some((option, after)) = rest.split_first() {
        rest = match after {
            [user, _, after @ ..] if is(option, "AUTH") => login(user).map(|()| after)?,
            [given, after @ ..] if is(option, "SETNAME") => {
                name = Some(given.clone());
                after
            }
            _ => return Err(format!("ERR Syntax error in HELLO option '{}'", shown(option))),
        };
    }
    session.version = version;
    session.name = name.unwrap_or_else(|| std::mem::take(&mut session.name));
    answer(greeting(session))
}

fn greeting(session: &Session) -> Value {
    let entry = |key: &str, value| (bulk(key), value);
    Value::Map(vec![
        entry("server", bulk("redis")),
        entry("version", bulk(REDIS_VERSION)),
        entry("proto", Value::Integer(if session.version == Version::Three { 3 } else { 2 })),
        entry("id", Value::Integer(i64::try_from(session.id).unwrap_or(i64::MAX))),
        entry("mode", bulk("standalone")),
        entry("role", bulk("master")),
        entry("modules", Value::Array(Vec::new())),
    ])
}

fn client(session: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    match words {
        [what] if is(what, "ID") => answer(Value::Integer(i64::try_from(session.id).unwrap_or(i64::MAX))),
        [what] if is(what, "GETNAME") && session.name.is_empty() => answer(Value::Null),
        [what] if is(what, "GETNAME") => answer(bulk(session.name.clone())),
        [what, name] if is(what, "SETNAME") => {
            session.name.clone_from(name);
            ok()
        }
        [what, _, _] if is(what, "SETINFO") => ok(),
        [what, switch, options @ ..] if is(what, "TRACKING") => tracking(session, switch, options),
        [what, ..] => Err(format!("ERR unknown subcommand or wrong number of arguments for '{}'", shown(what))),
        [] => Err(arity("client")),
    }
}

fn tracking(session: &mut Session, switch: &[u8], options: Arguments<'_>) -> Result<Outcome, String> {
    if is(switch, "OFF") {
        session.store.ignore(session.id);
        return ok();
    }
    if !is(switch, "ON") {
        return Err(SYNTAX.to_owned());
    }
    if session.version == Version::Two {
        return Err(
            "ERR Client tracking can be enabled only on a connection that speaks RESP3: send HELLO 3 first".into()
        );
    }
    let (mut broadcast, mut not_own, mut prefixes) = (false, false, Vec::new());
    let mut rest = options;
    while let Some((option, after)) = rest.split_first() {
        rest = match after {
            after if is(option, "BCAST") => {
                broadcast = true;
                after
            }
            after if is(option, "NOLOOP") => {
                not_own = true;
                after
            }
            [prefix, after @ ..] if is(option, "PREFIX") => {
                prefixes.push(prefix.clone());
                after
            }
            _ => return Err(SYNTAX.to_owned()),
        };
    }
    let tracking = match (broadcast, prefixes.is_empty()) {
        (true, true) => Tracking::Prefixes(vec![Vec::new()]),
        (true, false) => Tracking::Prefixes(prefixes),
        (false, true) => Tracking::Read(HashSet::new()),
        (false, false) => return Err("ERR PREFIX option requires BCAST mode to be enabled".to_owned()),
    };
    session.store.listen(session.id, tracking, not_own, Arc::clone(&session.wake));
    ok()
}

/// There are no settings: whoever asks for one learns that it does not exist.
fn config(_: &mut Session, words: Arguments<'_>) -> Result<Outcome, String> {
    match words {
        [what, _, ..] if is(what, "GET") => answer(Value::Map(Vec::new())),
        _ => Err("ERR only CONFIG GET is known here".to_owned()),
    }
}

fn info(_: &mut Session, _: Arguments<'_>) -> Result<Outcome, String> {
    let text = format!(
        "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n\r\n# Replication\r\nrole:master\r\n"
    );
    answer(bulk(text))
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
