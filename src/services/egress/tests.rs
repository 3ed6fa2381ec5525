//! The guard against a real server on loopback.

use std::io::Write as _;
use std::time::Duration;

use futures_util::StreamExt;
use http::header::{AUTHORIZATION, HeaderName};

use super::testing::{FixedNames, Reply, TestServer, egress};
use super::*;

fn get(url: Url) -> FetchRequest {
    FetchRequest { timeout: Duration::from_secs(20), ..FetchRequest::get(url, Purpose::Collect) }
}

fn no_names() -> Arc<FixedNames> {
    FixedNames::new(&[])
}

#[tokio::test]
async fn nothing_leaves_by_default_and_the_refusal_is_in_the_log() {
    let server = TestServer::start(|_| Reply::html("hello"));
    let names = FixedNames::new(&[("example.com", &["127.0.0.1"])]);
    let test = egress(&[], Arc::clone(&names)).await;
    for url in [server.url("/"), server.url_as("example.com", "/?secret=1"), server.url_as("2130706433", "/"), server.url_as("0177.1", "/")] {
        let error = test.egress.fetch(get(url)).await.unwrap_err();
        assert_eq!(error.code(), "not_allowed");
        assert!(error.remedy().contains("Egress"), "{}", error.remedy());
    }
    assert!(server.asked().is_empty() && names.queries().is_empty());
    let rows = test.egress.recent(10, None).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.outcome == "not_allowed" && !row.destination.contains("secret")));
}

#[tokio::test]
async fn the_log_is_read_when_it_cannot_be_written() {
    let server = TestServer::start(|_| Reply::html("hello"));
    let test = egress(&[], no_names()).await;
    let refused = async |path: &str| test.egress.fetch(get(server.url(path))).await.unwrap_err();
    refused("/written").await;
    assert_eq!(test.egress.recent(9, None).await.unwrap().len(), 1);
    crate::store::testing::refuse(&test.store, "INSERT", "egress_log").await;
    refused("/one").await;
    refused("/two").await;
    let paths = |rows: Vec<EgressLogRow>| rows.into_iter().map(|row| row.destination.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>();
    let rows = test.egress.recent(9, None).await.unwrap();
    let places: Vec<i64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(paths(rows), ["two", "one", "written"]);
    assert_eq!(paths(test.egress.recent(1, None).await.unwrap()), ["two"]);
    assert_eq!(paths(test.egress.recent(9, Some(places[0])).await.unwrap()), ["one", "written"], "page by page");
    crate::store::testing::allow(&test.store).await;
    let rows = test.egress.recent(9, None).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), places, "once there is room they are written, in their places");
}

#[tokio::test]
async fn an_allowed_page_comes_whole_and_is_logged() {
    let server = TestServer::start(|_| Reply::html("hello"));
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    let fetched = test.egress.fetch(get(server.url("/page?x=1"))).await.unwrap();
    assert_eq!((fetched.status.as_u16(), &fetched.body[..], fetched.truncated), (200, &b"hello"[..], false));
    let asked = &server.asked()[0];
    assert!(asked.headers["user-agent"].starts_with("Onsite/") && asked.headers["accept-encoding"] == "gzip");
    let row = &test.egress.recent(1, None).await.unwrap()[0];
    assert_eq!((row.outcome.as_str(), row.status, row.bytes_received), ("ok", Some(200), 5));
    assert_eq!(row.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(row.destination, format!("http://{}/page", server.address));
}

#[tokio::test]
async fn a_name_that_points_inside_is_refused_and_so_is_one_that_changes() {
    let server = TestServer::start(|_| Reply::html("inside"));
    let names = FixedNames::new(&[("evil.example", &["127.0.0.1"]), ("mixed.example", &["10.255.255.1", "127.0.0.1"])]);
    let test = egress(&[("*", None, false), ("wiki.corp", None, true)], names).await;
    let error = test.egress.fetch(get(server.url_as("evil.example", "/"))).await.unwrap_err();
    assert!(matches!(&error, EgressError::NotAllowed { address: Some(address), .. } if address.is_loopback()), "{error}");
    assert!(test.egress.fetch(get(server.url_as("mixed.example", "/"))).await.is_err());
    assert!(server.asked().is_empty());

    // First inside the listed network, then elsewhere: each connection is checked with the address it uses.
    let names = FixedNames::new(&[("rebind.example", &["127.0.0.1"]), ("rebind.example", &["127.0.0.2"])]);
    let test = egress(&[("127.0.0.1", None, false)], names).await;
    assert!(test.egress.fetch(get(server.url_as("rebind.example", "/"))).await.is_ok());
    let error = test.egress.fetch(get(server.url_as("rebind.example", "/"))).await.unwrap_err();
    assert_eq!(error.address(), Some([127, 0, 0, 2].into()));
}

#[tokio::test]
async fn a_redirect_inside_is_refused() {
    let inside = TestServer::start(|_| Reply::html("secret"));
    let port = inside.address.port();
    let to = format!("http://127.0.0.1:{port}/admin");
    let outside = TestServer::start(move |asked| match asked.path.as_str() {
        "/name" => Reply::redirect(format!("http://inside.example:{port}/")),
        "/metadata" => Reply::redirect("http://169.254.169.254/latest/meta-data/"),
        "/file" => Reply::redirect("file:///etc/passwd"),
        "/password" => Reply::redirect("http://user:pw@site.example/"),
        _ => Reply::redirect(to.clone()),
    });
    let names = FixedNames::new(&[("site.example", &["127.0.0.1"]), ("inside.example", &["127.0.0.1"])]);
    let test = egress(&[("site.example", Some(outside.address.port()), true), ("*", None, false)], names).await;
    for (path, code) in [("/", "not_allowed"), ("/name", "not_allowed"), ("/metadata", "not_allowed"), ("/file", "bad_url"), ("/password", "bad_url")]
    {
        let error = test.egress.fetch(get(outside.url_as("site.example", path))).await.unwrap_err();
        assert_eq!(error.code(), code, "{path}");
    }
    assert!(inside.asked().is_empty());
    assert_eq!(outside.asked().len(), 5);
    let rows = test.egress.recent(20, None).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.outcome != "ok").count(), 5, "{rows:?}");
}

#[tokio::test]
async fn redirects_end() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/self" => Reply::redirect("/self"),
        "/a" => Reply::redirect("/b"),
        "/b" => Reply::redirect("/done"),
        "/done" => Reply::html("done"),
        other => Reply::redirect(format!("{other}x")),
    });
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    assert_eq!(test.egress.fetch(get(server.url("/self"))).await.unwrap_err().code(), "redirect_loop");
    assert_eq!(test.egress.fetch(get(server.url("/ever"))).await.unwrap_err().code(), "redirect_loop");
    assert_eq!(server.asked().len(), 1 + 6);
    let fetched = test.egress.fetch(get(server.url("/a"))).await.unwrap();
    assert_eq!((fetched.redirects, fetched.final_url.path()), (2, "/done"));
    let unfollowed = FetchRequest { accept_redirects: 0, ..get(server.url("/a")) };
    assert_eq!(test.egress.fetch(unfollowed).await.unwrap().status.as_u16(), 302);
}

#[tokio::test]
async fn secrets_do_not_follow_a_redirect_to_another_origin() {
    let other = TestServer::start(|_| Reply::html("other"));
    let to = other.url("/").to_string();
    let server = TestServer::start(move |asked| if asked.path == "/same" { Reply::redirect("/there") } else { Reply::redirect(to.clone()) });
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    let mut request = get(server.url("/same"));
    request.headers.insert(AUTHORIZATION, "Bearer secret".parse().unwrap());
    request.headers.insert(HeaderName::from_static("x-api-key"), "secret".parse().unwrap());
    request.headers.insert(HeaderName::from_static("accept-language"), "en".parse().unwrap());
    test.egress.fetch(request).await.unwrap();
    assert!(server.asked().iter().all(|asked| asked.headers.contains_key("authorization")));
    let arrived = &other.asked()[0];
    assert!(!arrived.headers.contains_key("authorization") && !arrived.headers.contains_key("x-api-key"));
    assert_eq!(arrived.headers["accept-language"], "en");
}

#[tokio::test]
async fn two_gigabytes_are_cut_and_a_bomb_does_not_go_off() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/bomb" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![b'0'; 32 << 20]).unwrap();
            Reply::Whole("200 OK", vec![("Content-Encoding", "gzip".into())], encoder.finish().unwrap())
        }
        _ => Reply::Endless("text/html"),
    });
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    for path in ["/endless", "/bomb"] {
        let fetched = test.egress.fetch(FetchRequest { max_bytes: 1 << 20, ..get(server.url(path)) }).await.unwrap();
        assert!(fetched.truncated);
        assert_eq!(fetched.body.len(), 1 << 20, "{path}");
    }
}

#[tokio::test]
async fn an_unwanted_body_is_not_read() {
    let server = TestServer::start(|_| Reply::Endless("video/mp4"));
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    let wanted = |_, headers: &http::HeaderMap| headers["content-type"] != "video/mp4";
    let fetched = test.egress.fetch_when(get(server.url("/")), wanted).await.unwrap();
    assert!(fetched.declined && fetched.body.is_empty());
}

#[tokio::test]
async fn slowness_silence_and_nonsense_have_names() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/stuck" => Reply::Stuck,
        "/hangup" => Reply::HangUp,
        "/head" => Reply::Raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(200_000)).into_bytes()),
        "/half" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec()),
        "/notgzip" => Reply::Whole("200 OK", vec![("Content-Encoding", "gzip".into())], b"this is not gzip, not at all".to_vec()),
        _ => Reply::Raw(b"220 mail.example ESMTP\r\n".to_vec()),
    });
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    let cases =
        [("/stuck", "timeout"), ("/hangup", "connect"), ("/head", "too_large"), ("/half", "connect"), ("/notgzip", "protocol"), ("/", "protocol")];
    for (path, code) in cases {
        let limit = if path == "/stuck" { Duration::from_millis(50) } else { Duration::from_secs(20) };
        let error = test.egress.fetch(FetchRequest { timeout: limit, ..get(server.url(path)) }).await.unwrap_err();
        assert_eq!(error.code(), code, "{path}: {error}");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = test.egress.fetch(get(format!("http://{closed}/").parse().unwrap())).await.unwrap_err();
    assert_eq!((error.code(), error.is_temporary()), ("connect", true));
    let rows = test.egress.recent(20, None).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.outcome == "timeout").count(), 1);
    assert_eq!(rows[0].outcome, "connect");
}

#[tokio::test]
async fn tls_trusts_nobody_unknown() {
    let certified = rcgen::generate_simple_self_signed(["site.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, certified.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0; 2048];
            if std::io::Read::read(&mut tls, &mut head).is_ok_and(|n| n > 0) {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure");
                let _ = tls.flush();
            }
        }
    });
    let names = || FixedNames::new(&[("site.example", &["127.0.0.1"])]);
    let url: Url = format!("https://site.example:{port}/").parse().unwrap();
    let stranger = egress(&[("site.example", None, true)], names()).await;
    let error = stranger.egress.fetch(get(url.clone())).await.unwrap_err();
    assert_eq!(error.code(), "tls", "{error}");

    let (store, _store_folder) = crate::store::testing::store();
    let settings = EgressSettings { extra_authorities: Some(path), ..EgressSettings::default() };
    let tasks = Tasks::default();
    let friend = Egress::with_resolver(store, Seams::system(), &tasks, settings, names()).await.unwrap();
    let draft = RuleDraft { destination: "site.example".into(), port: None, allow_private: true, reason: "test".into() };
    friend.add_rule(&draft, &crate::model::audit::Actor::System, None).await.unwrap();
    assert_eq!(&friend.fetch(get(url)).await.unwrap().body[..], b"secure");
}

#[tokio::test]
async fn a_stream_ends_stalls_and_is_bounded() {
    let server = TestServer::start(|asked| match asked.path.as_str() {
        "/stuck" => Reply::Stuck,
        "/endless" => Reply::Endless("text/event-stream"),
        _ => Reply::text("200 OK", &format!("{} {}", asked.method, String::from_utf8_lossy(&asked.body))),
    });
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    let open = |path: &str| {
        test.egress.open_stream(FetchRequest { max_bytes: 1 << 20, ..FetchRequest::post_json(server.url(path), Purpose::Model, "{}".into()) })
    };
    let chunks: Vec<_> = open("/").await.unwrap().body.collect().await;
    assert_eq!(chunks.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(), b"POST {}");
    let stuck: Vec<_> = open("/stuck").await.unwrap().body.collect().await;
    assert_eq!(stuck.last().unwrap().as_ref().unwrap_err().code(), "timeout");
    let endless: Vec<_> = open("/endless").await.unwrap().body.collect().await;
    assert_eq!(endless.last().unwrap().as_ref().unwrap_err().code(), "too_large");
    drop(open("/endless").await.unwrap());
    let outcomes: Vec<_> = test.egress.recent(9, None).await.unwrap().into_iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, ["cancelled", "too_large", "timeout", "ok"]);
}

#[tokio::test]
async fn rules_count_from_the_moment_they_change() {
    let server = TestServer::start(|_| Reply::html("hello"));
    let test = egress(&[("127.0.0.1", Some(server.address.port()), false)], no_names()).await;
    assert!(test.egress.fetch(get(server.url("/"))).await.is_ok());
    let draft = RuleDraft { destination: "127.0.0.1".into(), port: Some(server.address.port()), allow_private: false, reason: "again".into() };
    assert!(matches!(test.egress.add_rule(&draft, &crate::model::audit::Actor::System, None).await, Err(AddRuleError::Exists { .. })));
    let rule = test.egress.rules().remove(0);
    assert_eq!(test.egress.remove_rule(&rule.id, crate::model::audit::Actor::System, None).await.unwrap(), Some(rule.clone()));
    assert_eq!(test.egress.remove_rule(&rule.id, crate::model::audit::Actor::System, None).await.unwrap(), None);
    assert_eq!(test.egress.fetch(get(server.url("/"))).await.unwrap_err().code(), "not_allowed");
    assert!(test.egress.check(&server.url("/")).is_err());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_last_rows_are_written_when_the_app_stops() {
    let server = TestServer::start(|_| Reply::html("hello"));
    let test = egress(&[("127.0.0.1", None, false)], no_names()).await;
    test.egress.fetch(get(server.url("/"))).await.unwrap();
    assert_eq!(test.tasks.stop(Duration::from_secs(10)).await, 0);
    let rows = test.egress.inner.store.egress_log(9, None).await.unwrap();
    assert_eq!(rows.len(), 1);
}
