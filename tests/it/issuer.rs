//! The issuer: orders wait for a key and are signed once there is one; on an appliance none of it is there.

use onsite::model::licence::{LicenceRequest, ReasonCode, SignedCode};
use onsite::services::licensing::private_key::{encrypted_private_pem, generate_key, public_pem};
use onsite::services::licensing::{KeyRing, verify_alone};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::TestApp;

const NOT_CONFIGURED: &str = "onprem_license_signing_not_configured";

fn order(customer: &str) -> Value {
    json!({ "customer": customer, "company": "Acme Überwerke", "plan": "business", "seats": 12, "features": { "max_widgets": null } })
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_the_keys_and_are_signed_once_they_are_there() {
    let app = TestApp::start_with(&[("ONSITE", "0")]).await.with_admin().await;
    let ready = app.user.get("/readyz").await;
    assert_eq!((&ready["ready"], &ready["reasons"]), (&json!(true), &json!([NOT_CONFIGURED])), "orders are taken");
    let checkout = app.user.get("/api/billing").await["on_prem_checkout"].clone();
    assert_eq!(checkout, json!({ "offered": true, "ready": false, "reasons": [NOT_CONFIGURED] }));
    let overview = app.user.get("/api/issuer").await;
    assert_eq!((&overview["signing"]["ready"], &overview["signing"]["reason"]), (&json!(false), &json!(NOT_CONFIGURED)));
    assert_eq!(overview["plans"], json!(["team", "business", "enterprise"]));
    assert!(overview["signing"]["message"].as_str().unwrap().contains("LICENSE_SIGNING_PRIVATE_KEY_PEM"));
    assert_eq!(app.user.get("/api/status").await["issuer"], true);

    let (status, first) = app.user.try_send(Method::POST, "/api/issuer/requests", Some(order("acme"))).await;
    assert_eq!((status, &first["status"], &first["code"]), (StatusCode::ACCEPTED, &json!("pending_signing_key"), &Value::Null));
    let second = app.user.post("/api/issuer/requests", order("acme")).await;
    let mistaken = app.user.post("/api/issuer/requests", order("mistaken")).await;
    let path = |order: &Value| format!("/api/issuer/requests/{}", order["id"].as_str().unwrap());
    assert_eq!(app.user.post(&format!("{}/sign", path(&first)), json!({})).await["status"], "pending_signing_key");
    assert_eq!(app.user.try_send(Method::GET, &format!("{}/qr", path(&first)), None).await.0, StatusCode::CONFLICT);
    assert_eq!(app.user.try_send(Method::DELETE, &path(&mistaken), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.get("/api/issuer").await["pending"], 2);

    // The keys come: the encrypted private one, its passphrase, the public one.
    let seams = onsite::base::seams::Seams::system();
    let key = generate_key(&seams);
    let passphrase = onsite::base::secret::Secret::new("correct horse battery".to_owned());
    let (private, public) = (encrypted_private_pem(&key, &passphrase, &seams).unwrap(), public_pem(&key).unwrap());
    let keys = [
        ("LICENSE_SIGNING_PRIVATE_KEY_PEM", private.as_str()),
        ("LICENSE_SIGNING_KEY_PASSPHRASE", "correct horse battery"),
        ("LICENSE_PUBLIC_KEY_PEM", public.as_str()),
    ];
    let app = app.restart_with(&keys).await;
    app.state().issuer.sign_pending().await.unwrap();
    assert_eq!(app.user.get("/readyz").await["reasons"], json!([]));
    assert_eq!(app.user.get("/api/billing").await["on_prem_checkout"]["ready"], true);
    let ring = KeyRing::release(&public).unwrap();
    for (made, seq) in [(&first, 1), (&second, 2)] {
        let signed = app.user.get(&path(made)).await;
        assert_eq!((&signed["status"], &signed["code"]["seq"]), (&json!("signed"), &json!(seq)), "counted in the order they came");
        let code = SignedCode::from_text(signed["code"]["file"].as_str().unwrap()).unwrap();
        assert_eq!(code.to_line(), signed["code"]["line"].as_str().unwrap());
        let now = onsite::base::clock::Clock::now(&*app.clock);
        assert_eq!(verify_alone(&code, &ring, now, &std::collections::BTreeSet::new()), ReasonCode::Ok);
        assert_eq!((code.claims().seats, code.claims().features.get("max_widgets")), (12, Some(&None)));
    }
    let svg = app.user.send(Method::GET, &format!("{}/qr", path(&first)), None).await;
    assert!(svg.status().is_success() && svg.text().await.unwrap().starts_with("<svg "));
    let (status, refused) = app.user.try_send(Method::DELETE, &path(&first), None).await;
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::CONFLICT, &json!("not_pending")));
    assert_eq!(app.user.get(&path(&mistaken)).await["status"], "withdrawn", "what was taken back is not signed");

    let (status, third) = app.user.try_send(Method::POST, "/api/issuer/requests", Some(order("acme"))).await;
    assert_eq!((status, &third["status"], &third["code"]["seq"]), (StatusCode::CREATED, &json!("signed"), &json!(3)), "at once");
    assert_eq!(app.user.get("/api/issuer/requests").await["requests"].as_array().unwrap().len(), 4);
    let audit = app.user.get("/api/system-admin/audit?action=issuer.&limit=100").await.to_string();
    assert!(audit.contains("issuer.signed") && audit.contains("issuer.withdrawn") && !audit.contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_checked_when_it_comes_and_binds_to_the_installation_of_its_request() {
    let app = TestApp::start_with(&[("ONSITE", "0")]).await.with_admin().await;
    let with = |change: fn(&mut Value)| {
        let mut order = order("acme");
        change(&mut order);
        order
    };
    for (order, field) in [
        (with(|order| order["plan"] = json!("buisness")), "plan"),
        (with(|order| order["days"] = json!(0)), "days"),
        (with(|order| order["customer"] = json!("")), "customer"),
        (with(|order| order["company"] = json!(" ")), "company"),
        (with(|order| order["features"] = json!({ "wings": 2 })), "features"),
        (with(|order| order["request"] = json!("rubbish")), "request"),
        (with(|order| order["seets"] = json!(2)), "seets"),
    ] {
        let (status, error) = app.user.refused("/api/issuer/requests", order).await;
        assert_eq!((status.as_u16(), error["field"].as_str()), (422, Some(field)), "{error}");
    }
    let request = app.user.get("/api/license/request?company=From+the+request").await;
    let order = json!({ "customer": "acme", "plan": "team", "request": request["line"] });
    let made = app.user.post("/api/issuer/requests", order).await;
    let expected = LicenceRequest::from_text(request["line"].as_str().unwrap()).unwrap().install_id;
    assert_eq!((&made["company"], &made["install_id"]), (&json!("From the request"), &json!(expected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appliance_and_everybody_but_a_system_admin_see_no_issuer() {
    let appliance = TestApp::start().await.with_admin().await;
    for path in ["/api/issuer", "/api/issuer/requests"] {
        assert_eq!(appliance.user.try_send(Method::GET, path, None).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(appliance.user.refused("/api/issuer/requests", order("acme")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(appliance.user.get("/readyz").await["reasons"], json!([]));
    assert_eq!(appliance.user.get("/api/billing").await["on_prem_checkout"], json!({ "offered": false, "ready": false, "reasons": [] }));
}
