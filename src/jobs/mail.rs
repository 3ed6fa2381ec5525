//! Sends outgoing mail.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::driver::{JobError, Reconciler};
use crate::services::mail::Courier;

/// Sends outgoing mail: at the nudge of whoever wrote one, and at a tick for those that are tried again.
#[derive(Clone, Debug)]
pub struct MailOut(pub Courier);

impl Reconciler for MailOut {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async { Ok(self.0.deliver().await?) })
    }
}
