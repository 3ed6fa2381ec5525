//! Members, invitations, sessions and passwords, as people meet them.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, PASSWORD, TestApp, User};
use crate::binary::{Served, run};

const LONG_PASSWORD: &str = "a lengthy and private phrase";

/// Invites an address and returns the token of the link.
async fn invite(by: &User, company: &str, email: &str, role: &str) -> String {
    let made = by.post(&format!("{company}/invitations"), json!({ "email": email, "role": role })).await;
    made["token"].as_str().unwrap().to_owned()
}

fn acceptance(token: &str) -> Value {
    json!({ "token": token, "name": "Bea Member", "password": LONG_PASSWORD, "session": "bearer" })
}

/// Somebody who joined a company with a new account.
async fn joined(app: &TestApp, company: &str, email: &str, role: &str) -> (User, String) {
    let token = invite(&app.user, company, email, role).await;
    let answer = app.user.post("/api/invitations/accept-as-new", acceptance(&token)).await;
    let mut user = app.user.clone();
    user.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
    (user, answer["user"]["id"].as_str().unwrap().to_owned())
}

async fn status(user: &User, method: Method, path: &str, body: Value) -> (StatusCode, String) {
    let (status, answer) = user.try_send(method, path, Some(body)).await;
    (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_accepted_once_however_many_try_at_once() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let token = invite(&app.user, &company, "Bea@Example.com", "dev").await;
    let seen = app.user.post("/api/invitations/look", json!({ "token": token })).await;
    assert_eq!((&seen["company"], &seen["email"], &seen["has_account"]), (&json!("Example Works"), &json!("bea@example.com"), &json!(false)));

    let attempts = (0..32).map(|_| {
        let (user, body) = (app.user.clone(), acceptance(&token));
        async move { user.try_send(Method::POST, "/api/invitations/accept-as-new", Some(body)).await.0 }
    });
    let statuses = join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{statuses:?}");
    let members = app.user.get(&format!("{company}/members")).await;
    let names: Vec<(&str, &str)> =
        members["members"].as_array().unwrap().iter().map(|member| (member["email"].as_str().unwrap(), member["role"].as_str().unwrap())).collect();
    assert_eq!(names, [(EMAIL, "owner"), ("bea@example.com", "dev")]);
    let again = status(&app.user, Method::POST, "/api/invitations/look", json!({ "token": token })).await;
    assert_eq!(again, (StatusCode::GONE, "invitation_ended".into()));
    let unknown = status(&app.user, Method::POST, "/api/invitations/look", json!({ "token": "0".repeat(52) })).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_when_it_is_replaced_withdrawn_or_old() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let first = invite(&app.user, &company, "bea@example.com", "member").await;
    app.advance(std::time::Duration::from_secs(1));
    let second = invite(&app.user, &company, "bea@example.com", "viewer").await;
    let gone = (StatusCode::GONE, "invitation_ended".to_owned());
    assert_eq!(status(&app.user, Method::POST, "/api/invitations/accept-as-new", acceptance(&first)).await, gone);
    let open = app.user.get(&format!("{company}/invitations")).await["invitations"][0].clone();
    assert_eq!((&open["state"], &open["role"]), (&json!("open"), &json!("viewer")));
    let path = format!("{company}/invitations/{}", open["id"].as_str().unwrap());
    assert_eq!(app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(status(&app.user, Method::POST, "/api/invitations/accept-as-new", acceptance(&second)).await, gone);
    let third = invite(&app.user, &company, "bea@example.com", "viewer").await;
    app.advance(std::time::Duration::from_secs(7 * 24 * 3600));
    assert_eq!(status(&app.user, Method::POST, "/api/invitations/accept-as-new", acceptance(&third)).await, gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_account_signs_in_and_only_the_invited_address_gets_in() {
    let app = TestApp::start().await.with_admin().await;
    let (first, second) = (app.company().await, app.company().await);
    let (bea, _) = joined(&app, &first, "bea@example.com", "member").await;
    let (cem, _) = joined(&app, &first, "cem@example.com", "member").await;
    let token = invite(&app.user, &second, "bea@example.com", "admin").await;
    let new = status(&app.user, Method::POST, "/api/invitations/accept-as-new", acceptance(&token)).await;
    assert_eq!(new, (StatusCode::CONFLICT, "sign_in_first".into()));
    let other = status(&cem, Method::POST, "/api/invitations/accept", json!({ "token": token })).await;
    assert_eq!(other, (StatusCode::CONFLICT, "other_address".into()));
    assert_eq!(bea.try_send(Method::GET, &second, None).await.0, StatusCode::NOT_FOUND);
    let accepted = bea.post("/api/invitations/accept", json!({ "token": token })).await;
    assert_eq!(accepted["role"], "admin");
    assert_eq!(bea.get(&second).await["role"], "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_more_than_they_have_and_a_company_keeps_an_owner() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let owner = app.user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    let (bea, bea_id) = joined(&app, &company, "bea@example.com", "admin").await;
    let (cem, cem_id) = joined(&app, &company, "cem@example.com", "member").await;
    let (owner_path, bea_path, cem_path) =
        (format!("{company}/members/{owner}"), format!("{company}/members/{bea_id}"), format!("{company}/members/{cem_id}"));
    let too_low = (StatusCode::FORBIDDEN, "role_too_low".to_owned());

    assert_eq!(status(&bea, Method::PATCH, &cem_path, json!({ "role": "owner" })).await, too_low);
    assert_eq!(status(&bea, Method::PATCH, &owner_path, json!({ "role": "viewer" })).await, too_low);
    assert_eq!(status(&bea, Method::DELETE, &owner_path, Value::Null).await, too_low);
    assert_eq!(status(&bea, Method::POST, &format!("{company}/invitations"), json!({ "email": "x@example.com", "role": "owner" })).await, too_low);
    assert_eq!(status(&cem, Method::PATCH, &bea_path, json!({ "role": "viewer" })).await, too_low);
    assert_eq!(status(&cem, Method::GET, &format!("{company}/invitations"), Value::Null).await, too_low);
    assert_eq!(bea.try_send(Method::PATCH, &cem_path, Some(json!({ "role": "dev" }))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(cem.get(&company).await["role"], "dev");

    let last = (StatusCode::CONFLICT, "last_owner".to_owned());
    assert_eq!(status(&app.user, Method::DELETE, &owner_path, Value::Null).await, last);
    assert_eq!(status(&app.user, Method::PATCH, &owner_path, json!({ "role": "admin" })).await, last);
    assert_eq!(app.user.try_send(Method::PATCH, &bea_path, Some(json!({ "role": "owner" }))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.try_send(Method::DELETE, &owner_path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(app.user.try_send(Method::GET, &company, None).await.0, StatusCode::NOT_FOUND, "who left sees nothing any more");
    assert_eq!(cem.try_send(Method::DELETE, &cem_path, None).await.0, StatusCode::NO_CONTENT, "anybody may leave");
    assert_eq!(cem.try_send(Method::GET, &company, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_seen_and_ended_and_a_new_password_ends_the_others() {
    let app = TestApp::start().await.with_admin().await;
    let sign_in = |password: &'static str| {
        let user = app.user.clone();
        async move {
            let answer = user.post("/api/auth/login", json!({ "email": EMAIL, "password": password, "session": "bearer" })).await;
            let mut other = user.clone();
            other.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
            other
        }
    };
    let (second, third) = (sign_in(PASSWORD).await, sign_in(PASSWORD).await);
    let open = app.user.get("/api/me/sessions").await;
    assert_eq!(open["sessions"].as_array().unwrap().len(), 3);
    let current = second.get("/api/me/sessions").await["sessions"].as_array().unwrap().iter().find(|s| s["current"] == true).unwrap()["id"].clone();
    let path = format!("/api/me/sessions/{}", current.as_str().unwrap());
    assert_eq!(app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(second.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);

    let change = |present: &str| json!({ "present_password": present, "password": LONG_PASSWORD });
    let wrong = status(&app.user, Method::POST, "/api/me/password", change("not my password at all")).await;
    assert_eq!(wrong, (StatusCode::FORBIDDEN, "wrong_password".into()));
    assert_eq!(app.user.try_send(Method::POST, "/api/me/password", Some(change(PASSWORD))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(third.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.user.get("/api/me").await["user"]["email"], EMAIL, "the session that changed it goes on");
    let fourth = sign_in(LONG_PASSWORD).await;
    assert_eq!(app.user.post("/api/me/sessions/end-others", json!({})).await["ended"], 1);
    assert_eq!(fourth.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_once_by_a_link() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (bea, bea_id) = joined(&app, &company, "bea@example.com", "member").await;
    let path = format!("/api/system-admin/users/{bea_id}/password-reset");
    assert_eq!(bea.try_send(Method::POST, &path, None).await.0, StatusCode::NOT_FOUND, "for system admins only");
    let first = app.user.post(&path, json!({})).await["token"].clone();
    let token = app.user.post(&path, json!({})).await["token"].clone();
    let ended = (StatusCode::GONE, "link_ended".to_owned());
    let reset = |token: &Value, password: &str| json!({ "token": token, "password": password });
    let route = "/api/auth/password-reset";
    assert_eq!(status(&app.user, Method::POST, route, reset(&first, "another private phrase")).await, ended, "a newer link replaces it");
    assert_eq!(status(&app.user, Method::POST, route, reset(&token, "short")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let attempts = (0..8).map(|_| {
        let (user, body) = (app.user.clone(), reset(&token, "another private phrase"));
        async move { user.try_send(Method::POST, route, Some(body)).await.0 }
    });
    let statuses = join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::NO_CONTENT).count(), 1, "{statuses:?}");
    assert_eq!(bea.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "every session of the account ended");
    app.user.post("/api/auth/login", json!({ "email": "bea@example.com", "password": "another private phrase" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_changes_with_the_present_password_only_and_ends_other_sessions() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (bea, bea_id) = joined(&app, &company, "bea@example.com", "member").await;
    let sign_in = |email: &'static str| json!({ "email": email, "password": LONG_PASSWORD, "session": "bearer" });
    let mut second = app.user.clone();
    second.token = app.user.post("/api/auth/login", sign_in("bea@example.com")).await["session"]["token"].as_str().map(str::to_owned);
    let reset = app.user.post(&format!("/api/system-admin/users/{bea_id}/password-reset"), json!({})).await["token"].clone();
    let change = |password: &str, email: &str| json!({ "present_password": password, "email": email });
    let ask = async |body: Value| status(&bea, Method::POST, "/api/me/email", body).await;
    assert_eq!(ask(change("not the password at all", "b@example.com")).await, (StatusCode::FORBIDDEN, "wrong_password".into()));
    assert_eq!(ask(change(LONG_PASSWORD, "no address")).await, (StatusCode::UNPROCESSABLE_ENTITY, "invalid_field".into()));
    assert_eq!(ask(change(LONG_PASSWORD, EMAIL)).await, (StatusCode::CONFLICT, "email_taken".into()));
    assert_eq!(second.get("/api/me").await["user"]["email"], "bea@example.com", "nothing has changed yet");
    assert_eq!(ask(change(LONG_PASSWORD, "Bea@New.example")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bea.get("/api/me").await["user"]["email"], "bea@new.example");
    assert_eq!(second.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    let ended = status(&app.user, Method::POST, "/api/auth/password-reset", json!({ "token": reset, "password": "another private phrase" })).await;
    assert_eq!(ended.0, StatusCode::GONE, "a link that was handed over for the old address");
    assert_eq!(app.user.refused("/api/auth/login", sign_in("bea@example.com")).await.0, StatusCode::UNAUTHORIZED);
    app.user.post("/api/auth/login", sign_in("bea@new.example")).await;
    let recorded = app.user.get("/api/system-admin/audit?action=email.").await["rows"].clone();
    assert_eq!(recorded[0]["detail"], json!({ "before": "bea@example.com", "after": "bea@new.example" }));
    assert_eq!(recorded.as_array().unwrap().iter().filter(|row| row["outcome"] == "refused").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_leaked_elsewhere_is_not_taken() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let token = invite(&app.user, &company, "bea@example.com", "member").await;
    let mut body = acceptance(&token);
    body["password"] = json!("LeaveMeAlone");
    let (refused, error) = app.user.refused("/api/invitations/accept-as-new", body).await;
    assert_eq!((refused, error["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("password")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("leaked"), "{error}");
    let (refused, error) = app.user.refused("/api/me/password", json!({ "present_password": PASSWORD, "password": "qwertyuiop123" })).await;
    assert_eq!((refused, error["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("password")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_out_at_once_and_the_last_system_admin_stays() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (bea, bea_id) = joined(&app, &company, "bea@example.com", "member").await;
    let path = format!("/api/system-admin/users/{bea_id}");
    assert_eq!(app.user.try_send(Method::PATCH, &path, Some(json!({ "disabled": true }))).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bea.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    let (wrong, _) = app.user.refused("/api/auth/login", json!({ "email": "bea@example.com", "password": LONG_PASSWORD })).await;
    assert_eq!(wrong, StatusCode::UNAUTHORIZED);
    assert_eq!(app.user.try_send(Method::PATCH, &path, Some(json!({ "disabled": false }))).await.0, StatusCode::NO_CONTENT);
    app.user.post("/api/auth/login", json!({ "email": "bea@example.com", "password": LONG_PASSWORD })).await;

    let me = app.user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    let own = status(&app.user, Method::PATCH, &format!("/api/system-admin/users/{me}"), json!({ "disabled": true })).await;
    assert_eq!(own, (StatusCode::CONFLICT, "last_system_admin".into()));
    let users = app.user.get("/api/system-admin/users").await;
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_licences_seats_bound_new_accounts_and_nobody_is_locked_out() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let allowed = app.user.get("/api/license").await["seats"]["allowed"].as_u64().unwrap();
    for n in 1..allowed {
        joined(&app, &company, &format!("user{n}@example.com"), "member").await;
    }
    let token = invite(&app.user, &company, "late@example.com", "member").await;
    let full = status(&app.user, Method::POST, "/api/invitations/accept-as-new", acceptance(&token)).await;
    assert_eq!(full, (StatusCode::PAYMENT_REQUIRED, "seat_limit_reached".into()));
    app.user.post("/api/auth/login", json!({ "email": "user1@example.com", "password": LONG_PASSWORD })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_restores_a_lost_admin_on_the_server_itself() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path());
    let token = std::fs::read_to_string(folder.path().join("bootstrap-token")).unwrap();
    let mut user = User::anonymous(&served.url);
    let body = json!({ "token": token.trim(), "email": EMAIL, "password": PASSWORD, "name": "Ada Admin", "session": "bearer" });
    user.token = Some(user.post("/api/setup/redeem", body).await["session"]["token"].as_str().unwrap().to_owned());

    let recover = |email: &str| run(&["admin", "recover", "--email", email, "--data-dir", folder.path().to_str().unwrap()]);
    let refused = recover(EMAIL);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the server is running"), "only while it is stopped");
    assert!(served.terminate());
    assert_eq!(recover("who@example.com").status.code(), Some(1));
    let recovered = recover(EMAIL);
    assert_eq!(recovered.status.code(), Some(0), "{recovered:?}");
    let link = std::fs::read_to_string(folder.path().join("admin-recovery")).unwrap();
    let token = link.trim().strip_prefix("/password-reset#").unwrap();
    assert!(!String::from_utf8(recovered.stdout).unwrap().contains(token), "it is printed to a terminal only");

    let served = Served::start(folder.path());
    user.base.clone_from(&served.url);
    assert_eq!(user.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "the account's sessions have ended");
    let reset = json!({ "token": token, "password": LONG_PASSWORD });
    assert_eq!(user.try_send(Method::POST, "/api/auth/password-reset", Some(reset)).await.0, StatusCode::NO_CONTENT);
    let answer = user.post("/api/auth/login", json!({ "email": EMAIL, "password": LONG_PASSWORD, "session": "bearer" })).await;
    user.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
    let recorded = user.get("/api/system-admin/audit?action=admin.&actor=cli").await;
    assert_eq!(recorded["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_what_each_member_used_also_who_has_left() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let (company, other) = (app.company().await, app.company().await);
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), 5).await;
    app.user.run(&company, &widget).await;
    let member = app.person(&company, "member").await;
    member.ask(&company, "How long is the Rhine?").await;
    let usage = format!("{company}/usage/members");
    let of = |list: &Value, email: &str| list["members"].as_array().unwrap().iter().find(|each| each["email"] == email).cloned().unwrap_or_default();
    let spent = |own: &Value| -> i64 { own["transactions"].as_array().unwrap().iter().map(|row| row["amount"].as_i64().unwrap().min(0)).sum() };
    let me = member.get("/api/me").await["user"].clone();
    let (email, id) = (me["email"].as_str().unwrap(), me["id"].as_str().unwrap());

    let list = app.user.get(&format!("{usage}?days=7")).await;
    let own = member.get(&format!("{company}/usage/me")).await;
    let row = of(&list, email);
    assert_eq!((row["tokens"].as_i64().unwrap(), &row["entries"], &row["role"]), (-spent(&own), &json!(1), &json!("member")), "{list} {own}");
    let tokens: Vec<i64> = list["members"].as_array().unwrap().iter().map(|each| each["tokens"].as_i64().unwrap()).collect();
    assert!(tokens.len() == 2 && tokens.is_sorted_by(|a, b| a >= b), "{list}");
    assert_eq!(app.user.get(&format!("{other}/usage/members")).await["members"], json!([]));
    assert_eq!(app.user.try_send(Method::GET, &format!("{usage}?days=0"), None).await.1["error"]["field"], "days");

    let left = app.user.try_send(Method::DELETE, &format!("{company}/members/{id}"), None).await.0;
    assert!(left.is_success(), "{left}");
    let row = of(&app.user.get(&usage).await, email);
    assert_eq!((&row["role"], row["tokens"].as_i64().unwrap()), (&Value::Null, -spent(&own)));
}
