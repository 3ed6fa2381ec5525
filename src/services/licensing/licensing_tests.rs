//! A licence over its life, on a real database and a clock that is moved.

use std::time::Duration;

use super::*;
use crate::base::clock::FakeClock;
use crate::base::random::SeededRandom;
use crate::model::licence::{Claims, Environment};
use crate::model::plans::{Feature, Limit};
use crate::store::testing;
use ed25519_dalek::SigningKey;

const DAY: Duration = Duration::from_secs(86_400);

struct Bench {
    licensing: Licensing,
    clock: Arc<FakeClock>,
    seams: Seams,
    key: SigningKey,
    store: Store,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let (store, folder) = testing::store();
    let clock = Arc::new(FakeClock::new("2026-11-21T12:00:00Z".parse().unwrap()));
    let seams = Seams { clock: Arc::clone(&clock) as _, random: Arc::new(SeededRandom::new(4)) };
    let key = issue::generate_key(&seams);
    let ring = KeyRing::release(&issue::public_pem(&key).unwrap()).unwrap();
    let build_date = "2026-11-01T00:00:00Z".parse().unwrap();
    let licensing = Licensing::new(store.clone(), seams.clone(), LicensingSettings { ring, build_date });
    Bench { licensing, clock, seams, key, store, _folder: folder }
}

fn order(plan: &str, seq: u64) -> issue::Order {
    issue::Order {
        issuer: "Vendor".into(),
        customer: "acme".into(),
        company: "Acme".into(),
        plan: plan.into(),
        features: std::collections::BTreeMap::new(),
        seats: None,
        not_before: None,
        days: 365,
        grace_days: 14,
        install_id: None,
        seq,
        supersedes: Vec::new(),
        environment: Environment::Production,
    }
}

impl Bench {
    fn issue(&self, order: issue::Order) -> SignedCode {
        issue::issue(order, &self.key, &self.seams).unwrap()
    }

    async fn enter(&self, code: &SignedCode) -> Result<LicenceStatus, ReasonCode> {
        self.licensing.enter(&code.to_armour(), Actor::Cli, None).await.map_err(|error| match error {
            EnterError::Refused(refusal) => refusal.reason,
            EnterError::Store(error) => panic!("{error}"),
        })
    }

    async fn reason(&self) -> Option<ReasonCode> {
        self.licensing.status().await.unwrap().reason
    }
}

#[tokio::test]
async fn a_year_from_the_free_tier_over_notices_and_grace_and_back_to_the_free_tier() {
    let bench = bench();
    let (_, company) = testing::user_and_company(&bench.store).await;
    let before = bench.licensing.status().await.unwrap();
    assert_eq!((before.reason, before.plan.clone(), before.notice_days), (None, Plan::free(), None));

    let status = bench.enter(&bench.issue(order("business", 1))).await.unwrap();
    assert_eq!((status.reason, status.plan.key, status.days_left), (Some(ReasonCode::Ok), "business", Some(365)));
    assert_eq!(bench.licensing.plan_for(&company).await.unwrap().key, "business", "at once, without a restart");

    let mut notices = Vec::new();
    for _ in 0..365 {
        bench.clock.advance(DAY);
        notices.extend(bench.licensing.status().await.unwrap().notice_days);
    }
    notices.dedup();
    assert_eq!(notices, [60, 30, 14, 7, 1]);
    assert_eq!(bench.reason().await, Some(ReasonCode::ExpiredInGrace));
    assert_eq!(bench.licensing.plan_for(&company).await.unwrap().key, "business", "the plan stays in grace");

    bench.clock.advance(14 * DAY);
    assert_eq!(bench.reason().await, Some(ReasonCode::Expired));
    assert_eq!(bench.licensing.plan_for(&company).await.unwrap(), before.plan, "as good as one that was never activated");

    let renewal = bench.enter(&bench.issue(order("team", 2))).await.unwrap();
    assert_eq!((renewal.reason, renewal.plan.key), (Some(ReasonCode::Ok), "team"));
}

#[tokio::test]
async fn an_old_code_cannot_replace_a_newer_one_and_the_same_one_may_come_again() {
    let bench = bench();
    let (first, second) = (bench.issue(order("business", 1)), bench.issue(order("team", 2)));
    bench.enter(&first).await.unwrap();
    bench.enter(&first).await.unwrap();
    bench.enter(&second).await.unwrap();
    assert_eq!(bench.enter(&first).await, Err(ReasonCode::Superseded));
    let third = bench.issue(issue::Order { supersedes: vec![second.claims().jti.clone()], customer: "acme 2".into(), ..order("enterprise", 1) });
    bench.enter(&third).await.unwrap();
    assert_eq!(bench.enter(&second).await, Err(ReasonCode::Superseded));
    assert_eq!(bench.licensing.status().await.unwrap().plan.key, "enterprise");
}

#[tokio::test]
async fn what_does_not_count_is_refused_with_its_reason_and_changes_nothing() {
    let bench = bench();
    bench.enter(&bench.issue(order("team", 5))).await.unwrap();
    let good = bench.issue(order("business", 6));
    let claims = |change: fn(&mut Claims)| {
        let mut claims = good.claims().clone();
        change(&mut claims);
        issue::sign(claims, &bench.key).unwrap()
    };
    let foreign = SigningKey::from_bytes(&[3; 32]);
    let later = "2026-12-24T00:00:00Z".parse().unwrap();
    let mut tampered = good.bytes().to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    let development = issue::Order { environment: Environment::Development, ..order("team", 6) };
    for (code, reason) in [
        (SignedCode::parse(&tampered).unwrap(), ReasonCode::BadSignature),
        (issue::issue(order("team", 6), &foreign, &bench.seams).unwrap(), ReasonCode::UnknownKey),
        (claims(|claims| claims.audience = "elsewhere".into()), ReasonCode::WrongAudience),
        (claims(|claims| claims.plan = "next".into()), ReasonCode::UnsupportedVersion),
        (bench.issue(development), ReasonCode::WrongEnvironment),
        (bench.issue(issue::Order { not_before: Some(later), ..order("team", 6) }), ReasonCode::NotYetValid),
        (bench.issue(order("team", 4)), ReasonCode::Superseded),
    ] {
        assert_eq!(bench.enter(&code).await, Err(reason));
    }
    let short = bench.issue(issue::Order { days: 1, grace_days: 0, ..order("team", 6) });
    bench.clock.advance(2 * DAY);
    assert_eq!(bench.enter(&short).await, Err(ReasonCode::Expired));
    assert_eq!(bench.licensing.status().await.unwrap().plan.key, "team");

    let mistyped = good.to_line().replacen("ONSITE1-", "ONSITE1-0", 1);
    let Err(EnterError::Refused(refusal)) = bench.licensing.enter(&mistyped, Actor::System, None).await else { panic!("taken") };
    assert_eq!(refusal.reason, ReasonCode::Malformed);
    assert!(refusal.message.contains("group 1 ("), "{}", refusal.message);
    assert!(!refusal.remedy().is_empty());

    let audit = bench.store.audit_after(0, 99).await.unwrap();
    assert_eq!(audit.len(), 10, "every attempt left a row");
    assert_eq!((audit[0].outcome, audit[0].object.starts_with("lic_")), (Outcome::Ok, true));
    assert!(audit[1..].iter().all(|row| row.outcome == Outcome::Refused));
    assert!(audit[9].detail_json.contains("malformed"));
}

#[tokio::test]
async fn binding_seats_and_a_clock_set_back() {
    let bench = bench();
    let now = bench.seams.now();
    let sql = "INSERT INTO installation VALUES (1, 'ins_here', 0, ?1)";
    testing::execute(&bench.store, sql, [now.plus(3 * DAY)]).await;
    let bound = |id: &str| bench.issue(issue::Order { install_id: Some(id.into()), seats: Some(6), ..order("team", 1) });
    assert_eq!(bench.enter(&bound("ins_there")).await, Err(ReasonCode::WrongInstallation));

    let status = bench.enter(&bound("ins_here")).await.unwrap();
    assert_eq!(status.reason, Some(ReasonCode::ClockSuspect), "taken, and said");
    assert_eq!((status.clock_suspect, status.plan.key), (Some(now.plus(3 * DAY)), "team"));
    assert_eq!(status.days_left, Some(362), "days count from the moment that is known to have passed");

    bench.clock.advance(3 * DAY);
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok));
    for _ in 0..7 {
        testing::user_and_company(&bench.store).await;
    }
    let status = bench.licensing.status().await.unwrap();
    assert_eq!((status.reason, status.seats(), status.seats_used), (Some(ReasonCode::SeatLimitReached), Limit::UpTo(6), 7));
    assert_eq!(status.plan.key, "team", "nobody is locked out");
}

#[tokio::test]
async fn the_clocks_mark_moves_on_by_the_time_that_passed() {
    let bench = bench();
    testing::execute(&bench.store, "INSERT INTO installation VALUES (1, 'ins_here', 0, 1000)", []).await;
    bench.clock.advance(DAY);
    bench.licensing.note_time_passed().await.unwrap();
    bench.licensing.note_time_passed().await.unwrap();
    let mark = bench.store.installation().await.unwrap().unwrap().clock_high_water;
    assert_eq!(mark.millis(), 1_000 + 86_400_000);
}

#[tokio::test]
async fn overrides_replace_single_limits_and_a_subscription_fills_in() {
    let bench = bench();
    let (_, company) = testing::user_and_company(&bench.store).await;
    let sql = "INSERT INTO company_subscriptions VALUES (?1, 'team', 0, NULL)";
    testing::execute(&bench.store, sql, [company.clone()]).await;
    assert_eq!(bench.licensing.plan_for(&company).await.unwrap().key, "team");
    let features = [("max_widgets".to_owned(), Some(7)), ("crawl_pages_max".to_owned(), None)].into();
    bench.enter(&bench.issue(issue::Order { features, ..order("business", 1) })).await.unwrap();
    let plan = bench.licensing.plan_for(&company).await.unwrap();
    let limits = [Feature::MaxWidgets, Feature::CrawlPagesMax, Feature::Seats].map(|feature| plan.limit(feature));
    assert_eq!(limits, [Limit::UpTo(7), Limit::Unlimited, Limit::UpTo(50)]);
}
