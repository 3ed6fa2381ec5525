//! Runs that nobody works on any more: put back into the queue, or ended.

use rusqlite::Connection;

use super::runs::{COLUMNS, end, enter, list, one, tell};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::ids::RunId;
use crate::model::run::{ATTEMPTS_MAX, Run, RunError, RunState};
use crate::model::run_event::RunEvent;

/// What a start found to mend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Runs that were put back into the queue.
    pub requeued: Vec<RunId>,
    /// Runs that were given up or whose cancellation was completed.
    pub ended: Vec<RunId>,
    /// Runs whose ingest starts over.
    pub ingests: Vec<RunId>,
}

impl Store {
    /// Mends what a dead process left: working runs go back into the queue or, after [`ATTEMPTS_MAX`] attempts, fail; ingests start over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recover_runs(&self, now: Timestamp) -> Result<Recovered, StoreError> {
        self.write("recover runs", move |tx| {
            let mut recovered = Recovered::default();
            for run in working(tx)? {
                if run.cancel_asked {
                    end(tx, &run.id, None, now)?;
                    recovered.ended.push(run.id);
                } else if run.attempt >= ATTEMPTS_MAX {
                    end(tx, &run.id, Some(interrupted()), now)?;
                    recovered.ended.push(run.id);
                } else if let Some(back) = run.state.to(RunState::Queued) {
                    enter(tx, &run.id, back)?;
                    tell(tx, &run.id, &[RunEvent::State(RunState::Queued)], now)?;
                    recovered.requeued.push(run.id);
                }
            }
            recovered.ingests = super::run_ingests::recover(tx, now)?;
            Ok(recovered)
        })
        .await
    }

    /// Puts a working run back into the queue because the app stops in good order: that does not count as an attempt.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_back_run(&self, id: RunId, now: Timestamp) -> Result<bool, StoreError> {
        self.write("put back run", move |tx| {
            let Some(back) = one(tx, &id)?.state.to(RunState::Queued) else { return Ok(false) };
            enter(tx, &id, back)?;
            tx.execute("UPDATE widget_runs SET attempt = attempt - 1 WHERE id = ?1", [&id])?;
            tell(tx, &id, &[RunEvent::State(RunState::Queued)], now)?;
            Ok(true)
        })
        .await
    }

    /// Runs that are working, the longest-waiting first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn working_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.read("list working runs", |conn| Ok(working(conn)?.into_iter().map(|run| run.id).collect())).await
    }
}

fn interrupted() -> RunError {
    RunError::new(
        "interrupted_too_often",
        format!("the process ended under this run {ATTEMPTS_MAX} times"),
        "Look into the appliance's log for what ended it, then run the automation again.",
    )
}

fn working(tx: &Connection) -> Result<Vec<Run>, StoreError> {
    // Written as the active index has it, less the queued ones, so that the index answers.
    let sql = format!(
        "SELECT {COLUMNS} FROM widget_runs WHERE state IN ('queued', 'collecting', 'extracting', 'reporting') AND state <> 'queued'
         ORDER BY queued_at, id"
    );
    list(tx, &sql, [])
}

#[cfg(test)]
mod tests {
    use super::super::runs::RunCounts;
    use super::super::runs::testing::{company, new_run, widget};
    use super::*;
    use crate::store::testing as store_testing;

    #[tokio::test]
    async fn a_crash_in_each_working_state_puts_the_run_back_and_the_third_fails_it() {
        let (store, _folder) = store_testing::store();
        let widget = widget(&company(&store, 1).await);
        store.insert_widget(widget.clone(), None).await.unwrap();
        let now = widget.created_at;
        store.queue_run(new_run(&widget)).await.unwrap();
        let ways: [&[RunState]; 3] = [&[], &[RunState::Extracting], &[RunState::Extracting, RunState::Reporting]];
        for (crash, way) in ways.into_iter().enumerate() {
            let run = store.claim_next_run(crate::store::runs::Turn::anybody(), now).await.unwrap().unwrap();
            let mut state = run.state;
            for &next in way {
                assert!(store.advance_run(run.id.clone(), state.to(next).unwrap(), vec![], now).await.unwrap());
                state = next;
            }
            let recovered = store.recover_runs(now).await.unwrap();
            let run = store.run(widget.company_id.clone(), run.id).await.unwrap().unwrap();
            if crash < 2 {
                assert_eq!((run.state, recovered.requeued), (RunState::Queued, vec![run.id]));
            } else {
                assert_eq!((run.state, recovered.ended), (RunState::Failed, vec![run.id.clone()]));
                assert_eq!(run.error.unwrap().code, "interrupted_too_often");
                assert_eq!(store.events_after(run.id.to_string(), 0, 100).await.unwrap().last().unwrap().kind, "failed");
            }
        }
        assert_eq!(store.run_counts().await.unwrap(), RunCounts::default());
    }
}
