use super::*;
use crate::base::random::SystemRandom;
use crate::model::ids::UserId;
use crate::services::mail::{MailSettings, Sender};
use crate::store::testing;

const PASSWORD: &str = "a goose crossed the yard";

struct Bench {
    auth: Auth,
    store: Store,
    seams: Seams,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let (store, folder) = testing::store();
    let clock = Arc::new(crate::base::clock::FakeClock::new(crate::base::clock::Timestamp::from_millis(1_795_300_000_000)));
    let seams = Seams { clock, random: Arc::new(SystemRandom) };
    Bench { auth: auth(&store, &seams, password::testing::CHEAP), store, seams, _folder: folder }
}

fn auth(store: &Store, seams: &Seams, hash_cost: HashCost) -> Auth {
    let vault = Vault::new(None, Vec::new(), seams);
    let mail = MailSettings { sender: Sender::Spool("/nowhere".into()), from: "onsite@localhost".parse().unwrap(), base_url: None };
    let outbox = Outbox::new(seams.clone(), vault.clone(), mail);
    let parts = AuthParts { store: store.clone(), seams: seams.clone(), tasks: Tasks::default(), vault, outbox };
    Auth::new(parts, AuthSettings { hash_cost, ..AuthSettings::default() }).unwrap()
}

impl Bench {
    async fn user(&self, email: &str) -> User {
        let form = AccountForm::check(email, "Somebody", Secret::new(PASSWORD.into())).unwrap();
        let new = self.auth.new_user(&form).await.unwrap();
        let entry = Entry::new(new.at, Actor::System, "user.created", new.id.as_str());
        self.store.create_user(new, entry).await.unwrap().unwrap()
    }

    async fn try_login(&self, auth: &Auth, email: &str, password: &str) -> bool {
        auth.login(email, &Secret::new(password.into()), Origin::default()).await.is_ok()
    }
}

/// Time cannot be compared in a test; the work that takes it can.
#[tokio::test]
async fn unknown_wrong_and_disabled_cost_the_same_work() {
    let bench = bench();
    bench.user("ada@example.org").await;
    let disabled = bench.user("eve@example.org").await;
    let entry = Entry::new(bench.seams.now(), Actor::System, "user.disabled", disabled.id.as_str());
    bench.store.set_user_disabled(disabled.id, true, None, bench.seams.now(), entry).await.unwrap();
    let cases = [
        ("ada@example.org", PASSWORD, true),
        ("ada@example.org", "not the password at all", false),
        ("nobody@example.org", PASSWORD, false),
        ("eve@example.org", PASSWORD, false),
        ("no address", PASSWORD, false),
        ("", "", false),
    ];
    for (email, password, expected) in cases {
        let before = bench.auth.hasher.computed();
        assert_eq!(bench.try_login(&bench.auth, email, password).await, expected, "{email}");
        assert_eq!(bench.auth.hasher.computed() - before, 1, "{email}: hashes computed");
    }
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_when_its_owner_signs_in() {
    let bench = bench();
    let user = bench.user("ada@example.org").await;
    let stored = async || bench.store.password_hash(user.id.clone()).await.unwrap().unwrap();
    let old = stored().await;
    assert!(old.contains("m=8,t=1,p=1"), "{old}");
    let dearer = auth(&bench.store, &bench.seams, HashCost { memory_kib: 16, passes: 2 });
    assert!(!bench.try_login(&dearer, "ada@example.org", "not the password at all").await);
    assert_eq!(stored().await, old, "a wrong password renews nothing");
    let before = dearer.hasher.computed();
    assert!(bench.try_login(&dearer, "ada@example.org", PASSWORD).await);
    let new = stored().await;
    assert!(new.contains("m=16,t=2,p=1"), "{new}");
    assert_eq!(dearer.hasher.computed() - before, 2);
    assert!(bench.try_login(&dearer, "ada@example.org", PASSWORD).await);
    assert_eq!((stored().await, dearer.hasher.computed() - before), (new, 3), "once");
}

#[tokio::test]
async fn a_renewed_hash_does_not_undo_a_new_password() {
    let bench = bench();
    let user = bench.user("ada@example.org").await;
    let old = bench.store.password_hash(user.id.clone()).await.unwrap().unwrap();
    bench.store.renew_password_hash(user.id.clone(), "another".into(), "new".into()).await.unwrap();
    assert_eq!(bench.store.password_hash(user.id.clone()).await.unwrap().unwrap(), old);
    let nobody = UserId::new(&bench.seams);
    assert_eq!(bench.store.password_hash(nobody).await.unwrap(), None);
}
