//! Runs from the queue to their end, as the store sees them.

use super::testing::{company, new_run, widget};
use super::*;
use crate::model::widget::Widget;
use crate::store::testing as store_testing;

async fn kept_widget(store: &Store) -> Widget {
    let widget = widget(&company(store, 1).await);
    store.insert_widget(widget.clone(), None).await.unwrap();
    widget
}

async fn kinds(store: &Store, run: &RunId) -> Vec<String> {
    let events = store.events_after(run.to_string(), 0, 100).await.unwrap();
    events.into_iter().map(|event| if event.kind == "state" { event.data["state"].as_str().unwrap().to_owned() } else { event.kind }).collect()
}

#[tokio::test]
async fn two_runs_of_a_widget_never_overlap() {
    let (store, _folder) = store_testing::store();
    let widget = kept_widget(&store).await;
    let (a, b) = tokio::join!(store.queue_run(new_run(&widget)), store.queue_run(new_run(&widget)));
    let outcomes = [a.unwrap(), b.unwrap()];
    let queued: Vec<&Run> = outcomes.iter().filter_map(|o| if let QueueOutcome::Queued(run) = o { Some(&**run) } else { None }).collect();
    assert_eq!(queued.len(), 1);
    assert!(outcomes.contains(&QueueOutcome::AlreadyRunning(queued[0].id.clone())));

    let next = Timestamp::from_millis(9);
    let refused = store.queue_run(NewRun { next_run_at: Some(Some(next)), ..new_run(&widget) }).await.unwrap();
    assert!(matches!(refused, QueueOutcome::AlreadyRunning(_)));
    let again = store.widget(widget.company_id.clone(), widget.id.clone()).await.unwrap().unwrap();
    assert_eq!(again.next_run_at, Some(next), "a tick that found a run in progress still moves on");
}

#[tokio::test]
async fn a_run_is_claimed_once_and_moves_forward_only() {
    let (store, _folder) = store_testing::store();
    let widget = kept_widget(&store).await;
    let now = widget.created_at;
    store.queue_run(new_run(&widget)).await.unwrap();
    let (a, b) = tokio::join!(store.claim_next_run(Turn::anybody(), now), store.claim_next_run(Turn::anybody(), now));
    let mut claimed: Vec<Run> = [a.unwrap(), b.unwrap()].into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1);
    let run = claimed.remove(0);
    assert_eq!((run.state, run.attempt, run.started_at), (RunState::Collecting, 1, Some(now)));

    let extract = RunState::Collecting.to(RunState::Extracting).unwrap();
    assert!(store.advance_run(run.id.clone(), extract, vec![], now).await.unwrap());
    assert!(!store.advance_run(run.id.clone(), extract, vec![], now).await.unwrap(), "it is not in that state any more");
    let error = RunError::new("site_down", "m", "r");
    assert!(store.end_run(run.id.clone(), Some(error.clone()), None, now).await.unwrap());
    assert!(!store.end_run(run.id.clone(), None, None, now).await.unwrap(), "an end is an end");
    let run = store.run(widget.company_id.clone(), run.id).await.unwrap().unwrap();
    assert_eq!((run.state, run.error, run.finished_at), (RunState::Failed, Some(error), Some(now)));
    assert_eq!(kinds(&store, &run.id).await, ["queued", "collecting", "extracting", "failed", "failed"]);
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once_and_a_working_one_is_asked() {
    let (store, _folder) = store_testing::store();
    let widget = kept_widget(&store).await;
    let now = widget.created_at;
    let first = new_run(&widget);
    store.queue_run(first.clone()).await.unwrap();
    assert_eq!(store.ask_run_cancel(widget.company_id.clone(), first.id.clone(), now).await.unwrap(), CancelOutcome::Cancelled);
    assert_eq!(kinds(&store, &first.id).await, ["queued", "cancelled", "cancelled"]);
    let again = store.ask_run_cancel(widget.company_id.clone(), first.id, now).await.unwrap();
    assert_eq!(again, CancelOutcome::AlreadyOver(RunState::Cancelled));

    let second = new_run(&widget);
    store.queue_run(second.clone()).await.unwrap();
    store.claim_next_run(Turn::anybody(), now).await.unwrap();
    assert_eq!(store.ask_run_cancel(widget.company_id.clone(), second.id.clone(), now).await.unwrap(), CancelOutcome::Asked);
    let extract = RunState::Collecting.to(RunState::Extracting).unwrap();
    assert!(!store.advance_run(second.id.clone(), extract, vec![], now).await.unwrap(), "its next step finds the mark");
    let recovered = store.recover_runs(now).await.unwrap();
    assert_eq!(recovered.ended, [second.id], "a restart completes a cancellation");
}

/// Whose runs are claimed, in order, until none is.
async fn claims(store: &Store, most_of_one: u32) -> Vec<CompanyId> {
    let mut claimed: Vec<CompanyId> = Vec::new();
    while let Some(run) = store.claim_next_run(Turn { after: claimed.last().cloned(), most_of_one }, Timestamp::from_millis(99)).await.unwrap() {
        claimed.push(run.company_id);
    }
    claimed
}

#[tokio::test]
async fn the_company_with_the_fewest_runs_comes_first_and_of_equals_the_next() {
    let (store, _folder) = store_testing::store();
    let mut owners = [company(&store, 1).await, company(&store, 2).await, company(&store, 3).await];
    owners.sort();
    for (owner, runs) in owners.iter().zip([4, 1, 2]) {
        for _ in 0..runs {
            let widget = widget(owner);
            store.insert_widget(widget.clone(), None).await.unwrap();
            store.queue_run(new_run(&widget)).await.unwrap();
        }
    }
    let of = |places: [usize; 5]| places.map(|place| owners[place].0.clone()).to_vec();
    assert_eq!(claims(&store, 2).await, of([0, 1, 2, 0, 2]), "the last two of the first wait: it has what one may have");
    let counts = store.run_counts().await.unwrap();
    assert_eq!((counts.working, counts.queued), (5, 2));
    // Alone on the appliance it has every place.
    let alone = owners[0].0.clone();
    store.write("test", move |tx| Ok(tx.execute("UPDATE companies SET deleted_at = 1 WHERE id <> ?1", [alone])?)).await.unwrap();
    assert_eq!(claims(&store, 2).await, [owners[0].0.clone(), owners[0].0.clone()]);
}
