//! The audit log: what is in it, and that a changed export does not pass.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::{TestApp, User};
use crate::binary::onsite;

async fn export(user: &User) -> String {
    let answer = user.send(Method::GET, "/api/system-admin/audit/export", None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

/// Exit code and output of `onsite audit verify` on a text.
fn verify(folder: &Path, text: &str, earlier: Option<&str>) -> (Option<i32>, String) {
    let file = folder.join("export.jsonl");
    std::fs::write(&file, text).unwrap();
    let mut command = onsite();
    command.args(["audit", "verify", file.to_str().unwrap()]);
    if let Some(earlier) = earlier {
        let path = folder.join("earlier.jsonl");
        std::fs::write(&path, earlier).unwrap();
        command.args(["--earlier", path.to_str().unwrap()]);
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_deletion_truncation_and_reordering_of_an_export_are_found_and_located() {
    let app = TestApp::start().await.with_admin().await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        app.company().await;
    }
    let earlier = export(&app.user).await;
    app.company().await;
    let whole = export(&app.user).await;
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    assert!(lines.len() > 8, "{whole}");

    let (code, said) = verify(folder.path(), &whole, Some(&earlier));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{} rows hold", lines.len() - 1)), "{said}");

    let expect = |what: &str, text: &str, line: usize| {
        let (code, said) = verify(folder.path(), text, None);
        assert_eq!(code, Some(3), "{what}: {said}");
        assert!(said.contains(&format!("line {line}:")), "{what} is located at line {line}: {said}");
    };
    let edited = whole.replacen("company.created", "company.deleted", 1);
    let at = lines.iter().position(|line| line.contains("company.created")).unwrap() + 1;
    expect("an edit", &edited, at);
    expect("a deletion", &joined(&[&lines[..3], &lines[4..]].concat()), 4);
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    expect("a reordering", &joined(&swapped), 4);
    expect("a truncation before the checkpoint", &joined(&lines[..lines.len() - 1]), lines.len());
    expect("a truncation under the checkpoint", &joined(&[&lines[..lines.len() - 2], &lines[lines.len() - 1..]].concat()), lines.len() - 1);
    expect("a changed checkpoint", &whole.replace("\"install_id\":\"ins_", "\"install_id\":\"ins_x"), lines.len());
    expect("something after the end", &format!("{whole}{}\n", lines[0]), lines.len() + 1);
    expect("rubbish", "hello\n", 1);

    let (code, said) = verify(folder.path(), &earlier, Some(&whole));
    assert_eq!(code, Some(3), "a log cut off since the earlier export: {said}");
    assert!(said.contains("cut off"), "{said}");
    let other = TestApp::start().await.with_admin().await;
    let foreign = export(&other.user).await;
    let (code, said) = verify(folder.path(), &foreign, Some(&earlier));
    assert_eq!(code, Some(3), "another installation's log: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_searched_in_pages_and_holds_no_secret() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let made = app.user.post(&format!("{company}/invitations"), json!({ "email": "bea@example.com", "role": "dev" })).await;
    app.user.refused("/api/auth/login", json!({ "email": crate::app::EMAIL, "password": "wrong password here" })).await;
    let first = app.user.get("/api/system-admin/audit?limit=2").await;
    assert_eq!(first["rows"].as_array().unwrap().len(), 2);
    assert_eq!(first["rows"][0]["outcome"], "refused");
    let next = app.user.get(&format!("/api/system-admin/audit?limit=2&before={}", first["next_before"])).await;
    assert_eq!(next["rows"][0]["sequence"].as_i64().unwrap() + 1, first["next_before"].as_i64().unwrap());
    let invited = app.user.get("/api/system-admin/audit?action=invitation.").await;
    assert_eq!(invited["rows"].as_array().unwrap().len(), 1);
    assert_eq!(invited["rows"][0]["detail"], json!({ "email": "bea@example.com", "role": "dev" }));
    assert_eq!(invited["rows"][0]["company_name"], "Example Works");
    for by in [crate::app::EMAIL, "ada%20a", invited["rows"][0]["actor"].as_str().unwrap()] {
        let found = app.user.get(&format!("/api/system-admin/audit?action=invitation.&actor={by}")).await;
        assert_eq!(found["rows"][0]["actor_name"], "Ada Admin", "by {by}: {found}");
    }
    let refused = app.user.get("/api/system-admin/audit?outcome=refused&actor=unknown").await;
    assert_eq!(refused["rows"][0]["actor_name"], serde_json::Value::Null);
    assert_eq!(refused["rows"].as_array().unwrap().len(), 1);
    assert_eq!(app.user.try_send(Method::GET, "/api/system-admin/audit?outcome=maybe", None).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    let text = export(&app.user).await;
    for secret in [made["token"].as_str().unwrap(), app.user.token.as_deref().unwrap(), crate::app::PASSWORD, "wrong password here"] {
        assert!(!text.contains(secret));
    }
}
