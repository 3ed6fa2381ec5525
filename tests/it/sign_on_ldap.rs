//! Signing in with the password of a directory: against a real slapd, and against a server that misbehaves.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, TestApp, User};
use crate::directory::{ACCOUNT, ACCOUNT_PASSWORD, BASE, Directory};

/// Only administrators write addresses into the directory.
const TRUSTED: (&str, &str) = ("ONSITE_LDAP_MAIL_TRUSTED", "1");

async fn start(url: &str, authority: Option<&str>, settings: &[(&str, &str)]) -> (TestApp, String) {
    let mut all = vec![
        ("ONSITE_LDAP_URL", url),
        ("ONSITE_LDAP_BASE_DN", BASE),
        ("ONSITE_LDAP_BIND_DN", ACCOUNT),
        ("ONSITE_LDAP_BIND_PASSWORD", ACCOUNT_PASSWORD),
        ("ONSITE_LDAP_USER_FILTER", "(|(uid={user})(mail={user}))"),
    ];
    all.extend(authority.map(|path| ("ONSITE_EXTRA_CA_FILE", path)));
    all.extend(settings.iter().copied());
    let app = TestApp::start_with(&all).await.with_admin().await;
    let company = app.company().await;
    // By its name the certificate is checked, and by its address the rule.
    for (destination, private) in [("localhost", true), ("127.0.0.1", false)] {
        let rule = json!({ "destination": destination, "allow_private": private, "reason": "the test's own directory" });
        app.user.post("/api/system-admin/egress/rules", rule).await;
    }
    (app, company)
}

async fn give(app: &TestApp, group: &str, company: &str, role: &str) {
    let body = json!({ "source": "ldap", "group": group, "company_id": company.rsplit('/').next().unwrap(), "role": role });
    let (status, answer) = app.user.try_send(Method::POST, "/api/system-admin/sign-on/groups", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

async fn sign_in(app: &TestApp, user: &str, password: &str) -> (StatusCode, Value) {
    let body = json!({ "user": user, "password": password, "session": "bearer" });
    User::anonymous(&app.user.base).try_send(Method::POST, "/api/auth/ldap", Some(body)).await
}

fn code((status, answer): &(StatusCode, Value)) -> (u16, &str) {
    (status.as_u16(), answer["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directorys_password_brings_somebody_in_over_tls_and_starttls() {
    let directory = Directory::start();
    for url in [format!("ldaps://localhost:{}", directory.tls.port()), format!("ldap://localhost:{}", directory.plain.port())] {
        let (app, company) = start(&url, Some(&directory.authority()), &[TRUSTED]).await;
        let tested = app.user.post("/api/system-admin/sign-on/test", json!({ "source": "ldap" })).await;
        assert_eq!(tested["works"], true, "{url}: {tested}");
        assert_eq!(User::anonymous(&app.user.base).get("/api/session").await["ldap"], "company directory");
        assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (403, "sso_no_place"));
        give(&app, "CN=data team, DC=example,DC=com", &company, "dev").await;
        let (status, answer) = sign_in(&app, " Vera@example.com", "galaxies turn").await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!((answer["user"]["name"].as_str(), answer["user"]["email"].as_str()), (Some("Vera C. Rubin"), Some("vera@example.com")));
        let mut vera = app.user.clone();
        vera.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
        assert_eq!(vera.get("/api/me").await["companies"][0]["role"], "dev");
        assert_eq!(sign_in(&app, "vera", "galaxies turn").await.1["user"]["id"], answer["user"]["id"]);
        assert!(app.sign_in(EMAIL).await.get("/api/system-admin/users").await.is_object(), "the local admin");
        let log = app.user.get("/api/system-admin/egress/log").await.to_string();
        assert!(log.contains("sign_in") && log.contains("localhost"), "{log}");
        let everything = format!("{log}{}", app.user.get("/api/system-admin/audit?limit=200").await);
        assert!(!everything.contains("canary") && !everything.contains("galaxies turn"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_one_person_with_the_right_password_opens_nothing() {
    let directory = Directory::start();
    let (app, company) = start(&format!("ldaps://localhost:{}", directory.tls.port()), Some(&directory.authority()), &[]).await;
    give(&app, "cn=Data Team,dc=example,dc=com", &company, "viewer").await;
    for (user, password) in [
        ("vera", "wrong"),
        ("vera", ""),
        ("", "galaxies turn"),
        ("nobody", "galaxies turn"),
        ("*", "galaxies turn"),
        ("ver*", "galaxies turn"),
        ("vera)(uid=*", "galaxies turn"),
        ("*)(uid=*))(|(uid=*", "galaxies turn"),
    ] {
        app.advance(Duration::from_secs(60));
        assert_eq!(code(&sign_in(&app, user, password).await), (401, "wrong_credentials"), "{user:?} {password:?}");
    }
    app.advance(Duration::from_secs(600));
    assert_eq!(code(&sign_in(&app, "twin", "the same").await), (401, "wrong_credentials"), "two entries are nobody");
    assert_eq!(code(&sign_in(&app, "nomail", "without one").await), (403, "sso_no_mail_address"));
    for _ in 0..10 {
        assert_eq!(code(&sign_in(&app, "vera", "a guess").await).0, 401);
    }
    assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (429, "too_many_tries"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_left_takes_its_role_and_a_mail_of_ones_own_making_opens_no_account() {
    let directory = Directory::start();
    let url = format!("ldaps://localhost:{}", directory.tls.port());
    let (app, company) = start(&url, Some(&directory.authority()), &[]).await;
    give(&app, "cn=data team,dc=example,dc=com", &company, "member").await;
    assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (403, "sso_address_not_verified"), "anybody may have written it");
    let app = app.restart_with(&[TRUSTED]).await;
    assert_eq!(sign_in(&app, "vera", "galaxies turn").await.0, StatusCode::OK);
    directory.modify("dn: cn=Data Team,dc=example,dc=com\nchangetype: modify\ndelete: member\nmember: uid=vera,ou=people,dc=example,dc=com\n");
    assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (403, "sso_no_place"));

    let app = app.restart_with(&[("ONSITE_LDAP_MAIL_TRUSTED", "0")]).await;
    directory.modify("dn: uid=nomail,ou=people,dc=example,dc=com\nchangetype: modify\nadd: mail\nmail: vera@example.com\n");
    assert_eq!(code(&sign_in(&app, "nomail", "without one").await), (403, "sso_address_not_verified"));
    directory.modify(&format!("dn: uid=nomail,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: mail\nmail: {EMAIL}\n"));
    let app = app.restart_with(&[TRUSTED]).await;
    assert_eq!(code(&sign_in(&app, "nomail", "without one").await), (403, "sso_address_of_admin"), "trusted or not");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_out_who_was_in_from_the_same_address() {
    let directory = Directory::start();
    let (app, company) = start(&format!("ldaps://localhost:{}", directory.tls.port()), Some(&directory.authority()), &[TRUSTED]).await;
    give(&app, "cn=data team,dc=example,dc=com", &company, "member").await;
    assert_eq!(sign_in(&app, "vera", "galaxies turn").await.0, StatusCode::OK);
    let mut guesses = 0;
    while code(&sign_in(&app, &format!("guess-{guesses}"), "wrong").await) == (401, "wrong_credentials") {
        app.advance(Duration::from_millis(250));
        guesses += 1;
    }
    assert!((100..120).contains(&guesses), "{guesses}");
    assert_eq!(code(&sign_in(&app, "vera@example.com", "galaxies turn").await), (429, "too_many_tries"), "a name never used here");
    assert_eq!(sign_in(&app, " VERA", "galaxies turn").await.0, StatusCode::OK);
    for _ in 0..10 {
        assert_eq!(code(&sign_in(&app, "vera", "a guess").await).0, 401);
    }
    assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (429, "too_many_tries"), "guesses from there at this name");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_goes_to_a_server_that_is_not_who_it_says() {
    let directory = Directory::start();
    for url in [format!("ldaps://localhost:{}", directory.tls.port()), format!("ldap://localhost:{}", directory.plain.port())] {
        let (app, _) = start(&url, None, &[]).await;
        assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (502, "sso_unavailable"));
        let failure = app.user.get("/api/system-admin/sign-on").await["ldap"]["last_failure"]["reason"].clone();
        assert!(failure.as_str().unwrap().contains("no secure connection"), "{failure}");
    }
    let (app, _) =
        start(&format!("ldaps://localhost:{}", directory.tls.port()), Some(&directory.authority()), &[("ONSITE_LDAP_BIND_PASSWORD", "wrong")]).await;
    let tested = app.user.post("/api/system-admin/sign-on/test", json!({ "source": "ldap" })).await;
    assert!(tested["works"] == false && tested["found"].as_str().unwrap().contains("ONSITE_LDAP_BIND_DN"), "{tested}");
    assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (502, "sso_unavailable"));
}

/// Answers the first question with these bytes, and keeps what it was sent.
fn scripted(answer: Vec<u8>) -> (u16, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = vec![0; 4_096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            let _ = stream.write_all(&answer);
            let more = stream.read(&mut bytes[read..]).unwrap_or(0);
            let _ = sender.send(bytes[..read + more].to_vec());
        }
    });
    (port, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_or_with_nonsense_learns_no_password() {
    // StartTLS refused (protocolError), StartTLS accepted with words behind it, a message without an end, and what is no LDAP at all.
    let refused = vec![0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x02, 0x04, 0x00, 0x04, 0x00];
    let mut early = vec![0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00];
    early.extend([0x30, 0x0c, 0x02, 0x01, 0x02, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00]);
    let endless = [vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], vec![0x04; 3 << 20]].concat();
    for answer in [refused, early, endless, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()] {
        let (port, received) = scripted(answer.clone());
        let (app, _) = start(&format!("ldap://localhost:{port}"), None, &[]).await;
        assert_eq!(code(&sign_in(&app, "vera", "galaxies turn").await), (502, "sso_unavailable"), "{:?}", &answer[..answer.len().min(20)]);
        let sent = received.recv_timeout(Duration::from_secs(20)).unwrap();
        let sent = String::from_utf8_lossy(&sent).into_owned();
        assert!(sent.contains("1.3.6.1.4.1.1466.20037") && !sent.contains("galaxies") && !sent.contains("canary"), "{sent}");
    }
}
