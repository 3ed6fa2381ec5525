//! Encryption at rest, from outside: a key is set and changed on the real binary, which is killed in the middle; and what an operator is told.

use std::path::Path;

use onsite::base::clock::Timestamp;
use onsite::base::paths::DataDir;
use onsite::base::seams::Seams;
use onsite::base::vault::{Key, Vault};
use onsite::model::audit::{Actor, Entry};
use onsite::model::ids::UserId;
use onsite::store::users::NewUser;
use onsite::store::{Store, StoreOptions, secrets};
use serde_json::{Value, json};

use crate::app::{TestApp, User};
use crate::binary::{Served, run};

/// Accounts with two sealed values each: more than one turn of a change of keys.
const PEOPLE: usize = 1_500;

fn code(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn set_keys(folder: &Path, present: &str, previous: &str) {
    let lines = [("DB_ENCRYPTION_KEY", present), ("DB_ENCRYPTION_KEY_PREVIOUS", previous)];
    let text: String = lines.iter().filter(|(_, key)| !key.is_empty()).map(|(name, key)| format!("{name} = \"{key}\"\n")).collect();
    std::fs::write(folder.join("onsite.toml"), text).unwrap();
}

fn new_key() -> String {
    let (status, text, error) = code(&["secrets", "new-key"]);
    assert_eq!(status, 0, "{error}");
    text.trim().to_owned()
}

fn waiting(dir: &str) -> u64 {
    let (_, text, error) = code(&["secrets", "status", "--json", "--data-dir", dir]);
    let status: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{error}"));
    status["values_waiting"].as_u64().unwrap()
}

async fn fill(folder: &Path, key: &str) {
    let seams = Seams::system();
    let vault = Vault::new(Some(key.parse::<Key>().unwrap()), Vec::new(), &seams);
    let now = Timestamp::from_millis(0);
    let store = Store::open(&DataDir::new(folder), StoreOptions { readers_max: 1, now, vault }).unwrap();
    let made = (0..PEOPLE).map(|number| {
        let email = format!("person-{number}@example.org").parse().unwrap();
        let name = format!("Person {number}");
        let user = NewUser { id: UserId::new(&seams), email, name, password_hash: "-".into(), system_admin: false, at: now };
        store.create_user(user, Entry::new(now, Actor::System, "test.filled", "test"))
    });
    assert!(futures_util::future::join_all(made).await.into_iter().all(|made| made.unwrap().is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_keys_is_killed_again_and_again_and_comes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let (first, second) = (new_key(), new_key());
    set_keys(folder.path(), &first, "");
    let served = Served::start(folder.path());
    let mut user = User::anonymous(&served.url);
    let token = std::fs::read_to_string(folder.path().join("bootstrap-token")).unwrap();
    let admin = json!({ "token": token.trim(), "email": "a@example.com", "password": "correct horse battery", "name": "A", "session": "bearer" });
    user.token = Some(user.post("/api/setup/redeem", admin).await["session"]["token"].as_str().unwrap().to_owned());
    assert!(served.terminate());
    fill(folder.path(), &first).await;

    set_keys(folder.path(), &second, "");
    let (status, _, error) = code(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    assert!(status == 1 && error.contains("DB_ENCRYPTION_KEY_PREVIOUS") && !error.contains(&second), "{status} {error}");
    set_keys(folder.path(), &second, &first);
    let mut left = waiting(&dir);
    assert!(left >= 2 * PEOPLE as u64, "{left}");
    for _ in 0..4 {
        let served = Served::start(folder.path());
        user.base.clone_from(&served.url);
        // It serves meanwhile: the session, its user and everybody else are read under either key.
        assert_eq!(user.get("/api/me").await["user"]["name"], "A");
        served.kill();
        let now = waiting(&dir);
        assert!(now <= left, "{now} after {left}");
        left = now;
    }
    // The operator waits for the running server.
    let served = Served::start(folder.path());
    let (status, text, error) = code(&["secrets", "rotate", "--data-dir", &dir]);
    assert!(status == 0 && text.contains("everything is encrypted"), "{status} {text} {error}");
    assert!(served.terminate());
    assert_eq!((waiting(&dir), code(&["secrets", "status", "--data-dir", &dir]).0), (0, 0));

    set_keys(folder.path(), &second, "");
    let served = Served::start(folder.path());
    user.base.clone_from(&served.url);
    let users = user.get("/api/system-admin/users").await;
    assert_eq!(users["users"].as_array().unwrap().len(), PEOPLE + 1, "every value is readable, none under the earlier key");
    let encryption = user.get("/api/system-admin/encryption").await;
    assert_eq!((&encryption["key_set"], &encryption["values_waiting"], &encryption["earlier_keys"]), (&json!(true), &json!(0), &json!([])));
    let acts = user.get("/api/system-admin/audit?action=secrets.").await;
    assert_eq!(acts["rows"].as_array().unwrap().iter().filter(|row| row["action"] == "secrets.rotated").count(), 2, "{acts}");
    assert!(served.terminate());
}

#[test]
fn the_operator_is_told_what_is_not_encrypted_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    assert!(Served::start(folder.path()).terminate());
    let doctor = |word: &str| {
        let (_, text, _) = code(&["doctor", "--data-dir", &dir]);
        let line = text.lines().find(|line| line.starts_with("encryption_at_rest")).unwrap().to_owned();
        assert!(line.contains(word), "{line}");
    };
    doctor("critical");
    let (status, text, _) = code(&["secrets", "status", "--data-dir", &dir]);
    assert!(status == 3 && text.contains("secrets new-key"), "{status} {text}");
    let (status, _, error) = code(&["secrets", "rotate", "--data-dir", &dir]);
    assert!(status == 1 && error.contains("there is no DB_ENCRYPTION_KEY"), "{status} {error}");
    let key = new_key();
    set_keys(folder.path(), &key, "");
    let (status, text, error) = code(&["secrets", "rotate", "--data-dir", &dir]);
    assert!(status == 0 && text.contains("everything is encrypted"), "{status} {text} {error}");
    doctor("on");
    set_keys(folder.path(), "", "");
    doctor("no key is configured");
    for command in [["migrate", "up"], ["bootstrap", "reissue"], ["secrets", "status"]] {
        let (status, text, error) = code(&[command.as_slice(), &["--data-dir", &dir]].concat());
        assert!(command[0] == "migrate" || (status == 1 && error.contains("nothing was touched")), "{command:?}: {status} {text} {error}");
    }
    set_keys(folder.path(), "c2hvcnQ=", "");
    let (status, _, error) = code(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    assert!(status == 2 && error.contains("this has 5") && !error.contains("c2hvcnQ"), "{status} {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_says_nothing_about_people() {
    let key = Key::generate(&Seams::system());
    let app = TestApp::start_with(&[("DB_ENCRYPTION_KEY", key.expose())]).await.with_admin().await;
    let company = app.company().await;
    app.user.post(&format!("{company}/invitations"), json!({ "email": "guest@example.com", "role": "viewer" })).await;
    let app = app.restart().await;
    assert_eq!(app.user.get("/api/me").await["user"]["name"], "Ada Admin");
    assert_eq!(app.user.get(&format!("{company}/invitations")).await["invitations"][0]["email"], "guest@example.com");
    let database = onsite::store::open_read_only(&app.dir.database()).unwrap();
    for column in onsite::store::sealing::COLUMNS {
        let sql = format!("SELECT count(*) FROM {} WHERE {} IS NOT NULL AND substr({1}, 1, 1) <> x'01'", column.table, column.column);
        let open: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(open, 0, "{}", column.name());
    }
    let index: String = database.query_row("SELECT email_index FROM users", [], |row| row.get(0)).unwrap();
    assert!(!index.contains("admin"), "{index}");
    assert_eq!(secrets::secrets_status_in(&database).unwrap().kept.len(), 1);
}
