//! A licence over its life, on a real database and a clock that is moved.

use std::time::Duration;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::random::SeededRandom;
use crate::model::audit::{Actor, Outcome};
use crate::model::licence::{Claims, Environment, SignedList};
use crate::model::plans::{Feature, Limit};
use crate::store::testing;
use ed25519_dalek::SigningKey;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) struct Bench {
    pub(super) licensing: Licensing,
    pub(super) clock: Arc<FakeClock>,
    pub(super) seams: Seams,
    pub(super) key: SigningKey,
    pub(super) store: Store,
    _folder: tempfile::TempDir,
}

pub(super) fn bench() -> Bench {
    let (store, folder) = testing::store();
    let clock = Arc::new(FakeClock::new("2026-11-21T12:00:00Z".parse().unwrap()));
    let seams = Seams { clock: Arc::clone(&clock) as _, random: Arc::new(SeededRandom::new(4)) };
    let key = issue::generate_key(&seams);
    let ring = KeyRing::release(&issue::public_pem(&key).unwrap()).unwrap();
    let build_date = "2026-11-01T00:00:00Z".parse().unwrap();
    let licensing = Licensing::new(store.clone(), seams.clone(), LicensingSettings { ring, build_date, revocations: None });
    Bench { licensing, clock, seams, key, store, _folder: folder }
}

pub(super) fn order(plan: &str, seq: u64) -> issue::Order {
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
    pub(super) fn issue(&self, order: issue::Order) -> SignedCode {
        issue::issue(order, &self.key, &self.seams).unwrap()
    }

    pub(super) async fn enter(&self, code: &SignedCode) -> Result<LicenceStatus, ReasonCode> {
        self.take(&code.to_armour()).await.map(|taken| taken.status)
    }

    pub(super) async fn take(&self, text: &str) -> Result<Taken, ReasonCode> {
        self.licensing.enter(text, Actor::Cli, None).await.map_err(|error| match error {
            EnterError::Refused(refusal) => refusal.reason,
            EnterError::Store(error) => panic!("{error}"),
        })
    }

    /// The same installation with another build: other keys, another list.
    pub(super) fn upgraded(self, ring: KeyRing, revocations: Option<SignedList>) -> Self {
        let settings = LicensingSettings { ring, revocations, ..self.licensing.settings().clone() };
        Self { licensing: Licensing::new(self.store.clone(), self.seams.clone(), settings), ..self }
    }

    pub(super) fn list(&self, number: u64, revoked: &[&SignedCode]) -> SignedList {
        let revoked = revoked.iter().map(|code| code.claims().jti.clone()).collect();
        issue::sign_list(number, "Vendor", revoked, &self.key, &self.seams).unwrap()
    }

    async fn steps(&self) -> Vec<String> {
        self.licensing.watch().await.unwrap();
        let rows = self.store.audit_after(0, 9_999).await.unwrap();
        let notices = rows.iter().filter(|row| row.action == "license.notice");
        notices.map(|row| serde_json::from_str::<serde_json::Value>(&row.detail_json).unwrap()["step"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn reason(&self) -> Option<ReasonCode> {
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
    bench.store.open_installation("ins_here".into(), now.plus(3 * DAY)).await.unwrap();
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
    bench.store.open_installation("ins_here".into(), Timestamp::from_millis(1_000)).await.unwrap();
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
    testing::subscribe(&bench.store, &company, "team").await;
    assert_eq!(bench.licensing.plan_for(&company).await.unwrap().key, "team");
    let features = [("max_widgets".to_owned(), Some(7)), ("crawl_pages_max".to_owned(), None)].into();
    bench.enter(&bench.issue(issue::Order { features, ..order("business", 1) })).await.unwrap();
    let plan = bench.licensing.plan_for(&company).await.unwrap();
    let limits = [Feature::MaxWidgets, Feature::CrawlPagesMax, Feature::Seats].map(|feature| plan.limit(feature));
    assert_eq!(limits, [Limit::UpTo(7), Limit::Unlimited, Limit::UpTo(50)]);
}

#[tokio::test]
async fn each_step_of_the_ladder_is_recorded_once_and_a_renewal_has_a_ladder_of_its_own() {
    let bench = bench();
    bench.enter(&bench.issue(order("business", 1))).await.unwrap();
    let mut steps = Vec::new();
    for _ in 0..381 {
        bench.clock.advance(DAY);
        // As often as the job may look.
        bench.steps().await;
        steps = bench.steps().await;
    }
    let ladder = ["days_60", "days_30", "days_14", "days_7", "days_1", "grace", "free_tier"];
    assert_eq!(steps, ladder);
    let status = bench.licensing.status().await.unwrap();
    let shown: Vec<String> = bench.licensing.notices(&status).await.unwrap().into_iter().map(|notice| notice.step).collect();
    assert_eq!(shown, ladder);

    bench.enter(&bench.issue(issue::Order { days: 10, ..order("business", 2) })).await.unwrap();
    assert_eq!(bench.steps().await[7..], ["days_14"], "what it is short of at once");
    bench.clock.advance(30 * DAY);
    assert_eq!(bench.steps().await[8..], ["free_tier"], "what passed while nobody looked is passed over");
}

#[tokio::test]
async fn a_list_revokes_counts_up_and_survives_and_an_older_or_foreign_one_is_refused() {
    let bench = bench();
    let code = bench.issue(order("business", 1));
    bench.enter(&code).await.unwrap();
    let (first, second, third) = (bench.list(1, &[]), bench.list(2, &[&code]), bench.list(3, &[]));
    assert_eq!(bench.take(&first.to_armour()).await.unwrap().kind, TakenKind::Revocations);
    let taken = bench.take(&second.to_line()).await.unwrap();
    assert_eq!((taken.status.reason, taken.status.plan.key), (Some(ReasonCode::Revoked), "free"));
    assert_eq!(taken.status.revocations.as_ref().map(|held| (held.number, held.codes)), Some((2, 1)));
    bench.take(&second.to_line()).await.unwrap();
    assert_eq!(bench.take(&first.to_line()).await, Err(ReasonCode::Superseded));
    assert_eq!(bench.enter(&code).await, Err(ReasonCode::Revoked));
    assert_eq!(bench.steps().await, ["free_tier"]);

    let foreign = SigningKey::from_bytes(&[3; 32]);
    let forged = issue::sign_list(9, "Vendor", [].into(), &foreign, &bench.seams).unwrap();
    assert_eq!(bench.take(&forged.to_line()).await, Err(ReasonCode::UnknownKey));
    let mut tampered = third.bytes().to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(bench.take(&SignedList::parse(&tampered).unwrap().to_line()).await, Err(ReasonCode::BadSignature));

    let cut = &third.to_line()[..60];
    let Err(EnterError::Refused(refusal)) = bench.licensing.enter(cut, Actor::Cli, None).await else { panic!("taken") };
    assert!(refusal.message.contains("revocation list") && refusal.remedy().contains("ONSITEREV1-"), "{}", refusal.message);

    bench.take(&third.to_line()).await.unwrap();
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok), "the newest list counts alone");
    let ring = bench.licensing.settings().ring.clone();
    let fourth = bench.list(4, &[&code]);
    let bench = bench.upgraded(ring, Some(fourth));
    assert_eq!(bench.reason().await, Some(ReasonCode::Revoked), "an update brings its list along");
    let audit = bench.store.audit_after(0, 99).await.unwrap();
    assert_eq!(audit.iter().filter(|row| row.action == "license.revocations" && row.outcome == Outcome::Ok).count(), 3, "the repeated one is no act");
}

#[tokio::test]
async fn a_signature_of_a_code_is_none_of_a_list_and_the_other_way_round() {
    let bench = bench();
    let code = bench.issue(order("team", 1));
    let list = bench.list(1, &[&code]);
    let list_with = |signature: [u8; 64]| SignedList::sign(list.list().clone(), |_| signature).unwrap();
    assert_eq!(bench.take(&list_with(code.signature()).to_line()).await, Err(ReasonCode::BadSignature));
    // Even over the very same bytes: what is signed begins otherwise.
    use ed25519_dalek::Signer;
    let bare = bench.key.sign(&list.bytes()[..list.bytes().len() - 64]).to_bytes();
    assert_eq!(bench.take(&list_with(bare).to_line()).await, Err(ReasonCode::BadSignature));
    let over_code_domain = bench.key.sign(&[crate::model::licence::encoding::DOMAIN, &list.bytes()[..list.bytes().len() - 64]].concat()).to_bytes();
    assert_eq!(bench.take(&list_with(over_code_domain).to_line()).await, Err(ReasonCode::BadSignature));
}

#[tokio::test]
async fn the_last_signed_checkpoint_of_the_audit_log_is_a_floor_of_the_clock() {
    let bench = bench();
    let now = bench.seams.now();
    bench.store.open_installation("ins_here".into(), Timestamp::from_millis(1_000)).await.unwrap();
    bench.enter(&bench.issue(order("team", 1))).await.unwrap();
    let later = now.plus(40 * DAY);
    let checkpoint =
        |install_id: &str| crate::services::audit::export::Checkpoint::sign(&SigningKey::from_bytes(&[8; 32]), install_id.into(), 1, [0; 32], later);
    let keep =
        |checkpoint: &crate::services::audit::export::Checkpoint| bench.store.keep_audit_checkpoint(serde_json::to_string(checkpoint).unwrap());
    keep(&checkpoint("ins_there")).await.unwrap();
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok), "another installation's says nothing here");
    let mut altered = checkpoint("ins_here");
    altered.at += 1;
    keep(&altered).await.unwrap();
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok), "one that was altered is none");
    keep(&checkpoint("ins_here")).await.unwrap();
    let status = bench.licensing.status().await.unwrap();
    assert_eq!((status.reason, status.clock_suspect, status.days_left), (Some(ReasonCode::ClockSuspect), Some(later), Some(325)));
    assert_eq!(bench.steps().await, ["clock_suspect"]);
    assert_eq!(status.plan.key, "team", "never a lock-out");
}

#[tokio::test]
async fn a_rotated_key_keeps_what_it_signed_and_signs_nothing_new() {
    let bench = bench();
    let (old, new) = (bench.key.clone(), SigningKey::from_bytes(&[21; 32]));
    let first = bench.issue(order("team", 1));
    bench.enter(&first).await.unwrap();
    let by_new = issue::issue(order("business", 2), &new, &bench.seams).unwrap();
    assert_eq!(bench.enter(&by_new).await, Err(ReasonCode::UnknownKey), "before the update");

    bench.clock.advance(DAY);
    let retired = bench.seams.now();
    let ring = format!(
        "retired-at: {retired}\n{}\nvalid-from: {}\n{}",
        issue::public_pem(&old).unwrap(),
        retired.minus(2 * DAY),
        issue::public_pem(&new).unwrap()
    );
    let bench = bench.upgraded(KeyRing::release(&ring).unwrap(), None);
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok), "issued before");
    assert_eq!(bench.enter(&bench.issue(order("team", 3))).await, Err(ReasonCode::KeyRetired));
    bench.enter(&by_new).await.unwrap();
    assert_eq!(bench.licensing.status().await.unwrap().plan.key, "business");
    let late_list = bench.list(1, &[&by_new]);
    assert_eq!(bench.take(&late_list.to_line()).await, Err(ReasonCode::KeyRetired), "lists too");
}

#[tokio::test]
async fn a_request_binds_a_code_to_its_installation() {
    let bench = bench();
    assert!(bench.licensing.request(None, None).await.is_err(), "before the first start there is no installation");
    bench.store.open_installation("ins_here".into(), Timestamp::from_millis(1_000)).await.unwrap();
    let request = bench.licensing.request(Some("Acme".into()), Some("it@acme.example".into())).await.unwrap();
    assert_eq!((request.install_id.as_str(), request.current.as_ref(), request.keys.len()), ("ins_here", None, 1));
    let line = crate::model::licence::text::REQUEST.line(&request.bytes().unwrap());
    assert_eq!(bench.take(&line).await, Err(ReasonCode::Malformed), "it is for the vendor");
    let code = bench.issue(issue::Order { install_id: Some(request.install_id), ..order("team", 1) });
    bench.enter(&code).await.unwrap();
    let renewal = bench.licensing.request(None, None).await.unwrap();
    assert_eq!((renewal.company.as_deref(), renewal.current.as_ref()), (Some("Acme"), Some(&code.claims().jti)));
}

#[tokio::test]
async fn files_dropped_into_the_folder_are_taken_refused_or_waited_for() {
    let bench = bench();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let look = || async { bench.licensing.take_dropped(folder.path()).await.unwrap() };
    assert_eq!(look().await, 0);
    let armour = bench.issue(order("team", 1)).to_armour();
    std::fs::write(path("a.onsite"), &armour[..100]).unwrap();
    std::fs::write(path("notes.txt"), "ONSITE1-").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", path("link.onsite")).unwrap();
    assert_eq!(look().await, 0);
    assert!(path("a.onsite").exists(), "half a file waits for its other half");
    std::fs::write(path("a.onsite"), &armour).unwrap();
    assert_eq!(look().await, 1);
    assert!(path("a.onsite.taken").exists() && !path("a.onsite").exists() && path("notes.txt").exists());
    assert!(path("link.onsite").exists(), "links are not followed");
    assert_eq!(bench.reason().await, Some(ReasonCode::Ok));

    std::fs::write(path("rubbish.onsite"), [0xff, 0, 7]).unwrap();
    std::fs::write(path("list.onsite"), bench.list(1, &[]).to_armour()).unwrap();
    let foreign = issue::issue(order("team", 2), &SigningKey::from_bytes(&[3; 32]), &bench.seams).unwrap();
    std::fs::write(path("foreign.onsite"), foreign.to_armour()).unwrap();
    assert_eq!(look().await, 1, "the list");
    assert!(path("list.onsite.taken").exists() && path("foreign.onsite.refused").exists() && path("rubbish.onsite").exists());
    assert_eq!(look().await, 0);
    assert!(path("rubbish.onsite.refused").exists(), "unchanged since the last look");
    let refused = bench.store.audit_after(0, 99).await.unwrap().into_iter().filter(|row| row.outcome == Outcome::Refused && row.actor == "system");
    assert_eq!(refused.count(), 2);
}
