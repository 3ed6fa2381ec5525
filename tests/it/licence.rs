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
async fn a_picture_of_a_code_is_read_and_one_of_anything_else_is_refused() {
    if onsite::services::licensing::keys::has_compiled_in_keys() {
        return;
    }
    let app = TestApp::start_with(&[("LICENSE_PUBLIC_KEY_PEM", &issue::public_pem(&key()).unwrap())]).await.with_admin().await;
    let code = code(&seams(), "business", 1);
    let picture = onsite::base::qr::Picture::of(&onsite::model::licence::text::CODE.picture_text(code.bytes())).unwrap();
    let (status, licence) = app.user.upload("/api/license", "code.png", picture.png()).await;
    assert_eq!((status.as_u16(), &licence["plan"], &licence["entered"]), (200, &json!("business"), &json!("activation_code")));
    let other = onsite::base::qr::Picture::of("https://example.com").unwrap();
    let (status, refused) = app.user.upload("/api/license", "code.png", other.png()).await;
    assert_eq!((status.as_u16(), &refused["error"]["code"]), (422, &json!("malformed")));
    let (status, refused) = app.user.upload("/api/license", "code.png", other.png()[..60].to_vec()).await;
    assert_eq!((status.as_u16(), &refused["error"]["code"]), (422, &json!("picture_unreadable")));
    let (status, refused) = app.user.upload("/api/license", "code.png", vec![b'x'; 9 << 20]).await;
    assert_eq!((status.as_u16(), &refused["error"]["code"]), (413, &json!("body_too_large")));
}

#[tokio::test]
async fn a_request_is_made_for_file_line_and_picture_and_the_answer_is_bound_to_it() {
    if onsite::services::licensing::keys::has_compiled_in_keys() {
        return;
    }
    let app = TestApp::start_with(&[("LICENSE_PUBLIC_KEY_PEM", &issue::public_pem(&key()).unwrap())]).await.with_admin().await;
    let made = app.user.get("/api/license/request?company=Acme&contact=it@acme.example").await;
    let request = onsite::model::licence::LicenceRequest::from_text(made["file"].as_str().unwrap()).unwrap();
    assert_eq!((request.company.as_deref(), request.contact.as_deref()), (Some("Acme"), Some("it@acme.example")));
    let svg = app.user.send(reqwest::Method::GET, "/api/license/request/qr?company=Acme", None).await;
    assert_eq!(svg.headers()["content-type"], "image/svg+xml");
    assert!(svg.text().await.unwrap().starts_with("<svg "));
    let long = format!("/api/license/request?company={}", "x".repeat(300));
    let (status, refused) = app.user.try_send(reqwest::Method::GET, &long, None).await;
    assert_eq!((status.as_u16(), &refused["error"]["field"]), (422, &json!("company")));
    let seams = seams();
    let bound = |install_id: &str, seq| {
        let claims = onsite::model::licence::Claims { install_id: Some(install_id.into()), ..code(&seams, "team", seq).claims().clone() };
        issue::sign(claims, &key()).unwrap().to_line()
    };
    let (_, refused) = app.user.refused("/api/license", json!({ "code": bound("ins_00000000000000000000000000", 1) })).await;
    assert_eq!(refused["code"], "wrong_installation");
    let taken = app.user.post("/api/license", json!({ "code": bound(&request.install_id, 1) })).await;
    assert_eq!((&taken["reason"], &taken["bound_to"]), (&json!("ok"), &json!(request.install_id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_file_is_taken_at_the_start_and_while_the_appliance_runs() {
    if onsite::services::licensing::keys::has_compiled_in_keys() {
        return;
    }
    let app = TestApp::start_with(&[("LICENSE_PUBLIC_KEY_PEM", &issue::public_pem(&key()).unwrap())]).await.with_admin().await;
    let seams = seams();
    let until = async |app: &TestApp, plan: &str| {
        for asked in 1..=2_000 {
            if app.user.get("/api/license").await["plan"] == plan {
                return;
            }
            // Time that passed while the folder was looked through does not count towards the next look.
            if asked % 200 == 0 {
                app.advance(std::time::Duration::from_secs(10));
            }
        }
        panic!("{plan} was not taken");
    };
    std::fs::write(app.dir.path().join("first.onsite"), code(&seams, "team", 1).to_armour()).unwrap();
    let app = app.restart().await;
    until(&app, "team").await;
    std::fs::write(app.dir.path().join("second.onsite"), code(&seams, "business", 2).to_line()).unwrap();
    app.advance(std::time::Duration::from_secs(10));
    until(&app, "business").await;
    // The file is renamed once the code is kept.
    let taken = app.dir.path().join("second.onsite.taken");
    for _ in 0..2_000 {
        if taken.exists() {
            return;
        }
        app.user.get("/api/license").await;
    }
    panic!("the file was not marked as taken");
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
