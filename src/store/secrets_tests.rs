//! Keys taken, changed under load, cut short and resumed; forgeries refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::base::vault::{KEY_BYTES, Key};
use crate::model::ids::{SessionId, UserId};
use crate::model::session::{NewSession, Origin};
use crate::store::users::NewUser;
use crate::store::{OpenError, StoreOptions, testing};

const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

fn vault(current: Option<u8>, previous: &[u8]) -> Vault {
    let key = |byte: u8| Key::derive(&[byte; KEY_BYTES]);
    Vault::new(current.map(key), previous.iter().copied().map(key).collect(), &Seams::system())
}

fn open(folder: &tempfile::TempDir, vault: Vault) -> Result<Store, OpenError> {
    Store::open(&DataDir::new(folder.path()), StoreOptions { readers_max: 2, now: NOW, vault })
}

fn entry() -> Entry {
    Entry::new(NOW, Actor::System, "test.act", "test")
}

/// An account with a session: four sealed values.
async fn person(store: &Store, number: usize) -> UserId {
    let seams = Seams::system();
    let email = format!("person-{number}@example.org").parse().unwrap();
    let user = NewUser { id: UserId::new(&seams), email, name: format!("Canary {number}"), password_hash: "h".into(), system_admin: false, at: NOW };
    let id = user.id.clone();
    store.create_user(user, entry()).await.unwrap().unwrap();
    let origin = Origin { address: Some("192.0.2.7".parse().unwrap()), user_agent: Some(format!("Agent {number}")) };
    let session =
        NewSession { id: SessionId::new(&seams), token_hash: seams.random_bytes(), at: NOW, expires_at: NOW, origin, factor_elsewhere: false };
    store.open_session(id.clone(), session, entry()).await.unwrap();
    id
}

/// Everybody up to `people` is found by their address, with their own name and the session's place.
async fn all_readable(store: &Store, people: usize) {
    let users = store.users().await.unwrap();
    assert_eq!(users.len(), people);
    for number in 0..people {
        let (user, _) = store.user_by_email(format!("person-{number}@example.org").parse().unwrap()).await.unwrap().expect("found by address");
        assert_eq!(user.name, format!("Canary {number}"));
        assert_eq!(store.session_addresses(user.id).await.unwrap(), [Some("192.0.2.7".parse().unwrap())]);
    }
}

async fn rotate(store: &Store) -> u64 {
    let (mut place, mut values) = (Some(ResealPlace::default()), 0);
    while let Some(from) = place {
        let done = store.reseal(from).await.unwrap();
        (place, values) = (done.next, values + done.values);
    }
    assert!(store.finish_resealing(Actor::System, values, NOW).await.unwrap());
    values
}

fn file_holds(folder: &tempfile::TempDir, text: &str) -> bool {
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| std::fs::read(path).unwrap()).any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[tokio::test]
async fn a_key_seals_what_was_kept_without_one_and_nothing_of_it_stays_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, vault(None, &[])).unwrap();
    for number in 0..30 {
        person(&store, number).await;
    }
    assert_eq!(store.secrets_status().await.unwrap().kept, [(Keeping::Plain, 120)]);
    drop(store);
    assert!(file_holds(&folder, "Canary 7"));
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    all_readable(&store, 30).await;
    assert!(!store.everything_sealed().await.unwrap());
    assert_eq!(rotate(&store).await, 120);
    assert!(store.everything_sealed().await.unwrap());
    all_readable(&store, 30).await;
    // While it serves, and after it has stopped.
    assert!(!file_holds(&folder, "Canary 7"));
    drop(store);
    for text in ["Canary 7", "person-7@", "Agent 7", "192.0.2.7"] {
        assert!(!file_holds(&folder, text), "{text}");
    }
}

#[tokio::test]
async fn a_start_without_the_key_or_with_another_is_refused_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, vault(Some(1), &[])).unwrap());
    let before = std::fs::read(DataDir::new(folder.path()).database()).unwrap();
    for wrong in [vault(None, &[]), vault(Some(2), &[]), vault(Some(2), &[3])] {
        let refusal = open(&folder, wrong).unwrap_err();
        assert!(matches!(refusal, OpenError::Keys(KeyError::Missing { .. })), "{refusal}");
        assert!(refusal.to_string().contains("DB_ENCRYPTION_KEY_FILE"), "{refusal}");
    }
    assert_eq!(std::fs::read(DataDir::new(folder.path()).database()).unwrap(), before);
    let server = open(&folder, vault(Some(2), &[1])).unwrap();
    let beside = |vault| Store::open_for_command(&DataDir::new(folder.path()), StoreOptions { readers_max: 1, now: NOW, vault });
    assert!(matches!(beside(vault(Some(3), &[1, 2])), Err(OpenError::Keys(KeyError::OtherThanServer))));
    assert!(beside(vault(Some(2), &[1])).is_ok());
    rotate(&server).await;
    drop(server);
    assert!(open(&folder, vault(Some(2), &[])).is_ok(), "the earlier key is not needed any more");
    assert!(open(&folder, vault(Some(1), &[])).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_under_load_cut_short_and_resumed_and_every_value_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    for number in 0..150 {
        person(&store, number).await;
    }
    drop(store);
    let mut people = 150;
    // Two starts are cut short, each after some batches; the third comes to the end.
    for batches in [1, 3, usize::MAX] {
        let store = open(&folder, vault(Some(2), &[1])).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let load = Tasks::default().spawn("load", {
            let (store, stop, first) = (store.clone(), Arc::clone(&stop), people);
            async move {
                let mut next = first;
                while next < first + 5 || !stop.load(Ordering::Relaxed) {
                    person(&store, next).await;
                    next += 1;
                    let (user, _) = store.user_by_email("person-3@example.org".parse().unwrap()).await.unwrap().unwrap();
                    assert_eq!(user.name, "Canary 3");
                    let again = NewUser { id: UserId::new(&Seams::system()), ..new_user(3) };
                    assert!(store.create_user(again, entry()).await.unwrap().is_none(), "one account an address, whichever key it is under");
                }
                next
            }
        });
        let mut place = Some(ResealPlace::default());
        for _ in 0..batches {
            let Some(from) = place.take() else { break };
            place = store.reseal(from).await.unwrap().next;
        }
        if place.is_none() {
            assert!(store.finish_resealing(Actor::System, 0, NOW).await.unwrap());
        } else {
            assert!(!store.finish_resealing(Actor::System, 0, NOW).await.unwrap(), "it is not finished");
        }
        stop.store(true, Ordering::Relaxed);
        people = load.await.unwrap();
        drop(store);
    }
    let store = open(&folder, vault(Some(2), &[])).unwrap();
    all_readable(&store, people).await;
    let status = store.secrets_status().await.unwrap();
    assert_eq!((status.kept.len(), status.otherwise_than(store.sealing_with())), (1, 0), "none is under the earlier key: {status:?}");
}

fn new_user(number: usize) -> NewUser {
    let email = format!("person-{number}@example.org").parse().unwrap();
    NewUser { id: UserId::new(&Seams::system()), email, name: "N".into(), password_hash: "h".into(), system_admin: false, at: NOW }
}

#[tokio::test]
async fn a_value_altered_moved_or_put_there_unencrypted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    let (ada, eve) = (person(&store, 0).await, person(&store, 1).await);
    rotate(&store).await;
    testing::execute(&store, "UPDATE users SET name = (SELECT name FROM users WHERE id = ?1) WHERE id = ?2", (ada.clone(), eve.clone())).await;
    let error = store.user(eve.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("users.name of {eve}")) && error.contains("moved"), "{error}");
    assert!(store.user(ada.clone()).await.is_ok());
    testing::execute(&store, "UPDATE users SET name = email WHERE id = ?1", [ada.clone()]).await;
    assert!(store.user(ada.clone()).await.is_err(), "not even between columns of its own row");
    testing::execute(&store, "UPDATE users SET name = x'00416461' WHERE id = ?1", [ada.clone()]).await;
    assert!(store.user(ada.clone()).await.unwrap_err().to_string().contains("not encrypted"));
    testing::execute(&store, "UPDATE users SET name = substr(email, 1, 30) WHERE id = ?1", [ada.clone()]).await;
    assert!(store.user(ada).await.unwrap_err().to_string().contains("cut off"));
}

#[tokio::test]
async fn what_does_not_open_keeps_its_key_in_use_and_does_not_hold_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    let (ada, _) = (person(&store, 0).await, person(&store, 1).await);
    testing::execute(&store, "UPDATE users SET name = (SELECT name FROM users WHERE id <> ?1) WHERE id = ?1", [ada]).await;
    drop(store);
    let store = open(&folder, vault(Some(2), &[1])).unwrap();
    let (mut place, mut unreadable) = (Some(ResealPlace::default()), 0);
    while let Some(from) = place {
        let done = store.reseal(from).await.unwrap();
        (place, unreadable) = (done.next, unreadable + done.unreadable);
    }
    assert_eq!(unreadable, 1);
    assert!(!store.finish_resealing(Actor::System, 0, NOW).await.unwrap());
    let status = store.secrets_status().await.unwrap();
    assert_eq!((status.otherwise_than(store.sealing_with()), status.keys.len()), (1, 2));
}

#[tokio::test]
async fn taking_and_changing_a_key_is_audited_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    rotate(&store).await;
    let rows = store.audit_after(0, 10).await.unwrap();
    let acts: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.object.as_str())).collect();
    let id = store.vault().current().unwrap().to_string();
    assert_eq!(acts, [("secrets.key_taken", id.as_str()), ("secrets.rotated", id.as_str())]);
}

#[test]
fn a_database_from_before_keeps_its_people_and_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = crate::store::engine::open_writer(&DataDir::new(folder.path()).database()).unwrap();
    let table = "CREATE TABLE schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL, checksum TEXT NOT NULL) STRICT";
    connection.execute_batch(table).unwrap();
    for migration in crate::store::migrate::MIGRATIONS.iter().take_while(|migration| migration.name < "0011") {
        crate::store::migrate::apply(&mut connection, migration, NOW).unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO users VALUES ('usr_01arz3ndektsv4rrffq69g5fav', 'ada@example.org', 'Ada Ä', 'h', 1, NULL, 5);
             INSERT INTO sessions VALUES ('ses_01arz3ndektsv4rrffq69g5fav', 'usr_01arz3ndektsv4rrffq69g5fav', x'01', 1, 1, 9, NULL, '192.0.2.7', NULL);",
        )
        .unwrap();
    drop(connection);
    let store = open(&folder, vault(Some(1), &[])).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        rotate(&store).await;
        let (user, hash) = store.user_by_email("ada@example.org".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((user.name.as_str(), hash.as_str(), user.system_admin), ("Ada Ä", "h", true));
        assert_eq!(store.session_addresses(user.id).await.unwrap(), [Some("192.0.2.7".parse().unwrap())]);
    });
}
