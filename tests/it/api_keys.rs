//! API keys: what a program may with one, and when it ends.

use std::time::Duration;

use onsite::http::scopes;
use onsite::model::api_key::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{TestApp, User};

const EVERY_SCOPE: [&str; 6] = ["read", "recall", "chat", "automations", "documents", "usage"];

async fn make(user: &User, company: &str, scopes: &[&str], days: u32) -> (User, String) {
    let made = user.post(&format!("{company}/api-keys"), json!({ "name": "A program", "scopes": scopes, "expires_in_days": days })).await;
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with(made["api_key"]["prefix"].as_str().unwrap()) && token.starts_with("onsk_"));
    (with(user, &token), format!("{company}/api-keys/{}", made["api_key"]["id"].as_str().unwrap()))
}

/// A program of its own with this token.
fn with(user: &User, token: &str) -> User {
    let mut program = User::anonymous(&user.base);
    program.token = Some(token.to_owned());
    program
}

async fn status(user: &User, method: Method, path: &str) -> (u16, String) {
    let (status, body) = user.try_send(method, path, Some(json!({}))).await;
    (status.as_u16(), body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_in_its_company_and_nothing_privileged() {
    let app = TestApp::start().await.with_admin().await;
    let (company, foreign) = (app.company().await, app.company().await);
    let (all, key) = make(&app.user, &company, &EVERY_SCOPE, 30).await;
    let (reader, _) = make(&app.user, &company, &["read"], 30).await;
    assert_eq!(reader.get(&format!("{company}/widgets")).await["widgets"], json!([]));
    assert_eq!(status(&reader, Method::GET, &format!("{company}/recall?q=x")).await, (403, "scope_missing".into()));
    assert_eq!(status(&reader, Method::POST, &format!("{company}/conversations")).await, (403, "scope_missing".into()));
    let conversation = all.post(&format!("{company}/conversations"), json!({})).await;
    assert!(app.user.get(&format!("{company}/conversations")).await.to_string().contains(conversation["id"].as_str().unwrap()));
    // Not in another company of its owner, and nothing that takes a person.
    assert_eq!(status(&all, Method::GET, &format!("{foreign}/widgets")).await.0, 404);
    let privileged = [
        (Method::GET, "/api/me".to_owned()),
        (Method::GET, "/api/companies".to_owned()),
        (Method::POST, "/api/companies".to_owned()),
        (Method::GET, "/api/me/sessions".to_owned()),
        (Method::POST, "/api/me/password".to_owned()),
        (Method::POST, "/api/license".to_owned()),
        (Method::GET, "/api/system-admin/users".to_owned()),
        (Method::GET, "/api/system-admin/settings".to_owned()),
        (Method::GET, "/api/system-admin/encryption".to_owned()),
        (Method::POST, "/api/system-admin/egress/rules".to_owned()),
        (Method::GET, format!("{company}/members")),
        (Method::GET, format!("{company}/invitations")),
        (Method::POST, format!("{company}/invitations")),
        (Method::GET, format!("{company}/api-keys")),
        (Method::POST, format!("{company}/api-keys")),
        (Method::DELETE, key),
    ];
    for (method, path) in privileged {
        assert_eq!(status(&all, method.clone(), &path).await, (403, "key_not_allowed".into()), "{method} {path}");
    }
    // Setup is over for everybody, and is no way around either.
    assert_eq!(status(&all, Method::GET, "/api/setup").await.0, 404);
}

/// Every route of the description: without the scope it needs a key is refused, and where no scope is named no key gets in, whatever its owner may.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_needs_its_scope_or_a_session() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let mut without = Vec::new();
    for left_out in Scope::ALL {
        let scopes: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != left_out).map(Scope::as_str).collect();
        without.push((left_out, make(&app.user, &company, &scopes, 1).await.0));
    }
    let (all, _) = make(&app.user, &company, &EVERY_SCOPE, 1).await;
    let nobody = User::anonymous(&app.user.base);
    let (mut open, mut closed) = (0, 0);
    for (method, template) in crate::isolation::routes() {
        let path = template.replace("/api/companies/{company}", &company).replace(['{', '}'], "x");
        if status(&nobody, method.clone(), &path).await.0 != 401 {
            continue;
        }
        match scopes::needed(&method, &template) {
            Some(scope) => {
                let (_, key) = without.iter().find(|(left_out, _)| *left_out == scope).unwrap();
                assert_eq!(status(key, method.clone(), &path).await, (403, "scope_missing".into()), "{method} {template}");
                open += 1;
            }
            None => {
                assert_eq!(status(&all, method.clone(), &path).await, (403, "key_not_allowed".into()), "{method} {template}");
                closed += 1;
            }
        }
    }
    assert!(open > 25 && closed > 25, "{open} {closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_listed_by_its_prefix_and_ended_by_its_owner_or_an_admin() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (member, other, admin) = (app.person(&company, "member").await, app.person(&company, "dev").await, app.person(&company, "admin").await);
    let (program, key) = make(&member, &company, &["read"], 30).await;
    let list = format!("{company}/api-keys");
    let listed = member.get(&list).await;
    assert!(!listed.to_string().contains(program.token.as_deref().unwrap()), "the list does not hold the key");
    assert_eq!((&listed["api_keys"][0]["state"], &listed["api_keys"][0]["last_used_at"]), (&json!("active"), &Value::Null));
    assert_eq!(other.get(&list).await["api_keys"], json!([]), "others do not see it");
    assert_eq!(admin.get(&list).await["api_keys"][0]["user_name"], "member");
    assert_eq!(status(&other, Method::DELETE, &key).await.0, 404);
    program.get(&format!("{company}/widgets")).await;
    let used = member.get(&list).await["api_keys"][0]["last_used_at"].clone();
    assert!(used.is_string());
    app.advance(Duration::from_secs(30));
    program.get(&format!("{company}/widgets")).await;
    assert_eq!(member.get(&list).await["api_keys"][0]["last_used_at"], used, "to the minute");
    assert_eq!(status(&admin, Method::DELETE, &key).await.0, 204);
    assert_eq!(status(&program, Method::GET, &format!("{company}/widgets")).await, (401, "unauthorized".into()));
    assert_eq!(status(&admin, Method::DELETE, &key).await.0, 404, "once");
    let acts = app.user.get("/api/system-admin/audit?action=api_key.").await;
    let acts: Vec<_> = acts["rows"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(acts, ["api_key.revoked", "api_key.created"]);
    let all = app.user.get("/api/system-admin/audit").await.to_string();
    assert!(!all.contains(program.token.as_deref().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_never_more_than_its_owner_is_now_and_ends_with_them() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let person = app.person(&company, "dev").await;
    let id = person.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
    let (program, _) = make(&person, &company, &EVERY_SCOPE, 30).await;
    program.get(&format!("{company}/usage?days=7")).await;
    let member = format!("{company}/members/{id}");
    assert!(app.user.try_send(Method::PATCH, &member, Some(json!({ "role": "viewer" }))).await.0.is_success());
    assert_eq!(status(&program, Method::GET, &format!("{company}/usage?days=7")).await, (403, "role_too_low".into()));
    assert_eq!(status(&program, Method::POST, &format!("{company}/conversations")).await, (403, "role_too_low".into()));
    program.get(&format!("{company}/widgets")).await;
    // Out, and in again: the key does not come back.
    let user = format!("/api/system-admin/users/{id}");
    for disabled in [true, false] {
        assert!(app.user.try_send(Method::PATCH, &user, Some(json!({ "disabled": disabled }))).await.0.is_success());
        assert_eq!(status(&program, Method::GET, &format!("{company}/widgets")).await.0, 401, "disabled: {disabled}");
    }
    let person = app.sign_in(&format!("dev-{}@example.com", company.rsplit('/').next().unwrap())).await;
    let (program, _) = make(&person, &company, &["read"], 1).await;
    assert!(app.user.try_send(Method::DELETE, &member, None).await.0.is_success());
    assert_eq!(status(&program, Method::GET, &format!("{company}/widgets")).await.0, 401);
    let (program, _) = make(&app.user, &company, &["read"], 1).await;
    program.get(&format!("{company}/widgets")).await;
    app.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(status(&program, Method::GET, &format!("{company}/widgets")).await.0, 401, "its day is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_their_requests_are_bounded_and_what_is_asked_for_is_checked() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let list = format!("{company}/api-keys");
    let wrong = [
        (json!({ "name": "", "scopes": ["read"], "expires_in_days": 1 }), "name"),
        (json!({ "name": "A", "scopes": [], "expires_in_days": 1 }), "scopes"),
        (json!({ "name": "A", "scopes": ["read"], "expires_in_days": 0 }), "expires_in_days"),
        (json!({ "name": "A", "scopes": ["read"], "expires_in_days": 366 }), "expires_in_days"),
    ];
    for (body, field) in wrong {
        let (status, error) = app.user.refused(&list, body).await;
        assert_eq!((status, error["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(field)));
    }
    assert!(app.user.refused(&list, json!({ "name": "A", "scopes": ["root"], "expires_in_days": 1 })).await.0.is_client_error());
    let (program, _) = make(&app.user, &company, &["read"], 1).await;
    for _ in 1..20 {
        make(&app.user, &company, &["read"], 1).await;
    }
    let (status, error) = app.user.refused(&list, json!({ "name": "A", "scopes": ["read"], "expires_in_days": 1 })).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::CONFLICT, Some("too_many_keys")));
    let path = format!("{company}/widgets");
    for _ in 0..300 {
        program.get(&path).await;
    }
    let answer = program.send(Method::GET, &path, None).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(app.user.get(&path).await["widgets"], json!([]), "its owner is not held back");
    app.advance(Duration::from_secs(2));
    program.get(&path).await;
    for token in ["onsk_", "onsk_x", &format!("onsk_{}", "0".repeat(52))] {
        let stranger = with(&app.user, token);
        assert_eq!(stranger.try_send(Method::GET, &path, None).await.0, StatusCode::UNAUTHORIZED);
    }
}
