//! Signing in at an OpenID Connect provider: what opens a session, what does not, and what groups give and take.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, PASSWORD, START, TestApp, User};
use crate::provider::{CLIENT, CLIENT_SECRET, Provider, SigningKey, part};

const NOW: i64 = START.millis() / 1_000;

pub struct World {
    pub app: TestApp,
    pub provider: Provider,
    pub company: String,
}

impl World {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let provider = Provider::start(NOW);
        let issuer = provider.issuer();
        let own = [
            ("ONSITE_OIDC_ISSUER", issuer.as_str()),
            ("ONSITE_OIDC_CLIENT_ID", CLIENT),
            ("ONSITE_OIDC_CLIENT_SECRET", CLIENT_SECRET),
            ("ONSITE_OIDC_NAME", "Staff login"),
            ("APP_BASE_URL", "http://localhost:8443"),
        ];
        let all: Vec<(&str, &str)> = own.into_iter().chain(settings.iter().copied()).collect();
        let app = TestApp::start_with(&all).await.with_admin().await;
        app.allow(provider.address()).await;
        let company = app.company().await;
        Self { app, provider, company }
    }

    pub fn company_id(&self) -> &str {
        self.company.rsplit('/').next().unwrap()
    }

    pub async fn give(&self, group: &str, company: &str, role: &str) {
        let body = json!({ "source": "oidc", "group": group, "company_id": company, "role": role });
        let (status, answer) = self.app.user.try_send(Method::POST, "/api/system-admin/sign-on/groups", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    pub async fn take(&self, group: &str) {
        let groups = self.app.user.get("/api/system-admin/sign-on").await["groups"].clone();
        let of = groups.as_array().unwrap().iter().find(|each| each["group"] == group).unwrap();
        let path = format!("/api/system-admin/sign-on/groups/{}", of["id"].as_str().unwrap());
        assert_eq!(self.app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    }

    /// Begins: the address at the provider, and the cookie.
    async fn begin(&self) -> (String, String) {
        let answer = User::anonymous(&self.app.user.base).send(Method::POST, "/api/auth/oidc/begin", None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Max-Age=600"), "{cookie}");
        let url = answer.json::<Value>().await.unwrap()["url"].as_str().unwrap().to_owned();
        (url, cookie.split(';').next().unwrap().to_owned())
    }

    async fn finish(&self, cookie: &str, body: Value) -> (StatusCode, Value) {
        let client = User::anonymous(&self.app.user.base);
        let request = client.client().post(format!("{}/api/auth/oidc/finish", client.base)).header("cookie", cookie);
        let answer = request.header("sec-fetch-site", "same-origin").json(&body).send().await.unwrap();
        let status = answer.status();
        let cleared = answer.headers().get_all("set-cookie").iter().any(|cookie| cookie.to_str().unwrap().contains("onsite_sso=; "));
        assert!(cleared || status == StatusCode::UNPROCESSABLE_ENTITY, "the cookie stays");
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// The whole way, as a browser goes it.
    pub async fn sign_in(&self, person: Value) -> (StatusCode, Value) {
        let (url, cookie) = self.begin().await;
        let (state, code) = self.provider.authorize(&url, person);
        self.finish(&cookie, json!({ "state": state, "code": code, "session": "bearer" })).await
    }

    pub fn with(&self, answer: &Value) -> User {
        let mut user = self.app.user.clone();
        user.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
        user
    }

    pub async fn refused(&self, person: Value) -> String {
        let (status, answer) = self.sign_in(person).await;
        assert!(!status.is_success(), "{answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    }

    pub async fn invitation(&self, email: &str, role: &str) -> String {
        let made = self.app.user.post(&format!("{}/invitations", self.company), json!({ "email": email, "role": role })).await;
        made["token"].as_str().unwrap().to_owned()
    }

    pub async fn roles(&self, answer: &Value) -> Vec<String> {
        let companies = self.with(answer).get("/api/me").await["companies"].clone();
        companies.as_array().unwrap().iter().map(|company| company["role"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn audit(&self, action: &str) -> Vec<Value> {
        self.app.user.get(&format!("/api/system-admin/audit?action={action}&limit=100")).await["rows"].as_array().unwrap().clone()
    }
}

pub fn vera(groups: &[&str]) -> Value {
    json!({ "sub": "vera-1", "email": "vera@example.com", "email_verified": true, "name": "Vera Rubin", "groups": groups })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_brings_somebody_in_and_its_role_follows_the_group() {
    let world = World::start(&[]).await;
    assert_eq!(User::anonymous(&world.app.user.base).get("/api/session").await["oidc"], "Staff login");
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_no_place");
    assert!(!world.app.user.get("/api/system-admin/users").await.to_string().contains("vera"), "nobody is made for no place");
    let other = world.app.company().await;
    world.give("staff", world.company_id(), "viewer").await;
    world.give("analysts", world.company_id(), "dev").await;
    world.give("analysts", other.rsplit('/').next().unwrap(), "member").await;
    let (status, answer) = world.sign_in(vera(&["staff", "analysts", "unknown"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((answer["user"]["email"].as_str(), answer["user"]["name"].as_str()), (Some("vera@example.com"), Some("Vera Rubin")));
    assert_eq!(world.roles(&answer).await, ["dev", "member"], "the greatest of each company");
    let first = answer;

    let (_, answer) = world.sign_in(json!({ "sub": "vera-1", "email": "another@example.com", "email_verified": true, "groups": ["staff"] })).await;
    assert_eq!(answer["user"]["id"], first["user"]["id"], "the subject is who they are, not the address");
    assert_eq!(world.roles(&answer).await, ["viewer"]);
    assert_eq!(world.roles(&first).await, ["viewer"], "of sessions that are open too");

    world.take("staff").await;
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_no_place");
    assert_eq!(world.roles(&first).await, Vec::<String>::new());
    let logins = world.audit("auth.login").await;
    assert!(logins.iter().any(|row| row["detail"]["by"] == "oidc" && row["outcome"] == "ok"), "{logins:?}");
    assert_eq!(world.audit("sso.linked").await.len(), 1);
    assert_eq!(world.audit("sso_group.removed").await.len(), 1);
    assert!(world.audit("member.removed").await.iter().any(|row| row["detail"]["by"] == "oidc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_is_asked_once_for_everybody_and_its_failure_is_kept_for_a_moment() {
    const DISCOVERY: &str = "/realms/staff/.well-known/openid-configuration";
    let world = World::start(&[]).await;
    let begin = || {
        let user = User::anonymous(&world.app.user.base);
        async move { user.send(Method::POST, "/api/auth/oidc/begin", None).await.status() }
    };
    world.provider.hold(true);
    let others = futures_util::future::join_all((0..8).map(|_| begin()));
    let let_go = async {
        world.provider.until_asked(DISCOVERY).await;
        world.provider.hold(false);
    };
    let (others, ()) = tokio::join!(others, let_go);
    assert_eq!(others, [StatusCode::OK; 8]);
    assert_eq!(world.provider.asked(DISCOVERY), 1);

    world.app.advance(Duration::from_secs(601));
    world.provider.replace(DISCOVERY, 503, "down");
    for _ in 0..5 {
        assert_eq!(begin().await, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(world.provider.asked(DISCOVERY), 2);
    world.provider.restore();
    assert_eq!(begin().await, StatusCode::BAD_GATEWAY, "for five seconds");
    world.app.advance(Duration::from_secs(5));
    assert_eq!(begin().await, StatusCode::OK);
    assert_eq!(world.provider.asked(DISCOVERY), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_kept_out_stays_out_and_the_local_admin_always_comes_in() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let (_, answer) = world.sign_in(vera(&["staff"])).await;
    let path = format!("/api/system-admin/users/{}", answer["user"]["id"].as_str().unwrap());
    assert!(world.app.user.try_send(Method::PATCH, &path, Some(json!({ "disabled": true }))).await.0.is_success());
    assert_eq!(world.refused(vera(&["staff"])).await, "account_disabled");
    assert_eq!(world.with(&answer).try_send(Method::GET, "/api/me", None).await.0, StatusCode::UNAUTHORIZED);
    for (path, status, body) in [("/realms/staff/.well-known/openid-configuration", 503, "down"), ("/realms/staff/keys", 200, "{}")] {
        world.provider.replace(path, status, body);
        world.app.advance(Duration::from_secs(601));
        let (status, answer) = User::anonymous(&world.app.user.base).try_send(Method::POST, "/api/auth/oidc/begin", None).await;
        assert_eq!((status, answer["error"]["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("sso_unavailable")));
        assert!(world.app.user.get("/api/system-admin/sign-on").await["oidc"]["last_failure"]["reason"].as_str().unwrap().contains("the provider"));
        let admin = world.app.sign_in(EMAIL).await;
        assert!(admin.get("/api/system-admin/users").await.is_object());
        world.provider.restore();
    }
    let tested = world.app.user.post("/api/system-admin/sign-on/test", json!({ "source": "oidc" })).await;
    assert_eq!(tested["works"], true, "{tested}");
    assert!(world.app.user.get("/api/system-admin/sign-on").await["oidc"]["last_failure"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_agree_in_everything_opens_nothing() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    for change in [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "another" }),
        json!({ "aud": ["onsite", "another"] }),
        json!({ "azp": "another" }),
        json!({ "exp": NOW - 61 }),
        json!({ "iat": NOW + 120 }),
        json!({ "iat": NOW - 120 }),
        json!({ "at_hash": "AAAA" }),
        json!({ "sub": null }),
    ] {
        world.provider.change(change.clone());
        let (status, answer) = world.sign_in(vera(&["staff"])).await;
        assert_eq!((status, answer["error"]["code"].as_str()), (StatusCode::FORBIDDEN, Some("sso_refused")), "{change}: {answer}");
    }
    world.provider.change(json!({}));
    let stranger = SigningKey::ec("one");
    world.provider.forge(Some(Box::new(move |claims| stranger.sign(claims))));
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused", "the right name and another key");
    let unknown = SigningKey::ed("nobody");
    world.provider.forge(Some(Box::new(move |claims| unknown.sign(claims))));
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused");
    world.provider.forge(Some(Box::new(|claims| format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims)))));
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused");
    world.provider.forge(Some(Box::new(|claims| {
        let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "one" })), part(claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
        format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
    })));
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused");
    world.provider.forge(None);
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK);
    // Those of a minute are two rows: the first, and the number of the others.
    world.app.advance(Duration::from_secs(61));
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused", "a token of a minute ago");
    let refused = |row: &Value| row["outcome"] == "refused" && row["detail"]["reason"] == "token" && row["detail"]["by"] == "oidc";
    let refused: Vec<Value> = world.audit("auth.login").await.into_iter().filter(refused).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().any(|row| row["detail"]["repeated"] == 14), "{refused:?}");
    assert!(!world.app.user.get("/api/system-admin/audit?limit=200").await.to_string().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_and_made_up_names_do_not_ask_again_and_again() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK);
    assert_eq!(world.provider.asked("/realms/staff/keys"), 1);
    world.provider.publish(vec![SigningKey::ed("two"), SigningKey::ec("three")]);
    world.app.advance(Duration::from_secs(61));
    world.provider.set_now(NOW + 61);
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK, "rotated");
    assert_eq!(world.provider.asked("/realms/staff/keys"), 2);
    for n in 0..5 {
        let key = SigningKey::ec(&format!("made-up-{n}"));
        world.provider.forge(Some(Box::new(move |claims| key.sign(claims))));
        assert_eq!(world.refused(vera(&["staff"])).await, "sso_refused");
    }
    assert_eq!(world.provider.asked("/realms/staff/keys"), 2, "within a minute of the last time");
    assert_eq!(world.provider.asked("/realms/staff/.well-known/openid-configuration"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_finished_once_in_time_and_by_the_browser_that_began_it() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let begin = async || {
        let (url, cookie) = world.begin().await;
        let (state, code) = world.provider.authorize(&url, vera(&["staff"]));
        (cookie, json!({ "state": state, "code": code }))
    };
    let code = |answer: &(StatusCode, Value)| answer.1["error"]["code"].as_str().unwrap_or_default().to_owned();
    let (cookie, body) = begin().await;
    assert_eq!(world.finish(&cookie, body.clone()).await.0, StatusCode::OK);
    assert_eq!(code(&world.finish(&cookie, body).await), "sign_in_ended", "once");
    let (_, body) = begin().await;
    assert_eq!(code(&world.finish("a=b", body.clone()).await), "sign_in_ended", "without the cookie");
    let (other, _) = begin().await;
    assert_eq!(code(&world.finish(&other, body).await), "sso_refused", "another browser's answer");
    let (cookie, mut body) = begin().await;
    body["iss"] = json!("https://evil.example");
    assert_eq!(code(&world.finish(&cookie, body).await), "sso_refused", "mixed up with another provider");
    let (cookie, mut body) = begin().await;
    body["iss"] = json!(world.provider.issuer());
    assert_eq!(world.finish(&cookie, body).await.0, StatusCode::OK);
    let (cookie, body) = begin().await;
    let answer = world.finish(&cookie, json!({ "state": body["state"], "error": "access_denied<script>" })).await;
    assert_eq!(code(&answer), "sso_refused");
    assert!(answer.1["error"]["message"].as_str().unwrap().contains("access_deniedscript."), "{}", answer.1);
    let (cookie, body) = begin().await;
    world.app.advance(Duration::from_secs(600));
    assert_eq!(code(&world.finish(&cookie, body).await), "sign_in_ended", "ten minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_unless_the_provider_is_set_to_ask_for_it() {
    let required = [("ONSITE_REQUIRE_SECOND_FACTOR", "1")];
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let (_, answer) = world.sign_in(vera(&["staff"])).await;
    let user = world.with(&answer);
    let offer = user.post("/api/me/factors/totp", json!({})).await;
    let totp = crate::factors::App::from(&offer).code(&world.app);
    user.post("/api/me/factors/totp/confirm", json!({ "code": totp })).await;
    let (status, answer) = world.sign_in(vera(&["staff"])).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert!(answer["session"].is_null() && answer["methods"][0] == "totp");
    let World { app, provider, company } = world;
    let app = app.restart_with(&[required[0], ("ONSITE_OIDC_SECOND_FACTOR", "1")]).await;
    let world = World { app, provider, company };
    let (status, answer) = world.sign_in(vera(&["staff"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (_, answer) = world.sign_in(json!({ "sub": "ada-2", "email": "ada2@example.com", "email_verified": true, "groups": ["staff"] })).await;
    assert_eq!(world.with(&answer).get("/api/me").await["must_enrol"], false, "the provider asked already");
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_completes_a_token_of_the_same_person_only() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let bare = json!({ "sub": "vera-1" });
    let said = |subject: &str| json!({ "sub": subject, "email": "vera@example.com", "email_verified": true, "groups": ["staff"] });
    world.provider.userinfo(said("somebody-else"));
    assert_eq!(world.refused(bare.clone()).await, "sso_refused");
    world.provider.userinfo(said("vera-1"));
    let (status, answer) = world.sign_in(bare).await;
    assert_eq!((status, answer["user"]["name"].as_str()), (StatusCode::OK, Some("vera")), "{answer}");
    world.provider.userinfo(json!({ "sub": "eve", "email": "vera@example.com", "email_verified": true, "groups": ["staff"] }));
    assert_eq!(
        world.refused(json!({ "sub": "eve", "email": EMAIL })).await,
        "sso_address_not_verified",
        "not this address, and not that word for it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_counted_and_no_password_goes_around_the_provider() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let (status, answer) = world.sign_in(vera(&["staff"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let login = json!({ "email": "vera@example.com", "password": PASSWORD });
    assert_eq!(world.app.user.refused("/api/auth/login", login).await.0, StatusCode::UNAUTHORIZED);
    let seats = world.app.state().licensing.status().await.unwrap().seats().number().unwrap();
    let mut taken = world.app.user.get("/api/system-admin/users").await["users"].as_array().unwrap().len() as u64;
    while taken < seats {
        let person = json!({ "sub": format!("p{taken}"), "email": format!("p{taken}@example.com"), "email_verified": true, "groups": ["staff"] });
        assert_eq!(world.sign_in(person).await.0, StatusCode::OK);
        taken += 1;
    }
    let more = json!({ "sub": "one-more", "email": "more@example.com", "email_verified": true, "groups": ["staff"] });
    assert_eq!(world.refused(more).await, "seat_limit_reached");
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK, "who has a seat comes in");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_egress_rule_nobody_is_asked_and_without_a_provider_nothing_is_there() {
    let world = World::start(&[]).await;
    let rules = world.app.user.get("/api/system-admin/egress/rules").await;
    let path = format!("/api/system-admin/egress/rules/{}", rules["rules"][0]["id"].as_str().unwrap());
    assert_eq!(world.app.user.try_send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, answer) = User::anonymous(&world.app.user.base).try_send(Method::POST, "/api/auth/oidc/begin", None).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(!answer.to_string().contains(&world.provider.address().port().to_string()), "a stranger is not told where: {answer}");
    let tested = world.app.user.post("/api/system-admin/sign-on/test", json!({ "source": "oidc" })).await;
    assert!(tested["works"] == false && tested["found"].as_str().unwrap().contains("not allowed"), "{tested}");
    let log = world.app.user.get("/api/system-admin/egress/log").await;
    assert!(log.to_string().contains("sign_in"), "{log}");

    let app = TestApp::start().await.with_admin().await;
    assert!(app.user.get("/api/session").await["oidc"].is_null());
    assert_eq!(app.user.try_send(Method::POST, "/api/auth/oidc/begin", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.user.refused("/api/auth/oidc/finish", json!({ "state": "x", "code": "y" })).await.0, StatusCode::GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_given_roles_by_system_admins_within_bounds() {
    let world = World::start(&[]).await;
    let company = world.company_id();
    let body = |group: &str, role: &str| json!({ "source": "oidc", "group": group, "company_id": company, "role": role });
    let path = "/api/system-admin/sign-on/groups";
    world.give("staff", company, "member").await;
    assert_eq!(world.app.user.refused(path, body("staff", "dev")).await.1["code"], "group_role_exists");
    assert_eq!(world.app.user.refused(path, body("bosses", "owner")).await.1["field"], "role");
    assert_eq!(world.app.user.refused(path, body(" ", "dev")).await.1["field"], "group");
    let ldap = json!({ "source": "ldap", "group": "staff", "company_id": company, "role": "dev" });
    assert_eq!(world.app.user.refused(path, ldap).await.1["field"], "group", "a directory's group is an entry");
    world.app.advance(Duration::from_secs(11 * 60));
    assert_eq!(world.app.user.refused(path, body("late", "dev")).await.1["code"], "step_up_required");
}
