//! Runs each reconciler at its own pace, and at once when nudged.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::base::seams::Seams;
use crate::base::signal::Nudge;
use crate::base::tasks::Tasks;

/// What a reconciler returns when it failed: logged once by the driver, tried again at the next tick.
pub type JobError = Box<dyn Error + Send + Sync>;

/// A recurring, idempotent look at the store.
pub trait Reconciler: Send + Sync + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// The longest time between two looks.
    fn every(&self) -> Duration;

    /// Looks, and does what is missing.
    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>>;
}

/// Starts reconcilers and keeps them going until the app stops.
#[derive(Clone, Debug)]
pub struct Driver {
    tasks: Tasks,
    seams: Seams,
}

impl Driver {
    /// A driver whose reconcilers stop with `tasks`.
    #[must_use]
    pub const fn new(tasks: Tasks, seams: Seams) -> Self {
        Self { tasks, seams }
    }

    /// Starts a reconciler: it looks now, then at every tick and nudge.
    pub fn start(&self, job: Arc<dyn Reconciler>, nudge: Nudge) {
        let (tasks, seams) = (self.tasks.clone(), self.seams.clone());
        self.tasks.spawn(job.name(), async move {
            while !tasks.is_stopping() {
                match AssertUnwindSafe(job.reconcile()).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(job = job.name(), %error, "a recurring task failed; it is tried again at its next turn"),
                    Err(_) => tracing::error!(job = job.name(), "a recurring task panicked; it is tried again at its next turn"),
                }
                tokio::select! {
                    () = tasks.stopping() => break,
                    () = nudge.nudged() => {}
                    () = seams.clock.sleep(job.every()) => {}
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{FakeClock, Timestamp};
    use crate::base::random::SeededRandom;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::mpsc;

    struct Count(AtomicU32, mpsc::UnboundedSender<u32>);

    impl Reconciler for Count {
        fn name(&self) -> &'static str {
            "count"
        }
        fn every(&self) -> Duration {
            Duration::from_secs(60)
        }
        fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
            Box::pin(async {
                let looks = self.0.fetch_add(1, Ordering::SeqCst) + 1;
                self.1.send(looks)?;
                match looks {
                    2 => Err("on purpose".into()),
                    3 => panic!("on purpose"),
                    _ => Ok(()),
                }
            })
        }
    }

    #[tokio::test]
    async fn it_looks_at_once_when_nudged_at_every_tick_and_after_a_failure() {
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        let tasks = Tasks::default();
        let driver = Driver::new(tasks.clone(), Seams { clock: clock.clone(), random: Arc::new(SeededRandom::new(1)) });
        let (sender, mut looks) = mpsc::unbounded_channel();
        let nudge = Nudge::default();
        driver.start(Arc::new(Count(AtomicU32::new(0), sender)), nudge.clone());
        assert_eq!(looks.recv().await, Some(1));
        nudge.nudge();
        assert_eq!(looks.recv().await, Some(2));
        // The sleeper may not be asleep yet when the clock moves: move it until it has heard.
        let mut third = None;
        while third.is_none() {
            clock.advance(Duration::from_secs(60));
            tokio::task::yield_now().await;
            third = looks.try_recv().ok();
        }
        assert_eq!(third, Some(3));
        nudge.nudge();
        assert_eq!(looks.recv().await, Some(4), "a panic ends its turn, not the job");
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    }
}
