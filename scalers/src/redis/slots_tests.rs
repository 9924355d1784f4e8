use super::*;

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn node(host: Value, port: i64) -> Value {
    Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(Vec::new())])
}

fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
    let mut fields = vec![Value::Int(first), Value::Int(last)];
    fields.extend(nodes);
    Value::Array(fields)
}

fn asked() -> Address {
    Address::new("seed", 7000)
}

#[test]
fn slots_are_those_of_the_specification() {
    assert_eq!(crc16(b"123456789"), 0x31C3, "the check value of the specification");
    // What `CLUSTER KEYSLOT` of a real server says.
    for (key, expected) in [("foo", 12182), ("bar", 5061), ("somekey", 11058), ("", 0)] {
        assert_eq!(slot(key), expected, "{key}");
    }
    assert_eq!(slot("{user1000}.following"), slot("user1000"));
    assert_eq!(slot("a{user1000}b{c}"), slot("user1000"), "the first braces count");
    assert_ne!(slot("foo{}{bar}"), slot("bar"), "an empty tag is no tag");
    assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
}

#[test]
fn a_map_says_who_has_a_slot_and_who_has_none() {
    let said = Value::Array(vec![
        range(10_923, 16_383, vec![node(text("c"), 3)]),
        range(0, 5_460, vec![node(text("a"), 1), node(text("replica"), 4)]),
        range(5_462, 10_922, vec![node(Value::Nil, 2)]),
    ]);
    let slots = Slots::parse(&said, &asked()).unwrap();
    let owner = |slot| slots.owner(slot).map(ToString::to_string);
    assert_eq!(owner(0).as_deref(), Some("a:1"));
    assert_eq!(owner(5_460).as_deref(), Some("a:1"));
    assert_eq!(owner(5_461), None, "a hole");
    assert_eq!(owner(5_462).as_deref(), Some("seed:2"), "a node without a name is where it was asked");
    assert_eq!(owner(16_383).as_deref(), Some("c:3"));
    assert_eq!(slots.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "c:3", "replica:4", "seed:2"]);
}

#[test]
fn a_node_that_hides_its_address_owns_nothing_that_can_be_asked() {
    for hidden in [node(text("?"), 1), node(text("a"), 0)] {
        let slots = Slots::parse(&Value::Array(vec![range(0, 9, vec![hidden])]), &asked()).unwrap();
        assert!(slots.is_empty() && slots.nodes.is_empty());
    }
}

#[test]
fn what_is_no_map_is_none() {
    let bad = [
        Value::Int(0),
        Value::Array(vec![Value::Int(1)]),
        Value::Array(vec![range(5, 4, vec![node(text("a"), 1)])]),
        Value::Array(vec![range(0, 16_384, vec![node(text("a"), 1)])]),
        Value::Array(vec![range(-1, 4, vec![node(text("a"), 1)])]),
        Value::Array(vec![range(0, 4, vec![node(text("a"), 65_536)])]),
        Value::Array(vec![range(0, 4, vec![text("a")])]),
    ];
    for said in bad {
        assert_eq!(Slots::parse(&said, &asked()), None, "{said:?}");
    }
    assert!(Slots::parse(&Value::Array(Vec::new()), &asked()).unwrap().is_empty());
}
