//! Whose account somebody gets who comes by a provider, and that what people decided about them stays.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{EMAIL, User};
use crate::sign_on::{World, vera};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_gave_no_group_takes() {
    let world = World::start(&[]).await;
    let other = world.app.company().await;
    world.give("others", other.rsplit('/').next().unwrap(), "viewer").await;
    let (status, answer) = world.sign_in(vera(&["others"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let token = world.invitation("vera@example.com", "member").await;
    world.with(&answer).post("/api/invitations/accept", json!({ "token": token })).await;
    world.give("staff", world.company_id(), "viewer").await;
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK);
    assert_eq!(world.roles(&answer).await, ["member"], "an invitation's role stays");
    world.take("staff").await;
    assert_eq!(world.sign_in(vera(&[])).await.0, StatusCode::OK);
    assert_eq!(world.roles(&answer).await, ["member"]);
    assert_eq!(
        world.sign_in(json!({ "sub": "eve", "email": EMAIL, "email_verified": true, "groups": [] })).await.1["error"]["code"],
        "sso_address_of_admin"
    );
    world.provider.userinfo(json!({ "sub": "eve" }));
    assert_eq!(world.refused(json!({ "sub": "eve", "groups": ["staff"] })).await, "sso_no_mail_address");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_an_account_with_an_address_that_is_not_shown_to_be_theirs() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let eve = json!({ "sub": "eve", "email": "vera@example.com", "email_verified": false, "groups": ["staff"] });
    let mut silent = eve.clone();
    silent["email_verified"] = Value::Null;
    for claimed in [&eve, &silent] {
        assert_eq!(world.refused(claimed.clone()).await, "sso_address_not_verified");
    }
    assert!(!world.app.user.get("/api/system-admin/users").await.to_string().contains("vera"), "nothing is planted");
    let (status, owner) = world.sign_in(vera(&["staff"])).await;
    assert_eq!(status, StatusCode::OK, "{owner}");
    for claimed in [eve, silent] {
        assert_eq!(world.refused(claimed).await, "sso_address_not_verified", "nor joined");
    }

    let token = world.invitation("cem@example.com", "member").await;
    let accept = json!({ "token": token, "name": "Not Cem", "password": "galaxies turn too quickly at the rim" });
    User::anonymous(&world.app.user.base).post("/api/invitations/accept-as-new", accept).await;
    let cem = json!({ "sub": "cem-1", "email": "cem@example.com", "email_verified": true, "groups": ["staff"] });
    assert_eq!(world.refused(cem).await, "sso_address_not_verified", "whoever has this account never showed that the address is theirs");
    assert_eq!(world.audit("sso.linked").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_decides_about_a_member_no_sign_in_undoes() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "viewer").await;
    let (_, answer) = world.sign_in(vera(&["staff"])).await;
    let path = format!("{}/members/{}", world.company, answer["user"]["id"].as_str().unwrap());
    let changed = world.app.user.try_send(Method::PATCH, &path, Some(json!({ "role": "dev" }))).await;
    assert!(changed.0.is_success(), "{changed:?}");
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK);
    assert_eq!(world.roles(&answer).await, ["dev"]);
    assert_eq!(world.sign_in(vera(&[])).await.0, StatusCode::OK, "the place is a person's now");
    assert_eq!(world.roles(&answer).await, ["dev"]);

    assert!(world.app.user.try_send(Method::DELETE, &path, None).await.0.is_success());
    for _ in 0..2 {
        assert_eq!(world.refused(vera(&["staff"])).await, "sso_no_place", "who was removed stays out");
    }
    let token = world.invitation("vera@example.com", "member").await;
    world.with(&answer).post("/api/invitations/accept", json!({ "token": token })).await;
    assert_eq!(world.sign_in(vera(&["staff"])).await.0, StatusCode::OK);
    assert_eq!(world.roles(&answer).await, ["member"]);

    // One whose place is of a group still.
    let bea = |groups: &[&str]| json!({ "sub": "bea", "email": "bea@example.com", "email_verified": true, "groups": groups });
    let (_, answer) = world.sign_in(bea(&["staff"])).await;
    let path = format!("{}/members/{}", world.company, answer["user"]["id"].as_str().unwrap());
    assert!(world.app.user.try_send(Method::DELETE, &path, None).await.0.is_success());
    assert_eq!(world.refused(bea(&["staff"])).await, "sso_no_place");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_account_opens_by_no_provider_not_even_one_that_opened_it_before() {
    let world = World::start(&[]).await;
    world.give("staff", world.company_id(), "member").await;
    let (status, answer) = world.sign_in(vera(&["staff"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let database = rusqlite::Connection::open(world.app.dir.database()).unwrap();
    database.execute("UPDATE users SET system_admin = 1 WHERE id = ?1", [answer["user"]["id"].as_str()]).unwrap();
    assert_eq!(world.refused(vera(&["staff"])).await, "sso_address_of_admin");
}
