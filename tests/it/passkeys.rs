//! Passkeys as a browser at https://NAME would use them: set up, asked for at the second step, shown as a fresh proof, taken away.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::app::{EMAIL, PASSWORD, TestApp, User};
use crate::authenticator::{Authenticator, BACKED_UP, BACKUP_ELIGIBLE, Kind, PRESENT, VERIFIED};
use crate::factors::enrol;

const PASSKEYS: &str = "/api/me/factors/passkeys";

/// The server by its name: what stands in the address of the browser.
fn origin(user: &User) -> String {
    user.base.replace("127.0.0.1", "localhost")
}

/// Sends as a page at the server's name does.
async fn by_name(user: &User, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let host = origin(user).replace("http://", "");
    let mut request = user.client().request(method, format!("{}{path}", user.base)).header(header::HOST, host).json(&body);
    if let Some(token) = &user.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

async fn post(user: &User, path: &str, body: Value) -> Value {
    let (status, answer) = by_name(user, Method::POST, path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

fn code_of((status, answer): &(StatusCode, Value)) -> (u16, &str) {
    (status.as_u16(), answer["error"]["code"].as_str().unwrap_or_default())
}

fn reason_of((status, answer): &(StatusCode, Value)) -> (u16, &str) {
    assert_eq!(answer["error"]["code"], "passkey_refused", "{answer}");
    assert!(answer["error"]["remedy"].is_string());
    (status.as_u16(), answer["error"]["reason"].as_str().unwrap_or_default())
}

/// Makes a passkey and tries to keep it.
async fn add(user: &User, device: &mut Authenticator) -> (StatusCode, Value) {
    let options = post(user, &format!("{PASSKEYS}/challenge"), json!({})).await;
    let mut made = device.create(&options, &origin(user));
    made["name"] = json!("Laptop");
    by_name(user, Method::POST, PASSKEYS, made).await
}

/// Sets a passkey up; returns its id.
pub async fn set_up(user: &User, device: &mut Authenticator) -> String {
    let (status, answer) = add(user, device).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["passkey"]["id"].as_str().unwrap().to_owned()
}

/// The first step: the token of the second, and how it can be shown.
async fn first_step(app: &TestApp) -> (String, Value) {
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let (status, answer) = app.user.try_send(Method::POST, "/api/auth/login", Some(body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    (answer["second_step"].as_str().unwrap().to_owned(), answer["methods"].clone())
}

async fn challenge(app: &TestApp, token: &str) -> Value {
    post(&app.user, "/api/auth/second-step/passkey/challenge", json!({ "second_step": token })).await
}

async fn second_step(app: &TestApp, token: &str, shown: Value) -> (StatusCode, Value) {
    let body = json!({ "second_step": token, "passkey": shown, "session": "bearer" });
    by_name(&app.user, Method::POST, "/api/auth/second-step/passkey", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_set_up_by_name_and_asked_for_after_the_password() {
    let app = TestApp::start().await.with_admin().await;
    let other = app.sign_in(EMAIL).await;
    assert_eq!(app.user.get("/api/me/security").await["passkeys_host"], Value::Null);
    let (status, refused) = app.user.refused(&format!("{PASSKEYS}/challenge"), json!({})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("passkeys_need_a_name")), "an address has no passkeys");
    assert!(refused["remedy"].as_str().unwrap().contains("APP_BASE_URL"));

    let options = post(&app.user, &format!("{PASSKEYS}/challenge"), json!({})).await;
    assert_eq!((&options["rp"]["id"], &options["attestation"]), (&json!("localhost"), &json!("none")));
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["pubKeyCredParams"].as_array().unwrap().iter().map(|each| each["alg"].as_i64().unwrap()).collect::<Vec<_>>(), [-7, -8, -257]);
    let mut device = Authenticator::new(Kind::Es256);
    device.flags |= BACKUP_ELIGIBLE;
    let mut made = device.create(&options, &origin(&app.user));
    made["name"] = json!("  Blue \t key ");
    let added = post(&app.user, PASSKEYS, made.clone()).await;
    assert_eq!(added["recovery_codes"].as_array().unwrap().len(), 10, "with the first factor");
    assert_eq!(other.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "sessions from before the factor end");
    assert_eq!(code_of(&by_name(&app.user, Method::POST, PASSKEYS, made).await), (409, "no_challenge"), "answered once");
    let security = by_name(&app.user, Method::GET, "/api/me/security", Value::Null).await.1;
    assert_eq!((&security["passkeys_host"], &security["recovery_codes"]), (&json!("localhost"), &json!(10)));
    let kept = &security["passkeys"][0];
    assert_eq!((&kept["name"], &kept["host"], &kept["last_used_at"]), (&json!("Blue key"), &json!("localhost"), &Value::Null));
    assert_eq!(kept["synced"], false);

    let (token, methods) = first_step(&app).await;
    assert_eq!(methods, json!(["passkey", "recovery_code"]));
    let asked = challenge(&app, &token).await;
    assert_eq!((&asked["rpId"], &asked["userVerification"]), (&json!("localhost"), &json!("required")));
    assert_eq!(asked["allowCredentials"][0]["transports"], json!(["internal"]), "words of later browsers are passed over");
    device.counter += 1;
    device.flags |= BACKED_UP;
    let shown = device.show(&asked, &origin(&app.user));
    let signed_in = second_step(&app, &token, shown.clone()).await;
    assert_eq!((signed_in.0, &signed_in.1["user"]["email"]), (StatusCode::OK, &json!(EMAIL)), "{}", signed_in.1);
    assert_eq!(code_of(&second_step(&app, &token, shown).await), (410, "sign_in_ended"));
    let used = app.user.get("/api/me/security").await["passkeys"][0].clone();
    assert!(used["last_used_at"].is_string() && used["synced"] == true, "{used}");

    let (token, _) = first_step(&app).await;
    let by_address = app.user.refused("/api/auth/second-step/passkey/challenge", json!({ "second_step": token })).await;
    assert_eq!(by_address.1["code"], "passkeys_need_a_name", "opened by its address, it is still asked for");
    let code = json!({ "second_step": token, "method": "recovery_code", "code": added["recovery_codes"][0], "session": "bearer" });
    assert!(app.user.post("/api/auth/second-step", code).await["session"]["token"].is_string());
    let logins = app.user.get("/api/system-admin/audit?action=auth.login").await;
    assert!(logins.to_string().contains(r#""factor":"passkey""#), "{logins}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_refused_with_their_reason_and_end_the_sign_in() {
    let app = TestApp::start().await.with_admin().await;
    let mut device = Authenticator::new(Kind::EdDsa);
    let passkey = set_up(&app.user, &mut device).await;
    let here = origin(&app.user);
    device.counter = 5;
    let (token, _) = first_step(&app).await;
    let asked = challenge(&app, &token).await;
    let wrong = second_step(&app, &token, device.show(&asked, "http://evil.example")).await;
    assert_eq!((reason_of(&wrong), &wrong.1["error"]["attempts_left"]), ((401, "wrong_origin"), &json!(4)));
    let again = device.show(&asked, &here);
    assert_eq!(code_of(&second_step(&app, &token, again).await), (409, "no_challenge"), "a wrong answer uses it up too");

    let (first, second) = (challenge(&app, &token).await, challenge(&app, &token).await);
    assert_eq!(reason_of(&second_step(&app, &token, device.show(&first, &here)).await), (401, "wrong_challenge"), "the newest counts");
    assert_eq!(code_of(&second_step(&app, &token, device.show(&second, &here)).await), (409, "no_challenge"));
    device.flags = PRESENT;
    let asked = challenge(&app, &token).await;
    assert_eq!(reason_of(&second_step(&app, &token, device.show(&asked, &here)).await), (401, "not_verified"));
    device.flags |= VERIFIED;
    let mut stranger = Authenticator::new(Kind::EdDsa);
    let asked = challenge(&app, &token).await;
    assert_eq!(reason_of(&second_step(&app, &token, stranger.show(&asked, &here)).await), (401, "other_credential"));
    let asked = challenge(&app, &token).await;
    app.advance(Duration::from_secs(300));
    assert_eq!(code_of(&second_step(&app, &token, device.show(&asked, &here)).await), (409, "no_challenge"), "after five minutes");

    let asked = challenge(&app, &token).await;
    assert_eq!(second_step(&app, &token, device.show(&asked, &here)).await.0, StatusCode::OK);
    let (token, _) = first_step(&app).await;
    for left in (0..5).rev() {
        let asked = challenge(&app, &token).await;
        let copied = second_step(&app, &token, device.show(&asked, &here)).await;
        assert_eq!((reason_of(&copied), &copied.1["error"]["attempts_left"]), ((401, "count_went_back"), &json!(left)));
    }
    device.counter += 1;
    let over = by_name(&app.user, Method::POST, "/api/auth/second-step/passkey/challenge", json!({ "second_step": token })).await;
    assert_eq!(code_of(&over), (410, "sign_in_ended"));
    let warned = app.user.get("/api/system-admin/audit?action=factor.copy_suspected&outcome=refused").await;
    assert_eq!((warned["rows"].as_array().unwrap().len(), &warned["rows"][0]["object"]), (5, &json!(passkey)));
    let refused = app.user.get("/api/system-admin/audit?action=auth.second_factor&outcome=refused").await.to_string();
    assert!(refused.contains(r#""reason":"wrong_origin""#), "{refused}");
    for rubbish in [json!({}), json!({ "id": "!", "client_data": "", "authenticator_data": "", "signature": "" })] {
        assert_eq!(second_step(&app, "x", rubbish).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_a_fresh_proof_for_its_own_session_only() {
    let app = TestApp::start().await.with_admin().await;
    let mut device = Authenticator::new(Kind::Rs256);
    set_up(&app.user, &mut device).await;
    device.counter += 1;
    let (token, _) = first_step(&app).await;
    let asked = challenge(&app, &token).await;
    let shown = device.show(&asked, &origin(&app.user));
    let mut other = app.user.clone();
    other.token = Some(second_step(&app, &token, shown).await.1["session"]["token"].as_str().unwrap().to_owned());

    app.advance(Duration::from_secs(601));
    assert_eq!(app.user.refused("/api/me/factors/recovery-codes", json!({})).await.1["code"], "step_up_required");
    let asked = post(&app.user, "/api/me/step-up/passkey/challenge", json!({})).await;
    device.counter += 1;
    let shown = device.show(&asked, &origin(&app.user));
    assert_eq!(code_of(&by_name(&other, Method::POST, "/api/me/step-up/passkey", shown.clone()).await), (409, "no_challenge"), "of another session");
    let mut altered = shown.clone();
    altered["signature"] = json!("AAAA");
    let fresh = post(&app.user, "/api/me/step-up/passkey", shown).await;
    assert!(fresh["fresh_until"].is_string());
    app.user.post("/api/me/factors/recovery-codes", json!({})).await;
    assert_eq!(other.refused("/api/me/factors/recovery-codes", json!({})).await.1["code"], "step_up_required");
    post(&app.user, "/api/me/step-up/passkey/challenge", json!({})).await;
    assert_eq!(reason_of(&by_name(&app.user, Method::POST, "/api/me/step-up/passkey", altered).await), (403, "wrong_challenge"));
    let steps = app.user.get("/api/system-admin/audit?action=auth.step_up").await;
    let outcomes: Vec<_> = steps["rows"].as_array().unwrap().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.contains(&"refused") && outcomes.contains(&"ok"), "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_named_bounded_and_taken_away_and_the_last_factor_takes_the_codes_along() {
    let app = TestApp::start_with(&[("ONSITE_REQUIRE_SECOND_FACTOR", "1")]).await.with_admin().await;
    assert_eq!(app.user.get("/api/me").await["must_enrol"], true);
    let mut device = Authenticator::new(Kind::Es256);
    let first = set_up(&app.user, &mut device).await;
    assert_eq!(app.user.get("/api/me").await["must_enrol"], false);
    let asked = post(&app.user, &format!("{PASSKEYS}/challenge"), json!({})).await;
    assert_eq!(asked["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(code_of(&add(&app.user, &mut device).await), (409, "passkey_known"));
    for _ in 1..10 {
        let (status, answer) = add(&app.user, &mut Authenticator::new(Kind::Es256)).await;
        assert_eq!((status, &answer["recovery_codes"]), (StatusCode::CREATED, &json!([])), "codes come with the first factor only");
    }
    let more = by_name(&app.user, Method::POST, &format!("{PASSKEYS}/challenge"), json!({})).await;
    assert_eq!(code_of(&more), (409, "too_many_passkeys"));

    let path = format!("{PASSKEYS}/{first}");
    let rename = async |name: &str| app.user.try_send(Method::PATCH, &path, Some(json!({ "name": name }))).await;
    assert_eq!(rename("Work laptop").await.0, StatusCode::NO_CONTENT);
    let (status, refused) = rename(" ").await;
    assert_eq!((status.as_u16(), &refused["error"]["field"]), (422, &json!("name")));
    let kept = app.user.get("/api/me/security").await["passkeys"].as_array().unwrap().clone();
    assert!(kept.iter().any(|each| each["name"] == "Work laptop"));

    let (_, codes) = enrol(&app).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(app.user.try_send(Method::DELETE, "/api/me/factors/totp", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.get("/api/me/security").await["recovery_codes"], 10, "passkeys are left");
    for each in &kept {
        assert_eq!(app.user.get("/api/me").await["must_enrol"], false);
        let path = format!("{PASSKEYS}/{}", each["id"].as_str().unwrap());
        assert_eq!(app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        assert_eq!(app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    }
    let security = app.user.get("/api/me/security").await;
    assert_eq!((&security["recovery_codes"], &security["passkeys"]), (&json!(0), &json!([])));
    assert_eq!(app.user.get("/api/me").await["must_enrol"], true);

    set_up(&app.user, &mut device).await;
    let me = app.user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.user.try_send(Method::DELETE, &format!("/api/system-admin/users/{me}/factors"), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.get("/api/me/security").await["passkeys"], json!([]), "a system admin takes all factors");
    set_up(&app.user, &mut device).await;
    for (action, rows) in [("factor.added", 13), ("factor.renamed", 1), ("factor.removed", 12)] {
        let found = app.user.get(&format!("/api/system-admin/audit?action={action}")).await["rows"].as_array().unwrap().len();
        assert_eq!(found, rows, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_passkey_that_does_not_hold_is_not_kept() {
    let app = TestApp::start().await.with_admin().await;
    let here = origin(&app.user);
    let attempt = async |device: &mut Authenticator, origin: &str| {
        let options = post(&app.user, &format!("{PASSKEYS}/challenge"), json!({})).await;
        let mut made = device.create(&options, origin);
        made["name"] = json!("Laptop");
        by_name(&app.user, Method::POST, PASSKEYS, made).await
    };
    let device = || Authenticator::new(Kind::Es256);
    assert_eq!(reason_of(&attempt(&mut device(), "https://localhost").await), (403, "wrong_origin"));
    assert_eq!(reason_of(&attempt(&mut Authenticator { flags: PRESENT, ..device() }, &here).await), (403, "not_verified"));
    assert_eq!(reason_of(&attempt(&mut Authenticator { format: "android-key", ..device() }, &here).await), (403, "attestation"));
    let elsewhere = Authenticator { host: Some("evil.example".to_owned()), ..device() };
    assert_eq!(reason_of(&attempt(&mut { elsewhere }, &here).await), (403, "wrong_host"));
    let (status, answer) =
        by_name(&app.user, Method::POST, PASSKEYS, json!({ "name": "x", "id": "=", "client_data": "", "attestation_object": "" })).await;
    assert_eq!((status.as_u16(), &answer["error"]["field"]), (422, &json!("id")));
    assert_eq!(app.user.get("/api/me/security").await["passkeys"], json!([]));
    app.sign_in(EMAIL).await;
}
