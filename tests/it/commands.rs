//! The command line: what it prints and how it exits.

use crate::binary::{Served, run};

fn code(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_code_is_issued_inspected_and_verified_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (status, _, error) = code(&["license", "keygen", "--out", &path("keys"), "--unencrypted"]);
    assert_eq!(status, 0, "{error}");
    let keys: Vec<_> = std::fs::read_dir(folder.path().join("keys")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let key_of = |word: &str| keys.iter().find(|key| key.to_string_lossy().contains(word)).unwrap().display().to_string();
    let (private, public) = (key_of("private"), key_of("public"));
    let issue = [
        "license",
        "issue",
        "--key",
        &private,
        "--customer",
        "acme",
        "--company",
        "Acme",
        "--plan",
        "business",
        "--days",
        "365",
        "--out",
        &path("acme.onsite"),
    ];
    let (status, _, error) = code(&issue);
    assert_eq!(status, 0, "{error}");
    let (status, text, _) = code(&["license", "inspect", &path("acme.onsite"), "--json"]);
    assert_eq!(status, 0);
    assert!(text.contains("Acme") && text.contains("business"), "{text}");
    assert_eq!(code(&["license", "verify", &path("acme.onsite"), "--key", &public]).0, 0);
    let mut armour = std::fs::read_to_string(path("acme.onsite")).unwrap().into_bytes();
    let middle = armour.len() / 2;
    armour[middle] = if armour[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(path("tampered.onsite"), armour).unwrap();
    assert_eq!(code(&["license", "verify", &path("tampered.onsite"), "--key", &public]).0, 3);
    code(&["license", "keygen", "--out", &path("other"), "--unencrypted"]);
    let other: Vec<_> = std::fs::read_dir(folder.path().join("other")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let other = other.iter().find(|key| key.to_string_lossy().contains("public")).unwrap().display().to_string();
    assert_eq!(code(&["license", "verify", &path("acme.onsite"), "--key", &other]).0, 3);
}

#[test]
fn settings_that_do_not_hold_stop_the_start_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("onsite.toml"), "db_pol_max = 3\n").unwrap();
    let dir = folder.path().display().to_string();
    let (status, _, error) = code(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    assert_eq!(status, 2);
    assert!(error.contains("did you mean DB_POOL_MAX?"), "{error}");
    assert_eq!(code(&["doctor", "--data-dir", &dir]).0, 3);
    assert_eq!(code(&["serve", "--no-such-flag"]).0, 2);
}

#[test]
fn a_second_instance_a_taken_port_and_a_newer_database_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let served = Served::start(folder.path());
    let address = served.url.trim_start_matches("http://").to_owned();
    assert_eq!(code(&["healthcheck", "--dev", "--address", &address]).0, 0);
    let (status, _, error) = code(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    assert!(status == 1 && error.contains("another onsite process"), "{status} {error}");
    let elsewhere = tempfile::tempdir().unwrap();
    let (status, _, error) = code(&["serve", "--dev", "--listen", &address, "--data-dir", &elsewhere.path().display().to_string()]);
    assert!(status == 1 && error.contains("cannot listen"), "{status} {error}");
    assert!(!elsewhere.path().join("onsite.db").exists(), "nothing was touched");
    assert!(served.terminate(), "SIGTERM ends it with 0");
    assert_eq!(code(&["healthcheck", "--dev", "--address", &address]).0, 1);
    let database = rusqlite::Connection::open(folder.path().join("onsite.db")).unwrap();
    database.execute("INSERT INTO schema_migrations VALUES ('9999_future', 0, 'x')", []).unwrap();
    drop(database);
    let (status, _, error) = code(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir", &dir]);
    assert!(status == 1 && error.contains("newer version"), "{status} {error}");
    assert_eq!(code(&["migrate", "status", "--data-dir", &dir]).0, 1);
}

#[test]
fn migrations_are_shown_and_applied_and_a_running_server_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let (status, _, error) = code(&["migrate", "up", "--data-dir", &dir]);
    assert!(status == 1 && error.contains("does not exist"), "{status} {error}");
    let served = Served::start(folder.path());
    assert_eq!(code(&["migrate", "up", "--data-dir", &dir]), (0, "nothing to do: every migration is applied\n".into(), String::new()));
    assert!(served.terminate());
    // A database without a schema: everything waits.
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("onsite.db"), b"").unwrap();
    let dir = empty.path().display().to_string();
    let (status, text, _) = code(&["migrate", "status", "--data-dir", &dir]);
    assert!(status == 0 && text.contains("waiting"), "{status} {text}");
    let (status, text, error) = code(&["migrate", "up", "--json", "--data-dir", &dir]);
    assert!(status == 0 && text.contains("0001_accounts"), "{status} {text} {error}");
    let (status, text, _) = code(&["migrate", "status", "--data-dir", &dir]);
    assert!(status == 0 && !text.contains("waiting"), "{status} {text}");
}

#[test]
fn every_setting_is_shown_with_its_origin_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let output = crate::binary::onsite()
        .args(["config", "show", "--json", "--data-dir"])
        .arg(folder.path())
        .env("OPENAI_API_KEY", "sk-canary")
        .env("GUNICORN_WORKERS", "3")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("canary"));
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    let find = |name: &str| shown["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap().clone();
    assert_eq!((find("GUNICORN_WORKERS")["value"].as_str(), find("GUNICORN_WORKERS")["origin"].as_str()), (Some("3"), Some("environment")));
    assert_eq!(find("BROKER_RUNNING_SLOT_CAP")["used"], false);
}

#[test]
fn the_demo_ends_with_verified_quotes() {
    let (status, text, error) = code(&["demo", "--json"]);
    assert_eq!(status, 0, "{error}");
    let outcome: serde_json::Value = serde_json::from_str(text.trim().lines().last().unwrap()).unwrap();
    assert!(outcome["pages"].as_u64().unwrap() >= 8 && outcome["chunks"].as_u64().unwrap() > 8, "{outcome}");
    let answers = outcome["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    for (answer, expected) in answers.iter().zip(["142,984", "20 July 1969", "464"]) {
        assert!(answer["text"].as_str().unwrap().contains(expected), "{answer}");
        assert!(answer["citations"].as_array().unwrap().iter().all(|citation| citation["verified"] == true), "{answer}");
    }
    assert_eq!(outcome["ledger"]["verified"], true);
}
