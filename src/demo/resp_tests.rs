use super::*;

fn words(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn a_pipeline_is_taken_command_by_command() {
    let mut input = Vec::new();
    write_command(&["LPUSH", "jobs", "a\r\nb"], &mut input);
    write_command(&["PING"], &mut input);
    let (first, taken) = command(&input).unwrap().unwrap();
    assert_eq!(first, words(&["LPUSH", "jobs", "a\r\nb"]));
    let (second, rest) = command(&input[taken..]).unwrap().unwrap();
    assert_eq!(second, words(&["PING"]));
    assert_eq!(taken + rest, input.len());
}

#[test]
fn split_input_is_waited_for_at_every_byte() {
    let mut input = Vec::new();
    write_command(&["BRPOP", "jobs", "0.5"], &mut input);
    for end in 0..input.len() {
        assert_eq!(command(&input[..end]), Ok(None), "after {end} bytes");
    }
    assert!(command(&input).unwrap().is_some());
}

#[test]
fn commands_can_be_typed() {
    assert_eq!(command(b"lpush  jobs a\r\nPING\n"), Ok(Some((words(&["lpush", "jobs", "a"]), 15))));
    assert_eq!(command(b"PING\n"), Ok(Some((words(&["PING"]), 5))));
    assert_eq!(command(b"\r\n"), Ok(Some((Vec::new(), 2))));
    assert_eq!(command(b"PING"), Ok(None));
}

#[test]
fn what_is_too_long_is_refused_before_it_arrives() {
    let too_long = |what, limit| ProtocolError::TooLong { what, limit };
    assert_eq!(command(b"*5000\r\n").unwrap_err(), too_long("number of words", WORDS));
    assert_eq!(command(b"*1\r\n$70000\r\n").unwrap_err(), too_long("length of a word", WORD));
    assert_eq!(command(&vec![b'x'; LINE]).unwrap_err(), too_long("a line", LINE));
    let mut input = Vec::new();
    write_command(&vec![vec![b'x'; WORD]; 17], &mut input);
    assert_eq!(command(&input).unwrap_err(), too_long("a message", MESSAGE));
    assert_eq!(value(b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n").unwrap_err(), too_long("nesting", DEPTH));
}

#[test]
fn what_is_not_resp_is_named() {
    assert_eq!(command(b"*1\r\n:1\r\n").unwrap_err().to_string(), "expected '$', got ':'");
    assert_eq!(command(b"*x\r\n").unwrap_err().reason(), "RespInvalidNumber");
    assert_eq!(command(b"*-2\r\n").unwrap_err().reason(), "RespInvalidNumber");
    assert_eq!(command(b"*1\r\n$-1\r\n").unwrap_err().reason(), "RespInvalidNumber");
    assert_eq!(command(b"*1\r\n$2\r\nabcd").unwrap_err().reason(), "RespUnterminated");
    assert_eq!(value(b"?\r\n").unwrap_err().reason(), "RespUnexpectedSign");
}

fn everything() -> Value {
    Value::Array(vec![
        Value::Simple("OK".to_owned()),
        Value::Error("ERR no".to_owned()),
        Value::Integer(-7),
        Value::Bulk(b"a\0\r\n".to_vec()),
        Value::Null,
        Value::Array(Vec::new()),
        Value::Map(vec![(Value::Bulk(b"proto".to_vec()), Value::Integer(3))]),
        Value::Push(vec![Value::Bulk(b"invalidate".to_vec()), Value::Null]),
    ])
}

#[test]
fn answers_survive_the_way_there_and_back_whole_or_in_parts() {
    let mut out = Vec::new();
    write_value(&everything(), Version::Three, &mut out);
    assert_eq!(value(&out), Ok(Some((everything(), out.len()))));
    for end in 0..out.len() {
        assert_eq!(value(&out[..end]), Ok(None), "after {end} bytes");
    }
}

#[test]
fn the_older_protocol_has_neither_maps_nor_its_own_null() {
    let text = |value: &Value| {
        let mut out = Vec::new();
        write_value(value, Version::Two, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(&Value::Null), "$-1\r\n");
    assert_eq!(text(&Value::NullArray), "*-1\r\n");
    assert_eq!(text(&Value::Map(vec![(Value::Integer(1), Value::Integer(2))])), "*2\r\n:1\r\n:2\r\n");
    assert_eq!(text(&Value::Error("ERR two\r\nlines".to_owned())), "-ERR two  lines\r\n");
    assert_eq!(value(b"*-1\r\n"), Ok(Some((Value::NullArray, 5))));
    assert_eq!(value(b"$-1\r\n"), Ok(Some((Value::Null, 5))));
}
