//! Entering a code over HTTP, in every form it may come in, and what it changes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use onsite::base::clock::FakeClock;
use onsite::base::random::SeededRandom;
use onsite::base::seams::Seams;
use onsite::model::licence::{Environment, SignedCode};
use onsite::services::licensing::issue;
use serde_json::json;

use crate::app::{START, TestApp};

fn seams() -> Seams {
    Seams { clock: Arc::new(FakeClock::new(START)), random: Arc::new(SeededRandom::new(9)) }
}

fn code(seams: &Seams, plan: &str, seq: u64) -> SignedCode {
    let order = issue::Order {
        issuer: "Vendor".into(),
        customer: "acme".into(),
        company: "Acme".into(),
        plan: plan.into(),
        features: BTreeMap::new(),
        seats: Some(7),
        not_before: None,
        days: 365,
        grace_days: 14,
        install_id: None,
        seq,
        supersedes: Vec::new(),
        environment: Environment::Development,
    };
    issue::issue(order, &key(), seams).unwrap()
}

fn key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[11; 32])
}

#[tokio::test]
async fn a_code_is_pasted_sent_as_text_or_uploaded_and_counts_at_once() {
    if onsite::services::licensing::keys::has_compiled_in_keys() {
        return; // A release build believes its own keys only: there is nothing to enter that this test could sign.
    }
    let app = TestApp::start_with(&[("LICENSE_PUBLIC_KEY_PEM", &issue::public_pem(&key()).unwrap())]).await.with_admin().await;
    let seams = seams();
    let before = app.user.get("/api/license").await;
    assert_eq!((&before["reason"], &before["plan"], &before["development_build"]), (&json!("not_activated"), &json!("free"), &json!(true)));

    let team = app.user.post("/api/license", json!({ "code": code(&seams, "team", 1).to_line() })).await;
    assert_eq!(
        (&team["reason"], &team["plan"], &team["seats"]["allowed"], &team["days_left"]),
        (&json!("ok"), &json!("team"), &json!(7), &json!(365))
    );

    let (status, business) = app.user.upload("/api/license", "acme.onsite", code(&seams, "business", 2).to_armour().into_bytes()).await;
    assert_eq!((status.as_u16(), &business["plan"]), (200, &json!("business")));

    let (status, error) = app.user.refused("/api/license", json!({ "code": code(&seams, "enterprise", 1).to_line() })).await;
    assert_eq!((status.as_u16(), &error["code"], &error["field"]), (422, &json!("superseded"), &json!("code")));
    assert!(error["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
    let mistyped = code(&seams, "enterprise", 3).to_line().replacen("ONSITE1-0", "ONSITE1-7", 1);
    let (_, error) = app.user.refused("/api/license", json!({ "code": mistyped })).await;
    assert!(error["code"] == "malformed" && error["message"].as_str().unwrap().contains("group 1 ("), "{error}");
    assert_eq!(app.user.get("/api/license").await["plan"], "business");
}

#[tokio::test]
async fn usage_shows_the_daily_grant_and_refuses_odd_spans() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let usage = app.user.get(&format!("{company}/usage")).await;
    assert_eq!((&usage["balance"], &usage["transactions"][0]["tx_type"]), (&json!(500_000), &json!("free_daily")));
    let odd = app.user.try_send(reqwest::Method::GET, &format!("{company}/usage?days=0"), None).await;
    assert_eq!((odd.0.as_u16(), &odd.1["error"]["field"]), (422, &json!("days")));
    let own = app.user.get(&format!("{company}/usage/me")).await;
    assert_eq!((&own["balance"], &own["reserved"], &own["transactions"]), (&usage["balance"], &json!(0), &usage["transactions"]));
}
