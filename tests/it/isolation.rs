//! Every route of the API x everybody who may ask, from the router's own description: a route without a row here fails.
//!
//! What a caller may not see is not there (404); what they may see but not do is refused (403); without a session it is 401.

use onsite::model::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, TestApp, User};
use crate::authenticator::{Authenticator, Kind};

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq)]
enum May {
    /// Anybody, without a session.
    Anybody,
    /// Anybody signed in.
    Signed,
    /// A member of the company with at least this role.
    Company(Role),
    /// The one member whose conversation it is; of the others nobody, whatever their role.
    Own(Role),
    /// The one whose API key it is, and the company's admins.
    OwnKey,
    /// The one whose session, or passkey, it is.
    OwnSession,
    /// A system admin.
    System,
}

use May::{Anybody, Company, Own, OwnKey, OwnSession, Signed, System};
use Role::{Admin, Dev, Member, Owner, Viewer};

/// Every route: who may, and a body with which it reaches the question whether they may.
const TABLE: &[(&str, &str, May, &str)] = &[
    ("GET", "/healthz", Anybody, ""),
    ("GET", "/readyz", Anybody, ""),
    ("GET", "/api/session", Anybody, ""),
    ("GET", "/metrics", Anybody, ""),
    ("POST", "/api/auth/login", Anybody, "{}"),
    ("POST", "/api/auth/oidc/begin", Anybody, ""),
    ("POST", "/api/auth/oidc/finish", Anybody, "{}"),
    ("POST", "/api/auth/ldap", Anybody, "{}"),
    ("POST", "/api/auth/second-step", Anybody, "{}"),
    ("POST", "/api/auth/second-step/mail", Anybody, "{}"),
    ("POST", "/api/auth/second-step/passkey", Anybody, "{}"),
    ("POST", "/api/auth/second-step/passkey/challenge", Anybody, "{}"),
    ("POST", "/api/auth/password-reset", Anybody, "{}"),
    ("POST", "/api/auth/forgot-password", Anybody, "{}"),
    ("POST", "/api/auth/verify-email", Anybody, "{}"),
    ("POST", "/api/invitations/look", Anybody, "{}"),
    ("POST", "/api/invitations/accept-as-new", Anybody, "{}"),
    ("POST", "/api/invitations/accept", Signed, "{}"),
    ("POST", "/api/auth/logout", Signed, ""),
    ("GET", "/api/me", Signed, ""),
    ("GET", "/api/me/security", Signed, ""),
    ("POST", "/api/me/step-up", Signed, "{}"),
    ("POST", "/api/me/factors/totp", Signed, ""),
    ("POST", "/api/me/factors/totp/confirm", Signed, "{}"),
    ("DELETE", "/api/me/factors/totp", Signed, ""),
    ("POST", "/api/me/factors/recovery-codes", Signed, ""),
    ("POST", "/api/me/step-up/passkey", Signed, "{}"),
    ("POST", "/api/me/step-up/passkey/challenge", Signed, ""),
    ("POST", "/api/me/factors/passkeys", Signed, "{}"),
    ("POST", "/api/me/factors/passkeys/challenge", Signed, ""),
    ("PATCH", "/api/me/factors/passkeys/{passkey}", OwnSession, r#"{"name":"x"}"#),
    ("DELETE", "/api/me/factors/passkeys/{passkey}", OwnSession, ""),
    ("GET", "/api/me/sessions", Signed, ""),
    ("POST", "/api/me/sessions/end-others", Signed, ""),
    ("POST", "/api/me/sessions/end-all", Signed, ""),
    ("POST", "/api/me/password", Signed, "{}"),
    ("POST", "/api/me/email", Signed, "{}"),
    ("DELETE", "/api/me/sessions/{session}", OwnSession, ""),
    ("GET", "/api/status", Signed, ""),
    ("GET", "/api/license", Signed, ""),
    ("POST", "/api/license", System, "{}"),
    ("GET", "/api/license/request", System, ""),
    ("GET", "/api/license/request/qr", System, ""),
    ("GET", "/api/billing", Signed, ""),
    ("GET", "/api/issuer", System, ""),
    ("GET", "/api/issuer/requests", System, ""),
    ("POST", "/api/issuer/requests", System, "{}"),
    ("GET", "/api/issuer/requests/{request}", System, ""),
    ("POST", "/api/issuer/requests/{request}/sign", System, ""),
    ("GET", "/api/issuer/requests/{request}/qr", System, ""),
    ("DELETE", "/api/issuer/requests/{request}", System, ""),
    ("GET", "/api/companies", Signed, ""),
    ("POST", "/api/companies", System, "{}"),
    ("GET", "/api/system-admin/settings", System, ""),
    ("GET", "/api/system-admin/encryption", System, ""),
    ("GET", "/api/system-admin/audit", System, ""),
    ("GET", "/api/system-admin/audit/export", System, ""),
    ("GET", "/api/system-admin/users", System, ""),
    ("PATCH", "/api/system-admin/users/{user}", System, r#"{"disabled":false}"#),
    ("POST", "/api/system-admin/users/{user}/password-reset", System, ""),
    ("DELETE", "/api/system-admin/users/{user}/factors", System, ""),
    ("GET", "/api/system-admin/mail", System, ""),
    ("POST", "/api/system-admin/mail/test", System, "{}"),
    ("GET", "/api/system-admin/sign-on", System, ""),
    ("POST", "/api/system-admin/sign-on/test", System, "{}"),
    ("POST", "/api/system-admin/sign-on/groups", System, "{}"),
    ("DELETE", "/api/system-admin/sign-on/groups/{group}", System, ""),
    ("GET", "/api/system-admin/egress/rules", System, ""),
    ("POST", "/api/system-admin/egress/rules", System, "{}"),
    ("DELETE", "/api/system-admin/egress/rules/{id}", System, ""),
    ("GET", "/api/system-admin/egress/log", System, ""),
    ("GET", "/api/system-admin/deleted-companies", System, ""),
    ("POST", "/api/system-admin/deleted-companies/{company}/restore", System, ""),
    ("GET", "/api/companies/{company}", Company(Viewer), ""),
    ("PATCH", "/api/companies/{company}", Company(Admin), r#"{"name":"Example Works"}"#),
    ("POST", "/api/companies/{company}/transfer", Company(Owner), "{}"),
    ("GET", "/api/companies/{company}/export", Company(Owner), ""),
    ("GET", "/api/companies/{company}/deletion", Company(Owner), ""),
    ("POST", "/api/companies/{company}/deletion", Company(Owner), r#"{"name":"another"}"#),
    ("GET", "/api/companies/{company}/usage", Company(Dev), ""),
    ("GET", "/api/companies/{company}/usage/me", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/usage/members", Company(Admin), ""),
    ("GET", "/api/companies/{company}/members", Company(Viewer), ""),
    ("PATCH", "/api/companies/{company}/members/{user}", Company(Admin), r#"{"role":"viewer"}"#),
    ("DELETE", "/api/companies/{company}/members/{user}", Company(Admin), ""),
    ("GET", "/api/companies/{company}/invitations", Company(Admin), ""),
    ("POST", "/api/companies/{company}/invitations", Company(Admin), "{}"),
    ("DELETE", "/api/companies/{company}/invitations/{invitation}", Company(Admin), ""),
    ("GET", "/api/companies/{company}/api-keys", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/api-keys", Company(Viewer), "{}"),
    ("DELETE", "/api/companies/{company}/api-keys/{api_key}", OwnKey, ""),
    ("GET", "/api/companies/{company}/widgets", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/widgets", Company(Member), "{}"),
    ("GET", "/api/companies/{company}/widgets/{widget}", Company(Viewer), ""),
    ("PATCH", "/api/companies/{company}/widgets/{widget}", Company(Dev), "{}"),
    ("DELETE", "/api/companies/{company}/widgets/{widget}", Company(Dev), ""),
    ("GET", "/api/companies/{company}/widgets/{widget}/reports", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/widgets/{widget}/series", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/widgets/{widget}/runs", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/widgets/{widget}/runs", Company(Member), ""),
    ("POST", "/api/companies/{company}/widgets/{widget}/take-over", Company(Admin), ""),
    ("GET", "/api/companies/{company}/runs/{run}", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/runs/{run}/cancel", Company(Member), ""),
    ("GET", "/api/companies/{company}/runs/{run}/events", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/reports/{report}", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/recall", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/chunks/{chunk}", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/pages/{content_hash}", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/documents", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/documents", Company(Member), "{}"),
    ("GET", "/api/companies/{company}/documents/{document}", Company(Viewer), ""),
    ("GET", "/api/companies/{company}/documents/{document}/content", Company(Viewer), ""),
    ("DELETE", "/api/companies/{company}/documents/{document}", Company(Dev), ""),
    ("GET", "/api/companies/{company}/conversations", Company(Viewer), ""),
    ("POST", "/api/companies/{company}/conversations", Company(Member), "{}"),
    ("GET", "/api/companies/{company}/conversations/{conversation}", Own(Viewer), ""),
    ("PATCH", "/api/companies/{company}/conversations/{conversation}", Own(Member), r#"{"title":"x"}"#),
    ("DELETE", "/api/companies/{company}/conversations/{conversation}", Own(Member), ""),
    ("GET", "/api/companies/{company}/conversations/{conversation}/messages", Own(Viewer), ""),
    ("POST", "/api/companies/{company}/conversations/{conversation}/messages", Own(Member), r#"{"text":"x"}"#),
    ("GET", "/api/companies/{company}/chat-runs/{run}", Own(Viewer), ""),
    ("POST", "/api/companies/{company}/chat-runs/{run}/cancel", Own(Member), ""),
    ("GET", "/api/companies/{company}/chat-runs/{run}/events", Own(Viewer), ""),
];

/// What is there before any user is, and then never again: tested with the first start.
const SETUP: [&str; 3] = ["GET /api/setup", "POST /api/setup/check", "POST /api/setup/redeem"];

/// Every route of the description: method and path as the router has it.
pub fn routes() -> Vec<(Method, String)> {
    let document = serde_json::to_value(onsite::http::router::api().1).unwrap();
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let there = methods.iter().filter(|method| item.get(method.as_str().to_lowercase()).is_some());
        found.extend(there.map(|method| (method.clone(), path.clone())));
    }
    found
}

#[test]
fn every_route_has_a_row() {
    let rows: Vec<String> = TABLE.iter().map(|(method, path, ..)| format!("{method} {path}")).chain(SETUP.map(str::to_owned)).collect();
    let routes: Vec<String> = routes().into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    let without: Vec<_> = routes.iter().filter(|route| !rows.contains(route)).collect();
    let gone: Vec<_> = rows.iter().filter(|row| !routes.contains(row)).collect();
    assert!(without.is_empty() && gone.is_empty(), "without a row: {without:?}; rows without a route: {gone:?}");
}

/// Real things of a real company.
struct World {
    app: TestApp,
    company: String,
    foreign: String,
    /// Name, role in the company, and the session. The system admin is a member of neither company.
    people: Vec<(&'static str, Option<Role>, User)>,
    owner: User,
    member: User,
    ids: Vec<(&'static str, String)>,
    victim: String,
    start_page: String,
    /// Paths of things that were made for a route, until it takes them away.
    made: std::sync::Mutex<std::collections::HashMap<String, String>>,
}

impl World {
    async fn build(site: &crate::site::Site) -> Self {
        // An issuer has every route; it does not sign here, so that orders wait and can be withdrawn.
        let app = TestApp::start_with(&[("ONSITE", "0")]).await.with_admin().await;
        let (company, foreign) = (app.company().await, app.company().await);
        app.allow(site.address).await;
        let mut people = vec![("nobody", None, User::anonymous(&app.user.base))];
        for role in Role::ALL {
            people.push((role.as_str(), Some(role), app.person(&company, role.as_str()).await));
        }
        people.push(("foreigner", None, app.person(&foreign, "owner").await));
        let [member, owner] = [Role::Member, Role::Owner].map(|role| people.iter().find(|person| person.1 == Some(role)).unwrap().2.clone());
        let me = app.user.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
        for of in [&company, &foreign] {
            assert_eq!(app.user.try_send(Method::DELETE, &format!("{of}/members/{me}"), None).await.0.as_u16() / 100, 2);
        }
        people.push(("system admin", None, app.user.clone()));
        let widget = owner.widget(&company, &site.url("/"), 5).await;
        let (run, _) = owner.run(&company, &widget).await;
        let conversation = member.post(&format!("{company}/conversations"), json!({})).await;
        let conversation = conversation["id"].as_str().unwrap().to_owned();
        let (message, chat_run, _) = member.ask(&company, "How long is the Rhine?").await;
        let citation = &message["citations"][0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ids = vec![
            ("widget", widget),
            ("run", text(&run["id"])),
            ("report", text(&run["report_id"])),
            ("chunk", text(&citation["chunk_id"])),
            ("content_hash", text(&citation["content_hash"])),
            ("conversation", conversation),
            ("chat_run", chat_run.rsplit('/').next().unwrap().to_owned()),
            ("passkey", crate::passkeys::set_up(&member, &mut Authenticator::new(Kind::Es256)).await),
            ("session", text(&member.get("/api/me/sessions").await["sessions"][0]["id"])),
        ];
        let victim = app.person(&foreign, "viewer").await.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned();
        Self { app, company, foreign, people, owner, member, ids, victim, start_page: site.url("/"), made: std::sync::Mutex::default() }
    }

    /// The path with the ids of things that are there: what a DELETE took away is made anew.
    async fn path(&self, method: &str, template: &str) -> String {
        let key = format!("{method} {template}");
        let made = self.made.lock().unwrap().get(&key).cloned();
        if let Some(path) = made {
            return path;
        }
        let path = self.make(method, template).await;
        self.made.lock().unwrap().insert(key, path.clone());
        path
    }

    async fn make(&self, method: &str, template: &str) -> String {
        let mut path = template.replace("/api/companies/{company}", &self.company);
        let state = self.app.state();
        let made = |value: Value| value["id"].as_str().unwrap().to_owned();
        if path.contains("/deleted-companies/") {
            let company = self.app.company().await;
            assert_eq!(
                self.app.user.try_send(Method::POST, &format!("{company}/deletion"), Some(json!({ "name": "Example Works" }))).await.0.as_u16(),
                204
            );
            return path.replace("{company}", company.rsplit('/').next().unwrap());
        }
        if path.contains("{user}") {
            let admin = state.auth.authenticate(self.app.user.token.as_deref().unwrap()).await.unwrap().unwrap();
            let company = self.company.rsplit('/').next().unwrap().parse().unwrap();
            let user = self.victim.parse().unwrap();
            assert!(state.companies.set_role(&admin, company, user, Role::Viewer, &onsite::model::session::Origin::default()).await.unwrap());
            path = path.replace("{user}", &self.victim);
        }
        if path.contains("{id}") {
            let rule = json!({ "destination": "192.0.2.1", "port": 80, "reason": "a test" });
            path = path.replace("{id}", &made(self.app.user.post("/api/system-admin/egress/rules", rule).await));
        }
        if path.contains("{group}") {
            let group = json!({ "source": "oidc", "group": "staff", "company_id": self.company.rsplit('/').next().unwrap(), "role": "viewer" });
            assert_eq!(self.app.user.try_send(Method::POST, "/api/system-admin/sign-on/groups", Some(group)).await.0, StatusCode::CREATED);
            let groups = self.app.user.get("/api/system-admin/sign-on").await["groups"].clone();
            path = path.replace("{group}", groups[0]["id"].as_str().unwrap());
        }
        if path.contains("{request}") {
            let order = json!({ "customer": "acme", "company": "Acme", "plan": "team" });
            path = path.replace("{request}", &made(self.app.user.post("/api/issuer/requests", order).await));
        }
        if path.contains("{invitation}") {
            let invitation = json!({ "email": "guest@example.com", "role": "viewer" });
            let answer = self.owner.post(&format!("{}/invitations", self.company), invitation).await;
            path = path.replace("{invitation}", &made(if answer["id"].is_string() { answer } else { answer["invitation"].clone() }));
        }
        if path.contains("{api_key}") {
            let key = json!({ "name": "a test", "scopes": ["read"], "expires_in_days": 1 });
            path = path.replace("{api_key}", &made(self.member.post(&format!("{}/api-keys", self.company), key).await["api_key"].clone()));
        }
        if path.contains("{document}") {
            let (_, document) =
                self.owner.upload(&format!("{}/documents", self.company), "a.txt", b"A text of some length, kept for a test.".to_vec()).await;
            path = path.replace("{document}", &made(document));
        }
        if method == "DELETE" && path.ends_with("{widget}") {
            path = path.replace("{widget}", &self.owner.widget(&self.company, &self.start_page, 1).await);
        }
        if method == "DELETE" && path.ends_with("{conversation}") {
            path = path.replace("{conversation}", &made(self.member.post(&format!("{}/conversations", self.company), json!({})).await));
        }
        if path.contains("/chat-runs/") {
            path = path.replace("{run}", "{chat_run}");
        }
        for (name, id) in &self.ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "{path}: how is this made?");
        if path.ends_with("/recall") { format!("{path}?q=Rhine") } else { path }
    }
}

/// What the caller must be told; `None` = whatever comes after the question whether they may.
fn expected(may: May, name: &str, role: Option<Role>) -> Option<StatusCode> {
    let signed = name != "nobody";
    match may {
        Anybody => None,
        _ if !signed => Some(StatusCode::UNAUTHORIZED),
        Signed => None,
        System => (name != "system admin").then_some(StatusCode::NOT_FOUND),
        OwnKey => (role.is_none_or(|role| role < Role::Admin && role != Role::Member)).then_some(StatusCode::NOT_FOUND),
        OwnSession => (name != "member").then_some(StatusCode::NOT_FOUND),
        Company(needed) => match role {
            None => Some(StatusCode::NOT_FOUND),
            Some(role) => (role < needed).then_some(StatusCode::FORBIDDEN),
        },
        Own(needed) => match role {
            Some(role) if role < needed => Some(StatusCode::FORBIDDEN),
            Some(Role::Member) => None,
            _ => Some(StatusCode::NOT_FOUND),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_what_the_table_says() {
    let site = crate::site::rivers().await;
    let world = World::build(&site).await;
    let mut wrong = Vec::new();
    for (method, template, may, body) in TABLE {
        let body = (!body.is_empty()).then(|| serde_json::from_str::<Value>(body).unwrap());
        // What ends the session that asks is asked by another one below.
        let ends_the_session = template.ends_with("/logout") || template.ends_with("/end-all");
        let people = world.people.iter().filter(|(name, ..)| *name == "nobody" || !ends_the_session);
        for (name, role, user) in people {
            let ends_own = *may == OwnSession && *name == "member";
            if ends_own {
                continue;
            }
            let path = world.path(method, template).await;
            let (status, answer) = user.try_send(method.parse().unwrap(), &path, body.clone()).await;
            if (*method == "DELETE" || template.ends_with("/restore")) && status.is_success() {
                world.made.lock().unwrap().remove(&format!("{method} {template}"));
            }
            let right = match expected(*may, name, *role) {
                Some(expected) => status == expected,
                // An unknown address or token is 401 or 404 by itself on the public routes.
                None if *may == Anybody => !status.is_server_error() && status != StatusCode::FORBIDDEN,
                None => !status.is_server_error() && ![401, 403, 404, 405].contains(&status.as_u16()),
            };
            if !right {
                wrong.push(format!("{method} {template} as {name}: {status} {answer}"));
            }
            if *name == "foreigner" && matches!(may, Company(_) | Own(_) | OwnKey) && template.matches('{').count() > 1 {
                let path = path.replace(&world.company, &world.foreign);
                // The victim belongs to both companies.
                if template.contains("{user}") {
                    continue;
                }
                let (status, answer) = user.try_send(method.parse().unwrap(), &path, body.clone()).await;
                if status != StatusCode::NOT_FOUND {
                    wrong.push(format!("{method} {template} as {name} within their own company: {status} {answer}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let session = world.app.sign_in(EMAIL).await;
    session.post("/api/auth/logout", json!({})).await;
    let everywhere = [world.app.sign_in(EMAIL).await, world.app.sign_in(EMAIL).await];
    everywhere[0].post("/api/me/sessions/end-all", json!({})).await;
    for ended in &everywhere {
        assert_eq!(ended.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED, "signed out everywhere");
    }
    assert_eq!(session.try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deletes_what_is_their_own_and_nothing_else() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let member = app.person(&company, "member").await;
    let text = |n: u8| format!("Text number {n}, which is kept for a while.").into_bytes();
    let documents = format!("{company}/documents");
    let (_, own) = member.upload(&documents, "own.txt", text(1)).await;
    let (_, shared) = app.user.upload(&documents, "shared.txt", text(2)).await;
    let (status, _) = member.upload(&documents, "shared.txt", text(3)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a new version would take the place of somebody else's");
    let (_, newer) = member.upload(&documents, "mixed.txt", text(4)).await;
    app.user.upload(&documents, "mixed.txt", text(5)).await;
    let delete = async |document: &Value| member.try_send(Method::DELETE, &format!("{documents}/{}", document["id"].as_str().unwrap()), None).await.0;
    assert_eq!(delete(&own).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&shared).await, StatusCode::FORBIDDEN);
    assert_eq!(delete(&newer).await, StatusCode::FORBIDDEN, "all versions would go, those of others too");
    let widget = |url: &str| {
        json!({
            "title": "T", "objective": "O", "source_config": { "source_class": "company_docs", "documents": [url] },
            "schedule": { "kind": "manual" }, "stale_after_hours": 48, "visibility": "company",
        })
    };
    let id = newer["id"].as_str().unwrap();
    let made = member.post(&format!("{company}/widgets"), widget(id)).await;
    let path = format!("{company}/widgets/{}", made["id"].as_str().unwrap());
    assert_eq!(member.try_send(Method::PATCH, &path, Some(json!({ "title": "Mine" }))).await.0, StatusCode::OK);
    assert_eq!(member.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_private_automation_found_is_its_makers_and_the_admins() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let (maker, other, admin) = (app.person(&company, "member").await, app.person(&company, "dev").await, app.person(&company, "admin").await);
    let widget = maker.widget(&company, &site.url("/"), 5).await;
    let private = Some(json!({ "visibility": "private" }));
    assert_eq!(maker.try_send(Method::PATCH, &format!("{company}/widgets/{widget}"), private).await.0, StatusCode::OK);
    maker.run(&company, &widget).await;
    let results = maker.get(&format!("{company}/recall?q=How+long+is+the+Rhine")).await["results"].clone();
    let (chunk, citation) = (results[0]["chunk_id"].as_str().unwrap(), &results[0]["citation"]);
    let page = citation["content_hash"].as_str().unwrap();
    for path in [format!("/widgets/{widget}"), format!("/chunks/{chunk}"), format!("/pages/{page}")] {
        let ask = async |user: &User| user.try_send(Method::GET, &format!("{company}{path}"), None).await.0;
        assert_eq!([ask(&maker).await, ask(&admin).await, ask(&other).await], [StatusCode::OK, StatusCode::OK, StatusCode::NOT_FOUND], "{path}");
    }
    assert_eq!(other.get(&format!("{company}/recall?q=Rhine")).await["results"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_one_company_does_not_open_in_another() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let (own, other) = (app.company().await, app.company().await);
    app.allow(site.address).await;
    let widget = app.user.widget(&own, &site.url("/"), 5).await;
    let (run, _) = app.user.run(&own, &widget).await;
    let (message, chat_run, _) = app.user.ask(&own, "How long is the Rhine?").await;
    let citation = &message["citations"][0];
    let chat_run = chat_run.rsplit('/').next().unwrap().to_owned();
    let paths = [
        format!("/widgets/{widget}"),
        format!("/widgets/{widget}/runs"),
        format!("/widgets/{widget}/reports"),
        format!("/widgets/{widget}/series"),
        format!("/runs/{}", run["id"].as_str().unwrap()),
        format!("/runs/{}/events", run["id"].as_str().unwrap()),
        format!("/reports/{}", run["report_id"].as_str().unwrap()),
        format!("/chat-runs/{chat_run}"),
        format!("/chat-runs/{chat_run}/events"),
        format!("/chunks/{}", citation["chunk_id"].as_str().unwrap()),
        format!("/pages/{}", citation["content_hash"].as_str().unwrap()),
    ];
    for path in paths {
        assert_eq!(app.user.try_send(Method::GET, &format!("{own}{path}"), None).await.0, StatusCode::OK, "{path} in its own company");
        assert_eq!(app.user.try_send(Method::GET, &format!("{other}{path}"), None).await.0, StatusCode::NOT_FOUND, "{path} in another");
    }
    assert_eq!(app.user.get(&format!("{other}/recall?q=Rhine&k=5")).await["results"], json!([]));
}
