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
