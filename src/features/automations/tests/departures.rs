//! What becomes of the runs of somebody who loses their place.

use super::*;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{GroupRoleId, RunId, UserId};
use crate::model::run::Run;
use crate::model::sso::{GroupRole, SsoIdentity, SsoSource};
use crate::store::sso_entries::{SsoEntered, SsoEntry};
use crate::store::testing::membership;
use crate::store::users::NewUser;

fn entry(bench: &Bench, action: &'static str) -> Entry {
    Entry::new(bench.seams.now(), Actor::System, action, "test")
}

/// A run that waits.
async fn waiting(bench: &Bench, viewer: &Viewer) -> RunId {
    let id = widget(bench, viewer, draft()).await;
    bench.automations.start_run(viewer, &id).await.unwrap().id
}

/// A run at work, which ends only when it is stopped.
async fn working(bench: &Bench, viewer: &Viewer) -> RunId {
    bench.world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let run = waiting(bench, viewer).await;
    assert_eq!(bench.automations.drive().await.unwrap(), 1);
    run
}

async fn row(bench: &Bench, viewer: &Viewer, id: &RunId) -> Run {
    bench.store.run(viewer.company.clone(), id.clone()).await.unwrap().unwrap()
}

/// Lets Vera in, whom her provider says to be in this group.
async fn enters(bench: &Bench, group: &str) -> UserId {
    let email: crate::model::user::Email = "vera@example.com".parse().unwrap();
    let identity = SsoIdentity {
        source: SsoSource::Oidc,
        issuer: "https://login.example".into(),
        subject: "vera".into(),
        email: Some(email.clone()),
        email_verified: true,
        name: None,
        groups: vec![group.into()],
    };
    let at = bench.seams.now();
    let new = NewUser { id: UserId::new(&bench.seams), email, name: "Vera".into(), password_hash: "h".into(), system_admin: false, at };
    let entered = bench.store.enter_by_sso(SsoEntry { identity, new_user: Some(new), seats: None, at, address: None }).await.unwrap();
    let SsoEntered::In(user) = entered else { panic!("{entered:?}") };
    user.id
}

/// Vera, a member by a group of hers; another group only reads.
async fn vera(bench: &Bench) -> Viewer {
    let owner = bench.viewer().await;
    for (group, role) in [("analysts", Role::Member), ("staff", Role::Viewer)] {
        let (id, company, created_at) = (GroupRoleId::new(&bench.seams), owner.company.clone(), bench.seams.now());
        let new = GroupRole { id, source: SsoSource::Oidc, group: group.into(), company, role, created_at };
        bench.store.add_group_role(new, entry(bench, "sso_group.added")).await.unwrap();
    }
    Viewer { user: enters(bench, "analysts").await, role: Role::Member, ..owner }
}

#[tokio::test]
async fn whoever_is_kept_out_has_no_run_left_and_others_go_on() {
    let bench = bench().await;
    let (viewer, other) = (vera(&bench).await, bench.viewer().await);
    let (at_work, others) = (working(&bench, &viewer).await, working(&bench, &other).await);
    let waits = waiting(&bench, &viewer).await;
    let kept_out = bench.store.set_user_disabled(viewer.user.clone(), true, None, bench.seams.now(), entry(&bench, "user.disabled"));
    kept_out.await.unwrap();
    assert_eq!(row(&bench, &viewer, &waits).await.state, RunState::Cancelled, "in the transaction itself");
    assert!(row(&bench, &viewer, &at_work).await.cancel_asked);

    bench.automations.stops().nudged().await;
    assert_eq!(bench.automations.stop_asked().await.unwrap(), 1);
    bench.until(&viewer, &at_work, |run| run.state == RunState::Cancelled).await;
    assert_eq!(bench.automations.stop_asked().await.unwrap(), 0);
    let others = row(&bench, &other, &others).await;
    assert!(others.state.is_active() && !others.cancel_asked);
}

#[tokio::test]
async fn nothing_runs_in_a_company_that_is_deleted() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let at_work = working(&bench, &viewer).await;
    let waits = waiting(&bench, &viewer).await;
    assert!(bench.store.delete_company(viewer.company.clone(), entry(&bench, "company.deleted")).await.unwrap());
    assert_eq!(row(&bench, &viewer, &waits).await.state, RunState::Cancelled);
    bench.automations.stops().nudged().await;
    assert_eq!(bench.automations.stop_asked().await.unwrap(), 1);
    bench.until(&viewer, &at_work, |run| run.state == RunState::Cancelled).await;
}

#[tokio::test]
async fn a_run_that_was_queued_while_its_maker_lost_their_role_does_not_begin() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    membership(&bench.store, &viewer.company, &viewer.user, Role::Viewer).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    let run = bench.until(&viewer, &run.id, |run| !run.state.is_active()).await;
    assert_eq!((run.state, run.pages_collected), (RunState::Cancelled, 0));
}

#[tokio::test]
async fn whoever_only_reads_by_their_groups_now_has_no_run_left() {
    let bench = bench().await;
    let viewer = vera(&bench).await;
    let at_work = working(&bench, &viewer).await;
    let waits = waiting(&bench, &viewer).await;
    enters(&bench, "analysts").await;
    assert!(row(&bench, &viewer, &waits).await.state.is_active() && !row(&bench, &viewer, &at_work).await.cancel_asked, "nothing was lost");
    enters(&bench, "staff").await;
    assert_eq!(row(&bench, &viewer, &waits).await.state, RunState::Cancelled);
    assert_eq!(bench.automations.stop_asked().await.unwrap(), 1);
    bench.until(&viewer, &at_work, |run| run.state == RunState::Cancelled).await;
}
