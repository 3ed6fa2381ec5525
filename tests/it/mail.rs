//! Mail, from what causes it to the server that takes it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode as Status;
use data_encoding::BASE64;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, PASSWORD, TestApp};
use crate::mail_server::{MailServer, Offer};
use crate::site::Site;

const BASE: (&str, &str) = ("APP_BASE_URL", "https://onsite.example:8443/");
const FROM: (&str, &str) = ("ONSITE_MAIL_FROM", "onsite@example.org");

/// An appliance with an admin and a mail server that it may reach.
async fn with_mail(server: &MailServer, url: &str, more: &[(&str, &str)]) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let authority = server.trust(folder.path());
    let mut settings = vec![BASE, FROM, ("SMTP_URL", url), ("ONSITE_EXTRA_CA_FILE", authority.as_str())];
    settings.extend(more);
    let app = TestApp::start_with(&settings).await.with_admin().await;
    app.allow(server.address).await;
    app
}

async fn invite(app: &TestApp, company: &str, email: &str) -> Value {
    app.user.post(&format!("{company}/invitations"), json!({ "email": email, "role": "member" })).await
}

fn joining(token: &str) -> Value {
    json!({ "token": token, "name": "Bea", "password": PASSWORD })
}

/// Waits for the newest mail to be in a state.
async fn newest(app: &TestApp, state: &str) -> Value {
    for _ in 0..10_000 {
        let mail = app.user.get("/api/system-admin/mail").await["mails"][0].clone();
        if mail["state"] == state && (state != "waiting" || mail["attempts"] != 0) {
            return mail;
        }
    }
    panic!("the newest mail is not {state}: {}", app.user.get("/api/system-admin/mail").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_and_a_new_password_come_by_starttls_with_links_that_work() {
    let server = MailServer::start(Offer::StartTls).await;
    let url = format!("smtp://onsite%40example.org:p%2Fw@localhost:{}?tls=required", server.address.port());
    let app = with_mail(&server, &url, &[]).await;
    let company = app.company().await;
    let made = invite(&app, &company, "bea@example.com").await;
    assert_eq!(made["mailed"], true);
    let mail = server.next().await;
    assert!(mail.secure);
    assert_eq!(mail.signed_in.as_deref(), Some("onsite@example.org:p/w"));
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("onsite@example.org", "bea@example.com"));
    assert!(mail.text.contains("Subject: Invitation to Example Works on Onsite\r\n"), "{}", mail.text);
    assert!(mail.body().contains("https://onsite.example:8443/invitation#"), "{}", mail.body());
    assert_eq!(
        app.user.try_send(Method::POST, "/api/invitations/accept-as-new", Some(joining(&mail.token("invitation")))).await.0,
        StatusCode::CREATED
    );

    assert_eq!(app.user.get("/api/session").await["mails_links"], true);
    let forgot = async |email: &str| app.user.try_send(Method::POST, "/api/auth/forgot-password", Some(json!({ "email": email }))).await.0;
    assert_eq!([forgot("nobody@example.com").await, forgot("bea@example.com").await], [StatusCode::ACCEPTED; 2]);
    let mail = server.next().await;
    assert_eq!(mail.to, "bea@example.com");
    let password = "another private phrase";
    let reset = json!({ "token": mail.token("password-reset"), "password": password });
    assert_eq!(app.user.try_send(Method::POST, "/api/auth/password-reset", Some(reset)).await.0, StatusCode::NO_CONTENT);
    app.user.post("/api/auth/login", json!({ "email": "bea@example.com", "password": password })).await;
    newest(&app, "sent").await;
    let log = app.user.get("/api/system-admin/egress/log").await;
    let row = log["log"].as_array().unwrap().iter().find(|row| row["purpose"] == "mail").unwrap().clone();
    assert_eq!((&row["outcome"], &row["destination"]), (&json!("ok"), &json!(format!("smtp://localhost:{}", server.address.port()))));
    assert!(server.is_empty().await, "nobody else got anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_from_the_start_works_and_a_certificate_of_nobody_is_refused() {
    let server = MailServer::start(Offer::Tls).await;
    let url = format!("smtps://localhost:{}", server.address.port());
    let app = with_mail(&server, &url, &[]).await;
    let sent = app.user.post("/api/system-admin/mail/test", json!({ "to": "ops@example.com" })).await;
    let mail = server.next().await;
    assert!(mail.secure && mail.signed_in.is_none() && mail.body().contains("onsite.example"));
    assert_eq!(newest(&app, "sent").await["id"], sent["id"]);
    let wrong = app.user.refused("/api/system-admin/mail/test", json!({ "to": "nobody" })).await;
    assert_eq!(wrong.1["field"], "to");

    let distrusted = TestApp::start_with(&[BASE, FROM, ("SMTP_URL", &url)]).await.with_admin().await;
    distrusted.allow(server.address).await;
    distrusted.user.post("/api/system-admin/mail/test", json!({ "to": "ops@example.com" })).await;
    let waiting = newest(&distrusted, "waiting").await;
    assert!(waiting["last_error"].as_str().unwrap().contains("no secure connection"), "{waiting}");
    assert!(server.is_empty().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_waits_for_its_rule_is_tried_again_and_given_up_when_it_is_refused_for_good() {
    let server = MailServer::start(Offer::Plain).await;
    let url = format!("smtp://127.0.0.1:{}", server.address.port());
    let app = TestApp::start_with(&[BASE, FROM, ("SMTP_URL", &url)]).await.with_admin().await;
    let company = app.company().await;
    invite(&app, &company, "bea@example.com").await;
    let waiting = newest(&app, "waiting").await;
    assert!(waiting["last_error"].as_str().unwrap().contains("is not allowed"), "{waiting}");
    app.allow(server.address).await;
    server.refuse(&["451 4.7.1 greylisted, come back"]);
    app.advance(Duration::from_secs(31));
    for _ in 0..10_000 {
        if newest(&app, "waiting").await["attempts"] == 2 {
            break;
        }
    }
    let waiting = newest(&app, "waiting").await;
    assert_eq!((&waiting["attempts"], waiting["last_error"].as_str().unwrap().contains("451 4.7.1 greylisted")), (&json!(2), true), "{waiting}");
    app.advance(Duration::from_secs(61));
    let mail = server.next().await;
    assert_eq!((mail.to.as_str(), mail.secure), ("bea@example.com", false));
    newest(&app, "sent").await;

    server.refuse(&["550 5.1.1 no such user"]);
    app.advance(Duration::from_secs(1));
    invite(&app, &company, "gone@example.com").await;
    let failed = newest(&app, "failed").await;
    assert!(failed["last_error"].as_str().unwrap().contains("550 5.1.1 no such user"), "{failed}");
    assert_eq!(failed["attempts"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_asks_for_a_verified_address_first_then_for_the_mailed_code_then_opens_a_session() {
    let server = MailServer::start(Offer::Plain).await;
    let url = format!("smtp://127.0.0.1:{}", server.address.port());
    let app = with_mail(&server, &url, &[("AUTH_REQUIRE_EMAIL_VERIFICATION", "1"), ("AUTH_REQUIRE_EMAIL_2FA", "1")]).await;
    let company = app.company().await;
    invite(&app, &company, "bea@example.com").await;
    let token = server.next().await.token("invitation");
    let (status, joined) = app.user.try_send(Method::POST, "/api/invitations/accept-as-new", Some(joining(&token))).await;
    assert_eq!((status, &joined["company"], &joined["session"]), (StatusCode::ACCEPTED, &json!("Example Works"), &Value::Null));
    let link = server.next().await.token("verify-email");

    let login = json!({ "email": "bea@example.com", "password": PASSWORD });
    let (status, unverified) = app.user.refused("/api/auth/login", login.clone()).await;
    assert_eq!((status.as_u16(), &unverified["code"]), (403, &json!("email_not_verified")));
    let (status, wrong) = app.user.refused("/api/auth/login", json!({ "email": "bea@example.com", "password": "not hers at all" })).await;
    assert_eq!((status.as_u16(), &wrong["code"]), (401, &json!("wrong_credentials")), "who does not know the password learns nothing");
    assert!(server.is_empty().await, "one link is on its way already");
    app.advance(Duration::from_secs(301));
    app.user.refused("/api/auth/login", login.clone()).await;
    let newer = server.next().await.token("verify-email");
    let verify = async |token: &str| app.user.try_send(Method::POST, "/api/auth/verify-email", Some(json!({ "token": token }))).await.0;
    assert_eq!([verify(&link).await, verify(&newer).await, verify(&newer).await], [StatusCode::GONE, StatusCode::NO_CONTENT, StatusCode::GONE]);

    let (status, waiting) = app.user.try_send(Method::POST, "/api/auth/login", Some(login)).await;
    assert_eq!((status, &waiting["methods"], &waiting["session"]), (StatusCode::ACCEPTED, &json!(["email"]), &Value::Null));
    let first = server.next().await.code();
    let again = json!({ "second_step": waiting["second_step"] });
    assert_eq!(app.user.try_send(Method::POST, "/api/auth/second-step/mail", Some(again.clone())).await.0, StatusCode::NO_CONTENT);
    let code = server.next().await.code();
    let step = |method: &str, code: &str| json!({ "second_step": waiting["second_step"], "method": method, "code": code });
    if first != code {
        assert_eq!(app.user.refused("/api/auth/second-step", step("email", &first)).await.0, StatusCode::UNAUTHORIZED, "a newer code replaces it");
    }
    assert_eq!(app.user.refused("/api/auth/second-step", step("totp", &code)).await.1["code"], "wrong_code");
    let signed_in = app.user.post("/api/auth/second-step", step("email", &code)).await;
    assert_eq!(signed_in["user"]["email"], "bea@example.com");
    assert_eq!(app.user.refused("/api/auth/second-step", step("email", &code)).await.0, StatusCode::GONE);
    let admin = json!({ "email": EMAIL, "password": PASSWORD });
    let (status, _) = app.user.try_send(Method::POST, "/api/auth/login", Some(admin)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the first admin's address needs no link, their sign-in a code");
    let third = app.user.try_send(Method::POST, "/api/auth/second-step/mail", Some(again)).await.0;
    assert_eq!(third, StatusCode::GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_mail_goes_into_a_folder_and_without_an_address_no_link_is_written() {
    let app = TestApp::start_with(&[BASE]).await.with_admin().await;
    let company = app.company().await;
    let made = invite(&app, &company, "bea@example.com").await;
    assert_eq!(made["mailed"], false, "nobody delivers it");
    let id = newest(&app, "sent").await["id"].as_str().unwrap().to_owned();
    let file = app.dir.mail().join(format!("{id}.eml"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(app.dir.mail()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(std::fs::read_to_string(&file).unwrap().contains("To: bea@example.com\r\n"));
    assert_eq!(app.user.refused("/api/auth/forgot-password", json!({ "email": EMAIL })).await.1["code"], "no_mail");

    let bare = TestApp::start().await.with_admin().await;
    let company = bare.company().await;
    invite(&bare, &company, "bea@example.com").await;
    assert_eq!(bare.user.get("/api/system-admin/mail").await["mails"], json!([]));
}

/// What Azure does with a request: it checks the signature as its documentation says, and takes the mail.
fn azure(key: &'static [u8], taken: Arc<Mutex<Vec<Value>>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let taken = Arc::clone(&taken);
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
            let (date, hash) = (header("x-ms-date"), header("x-ms-content-sha256"));
            let path = head.uri.path_and_query().unwrap().as_str();
            let signed = format!("{}\n{path}\n{date};{};{hash}", head.method, header("host"));
            let signature = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), signed.as_bytes());
            let expected = format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={}", BASE64.encode(signature.as_ref()));
            let whole = hash == BASE64.encode(&onsite::base::secret::sha256(&body))
                && date.ends_with(" GMT")
                && path == "/emails:send?api-version=2023-03-31";
            if !whole || header("authorization") != expected {
                return (Status::UNAUTHORIZED, "{\"error\":{\"code\":\"Denied\",\"message\":\"Denied by the resource provider.\"}}".to_owned());
            }
            taken.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            (Status::ACCEPTED, "{\"id\":\"1\",\"status\":\"Running\"}".to_owned())
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_takes_a_mail_whose_signature_it_can_verify_and_no_other() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let site = Site::serve(azure(b"the key", Arc::clone(&taken))).await;
    let start = async |key: &[u8]| {
        let connection = format!("endpoint={};accesskey={}", site.url("/"), BASE64.encode(key));
        let settings = [
            BASE,
            ("AZURE_COMMUNICATION_SERVICES_CONNECTION_STRING", connection.as_str()),
            ("AZURE_COMMUNICATION_EMAIL_SENDER", "onsite@example.org"),
        ];
        let app = TestApp::start_with(&settings).await.with_admin().await;
        app.allow(site.address).await;
        app.user.post("/api/system-admin/mail/test", json!({ "to": "ops@example.com" })).await;
        app
    };
    let app = start(b"the key").await;
    newest(&app, "sent").await;
    let mail = taken.lock().unwrap()[0].clone();
    assert_eq!((&mail["senderAddress"], &mail["recipients"]["to"][0]["address"]), (&json!("onsite@example.org"), &json!("ops@example.com")));
    assert!(mail["content"]["plainText"].as_str().unwrap().contains("onsite.example") && mail["userEngagementTrackingDisabled"] == true);
    let app = start(b"another key").await;
    let waiting = newest(&app, "waiting").await;
    assert!(waiting["last_error"].as_str().unwrap().contains("401 Denied by the resource provider."), "{waiting}");
    assert_eq!(taken.lock().unwrap().len(), 1);
}
