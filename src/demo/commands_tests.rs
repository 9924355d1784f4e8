use super::*;

fn session() -> Session {
    Session::new(Store::default())
}

fn ask(session: &mut Session, line: &str) -> Outcome {
    let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    session.execute(&words)
}

fn answer_to(session: &mut Session, line: &str) -> Value {
    match ask(session, line) {
        Outcome::Answer(value) | Outcome::Quit(value) => value,
        Outcome::Item(item) => item_answer(&item),
        Outcome::Wait(..) => panic!("{line} waits"),
    }
}

fn error_of(session: &mut Session, line: &str) -> String {
    match answer_to(session, line) {
        Value::Error(text) => text,
        other => panic!("{line} answers {other:?}"),
    }
}

#[test]
fn the_table_is_sorted() {
    assert!(COMMANDS.is_sorted_by_key(|(name, ..)| name));
}

#[test]
fn lists_fill_and_empty() {
    let mut session = session();
    assert_eq!(answer_to(&mut session, "TYPE jobs"), simple("none"));
    assert_eq!(answer_to(&mut session, "lpush jobs a b"), Value::Integer(2));
    assert_eq!(answer_to(&mut session, "RPUSH jobs c"), Value::Integer(3));
    assert_eq!(answer_to(&mut session, "LLEN jobs"), Value::Integer(3));
    assert_eq!(answer_to(&mut session, "TYPE jobs"), simple("list"));
    assert_eq!(answer_to(&mut session, "BRPOP jobs 1"), Value::Array(vec![bulk("jobs"), bulk("c")]));
    assert_eq!(answer_to(&mut session, "DEL jobs other"), Value::Integer(1));
    assert!(matches!(ask(&mut session, "BRPOP jobs 1.5"), Outcome::Wait(_, Some(wait)) if wait.as_millis() == 1500));
    assert!(matches!(ask(&mut session, "BRPOP jobs 0"), Outcome::Wait(_, None)));
}

#[test]
fn other_types_count_nothing_or_fail_as_in_redis() {
    let mut session = session();
    for command in ["SCARD jobs", "ZCARD jobs", "HLEN jobs"] {
        assert_eq!(answer_to(&mut session, command), Value::Integer(0));
    }
    answer_to(&mut session, "LPUSH jobs a");
    assert!(error_of(&mut session, "SCARD jobs").starts_with("WRONGTYPE "));
}

#[test]
fn hello_changes_the_protocol_or_nothing() {
    let mut session = session();
    assert!(error_of(&mut session, "HELLO 4").starts_with("NOPROTO "));
    assert!(error_of(&mut session, "HELLO 3 AUTH somebody x").starts_with("WRONGPASS "));
    assert!(error_of(&mut session, "HELLO 3 NONSENSE").contains("'NONSENSE'"));
    assert_eq!(session.version, Version::Two);
    let greeting = answer_to(&mut session, "HELLO 3 AUTH default x SETNAME me");
    assert!(matches!(greeting, Value::Map(entries) if entries.contains(&(bulk("proto"), Value::Integer(3)))));
    assert_eq!(session.version, Version::Three);
    assert_eq!(answer_to(&mut session, "CLIENT GETNAME"), bulk("me"));
}

#[test]
fn tracking_needs_the_newer_protocol() {
    let mut session = session();
    assert!(error_of(&mut session, "CLIENT TRACKING ON").contains("HELLO 3"));
    answer_to(&mut session, "HELLO 3");
    assert!(error_of(&mut session, "CLIENT TRACKING ON PREFIX jobs").contains("BCAST"));
    assert!(error_of(&mut session, "CLIENT TRACKING MAYBE").contains("syntax"));
    assert_eq!(answer_to(&mut session, "CLIENT TRACKING ON BCAST PREFIX jobs"), simple("OK"));
    answer_to(&mut session, "LPUSH jobs a");
    assert_eq!(session.store.changes(session.id), [b"jobs".to_vec()]);
    assert_eq!(answer_to(&mut session, "CLIENT TRACKING OFF"), simple("OK"));
}

#[test]
fn small_talk_is_answered() {
    let mut session = session();
    assert_eq!(answer_to(&mut session, "PING"), simple("PONG"));
    assert_eq!(answer_to(&mut session, "PING hi"), bulk("hi"));
    assert_eq!(answer_to(&mut session, "SELECT 0"), simple("OK"));
    assert_eq!(answer_to(&mut session, "AUTH default x"), simple("OK"));
    assert_eq!(answer_to(&mut session, "CLIENT SETINFO LIB-NAME x"), simple("OK"));
    assert_eq!(answer_to(&mut session, "CONFIG GET notify-keyspace-events"), Value::Map(Vec::new()));
    assert!(matches!(answer_to(&mut session, "CLIENT ID"), Value::Integer(_)));
    assert!(matches!(answer_to(&mut session, "INFO server"), Value::Bulk(text) if text.starts_with(b"# Server")));
    assert!(matches!(ask(&mut session, "QUIT"), Outcome::Quit(_)));
}

#[test]
fn what_is_wrong_is_said_in_redis_words() {
    let mut session = session();
    let unknown = error_of(&mut session, "GET a");
    assert_eq!(unknown, "ERR unknown command 'GET', with args beginning with: 'a'");
    assert_eq!(error_of(&mut session, "LLEN"), "ERR wrong number of arguments for 'llen' command");
    assert_eq!(error_of(&mut session, "SELECT 1"), "ERR DB index is out of range");
    assert_eq!(error_of(&mut session, "BRPOP jobs x"), "ERR timeout is not a float or out of range");
    assert_eq!(error_of(&mut session, "BRPOP jobs nan"), "ERR timeout is not a float or out of range");
    assert_eq!(error_of(&mut session, "BRPOP jobs -1"), "ERR timeout is negative");
    assert!(error_of(&mut session, "AUTH x").contains("without any password"));
    assert!(error_of(&mut session, "AUTH somebody x").starts_with("WRONGPASS"));
}
