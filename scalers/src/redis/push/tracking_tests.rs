use super::*;

#[test]
fn a_flood_of_messages_takes_no_more_room_than_there_are_keys() {
    let inbox = Inbox::default();
    for index in 0..10_000 {
        let name = Value::BulkString(format!("key-{}", index % 3).into_bytes());
        inbox.put(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(vec![name])] });
    }
    let arrived = inbox.take();
    assert_eq!((arrived.names.len(), arrived.everything, arrived.lost), (3, false, false));
    inbox.put(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] });
    inbox.put(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
    let arrived = inbox.take();
    assert!(arrived.everything && arrived.lost && arrived.names.is_empty());
}
