//! The first start: exactly one admin, and afterwards no setup.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{EMAIL, PASSWORD, TestApp};

fn body(token: &str, email: &str) -> serde_json::Value {
    json!({ "token": token, "email": email, "password": PASSWORD, "name": "Ada Admin", "session": "bearer" })
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_redemptions_at_once_make_one_admin() {
    let app = TestApp::start().await;
    let token = std::fs::read_to_string(app.dir.bootstrap_token()).unwrap().trim().to_owned();
    let attempts = (0..32).map(|n| {
        let (user, body) = (app.user.clone(), body(&token, &format!("admin{n}@example.com")));
        async move { user.try_send(Method::POST, "/api/setup/redeem", Some(body)).await.0 }
    });
    let statuses = join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{statuses:?}");
    assert!(!app.dir.bootstrap_token().exists(), "the token's file is gone");
    for (method, path) in [(Method::GET, "/api/setup"), (Method::POST, "/api/setup/check"), (Method::POST, "/api/setup/redeem")] {
        let (status, _) = app.user.try_send(method, path, Some(body(&token, EMAIL))).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_stays_gone_after_a_restart_and_the_password_opens_a_session() {
    let app = TestApp::start().await.with_admin().await.restart().await;
    assert!(!app.dir.bootstrap_token().exists());
    assert_eq!(app.user.try_send(Method::GET, "/api/setup", None).await.0, StatusCode::NOT_FOUND);
    let answer = app.user.post("/api/auth/login", json!({ "email": "ADMIN@example.com ", "password": PASSWORD })).await;
    assert_eq!(answer["user"]["system_admin"], true);
    let (status, error) = app.user.refused("/api/auth/login", json!({ "email": EMAIL, "password": "wrong password here" })).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("wrong_credentials")));
    let unknown = app.user.refused("/api/auth/login", json!({ "email": "nobody@example.com", "password": "wrong password here" })).await;
    assert_eq!(unknown.1["message"], error["message"], "an unknown user and a wrong password look the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_is_signed_out_and_when_its_time_is_over() {
    let app = TestApp::start().await.with_admin().await;
    let answer = app.user.post("/api/auth/login", json!({ "email": EMAIL, "password": PASSWORD, "session": "bearer" })).await;
    let mut second = app.user.clone();
    second.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
    second.post("/api/auth/logout", json!({})).await;
    assert_eq!(second.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.user.get("/api/me").await["user"]["email"], EMAIL);
    app.advance(std::time::Duration::from_secs(25 * 3600));
    assert_eq!(app.user.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_counted_and_the_tenth_burns_it() {
    let app = TestApp::start().await;
    let token = std::fs::read_to_string(app.dir.bootstrap_token()).unwrap().trim().to_owned();
    let (id, _) = token.split_once('.').unwrap();
    let wrong = format!("{id}.{}", "0".repeat(52));
    let mut last = StatusCode::OK;
    for _ in 0..10 {
        // Moving the clock keeps the limit per address out of the way.
        app.advance(std::time::Duration::from_secs(3600));
        last = app.user.refused("/api/setup/redeem", body(&wrong, EMAIL)).await.0;
    }
    assert!(matches!(last, StatusCode::UNAUTHORIZED | StatusCode::GONE), "{last}");
    app.advance(std::time::Duration::from_secs(3600));
    let (status, error) = app.user.refused("/api/setup/redeem", body(&token, EMAIL)).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::GONE, Some("bootstrap_token_burnt")));
    assert!(error["remedy"].as_str().unwrap().contains("bootstrap reissue"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_what_redeeming_would_and_burns_as_it_does() {
    let app = TestApp::start().await;
    let token = std::fs::read_to_string(app.dir.bootstrap_token()).unwrap().trim().to_owned();
    let check = async |token: &str| app.user.try_send(Method::POST, "/api/setup/check", Some(json!({ "token": token }))).await;
    assert_eq!(check(&token).await.0, StatusCode::NO_CONTENT);
    let (_, by_redeeming) = app.user.refused("/api/setup/redeem", body("wrong", EMAIL)).await;
    assert_eq!(by_redeeming["attempts_left"], 9);
    for left in (1..9).rev() {
        app.advance(std::time::Duration::from_secs(3600));
        let (status, answer) = check("wrong").await;
        assert_eq!((status, &answer["error"]["attempts_left"]), (StatusCode::UNAUTHORIZED, &json!(left)), "{answer}");
        assert_eq!((&answer["error"]["code"], &answer["error"]["remedy"]), (&by_redeeming["code"], &by_redeeming["remedy"]));
    }
    app.advance(std::time::Duration::from_secs(3600));
    assert_eq!((check("wrong").await.0, check(&token).await.0), (StatusCode::GONE, StatusCode::GONE));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_told_so_and_a_restart_makes_a_new_one() {
    let app = TestApp::start().await;
    let old = std::fs::read_to_string(app.dir.bootstrap_token()).unwrap().trim().to_owned();
    app.advance(std::time::Duration::from_secs(25 * 3600));
    let (status, error) = app.user.refused("/api/setup/redeem", body(&old, EMAIL)).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::GONE, Some("bootstrap_token_expired")));
    let app = app.restart().await.with_admin().await;
    assert_eq!(app.user.get("/api/me").await["user"]["name"], "Ada Admin");
}
