use super::*;

fn meant(status: u16) -> Class {
    let status = StatusCode::from_u16(status).unwrap();
    refused(status, &failures::status(status, None, true))
}

#[test]
fn a_status_says_whether_an_order_can_have_been_obeyed() {
    let cases = [
        (400, Class::Config),
        (401, Class::Config),
        (403, Class::Config),
        (404, Class::Config),
        (302, Class::Config),
        (408, Class::Lost),
        (409, Class::Conflict),
        (429, Class::Unavailable),
        (500, Class::Transient),
        (502, Class::Lost),
        (503, Class::Unavailable),
        (504, Class::Lost),
    ];
    for (status, class) in cases {
        assert_eq!(meant(status), class, "{status}");
    }
}
