//! Moves the high-water mark of the clock on while the appliance runs.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::services::licensing::Licensing;

/// Moves the high-water mark of the clock on by the time that really passed, so that a clock set back while the appliance runs, or
/// before its next start, is noticed.
#[derive(Clone, Debug)]
pub struct ClockMark(pub Licensing);

impl Reconciler for ClockMark {
    fn name(&self) -> &'static str {
        "clock mark"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async { Ok(self.0.note_time_passed().await?) })
    }
}
