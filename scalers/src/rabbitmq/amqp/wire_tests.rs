use proptest::prelude::*;

use super::*;

/// A frame as a server sends it.
fn frame(kind: u8, channel: u16, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), content, &[END]].concat()
}

fn told(mut heard: Vec<u8>) -> Result<Option<Told>, Garbled> {
    take(&mut heard, LONGEST)
}

#[test]
fn what_a_server_tells_is_read() {
    let start =
        [&[0, 10, 0, 10, 0, 9][..], &[0, 0, 0, 3], b"xyz", &[0, 0, 0, 14], b"PLAIN EXTERNAL", &[0, 0, 0, 0]].concat();
    let close = [&[0, 10, 0, 50, 1, 147, 4][..], b"text", &[0, 10, 0, 11]].concat();
    let closed = [&[0, 20, 0, 40, 1, 148, 2][..], b"no", &[0, 50, 0, 10]].concat();
    let declared = [&[0, 50, 0, 11, 4][..], b"jobs", &[0, 0, 1, 2, 0, 0, 0, 9]].concat();
    let cases = [
        (frame(1, 0, &start), Told::Start { mechanisms: "PLAIN EXTERNAL".to_owned() }),
        (
            frame(1, 0, &[0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60]),
            Told::Tune { channels: 2047, frame: 131_072, heartbeat: 60 },
        ),
        (frame(1, 0, &[0, 10, 0, 41, 0]), Told::Opened),
        (frame(1, 0, &close), Told::Close { code: 403, text: "text".to_owned() }),
        (frame(1, 0, &[0, 10, 0, 51]), Told::CloseOk),
        (frame(1, 3, &[0, 20, 0, 11, 0, 0, 0, 0]), Told::ChannelOpened(3)),
        (frame(1, 3, &closed), Told::ChannelClose { channel: 3, code: 404, text: "no".to_owned() }),
        (frame(1, 3, &declared), Told::Declared { channel: 3, messages: 258 }),
        (frame(8, 0, &[]), Told::Other),
        (frame(1, 1, &[0, 60, 0, 60, 1, 2, 3]), Told::Other),
        (frame(3, 1, b"a body"), Told::Other),
    ];
    for (bytes, expected) in cases {
        assert_eq!(told(bytes.clone()), Ok(Some(expected)));
        for length in 0..bytes.len() {
            assert_eq!(told(bytes[..length].to_vec()), Ok(None), "{length} of {bytes:?}");
        }
    }
}

#[test]
fn one_frame_is_taken_at_a_time() {
    let mut heard = [frame(8, 0, &[]), frame(1, 0, &[0, 10, 0, 51]), vec![1, 0]].concat();
    assert_eq!(take(&mut heard, LONGEST), Ok(Some(Told::Other)));
    assert_eq!(take(&mut heard, LONGEST), Ok(Some(Told::CloseOk)));
    assert_eq!((take(&mut heard, LONGEST), heard), (Ok(None), vec![1, 0]));
}

#[test]
fn what_is_not_amqp_is_found_at_its_first_bytes() {
    for other in [&b"HTTP/1.1 400 Bad Request"[..], b"AMQP\x00\x01\x00\x00", &[0x15, 3, 3, 0, 2, 2, 70], b"H"] {
        assert_eq!(told(other.to_vec()), Err(Garbled));
    }
    let too_long = [&[1, 0, 0][..], &(LONGEST + 1).to_be_bytes()].concat();
    assert_eq!(told(too_long), Err(Garbled));
    let mut without_end = frame(8, 0, &[]);
    without_end[HEAD] = 0;
    assert_eq!(told(without_end), Err(Garbled));
    assert_eq!(told(frame(1, 0, &[0, 50, 0, 11, 200, 1])), Err(Garbled), "a text that is longer than its frame");
}

#[test]
fn what_we_say_is_written_as_the_protocol_wants_it() {
    let mut out = Vec::new();
    declare(2, "jobs", &mut out);
    let content = [&[0, 50, 0, 10, 0, 0, 4][..], b"jobs", &[1, 0, 0, 0, 0]].concat();
    assert_eq!(out, frame(1, 2, &content));
    out.clear();
    open("/", &mut out);
    assert_eq!(out, frame(1, 0, &[0, 10, 0, 40, 1, b'/', 0, 0]));
    out.clear();
    tune_ok(32, 4096, 60, &mut out);
    assert_eq!(out, frame(1, 0, &[0, 10, 0, 31, 0, 32, 0, 0, 16, 0, 0, 60]));
    out.clear();
    heartbeat(&mut out);
    assert_eq!(out, frame(8, 0, &[]));
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 1_u8..4) {
        let _ = told(bytes.clone());
        let _ = told(frame(kind, 1, &bytes));
    }
}
