//! Second factors and fresh proofs, as people and programs meet them.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use futures_util::future::join_all;
use onsite::base::secret::Secret;
use onsite::model::factor::TotpSecret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, PASSWORD, TestApp};

/// Half a minute: the next code.
const STEP: Duration = Duration::from_secs(30);

/// What an authenticator app holds.
pub struct App(TotpSecret);

impl App {
    pub fn from(offer: &Value) -> Self {
        let text = offer["secret"].as_str().unwrap().replace(' ', "");
        Self(TotpSecret::from_bytes(Secret::new(BASE32_NOPAD.decode(text.as_bytes()).unwrap())))
    }

    pub fn code(&self, app: &TestApp) -> String {
        self.0.code(onsite::base::clock::Clock::now(&*app.clock).millis() / 30_000)
    }
}

/// Sets an app up for the admin; returns it and the recovery codes.
pub async fn enrol(app: &TestApp) -> (App, Vec<String>) {
    let offer = app.user.post("/api/me/factors/totp", json!({})).await;
    assert!(offer["uri"].as_str().unwrap().starts_with("otpauth://totp/Onsite:admin%40example%2Ecom?secret="));
    assert!(offer["qr_svg"].as_str().unwrap().starts_with("<svg "));
    let phone = App::from(&offer);
    let made = app.user.post("/api/me/factors/totp/confirm", json!({ "code": phone.code(app) })).await;
    let codes = made["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (phone, codes)
}

/// The first step: what the second one presents.
async fn first_step(app: &TestApp) -> String {
    let (status, answer) = app.user.try_send(Method::POST, "/api/auth/login", Some(json!({ "email": EMAIL, "password": PASSWORD }))).await;
    assert_eq!((status, &answer["session"]), (StatusCode::ACCEPTED, &Value::Null), "{answer}");
    assert_eq!(answer["methods"], json!(["totp", "recovery_code"]));
    answer["second_step"].as_str().unwrap().to_owned()
}

async fn second_step(app: &TestApp, token: &str, method: &str, code: &str) -> (StatusCode, Value) {
    let body = json!({ "second_step": token, "method": method, "code": code, "session": "bearer" });
    app.user.try_send(Method::POST, "/api/auth/second-step", Some(body)).await
}

fn code_of((status, answer): &(StatusCode, Value)) -> (u16, &str) {
    (status.as_u16(), answer["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_app_is_confirmed_before_it_counts_and_then_asked_for() {
    let app = TestApp::start().await.with_admin().await;
    let other = app.sign_in(EMAIL).await;
    app.user.post("/api/me/factors/totp", json!({})).await;
    app.sign_in(EMAIL).await;
    let wrong = app.user.refused("/api/me/factors/totp/confirm", json!({ "code": "000000" })).await;
    assert_eq!((wrong.0.as_u16(), &wrong.1["code"]), (403, &json!("wrong_code")));
    let (phone, codes) = enrol(&app).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(other.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "sessions from before the factor end");
    let security = app.user.get("/api/me/security").await;
    assert!(security["totp_since"].is_string() && security["recovery_codes"] == 10 && security["required"] == false);

    let token = first_step(&app).await;
    let mut pretender = app.user.clone();
    pretender.token = Some(token.clone());
    assert_eq!(pretender.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "a sign-in that waits is no session");
    let used = second_step(&app, &token, "totp", &phone.code(&app)).await;
    assert_eq!(code_of(&used), (401, "wrong_code"), "the code that confirmed the app is used up");
    assert_eq!(used.1["error"]["attempts_left"], 4);
    app.advance(STEP);
    let (status, answer) = second_step(&app, &token, "totp", &phone.code(&app)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["user"]["email"], EMAIL);
    assert_eq!(code_of(&second_step(&app, &token, "totp", &phone.code(&app)).await), (410, "sign_in_ended"));
    let again = first_step(&app).await;
    assert_eq!(code_of(&second_step(&app, &again, "totp", &phone.code(&app)).await), (401, "wrong_code"), "a used step is never accepted again");
    assert_eq!(second_step(&app, &again, "recovery_code", &codes[3].to_uppercase().replace('-', " ")).await.0, StatusCode::OK);
    let third = first_step(&app).await;
    assert_eq!(code_of(&second_step(&app, &third, "recovery_code", &codes[3]).await), (401, "wrong_code"), "a recovery code works once");
    assert_eq!(app.user.get("/api/me/security").await["recovery_codes"], 9);
    app.advance(Duration::from_secs(600));
    assert_eq!(code_of(&second_step(&app, &third, "totp", &phone.code(&app)).await), (410, "sign_in_ended"), "it waits for ten minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_end_the_sign_in_and_slow_the_next_ones_and_one_code_opens_one_session() {
    let app = TestApp::start().await.with_admin().await;
    let (phone, _) = enrol(&app).await;
    app.advance(STEP * 2);
    let token = first_step(&app).await;
    let code = phone.code(&app);
    let at_once = join_all((0..8).map(|_| second_step(&app, &token, "totp", &code))).await;
    assert_eq!(at_once.iter().filter(|(status, _)| *status == StatusCode::OK).count(), 1);
    app.advance(Duration::from_secs(3600));
    let token = first_step(&app).await;
    for left in (0..5).rev() {
        let (status, answer) = second_step(&app, &token, "totp", "000000").await;
        assert_eq!((status.as_u16(), &answer["error"]["attempts_left"]), (401, &json!(left)));
    }
    assert_eq!(code_of(&second_step(&app, &token, "totp", &phone.code(&app)).await), (410, "sign_in_ended"));
    let token = first_step(&app).await;
    for _ in 0..5 {
        assert_eq!(second_step(&app, &token, "recovery_code", "0000-0000-0000-0000").await.0, StatusCode::UNAUTHORIZED);
    }
    let token = first_step(&app).await;
    assert_eq!(code_of(&second_step(&app, &token, "totp", &phone.code(&app)).await), (429, "too_many_tries"), "counted over all sign-ins");
    app.advance(Duration::from_secs(900));
    let token = first_step(&app).await;
    assert_eq!(second_step(&app, &token, "totp", &phone.code(&app)).await.0, StatusCode::OK, "slowed, and not locked out");
    let audit = app.user.get("/api/system-admin/audit?action=auth.second_factor&outcome=refused").await;
    assert!(audit["rows"].as_array().unwrap().len() >= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matters_asks_for_a_fresh_proof_and_a_program_can_give_it() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let member = app.person(&company, "member").await.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    let user = format!("/api/system-admin/users/{member}");
    let guarded = [
        (Method::POST, "/api/license".to_owned(), json!({ "code": "x" })),
        (Method::PATCH, user.clone(), json!({ "disabled": false })),
        (Method::POST, format!("{user}/password-reset"), json!({})),
        (Method::DELETE, format!("{user}/factors"), Value::Null),
        (Method::PATCH, format!("{company}/members/{member}"), json!({ "role": "viewer" })),
        (Method::GET, "/api/system-admin/audit/export".to_owned(), Value::Null),
        (Method::POST, "/api/me/factors/totp".to_owned(), json!({})),
        (Method::POST, "/api/me/factors/recovery-codes".to_owned(), json!({})),
        (Method::DELETE, "/api/me/factors/totp".to_owned(), Value::Null),
        (Method::POST, "/api/me/email".to_owned(), json!({})),
        (Method::POST, format!("{company}/transfer"), json!({})),
        (Method::POST, format!("{company}/deletion"), json!({ "name": "another" })),
        (Method::GET, format!("{company}/export"), Value::Null),
        (Method::POST, "/api/me/factors/passkeys/challenge".to_owned(), json!({})),
        (Method::DELETE, "/api/me/factors/passkeys/psk_00000000000000000000000000".to_owned(), Value::Null),
    ];
    let ask = async |(method, path, body): &(Method, String, Value)| app.user.try_send(method.clone(), path, Some(body.clone())).await;
    app.advance(Duration::from_secs(10 * 60));
    for each in &guarded {
        let (status, answer) = ask(each).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (403, &json!("step_up_required")), "{} {answer}", each.1);
        assert!(answer["error"]["remedy"].as_str().unwrap().contains("/api/me/step-up"));
    }
    assert!(app.user.get("/api/system-admin/users").await["users"].is_array(), "looking is not acting");
    let wrong = app.user.refused("/api/me/step-up", json!({ "password": "not my password at all" })).await;
    assert_eq!((wrong.0.as_u16(), &wrong.1["code"]), (403, &json!("wrong_password")));
    for neither in
        [json!({}), json!({ "code": "123456" }), json!({ "password": "x", "method": "totp", "code": "1" }), json!({ "method": "email", "code": "1" })]
    {
        assert_eq!(app.user.refused("/api/me/step-up", neither).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(app.user.post("/api/me/step-up", json!({ "password": PASSWORD })).await["fresh_until"].is_string());
    for each in &guarded {
        let (_, answer) = ask(each).await;
        assert_ne!(answer["error"]["code"], "step_up_required", "{}", each.1);
    }

    let (phone, _) = enrol(&app).await;
    app.advance(Duration::from_secs(10 * 60));
    assert_eq!(ask(&guarded[8]).await.0, StatusCode::FORBIDDEN);
    let code = json!({ "method": "totp", "code": phone.code(&app) });
    app.user.post("/api/me/step-up", code.clone()).await;
    assert_eq!(app.user.refused("/api/me/step-up", code).await.1["code"], "wrong_code", "a code shows it once");
    let codes = app.user.post("/api/me/factors/recovery-codes", json!({})).await;
    assert_eq!(codes["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(ask(&guarded[8]).await.0, StatusCode::NO_CONTENT);
    app.sign_in(EMAIL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_needs_a_factor_who_has_none_can_only_set_one_up() {
    let app = TestApp::start_with(&[("ONSITE_REQUIRE_SECOND_FACTOR", "1"), ("AUTH_REQUIRE_EMAIL_2FA", "1")]).await.with_admin().await;
    assert_eq!(app.user.get("/api/me").await["must_enrol"], true);
    for path in ["/api/companies", "/api/status", "/api/me/sessions", "/api/system-admin/users"] {
        let (status, answer) = app.user.try_send(Method::GET, path, None).await;
        assert_eq!((status.as_u16(), &answer["error"]["code"]), (403, &json!("second_factor_required")), "{path}");
    }
    let (phone, _) = enrol(&app).await;
    assert_eq!(app.user.get("/api/me").await["must_enrol"], false);
    app.company().await;
    app.advance(STEP);
    let token = first_step(&app).await;
    assert_eq!(second_step(&app, &token, "totp", &phone.code(&app)).await.0, StatusCode::OK);
    let me = app.user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.user.try_send(Method::DELETE, &format!("/api/system-admin/users/{me}/factors"), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.get("/api/me").await["must_enrol"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn factors_outlive_a_restart_and_the_database_holds_no_code_in_the_clear() {
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let app = TestApp::start_with(&[("DB_ENCRYPTION_KEY", key)]).await.with_admin().await;
    let (phone, codes) = enrol(&app).await;
    let app = app.restart().await;
    app.advance(STEP);
    let token = first_step(&app).await;
    assert_eq!(second_step(&app, &token, "totp", &phone.code(&app)).await.0, StatusCode::OK);
    let mut found = Vec::new();
    for file in ["onsite.db", "onsite.db-wal"] {
        found.extend(std::fs::read(app.dir.path().join(file)).unwrap_or_default());
    }
    let holds = |needle: &[u8]| found.windows(needle.len()).any(|window| window == needle);
    assert!(!holds(phone.0.bytes()) && !holds(codes[0].as_bytes()) && !holds(codes[0].replace('-', "").as_bytes()));
}
