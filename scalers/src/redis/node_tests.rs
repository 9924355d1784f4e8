use super::*;

fn key(database: i64, name: &str) -> Key {
    Key { database, name: name.into() }
}

fn server_error(line: &str) -> RedisError {
    redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
}

fn lengths_of(keys: &[Key]) -> Vec<Question> {
    keys.iter().cloned().map(Question::Length).collect()
}

fn errands(questions: &[Question]) -> Vec<Errand<'_>> {
    let commands = || vec![Command::Named("LLEN")];
    let errand = |(place, question)| Errand { place, asked: Asked { question, asking: false }, commands: commands() };
    questions.iter().enumerate().map(errand).collect()
}

#[test]
fn answers_behind_a_refused_select_are_thrown_away() {
    let keys = lengths_of(&[key(0, "a"), key(1, "b"), key(1, "c"), key(2, "d")]);
    assert_eq!(pipeline(&errands(&keys), 0).len(), 6);
    let (ok, no) = (|| Ok(Value::Okay), || Err(server_error("ERR DB index is out of range")));
    let replies = vec![Ok(Value::Int(1)), no(), Ok(Value::Int(2)), Ok(Value::Int(3)), ok(), Ok(Value::Int(4))];
    let mut database = 0;
    let sorted = sort(errands(&keys), replies, &mut database, 4);
    assert_eq!(database, 2);
    assert!(matches!(sorted[0][..], [("LLEN", Ok(Value::Int(1)))]));
    assert!(matches!(sorted[1][..], [("SELECT", Err(_))]) && matches!(sorted[2][..], [("SELECT", Err(_))]));
    assert!(matches!(sorted[3][..], [("LLEN", Ok(Value::Int(4)))]));
}

#[test]
fn a_refused_select_at_the_end_leaves_the_database_as_it_was() {
    let keys = lengths_of(&[key(1, "a"), key(9, "b")]);
    let replies = vec![Ok(Value::Int(1)), Err(server_error("ERR DB index is out of range")), Ok(Value::Int(2))];
    let mut database = 1;
    drop(sort(errands(&keys), replies, &mut database, 2));
    assert_eq!(database, 1);
}

#[test]
fn a_missing_reply_is_an_error_and_not_a_zero() {
    let keys = lengths_of(&[key(0, "a")]);
    let sorted = sort(errands(&keys), Vec::new(), &mut 0, 1);
    assert!(matches!(sorted[0][..], [("LLEN", Err(_))]));
}

#[test]
fn what_is_asked_behind_asking_is_not_the_answer_to_asking() {
    let question = Question::Length(key(0, "a"));
    let errand = || Errand {
        place: 0,
        asked: Asked { question: &question, asking: true },
        commands: vec![Command::Named("LLEN"), Command::Named("TYPE")],
    };
    assert_eq!(pipeline(&[errand()], 0).len(), 4);
    let replies = vec![Ok(Value::Okay), Ok(Value::Int(7)), Ok(Value::Okay), Ok(Value::SimpleString("list".into()))];
    let sorted = sort(vec![errand()], replies, &mut 0, 1);
    assert!(matches!(sorted[0][..], [("LLEN", Ok(Value::Int(7))), ("TYPE", Ok(_))]), "{sorted:?}");
}

#[test]
fn a_redirect_says_where_and_for_how_long() {
    let server = Server::new(Address::new("here", 1), crate::redis::connection::Access::default());
    let said = |line: &str| redirect(&server, &vec![("LLEN", Err(server_error(line)))]);
    let to = |host, port, once| Some(Redirect { address: Address::new(host, port), once });
    assert_eq!(said("MOVED 3999 127.0.0.1:6381"), to("127.0.0.1", 6381, false));
    assert_eq!(said("ASK 3999 there:6381"), to("there", 6381, true));
    assert_eq!(said("MOVED 3999 :6381"), to("here", 6381, false), "a node that does not know its own name");
    for line in ["MOVED 3999 127.0.0.1:no", "MOVED", "ERR unknown", "MOVED 1 nowhere"] {
        assert_eq!(said(line), None, "{line}");
    }
}
