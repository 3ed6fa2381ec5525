//! The bootstrap token's secret is in its one place and in no other: not in a log at its loudest, an answer, a metric, the audit log, the database,
//! a command's output, or what the system shows of the process.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{EMAIL, PASSWORD, User};
use crate::binary::onsite;

const CONFIGURED: &str = "9f3c1e7a5b2d4860c1e9f7a3b5d80246";

/// How the token comes to the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    /// The server makes it.
    Generated,
    /// In the environment, where the operator has put it.
    Environment,
    /// In a file that the environment names.
    File,
}

/// The server at its loudest, with its outputs in files.
fn serve(folder: &Path, given: Given, format: &str) -> (Child, String) {
    let data = folder.join("data");
    let output = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
    let mut command = onsite();
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
    command.env("LOG_LEVEL", "TRACE").env("LOG_FORMAT", format).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    match given {
        Given::Generated => {}
        Given::Environment => {
            command.env("ONSITE_BOOTSTRAP_TOKEN", CONFIGURED);
        }
        Given::File => {
            std::fs::write(folder.join("token"), format!("{CONFIGURED}\n")).unwrap();
            command.env("ONSITE_BOOTSTRAP_TOKEN_FILE", folder.join("token"));
        }
    }
    let child = command.stdout(output("stdout")).stderr(output("stderr")).spawn().unwrap();
    let address = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let text = std::fs::read_to_string(folder.join("stdout")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        // What comes after the address is part of what is searched.
        line.filter(|_| text.contains("setup is open"))
    });
    (child, address.unwrap_or_else(|| panic!("it did not start: {}", std::fs::read_to_string(folder.join("stderr")).unwrap())))
}

fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Some of what the system shows of a process cannot be read to its end.
    if let Ok(mut file) = std::fs::File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    bytes
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn holds(haystack: &[u8], secret: &str) -> bool {
    let lower = haystack.to_ascii_lowercase();
    lower.windows(secret.len()).any(|window| window == secret.as_bytes())
}

fn redemption(token: &str) -> serde_json::Value {
    json!({ "token": token, "email": EMAIL, "password": PASSWORD, "name": "Ada Admin", "session": "bearer" })
}

/// Everything the server says to those who ask, before and after the redemption.
async fn answers(user: &User, admin: bool) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut paths = vec!["/", "/healthz", "/readyz", "/metrics", "/api/setup", "/api/openapi.json", "/api/nowhere"];
    if admin {
        paths.extend(["/api/me", "/api/status", "/api/license", "/api/system-admin/settings", "/api/system-admin/audit?limit=500"]);
        paths.extend(["/api/system-admin/audit/export", "/api/system-admin/users", "/api/system-admin/egress/log", "/api/me/sessions"]);
    }
    for path in paths {
        let answer = user.send(Method::GET, path, None).await;
        let head = format!("{:?}", answer.headers()).into_bytes();
        found.push((format!("GET {path}"), [head, answer.bytes().await.unwrap().to_vec()].concat()));
    }
    found
}

async fn nowhere(given: Given, format: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = serve(folder.path(), given, format);
    let data = folder.path().join("data");
    let token_file = data.join("bootstrap-token");
    let token = if given == Given::Generated { std::fs::read_to_string(&token_file).unwrap().trim().to_owned() } else { CONFIGURED.to_owned() };
    let secret = token.rsplit('.').next().unwrap().to_owned();
    assert!(secret.len() >= 32);
    let mut user = User::anonymous(&url);
    let mut found = answers(&user, false).await;

    // The right secret where it is refused: with a wrong id, with a bad account, in places where it does not belong.
    let tries =
        [redemption(&format!("bst_00000000000000000000000000.{secret}")), json!({ "token": token, "email": "x", "password": "x", "name": "" })];
    for (n, body) in tries.into_iter().enumerate() {
        let answer = user.send(Method::POST, "/api/setup/redeem", Some(body)).await;
        assert!(!answer.status().is_success());
        found.push((format!("refusal {n}"), answer.bytes().await.unwrap().to_vec()));
    }
    let answer = user.send(Method::POST, "/api/auth/login", Some(json!({ "email": EMAIL, "password": token }))).await;
    found.push(("sign-in with it".into(), answer.bytes().await.unwrap().to_vec()));
    let process = Path::new("/proc").join(child.id().to_string());
    found.push(("its command line".into(), bytes(&process.join("cmdline"))));
    if given != Given::Environment {
        found.push(("its environment".into(), bytes(&process.join("environ"))));
    }
    for task in std::fs::read_dir(process.join("task")).unwrap().flatten() {
        let children = String::from_utf8(bytes(&task.path().join("children"))).unwrap();
        for id in children.split_whitespace() {
            for what in ["cmdline", "environ"] {
                found.push((format!("a child's {what}"), bytes(&Path::new("/proc").join(id).join(what))));
            }
        }
    }
    let (status, redeemed) = user.try_send(Method::POST, "/api/setup/redeem", Some(redemption(&token))).await;
    assert_eq!(status, StatusCode::CREATED, "{redeemed}");
    found.push(("the redemption's answer".into(), redeemed.to_string().into_bytes()));
    user.token = Some(redeemed["session"]["token"].as_str().unwrap().to_owned());
    found.extend(answers(&user, true).await);
    assert!(!token_file.exists());

    for command in [&["bootstrap", "status"][..], &["bootstrap", "status", "--json"], &["doctor"], &["config", "show"], &["migrate", "status"]] {
        let mut run = onsite();
        run.args(command).arg("--data-dir").arg(&data);
        if given == Given::Environment {
            run.env("ONSITE_BOOTSTRAP_TOKEN", CONFIGURED);
        }
        let output = run.output().unwrap();
        found.push((command.join(" "), [output.stdout, output.stderr].concat()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut kept = Vec::new();
    files(folder.path(), &mut kept);
    let logs = std::fs::read(folder.path().join("stderr")).unwrap();
    assert!(holds(&logs, "request") && holds(&logs, "debug"), "the log was at its loudest: {}", String::from_utf8_lossy(&logs));
    for path in kept.iter().filter(|path| !path.ends_with("token")) {
        found.push((path.display().to_string(), bytes(path)));
    }
    let leaks: Vec<_> = found.iter().filter(|(_, text)| holds(text, &secret)).map(|(place, _)| place).collect();
    assert!(found.len() > 30 && leaks.is_empty(), "{given:?}: the secret is in {leaks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_secret_is_in_its_file_only() {
    nowhere(Given::Generated, "text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_secret_is_where_the_operator_put_it_only() {
    nowhere(Given::Environment, "json").await;
    nowhere(Given::File, "text").await;
}

/// What the search finds when there is something to find.
#[test]
fn the_search_can_find() {
    assert!(holds(b"x TOKEN=9F3C1E7A5B2D4860C1E9F7A3B5D80246 y", CONFIGURED));
    assert!(!holds(b"x", CONFIGURED));
}
