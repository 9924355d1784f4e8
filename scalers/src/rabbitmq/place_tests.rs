use super::*;

fn place(url: &str) -> Place {
    Place::parse(url).unwrap()
}

#[test]
fn the_virtual_host_is_the_path_of_amqp() {
    let cases = [
        ("amqp://mq", "/"),
        ("amqp://mq/", "/"),
        ("amqp://mq:5672/%2f", "/"),
        ("amqps://mq/shop", "shop"),
        ("amqp://mq/a%2Fb", "a/b"),
        ("amqp://mq/a/b", "a/b"),
        ("amqp://mq/sh%20op?heartbeat=5", "sh op"),
    ];
    for (url, vhost) in cases {
        assert_eq!(place(url).vhost(None), vhost, "{url}");
        assert_eq!(place(url).vhost(Some("other")), "other");
    }
}

#[test]
fn the_virtual_host_is_the_last_part_of_the_path_of_http() {
    let cases = [
        ("http://mq:15672", None, "http://mq:15672/api/queues/%2F"),
        ("http://mq:15672/", None, "http://mq:15672/api/queues/%2F"),
        ("http://mq:15672/%2F", None, "http://mq:15672/api/queues/%2F"),
        ("http://mq/shop", None, "http://mq/api/queues/shop"),
        ("https://mq/base/shop", None, "https://mq/base/api/queues/shop"),
        ("https://mq/base/sub/", None, "https://mq/base/sub/api/queues/%2F"),
        ("https://mq/base/", Some("a b/c"), "https://mq/base/api/queues/a%20b%2Fc"),
        ("https://mq/base", Some("x"), "https://mq/api/queues/x"),
        ("http://[::1]:15672/x?y=1", None, "http://[::1]:15672/api/queues/x"),
    ];
    for (url, named, expected) in cases {
        let place = place(url);
        let vhost = place.vhost(named);
        assert_eq!(place.queues(&vhost).unwrap().as_str(), expected, "{url}");
    }
    assert_eq!(place("https://mq/base/shop").overview().unwrap().as_str(), "https://mq/base/api/overview");
    assert!(place("http://mq").queues("..").is_none() && place("http://mq").queues(".").is_none());
}

#[test]
fn hosts_ports_and_logins_are_read_and_only_the_first_two_are_shown() {
    let cases = [
        ("amqp://me:p%40ss@mq", "mq", 5672, "RabbitMQ at amqp://mq:5672"),
        ("amqps://me:p%40ss@mq/v", "mq", 5671, "RabbitMQ at amqps://mq:5671"),
        ("amqp://me:p%40ss@mq:80", "mq", 80, "RabbitMQ at amqp://mq:80"),
        ("amqps://me:p%40ss@[::1]:443", "::1", 443, "RabbitMQ at amqps://[::1]:443"),
        ("http://me:p%40ss@mq/x", "mq", 80, "RabbitMQ at http://mq"),
        ("https://me:p%40ss@mq:15671/x", "mq", 15671, "RabbitMQ at https://mq:15671"),
    ];
    for (url, host, port, name) in cases {
        let place = place(url);
        assert_eq!((place.host().as_str(), place.port(), place.name().as_str()), (host, port, name));
        let (user, password) = place.login.unwrap();
        assert_eq!((user.expose(), password.expose(), place.has_password), ("me", "p@ss", true), "{url}");
    }
    let bare = place("amqp://me@mq");
    assert!(bare.login.is_some() && !bare.has_password);
    assert!(place("amqp://mq").login.is_none());
}

#[test]
fn other_texts_are_refused() {
    for text in ["mq:5672", "mq", "ftp://mq", "amqp://", "amqp:///v", "http://", "amqp:mq", "amqp://m q"] {
        assert!(Place::parse(text).is_err(), "{text}");
    }
}

#[test]
fn names_are_written_by_number_where_they_must_be() {
    assert_eq!(encoded("a-b_c.d~e"), "a-b_c.d~e");
    assert_eq!(encoded("a b/c%d+é"), "a%20b%2Fc%25d%2B%C3%A9");
    assert_eq!(query_escaped("a b/c+*"), "a+b%2Fc%2B%2A");
}
