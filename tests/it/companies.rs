//! A company as a whole: renamed, handed over, left, exported, deleted and restored.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{TestApp, User};

async fn status(user: &User, method: Method, path: &str, body: Value) -> (StatusCode, String) {
    let (status, answer) = user.try_send(method, path, Some(body)).await;
    (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
}

async fn id_of(user: &User) -> String {
    user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned()
}

/// A widget that is due every hour.
async fn hourly(user: &User, company: &str, url: &str) -> String {
    let widget = json!({
        "title": "Hourly", "objective": "Rivers", "source_config": { "source_class": "internal_web", "urls": [url] },
        "schedule": { "kind": "every", "minutes": 60 }, "stale_after_hours": 48, "visibility": "company",
    });
    user.post(&format!("{company}/widgets"), widget).await["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_is_renamed_and_handed_over() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (dev, viewer) = (app.person(&company, "dev").await, app.person(&company, "viewer").await);
    let renamed = app.user.try_send(Method::PATCH, &company, Some(json!({ "name": " New Works " }))).await;
    assert_eq!((renamed.0, renamed.1["name"].as_str()), (StatusCode::OK, Some("New Works")), "{}", renamed.1);
    assert_eq!(viewer.get(&company).await["name"], "New Works");
    assert_eq!(status(&app.user, Method::PATCH, &company, json!({ "name": " " })).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    let (owner_id, dev_id) = (id_of(&app.user).await, id_of(&dev).await);
    let transfer = format!("{company}/transfer");
    for nobody in [owner_id.clone(), "usr_00000000000000000000000000".to_owned()] {
        let refused = status(&app.user, Method::POST, &transfer, json!({ "user_id": nobody })).await;
        assert_eq!(refused, (StatusCode::UNPROCESSABLE_ENTITY, "invalid_field".into()));
    }
    app.user.try_send(Method::PATCH, &format!("/api/system-admin/users/{dev_id}"), Some(json!({ "disabled": true }))).await;
    let disabled = status(&app.user, Method::POST, &transfer, json!({ "user_id": dev_id })).await;
    assert_eq!(disabled.0, StatusCode::UNPROCESSABLE_ENTITY, "nobody could look after it");
    let viewer_id = id_of(&viewer).await;
    assert_eq!(app.user.try_send(Method::POST, &transfer, Some(json!({ "user_id": viewer_id }))).await.0, StatusCode::NO_CONTENT);
    assert_eq!((viewer.get(&company).await["role"].clone(), app.user.get(&company).await["role"].clone()), (json!("owner"), json!("admin")));
    assert_eq!(status(&app.user, Method::POST, &transfer, json!({ "user_id": viewer_id })).await, (StatusCode::FORBIDDEN, "role_too_low".into()));
    let acts = app.user.get("/api/system-admin/audit?action=company.").await;
    let actions: Vec<_> = acts["rows"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["company.transferred", "company.renamed", "company.created"]);
    assert_eq!(acts["rows"][1]["detail"], json!({ "before": "Example Works", "after": "New Works" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_who_left_made_rests_until_an_admin_takes_it_over() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let (maker, other) = (app.person(&company, "member").await, app.person(&company, "dev").await);
    let maker_id = id_of(&maker).await;
    let mine = hourly(&maker, &company, &site.url("/")).await;
    let kept = hourly(&app.user, &company, &site.url("/")).await;
    assert_eq!(maker.try_send(Method::DELETE, &format!("{company}/members/{maker_id}"), None).await.0, StatusCode::NO_CONTENT);

    let path = format!("{company}/widgets/{mine}");
    let resting = app.user.get(&path).await;
    let facts = (&resting["paused"], &resting["paused_reason"], &resting["next_run_at"]);
    assert_eq!(facts, (&json!(true), &json!("maker_left"), &Value::Null), "{resting}");
    let runs = async |widget: &str| app.user.get(&format!("{company}/widgets/{widget}/runs")).await["runs"].as_array().unwrap().clone();
    while runs(&kept).await.is_empty() {
        app.advance(Duration::from_secs(600));
    }
    assert!(runs(&mine).await.is_empty(), "the one that goes on ran, the other did not");

    let unpaused = status(&other, Method::PATCH, &path, json!({ "paused": false })).await;
    assert_eq!(unpaused, (StatusCode::CONFLICT, "maker_gone".into()), "it would spend the tokens of whoever left");
    let take_over = format!("{path}/take-over");
    assert_eq!(status(&other, Method::POST, &take_over, json!({})).await, (StatusCode::FORBIDDEN, "role_too_low".into()));
    let taken = app.user.post(&take_over, json!({})).await;
    let facts = (&taken["paused"], &taken["paused_reason"], &taken["created_by"]);
    assert_eq!(facts, (&json!(false), &Value::Null, &json!(id_of(&app.user).await)), "{taken}");
    while runs(&mine).await.is_empty() {
        app.advance(Duration::from_secs(600));
    }
    let usage = app.user.get("/api/system-admin/audit?action=widget.").await;
    assert_eq!(usage["rows"][0]["detail"]["from"], json!(maker_id));

    // Kept out and let in again: what they made rests, and they let it go on themselves.
    let out = app.person(&company, "admin").await;
    let out_id = id_of(&out).await;
    let theirs = format!("{company}/widgets/{}", hourly(&out, &company, &site.url("/")).await);
    let account = format!("/api/system-admin/users/{out_id}");
    // It asks for a fresh proof, and hours have passed.
    app.user.post("/api/me/step-up", json!({ "password": crate::app::PASSWORD })).await;
    app.user.try_send(Method::PATCH, &account, Some(json!({ "disabled": true }))).await;
    assert_eq!(app.user.get(&theirs).await["paused_reason"], "maker_disabled");
    app.user.try_send(Method::PATCH, &account, Some(json!({ "disabled": false }))).await;
    let back = app.sign_in(out_email(&company).as_str()).await;
    let (again, widget) = back.try_send(Method::PATCH, &theirs, Some(json!({ "paused": false }))).await;
    assert_eq!((again, &widget["paused_reason"]), (StatusCode::OK, &Value::Null), "{widget}");
}

fn out_email(company: &str) -> String {
    format!("admin-{}@example.com", company.rsplit('/').next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_with_the_role_that_gave_it() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let invite = async |by: &User, email: &str, role: &str| {
        by.post(&format!("{company}/invitations"), json!({ "email": email, "role": role })).await["token"].as_str().unwrap().to_owned()
    };
    let accept = async |token: &str| {
        let body = json!({ "token": token, "name": "Bea", "password": "a lengthy and private phrase" });
        status(&app.user, Method::POST, "/api/invitations/accept-as-new", body).await
    };
    let ended = (StatusCode::GONE, "invitation_ended".to_owned());
    let admin = app.person(&company, "admin").await;
    let admin_id = id_of(&admin).await;
    let (first, by_owner) = (invite(&admin, "one@example.com", "member").await, invite(&app.user, "two@example.com", "member").await);
    assert_eq!(app.user.try_send(Method::PATCH, &format!("{company}/members/{admin_id}"), Some(json!({ "role": "dev" }))).await.0.as_u16(), 204);
    assert_eq!(accept(&first).await, ended, "a dev could not have invited");
    assert_eq!(accept(&by_owner).await.0, StatusCode::CREATED, "others' invitations stay");
    let listed = app.user.get(&format!("{company}/invitations")).await;
    let states: Vec<_> = listed["invitations"].as_array().unwrap().iter().map(|each| (each["email"].clone(), each["state"].clone())).collect();
    assert!(states.contains(&(json!("one@example.com"), json!("withdrawn"))), "{states:?}");

    app.user.try_send(Method::PATCH, &format!("{company}/members/{admin_id}"), Some(json!({ "role": "admin" }))).await;
    let second = invite(&admin, "three@example.com", "viewer").await;
    app.user.try_send(Method::DELETE, &format!("{company}/members/{admin_id}"), None).await;
    assert_eq!(accept(&second).await, ended);
    let third = {
        let again = app.company().await;
        let owner = app.person(&again, "owner").await;
        let token = owner.post(&format!("{again}/invitations"), json!({ "email": "four@example.com", "role": "dev" })).await["token"].clone();
        let account = format!("/api/system-admin/users/{}", id_of(&owner).await);
        // It asks for a fresh proof, and hours have passed.
        app.user.post("/api/me/step-up", json!({ "password": crate::app::PASSWORD })).await;
        app.user.try_send(Method::PATCH, &account, Some(json!({ "disabled": true }))).await;
        token.as_str().unwrap().to_owned()
    };
    assert_eq!(accept(&third).await, ended, "a disabled inviter invites nobody");
}

/// The files of a tar, unpacked by another program.
fn unpacked(archive: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("export.tar"), archive).unwrap();
    let done = std::process::Command::new("tar").args(["-xf", "export.tar"]).current_dir(folder.path()).status().unwrap();
    assert!(done.success());
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_everything_but_what_is_others_alone() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let member = app.person(&company, "member").await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    let (run, _) = app.user.run(&company, &widget).await;
    app.user.ask(&company, "How long is the Danube?").await;
    member.ask(&company, "A question that is mine alone?").await;
    let content = format!("# Pumps\n\n{}", "The pump in hall seven is serviced every 90 days. ".repeat(60_000));
    let (uploaded, document) = app.user.upload(&format!("{company}/documents"), "Pumpen Größe.md", content.clone().into_bytes()).await;
    assert_eq!(uploaded, StatusCode::CREATED, "{document}");

    let answer = app.user.send(Method::GET, &format!("{company}/export"), None).await;
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("attachment"));
    let folder = unpacked(&answer.bytes().await.unwrap());
    let text = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows = |name: &str| -> Vec<Value> { text(&format!("{name}-001.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let manifest: Value = serde_json::from_str(&text("manifest.json")).unwrap();
    assert_eq!(manifest["format"], "onsite-company-export-1");
    for file in manifest["files"].as_array().unwrap() {
        let bytes = std::fs::read(folder.path().join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(bytes.len() as u64, file["bytes"].as_u64().unwrap(), "{file}");
        if let Some(sha256) = file["sha256"].as_str() {
            assert_eq!(onsite::base::secret::sha256_hex(&bytes), sha256, "{file}");
        }
    }
    assert_eq!(rows("company")[0]["name"], "Example Works");
    assert_eq!(rows("members").len(), 2);
    assert_eq!(rows("automations")[0]["id"], json!(widget));
    assert_eq!((&rows("runs")[0]["id"], rows("runs")[0]["pages"].as_array().unwrap().len()), (&run["id"], 3));
    assert!(!rows("reports")[0]["body"]["findings"].as_array().unwrap().is_empty());
    assert!(rows("pages").len() >= 3 && !rows("token-transactions").is_empty() && !rows("audit").is_empty());
    assert_eq!(rows("conversations").len(), 1, "those of others are theirs");
    assert_eq!(text(&format!("documents/{}/Pumpen Größe.md", document["id"].as_str().unwrap())), content);
    let everything: String = manifest["files"].as_array().unwrap().iter().map(|file| text(file["path"].as_str().unwrap())).collect();
    for never in ["mine alone", "argon2id", "token_hash", app.user.token.as_deref().unwrap()] {
        assert!(!everything.contains(never), "{never}");
    }
    assert_eq!(member.try_send(Method::GET, &format!("{company}/export"), None).await.0, StatusCode::FORBIDDEN);
    let recorded = app.user.get("/api/system-admin/audit?action=company.exported").await;
    assert_eq!(recorded["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_company_is_gone_at_once_comes_back_within_two_weeks_and_then_no_more() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let (company, other) = (app.company().await, app.company().await);
    app.allow(site.address).await;
    let member = app.person(&company, "member").await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;
    app.user.upload(&format!("{company}/documents"), "a.md", b"# A\n\nThe pump in hall seven is serviced every 90 days.".to_vec()).await;
    app.user.run(&other, &app.user.widget(&other, &site.url("/"), 10).await).await;
    let deletion = format!("{company}/deletion");
    let losses = app.user.get(&deletion).await;
    for (what, count) in [("automations", 1), ("reports", 1), ("documents", 1), ("members", 2), ("undone_within_days", 14)] {
        assert_eq!(losses[what], count, "{what}: {losses}");
    }
    assert_eq!(
        status(&app.user, Method::POST, &deletion, json!({ "name": "Example" })).await,
        (StatusCode::UNPROCESSABLE_ENTITY, "not_its_name".into())
    );
    let (deleted, answer) = app.user.try_send(Method::POST, &deletion, Some(json!({ "name": "Example Works" }))).await;
    assert_eq!(deleted, StatusCode::NO_CONTENT, "{answer}");
    for user in [&app.user, &member] {
        for path in [company.clone(), format!("{company}/widgets"), format!("{company}/members"), format!("{company}/export")] {
            assert_eq!(user.try_send(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!(member.get("/api/companies").await["companies"], json!([]));

    let listed = app.user.get("/api/system-admin/deleted-companies").await["companies"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!("Example Works")));
    app.advance(Duration::from_secs(10 * 86_400));
    let app_user = app.sign_in(crate::app::EMAIL).await;
    let restore = format!("/api/system-admin/deleted-companies/{}/restore", listed[0]["id"].as_str().unwrap());
    assert_eq!(app_user.try_send(Method::POST, &restore, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app_user.get(&format!("{company}/widgets")).await["widgets"].as_array().unwrap().len(), 1, "as it was");
    assert_eq!(app_user.try_send(Method::POST, &restore, None).await.0, StatusCode::NOT_FOUND, "once");

    app_user.try_send(Method::POST, &deletion, Some(json!({ "name": "Example Works" }))).await;
    app.advance(Duration::from_secs(14 * 86_400));
    let app_user = app.sign_in(crate::app::EMAIL).await;
    assert_eq!(app_user.get("/api/system-admin/deleted-companies").await["companies"], json!([]));
    assert_eq!(app_user.try_send(Method::POST, &restore, None).await.0, StatusCode::NOT_FOUND, "too late");
    app.state().care.purge().await.unwrap();
    let purged = app_user.get("/api/system-admin/audit?action=company.purged").await;
    assert_eq!(purged["rows"].as_array().unwrap().len(), 1, "{purged}");
    assert_eq!(app_user.get(&format!("{other}/widgets")).await["widgets"].as_array().unwrap().len(), 1, "another company is untouched");
    let dir = app.dir.path().display().to_string();
    let verified = crate::binary::run(&["ledger", "verify", "--data-dir", &dir]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
