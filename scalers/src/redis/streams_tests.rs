use redis::RedisResult;

use super::*;
use crate::redis::connection::{Access, Address};
use crate::redis::question::Question;

fn server() -> Server {
    Server::new(Address::new("a", 1), Access::default())
}

fn key() -> Key {
    Key { database: 0, name: "orders".into() }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn failure(line: &str) -> RedisResult<Value> {
    Err(redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err())
}

fn group(name: &str, lag: Option<Value>) -> Value {
    let mut fields = vec![text("name"), text(name), text("last-delivered-id"), text("5-1")];
    fields.extend(lag.into_iter().flat_map(|lag| [text("lag"), lag]));
    Value::Array(fields)
}

fn judged(groups: RedisResult<Value>) -> Verdict {
    Question::Lag(key(), "billing".into()).judge(&server(), &vec![("XINFO", groups)])
}

fn lag_of(groups: Vec<Value>) -> Verdict {
    judged(Ok(Value::Array(groups)))
}

fn error(verdict: Verdict) -> ReadError {
    let Verdict::Final(Err(error)) = verdict else { panic!("an error: {verdict:?}") };
    error
}

#[test]
fn the_lag_is_that_of_the_group() {
    let groups = vec![group("other", Some(Value::Int(9))), group("billing", Some(Value::Int(4)))];
    assert!(matches!(lag_of(groups), Verdict::Final(Ok(Answer::Count(4)))));
    assert!(matches!(lag_of(vec![group("billing", Some(Value::Int(0)))]), Verdict::Final(Ok(Answer::Count(0)))));
}

#[test]
fn a_lag_that_redis_does_not_know_is_counted() {
    for unknown in [Value::Nil, Value::Int(-1)] {
        let Verdict::Again(commands) = lag_of(vec![group("billing", Some(unknown))]) else { panic!("a second round") };
        assert_eq!(commands, [Command::After("5-1".to_owned()), Command::Named("XLEN")]);
        let sent = commands[0].build(&Question::Lag(key(), "billing".into()));
        assert_eq!(
            sent.get_packed_command(),
            redis::cmd("XRANGE").arg("orders").arg("(5-1").arg("+").arg("COUNT").arg(200).get_packed_command()
        );
    }
    let count = |entries: usize| {
        let counted = Value::Array(vec![Value::Nil; entries]);
        undelivered(&server(), &key(), &vec![("XRANGE", Ok(counted)), ("XLEN", Ok(Value::Int(5000)))])
    };
    assert_eq!(count(0), Ok(Answer::Count(0)), "nothing is behind the group");
    assert_eq!(count(199), Ok(Answer::Count(199)));
    assert_eq!(count(200), Ok(Answer::Count(5000)), "there may be more: never fewer than there are");
}

#[test]
fn an_absent_stream_has_no_lag_and_an_absent_group_all_of_it() {
    assert!(matches!(judged(failure("ERR no such key")), Verdict::Final(Ok(Answer::Count(0)))));
    let Verdict::Again(commands) = lag_of(vec![group("other", Some(Value::Int(0)))]) else { panic!("a second round") };
    assert_eq!(commands, [Command::Named("XLEN")]);
    assert_eq!(undelivered(&server(), &key(), &vec![("XLEN", Ok(Value::Int(7)))]), Ok(Answer::Count(7)));
}

#[test]
fn what_is_no_lag_is_an_error_of_its_class() {
    let old = error(lag_of(vec![group("billing", None)]));
    assert_eq!(
        (old.kind, old.message.as_str()),
        (
            ReadErrorKind::Config,
            "stream \"orders\" of Redis at a:1: the server does not tell the lag of groups; lagCount needs Redis 7 or later"
        )
    );
    let wrong = error(judged(failure("WRONGTYPE Operation against a key holding the wrong kind of value")));
    assert_eq!(
        (wrong.kind, wrong.message.as_str()),
        (ReadErrorKind::Config, "key \"orders\" of Redis at a:1 is not a stream")
    );
    assert_eq!(error(judged(failure("NOPERM no"))).kind, ReadErrorKind::Auth);
    assert_eq!(error(judged(failure("ERR unknown command"))).kind, ReadErrorKind::Protocol);
    assert_eq!(error(judged(Ok(Value::Nil))).kind, ReadErrorKind::Protocol);
    let nowhere = Value::Array(vec![text("name"), text("billing"), text("lag"), Value::Nil]);
    assert_eq!(error(lag_of(vec![nowhere])).kind, ReadErrorKind::Protocol, "without a position nothing can be counted");
}

#[test]
fn pending_entries_are_the_first_number_of_the_summary() {
    let asked = |reply| pending(&server(), &key(), "billing", &vec![("XPENDING", reply)]);
    let summary = |total| Ok(Value::Array(vec![total, Value::Nil, Value::Nil, Value::Nil]));
    assert_eq!(asked(summary(Value::Int(0))), Ok(Answer::Count(0)));
    assert_eq!(asked(summary(Value::Int(12))), Ok(Answer::Count(12)));
    for bad in [summary(Value::Nil), Ok(Value::Array(Vec::new())), Ok(Value::Nil), Ok(Value::Int(3))] {
        assert_eq!(asked(bad).unwrap_err().kind, ReadErrorKind::Protocol);
    }
    let missing = asked(failure("NOGROUP No such key 'orders' or consumer group 'billing'")).unwrap_err();
    assert_eq!(
        missing.message,
        "stream \"orders\" of Redis at a:1: there is no consumer group \"billing\", or no such stream (NOGROUP)"
    );
    assert_eq!(missing.kind, ReadErrorKind::Config);
}

#[test]
fn a_database_that_cannot_be_selected_is_what_is_wrong() {
    let question = Question::Entries(Key { database: 99, ..key() });
    let said = question.conclude(&server(), &vec![("SELECT", failure("ERR DB index is out of range"))]).unwrap_err();
    assert_eq!(
        (said.kind, said.message.as_str()),
        (ReadErrorKind::Config, "key \"orders\" of Redis at a:1: database 99 cannot be selected (ERR)")
    );
}
