//! A year and more of one licence, on the real appliance with a clock that is moved: issued, activated, noticed, ended, renewed, revoked,
//! with the clock set back and the vendor's key rotated in between.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use onsite::base::random::SystemRandom;
use onsite::base::seams::Seams;
use onsite::model::licence::{Environment, SignedCode};
use onsite::services::licensing::issue;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{EMAIL, START, TestApp};

const DAY: Duration = Duration::from_secs(86_400);

/// The appliance with its vendor.
struct Life {
    app: TestApp,
    key: SigningKey,
    seq: u64,
}

impl Life {
    fn issue(&mut self, plan: &str, days: u32) -> SignedCode {
        self.seq += 1;
        let order = issue::Order {
            issuer: "Vendor".into(),
            customer: "acme".into(),
            company: "Acme".into(),
            plan: plan.into(),
            features: std::collections::BTreeMap::new(),
            seats: None,
            not_before: None,
            days,
            grace_days: 14,
            install_id: None,
            seq: self.seq,
            supersedes: Vec::new(),
            environment: Environment::Production,
        };
        issue::issue(order, &self.key, &self.seams()).unwrap()
    }

    fn seams(&self) -> Seams {
        Seams { clock: self.app.clock.clone(), random: Arc::new(SystemRandom) }
    }

    async fn enter(&self, code: &SignedCode) -> Value {
        self.app.user.post("/api/license", json!({ "code": code.to_line() })).await
    }

    /// Days pass; whoever looked at it signs in again, and the hourly look is taken.
    async fn pass(&mut self, days: u32) {
        self.app.advance(days * DAY);
        self.app.state().licensing.note_time_passed().await.unwrap();
        self.app.state().licensing.watch().await.unwrap();
        self.app.user = self.app.sign_in(EMAIL).await;
    }

    async fn licence(&self) -> Value {
        self.app.user.get("/api/license").await
    }

    async fn is(&self, reason: &str, plan: &str) {
        let licence = self.licence().await;
        assert_eq!((licence["reason"].as_str(), licence["plan"].as_str()), (Some(reason), Some(plan)), "{licence}");
        // Whatever the licence says: reading, export and entering a code work.
        assert!(self.app.user.send(Method::GET, "/api/system-admin/audit/export", None).await.status().is_success());
        let (_, refused) = self.app.user.refused("/api/license", json!({ "code": "rubbish" })).await;
        assert_eq!(refused["code"], "malformed");
    }

    async fn steps(&self) -> Vec<String> {
        let licence = self.licence().await;
        licence["notices"].as_array().unwrap().iter().map(|notice| notice["step"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_lives_for_more_than_a_year() {
    if onsite::services::licensing::keys::has_compiled_in_keys() {
        return; // A release build believes its own keys only: there is nothing to enter that this test could sign.
    }
    let key = SigningKey::from_bytes(&[31; 32]);
    let first_ring = issue::public_pem(&key).unwrap();
    let app = TestApp::start_with(&[("LICENSE_PUBLIC_KEY_PEM", &first_ring)]).await.with_admin().await;
    let company = app.company().await;
    let mut life = Life { app, key, seq: 0 };
    life.is("not_activated", "free").await;

    // Issue and activate: it counts at once.
    let first = life.issue("business", 365);
    life.enter(&first).await;
    life.is("ok", "business").await;

    // Notices, each once, with the banner's step in the status.
    for (days, step) in [(305, "days_60"), (30, "days_30"), (16, "days_14"), (7, "days_7"), (6, "days_1")] {
        life.pass(days).await;
        assert_eq!(life.app.user.get("/api/status").await["licence"]["notice"], step);
        life.is("ok", "business").await;
    }
    assert_eq!(life.steps().await, ["days_60", "days_30", "days_14", "days_7", "days_1"]);

    // Expiry, grace, free tier: work goes on.
    life.pass(1).await;
    life.is("expired_in_grace", "business").await;
    life.pass(14).await;
    life.is("expired", "free").await;
    assert_eq!(life.steps().await[5..], ["grace", "free_tier"]);
    life.app.user.get(&format!("{company}/widgets")).await;
    let (_, refused) = life.app.user.refused("/api/license", json!({ "code": first.to_line() })).await;
    assert_eq!(refused["code"], "expired");

    // Renewal, by a file that is dropped into the folder.
    let renewal = life.issue("team", 365);
    std::fs::write(life.app.dir.path().join("renewal.onsite"), renewal.to_armour()).unwrap();
    life.app.state().licensing.take_dropped(life.app.dir.path()).await.unwrap();
    life.is("ok", "team").await;
    let (_, refused) = life.app.user.refused("/api/license", json!({ "code": first.to_line() })).await;
    assert_eq!(refused["code"], "superseded");

    // The clock is set back by a year, and the appliance started again: seen, no lock-out, no extension.
    life.pass(100).await;
    let left = life.licence().await["days_left"].as_u64().unwrap();
    let before = life.app.clock.clone();
    life.app = life.app.restart_at(START).await;
    life.app.user = life.app.sign_in(EMAIL).await;
    life.is("clock_suspect", "team").await;
    let licence = life.licence().await;
    assert!(licence["clock_suspect"].is_string() && licence["days_left"].as_u64().unwrap().abs_diff(left) <= 1, "{licence}");
    assert!(life.app.user.get("/api/status").await["licence"]["clock_suspect"].is_string());
    life.app = life.app.restart_at(onsite::base::clock::Clock::now(&*before)).await;
    life.app.user = life.app.sign_in(EMAIL).await;
    life.is("ok", "team").await;

    // Revocation, by a list that is pasted; an older list does not bring it back.
    let seams = life.seams();
    let list = |number, revoked: &[&SignedCode]| {
        let revoked = revoked.iter().map(|code| code.claims().jti.clone()).collect();
        issue::sign_list(number, "Vendor", revoked, &life.key, &seams).unwrap().to_line()
    };
    let taken = life.app.user.post("/api/license", json!({ "code": list(2, &[&renewal]) })).await;
    assert_eq!((&taken["entered"], &taken["reason"], &taken["revocations"]["number"]), (&json!("revocation_list"), &json!("revoked"), &json!(2)));
    let (_, refused) = life.app.user.refused("/api/license", json!({ "code": list(1, &[]) })).await;
    assert_eq!(refused["code"], "superseded");
    life.is("revoked", "free").await;
    let replacement = life.issue("business", 365);
    life.enter(&replacement).await;
    life.is("ok", "business").await;

    // The vendor's key is rotated: an update brings the ring; what the old key signed stays good, what it signs now is not believed.
    life.pass(10).await;
    let now = onsite::base::clock::Clock::now(&*life.app.clock);
    let next = SigningKey::from_bytes(&[32; 32]);
    let ring = format!("retired-at: {now}\n{first_ring}\nvalid-from: {now}\n{}", issue::public_pem(&next).unwrap());
    life.app = life.app.restart_with(&[("LICENSE_PUBLIC_KEY_PEM", &ring)]).await;
    life.app.user = life.app.sign_in(EMAIL).await;
    life.is("ok", "business").await;
    life.pass(1).await;
    let late = life.issue("enterprise", 365);
    let (_, refused) = life.app.user.refused("/api/license", json!({ "code": late.to_line() })).await;
    assert_eq!(refused["code"], "key_retired");
    life.key = next;
    let by_next = life.issue("enterprise", 365);
    life.enter(&by_next).await;
    life.is("ok", "enterprise").await;

    let audit = life.app.user.get("/api/system-admin/audit?action=license.&limit=500").await;
    let rows = audit["rows"].as_array().unwrap();
    let count = |action: &str, outcome: &str| rows.iter().filter(|row| row["action"] == action && row["outcome"] == outcome).count();
    assert_eq!((count("license.enter", "ok"), count("license.revocations", "ok")), (4, 1));
    assert!(count("license.notice", "ok") >= 8, "the ladder is in the audit log");
}
