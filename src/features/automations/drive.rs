//! Takes runs from the queue as places come free, and sees each to an end whatever happens to it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::execute::Stop;
use super::{AutomationError, Automations};
use crate::base::places::{Place, Work};
use crate::model::ids::RunId;
use crate::model::run::{Run, RunError};
use crate::store::StoreError;
use crate::store::runs::Turn;

/// Wait before the end of a run that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

impl Automations {
    /// Mends what a dead process left. Once, at start, before anything runs.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn recover(&self) -> Result<(), AutomationError> {
        let recovered = self.store().recover_runs(self.now()).await?;
        if recovered != crate::store::run_recovery::Recovered::default() {
            tracing::warn!(
                requeued = recovered.requeued.len(),
                ended = recovered.ended.len(),
                ingests = recovered.ingests.len(),
                "the process ended under runs: they were put back, or ended where they had been tried often enough"
            );
        }
        Ok(())
    }

    /// Puts back runs that nobody works on, and starts waiting ones while there are places. Returns how many it started.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn drive(&self) -> Result<usize, AutomationError> {
        let mut last = self.inner.driving.lock().await;
        self.put_back_abandoned().await?;
        let mut started = 0;
        while !self.parts().tasks.is_stopping() {
            let Some(place) = self.parts().places.take(Work::Run) else { break };
            let turn = Turn { after: last.clone(), most_of_one: self.parts().places.most_of_one() };
            let Some(run) = self.store().claim_next_run(turn, self.now()).await? else { break };
            *last = Some(run.company_id.clone());
            self.tell(&run.id);
            self.begin(run, place.begin());
            started += 1;
        }
        Ok(started)
    }

    /// A claim whose answer was lost leaves a run that is working in the store and nowhere else: it would block its widget.
    async fn put_back_abandoned(&self) -> Result<(), StoreError> {
        for id in self.store().working_runs().await? {
            // One that ends meanwhile is over in the store before it leaves the map, and what is over is left alone.
            let abandoned = !self.working().contains_key(&id);
            if abandoned && self.store().put_back_run(id.clone(), self.now()).await? {
                tracing::warn!(run = %id, "nobody worked on this run: it was put back");
                self.tell(&id);
            }
        }
        Ok(())
    }

    fn begin(&self, run: Run, place: Place) {
        let stop = self.parts().tasks.token().child_token();
        self.working().insert(run.id.clone(), stop.clone());
        let this = self.clone();
        self.parts().tasks.spawn("run", async move {
            this.see_through(run, stop).await;
            drop(place);
        });
    }

    async fn see_through(&self, run: Run, stop: CancellationToken) {
        let id = run.id.clone();
        let (this, token) = (self.clone(), stop.clone());
        // A task of its own, so that a panic in it ends the run and not its keeper.
        let work = self.parts().tasks.spawn("run work", async move { this.execute(&run, &token).await });
        let ended = work.await.unwrap_or_else(|error| {
            tracing::error!(run = %id, %error, "a run's work broke off");
            Err(Stop::Failed(RunError::new("internal_error", "Something went wrong on our side.", "The appliance's log says what; run it again.")))
        });
        if let Err(stopped) = ended {
            self.end(&id, stopped).await;
        }
        self.working().remove(&id);
        self.tell(&id);
    }

    /// Writes the end of a run that did not come to its report, as often as it takes: a run left open would block its widget.
    async fn end(&self, id: &RunId, stopped: Stop) {
        let error = match stopped {
            Stop::Cancelled => None,
            Stop::Failed(error) => Some(error),
            Stop::Store(error) => Some(store_failed(id, &error)),
            Stop::Shutdown => {
                // Whatever goes wrong here, the next start finds the run working and puts it back itself.
                if let Err(error) = self.store().put_back_run(id.clone(), self.now()).await {
                    tracing::warn!(run = %id, %error, "a run is put back at the next start");
                }
                return;
            }
        };
        match &error {
            Some(error) => tracing::warn!(run = %id, code = error.code, message = error.message, "run failed"),
            None => tracing::info!(run = %id, "run cancelled"),
        }
        self.insist("the end of a run cannot be written yet", || self.store().end_run(id.clone(), error.clone(), None, self.now())).await;
    }

    /// Writes something as often as it takes, until the app stops: a full disk has room again some time. `None` when it stopped first.
    pub(super) async fn insist<T, F>(&self, what: &'static str, write: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match write().await {
                Ok(written) => return Some(written),
                Err(error) => tracing::error!(%error, "{what}"),
            }
            tokio::select! {
                () = self.parts().tasks.stopping() => return None,
                () = self.parts().seams.clock.sleep(RETRY) => {}
            }
        }
    }
}

fn store_failed(id: &RunId, error: &StoreError) -> RunError {
    tracing::error!(run = %id, %error, "a run's store failed");
    match error {
        StoreError::DiskFull { .. } => {
            RunError::new("disk_full", "The disk is full: the run could not go on.", "Free space on the data disk, then run it again.")
        }
        _ => RunError::new("internal_error", "Something went wrong on our side.", "The appliance's log says what; run it again."),
    }
}
