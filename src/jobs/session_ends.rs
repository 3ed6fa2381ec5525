//! Keeps what signing in and out left to be kept: the ends of sessions that a full disk left open, and how often refused sign-ins repeated.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::services::auth::Auth;

/// Keeps the ends of sessions that could not be kept when they were signed out, and the counts of refused sign-ins. Costs nothing when there are none.
#[derive(Clone, Debug)]
pub struct SessionEnds(pub Auth);

impl Reconciler for SessionEnds {
    fn name(&self) -> &'static str {
        "session ends"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async {
            self.0.keep_ends().await?;
            Ok(self.0.tell_refusals().await?)
        })
    }
}
