use std::collections::HashSet;

use super::*;
use crate::base::clock::{FakeClock, Timestamp};
use crate::base::paths::DataDir;
use crate::base::random::SystemRandom;
use crate::base::tasks::Tasks;
use crate::base::vault::Vault;
use crate::model::audit::{GENESIS, verify_chain};
use crate::services::auth::bootstrap::BootstrapStart;
use crate::services::auth::password::testing::CHEAP;
use crate::services::auth::second_step::Login;
use crate::services::auth::{AuthParts, AuthSettings, LoginError};
use crate::services::mail::{MailSettings, Outbox, Sender};
use crate::store::testing;

const PASSWORD: &str = "a goose crossed the yard";

struct Bench {
    setup: Setup,
    auth: Auth,
    bootstrap: Bootstrap,
    clock: Arc<FakeClock>,
    store: Store,
    folder: tempfile::TempDir,
}

async fn bench() -> (Bench, String) {
    let (store, folder) = testing::store();
    let clock = Arc::new(FakeClock::new(Timestamp::from_millis(1_795_300_000_000)));
    let seams = Seams { clock: clock.clone(), random: Arc::new(SystemRandom) };
    let settings = AuthSettings { hash_cost: CHEAP, ..AuthSettings::default() };
    let auth = Auth::new(parts(&store, &seams), settings).unwrap();
    let bootstrap = Bootstrap::new(store.clone(), seams.clone(), DataDir::new(folder.path()));
    let BootstrapStart::Generated(issued) = bootstrap.start(None).await.unwrap() else { panic!("expected a new token") };
    let setup = Setup::new(store.clone(), seams, auth.clone(), bootstrap.clone());
    (Bench { setup, auth, bootstrap, clock, store, folder }, issued.token.expose().clone())
}

fn parts(store: &Store, seams: &Seams) -> AuthParts {
    let vault = Vault::new(None, Vec::new(), seams);
    let sender = Sender::Spool("/nowhere".into());
    let settings = MailSettings { sender, from: "onsite@localhost".parse().unwrap(), base_url: None };
    let outbox = Outbox::new(seams.clone(), vault.clone(), settings);
    AuthParts { store: store.clone(), seams: seams.clone(), tasks: Tasks::default(), vault, outbox }
}

fn redemption(token: &str, email: &str) -> Redemption {
    Redemption { token: Secret::new(token.to_owned()), email: email.to_owned(), name: "Ada".to_owned(), password: Secret::new(PASSWORD.to_owned()) }
}

fn from(address: &str) -> Origin {
    Origin { address: Some(address.parse().unwrap()), user_agent: None }
}

impl Bench {
    async fn redeem(&self, token: &str) -> Result<SignedIn, RedeemError> {
        self.setup.redeem(redemption(token, "ada@example.org"), Origin::default()).await
    }

    async fn admins(&self) -> usize {
        self.store.users().await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thirty_two_at_once_exactly_one_becomes_admin() {
    for round in 0..20 {
        let (bench, token) = bench().await;
        let attempts = (0..32).map(|n| {
            let (setup, token) = (bench.setup.clone(), token.clone());
            Tasks::default()
                .spawn("redeem", async move { setup.redeem(redemption(&token, &format!("admin{n}@example.org")), Origin::default()).await })
        });
        let mut won = 0;
        for outcome in futures_util::future::join_all(attempts.collect::<Vec<_>>()).await {
            match outcome.unwrap() {
                Ok(_) => won += 1,
                // More than may try at once from one address are sent away for a moment.
                Err(RedeemError::Done | RedeemError::TooManyTries(_)) => {}
                Err(other) => panic!("round {round}: {other}"),
            }
        }
        assert_eq!((won, bench.admins().await), (1, 1), "round {round}");
        assert_eq!(bench.setup.state().await.unwrap(), None);
        assert!(!bench.folder.path().join("bootstrap-token").exists());
        let audit = bench.store.audit_after(0, 100).await.unwrap();
        assert_eq!(audit.iter().filter(|row| row.action == "bootstrap.redeemed").count(), 1);
        assert!(verify_chain((0, GENESIS), &audit).is_ok());
    }
}

#[tokio::test]
async fn the_store_alone_lets_only_one_in_whatever_was_looked_at_before() {
    let (bench, token) = bench().await;
    let text = TokenText::read(&Secret::new(token));
    let form = |n: u32| AccountForm::check(&format!("admin{n}@example.org"), "Ada", Secret::new(PASSWORD.into())).unwrap();
    let mut redemptions = Vec::new();
    for n in 0..32 {
        let admin = bench.auth.new_user(&form(n)).await.unwrap();
        let (session, _) = bench.auth.new_session(Origin::default());
        redemptions.push(bench.store.redeem_bootstrap_token(text.clone(), admin, session));
    }
    let outcomes = futures_util::future::join_all(redemptions).await;
    let won: Vec<_> =
        outcomes.into_iter().filter_map(|outcome| if let Presented::Accepted(user) = outcome.unwrap() { Some(user) } else { None }).collect();
    assert_eq!((won.len(), bench.admins().await), (1, 1));
    assert!(won[0].system_admin);
}

#[tokio::test]
async fn the_redeemer_is_signed_in_and_setup_is_gone_for_ever() {
    let (bench, token) = bench().await;
    assert!(matches!(bench.setup.state().await.unwrap(), Some(SetupState { token: Some(TokenState::Live { attempts_left: 10 }), .. })));
    let signed_in = bench.redeem(&format!(" {token}\n")).await.unwrap();
    let caller = bench.auth.authenticate(signed_in.token.expose()).await.unwrap().unwrap();
    assert!(caller.is_system_admin());
    assert_eq!(caller.user.email.as_str(), "ada@example.org");

    assert!(matches!(bench.redeem(&token).await, Err(RedeemError::Done)));
    assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Done));
    assert!(bench.bootstrap.reissue().await.is_err());
    // A second process that never saw the redemption decides the same from the store.
    let fresh = Setup::new(bench.store.clone(), bench.setup.seams.clone(), bench.auth.clone(), bench.bootstrap.clone());
    assert_eq!(fresh.state().await.unwrap(), None);
    assert!(matches!(fresh.redeem(redemption(&token, "eve@example.org"), Origin::default()).await, Err(RedeemError::Done)));
    assert_eq!(bench.admins().await, 1);
}

#[tokio::test]
async fn a_token_is_checked_without_using_it_up_and_a_wrong_one_counts_as_ever() {
    let (bench, token) = bench().await;
    let check = async |text: &str| bench.setup.check(&Secret::new(text.to_owned()), &Origin::default()).await;
    for _ in 0..20 {
        check(&token).await.unwrap();
    }
    let Err(RedeemError::WrongToken { attempts_left: 9 }) = check("wrong").await else { panic!("not counted") };
    let Err(RedeemError::WrongToken { attempts_left: 8 }) = bench.redeem("wrong").await else { panic!("not the same count") };
    let wrong = bench.store.audit_after(0, 100).await.unwrap().iter().filter(|row| row.action == "bootstrap.wrong_token").count();
    assert_eq!(wrong, 2);
    bench.redeem(&token).await.unwrap();
    assert!(matches!(check(&token).await, Err(RedeemError::Done)));
}

#[tokio::test]
async fn the_tenth_wrong_token_burns_it_and_only_a_reissue_helps() {
    let (bench, token) = bench().await;
    for left in (1..10).rev() {
        let Err(RedeemError::WrongToken { attempts_left }) = bench.redeem("wrong").await else { panic!("expected a wrong token") };
        assert_eq!(attempts_left, left);
    }
    assert!(matches!(bench.redeem("wrong").await, Err(RedeemError::Burnt)));
    assert!(matches!(bench.redeem(&token).await, Err(RedeemError::Burnt)), "the right one is burnt too");
    assert!(!bench.folder.path().join("bootstrap-token").exists());
    assert!(matches!(bench.setup.state().await.unwrap(), Some(SetupState { token: Some(TokenState::Burnt), .. })));

    let reissued = bench.bootstrap.reissue().await.unwrap();
    assert!(matches!(bench.redeem(&token).await, Err(RedeemError::Expired)), "burnt for good");
    assert!(bench.redeem(reissued.token.expose()).await.is_ok());
}

#[tokio::test]
async fn an_expired_token_says_so_and_so_does_the_one_before() {
    let (bench, token) = bench().await;
    bench.clock.advance(Duration::from_secs(24 * 3600));
    assert!(matches!(bench.redeem(&token).await, Err(RedeemError::Expired)));
    let BootstrapStart::Generated(second) = bench.bootstrap.start(None).await.unwrap() else { panic!("expected a new token") };
    assert!(matches!(bench.redeem(&token).await, Err(RedeemError::Expired)), "yesterday's token");
    assert!(matches!(bench.setup.state().await.unwrap(), Some(SetupState { token: Some(TokenState::Live { attempts_left: 10 }), .. })));
    let mixed = format!("{}.{}", token.split_once('.').unwrap().0, second.token.expose().split_once('.').unwrap().1);
    assert!(matches!(bench.redeem(&mixed).await, Err(RedeemError::WrongToken { .. })), "halves of two tokens");
    assert!(bench.redeem(second.token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_bad_account_costs_no_try_and_names_its_field() {
    let (bench, token) = bench().await;
    let cases =
        [("not an address", "Ada", PASSWORD, "email"), ("ada@example.org", " ", PASSWORD, "name"), ("ada@example.org", "Ada", "short", "password")];
    for (email, name, password, field) in cases {
        let request =
            Redemption { token: Secret::new(token.clone()), email: email.into(), name: name.into(), password: Secret::new(password.into()) };
        let Err(RedeemError::Account(invalid)) = bench.setup.redeem(request, Origin::default()).await else { panic!("expected a bad {field}") };
        assert_eq!(invalid.field(), field);
    }
    assert!(matches!(bench.setup.state().await.unwrap(), Some(SetupState { token: Some(TokenState::Live { attempts_left: 10 }), .. })));
    assert!(bench.redeem(&token).await.is_ok());
}

#[tokio::test]
async fn an_address_that_keeps_asking_is_sent_away() {
    let (bench, token) = bench().await;
    for _ in 0..LIMITS[0].failures {
        let _ = bench.setup.redeem(redemption("wrong", "eve@example.org"), from("192.0.2.7")).await;
    }
    let refused = bench.setup.redeem(redemption(&token, "eve@example.org"), from("192.0.2.7")).await;
    assert!(matches!(refused, Err(RedeemError::TooManyTries(_))));
    let elsewhere = bench.setup.redeem(redemption(&token, "eve@example.org"), from("192.0.2.8")).await;
    assert!(matches!(elsewhere, Err(RedeemError::Burnt)));
}

#[tokio::test]
async fn a_session_ends_by_time_by_idleness_and_by_signing_out() {
    let (bench, token) = bench().await;
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let first = bench.redeem(&token).await.unwrap();
    let open = async |token: &Secret<String>| bench.auth.authenticate(token.expose()).await.unwrap();

    // Used every 10 minutes it lives to its 24 hours and not beyond.
    for _ in 0..143 {
        bench.clock.advance(minutes(10));
        assert!(open(&first.token).await.is_some());
    }
    bench.clock.advance(minutes(10));
    assert!(open(&first.token).await.is_none());

    let login = async || match bench.auth.login("ADA@example.org ", &Secret::new(PASSWORD.into()), Origin::default()).await.unwrap() {
        Login::In(signed_in) => signed_in,
        Login::SecondStep(_) => panic!("nobody asked for a second factor"),
    };
    let second = login().await;
    bench.clock.advance(minutes(14));
    assert!(open(&second.token).await.is_some());
    bench.clock.advance(minutes(15));
    assert!(open(&second.token).await.is_none());
    assert!(open(&second.token).await.is_none(), "looking does not revive it");

    let (third, fourth) = (login().await, login().await);
    let caller = open(&third.token).await.unwrap();
    bench.auth.logout(&caller, &Origin::default()).await;
    bench.auth.logout(&caller, &Origin::default()).await;
    assert!(open(&third.token).await.is_none());
    assert!(open(&fourth.token).await.is_some(), "another session of the same user goes on");
    let audit = bench.store.audit_after(0, 100).await.unwrap();
    assert_eq!(audit.iter().filter(|row| row.action == "auth.logout").count(), 1);
    assert!(verify_chain((0, GENESIS), &audit).is_ok());
}

#[tokio::test]
async fn signing_out_works_when_nothing_can_be_kept_and_is_kept_later() {
    let (bench, token) = bench().await;
    let signed_in = bench.redeem(&token).await.unwrap();
    let caller = bench.auth.authenticate(signed_in.token.expose()).await.unwrap().unwrap();
    testing::refuse(&bench.store, "UPDATE", "sessions").await;
    bench.auth.logout(&caller, &Origin::default()).await;
    assert!(bench.auth.authenticate(signed_in.token.expose()).await.unwrap().is_none());
    assert!(bench.auth.still_signed_in(&caller).await.unwrap().is_none());
    assert!(bench.auth.keep_ends().await.is_err());
    testing::allow(&bench.store).await;
    bench.auth.keep_ends().await.unwrap();
    let session = bench.store.session(caller.session_id).await.unwrap().unwrap().session;
    assert!(session.ended_at.is_some());
}

#[tokio::test]
async fn without_an_idle_limit_a_session_lives_until_its_hour() {
    let (bench, token) = bench().await;
    let signed_in = bench.redeem(&token).await.unwrap();
    let settings = AuthSettings { idle_minutes: 0, session_hours: 2, hash_cost: CHEAP, ..AuthSettings::default() };
    let patient = Auth::new(parts(&bench.store, &bench.setup.seams), settings).unwrap();
    bench.clock.advance(Duration::from_secs(2 * 3600 - 1));
    assert!(patient.authenticate(signed_in.token.expose()).await.unwrap().is_some());
    bench.clock.advance(Duration::from_secs(1));
    assert!(patient.authenticate(signed_in.token.expose()).await.unwrap().is_none(), "a lifetime shortened since counts");
}

#[tokio::test]
async fn unknown_wrong_and_malformed_get_the_same_answer_and_guessing_is_limited() {
    let (bench, token) = bench().await;
    bench.redeem(&token).await.unwrap();
    let login = async |email: &str, password: &str| bench.auth.login(email, &Secret::new(password.into()), from("192.0.2.7")).await;
    let mut answers = HashSet::new();
    for (email, password) in [("ada@example.org", "wrong"), ("eve@example.org", PASSWORD), ("no address", PASSWORD), ("ada@example.org", "")] {
        let Err(error @ LoginError::WrongCredentials) = login(email, password).await else { panic!("{email} was let in") };
        answers.insert(error.to_string());
    }
    assert_eq!(answers.len(), 1);
    let audit = bench.store.audit_after(0, 100).await.unwrap();
    assert!(!format!("{audit:?}").contains("eve@example.org"), "what was typed for an unknown account is not kept");

    for _ in 0..8 {
        let _ = login("ada@example.org", "wrong").await;
    }
    assert!(matches!(login("ada@example.org", PASSWORD).await, Err(LoginError::TooManyTries(_))));
    bench.clock.advance(Duration::from_secs(30));
    assert!(login("ada@example.org", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn guesses_at_once_stay_within_the_limit() {
    let (bench, token) = bench().await;
    bench.redeem(&token).await.unwrap();
    let wrong = Secret::new("wrong".to_owned());
    let tries = (0..40).map(|_| bench.auth.login("ada@example.org", &wrong, from("192.0.2.7")));
    let heard = futures_util::future::join_all(tries).await;
    assert_eq!(heard.iter().filter(|answer| matches!(answer, Err(LoginError::WrongCredentials))).count(), 10);
}

#[tokio::test]
async fn strangers_do_not_lock_out_who_was_in_from_their_address_before() {
    let (bench, token) = bench().await;
    bench.redeem(&token).await.unwrap();
    let login = async |address: &str, email: &str, password: &str| bench.auth.login(email, &Secret::new(password.into()), from(address)).await;
    login("198.51.100.1", "ada@example.org", PASSWORD).await.unwrap();
    // From everywhere at Ada's account, and from Ada's own address at everybody else's.
    for n in 0..60 {
        let _ = login(&format!("192.0.2.{n}"), "ada@example.org", "wrong").await;
    }
    for n in 0..120 {
        let _ = login("198.51.100.1", &format!("somebody{n}@example.org"), "wrong").await;
    }
    assert!(login("198.51.100.1", "ada@example.org", PASSWORD).await.is_ok());
    assert!(matches!(login("198.51.100.1", "eve@example.org", PASSWORD).await, Err(LoginError::TooManyTries(_))));
    let Err(LoginError::TooManyTries(slowed)) = login("203.0.113.1", "ada@example.org", PASSWORD).await else { panic!("not slowed") };
    bench.clock.advance(slowed.retry_after);
    assert!(login("203.0.113.1", "ada@example.org", PASSWORD).await.is_ok(), "slowed, and not locked out");
}

#[tokio::test]
async fn what_is_no_token_opens_nothing_and_secrets_do_not_print() {
    let (bench, token) = bench().await;
    let signed_in = bench.redeem(&token).await.unwrap();
    let long = "x".repeat(1_000_000);
    for text in ["", "x", &long, &signed_in.token.expose()[1..], &signed_in.token.expose().to_uppercase()] {
        assert!(bench.auth.authenticate(text).await.unwrap().is_none());
    }
    let printed = format!("{signed_in:?} {:?} {:?}", redemption(&token, "a@b.c"), bench.auth);
    assert!(!printed.contains(signed_in.token.expose().as_str()) && !printed.contains(&token) && !printed.contains(PASSWORD));
}
