use super::*;

#[tokio::test]
async fn a_server_outlives_its_last_user_for_a_while() {
    tokio::time::pause();
    let (endpoints, url) = (Endpoints::new(), Url::parse("http://127.0.0.1:1/a").unwrap());
    let first = ServerHandle::open(&endpoints, &url, &Access::default());
    let other = ServerHandle::open(&endpoints, &url.join("/b?c").unwrap(), &Access::default());
    assert_eq!((first.id(), endpoints.alive()), (other.id(), 1));
    drop((first, other));
    sleep(LINGER / 2).await;
    assert_eq!(endpoints.alive(), 1);
    sleep(LINGER).await;
    assert_eq!(endpoints.alive(), 0);
}

#[test]
fn credentials_and_ports_make_servers_different() {
    let endpoints = Endpoints::new();
    let open = |url: &str, credentials| {
        let access = Access { credentials, ..Access::default() };
        ServerHandle::open(&endpoints, &Url::parse(url).unwrap(), &access)
    };
    let bearer = |token: &str| Credentials { login: Some(Login::Bearer(Secret::new(token))), ..Credentials::default() };
    let servers = [
        open("http://a/", Credentials::default()),
        open("http://a:81/", Credentials::default()),
        open("https://a/", Credentials::default()),
        open("http://a/", bearer("one")),
        open("http://a/", bearer("two")),
    ];
    let ids: std::collections::BTreeSet<_> = servers.iter().map(ServerHandle::id).collect();
    assert_eq!(ids.len(), servers.len());
    assert_eq!(open("http://a:80/x", bearer("two")).id(), servers[4].id());
}

#[test]
fn a_rest_is_asked_for_in_seconds_or_as_a_date() {
    // 1994-11-06 08:49:37 UTC is 784,111,777 s after the epoch; the three forms that RFC 9110 has of a date.
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((rest("20", None, at(0)), rest("0", Some(date), at(0))), (seconds(20), seconds(0)));
    for text in ["Sun, 06 Nov 1994 08:49:57 GMT", "Sunday, 06-Nov-94 08:49:57 GMT", "Sun Nov  6 08:49:57 1994"] {
        assert_eq!(rest(text, None, at(5)), seconds(15), "{text}");
        // The server's clock and not ours, which is an hour ahead.
        assert_eq!(rest(text, Some(date), at(3_600)), seconds(20), "{text}");
        assert_eq!(rest(text, Some("yesterday"), at(5)), seconds(15), "{text}");
        assert_eq!(rest(text, None, at(20)), None, "it is over");
    }
    for text in ["", "soon", "-1", "1.5"] {
        assert_eq!(rest(text, Some(date), at(0)), None, "{text}");
    }
}
